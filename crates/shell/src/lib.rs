//! The shell inside: `bash` and the small tools, for images that hold nothing but this program.
//!
//! Reading order: [`word`] (what a word is), [`ALL`] (the one list), then one folder for each tool that is written
//! here. Coreutils, find, xargs, sed, cmp and jq are libraries; `bash` is brush with its gaps closed.
//!
//! Deliberately absent: Kubernetes, probes, diagnosis. Nothing here knows why a person opened a shell, so nothing
//! here can answer for the diagnosis, and the diagnosis cannot lean on what a tool printed.

mod archive;
mod awk;
pub mod bash;
mod clock;
mod diff;
mod find;
mod glob;
mod grep;
mod gzip;
mod jq;
mod less;
mod own;
mod posix;
mod proc;
mod sed;
mod shelf;
mod stty;
mod term;
mod vi;
pub mod word;

pub use own::{command as own_command, file as own_file};
pub use shelf::{ALL, NEIGHBOURS, called, named};
pub use word::{By, Word};
