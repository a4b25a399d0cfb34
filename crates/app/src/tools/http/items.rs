//! Request items: `name:value`, `name==value`, `name=value`, `name:=json`, `name@file` and their kin.

use super::{Mistake, python, usage};
use netshoot_wire::json::{self, Json};
use std::path::Path;

/// What stands between a name and a value; the longer ones first.
const SEPARATORS: [&str; 10] = [":=@", "==@", "==", ":=", "=@", ":@", ":", "=", "@", ";"];
/// Letters that a backslash frees of their meaning.
const SPECIAL: &str = ":;=@\\";

/// One item in its three parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// As it was typed.
    pub written: String,
    /// Before the separator.
    pub key: String,
    /// One of [`SEPARATORS`].
    pub separator: &'static str,
    /// Behind it.
    pub value: String,
}

/// A file of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// The field.
    pub name: String,
    /// Name that is told; empty for a text.
    pub file: String,
    /// Its type, where one is known.
    pub kind: Option<String>,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// What the items say.
#[derive(Clone, Debug, Default)]
pub struct Items {
    /// Headers: a value, none for one that is taken away.
    pub headers: Vec<(String, Option<String>)>,
    /// Of the query.
    pub params: Vec<(String, String)>,
    /// Fields in their order.
    pub data: Vec<(String, Json)>,
    /// Files and fields, in the order of a multipart body.
    pub parts: Vec<Upload>,
    /// Fields with files.
    pub files: Vec<String>,
}

fn refused(written: &str, said: &str) -> Mistake {
    usage("", &format!("{}: {said}", python(written)))
}

/// The separator that stands first, and where; escaped letters are none.
fn split(text: &str) -> Option<(String, &'static str, String)> {
    let mut key = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(next) = rest.strip_prefix('\\').and_then(|r| r.chars().next())
            && SPECIAL.contains(next)
        {
            key.push(next);
            rest = rest.get(1 + next.len_utf8()..).unwrap_or_default();
            continue;
        }
        if let Some(separator) = SEPARATORS.iter().find(|s| rest.starts_with(**s)) {
            let value = rest.get(separator.len()..).unwrap_or_default();
            return Some((key, separator, freed(value)));
        }
        key.push(c);
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
    }
    None
}

/// A text without the backslashes that free a letter.
fn freed(text: &str) -> String {
    let mut out = String::new();
    let mut letters = text.chars().peekable();
    while let Some(c) = letters.next() {
        match letters
            .peek()
            .copied()
            .filter(|n| c == '\\' && SPECIAL.contains(*n))
        {
            Some(next) => {
                out.push(next);
                letters.next();
            }
            None => out.push(c),
        }
    }
    out
}

/// Reads one item.
pub fn parse(text: &str) -> Option<Item> {
    let (key, separator, value) = split(text)?;
    Some(Item {
        written: text.to_string(),
        key,
        separator,
        value,
    })
}

/// A file, `~` at its beginning and all.
fn file(item: &Item, path: &str) -> Result<Vec<u8>, Mistake> {
    let full = match path.strip_prefix("~/") {
        Some(below) => std::env::home_dir().unwrap_or_default().join(below),
        None => path.into(),
    };
    std::fs::read(&full).map_err(|e| {
        let said = format!("{}: {}", super::errno(&e), python(path));
        refused(&item.written, &said)
    })
}

fn text_of(item: &Item) -> Result<String, Mistake> {
    String::from_utf8(file(item, &item.value)?).map_err(|_| {
        let said = format!(
            "cannot embed the content of {}, not a UTF-8 or ASCII-encoded text file",
            python(&item.value)
        );
        refused(&item.written, &said)
    })
}

fn value_of(item: &Item, text: &str) -> Result<Json, Mistake> {
    json::parse(text).map_err(|e| refused(&item.written, &e.to_string()))
}

/// The type of a file by its name.
pub fn type_of(name: &str) -> Option<&'static str> {
    let ending = Path::new(name).extension()?.to_str()?.to_ascii_lowercase();
    Some(match ending.as_str() {
        "txt" | "log" | "conf" | "text" => "text/plain",
        "json" => "application/json",
        "html" | "htm" => "text/html",
        "xml" => "text/xml",
        "css" => "text/css",
        "csv" => "text/csv",
        "js" => "text/javascript",
        "md" => "text/markdown",
        "pdf" => "application/pdf",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "svg" => "image/svg+xml",
        "zip" => "application/zip",
        "tar" => "application/x-tar",
        "gz" => "application/gzip",
        "yaml" | "yml" => "application/yaml",
        "py" => "text/x-python",
        "sh" => "application/x-sh",
        _ => return None,
    })
}

