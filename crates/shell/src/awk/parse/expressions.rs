//! Expressions, from the weakest operator to the strongest.

use super::{Done, Expr, From, Parser};
use crate::awk::lex::Token;

impl Parser {
    pub(super) fn expr(&mut self) -> Done<Expr> {
        self.depth += 1;
        if self.depth > 200 {
            return self.wrong("nested too deep");
        }
        let done = self.assignment();
        self.depth -= 1;
        done
    }

    fn assignment(&mut self) -> Done<Expr> {
        let left = self.conditional()?;
        if !matches!(
            left,
            Expr::Var(_) | Expr::Local(_) | Expr::Field(_) | Expr::Element(..)
        ) {
            return Ok(left);
        }
        for (sign, op) in [
            ("=", None),
            ("+=", Some("+")),
            ("-=", Some("-")),
            ("*=", Some("*")),
            ("/=", Some("/")),
            ("%=", Some("%")),
            ("^=", Some("^")),
        ] {
            if self.take(sign) {
                self.only_newlines();
                let right = self.expr()?;
                return Ok(Expr::Assign(Box::new(left), op, Box::new(right)));
            }
        }
        Ok(left)
    }

    fn conditional(&mut self) -> Done<Expr> {
        let condition = self.or()?;
        if !self.take("?") {
            return Ok(condition);
        }
        self.only_newlines();
        let then = self.expr()?;
        self.only_newlines();
        self.need(":")?;
        self.only_newlines();
        let other = self.expr()?;
        Ok(Expr::Conditional(
            Box::new(condition),
            Box::new(then),
            Box::new(other),
        ))
    }

