//! A world that lives: one thread that looks whenever something changed and every tenth of a
//! second, lets controllers and kubelets do their part, and hands Services and policies to the
//! nodes' daemons.

mod ready;

use crate::Error;
use crate::controllers::{self, certificates, certificates::Authority, system};
use crate::fault::Daemons;
use crate::ground::Ground;
use crate::kubelet::{Kubelets, Round};
use crate::real::{Programs, Proxies, Real};
use crate::shape::{self, at, fnv, text};
use crate::store::Store;
use crate::world::{PodBehaviour, World};
use netshoot_host::clock::now_ms;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The longest time between two looks: processes end without the store changing.
const TICK: Duration = Duration::from_millis(50);
/// Looks without a change of mind before a world counts as ready.
const QUIET_LOOKS: u64 = 3;
/// The shortest: several changes in a row are one look.
const SETTLE: Duration = Duration::from_millis(5);

/// A world that lives. Dropping it stops its thread; the ground stays.
#[derive(Debug)]
pub struct Living {
    store: Arc<Store>,
    ground: Arc<Ground>,
    daemons: Arc<Daemons>,
    authority: Arc<Authority>,
    view: Arc<Mutex<View>>,
    orders: Sender<PodBehaviour>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread lets others see.
#[derive(Debug, Default)]
struct View {
    settled: BTreeSet<String>,
    /// What the rules of every running daemon were made from last.
    synced: BTreeMap<(String, String), u64>,
    /// What they should be made from.
    wanted: BTreeMap<String, u64>,
    /// The last failure to write rules, by node and daemon.
    troubles: BTreeMap<(String, String), String>,
    /// A pod that reads its settings again.
    reloading: Option<String>,
    passes: u64,
}

impl Living {
    /// Fills a store from the world and starts to keep it alive on the ground, on upstream's programs where they are given.
    pub fn start(
        world: &World,
        ground: Arc<Ground>,
        programs: Option<&Programs>,
    ) -> Result<Living, Error> {
        let world = world.completed();
        let wiring = &world.plan.wiring;
        let store = Arc::new(Store::new(
            &wiring.families,
            &wiring.service_cidrs,
            fnv(world.name.as_bytes()),
        ));
        let now = now_ms() as i64;
        let authority = Arc::new(Authority::new(
            "internal-ca",
            now - 86_400_000,
            now + 3650 * 86_400_000,
        )?);
        system::fill(&store, &world, &authority)?;
        let dns: Vec<String> = store
            .find("Service", "kube-system", "kube-dns")
            .map(|s| shape::texts(&s, "spec.clusterIPs"))
            .unwrap_or_default();
        let (orders, taken) = channel();
        let shared = (
            Arc::new(Daemons::default()),
            Arc::new(Mutex::new(View::default())),
            Arc::new(AtomicBool::new(false)),
        );
        let (daemons, view, over) = shared;
        let mut kubelets = Kubelets::new(ground.clone(), &world.plan, dns);
        let mut proxies = None;
        if let Some(programs) = programs {
            let real = Arc::new(Real::new(programs, store.clone(), &authority)?);
            kubelets.run_on(real.clone());
            proxies = Some(Proxies::new(real, &wiring.proxy, &authority));
        }
        let heart = Heart {
            kubelets,
            proxies,
            world,
            store: store.clone(),
            ground: ground.clone(),
            daemons: daemons.clone(),
            authority: authority.clone(),
            view: view.clone(),
            orders: taken,
            synced: BTreeMap::new(),
            silent: BTreeMap::new(),
        };
        let stop = over.clone();
        let thread = std::thread::Builder::new()
            .name("reconcile".into())
            .spawn(move || heart.beat(&stop));
        let thread = thread.map_err(|source| netshoot_host::Error::System {
            tried: "start a thread",
            on: "reconcile".into(),
            source,
        })?;
        Ok(Living {
            store,
            ground,
            daemons,
            authority,
            view,
            orders,
            over,
            thread: Some(thread),
        })
    }

    /// The objects as they are.
    pub fn objects(&self) -> Vec<Value> {
        self.store.all()
    }

    /// The store, to change things in.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The network and processes.
    pub fn ground(&self) -> &Arc<Ground> {
        &self.ground
    }

    /// The nodes' daemons.
    pub fn daemons(&self) -> &Arc<Daemons> {
        &self.daemons
    }

    /// From now on some pods do something else.
    pub fn behave(&self, behaviour: PodBehaviour) {
        // The thread is gone only when this value is.
        let _ = self.orders.send(behaviour);
        self.store.nudge();
    }

