//! Processes made of our own program: the one that holds a world, the one that looks after its
//! memory cgroups, the ones that play containers, the one that steps inside.
//!
//! All start as a copy of this process (clone without shared memory) that at once becomes a fresh
//! image of the same file, named by a descriptor. So it does not matter how many threads the
//! caller has, where the file lies, or whether it is still there: between clone and execveat only
//! system calls with prepared arguments are made.

use netshoot_host::Error;
use std::ffi::{CStr, CString, c_char, c_int};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// First words under which the program is started by itself, never by a person.
pub const WORDS: [&str; 4] = ["__world", "__keep", "__pod", "__inside"];

/// Runs an internal word. `words` is what follows the program's name; none when the first is not
/// one of [`WORDS`].
pub fn internal(words: &[String]) -> Option<i32> {
    let rest = words.get(1..).unwrap_or_default();
    match words.first()?.as_str() {
        "__world" => Some(crate::hold::child::main(rest)),
        "__keep" => Some(crate::hold::cgroup::keep(rest)),
        "__pod" => Some(crate::ground::container::main(rest)),
        "__inside" => Some(crate::hold::inside::main(rest)),
        #[cfg(test)]
        "__test_hold" => Some(crate::hold::tests::parent()),
        _ => None,
    }
}

/// Our own program, as a descriptor.
pub fn program() -> Result<File, Error> {
    // Without /proc (an empty root) the path the program was started with is the next best.
    let by_path = || {
        // SAFETY: the kernel puts a pointer to a string that lives as long as the process there, or 0.
        let at = unsafe { libc::getauxval(libc::AT_EXECFN) } as *const c_char;
        if at.is_null() {
            return Err(io::Error::from_raw_os_error(libc::ENOENT));
        }
        // SAFETY: not null, and a string that ends with 0 (execve(2)).
        File::open(unsafe { CStr::from_ptr(at) }.to_string_lossy().as_ref())
    };
    File::open("/proc/self/exe")
        .or_else(|_| by_path())
        .map_err(|source| Error::System {
            tried: "open our own program",
            on: "/proc/self/exe".into(),
            source,
        })
}

/// Everything execveat(2) needs, prepared before the clone.
pub struct Image {
    program: File,
    _words: Vec<CString>,
    _env: Vec<CString>,
    argv: Vec<*const c_char>,
    envp: Vec<*const c_char>,
}

impl Image {
    /// Our own program with these words (the first is its name) and this process's environment
    /// plus `extra`.
    pub fn new(words: &[String], extra: &[(String, String)]) -> Result<Image, Error> {
        let inherited = std::env::vars_os()
            .filter(|(k, _)| !extra.iter().any(|(name, _)| k == name.as_str()))
            .map(|(k, v)| [k.as_encoded_bytes(), b"=", v.as_encoded_bytes()].concat());
        Image::with(words, inherited.chain(written(extra)).collect())
    }

    /// The same with `env` as its whole environment.
    pub fn bare(words: &[String], env: &[(String, String)]) -> Result<Image, Error> {
        Image::with(words, written(env).collect())
    }

    fn with(words: &[String], env: Vec<Vec<u8>>) -> Result<Image, Error> {
        let bad = |_| Error::Absent {
            what: "a zero byte in an argument".into(),
        };
        let words: Vec<CString> = words
            .iter()
            .map(|w| CString::new(w.as_str()))
            .collect::<Result<_, _>>()
            .map_err(bad)?;
        let env: Vec<CString> = env
            .into_iter()
            .map(CString::new)
            .collect::<Result<_, _>>()
            .map_err(bad)?;
        let pointers = |v: &[CString]| {
            v.iter()
                .map(|c| c.as_ptr())
                .chain([std::ptr::null()])
                .collect()
        };
        let (argv, envp) = (pointers(&words), pointers(&env));
        Ok(Image {
            program: program()?,
            _words: words,
            _env: env,
            argv,
            envp,
        })
    }

    /// Becomes the program; comes back only when the kernel refuses, with the error number.
    /// Async-signal-safe.
    pub fn become_it(&self) -> c_int {
        // SAFETY: both arrays end with a null pointer and point into strings owned by self.
        unsafe {
            libc::syscall(
                libc::SYS_execveat,
                self.program.as_raw_fd(),
                c"".as_ptr(),
                self.argv.as_ptr(),
                self.envp.as_ptr(),
                libc::AT_EMPTY_PATH,
            );
            *libc::__errno_location()
        }
    }
}

fn written(env: &[(String, String)]) -> impl Iterator<Item = Vec<u8>> {
    env.iter().map(|(k, v)| format!("{k}={v}").into_bytes())
}

/// A child: its process id and a descriptor of it.
#[derive(Debug)]
pub struct Child {
    /// Process id as this process sees it.
    pub pid: i32,
    /// pidfd_open(2)'s descriptor: readable once it has ended.
    pub fd: OwnedFd,
}

