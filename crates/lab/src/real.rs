//! Upstream's kube-proxy and CoreDNS in the place of a world's stand-ins: `--real`.
//!
//! kube-proxy runs as a process in each node's network, CoreDNS as the container of the cluster's DNS, with the Corefile of its
//! ConfigMap as it stands. Both watch the world's objects at an [`ApiServer`] on their own loopback. As everything in a world is
//! faster, kube-proxy may write rules ten times a second, and CoreDNS is told of a changed Corefile.

use crate::Error;
use crate::apiserver::{self, ApiServer};
use crate::certs::Authority;
use crate::ground::{Ground, Launch};
use crate::hold::child::{folder, write};
use crate::proxy::View;
use crate::store::Store;
use netshoot_host::clock::now_ms;
use netshoot_host::netns::NetNs;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// From a change of objects to kube-proxy's having heard of it: a watch takes milliseconds, a busy machine longer.
const HEARD_MS: u64 = 500;
/// How often a kube-proxy is asked what it has done, milliseconds.
const ASK_EVERY_MS: u64 = 100;
/// One that was begun within this time was begun by the world's beginning, as was the pod that stands for it.
const YOUNG: Duration = Duration::from_secs(3);
/// Where it shows its figures, on its loopback.
const METRICS_PORT: u16 = 10249;
/// Patience with an answer on the loopback.
const PATIENCE: Duration = Duration::from_millis(500);

/// Where upstream's programs lie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Programs {
    /// CoreDNS.
    pub coredns: PathBuf,
    /// kube-proxy.
    pub kube_proxy: PathBuf,
}

impl Programs {
    /// Those that `scripts/cluster build` made last.
    pub fn at_hand() -> Result<Programs, Error> {
        let var = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty());
        let cache = var("NETSHOOT_CACHE")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(var("XDG_CACHE_HOME")?).join("netshoot")))
            .or_else(|| Some(PathBuf::from(var("HOME")?).join(".cache/netshoot")))
            .unwrap_or_else(|| "/root/.cache/netshoot".into());
        let complete = |folder: &PathBuf| {
            let mark = std::fs::metadata(folder.join("complete")).ok()?;
            Some((
                mark.modified().ok()?,
                Programs::in_folder(&folder.join("bin"))?,
            ))
        };
        let folders = std::fs::read_dir(&cache).into_iter().flatten().flatten();
        let newest = folders
            .map(|f| f.path())
            .filter_map(|f| complete(&f))
            .max_by_key(|(when, _)| *when);
        newest.map(|(_, programs)| programs).ok_or_else(|| Error::Absent {
            what: format!(
                "the real kube-proxy and CoreDNS are not in {}: scripts/cluster build of the project makes them",
                cache.display()
            ),
        })
    }

    fn in_folder(folder: &Path) -> Option<Programs> {
        let found = Programs {
            coredns: folder.join("coredns"),
            kube_proxy: folder.join("kube-proxy"),
        };
        (found.coredns.is_file() && found.kube_proxy.is_file()).then_some(found)
    }
}

/// The programs of one world, and the API that they watch.
#[derive(Debug)]
pub struct Real {
    programs: Programs,
    server: Arc<ApiServer>,
}

impl Real {
    /// For the objects of a world.
    pub fn new(
        programs: &Programs,
        store: Arc<Store>,
        authority: &Authority,
    ) -> Result<Real, Error> {
        Ok(Real {
            programs: programs.clone(),
            server: ApiServer::new(store, authority)?,
        })
    }

    /// A container of the cluster's DNS becomes CoreDNS.
    pub(crate) fn dress(&self, ground: &Ground, order: &mut Launch) -> Result<(), Error> {
        if !is_dns(&order.behaviour) {
            return Ok(());
        }
        let Some(network) = ground.pod(&order.pod) else {
            return Err(Error::Absent {
                what: format!("pod {} has no sandbox", order.pod),
            });
        };
        self.server.open(&network)?;
        for (name, value) in [
            ("KUBERNETES_SERVICE_HOST", apiserver::HOST.to_string()),
            ("KUBERNETES_SERVICE_PORT", apiserver::PORT.to_string()),
        ] {
            order.env.retain(|(n, _)| n != name);
            order.env.push((name.into(), value));
        }
        let arguments = ["-conf", "/etc/coredns/Corefile"].map(String::from);
        order.program = Some((self.programs.coredns.clone(), arguments.to_vec()));
        Ok(())
    }
}

