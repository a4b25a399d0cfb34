//! What a rule that denies would have needed to allow.

use super::cidr::Cidr;
use super::on_host_network;
use super::rule::{Conversation, ports_of, protocol_of, selector_of};
use super::selector::{Need, describe, list, unmet};
use crate::object::{Object, ObjectRef, at};
use crate::text;
use crate::text::Text;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// A rule that almost allowed a conversation: all but one of its parts fitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NearMiss {
    /// The policy.
    pub policy: ObjectRef,
    /// Index in `spec.ingress` or `spec.egress`.
    pub rule: usize,
    /// Index in `from` or `to`, where a peer is what did not fit.
    pub peer: Option<usize>,
    /// What did not fit; of a peer both selectors may not.
    pub misses: Vec<Miss>,
    /// How far off, 1 for a single label or port; for ordering only.
    pub distance: u32,
}

/// What did not fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Miss {
    /// The peer fits, the port does not.
    Port {
        /// `TCP/8080`
        asked: String,
        /// What the rule opens: `TCP/80`, `UDP/53`, `TCP/8000-8080`, `TCP/http`.
        opens: Vec<String>,
        /// Names of ports in the rule that the destination pod does not define.
        undefined: Vec<String>,
    },
    /// `podSelector` alone speaks of the policy's own namespace only.
    OtherNamespace {
        /// Where the rule looks.
        looks_in: String,
        /// Where the peer is.
        peer_in: String,
    },
    /// `namespaceSelector` does not select the peer's namespace.
    Namespace {
        /// The peer's namespace.
        namespace: String,
        /// The selector in one line.
        selector: String,
        /// What the namespace lacks.
        unmet: Vec<Need>,
        /// How many of the known namespaces it selects.
        selects: usize,
        /// When none: the namespace that comes closest, and what that one lacks.
        nearest: Option<(String, Vec<Need>)>,
    },
    /// `podSelector` does not select the peer.
    Pod {
        /// The peer.
        pod: ObjectRef,
        /// The selector in one line.
        selector: String,
        /// What the pod lacks.
        unmet: Vec<Need>,
        /// How many of the known pods it selects in the namespaces it may look in.
        selects: usize,
    },
    /// `ipBlock` has the address, `except` takes it out again.
    Excepted {
        /// The block.
        cidr: String,
        /// The exception.
        except: String,
    },
    /// `ipBlock` does not have the address.
    OutsideBlock {
        /// The block.
        cidr: String,
        /// The peer's address.
        address: String,
    },
    /// The selectors fit, but the peer lives in its node's network and speaks with that address.
    HostNetwork {
        /// The peer.
        pod: ObjectRef,
    },
}

impl Miss {
    /// The miss as a sentence.
    pub fn says(&self) -> Text {
        match self {
            Miss::Port {
                asked,
                opens,
                undefined,
            } => {
                let (opens, names) = (opens.join(", "), undefined.join(", "));
                let lacking = match undefined.as_slice() {
                    [] => Text::default(),
                    _ => text!(
                        " (the pod has no port named {names})",
                        "（该 Pod 没有名为 {names} 的端口）"
                    ),
                };
                text!(
                    "opens {opens}, not {asked}{lacking}",
                    "放行 {opens}，而不是 {asked}{lacking:#}"
                )
            }
            Miss::OtherNamespace { looks_in, peer_in } => text!(
                "podSelector without namespaceSelector looks in namespace {looks_in} only, the peer is in {peer_in}",
                "没有 namespaceSelector 的 podSelector 只看命名空间 {looks_in}，而对端在 {peer_in}"
            ),
            Miss::Namespace {
                namespace,
                selector,
                unmet,
                selects,
                nearest,
            } => {
                let needs = join(unmet);
                let near = match nearest {
                    Some((name, needs)) if name != namespace => {
                        let needs = join(needs);
                        text!(
                            "; the nearest is {name}, which needs {needs}",
                            "；最接近的是 {name}，还需要 {needs:#}"
                        )
                    }
                    _ => Text::default(),
                };
                text!(
                    "namespaceSelector {selector} selects {selects} namespaces, not {namespace}: it needs {needs}{near}",
                    "namespaceSelector {selector} 选中 {selects} 个命名空间，不含 {namespace}：还需要 {needs:#}{near:#}"
                )
            }
            Miss::Pod {
                pod,
                selector,
                unmet,
                selects,
            } => {
                let needs = join(unmet);
                text!(
                    "podSelector {selector} selects {selects} pods, not {pod}: it needs {needs}",
                    "podSelector {selector} 选中 {selects} 个 Pod，不含 {pod}：还需要 {needs:#}"
                )
            }
            Miss::Excepted { cidr, except } => text!(
                "ipBlock {cidr} has an exception for {except}",
                "ipBlock {cidr} 排除了 {except}"
            ),
            Miss::OutsideBlock { cidr, address } => text!(
                "ipBlock {cidr} does not hold {address}",
                "ipBlock {cidr} 不包含 {address}"
            ),
            Miss::HostNetwork { pod } => text!(
                "{pod} is in its node's network, where selectors do not see it",
                "{pod} 使用节点网络，选择器看不到它"
            ),
        }
    }
}

