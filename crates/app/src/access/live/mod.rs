//! A live cluster. Facts and logs come from the API server; what the network itself must be asked is
//! asked by agents, at the least level of access that can answer. Nothing is made unasked, and each
//! step up is announced.

pub mod flags;
mod hand;
mod made;
mod objects;
mod question;
mod stands;

use super::{Access, Local};
use crate::agent::{Asked, Container};
use crate::clock;
use crate::interrupt::{self, Owed};
use crate::io::Io;
use crate::wrong::Wrong;
use anyhow::Result;
use hand::Hand;
use made::{Heard, MadePod};
use netshoot_api::facts::{Wanted, facts};
use netshoot_api::live::{Cluster, Connect, Resource};
use netshoot_model::checks;
use netshoot_model::object::{Object, ObjectRef, at};
use netshoot_model::probe::{Answer, Answered, Probe, Question, Vantage};
use netshoot_model::snapshot::ClusterSnapshot;
use netshoot_model::symptom::Request;
use netshoot_model::text;
use netshoot_model::text::Text;
use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, OnceLock};

/// How much of the cluster a diagnosis may use. Each level includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What the API server tells.
    Objects,
    /// Also programs in what runs already.
    Exec,
    /// Also an ephemeral container in a pod that is concerned.
    Ephemeral,
    /// Also a pod in the network of a node.
    Pod,
    /// Also a privileged pod that enters the networks of a node's pods.
    Node,
}

impl Level {
    /// The words of `--access`.
    pub const WORDS: [&'static str; 5] = ["objects", "exec", "ephemeral", "pod", "node"];

    /// By its word.
    pub fn named(word: &str) -> Option<Level> {
        let all = [
            Level::Objects,
            Level::Exec,
            Level::Ephemeral,
            Level::Pod,
            Level::Node,
        ];
        let i = Self::WORDS.iter().position(|w| *w == word)?;
        all.get(i).copied()
    }

    fn word(self) -> &'static str {
        Self::WORDS.get(self as usize).copied().unwrap_or("")
    }
}

/// How to use the cluster.
#[derive(Clone, Debug, Default)]
pub struct How {
    /// The connection.
    pub connect: Connect,
    /// `--access`; none: exec, and a question before more on a terminal.
    pub access: Option<Level>,
    /// `--yes`: no questions.
    pub yes: bool,
    /// Image of what is made.
    pub image: String,
}

/// Where an agent stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stand {
    Pod(String, String),
    /// In the network of a node.
    Node(String),
    /// In a privileged pod of a node: it enters the networks of the node's pods and sees their memory.
    Seeing(String),
}

/// A live cluster.
pub struct Live {
    cluster: Cluster,
    how: How,
    request: Request,
    snapshot: Option<Arc<ClusterSnapshot>>,
    /// Each asked by one thread at a time.
    hands: BTreeMap<Stand, Mutex<Hand>>,
    /// Why there is no agent there: `(why, missing, how to get it)`.
    without: BTreeMap<Stand, (String, Text, Text)>,
    /// Nodes whose kubelet was waited for in vain.
    silent: Mutex<BTreeSet<String>>,
    heard: Heard,
    /// What must be deleted at the end, also when the end is Ctrl-C.
    made: Arc<Mutex<Vec<MadePod>>>,
    _owed: Option<Owed>,
    most: Level,
    may_ask: bool,
}

impl Live {
    /// Connects. Where no namespace is named, the context's is meant, as `kubectl` does.
    pub fn new(how: How, request: &mut Request) -> Result<Live> {
        let made: Arc<Mutex<Vec<MadePod>>> = Arc::default();
        let reached: Arc<OnceLock<Cluster>> = Arc::default();
        let owed = {
            let (made, reached) = (Arc::clone(&made), Arc::clone(&reached));
            interrupt::on_end(move || {
                if let Some(cluster) = reached.get() {
                    delete_all(cluster, &made);
                }
            })
        };
        let cluster = Cluster::connect(&how.connect).map_err(Wrong::input)?;
        let _ = reached.set(cluster.clone());
        if request.namespace.is_empty() {
            request.namespace = cluster.namespace().to_string();
        }
        let most = match (how.access, how.yes) {
            (Some(level), _) => level,
            (None, true) => Level::Node,
            (None, false) => Level::Exec,
        };
        let may_ask = how.access.is_none() && !how.yes && std::io::stdin().is_terminal();
        Ok(Live {
            cluster,
            how,
            request: request.clone(),
            snapshot: None,
            hands: BTreeMap::new(),
            without: BTreeMap::new(),
            silent: Mutex::default(),
            heard: Heard::default(),
            made,
            _owed: owed.ok(),
            most,
            may_ask,
        })
    }

