//! The container that stays, so that the next `debug` of the same pod needs no new one: Kubernetes never
//! takes an ephemeral container out of a pod again. It does nothing and ends at its deadline; each
//! debugging session is a process of its own beside it, so that people do not disturb each other. Pure;
//! the inside is in `inside`.

use super::profile::Profile;
use serde_json::Value;

/// First word of the container that stays.
pub const STAY: &str = "__stay";
/// First word of a session in it.
pub const SESSION: &str = "__session";
/// First word of a shell that outlives its stream.
pub const SHELL: &str = "__shell";
/// First word of what ends it.
pub const END: &str = "__end";

/// Its command line: its own name, for those who want to end it, and seconds until it ends by itself.
pub fn stay(name: &str, seconds: u64) -> Vec<String> {
    ["netshoot", STAY, name, &seconds.to_string()]
        .map(String::from)
        .into()
}

/// The command line of a session without input: it ends when we are gone.
pub fn session(command: &[String]) -> Vec<String> {
    let mut out = ["netshoot", SESSION, "--"].map(String::from).to_vec();
    out.extend(command.iter().cloned());
    out
}

/// The command line of a shell that outlives its stream: the next stream with the same token gets the same one.
pub fn shell(token: &str, command: &[String]) -> Vec<String> {
    let mut out = ["netshoot", SHELL, token, "--"].map(String::from).to_vec();
    out.extend(command.iter().cloned());
    out
}

/// The command line that ends it.
pub fn end(name: &str) -> Vec<String> {
    ["netshoot", END, name].map(String::from).into()
}

/// An ephemeral container of ours in a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its target; empty for none.
    pub target: String,
    /// Its profile; none where somebody else wrote its security context.
    pub profile: Option<Profile>,
    /// Its image.
    pub image: String,
    /// It runs.
    pub runs: bool,
    /// It has ended; Kubernetes keeps the entry for the pod's life.
    pub ended: bool,
    /// It is one that stays.
    pub stays: bool,
}

/// How the names of our ephemeral containers begin.
pub const PREFIX: &str = "netshoot-";

/// All of ours in a pod.
pub fn entries(pod: &Value) -> Vec<Entry> {
    let all = pod["spec"]["ephemeralContainers"].as_array();
    let states = pod["status"]["ephemeralContainerStatuses"].as_array();
    all.into_iter()
        .flatten()
        .filter_map(|c| {
            let name = c["name"].as_str()?;
            let stays = c["command"][1] == STAY;
            // Who chose its name with -c made it all the same.
            if !stays && name.strip_prefix(PREFIX).is_none_or(str::is_empty) {
                return None;
            }
            let state = states
                .into_iter()
                .flatten()
                .find(|s| s["name"] == name)
                .map(|s| &s["state"]);
            let is = |k: &str| state.is_some_and(|s| s[k].is_object());
            Some(Entry {
                name: name.into(),
                target: c["targetContainerName"].as_str().unwrap_or("").into(),
                profile: super::profile::ALL
                    .into_iter()
                    .find(|p| p.context() == c["securityContext"]),
                image: c["image"].as_str().unwrap_or("").into(),
                runs: is("running"),
                ended: is("terminated"),
                stays,
            })
        })
        .collect()
}

/// The running one to use again: same target and image, with at least the wanted rights; the least of
/// those.
pub fn again<'a>(
    entries: &'a [Entry],
    target: &str,
    image: &str,
    at_least: Profile,
    exactly: Option<Profile>,
) -> Option<&'a Entry> {
    entries
        .iter()
        .filter(|e| e.runs && e.stays && e.target == target && e.image == image)
        .filter(|e| match (e.profile, exactly) {
            (Some(p), Some(wanted)) => p == wanted,
            (Some(p), None) => p >= at_least,
            (None, _) => false,
        })
        .min_by_key(|e| e.profile)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod() -> Value {
        let c = |name: &str, target: &str, p: Profile| {
            json!({"name": name, "targetContainerName": target, "image": "netshoot:1",
                "command": stay(name, 60), "securityContext": p.context()})
        };
        let state = |name: &str, s: &str| json!({"name": name, "state": {s: {}}});
        json!({
            "spec": {"ephemeralContainers": [
                c("netshoot-a", "web", Profile::Netadmin), c("netshoot-b", "web", Profile::Restricted),
                c("netshoot-c", "web", Profile::Baseline), c("netshoot-d", "side", Profile::Sysadmin),
                json!({"name": "debugger-x"}), json!({"name": "netshoot-e", "command": ["bash"]})]},
            "status": {"ephemeralContainerStatuses": [
                state("netshoot-a", "running"), state("netshoot-b", "running"),
                state("netshoot-c", "terminated"), state("netshoot-d", "running"),
                state("netshoot-e", "running")]}})
    }

    #[test]
    fn ours_are_told_from_those_of_others() {
        let all = entries(&pod());
        let names: Vec<&str> = all.iter().map(|e| e.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "netshoot-a",
                "netshoot-b",
                "netshoot-c",
                "netshoot-d",
                "netshoot-e"
            ]
        );
        assert!(all[2].ended && !all[2].runs);
        assert_eq!(all[3].profile, Some(Profile::Sysadmin));
        assert!(!all[4].stays);
    }

    #[test]
    fn a_running_one_with_enough_rights_is_used_again() {
        let all = entries(&pod());
        let used = |target: &str, at_least, exactly| {
            again(&all, target, "netshoot:1", at_least, exactly).map(|e| e.name.as_str())
        };
        assert_eq!(used("web", Profile::Restricted, None), Some("netshoot-b"));
        assert_eq!(used("web", Profile::Baseline, None), Some("netshoot-a"));
        assert_eq!(used("web", Profile::Sysadmin, None), None);
        assert_eq!(
            used("web", Profile::Restricted, Some(Profile::Netadmin)),
            Some("netshoot-a")
        );
        assert_eq!(
            used("web", Profile::Restricted, Some(Profile::Baseline)),
            None
        );
        assert_eq!(used("side", Profile::Restricted, None), Some("netshoot-d"));
        assert_eq!(again(&all, "web", "other", Profile::Restricted, None), None);
    }
}
