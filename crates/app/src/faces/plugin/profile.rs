//! Profiles: named security contexts for our container, as `kubectl debug --profile` has them, and the
//! choice of `auto`: the least that the wanted tools need and the namespace admits.

use super::security::{Level, violations};
use serde_json::{Value, json};

/// A named security context. In the order of rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Profile {
    /// Nobody, without capabilities: what PodSecurity *restricted* admits.
    Restricted,
    /// User 0 with what the runtime gives every container.
    Baseline,
    /// The same and sees the processes of others (NET_RAW, SYS_PTRACE).
    General,
    /// User 0 with NET_ADMIN and NET_RAW.
    Netadmin,
    /// Privileged.
    Sysadmin,
}

/// All profiles, least first.
pub const ALL: [Profile; 5] = [
    Profile::Restricted,
    Profile::Baseline,
    Profile::General,
    Profile::Netadmin,
    Profile::Sysadmin,
];

/// The words of `--profile`.
pub const WORDS: [&str; 6] = [
    "auto",
    "general",
    "baseline",
    "restricted",
    "netadmin",
    "sysadmin",
];

/// The user without a name that runs where root may not.
pub const NOBODY: u64 = 65532;

impl Profile {
    /// The profile of that word; none for `auto` and for words that mean nothing.
    pub fn named(word: &str) -> Option<Profile> {
        ALL.into_iter().find(|p| p.word() == word)
    }

    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Profile::Restricted => "restricted",
            Profile::Baseline => "baseline",
            Profile::General => "general",
            Profile::Netadmin => "netadmin",
            Profile::Sysadmin => "sysadmin",
        }
    }

    /// The security context of our container. The user is always written out: a capability only
    /// takes effect for user 0, and what the pod says for all its containers would be inherited.
    pub fn context(self) -> Value {
        match self {
            Profile::Restricted => json!({
                "allowPrivilegeEscalation": false,
                "capabilities": {"drop": ["ALL"]},
                "runAsNonRoot": true,
                "runAsUser": NOBODY,
                "seccompProfile": {"type": "RuntimeDefault"},
            }),
            Profile::Baseline => json!({"runAsNonRoot": false, "runAsUser": 0}),
            Profile::General => root_with(&["NET_RAW", "SYS_PTRACE"]),
            Profile::Netadmin => root_with(&["NET_ADMIN", "NET_RAW"]),
            Profile::Sysadmin => json!({
                "privileged": true,
                "runAsNonRoot": false,
                "runAsUser": 0,
            }),
        }
    }

    /// What it has, in a few words.
    pub fn has(self, zh: bool) -> &'static str {
        match (self, zh) {
            (Profile::Restricted, false) => "user 65532, no capability",
            (Profile::Restricted, true) => "用户 65532，无任何 capability",
            (Profile::Baseline, false) => "user 0, the runtime's default capabilities",
            (Profile::Baseline, true) => "用户 0，运行时缺省 capabilities",
            (Profile::General, false) => "user 0, NET_RAW and SYS_PTRACE",
            (Profile::General, true) => "用户 0，NET_RAW 与 SYS_PTRACE",
            (Profile::Netadmin, false) => "user 0, NET_ADMIN and NET_RAW",
            (Profile::Netadmin, true) => "用户 0，NET_ADMIN 与 NET_RAW",
            (Profile::Sysadmin, false) => "user 0, privileged",
            (Profile::Sysadmin, true) => "用户 0，特权容器",
        }
    }
}

fn root_with(capabilities: &[&str]) -> Value {
    json!({
        "capabilities": {"add": capabilities},
        "runAsNonRoot": false,
        "runAsUser": 0,
    })
}

/// Words of a command line and the least profile with which they work. What stands nowhere here
/// needs no right.
const NEEDS: &[(Profile, &[&str])] = &[
    (
        // A raw socket, which a runtime allows root by default.
        Profile::Baseline,
        &[
            "arping",
            "dhcping",
            "fping",
            "hping3",
            "mtr",
            "ngrep",
            "nmap",
            "nping",
            "ping",
            "ping6",
            "tcpdump",
            "trip",
            "tcptraceroute",
            "termshark",
            "traceroute",
            "tshark",
        ],
    ),
    (Profile::General, &["gdb", "lsof", "ltrace", "strace"]),
    (
        Profile::Netadmin,
        &[
            "bridge",
            "conntrack",
            "ebtables",
            "ethtool",
            "ip6tables",
            "ip6tables-save",
            "ipset",
            "iptables",
            "iptables-save",
            "ipvsadm",
            "nft",
            "tc",
            "wg",
        ],
    ),
    (
        Profile::Sysadmin,
        &[
            "bpftool", "bpftrace", "chroot", "crictl", "dmesg", "mount", "nsenter", "perf",
            "sysctl", "unshare",
        ],
    ),
];

