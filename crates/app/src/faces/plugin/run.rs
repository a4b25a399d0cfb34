//! `run`, and everything that makes a pod for one command: attach, talk, take the exit code, take the pod
//! away.

mod attached;

use super::flags::{self, Printing};
use super::pods::{self, Around, CONTAINER, Container, Owner};
use super::profile::{Profile, Wanted, wanted, wanted_by};
use super::refusal::Needs;
use super::security::Level;
use super::session::{Gets, Input, Over, Stop, talk};
use super::target::{self, Target};
use super::waiting::{End, Stands};
use super::{
    Plugin, STOPPED, Said, environment, held, image, merge, owner, print, session, terminal,
};
use crate::io::Io;
use crate::wrong::Wrong;
use anyhow::{Context, Result};
use attached::follow_log;
pub use attached::{Attached, told};
use clap::ArgMatches;
use netshoot_api::live::{Cluster, Error, LogOptions, Program, Propagation, Resource};
use serde_json::Value;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// The rights that `run` takes.
pub const NEEDS: Needs = &[
    ("", "pods", &["create", "get", "list", "watch", "delete"]),
    ("", "pods/attach", &["create", "get"]),
    ("", "pods/log", &["get"]),
    ("", "events", &["list"]),
    ("", "namespaces", &["get"]),
];

/// How a pod is called that is only asked for.
const PROBE: &str = "netshoot-asked-";

/// How often a shell's dropped stream is taken up again without a key between.
pub const MOST_DROPS: usize = 5;

/// What every word that starts a command is asked for.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Image, command, environment.
    pub container: Container,
    /// Our input is sent.
    pub input: bool,
    /// Our terminal is shown.
    pub tty: bool,
    /// Nothing but the command's output.
    pub quiet: bool,
    /// None is `auto`.
    pub profile: Option<Profile>,
    /// How long it may live.
    pub deadline: Duration,
    /// How long it may take to start.
    pub start_limit: Duration,
}

impl Ask {
    /// From the command line.
    pub fn of(m: &ArgMatches) -> Result<Ask> {
        let command = flags::texts(m, "command");
        let here = terminal::is_here();
        // A shell is for typing into, and for what is piped into it; a command only where asked, so that
        // it does not eat the input of a loop around it.
        let input = flags::given(m, "stdin").unwrap_or(command.is_empty() || here);
        let tty = flags::given(m, "tty").unwrap_or(here) && here && input;
        let container = Container {
            image: image::chosen(flags::text(m, "image")),
            pull_policy: flags::text(m, "image-pull-policy").unwrap_or_default(),
            command,
            env: environment(&flags::texts(m, "env"))?,
            requests: pods::requests(),
            limits: pods::limits(),
            tty,
            ..Container::default()
        };
        let deadline = flags::time(m, "deadline")?;
        if deadline < Duration::from_secs(1) {
            return Err(Wrong::usage("--deadline: less than a second"));
        }
        Ok(Ask {
            container,
            input,
            tty,
            quiet: flags::given(m, "quiet") == Some(true),
            profile: flags::text(m, "profile").and_then(|p| Profile::named(&p)),
            deadline,
            start_limit: flags::time(m, "pod-running-timeout")?,
        })
    }

    /// What the command wants.
    pub fn wanted(&self) -> Wanted {
        wanted(&self.container.command)
    }

    /// The terminal was asked for and there is none.
    pub fn wants_no_terminal(&self, m: &ArgMatches) -> bool {
        flags::given(m, "tty") == Some(true) && !self.tty
    }
}

/// A pod for one command.
pub struct Plan<'a> {
    /// What was asked for.
    pub ask: &'a Ask,
    /// The pod for a profile, finished but for the hold of its command.
    pub pod_with: &'a dyn Fn(Profile) -> Value,
    /// What its command wants.
    pub wanted: Wanted,
    /// The container that is talked to.
    pub container: &'a str,
    /// It is the pod's own, with whatever rights it has.
    pub keeps_rights: bool,
    /// Delete it at the end.
    pub remove: bool,
    /// Talk to it; else only make it.
    pub attach: bool,
    /// Print instead.
    pub printing: &'a Printing,
}

