//! How heads and bodies are laid out and painted.

use super::plan::Pretty;
use netshoot_wire::json::{self, Json, Manner};

/// Takes the paint away.
const PLAIN: &str = "\x1b[39;49;00m";

fn paint(code: &str, text: &str, out: &mut String) {
    // Each line is painted by itself.
    for line in text.split_inclusive('\n') {
        let bare = line.trim_end_matches('\n');
        *out += &format!("\x1b[{code}m{bare}{PLAIN}");
        out.push_str(line.get(bare.len()..).unwrap_or_default());
    }
}

/// A head with its empty line: the first line, then fields.
pub fn head(first: &str, fields: &[(String, String)], pretty: &Pretty) -> String {
    let mut fields: Vec<&(String, String)> = fields.iter().collect();
    if pretty.format && pretty.sort_headers {
        fields.sort_by_key(|f| &f.0);
    }
    if !pretty.colors {
        let mut out = format!("{first}\r\n");
        for (name, value) in fields {
            out += &format!("{name}: {value}\r\n");
        }
        return out + "\r\n";
    }
    let mut lines = vec![first_line(first)];
    for (name, value) in fields {
        let mut line = String::new();
        paint("36", name, &mut line);
        lines.push(format!("{line}: {value}"));
    }
    lines.join("\n") + "\r\n\r\n"
}

fn version(text: &str, out: &mut String) {
    let (name, number) = text.split_once('/').unwrap_or((text, ""));
    paint("34", name, out);
    out.push('/');
    paint("34", number, out);
}

fn first_line(text: &str) -> String {
    let mut out = String::new();
    let (one, rest) = text.split_once(' ').unwrap_or((text, ""));
    let (two, three) = rest.split_once(' ').unwrap_or((rest, ""));
    if text.starts_with("HTTP/") {
        version(one, &mut out);
        out.push(' ');
        paint("34", two, &mut out);
        if !three.is_empty() {
            out.push(' ');
            paint("36", three, &mut out);
        }
        return out;
    }
    paint("32", one, &mut out);
    out.push(' ');
    out += &format!("\x1b[04m\x1b[36m{two}{PLAIN} ");
    version(three, &mut out);
    out
}

/// `Elapsed time`, painted or not.
pub fn elapsed(seconds: f64, pretty: &Pretty) -> String {
    let number = json::number(&format!("{:e}", (seconds * 1e9).round() / 1e9));
    match pretty.colors {
        false => format!("Elapsed time: {number}s\n\n"),
        true => {
            let mut out = String::new();
            paint("90", "Elapsed time", &mut out);
            out += ": ";
            paint("34", &number, &mut out);
            paint("36", "s", &mut out);
            format!("{out}\x1b[37m{PLAIN}\n\n")
        }
    }
}

