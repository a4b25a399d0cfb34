//! What the plugin starts in pods: words of this program that people never type. Each replaces or watches
//! the command behind it. Linux only.

use super::held::{BYE, HERE, HOLD, NO_INPUT, ended, ready};
use super::kept;
use super::resident::{END, SESSION, STAY};
use super::waiting::End;
use netshoot_host::netns::NetNs;
use std::fs::File;
use std::io::{IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// First word of a command in the network of another pod.
pub const IN_POD: &str = "__in-pod";

/// A command that cannot be started, as shells say it.
const NOT_FOUND: i32 = 127;
/// The same, where it is there and may not be run.
const NOT_RUN: i32 = 126;
/// Something failed before the command.
const FAILED: i32 = 125;
/// How long a held command that has ended waits for its client to read what it said.
const UNREAD: Duration = Duration::from_secs(60);

/// Runs an internal word; none when the first is not one of them.
pub fn internal(words: &[String]) -> Option<i32> {
    let rest = words.get(1..).unwrap_or_default();
    match words.first()?.as_str() {
        HOLD => Some(hold(rest)),
        STAY => Some(stay(rest)),
        SESSION => Some(session(rest)),
        END => Some(end(rest)),
        IN_POD => Some(in_pod(rest)),
        kept::SHELL => Some(kept::shell(rest)),
        kept::KEEP => Some(kept::keep(rest)),
        kept::ON_TERMINAL => Some(kept::on_terminal(rest)),
        _ => None,
    }
}

fn say(what: &str) {
    let _ = writeln!(std::io::stderr(), "netshoot: {what}");
}

pub(super) fn after_dashes(words: &[String]) -> &[String] {
    let at = words.iter().position(|w| w == "--");
    at.and_then(|at| words.get(at + 1..)).unwrap_or(words)
}

/// Becomes the command; comes back only when that fails.
pub(super) fn become_it(command: &[String], input: bool) -> i32 {
    let Some((program, args)) = command.split_first() else {
        say("no command was given");
        return FAILED;
    };
    let mut c = Command::new(program);
    c.args(args);
    if !input {
        c.stdin(Stdio::null());
    }
    cannot(program, &c.exec())
}

pub(super) fn cannot(program: &str, e: &std::io::Error) -> i32 {
    say(&format!("start {program}: {e}"));
    match e.kind() {
        std::io::ErrorKind::NotFound => NOT_FOUND,
        _ => NOT_RUN,
    }
}

/// Waits for its client, then runs the command; on a terminal it becomes the command.
fn hold(words: &[String]) -> i32 {
    let input = words.first().is_none_or(|w| w != NO_INPUT);
    let stdin = std::io::stdin();
    let terminal = stdin.is_terminal();
    // A terminal echoes and rewrites lines; what is said here is for a program.
    let raw = terminal && crossterm::terminal::enable_raw_mode().is_ok();
    let let_go = wait_for_go();
    if raw {
        let _ = crossterm::terminal::disable_raw_mode();
    }
    let Some(token) = let_go else {
        say("nobody attached to this command, so it was not run");
        return FAILED;
    };
    if terminal {
        return become_it(after_dashes(words), input);
    }
    let stopped = Arc::new(AtomicBool::new(false));
    let code = held(after_dashes(words), input, &token, &stopped);
    if !stopped.load(Ordering::Relaxed) {
        until_read(input);
    }
    code
}

/// Runs the command, passes signals on to it, and tells on both streams how it ended.
fn held(command: &[String], input: bool, token: &str, stopped: &Arc<AtomicBool>) -> i32 {
    let mut started = Command::new(command.first().map_or("", String::as_str));
    started.args(command.get(1..).unwrap_or_default());
    if !input {
        started.stdin(Stdio::null());
    }
    let code = match started.spawn() {
        Ok(mut child) => {
            let pid = rustix::process::Pid::from_child(&child);
            let told = Arc::clone(stopped);
            let _ = ctrlc::set_handler(move || {
                told.store(true, Ordering::Relaxed);
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            });
            match child.wait() {
                Ok(status) => status
                    .code()
                    .unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
                Err(e) => {
                    say(&format!("wait for {}: {e}", command.join(" ")));
                    FAILED
                }
            }
        }
        Err(e) => cannot(command.first().map_or("", String::as_str), &e),
    };
    // Why the container was stopped stands in the pod's status.
    if stopped.load(Ordering::Relaxed) {
        return code;
    }
    let out_of_memory = code == 137 && killed_for_memory();
    let end = End {
        code,
        reason: if out_of_memory { "OOMKilled" } else { "" }.into(),
    };
    let last = ended(token, &end);
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    let _ = out.write_all(&last).and_then(|()| out.flush());
    let _ = err.write_all(&last);
    code
}

/// The kernel ended something in this container for want of memory.
fn killed_for_memory() -> bool {
    let files = [
        "/sys/fs/cgroup/memory/memory.oom_control",
        "/sys/fs/cgroup/memory.events",
    ];
    files.iter().any(|file| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        text.lines()
            .filter_map(|l| l.strip_prefix("oom_kill "))
            .any(|count| count.trim() != "0")
    })
}