/// `--overrides` and how.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// JSON or YAML; empty for none.
    pub text: String,
    /// How it is laid over the pod.
    pub way: merge::Way,
}

impl Overrides {
    /// From the command line.
    pub fn of(m: &ArgMatches) -> Overrides {
        Overrides {
            text: flags::text(m, "overrides").unwrap_or_default(),
            way: match flags::text(m, "override-type").as_deref() {
                Some("merge") => merge::Way::Merge,
                Some("json") => merge::Way::Json,
                _ => merge::Way::Strategic,
            },
        }
    }

    fn over(&self, pod: &Value) -> Result<Value> {
        if self.text.trim().is_empty() {
            return Ok(pod.clone());
        }
        let overlay: Value = serde_yaml_ng::from_str(&self.text)
            .map_err(|e| Wrong::usage(format!("--overrides: neither JSON nor YAML: {e}")))?;
        merge::over(pod, &overlay, self.way).map_err(|e| Wrong::usage(format!("--overrides: {e}")))
    }
}

/// `run NAME`.
pub fn run(m: &ArgMatches, io: &mut Io<'_>) -> Result<i32> {
    let mut ask = Ask::of(m)?;
    if flags::given(m, "privileged") == Some(true) {
        ask.profile = Some(Profile::Sysadmin);
    }
    let printing = Printing::of(m);
    let around = around(m, &ask)?;
    for (key, to) in [
        ("requests", &mut ask.container.requests),
        ("limits", &mut ask.container.limits),
    ] {
        if let Some(text) = flags::text(m, key) {
            *to = pods::pairs(&text).map_err(|e| Wrong::usage(format!("--{key}: {e}")))?;
        }
    }
    let how = flags::connect(m)?;
    let plugin = match printing.client() {
        true => None,
        false => Some(Plugin::connect(&how, ask.quiet, io)?),
    };
    if ask.wants_no_terminal(m) {
        writeln!(
            io.err,
            "Unable to use a TTY - input is not a terminal or the right kind of file"
        )?;
    }
    let around = Around {
        namespace: match &plugin {
            Some(p) => p.namespace.clone(),
            None => how.namespace.clone().unwrap_or_default(),
        },
        ..around
    };
    let overrides = Overrides::of(m);
    let owner = owner::us(plugin.as_ref().map(|p| &p.cluster), ask.deadline);
    let base = |p: Profile| pods::temporary(&around, &ask.container, p, &owner);
    // A mistake in the override is told before anything is made; and what it asks for is wanted as much as what
    // the command needs.
    let laid = overrides.over(&base(Profile::Restricted))?;
    let by_override = wanted_by(&laid, CONTAINER, "--overrides");
    let wanted = match ask.wanted() {
        of_command if of_command.profile >= by_override.profile => of_command,
        _ => by_override,
    };
    let pod_with = |p: Profile| overrides.over(&base(p)).unwrap_or_else(|_| base(p));
    let remove = flags::given(m, "rm") != Some(false);
    let attach = flags::given(m, "attach") != Some(false);
    if attach && let Some(policy) = &around.restart {
        return Err(Wrong::usage(format!(
            "--restart={policy}: what is talked to runs once; add --attach=false"
        )));
    }
    let plan = Plan {
        ask: &ask,
        pod_with: &pod_with,
        wanted,
        container: CONTAINER,
        keeps_rights: false,
        remove,
        attach,
        printing: &printing,
    };
    plan.carry_out(plugin.as_ref(), io)
}

