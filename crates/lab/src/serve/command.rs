//! Commands on a node or in a pod: the ordinary words of administrators. A few are built in, so
//! that a remedy can be carried out where their tools are not installed.

use crate::Error;
use netshoot_host::netns::NetNs;
use serde::Serialize;

/// How a command ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Done {
    /// Exit code.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it complained.
    pub stderr: String,
}

/// Runs `argv` in this network.
pub fn run(_network: &NetNs, _resolv_conf: &str, _argv: &[String]) -> Result<Done, Error> {
    Err(Error::Absent {
        what: "commands".into(),
    })
}