/// Waits until the client has everything. Where it has ended its input it cannot say so: then it takes the pod away, or
/// the time is over.
fn until_read(input: bool) {
    let (tell, told) = channel();
    std::thread::spawn(move || {
        let mut line = Vec::new();
        let mut byte = [0];
        while let Ok(1) = std::io::stdin().read(&mut byte) {
            line.push(byte[0]);
            if line.ends_with(BYE) {
                break;
            }
            // What the command did not read.
            if byte == *b"\n" {
                line.clear();
            }
        }
        if line.ends_with(BYE) || !input {
            let _ = tell.send(());
        } else {
            std::thread::park_timeout(UNREAD);
        }
    });
    let _ = told.recv_timeout(UNREAD);
}

/// Answers until told to go, and gives the token. Reads byte by byte: what follows is the command's.
fn wait_for_go() -> Option<String> {
    let fd = std::io::stdin().as_fd().try_clone_to_owned().ok()?;
    let mut from = File::from(fd);
    let mut line = Vec::new();
    loop {
        let mut byte = [0];
        match from.read(&mut byte) {
            Ok(1) => {}
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            _ => return None,
        }
        if !matches!(byte, [b'\n' | b'\r']) {
            line.extend_from_slice(&byte);
            continue;
        }
        let said = String::from_utf8_lossy(&std::mem::take(&mut line)).into_owned();
        match said.trim().split_once(' ') {
            None if said.trim() == "?" => both(HERE),
            Some(("go", token)) => {
                both(&ready(token));
                return Some(token.into());
            }
            _ => {}
        }
    }
}

fn both(line: &str) {
    let line = format!("{line}\n");
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
    // With a terminal both are the same stream.
    if !out.is_terminal() {
        let _ = err.write_all(line.as_bytes());
    }
}

/// A name that lives and dies with its listener, in the pod's own network namespace.
fn door(name: &str) -> Option<SocketAddr> {
    SocketAddr::from_abstract_name(format!("netshoot-stay-{name}")).ok()
}

/// Does nothing until its time is over, somebody ends it, or it is told to go.
fn stay(words: &[String]) -> i32 {
    let (Some(name), Some(seconds)) = (
        words.first(),
        words.get(1).and_then(|s| s.parse::<u64>().ok()),
    ) else {
        say("NAME SECONDS");
        return FAILED;
    };
    let (tell, told) = channel();
    let by_signal = tell.clone();
    // As first process of a container a signal without a handler would be ignored.
    let _ = ctrlc::set_handler(move || {
        let _ = by_signal.send(());
    });
    let listener = door(name).and_then(|at| UnixListener::bind_addr(&at).ok());
    if let Some(listener) = listener {
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                let mut word = String::new();
                let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
                if stream.read_to_string(&mut word).is_ok() && word == END {
                    let _ = tell.send(());
                    return;
                }
            }
        });
    }
    match told.recv_timeout(Duration::from_secs(seconds)) {
        Ok(()) | Err(RecvTimeoutError::Timeout) => 0,
        Err(RecvTimeoutError::Disconnected) => FAILED,
    }
}

/// Ends the one of that name that stays.
fn end(words: &[String]) -> i32 {
    let name = words.first().map_or("", String::as_str);
    let sent = door(name)
        .ok_or(std::io::ErrorKind::InvalidInput.into())
        .and_then(|at| UnixStream::connect_addr(&at))
        .and_then(|mut s| s.write_all(END.as_bytes()));
    match sent {
        Ok(()) => 0,
        Err(e) => {
            say(&format!("end {name}: {e}"));
            1
        }
    }
}

