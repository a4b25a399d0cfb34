//! `debug`: a container of ours in a pod that runs, a copy of it, a pod on a node; and `exec-in`, from a
//! node into the network of any pod.

mod copy;

use super::flags::{self, Printing};
use super::pods::{self, Around, Container};
use super::profile::{Profile, Wanted, auto, is_shell};
use super::refusal::Needs;
use super::resident::{self, Entry, PREFIX};
use super::run::{Ask, Attached, MOST_DROPS, Plan, ours, told};
use super::security::Level;
use super::session::{Gets, Input, Over, Stop, talk};
use super::target::{self, Target};
use super::waiting::Stands;
use super::{Plugin, STOPPED, Said, image, owner, print, session};
use crate::io::Io;
use crate::wrong::Wrong;
use anyhow::{Context, Result};
use clap::ArgMatches;
use netshoot_api::live::{Error, Exit, Program, Propagation, Resource, Selection};
use netshoot_model::object::Object;
use serde_json::Value;
use std::time::Duration;

/// The rights that `debug` takes.
pub const NEEDS: Needs = &[
    ("", "pods", &["get", "list", "watch"]),
    ("", "pods/ephemeralcontainers", &["patch"]),
    ("", "pods/exec", &["create", "get"]),
    ("", "events", &["list"]),
    ("", "namespaces", &["get"]),
];

/// The rights that `exec-in` and `debug node/` take.
pub const NODE_NEEDS: Needs = &[
    ("", "pods", &["create", "get", "list", "watch", "delete"]),
    ("", "pods/attach", &["create", "get"]),
    ("", "events", &["list"]),
    ("", "nodes", &["get"]),
    ("", "namespaces", &["get"]),
];

/// `debug TARGET`.
pub fn debug(m: &ArgMatches, io: &mut Io<'_>) -> Result<i32> {
    let word = flags::text(m, "name").unwrap_or_default();
    let named = target::parse(&word).map_err(Wrong::usage)?;
    let ask = Ask::of(m)?;
    let how = flags::connect(m)?;
    let plugin = Plugin::connect(&how, ask.quiet, io)?;
    if ask.wants_no_terminal(m) {
        writeln!(
            io.err,
            "Unable to use a TTY - input is not a terminal or the right kind of file"
        )?;
    }
    let printing = Printing::of(m);
    if let Target::Node(node) = &named {
        let name = flags::text(m, "container");
        return on_node(node, name, &plugin, &ask, &printing, io);
    }
    let pod = plugin.find(&named, io)?;
    if let Some(name) = flags::text(m, "copy-to") {
        return copy::copied(&pod, &name, m, &plugin, &ask, &printing, io);
    }
    if let Some(flag) = copy::given_alone(m) {
        return Err(Wrong::usage(format!(
            "--{flag} may only be used with --copy-to"
        )));
    }
    let debug = Debug {
        plugin: &plugin,
        ask: &ask,
        printing: &printing,
        target: wanted_target(m, &pod.0)?,
        name: wanted_name(m, &pod.0)?,
    };
    debug.carry_out(&pod, io)
}

/// `--target`; without one the main container.
fn wanted_target(m: &ArgMatches, pod: &Value) -> Result<String> {
    let main = pods::main_container(pod).context("the pod has no container")?;
    let Some(asked) = flags::text(m, "target") else {
        return Ok(main.into());
    };
    let all = pod["spec"]["containers"].as_array();
    let names: Vec<&str> = all
        .into_iter()
        .flatten()
        .filter_map(|c| c["name"].as_str())
        .collect();
    if asked.is_empty() || names.contains(&asked.as_str()) {
        return Ok(asked);
    }
    // The article gives the pod's name here, and means its container.
    if pod["metadata"]["name"] == asked.as_str() {
        return Ok(main.into());
    }
    Err(Wrong::usage(format!(
        "--target: the pod has no container {asked}; it has {}",
        names.join(", ")
    )))
}

