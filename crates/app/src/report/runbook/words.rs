//! Shell words and lines, made harmless.

use crate::report::safe;
use netshoot_model::remedy::quote;
use std::net::SocketAddr;

/// Words of the cluster made harmless, as one shell word.
pub fn word(text: &str) -> String {
    quote(&safe(text))
}

pub fn line(words: &[&str]) -> String {
    words.iter().map(|w| word(w)).collect::<Vec<_>>().join(" ")
}

/// A comment of one line.
pub fn comment(text: &str) -> String {
    format!("# {}", safe(text))
}

pub fn seconds(ms: u32) -> String {
    ms.div_ceil(1000).max(1).to_string()
}

/// `sh -c` of a text, where one program is not enough.
pub fn shell(text: &str) -> String {
    format!("sh -c {}", word(text))
}

pub fn times(n: u32, command: &str) -> String {
    if n <= 1 {
        return command.to_string();
    }
    let rounds: Vec<String> = (1..=n.min(200)).map(|i| i.to_string()).collect();
    shell(&format!(
        "for i in {}; do {command}; done",
        rounds.join(" ")
    ))
}

pub fn host_of(to: SocketAddr) -> (String, String) {
    (to.ip().to_string(), to.port().to_string())
}
