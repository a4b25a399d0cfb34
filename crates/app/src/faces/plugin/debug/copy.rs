//! `debug POD --copy-to NAME`: a copy of a pod, to be changed without harm.

use super::*;

/// Flags that mean something for a copy only.
const OF_COPIES: [&str; 5] = ["same-node", "rm", "replace", "set-image", "share-processes"];

/// The first of them that stands there.
pub fn given_alone(m: &ArgMatches) -> Option<&'static str> {
    OF_COPIES.into_iter().find(|flag| {
        use clap::parser::ValueSource::CommandLine;
        m.value_source(flag) == Some(CommandLine)
    })
}

/// Makes the copy, and talks to our container in it.
pub fn copied(
    pod: &Object,
    name: &str,
    m: &ArgMatches,
    plugin: &Plugin,
    ask: &Ask,
    printing: &Printing,
    io: &mut Io<'_>,
) -> Result<i32> {
    let yes = |flag: &str| flags::given(m, flag) == Some(true);
    let images = flags::texts(m, "set-image").join(",");
    let images = pods::pairs(&images).map_err(|e| Wrong::usage(format!("--set-image: {e}")))?;
    let mut around = Around {
        name: name.into(),
        namespace: plugin.namespace.clone(),
        deadline_s: ask.deadline.as_secs().max(1),
        node: yes("same-node").then(|| pod.str("spec.nodeName").into()),
        container: flags::text(m, "container").filter(|c| !c.is_empty()),
        share_processes: flags::given(m, "share-processes"),
        images,
        ..Around::default()
    };
    let names: Vec<&str> = pod
        .list("spec.containers")
        .iter()
        .filter_map(|c| c["name"].as_str())
        .collect();
    let unknown = |n: &&String| *n != "*" && !names.contains(&n.as_str());
    if let Some(n) = around.images.keys().find(unknown) {
        return Err(Wrong::usage(format!(
            "--set-image: the pod has no container {n}; it has {}",
            names.join(", ")
        )));
    }
    // One of the pod's own: it gets the command, and keeps its rights and, unless one is named, its image.
    let own = names.contains(&around.own());
    if own && let Some(image) = flags::text(m, "image") {
        around.images.insert(around.own().into(), image);
    }
    if own && ask.profile.is_some() {
        return Err(Wrong::usage(format!(
            "--profile: container {} keeps the rights that it has in the pod",
            around.own()
        )));
    }
    let adds = own || around.images.is_empty() || !ask.container.command.is_empty();
    let owner = ours(Some(plugin), ask);
    let pod_with = |p: Profile| pods::copy(&pod.0, &around, &ask.container, p, &owner);
    let plan = Plan {
        ask,
        pod_with: &pod_with,
        wanted: ask.wanted(),
        container: around.own(),
        keeps_rights: own || !adds,
        // People look at a copy for a while; kubectl keeps it, too.
        remove: yes("rm"),
        attach: adds,
        printing,
    };
    if yes("replace") && !printing.dry() {
        // Not before the copy may be made: else both would be lost.
        plan.may_be_made(plugin, io)?;
        let pods = Resource::pods();
        plugin.cluster.delete(
            &pods,
            &plugin.namespace,
            pod.name(),
            None,
            Propagation::default(),
        )?;
        let lang = plugin.lang;
        plugin.note(
            io,
            &format!(
                "{} {}",
                lang.pick("deleted the original pod", "已删除原 Pod"),
                pod.name()
            ),
        );
        if pod.name() == name {
            plugin.until_gone(name);
        }
    }
    plan.carry_out(Some(plugin), io)
}
