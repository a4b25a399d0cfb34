//! Agents at the places where questions are asked: found in what runs, else made.

use super::hand::{Hand, OtherVersion};
use super::made::{self, MadePod, Silent};
use super::question::question;
use super::{Level, Live, Stand, objects};
use crate::clock;
use crate::io::Io;
use anyhow::Result;
use netshoot_api::live::{Resource, Selection};
use netshoot_model::object::{Object, at};
use netshoot_model::probe::Probe;
use std::collections::BTreeSet;
use std::sync::Mutex;

/// Neither in a pod nor from its node.
#[derive(Debug)]
pub(super) struct AlsoNode {
    /// Why not in the pod: less would be needed there.
    pub first: anyhow::Error,
    node: String,
    e: anyhow::Error,
}

impl std::fmt::Display for AlsoNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let AlsoNode { first, node, e } = self;
        write!(f, "{first:#}; and from node {node}: {e:#}")
    }
}

impl std::error::Error for AlsoNode {}

/// Pods that get an ephemeral container for one batch of questions, at most.
const MOST_PODS: usize = 12;
/// Nodes that get a pod for one batch, at most.
const MOST_NODES: usize = 6;

/// What was made for a batch.
#[derive(Default)]
struct Counts {
    pods: usize,
    nodes: usize,
}

impl Live {
    /// Agents for a batch: found, else made where that is allowed. A yes, and a refusal of a privileged pod, bring other places
    /// to ask at, which are looked at in their turn.
    pub(super) fn take_stands(&mut self, probes: &[Probe], io: &mut Io<'_>) {
        if self.most < Level::Exec && !self.may_ask {
            return;
        }
        let mut looked = BTreeSet::new();
        let mut counts = Counts::default();
        loop {
            let mut fresh = self.lacking(probes);
            fresh.retain(|s| looked.insert(s.clone()));
            if fresh.is_empty() {
                return;
            }
            self.each(&fresh, |live, stand| live.found(stand));
            // What is there and not understood is told, unless one that is understood can be made beside it.
            let strange = fresh.iter().filter_map(|s| self.without.remove_entry(s));
            let strange: Vec<_> = strange.collect();
            let missing = self.lacking(probes);
            if missing.iter().any(|s| !self.may_make(s)) {
                self.asked(probes, io);
            }
            let mut make = self.lacking(probes);
            make.retain(|s| looked.contains(s));
            self.make_all(make, &mut counts, io);
            for (stand, why) in strange {
                if !self.hands.contains_key(&stand) {
                    self.without.entry(stand).or_insert(why);
                }
            }
        }
    }

    /// Where the batch needs agents that are not there, and were not tried in vain.
    fn lacking(&self, probes: &[Probe]) -> Vec<Stand> {
        let mut wanted: BTreeSet<Stand> = probes.iter().filter_map(|p| self.stand(p)).collect();
        wanted.retain(|s| !self.hands.contains_key(s) && !self.without.contains_key(s));
        let sees =
            |s: &Stand| matches!(s, Stand::Node(n) if wanted.contains(&Stand::Seeing(n.clone())));
        wanted.iter().filter(|s| !sees(s)).cloned().collect()
    }

    fn make_all(&mut self, missing: Vec<Stand>, counts: &mut Counts, io: &mut Io<'_>) {
        let mut make = Vec::new();
        for stand in missing {
            let (count, most) = match &stand {
                _ if !self.may_make(&stand) => continue,
                Stand::Pod(..) => (&mut counts.pods, MOST_PODS),
                Stand::Node(_) | Stand::Seeing(_) => (&mut counts.nodes, MOST_NODES),
            };
            *count += 1;
            if *count > most {
                continue;
            }
            self.announce(&stand, io);
            make.push(stand);
        }
        self.each(&make, |live, stand| live.make(stand));
    }

    /// Does the same at all stands at once, and keeps what came of it.
    fn each(
        &mut self,
        stands: &[Stand],
        work: impl Fn(&Live, &Stand) -> Result<Option<(Hand, Option<MadePod>)>> + Sync,
    ) {
        let live: &Live = self;
        let work = &work;
        let done: Vec<_> = std::thread::scope(|scope| {
            let running: Vec<_> = stands
                .iter()
                .map(|s| (s, scope.spawn(move || work(live, s))))
                .collect();
            running
                .into_iter()
                .filter_map(|(s, t)| Some((s.clone(), t.join().ok()?)))
                .collect()
        });
        for (stand, result) in done {
            match result {
                Ok(Some((hand, made))) => {
                    if let (Some(pod), Ok(mut all)) = (made, self.made.lock())
                        && !all.contains(&pod)
                    {
                        all.push(pod);
                    }
                    let stand = match stand {
                        Stand::Node(node) if hand.sees_node => Stand::Seeing(node),
                        other => other,
                    };
                    self.hands.insert(stand, Mutex::new(hand));
                }
                Ok(None) => {}
                Err(e) => {
                    let first = e.downcast_ref::<AlsoNode>().map_or(&e, |both| &both.first);
                    let (missing, how) = first
                        .downcast_ref::<netshoot_api::live::Error>()
                        .map(objects::lacks)
                        .unwrap_or_default();
                    self.without.insert(stand, (format!("{e:#}"), missing, how));
                }
            }
        }
    }