/// The container answers DNS as the cluster's does.
pub(crate) fn is_dns(behaviour: &Value) -> bool {
    behaviour.get("dns").and_then(Value::as_bool) == Some(true)
}

/// A CoreDNS that was told of a changed Corefile, as an administrator does who does not want to wait for `reload`'s half
/// minute: by SIGUSR1.
#[derive(Debug)]
pub(crate) struct Reload {
    asked_ms: u64,
    said_before: usize,
}

/// After this long nothing will be said of it any more, milliseconds.
const RELOADS_MS: u64 = 10_000;

impl Reload {
    pub fn ask(ground: &Ground, pid: i32, now_ms: u64) -> Option<Reload> {
        let said_before = said_of_reloads(&ground.log(pid));
        ground.signal(pid, libc::SIGUSR1);
        Some(Reload {
            asked_ms: now_ms,
            said_before,
        })
    }

    /// It says that it did, or that it could not.
    pub fn is_over(&self, ground: &Ground, pid: i32, now_ms: u64) -> bool {
        said_of_reloads(&ground.log(pid)) > self.said_before || now_ms > self.asked_ms + RELOADS_MS
    }
}

fn said_of_reloads(log: &[String]) -> usize {
    let end = |l: &&String| l.contains("Reloading complete") || l.contains("[ERROR] SIGUSR1");
    log.iter().filter(end).count()
}

/// The kube-proxies of a world's nodes.
#[derive(Debug)]
pub struct Proxies {
    real: Arc<Real>,
    mode: String,
    kubeconfig: String,
    running: BTreeMap<String, Proxy>,
}

#[derive(Debug)]
struct Proxy {
    child: Child,
    began: Instant,
    log: PathBuf,
    /// What its rules are to be made from, and since when.
    wanted: (u64, u64),
    /// What they are made from.
    written: Option<u64>,
    asked_ms: u64,
}

impl Proxies {
    /// None runs yet. `mode` is `iptables` or `nftables`.
    pub fn new(real: Arc<Real>, mode: &str, authority: &Authority) -> Proxies {
        Proxies {
            real,
            mode: mode.into(),
            kubeconfig: apiserver::kubeconfig(authority),
            running: BTreeMap::new(),
        }
    }

    /// Lets the one of a node run in this network, or in none. Gives the print of the objects that its rules are made from,
    /// as far as it has said so; `print` is that of the objects now.
    pub fn keep(
        &mut self,
        node: &str,
        network: Option<&NetNs>,
        print: u64,
        store: &Store,
    ) -> Result<Option<u64>, Error> {
        let Some(network) = network else {
            self.stop(node);
            return Ok(None);
        };
        if !self.running.contains_key(node) {
            let proxy = self.start(node, network, store)?;
            self.running.insert(node.into(), proxy);
        }
        let Some(proxy) = self.running.get_mut(node) else {
            return Ok(None);
        };
        if !matches!(proxy.child.try_wait(), Ok(None)) {
            let what = format!("kube-proxy of node {node} ended: {}", proxy.last_words());
            self.running.remove(node);
            return Err(Error::Absent { what });
        }
        let now = now_ms();
        if proxy.wanted.0 != print {
            proxy.wanted = (print, now);
        }
        let due = now >= proxy.wanted.1 + HEARD_MS && now >= proxy.asked_ms + ASK_EVERY_MS;
        if proxy.written != Some(print) && due {
            proxy.asked_ms = now;
            if network.enter(figures)?.is_some_and(|text| is_done(&text)) {
                proxy.written = Some(print);
            }
        }
        Ok(proxy.written)
    }

    /// Its pod was started anew: so is it, unless it has just begun.
    pub fn begin_anew(&mut self, node: &str) {
        if self
            .running
            .get(node)
            .is_some_and(|p| p.began.elapsed() > YOUNG)
        {
            self.stop(node);
        }
    }

    /// What it wrote stays as it is.
    fn stop(&mut self, node: &str) {
        if let Some(mut proxy) = self.running.remove(node) {
            // It may be gone, and waited for by the world's first process.
            let _ = proxy.child.kill();
            let _ = proxy.child.wait();
        }
    }