/// fork(2) with namespaces. The child runs `work` and ends with its code.
///
/// # Safety
/// `work` must make only async-signal-safe calls (system calls with prepared arguments): other
/// threads of this process may have held any lock at the moment of the copy.
pub unsafe fn clone(namespaces: c_int, work: impl FnOnce() -> c_int) -> Result<Child, Error> {
    let mut fd: RawFd = -1;
    let flags = namespaces | libc::CLONE_PIDFD | libc::SIGCHLD;
    let mut all = empty_signals();
    let mut before = empty_signals();
    // SAFETY: both sets live on this stack. No handler may run in the copy before it is another image.
    unsafe {
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
    }
    // SAFETY: no stack and no shared memory: like fork(2). `fd` is where CLONE_PIDFD writes.
    let pid = unsafe {
        libc::syscall(
            libc::SYS_clone,
            flags as libc::c_ulong,
            0,
            &mut fd as *mut RawFd,
            0,
            0,
        )
    };
    if pid == 0 {
        let none = empty_signals();
        // SAFETY: the set is on this stack; _exit does not come back.
        unsafe {
            libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
            libc::_exit(work())
        }
    }
    let failed = io::Error::last_os_error();
    // SAFETY: restores the mask read above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut()) };
    if pid < 0 {
        return Err(Error::System {
            tried: "start a process",
            on: "our own program".into(),
            source: failed,
        });
    }
    // SAFETY: the kernel just made this descriptor for us.
    Ok(Child {
        pid: pid as i32,
        fd: unsafe { OwnedFd::from_raw_fd(fd) },
    })
}

fn empty_signals() -> libc::sigset_t {
    // SAFETY: an all-zero set is a valid set, and sigemptyset makes it the empty one.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        set
    }
}

impl Child {
    /// Waits until it has ended or `ms` have passed (-1 for ever). Does not reap.
    pub fn wait_end(&self, ms: i32) -> bool {
        readable(self.fd.as_raw_fd(), ms)
    }

    /// Sends a signal; one that is gone already is not an error.
    pub fn signal(&self, signal: c_int) {
        // SAFETY: no pointers but a null siginfo.
        unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.fd.as_raw_fd(),
                signal,
                std::ptr::null::<c_char>(),
                0,
            )
        };
    }

    /// Waits for the end and takes the exit code, 128 + signal when killed.
    pub fn reap(&self) -> i32 {
        reap(self.pid)
    }
}

/// waitpid(2): the exit code, 128 + signal when killed. Async-signal-safe.
pub fn reap(pid: i32) -> i32 {
    let mut status = 0;
    loop {
        // SAFETY: status is on this stack.
        let got = unsafe { libc::waitpid(pid, &mut status, 0) };
        if got == pid {
            return if libc::WIFSIGNALED(status) {
                128 + libc::WTERMSIG(status)
            } else {
                libc::WEXITSTATUS(status)
            };
        }
        // SAFETY: errno is the calling thread's own.
        if got < 0 && unsafe { *libc::__errno_location() } != libc::EINTR {
            return 255;
        }
    }
}

/// Waits until a descriptor is readable or at its end. Async-signal-safe.
pub fn readable(fd: RawFd, ms: i32) -> bool {
    let mut one = libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one entry, on this stack.
    unsafe { libc::poll(&mut one, 1, ms) > 0 }
}

/// The kernel kills this process when the thread that started it ends. Async-signal-safe.
pub fn die_with_parent() {
    // SAFETY: no pointers.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
}

/// Lets a descriptor survive execve(2). Async-signal-safe.
pub fn keep_over_exec(fd: RawFd) {
    // SAFETY: no pointers.
    unsafe { libc::fcntl(fd, libc::F_SETFD, 0) };
}

/// What `ps` shows.
pub fn name_process(name: &CStr) {
    // SAFETY: a string that ends with 0; the kernel copies at most 16 bytes.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}

/// The descriptor a parent of ours left under this number.
pub fn inherited(word: Option<&String>) -> Option<OwnedFd> {
    let fd: RawFd = word?.parse().ok().filter(|fd| *fd > 2)?;
    // SAFETY: asks only whether the number is open.
    if unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } != 0 {
        return None;
    }
    // SAFETY: open, handed over by the process that became this one, owned by nobody else.
    Some(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// In tests the program is the test harness: this runs before its `main` and takes the internal
/// words away from it.
#[cfg(test)]
mod in_tests {
    use super::*;

    #[used]
    #[unsafe(link_section = ".init_array")]
    static FIRST: extern "C" fn(c_int, *const *const c_char, *const *const c_char) = first;

    extern "C" fn first(count: c_int, argv: *const *const c_char, _env: *const *const c_char) {
        let words: Vec<String> = (1..count as usize)
            // SAFETY: argv holds count strings.
            .map(|i| {
                unsafe { CStr::from_ptr(*argv.add(i)) }
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        if let Some(code) = internal(&words) {
            // SAFETY: ends the process before the harness begins.
            unsafe { libc::_exit(code) };
        }
    }
}