    fn may_make(&self, stand: &Stand) -> bool {
        match stand {
            Stand::Pod(..) => self.most >= Level::Ephemeral,
            Stand::Node(_) => self.most >= Level::Pod,
            Stand::Seeing(_) => self.most >= Level::Node,
        }
    }

    /// Asks a person once whether the steps up may be made, and says all that a yes allows: where a pod cannot be added to,
    /// its node is asked, and to ask in a row would be to wear a person down.
    fn asked(&mut self, probes: &[Probe], io: &mut Io<'_>) {
        if !self.may_ask {
            return;
        }
        // Where they are asked after a yes.
        let before = std::mem::replace(&mut self.most, Level::Node);
        let missing = self.lacking(probes);
        self.most = before;
        io.progress_done();
        let pods = missing
            .iter()
            .filter(|s| matches!(s, Stand::Pod(..)))
            .count();
        let question = question(pods, missing.len() - pods, &self.request.namespace, io.lang);
        let _ = write!(io.err, "{question} [y/N] ");
        let _ = io.err.flush();
        let mut line = String::new();
        let _ = std::io::stdin().read_line(&mut line);
        let yes = ["y", "yes", "是"].contains(&line.trim().to_lowercase().as_str());
        if yes {
            self.most = Level::Node;
        }
        self.may_ask = false;
    }

    fn announce(&self, stand: &Stand, io: &mut Io<'_>) {
        io.progress_done();
        let said = match stand {
            Stand::Pod(namespace, name) => io
                .lang
                .pick(
                    "access ephemeral: adding a container to pod {} (it ends with this run; its entry stays with the pod)",
                    "访问级别 ephemeral：向 Pod {} 添加临时容器（随本次运行结束；条目随 Pod 保留）",
                )
                .replace("{}", &format!("{namespace}/{name}")),
            Stand::Node(node) | Stand::Seeing(node) => {
                let (en, zh) = match stand {
                    Stand::Seeing(_) => (
                        "access node: making a privileged pod on node {} in namespace {n}, or in kube-system where that refuses it (deleted at the end of this run)",
                        "访问级别 node：在节点 {} 上于命名空间 {n} 创建特权 Pod，若被拒绝则改用 kube-system（本次运行结束时删除）",
                    ),
                    _ => (
                        "access pod: making a pod on node {} in namespace {n}, or in kube-system where that refuses it (deleted at the end of this run)",
                        "访问级别 pod：在节点 {} 上于命名空间 {n} 创建 Pod，若被拒绝则改用 kube-system（本次运行结束时删除）",
                    ),
                };
                let said = io.lang.pick(en, zh).replace("{}", node);
                said.replace("{n}", &self.request.namespace)
            }
        };
        let _ = writeln!(io.err, "netshoot: {}", crate::report::safe(&said));
    }

    /// An agent in what runs already.
    pub(super) fn found(&self, stand: &Stand) -> Result<Option<(Hand, Option<MadePod>)>> {
        match stand {
            Stand::Pod(namespace, name) => {
                let Some(pod) = self.find("Pod", namespace, name) else {
                    return Ok(None);
                };
                for container in ours(pod) {
                    match Hand::reach(&self.cluster, namespace, name, &container, true) {
                        Ok(hand) => return Ok(Some((hand, None))),
                        // It is told unless the next step brings one that is understood.
                        Err(e) if e.is::<OtherVersion>() => return Err(e),
                        // What is called so and is not.
                        Err(_) => {}
                    }
                }
                Ok(None)
            }
            Stand::Node(node) | Stand::Seeing(node) => {
                let which = Selection {
                    // The agent of another diagnosis goes with that one, at any moment.
                    labels: "app.kubernetes.io/name=netshoot,netshoot/role!=agent".into(),
                    fields: format!("spec.nodeName={node},status.phase=Running"),
                };
                let namespace = &self.request.namespace;
                let all = self.cluster.list(&Resource::pods(), namespace, &which);
                for pod in all.unwrap_or_default() {
                    if pod.get("spec.hostNetwork").as_bool() != Some(true) {
                        continue;
                    }
                    let container = at(pod.get("spec.containers"), "0.name")
                        .as_str()
                        .unwrap_or("");
                    let reached =
                        Hand::reach(&self.cluster, pod.namespace(), pod.name(), container, true);
                    if let Ok(mut hand) = reached {
                        hand.sees_node = pod.get("spec.hostPID").as_bool() == Some(true)
                            && hand.has("CAP_SYS_ADMIN");
                        if !hand.sees_node && matches!(stand, Stand::Seeing(_)) {
                            continue;
                        }
                        return Ok(Some((hand, None)));
                    }
                }
                Ok(None)
            }
        }
    }

