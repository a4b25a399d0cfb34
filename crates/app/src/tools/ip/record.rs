//! One thing shown, as text and as JSON at once, in the order in which it is said.

use std::fmt::Write;

/// A value of JSON; objects keep their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A whole number.
    Number(i64),
    /// A string.
    Text(String),
    /// A list.
    List(Vec<Json>),
    /// An object.
    Object(Vec<(&'static str, Json)>),
}

impl From<&str> for Json {
    fn from(text: &str) -> Json {
        Json::Text(text.into())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Json {
        Json::Text(text)
    }
}

impl From<u64> for Json {
    fn from(n: u64) -> Json {
        Json::Number(i64::try_from(n).unwrap_or(i64::MAX))
    }
}

impl From<u32> for Json {
    fn from(n: u32) -> Json {
        Json::Number(n.into())
    }
}

impl Json {
    /// On one line, or as ip(8) does with `-p`.
    pub fn print(&self, pretty: bool, depth: usize, out: &mut String) {
        match self {
            Json::Null => out.push_str("null"),
            Json::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
            Json::Number(n) => {
                let _ = write!(out, "{n}");
            }
            Json::Text(t) => quoted(t, out),
            Json::List(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    out.push_str(if i > 0 { "," } else { "" });
                    if pretty && i == 0 {
                        out.push(' ');
                    }
                    item.print(pretty, depth + 1, out);
                }
                out.push_str(if pretty { " ]" } else { "]" });
            }
            Json::Object(fields) => {
                out.push('{');
                for (i, (key, value)) in fields.iter().enumerate() {
                    out.push_str(if i > 0 { "," } else { "" });
                    indent(pretty, depth + 1, out);
                    quoted(key, out);
                    out.push_str(if pretty { ": " } else { ":" });
                    value.print(pretty, depth + 1, out);
                }
                indent(pretty, depth, out);
                out.push('}');
            }
        }
    }
}

fn indent(pretty: bool, depth: usize, out: &mut String) {
    if pretty {
        out.push('\n');
        out.push_str(&"    ".repeat(depth));
    }
}

fn quoted(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if (c as u32) < 32 => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// One thing shown.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// As text.
    pub text: String,
    /// As an object.
    pub fields: Vec<(&'static str, Json)>,
}

impl Record {
    /// Adds text that JSON does not have.
    pub fn text(&mut self, text: impl AsRef<str>) -> &mut Self {
        self.text.push_str(text.as_ref());
        self
    }

    /// Adds a field that the text does not have.
    pub fn field(&mut self, key: &'static str, value: impl Into<Json>) -> &mut Self {
        self.fields.push((key, value.into()));
        self
    }

    /// Adds a field and its text.
    pub fn both(
        &mut self,
        key: &'static str,
        value: impl Into<Json>,
        text: impl AsRef<str>,
    ) -> &mut Self {
        self.text(text).field(key, value)
    }
}
