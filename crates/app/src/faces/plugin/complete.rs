//! Completion of what only the cluster knows: pods, nodes, namespaces, contexts. kubectl runs
//! `kubectl_complete-NAME` with the words typed so far, the last one unfinished, and reads a
//! candidate from each line; the last line, `:NUMBER`, says what the shell shall do with them.

use super::flags;
use crate::io::{Io, Lang};
use clap::{ArgMatches, Command};
use netshoot_api::live::{Cluster, Resource, Selection};
use std::time::Duration;

/// What the program is called by kubectl's completion.
pub const NAMES: [(&str, &str); 2] = [
    ("kubectl_complete-netshoot", ""),
    ("kubectl_complete-ai_debug", "diagnose"),
];

/// The shell adds no file names (cobra's ShellCompDirectiveNoFileComp).
const NO_FILES: &str = ":4";
/// The same, and no space after the candidate (NoSpace).
const NO_FILES_NO_SPACE: &str = ":6";
/// The cluster may take so long to answer: nobody waits for a completion.
const LIMIT: Duration = Duration::from_secs(3);

/// What stands at the unfinished word.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wanted {
    /// One of these words.
    Words(Vec<String>),
    /// Flags.
    Flags(Vec<String>),
    Pods,
    /// Pods and everything that has pods, and nodes.
    Targets,
    /// The same as ends of a conversation: each with its kind.
    Ends,
    Nodes,
    Namespaces,
    Contexts,
    Deployments,
    Nothing,
}

/// Prints the candidates for the last of the words.
pub fn run(words: &[String], io: &mut Io<'_>) -> i32 {
    let (done, typed) = match words.split_last() {
        Some((last, done)) => (done, last.as_str()),
        None => (words, ""),
    };
    let command = crate::command(Lang::En);
    let found = candidates(&command, done, typed);
    let no_space = found.iter().all(|c| c.ends_with('/')) && !found.is_empty();
    for c in &found {
        let _ = writeln!(io.out, "{}", crate::report::safe(c));
    }
    let _ = writeln!(
        io.out,
        "{}",
        if no_space {
            NO_FILES_NO_SPACE
        } else {
            NO_FILES
        }
    );
    0
}

fn candidates(command: &Command, done: &[String], typed: &str) -> Vec<String> {
    let all = match wanted(command, done, typed) {
        Wanted::Words(w) | Wanted::Flags(w) => w,
        Wanted::Nothing => Vec::new(),
        asks => from_cluster(&asks, done, typed).unwrap_or_default(),
    };
    all.into_iter().filter(|c| c.starts_with(typed)).collect()
}

/// What may stand there, from the parser alone.
fn wanted(command: &Command, done: &[String], typed: &str) -> Wanted {
    let mut c = command;
    let mut depth = 0;
    for word in done.iter().filter(|w| !w.starts_with('-')) {
        match c.find_subcommand(word) {
            Some(below) => c = below,
            None => break,
        }
        depth += 1;
    }
    if done.iter().any(|w| w == "--") {
        return Wanted::Nothing;
    }
    if let Some(flag) = done.last().filter(|w| w.starts_with('-')) {
        let arg = c.get_arguments().find(|a| {
            a.get_long().is_some_and(|l| *flag == format!("--{l}"))
                || a.get_short().is_some_and(|s| *flag == format!("-{s}"))
        });
        if let Some(arg) = arg
            && arg.get_action().takes_values()
            && !arg.is_require_equals_set()
        {
            let values: Vec<String> = arg
                .get_possible_values()
                .iter()
                .map(|v| v.get_name().to_string())
                .collect();
            return match arg.get_id().as_str() {
                "namespace" | "pod-namespace" => Wanted::Namespaces,
                "context" => Wanted::Contexts,
                "node" => Wanted::Nodes,
                "from" | "to" => Wanted::Ends,
                _ if !values.is_empty() => Wanted::Words(values),
                _ => Wanted::Nothing,
            };
        }
    }
    if typed.starts_with('-') {
        let flags = c.get_arguments().filter_map(|a| a.get_long());
        return Wanted::Flags(flags.map(|l| format!("--{l}")).collect());
    }
    let below: Vec<String> = c.get_subcommands().map(|s| s.get_name().into()).collect();
    if !below.is_empty() {
        return Wanted::Words(below);
    }
    let named = positionals(c, done.get(depth..).unwrap_or_default());
    match (c.get_name(), named) {
        ("debug", 0) => Wanted::Targets,
        ("exec-in" | "attach", 0) => Wanted::Pods,
        ("undeploy", 0) => Wanted::Deployments,
        _ => Wanted::Nothing,
    }
}

