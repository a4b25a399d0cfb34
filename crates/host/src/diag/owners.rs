//! Which processes hold a socket, by `/proc`: of others than one's own only where it may be read.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// One process that has a socket open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its name, at most 15 bytes.
    pub name: String,
    /// Its number.
    pub pid: u32,
    /// The number of its thread.
    pub thread: u32,
    /// The descriptor.
    pub fd: u32,
}

/// Owners by the number of the socket, the youngest process first; of `threads` each one.
pub fn owners(threads: bool) -> BTreeMap<u32, Vec<Owner>> {
    let mut all: BTreeMap<u32, Vec<Owner>> = BTreeMap::new();
    for pid in numbers(Path::new("/proc")) {
        let folder = format!("/proc/{pid}");
        let of = match threads {
            true => numbers(Path::new(&format!("{folder}/task"))),
            false => vec![pid],
        };
        for thread in of {
            let own = match threads {
                true => format!("{folder}/task/{thread}"),
                false => folder.clone(),
            };
            of_one(&own, pid, thread, &mut all);
        }
    }
    for owners in all.values_mut() {
        owners.reverse();
    }
    all
}

fn of_one(folder: &str, pid: u32, thread: u32, all: &mut BTreeMap<u32, Vec<Owner>>) {
    let mut name = None;
    for fd in numbers(Path::new(&format!("{folder}/fd"))) {
        let Ok(to) = fs::read_link(format!("{folder}/fd/{fd}")) else {
            continue;
        };
        let Some(inode) = socket_number(&to.to_string_lossy()) else {
            continue;
        };
        let name = name.get_or_insert_with(|| name_of(pid).unwrap_or_default());
        all.entry(inode).or_default().push(Owner {
            name: name.clone(),
            pid,
            thread,
            fd,
        });
    }
}

/// The name of a process.
pub fn name_of(pid: u32) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end_matches('\n').to_string())
}

/// Of `socket:[N]` the number.
fn socket_number(link: &str) -> Option<u32> {
    link.strip_prefix("socket:[")?
        .strip_suffix(']')?
        .parse()
        .ok()
}

fn numbers(folder: &Path) -> Vec<u32> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let named = entries.filter_map(|e| e.file_name().to_str()?.parse().ok());
    let mut all: Vec<u32> = named.collect();
    all.sort_unstable();
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn an_own_socket_is_owned() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let fd = u32::try_from(socket.as_raw_fd()).unwrap();
        let inode = fs::metadata(format!("/proc/self/fd/{fd}")).unwrap().ino();
        for threads in [false, true] {
            let all = owners(threads);
            let found = &all[&u32::try_from(inode).unwrap()];
            let own = found.iter().find(|o| o.pid == std::process::id()).unwrap();
            assert_eq!(own.fd, fd);
        }
        assert_eq!(socket_number("pipe:[5]"), None);
        assert_eq!(socket_number("socket:[x]"), None);
    }
}
