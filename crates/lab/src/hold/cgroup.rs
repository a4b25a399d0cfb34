//! Memory cgroups of a world: one folder below our own, taken away by a small process that
//! outlives the world by a moment.
//!
//! That process (the keeper) makes the folder itself, before the world starts, and takes it away
//! when the last holder of its pipe (parent, world) is gone. So a kill at any moment leaves at
//! most what a killed keeper left; the next `lab` command sweeps that.

use crate::own::{self, Child, Image};
use netshoot_host::Error;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Beginning of every folder of ours; `PID-RANDOM` of the owner follows.
const PREFIX: &str = "netshoot-lab-";

/// Which files a memory cgroup has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Version {
    /// `memory.limit_in_bytes`, ...
    V1,
    /// `memory.max`, ...
    V2,
}

/// A world's folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// Its files' version.
    pub version: Version,
    /// Its path.
    pub path: PathBuf,
}

/// The place where new folders may go, and its version, read from the text of
/// `/proc/self/mountinfo` and `/proc/self/cgroup`.
fn find(mountinfo: &str, cgroup: &str) -> Option<(Version, PathBuf)> {
    let own = |wanted: &dyn Fn(&str) -> bool| {
        cgroup.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?);
            wanted(controllers).then(|| path.to_string())
        })
    };
    let mounted = |kind: &str, option: &str| {
        mountinfo.lines().find_map(|line| {
            let (left, right) = line.split_once(" - ")?;
            let mut right = right.split(' ');
            let (fs, _source, options) = (right.next()?, right.next()?, right.next()?);
            let fits = fs == kind && (option.is_empty() || options.split(',').any(|o| o == option));
            let mut left = left.split(' ').skip(3);
            let (root, point) = (left.next()?, left.next()?);
            (fits && point.starts_with('/')).then(|| (root.to_string(), PathBuf::from(point)))
        })
    };
    let below = |(root, point): (String, PathBuf), own: String| {
        // What is mounted may be a part of the hierarchy (a container's); our path is from its root.
        let rest = if root == "/" {
            own.as_str()
        } else {
            own.strip_prefix(&root).unwrap_or("")
        };
        point.join(rest.trim_start_matches('/'))
    };
    if let (Some(mount), Some(own)) = (
        mounted("cgroup", "memory"),
        own(&|c| c.split(',').any(|c| c == "memory")),
    ) {
        return Some((Version::V1, below(mount, own)));
    }
    Some((
        Version::V2,
        below(mounted("cgroup2", "")?, own(&str::is_empty)?),
    ))
}

/// For version 2: the nearest folder from `own` upwards whose children have the memory
/// controller (a folder with processes cannot give it to its children).
fn with_memory(own: &Path) -> Option<PathBuf> {
    own.ancestors()
        .take_while(|p| p.join("cgroup.procs").exists())
        .find(|p| {
            let has = |file: &str| {
                fs::read_to_string(p.join(file))
                    .is_ok_and(|t| t.split_whitespace().any(|c| c == "memory"))
            };
            has("cgroup.subtree_control")
                || (has("cgroup.controllers")
                    && fs::write(p.join("cgroup.subtree_control"), "+memory").is_ok())
        })
        .map(Path::to_path_buf)
}

/// Where a new folder may go on this machine.
fn home() -> Option<(Version, PathBuf)> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    match find(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"))? {
        (Version::V2, own) => Some((Version::V2, with_memory(&own)?)),
        v1 => Some(v1),
    }
}

/// A number that two worlds of one process, or of two PID namespaces, do not share.
fn pid_namespace() -> u64 {
    fs::metadata("/proc/self/ns/pid")
        .map(|m| m.ino())
        .unwrap_or(0)
}

/// Takes away folders whose owner is gone. An owner in another PID namespace cannot be judged
/// and is left alone.
pub fn sweep() {
    if let Some((_, home)) = home() {
        sweep_in(&home, &|pid| Path::new(&format!("/proc/{pid}")).exists());
    }
}

