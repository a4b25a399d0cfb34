//! Bad days of the plugin and of a live diagnosis, against the real API server: each ends with one clear sentence, and
//! nothing of ours runs afterwards.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod bad_days;
#[path = "bad_days/elder.rs"]
mod elder;
mod ours;
mod ring5;

use ours::{
    IMAGE, PROGRAM, agents, load, nothing_is_left, nothing_of_ours_runs, ours, plugin, ready, say,
    signal, start, text, web,
};
use ring5::{Fresh, Said, Space, holds, until};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Nothing takes longer to end than this, whatever is broken.
const MOST: Duration = Duration::from_secs(60);

/// `diagnose` of this build, from a pod to the web server.
fn diagnose(space: &Space<'_>, pod: &str, more: &[&str]) -> Said {
    text(&diagnosis(space, pod, more).output().unwrap())
}

fn diagnosis(space: &Space<'_>, pod: &str, more: &[&str]) -> Command {
    let mut c = space.cluster.command(PROGRAM);
    let from = format!("pod/{pod}");
    c.args(["diagnose", "-n", &space.name, "--from", &from])
        .args(["--to", "svc/web:80"])
        .args(more)
        .env("NETSHOOT_IMAGE", IMAGE);
    c
}

/// It failed with this code, in time, saying this in one sentence.
#[track_caller]
fn fails(began: Instant, said: &Said, code: i32, tells: &str) {
    assert!(began.elapsed() < MOST, "took {:?}", began.elapsed());
    assert_eq!(said.code, code, "{}", said.all());
    assert!(said.err.contains(tells), "{tells}: {}", said.err);
    assert!(!said.err.contains("panicked"), "{}", said.err);
}

#[test]
fn whatever_ends_the_client_the_pod_ends_too() {
    let Some(cluster) = ready() else { return };
    let space = cluster.namespace("ends");
    let begun = |name: &str| {
        let (child, mut out) = start(plugin(
            &space,
            &["run", name, "--", "bash", "-c", "echo began; sleep 300"],
        ));
        out.read_exact(&mut [0; 6]).unwrap();
        (child, out)
    };
    for (name, code) in [("INT", 130), ("TERM", 130), ("HUP", 130)] {
        let (mut child, _out) = begun(&name.to_lowercase());
        signal(&child, name);
        assert_eq!(child.wait().unwrap().code(), Some(code), "{name}");
        nothing_is_left(&space);
    }
    // Nobody can act on a KILL: what is left is found by clean.
    let (mut child, _out) = begun("killed");
    assert!(
        say(&space, &["clean"])
            .ok()
            .contains("its client still runs")
    );
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(ours(&space).contains("pod/killed"));
    assert!(say(&space, &["clean"]).ok().contains("its client is gone"));
    nothing_is_left(&space);
    let said = say(
        &space,
        &["run", "late", "--deadline=2s", "--", "sleep", "300"],
    );
    assert!(
        said.code != 0 && said.err.contains("deadline"),
        "{}",
        said.err
    );
    nothing_is_left(&space);
}

#[test]
fn bad_days_end_in_one_clear_sentence() {
    let Some(cluster) = ready() else { return };
    let space = cluster.namespace("bad");
    let fails = |words: &[&str], tells: &str| {
        let said = say(&space, words);
        assert_eq!(said.code, 1, "{words:?}: {}{}", said.out, said.err);
        assert!(said.err.contains(tells), "{words:?}: {}", said.err);
    };
    fails(
        &[
            "run",
            "a",
            "--image=localhost/none:lab",
            "--image-pull-policy=Never",
            "--",
            "true",
        ],
        "the image localhost/none:lab is not on the node",
    );
    fails(
        &["run", "b", "--image=127.0.0.1:9/none:1", "--", "true"],
        "cannot be pulled",
    );
    fails(
        &[
            "run",
            "c",
            "--node-selector=no=where",
            "--pod-running-timeout=3s",
            "--",
            "true",
        ],
        "waiting for a node: 0/2 nodes are available",
    );
    fails(
        &["run", "d", "--token=expired", "--", "true"],
        "log in again",
    );
    fails(
        &["run", "e", "--context=nope", "--", "true"],
        "the kubeconfig has no context nope",
    );
    fails(
        &["run", "f", "--server=https://127.0.0.1:9", "--", "true"],
        "cannot be reached",
    );
    fails(&["debug", "nope", "--", "true"], "pods \"nope\" not found");
    fails(
        &["run", "g", "--no-such-flag"],
        "error: unknown flag: --no-such-flag",
    );
    nothing_is_left(&space);
}