    /// Makes an agent.
    pub(super) fn make(&self, stand: &Stand) -> Result<Option<(Hand, Option<MadePod>)>> {
        match stand {
            Stand::Pod(namespace, name) => {
                let pod = self.find("Pod", namespace, name);
                let pod =
                    pod.ok_or_else(|| anyhow::anyhow!("pod {namespace}/{name} is not known"))?;
                let node = pod.str("spec.nodeName").to_string();
                self.is_heard(&node)?;
                let made = made::ephemeral(
                    &self.cluster,
                    pod,
                    &self.how.image,
                    &letters(name),
                    &self.heard,
                )
                .and_then(|c| Hand::reach(&self.cluster, namespace, name, &c, false));
                match made {
                    Ok(hand) => Ok(Some((hand, None))),
                    Err(e) if e.is::<Silent>() => Err(self.unheard(&node, e)),
                    // From its node one can enter it all the same.
                    Err(first) if self.most >= Level::Node => self
                        .on_node(&node, true)
                        .map_err(|e| AlsoNode { first, node, e }.into()),
                    Err(e) => Err(e),
                }
            }
            Stand::Node(node) => self.on_node(node, false),
            Stand::Seeing(node) => self.on_node(node, true),
        }
    }

    /// Nothing more is made where the kubelet was waited for in vain: it would be waited for again.
    fn is_heard(&self, node: &str) -> Result<()> {
        match self.silent.lock() {
            Ok(silent) if silent.contains(node) => {
                anyhow::bail!("nothing more is made on node {node}, its kubelet was silent before")
            }
            _ => Ok(()),
        }
    }

    fn unheard(&self, node: &str, e: anyhow::Error) -> anyhow::Error {
        if let Ok(mut silent) = self.silent.lock() {
            silent.insert(node.into());
        }
        e
    }

    fn on_node(&self, node: &str, sees: bool) -> Result<Option<(Hand, Option<MadePod>)>> {
        self.is_heard(node)?;
        let mut last = None;
        // The namespace in question may admit no such pod; the system's own usually does.
        for namespace in [self.request.namespace.as_str(), netshoot_api::facts::SYSTEM] {
            // Owed from before it is made: Ctrl-C may come in between.
            let made = made::named(namespace, node, &letters(node));
            if let Ok(mut all) = self.made.lock() {
                all.push(made.clone());
            }
            let done = made::on_node(&self.cluster, &made, node, sees, &self.how.image);
            if let Err(e) = done {
                last = last.or(Some(e));
                continue;
            }
            // One that was admitted and does not start would not start elsewhere either.
            match made::starts(&self.cluster, &made, &self.heard) {
                Err(e) if e.is::<Silent>() => return Err(self.unheard(node, e)),
                started => started?,
            }
            match Hand::reach(&self.cluster, namespace, &made.name, "agent", false) {
                Ok(mut hand) => {
                    hand.sees_node = sees;
                    return Ok(Some((hand, Some(made))));
                }
                Err(e) => {
                    let _ = made.delete(&self.cluster);
                    return Err(e);
                }
            }
        }
        Err(last.unwrap_or_else(|| anyhow::anyhow!("no namespace to make a pod in")))
    }
}

/// Containers of a pod that may hold our program, running ones, the latest first.
fn ours(pod: &Object) -> Vec<String> {
    let mut all = Vec::new();
    for (spec, status) in [
        (
            "spec.ephemeralContainers",
            "status.ephemeralContainerStatuses",
        ),
        ("spec.containers", "status.containerStatuses"),
    ] {
        for c in pod.list(spec).iter().rev() {
            let name = at(c, "name").as_str().unwrap_or("");
            let image = at(c, "image").as_str().unwrap_or("");
            let runs = pod
                .list(status)
                .iter()
                .any(|s| at(s, "name").as_str() == Some(name) && !at(s, "state.running").is_null());
            // The agent of another diagnosis goes with that one, at any moment.
            let agent = at(c, "command.1").as_str() == Some("agent");
            if runs && !agent && image.contains("netshoot") {
                all.push(name.to_string());
            }
        }
    }
    all
}

/// Letters that no other run beside this one has.
fn letters(place: &str) -> String {
    let mut n = clock::now_ms() ^ (u64::from(std::process::id()) << 24);
    for b in place.bytes() {
        n = n.wrapping_mul(31).wrapping_add(u64::from(b));
    }
    (0..6)
        .map(|i| {
            let digit = (n >> (5 * i)) % 32;
            char::from_digit(digit as u32, 36).unwrap_or('x')
        })
        .collect()
}