    fn start(&self, node: &str, network: &NetNs, store: &Store) -> Result<Proxy, Error> {
        self.real.server.open(network)?;
        let file = |what: &str| folder().join(format!("kube-proxy-{node}.{what}"));
        let (kubeconfig, config, log) = (file("kubeconfig"), file("config"), file("log"));
        write(&kubeconfig, self.kubeconfig.as_bytes())?;
        let settings = self.settings(node, &kubeconfig, &store.all());
        write(&config, settings.to_string().as_bytes())?;
        let failed = |source| netshoot_host::Error::System {
            tried: "start kube-proxy",
            on: format!("node {node}"),
            source,
        };
        let output = std::fs::File::create(&log).map_err(failed)?;
        let errors = output.try_clone().map_err(failed)?;
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(&self.real.programs.kube_proxy);
        command
            .arg(format!("--config={}", config.display()))
            .env("PATH", format!("{path}:/usr/sbin:/sbin"))
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors);
        let child = network.enter(|| command.spawn())?.map_err(failed)?;
        Ok(Proxy {
            child,
            began: Instant::now(),
            log,
            wanted: (0, 0),
            written: None,
            asked_ms: 0,
        })
    }

    fn settings(&self, node: &str, kubeconfig: &Path, objects: &[Value]) -> Value {
        let pods: Vec<String> = [false, true]
            .iter()
            .filter_map(|v6| View::of(node, *v6, objects).pod_network)
            .map(|c| format!("{}/{}", c.network(), c.prefix))
            .collect();
        // As everything in a world is faster; connection tracking's numbers are the world's own.
        let quick = json!({"minSyncPeriod": "100ms"});
        json!({
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
            "mode": self.mode, "hostnameOverride": node, "clusterCIDR": pods.join(","),
            "detectLocalMode": if pods.is_empty() { "NodeCIDR" } else { "ClusterCIDR" },
            "clientConnection": {"kubeconfig": kubeconfig.display().to_string()},
            "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
            "iptables": quick, "nftables": quick,
            "healthzBindAddress": "127.0.0.1:10256", "metricsBindAddress": format!("127.0.0.1:{METRICS_PORT}"),
        })
    }
}

impl Proxy {
    fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let last = log.lines().rev().find(|l| !l.trim().is_empty());
        last.unwrap_or("without a word").to_string()
    }
}

/// The figures of the kube-proxy in the calling thread's network, when it answers.
fn figures() -> Option<String> {
    let to = (Ipv4Addr::LOCALHOST, METRICS_PORT).into();
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream
        .write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")
        .ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

/// Whether it has written rules since it last heard of a change: by its own figures, in every family.
fn is_done(figures: &str) -> bool {
    const DONE: &str = "kubeproxy_sync_proxy_rules_last_timestamp_seconds";
    const HEARD: &str = "kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds";
    let all = |name: &str| -> BTreeMap<String, f64> {
        figures
            .lines()
            .filter_map(|l| l.strip_prefix(name)?.rsplit_once(' '))
            .filter_map(|(labels, value)| Some((labels.to_string(), value.parse().ok()?)))
            .collect()
    };
    let (done, heard) = (all(DONE), all(HEARD));
    !done.is_empty()
        && done.iter().all(|(family, when)| {
            *when > 0.0 && heard.get(family).is_none_or(|heard| heard <= when)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_kube_proxy_says_of_its_work() {
        let figures = |v4: (f64, f64), v6: (f64, f64)| {
            let line = |what: &str, family: &str, when: f64| {
                format!(
                    "kubeproxy_sync_proxy_rules_last_{what}timestamp_seconds{{ip_family=\"{family}\"}} {when:e}\n"
                )
            };
            [("IPv4", v4), ("IPv6", v6)]
                .map(|(f, (heard, done))| line("queued_", f, heard) + &line("", f, done))
                .concat()
        };
        for (v4, v6, want) in [
            ((10.0, 11.0), (9.0, 9.5), true),
            ((12.0, 11.0), (9.0, 9.5), false),
            ((10.0, 11.0), (9.0, 0.0), false),
            ((0.0, 1.795_742_524_82e9), (0.0, 1.795e9), true),
        ] {
            assert_eq!(is_done(&figures(v4, v6)), want, "{v4:?} {v6:?}");
        }
        assert!(!is_done("go_goroutines 7\n"));
    }

    #[test]
    fn programs_are_there_or_not() {
        let folder = std::env::temp_dir().join(format!("netshoot-programs-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        assert_eq!(Programs::in_folder(&folder), None);
        for name in ["coredns", "kube-proxy"] {
            std::fs::write(folder.join(name), "").unwrap();
        }
        let found = Programs::in_folder(&folder).unwrap();
        assert_eq!(found.coredns, folder.join("coredns"));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