fn sweep_in(home: &Path, alive: &dyn Fn(i32) -> bool) {
    let here = format!("{:x}", pid_namespace());
    for entry in fs::read_dir(home).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|n| n.strip_prefix(PREFIX)) else {
            continue;
        };
        let mut parts = rest.split('-');
        let (Some(Ok(pid)), Some(namespace)) = (parts.next().map(str::parse), parts.next()) else {
            continue;
        };
        if namespace == here && !alive(pid) {
            remove(&entry.path());
        }
    }
}

/// rmdir(2) of a folder and those below; files of a cgroup go with it.
pub(crate) fn remove(path: &Path) -> bool {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            remove(&entry.path());
        }
    }
    fs::remove_dir(path).is_ok() || !path.exists()
}

/// The process that takes the folder away.
#[derive(Debug)]
pub struct Keeper {
    /// The folder.
    pub root: Root,
    child: Child,
    /// Writing end of the pipe whose end the keeper waits for.
    alive: Option<OwnedFd>,
}

impl Keeper {
    /// Starts it; none where this machine has no memory cgroup that we may write.
    pub fn start() -> Result<Option<Keeper>, Error> {
        let Some((version, home)) = home() else {
            return Ok(None);
        };
        let nonce = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |d| d.as_nanos());
        let name = format!(
            "{PREFIX}{}-{:x}-{nonce:x}",
            std::process::id(),
            pid_namespace()
        );
        let path = home.join(name);
        let broken = |source| Error::System {
            tried: "make a pipe",
            on: "the cgroup keeper".into(),
            source,
        };
        let (waits, alive) = std::io::pipe().map_err(broken)?;
        let (mut says, said) = std::io::pipe().map_err(broken)?;
        let (waits_fd, said_fd) = (waits.as_raw_fd(), said.as_raw_fd());
        let words = [
            "netshoot".into(),
            "__keep".into(),
            waits_fd.to_string(),
            said_fd.to_string(),
            path.to_string_lossy().into_owned(),
        ];
        let image = Image::new(&words, &[])?;
        // SAFETY: system calls with prepared arguments only.
        let child = unsafe {
            own::clone(0, || {
                // Ctrl-C and a closed terminal are not for the keeper.
                libc::setsid();
                own::keep_over_exec(waits_fd);
                own::keep_over_exec(said_fd);
                image.become_it();
                126
            })
        }?;
        drop((waits, said));
        let keeper = Keeper {
            root: Root { version, path },
            child,
            alive: Some(alive.into()),
        };
        let mut answer = String::new();
        if says.read_to_string(&mut answer).is_err() || answer != "ok" {
            keeper.wait();
            return Ok(None);
        }
        Ok(Some(keeper))
    }

    /// The descriptor the world must hold while it lives; -1 once let go.
    pub fn alive_fd(&self) -> i32 {
        self.alive.as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }

    /// From now on only the world keeps the folder.
    pub fn let_go(&mut self) {
        self.alive = None;
    }

    /// Waits until the folder is gone.
    pub fn wait(mut self) {
        self.alive = None;
        self.child.reap();
    }
}

/// The keeper itself: `__keep WAITS SAYS PATH`.
pub fn keep(words: &[String]) -> i32 {
    own::name_process(c"netshoot-keep");
    // SIGPIPE comes when the parent is gone before it has heard from us: just then we are needed.
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGPIPE] {
        // SAFETY: SIG_IGN is no handler of ours.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    let (Some(waits), Some(says), Some(path)) = (
        own::inherited(words.first()),
        own::inherited(words.get(1)),
        words.get(2),
    ) else {
        return 64;
    };
    let path = Path::new(path);
    let answer = match make(path) {
        Ok(()) => "ok".into(),
        Err(e) => e.to_string(),
    };
    drop(fs::File::from(says).write_all(answer.as_bytes()));
    if answer == "ok" {
        own::readable(waits.as_raw_fd(), -1);
        let end = Instant::now() + Duration::from_secs(10);
        // Processes of the world need a moment to be gone; an rmdir before that is refused.
        while !remove(path) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    0
}

