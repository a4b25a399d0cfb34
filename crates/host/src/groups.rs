//! Processes of this machine by their control group: how a container's process is found without
//! asking a container runtime.

use crate::Error;
use crate::diag::memory::{Memory, read_memory};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A process in the control group whose path names `id` (a container's id stands in it); none where
/// `/proc` shows no such process. The process with the lowest number: the container's first.
pub fn process_in(id: &str) -> Option<u32> {
    if id.len() < 8 {
        return None;
    }
    let mut pids: Vec<u32> = fs::read_dir("/proc")
        .ok()?
        .filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    pids.into_iter().find(|pid| {
        fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|text| text.contains(id))
    })
}

/// Paths of control groups (version 2) by their number, as far as this process sees them.
pub fn paths() -> BTreeMap<u64, String> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let place = mounts.lines().find_map(|line| {
        let mut words = line.split(' ');
        let place = words.nth(1)?;
        (words.next() == Some("cgroup2")).then(|| PathBuf::from(place))
    });
    // What the kernel calls the root has number 1, seen or not.
    let mut all = BTreeMap::from([(1, "/".to_string())]);
    if let Some(root) = place {
        below(&root, &root, &mut all);
    }
    all
}

fn below(root: &Path, folder: &Path, all: &mut BTreeMap<u64, String>) {
    if let (Ok(meta), Ok(rest)) = (fs::metadata(folder), folder.strip_prefix(root)) {
        all.insert(meta.ino(), format!("/{}", rest.display()));
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            below(root, &entry.path(), all);
        }
    }
}

/// Memory of a container as its own process sees the control group: `/sys/fs/cgroup` of its mounts
/// is its group (both versions). `pid` none is the calling process.
pub fn memory_of(pid: Option<u32>) -> Result<Memory, Error> {
    let root = match pid {
        Some(pid) => PathBuf::from(format!("/proc/{pid}/root")),
        None => PathBuf::from("/"),
    };
    let base = root.join("sys/fs/cgroup");
    let version_1 = base.join("memory");
    let dir: &Path = if version_1.join("memory.usage_in_bytes").exists() {
        &version_1
    } else {
        &base
    };
    read_memory(dir)
}

/// Milliseconds since the process started, by the time of its folder in `/proc`; 0 where unknown.
pub fn age_ms(pid: Option<u32>) -> u64 {
    let pid = pid.map_or("self".to_string(), |p| p.to_string());
    fs::metadata(format!("/proc/{pid}"))
        .and_then(|m| m.modified())
        .ok()
        .and_then(|t| t.elapsed().ok())
        .map_or(0, |d| d.as_millis() as u64)
}

/// Effective capabilities of this process, as names (`CAP_NET_RAW`); only those that probes need.
pub fn capabilities() -> Vec<&'static str> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bits = status
        .lines()
        .find_map(|l| l.strip_prefix("CapEff:"))
        .and_then(|h| u64::from_str_radix(h.trim(), 16).ok())
        .unwrap_or(0);
    // Numbers of linux/capability.h.
    [
        (12, "CAP_NET_ADMIN"),
        (13, "CAP_NET_RAW"),
        (21, "CAP_SYS_ADMIN"),
    ]
    .into_iter()
    .filter(|(n, _)| bits >> n & 1 == 1)
    .map(|(_, name)| name)
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_found_by_its_group_and_no_other_is_taken() {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap();
        let longest = own
            .split(['/', '\n'])
            .max_by_key(|p| p.len())
            .filter(|p| p.len() >= 8 && !p.contains(':'));
        match longest {
            Some(part) => assert!(process_in(part).is_some(), "{part} in {own}"),
            None => eprintln!("ABSENT: this process is in no named control group"),
        }
        assert_eq!(process_in("no-such-group-anywhere"), None);
        assert_eq!(process_in(""), None);
    }
}