fn upload(item: &Item) -> Result<Upload, Mistake> {
    let (path, kind) = match item.value.split_once(";type=") {
        Some((path, kind)) => (path, Some(kind.to_string())),
        None => (item.value.as_str(), None),
    };
    let bytes = file(item, path)?;
    let name = Path::new(path).file_name().unwrap_or_default();
    let name = name.to_string_lossy().into_owned();
    Ok(Upload {
        name: item.key.clone(),
        kind: kind.or_else(|| type_of(&name).map(String::from)),
        file: name,
        bytes,
    })
}

fn field(key: &str, value: &Json) -> Option<Upload> {
    let text = match value {
        Json::Text(text) => text.clone(),
        other => plain(other)?,
    };
    Some(Upload {
        name: key.to_string(),
        file: String::new(),
        kind: None,
        bytes: text.into_bytes(),
    })
}

/// A JSON value as a form can hold it.
pub fn plain(value: &Json) -> Option<String> {
    match value {
        Json::Text(text) => Some(text.clone()),
        Json::Number(n) => Some(json::number(n)),
        Json::Bool(true) => Some("true".into()),
        Json::Bool(false) => Some("false".into()),
        _ => None,
    }
}

/// What items say; `form` where their fields are those of a form.
pub fn meant(items: &[Item], form: bool) -> Result<Items, Mistake> {
    let mut all = Items::default();
    for item in items {
        let key = item.key.clone();
        let whole = |text: String| text.trim_end_matches('\n').to_string();
        let value = match item.separator {
            ":" => {
                let value = Some(item.value.trim().to_string()).filter(|_| !item.value.is_empty());
                all.headers.push((key, value));
                continue;
            }
            ";" if item.value.is_empty() => {
                all.headers.push((key, Some(String::new())));
                continue;
            }
            ";" => {
                let said = format!(
                    "Invalid item {} (to specify an empty header use `Header;`)",
                    python(&item.written)
                );
                return Err(usage("", &said));
            }
            ":@" => {
                all.headers
                    .push((key, Some(whole(text_of(item)?).trim().into())));
                continue;
            }
            "==" => {
                all.params.push((key, item.value.clone()));
                continue;
            }
            "==@" => {
                all.params.push((key, whole(text_of(item)?)));
                continue;
            }
            "@" => {
                all.files.push(key);
                all.parts.push(upload(item)?);
                continue;
            }
            "=@" => Json::Text(text_of(item)?),
            ":=@" => value_of(item, &text_of(item)?)?,
            ":=" => value_of(item, &item.value)?,
            _ => Json::Text(item.value.clone()),
        };
        if form {
            let Some(part) = field(&key, &value) else {
                let said = "Can't use complex JSON value types with --form/--multipart.";
                return Err(usage("", said));
            };
            all.parts.push(part);
        }
        all.data.push((key, value));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_separator_counts() {
        for (text, key, separator, value) in [
            ("a=b", "a", "=", "b"),
            ("a:=b=1", "a", ":=", "b=1"),
            ("a==b=c", "a", "==", "b=c"),
            (r"a\=b=c", "a=b", "=", "c"),
            (r"x\\y=1", r"x\y", "=", "1"),
            (r"a\[b]=c", r"a\[b]", "=", "c"),
            ("X;", "X", ";", ""),
            ("h:@f", "h", ":@", "f"),
        ] {
            let item = parse(text).unwrap();
            let got = (item.key.as_str(), item.separator, item.value.as_str());
            assert_eq!(got, (key, separator, value), "{text}");
        }
        assert_eq!(parse("x"), None);
    }

    #[test]
    fn any_text_is_an_item_or_none() {
        netshoot_wire::fuzz::texts(
            &["a=b", "H:v", "a\\:=@b", "é==x;", "@f;type=x"],
            3_000,
            |text| {
                if let Some(item) = parse(text) {
                    assert!(item.key.len() + item.value.len() <= text.len(), "{text}");
                    if !item.separator.contains('@') {
                        let _ = meant(&[item], true);
                    }
                }
            },
        );
    }
}