/// The text that bytes are, by the charset of their type.
pub fn text_of(bytes: &[u8], kind: &str) -> String {
    match is_latin(kind) {
        true => bytes.iter().map(|b| char::from(*b)).collect(),
        false => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// The bytes of a text in the charset it came in: a pipe gets it back as it was.
pub fn encoded(text: &str, kind: &str) -> Vec<u8> {
    match is_latin(kind) {
        true => text
            .chars()
            .map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?'))
            .collect(),
        false => text.as_bytes().to_vec(),
    }
}

pub fn is_latin(kind: &str) -> bool {
    let kind = kind.to_ascii_lowercase().replace('"', "");
    let latin = ["charset=latin1", "charset=iso-8859-1", "charset=latin-1"];
    latin.iter().any(|l| kind.contains(l))
}

/// A type without its parameters.
pub fn bare(kind: &str) -> String {
    let bare = kind.split(';').next().unwrap_or_default();
    bare.trim().to_ascii_lowercase()
}

/// A text that may be JSON behind something else, as some servers guard it.
fn as_json(text: &str) -> Option<(&str, Json)> {
    if let Ok(value) = json::parse(text) {
        return Some(("", value));
    }
    let at = text.find(['{', '['])?;
    let (before, value) = text.split_at(at);
    json::parse(value).ok().map(|value| (before, value))
}

/// A body for people.
pub fn body(text: &str, kind: &str, pretty: &Pretty) -> String {
    let mime = bare(kind);
    let mut text = text.to_string();
    let words = ["json", "javascript", "text"];
    if pretty.format
        && pretty.json
        && words.iter().any(|w| mime.contains(w))
        && let Some((before, value)) = as_json(&text)
    {
        let manner = Manner {
            indent: Some(pretty.indent),
            sorted: pretty.sort_keys,
            ascii: false,
        };
        text = format!("{before}{}", value.written(manner));
    }
    if !pretty.colors {
        return text;
    }
    let ended = |t: &str| {
        let lines = t.replace("\r\n", "\n");
        format!("{}\n", lines.trim_matches('\n'))
    };
    match mime.as_str() {
        m if m == "application/json" || m.ends_with("+json") => painted_json(&ended(&text)),
        m if m.starts_with("text/") || m.ends_with("xml") || m.ends_with("javascript") => {
            ended(&text)
        }
        _ => text,
    }
}

/// JSON, or what should be it, in colours.
fn painted_json(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let n = match c {
            ' ' | '\t' | '\n' | '\r' => {
                let n = rest.find(|c: char| !" \t\n\r".contains(c));
                n.unwrap_or(rest.len())
            }
            '"' => string_end(rest),
            '-' | '0'..='9' | 't' | 'f' | 'n' => {
                let odd = |c: char| !c.is_ascii_digit() && !"+-.eEtrufalsn".contains(c);
                rest.find(odd).unwrap_or(rest.len())
            }
            c => c.len_utf8(),
        };
        let (token, behind) = rest.split_at(n.max(1));
        match c {
            ' ' | '\t' | '\n' | '\r' => paint("37", token, &mut out),
            '"' if behind.trim_start().starts_with(':') => paint("94", token, &mut out),
            '"' => paint("33", token, &mut out),
            '{' | '}' | '[' | ']' | ',' | ':' => out += token,
            '-' | '0'..='9' | 't' | 'f' | 'n' => paint("34", token, &mut out),
            _ => out += &format!("\x1b[04m\x1b[91m{token}{PLAIN}"),
        }
        rest = behind;
    }
    out
}

fn string_end(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRETTY: Pretty = Pretty {
        colors: false,
        format: true,
        sort_headers: true,
        json: true,
        indent: 4,
        sort_keys: true,
        xml: true,
        xml_indent: 2,
    };

    #[test]
    fn json_is_laid_out_where_it_is_json() {
        let told = |text: &str, kind: &str| body(text, kind, &PRETTY);
        assert_eq!(
            told("{\"b\":1,\"a\":[]}", "application/json"),
            "{\n    \"a\": [],\n    \"b\": 1\n}"
        );
        assert_eq!(told("x{\"a\":1}", "text/plain"), "x{\n    \"a\": 1\n}");
        assert_eq!(told("{\"a\":1}x", "text/plain"), "{\"a\":1}x");
        assert_eq!(told("{\"a\":1}", "application/x"), "{\"a\":1}");
    }

    #[test]
    fn paint_is_that_of_the_original() {
        let painted = Pretty {
            colors: true,
            ..PRETTY
        };
        assert_eq!(
            body("{\"a\":\"b\"}", "application/json", &painted),
            "{\x1b[37m\x1b[39;49;00m\n\x1b[37m    \x1b[39;49;00m\x1b[94m\"a\"\x1b[39;49;00m:\x1b[37m \x1b[39;49;00m\x1b[33m\"b\"\x1b[39;49;00m\x1b[37m\x1b[39;49;00m\n}\x1b[37m\x1b[39;49;00m\n"
        );
        assert_eq!(
            head("HTTP/1.1 200 OK", &[("A".into(), "b".into())], &painted),
            "\x1b[34mHTTP\x1b[39;49;00m/\x1b[34m1.1\x1b[39;49;00m \x1b[34m200\x1b[39;49;00m \x1b[36mOK\x1b[39;49;00m\n\x1b[36mA\x1b[39;49;00m: b\r\n\r\n"
        );
    }

    #[test]
    fn any_text_is_shown() {
        let painted = Pretty {
            colors: true,
            ..PRETTY
        };
        let seeds = ["{\"a\": [1, tru, \"\\\"é\"]}", "nope \"", "x[{}]"];
        netshoot_wire::fuzz::texts(&seeds, 2_000, |text| {
            let told = body(text, "application/json", &painted);
            assert!(told.ends_with('\n'), "{text}");
        });
    }
}