    /// Issues the certificate of a Secret anew.
    pub fn certificate(
        &self,
        namespace: &str,
        secret: &str,
        expires_in_s: i64,
    ) -> Result<(), Error> {
        certificates::reissue(
            &self.store,
            &self.authority,
            namespace,
            secret,
            expires_in_s,
        )
    }

    fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until every workload stands as well as it can (its pods were ready once, or nothing
    /// better will come of them) and every running daemon has written its rules.
    pub fn ready(&self, limit: Duration) -> Result<(), Error> {
        let until = Instant::now() + limit;
        let passes = self.view().passes;
        // What one look changes (a pod becomes ready) others follow in the next ones: endpoints, then
        // rules. So it has to hold for a few looks.
        let mut held_since = None;
        loop {
            let missing = self.missing(passes);
            let now = self.view().passes;
            if missing.is_some() {
                held_since = None;
            } else if now >= *held_since.get_or_insert(now) + QUIET_LOOKS {
                return Ok(());
            }
            if Instant::now() >= until {
                return Err(Error::Waited {
                    for_what: missing.unwrap_or_else(|| "a few quiet looks".into()),
                    ms: limit.as_millis() as u64,
                });
            }
            let seen = self.store.revision();
            self.store.wait_newer(seen, Duration::from_millis(20));
        }
    }

    /// What is not ready yet. Looks only at what a pass after number `passes` has seen.
    fn missing(&self, passes: u64) -> Option<String> {
        let view = self.view();
        if view.passes < passes + 2 {
            return Some("the first look at the objects".into());
        }
        if let Some(((node, daemon), why)) = view.troubles.iter().next() {
            return Some(format!("{daemon} of node {node}: {why}"));
        }
        if let Some(pod) = &view.reloading {
            return Some(format!("Pod {pod} to read its settings again"));
        }
        let pods = self.store.of("Pod");
        let events = self.store.of("Event");
        let refused = events
            .iter()
            .filter(|e| text(e, "reason") == "FailedCreate")
            .map(|e| {
                let name = text(e, "involvedObject.name").to_string();
                (shape::namespace(e).to_string(), name)
            })
            .collect();
        let look = ready::Look {
            pods: &pods,
            settled: &view.settled,
            daemons: &self.daemons,
            refused: &refused,
        };
        for kind in ["Deployment", "StatefulSet", "DaemonSet"] {
            let workloads = self.store.of(kind);
            if let Some(missing) = workloads.iter().find_map(|w| look.missing(kind, w)) {
                return Some(missing);
            }
        }
        if let Some(pod) = pods.iter().find(|p| look.is_going(p)) {
            return Some(format!(
                "Pod {}/{} to end",
                shape::namespace(pod),
                shape::name(pod)
            ));
        }
        if let Some(pod) = pods.iter().find(|p| {
            shape::controller(p).is_none()
                && !view.settled.contains(shape::uid(p))
                && !text(p, "spec.nodeName").is_empty()
        }) {
            return Some(format!(
                "Pod {}/{}",
                shape::namespace(pod),
                shape::name(pod)
            ));
        }
        let late = |((node, daemon), print): (&(String, String), &u64)| {
            self.daemons.running(node, daemon) && view.wanted.get(daemon) != Some(print)
        };
        view.synced
            .iter()
            .find(|s| late(*s))
            .map(|((node, daemon), _)| format!("{daemon} of node {node} to write its rules"))
    }
}

impl Drop for Living {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        self.store.nudge();
        if let Some(thread) = self.thread.take() {
            // A panic there was already reported by the thread itself.
            let _ = thread.join();
        }
    }
}

/// The thread's own things.
struct Heart {
    world: World,
    store: Arc<Store>,
    ground: Arc<Ground>,
    daemons: Arc<Daemons>,
    authority: Arc<Authority>,
    view: Arc<Mutex<View>>,
    kubelets: Kubelets,
    orders: Receiver<PodBehaviour>,
    synced: BTreeMap<(String, String), u64>,
    /// Since when the kubelet of a node is seen stopped.
    silent: BTreeMap<String, u64>,
    /// Upstream's kube-proxies, where the world runs on them.
    proxies: Option<Proxies>,
}

impl Heart {
    fn beat(mut self, over: &AtomicBool) {
        let mut seen = 0;
        while !over.load(Ordering::SeqCst) {
            self.store.wait_newer(seen, TICK);
            if over.load(Ordering::SeqCst) {
                return;
            }
            std::thread::sleep(SETTLE);
            seen = self.store.revision();
            self.pass();
        }
    }