/// `-c`: the name that the container shall have. One of the pod's own cannot have it; one of ours that runs under it
/// is used again.
fn wanted_name(m: &ArgMatches, pod: &Value) -> Result<Option<String>> {
    let Some(name) = flags::text(m, "container").filter(|n| !n.is_empty()) else {
        return Ok(None);
    };
    let named = |c: &&Value| c["name"] == name.as_str();
    let of = |kind: &str| pod["spec"][kind].as_array().into_iter().flatten();
    if of("containers")
        .chain(of("initContainers"))
        .any(|c| named(&c))
    {
        return Err(Wrong::usage(format!(
            "-c names the container that is added, and the pod has one of its own that is called {name}; to see its processes: --target={name}"
        )));
    }
    let taken = of("ephemeralContainers").any(|c| named(&c));
    let again = resident::entries(pod);
    if taken && !again.iter().any(|e| e.name == name && e.runs && e.stays) {
        return Err(Wrong::usage(format!(
            "-c: the pod has an ephemeral container {name} already, and Kubernetes cannot take one out; choose another name"
        )));
    }
    Ok(Some(name))
}

impl Plugin {
    /// The pod behind a word.
    pub fn find(&self, named: &Target, io: &mut Io<'_>) -> Result<Object> {
        let (kind, name) = match named {
            Target::Pod(name) | Target::Node(name) => return self.pod(name),
            Target::Pods(kind, name) => (*kind, name),
        };
        let resource = self.cluster.resource(kind)?;
        let owner = self.cluster.get(&resource, &self.namespace, name)?;
        let Some(selector) = target::selector(&owner.0) else {
            return Err(Said(format!(
                "error: {kind}/{name} has no selector, so no pods of its own"
            ))
            .into());
        };
        let pods = self.cluster.list(
            &Resource::pods(),
            &self.namespace,
            &Selection::labels(&selector),
        )?;
        let Some(pod) = target::choose(&pods) else {
            return Err(Said(format!(
                "error: {kind}/{name}: {} {}, {selector}",
                pods.len(),
                self.lang
                    .pick("pods, none of them runs", "个 Pod，均未运行"),
            ))
            .into());
        };
        self.note(
            io,
            &format!(
                "pod {} {} {}",
                pod.name(),
                self.lang.pick("of", "属于"),
                if pods.len() == 1 {
                    "1".to_string()
                } else {
                    pods.len().to_string()
                }
            ),
        );
        Ok(pod.clone())
    }
}

struct Debug<'a> {
    plugin: &'a Plugin,
    ask: &'a Ask,
    printing: &'a Printing,
    target: String,
    /// The name that was asked for.
    name: Option<String>,
}

