//! `printf`.

use super::value::Value;

/// The text of a format with its values.
pub fn printf(format: &str, values: &[Value], convfmt: &str) -> String {
    let mut out = String::new();
    let mut values = values.iter();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        if chars.peek() == Some(&'%') {
            chars.next();
            out.push('%');
            continue;
        }
        let mut spec = Spec::default();
        let mut raw = String::from("%");
        while let Some(f) = chars.peek().copied().filter(|c| "-+ #0".contains(*c)) {
            spec.flag(f);
            raw.push(f);
            chars.next();
        }
        let mut number =
            |values: &mut std::slice::Iter<'_, Value>, raw: &mut String| -> Option<i64> {
                if chars.peek() == Some(&'*') {
                    chars.next();
                    return Some(values.next().map_or(0.0, Value::number) as i64);
                }
                let mut n = None;
                while let Some(d) = chars.peek().and_then(|c| c.to_digit(10)) {
                    raw.extend(chars.next());
                    n = Some((n.unwrap_or(0) * 10 + i64::from(d)).min(1 << 20));
                }
                n
            };
        if let Some(w) = number(&mut values, &mut raw) {
            spec.left |= w < 0;
            spec.width = usize::try_from(w.unsigned_abs()).unwrap_or(0).min(1 << 20);
        }
        if chars.peek() == Some(&'.') {
            chars.next();
            raw.push('.');
            let mut number = |values: &mut std::slice::Iter<'_, Value>| -> i64 {
                if chars.peek() == Some(&'*') {
                    chars.next();
                    return values.next().map_or(0.0, Value::number) as i64;
                }
                let mut n = 0;
                while let Some(d) = chars.peek().and_then(|c| c.to_digit(10)) {
                    raw.extend(chars.next());
                    n = (n * 10 + i64::from(d)).min(1 << 20);
                }
                n
            };
            spec.precision = usize::try_from(number(&mut values)).ok();
        }
        while chars.peek().is_some_and(|c| "hlLqjzt".contains(*c)) {
            chars.next();
        }
        let Some(kind) = chars.next() else {
            out.push_str(&raw);
            break;
        };
        let value = if "diouxXeEfFgGcs".contains(kind) {
            values.next().cloned().unwrap_or_default()
        } else {
            Value::None
        };
        match one(kind, &spec, &value, convfmt) {
            Some(text) => out.push_str(&text),
            None => {
                out.push_str(&raw);
                out.push(kind);
            }
        }
    }
    out
}

#[derive(Default)]
struct Spec {
    left: bool,
    plus: bool,
    space: bool,
    alternate: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
}

impl Spec {
    fn flag(&mut self, c: char) {
        match c {
            '-' => self.left = true,
            '+' => self.plus = true,
            ' ' => self.space = true,
            '#' => self.alternate = true,
            _ => self.zero = true,
        }
    }

    fn sign(&self, negative: bool) -> &'static str {
        match (negative, self.plus, self.space) {
            (true, ..) => "-",
            (_, true, _) => "+",
            (_, _, true) => " ",
            _ => "",
        }
    }

    fn padded(&self, sign: &str, body: &str, zeros: bool) -> String {
        let length = sign.chars().count() + body.chars().count();
        let pad = self.width.saturating_sub(length);
        if self.left {
            format!("{sign}{body}{}", " ".repeat(pad))
        } else if zeros && self.zero {
            format!("{sign}{}{body}", "0".repeat(pad))
        } else {
            format!("{}{sign}{body}", " ".repeat(pad))
        }
    }
}

