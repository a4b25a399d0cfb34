//! `sed`: uutils' library.

use crate::word::flushed;
use std::ffi::OsString;

/// `sed`.
pub fn sed(args: Vec<OsString>) -> i32 {
    flushed(sed::sed::uumain(args.into_iter()))
}