impl Debug<'_> {
    fn carry_out(&self, pod: &Object, io: &mut Io<'_>) -> Result<i32> {
        let (plugin, lang) = (self.plugin, self.plugin.lang);
        if pod.str("status.phase") != "Running" && !self.printing.dry() {
            return Err(Said(format!(
                "error: pod {}/{} {} {}; {}",
                plugin.namespace,
                pod.name(),
                lang.pick("is", "状态为"),
                pod.str("status.phase"),
                lang.pick(
                    "a container can only be added to one that runs. Try --copy-to=NAME",
                    "只能向运行中的 Pod 添加容器。可用 --copy-to=NAME"
                )
            ))
            .into());
        }
        let ours = image::is_ours(&self.ask.container.image);
        let wanted = self.ask.wanted();
        if ours && !self.printing.dry() {
            let mut entries = resident::entries(&pod.0);
            if let Some(name) = &self.name {
                entries.retain(|e| e.name == *name);
            }
            let again = resident::again(
                &entries,
                &self.target,
                &self.ask.container.image,
                wanted.profile,
                self.ask.profile,
            );
            if let Some(entry) = again {
                self.note_again(entry, io);
                let stop = Stop::listen()?;
                return self.session(pod.name(), &entry.name, &stop, io);
            }
        }
        self.add(pod, &wanted, ours, io)
    }

    fn note_again(&self, entry: &Entry, io: &mut Io<'_>) {
        let lang = self.plugin.lang;
        let profile = entry.profile.map_or("?", Profile::word);
        self.plugin.note(
            io,
            &format!(
                "{} {} (profile {profile})",
                lang.pick("using the running container", "复用运行中的容器"),
                entry.name
            ),
        );
    }

    /// Adds a container and talks to it.
    fn add(&self, pod: &Object, wanted: &Wanted, ours: bool, io: &mut Io<'_>) -> Result<i32> {
        let plugin = self.plugin;
        let name = match &self.name {
            Some(name) => name.clone(),
            None => format!("{PREFIX}{}", owner::letters()),
        };
        let container = self.container(&name, ours);
        let made = |p: Profile| {
            pods::ephemeral(
                &name,
                &container,
                p,
                Some(&self.target)
                    .filter(|t| !t.is_empty())
                    .map(String::as_str),
            )
        };
        let pod_with = |p: Profile| pods::with_ephemeral(&pod.0, &made(p));
        if self.printing.client() {
            let choice = auto(wanted, Level::Privileged, &pod_with);
            let profile = self.ask.profile.or(choice.map(|c| c.profile));
            let mut shown = pod_with(profile.unwrap_or(wanted.profile));
            shown["apiVersion"] = "v1".into();
            shown["kind"] = "Pod".into();
            print(&shown, self.printing, "edited", io)?;
            return Ok(0);
        }
        let profile = plugin.profile(self.ask.profile, wanted, plugin.level(), &pod_with, io)?;
        let stop = Stop::listen()?;
        let add = |p: Profile| {
            plugin
                .cluster
                .add_ephemeral_container(&plugin.namespace, pod.name(), &made(p))
        };
        let added = match add(profile) {
            Err(Error::PodSecurity { level, .. }) => {
                let level = Level::named(&level);
                let level = Some(level.unwrap_or(Level::Restricted));
                add(plugin.profile(self.ask.profile, wanted, level, &pod_with, io)?)
            }
            other => other,
        };
        added?;
        match plugin.until_runs(pod.name(), &name, self.ask.start_limit, &stop, io)? {
            Stands::Runs => {}
            Stands::Waits(_) => return Ok(STOPPED),
            Stands::Never(why) => {
                return Err(Said(format!(
                    "error: {} {name} {} {}/{}: {why}",
                    plugin.lang.pick("container", "容器"),
                    plugin.lang.pick("in pod", "位于 Pod"),
                    plugin.namespace,
                    pod.name()
                ))
                .into());
            }
            Stands::Ended(end) if ours => {
                return Err(Said(format!(
                    "error: {name} {} {}",
                    plugin
                        .lang
                        .pick("ended at once with exit code", "立即结束，退出码"),
                    end.code
                ))
                .into());
            }
            Stands::Ended(end) => return Ok(told(&end, plugin, io)),
        }
        if ours {
            return self.session(pod.name(), &name, &stop, io);
        }
        let attached = Attached {
            plugin,
            pod: pod.name(),
            container: &name,
            gets: Gets {
                input: self.ask.input,
                tty: self.ask.tty,
            },
            shell: self.ask.tty,
            deleted: plugin.lang.pick("its container stays", "其容器仍在"),
        };
        attached.until_end(false, &stop, io)
    }

    fn container(&self, name: &str, ours: bool) -> Container {
        let c = &self.ask.container;
        if ours {
            return Container {
                command: resident::stay(name, self.ask.deadline.as_secs().max(1)),
                tty: false,
                ..c.clone()
            };
        }
        Container {
            stdin: self.ask.input,
            stdin_once: !self.ask.tty,
            ..c.clone()
        }
    }

    /// A process of its own in a container of ours: who debugs the same pod is not disturbed.
    fn session(&self, pod: &str, container: &str, stop: &Stop, io: &mut Io<'_>) -> Result<i32> {
        let (plugin, ask) = (self.plugin, self.ask);
        let shell = ask.tty && is_shell(&ask.container.command);
        let command = match ask.container.command.as_slice() {
            [] => vec!["bash".to_string()],
            given => given.to_vec(),
        };
        let command = match (ask.input, shell) {
            (false, _) => resident::session(&command),
            // The next stream leads to the same shell.
            (true, true) => resident::shell(&owner::letters(), &command),
            (true, false) => command,
        };
        let program = Program {
            container: container.into(),
            command,
            stdin: true,
            tty: ask.tty,
        };
        let gets = Gets {
            input: ask.input,
            tty: ask.tty,
        };
        let input = Input::default();
        for again in 0.. {
            session::pause(again, stop);
            let over = match plugin.cluster.start(&plugin.namespace, pod, &program) {
                Ok(session) => talk(session, gets, None, &input, stop, io)?,
                // Only a stream that was there can be lost.
                Err(e) if again == 0 => return Err(e.into()),
                Err(e) => Over::Dropped(e),
            };
            match over {
                Over::Stopped => return Ok(STOPPED),
                Over::Exit(Exit::Code(code)) => return Ok(code),
                Over::Exit(Exit::Ended) => return Ok(0),
                Over::Ended(end) => return Ok(told(&end, plugin, io)),
                Over::Dropped(e @ Error::NotStarted { .. }) => return Err(e.into()),
                Over::Dropped(e) if shell && again < MOST_DROPS => {
                    let lang = plugin.lang;
                    plugin.note(
                        io,
                        &format!(
                            "{} ({e})",
                            lang.pick(
                                "the stream dropped; attaching to the same shell again",
                                "连接中断，正在重新连接同一 shell"
                            )
                        ),
                    );
                }
                Over::Dropped(e) => return Err(self.lost(pod, container, &e)),
            }
        }
        Ok(STOPPED)
    }

    fn lost(&self, pod: &str, container: &str, e: &Error) -> anyhow::Error {
        let plugin = self.plugin;
        let end = plugin.end_of(pod, container, Duration::from_millis(500));
        let why = match end {
            Ok(Some(_)) => plugin.lang.pick(
                "the container of ours in it has ended (deadline, or the pod is being deleted)",
                "其中的调试容器已结束（到期，或 Pod 正在删除）",
            ),
            _ => plugin.lang.pick(
                "the command may not have ended, and what it said since is lost",
                "命令可能尚未结束，其后的输出已丢失",
            ),
        };
        Said(format!(
            "error: {} {}/{pod}: {e}\n{why}",
            plugin
                .lang
                .pick("lost the stream to", "与以下 Pod 的连接中断："),
            plugin.namespace
        ))
        .into()
    }
}

