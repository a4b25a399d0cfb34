//! JSON as a person wants to see it again: members in their order, also those that stand twice, numbers as they were
//! written, and where a text stops being JSON, in the words that Python's reader has for it.

use std::fmt::Write;

/// Deeper nesting is refused.
const DEEPEST: usize = 400;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true`, `false`.
    Bool(bool),
    /// As it was written.
    Number(String),
    /// Text.
    Text(String),
    /// Values.
    List(Vec<Json>),
    /// Members.
    Object(Vec<(String, Json)>),
}

/// What keeps a text from being JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// What was expected.
    pub what: &'static str,
    /// Line, counted from 1.
    pub line: usize,
    /// Column, counted from 1.
    pub column: usize,
    /// Letters before it.
    pub at: usize,
}

impl std::fmt::Display for Mistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Mistake {
            what,
            line,
            column,
            at,
        } = self;
        write!(f, "{what}: line {line} column {column} (char {at})")
    }
}

/// How a value is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manner {
    /// Spaces for each level; all on one line where there is none.
    pub indent: Option<usize>,
    /// Members by name.
    pub sorted: bool,
    /// Letters beyond ASCII are escaped.
    pub ascii: bool,
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

type Read<T> = Result<T, (&'static str, usize)>;

/// Reads a text that is one value.
pub fn parse(text: &str) -> Result<Json, Mistake> {
    let mut reader = Reader { text, at: 0 };
    let read = (|| {
        reader.space();
        let value = reader.value(0)?;
        reader.space();
        match reader.at < text.len() {
            true => Err(("Extra data", reader.at)),
            false => Ok(value),
        }
    })();
    read.map_err(|(what, at)| {
        let before = text.get(..at).unwrap_or(text);
        let last = before.rsplit('\n').next().unwrap_or_default();
        Mistake {
            what,
            line: before.matches('\n').count() + 1,
            column: last.chars().count() + 1,
            at: before.chars().count(),
        }
    })
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Read<Json> {
        if depth > DEEPEST {
            return Err(("Too deep", self.at));
        }
        const WORDS: [(&str, Json); 3] = [
            ("null", Json::Null),
            ("true", Json::Bool(true)),
            ("false", Json::Bool(false)),
        ];
        match self.peek() {
            Some(b'"') => return self.text().map(Json::Text),
            Some(b'[') => return self.list(depth),
            Some(b'{') => return self.object(depth),
            _ => {}
        }
        for (word, value) in WORDS {
            if self.rest().starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        for word in ["NaN", "Infinity", "-Infinity"] {
            if self.rest().starts_with(word) {
                self.at += word.len();
                return Ok(Json::Number(word.into()));
            }
        }
        self.number()
    }

    fn digits(&mut self) -> usize {
        let n = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        self.at += n;
        n
    }

    fn number(&mut self) -> Read<Json> {
        let began = self.at;
        let wrong = Err(("Expecting value", began));
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => {
                self.digits();
            }
            _ => return wrong,
        }
        let whole = self.at;
        if self.peek() == Some(b'.') {
            self.at += 1;
            if self.digits() == 0 {
                self.at = whole;
            }
        }
        let plain = self.at;
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if self.digits() == 0 {
                self.at = plain;
            }
        }
        let written = self.text.get(began..self.at).unwrap_or_default();
        Ok(Json::Number(written.into()))
    }

    fn list(&mut self, depth: usize) -> Read<Json> {
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Json::List(items));
        }
        loop {
            self.space();
            items.push(self.value(depth + 1)?);
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Json::List(items));
                }
                _ => return Err(("Expecting ',' delimiter", self.at)),
            }
        }
    }

    fn object(&mut self, depth: usize) -> Read<Json> {
        const NAME: &str = "Expecting property name enclosed in double quotes";
        self.at += 1;
        let mut members = Vec::new();
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Json::Object(members));
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err((NAME, self.at));
            }
            let name = self.text()?;
            self.space();
            if self.peek() != Some(b':') {
                return Err(("Expecting ':' delimiter", self.at));
            }
            self.at += 1;
            self.space();
            members.push((name, self.value(depth + 1)?));
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Json::Object(members));
                }
                _ => return Err(("Expecting ',' delimiter", self.at)),
            }
        }
    }

    fn text(&mut self) -> Read<String> {
        let began = self.at;
        self.at += 1;
        let mut out = String::new();
        loop {
            let Some(c) = self.rest().chars().next() else {
                return Err(("Unterminated string starting at", began));
            };
            match c {
                '"' => {
                    self.at += 1;
                    return Ok(out);
                }
                '\\' => self.escape(&mut out, began)?,
                c if c < ' ' => return Err(("Invalid control character at", self.at)),
                c => {
                    out.push(c);
                    self.at += c.len_utf8();
                }
            }
        }
    }

    fn escape(&mut self, out: &mut String, began: usize) -> Read<()> {
        let at = self.at;
        let Some(c) = self.rest().chars().nth(1) else {
            return Err(("Unterminated string starting at", began));
        };
        self.at += 1 + c.len_utf8();
        out.push(match c {
            '"' | '\\' | '/' => c,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => return self.unicode(out, at),
            _ => return Err(("Invalid \\escape", at)),
        });
        Ok(())
    }

    fn hex(&mut self) -> Option<u32> {
        let four = self.rest().get(..4)?;
        if !four.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let code = u32::from_str_radix(four, 16).ok();
        self.at += 4;
        code
    }

    fn unicode(&mut self, out: &mut String, at: usize) -> Read<()> {
        let Some(first) = self.hex() else {
            return Err(("Invalid \\uXXXX escape", at + 1));
        };
        let behind = self.at;
        if (0xd800..0xdc00).contains(&first) && self.rest().starts_with("\\u") {
            self.at += 2;
            match self.hex() {
                Some(second) if (0xdc00..0xe000).contains(&second) => {
                    let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                    out.push(char::from_u32(code).unwrap_or('?'));
                    return Ok(());
                }
                _ => self.at = behind,
            }
        }
        // Half of a pair has no letter.
        out.push(char::from_u32(first).unwrap_or('?'));
        Ok(())
    }
}

/// A number as Python writes it: whole ones as they are, others with as few digits as tell them apart.
pub fn number(written: &str) -> String {
    let whole = |t: &str| t.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    if whole(written) {
        return if written == "-0" { "0" } else { written }.into();
    }
    let Ok(value) = written.parse::<f64>() else {
        return written.into();
    };
    if !value.is_finite() {
        return match (value.is_nan(), value > 0.0) {
            (true, _) => "NaN".into(),
            (_, true) => "Infinity".into(),
            (_, false) => "-Infinity".into(),
        };
    }
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    match (-4..16).contains(&exponent) {
        true => {
            let plain = format!("{value}");
            match plain.contains('.') {
                true => plain,
                false => plain + ".0",
            }
        }
        false => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
    }
}

fn quoted(text: &str, ascii: bool, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' || (ascii && (c == '\u{7f}' || !c.is_ascii())) => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

impl Json {
    /// Writes it.
    pub fn written(&self, manner: Manner) -> String {
        let mut out = String::new();
        self.write(manner, 0, &mut out);
        out
    }

    fn write(&self, manner: Manner, depth: usize, out: &mut String) {
        match self {
            Json::Null => out.push_str("null"),
            Json::Bool(true) => out.push_str("true"),
            Json::Bool(false) => out.push_str("false"),
            Json::Number(written) => out.push_str(&number(written)),
            Json::Text(text) => quoted(text, manner.ascii, out),
            Json::List(items) => {
                let each = items.iter().map(|i| (None, i)).collect();
                between(each, ['[', ']'], manner, depth, out);
            }
            Json::Object(members) => {
                let mut each: Vec<(Option<&str>, &Json)> =
                    members.iter().map(|(n, v)| (Some(n.as_str()), v)).collect();
                if manner.sorted {
                    each.sort_by_key(|(name, _)| *name);
                }
                between(each, ['{', '}'], manner, depth, out);
            }
        }
    }

    /// What it is, in JSON's own word.
    pub fn kind(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Bool(_) => "boolean",
            Json::Number(_) => "number",
            Json::Text(_) => "string",
            Json::List(_) => "array",
            Json::Object(_) => "object",
        }
    }

    /// A member of an object.
    pub fn get(&self, name: &str) -> Option<&Json> {
        match self {
            Json::Object(members) => members.iter().find(|m| m.0 == name).map(|m| &m.1),
            _ => None,
        }
    }

    /// Its text, where it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Json::Text(text) => Some(text),
            _ => None,
        }
    }
}

fn between(
    each: Vec<(Option<&str>, &Json)>,
    ends: [char; 2],
    manner: Manner,
    depth: usize,
    out: &mut String,
) {
    out.push(ends[0]);
    let empty = each.is_empty();
    let line = |depth: usize, out: &mut String| {
        if let Some(indent) = manner.indent {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent * depth));
        }
    };
    for (i, (name, value)) in each.into_iter().enumerate() {
        if i > 0 {
            out.push_str(if manner.indent.is_some() { "," } else { ", " });
        }
        line(depth + 1, out);
        if let Some(name) = name {
            quoted(name, manner.ascii, out);
            out.push_str(": ");
        }
        value.write(manner, depth + 1, out);
    }
    if !empty {
        line(depth, out);
    }
    out.push(ends[1]);
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRETTY: Manner = Manner {
        indent: Some(2),
        sorted: true,
        ascii: false,
    };

    #[test]
    fn values_are_written_as_python_writes_them() {
        let text = r#"{"b":[1,2.50,1e3,1e16,1.5e-7,-0,{}],"a":"é\u00e9\n","b":null,"c":[]}"#;
        let value = parse(text).unwrap();
        assert_eq!(
            value.written(Manner {
                ascii: true,
                ..Manner::default()
            }),
            r#"{"b": [1, 2.5, 1000.0, 1e+16, 1.5e-07, 0, {}], "a": "\u00e9\u00e9\n", "b": null, "c": []}"#
        );
        assert_eq!(
            parse(r#"{"b":[1],"a":{}}"#).unwrap().written(PRETTY),
            "{\n  \"a\": {},\n  \"b\": [\n    1\n  ]\n}"
        );
    }

    #[test]
    fn mistakes_are_told_as_python_tells_them() {
        for (text, said) in [
            ("x", "Expecting value: line 1 column 1 (char 0)"),
            (
                "{\"x",
                "Unterminated string starting at: line 1 column 2 (char 1)",
            ),
            (
                "[1\n2]",
                "Expecting ',' delimiter: line 2 column 1 (char 3)",
            ),
            ("1 2", "Extra data: line 1 column 3 (char 2)"),
            (
                "{1",
                "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), said);
        }
        assert!(parse(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn what_is_read_can_be_written_and_read_again() {
        let seeds = [
            r#"{"a":[1,-2.5e3,true,null,"x\ud83d\ude00"],"b":{"c":{}}}"#,
            "[NaN, Infinity, \"\\u0000\"]",
        ];
        crate::fuzz::texts(&seeds, 3_000, |text| {
            if let Ok(value) = parse(text) {
                for manner in [Manner::default(), PRETTY] {
                    let again = parse(&value.written(manner)).expect("it was written here");
                    let once = again.written(manner);
                    assert_eq!(parse(&once).expect("twice").written(manner), once);
                }
            }
        });
    }
}
