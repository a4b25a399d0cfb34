//! `netshoot install DIR`: links to itself, one for each word that may be typed alone.

use super::{Applet, links};
use crate::io::{Io, Lang};
use crate::report::safe;
use anyhow::{Context, Result, bail};
use clap::{Arg, ArgMatches, Command};
use std::os::unix::fs::symlink;
use std::path::Path;

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
        let at = dir.join(word);
        let shown = safe(&at.display().to_string());
        if std::fs::canonicalize(&at).is_ok_and(|p| p == program) {
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
        symlink(&program, &at).with_context(|| format!("link {}", at.display()))?;
        writeln!(io.out, "{shown}")?;
    }
    Ok(i32::from(refused > 0))
}