/// How many positional words stand there already.
fn positionals(c: &Command, words: &[String]) -> usize {
    let takes = |flag: &str| {
        c.get_arguments().any(|a| {
            let named = a.get_long().is_some_and(|l| flag == format!("--{l}"))
                || a.get_short().is_some_and(|s| flag == format!("-{s}"));
            named && a.get_action().takes_values() && !a.is_require_equals_set()
        })
    };
    let (mut count, mut skip) = (0, false);
    for word in words {
        if skip {
            skip = false;
        } else if word.starts_with('-') {
            skip = takes(word);
        } else {
            count += 1;
        }
    }
    count
}

/// The connection flags among the words.
fn connection(done: &[String]) -> Option<ArgMatches> {
    let mut command = flags::connection(Command::new("x").ignore_errors(true), Lang::En);
    command = command.arg(clap::Arg::new("rest").num_args(0..));
    command
        .try_get_matches_from(std::iter::once(&"x".to_string()).chain(done))
        .ok()
}

fn from_cluster(wanted: &Wanted, done: &[String], typed: &str) -> Option<Vec<String>> {
    let m = connection(done)?;
    let mut how = flags::connect(&m).ok()?;
    how.request_timeout = Some(LIMIT);
    if *wanted == Wanted::Contexts {
        return netshoot_api::live::contexts(&how).ok();
    }
    let cluster = Cluster::connect(&how).ok()?;
    let names = |kind: &str, namespace: &str| -> Option<Vec<String>> {
        let resource = Resource::known(kind)?;
        let all = cluster.list_thin(&resource, namespace, &Selection::default(), &|v| {
            // Names are all that is wanted.
            if let Some(map) = v.as_object_mut() {
                map.retain(|k, _| k == "metadata");
            }
        });
        Some(all.ok()?.iter().map(|o| o.name().to_string()).collect())
    };
    let namespace = cluster.namespace();
    let below = |word: &str, kind: &str, namespace: &str| {
        let all = names(kind, namespace).unwrap_or_default();
        all.into_iter()
            .map(|n| format!("{word}/{n}"))
            .collect::<Vec<_>>()
    };
    match wanted {
        Wanted::Namespaces => names("Namespace", ""),
        Wanted::Nodes => names("Node", ""),
        Wanted::Pods => names("Pod", namespace),
        Wanted::Deployments => names("Deployment", namespace),
        Wanted::Ends if !typed.contains('/') => Some(
            ["deploy/", "node/", "pod/", "svc/"]
                .map(String::from)
                .into(),
        ),
        Wanted::Targets | Wanted::Ends => Some(match typed.split_once('/').map(|(k, _)| k) {
            None => {
                let kinds = ["deploy/", "node/", "svc/"].map(String::from);
                let mut all = names("Pod", namespace).unwrap_or_default();
                all.extend(kinds);
                all
            }
            Some("node") => below("node", "Node", ""),
            Some("deploy") => below("deploy", "Deployment", namespace),
            Some("svc") => below("svc", "Service", namespace),
            Some("pod") => below("pod", "Pod", namespace),
            Some(_) => Vec::new(),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_where() {
        let command = crate::command(Lang::En);
        let at = |line: &str| {
            let words: Vec<String> = line.split(' ').map(String::from).collect();
            let (last, done) = words.split_last().unwrap();
            wanted(&command, done, last)
        };
        for (line, expected) in [
            ("debug ", Wanted::Targets),
            ("debug -n shop web", Wanted::Targets),
            ("debug -n ", Wanted::Namespaces),
            ("debug web-1 --namespace ", Wanted::Namespaces),
            ("debug web-1 ", Wanted::Nothing),
            ("debug web-1 -- ", Wanted::Nothing),
            ("run --context ", Wanted::Contexts),
            ("run x --node ", Wanted::Nodes),
            ("exec-in ", Wanted::Pods),
            ("attach -q ", Wanted::Pods),
            ("undeploy ", Wanted::Deployments),
            ("diagnose -n shop --from ", Wanted::Ends),
        ] {
            assert_eq!(at(line), expected, "{line}");
        }
        let Wanted::Words(words) = at("") else {
            panic!("no words")
        };
        assert!(words.contains(&"debug".into()) && words.contains(&"run".into()));
        assert_eq!(
            at("run x --image-pull-policy "),
            Wanted::Words(["Always", "IfNotPresent", "Never"].map(String::from).into())
        );
        let Wanted::Flags(flags) = at("debug --pro") else {
            panic!("no flags")
        };
        assert!(flags.contains(&"--profile".into()));
    }
}
