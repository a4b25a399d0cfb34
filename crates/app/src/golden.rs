//! Files that tests compare with what the code gives. `UPDATE=1 cargo test` rewrites them; in CI
//! that is refused.

use std::path::{Path, PathBuf};

/// True when expectations are to be rewritten.
pub fn update() -> bool {
    let update = std::env::var_os("UPDATE").is_some_and(|v| v == "1");
    assert!(
        !(update && std::env::var_os("CI").is_some()),
        "expectations are not rewritten in CI"
    );
    update
}

/// The root of the project.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every file below a folder, by its path from there.
#[cfg(feature = "node")]
pub fn files_below(folder: &Path) -> Vec<String> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() {
            let inside = files_below(&entry.path()).into_iter();
            out.extend(inside.map(|path| format!("{name}/{path}")));
        } else {
            out.push(name);
        }
    }
    out
}

/// What is wrong with a file, if it is not the text.
pub fn differs(path: &Path, text: &str) -> Option<String> {
    let held = std::fs::read_to_string(path).unwrap_or_default();
    if held == text {
        return None;
    }
    if update() {
        std::fs::create_dir_all(path.parent().expect("a file lies in a folder")).unwrap();
        std::fs::write(path, text).unwrap();
        return None;
    }
    let at = held
        .lines()
        .zip(text.lines())
        .position(|(a, b)| a != b)
        .unwrap_or_else(|| held.lines().count().min(text.lines().count()));
    let line = |t: &str| t.lines().nth(at).unwrap_or("(end)").to_string();
    Some(format!(
        "{} line {}:\n  holds {:?}\n  now   {:?}\n(UPDATE=1 cargo test -p netshoot-app rewrites it)",
        path.display(),
        at + 1,
        line(&held),
        line(text)
    ))
}
