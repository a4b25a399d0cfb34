//! Who made what is ours, from which process, until when; and whether that process still lives.

use super::pods::Owner;
use netshoot_api::live::Cluster;
use netshoot_model::time;
use std::hash::{BuildHasher, RandomState};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Now, in milliseconds of Unix time.
pub fn now_ms() -> i64 {
    i64::try_from(crate::clock::now_ms()).unwrap_or(i64::MAX)
}

/// Us, until then.
pub fn us(cluster: Option<&Cluster>, deadline: Duration) -> Owner {
    let Some(cluster) = cluster else {
        return Owner::default();
    };
    let kube = cluster.user();
    let me = format!("{}@{}", person(), machine());
    let end = now_ms().saturating_add(i64::try_from(deadline.as_millis()).unwrap_or(i64::MAX / 2));
    Owner {
        who: if kube.is_empty() {
            me
        } else {
            format!("{me} ({kube})")
        },
        client: format!("{}/{}", machine(), std::process::id()),
        deadline: time::rfc3339(end),
    }
}

/// The part of an owner that names a person on a machine.
pub fn me() -> String {
    format!("{}@{}", person(), machine())
}

fn person() -> String {
    ["USER", "USERNAME", "LOGNAME"]
        .iter()
        .find_map(|k| std::env::var(k).ok().filter(|v| !v.is_empty()))
        .unwrap_or_else(|| "unknown".into())
}

fn machine() -> String {
    let by_file = || {
        let text = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
        Some(text.trim().to_string()).filter(|t| !t.is_empty())
    };
    let by_program = || {
        let out = Command::new("hostname")
            .stderr(Stdio::null())
            .output()
            .ok()?;
        let text = String::from_utf8_lossy(&out.stdout).trim().to_string();
        Some(text).filter(|t| !t.is_empty())
    };
    std::env::var("COMPUTERNAME")
        .ok()
        .or_else(by_file)
        .or_else(by_program)
        .unwrap_or_else(|| "unknown".into())
}

/// Whether the process behind `HOST/PID` still lives; none where that cannot be told from here.
pub fn lives(client: &str) -> Option<bool> {
    let (host, pid) = client.rsplit_once('/')?;
    let pid: u32 = pid.parse().ok()?;
    if host != machine() || cfg!(windows) {
        return None;
    }
    if std::path::Path::new("/proc/self").exists() {
        return Some(std::path::Path::new(&format!("/proc/{pid}")).exists());
    }
    let shown = Command::new("ps")
        .args(["-p", &pid.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    shown.ok().map(|s| s.success())
}

/// Five letters that nobody else has: for names.
pub fn letters() -> String {
    // Without vowels and what looks alike, as Kubernetes does it: no words come out.
    const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut number = RandomState::new().hash_one(std::process::id());
    let mut out = String::new();
    for _ in 0..5 {
        let at = usize::try_from(number % 27).unwrap_or(0);
        out.push(char::from(*ALPHABET.get(at).unwrap_or(&b'x')));
        number /= 27;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_lives_or_does_not() {
        let here = format!("{}/{}", machine(), std::process::id());
        assert_eq!(lives(&here), Some(true));
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        assert_eq!(lives(&format!("{}/{}", machine(), child.id())), Some(false));
        assert_eq!(lives("elsewhere.example/1"), None);
        assert_eq!(lives("nonsense"), None);
    }

    #[test]
    fn names_differ() {
        let some: std::collections::BTreeSet<String> = (0..50).map(|_| letters()).collect();
        assert!(some.len() > 45, "{some:?}");
        assert!(some.iter().all(|s| s.len() == 5));
    }
}