#[test]
fn a_webhook_that_hangs_and_a_namespace_that_ends_are_named() {
    let Some(cluster) = ready() else { return };
    let space = cluster.namespace("hook");
    let hook = bad_days::silent_webhook(&space, 1);
    space.apply(&hook);
    let said = until("the webhook is asked", 20, || {
        let said = say(&space, &["run", "x", "--", "true"]);
        if said.code == 0 {
            Err("it was admitted".to_string())
        } else {
            Ok(said)
        }
    });
    cluster
        .kubectl(&["delete", "validatingwebhookconfiguration", &space.name])
        .ok();
    assert!(
        said.err.contains("slow.example.test") && said.err.contains("Service behind it"),
        "{}",
        said.err
    );
    // A finalizer keeps the namespace in its last state.
    space.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: keeps, finalizers: [example.test/keeps]}\n");
    cluster
        .kubectl(&["delete", "namespace", &space.name, "--wait=false"])
        .ok();
    let said = say(&space, &["run", "x", "--", "true"]);
    space.kubectl(&[
        "patch",
        "configmap",
        "keeps",
        "--type=merge",
        "-p",
        "{\"metadata\":{\"finalizers\":null}}",
    ]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("is being deleted"), "{}", said.err);
}

#[test]
fn after_a_kill_nothing_of_ours_outlives_its_deadline() {
    let Some(cluster) = ready() else { return };
    let space = cluster.namespace("killed");
    let pod = web(&space);
    let sleeps = |seconds: &str| {
        let node = space.field(&format!("pod/{pod}"), "{.spec.nodeName}");
        cluster.on(&node, &["pgrep", "-f", &format!("^sleep {seconds}")])
    };
    let (mut run, _out) = start(plugin(
        &space,
        &[
            "run",
            "left",
            "--deadline=8s",
            "--",
            "bash",
            "-c",
            "echo began; exec sleep 4001",
        ],
    ));
    let (mut debug, mut out) = start(plugin(
        &space,
        &[
            "debug",
            &pod,
            "--deadline=12s",
            "--",
            "bash",
            "-c",
            "echo began; exec sleep 4002",
        ],
    ));
    out.read_exact(&mut [0; 6]).unwrap();
    assert_eq!(sleeps("4002").code, 0, "it runs as long as its client");
    until("the pod runs", 20, || {
        holds(space.field("pod/left", "{.status.phase}"), "Running")
    });
    for child in [&mut run, &mut debug] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    // A command ends with its client; what it ran in at its deadline.
    until("the command has ended", 5, || match sleeps("4002").code {
        0 => Err("it still runs".into()),
        _ => Ok(()),
    });
    until("the pod has ended", 30, || {
        holds(space.field("pod/left", "{.status.phase}"), "Failed")
    });
    nothing_of_ours_runs(&space);
    assert!(say(&space, &["clean"]).ok().contains("it has ended"));
    nothing_is_left(&space);
}

#[test]
fn an_api_server_that_is_silent_costs_no_more_than_the_limit() {
    let Some(cluster) = ready() else { return };
    let space = cluster.namespace("silent");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("--server=https://{}", silent.local_addr().unwrap());
    let began = Instant::now();
    let said = say(
        &space,
        &["run", "x", &server, "--request-timeout=2s", "--", "true"],
    );
    fails(began, &said, 1, "within 2 s");
    let said = diagnose(&space, "any", &[&server, "--request-timeout=2s"]);
    fails(began, &said, 2, "within 2 s");
    nothing_is_left(&space);
}

