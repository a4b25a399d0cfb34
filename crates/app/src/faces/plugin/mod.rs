//! The kubectl plugin: our image in a cluster, in one word.
//!
//! Reading order: `flags` (what is asked for), `pods` (what is sent), `profile` and `security` (with which
//! rights), `run` and `debug` (the words), `session` (streams), `refusal` and `waiting` (what is said when
//! it does not go on). `held`, `resident`, `kept` and `inside` are the other end, in the pod.

pub mod clean;
pub mod complete;
pub mod debug;
pub mod deploy;
pub mod flags;
mod held;
pub mod image;
#[cfg(feature = "node")]
pub mod inside;
mod jsonpath;
#[cfg(feature = "node")]
mod kept;
mod merge;
pub mod owner;
pub mod pods;
pub mod profile;
mod refusal;
mod resident;
pub mod run;
mod security;
mod session;
mod target;
mod terminal;
mod waiting;

use crate::io::{Io, Lang};
use crate::wrong::Wrong;
use anyhow::Result;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use flags::Printing;
use netshoot_api::live::{Cluster, Connect, Error, Resource};
use netshoot_model::object::Object;
use profile::{Profile, Wanted};
use refusal::Needs;
use security::{Level, violations};
use serde_json::Value;
use std::fmt;
use std::time::{Duration, Instant};
use waiting::Stands;

/// The exit code of kubectl for whatever went wrong.
const FAILED: i32 = 1;
/// The exit code after Ctrl-C: 128 + SIGINT.
const STOPPED: i32 = 130;

/// How long a pod that was deleted may take to go.
const GONE_LIMIT: Duration = Duration::from_secs(40);

/// Words whose mistakes are told as kubectl tells them.
pub const WORDS: [&str; 8] = [
    "attach", "clean", "debug", "deploy", "exec-in", "run", "undeploy", "version",
];

/// An error whose text says everything already.
#[derive(Debug)]
pub struct Said(pub String);

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Said {}

/// Says what went wrong as kubectl does, and gives its exit code.
pub fn finish(result: Result<i32>, needs: Needs, io: &mut Io<'_>) -> Result<i32> {
    let e = match result {
        Ok(code) => return Ok(code),
        Err(e) if crate::nobody_reads(&e) => return Err(e),
        Err(e) => e,
    };
    io.progress_done();
    let text = if let Some(e) = e.downcast_ref::<Error>() {
        refusal::explain(e, needs, io.lang)
    } else if let Some(said) = e.downcast_ref::<Said>() {
        said.0.clone()
    } else {
        format!("error: {e:#}")
    };
    for line in text.lines() {
        writeln!(io.err, "{}", crate::report::safe(line))?;
    }
    if let Some(Error::OwnStream { closed: true, .. }) = e.downcast_ref::<Error>() {
        return Ok(crate::NOBODY_READS);
    }
    Ok(FAILED)
}

/// A mistake on a command line, in kubectl's words.
pub fn mistake(e: &clap::Error, word: &str, io: &mut Io<'_>) -> i32 {
    let text = e.render().to_string();
    if !e.use_stderr() {
        return match io.out.write_all(text.as_bytes()) {
            Ok(()) => 0,
            Err(_) => crate::NOBODY_READS,
        };
    }
    let first = text.lines().next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    let first = match (e.kind(), e.get(ContextKind::InvalidArg)) {
        (ErrorKind::UnknownArgument, Some(ContextValue::String(flag))) if flag.starts_with('-') => {
            format!("unknown flag: {flag}")
        }
        _ => first.to_string(),
    };
    let see = io.lang.pick("See", "参见");
    let _ = writeln!(
        io.err,
        "error: {first}\n{see} 'kubectl netshoot {word} --help'"
    );
    FAILED
}

/// A cluster and the namespace that is meant.
pub struct Plugin {
    cluster: Cluster,
    namespace: String,
    quiet: bool,
    lang: Lang,
}

impl Plugin {
    /// Connects. Sends nothing yet.
    pub fn connect(how: &Connect, quiet: bool, io: &Io<'_>) -> Result<Plugin> {
        let cluster = Cluster::connect(how)?;
        let namespace = cluster.namespace().to_string();
        Ok(Plugin {
            cluster,
            namespace,
            quiet,
            lang: io.lang,
        })
    }

    fn note(&self, io: &mut Io<'_>, text: &str) {
        if !self.quiet {
            let _ = writeln!(io.err, "netshoot: {}", crate::report::safe(text));
        }
    }

    fn pod(&self, name: &str) -> Result<Object> {
        Ok(self.cluster.get(&Resource::pods(), &self.namespace, name)?)
    }

