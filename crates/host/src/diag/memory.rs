//! Memory of a control group, version 1 (memory.txt) and version 2 (cgroup-v2.rst) alike.

use crate::Error;
use std::io;
use std::path::Path;

/// What a control group's memory controller says. Sizes are bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// 1 or 2.
    pub version: u8,
    /// Used now, page cache included.
    pub usage: u64,
    /// Used now, without cache that can be dropped (`inactive_file`): what the kubelet judges by.
    pub working_set: u64,
    /// Most ever used; 0 where the kernel does not keep it (version 2 before 5.19).
    pub max_usage: u64,
    /// Limit in force here; none for unlimited.
    pub limit: Option<u64>,
    /// Times the limit was hit.
    pub limit_hits: u64,
    /// Processes killed for want of memory, 0 where the kernel does not count them.
    pub oom_kills: u64,
}

/// Reads the memory controller of the control group in `dir`.
pub fn read_memory(dir: &Path) -> Result<Memory, Error> {
    if dir.join("memory.current").exists() {
        return version_2(dir);
    }
    let usage = required(dir, "memory.usage_in_bytes")?;
    Ok(Memory {
        version: 1,
        usage,
        working_set: usage.saturating_sub(keyed(dir, "memory.stat", "total_inactive_file")?),
        max_usage: required(dir, "memory.max_usage_in_bytes")?,
        limit: Some(required(dir, "memory.limit_in_bytes")?)
            .filter(|limit| *limit < BEYOND_ANY_MACHINE),
        limit_hits: required(dir, "memory.failcnt")?,
        oom_kills: keyed(dir, "memory.oom_control", "oom_kill")?,
    })
}

/// Version 1 writes "unlimited" as the largest whole number of pages.
const BEYOND_ANY_MACHINE: u64 = 1 << 60;

fn version_2(dir: &Path) -> Result<Memory, Error> {
    let usage = required(dir, "memory.current")?;
    let limit = match optional(dir, "memory.max")? {
        Some(text) if text.trim() == "max" => None,
        _ => Some(required(dir, "memory.max")?),
    };
    let max_usage = match optional(dir, "memory.peak")? {
        Some(_) => required(dir, "memory.peak")?,
        None => 0,
    };
    Ok(Memory {
        version: 2,
        usage,
        working_set: usage.saturating_sub(keyed(dir, "memory.stat", "inactive_file")?),
        max_usage,
        limit,
        limit_hits: keyed(dir, "memory.events", "max")?,
        oom_kills: keyed(dir, "memory.events", "oom_kill")?,
    })
}

fn optional(dir: &Path, file: &str) -> Result<Option<String>, Error> {
    let path = dir.join(file);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::System {
            tried: "read memory",
            on: path.display().to_string(),
            source,
        }),
    }
}

/// The number that a file holds.
fn required(dir: &Path, file: &str) -> Result<u64, Error> {
    let failed = |errno| Error::System {
        tried: "read memory",
        on: dir.join(file).display().to_string(),
        source: io::Error::from_raw_os_error(errno),
    };
    let text = optional(dir, file)?.ok_or_else(|| failed(libc::ENOENT))?;
    text.trim().parse().map_err(|_| failed(libc::EINVAL))
}

/// The number behind a word that begins a line; 0 where this kernel does not count it.
fn keyed(dir: &Path, file: &str, key: &str) -> Result<u64, Error> {
    let text = optional(dir, file)?.unwrap_or_default();
    let mut pairs = text.lines().filter_map(|line| line.split_once(' '));
    let value = pairs
        .find(|(word, _)| *word == key)
        .and_then(|(_, value)| value.trim().parse().ok());
    Ok(value.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(files: &[(&str, &str)]) -> Result<Memory, Error> {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let next = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let dir =
            std::env::temp_dir().join(format!("netshoot-memory-{}-{next}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        for (name, text) in files {
            std::fs::write(dir.join(name), text).unwrap();
        }
        let memory = read_memory(&dir);
        std::fs::remove_dir_all(&dir).unwrap();
        memory
    }

    #[test]
    fn both_versions_say_the_same() {
        let one = group(&[
            ("memory.usage_in_bytes", "1000\n"),
            ("memory.max_usage_in_bytes", "2000\n"),
            ("memory.limit_in_bytes", "4096\n"),
            ("memory.failcnt", "7\n"),
            (
                "memory.stat",
                "cache 500\ninactive_file 5\ntotal_inactive_file 300\n",
            ),
            (
                "memory.oom_control",
                "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
            ),
        ])
        .unwrap();
        let two = group(&[
            ("memory.current", "1000\n"),
            ("memory.peak", "2000\n"),
            ("memory.max", "4096\n"),
            ("memory.stat", "anon 5\ninactive_file 300\n"),
            (
                "memory.events",
                "low 0\nhigh 9\nmax 7\noom 2\noom_kill 2\noom_group_kill 0\n",
            ),
        ])
        .unwrap();
        let expected = Memory {
            version: 1,
            usage: 1000,
            working_set: 700,
            max_usage: 2000,
            limit: Some(4096),
            limit_hits: 7,
            oom_kills: 2,
        };
        assert_eq!(one, expected);
        assert_eq!(
            two,
            Memory {
                version: 2,
                ..expected
            }
        );
    }

    #[test]
    fn no_limit_is_none_and_no_group_is_an_error() {
        let unlimited = [("memory.current", "1"), ("memory.max", "max\n")];
        assert_eq!(group(&unlimited).unwrap().limit, None);
        let torn = [("memory.current", "1"), ("memory.max", "")];
        assert!(group(&torn).is_err(), "no number is not 0");
        assert!(
            group(&[])
                .unwrap_err()
                .to_string()
                .contains("memory.usage_in_bytes")
        );
    }

    #[test]
    fn a_real_control_group_is_read() {
        // The root group of version 1 has all files; that of version 2 has none of them.
        let root = Path::new("/sys/fs/cgroup/memory");
        if !root.join("memory.usage_in_bytes").exists() {
            println!("ABSENT: no memory controller of version 1 on this machine");
            return;
        }
        let memory = read_memory(root).unwrap();
        assert!(memory.usage > 0 && memory.working_set > 0, "{memory:?}");
        assert_eq!((memory.version, memory.limit), (1, None));
    }

    #[test]
    fn damaged_files_are_an_error_or_numbers() {
        let seeds = [
            "1000\n",
            "max\n",
            "9223372036854771712",
            "anon 5\ninactive_file 300\n",
            "max 3\noom_kill 2\n",
        ];
        let dir = std::env::temp_dir().join(format!("netshoot-memory-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let all = [
            "memory.current",
            "memory.max",
            "memory.peak",
            "memory.stat",
            "memory.events",
        ];
        for file in all {
            std::fs::write(dir.join(file), "7\n").unwrap();
        }
        let mut turn = 0;
        netshoot_wire::fuzz::texts(&seeds, 1_500, |text| {
            turn += 1;
            std::fs::write(dir.join(all[turn % all.len()]), text).unwrap();
            match read_memory(&dir) {
                Ok(m) => assert!(m.working_set <= m.usage, "{m:?} {text:?}"),
                Err(e) => assert!(e.to_string().contains("memory."), "{e}"),
            }
        });
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
