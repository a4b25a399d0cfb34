//! `kubectl netshoot diagnose` in a real Kubernetes, as people type it: every level that must do, every way to print and keep
//! a report, and what happens under its feet while it asks.

#![allow(clippy::unwrap_used)]

mod ours;
mod ring5;

use netshoot_model::probe::{Harm, Question};
use ours::{IMAGE, agents, nothing_is_left, nothing_of_ours_runs, ready, say, text};
use ring5::{Cluster, Said, Space, holds, until};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

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
        // A node's own network needs no right to enter its pods, even where that may be had.
        (
            "node/node-b",
            "node",
            "access pod: making a pod on node node-b",
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

/// A server that serves and whose probe fails, saying what no page may take for its own.
const SHY: &str = r#"apiVersion: v1
kind: Pod
metadata: {name: shy, labels: {app: shy}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: shy
    image: localhost/agnhost:lab
    imagePullPolicy: Never
    args: [netexec, --http-port=8080, --udp-port=-1]
    readinessProbe: {exec: {command: [sh, -c, 'echo "</code><script>alert(1)</script> | \`shy\` &amp; \"lru"; exit 1']}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: shy}
spec: {selector: {app: shy}, ports: [{port: 80, targetPort: 8080}]}
"#;

/// What of a page does not fit: an element that ends where none began, or never.
fn misfit(page: &str) -> Option<String> {
    // Those that never have an end, and those whose end the next one is.
    const ENDLESS: [&str; 5] = ["meta", "br", "tr", "td", "th"];
    let mut open = Vec::new();
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        let Some((tag, after)) = rest[at + 1..].split_once('>') else {
            return Some(format!("{} does not end", &rest[at..]));
        };
        rest = after;
        let name = tag
            .trim_start_matches('/')
            .split([' ', '/'])
            .next()
            .unwrap();
        if tag.starts_with('!') || tag.ends_with('/') || ENDLESS.contains(&name) {
            continue;
        }
        if tag.starts_with('/') {
            let last = open.pop();
            if last != Some(name) {
                return Some(format!("</{name}> in {last:?}"));
            }
            continue;
        }
        if ["style", "script"].contains(&name) {
            let end = format!("</{name}>");
            let Some((_, after)) = rest.split_once(&end) else {
                return Some(format!("{name} does not end"));
            };
            rest = after;
            continue;
        }
        open.push(name);
    }
    (!open.is_empty()).then(|| format!("{open:?} do not end"))
}

#[test]
fn a_page_of_a_live_cluster_holds_together_whatever_objects_say() {
    for wrong in ["<p><b></p>", "<p>", "</p>", "<p", "<script>"] {
        assert!(misfit(wrong).is_some(), "{wrong}");
    }
    let Some(cluster) = ready() else { return };
    let space = shop(&cluster);
    space.apply(SHY);
    until("the probe has failed", 30, || {
        let told = space.kubectl(&["get", "events", "-o", "jsonpath={.items[*].message}"]);
        holds(told.out, "<script>alert(1)</script>")
    });
    let page = |format: &str| {
        let words = ["diagnose", "--from", "pod/client-a", "--to", "svc/shy:80"];
        let more = ["--access", "ephemeral", "-o", format];
        let said = say(&space, &[&words[..], &more].concat());
        assert_eq!(said.code, 1, "{}", said.all());
        for word in ["readiness-probe-fails", "Pod/shy", "svc/shy", "alert(1)"] {
            assert!(said.out.contains(word), "{word} in {}", said.out);
        }
        said.out
    };
    let html = page("html");
    assert!(html.starts_with("<!doctype html>"), "{html}");
    assert!(html.ends_with("</html>\n"), "{html}");
    assert_eq!(misfit(&html), None, "{html}");
    assert_eq!(html.matches("<script>").count(), 1, "its own: {html}");
    assert!(html.contains("&lt;script&gt;alert(1)"), "{html}");
    assert!(html.contains("&amp;amp; &quot;lru"), "{html}");
    let markdown = page("md");
    assert!(markdown.starts_with("# "), "{markdown}");
    let mut block = false;
    for line in markdown.lines() {
        block ^= line.starts_with("```");
        assert!(block || !line.contains("<script"), "{line}");
        assert!(block || !line.contains(" `shy` "), "{line}");
    }
    assert!(!block, "a code block does not end: {markdown}");
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

/// Denies everything to the web pods: whoever asks them waits.
const DENY: &str = "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: deny}, spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress]}}";

/// What passes the bytes of the API server on, and can cut all streams that are open.
struct Between {
    server: String,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Between {
    fn start(cluster: &Cluster) -> Between {
        let said = cluster.kubectl(&[
            "config",
            "view",
            "--minify",
            "-o",
            "jsonpath={.clusters[0].cluster.server}",
        ]);
        let far = said.ok().trim_start_matches("https://").to_string();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = format!("--server=https://{}", listener.local_addr().unwrap());
        let open: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let keep = Arc::clone(&open);
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let far = TcpStream::connect(&far).unwrap();
                let own = |s: &TcpStream| s.try_clone().unwrap();
                keep.lock().unwrap().extend([own(&near), own(&far)]);
                for (mut from, mut to) in [(own(&near), own(&far)), (far, near)] {
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        Between { server, open }
    }

    fn cut(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// The agent that runs in a pod, once it waits for an answer to a SYN.
fn agent_in(space: &Space<'_>, pod: &str) -> String {
    let uid = space.field(&format!("pod/{pod}"), "{.metadata.uid}");
    until("an agent of the pod waits for an answer", 30, || {
        let all = std::fs::read_dir("/proc").unwrap().flatten();
        let read = |folder: &Path, file: &str| {
            let bytes = std::fs::read(folder.join(file)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let waits = |line: &str| line.split_whitespace().nth(3) == Some("02");
        let ours = |folder: &PathBuf| {
            read(folder, "cmdline").starts_with("netshoot\0agent")
                && read(folder, "cgroup").contains(&uid)
                && read(folder, "net/tcp").lines().any(waits)
        };
        let found = all.map(|e| e.path()).find(ours);
        let name = found.and_then(|f| Some(f.file_name()?.to_str()?.to_string()));
        name.ok_or_else(|| "none yet".into())
    })
}

fn send(sign: &str, process: &str) {
    let sent = Command::new("kill").args(["-s", sign, process]).status();
    assert!(sent.unwrap().success());
}

#[test]
fn whatever_ends_an_agent_while_it_is_asked_is_told_and_nothing_is_left() {
    let Some(cluster) = ready() else { return };
    let space = shop(&cluster);
    space.apply(DENY);
    for pod in ["client-a", "client-b"] {
        until("the policy is in force", 20, || {
            match space.get(pod, "http://web/hostname") {
                said if said.code == 0 => Err(said.out),
                _ => Ok(()),
            }
        });
    }
    let between = Between::start(&cluster);
    let begin = |pod: &str, level: &str| {
        let from = format!("pod/{pod}");
        let child = diagnosis(&space, &from, &["--access", level, &between.server])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        (child, agent_in(&space, pod))
    };
    let tells = |child: Child, pod: &str| {
        let began = Instant::now();
        let said = text(&child.wait_with_output().unwrap());
        assert!(began.elapsed() < Duration::from_secs(30), "{}", said.all());
        assert_eq!(said.code, 2, "{}", said.all());
        let why = format!("of pod {}/{pod} ended while it was asked", space.name);
        // As what could not be checked, and among the probes at the first that was not answered.
        let times = said.out.matches(&why).count();
        assert!(times == 1 || times == 2, "{times} times: {}", said.out);
        assert!(!said.err.contains("panicked"), "{}", said.err);
        nothing_of_ours_runs(&space);
        assert_eq!(agents(&space, &[]), "", "what was made is deleted");
    };
    let (child, agent) = begin("client-a", "ephemeral");
    send("KILL", &agent);
    tells(child, "client-a");
    let (child, _) = begin("client-a", "node");
    between.cut();
    tells(child, "client-a");
    // The pod goes: until it has gone its agent says nothing any more.
    let (child, agent) = begin("client-b", "ephemeral");
    send("STOP", &agent);
    let words = ["delete", "pod", "client-b", "--grace-period=0", "--force"];
    space.kubectl(&words).ok();
    tells(child, "client-b");
}

/// A server whose memory ran out once.
const TIGHT: &str = "apiVersion: v1
kind: Pod
metadata: {name: tight, labels: {app: tight}}
spec:
  terminationGracePeriodSeconds: 0
  volumes: [{name: once, emptyDir: {}}]
  containers:
  - name: tight
    image: localhost/busybox:lab
    imagePullPolicy: Never
    command: [sh, -c, '[ -e /once/more ] && exec httpd -f -p 8080; touch /once/more; exec tail /dev/zero']
    resources: {limits: {memory: 32Mi}}
    volumeMounts: [{name: once, mountPath: /once}]
    readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: tight}
spec: {selector: {app: tight}, ports: [{port: 80, targetPort: 8080}]}
";

/// What metrics-server would serve, as the API server keeps it.
const METRICS: &str = "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: pods.metrics.k8s.io, annotations: {api-approved.kubernetes.io: 'unapproved, for tests'}}
spec:
  group: metrics.k8s.io
  scope: Namespaced
  names: {plural: pods, kind: PodMetrics}
  versions:
  - name: v1beta1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
";

/// Takes it away at the end, whatever the end.
struct Metrics<'a>(&'a Cluster);

impl Drop for Metrics<'_> {
    fn drop(&mut self) {
        self.0.kubectl(&["delete", "crd", "pods.metrics.k8s.io"]);
    }
}

#[test]
fn memory_is_told_by_metrics_else_by_the_kubelet_else_by_the_cgroup() {
    let Some(cluster) = ready() else { return };
    let space = cluster.namespace("memory");
    space.apply(TIGHT);
    space.apply(&TOOLS.replace("IMAGE", IMAGE));
    space.ready(&["pod/tools"]);
    until("its memory has run out and it runs again", 60, || {
        let path = "{.status.containerStatuses[0].lastState.terminated.reason} {.status.containerStatuses[0].ready}";
        holds(space.field("pod/tight", path), "OOMKilled true")
    });
    let kept = cluster.state().join(format!("{}.json", space.name));
    let told = |more: &[&str]| {
        let words = [
            "diagnose",
            "--from",
            "pod/tools",
            "--to",
            "svc/tight:80",
            "--record",
            kept.to_str().unwrap(),
        ];
        let said = say(&space, &[&words[..], more].concat());
        assert!(kept.exists(), "{}", said.all());
        let answer = memory(&kept);
        std::fs::remove_file(&kept).unwrap();
        answer
    };
    // Who may do everything here and nothing beyond.
    let bind = [
        "create",
        "rolebinding",
        "jo",
        "--clusterrole=admin",
        "--user=jo",
    ];
    space.kubectl(&bind).ok();
    let jo = ["--access=objects", "--as=jo"];
    {
        let _metrics = Metrics(&cluster);
        cluster.feed(&["apply", "-f", "-"], METRICS).ok();
        let usage = "{apiVersion: metrics.k8s.io/v1beta1, kind: PodMetrics, metadata: {name: tight}, containers: [{name: tight, usage: {cpu: 1m, memory: 12345Ki}}]}";
        until("the kind is served", 20, || {
            match cluster.feed(&["-n", &space.name, "apply", "-f", "-"], usage) {
                said if said.code == 0 => Ok(()),
                said => Err(said.err),
            }
        });
        assert_eq!(told(&["--access=objects"]), "metrics.k8s.io 12641280");
        until("the right that is enough", 20, || {
            holds(told(&jo), "the right to get pods.metrics.k8s.io")
        });
    }
    let by = told(&["--access=objects"]);
    assert!(by.starts_with("kubelet "), "{by}");
    // A Role for what is not served would bring nothing.
    until("the right that remains", 20, || {
        holds(told(&jo), "the right to get nodes/proxy")
    });
    let by = told(&["--access=node", "--as=jo"]);
    assert!(by.starts_with("cgroup v"), "{by}");
    nothing_is_left(&space);
}

/// Who told of the memory of a recording, and how much it was; or why nobody did.
fn memory(recording: &Path) -> String {
    let text = std::fs::read_to_string(recording).unwrap();
    let recording: serde_json::Value = serde_json::from_str(&text).unwrap();
    let batches = recording["batches"].as_array().unwrap().iter();
    let mut answers = batches.flat_map(|b| b["answers"].as_array().unwrap());
    let asked = answers.find(|a| !a["probe"]["question"]["memory"].is_null());
    let answer = &asked.unwrap()["answer"];
    match answer["memory"][0].as_object() {
        Some(m) => {
            let by = m["accounted_by"].as_str().unwrap();
            format!("{by} {}", m["samples"][0][1])
        }
        None => answer.to_string(),
    }
}