    /// What the namespace enforces; none where that may not be read.
    fn level(&self) -> Option<Level> {
        let namespaces = Resource::known("Namespace")?;
        self.cluster
            .get(&namespaces, "", &self.namespace)
            .ok()
            .map(|n| Level::of(&n.0))
    }

    /// The profile: the asked one if the namespace admits it, else the least that is enough.
    fn profile(
        &self,
        asked: Option<Profile>,
        wanted: &Wanted,
        level: Option<Level>,
        pod_with: &dyn Fn(Profile) -> Value,
        io: &mut Io<'_>,
    ) -> Result<Profile> {
        let known = level.unwrap_or(Level::Privileged);
        if let Some(profile) = asked {
            if violations(&pod_with(profile), known).is_empty() {
                return Ok(profile);
            }
            return Err(self.refused(profile, known, pod_with));
        }
        let Some(choice) = profile::auto(wanted, known, pod_with) else {
            return Err(self.refused(wanted.profile, known, pod_with));
        };
        self.note(
            io,
            &explain_choice(&choice, wanted, known, &self.namespace, self.lang),
        );
        Ok(choice.profile)
    }

    fn refused(
        &self,
        profile: Profile,
        level: Level,
        pod_with: &dyn Fn(Profile) -> Value,
    ) -> anyhow::Error {
        let lang = self.lang;
        Said(format!(
            "error: {} {} {} {level}, {} {}:\n{}",
            lang.pick("namespace", "命名空间"),
            self.namespace,
            lang.pick("enforces PodSecurity level", "执行 PodSecurity 级别"),
            lang.pick("which refuses --profile", "拒绝 --profile"),
            profile.word(),
            refusal::against(pod_with, profile, level, lang)
        ))
        .into()
    }

    /// Waits until the container runs or has ended; says why it takes long.
    fn until_runs(
        &self,
        pod: &str,
        container: &str,
        limit: Duration,
        stop: &session::Stop,
        io: &mut Io<'_>,
    ) -> Result<Stands> {
        let began = Instant::now();
        let mut said = String::new();
        let mut events = Vec::new();
        let lang = self.lang;
        loop {
            let mut last = String::new();
            let mut look = |c: &netshoot_api::live::Change| {
                use netshoot_api::live::Change;
                match c {
                    Change::Now(o) => match waiting::stands(&o.0, container, &events, lang) {
                        Stands::Waits(why) => {
                            last = why;
                            stop.came().then(|| Stands::Waits(String::new()))
                        }
                        other => Some(other),
                    },
                    Change::Gone(_) => Some(Stands::Never(
                        lang.pick("the pod was deleted meanwhile", "Pod 已被删除")
                            .into(),
                    )),
                    Change::Tick => None,
                }
            };
            let slice = Duration::from_secs(1).min(limit.saturating_sub(began.elapsed()));
            let found = self.cluster.wait_for_one(
                &Resource::pods(),
                &self.namespace,
                pod,
                slice.max(Duration::from_millis(100)),
                &mut look,
            )?;
            match found {
                Some(Stands::Waits(_)) => return Ok(Stands::Waits(String::new())),
                // The status says less than the events do.
                Some(Stands::Never(why)) => return Ok(self.with_events(pod, container, why)),
                Some(other) => return Ok(other),
                None if stop.came() => return Ok(Stands::Waits(String::new())),
                None => {}
            }
            events = self.events(pod, container);
            if last != said && !last.is_empty() && began.elapsed() > Duration::from_secs(2) {
                self.note(io, &last);
                said = last.clone();
            }
            if began.elapsed() >= limit {
                return Ok(Stands::Never(format!(
                    "{} {} s: {last}",
                    lang.pick("it does not run after", "超时未运行，已等待"),
                    limit.as_secs()
                )));
            }
        }
    }

    fn with_events(&self, pod: &str, container: &str, why: String) -> Stands {
        let events = self.events(pod, container);
        match self.pod(pod) {
            Ok(p) => match waiting::stands(&p.0, container, &events, self.lang) {
                better @ Stands::Never(_) => better,
                _ => Stands::Never(why),
            },
            Err(_) => Stands::Never(why),
        }
    }

    /// Events of the pod that are about this container or about the pod as a whole. None where they may
    /// not be read: then less is known about a wait.
    fn events(&self, pod: &str, container: &str) -> Vec<Object> {
        let all = self.cluster.events_of(&self.namespace, "Pod", pod);
        let ours = format!("{{{container}}}");
        all.unwrap_or_default()
            .into_iter()
            .filter(|e| {
                let field = e.str("involvedObject.fieldPath");
                field.is_empty() || field.ends_with(&ours)
            })
            .collect()
    }

