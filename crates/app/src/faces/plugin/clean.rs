//! `clean`: takes away what was left, and says what cannot be taken away.

use super::flags;
use super::owner;
use super::pods::{CLIENT, DEADLINE, MANAGED_BY, OWNER};
use super::refusal::Needs;
use super::resident::{self, Entry};
use super::{Plugin, Said};
use crate::io::{Io, Lang};
use anyhow::Result;
use clap::ArgMatches;
use netshoot_api::live::{Program, Propagation, Resource, Selection};
use netshoot_model::object::Object;
use netshoot_model::time;
use serde_json::Value;

/// The rights that `clean` takes.
pub const NEEDS: Needs = &[
    ("", "pods", &["list", "get", "delete"]),
    ("", "pods/exec", &["create", "get"]),
];

/// What is to be done with a pod of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// Delete it; why.
    Delete(&'static str),
    /// Leave it; why.
    Keep(&'static str),
}

/// What a pod of ours is worth. `lives` tells whether the process that made it still runs.
fn judge(pod: &Value, me: &str, now_ms: i64, all: bool, lives: Option<bool>) -> Verdict {
    let annotation = |k: &str| {
        pod.pointer("/metadata/annotations")
            .and_then(|a| a.get(k))
            .and_then(Value::as_str)
            .unwrap_or("")
    };
    let phase = pod["status"]["phase"].as_str().unwrap_or("");
    if ["Succeeded", "Failed"].contains(&phase) {
        return Verdict::Delete("it has ended");
    }
    let deadline = time::parse(annotation(DEADLINE));
    if deadline.is_some_and(|d| d <= now_ms) {
        return Verdict::Delete("its deadline is over");
    }
    if all {
        return Verdict::Delete("--all");
    }
    if annotation(OWNER).split(" (").next() != Some(me) {
        return Verdict::Keep("it belongs to somebody else");
    }
    match lives {
        Some(true) => Verdict::Keep("its client still runs"),
        Some(false) => Verdict::Delete("its client is gone"),
        None => Verdict::Keep("its client is on another machine"),
    }
}

fn in_chinese(why: &'static str) -> &'static str {
    match why {
        "it has ended" => "已结束",
        "its deadline is over" => "已过期限",
        "--all" => "--all",
        "it belongs to somebody else" => "属于他人",
        "its client still runs" => "其客户端仍在运行",
        "its client is gone" => "其客户端已退出",
        _ => "其客户端在另一台机器上",
    }
}

/// `clean`.
pub fn clean(m: &ArgMatches, io: &mut Io<'_>) -> Result<i32> {
    let how = flags::connect(m)?;
    let plugin = Plugin::connect(&how, false, io)?;
    let everywhere = flags::given(m, "all-namespaces") == Some(true);
    let namespace = if everywhere {
        ""
    } else {
        plugin.namespace.as_str()
    };
    let all = flags::given(m, "all") == Some(true);
    let dry = flags::text(m, "dry-run").is_some_and(|d| d != "none");
    let lang = io.lang;
    let pods = plugin
        .cluster
        .list(&Resource::pods(), namespace, &Selection::default())?;
    let (mut done, mut failed) = (0, Vec::new());
    let (me, now) = (owner::me(), owner::now_ms());
    for pod in pods.iter().filter(|p| temporary(p)) {
        if !pod.str("metadata.deletionTimestamp").is_empty() {
            continue;
        }
        let client = pod.0["metadata"]["annotations"][CLIENT].as_str();
        let lives = client.and_then(owner::lives);
        let at = format!("pod/{} -n {}", pod.name(), pod.namespace());
        match judge(&pod.0, &me, now, all, lives) {
            Verdict::Keep(why) => {
                let owner = pod.0["metadata"]["annotations"][OWNER].as_str();
                say(io, &at, "kept", "保留", why, owner.unwrap_or("?"))?;
            }
            Verdict::Delete(why) => {
                let gone = match dry {
                    true => Ok(()),
                    false => plugin.cluster.delete(
                        &Resource::pods(),
                        pod.namespace(),
                        pod.name(),
                        Some(1),
                        Propagation::default(),
                    ),
                };
                match gone {
                    Err(e) if !e.is_not_found() => failed.push(format!("{at}: {e}")),
                    _ => {
                        done += 1;
                        say(
                            io,
                            &at,
                            "deleted",
                            "已删除",
                            why,
                            if dry { "dry run" } else { "" },
                        )?;
                    }
                }
            }
        }
    }
    let mut left = 0;
    for pod in &pods {
        for entry in resident::entries(&pod.0) {
            left += entry_of(&plugin, pod, &entry, all, dry, io)?;
        }
    }
    if left > 0 {
        writeln!(
            io.out,
            "{}",
            lang.pick(
                "Entries of ended ephemeral containers stay as long as their pods: Kubernetes cannot take them out, they run nothing",
                "已结束的临时容器条目会随 Pod 一直存在：Kubernetes 无法移除，但不运行任何进程"
            )
        )?;
    }
    if done == 0 && left == 0 && failed.is_empty() {
        writeln!(
            io.out,
            "{}",
            lang.pick("Nothing to clean", "没有需要清理的对象")
        )?;
    }
    if failed.is_empty() {
        return Ok(0);
    }
    Err(Said(format!("error: {}", failed.join("\n"))).into())
}

/// Made for one command: ours, and of no controller.
fn temporary(pod: &Object) -> bool {
    let owned = pod.0["metadata"]["ownerReferences"].as_array();
    pod.0["metadata"]["labels"][MANAGED_BY.0] == MANAGED_BY.1 && owned.is_none_or(Vec::is_empty)
}

fn say(io: &mut Io<'_>, at: &str, en: &str, zh: &str, why: &'static str, more: &str) -> Result<()> {
    let why = if io.lang == Lang::Zh {
        in_chinese(why)
    } else {
        why
    };
    let more = if more.is_empty() {
        String::new()
    } else {
        format!(" ({more})")
    };
    let line = format!("{at} {}: {why}{more}", io.lang.pick(en, zh));
    writeln!(io.out, "{}", crate::report::safe(&line))?;
    Ok(())
}

/// An ephemeral container of ours: ended with `--all`, listed when it has ended. 1 if its entry stays.
fn entry_of(
    plugin: &Plugin,
    pod: &Object,
    entry: &Entry,
    all: bool,
    dry: bool,
    io: &mut Io<'_>,
) -> Result<usize> {
    let at = format!(
        "pod/{} -n {} -c {}",
        pod.name(),
        pod.namespace(),
        entry.name
    );
    let lang = io.lang;
    let mut line = |en: &str, zh: &str| -> Result<()> {
        writeln!(io.out, "{} {}", crate::report::safe(&at), lang.pick(en, zh))?;
        Ok(())
    };
    if entry.ended {
        line("has ended; its entry stays", "已结束；条目仍保留")?;
        return Ok(1);
    }
    if !entry.runs {
        return Ok(0);
    }
    if !(all && entry.stays) {
        line(
            "runs until its deadline (clean --all ends it)",
            "运行至期限为止（clean --all 可将其结束）",
        )?;
        return Ok(0);
    }
    if dry {
        line("would be ended", "将被结束")?;
        return Ok(1);
    }
    let program = Program {
        container: entry.name.clone(),
        command: resident::end(&entry.name),
        stdin: false,
        tty: false,
    };
    let session = plugin
        .cluster
        .start(pod.namespace(), pod.name(), &program)?;
    // It ends while it answers, so the answer may get lost.
    let _ = session.run(None, &mut std::io::sink(), &mut std::io::sink());
    line("ended; its entry stays", "已结束；条目仍保留")?;
    Ok(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_left_is_told_from_what_is_used() {
        let pod = |phase: &str, owner: &str, deadline: &str| json!({"metadata": {"annotations": {OWNER: owner, DEADLINE: deadline}}, "status": {"phase": phase}});
        let now = time::parse("2026-01-01T12:00:00Z").unwrap();
        let (early, late) = ("2026-01-01T11:59:59Z", "2026-01-01T13:00:00Z");
        use Verdict::*;
        let cases = [
            (
                "Running",
                "jo@x (admin)",
                late,
                false,
                Some(true),
                Keep("its client still runs"),
            ),
            (
                "Running",
                "jo@x (admin)",
                late,
                false,
                Some(false),
                Delete("its client is gone"),
            ),
            (
                "Running",
                "jo@x",
                late,
                false,
                None,
                Keep("its client is on another machine"),
            ),
            (
                "Running",
                "ann@x",
                late,
                false,
                Some(false),
                Keep("it belongs to somebody else"),
            ),
            (
                "Running",
                "ann@x",
                early,
                false,
                Some(true),
                Delete("its deadline is over"),
            ),
            (
                "Succeeded",
                "ann@x",
                late,
                false,
                Some(true),
                Delete("it has ended"),
            ),
            (
                "Failed",
                "jo@x",
                late,
                false,
                Some(true),
                Delete("it has ended"),
            ),
            (
                "Pending",
                "jo@x",
                late,
                false,
                Some(false),
                Delete("its client is gone"),
            ),
            ("Running", "ann@x", late, true, None, Delete("--all")),
        ];
        for (phase, owner, deadline, all, lives, expected) in cases {
            let got = judge(&pod(phase, owner, deadline), "jo@x", now, all, lives);
            assert_eq!(got, expected, "{phase} {owner} {deadline} {all} {lives:?}");
            let (Delete(why) | Keep(why)) = got;
            assert!(why == "--all" || !in_chinese(why).is_ascii());
        }
    }
}