    fn find(&self, kind: &str, namespace: &str, name: &str) -> Option<&Object> {
        let all = &self.snapshot.as_ref()?.objects;
        all.iter()
            .find(|o| o.kind() == kind && o.namespace() == namespace && o.name() == name)
    }

    /// Where an agent must stand to answer; none where none is needed.
    fn stand(&self, probe: &Probe) -> Option<Stand> {
        let of_pod = |namespace: &str, pod: &str| Stand::Pod(namespace.into(), pod.into());
        // From its node a pod is entered where that is allowed, and was not refused.
        let seeing = |node: &str| {
            let node = Stand::Seeing(node.into());
            let may = self.most >= Level::Node && !self.without.contains_key(&node);
            (may || self.hands.contains_key(&node)).then_some(node)
        };
        match (&probe.question, &probe.from) {
            (Question::Log { .. }, _) | (_, Vantage::Here) => None,
            // What is added to a pod that runs out of memory counts against the same limit.
            (_, Vantage::Pod { namespace, name }) if self.is_unsteady(namespace, name) => {
                let node = self.find("Pod", namespace, name)?.str("spec.nodeName");
                seeing(node).or_else(|| Some(of_pod(namespace, name)))
            }
            // A container's memory is seen from inside its pod as well as from its node.
            (Question::Memory { namespace, pod, .. }, Vantage::Node { name }) => {
                seeing(name).or_else(|| Some(of_pod(namespace, pod)))
            }
            (_, Vantage::Pod { namespace, name }) => Some(of_pod(namespace, name)),
            // The node's own network needs no more than a pod in it; one that sees more will do.
            (_, Vantage::Node { name }) => {
                let sees = Stand::Seeing(name.clone());
                let more = self.hands.contains_key(&sees);
                Some(if more {
                    sees
                } else {
                    Stand::Node(name.clone())
                })
            }
        }
    }

    /// A pod that was made anew under its name has no agent of the one before, and what kept that one from having one says
    /// nothing of this.
    fn forget_others(&mut self, now: &ClusterSnapshot) {
        let uids = |s: &ClusterSnapshot| -> BTreeMap<Stand, String> {
            let pods = s.objects.iter().filter(|o| o.kind() == "Pod");
            let stand = |o: &Object| Stand::Pod(o.namespace().into(), o.name().into());
            pods.map(|o| (stand(o), o.str("metadata.uid").to_string()))
                .collect()
        };
        let Some(before) = &self.snapshot else { return };
        let (before, now) = (uids(before), uids(now));
        let same = |s: &Stand| !matches!(s, Stand::Pod(..)) || before.get(s) == now.get(s);
        self.hands.retain(|s, _| same(s));
        self.without.retain(|s, _| same(s));
    }

    fn is_unsteady(&self, namespace: &str, pod: &str) -> bool {
        let pod = self.find("Pod", namespace, pod);
        pod.is_some_and(|p| made::ended_lately(p, clock::now_ms()).is_some())
    }

    fn containers(&self, namespace: &str, pod: &str) -> Vec<Container> {
        let Some(pod) = self.find("Pod", namespace, pod) else {
            return Vec::new();
        };
        pod.list("status.containerStatuses")
            .iter()
            .filter_map(|s| {
                let id = at(s, "containerID").as_str()?;
                Some(Container {
                    name: at(s, "name").as_str()?.to_string(),
                    id: id.rsplit('/').next().unwrap_or(id).to_string(),
                    pod: pod.str("metadata.uid").to_string(),
                })
            })
            .collect()
    }