/// Root of the node is what a node's files ask for.
fn at_least_root(wanted: Wanted) -> Wanted {
    Wanted {
        profile: wanted.profile.max(Profile::Baseline),
        ..wanted
    }
}

fn on_node(
    node: &str,
    name: Option<String>,
    plugin: &Plugin,
    ask: &Ask,
    printing: &Printing,
    io: &mut Io<'_>,
) -> Result<i32> {
    // Whoever may not read nodes learns from the pod whether the name was right.
    let nodes = Resource::known("Node").context("nodes are built in")?;
    if let Err(e) = plugin.cluster.get(&nodes, "", node)
        && e.is_not_found()
    {
        return Err(e.into());
    }
    let wanted = at_least_root(ask.wanted());
    node_pod(node, name, plugin, ask, wanted, printing, io)
}

fn node_pod(
    node: &str,
    container: Option<String>,
    plugin: &Plugin,
    ask: &Ask,
    wanted: Wanted,
    printing: &Printing,
    io: &mut Io<'_>,
) -> Result<i32> {
    let short: String = node.chars().take(40).collect();
    let around = Around {
        name: format!(
            "netshoot-{}-{}",
            short.trim_end_matches(['.', '-']),
            owner::letters()
        ),
        namespace: plugin.namespace.clone(),
        node: Some(node.into()),
        deadline_s: ask.deadline.as_secs().max(1),
        container,
        ..Around::default()
    };
    let owner = ours(Some(plugin), ask);
    let pod_with = |p: Profile| pods::on_node(&around, &ask.container, p, &owner);
    let plan = Plan {
        ask,
        pod_with: &pod_with,
        wanted,
        container: around.own(),
        keeps_rights: false,
        remove: true,
        attach: true,
        printing,
    };
    plan.carry_out(Some(plugin), io)
}