/// Runs the command without input, until it ends or our own input does: then whoever asked is gone.
fn session(words: &[String]) -> i32 {
    let Some((program, args)) = after_dashes(words).split_first() else {
        say("no command was given");
        return FAILED;
    };
    let started = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .process_group(0)
        .spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(e) => return cannot(program, &e),
    };
    let group = rustix::process::Pid::from_child(&child);
    std::thread::spawn(move || {
        let mut chunk = [0; 512];
        while std::io::stdin().read(&mut chunk).is_ok_and(|n| n > 0) {}
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    });
    match child.wait() {
        Ok(status) => status
            .code()
            .unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
        Err(e) => {
            say(&format!("wait for {program}: {e}"));
            FAILED
        }
    }
}

/// `UID CONTAINER-ID... -- COMMAND`: becomes the command in the network of that pod, found among the
/// processes of the node.
fn in_pod(words: &[String]) -> i32 {
    let ids: Vec<&str> = words
        .iter()
        .take_while(|w| *w != "--")
        .map(String::as_str)
        .collect();
    let Some(pid) = process_of(&ids) else {
        say(&format!(
            "no process of this pod on this node: {}",
            ids.first().unwrap_or(&"?")
        ));
        return FAILED;
    };
    // Ours is written for this pod on the node alone, which lives as long as the command.
    let theirs = format!("/proc/{pid}/root/etc/resolv.conf");
    let resolves = std::fs::read(&theirs).and_then(|text| std::fs::write("/etc/resolv.conf", text));
    if let Err(e) = resolves {
        say(&format!(
            "names are looked up as on the node, for {theirs} cannot be used: {e}"
        ));
    }
    let entered = NetNs::open(&format!("/proc/{pid}/ns/net")).and_then(|n| n.set_current());
    if let Err(e) = entered {
        say(&e.to_string());
        return FAILED;
    }
    become_it(after_dashes(words), true)
}

/// The lowest process whose cgroup names one of the ids.
fn process_of(ids: &[&str]) -> Option<u32> {
    let mut pids: Vec<u32> = std::fs::read_dir("/proc")
        .ok()?
        .filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    pids.into_iter().find(|pid| {
        std::fs::read_to_string(format!("/proc/{pid}/cgroup"))
            .is_ok_and(|text| names_one(&text, ids))
    })
}

/// Whether a cgroup file names one of the ids. The systemd driver writes a pod's UID with underscores.
fn names_one(cgroup: &str, ids: &[&str]) -> bool {
    ids.iter()
        .filter(|id| id.len() >= 8)
        .any(|id| cgroup.contains(id) || cgroup.contains(&id.replace('-', "_")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_found_by_its_cgroup_whoever_drives_it() {
        let uid = "0c5d9c3a-1b2f-4c6e-9f00-aabbccddeeff";
        let id = "4f0e11aa22bb33cc";
        for text in [
            "5:memory:/kubepods/burstable/pod0c5d9c3a-1b2f-4c6e-9f00-aabbccddeeff/77",
            "0::/kubepods.slice/kubepods-pod0c5d9c3a_1b2f_4c6e_9f00_aabbccddeeff.slice/cri-containerd-77.scope",
            "0::/../../pod9/4f0e11aa22bb33cc",
        ] {
            assert!(names_one(text, &[uid, id]), "{text}");
        }
        assert!(!names_one("0::/kubepods/pod1/2", &[uid, id]));
        assert!(!names_one("0::/anything", &["", "x"]));
    }

    #[test]
    fn no_word_of_a_world_is_taken_again() {
        let ours = [
            HOLD,
            STAY,
            SESSION,
            END,
            IN_POD,
            kept::SHELL,
            kept::KEEP,
            kept::ON_TERMINAL,
        ];
        for word in ours {
            assert!(!netshoot_lab::own::WORDS.contains(&word), "{word}");
        }
    }

    #[test]
    fn only_own_words_are_taken() {
        assert_eq!(internal(&["diagnose".into()]), None);
        assert_eq!(internal(&[]), None);
    }
}
