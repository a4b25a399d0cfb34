//! What must vary from run to run, and so is not compared.

use super::ground::Said;

/// What was said, with the program's own path and what varies for this tool taken out.
pub fn masked(tool: &str, said: &Said) -> Said {
    if ["nslookup", "dig", "host", "drill", "delv"].contains(&tool) {
        return super::names::masked(said);
    }
    let usage = |text: &str| match tool {
        // The list of flags is ours: its page says so.
        "whois" => text.split("Usage:").next().unwrap_or_default().to_string(),
        _ => text.to_string(),
    };
    Said {
        out: usage(&said.out),
        err: usage(&said.err),
        code: said.code,
    }
}