/// Words after which `ip` changes something.
const CHANGES: [&str; 8] = [
    "add", "append", "change", "del", "delete", "flush", "replace", "set",
];

const SHELLS: [&str; 5] = ["ash", "bash", "fish", "sh", "zsh"];

/// What a command wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The least profile that is enough.
    pub profile: Profile,
    /// The tool that asks for it; empty where none does.
    pub tool: String,
}

/// A shell at a prompt: none is named, or it is and gets nothing to do.
pub fn is_shell(command: &[String]) -> bool {
    match command {
        [] => true,
        [own] => SHELLS.contains(&base(own)),
        _ => false,
    }
}

/// The least profile for this command. A shell at a prompt wants what people then type into it:
/// captures and rules.
pub fn wanted(command: &[String]) -> Wanted {
    if is_shell(command) {
        return Wanted {
            profile: Profile::Netadmin,
            tool: "shell".into(),
        };
    }
    let mut most = Wanted {
        profile: Profile::Restricted,
        tool: String::new(),
    };
    for words in simple_commands(command) {
        let need = need_of(&words);
        if need > most.profile {
            most = Wanted {
                profile: need,
                tool: words
                    .first()
                    .map(|w| base(w).to_string())
                    .unwrap_or_default(),
            };
        }
    }
    most
}

/// What a pod of the least profile wants after somebody changed it: the security context that stands there besides ours,
/// and the command that it then runs. `ours` is the container's name, `by` what the change came from.
pub fn wanted_by(pod: &Value, ours: &str, by: &str) -> Wanted {
    let all = pod.pointer("/spec/containers").and_then(Value::as_array);
    let mut containers = all.into_iter().flatten();
    let Some(c) = containers.find(|c| c["name"] == ours) else {
        return wanted(&["true".to_string()]);
    };
    let words = ["command", "args"].map(|k| c[k].as_array().cloned().unwrap_or_default());
    let words: Vec<String> = words
        .concat()
        .iter()
        .filter_map(|w| w.as_str().map(String::from))
        .collect();
    let of_command = wanted(&words);
    let profile = asked_in(&c["securityContext"]);
    if profile <= of_command.profile {
        return of_command;
    }
    Wanted {
        profile,
        tool: by.into(),
    }
}

/// The least profile beside which such a security context is valid and takes effect.
fn asked_in(context: &Value) -> Profile {
    if context["privileged"] == true {
        return Profile::Sysadmin;
    }
    let added = context
        .pointer("/capabilities/add")
        .and_then(Value::as_array);
    let mut most = Profile::Restricted;
    for capability in added.into_iter().flatten().filter_map(Value::as_str) {
        most = most.max(match capability.trim_start_matches("CAP_") {
            "NET_ADMIN" => Profile::Netadmin,
            "SYS_PTRACE" => Profile::General,
            // Only root has it in effect.
            _ => Profile::Baseline,
        });
    }
    let root = context["runAsUser"] == 0 || context["runAsNonRoot"] == false;
    if root || context["allowPrivilegeEscalation"] == true {
        most = most.max(Profile::Baseline);
    }
    most
}

fn need_of(words: &[String]) -> Profile {
    let Some(tool) = words.first().map(|w| base(w)) else {
        return Profile::Restricted;
    };
    let rest = words.get(1..).unwrap_or_default();
    let short = |letter: char| {
        rest.iter()
            .any(|w| w.starts_with('-') && !w.starts_with("--") && w.contains(letter))
    };
    match tool {
        // The processes behind sockets of others.
        "ss" | "netstat" if short('p') => Profile::General,
        "ip" if rest.iter().any(|w| w == "netns") => Profile::Sysadmin,
        "ip" if rest.iter().any(|w| CHANGES.contains(&w.as_str())) => Profile::Netadmin,
        _ => NEEDS
            .iter()
            .find(|(_, tools)| tools.contains(&tool))
            .map_or(Profile::Restricted, |(p, _)| *p),
    }
}

