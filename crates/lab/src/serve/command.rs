//! Commands on a node or in a pod: the ordinary words of administrators. The few that remedies use
//! are built in, so that they work where their tools are not installed; all others are looked for
//! on this machine.

mod words;

use crate::hold::child::{folder, write};
use crate::own::{self, Image};
use crate::{Error, ground};
use netshoot_host::netns::NetNs;
use netshoot_host::{link, nft};
use serde::Serialize;
use std::ffi::CString;
use std::io::{PipeReader, Read};
use std::os::fd::AsRawFd;
use std::path::Path;
use words::{Builtin, parse};

/// Bytes kept of what a command prints.
const LONGEST_OUTPUT: u64 = 1 << 20;
/// Longest time a command may take, milliseconds.
const LONGEST_RUN_MS: i32 = 60_000;

/// How a command ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Done {
    /// Exit code.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it complained.
    pub stderr: String,
}

/// Runs `argv` in this network.
pub fn run(network: &NetNs, resolv_conf: &str, argv: &[String]) -> Result<Done, Error> {
    match parse(argv) {
        Some(builtin) => Ok(match network.enter(|| carry_out(&builtin))? {
            Ok(stdout) => Done {
                stdout,
                ..Done::default()
            },
            Err(e) => Done {
                code: 1,
                stderr: format!("{e}\n"),
                ..Done::default()
            },
        }),
        None => start(network, resolv_conf, argv),
    }
}

/// Does a built-in command in the namespace of the calling thread; gives what it prints.
fn carry_out(builtin: &Builtin) -> Result<String, Error> {
    match builtin {
        Builtin::Sysctls { set, only_value } => {
            let mut out = String::new();
            for (name, value) in set {
                if let Some(value) = value {
                    ground::sysctl::write(name, value)?;
                }
                let absent = || Error::Absent {
                    what: format!("sysctl {name} is not here"),
                };
                let now = ground::sysctl::read(name).ok_or_else(absent)?;
                out.push_str(&if *only_value {
                    format!("{now}\n")
                } else {
                    format!("{name} = {now}\n")
                });
            }
            return Ok(out);
        }
        Builtin::Link {
            name,
            up,
            mtu,
            master,
        } => {
            if let Some(mtu) = mtu {
                link::set_mtu(name, *mtu)?;
            }
            match master.as_deref() {
                Some("") => link::clear_master(name)?,
                Some(bridge) => link::set_master(name, bridge)?,
                None => {}
            }
            match up {
                Some(true) => link::set_up(name)?,
                Some(false) => link::set_down(name)?,
                None => {}
            }
        }
        Builtin::Hairpin { name, on } => link::set_hairpin(name, *on)?,
        Builtin::Route {
            add,
            replace,
            to,
            via,
            dev,
        } => {
            if *replace || !*add {
                let gone =
                    link::del_route(to.address, to.prefix, if *add { None } else { *via }, None);
                if !*add {
                    gone?;
                }
            }
            if *add {
                link::add_route(to.address, to.prefix, *via, dev.as_deref())?;
            }
        }
        Builtin::Policy {
            family,
            table,
            chain,
            drop,
        } => {
            nft::Batch::new()
                .set_policy(*family, table, chain, *drop)
                .apply()?;
        }
        Builtin::DeleteRule {
            family,
            table,
            chain,
            handle,
        } => {
            nft::Batch::new()
                .delete_rule(*family, table, chain, *handle)
                .apply()?;
        }
        Builtin::DeleteTable { family, table } => {
            nft::Batch::new().delete_table(*family, table).apply()?
        }
    }
    Ok(String::new())
}

/// Starts a program of this machine, or our own, in this network.
fn start(network: &NetNs, resolv_conf: &str, argv: &[String]) -> Result<Done, Error> {
    let first = argv.first().ok_or_else(|| Error::Absent {
        what: "a command needs words".into(),
    })?;
    let mut words: Vec<String> = vec![
        "netshoot".into(),
        "__inside".into(),
        "here".into(),
        "/".into(),
    ];
    words.extend(argv.iter().cloned());
    let resolv = folder().join(format!("node-resolv.conf.{}", network.as_raw_fd()));
    let bind = Path::new("/etc/resolv.conf").exists() && folder().is_dir();
    if bind {
        write(&resolv, resolv_conf.as_bytes())?;
    }
    let c = |s: &str| CString::new(s).unwrap_or_default();
    let (from, to) = (c(&resolv.to_string_lossy()), c("/etc/resolv.conf"));
    let image = Image::new(&words, &[])?;
    let broken = |source| netshoot_host::Error::System {
        tried: "make a pipe",
        on: first.clone(),
        source,
    };
    let (input, _) = std::io::pipe().map_err(broken)?;
    let (out, its_out) = std::io::pipe().map_err(broken)?;
    let (err, its_err) = std::io::pipe().map_err(broken)?;
    let fds = [input.as_raw_fd(), its_out.as_raw_fd(), its_err.as_raw_fd()];
    // SAFETY: system calls with prepared arguments only.
    let child = unsafe {
        own::clone(libc::CLONE_NEWNS, || {
            if libc::setns(network.as_raw_fd(), libc::CLONE_NEWNET) != 0 {
                return 125;
            }
            let (none, private) = (std::ptr::null(), libc::MS_REC | libc::MS_PRIVATE);
            libc::mount(none, c"/".as_ptr(), none, private, std::ptr::null());
            if bind {
                libc::mount(
                    from.as_ptr(),
                    to.as_ptr(),
                    none,
                    libc::MS_BIND,
                    std::ptr::null(),
                );
            }
            libc::setsid();
            for (to, from) in fds.iter().enumerate() {
                libc::dup2(*from, to as i32);
            }
            image.become_it();
            126
        })
    }?;
    drop((input, its_out, its_err));
    let outputs = [out, err].map(|pipe| std::thread::spawn(move || printed(pipe)));
    if !child.wait_end(LONGEST_RUN_MS) {
        child.signal(libc::SIGKILL);
    }
    let code = child.reap();
    let [stdout, stderr] = outputs.map(|o| o.join().unwrap_or_default());
    Ok(Done {
        code,
        stdout,
        stderr,
    })
}

fn printed(pipe: PipeReader) -> String {
    let mut bytes = Vec::new();
    drop(pipe.take(LONGEST_OUTPUT).read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}
