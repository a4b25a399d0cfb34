//! `deploy` and `undeploy`: the resident Deployment of the article, and `version`.

use super::flags::{self, Printing};
use super::pods::{self, Around, MANAGED_BY};
use super::profile::{Profile, Wanted};
use super::refusal::Needs;
use super::run::Ask;
use super::{Plugin, Said, owner, print, target};
use crate::io::Io;
use crate::wrong::Wrong;
use anyhow::{Context, Result};
use clap::ArgMatches;
use netshoot_api::live::{Change, Propagation, Resource, Selection};
use serde_json::Value;

/// The rights that both take.
pub const NEEDS: Needs = &[
    (
        "apps",
        "deployments",
        &["create", "get", "list", "watch", "delete"],
    ),
    ("", "pods", &["list"]),
    ("", "namespaces", &["get"]),
];

/// The command of the article: does nothing, for ever.
const IDLE: [&str; 3] = ["bash", "-c", "while true; do sleep 3600; done"];

/// `deploy [NAME]`.
pub fn deploy(m: &ArgMatches, io: &mut Io<'_>) -> Result<i32> {
    let mut ask = Ask::of(m)?;
    let printing = Printing::of(m);
    let how = flags::connect(m)?;
    let plugin = match printing.client() {
        true => None,
        false => Some(Plugin::connect(&how, ask.quiet, io)?),
    };
    if ask.container.command.is_empty() {
        ask.container.command = IDLE.map(String::from).into();
    }
    ask.container.tty = false;
    let around = Around {
        name: flags::text(m, "name").unwrap_or_default(),
        namespace: match &plugin {
            Some(p) => p.namespace.clone(),
            None => how.namespace.clone().unwrap_or_default(),
        },
        ..Around::default()
    };
    let mut owner = owner::us(plugin.as_ref().map(|p| &p.cluster), ask.deadline);
    // It is meant to stay until undeploy, whoever made it.
    owner.deadline.clear();
    owner.client.clear();
    let replicas = m.get_one::<u64>("replicas").copied().unwrap_or(1);
    let made = |p: Profile| pods::deployment(&around, &ask.container, p, &owner, replicas);
    // What stands there for months has no rights unless asked for.
    let wanted = Wanted {
        profile: Profile::Restricted,
        tool: String::new(),
    };
    let Some(plugin) = plugin else {
        print(
            &made(ask.profile.unwrap_or(wanted.profile)),
            &printing,
            "created",
            io,
        )?;
        return Ok(0);
    };
    // Admission looks at the pods that come of it.
    let pod_with = |p: Profile| made(p)["spec"]["template"].clone();
    let profile = plugin.profile(ask.profile, &wanted, plugin.level(), &pod_with, io)?;
    let deployments = Resource::known("Deployment").context("deployments are built in")?;
    let object = made(profile);
    let created =
        plugin
            .cluster
            .create(&deployments, &plugin.namespace, &object, printing.dry())?;
    let mut shown = created.0;
    shown["apiVersion"] = object["apiVersion"].clone();
    shown["kind"] = object["kind"].clone();
    print(&shown, &printing, "created", io)?;
    if printing.dry() || flags::given(m, "wait") == Some(false) {
        return Ok(0);
    }
    until_ready(&plugin, &deployments, &around.name, &ask, io)?;
    plugin.note(
        io,
        &format!(
            "kubectl exec -it -n {} deploy/{} -- bash",
            plugin.namespace, around.name
        ),
    );
    Ok(0)
}

