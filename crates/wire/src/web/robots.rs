//! What a site asks robots to leave alone (`robots.txt`, RFC 9309, as far as crawlers of the nineties obey it).

/// A path's beginning and whether it may be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its beginning.
    pub path: String,
    /// It may.
    pub allowed: bool,
}

/// The rules of a file for an agent: those of its own name, else those for all.
pub fn parse(text: &str, agent: &str) -> Vec<Rule> {
    let (mut own, mut all) = (Vec::new(), Vec::new());
    let (mut is_own, mut is_all, mut named, mut any_own) = (false, false, false, false);
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let Some((field, value)) = line.split_once(':') else {
            continue;
        };
        let (field, value) = (field.trim().to_ascii_lowercase(), value.trim());
        if field == "user-agent" {
            if !named {
                (is_own, is_all) = (false, false);
            }
            named = true;
            let lower = value.to_ascii_lowercase();
            is_all |= value == "*";
            let mine = !lower.is_empty() && agent.to_ascii_lowercase().starts_with(&lower);
            is_own |= mine;
            any_own |= mine;
            continue;
        }
        named = false;
        let allowed = match field.as_str() {
            "allow" => true,
            "disallow" => false,
            _ => continue,
        };
        let rule = match value.is_empty() {
            true => Rule {
                path: "/".into(),
                allowed: true,
            },
            false => Rule {
                path: value.to_string(),
                allowed,
            },
        };
        if is_own {
            own.push(rule.clone());
        }
        if is_all {
            all.push(rule);
        }
    }
    if any_own { own } else { all }
}

/// Whether a path may be fetched: the first rule that fits decides.
pub fn allows(rules: &[Rule], path: &str) -> bool {
    let fits = rules.iter().find(|r| path.starts_with(&r.path));
    fits.is_none_or(|r| r.allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_that_fits_decides() {
        let text = "User-agent: *\nDisallow: /a/\n\nUser-agent: x\nUser-agent: wget\nAllow: /b/c\nDisallow: /b # x\n";
        let rules = parse(text, "wget");
        assert!(allows(&rules, "/a/") && allows(&rules, "/b/c/d") && !allows(&rules, "/b/x"));
        assert!(!allows(&parse(text, "other"), "/a/x"));
        crate::fuzz::texts(&[text, "Disallow:\nUser-agent:"], 1_000, |text| {
            let rules = parse(text, "wget");
            assert!(rules.len() <= text.lines().count(), "{text}");
        });
    }
}
