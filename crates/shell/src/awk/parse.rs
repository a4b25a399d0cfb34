//! Tokens of an awk program to its tree: rules and statements here, expressions in `expressions`.

mod expressions;

use super::lex::Token;
use std::collections::HashMap;

/// An expression.
#[derive(Clone, Debug)]
pub enum Expr {
    Number(f64),
    Text(std::rc::Rc<str>),
    /// Matches the record when its value is wanted.
    Regex(String),
    Var(usize),
    Local(usize),
    Field(Box<Expr>),
    Element(Place, Vec<Expr>),
    Assign(Box<Expr>, Option<&'static str>, Box<Expr>),
    Conditional(Box<Expr>, Box<Expr>, Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Not(Box<Expr>),
    Minus(Box<Expr>),
    Plus(Box<Expr>),
    Binary(&'static str, Box<Expr>, Box<Expr>),
    Concat(Box<Expr>, Box<Expr>),
    Match(bool, Box<Expr>, Box<Expr>),
    In(Vec<Expr>, Place),
    /// By how much, and whether the old value counts.
    Step(Box<Expr>, f64, bool),
    Builtin(&'static str, Vec<Expr>),
    Call(String, Vec<Expr>),
    /// Where the line goes, and what it comes from.
    Getline(Option<Box<Expr>>, From),
    Group(Box<Expr>),
}

/// An array: a global one, or a parameter.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    Global(usize),
    Local(usize),
}

/// What a getline reads.
#[derive(Clone, Debug)]
pub enum From {
    Input,
    File(Box<Expr>),
    Command(Box<Expr>),
}

/// A statement.
#[derive(Clone, Debug)]
pub enum Stmt {
    Expr(Expr),
    /// `None` as format: `print`.
    Print(Vec<Expr>, bool, Option<(&'static str, Expr)>),
    If(Expr, Box<Stmt>, Option<Box<Stmt>>),
    While(Expr, Box<Stmt>),
    Do(Box<Stmt>, Expr),
    For(
        Option<Box<Stmt>>,
        Option<Expr>,
        Option<Box<Stmt>>,
        Box<Stmt>,
    ),
    ForIn(Expr, Place, Box<Stmt>),
    Block(Vec<Stmt>),
    Delete(Place, Option<Vec<Expr>>),
    Next,
    NextFile,
    Exit(Option<Expr>),
    Return(Option<Expr>),
    Break,
    Continue,
}

/// When a rule runs.
#[derive(Clone, Debug)]
pub enum Pattern {
    Begin,
    End,
    Always,
    When(Expr),
    Range(Expr, Expr),
}

/// A function.
#[derive(Clone, Debug, Default)]
pub struct Function {
    pub parameters: usize,
    pub body: Vec<Stmt>,
}

/// A program.
#[derive(Debug, Default)]
pub struct Program {
    pub rules: Vec<(Pattern, Option<Vec<Stmt>>)>,
    pub functions: HashMap<String, Function>,
    /// Names of the variables, by number.
    pub names: Vec<String>,
}

type Done<T> = Result<T, String>;

/// The tree; the error is a sentence with the line.
pub fn parse(tokens: Vec<(Token, usize)>, names: &[&str]) -> Done<Program> {
    let mut p = Parser {
        tokens,
        at: 0,
        program: Program::default(),
        locals: Vec::new(),
        no_in: false,
        no_greater: false,
        depth: 0,
    };
    p.program.names = names.iter().map(|n| (*n).to_string()).collect();
    p.whole()?;
    Ok(p.program)
}

struct Parser {
    tokens: Vec<(Token, usize)>,
    at: usize,
    program: Program,
    locals: Vec<String>,
    /// In the head of a `for`, `in` is not an operator.
    no_in: bool,
    /// In the words of a print, `>` is a redirection.
    no_greater: bool,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        self.tokens.get(self.at).map_or(&Token::End, |(t, _)| t)
    }

    fn next(&mut self) -> Token {
        let t = self.peek().clone();
        self.at += 1;
        t
    }

    fn is(&self, sign: &str) -> bool {
        matches!(self.peek(), Token::Sign(s) if *s == sign)
    }

    fn word(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Word(w) if *w == word)
    }

    fn take(&mut self, sign: &str) -> bool {
        let is = self.is(sign) || self.word(sign);
        self.at += usize::from(is);
        is
    }

    fn need(&mut self, sign: &str) -> Done<()> {
        if self.take(sign) {
            Ok(())
        } else {
            self.wrong(&format!("expected {sign}"))
        }
    }

    fn wrong<T>(&self, what: &str) -> Done<T> {
        let line = self.tokens.get(self.at).map_or(0, |(_, l)| *l);
        let near = match self.peek() {
            Token::End => "the end".to_string(),
            Token::Newline => "the end of the line".to_string(),
            Token::Sign(s) | Token::Word(s) => (*s).to_string(),
            Token::Name(n, _) => n.clone(),
            Token::Number(n) => n.to_string(),
            Token::Text(t) | Token::Regex(t) => t.clone(),
        };
        Err(format!(
            "line {line}: syntax error at or near {near}: {what}"
        ))
    }

    fn newlines(&mut self) {
        while matches!(self.peek(), Token::Newline) || self.is(";") {
            self.at += 1;
        }
    }

    fn only_newlines(&mut self) {
        while matches!(self.peek(), Token::Newline) {
            self.at += 1;
        }
    }

    fn whole(&mut self) -> Done<()> {
        self.newlines();
        while *self.peek() != Token::End {
            if self.take("function") {
                self.function()?;
            } else {
                self.rule()?;
            }
            self.newlines();
        }
        Ok(())
    }

    fn function(&mut self) -> Done<()> {
        let Token::Name(name, _) = self.next() else {
            return self.wrong("a function needs a name");
        };
        self.need("(")?;
        self.locals.clear();
        while !self.take(")") {
            match self.next() {
                Token::Name(n, _) => self.locals.push(n),
                _ => return self.wrong("a parameter is a name"),
            }
            self.take(",");
            self.only_newlines();
        }
        self.only_newlines();
        let body = self.block()?;
        let parameters = self.locals.len();
        self.locals.clear();
        self.program
            .functions
            .insert(name, Function { parameters, body });
        Ok(())
    }

    fn rule(&mut self) -> Done<()> {
        let pattern = if self.take("BEGIN") {
            Pattern::Begin
        } else if self.take("END") {
            Pattern::End
        } else if self.is("{") {
            Pattern::Always
        } else {
            let first = self.expr()?;
            if self.take(",") {
                self.only_newlines();
                Pattern::Range(first, self.expr()?)
            } else {
                Pattern::When(first)
            }
        };
        let body = if self.is("{") {
            Some(self.block()?)
        } else {
            None
        };
        if body.is_none() && matches!(pattern, Pattern::Begin | Pattern::End) {
            return self.wrong("BEGIN and END need a body");
        }
        self.program.rules.push((pattern, body));
        Ok(())
    }

    fn block(&mut self) -> Done<Vec<Stmt>> {
        self.need("{")?;
        let mut all = Vec::new();
        self.newlines();
        while !self.take("}") {
            if *self.peek() == Token::End {
                return self.wrong("expected }");
            }
            all.push(self.statement()?);
            self.newlines();
        }
        Ok(all)
    }

    /// What may stand after `if (...)` and the like.
    fn body(&mut self) -> Done<Box<Stmt>> {
        self.only_newlines();
        if self.take(";") {
            return Ok(Box::new(Stmt::Block(Vec::new())));
        }
        Ok(Box::new(self.statement()?))
    }

    fn ends(&mut self) -> Done<()> {
        if matches!(self.peek(), Token::Newline | Token::End) || self.is("}") || self.is(";") {
            if !self.is("}") {
                self.at += 1;
            }
            return Ok(());
        }
        self.wrong("expected the end of the statement")
    }

    fn statement(&mut self) -> Done<Stmt> {
        self.depth += 1;
        if self.depth > 200 {
            return self.wrong("nested too deep");
        }
        let done = self.statement_inside();
        self.depth -= 1;
        done
    }

    fn statement_inside(&mut self) -> Done<Stmt> {
        if self.is("{") {
            return Ok(Stmt::Block(self.block()?));
        }
        let Token::Word(word) = *self.peek() else {
            let s = self.simple()?;
            self.ends()?;
            return Ok(s);
        };
        match word {
            "if" => {
                self.at += 1;
                self.need("(")?;
                let condition = self.expr()?;
                self.need(")")?;
                let then = self.body()?;
                let here = self.at;
                self.newlines();
                if self.take("else") {
                    return Ok(Stmt::If(condition, then, Some(self.body()?)));
                }
                self.at = here;
                Ok(Stmt::If(condition, then, None))
            }
            "while" => {
                self.at += 1;
                self.need("(")?;
                let condition = self.expr()?;
                self.need(")")?;
                Ok(Stmt::While(condition, self.body()?))
            }
            "do" => {
                self.at += 1;
                let body = self.body()?;
                self.newlines();
                self.need("while")?;
                self.need("(")?;
                let condition = self.expr()?;
                self.need(")")?;
                self.ends()?;
                Ok(Stmt::Do(body, condition))
            }
            "for" => self.for_loop(),
            _ => {
                let s = self.simple()?;
                self.ends()?;
                Ok(s)
            }
        }
    }

    fn for_loop(&mut self) -> Done<Stmt> {
        self.at += 1;
        self.need("(")?;
        let start = self.at;
        // `for (k in a)`, unless more follows.
        if let Token::Name(key, _) = self.next()
            && self.take("in")
            && let Token::Name(array, _) = self.next()
            && self.take(")")
        {
            let key = self.variable(&key);
            let place = self.place(&array);
            return Ok(Stmt::ForIn(key, place, self.body()?));
        }
        self.at = start;
        let first = if self.is(";") {
            None
        } else {
            Some(Box::new(self.simple()?))
        };
        self.need(";")?;
        self.only_newlines();
        let condition = if self.is(";") {
            None
        } else {
            Some(self.expr()?)
        };
        self.need(";")?;
        self.only_newlines();
        let step = if self.is(")") {
            None
        } else {
            Some(Box::new(self.simple()?))
        };
        self.need(")")?;
        Ok(Stmt::For(first, condition, step, self.body()?))
    }

    fn ends_here(&self) -> bool {
        matches!(self.peek(), Token::Newline | Token::End) || self.is("}") || self.is(";")
    }

    fn simple(&mut self) -> Done<Stmt> {
        let Token::Word(word) = *self.peek() else {
            return Ok(Stmt::Expr(self.expr()?));
        };
        let plain = match word {
            "next" => Some(Stmt::Next),
            "nextfile" => Some(Stmt::NextFile),
            "break" => Some(Stmt::Break),
            "continue" => Some(Stmt::Continue),
            _ => None,
        };
        if let Some(s) = plain {
            self.at += 1;
            return Ok(s);
        }
        match word {
            "print" | "printf" => {
                self.at += 1;
                self.print(word == "printf")
            }
            "exit" | "return" => {
                self.at += 1;
                let value = if self.ends_here() {
                    None
                } else {
                    Some(self.expr()?)
                };
                Ok(if word == "exit" {
                    Stmt::Exit(value)
                } else {
                    Stmt::Return(value)
                })
            }
            "delete" => {
                self.at += 1;
                let Token::Name(name, _) = self.next() else {
                    return self.wrong("delete needs an array");
                };
                let place = self.place(&name);
                let index = if self.take("[") {
                    Some(self.list("]")?)
                } else {
                    None
                };
                Ok(Stmt::Delete(place, index))
            }
            _ => Ok(Stmt::Expr(self.expr()?)),
        }
    }

    fn print(&mut self, format: bool) -> Done<Stmt> {
        let mut words = Vec::new();
        let redirects = |p: &Parser| p.is(">") || p.is(">>") || p.is("|");
        if !self.ends_here() && !redirects(self) {
            let outer = std::mem::replace(&mut self.no_greater, true);
            words = self.print_words()?;
            self.no_greater = outer;
        }
        let mut to = None;
        for sign in [">>", ">", "|"] {
            if self.take(sign) {
                let outer = std::mem::replace(&mut self.no_greater, true);
                to = Some((sign, self.concatenation()?));
                self.no_greater = outer;
                break;
            }
        }
        if format && words.is_empty() {
            return self.wrong("printf needs a format");
        }
        Ok(Stmt::Print(words, format, to))
    }

    /// The words of a print: `print (a, b) > "f"` has two.
    fn print_words(&mut self) -> Done<Vec<Expr>> {
        if self.is("(") {
            let start = self.at;
            self.at += 1;
            let outer = std::mem::replace(&mut self.no_greater, false);
            let words = self.list(")");
            self.no_greater = outer;
            if let Ok(words) = words
                && (self.ends_here() || self.is(">") || self.is(">>") || self.is("|"))
            {
                return Ok(words);
            }
            self.at = start;
        }
        let mut words = vec![self.expr()?];
        while self.take(",") {
            self.only_newlines();
            words.push(self.expr()?);
        }
        Ok(words)
    }

    /// Expressions up to a closing sign.
    fn list(&mut self, close: &str) -> Done<Vec<Expr>> {
        let mut all = Vec::new();
        self.only_newlines();
        while !self.take(close) {
            all.push(self.expr()?);
            self.only_newlines();
            if !self.take(",") && !self.is(close) {
                return self.wrong(&format!("expected {close}"));
            }
            self.only_newlines();
        }
        Ok(all)
    }

    fn number(&mut self, name: &str) -> usize {
        if let Some(at) = self.program.names.iter().position(|n| n == name) {
            return at;
        }
        self.program.names.push(name.to_string());
        self.program.names.len() - 1
    }

    fn variable(&mut self, name: &str) -> Expr {
        match self.locals.iter().position(|l| l == name) {
            Some(at) => Expr::Local(at),
            None => Expr::Var(self.number(name)),
        }
    }

    fn place(&mut self, name: &str) -> Place {
        match self.locals.iter().position(|l| l == name) {
            Some(at) => Place::Local(at),
            None => Place::Global(self.number(name)),
        }
    }
}

#[cfg(test)]
mod damaged {
    #[test]
    fn damaged_programs_are_read_or_refused() {
        let seeds = [
            "BEGIN { FS = \":\" } { n[$1] += $NF } END { for (k in n) print k, n[k] | \"sort\" }",
            "function f(a, b) { return a ~ /x+/ ? b : substr(a, 2) } NR > 1, /end/ { print f($0, 1) > \"o\" }",
            "{ while ((getline line < \"f\") > 0) if (!(line in seen)) { seen[line]++; printf \"%s\\n\", line } }",
        ];
        netshoot_wire::fuzz::texts(&seeds, 10_000, |text| {
            let read = super::super::lex::lex(text).and_then(|t| super::parse(t, &[]));
            if let Err(said) = read {
                assert!(!said.is_empty(), "{text}");
            }
        });
    }
}
