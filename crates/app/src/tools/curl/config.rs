//! Files of options: `-K` and ~/.curlrc.

use super::options;
use super::plan::{Mistake, Reading};

/// Reads one; none where it cannot be read.
pub fn read(path: &str, into: &mut Reading<'_>) -> Option<Result<(), Mistake>> {
    let bytes = match path {
        "-" => {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut std::io::stdin(), &mut bytes).ok()?;
            bytes
        }
        path => std::fs::read(path).ok()?,
    };
    let text = String::from_utf8_lossy(&bytes);
    for (at, line) in text.lines().enumerate() {
        let Some((name, value)) = parse(line) else {
            continue;
        };
        match options::one(&name, value.as_deref(), into) {
            Ok(()) => {}
            Err(Mistake::Option(why)) => {
                let why = why
                    .strip_prefix(&format!("option {name}: "))
                    .unwrap_or(&why)
                    .to_string();
                let shown = if path == "-" { "<stdin>" } else { path };
                let said = format!("{shown}:{}: warning: '{name}' {why}", at + 1);
                return Some(Err(Mistake::Said(super::plan::USAGE, said)));
            }
            Err(other) => return Some(Err(other)),
        }
    }
    Some(Ok(()))
}

/// The option of a line, and its value.
pub fn parse(line: &str) -> Option<(String, Option<String>)> {
    let line = line.trim_start();
    if line.is_empty() || line.starts_with(['#', '/', '<', '*', '\r']) {
        return None;
    }
    let dashed = line.starts_with('-');
    let end = line
        .find(|c: char| c.is_whitespace() || (!dashed && (c == '=' || c == ':')))
        .unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    let rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '=' || c == ':');
    if rest.is_empty() {
        return Some((name.to_string(), None));
    }
    let Some(inside) = rest.strip_prefix('"') else {
        let value = rest.split_whitespace().next().unwrap_or_default();
        let value = (!value.starts_with('#')).then(|| value.to_string());
        return Some((name.to_string(), value));
    };
    let (mut value, mut escaped) = (String::new(), false);
    for c in inside.chars() {
        match c {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => break,
            c => {
                value.push(match (escaped, c) {
                    (true, 'n') => '\n',
                    (true, 'r') => '\r',
                    (true, 't') => '\t',
                    (true, 'v') => '\x0b',
                    (_, c) => c,
                });
                escaped = false;
            }
        }
    }
    Some((name.to_string(), Some(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_files_are_read_as_curl_reads_them() {
        let some = |n: &str, v: &str| Some((n.to_string(), Some(v.to_string())));
        assert_eq!(
            parse("url = \"http://a/\\\"b\""),
            some("url", "http://a/\"b")
        );
        assert_eq!(parse("user-agent: x y"), some("user-agent", "x"));
        assert_eq!(parse("-H \"A: b\""), some("-H", "A: b"));
        assert_eq!(parse("# no"), None);
        assert_eq!(parse("silent"), Some(("silent".into(), None)));
        netshoot_wire::fuzz::texts(&["url = \"x\\ty\"", "-o out", "--data: a"], 1_000, |text| {
            for line in text.lines() {
                if let Some((name, _)) = parse(line) {
                    assert!(!name.contains(char::is_whitespace));
                }
            }
        });
    }
}