/// Each simple command in it: the command itself, or those in the text of `sh -c`. Not a shell's
/// grammar: whatever stands where a command could is looked at, so that it errs to the safe side.
fn simple_commands(command: &[String]) -> Vec<Vec<String>> {
    let shell = command.first().is_some_and(|w| SHELLS.contains(&base(w)));
    let text = command
        .iter()
        .position(|w| w.starts_with('-') && !w.starts_with("--") && w.ends_with('c'))
        .and_then(|at| command.get(at + 1));
    let (true, Some(text)) = (shell, text) else {
        return vec![without_wrappers(command)];
    };
    let starts_another = |c: char| ";|&\n(){}`".contains(c);
    text.split(starts_another)
        .map(|part| {
            let words: Vec<String> = part
                .split_whitespace()
                .map(|w| w.trim_matches(['"', '\'', '$']).to_string())
                .collect();
            without_wrappers(&words)
        })
        .filter(|words| !words.is_empty())
        .collect()
}

/// Without what only starts another command: `timeout 5 tcpdump` is tcpdump.
fn without_wrappers(words: &[String]) -> Vec<String> {
    const WRAPPERS: [&str; 14] = [
        "do", "else", "env", "exec", "if", "nice", "nohup", "stdbuf", "then", "time", "timeout",
        "until", "while", "xargs",
    ];
    let mut rest = words;
    while let Some((first, after)) = rest.split_first() {
        let wraps = WRAPPERS.contains(&base(first));
        let assigns = first.contains('=') && !first.starts_with('-');
        if !wraps && !assigns {
            break;
        }
        rest = after;
        while let Some((w, after)) = rest.split_first() {
            let is_number = w.starts_with(|c: char| c.is_ascii_digit());
            if !(wraps && (w.starts_with('-') || is_number)) {
                break;
            }
            rest = after;
        }
    }
    rest.to_vec()
}

fn base(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// What `auto` came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The profile.
    pub profile: Profile,
    /// What the command wants, where that is more than the namespace admits.
    pub lacking: Option<Wanted>,
}

/// The least profile that the command needs, or the most below it that `level` admits. `pod_with`
/// gives the whole pod for a profile: admission looks at all of it. None where the level refuses the
/// pod with every profile.
pub fn auto(wanted: &Wanted, level: Level, pod_with: &dyn Fn(Profile) -> Value) -> Option<Choice> {
    let admitted = |p: &Profile| violations(&pod_with(*p), level).is_empty();
    let profile = ALL
        .into_iter()
        .rev()
        .filter(|p| *p <= wanted.profile)
        .find(admitted)
        // A namespace that admits only more than is needed: nothing forces the least.
        .or_else(|| ALL.into_iter().find(admitted))?;
    Some(Choice {
        profile,
        lacking: (profile < wanted.profile).then(|| wanted.clone()),
    })
}

#[cfg(test)]
mod tests {
    use super::super::security::strictest;
    use super::*;

    fn words(line: &str) -> Vec<String> {
        match line.split_once(" -c ") {
            Some((shell, text)) => vec![shell.into(), "-c".into(), text.into()],
            None => line.split_whitespace().map(String::from).collect(),
        }
    }

    #[test]
    fn what_commands_want() {
        use Profile::*;
        let cases = [
            ("curl -v http://web", Restricted, ""),
            ("nslookup kubernetes.default", Restricted, ""),
            ("ip route show", Restricted, ""),
            ("ip -br addr", Restricted, ""),
            ("ip route add default via 10.0.0.1", Netadmin, "ip"),
            ("ss -tln", Restricted, ""),
            ("ss -tulpn", General, "ss"),
            ("netstat -tulpn", General, "netstat"),
            ("ping -c 4 web", Baseline, "ping"),
            ("/usr/bin/tcpdump -i eth0", Baseline, "tcpdump"),
            ("timeout 5 tcpdump -i any", Baseline, "tcpdump"),
            ("timeout -s INT 5s curl x", Restricted, ""),
            ("env A=1 nft list ruleset", Netadmin, "nft"),
            ("nsenter --net=/x bash", Sysadmin, "nsenter"),
            ("bash", Netadmin, "shell"),
            ("/bin/sh", Netadmin, "shell"),
            ("", Netadmin, "shell"),
            (
                "bash -c nslookup kubernetes.default.svc.cluster.local; exit 7",
                Restricted,
                "",
            ),
            ("sh -c ping -c1 a && iptables -L", Netadmin, "iptables"),
            ("sh -c X=$(tcpdump -c1)", Baseline, "tcpdump"),
            ("sh -c while true; do mtr web; done", Baseline, "mtr"),
            ("echo ping", Restricted, ""),
        ];
        for (line, profile, tool) in cases {
            let got = wanted(&words(line));
            assert_eq!((got.profile, got.tool.as_str()), (profile, tool), "{line}");
        }
    }

