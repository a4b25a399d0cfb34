//! The shelf of words: each a file with a `pub const APPLET`, reached as `netshoot WORD` or
//! through a link of that name. Parser, help, completions and man pages are computed from it.
//!
//! To add one: a file, its `mod` line, its line in [`ALL`].

mod demo;
mod diagnose;
mod lab;

use crate::io::Io;
use anyhow::Result;
use clap::{ArgMatches, Command};

/// One word.
pub struct Applet {
    /// The word people type.
    pub name: &'static str,
    /// One line, English.
    pub about: &'static str,
    /// One line, Chinese.
    pub about_zh: &'static str,
    /// Its arguments, added to a command of that name.
    pub arguments: fn(Command) -> Command,
    /// Does it; gives the exit code.
    pub run: fn(&ArgMatches, &mut Io<'_>) -> Result<i32>,
}

/// All words, in the order of the help.
pub const ALL: &[&Applet] = &[&diagnose::APPLET, &lab::APPLET, &demo::APPLET];
