//! This program, as a file: how a tool starts another one.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where this program's file is: `/proc` says, or the kernel told when it started it.
pub fn file() -> Option<PathBuf> {
    if let Ok(file) = std::env::current_exe()
        && file.exists()
    {
        return Some(file);
    }
    let told = rustix::param::linux_execfn();
    let file = Path::new(OsStr::from_bytes(told.to_bytes()));
    std::path::absolute(file).ok().filter(|f| f.exists())
}

/// Whether a folder of `PATH` has a program of that name.
pub fn in_path(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|d| {
        let file = d.join(name);
        file.is_file() && rustix::fs::access(&file, rustix::fs::Access::EXEC_OK).is_ok()
    })
}

/// A command by name: where `PATH` has none, this program under that name.
pub fn command(name: &str) -> Command {
    let known = crate::named(OsStr::new(name)).is_some() || crate::NEIGHBOURS.contains(&name);
    let own = known && !in_path(name);
    match file().filter(|_| own) {
        Some(file) => {
            let mut c = Command::new(file);
            c.arg0(name);
            c
        }
        None => Command::new(name),
    }
}