    #[test]
    fn an_override_wants_what_its_security_context_says() {
        use Profile::*;
        let cases = [
            (json!({}), Restricted),
            (json!({"readOnlyRootFilesystem": true}), Restricted),
            (json!({"privileged": true}), Sysadmin),
            (json!({"privileged": false}), Restricted),
            (json!({"capabilities": {"add": ["NET_ADMIN"]}}), Netadmin),
            (
                json!({"capabilities": {"add": ["CAP_SYS_PTRACE"]}}),
                General,
            ),
            (json!({"capabilities": {"add": ["CHOWN"]}}), Baseline),
            (json!({"capabilities": {"drop": ["ALL"]}}), Restricted),
            (json!({"runAsUser": 0}), Baseline),
            (json!({"runAsUser": 1000}), Restricted),
            (json!({"runAsNonRoot": false}), Baseline),
            (json!({"allowPrivilegeEscalation": true}), Baseline),
        ];
        let pod = |context: &Value, command: &str| {
            json!({"spec": {"containers": [{"name": "side"},
            {"name": "netshoot", "command": words(command), "securityContext": context}]}})
        };
        for (context, profile) in &cases {
            let got = wanted_by(&pod(context, "curl x"), "netshoot", "--overrides");
            let by = if *profile > Restricted {
                "--overrides"
            } else {
                ""
            };
            assert_eq!(
                (got.profile, got.tool.as_str()),
                (*profile, by),
                "{context}"
            );
        }
        let both = wanted_by(&pod(&json!({"runAsUser": 0}), "nft list"), "netshoot", "x");
        assert_eq!((both.profile, both.tool.as_str()), (Netadmin, "nft"));
    }

    fn pod(p: Profile) -> Value {
        json!({"spec": {"containers": [{"name": "netshoot", "securityContext": p.context()}]}})
    }

    #[test]
    fn what_each_profile_needs_of_a_namespace() {
        let levels: Vec<Level> = ALL.iter().map(|p| strictest(&pod(*p))).collect();
        use Level::*;
        assert_eq!(
            levels,
            [Restricted, Baseline, Privileged, Privileged, Privileged]
        );
    }

    #[test]
    fn auto_takes_the_least_that_is_needed_and_admitted() {
        use Profile::*;
        let cases = [
            ("curl x", Level::Privileged, Restricted, false),
            ("curl x", Level::Restricted, Restricted, false),
            ("ping x", Level::Privileged, Baseline, false),
            ("ping x", Level::Baseline, Baseline, false),
            ("ping x", Level::Restricted, Restricted, true),
            ("ss -tlnp", Level::Privileged, General, false),
            ("nft list ruleset", Level::Privileged, Netadmin, false),
            ("nft list ruleset", Level::Baseline, Baseline, true),
            ("bash", Level::Privileged, Netadmin, false),
            ("bash", Level::Baseline, Baseline, true),
            ("bash", Level::Restricted, Restricted, true),
            ("mount", Level::Privileged, Sysadmin, false),
        ];
        for (line, level, profile, lacks) in cases {
            let got = auto(&wanted(&words(line)), level, &pod).expect("one is admitted");
            assert_eq!(
                (got.profile, got.lacking.is_some()),
                (profile, lacks),
                "{line} at {level}"
            );
        }
    }

    #[test]
    fn a_pod_that_is_refused_as_it_stands_is_refused_with_every_profile() {
        let on_host = |p: Profile| {
            let mut pod = pod(p);
            pod["spec"]["hostNetwork"] = true.into();
            pod
        };
        assert_eq!(
            auto(&wanted(&words("curl x")), Level::Baseline, &on_host),
            None
        );
    }

    #[test]
    fn words_and_profiles_agree() {
        for word in WORDS {
            assert_eq!(Profile::named(word).is_none(), word == "auto", "{word}");
        }
        for p in ALL {
            assert_eq!(Profile::named(p.word()), Some(p));
        }
    }
}