fn around(m: &ArgMatches, ask: &Ask) -> Result<Around> {
    let maps = |key: &str| -> Result<_> {
        let text = flags::texts(m, key).join(",");
        pods::pairs(&text).map_err(|e| Wrong::usage(format!("--{key}: {e}")))
    };
    let tolerations = flags::texts(m, "toleration")
        .iter()
        .map(|t| pods::toleration(t).map_err(|e| Wrong::usage(format!("--toleration: {e}"))))
        .collect::<Result<Vec<_>>>()?;
    Ok(Around {
        name: flags::text(m, "name").unwrap_or_default(),
        labels: maps("labels")?,
        annotations: maps("annotations")?,
        node: flags::text(m, "node"),
        node_selector: maps("node-selector")?,
        tolerations,
        host_network: flags::given(m, "host-network") == Some(true),
        service_account: flags::text(m, "serviceaccount"),
        deadline_s: ask.deadline.as_secs().max(1),
        port: m.get_one::<u16>("port").copied(),
        restart: flags::text(m, "restart").filter(|r| r != "Never"),
        ..Around::default()
    })
}

impl Plan<'_> {
    /// Makes the pod, talks to it, gives its exit code.
    pub fn carry_out(&self, plugin: Option<&Plugin>, io: &mut Io<'_>) -> Result<i32> {
        let Some(plugin) = plugin else {
            let choice = super::profile::auto(&self.wanted, Level::Privileged, self.pod_with);
            let auto = choice.map_or(self.wanted.profile, |c| c.profile);
            let pod = self.finished(self.ask.profile.unwrap_or(auto)).0;
            print(&pod, self.printing, "created", io)?;
            return Ok(0);
        };
        let mut profile = self.profile(plugin, plugin.level(), io)?;
        let stop = Stop::listen()?;
        let made = match self.make(plugin, profile) {
            // The level could not be read before; now the refusal names it.
            Err(Error::PodSecurity { level, .. }) => {
                let level = Level::named(&level).unwrap_or(Level::Restricted);
                profile = self.profile(plugin, Some(level), io)?;
                self.make(plugin, profile)
            }
            other => other,
        };
        let (pod, held) = made?;
        if self.printing.dry() || !self.attach {
            print(&pod, self.printing, "created", io)?;
            return Ok(0);
        }
        if !self.printing.output.is_empty() {
            print(&pod, self.printing, "created", io)?;
        }
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let removal = Removal {
            cluster: self.remove.then(|| plugin.cluster.clone()),
            namespace: plugin.namespace.clone(),
            name: name.into(),
        };
        let result = self.converse(plugin, name, held, &stop, io);
        removal.done(plugin, io);
        result
    }

    fn profile(&self, plugin: &Plugin, level: Option<Level>, io: &mut Io<'_>) -> Result<Profile> {
        if self.keeps_rights {
            return Ok(Profile::Restricted);
        }
        plugin.profile(self.ask.profile, &self.wanted, level, self.pod_with, io)
    }

    /// Has the pod checked by the API server, which keeps nothing.
    pub fn may_be_made(&self, plugin: &Plugin, io: &mut Io<'_>) -> Result<()> {
        let profile = self.profile(plugin, plugin.level(), io)?;
        let mut pod = self.finished(profile).0;
        // The name of the copy may still be the original's.
        pod["metadata"]["name"] = format!("{PROBE}{}", owner::letters()).into();
        let pods = Resource::pods();
        plugin
            .cluster
            .create(&pods, &plugin.namespace, &pod, true)?;
        Ok(())
    }

    /// The pod for a profile with its command held back where it is ours and somebody will attach;
    /// whether it is held.
    fn finished(&self, profile: Profile) -> (Value, bool) {
        let mut pod = (self.pod_with)(profile);
        let all = pod["spec"]["containers"].as_array_mut();
        let mut all = all.into_iter().flatten();
        let ours = all.find(|c| c["name"] == self.container);
        let Some(c) = ours else {
            return (pod, false);
        };
        let image_is_ours = c["image"].as_str().is_some_and(image::is_ours);
        let mut command: Vec<String> = ["command", "args"]
            .iter()
            .filter_map(|k| c[k].as_array())
            .flatten()
            .filter_map(|w| w.as_str().map(String::from))
            .collect();
        if command.is_empty() && image_is_ours {
            command = vec!["bash".into()];
        }
        let hold = image_is_ours && self.attach;
        if hold {
            command = held::held(&command, self.ask.input);
        }
        let input = self.ask.input || hold;
        let mut set = |key: &str, on: bool| {
            if on {
                c[key] = true.into();
            }
        };
        set("stdin", input && self.attach);
        // A shell's stream may be taken up again, so its input must survive the first one.
        set("stdinOnce", input && self.attach && !self.ask.tty);
        set("tty", self.ask.tty && self.attach);
        if !command.is_empty() {
            c["command"] = command.into();
            if let Some(c) = c.as_object_mut() {
                c.remove("args");
            }
        }
        (pod, hold)
    }

    fn make(&self, plugin: &Plugin, profile: Profile) -> Result<(Value, bool), Error> {
        let (pod, held) = self.finished(profile);
        let dry = self.printing.dry();
        let create = || {
            plugin
                .cluster
                .create(&Resource::pods(), &plugin.namespace, &pod, dry)
        };
        let mut made = match create() {
            // The one of the same name that was just left: whoever repeats a command is that quick.
            Err(Error::AlreadyExists { says, .. }) if says.contains("being deleted") => {
                plugin.until_gone(pod["metadata"]["name"].as_str().unwrap_or_default());
                create()?.0
            }
            other => other?.0,
        };
        for (key, value) in [("apiVersion", "v1"), ("kind", "Pod")] {
            made[key] = value.into();
        }
        Ok((made, held))
    }

    fn converse(
        &self,
        plugin: &Plugin,
        name: &str,
        held: bool,
        stop: &Stop,
        io: &mut Io<'_>,
    ) -> Result<i32> {
        let container = self.container;
        let stands = plugin.until_runs(name, container, self.ask.start_limit, stop, io)?;
        let lang = plugin.lang;
        match stands {
            Stands::Waits(_) => return Ok(STOPPED),
            Stands::Never(why) => {
                return Err(Said(format!("error: pod {}/{name}: {why}", plugin.namespace)).into());
            }
            // A foreign command that was quicker than we are: its log is all there is.
            Stands::Ended(end) => {
                let options = LogOptions {
                    container: container.into(),
                    ..LogOptions::default()
                };
                plugin
                    .cluster
                    .log_to(&plugin.namespace, name, &options, io.out)?;
                return Ok(told(&end, plugin, io));
            }
            Stands::Runs => {}
        }
        if !held && !self.ask.input && !self.ask.tty {
            return follow_log(plugin, name, container, stop, io);
        }
        let talk = Attached {
            plugin,
            pod: name,
            container,
            gets: Gets {
                input: self.ask.input,
                tty: self.ask.tty,
            },
            shell: self.ask.tty,
            deleted: lang.pick("its pod is deleted", "其 Pod 将被删除"),
        };
        talk.until_end(held, stop, io)
    }
}