fn until_ready(
    plugin: &Plugin,
    deployments: &Resource,
    name: &str,
    ask: &Ask,
    io: &mut Io<'_>,
) -> Result<()> {
    let mut why = String::new();
    let ready = plugin.cluster.wait_for_one(
        deployments,
        &plugin.namespace,
        name,
        ask.start_limit,
        &mut |c| {
            let Change::Now(d) = c else { return None };
            let conditions = d.0.pointer("/status/conditions").and_then(Value::as_array);
            for c in conditions.into_iter().flatten() {
                if c["status"] == "True" && c["type"] == "ReplicaFailure" {
                    why = c["message"].as_str().unwrap_or("").into();
                }
            }
            let count = |k: &str| d.0["status"][k].as_u64().unwrap_or(0);
            let wanted = d.0["spec"]["replicas"].as_u64().unwrap_or(1);
            (count("readyReplicas") >= wanted && count("updatedReplicas") >= wanted).then_some(())
        },
    )?;
    if ready.is_some() {
        return Ok(());
    }
    let selection = Selection::labels(&format!("app={name}"));
    let pods = plugin
        .cluster
        .list(&Resource::pods(), &plugin.namespace, &selection)?;
    let _ = target::choose(&pods);
    for pod in &pods {
        let events = plugin.events(pod.name(), pods::CONTAINER);
        use super::waiting::{Stands, stands};
        if let Stands::Waits(w) | Stands::Never(w) =
            stands(&pod.0, pods::CONTAINER, &events, plugin.lang)
        {
            why = format!("{}: {w}", pod.name());
        }
    }
    let _ = &io;
    Err(Said(format!(
        "error: deployment {}/{name} {} {} s: {why}",
        plugin.namespace,
        plugin.lang.pick("is not ready after", "未就绪，已等待"),
        ask.start_limit.as_secs()
    ))
    .into())
}

/// `undeploy [NAME]`.
pub fn undeploy(m: &ArgMatches, io: &mut Io<'_>) -> Result<i32> {
    let how = flags::connect(m)?;
    let plugin = Plugin::connect(&how, false, io)?;
    let name = flags::text(m, "name").unwrap_or_default();
    let deployments = Resource::known("Deployment").context("deployments are built in")?;
    let there = plugin.cluster.get(&deployments, &plugin.namespace, &name)?;
    let label = there.0["metadata"]["labels"][MANAGED_BY.0].as_str();
    if label != Some(MANAGED_BY.1) {
        return Err(Wrong::usage(format!(
            "deployment {}/{name} {}",
            plugin.namespace,
            plugin.lang.pick(
                "is not one of ours; kubectl delete deployment would delete it",
                "不是由本工具创建；如需删除请用 kubectl delete deployment"
            )
        )));
    }
    plugin.cluster.delete(
        &deployments,
        &plugin.namespace,
        &name,
        None,
        Propagation::Foreground,
    )?;
    writeln!(io.out, "deployment.apps/{name} deleted")?;
    let limit = flags::time(m, "pod-running-timeout")?;
    let gone =
        plugin
            .cluster
            .wait_for_one(&deployments, &plugin.namespace, &name, limit, &mut |c| {
                matches!(c, Change::Gone(_)).then_some(())
            });
    // It may have gone between the answer and the question.
    let _ = gone;
    Ok(0)
}

/// `version`: of this program and of the API server.
pub fn version(m: &ArgMatches, io: &mut Io<'_>) -> Result<i32> {
    let printing = Printing::of(m);
    let only_client = flags::given(m, "client") == Some(true);
    let server = match only_client {
        true => None,
        false => Some(
            Plugin::connect(&flags::connect(m)?, false, io)
                .and_then(|p| Ok(p.cluster.version()?)),
        ),
    };
    let git = |r: &Option<Result<netshoot_api::live::Version>>| match r {
        Some(Ok(v)) => v.git.clone(),
        _ => String::new(),
    };
    let value = serde_json::json!({
        "clientVersion": crate::version::FULL,
        "image": super::image::chosen(None),
        "serverVersion": git(&server),
    });
    match printing.output.as_str() {
        "json" => writeln!(io.out, "{}", serde_json::to_string_pretty(&value)?)?,
        "yaml" => write!(io.out, "{}", serde_yaml_ng::to_string(&value)?)?,
        _ => {
            writeln!(io.out, "Client Version: {}", crate::version::FULL)?;
            writeln!(io.out, "Image: {}", super::image::chosen(None))?;
            if let Some(Ok(v)) = &server {
                writeln!(io.out, "Server Version: {}", v.git)?;
            }
        }
    }
    match server {
        Some(Err(e)) => Err(e),
        _ => Ok(0),
    }
}
