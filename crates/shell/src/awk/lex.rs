//! Text of an awk program to tokens.

/// A token.
#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    Number(f64),
    Text(String),
    Regex(String),
    /// A name; `true`: a parenthesis follows without a space.
    Name(String, bool),
    Word(&'static str),
    Sign(&'static str),
    Newline,
    End,
}

const WORDS: [&str; 40] = [
    "BEGIN", "END", "function", "func", "if", "else", "while", "for", "do", "break", "continue",
    "next", "nextfile", "exit", "return", "delete", "in", "getline", "print", "printf", "length",
    "substr", "index", "split", "sub", "gsub", "match", "sprintf", "sin", "cos", "atan2", "exp",
    "log", "sqrt", "int", "rand", "srand", "tolower", "toupper", "system",
];
const MORE: [&str; 13] = [
    "close", "fflush", "systime", "strftime", "gensub", "and", "or", "xor", "lshift", "rshift",
    "compl", "strtonum", "mktime",
];
// Longest first.
const SIGNS: [&str; 47] = [
    "**=", "&&", "||", "==", "!=", "<=", ">=", "!~", "++", "--", "+=", "-=", "*=", "/=", "%=",
    "^=", "**", ">>", "|&", "{", "}", "(", ")", "[", "]", ";", ",", "+", "-", "*", "/", "%", "^",
    "!", ">", "<", "|", "?", ":", "~", "$", "=", "&", "@", "\\", "'", "`",
];

/// All tokens; the error is a sentence with the line.
pub fn lex(text: &str) -> Result<Vec<(Token, usize)>, String> {
    let chars: Vec<char> = text.chars().collect();
    let mut l = Lexer {
        chars,
        at: 0,
        line: 1,
        out: Vec::new(),
    };
    while l.one()? {}
    l.out.push((Token::End, l.line));
    Ok(l.out)
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    line: usize,
    out: Vec<(Token, usize)>,
}

impl Lexer {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn push(&mut self, t: Token) {
        self.out.push((t, self.line));
    }

    fn one(&mut self) -> Result<bool, String> {
        let Some(c) = self.peek(0) else {
            return Ok(false);
        };
        match c {
            ' ' | '\t' | '\r' => self.at += 1,
            '\\' if self.peek(1) == Some('\n') => {
                self.at += 2;
                self.line += 1;
            }
            '\n' => {
                self.push(Token::Newline);
                self.at += 1;
                self.line += 1;
            }
            '#' => {
                while self.peek(0).is_some_and(|c| c != '\n') {
                    self.at += 1;
                }
            }
            '"' => self.text()?,
            '/' if self.regex_may_stand() => self.regex()?,
            c if c.is_ascii_digit()
                || (c == '.' && self.peek(1).is_some_and(|d| d.is_ascii_digit())) =>
            {
                self.number();
            }
            c if c.is_alphabetic() || c == '_' => self.name(),
            _ => self.sign()?,
        }
        Ok(true)
    }

    /// A slash divides after a value and opens an expression elsewhere.
    fn regex_may_stand(&self) -> bool {
        !matches!(
            self.out.last().map(|(t, _)| t),
            Some(
                Token::Number(_)
                    | Token::Text(_)
                    | Token::Regex(_)
                    | Token::Name(..)
                    | Token::Sign(")" | "]" | "$" | "++" | "--")
                    | Token::Word("length" | "getline")
            )
        )
    }

    fn number(&mut self) {
        let rest: String = self
            .chars
            .get(self.at..)
            .unwrap_or_default()
            .iter()
            .collect();
        let (value, used) = super::value::number_prefix(&rest);
        if rest.starts_with("0x") || rest.starts_with("0X") {
            let digits: String = rest
                .chars()
                .skip(2)
                .take_while(char::is_ascii_hexdigit)
                .collect();
            if !digits.is_empty() {
                let value = u64::from_str_radix(&digits, 16).unwrap_or(u64::MAX);
                self.at += 2 + digits.len();
                return self.push(Token::Number(value as f64));
            }
        }
        self.at += used.max(1);
        self.push(Token::Number(value));
    }

    fn name(&mut self) {
        let start = self.at;
        while self
            .peek(0)
            .is_some_and(|c| c.is_alphanumeric() || c == '_')
        {
            self.at += 1;
        }
        let name: String = self
            .chars
            .get(start..self.at)
            .unwrap_or_default()
            .iter()
            .collect();
        let word = WORDS.iter().chain(&MORE).find(|w| **w == name);
        match word {
            Some(&"func") => self.push(Token::Word("function")),
            Some(w) => self.push(Token::Word(w)),
            None => {
                let call = self.peek(0) == Some('(');
                self.push(Token::Name(name, call));
            }
        }
    }

    fn sign(&mut self) -> Result<(), String> {
        let rest: String = self
            .chars
            .get(self.at..self.at + 3)
            .or(self.chars.get(self.at..))
            .unwrap_or_default()
            .iter()
            .collect();
        let found = SIGNS.iter().find(|s| rest.starts_with(**s));
        match found {
            Some(s) if !["@", "\\", "'", "`", "&"].contains(s) => {
                self.at += s.len();
                self.push(Token::Sign(match *s {
                    "**" => "^",
                    "**=" => "^=",
                    s => s,
                }));
                Ok(())
            }
            _ => Err(format!(
                "line {}: syntax error at {:?}",
                self.line,
                rest.chars().next().unwrap_or(' ')
            )),
        }
    }

    fn text(&mut self) -> Result<(), String> {
        self.at += 1;
        let mut raw = String::new();
        loop {
            match self.peek(0) {
                None | Some('\n') => {
                    return Err(format!("line {}: unterminated string", self.line));
                }
                Some('"') => break,
                Some('\\') => {
                    if self.peek(1) == Some('\n') {
                        self.at += 2;
                        self.line += 1;
                        continue;
                    }
                    raw.push('\\');
                    raw.extend(self.peek(1));
                    self.at += 2;
                }
                Some(c) => {
                    raw.push(c);
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        self.push(Token::Text(unescaped(&raw)));
        Ok(())
    }

    fn regex(&mut self) -> Result<(), String> {
        self.at += 1;
        let mut raw = String::new();
        let mut bracket = false;
        loop {
            match self.peek(0) {
                None | Some('\n') => {
                    return Err(format!(
                        "line {}: unterminated regular expression",
                        self.line
                    ));
                }
                Some('/') if !bracket => break,
                Some('\\') => {
                    if self.peek(1) != Some('/') {
                        raw.push('\\');
                    }
                    raw.extend(self.peek(1));
                    self.at += 2;
                }
                Some(c) => {
                    bracket = match c {
                        '[' if !bracket => {
                            raw.push(c);
                            self.at += 1;
                            // `]` first is one of the characters.
                            for first in ['^', ']'] {
                                if self.peek(0) == Some(first) {
                                    raw.push(first);
                                    self.at += 1;
                                }
                            }
                            bracket = true;
                            continue;
                        }
                        ']' => false,
                        _ => bracket,
                    };
                    raw.push(c);
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        self.push(Token::Regex(raw));
        Ok(())
    }
}

/// A string's escapes; one that means nothing stays as it is.
pub fn unescaped(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('\\') => out.push('\\'),
            Some('"') => out.push('"'),
            Some('/') => out.push('/'),
            Some('a') => out.push('\x07'),
            Some('b') => out.push('\x08'),
            Some('f') => out.push('\x0c'),
            Some('v') => out.push('\x0b'),
            Some('x') => {
                let mut n = 0;
                let mut any = false;
                while let Some(d) = chars.peek().and_then(|c| c.to_digit(16)).filter(|_| n < 16) {
                    n = n * 16 + d;
                    any = true;
                    chars.next();
                }
                out.push(if any {
                    char::from_u32(n & 0xff).unwrap_or('?')
                } else {
                    'x'
                });
            }
            Some(d) if d.is_digit(8) => {
                let mut n = d.to_digit(8).unwrap_or(0);
                for _ in 0..2 {
                    let Some(d) = chars.peek().and_then(|c| c.to_digit(8)) else {
                        break;
                    };
                    n = n * 8 + d;
                    chars.next();
                }
                out.push(char::from_u32(n & 0xff).unwrap_or('?'));
            }
            Some(c) => {
                out.push('\\');
                out.push(c);
            }
            None => out.push('\\'),
        }
    }
    out
}