/// A ServiceAccount's token as the API server signs it, with this end.
fn token(space: &Space<'_>, ends_in: i64) -> String {
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    let uid = space.field("serviceaccount/default", "{.metadata.uid}");
    let claims = serde_json::json!({
        "iss": "https://kubernetes.default.svc.cluster.local",
        "aud": ["https://kubernetes.default.svc.cluster.local"],
        "sub": format!("system:serviceaccount:{}:default", space.name),
        "iat": now - 7200, "nbf": now - 7200, "exp": now + ends_in,
        "kubernetes.io": {"namespace": space.name, "serviceaccount": {"name": "default", "uid": uid}},
    });
    let script = format!(
        r#"b64() {{ base64 -w0 | tr +/ -_ | tr -d =; }}
head=$(printf %s '{{"alg":"ES256"}}' | b64).$(printf %s "$1" | b64)
# A JWT has the two numbers of the signature side by side, each of 32 bytes; openssl writes them as DER.
hex=$(printf %s "$head" | openssl dgst -sha256 -sign '{}' | openssl asn1parse -inform DER | sed -n 's/.*INTEGER *://p' |
  while read -r n; do printf '%064s' "$n" | tr ' ' 0; done)
printf %s "$head.$(printf %s "$hex" | sed 's/../\\x&/g' | xargs -0 printf %b | b64)""#,
        space.cluster.state().join("pki/sa.key").display()
    );
    let said = Command::new("bash")
        .args(["-c", &script, "-", &claims.to_string()])
        .output()
        .unwrap();
    assert!(said.status.success());
    String::from_utf8(said.stdout).unwrap()
}

#[test]
fn a_token_that_has_expired_asks_for_a_new_login() {
    let Some(cluster) = ready() else { return };
    let space = cluster.namespace("token");
    let bind = ["create", "rolebinding", "x", "--clusterrole=admin"];
    let who = format!("--serviceaccount={}:default", space.name);
    space.kubectl(&[&bind[..], &[&who]].concat()).ok();
    let run = |token: &str| {
        let token = format!("--token={token}");
        say(&space, &["run", "x", &token, "-q", "--", "echo", "in"])
    };
    assert_eq!(run(&token(&space, 600)).ok(), "in\n");
    let old = token(&space, -60);
    let began = Instant::now();
    fails(began, &run(&old), 1, "log in again");
    let said = diagnose(&space, "any", &[&format!("--token={old}")]);
    fails(began, &said, 2, "credentials");
    nothing_is_left(&space);
}

#[test]
fn an_image_that_cannot_be_pulled_is_a_gap_of_the_diagnosis() {
    let Some(cluster) = ready() else { return };
    let space = cluster.namespace("pull");
    let pod = web(&space);
    let began = Instant::now();
    let said = diagnose(
        &space,
        &pod,
        &["--access=ephemeral", "--image=127.0.0.1:9/netshoot:none"],
    );
    fails(began, &said, 2, "adding a container to pod");
    assert!(
        said.out.contains("does not start: ErrImagePull"),
        "{}",
        said.out
    );
    nothing_of_ours_runs(&space);
}

/// A server that answers every request with the API server's "too many requests", and asks to come again in a second.
fn busy() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let status = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"too many requests, please try again later","reason":"TooManyRequests","code":429}"#;
    let answer = format!(
        "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{status}",
        status.len()
    );
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let answer = answer.clone();
            std::thread::spawn(move || {
                let _ = stream.read(&mut [0; 65536]);
                let _ = stream.write_all(answer.as_bytes());
            });
        }
    });
    format!("--server=http://{address}")
}

#[test]
fn an_api_server_that_says_too_many_requests_is_waited_for_and_named() {
    let Some(cluster) = ready() else { return };
    let space = cluster.namespace("busy");
    let server = busy();
    let began = Instant::now();
    let said = say(&space, &["run", "x", &server, "--", "true"]);
    fails(began, &said, 1, "Error from server (TooManyRequests)");
    assert!(
        began.elapsed() > Duration::from_secs(1),
        "it was not waited for"
    );
    let began = Instant::now();
    fails(
        began,
        &diagnose(&space, "any", &[&server]),
        2,
        "too many requests",
    );
}

