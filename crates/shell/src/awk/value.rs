//! Values of awk: numbers, text, and text that came from outside and may be a number.

use std::rc::Rc;

/// A value.
#[derive(Clone, Debug, Default)]
pub enum Value {
    #[default]
    None,
    Number(f64),
    Text(Rc<str>),
    /// From input: compares as a number where it looks like one.
    Input(Rc<str>),
}

impl Value {
    /// From text.
    pub fn text(s: impl Into<Rc<str>>) -> Value {
        Value::Text(s.into())
    }

    /// As a number: what stands at its beginning.
    pub fn number(&self) -> f64 {
        match self {
            Value::None => 0.0,
            Value::Number(n) => *n,
            Value::Text(s) | Value::Input(s) => number_prefix(s).0,
        }
    }

    /// As text, numbers by a format.
    pub fn string(&self, format: &str) -> Rc<str> {
        match self {
            Value::None => "".into(),
            Value::Number(n) => number_text(*n, format).into(),
            Value::Text(s) | Value::Input(s) => s.clone(),
        }
    }

    /// Whether it holds in a condition.
    pub fn truth(&self) -> bool {
        match self {
            Value::None => false,
            Value::Number(n) => *n != 0.0,
            Value::Text(s) => !s.is_empty(),
            Value::Input(s) => match numeric(s) {
                Some(n) => n != 0.0,
                None => !s.is_empty(),
            },
        }
    }

    /// The number that it is, where it counts as one in a comparison.
    pub fn as_numeric(&self) -> Option<f64> {
        match self {
            Value::None => Some(0.0),
            Value::Number(n) => Some(*n),
            Value::Text(_) => None,
            Value::Input(s) => numeric(s),
        }
    }
}

/// A number and nothing else, but for space around it.
fn numeric(s: &str) -> Option<f64> {
    let t = s.trim_matches([' ', '\t', '\n', '\r']);
    let (n, used) = number_prefix(t);
    (!t.is_empty() && used == t.len()).then_some(n)
}

/// The number at the beginning of a text, and how many bytes it takes.
pub fn number_prefix(s: &str) -> (f64, usize) {
    let bytes = s.as_bytes();
    let mut at = 0;
    while bytes.get(at).is_some_and(|b| b.is_ascii_whitespace()) {
        at += 1;
    }
    let start = at;
    if matches!(bytes.get(at), Some(b'+' | b'-')) {
        at += 1;
    }
    let digits = |at: &mut usize| {
        let from = *at;
        while bytes.get(*at).is_some_and(u8::is_ascii_digit) {
            *at += 1;
        }
        *at - from
    };
    let mut any = digits(&mut at);
    if bytes.get(at) == Some(&b'.') {
        at += 1;
        any += digits(&mut at);
    }
    if any == 0 {
        let word = s.get(start..).unwrap_or_default().to_lowercase();
        for (name, n) in [
            ("+inf", f64::INFINITY),
            ("-inf", f64::NEG_INFINITY),
            ("+nan", f64::NAN),
            ("-nan", f64::NAN),
        ] {
            if word == name {
                return (n, start + name.len());
            }
        }
        return (0.0, 0);
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let mut after = at + 1;
        if matches!(bytes.get(after), Some(b'+' | b'-')) {
            after += 1;
        }
        if digits(&mut after) > 0 {
            at = after;
        }
    }
    let n = s.get(start..at).and_then(|t| t.parse().ok()).unwrap_or(0.0);
    (n, at)
}

/// A number as text: whole ones without a point.
pub fn number_text(n: f64, format: &str) -> String {
    if n.is_nan() {
        return if n.is_sign_negative() { "-nan" } else { "nan" }.into();
    }
    if n.is_infinite() {
        return if n > 0.0 { "inf" } else { "-inf" }.into();
    }
    if n == n.trunc() && n.abs() < 1e16 {
        return format!("{}", n as i64);
    }
    super::format::printf(format, &[Value::Number(n)], "%.6g")
}
