//! `kubectl netshoot diagnose` in a real Kubernetes, as people type it: every level that must do, every way to print and keep
//! a report, and what happens under its feet while it asks.

#![allow(clippy::unwrap_used)]

mod ours;
mod ring5;

use netshoot_model::probe::{Harm, Question};
use ours::{IMAGE, agents, nothing_of_ours_runs, ready, text};
use ring5::{Cluster, Said, Space, holds, until};
use std::path::Path;
use std::process::{Command, Stdio};

const SHOP: &str = include_str!("ring5/shop.yaml");

/// Somebody whose own image holds our program.
const TOOLS: &str = "apiVersion: v1
kind: Pod
metadata: {name: tools}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: tools, image: IMAGE, imagePullPolicy: Never, command: [sleep, infinity]}]
";

fn shop(cluster: &Cluster) -> Space<'_> {
    let space = cluster.namespace("typed");
    space.apply(SHOP);
    space.apply(&TOOLS.replace("IMAGE", IMAGE));
    space
        .kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"])
        .ok();
    space.ready(&["pod/client-a", "pod/client-b", "pod/on-host", "pod/tools"]);
    space
}

/// `kubectl netshoot diagnose -n NAMESPACE --to svc/web:80`, by kubectl itself.
fn diagnosis(space: &Space<'_>, from: &str, more: &[&str]) -> Command {
    let mut c = space.cluster.command("kubectl");
    c.args(["netshoot", "diagnose", "-n", &space.name])
        .args(["--from", from, "--to", "svc/web:80"])
        .args(more)
        .env("NETSHOOT_IMAGE", IMAGE);
    c
}

fn diagnose(space: &Space<'_>, from: &str, more: &[&str]) -> Said {
    text(&diagnosis(space, from, more).output().unwrap())
}

/// The questions that a recording holds answers to.
fn asked(recording: &Path) -> Vec<Question> {
    let text = std::fs::read_to_string(recording).unwrap();
    let recording: serde_json::Value = serde_json::from_str(&text).unwrap();
    let batches = recording["batches"].as_array().unwrap().iter();
    let answers = batches.flat_map(|b| b["answers"].as_array().unwrap());
    answers
        .map(|a| serde_json::from_value(a["probe"]["question"].clone()).unwrap())
        .collect()
}

fn entries(space: &Space<'_>, pod: &str) -> String {
    space.field(&format!("pod/{pod}"), "{.spec.ephemeralContainers[*].name}")
}

#[test]
fn each_level_that_must_do_does_and_goes_no_further() {
    let Some(cluster) = ready() else { return };
    let space = shop(&cluster);
    for (from, level, says, not) in [
        // What runs there already has our program in it.
        ("pod/tools", "exec", "", "access "),
        (
            "node/node-a",
            "pod",
            "access pod: making a pod on node node-a",
            "privileged",
        ),
        // In the network of its node.
        (
            "pod/on-host",
            "ephemeral",
            "adding a container to pod",
            "making a",
        ),
    ] {
        let said = diagnose(&space, from, &["--access", level]);
        assert_eq!(said.code, 0, "{from} {level}: {}", said.all());
        assert!(
            said.err.contains(says) && !said.err.contains(not),
            "{from}: {}",
            said.err
        );
    }
    nothing_of_ours_runs(&space);
    // Baseline admits root with what the runtime gives it, which is enough for a ping.
    let label = "pod-security.kubernetes.io/enforce=baseline";
    cluster
        .kubectl(&["label", "namespace", &space.name, label])
        .ok();
    let said = diagnose(&space, "pod/client-b", &["--access", "ephemeral"]);
    assert_eq!(said.code, 0, "{}", said.all());
    let context = "{.spec.ephemeralContainers[*].securityContext}";
    let context = space.field("pod/client-b", context);
    assert_eq!(context, r#"{"runAsUser":0}"#);
    nothing_of_ours_runs(&space);
}

#[test]
fn a_report_is_planned_printed_kept_and_read_again() {
    let Some(cluster) = ready() else { return };
    let space = shop(&cluster);
    let from = "pod/client-a";
    let kept = cluster.state().join(format!("{}.json", space.name));
    let file = kept.to_str().unwrap();
    let said = diagnose(&space, from, &["--access", "node", "--plan"]);
    assert_eq!(said.code, 0, "{}", said.all());
    let first = format!(
        "TCP connect to {}:80",
        space.field("svc/web", "{.spec.clusterIP}")
    );
    assert!(said.out.contains(&first), "{}", said.out);
    let made = (entries(&space, "client-a"), agents(&space, &[]));
    assert_eq!(made, Default::default(), "a plan makes nothing");
    // What may be made may read; not a packet is sent.
    let passive = ["--access", "node", "--passive", "--record", file];
    let said = diagnose(&space, from, &passive);
    assert_eq!(said.code, 2, "{}", said.all());
    assert!(
        said.out.contains("run it again without --passive"),
        "{}",
        said.out
    );
    let asked = asked(&kept);
    assert!(asked.len() > 4, "it reads what can be read: {asked:?}");
    let sends: Vec<_> = asked.iter().filter(|q| q.harm() != Harm::None).collect();
    assert!(sends.is_empty(), "{sends:?}");
    nothing_of_ours_runs(&space);
    let keep = ["--access", "ephemeral", "-o", "md", "--record", file];
    let said = diagnose(&space, from, &keep);
    assert_eq!(said.code, 0, "{}", said.all());
    assert!(
        said.out.starts_with('#') && said.out.contains("Service/web:80"),
        "{}",
        said.out
    );
    for (format, begins) in [("html", "<!doctype html>"), ("md", "#"), ("json", "{")] {
        let words = ["diagnose", "--snapshot", file, "-n", &space.name];
        let more = ["--from", from, "--to", "svc/web:80", "-o", format];
        let again = cluster.run("kubectl-netshoot", &[&words[..], &more].concat());
        assert_eq!(again.code, 0, "{}", again.all());
        assert!(
            again.out.to_lowercase().starts_with(begins),
            "{}",
            again.out
        );
        if format == "md" {
            assert_eq!(again.out, said.out, "the recording says the same");
        }
    }
    std::fs::remove_file(&kept).unwrap();
    nothing_of_ours_runs(&space);
}

#[test]
fn two_who_ask_from_one_pod_do_not_disturb_each_other_and_one_that_dies_ends_its_own() {
    let Some(cluster) = ready() else { return };
    let space = shop(&cluster);
    let begin = |pod: &str| {
        diagnosis(&space, pod, &["--access", "ephemeral"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let both = [begin("pod/client-a"), begin("pod/client-a")];
    for child in both {
        let said = text(&child.wait_with_output().unwrap());
        assert_eq!(said.code, 0, "{}", said.all());
    }
    assert_eq!(entries(&space, "client-a").split(' ').count(), 2);
    // The pod goes while an agent is being made in it.
    let child = begin("pod/client-b");
    until("something is made", 30, || {
        holds(entries(&space, "client-b"), "netshoot")
    });
    space
        .kubectl(&["delete", "pod", "client-b", "--grace-period=0", "--force"])
        .ok();
    let said = text(&child.wait_with_output().unwrap());
    // It may have been quicker than the deletion.
    assert!([0, 2].contains(&said.code), "{}", said.all());
    assert!(!said.err.contains("panicked"), "{}", said.err);
    nothing_of_ours_runs(&space);
}
