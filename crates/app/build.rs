//! Tells the binary from which commit and for which target it is built. Writes no code.

use std::process::Command;

fn main() {
    let git = |args: &[&str]| {
        let out = Command::new("git").args(args).output().ok()?;
        let text = String::from_utf8(out.stdout).ok()?;
        (out.status.success() && !text.trim().is_empty()).then(|| text.trim().to_string())
    };
    let commit = git(&["rev-parse", "--short", "HEAD"]).unwrap_or_else(|| "unknown".into());
    let target = std::env::var("TARGET").unwrap_or_else(|_| "unknown".into());
    emit(&format!("rustc-env=NETSHOOT_COMMIT={commit}"));
    emit(&format!("rustc-env=NETSHOOT_TARGET={target}"));
    emit(&format!("rustc-env=NETSHOOT_PROFILE={}", profile()));
    let of = |what: &str| std::env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    let whole = of("FEATURE").split(',').any(|f| f == "crt-static");
    if target.contains("linux") && of("ENV") == "gnu" && whole {
        // Else 90,000 addresses are set right at every start, in memory that is then shared with no other process (ARCHITECTURE.md).
        emit("rustc-link-arg-bins=-static");
        emit("rustc-link-arg-bins=-no-pie");
    } else if target.contains("linux") {
        emit("rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
    if target == "x86_64-unknown-linux-gnu" && profile() != "debug" {
        // What the usual tools run lies together, on few pages (bench/order).
        let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        emit(&format!("rustc-link-arg-bins=-Wl,-T,{folder}/order.ld"));
        emit("rerun-if-changed=order.ld");
        // What bench/order reads: which part of which file the linker put where.
        emit("rerun-if-env-changed=NETSHOOT_MAP");
        if let Ok(map) = std::env::var("NETSHOOT_MAP") {
            emit(&format!("rustc-link-arg-bins=-Wl,-Map={map}"));
        }
    }
    emit("rerun-if-changed=build.rs");
    // HEAD names a branch; its log changes with every commit.
    for file in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", file])
            && std::path::Path::new(&path).exists()
        {
            emit(&format!("rerun-if-changed={path}"));
        }
    }
}

/// The folder that cargo builds into is called as the profile is; its variable knows two of them alone.
fn profile() -> String {
    let out = std::env::var("OUT_DIR").unwrap_or_default();
    let mut folders = std::path::Path::new(&out).ancestors();
    let build = folders.find(|f| f.file_name().is_some_and(|n| n == "build"));
    let profile = build.and_then(|b| b.parent()?.file_name()?.to_str());
    profile.unwrap_or("unknown").to_string()
}

/// A line for cargo, which listens on standard output.
#[allow(clippy::print_stdout)]
fn emit(instruction: &str) {
    println!("cargo:{instruction}");
}