/// A pod to be taken away, whatever happens.
struct Removal {
    cluster: Option<Cluster>,
    namespace: String,
    name: String,
}

impl Removal {
    fn delete(&mut self) -> Result<(), Error> {
        let Some(cluster) = self.cluster.take() else {
            return Ok(());
        };
        let pods = Resource::pods();
        match cluster.delete(
            &pods,
            &self.namespace,
            &self.name,
            Some(1),
            Propagation::default(),
        ) {
            Err(e) if e.is_not_found() => Ok(()),
            other => other,
        }
    }

    fn done(mut self, plugin: &Plugin, io: &mut Io<'_>) {
        if let Err(e) = self.delete() {
            plugin.note(
                io,
                &format!(
                    "pod {}/{} {}: {e}; netshoot clean",
                    self.namespace,
                    self.name,
                    plugin.lang.pick("could not be deleted", "未能删除")
                ),
            );
        }
    }
}

impl Drop for Removal {
    fn drop(&mut self) {
        let _ = self.delete();
    }
}

/// `attach POD|deploy/X|svc/X`: to the command of a pod that still runs.
pub fn attach(m: &ArgMatches, io: &mut Io<'_>) -> Result<i32> {
    let how = flags::connect(m)?;
    let plugin = Plugin::connect(&how, flags::given(m, "quiet") == Some(true), io)?;
    let word = flags::text(m, "name").unwrap_or_default();
    let named = target::parse(&word).map_err(Wrong::usage)?;
    if let Target::Node(node) = &named {
        return Err(Wrong::usage(format!(
            "a node runs no command of its own; try: debug node/{node}"
        )));
    }
    let pod = plugin.find(&named, io)?;
    let name = pod.name();
    let container = match flags::text(m, "container") {
        Some(c) => c,
        None => pods::main_container(&pod.0)
            .context("the pod has no container")?
            .to_string(),
    };
    let all = ["containers", "ephemeralContainers"];
    let spec = all
        .iter()
        .filter_map(|k| pod.0["spec"][k].as_array())
        .flatten()
        .find(|c| c["name"] == container.as_str());
    let Some(spec) = spec else {
        return Err(Said(format!("error: pod {name} has no container {container}")).into());
    };
    let is = |k: &str| spec[k] == true;
    let command: Vec<String> = serde_json::from_value(spec["command"].clone()).unwrap_or_default();
    let stop = Stop::listen()?;
    let limit = flags::time(m, "pod-running-timeout")?;
    match plugin.until_runs(name, &container, limit, &stop, io)? {
        Stands::Runs => {}
        Stands::Waits(_) => return Ok(STOPPED),
        Stands::Never(why) => return Err(Said(format!("error: pod {name}: {why}")).into()),
        Stands::Ended(end) => {
            return Err(Said(format!(
                "error: {container} {} {}",
                plugin
                    .lang
                    .pick("has ended with exit code", "已结束，退出码"),
                end.code
            ))
            .into());
        }
    }
    for (flag, en, zh) in [
        ("stdin", "takes no standard input", "不接收标准输入"),
        ("tty", "has no terminal", "没有终端"),
    ] {
        if flags::given(m, flag) == Some(true) && !is(flag) {
            plugin.note(io, &format!("{container} {}", plugin.lang.pick(en, zh)));
        }
    }
    let wants = |flag: &str| is(flag) && flags::given(m, flag) != Some(false);
    let tty = wants("tty") && terminal::is_here();
    let attached = Attached {
        plugin: &plugin,
        pod: name,
        container: &container,
        gets: Gets {
            input: wants("stdin"),
            tty,
        },
        shell: tty,
        deleted: plugin.lang.pick("it is still there", "它仍然存在"),
    };
    // A held command that nobody let go yet is let go now; one that runs takes the words as input, so
    // that only one that was never attached is asked.
    let held = held::is_held(&command) && never_attached(&plugin, name, &container);
    attached.until_end(held, &stop, io)
}

/// Nothing was said in this container yet.
fn never_attached(plugin: &Plugin, pod: &str, container: &str) -> bool {
    let options = LogOptions {
        container: container.into(),
        most_bytes: Some(1),
        ..LogOptions::default()
    };
    plugin
        .cluster
        .log(&plugin.namespace, pod, &options)
        .is_ok_and(|l| l.is_empty())
}

/// For those who make pods of other shapes.
pub fn ours(plugin: Option<&Plugin>, ask: &Ask) -> Owner {
    owner::us(plugin.map(|p| &p.cluster), ask.deadline)
}
