//! What the tests of this crate share: a namespace of one's own, and the original tool in it.

use crate::netns::NetNs;
use serde_json::Value;
use std::process::Command;

/// Runs `test` in a new network namespace.
pub fn in_new_netns<T: Send>(test: impl FnOnce() -> T + Send) -> T {
    NetNs::new()
        .expect("the right to make a network namespace")
        .enter(test)
        .expect("the test passes")
}

/// What a tool prints in the namespace of the calling thread; none, and a line that says so, when
/// it is not installed.
pub fn oracle_text(tool: &str, words: &[&str]) -> Option<String> {
    let output = match Command::new(tool).args(words).env("LC_ALL", "C").output() {
        Ok(output) => output,
        Err(_) => {
            println!("SKIPPED: {tool} is not installed");
            return None;
        }
    };
    assert!(
        output.status.success(),
        "{tool} {words:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// [`oracle_text`] for a tool that prints JSON; nothing printed is an empty list.
pub fn oracle(tool: &str, words: &[&str]) -> Option<Value> {
    let text = oracle_text(tool, words)?;
    if text.trim().is_empty() {
        return Some(Value::Array(Vec::new()));
    }
    Some(serde_json::from_str(&text).expect("the tool prints JSON"))
}

/// Takes all capabilities from the calling thread, which then should end soon.
pub fn without_capabilities() {
    // struct __user_cap_header_struct and two __user_cap_data_struct (linux/capability.h).
    let header = [0x2008_0522_u32, 0];
    let none = [0u32; 6];
    // SAFETY: both arrays have the layout of version 3 and live through the call.
    let done = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) };
    assert_eq!(done, 0, "capset: {}", std::io::Error::last_os_error());
}
