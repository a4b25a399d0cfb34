//! Shell patterns against names: `*`, `?`, `[a-z]`, `\x`.

/// Whether the whole name matches.
pub fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    go(&pattern, &name)
}

fn go(pattern: &[char], name: &[char]) -> bool {
    match pattern {
        [] => name.is_empty(),
        ['*', rest @ ..] => (0..=name.len()).any(|n| go(rest, name.get(n..).unwrap_or_default())),
        ['?', rest @ ..] => !name.is_empty() && go(rest, name.get(1..).unwrap_or_default()),
        ['\\', c, rest @ ..] => {
            name.first() == Some(c) && go(rest, name.get(1..).unwrap_or_default())
        }
        ['[', set @ ..] => match (name.split_first(), bracket(set)) {
            (Some((c, after)), Some((members, negated, rest))) => {
                let inside = members.iter().any(|(a, b)| a <= c && c <= b);
                inside != negated && go(rest, after)
            }
            (Some((c, after)), None) => *c == '[' && go(set, after),
            (None, _) => false,
        },
        [c, rest @ ..] => name.first() == Some(c) && go(rest, name.get(1..).unwrap_or_default()),
    }
}

type Set<'a> = (Vec<(char, char)>, bool, &'a [char]);

fn bracket(set: &[char]) -> Option<Set<'_>> {
    let (negated, mut rest) = match set {
        ['!' | '^', rest @ ..] => (true, rest),
        _ => (false, set),
    };
    let mut members = Vec::new();
    loop {
        match rest {
            [']', after @ ..] if !members.is_empty() => return Some((members, negated, after)),
            [a, '-', b, after @ ..] if *b != ']' => {
                members.push((*a, *b));
                rest = after;
            }
            [a, after @ ..] => {
                members.push((*a, *a));
                rest = after;
            }
            [] => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns() {
        for (pattern, name, expected) in [
            ("*.rs", "a.rs", true),
            ("*.rs", "a.rsx", false),
            ("a?c", "abc", true),
            ("[a-c]x", "bx", true),
            ("[!a]x", "ax", false),
            ("[]]", "]", true),
            ("\\*", "*", true),
            ("*a*b", "xaxxb", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