fn one(kind: char, spec: &Spec, value: &Value, convfmt: &str) -> Option<String> {
    let n = value.number();
    let text = match kind {
        's' => {
            let s = value.string(convfmt);
            let cut: String = s
                .chars()
                .take(spec.precision.unwrap_or(usize::MAX))
                .collect();
            spec.padded("", &cut, false)
        }
        'c' => {
            let c = match value {
                Value::Number(n) => char::from_u32(*n as u32).unwrap_or('\0').to_string(),
                v => v.string(convfmt).chars().take(1).collect(),
            };
            spec.padded("", &c, false)
        }
        'd' | 'i' => {
            if !n.is_finite() {
                return Some(spec.padded(
                    spec.sign(n < 0.0),
                    if n.is_nan() { "nan" } else { "inf" },
                    false,
                ));
            }
            let t = n.trunc();
            let digits = format!(
                "{:0>1$}",
                format!("{:.0}", t.abs()),
                spec.precision.unwrap_or(1)
            );
            spec.padded(spec.sign(t < 0.0), &digits, spec.precision.is_none())
        }
        'o' | 'u' | 'x' | 'X' => {
            let u = if n < 0.0 { n as i64 as u64 } else { n as u64 };
            let (head, digits) = match kind {
                'o' => (if spec.alternate { "0" } else { "" }, format!("{u:o}")),
                'x' => (
                    if spec.alternate && u != 0 { "0x" } else { "" },
                    format!("{u:x}"),
                ),
                'X' => (
                    if spec.alternate && u != 0 { "0X" } else { "" },
                    format!("{u:X}"),
                ),
                _ => ("", u.to_string()),
            };
            let digits = format!("{digits:0>0$}", spec.precision.unwrap_or(1));
            spec.padded(head, &digits, spec.precision.is_none())
        }
        'e' | 'E' | 'f' | 'F' | 'g' | 'G' => {
            if !n.is_finite() {
                return Some(spec.padded(
                    spec.sign(n < 0.0),
                    if n.is_nan() { "nan" } else { "inf" },
                    false,
                ));
            }
            let p = spec.precision.unwrap_or(6);
            let body = match kind {
                'e' | 'E' => exponent(n.abs(), p),
                'f' | 'F' => format!("{:.p$}", n.abs()),
                _ => general(n.abs(), p, spec.alternate),
            };
            let body = if kind.is_uppercase() {
                body.to_uppercase()
            } else {
                body
            };
            spec.padded(
                spec.sign(n.is_sign_negative() && n != 0.0 || (n == 0.0 && n.is_sign_negative())),
                &body,
                true,
            )
        }
        _ => return None,
    };
    Some(text)
}

/// C's `%e`: at least two digits of exponent.
fn exponent(n: f64, precision: usize) -> String {
    let text = format!("{n:.precision$e}");
    let (mantissa, exp) = text.split_once('e').unwrap_or((&text, "0"));
    let exp: i32 = exp.parse().unwrap_or(0);
    format!(
        "{mantissa}e{}{:02}",
        if exp < 0 { '-' } else { '+' },
        exp.abs()
    )
}

fn general(n: f64, precision: usize, keep: bool) -> String {
    let p = precision.max(1);
    let exp: i32 = if n == 0.0 {
        0
    } else {
        format!("{n:.*e}", p - 1)
            .split_once('e')
            .and_then(|(_, e)| e.parse().ok())
            .unwrap_or(0)
    };
    let short = exp < -4 || exp >= i32::try_from(p).unwrap_or(i32::MAX);
    let text = if short {
        exponent(n, p - 1)
    } else {
        let digits = i32::try_from(p).unwrap_or(6) - 1 - exp;
        format!("{n:.0$}", usize::try_from(digits).unwrap_or(0))
    };
    if keep || !text.contains('.') {
        return text;
    }
    match text.split_once('e') {
        Some((m, e)) => format!("{}e{e}", m.trim_end_matches('0').trim_end_matches('.')),
        None => text.trim_end_matches('0').trim_end_matches('.').to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_cs() {
        let n = |n| Value::Number(n);
        for (format, value, expected) in [
            ("%d", n(3.9), "3"),
            ("%5d|", n(-3.0), "   -3|"),
            ("%-5d|", n(3.0), "3    |"),
            ("%05d", n(-3.0), "-0003"),
            ("%x", n(255.0), "ff"),
            ("%#o", n(8.0), "010"),
            ("%.2f", n(1.005), "1.00"),
            ("%e", n(12345.678), "1.234568e+04"),
            ("%g", n(0.0001), "0.0001"),
            ("%g", n(1e10), "1e+10"),
            ("%.6g", n(3.25159265), "3.25159"),
            ("%c", n(65.0), "A"),
            ("%s", Value::text("x"), "x"),
            ("%.1s", Value::text("xyz"), "x"),
            ("100%%", n(0.0), "100%"),
        ] {
            assert_eq!(printf(format, &[value], "%.6g"), expected, "{format}");
        }
    }
}
