//! Stock `kubectl debug` with our image, under every profile that it knows, for pods and for nodes: what the container is
//! and what it may do there.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod ours;
mod ring5;
mod screen;

use ours::{IMAGE, has_word, ready, web};
use ring5::{Space, until};
use screen::Terminal;

/// Capabilities by their bit, as Linux numbers them.
const NET_ADMIN: u32 = 12;
const NET_RAW: u32 = 13;
const SYS_PTRACE: u32 = 19;
const SYS_ADMIN: u32 = 21;
const ALL: [u32; 4] = [NET_ADMIN, NET_RAW, SYS_PTRACE, SYS_ADMIN];

/// Prints what it is and may do, and ends with a code of its own.
const TELLS: &str = "id -u; grep CapEff /proc/self/status; cat /proc/net/dev; [ -d /host/etc ] && echo sees=root; \
[ -d /proc/1/ns ] && grep -qs kubelet /proc/[0-9]*/comm && echo sees=processes; exit 5";

/// A profile, and which of [`ALL`] are in force under it.
struct Profile {
    name: &'static str,
    in_pod: &'static [u32],
    on_node: &'static [u32],
    /// On a node: its network and processes.
    node_spaces: bool,
    /// On a node: its files below `/host`.
    node_root: bool,
}

/// Of root in a container without more NET_RAW is left by the container runtime.
const PROFILES: [Profile; 5] = [
    Profile {
        name: "general",
        in_pod: &[NET_RAW, SYS_PTRACE],
        on_node: &[NET_RAW],
        node_spaces: true,
        node_root: true,
    },
    Profile {
        name: "baseline",
        in_pod: &[NET_RAW],
        on_node: &[NET_RAW],
        node_spaces: false,
        node_root: false,
    },
    Profile {
        name: "restricted",
        in_pod: &[],
        on_node: &[],
        node_spaces: false,
        node_root: false,
    },
    Profile {
        name: "netadmin",
        in_pod: &[NET_ADMIN, NET_RAW],
        on_node: &[NET_ADMIN, NET_RAW],
        node_spaces: true,
        node_root: false,
    },
    Profile {
        name: "sysadmin",
        in_pod: &ALL,
        on_node: &ALL,
        node_spaces: true,
        node_root: true,
    },
];

impl Profile {
    /// The image's user is root, which restricted does not admit: that is what the second tag is for.
    fn image(&self) -> String {
        match self.name {
            "restricted" => format!("{IMAGE}-nonroot"),
            _ => IMAGE.to_string(),
        }
    }

    fn user(&self) -> &'static str {
        match self.name {
            "restricted" => "65532",
            _ => "0",
        }
    }

    /// `kubectl debug WHAT` under this profile; what the container said, once it has ended with `code`.
    fn debug(&self, space: &Space<'_>, what: &str, name: &str, run: &[&str], code: &str) -> String {
        let (image, profile) = (self.image(), self.name);
        let image = format!("--image={image}");
        let profile = format!("--profile={profile}");
        let mut words = vec!["debug", what, &image, &profile, "-c", name];
        let node = what.starts_with("node/");
        if !node {
            words.push("--target=web");
        }
        words.push("--");
        let said = space.kubectl(&[&words[..], run].concat());
        assert_eq!(said.code, 0, "{words:?}: {}", said.all());
        let all = said.all();
        let (pod, list) = match node {
            true => {
                let made = all
                    .split_whitespace()
                    .find(|w| w.starts_with("node-debugger-"));
                (made.unwrap_or_else(|| panic!("{all}")), "containerStatuses")
            }
            false => (what, "ephemeralContainerStatuses"),
        };
        let path = format!("{{.status.{list}[?(@.name==\"{name}\")].state.terminated.exitCode}}");
        let ended = until("the container has ended", 30, || {
            match space.field(&format!("pod/{pod}"), &path) {
                none if none.is_empty() => Err(space.kubectl(&["get", "events"]).out),
                code => Ok(code),
            }
        });
        let log = space.kubectl(&["logs", pod, "-c", name]).ok();
        assert_eq!(ended, code, "{words:?}: {log}");
        log
    }

    fn is_right(&self, log: &str, may: &[u32]) {
        let profile = self.name;
        assert!(
            log.starts_with(&format!("{}\n", self.user())),
            "{profile}: {log}"
        );
        let (_, mask) = log
            .split_once("CapEff:")
            .unwrap_or_else(|| panic!("{profile}: {log}"));
        let mask = u64::from_str_radix(mask.split_whitespace().next().unwrap(), 16).unwrap();
        let has: Vec<u32> = ALL.into_iter().filter(|c| mask >> c & 1 == 1).collect();
        assert_eq!(has, may, "{profile}: {log}");
    }
}

/// Runs a word of ours, where it is there already.
fn says(profile: &Profile, space: &Space<'_>, what: &str, run: &[&str], shows: &str) {
    let (word, name) = (run[0], format!("{}-{}", run[0], profile.name));
    if !has_word(word) {
        println!(
            "PENDING: applet {word}: kubectl debug {what} --profile={} -- {}",
            profile.name,
            run.join(" ")
        );
        return;
    }
    let log = profile.debug(space, what, &name, run, "0");
    assert!(log.contains(shows), "{} {run:?}: {log}", profile.name);
}

#[test]
fn a_pod_is_debugged_by_stock_kubectl_under_every_profile() {
    let Some(cluster) = ready() else { return };
    let space = cluster.namespace("stock");
    let pod = web(&space);
    let address = space.field(&format!("pod/{pod}"), "{.status.podIP}");
    for profile in &PROFILES {
        let name = format!("by-{}", profile.name);
        let log = profile.debug(&space, &pod, &name, &["bash", "-c", TELLS], "5");
        profile.is_right(&log, profile.in_pod);
        assert!(
            log.contains("eth0:") && !log.contains("cni0:") && !log.contains("sees=root"),
            "{log}"
        );
        says(profile, &space, &pod, &["ss", "-tln"], "8080");
        says(profile, &space, &pod, &["ip", "addr", "show"], &address);
        let name = "kubernetes.default.svc.cluster.local";
        says(profile, &space, &pod, &["nslookup", name], "10.96.0.1");
    }
    // It does not tell the exit code of what it ran.
    let line = format!(
        "kubectl -n {} debug -it {pod} --image={IMAGE} --target=web -- bash -c 'read -r word; echo got=$word'",
        space.name
    );
    let Some(mut terminal) = Terminal::start(&line, &cluster.command("kubectl")) else {
        return;
    };
    terminal.types("here\r");
    terminal.shows("got=here");
    assert_eq!(terminal.ends().0, Some(0));
}

#[test]
fn a_node_is_debugged_by_stock_kubectl_under_every_profile() {
    let Some(cluster) = ready() else { return };
    let space = cluster.namespace("stock-node");
    for profile in &PROFILES {
        let name = profile.name;
        let log = profile.debug(&space, "node/node-a", "by", &["bash", "-c", TELLS], "5");
        profile.is_right(&log, profile.on_node);
        assert_eq!(log.contains("cni0:"), profile.node_spaces, "{name}: {log}");
        assert_eq!(
            log.contains("sees=processes"),
            profile.node_spaces,
            "{name}: {log}"
        );
        assert_eq!(
            log.contains("sees=root"),
            profile.node_root,
            "{name}: {log}"
        );
        if profile.node_spaces {
            says(
                profile,
                &space,
                "node/node-a",
                &["ip", "addr", "show"],
                "cni0",
            );
            says(profile, &space, "node/node-a", &["ss", "-tln"], "10250");
        }
    }
}