/// English, or Chinese with `{:#}`.
impl fmt::Display for Miss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.says(), f)
    }
}

impl fmt::Display for NearMiss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rule {}", self.policy, self.rule)?;
        if let Some(peer) = self.peer {
            write!(f, " peer {peer}")?;
        }
        let words: Vec<String> = self.misses.iter().map(ToString::to_string).collect();
        write!(f, ": {}", words.join("; and "))
    }
}

fn join(needs: &[Need]) -> Text {
    Text::list(&needs.iter().map(Need::says).collect::<Vec<_>>())
}

/// A miss of a whole block says little: it comes behind misses of labels.
const FAR: u32 = 100;

impl Conversation<'_> {
    /// What a rule that does not allow this would have needed, if it is near: the port fits or
    /// a peer does, or nothing but the selectors of a peer is wrong.
    pub fn near_miss(&self, policy: &Object, index: usize, rule: &Value) -> Option<NearMiss> {
        let port_fits = self.port_allowed(rule);
        let peers = list(rule, self.direction.peers());
        let closest = peers
            .iter()
            .enumerate()
            .filter_map(|(i, peer)| {
                let misses = self.peer_misses(policy, peer)?;
                Some((misses.iter().map(distance).sum::<u32>(), i, misses))
            })
            .min_by_key(|(distance, i, _)| (*distance, *i));
        let peer_fits = peers.is_empty() || closest.as_ref().is_some_and(|(d, _, _)| *d == 0);
        let (distance, peer, misses) = match (port_fits, peer_fits, closest) {
            (false, true, _) => (1, None, vec![self.port_miss(rule)]),
            (true, false, Some((distance, i, misses))) => (distance, Some(i), misses),
            _ => return None,
        };
        Some(NearMiss {
            policy: policy.reference(),
            rule: index,
            peer,
            misses,
            distance,
        })
    }

    fn port_miss(&self, rule: &Value) -> Miss {
        let ports = list(rule, "ports");
        let names = |p: &&Value| at(p, "port").as_str().map(str::to_string);
        let defined = |p: &Value, name: &str| {
            self.destination.is_some_and(|pod| {
                ports_of(pod).iter().any(|c| {
                    at(c, "name").as_str() == Some(name) && protocol_of(c) == protocol_of(p)
                })
            })
        };
        Miss::Port {
            asked: format!("{}/{}", self.protocol, self.port),
            opens: ports.iter().map(port_word).collect(),
            undefined: ports
                .iter()
                .filter_map(|p| names(&p).filter(|n| !defined(p, n)))
                .collect(),
        }
    }

    /// What a peer of a rule lacks: nothing when it fits, none when it speaks of something else
    /// altogether (pods, when the peer is none).
    fn peer_misses(&self, policy: &Object, peer: &Value) -> Option<Vec<Miss>> {
        if let Some(block) = peer.get("ipBlock").filter(|b| !b.is_null()) {
            return Some(self.block_miss(block).into_iter().collect());
        }
        let namespaces = selector_of(peer, "namespaceSelector");
        let pods = selector_of(peer, "podSelector");
        if namespaces.is_none() && pods.is_none() {
            return None;
        }
        let pod = self.peer.pod?;
        let mut misses = Vec::new();
        match namespaces {
            None if pod.namespace() != policy.namespace() => misses.push(Miss::OtherNamespace {
                looks_in: policy.namespace().into(),
                peer_in: pod.namespace().into(),
            }),
            None => {}
            Some(selector) => misses.extend(self.namespace_miss(selector, pod.namespace())),
        }
        if let Some(selector) = pods {
            let unmet = unmet(selector, &pod.labels());
            if !unmet.is_empty() {
                misses.push(Miss::Pod {
                    pod: pod.reference(),
                    selector: describe(selector),
                    unmet,
                    selects: self.count_pods(policy, namespaces, selector),
                });
            }
        }
        if misses.is_empty() && on_host_network(pod) {
            misses.push(Miss::HostNetwork {
                pod: pod.reference(),
            });
        }
        Some(misses)
    }

    fn namespace_miss(&self, selector: &Value, name: &str) -> Option<Miss> {
        let lacks = match self.namespace(name) {
            Some(namespace) => unmet(selector, &namespace.labels()),
            None => unmet(
                selector,
                &[(super::selector::NAMESPACE_NAME_LABEL, name)].into(),
            ),
        };
        if lacks.is_empty() {
            return None;
        }
        let others: Vec<(&str, Vec<Need>)> = self
            .namespaces
            .iter()
            .map(|n| (n.name(), unmet(selector, &n.labels())))
            .collect();
        let selects = others.iter().filter(|(_, needs)| needs.is_empty()).count();
        let nearest = others
            .into_iter()
            .min_by_key(|(n, needs)| (needs.iter().map(far_off).sum::<u32>(), *n != name, *n))
            .filter(|_| selects == 0);
        Some(Miss::Namespace {
            namespace: name.into(),
            selector: describe(selector),
            unmet: lacks,
            selects,
            nearest: nearest.map(|(n, needs)| (n.to_string(), needs)),
        })
    }

    fn count_pods(&self, policy: &Object, namespaces: Option<&Value>, selector: &Value) -> usize {
        let inside = |pod: &Object| match namespaces {
            None => pod.namespace() == policy.namespace(),
            Some(s) => self
                .namespace(pod.namespace())
                .is_some_and(|n| unmet(s, &n.labels()).is_empty()),
        };
        self.pods
            .iter()
            .filter(|p| inside(p) && unmet(selector, &p.labels()).is_empty())
            .count()
    }

    fn block_miss(&self, block: &Value) -> Option<Miss> {
        let address = self.peer.address;
        let holds = |v: &Value| {
            let cidr = v.as_str().and_then(|t| t.parse::<Cidr>().ok());
            cidr.is_some_and(|c| c.contains(address))
        };
        let cidr = at(block, "cidr").as_str().unwrap_or("").to_string();
        if !holds(at(block, "cidr")) {
            let address = address.to_string();
            return Some(Miss::OutsideBlock { cidr, address });
        }
        let except = list(block, "except").iter().find(|e| holds(e))?;
        let except = except.as_str().unwrap_or("").to_string();
        Some(Miss::Excepted { cidr, except })
    }
}

fn distance(miss: &Miss) -> u32 {
    match miss {
        Miss::Namespace { unmet, .. } | Miss::Pod { unmet, .. } => unmet.iter().map(far_off).sum(),
        Miss::OutsideBlock { .. } => FAR,
        _ => 1,
    }
}

/// A label with another value is nearer than a label that is not there.
fn far_off(need: &Need) -> u32 {
    match (&need.has, need.operator.as_str()) {
        (Some(_), _) | (_, "NotIn" | "DoesNotExist") => 1,
        _ => 2,
    }
}

/// A port of a rule in one word: `TCP/80`, `TCP/8000-8080`, `UDP/dns`, `SCTP/any`.
pub(super) fn port_word(port: &Value) -> String {
    let protocol = protocol_of(port);
    match (at(port, "port"), at(port, "endPort").as_u64()) {
        (Value::Null, _) => format!("{protocol}/any"),
        (Value::String(name), _) => format!("{protocol}/{name}"),
        (first, Some(last)) => format!("{protocol}/{first}-{last}"),
        (first, None) => format!("{protocol}/{first}"),
    }
}
