//! Keys that are trusted without a proof, as `named.conf` writes them down.

use super::{Ds, Key, lower, within};
use crate::dns::digits::{from_base64, from_hex};

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// A key.
    Key(Key),
    /// A key's digest.
    Ds(Ds),
}

/// Trusted keys by zone, its name in small letters.
pub type Anchors = Vec<(String, Anchor)>;

/// The root zone's keys of 2017 and 2024, by their digests (data.iana.org/root-anchors).
pub fn of_the_root() -> Anchors {
    let known = [
        (
            20326,
            "E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D",
        ),
        (
            38696,
            "683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16",
        ),
    ];
    let one = |(tag, digest): (u16, &str)| {
        let digest = from_hex(digest).unwrap_or_default();
        let (algorithm, kind) = (8, 2);
        let ds = Ds {
            tag,
            algorithm,
            kind,
            digest,
        };
        (String::new(), Anchor::Ds(ds))
    };
    known.into_iter().map(one).collect()
}

/// The zone of the closest trusted key at or above a name.
pub fn above(anchors: &Anchors, name: &str) -> Option<String> {
    let zones = anchors.iter().map(|(zone, _)| zone);
    let above = zones.filter(|z| within(name, z));
    above.max_by_key(|z| z.len()).cloned()
}

/// Words, texts in quotes, the marks `{ } ;`; remarks are left out. A word is kept with the number of its line.
pub fn tokens(text: &str) -> Vec<(usize, String)> {
    let mut all = Vec::new();
    let (mut rest, mut line) = (text, 1usize);
    while let Some(first) = rest.chars().next() {
        let mut taken = first.len_utf8();
        if rest.starts_with('#') || rest.starts_with("//") {
            taken = rest.find('\n').unwrap_or(rest.len());
        } else if rest.starts_with("/*") {
            taken = rest.find("*/").map_or(rest.len(), |at| at + 2);
        } else if let Some(behind) = rest.strip_prefix('"') {
            let inside = behind.find('"').unwrap_or(behind.len());
            let text = behind.get(..inside).unwrap_or_default();
            all.push((line, format!("\"{text}")));
            taken = (inside + 2).min(rest.len());
        } else if "{};".contains(first) {
            all.push((line, first.to_string()));
        } else if !first.is_whitespace() {
            let end = rest.find(|c: char| c.is_whitespace() || "{};\"".contains(c));
            taken = end.unwrap_or(rest.len());
            all.push((line, rest.get(..taken).unwrap_or_default().to_string()));
        }
        let (gone, left) = rest.split_at(taken);
        line += gone.matches('\n').count();
        rest = left;
    }
    all
}

/// Reads `trust-anchors { ... };` and the older `trusted-keys` and `managed-keys`. The error names the line.
pub fn parse(text: &str) -> Result<Anchors, (usize, String)> {
    let all = tokens(text);
    let end = all.last().map_or(1, |t| t.0);
    let mut words = all.iter().map(|(line, w)| (*line, w.as_str()));
    let mut found = Anchors::new();
    while let Some((line, word)) = words.next() {
        let bare = match word {
            "trust-anchors" | "managed-keys" => false,
            "trusted-keys" => true,
            other => return Err((line, format!("unknown option '{other}'"))),
        };
        if words.next().map(|w| w.1) != Some("{") {
            return Err((line, "'{' expected".into()));
        }
        loop {
            let Some((line, zone)) = words.next() else {
                return Err((end, "unexpected end of file".into()));
            };
            if zone == "}" {
                break;
            }
            let mut entry = Vec::new();
            for (_, word) in words.by_ref() {
                if word == ";" {
                    break;
                }
                entry.push(word);
            }
            let one = anchor(bare, &entry).ok_or((line, "a key expected".to_string()))?;
            found.push((lower(zone.trim_start_matches('"')), one));
        }
        if words.next().map(|w| w.1) != Some(";") {
            return Err((end, "missing ';'".into()));
        }
    }
    Ok(found)
}

fn anchor(bare: bool, entry: &[&str]) -> Option<Anchor> {
    let (kind, rest) = match (bare, entry) {
        (true, rest) => ("static-key", rest),
        (false, [kind, rest @ ..]) => (*kind, rest),
        _ => return None,
    };
    let [a, b, c, data @ ..] = rest else {
        return None;
    };
    let data: String = data
        .iter()
        .flat_map(|d| d.trim_start_matches('"').chars())
        .collect();
    let data: String = data.split_whitespace().collect();
    match kind {
        "static-key" | "initial-key" => {
            let mut raw = a.parse::<u16>().ok()?.to_be_bytes().to_vec();
            raw.extend([b.parse::<u8>().ok()?, c.parse::<u8>().ok()?]);
            raw.extend(from_base64(&data)?);
            Key::of(&raw).map(Anchor::Key)
        }
        "static-ds" | "initial-ds" => Some(Anchor::Ds(Ds {
            tag: a.parse().ok()?,
            algorithm: b.parse().ok()?,
            kind: c.parse().ok()?,
            digest: from_hex(&data)?,
        })),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: &str = "# a remark\ntrust-anchors {\n  . initial-ds 20326 8 2 \"E06D44B8 0B8F\";\n  \"test\" static-key 257 3 13 \"VompGcB+pjodSCQsrRa0i8V3yKM07fx/XIO0uHfmnDF3ocqLM1XpzAkp2+ThrZxkQyiv59LqaMKcleBUG6BjSA==\";\n};\n";

    #[test]
    fn keys_and_digests_are_read_with_their_zones() {
        let all = parse(SEED).unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(above(&all, "www.x.test"), Some("test".into()));
        assert_eq!(above(&all, "org"), Some(String::new()));
        let wrong = parse(". {\n").unwrap_err();
        assert_eq!(wrong, (1, "unknown option '.'".into()));
    }

    #[test]
    fn damaged_files_are_refused_or_read() {
        crate::fuzz::texts(&[SEED], 5_000, |text| {
            if let Err((line, why)) = parse(text) {
                assert!(line <= text.lines().count().max(1) && !why.is_empty());
            }
        });
    }
}