fn make(path: &Path) -> std::io::Result<()> {
    fs::create_dir(path)?;
    let v2 = path.join("cgroup.subtree_control");
    if v2.exists() {
        fs::write(v2, "+memory")?;
    }
    Ok(())
}

/// Folders that worlds of this owner left.
#[cfg(test)]
pub(crate) fn left_by(pid: u32) -> Vec<PathBuf> {
    let wanted = format!("{PREFIX}{pid}-");
    let all = home()
        .and_then(|(_, home)| fs::read_dir(home).ok())
        .into_iter()
        .flatten()
        .flatten();
    all.filter(|e| e.file_name().to_string_lossy().starts_with(&wanted))
        .map(|e| e.path())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_our_place_in_the_hierarchy() {
        let v1 = "33 28 0:30 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory";
        let in_container =
            "33 28 0:30 /docker/ab /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory";
        let v2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate";
        let named = "33 28 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd";
        let both = format!("{named}\n{v1}\n{v2}");
        let cases = [
            (
                v1,
                "4:memory:/user/1\n1:cpu:/",
                Some((Version::V1, "/sys/fs/cgroup/memory/user/1")),
            ),
            (
                in_container,
                "4:memory:/docker/ab",
                Some((Version::V1, "/sys/fs/cgroup/memory/")),
            ),
            (
                in_container,
                "4:memory:/docker/ab/x",
                Some((Version::V1, "/sys/fs/cgroup/memory/x")),
            ),
            (
                v2,
                "0::/user.slice/s.scope",
                Some((Version::V2, "/sys/fs/cgroup/user.slice/s.scope")),
            ),
            (
                both.as_str(),
                "4:memory:/a\n0::/",
                Some((Version::V1, "/sys/fs/cgroup/memory/a")),
            ),
            (named, "9:name=systemd:/", None),
            ("", "", None),
            ("garbage - \n - cgroup", "::\n:", None),
        ];
        for (mounts, own, expected) in cases {
            let got = find(mounts, own);
            let expected = expected.map(|(v, p)| (v, PathBuf::from(p)));
            assert_eq!(got, expected, "{mounts} / {own}");
        }
    }

    #[test]
    fn sweeps_only_what_a_dead_owner_left() {
        let home = std::env::temp_dir().join(format!("netshoot-sweep-{}", std::process::id()));
        let here = pid_namespace();
        let folder = |name: String| home.join(name);
        let dead = folder(format!("{PREFIX}11-{here:x}-1"));
        let alive = folder(format!("{PREFIX}12-{here:x}-2"));
        let elsewhere = folder(format!("{PREFIX}11-{:x}-3", here + 1));
        let foreign = folder("other-11-1".into());
        for f in [&dead.join("pod"), &alive, &elsewhere, &foreign] {
            fs::create_dir_all(f).unwrap();
        }
        sweep_in(&home, &|pid| pid == 12);
        assert_eq!(
            [&dead, &alive, &elsewhere, &foreign].map(|f| f.exists()),
            [false, true, true, true]
        );
        fs::remove_dir_all(&home).unwrap();
    }

    #[test]
    fn damaged_tables_give_a_place_below_a_mount_or_none() {
        let seeds = [
            "33 28 0:30 /docker/ab /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
            "4:memory:/docker/ab/x\n1:cpu:/\n0::/user.slice\n",
        ];
        let mut found = 0;
        netshoot_wire::fuzz::texts(&seeds, 10_000, |text| {
            for (mounts, own) in [(text, seeds[1]), (seeds[0], text), (text, text)] {
                if let Some((_, place)) = find(mounts, own) {
                    found += 1;
                    let below = mounts
                        .split(' ')
                        .any(|m| !m.is_empty() && place.starts_with(m));
                    assert!(below, "{place:?} {mounts:?}");
                }
            }
        });
        assert!(found > 1000, "{found}");
    }
}
