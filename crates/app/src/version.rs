//! Version, commit, target.

/// The version of this build.
pub const SHORT: &str = env!("CARGO_PKG_VERSION");

/// The same with the commit it was built from and the target it was built for.
pub const FULL: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("NETSHOOT_COMMIT"),
    ") ",
    env!("NETSHOOT_TARGET")
);
