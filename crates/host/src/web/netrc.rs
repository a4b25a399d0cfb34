//! Logins from a netrc file.

/// Name and password for a host; of a given name only its password.
pub fn find(text: &str, host: &str, user: Option<&str>) -> Option<(String, String)> {
    let mut words = words(text).into_iter();
    let (mut here, mut name, mut password): (bool, Option<String>, Option<String>) =
        (false, None, None);
    let fits = |name: &Option<String>| user.is_none() || name.as_deref() == user;
    while let Some((word, quoted)) = words.next() {
        match word.to_ascii_lowercase().as_str() {
            "machine" | "default" if !quoted => {
                if here && password.is_some() && fits(&name) {
                    break;
                }
                (name, password) = (None, None);
                here = word.eq_ignore_ascii_case("default")
                    || words.next().is_some_and(|w| w.0.eq_ignore_ascii_case(host));
            }
            "login" if here => name = words.next().map(|w| w.0),
            "password" if here => password = words.next().map(|w| w.0),
            _ => {}
        }
    }
    let found = here && (name.is_some() || password.is_some()) && fits(&name);
    found.then(|| (name.unwrap_or_default(), password.unwrap_or_default()))
}

/// A quote is opened and never closed.
pub fn broken(text: &str) -> bool {
    let remark = |l: &&str| !l.trim_start().starts_with('#');
    text.lines().filter(remark).any(|line| {
        line.split_whitespace().any(|w| w.starts_with('"'))
            && line.replace("\\\"", "").matches('"').count() % 2 == 1
    })
}

/// Words, some in quotes; macros and remarks are passed over.
fn words(text: &str) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    let mut in_macro = false;
    for line in text.lines() {
        if in_macro {
            in_macro = !line.trim().is_empty();
            continue;
        }
        let line = line.trim();
        if line.starts_with('#') {
            continue;
        }
        if line.starts_with("macdef") {
            in_macro = true;
            continue;
        }
        let mut rest = line;
        while !rest.is_empty() {
            let (word, after, quoted) = one(rest);
            found.push((word, quoted));
            rest = after.trim_start();
        }
    }
    found
}

fn one(text: &str) -> (String, &str, bool) {
    let Some(inside) = text.strip_prefix('"') else {
        let end = text.find([' ', '\t']).unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        return (word.to_string(), rest, false);
    };
    let (mut word, mut escaped) = (String::new(), false);
    for (at, c) in inside.char_indices() {
        match c {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => return (word, inside.get(at + 1..).unwrap_or_default(), true),
            c => {
                word.push(match (escaped, c) {
                    (true, 'n') => '\n',
                    (true, 'r') => '\r',
                    (true, 't') => '\t',
                    (_, c) => c,
                });
                escaped = false;
            }
        }
    }
    (word, "", true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_found_by_host() {
        let text = "# x\nmachine a login me password \"se cret\"\nmacdef init\nmachine b\n\nmachine b login you password p\ndefault login any password q";
        let found = |host, user| find(text, host, user);
        assert_eq!(found("a", None), Some(("me".into(), "se cret".into())));
        assert_eq!(found("B", Some("you")), Some(("you".into(), "p".into())));
        assert_eq!(found("c", None), Some(("any".into(), "q".into())));
        assert_eq!(found("a", Some("other")), None);
        netshoot_wire::fuzz::texts(&[text], 1_000, |text| drop(find(text, "a", None)));
    }
}