/// `exec-in POD -- COMMAND`.
pub fn exec_in(m: &ArgMatches, io: &mut Io<'_>) -> Result<i32> {
    let word = flags::text(m, "name").unwrap_or_default();
    let named = target::parse(&word).map_err(Wrong::usage)?;
    if matches!(named, Target::Node(_)) {
        return Err(Wrong::usage(
            "exec-in takes a pod; for a node: debug node/NAME",
        ));
    }
    let mut ask = Ask::of(m)?;
    if !image::is_ours(&ask.container.image) {
        return Err(Wrong::usage(
            "exec-in needs the image of netshoot: what enters the pod's network is in it",
        ));
    }
    let how = flags::connect(m)?;
    let plugin = Plugin::connect(&how, ask.quiet, io)?;
    let pod = plugin.find(&named, io)?;
    let node = pod.str("spec.nodeName");
    if node.is_empty() {
        return Err(Said(format!(
            "error: pod {} {}",
            pod.name(),
            plugin.lang.pick("is on no node yet", "尚未调度到节点")
        ))
        .into());
    }
    let command = match ask.container.command.as_slice() {
        [] => vec!["bash".to_string()],
        given => given.to_vec(),
    };
    ask.container.command = into_pod(&pod.0, &command);
    // Entering another namespace is what only a privileged container may.
    let wanted = Wanted {
        profile: Profile::Sysadmin,
        tool: "exec-in".into(),
    };
    if let Some(namespace) = flags::text(m, "pod-namespace") {
        let elsewhere = Plugin {
            namespace,
            ..plugin
        };
        return node_pod(node, None, &elsewhere, &ask, wanted, &Printing::of(m), io);
    }
    node_pod(node, None, &plugin, &ask, wanted, &Printing::of(m), io)
}

/// The command line that runs `command` in the network of a pod, from its node.
fn into_pod(pod: &Value, command: &[String]) -> Vec<String> {
    let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
    // A static pod's cgroup bears the hash that the kubelet gave it, not the UID of its mirror.
    let hash = pod.pointer("/metadata/annotations/kubernetes.io~1config.hash");
    let ids = pod["status"]["containerStatuses"].as_array();
    let ids = ids
        .into_iter()
        .flatten()
        .filter_map(|s| s["containerID"].as_str()?.split_once("://"))
        .map(|(_, id)| id);
    let mut out = vec!["netshoot".to_string(), "__in-pod".into(), uid.into()];
    out.extend(hash.and_then(Value::as_str).map(String::from));
    out.extend(ids.map(String::from));
    out.push("--".into());
    out.extend(command.iter().cloned());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_command_line_into_a_pod_names_it_in_every_way() {
        let pod = json!({"metadata": {"uid": "u-1", "annotations": {"kubernetes.io/config.hash": "h"}},
            "status": {"containerStatuses": [{"containerID": "containerd://c1"}, {"name": "not yet"}]}});
        let line = into_pod(&pod, &["ip".into(), "route".into()]);
        assert_eq!(line.join(" "), "netshoot __in-pod u-1 h c1 -- ip route");
    }
}