    fn or(&mut self) -> Done<Expr> {
        let mut left = self.and()?;
        while self.take("||") {
            self.only_newlines();
            left = Expr::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Done<Expr> {
        let mut left = self.membership()?;
        while self.take("&&") {
            self.only_newlines();
            left = Expr::And(Box::new(left), Box::new(self.membership()?));
        }
        Ok(left)
    }

    fn membership(&mut self) -> Done<Expr> {
        let mut left = self.matching()?;
        while !self.no_in && self.take("in") {
            let Token::Name(array, _) = self.next() else {
                return self.wrong("in needs an array");
            };
            left = Expr::In(vec![left], self.place(&array));
        }
        Ok(left)
    }

    fn matching(&mut self) -> Done<Expr> {
        let mut left = self.comparison()?;
        loop {
            let yes = self.is("~");
            if !yes && !self.is("!~") {
                return Ok(left);
            }
            self.at += 1;
            left = Expr::Match(yes, Box::new(left), Box::new(self.comparison()?));
        }
    }

    fn comparison(&mut self) -> Done<Expr> {
        let left = self.concatenation()?;
        for sign in ["<=", ">=", "==", "!=", "<", ">"] {
            if self.is(sign) && !(sign == ">" && self.no_greater) {
                self.at += 1;
                let right = self.concatenation()?;
                return Ok(Expr::Binary(sign, Box::new(left), Box::new(right)));
            }
        }
        // A command's output: as strong as a comparison.
        let mut left = left;
        while self.is("|")
            && matches!(
                self.tokens.get(self.at + 1),
                Some((Token::Word("getline"), _))
            )
        {
            self.at += 2;
            let target = self.getline_target()?;
            left = Expr::Getline(target, From::Command(Box::new(left)));
        }
        Ok(left)
    }

    pub(super) fn begins_value(&self) -> bool {
        match self.peek() {
            Token::Number(_) | Token::Text(_) | Token::Regex(_) | Token::Name(..) => true,
            Token::Sign(s) => ["(", "$", "!", "-", "+", "++", "--"].contains(s),
            Token::Word(w) => ![
                "in", "if", "else", "while", "for", "do", "getline", "print", "printf", "next",
                "nextfile", "exit", "return", "delete", "break", "continue", "BEGIN", "END",
                "function",
            ]
            .contains(w),
            Token::Newline | Token::End => false,
        }
    }

    pub(super) fn concatenation(&mut self) -> Done<Expr> {
        let mut left = self.additive()?;
        while self.begins_value() && !self.is("+") && !self.is("-") && !self.is("!") {
            let right = self.additive()?;
            left = Expr::Concat(Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn additive(&mut self) -> Done<Expr> {
        let mut left = self.multiplicative()?;
        loop {
            let sign = if self.is("+") {
                "+"
            } else if self.is("-") {
                "-"
            } else {
                return Ok(left);
            };
            self.at += 1;
            left = Expr::Binary(sign, Box::new(left), Box::new(self.multiplicative()?));
        }
    }

    fn multiplicative(&mut self) -> Done<Expr> {
        let mut left = self.unary()?;
        loop {
            let sign = if self.is("*") {
                "*"
            } else if self.is("/") {
                "/"
            } else if self.is("%") {
                "%"
            } else {
                return Ok(left);
            };
            self.at += 1;
            left = Expr::Binary(sign, Box::new(left), Box::new(self.unary()?));
        }
    }

    pub(super) fn unary(&mut self) -> Done<Expr> {
        for sign in ["!", "-", "+"] {
            if self.take(sign) {
                self.depth += 1;
                if self.depth > 200 {
                    return self.wrong("nested too deep");
                }
                let inside = Box::new(self.unary()?);
                self.depth -= 1;
                return Ok(match sign {
                    "!" => Expr::Not(inside),
                    "-" => Expr::Minus(inside),
                    _ => Expr::Plus(inside),
                });
            }
        }
        self.power()
    }

    fn power(&mut self) -> Done<Expr> {
        let base = self.postfix()?;
        if self.take("^") {
            // To the right, and a sign may follow.
            let exponent = self.unary()?;
            return Ok(Expr::Binary("^", Box::new(base), Box::new(exponent)));
        }
        Ok(base)
    }

    pub(super) fn postfix(&mut self) -> Done<Expr> {
        let e = self.primary()?;
        if matches!(
            e,
            Expr::Var(_) | Expr::Local(_) | Expr::Field(_) | Expr::Element(..)
        ) {
            for (sign, by) in [("++", 1.0), ("--", -1.0)] {
                if self.take(sign) {
                    return Ok(Expr::Step(Box::new(e), by, true));
                }
            }
        }
        Ok(e)
    }

    fn getline_target(&mut self) -> Done<Option<Box<Expr>>> {
        if self.is("$") || matches!(self.peek(), Token::Name(_, false)) {
            return Ok(Some(Box::new(self.primary()?)));
        }
        Ok(None)
    }

    pub(super) fn primary(&mut self) -> Done<Expr> {
        match self.next() {
            Token::Number(n) => Ok(Expr::Number(n)),
            Token::Text(t) => Ok(Expr::Text(t.as_str().into())),
            Token::Regex(r) => Ok(Expr::Regex(r)),
            Token::Sign("$") => {
                let step = [("++", 1.0), ("--", -1.0)]
                    .into_iter()
                    .find(|(s, _)| self.is(s));
                let index = match step {
                    Some((_, by)) => {
                        self.at += 1;
                        Expr::Step(Box::new(self.primary()?), by, false)
                    }
                    None if self.take("-") => Expr::Minus(Box::new(self.primary()?)),
                    None => self.primary()?,
                };
                Ok(Expr::Field(Box::new(index)))
            }
            Token::Sign(sign @ ("++" | "--")) => {
                let target = self.primary()?;
                Ok(Expr::Step(
                    Box::new(target),
                    if sign == "++" { 1.0 } else { -1.0 },
                    false,
                ))
            }
            Token::Sign("(") => self.parenthesis(),
            Token::Sign("-") => Ok(Expr::Minus(Box::new(self.unary()?))),
            Token::Sign("!") => Ok(Expr::Not(Box::new(self.unary()?))),
            Token::Name(name, true) if !self.locals.contains(&name) => {
                self.at += 1;
                Ok(Expr::Call(name, self.inside_parentheses()?))
            }
            Token::Name(name, _) => {
                if self.take("[") {
                    let place = self.place(&name);
                    return Ok(Expr::Element(place, self.list("]")?));
                }
                Ok(self.variable(&name))
            }
            Token::Word("getline") => {
                let target = self.getline_target()?;
                if self.take("<") {
                    let file = self.primary()?;
                    return Ok(Expr::Getline(target, From::File(Box::new(file))));
                }
                Ok(Expr::Getline(target, From::Input))
            }
            Token::Word("length") if !self.is("(") => Ok(Expr::Builtin("length", Vec::new())),
            Token::Word(word) if self.is("(") => {
                self.at += 1;
                Ok(Expr::Builtin(word, self.inside_parentheses()?))
            }
            _ => {
                self.at -= 1;
                self.wrong("expected an expression")
            }
        }
    }

    pub(super) fn inside_parentheses(&mut self) -> Done<Vec<Expr>> {
        let outer = (
            std::mem::take(&mut self.no_greater),
            std::mem::take(&mut self.no_in),
        );
        let all = self.list(")");
        (self.no_greater, self.no_in) = outer;
        all
    }

    /// `(a)`, or `(a, b) in array`.
    fn parenthesis(&mut self) -> Done<Expr> {
        let mut all = self.inside_parentheses()?;
        if all.len() > 1 {
            if !self.take("in") {
                return self.wrong("expected in");
            }
            let Token::Name(array, _) = self.next() else {
                return self.wrong("in needs an array");
            };
            return Ok(Expr::In(all, self.place(&array)));
        }
        match all.pop() {
            Some(e) => Ok(Expr::Group(Box::new(e))),
            None => self.wrong("expected an expression"),
        }
    }
}
