//! Stepping into a world that stands: a command in a pod's or a node's network, with the
//! caller's terminal.

use super::child::{folder, mount, write};
use super::terminal::Terminal;
use crate::own::{self, Child, Image};
use crate::{Error, serve};
use netshoot_host::netns::NetNs;
use serde_json::{Value, json};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Runs a command inside the world held by `world` and gives its exit code.
pub(super) fn run(
    world: &Child,
    user_namespace: bool,
    place: &str,
    command: &[String],
) -> Result<i32, Error> {
    let cwd = std::env::current_dir()
        .map(|d| d.to_string_lossy().into_owned())
        .unwrap_or_else(|_| "/".into());
    let mut words: Vec<String> = vec!["netshoot".into(), "__inside".into(), place.into(), cwd];
    words.extend(command.iter().cloned());
    let path = std::env::var("PATH")
        .unwrap_or_else(|_| "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into());
    let env = [
        (
            serve::VARIABLE.to_string(),
            serve::socket().to_string_lossy().into_owned(),
        ),
        (
            "PATH".to_string(),
            format!("{}/bin:{path}", folder().display()),
        ),
    ];
    let image = Image::new(&words, &env)?;
    let mut kinds = libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWNET;
    if user_namespace {
        kinds |= libc::CLONE_NEWUSER;
    }
    let world = world.fd.as_raw_fd();
    // Ctrl-C is for the command, as in system(3): it ends, then we take the world away in order.
    let _quiet = Quiet::begin();
    let terminal = Terminal::ours();
    // A process enters a PID namespace only with its children: one process between.
    // SAFETY: both closures make only system calls with prepared arguments.
    let between = unsafe {
        own::clone(0, || {
            if libc::setns(world, kinds) != 0 {
                return 125;
            }
            own::die_with_parent();
            let pid = libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0);
            if pid == 0 {
                own::die_with_parent();
                if let Some(terminal) = terminal {
                    terminal.take();
                }
                for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGPIPE] {
                    libc::signal(signal, libc::SIG_DFL);
                }
                image.become_it();
                libc::_exit(126);
            }
            match (pid, terminal) {
                (..0, _) => 125,
                (_, Some(terminal)) => terminal.attend(pid as i32),
                (_, None) => own::reap(pid as i32),
            }
        })
    }?;
    Ok(between.reap())
}

/// While it lives, the keyboard's signals are not for this process.
struct Quiet([(i32, libc::sighandler_t); 2]);

impl Quiet {
    fn begin() -> Quiet {
        // SAFETY: SIG_IGN is no handler of ours.
        Quiet([libc::SIGINT, libc::SIGQUIT].map(|s| (s, unsafe { libc::signal(s, libc::SIG_IGN) })))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        for (signal, before) in self.0 {
            // SAFETY: what was there before, as the kernel gave it.
            unsafe { libc::signal(signal, before) };
        }
    }
}

/// `__inside PLACE CWD COMMAND...`: already in the world's namespaces, goes on into the place's.
pub fn main(words: &[String]) -> i32 {
    let [place, cwd, command @ ..] = words else {
        return 64;
    };
    match enter(place) {
        Ok(()) => {}
        Err(why) => return complain(&format!("enter {place}: {why}"), 125),
    }
    if std::env::set_current_dir(cwd).is_err() {
        drop(std::env::set_current_dir("/"));
    }
    let Some(first) = command.first() else {
        return 64;
    };
    if first == "netshoot" {
        return match Image::new(command, &[]) {
            Ok(image) => complain(&format!("start netshoot: error {}", image.become_it()), 126),
            Err(e) => complain(&e.to_string(), 126),
        };
    }
    let refused = Command::new(first)
        .args(command.get(1..).unwrap_or_default())
        .exec();
    let code = if refused.kind() == std::io::ErrorKind::NotFound {
        127
    } else {
        126
    };
    complain(&format!("{first}: {refused}"), code)
}

fn complain(why: &str, code: i32) -> i32 {
    use std::io::Write;
    drop(writeln!(std::io::stderr(), "netshoot: {why}"));
    code
}

/// `here`: whoever started this process has put it there already.
fn enter(place: &str) -> Result<(), String> {
    if place == "here" {
        return Ok(());
    }
    let told = serve::ask(
        Path::new(&serve::socket().to_string_lossy().into_owned()),
        &json!({ "place": place }),
    )
    .map_err(|e| e.to_string())?;
    let text = |key: &str| told.get(key).and_then(Value::as_str).unwrap_or_default();
    let network = NetNs::open(text("netns")).map_err(|e| e.to_string())?;
    network.set_current().map_err(|e| e.to_string())?;
    // SAFETY: no pointers; this process has one thread.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        return Err(format!(
            "a mount namespace of its own: {}",
            std::io::Error::last_os_error()
        ));
    }
    if !Path::new("/etc/resolv.conf").exists() {
        return Ok(());
    }
    let file = folder().join(format!("resolv.conf.{}", std::process::id()));
    write(&file, text("resolv_conf").as_bytes()).map_err(|e| e.to_string())?;
    let bound = mount(
        &file.to_string_lossy(),
        "/etc/resolv.conf",
        "",
        libc::MS_BIND,
        "",
    );
    drop(std::fs::remove_file(&file));
    bound.map_err(|e| e.to_string())
}
