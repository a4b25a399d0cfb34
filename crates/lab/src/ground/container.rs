//! Containers: processes of our own program in a pod's network, under a memory cgroup, with a
//! root folder of their own.

use super::accounting::{Group, Usage};
use super::{Accounting, Ended, Launch};
use crate::hold::child::{make_dirs, mount, write};
use crate::own::{self, Child, Image};
use crate::{Error, behave};
use netshoot_host::netns::NetNs;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::VecDeque;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{PipeReader, Read, Seek, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lines kept of a container's output, and bytes of each.
const LOG_LINES: usize = 200;
const LOG_LINE_BYTES: usize = 2000;

/// What a container's process is called.
pub(super) const NAME: &CStr = c"netshoot-pod";

/// What the new process reads from its descriptor. Nothing of it shows in `/proc`.
#[derive(Serialize, Deserialize)]
struct Orders {
    behaviour: Value,
    resolv_conf: String,
    files: Vec<(String, Vec<u8>)>,
    #[serde(default)]
    program: Option<(PathBuf, Vec<String>)>,
}

/// One container that was started, running or not.
#[derive(Debug)]
pub(super) struct Container {
    pub pod: String,
    pub name: String,
    pub limit: Option<u64>,
    pub began: Instant,
    child: Child,
    /// How often its memory is looked at, where no cgroup does it.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    log: VecDeque<String>,
    partial: Vec<u8>,
    usage: Option<Usage>,
    last: Accounting,
    ended: Option<Ended>,
}

impl Container {
    /// Starts it and the thread that looks after it.
    pub fn start(
        launch: &Launch,
        network: &NetNs,
        group: Option<Group>,
    ) -> Result<(i32, Arc<Container>), Error> {
        let (child, output) = start_process(launch, network, group.as_ref())?;
        let pid = child.pid;
        let usage = match group {
            Some(g) => Usage::Group(g),
            None => Usage::process(pid, launch.memory_limit),
        };
        let container = Arc::new(Container {
            pod: launch.pod.clone(),
            name: launch.container.clone(),
            limit: launch.memory_limit,
            began: Instant::now(),
            child,
            state: Mutex::new(State {
                usage: Some(usage),
                ..State::default()
            }),
        });
        let watched = container.clone();
        let thread = std::thread::Builder::new()
            .name("container".into())
            .stack_size(256 * 1024);
        thread
            .spawn(move || watched.watch(output))
            .map_err(|source| netshoot_host::Error::System {
                tried: "start a thread",
                on: format!("container {}", launch.container),
                source,
            })?;
        Ok((pid, container))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads its output until it ends; then reaps it and asks its cgroup why it ended.
    fn watch(&self, mut output: PipeReader) {
        let mut open = true;
        loop {
            let wait_ms = self.look_at_memory();
            let mut fds = [
                (output.as_raw_fd(), open),
                (self.child.fd.as_raw_fd(), true),
            ]
            .map(|(fd, on)| libc::pollfd {
                fd: if on { fd } else { -1 },
                events: libc::POLLIN,
                revents: 0,
            });
            // SAFETY: two entries, on this stack.
            unsafe { libc::poll(fds.as_mut_ptr(), 2, wait_ms) };
            let [out, end] = fds;
            if out.revents != 0 {
                open = self.read_some(&mut output);
            } else if end.revents != 0 {
                break;
            }
        }
        let code = self.child.reap();
        let mut state = self.state();
        if !state.partial.is_empty() {
            let rest = std::mem::take(&mut state.partial);
            keep_line(&mut state.log, &rest);
        }
        let usage = state.usage.take();
        let out_of_memory =
            code == 128 + libc::SIGKILL && usage.as_ref().is_some_and(Usage::killed);
        if let Some(usage) = usage {
            state.last = usage.read();
            usage.remove();
        }
        state.ended = Some(Ended {
            code,
            out_of_memory,
        });
    }

    /// Where no cgroup limits it, this does; gives how long to wait before the next look.
    fn look_at_memory(&self) -> i32 {
        let mut state = self.state();
        let Some(Usage::Process(p)) = state.usage.as_mut() else {
            return -1;
        };
        if p.look() {
            self.child.signal(libc::SIGKILL);
        }
        20
    }

    fn read_some(&self, output: &mut PipeReader) -> bool {
        let mut bytes = [0; 4096];
        let Ok(n @ 1..) = output.read(&mut bytes) else {
            return false;
        };
        let mut state = self.state();
        for byte in bytes.iter().take(n) {
            if *byte == b'\n' {
                let line = std::mem::take(&mut state.partial);
                keep_line(&mut state.log, &line);
            } else if state.partial.len() < LOG_LINE_BYTES {
                state.partial.push(*byte);
            }
        }
        true
    }

    pub fn ended(&self) -> Option<Ended> {
        self.state().ended
    }

    pub fn signal(&self, signal: i32) {
        if self.ended().is_none() {
            self.child.signal(signal);
        }
    }

    pub fn memory(&self) -> Accounting {
        let state = self.state();
        state
            .usage
            .as_ref()
            .map(Usage::read)
            .unwrap_or_else(|| state.last.clone())
    }

    pub fn log(&self) -> Vec<String> {
        self.state().log.iter().cloned().collect()
    }

    /// Waits until it was reaped.
    pub fn wait(&self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        while self.ended().is_none() {
            if Instant::now() > end {
                return false;
            }
            self.child.wait_end(50);
            // The watching thread needs a moment from the process's end to its being reaped.
            std::thread::yield_now();
        }
        true
    }
}

fn keep_line(log: &mut VecDeque<String>, line: &[u8]) {
    if log.len() == LOG_LINES {
        log.pop_front();
    }
    log.push_back(String::from_utf8_lossy(line).into_owned());
}

fn start_process(
    launch: &Launch,
    network: &NetNs,
    group: Option<&Group>,
) -> Result<(Child, PipeReader), Error> {
    let orders = Orders {
        behaviour: launch.behaviour.clone(),
        resolv_conf: launch.resolv_conf.clone(),
        files: launch.files.clone(),
        program: launch.program.clone(),
    };
    let orders = in_memory(&serde_json::to_vec(&orders).unwrap_or_default())?;
    let broken = |source| netshoot_host::Error::System {
        tried: "make a pipe",
        on: launch.container.clone(),
        source,
    };
    // Its input is at its end from the start; its output and errors come to us.
    let (input, _) = std::io::pipe().map_err(broken)?;
    let (output, its_output) = std::io::pipe().map_err(broken)?;
    let procs = group.map(Group::procs).transpose()?;
    let words = [
        "netshoot-pod".into(),
        "__pod".into(),
        orders.as_raw_fd().to_string(),
    ];
    // A runtime tells the program its limit (as `GOMEMLIMIT` or a JVM's own look does); where there is
    // no cgroup to read it from, this is the only way.
    let mut env = launch.env.clone();
    env.extend(
        launch
            .memory_limit
            .map(|l| (behave::MEMORY_LIMIT.to_string(), l.to_string())),
    );
    let image = Image::bare(&words, &env)?;
    let (input_fd, output_fd) = (input.as_raw_fd(), its_output.as_raw_fd());
    let procs_fd = procs.as_ref().map_or(-1, AsRawFd::as_raw_fd);
    // SAFETY: system calls with prepared arguments only.
    let child = unsafe {
        own::clone(0, || {
            // Into its cgroup and network first: everything it ever has is counted and lies there.
            if procs_fd >= 0 && libc::write(procs_fd, c"0".as_ptr().cast(), 1) != 1 {
                return 125;
            }
            if libc::setns(network.as_raw_fd(), libc::CLONE_NEWNET) != 0 {
                return 125;
            }
            libc::setsid();
            libc::dup2(input_fd, 0);
            libc::dup2(output_fd, 1);
            libc::dup2(output_fd, 2);
            own::keep_over_exec(orders.as_raw_fd());
            image.become_it();
            126
        })
    }?;
    Ok((child, output))
}

/// A file that exists only in memory and in descriptors.
fn in_memory(content: &[u8]) -> Result<File, Error> {
    // SAFETY: a constant string; the descriptor is new and ours.
    let fd = unsafe { libc::memfd_create(c"pod".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(netshoot_host::Error::last("make a file in memory", "a pod's orders").into());
    }
    // SAFETY: just made, owned by nobody else.
    let mut file = unsafe { File::from_raw_fd(fd) };
    file.write_all(content)
        .and_then(|()| file.rewind())
        .map_err(|source| netshoot_host::Error::System {
            tried: "write a file in memory",
            on: "a pod's orders".into(),
            source,
        })?;
    Ok(file)
}

/// The container's process: `__pod ORDERS`.
pub fn main(words: &[String]) -> i32 {
    own::name_process(NAME);
    let orders = own::inherited(words.first()).and_then(|fd| {
        let mut text = String::new();
        File::from(fd).read_to_string(&mut text).ok()?;
        serde_json::from_str::<Orders>(&text).ok()
    });
    let Some(orders) = orders else { return 64 };
    // The container's root will not show the world's socket: whoever needs it connects before.
    let dns = orders
        .behaviour
        .get("dns")
        .and_then(serde_json::Value::as_bool)
        == Some(true);
    let world = if dns && orders.program.is_none() {
        std::os::unix::net::UnixStream::connect(crate::serve::socket()).ok()
    } else {
        None
    };
    if let Err(e) = make_root(&orders) {
        drop(writeln!(std::io::stderr(), "container root: {e}"));
        return 125;
    }
    match &orders.program {
        Some((_, arguments)) => become_program(arguments),
        None => behave::run(&orders.behaviour, world),
    }
}

/// A client of the API in a container wants one.
const TOKEN: &str = "var/run/secrets/kubernetes.io/serviceaccount/token";
/// Where a container's own program lies in its root.
const PROGRAM: &str = "program";

/// Becomes the program that was put into its root; comes back with the code of a shell that could not.
fn become_program(arguments: &[String]) -> i32 {
    use std::os::unix::process::CommandExt;
    let path = Path::new("/").join(PROGRAM);
    let e = std::process::Command::new(&path).args(arguments).exec();
    drop(writeln!(std::io::stderr(), "exec {}: {e}", path.display()));
    126
}

/// A root with what a container of one static program needs: its resolv.conf, its volumes, /proc
/// and /dev. Nothing of the machine's files.
fn make_root(orders: &Orders) -> Result<(), Error> {
    // SAFETY: no pointers; this process has one thread.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        return Err(netshoot_host::Error::last("make a mount namespace", "a container").into());
    }
    mount("", "/", "", libc::MS_REC | libc::MS_PRIVATE, "")?;
    let root = if Path::new("/run").is_dir() {
        "/run"
    } else {
        "/mnt"
    };
    mount(
        "tmpfs",
        root,
        "tmpfs",
        libc::MS_NOSUID | libc::MS_NODEV,
        "size=8m,mode=755",
    )?;
    let root = Path::new(root);
    write(&root.join("etc/resolv.conf"), orders.resolv_conf.as_bytes())?;
    write(
        &root.join("etc/hosts"),
        b"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n",
    )?;
    for (path, content) in &orders.files {
        // A path from a manifest: kept below the root whatever it says.
        let below: std::path::PathBuf = Path::new(path)
            .components()
            .filter(|c| matches!(c, std::path::Component::Normal(_)))
            .collect();
        write(&root.join(below), content)?;
    }
    for shared in ["proc", "dev"] {
        let from = Path::new("/").join(shared);
        let to = root.join(shared);
        make_dirs(&to)?;
        if from.is_dir() {
            mount(
                &from.to_string_lossy(),
                &to.to_string_lossy(),
                "",
                libc::MS_BIND | libc::MS_REC,
                "",
            )?;
        }
    }
    make_dirs(&root.join("tmp"))?;
    if let Some((program, _)) = &orders.program {
        // It is larger than this root, and stays where it is.
        let at = root.join(PROGRAM);
        write(&at, b"")?;
        write(&root.join(TOKEN), b"none")?;
        mount(
            &program.to_string_lossy(),
            &at.to_string_lossy(),
            "",
            libc::MS_BIND,
            "",
        )?;
    }
    let path = CString::new(root.to_string_lossy().as_ref()).unwrap_or_default();
    // SAFETY: two strings that end with 0.
    if unsafe { libc::chroot(path.as_ptr()) != 0 || libc::chdir(c"/".as_ptr()) != 0 } {
        return Err(netshoot_host::Error::last(
            "enter the container's root",
            root.display().to_string(),
        )
        .into());
    }
    Ok(())
}
