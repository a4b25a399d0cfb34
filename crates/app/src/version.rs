//! Version, commit, target.

/// The version of this build.
pub const SHORT: &str = env!("CARGO_PKG_VERSION");
