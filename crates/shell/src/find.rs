//! `find` and `xargs`: uutils' library, with its arguments as text.

use crate::word::flushed;
use findutils::find::{StandardDependencies, find_main};
use findutils::xargs::xargs_main;
use std::ffi::OsString;

fn text(args: Vec<OsString>) -> Vec<String> {
    args.into_iter()
        .map(|a| a.to_string_lossy().into_owned())
        .collect()
}

/// `find`.
pub fn find(args: Vec<OsString>) -> i32 {
    let args = text(args);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    flushed(find_main(&args, &StandardDependencies::new()))
}

/// `xargs`.
pub fn xargs(args: Vec<OsString>) -> i32 {
    let args = text(args);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    flushed(xargs_main(&args))
}