    /// Waits until a pod that is being deleted is gone.
    fn until_gone(&self, pod: &str) {
        use netshoot_api::live::Change;
        let gone = |c: &Change| matches!(c, Change::Gone(_)).then_some(());
        let until = Instant::now() + GONE_LIMIT;
        // It may go between the list and the watch, so that nobody tells.
        while Instant::now() < until && self.pod(pod).is_ok() {
            let slice = Duration::from_secs(1);
            let told =
                self.cluster
                    .wait_for_one(&Resource::pods(), &self.namespace, pod, slice, &mut {
                        gone
                    });
            if !matches!(told, Ok(None)) {
                return;
            }
        }
    }

    /// How the container ended, when it has.
    fn end_of(&self, pod: &str, container: &str, limit: Duration) -> Result<Option<waiting::End>> {
        let lang = self.lang;
        let found = self.cluster.wait_for_one(
            &Resource::pods(),
            &self.namespace,
            pod,
            limit,
            &mut |c| {
                use netshoot_api::live::Change;
                match c {
                    Change::Now(o) => match waiting::stands(&o.0, container, &[], lang) {
                        Stands::Ended(end) => Some(Some(end)),
                        Stands::Never(_) => Some(None),
                        _ => None,
                    },
                    Change::Gone(_) => Some(None),
                    Change::Tick => None,
                }
            },
        )?;
        Ok(found.flatten())
    }
}

/// What `auto` came to, in a sentence.
fn explain_choice(
    choice: &profile::Choice,
    wanted: &Wanted,
    level: Level,
    namespace: &str,
    lang: Lang,
) -> String {
    let zh = lang == Lang::Zh;
    let (word, has) = (choice.profile.word(), choice.profile.has(zh));
    match (&choice.lacking, zh) {
        (Some(lacking), false) => format!(
            "profile {word} ({has}): {} wants {} ({}), which namespace {namespace} (PodSecurity {level}) refuses; what needs it will fail",
            lacking.tool,
            lacking.profile.word(),
            lacking.profile.has(false)
        ),
        (Some(lacking), true) => format!(
            "profile {word}（{has}）：{} 需要 {}（{}），但命名空间 {namespace}（PodSecurity {level}）不允许；相关操作会失败",
            lacking.tool,
            lacking.profile.word(),
            lacking.profile.has(true)
        ),
        (None, false) if wanted.tool.is_empty() => {
            format!("profile {word} ({has}): the command needs no more")
        }
        (None, true) if wanted.tool.is_empty() => {
            format!("profile {word}（{has}）：命令无需更多权限")
        }
        (None, false) => format!("profile {word} ({has}), for {}", wanted.tool),
        (None, true) => format!("profile {word}（{has}），用于 {}", wanted.tool),
    }
}

/// Prints an object as `-o` says; with a name only, as kubectl does after it did something.
pub fn print(object: &Value, printing: &Printing, done: &str, io: &mut Io<'_>) -> Result<()> {
    let text = |p: &str| object.pointer(p).and_then(Value::as_str).unwrap_or("");
    let kind = text("/kind").to_lowercase();
    let group = text("/apiVersion").split_once('/').map_or("", |(g, _)| g);
    let kind = if group.is_empty() {
        kind
    } else {
        format!("{kind}.{group}")
    };
    let name = text("/metadata/name");
    match printing.output.as_str() {
        "yaml" => write!(io.out, "{}", serde_yaml_ng::to_string(object)?)?,
        "json" => writeln!(io.out, "{}", serde_json::to_string_pretty(object)?)?,
        "name" => writeln!(io.out, "{kind}/{name}")?,
        other if other.starts_with(flags::JSONPATH) => {
            let text = other.strip_prefix(flags::JSONPATH).unwrap_or_default();
            let template = jsonpath::parse(text).map_err(Wrong::usage)?;
            write!(io.out, "{}", template.of(object))?;
        }
        _ => {
            let dry = match printing.dry_run.as_str() {
                "client" => " (dry run)",
                "server" => " (server dry run)",
                _ => "",
            };
            writeln!(io.out, "{kind}/{name} {done}{dry}")?;
        }
    }
    Ok(())
}

/// `NAME=VALUE` flags.
fn environment(all: &[String]) -> Result<Vec<(String, String)>> {
    all.iter()
        .map(|e| {
            e.split_once('=')
                .filter(|(k, _)| !k.is_empty())
                .map(|(k, v)| (k.to_string(), v.to_string()))
                .ok_or_else(|| Wrong::usage(format!("--env: {e:?} is not NAME=VALUE")))
        })
        .collect()
}
