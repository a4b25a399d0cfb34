//! `cmp` and `diff`: uutils' library, and around it folders and what may not count.

mod loose;
mod tree;

use crate::word::flushed;
use diffutilslib::params::{Format, Params, parse_params};
use diffutilslib::{cmp, context_diff, ed_diff, normal_diff, side_by_side_diff, unified_diff};
use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};

/// `cmp`.
pub fn cmp(args: Vec<OsString>) -> i32 {
    let quiet = args.iter().any(|a| {
        let a = a.to_string_lossy();
        a == "--quiet"
            || a == "--silent"
            || (a.starts_with('-') && !a.starts_with("--") && a.contains('s'))
    });
    let params = match cmp::parse_params(args.into_iter().peekable()) {
        Ok(params) => params,
        Err(said) => return trouble(&said),
    };
    let code = match cmp::cmp(&params) {
        Ok(cmp::Cmp::Equal) => 0,
        Ok(cmp::Cmp::Different) => 1,
        Err(_) if quiet => 2,
        Err(said) => trouble(&said),
    };
    flushed(code)
}

fn trouble(said: &str) -> i32 {
    let _ = writeln!(io::stderr(), "{said}");
    2
}

/// `diff`.
pub fn diff(args: Vec<OsString>) -> i32 {
    if let Some(code) = tree::diff(&args) {
        return code;
    }
    match parse_params(args.into_iter().peekable()) {
        Ok(params) => flushed(compare(&params)),
        Err(said) => trouble(&said),
    }
}

fn whole(file: &OsStr) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    if file == "-" {
        io::stdin().read_to_end(&mut all)?;
    } else {
        all = std::fs::read(file)?;
    }
    Ok(all)
}

fn compare(params: &Params) -> i32 {
    let (a, b) = match (whole(&params.from), whole(&params.to)) {
        (Ok(a), Ok(b)) => (a, b),
        (Err(e), _) => return trouble(&format!("diff: {}: {e}", params.from.to_string_lossy())),
        (_, Err(e)) => return trouble(&format!("diff: {}: {e}", params.to.to_string_lossy())),
    };
    let mut out = io::stdout().lock();
    let text = match params.format {
        Format::Normal => normal_diff(&a, &b, params),
        Format::Unified => unified_diff(&a, &b, params),
        Format::Context => context_diff(&a, &b, params),
        Format::Ed => match ed_diff(&a, &b, params) {
            Ok(text) => text,
            Err(e) => return trouble(&e.to_string()),
        },
        Format::SideBySide => side_by_side_diff(&a, &b, &mut out, params),
    };
    let differ = a != b;
    let (from, to) = (params.from.to_string_lossy(), params.to.to_string_lossy());
    let _ = match (differ, params.brief) {
        (true, true) => writeln!(out, "Files {from} and {to} differ"),
        (true, false) => out.write_all(&text),
        (false, _) if params.report_identical_files => {
            writeln!(out, "Files {from} and {to} are identical")
        }
        (false, _) => Ok(()),
    };
    i32::from(differ)
}
