//! Inside the holding process: PID 1 of the world.

use super::Orders;
use crate::{Error, own};
use serde_json::json;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// The world's own folder, on a tmpfs that nobody else sees: `/run/netshoot`, or `/mnt/netshoot`
/// on a machine without `/run`.
pub fn folder() -> PathBuf {
    let run = Path::new("/run");
    if run.is_dir() { run } else { Path::new("/mnt") }.join("netshoot")
}

/// `__world CONTROL ALIVE`.
pub fn main(words: &[String]) -> i32 {
    own::die_with_parent();
    own::name_process(c"netshoot-world");
    let Some(control) = own::inherited(words.first()) else {
        return 64;
    };
    // Held open and never read: its end tells the cgroup keeper that we are gone.
    let _alive = own::inherited(words.get(1));
    let control = UnixStream::from(control);
    let Ok(reader) = control.try_clone() else {
        return 64;
    };
    let mut reader = BufReader::new(reader);
    let mut line = String::new();
    // A parent that is gone already leaves an empty socket: nothing was built, nothing to take away.
    if reader.read_line(&mut line).unwrap_or(0) == 0 {
        return 0;
    }
    let watch = std::thread::Builder::new()
        .name("parent-watch".into())
        .spawn(move || {
            drop(reader.read(&mut [0]));
            // SAFETY: ends PID 1; the kernel kills everything in the namespace.
            unsafe { libc::_exit(0) };
        });
    let told = serde_json::from_str::<Orders>(&line).map_err(|e| e.to_string());
    let stood = match (watch, told) {
        (Err(e), _) => Err(format!("start the thread that watches the parent: {e}")),
        (_, Err(e)) => Err(format!("read the orders for the world: {e}")),
        (Ok(_), Ok(orders)) => stand(&orders, &control),
    };
    match stood {
        // Threads do everything from here on; the watch ends the process.
        Ok(()) => loop {
            reap_orphans();
        },
        Err(why) => {
            say(&control, &json!({ "failed": why }));
            1
        }
    }
}

/// One line to the parent.
pub(crate) fn say(mut control: &UnixStream, line: &serde_json::Value) {
    drop(control.write_all(format!("{line}\n").as_bytes()));
}

fn stand(orders: &Orders, control: &UnixStream) -> Result<(), String> {
    prepare_mounts().map_err(|e| e.to_string())?;
    let progress = |what: &str| say(control, &json!({ "progress": what }));
    let later = control.try_clone().map_err(|e| e.to_string())?;
    let complain = move |why: String| say(&later, &json!({ "trouble": why }));
    let standing =
        crate::standing::Standing::build(orders, &progress, complain).map_err(|e| e.to_string())?;
    if orders.options.bare {
        crate::serve::listen(standing).map_err(|e| e.to_string())?;
    }
    say(control, &json!({ "ready": true }));
    Ok(())
}

/// A private mount namespace with the PID namespace's own `/proc` and an empty folder of ours.
fn prepare_mounts() -> Result<(), Error> {
    for needed in ["/proc", "/run or /mnt"] {
        if !needed.split(" or ").any(|d| Path::new(d).is_dir()) {
            let what = format!(
                "this root has no folder {needed} (an empty one is enough): a world cannot be built in it"
            );
            return Err(Error::Absent { what });
        }
    }
    if let Err(e) = mount("", "/", "", libc::MS_REC | libc::MS_PRIVATE, "") {
        // A chroot into a plain folder: nothing can be mounted in it that the machine would not see.
        let what = format!(
            "{e}: a world needs a root that is a mount point (mount --bind ROOT ROOT before the chroot)"
        );
        return Err(Error::Absent { what });
    }
    mount(
        "proc",
        "/proc",
        "proc",
        libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC,
        "",
    )?;
    let resolv = fs::canonicalize("/etc/resolv.conf").ok();
    let folder = folder();
    let home = folder.parent().unwrap_or(Path::new("/run"));
    mount(
        "tmpfs",
        &home.to_string_lossy(),
        "tmpfs",
        libc::MS_NOSUID | libc::MS_NODEV,
        "mode=755",
    )?;
    // /etc/resolv.conf is often a link into /run, which is covered now: give it its target back.
    if let Some(target) = resolv.filter(|t| t.starts_with(home)) {
        write(&target, b"")?;
    }
    make_dirs(&folder.join("bin"))?;
    link(&folder.join("bin/netshoot"))
}

/// `netshoot` as a command of its own: a link to the program that PID 1 runs, wherever that lies.
fn link(at: &Path) -> Result<(), Error> {
    std::os::unix::fs::symlink("/proc/1/exe", at).map_err(|e| failed("link netshoot", at, e))
}

/// mount(2).
pub(crate) fn mount(
    source: &str,
    target: &str,
    kind: &str,
    flags: libc::c_ulong,
    data: &str,
) -> Result<(), Error> {
    let c = |s: &str| std::ffi::CString::new(s).unwrap_or_default();
    let (from, on, kind, data) = (c(source), c(target), c(kind), c(data));
    // SAFETY: four strings that live until the call is over.
    let done = unsafe {
        libc::mount(
            from.as_ptr(),
            on.as_ptr(),
            kind.as_ptr(),
            flags,
            data.as_ptr().cast(),
        )
    };
    if done == 0 {
        Ok(())
    } else {
        Err(netshoot_host::Error::last("mount", format!("{target} ({source})")).into())
    }
}

/// Writes a file, with the folders it needs.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<(), Error> {
    if let Some(folder) = path.parent() {
        make_dirs(folder)?;
    }
    fs::write(path, content).map_err(|e| failed("write", path, e))
}

/// Makes a folder and those above it.
pub(crate) fn make_dirs(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).map_err(|e| failed("make folder", path, e))
}

fn failed(tried: &'static str, path: &Path, source: std::io::Error) -> Error {
    netshoot_host::Error::System {
        tried,
        on: path.display().to_string(),
        source,
    }
    .into()
}

/// PID 1 inherits processes whose parents ended. A child that is still dead after a second is
/// nobody's: whoever started a process here waits for it at once.
fn reap_orphans() {
    let dead = first_dead();
    std::thread::sleep(std::time::Duration::from_secs(1));
    if let Some(pid) = dead.filter(|pid| first_dead() == Some(*pid)) {
        own::reap(pid);
    }
}

fn first_dead() -> Option<i32> {
    // SAFETY: the structure is plain data, written by the kernel.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let how = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        let pid = if libc::waitid(libc::P_ALL, 0, &mut info, how) == 0 {
            info.si_pid()
        } else {
            0
        };
        (pid > 0).then_some(pid)
    }
}
