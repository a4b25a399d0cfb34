//! Keys that say where in a JSON value they belong: `a[b]=c`, `a[]=1`, `[0]=x`.

use super::Mistake;
use netshoot_wire::json::Json;

/// A step into a value, with the place in the key where it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// A member.
    Key(String),
    /// An element.
    Index(usize),
    /// One more element.
    Append,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    step: Step,
    from: usize,
    to: usize,
}

fn wrong(kind: &str, said: &str, key: &str, from: usize, to: usize) -> Mistake {
    let marks = "^".repeat(to.saturating_sub(from).max(1));
    Mistake::Nested(format!(
        "HTTPie {kind} Error: {said}\n{key}\n{}{marks}\n",
        " ".repeat(from)
    ))
}

/// A word up to a bracket: what it means, and whether a letter of it was escaped.
fn word(letters: &[char], at: &mut usize) -> (String, bool) {
    let (mut text, mut escaped) = (String::new(), false);
    while let Some(c) = letters.get(*at) {
        match (c, letters.get(*at + 1)) {
            ('[' | ']', _) => break,
            ('\\', Some(next))
                if "[]\\".contains(*next) || (text.is_empty() && next.is_ascii_digit()) =>
            {
                text.push(*next);
                escaped = true;
                *at += 2;
            }
            (c, _) => {
                text.push(*c);
                *at += 1;
            }
        }
    }
    (text, escaped)
}

fn index(text: &str) -> Option<i64> {
    text.parse().ok()
}

/// Reads a key.
fn parse_key(key: &str) -> Result<Vec<Part>, Mistake> {
    let letters: Vec<char> = key.chars().collect();
    let mut at = 0;
    let (first, _) = word(&letters, &mut at);
    let mut parts = Vec::new();
    let rooted = at == 0 && letters.first() == Some(&'[');
    if !rooted {
        let step = Step::Key(first);
        parts.push(Part {
            step,
            from: 0,
            to: at,
        });
    }
    while at < letters.len() {
        let from = at;
        if letters.get(at) != Some(&'[') {
            return Err(wrong("Syntax", "Expecting '['", key, at, at + 1));
        }
        at += 1;
        let inside = at;
        let (text, escaped) = word(&letters, &mut at);
        let first = rooted && parts.is_empty();
        let nothing = at == inside;
        if nothing && letters.get(at) != Some(&']') {
            let said = match first {
                true => "Expecting a number or ']'",
                false => "Expecting a text, a number or ']'",
            };
            return Err(wrong("Syntax", said, key, at, at + 1));
        }
        let number = index(&text).filter(|_| !escaped);
        if first && !nothing && number.is_none() {
            let said = "Expecting a number or ']'";
            return Err(wrong("Syntax", said, key, inside, at));
        }
        if letters.get(at) != Some(&']') {
            return Err(wrong("Syntax", "Expecting ']'", key, at, at + 1));
        }
        at += 1;
        let step = match number {
            _ if nothing => Step::Append,
            Some(n) => match usize::try_from(n) {
                Ok(n) => Step::Index(n),
                Err(_) => {
                    let said = "Negative indexes are not supported.";
                    return Err(wrong("Value", said, key, inside, at - 1));
                }
            },
            None => Step::Key(text),
        };
        parts.push(Part { step, from, to: at });
    }
    Ok(parts)
}

/// Elements that a list gets at most.
const MOST: usize = 100_000;

/// Puts a value where its key says.
fn put(root: &mut Json, key: &str, value: Json) -> Result<(), Mistake> {
    let parts = parse_key(key)?;
    let letters: Vec<char> = key.chars().collect();
    let mut here = root;
    for part in &parts {
        let (wanted, how) = match part.step {
            Step::Key(_) => ("object", "key"),
            Step::Index(_) => ("array", "index"),
            Step::Append => ("array", "append"),
        };
        if *here == Json::Null {
            *here = match wanted {
                "object" => Json::Object(Vec::new()),
                _ => Json::List(Vec::new()),
            };
        }
        if here.kind() != wanted {
            let so_far: String = letters.iter().take(part.from).collect();
            let said = format!(
                "Can't perform '{how}' based access on '{so_far}' which has a type of '{}' but this operation requires a type of '{wanted}'.",
                here.kind()
            );
            return Err(wrong("Type", &said, key, part.from, part.to));
        }
        here = match (&part.step, here) {
            (Step::Key(name), Json::Object(members)) => {
                let at = members.iter().position(|m| m.0 == *name);
                let at = at.unwrap_or_else(|| {
                    members.push((name.clone(), Json::Null));
                    members.len() - 1
                });
                match members.get_mut(at) {
                    Some(member) => &mut member.1,
                    None => return Ok(()),
                }
            }
            (step, Json::List(items)) => {
                let at = match step {
                    Step::Index(n) if *n < MOST => *n,
                    Step::Index(_) => {
                        let said = "The index is too large.";
                        return Err(wrong("Value", said, key, part.from, part.to));
                    }
                    _ => items.len(),
                };
                while items.len() <= at {
                    items.push(Json::Null);
                }
                match items.get_mut(at) {
                    Some(item) => item,
                    None => return Ok(()),
                }
            }
            _ => return Ok(()),
        };
    }
    *here = value;
    Ok(())
}

/// One value of all fields.
pub fn woven(data: &[(String, Json)]) -> Result<Json, Mistake> {
    let mut root = Json::Null;
    for (key, value) in data {
        put(&mut root, key, value.clone())?;
    }
    Ok(match root {
        Json::Null => Json::Object(Vec::new()),
        root => root,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use netshoot_wire::json::Manner;

    fn told(keys: &[&str]) -> String {
        let data: Vec<(String, Json)> = keys
            .iter()
            .map(|k| (k.to_string(), Json::Text("x".into())))
            .collect();
        match woven(&data) {
            Ok(value) => value.written(Manner::default()),
            Err(mistake) => mistake.to_string(),
        }
    }

    #[test]
    fn keys_lead_into_the_value() {
        assert_eq!(
            told(&["a[b]", "l[]", "l[]", "m[2]"]),
            r#"{"a": {"b": "x"}, "l": ["x", "x"], "m": [null, null, "x"]}"#
        );
        assert_eq!(told(&["[]", "[]"]), r#"["x", "x"]"#);
        assert_eq!(
            told(&["a[b=c"]),
            "HTTPie Syntax Error: Expecting ']'\na[b=c\n     ^\n"
        );
        assert_eq!(
            told(&["a", "a[b]"]),
            "HTTPie Type Error: Can't perform 'key' based access on 'a' which has a type of 'string' but this operation requires a type of 'object'.\na[b]\n ^^^\n"
        );
    }

    #[test]
    fn any_key_has_its_place_or_is_refused() {
        netshoot_wire::fuzz::texts(
            &["a[b][0]", "[][c]", r"a\[b]", "é[é]", "a[-1]"],
            3_000,
            |text| match parse_key(text) {
                Ok(parts) => assert!(parts.iter().all(|p| p.from <= p.to), "{text}"),
                Err(mistake) => assert!(mistake.to_string().starts_with("HTTPie"), "{text}"),
            },
        );
    }
}
