//! `netshoot install DIR`: links to itself, one for each word that may be typed alone.

use super::{Applet, links};
use crate::io::{Io, Lang};
use crate::report::safe;
use anyhow::{Context, Result, bail};
use clap::{Arg, ArgMatches, Command};
use std::path::{Path, PathBuf};

/// The word.
pub const APPLET: Applet = Applet {
    name: "install",
    about: "Put links to this program into a folder, one for each word; overwrites nothing",
    about_zh: "在目录中为各子命令创建指向本程序的链接；不覆盖任何文件",
    link: false,
    arguments,
    run,
};

fn arguments(c: Command, lang: Lang) -> Command {
    c.arg(
        Arg::new("dir")
            .value_name("DIR")
            .required(true)
            .help(lang.pick("Where the links go", "链接所在目录")),
    )
}

fn run(m: &ArgMatches, io: &mut Io<'_>) -> Result<i32> {
    let dir = Path::new(m.get_one::<String>("dir").map_or("", String::as_str));
    let program = std::env::current_exe().context("find the path of this program")?;
    if !dir.is_dir() {
        bail!("{} is not a folder", dir.display());
    }
    let mut refused = 0;
    for word in links() {
        let at = named(dir, word);
        let shown = safe(&at.display().to_string());
        if is_there(&at, &program) {
            writeln!(
                io.out,
                "{shown}: {}",
                io.lang.pick("is there already", "已存在")
            )?;
            continue;
        }
        if at.symlink_metadata().is_ok() {
            refused += 1;
            writeln!(
                io.err,
                "{shown}: {}",
                io.lang.pick(
                    "something else is there; left alone",
                    "已有其他文件，未改动"
                )
            )?;
            continue;
        }
        link(&program, &at).with_context(|| format!("link {}", at.display()))?;
        writeln!(io.out, "{shown}")?;
    }
    Ok(i32::from(refused > 0))
}

fn named(dir: &Path, word: &str) -> PathBuf {
    dir.join(format!("{word}{}", std::env::consts::EXE_SUFFIX))
}

#[cfg(unix)]
fn is_there(at: &Path, program: &Path) -> bool {
    std::fs::canonicalize(at).is_ok_and(|p| p == program)
}

#[cfg(unix)]
fn link(program: &Path, at: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(program, at)
}

/// A second name of one file has no place of its own: it is known by what is in it.
#[cfg(windows)]
fn is_there(at: &Path, program: &Path) -> bool {
    matches!((std::fs::read(at), std::fs::read(program)), (Ok(a), Ok(b)) if a == b)
}

/// Symbolic links take a right there that people do not have.
#[cfg(windows)]
fn link(program: &Path, at: &Path) -> std::io::Result<()> {
    std::fs::hard_link(program, at)
}
