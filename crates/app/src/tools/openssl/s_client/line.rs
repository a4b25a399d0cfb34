//! What is wrong with a command line of s_client, and whom it names.

use super::{Plan, VALUED, starttls};
use crate::tools::openssl::names;

/// The last word stands alone: whom to ask.
pub fn is_target(before: &[String], last: &str) -> bool {
    let name = |w: &String| w.trim_start_matches('-').to_string();
    let valued = |w: &String| w.starts_with('-') && VALUED.contains(&name(w).as_str());
    // A value of the word before, unless that is a value itself.
    let taken = before.iter().rev().take_while(|w| valued(w)).count() % 2 == 1;
    !last.starts_with('-') && !last.is_empty() && !taken
}

/// What is wrong with the command line.
pub fn wrong(plan: &Plan<'_>, target: Option<&str>) -> Option<String> {
    const MORE: &str = "s_client: Use -help for summary.";
    if target.is_some() && plan.has("connect") {
        let both = "s_client: cannot provide both -connect option and target parameter";
        return Some(format!("{both}\n{MORE}"));
    }
    if plan.has("4") && plan.has("6") {
        return Some(format!("s_client: Can't use both -4 and -6\n{MORE}"));
    }
    for name in ["port", "verify"] {
        let number = plan.value(name).map(|v| (v, v.parse::<i64>()));
        match number {
            Some((v, Err(_))) => {
                let bad = format!("s_client: Can't parse \"{v}\" as a number");
                return Some(format!("{bad}\n{MORE}"));
            }
            Some((v, Ok(n))) if n <= 0 => {
                let bad = format!("s_client: Non-positive number \"{v}\" for option -{name}");
                return Some(format!("{bad}\n{MORE}"));
            }
            _ => {}
        }
    }
    if plan.has("tls1_2") && plan.has("tls1_3") {
        return Some("Cannot supply multiple protocol flags".into());
    }
    if plan
        .value("alpn")
        .is_some_and(|a| a.split(',').any(str::is_empty))
    {
        return Some("Error parsing -alpn argument".into());
    }
    if plan.value("nameopt").is_some_and(|n| !names::is_style(n)) {
        return Some(MORE.into());
    }
    if plan
        .value("starttls")
        .is_some_and(|p| !starttls::KNOWN.contains(&p))
    {
        let known = starttls::KNOWN.join("\n\t");
        return Some(format!("s_client: Value must be one of:\n\t{known}"));
    }
    let asked = target.or(plan.value("connect"))?;
    let several = !asked.starts_with('[') && asked.matches(':').count() > 1;
    several.then(|| "s_client: -connect argument or target parameter malformed or ambiguous".into())
}

/// Host and port of `-connect`; what is empty is the usual.
pub fn place(text: &str) -> (&str, &str) {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (text, ""),
    };
    let port = if port.is_empty() { "4433" } else { port };
    (host.trim_matches(['[', ']']), port)
}
