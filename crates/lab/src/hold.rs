//! The process that holds a world, and ends with its parent.
//!
//! One process (PID 1 of its own PID namespace) builds and runs everything: namespaces, links,
//! containers are its threads, children and descriptors. When it ends the kernel takes all of it
//! away. It ends when its parent ends, however that ends, at whatever moment:
//!
//! - `PR_SET_PDEATHSIG` is set before anything is built, so a killed parent kills it;
//! - a parent that was gone before that leaves a control socket at its end, which is looked at
//!   from the first moment on;
//! - the PID namespace takes every process inside with it, the mount and network namespaces
//!   what they hold. Nothing of it has a name outside.
//!
//! Memory cgroups are the one thing that lives in the machine's tree: see [`cgroup`].

pub mod cgroup;
pub mod child;
pub mod inside;
mod terminal;

use crate::Error;
use crate::own::{self, Child, Image};
use crate::world::World;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::ffi::CString;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How a world is held.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Options {
    /// `healthy`, `near-miss`, or empty for the world itself.
    #[serde(default)]
    pub twin: String,
    /// Only namespaces and links; nothing runs in it.
    #[serde(default)]
    pub bare: bool,
    /// The folder of upstream's programs, where the world runs on them.
    #[serde(default)]
    pub real: Option<crate::real::Programs>,
}

/// What the holding process is told to build.
#[derive(Serialize, Deserialize)]
pub(crate) struct Orders {
    pub world: World,
    pub seed: u64,
    pub options: Options,
    /// Our folder in the machine's memory cgroups, where there is one.
    pub cgroup: Option<cgroup::Root>,
}

/// A world that stands for as long as this value lives.
#[derive(Debug)]
pub struct Held {
    child: Child,
    control: BufReader<UnixStream>,
    holder: Option<JoinHandle<i32>>,
    keeper: Option<cgroup::Keeper>,
    user_namespace: bool,
}

/// How long an orderly end may take before it is forced.
const END_MS: i32 = 1500;

/// Starts the process that builds and runs `world`. It is not ready yet: [`Held::wait_ready`].
pub fn hold(world: &World, seed: u64, options: &Options) -> Result<Held, Error> {
    let user_namespace = !own_rights();
    cgroup::sweep();
    // Without root there is no cgroup; the ground then accounts and limits by process.
    let keeper = if user_namespace || options.bare {
        None
    } else {
        cgroup::Keeper::start()?
    };
    let (ours, theirs) = UnixStream::pair().map_err(|source| netshoot_host::Error::System {
        tried: "make a socket pair",
        on: "the world's control".into(),
        source,
    })?;
    let orders = Orders {
        world: world.clone(),
        seed,
        options: options.clone(),
        cgroup: keeper.as_ref().map(|k| k.root.clone()),
    };
    let words = start_words(&theirs, keeper.as_ref());
    let image = Image::new(&words, &[])?;
    let alive = keeper.as_ref().map_or(-1, cgroup::Keeper::alive_fd);
    let started = Started {
        image,
        control: theirs,
        alive,
        user_namespace,
    };
    let (child, holder) = hold_by_thread(started)?;
    let mut held = Held {
        child,
        control: BufReader::new(ours),
        holder: Some(holder),
        keeper,
        user_namespace,
    };
    if let Some(k) = held.keeper.as_mut() {
        k.let_go();
    }
    let mut text = serde_json::to_string(&orders).map_err(|e| Error::Format {
        file: world.name.clone(),
        why: e.to_string(),
    })?;
    text.push('\n');
    let told = held.control.get_mut().write_all(text.as_bytes());
    told.map_err(|_| held.why_ended())?;
    Ok(held)
}

fn start_words(control: &UnixStream, keeper: Option<&cgroup::Keeper>) -> Vec<String> {
    let alive = keeper.map_or(-1, cgroup::Keeper::alive_fd);
    vec![
        "netshoot".into(),
        "__world".into(),
        control.as_raw_fd().to_string(),
        alive.to_string(),
    ]
}

struct Started {
    image: Image,
    control: UnixStream,
    alive: i32,
    user_namespace: bool,
}

// SAFETY: the pointers inside Image point into strings it owns; nothing else writes to them.
unsafe impl Send for Started {}