#[test]
fn an_api_server_that_goes_in_the_middle_leaves_nothing_that_runs() {
    let Some(cluster) = Fresh::start("gone", &[]) else {
        return;
    };
    load(&cluster);
    let space = cluster.namespace("gone");
    let pod = web(&space);
    let words = [
        "run",
        "held",
        "--",
        "bash",
        "-c",
        "echo began; exec sleep 4003",
    ];
    let mut run = plugin(&space, &words);
    let mut run = run
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    run.stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut [0; 6])
        .unwrap();
    // Where kubelet sleeps nothing that is made starts: the diagnosis is in the middle until the server is gone.
    let kubelets = |sign: &str| {
        for node in ["node-a", "node-b"] {
            let pid = cluster.state().join(node).join("kubelet.pid");
            let pid = std::fs::read_to_string(pid).unwrap();
            cluster.on(node, &["kill", "-s", sign, pid.trim()]).ok();
        }
    };
    kubelets("STOP");
    let asks = diagnosis(&space, &pod, &["--access=node"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until("the diagnosis has made something", 30, || {
        match agents(&space, &[]) {
            none if none.is_empty() => {
                let entries = space.field(&format!("pod/{pod}"), "{.spec.ephemeralContainers}");
                if entries.is_empty() {
                    Err("nothing yet".into())
                } else {
                    Ok(())
                }
            }
            _ => Ok(()),
        }
    });
    cluster
        .script(&["daemon", "kill", "control", "kube-apiserver"])
        .ok();
    kubelets("CONT");
    let began = Instant::now();
    let said = text(&run.wait_with_output().unwrap());
    fails(began, &said, 1, "lost the stream");
    assert!(said.err.contains("could not be deleted"), "{}", said.err);
    let said = text(&asks.wait_with_output().unwrap());
    assert!(said.code == 2 && began.elapsed() < MOST, "{}", said.all());
    let began = Instant::now();
    fails(
        began,
        &say(&space, &["run", "y", "--", "true"]),
        1,
        "cannot be reached",
    );
    fails(began, &diagnose(&space, &pod, &[]), 2, "cannot be reached");
    cluster
        .script(&["daemon", "start", "control", "kube-apiserver"])
        .ok();
    until("the API server is back", 60, || {
        match cluster.kubectl(&["get", "--raw", "/readyz"]) {
            said if said.code == 0 => Ok(()),
            said => Err(said.err),
        }
    });
    assert!(say(&space, &["clean"]).ok().contains("its client is gone"));
    nothing_is_left(&space);
    for node in ["node-a", "node-b"] {
        until("no agent runs on a node", 30, || {
            match cluster.on(node, &["pgrep", "-af", "netshoot agent"]) {
                said if said.code == 1 => Ok(()),
                said => Err(said.all()),
            }
        });
    }
}

/// Pods that nobody schedules, and as many as a large namespace has.
fn crowd(space: &Space<'_>, count: usize) {
    use netshoot_api::live::{Cluster as Api, Connect, Resource};
    let connect = Connect {
        kubeconfig: Some(space.cluster.state().join("kubeconfig")),
        ..Connect::default()
    };
    let pod = |i: usize| {
        let env: Vec<_> = (0..8)
            .map(|e| serde_json::json!({"name": format!("SETTING_{e}"), "value": format!("http://service-{e}:8080/")}))
            .collect();
        serde_json::json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("crowd-{i}"), "labels": {"app": "crowd"}},
            "spec": {"schedulerName": "nobody", "containers": [{"name": "c", "image": "localhost/none:lab", "env": env}]}})
    };
    let (each, pod) = (count / 4, &pod);
    std::thread::scope(|scope| {
        for part in 0..4 {
            let api = Api::connect(&connect).unwrap();
            scope.spawn(move || {
                for i in part * each..(part + 1) * each {
                    api.create(&Resource::pods(), &space.name, &pod(i), false)
                        .unwrap();
                }
            });
        }
    });
}

#[test]
fn five_thousand_pods_fit_into_128_mib() {
    let Some(cluster) = ready() else { return };
    let space = cluster.namespace("crowd");
    let pod = web(&space);
    crowd(&space, 5000);
    let mut c = diagnosis(&space, &pod, &["--access=objects"]);
    let began = Instant::now();
    let said = text(&c.env("NETSHOOT_STATS", "1").output().unwrap());
    let took = began.elapsed();
    assert_eq!(said.code, 2, "{}", said.all());
    let (_, peak) = said.err.split_once("peak_rss_kib=").unwrap();
    let peak: u64 = peak.lines().next().unwrap().parse().unwrap();
    println!("diagnose against 5,000 pods: {} MiB, {took:?}", peak >> 10);
    assert!(peak <= 128 << 10, "{} MiB", peak >> 10);
}
