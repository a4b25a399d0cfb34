//! The format of a world: a folder with `objects.yaml` (ordinary manifests) and `world.yaml`
//! (how nodes are wired, how pods behave, what breaks, what is asked, what is expected).
//! [`load`] reads it, [`check`] refuses what it speaks of and is not there, [`limits`] numbers that
//! cannot be meant, [`complete`] fills what an author need not say.

pub mod check;
pub mod complete;
#[cfg(test)]
mod fuzz;
pub mod limits;
pub mod load;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A world as read from its folder.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct World {
    /// Folder name.
    pub name: String,
    /// Manifests in order.
    pub objects: Vec<Value>,
    /// The rest.
    pub plan: Plan,
}

/// `world.yaml`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// One line for people.
    pub title: String,
    /// The same in Chinese; empty where a team needs none.
    #[serde(default)]
    pub title_zh: String,
    /// Catalogue numbers that are broken here, first the one asked about; empty for none.
    #[serde(default)]
    pub catalogue: Vec<String>,
    /// `L1` ... `L7`, `policy`, `host`.
    pub layer: String,
    /// What the machine must have beyond namespaces: `memory-cgroup`, `iptables`.
    #[serde(default)]
    pub needs: Vec<String>,
    /// The victim's plain question.
    pub ask: Ask,
    /// The pods that hurt, `kind`, `namespace`, `name` of their owner or of the pod itself.
    pub client: Reference,
    /// What they want to reach.
    pub server: Target,
    /// What a right answer says.
    #[serde(default)]
    pub expect: Option<Expect>,
    /// Other causes that belong into `also`.
    #[serde(default)]
    pub also: Vec<Expect>,
    /// Cables and addresses.
    #[serde(default)]
    pub wiring: Wiring,
    /// What containers do; the first that matches counts.
    #[serde(default)]
    pub behaviour: Vec<PodBehaviour>,
    /// What breaks, in order of time.
    #[serde(default)]
    pub faults: Vec<Fault>,
    /// What a seed must not vary: `names`, `ports`, `addresses`, `replicas`, `placement`,
    /// `families`, `noise`, `network`.
    #[serde(default)]
    pub fixed: Vec<String>,
    /// Other versions of this world, `healthy` and `near-miss`: each a partial `world.yaml` whose
    /// keys replace those above; `objects` in it are applied over `objects.yaml`.
    #[serde(default)]
    pub twins: BTreeMap<String, Value>,
    /// How fast kubelets and controllers are, compared with real ones.
    #[serde(default)]
    pub pace: Pace,
    /// What happened to containers before the world began.
    #[serde(default)]
    pub past: Vec<Past>,
    /// Where pods go, before the scheduler's own choice. A seed adds to it.
    #[serde(default)]
    pub placement: Vec<Place>,
    /// Conditions that hold before the world is handed over, besides "all Deployments that can be
    /// Available are": milliseconds to wait after faults that are due at the start.
    #[serde(default)]
    pub settle_ms: u64,
}

/// A question in plain words.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// Namespace given with `-n`.
    pub namespace: String,
    /// In English.
    pub en: String,
    /// In Chinese.
    #[serde(default)]
    pub zh: String,
}

/// Kind, namespace, name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// Kind.
    pub kind: String,
    /// Namespace, empty for cluster-wide kinds.
    #[serde(default)]
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// A thing to be reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// `Service` or `Pod`.
    pub kind: String,
    /// Namespace.
    #[serde(default)]
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Port asked for.
    pub port: u16,
}

/// An expected cause.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// `F107`
    pub catalogue: String,
    /// The object to blame.
    pub subject: Reference,
}

/// Times of a world: real clusters take minutes where a world has seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pace {
    /// `periodSeconds` and `initialDelaySeconds` of probes are divided by this. Their timeouts
    /// are not: what a probe waits for lives in real time.
    pub probes_faster: f64,
    /// Pauses before a container is started again: the first, the second, ... the last repeats
    /// (a kubelet: 0 s, 10 s, 20 s, ... 300 s).
    pub restart_ms: Vec<u64>,
    /// A container that ran this long begins again with the first pause (a kubelet: 600 s).
    pub restart_forgets_ms: u64,
    /// A node whose kubelet is silent this long is not ready (a cluster: 50 s).
    pub node_grace_ms: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Pace {
            probes_faster: 10.0,
            restart_ms: vec![300, 1000, 2000, 3000],
            restart_forgets_ms: 3000,
            node_grace_ms: 3000,
        }
    }
}

/// An end that containers of some pods had long ago: their `lastState` and `restartCount`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Past {
    /// Namespace of the pods.
    pub namespace: String,
    /// Labels they all have.
    pub labels: BTreeMap<String, String>,
    /// `OOMKilled`, `Error` or `Completed`.
    pub reason: String,
    /// Exit code, 137 for killed.
    pub code: i32,
    /// Seconds ago.
    pub ago_s: u64,
    /// How often they had been started again.
    pub restarts: u32,
}

/// Pods of an owner go to these nodes, in turn.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Namespace of the owner.
    pub namespace: String,
    /// Name of the Deployment, StatefulSet or Pod.
    pub name: String,
    /// Nodes, in turn.
    pub nodes: Vec<String>,
}