    /// What a question without an agent gives.
    fn nobody(&self, stand: &Stand) -> Answer {
        if let Some((why, missing, how)) = self.without.get(stand) {
            return Answer::CouldNotAsk {
                why: why.clone(),
                missing: if missing.is_empty() {
                    Text::same(why)
                } else {
                    missing.clone()
                },
                how_to_get: how.clone(),
            };
        }
        let level = match stand {
            Stand::Pod(..) => Level::Ephemeral,
            Stand::Node(_) => Level::Pod,
            Stand::Seeing(_) => Level::Node,
        };
        let word = level.word();
        Answer::CouldNotAsk {
            why: format!("the level of access is {}", self.most.word()),
            missing: text!(
                "the level of access {word}: nothing is made in a cluster unasked",
                "访问级别 {word}：未经允许不在集群中创建任何东西"
            ),
            how_to_get: text!(
                "the same command with --access {word}",
                "同一命令加上 --access {word}"
            ),
        }
    }

    /// Puts questions to the agent of one stand.
    fn put(&self, hand: &mut Hand, probes: &[Probe]) -> Vec<Answered> {
        let mut lines: Vec<Asked> = Vec::new();
        for p in probes {
            let inside = match (&p.from, hand.sees_node) {
                (Vantage::Pod { namespace, name }, true) => {
                    self.containers(namespace, name).into_iter().next()
                }
                _ => None,
            };
            let containers = match &p.question {
                Question::Memory { namespace, pod, .. } => self.containers(namespace, pod),
                _ => Vec::new(),
            };
            let same = lines.iter_mut().find(|l| {
                l.containers.is_empty()
                    && containers.is_empty()
                    && l.inside.as_ref().map(|c| &c.id) == inside.as_ref().map(|c| &c.id)
            });
            match same {
                Some(line) => line.probes.push(p.clone()),
                None => lines.push(Asked {
                    id: 0,
                    probes: vec![p.clone()],
                    inside,
                    containers,
                    own: hand.container.clone(),
                }),
            }
        }
        let asked: Vec<Vec<Probe>> = lines.iter().map(|l| l.probes.clone()).collect();
        let could_not = |p: &Probe, why: &str| {
            objects::answered(p, || Answer::CouldNotAsk {
                why: why.into(),
                missing: Text::same(why),
                how_to_get: Text::default(),
            })
        };
        match hand.ask(lines) {
            Ok(said) => said
                .into_iter()
                .zip(asked)
                .flat_map(|(s, probes)| {
                    let lost = probes
                        .into_iter()
                        .filter(|p| !s.answers.iter().any(|a| a.probe == *p))
                        .map(|p| could_not(&p, &s.error))
                        .collect::<Vec<_>>();
                    s.answers.into_iter().chain(lost)
                })
                .collect(),
            Err(e) => probes
                .iter()
                .map(|p| could_not(p, &format!("{e:#}")))
                .collect(),
        }
    }

    /// Rules of a node say nothing where something else carries Services.
    fn judge(&self, mut answered: Answered) -> Answered {
        let (Question::Rules, Some(snapshot)) =
            (&answered.probe.question, self.snapshot.as_deref())
        else {
            return answered;
        };
        if let Some(what) = objects::other_dataplane(snapshot) {
            answered.answer = Answer::CouldNotAsk {
                why: format!("the dataplane is {what}"),
                missing: text!(
                    "a way to read how Services are carried: the dataplane is {what}, not kube-proxy's rules",
                    "读取 Service 如何承载的方法：数据面是 {what}，不是 kube-proxy 的规则"
                ),
                how_to_get: Text::default(),
            };
        } else if let Answer::Rules(tables) = &answered.answer
            && objects::nobody_knows_what_carries(snapshot, tables)
        {
            answered.answer = Answer::CouldNotAsk {
                why: "it is not known what carries Services here".into(),
                missing: text!(
                    "what carries Services: DaemonSets of kube-system may not be read, and no rule of the node is kube-proxy's",
                    "由什么承载 Service：无权读取 kube-system 的 DaemonSet，且节点上没有 kube-proxy 的规则"
                ),
                how_to_get: Text::default(),
            };
        }
        answered
    }
}