/// The signal of `PR_SET_PDEATHSIG` comes when the *thread* that started the child ends. So that
/// thread does nothing else, and lives as long as the world.
fn hold_by_thread(started: Started) -> Result<(Child, JoinHandle<i32>), Error> {
    let (tell, told) = mpsc::channel();
    let holder = std::thread::Builder::new()
        .name("world-holder".into())
        .spawn(move || {
            // The whole value, not its fields one by one: that is what is Send.
            let started = started;
            match start_child(&started) {
                Ok(child) => {
                    let pid = child.pid;
                    drop(started);
                    if tell.send(Ok(child)).is_err() {
                        return 255;
                    }
                    own::reap(pid)
                }
                Err(e) => {
                    drop(tell.send(Err(e)));
                    255
                }
            }
        });
    let holder = holder.map_err(|source| netshoot_host::Error::System {
        tried: "start a thread",
        on: "the world's holder".into(),
        source,
    })?;
    let child = told.recv().unwrap_or_else(|_| {
        Err(netshoot_host::Error::Absent {
            what: "the world's holder".into(),
        })
    });
    Ok((child?, holder))
}

fn start_child(started: &Started) -> Result<Child, netshoot_host::Error> {
    // SAFETY: no pointers.
    let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
    let maps = [
        (c"/proc/self/setgroups", CString::from(c"deny")),
        (
            c"/proc/self/uid_map",
            CString::new(format!("0 {uid} 1")).unwrap_or_default(),
        ),
        (
            c"/proc/self/gid_map",
            CString::new(format!("0 {gid} 1")).unwrap_or_default(),
        ),
    ];
    let mut namespaces = libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWNET;
    if started.user_namespace {
        namespaces |= libc::CLONE_NEWUSER;
    }
    let work = || {
        own::die_with_parent();
        // SAFETY: system calls with prepared arguments only.
        unsafe {
            // The terminal's signals are for the parent, which ends the world in order.
            libc::setsid();
            if started.user_namespace {
                for (file, text) in &maps {
                    let fd = libc::open(file.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
                    libc::write(fd, text.as_ptr().cast(), text.as_bytes().len());
                    libc::close(fd);
                }
            }
        }
        own::keep_over_exec(started.control.as_raw_fd());
        own::keep_over_exec(started.alive);
        started.image.become_it();
        126
    };
    // SAFETY: `work` makes only system calls with prepared arguments.
    unsafe { own::clone(namespaces, work) }.map_err(|e| match e.errno() {
        Some(libc::EPERM | libc::ENOSPC | libc::EUSERS) if started.user_namespace => netshoot_host::Error::Denied {
            tried: "make a user namespace for the world".into(),
            missing: "CAP_SYS_ADMIN or user namespaces (a chroot has none)",
            how_to_get: "run as root, or: sudo sysctl -w kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000 (on Ubuntu also kernel.apparmor_restrict_unprivileged_userns=0)".into(),
        },
        _ => e,
    })
}

/// Whether namespaces can be made without a user namespace: CAP_SYS_ADMIN and CAP_NET_ADMIN.
pub fn own_rights() -> bool {
    const NEEDED: u32 = (1 << 21) | (1 << 12);
    /// `_LINUX_CAPABILITY_VERSION_3` (linux/capability.h).
    const VERSION: u32 = 0x2008_0522;
    // Asked of the kernel, not of /proc, which an empty root does not have.
    let mut header = [VERSION, 0];
    // Effective, permitted, inheritable: of the capabilities 0 to 31, then of the others.
    let mut sets = [0_u32; 6];
    // SAFETY: a header of two words, of this process, and two structures of three words.
    let done = unsafe { libc::syscall(libc::SYS_capget, header.as_mut_ptr(), sets.as_mut_ptr()) };
    done == 0 && sets[0] & NEEDED == NEEDED
}

impl Held {
    /// Process id of the process that holds the world.
    pub fn pid(&self) -> i32 {
        self.child.pid
    }

    /// The world's socket as this process (outside) reaches it.
    pub fn socket(&self) -> PathBuf {
        PathBuf::from(format!(
            "/proc/{}/root{}",
            self.child.pid,
            crate::serve::socket().display()
        ))
    }

    /// Waits until the world is ready; each step is handed to `progress`. A world that cannot be
    /// built says why.
    pub fn wait_ready(
        &mut self,
        limit: Duration,
        progress: &mut dyn FnMut(&str),
    ) -> Result<(), Error> {
        let end = Instant::now() + limit;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let timed_out = || Error::Waited {
                for_what: "the world to be ready".into(),
                ms: limit.as_millis() as u64,
            };
            let buffered = !self.control.buffer().is_empty();
            if !buffered
                && !own::readable(self.control.get_ref().as_raw_fd(), left.as_millis() as i32)
            {
                return Err(timed_out());
            }
            let mut line = String::new();
            if self.control.read_line(&mut line).unwrap_or(0) == 0 {
                return Err(self.why_ended());
            }
            let said: Value = serde_json::from_str(&line).unwrap_or_default();
            if said.get("ready").is_some() {
                return Ok(());
            }
            if let Some(why) = said.get("failed").and_then(Value::as_str) {
                return Err(Error::Absent { what: why.into() });
            }
            progress(
                said.get("progress")
                    .and_then(Value::as_str)
                    .unwrap_or_default(),
            );
        }
    }

    /// What could not be carried out in the world once it stood, as it happens: faults at a later
    /// moment. Ends with the world. Once, after [`Held::wait_ready`].
    pub fn hear(&mut self) -> Result<mpsc::Receiver<String>, Error> {
        let failed = |source| netshoot_host::Error::System {
            tried: "hear what a world says",
            on: "the world's control".into(),
            source,
        };
        let stream = self.control.get_ref().try_clone().map_err(failed)?;
        // What was read together with the last line before.
        let rest = self.control.buffer().to_vec();
        let lines = BufReader::new(std::io::Cursor::new(rest).chain(stream)).lines();
        let (tell, told) = mpsc::channel();
        let each = move || {
            for line in lines.map_while(Result::ok) {
                let said: Value = serde_json::from_str(&line).unwrap_or_default();
                let trouble = said.get("trouble").and_then(Value::as_str);
                if trouble.is_some_and(|t| tell.send(t.to_string()).is_err()) {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("world-troubles".into());
        thread.spawn(each).map_err(failed)?;
        Ok(told)
    }

    /// Sends one request to the world and takes its answer.
    pub fn ask(&self, request: &Value) -> Result<Value, Error> {
        crate::serve::ask(&self.socket(), request)
    }

    /// Runs our own program's word or another command inside the world; standard input and output
    /// are the caller's. `place` is `pod/NAMESPACE/NAME` or `node/NAME`. Gives the exit code,
    /// 128 + signal when killed.
    pub fn run(&self, place: &str, command: &[String]) -> Result<i32, Error> {
        inside::run(&self.child, self.user_namespace, place, command)
    }

    /// Waits until this process's standard input is at its end, or the world is.
    pub fn wait_for_input_end(&self) {
        let mut bytes = [0_u8; 256];
        loop {
            let mut fds = [0, self.child.fd.as_raw_fd()].map(|fd| libc::pollfd {
                fd,
                events: libc::POLLIN,
                revents: 0,
            });
            // SAFETY: two entries, on this stack.
            unsafe { libc::poll(fds.as_mut_ptr(), 2, -1) };
            let [input, world] = fds;
            // SAFETY: the buffer is as long as it says.
            let over = |bytes: &mut [u8]| unsafe { libc::read(0, bytes.as_mut_ptr().cast(), bytes.len()) } <= 0;
            if world.revents != 0 || (input.revents != 0 && over(&mut bytes)) {
                return;
            }
        }
    }

    /// Whether the holding process is still there.
    pub fn stands(&self) -> bool {
        !self.child.wait_end(0)
    }

    fn why_ended(&mut self) -> Error {
        self.child.wait_end(END_MS);
        let code = self
            .holder
            .take()
            .and_then(|h| h.join().ok())
            .unwrap_or(255);
        let what = match code {
            126 => "the world's process could not start our own program again".into(),
            c => format!("the world ended while it was being built (code {c})"),
        };
        Error::Absent { what }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // The end of the control socket is the order to end.
        drop(self.control.get_ref().shutdown(std::net::Shutdown::Both));
        if !self.child.wait_end(END_MS) {
            self.child.signal(libc::SIGKILL);
        }
        if let Some(holder) = self.holder.take() {
            drop(holder.join());
        }
        if let Some(keeper) = self.keeper.take() {
            keeper.wait();
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