/// Cables and addresses.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Wiring {
    /// `routed` (a route per node) or `vxlan` (flannel's way, port 8472, MTU 1450).
    pub network: String,
    /// `ipv4`, `ipv6`; the first is the primary family of Services.
    pub families: Vec<String>,
    /// kube-proxy's mode: `nftables` or `iptables`.
    pub proxy: String,
    /// MTU of the underlay.
    pub mtu: u32,
    /// Conditions of single cables between a node and the underlay's switch.
    pub cables: Vec<Cable>,
    /// Where Services get their addresses, a range for each family.
    pub service_cidrs: Vec<String>,
    /// Names the outside resolver knows: name to address; addresses exist in the outside.
    pub outside: BTreeMap<String, String>,
}

impl Default for Wiring {
    fn default() -> Self {
        Wiring {
            network: "routed".into(),
            families: vec!["ipv4".into()],
            proxy: "nftables".into(),
            mtu: 1500,
            cables: Vec::new(),
            service_cidrs: vec!["10.96.0.0/16".into(), "fd96::/112".into()],
            outside: BTreeMap::new(),
        }
    }
}

/// What a cable does to packets. Applied by the switch, invisible to the node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cable {
    /// Node at one end.
    pub node: String,
    /// Packets larger than this vanish silently; 0 for no limit.
    pub mtu: u32,
    /// Delay each way, milliseconds.
    pub delay_ms: u32,
    /// Random part of the delay, milliseconds; packets may overtake each other.
    pub jitter_ms: u32,
    /// Lost packets, percent.
    pub loss_percent: u32,
    /// Packets with a flipped bit, percent.
    pub corrupt_percent: u32,
    /// Packets that arrive twice, percent.
    pub duplicate_percent: u32,
    /// UDP destination ports that the switch drops (a security group's work).
    pub blocked_udp: Vec<u16>,
}

/// What the containers of some pods do.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PodBehaviour {
    /// Namespace of the pods.
    pub namespace: String,
    /// Labels they all have.
    pub labels: BTreeMap<String, String>,
    /// Container name; empty for every container.
    #[serde(default)]
    pub container: String,
    /// What it does: [`crate::behave::Behaviour`].
    pub does: crate::behave::Behaviour,
}

/// Something that breaks, or is repaired, at a moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Milliseconds after the world stood; 0 is done before it is handed over.
    #[serde(default)]
    pub at_ms: u64,
    /// What happens.
    #[serde(rename = "do")]
    pub action: Action,
}

/// What can happen to a world.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// A strategic merge patch on one object.
    Patch {
        /// The object.
        object: Reference,
        /// The patch.
        patch: Value,
    },
    /// An object created or replaced.
    Apply(Value),
    /// An object deleted.
    Delete(Reference),
    /// `kubectl rollout restart`: new pods, new addresses.
    Restart(Reference),
    /// A sysctl in a node.
    Sysctl {
        /// Node.
        node: String,
        /// Dotted name.
        name: String,
        /// Value.
        value: String,
    },
    /// A link of a node changed. `interface` is a name there (`cni0`, `eth0`, `flannel.1`) or
    /// `pod:NAMESPACE/PREFIX` for the node's end of the first pod whose name starts with PREFIX.
    Link {
        /// Node; may be empty with `pod:`.
        #[serde(default)]
        node: String,
        /// Interface.
        interface: String,
        /// Taken down.
        #[serde(default)]
        down: bool,
        /// New MTU, 0 for unchanged.
        #[serde(default)]
        mtu: u32,
        /// Hairpin mode of a bridge port; unchanged where not given.
        #[serde(default)]
        hairpin: Option<bool>,
    },
    /// A firewall rule on a node that drops: table `inet firewall`, as an administrator adds it.
    Drop {
        /// Node.
        node: String,
        /// `input`, `forward` or `output`.
        hook: String,
        /// `udp` or `tcp`; empty for all.
        #[serde(default)]
        protocol: String,
        /// Destination port, 0 for all.
        #[serde(default)]
        port: u16,
    },
    /// Policy of the FORWARD chain of table `ip filter` (and `ip6 filter`), as Docker sets it.
    ForwardPolicy {
        /// Node.
        node: String,
        /// Drop (true) or accept.
        drop: bool,
        /// CIDR pairs that stay allowed by a rule (Docker's own networks); may be empty.
        #[serde(default)]
        accept: Vec<String>,
    },
    /// A route of a node taken away.
    RouteGone {
        /// Node.
        node: String,
        /// The pod CIDRs of this other node.
        to_node: String,
    },
    /// A daemon of a node stopped or started: `kubelet`, `kube-proxy`, `policy-agent`,
    /// `network-plugin`.
    Daemon {
        /// Node.
        node: String,
        /// Which.
        name: String,
        /// Running from now on.
        running: bool,
    },
    /// A cable's condition from now on.
    Cable(Cable),
    /// What some pods do from now on: their containers are restarted with it.
    Behave(PodBehaviour),
    /// A certificate issued anew with this lifetime, as cert-manager would; negative is expired.
    Certificate {
        /// Namespace of the Secret.
        namespace: String,
        /// Name of the Secret (type `kubernetes.io/tls`).
        name: String,
        /// Seconds from now to its end.
        expires_in_s: i64,
    },
    /// A command, in `node/NAME` or `pod/NAMESPACE/NAME`.
    Run {
        /// Where.
        on: String,
        /// Words.
        argv: Vec<String>,
    },
}