impl Access for Live {
    fn snapshot(&mut self) -> Result<Arc<ClusterSnapshot>> {
        let r = &self.request;
        let mut kinds: BTreeSet<String> = checks::ALL
            .iter()
            .flat_map(|c| c.looks_at)
            .map(|k| (*k).to_string())
            .collect();
        // Of settings only the cluster DNS's own are read, by name: the rest is nobody's business.
        kinds.remove("ConfigMap");
        // Owners of pods: whoever is to blame is named by what a person edits.
        kinds.extend(["Deployment", "ReplicaSet"].map(String::from));
        let named = [&r.from, &r.to]
            .into_iter()
            .filter_map(|w| {
                let (kind, rest) = w.split_once('/')?;
                let name = rest.split([':', '/']).next()?;
                let kind = Resource::known(kind)?.kind;
                Some(ObjectRef::new(&kind, &r.namespace, name))
            })
            .collect();
        let wanted = Wanted {
            kinds,
            namespaces: BTreeSet::from([r.namespace.clone()]),
            words: format!("{} {} {}", r.said, r.from, r.to),
            named,
            now_ms: clock::now_ms(),
        };
        // Of thousands of pods nobody needs a second copy.
        let snapshot = Arc::new(facts(&self.cluster, &wanted)?);
        self.forget_others(&snapshot);
        self.snapshot = Some(Arc::clone(&snapshot));
        Ok(snapshot)
    }

    fn prepare(&mut self, probes: &[Probe], io: &mut Io<'_>) -> Result<()> {
        self.take_stands(probes, io);
        Ok(())
    }

    fn ask(&mut self, probes: &[Probe]) -> Result<Vec<Answered>> {
        let mut by_stand: BTreeMap<Stand, Vec<Probe>> = BTreeMap::new();
        let (mut here, mut by_api, mut answers) = (Vec::new(), Vec::new(), Vec::new());
        for p in probes {
            let stand = self.stand(p);
            match (stand, &p.question) {
                (None, Question::Log { .. }) => by_api.push(p.clone()),
                (None, _) => here.push(p.clone()),
                (Some(s), q) if !self.hands.contains_key(&s) => {
                    if matches!(q, Question::Memory { .. }) {
                        by_api.push(p.clone());
                    } else {
                        answers.push(objects::answered(p, || self.nobody(&s)));
                    }
                }
                (Some(s), _) => by_stand.entry(s).or_default().push(p.clone()),
            }
        }
        let live: &Live = self;
        let by_stand = &by_stand;
        std::thread::scope(|scope| {
            let mut running = Vec::new();
            for (stand, hand) in &live.hands {
                if let Some(probes) = by_stand.get(stand) {
                    running.push(scope.spawn(move || match hand.lock() {
                        Ok(mut hand) => live.put(&mut hand, probes),
                        Err(_) => Vec::new(),
                    }));
                }
            }
            for p in &by_api {
                running.push(scope.spawn(move || {
                    vec![objects::answered(p, || match &p.question {
                        Question::Memory { namespace, pod, .. } => {
                            let pod = live.find("Pod", namespace, pod);
                            objects::memory(&live.cluster, pod, &p.question)
                        }
                        q => objects::log(&live.cluster, q),
                    })]
                }));
            }
            if !here.is_empty() {
                answers.extend(Local.ask(&here).unwrap_or_default());
            }
            for t in running {
                answers.extend(t.join().unwrap_or_default());
            }
        });
        Ok(answers.into_iter().map(|a| self.judge(a)).collect())
    }
}

impl Drop for Live {
    /// Streams end, and with them the agents; pods that were made are deleted.
    fn drop(&mut self) {
        self.hands.clear();
        delete_all(&self.cluster, &self.made);
    }
}

fn delete_all(cluster: &Cluster, made: &Mutex<Vec<MadePod>>) {
    if let Ok(mut all) = made.lock() {
        for pod in all.drain(..) {
            let _ = pod.delete(cluster);
        }
    }
}