    fn pass(&mut self) {
        while let Ok(behaviour) = self.orders.try_recv() {
            self.kubelets.behave(behaviour);
        }
        let now_ms = now_ms();
        let daemons = self.daemons.clone();
        for node in self.store.of("Node") {
            let name = shape::name(&node);
            if daemons.running(name, "kubelet") {
                self.silent.remove(name);
            } else {
                self.silent.entry(name.to_string()).or_insert(now_ms);
            }
        }
        let since = self.silent.clone();
        let silent = |node: &str| since.get(node).map_or(0, |s| now_ms.saturating_sub(*s));
        controllers::pass(&controllers::Pass {
            store: &self.store,
            plan: &self.world.plan,
            now_ms,
            silent_ms: &silent,
            authority: &self.authority,
        });
        let runs = |node: &str| daemons.running(node, "kubelet");
        let plugged = |node: &str| daemons.running(node, "network-plugin");
        self.kubelets.pass(&Round {
            store: &self.store,
            runs: &runs,
            plugged: &plugged,
            now_ms,
        });
        // A daemon's pod that was started anew is the daemon started anew.
        for (node, name) in self.kubelets.started_daemons() {
            if ["kube-proxy", "policy-agent"].contains(&name.as_str()) {
                self.daemons.set(&node, &name, true);
                if let Some(proxies) = self.proxies.as_mut().filter(|_| name == "kube-proxy") {
                    proxies.begin_anew(&node);
                }
                self.synced.remove(&(node, name));
            }
        }
        self.sync();
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        view.settled = self.kubelets.settled();
        view.reloading = self.kubelets.reloading();
        view.passes += 1;
    }

    /// Lets the daemons that run write their rules, when what they are made from has changed.
    fn sync(&mut self) {
        let services = print_of(&self.store, &["Service", "EndpointSlice"], |o| {
            text(o, "metadata.resourceVersion").to_string()
        });
        let policies =
            print_of(
                &self.store,
                &["NetworkPolicy", "Namespace", "Pod"],
                |o| match shape::kind(o) {
                    "Pod" => format!(
                        "{}{}{}{}",
                        at(o, "metadata.labels"),
                        at(o, "status.podIPs"),
                        text(o, "spec.nodeName"),
                        text(o, "status.phase")
                    ),
                    "Namespace" => at(o, "metadata.labels").to_string(),
                    _ => text(o, "metadata.resourceVersion").to_string(),
                },
            );
        let mut objects: Option<Vec<Value>> = None;
        let mut troubles = BTreeMap::new();
        for node in self.store.of("Node") {
            let name = shape::name(&node).to_string();
            for (daemon, print) in [("kube-proxy", services), ("policy-agent", policies)] {
                let key = (name.clone(), daemon.to_string());
                if let (Some(proxies), "kube-proxy") = (&mut self.proxies, daemon) {
                    let runs = self.daemons.running(&name, daemon);
                    let network = self.ground.node(&name).filter(|_| runs);
                    let kept = proxies.keep(&name, network.as_deref(), print, &self.store);
                    match kept {
                        Ok(written) => {
                            // Until it has said so, nothing is written.
                            self.synced.insert(key, written.unwrap_or(0));
                        }
                        Err(e) => {
                            troubles.insert(key, e.to_string());
                        }
                    }
                    continue;
                }
                if !self.daemons.running(&name, daemon) || self.synced.get(&key) == Some(&print) {
                    continue;
                }
                let Some(network) = self.ground.node(&name) else {
                    continue;
                };
                let objects = objects.get_or_insert_with(|| self.store.all());
                let done = match daemon {
                    "kube-proxy" => {
                        crate::proxy::sync(&network, &name, &self.world.plan.wiring.proxy, objects)
                    }
                    _ => crate::enforce::sync(&network, &name, objects),
                };
                match done {
                    Ok(()) => {
                        self.synced.insert(key, print);
                    }
                    Err(e) => {
                        troubles.insert(key, e.to_string());
                    }
                }
            }
        }
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        view.troubles = troubles;
        view.synced = self.synced.clone();
        view.wanted = BTreeMap::from([
            ("kube-proxy".into(), services),
            ("policy-agent".into(), policies),
        ]);
    }
}

fn print_of(store: &Store, kinds: &[&str], of: impl Fn(&Value) -> String) -> u64 {
    let all: String = kinds
        .iter()
        .flat_map(|k| store.of(k))
        .map(|o| {
            format!(
                "{}/{}/{}/{};",
                shape::kind(&o),
                shape::namespace(&o),
                shape::name(&o),
                of(&o)
            )
        })
        .collect();
    fnv(all.as_bytes())
}
