//! Sysctls by their dotted names, as sysctl(8) takes them: `net.ipv4.ip_forward`. Those below
//! `net` are the calling thread's network namespace's own. A dot in an interface name is written
//! as a slash: `net.ipv4.conf.eth0/100.forwarding`.

use crate::Error;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

/// The file of a name; none for a name that would lead elsewhere.
fn path(name: &str) -> Option<PathBuf> {
    let mut path = PathBuf::from("/proc/sys");
    for part in name.split('.') {
        let part = part.replace('/', ".");
        if part.is_empty() || part.chars().all(|c| c == '.') || part.contains('\0') {
            return None;
        }
        path.push(part);
    }
    Some(path)
}

fn valid(name: &str, tried: &'static str) -> Result<PathBuf, Error> {
    path(name).ok_or_else(|| Error::System {
        tried,
        on: name.into(),
        source: io::Error::from_raw_os_error(libc::EINVAL),
    })
}

/// One value; none when there is no such sysctl here.
pub fn sysctl(name: &str) -> Result<Option<String>, Error> {
    let tried = "read sysctl";
    match std::fs::read_to_string(valid(name, tried)?) {
        Ok(text) => Ok(Some(text.trim_end().to_string())),
        // EISDIR: a group of sysctls is none itself.
        Err(e)
            if matches!(
                e.raw_os_error(),
                Some(libc::ENOENT | libc::ENOTDIR | libc::EISDIR)
            ) =>
        {
            Ok(None)
        }
        Err(source) => Err(Error::System {
            tried,
            on: name.into(),
            source,
        }),
    }
}

/// Values of names; one that does not exist here is left out.
pub fn sysctls(names: &[String]) -> Result<BTreeMap<String, String>, Error> {
    let mut found = BTreeMap::new();
    for name in names {
        if let Some(value) = sysctl(name)? {
            found.insert(name.clone(), value);
        }
    }
    Ok(found)
}

/// Sets one, in the calling thread's network namespace where the name begins with `net.`.
pub fn set_sysctl(name: &str, value: &str) -> Result<(), Error> {
    let tried = "set sysctl";
    let path = valid(name, tried)?;
    // Without create: a name that does not exist must not be tried to be made.
    std::fs::OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|mut file| io::Write::write_all(&mut file, value.as_bytes()))
        .map_err(|source| Error::System {
            tried,
            on: format!("{name} = {value}"),
            source,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::in_new_netns;

    #[test]
    fn names_become_paths_below_proc_sys() {
        for (name, expected) in [
            ("net.ipv4.ip_forward", Some("/proc/sys/net/ipv4/ip_forward")),
            (
                "net.ipv4.conf.eth0/100.forwarding",
                Some("/proc/sys/net/ipv4/conf/eth0.100/forwarding"),
            ),
            ("net...kernel", None),
            ("net.//.//.//.etc.passwd", None),
            ("/.x", None),
            ("", None),
        ] {
            assert_eq!(path(name), expected.map(PathBuf::from), "{name}");
        }
    }

    #[test]
    fn values_are_this_namespaces_own() {
        let name = "net.ipv4.ip_local_port_range".to_string();
        let outside = sysctl(&name).unwrap();
        in_new_netns(|| {
            set_sysctl(&name, "40000 40010").unwrap();
            let names = [name.clone(), "net.ipv4.no_such".into(), "net.ipv4".into()];
            let found = sysctls(&names).unwrap();
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!(found[&name], "40000\t40010");
            assert!(set_sysctl("net.ipv4.no_such", "1").is_err());
        });
        assert_eq!(sysctl(&name).unwrap(), outside);
    }

    #[test]
    fn no_name_leads_out_of_proc_sys() {
        let seeds = [
            "net.ipv4.ip_forward",
            "net/ipv4/conf/eth0.100/forwarding",
            "net.ipv4.conf.eth0/100.rp_filter",
            "../../etc/passwd",
        ];
        netshoot_wire::fuzz::texts(&seeds, 20_000, |name| {
            if let Some(path) = path(name) {
                assert!(path.starts_with("/proc/sys"), "{path:?}");
                let plain =
                    |c: std::path::Component<'_>| !matches!(c, std::path::Component::ParentDir);
                assert!(path.components().all(plain), "{path:?}");
            }
        });
    }
}
