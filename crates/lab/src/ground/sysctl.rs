//! Sysctls of the network namespace that the calling thread is in. Never the machine's: callers
//! enter a namespace of the world first.

use crate::Error;
use std::path::PathBuf;

/// `/proc/sys/...` of a dotted name; written with slashes it may hold dots (an interface's name).
fn path(name: &str) -> Option<PathBuf> {
    let slashed = if name.contains('/') {
        name.to_string()
    } else {
        name.replace('.', "/")
    };
    // Only what belongs to a network namespace, and no way out of that folder.
    let inside = slashed.starts_with("net/")
        && slashed
            .split('/')
            .all(|part| !part.is_empty() && part != "..");
    inside.then(|| PathBuf::from("/proc/sys").join(slashed))
}

/// Writes one.
pub fn write(name: &str, value: &str) -> Result<(), Error> {
    let Some(path) = path(name) else {
        return Err(Error::Absent {
            what: format!("sysctl {name} is not one of a network namespace"),
        });
    };
    std::fs::write(path, value).map_err(|source| {
        netshoot_host::Error::System {
            tried: "write sysctl",
            on: format!("{name} = {value}"),
            source,
        }
        .into()
    })
}

/// Reads one.
pub fn read(name: &str) -> Option<String> {
    Some(
        std::fs::read_to_string(path(name)?)
            .ok()?
            .trim()
            .replace('\t', " "),
    )
}

/// Writes one where this kernel has it.
pub fn write_if_there(name: &str, value: &str) -> Result<(), Error> {
    if path(name).is_some_and(|p| p.exists()) {
        write(name, value)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_in_the_network_folder() {
        let cases = [
            ("net.ipv4.ip_forward", Some("/proc/sys/net/ipv4/ip_forward")),
            (
                "net/ipv4/conf/flannel.1/rp_filter",
                Some("/proc/sys/net/ipv4/conf/flannel.1/rp_filter"),
            ),
            ("kernel.panic", None),
            ("net/../kernel/panic", None),
            ("net..x", None),
            ("", None),
        ];
        for (name, expected) in cases {
            assert_eq!(path(name), expected.map(PathBuf::from), "{name}");
        }
    }
}
