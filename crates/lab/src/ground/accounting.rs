//! Memory of containers: by the kernel's cgroups where we may make them, else read from `/proc`
//! and limited by us.

use super::Accounting;
use crate::hold::cgroup::{self, Root, Version};
use netshoot_host::Error;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// A container's cgroup.
#[derive(Debug)]
pub(super) struct Group {
    version: Version,
    path: PathBuf,
}

impl Group {
    /// Makes it below the world's folder, with its limit.
    pub fn make(root: &Root, name: &str, limit: Option<u64>) -> Result<Group, Error> {
        let path = root.path.join(name);
        let failed = |tried, source| Error::System {
            tried,
            on: path.display().to_string(),
            source,
        };
        fs::create_dir(&path).map_err(|e| failed("make memory cgroup", e))?;
        let group = Group {
            version: root.version,
            path: path.clone(),
        };
        if let Some(bytes) = limit {
            group
                .write_limit(bytes)
                .map_err(|e| failed("limit memory cgroup", e))?;
        }
        Ok(group)
    }

    fn write_limit(&self, bytes: u64) -> std::io::Result<()> {
        match self.version {
            Version::V1 => {
                fs::write(self.path.join("memory.limit_in_bytes"), bytes.to_string())?;
                // Nothing of it may go to swap. (A limit on both together would do the same, but the
                // kernel then counts its hits nowhere.)
                drop(fs::write(self.path.join("memory.swappiness"), "0"));
                Ok(())
            }
            Version::V2 => {
                drop(fs::write(self.path.join("memory.swap.max"), "0"));
                fs::write(self.path.join("memory.max"), bytes.to_string())
            }
        }
    }

    /// The file that takes the process.
    pub fn procs(&self) -> Result<File, Error> {
        let path = self.path.join("cgroup.procs");
        File::options()
            .write(true)
            .open(&path)
            .map_err(|source| Error::System {
                tried: "open",
                on: path.display().to_string(),
                source,
            })
    }

    fn number(&self, file: &str) -> u64 {
        fs::read_to_string(self.path.join(file))
            .ok()
            .and_then(|t| t.trim().parse().ok())
            .unwrap_or(0)
    }

    fn keyed(&self, file: &str, key: &str) -> u64 {
        keyed(
            &fs::read_to_string(self.path.join(file)).unwrap_or_default(),
            key,
        )
    }

    fn read(&self) -> Accounting {
        match self.version {
            Version::V1 => Accounting {
                by: "cgroup v1".into(),
                usage: self.number("memory.usage_in_bytes"),
                max_usage: self.number("memory.max_usage_in_bytes"),
                limit_hits: self.number("memory.failcnt"),
            },
            Version::V2 => Accounting {
                by: "cgroup v2".into(),
                usage: self.number("memory.current"),
                max_usage: self.number("memory.peak"),
                limit_hits: self.keyed("memory.events", "max"),
            },
        }
    }

    fn kills(&self) -> u64 {
        match self.version {
            Version::V1 => self.keyed("memory.oom_control", "oom_kill"),
            Version::V2 => self.keyed("memory.events", "oom_kill"),
        }
    }
}

/// The number behind a word in a file of `word number` lines.
fn keyed(text: &str, key: &str) -> u64 {
    text.lines()
        .filter_map(|l| l.split_once(' '))
        .find(|(k, _)| *k == key)
        .and_then(|(_, v)| v.trim().parse().ok())
        .unwrap_or(0)
}

/// A container's process without a cgroup.
#[derive(Debug)]
pub(super) struct Process {
    pid: i32,
    limit: Option<u64>,
    max: u64,
    hits: u64,
}

impl Process {
    /// Reads its memory; true when it is over its limit and must be killed.
    pub fn look(&mut self) -> bool {
        let now = own_memory(self.pid);
        self.max = self.max.max(now);
        let over = self.limit.is_some_and(|l| now > l);
        self.hits += u64::from(over);
        over
    }
}

/// Memory of a container once it is one: a process that was only just split off still shows all
/// the memory of the world's.
fn own_memory(pid: i32) -> u64 {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    if name.trim_end() == super::container::NAME.to_string_lossy() {
        private_memory(pid)
    } else {
        0
    }
}

/// Bytes of memory only this process has, from `/proc/PID/statm` (proc(5)).
fn private_memory(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let mut pages = text
        .split_whitespace()
        .skip(1)
        .filter_map(|w| w.parse::<u64>().ok());
    let (resident, shared) = (pages.next().unwrap_or(0), pages.next().unwrap_or(0));
    // SAFETY: no pointers.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) }.max(1) as u64;
    resident.saturating_sub(shared) * page
}

/// Who counts.
#[derive(Debug)]
pub(super) enum Usage {
    Group(Group),
    Process(Process),
}

impl Usage {
    pub fn process(pid: i32, limit: Option<u64>) -> Usage {
        Usage::Process(Process {
            pid,
            limit,
            max: 0,
            hits: 0,
        })
    }

    pub fn read(&self) -> Accounting {
        match self {
            Usage::Group(g) => g.read(),
            Usage::Process(p) => {
                let usage = own_memory(p.pid);
                Accounting {
                    by: "process".into(),
                    usage,
                    max_usage: p.max.max(usage),
                    limit_hits: p.hits,
                }
            }
        }
    }

    /// Whether the limit killed it.
    pub fn killed(&self) -> bool {
        match self {
            Usage::Group(g) => g.kills() > 0,
            Usage::Process(p) => p.hits > 0,
        }
    }

    pub fn remove(self) {
        if let Usage::Group(g) = self {
            remove(&g.path);
        }
    }
}

/// A process that was just reaped may still be counted for a moment.
fn remove(path: &Path) {
    for _ in 0..100 {
        if cgroup::remove(path) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_keyed_files() {
        let v1 = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n";
        let cases = [
            (v1, "oom_kill", 3),
            (v1, "oom", 0),
            ("", "oom_kill", 0),
            ("oom_kill x\n", "oom_kill", 0),
        ];
        for (text, key, expected) in cases {
            assert_eq!(keyed(text, key), expected, "{text:?} {key}");
        }
    }

    #[test]
    fn own_memory_is_counted() {
        assert!(private_memory(std::process::id() as i32) > 100_000);
        assert_eq!(private_memory(-1), 0);
    }
}
