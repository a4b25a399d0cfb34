//! The kubectl plugin against a real Kubernetes: what people type. Whatever a test did, nothing of ours runs in its
//! namespace afterwards. Its bad days are in `cluster_bad_days`.

#![allow(clippy::unwrap_used)]

mod ours;
mod ring5;

use ours::{nothing_is_left, plugin, ready, say, start, text, web};
use ring5::until;
use std::io::{Read, Write};
use std::process::Stdio;

#[test]
fn the_exit_code_and_each_stream_come_back() {
    let Some(cluster) = ready() else { return };
    let space = cluster.namespace("run");
    let said = say(
        &space,
        &[
            "run",
            "tmp-shell",
            "--",
            "bash",
            "-c",
            "echo out; echo err >&2; exit 7",
        ],
    );
    assert_eq!((said.code, said.out.as_str()), (7, "out\n"), "{}", said.err);
    assert!(
        said.err.ends_with("err\n") && said.err.contains("profile restricted"),
        "{}",
        said.err
    );
    // Again at once, under the same name.
    let said = say(&space, &["run", "tmp-shell", "-q", "--", "no-such-tool"]);
    assert_eq!(said.code, 127, "{}", said.err);
    nothing_is_left(&space);
}

#[test]
fn not_a_byte_of_a_short_command_is_lost() {
    let Some(cluster) = ready() else { return };
    let space = cluster.namespace("short");
    for i in 0..8 {
        let said = say(
            &space,
            &["run", &format!("t{i}"), "-q", "--", "echo", &i.to_string()],
        );
        assert_eq!((said.code, said.out), (0, format!("{i}\n")), "{}", said.err);
    }
    nothing_is_left(&space);
}

#[test]
fn bytes_go_in_and_out_unchanged() {
    let Some(cluster) = ready() else { return };
    let space = cluster.namespace("bytes");
    let pod = web(&space);
    let bytes: Vec<u8> = (0..3_000_000u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    for words in [
        vec!["run", "copy", "-q", "-i", "--", "cat"],
        vec!["debug", &pod, "-q", "-i", "--", "cat"],
    ] {
        let mut child = plugin(&space, &words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut to = child.stdin.take().unwrap();
        let sent = bytes.clone();
        let writer = std::thread::spawn(move || to.write_all(&sent).unwrap());
        let mut got = Vec::new();
        child.stdout.take().unwrap().read_to_end(&mut got).unwrap();
        writer.join().unwrap();
        assert!(child.wait().unwrap().success());
        assert!(
            got == bytes,
            "{words:?}: {} bytes of {}",
            got.len(),
            bytes.len()
        );
    }
    nothing_is_left(&space);
}

#[test]
fn a_container_of_ours_is_used_again_and_two_people_do_not_disturb_each_other() {
    let Some(cluster) = ready() else { return };
    let space = cluster.namespace("two");
    let pod = web(&space);
    let said = say(&space, &["debug", &pod, "--", "ip", "addr", "show"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains("eth0"), "{}", said.out);
    let first = start(plugin(
        &space,
        &[
            "debug",
            &pod,
            "-q",
            "--",
            "bash",
            "-c",
            "echo began; sleep 3; echo ended",
        ],
    ));
    let (mut first, mut out) = first;
    let mut began = [0; 6];
    out.read_exact(&mut began).unwrap();
    let other = say(&space, &["debug", "svc/web", "--", "bash", "-c", "exit 4"]);
    assert_eq!(other.code, 4, "{}", other.err);
    assert!(
        other.err.contains("using the running container"),
        "{}",
        other.err
    );
    let other = say(
        &space,
        &["debug", "deploy/web", "--", "bash", "-c", "exit 6"],
    );
    assert_eq!(other.code, 6, "{}", other.err);
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "ended\n");
    assert!(first.wait().unwrap().success());
    let names = space.field(&format!("pod/{pod}"), "{.spec.ephemeralContainers[*].name}");
    assert_eq!(names.split(' ').count(), 1, "{names}");
    let target = space.field(
        &format!("pod/{pod}"),
        "{.spec.ephemeralContainers[0].targetContainerName}",
    );
    assert_eq!(target, "web");
    // What runs is said, ended on demand, and its entry is said too.
    assert!(
        say(&space, &["clean"])
            .ok()
            .contains("runs until its deadline")
    );
    assert!(
        say(&space, &["clean", "--all"])
            .ok()
            .contains("its entry stays")
    );
    until("it has ended", 20, || {
        let state = space.field(
            &format!("pod/{pod}"),
            "{.status.ephemeralContainerStatuses[0].state}",
        );
        ring5::holds(state, "terminated")
    });
    assert!(
        say(&space, &["clean"])
            .ok()
            .contains("has ended; its entry stays")
    );
}

#[test]
fn nodes_and_the_network_of_any_pod_are_reached() {
    let Some(cluster) = ready() else { return };
    let space = cluster.namespace("node");
    let pod = web(&space);
    let on_node = ["debug", "node/node-a", "--"];
    for (run, shows) in [
        (["cat", "/proc/net/route"], "cni0"),
        (["ls", "/host/etc/cni"], "net.d"),
    ] {
        let said = say(&space, &[&on_node[..], &run].concat()).ok();
        assert!(said.contains(shows), "{said}");
    }
    let said = say(
        &space,
        &[
            "exec-in",
            &pod,
            "--",
            "cat",
            "/proc/net/fib_trie",
            "/etc/resolv.conf",
        ],
    )
    .ok();
    let address = space.field(&format!("pod/{pod}"), "{.status.podIP}");
    assert!(said.contains(&address), "{address}: {said}");
    assert!(
        said.contains(&format!("search {}.svc", space.name)),
        "{said}"
    );
    // One whose image holds one program and nothing else.
    space.apply(
        "{apiVersion: v1, kind: Pod, metadata: {name: bare}, spec: {nodeName: node-b, terminationGracePeriodSeconds: 0, containers: [{name: bare, image: 'localhost/pause:lab', imagePullPolicy: Never}]}}",
    );
    space.ready(&["pod/bare"]);
    let address = space.field("pod/bare", "{.status.podIP}");
    let said = say(&space, &["exec-in", "bare", "--", "ip", "addr", "show"]).ok();
    assert!(said.contains(&format!("inet {address}/")), "{said}");
    // On the host's network, and all the same with the cluster's names.
    let name = "kubernetes.default.svc.cluster.local";
    let words = ["run", "on-host", "--host-network", "--", "nslookup", name];
    let said = say(&space, &words).ok();
    assert!(said.contains("10.96.0.1"), "{said}");
    let said = say(&space, &["debug", "node/nowhere", "--", "true"]);
    assert_eq!(said.code, 1);
    assert!(
        said.err
            .contains("Error from server (NotFound): nodes \"nowhere\" not found"),
        "{}",
        said.err
    );
    nothing_is_left(&space);
}

#[test]
fn auto_takes_what_the_namespace_admits_and_a_refusal_says_what_would_pass() {
    let Some(cluster) = ready() else { return };
    let space = cluster.namespace("level");
    let label = |level: &str| {
        let pair = format!("pod-security.kubernetes.io/enforce={level}");
        cluster
            .kubectl(&["label", "--overwrite", "namespace", &space.name, &pair])
            .ok();
    };
    for (level, tool, user) in [
        ("restricted", "ping", "65532"),
        ("restricted", "true", "65532"),
        ("baseline", "ping", "0"),
        ("privileged", "nft", "0"),
    ] {
        label(level);
        let script = format!("id -u; false && {tool}");
        let said = say(&space, &["run", "who", "--", "bash", "-c", &script]);
        assert_eq!(said.out.trim(), user, "{level} {tool}: {}", said.err);
        if (level, tool) == ("restricted", "ping") {
            assert!(said.err.contains("ping wants baseline"), "{}", said.err);
        }
    }
    label("restricted");
    let said = say(&space, &["run", "who", "--profile=netadmin", "--", "true"]);
    assert_eq!(said.code, 1);
    assert!(
        said.err.contains("would pass: --profile=restricted"),
        "{}",
        said.err
    );
    let said = say(&space, &["debug", "node/node-a", "--", "true"]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("no profile would pass"), "{}", said.err);
    nothing_is_left(&space);
}

/// Pods and what each level thinks of them: our evaluator says it through --profile, the API server by admission.
#[test]
fn our_reading_of_the_levels_is_the_api_servers() {
    let Some(cluster) = ready() else { return };
    let space = cluster.namespace("pss");
    let overrides = [
        "{}",
        r#"{"spec":{"hostNetwork":true}}"#,
        r#"{"spec":{"hostPID":true}}"#,
        r#"{"spec":{"volumes":[{"name":"v","hostPath":{"path":"/"}}]}}"#,
        r#"{"spec":{"volumes":[{"name":"v","nfs":{"server":"a","path":"/"}}]}}"#,
        r#"{"spec":{"securityContext":{"sysctls":[{"name":"kernel.msgmax","value":"1"}]}}}"#,
        r#"{"spec":{"securityContext":{"sysctls":[{"name":"net.ipv4.tcp_rmem","value":"4096 1 1"}]}}}"#,
        r#"{"spec":{"securityContext":{"seccompProfile":{"type":"Unconfined"}}}}"#,
        r#"{"spec":{"securityContext":{"seLinuxOptions":{"type":"spc_t"}}}}"#,
        r#"{"spec":{"containers":[{"ports":[{"containerPort":80,"hostPort":80}]}]}}"#,
        r#"{"spec":{"containers":[{"livenessProbe":{"httpGet":{"port":80,"host":"10.0.0.1"}}}]}}"#,
        r#"{"spec":{"containers":[{"securityContext":{"capabilities":{"add":["CHOWN"]}}}]}}"#,
        r#"{"spec":{"containers":[{"securityContext":{"capabilities":{"add":["NET_BIND_SERVICE"]}}}]}}"#,
        r#"{"spec":{"containers":[{"securityContext":{"runAsUser":0}}]}}"#,
    ];
    for level in ["baseline", "restricted"] {
        let pair = format!("pod-security.kubernetes.io/enforce={level}");
        cluster
            .kubectl(&["label", "--overwrite", "namespace", &space.name, &pair])
            .ok();
        for over in overrides {
            for profile in ["restricted", "baseline", "general"] {
                let words = [
                    "run",
                    "x",
                    "--overrides",
                    over,
                    "--profile",
                    profile,
                    "--dry-run=client",
                    "-o",
                    "json",
                ];
                let pod = say(&space, &words).ok();
                let server = space.cluster.feed(
                    &["-n", &space.name, "create", "--dry-run=server", "-f", "-"],
                    &pod,
                );
                assert!(
                    server.code == 0 || server.err.contains("violates PodSecurity"),
                    "{}",
                    server.err
                );
                let said = say(
                    &space,
                    &[
                        "run",
                        "x",
                        "--overrides",
                        over,
                        "--profile",
                        profile,
                        "--dry-run=server",
                    ],
                );
                let we_refuse = said.err.contains("enforces PodSecurity level");
                assert_eq!(
                    we_refuse,
                    server.code != 0,
                    "{level} {profile} {over}:\n{}\n{}",
                    said.err,
                    server.err
                );
            }
        }
    }
}

#[test]
fn a_missing_right_comes_with_the_role_that_grants_it() {
    let Some(cluster) = ready() else { return };
    let space = cluster.namespace("rights");
    let words = ["run", "x", "--as=jo", "-q", "--", "echo", "allowed"];
    let said = say(&space, &words);
    assert_eq!(said.code, 1);
    assert!(
        said.err
            .starts_with("Error from server (Forbidden): pods is forbidden: User \"jo\""),
        "{}",
        said.err
    );
    let (_, yaml) = said.err.split_once("<<EOF\n").unwrap();
    space.apply(yaml.trim_end().trim_end_matches("EOF"));
    assert_eq!(say(&space, &words).ok(), "allowed\n");
    nothing_is_left(&space);
}

#[test]
fn the_resident_deployment_comes_and_goes() {
    let Some(cluster) = ready() else { return };
    let space = cluster.namespace("deploy");
    let said = say(&space, &["deploy", "--dry-run=client", "-o", "yaml"]).ok();
    assert!(
        said.contains("memory: 128Mi") && said.contains("kind: Deployment"),
        "{said}"
    );
    assert!(
        say(&space, &["deploy"])
            .ok()
            .contains("deployment.apps/netshoot created")
    );
    let said = space.kubectl(&["exec", "deploy/netshoot", "--", "bash", "-c", "echo here"]);
    assert_eq!(said.ok(), "here\n");
    assert!(say(&space, &["clean"]).ok().contains("Nothing to clean"));
    assert!(
        say(&space, &["undeploy"])
            .ok()
            .contains("deployment.apps/netshoot deleted")
    );
    nothing_is_left(&space);
}

#[test]
fn a_copy_leaves_the_original_alone() {
    let Some(cluster) = ready() else { return };
    let space = cluster.namespace("copy");
    let pod = web(&space);
    let said = say(
        &space,
        &[
            "debug",
            &pod,
            "--copy-to=web-copy",
            "--rm",
            "-q",
            "--",
            "bash",
            "-c",
            "exit 9",
        ],
    );
    assert_eq!(said.code, 9, "{}", said.err);
    nothing_is_left(&space);
    assert_eq!(
        space.field(&format!("pod/{pod}"), "{.spec.ephemeralContainers}"),
        ""
    );
}

#[test]
fn names_of_the_cluster_are_completed() {
    let Some(cluster) = ready() else { return };
    let space = cluster.namespace("complete");
    let pod = web(&space);
    let complete = |words: &[&str]| {
        let mut c = cluster.command("netshoot");
        c.arg("__complete").args(words);
        text(&c.output().unwrap()).out
    };
    assert_eq!(
        complete(&["debug", "-n", &space.name, "web"]),
        format!("{pod}\n:4\n")
    );
    assert_eq!(
        complete(&["debug", "-n", &space.name, "svc/"]),
        "svc/web\n:4\n"
    );
    assert_eq!(
        complete(&["debug", "node/node-"]),
        "node/node-a\nnode/node-b\n:4\n"
    );
    assert_eq!(complete(&["run", "x", "--node", "node-a"]), "node-a\n:4\n");
    assert_eq!(
        complete(&["debug", "-n", &space.name]),
        format!("{}\n:4\n", space.name)
    );
    assert!(
        !complete(&["run", "x", "--context", ""])
            .trim_end_matches(":4\n")
            .is_empty()
    );
}

/// What runs once, asks for a line and tells it.
/// Says that it is there until it is told something: what a container says before the runtime leads its output to whoever
/// attaches is lost.
const TALK: &str = "apiVersion: v1
kind: Pod
metadata: {name: talk, labels: {app: talk}}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  containers:
  - {name: c, image: 'localhost/busybox:lab', imagePullPolicy: Never, stdin: true, command: [sh, -c, 'while :; do echo here; sleep 0.2; done & read x; kill $!; wait; echo got=$x; exit 5']}
---
apiVersion: v1
kind: Service
metadata: {name: talk}
spec: {selector: {app: talk}, ports: [{port: 80}]}
";

#[test]
fn one_goes_back_to_what_runs_and_gets_its_exit_code() {
    let Some(cluster) = ready() else { return };
    let space = cluster.namespace("attach");
    space.apply(TALK);
    space.ready(&["pod/talk"]);
    let mut child = plugin(&space, &["attach", "svc/talk", "-i"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 5];
    let read = child.stdout.as_mut().unwrap().read_exact(&mut first);
    // Open until the end: where the input of whoever attached ends, containerd gives no more output either.
    let mut stdin = child.stdin.take().unwrap();
    if read.is_ok() {
        stdin.write_all(b"hello\n").unwrap();
    }
    let said = text(&child.wait_with_output().unwrap());
    drop(stdin);
    let said_last = said.out.trim_start_matches("here\n");
    assert_eq!((said.code, said_last), (5, "got=hello\n"), "{}", said.err);
    for (words, tells) in [
        (&["attach", "talk"][..], "c has ended with exit code 5"),
        (&["attach", "deploy/none"], "\"none\" not found"),
        (&["attach", "node/node-a"], "debug node/node-a"),
        (
            &["attach", "talk", "-c", "none"],
            "pod talk has no container none",
        ),
    ] {
        let said = say(&space, words);
        assert!(
            said.code == 1 && said.err.contains(tells),
            "{words:?}: {}",
            said.all()
        );
    }
}

#[test]
fn an_override_gets_the_rights_that_it_asks_for() {
    let Some(cluster) = ready() else { return };
    let space = cluster.namespace("over");
    for (context, effective) in [
        (r#"{"privileged":true}"#, "CapEff:\t000001ff"),
        (r#"{"capabilities":{"add":["NET_ADMIN"]}}"#, "Uid:\t0"),
    ] {
        let over = format!(
            r#"{{"spec":{{"hostNetwork":true,"containers":[{{"name":"x","securityContext":{context}}}]}}}}"#
        );
        let words = ["run", "over", "--overrides", &over, "--"];
        let command = ["grep", "-E", "^(Uid|CapEff)", "/proc/self/status"];
        let said = say(&space, &[&words[..], &command].concat());
        assert!(
            said.code == 0 && said.out.contains(effective),
            "{}",
            said.all()
        );
        assert!(said.err.contains("for --overrides"), "{}", said.err);
    }
    nothing_is_left(&space);
}

#[test]
fn flags_mean_what_they_mean_to_kubectl() {
    let Some(cluster) = ready() else { return };
    let space = cluster.namespace("flags");
    let pod = web(&space);
    for _ in 0..2 {
        let said = say(
            &space,
            &["debug", &pod, "-c", "tools", "-v", "6", "--", "echo", "in"],
        );
        assert_eq!(said.out, "in\n", "{}", said.err);
    }
    let names = space.field(&format!("pod/{pod}"), "{.spec.ephemeralContainers[*].name}");
    assert_eq!(names, "tools");
    let said = say(&space, &["debug", &pod, "-c", "web", "--", "true"]);
    assert!(
        said.code == 1 && said.err.contains("--target=web"),
        "{}",
        said.err
    );
    assert!(say(&space, &["clean", "--all"]).ok().contains("-c tools"));

    let show = "jsonpath={.spec.containers[*].name} {.spec.containers[0].image} {.spec.containers[0].command} {.spec.shareProcessNamespace}";
    let copy = |more: &[&str]| {
        let words = [
            "debug",
            &pod,
            "--copy-to=other",
            "--dry-run=server",
            "-o",
            show,
        ];
        say(&space, &[&words[..], more].concat())
    };
    assert_eq!(
        copy(&["--set-image=*=localhost/pause:lab"]).ok(),
        "web localhost/pause:lab  true"
    );
    assert_eq!(
        copy(&["-c", "web", "--share-processes=false", "--", "sleep", "9"]).ok(),
        r#"web localhost/agnhost:lab ["sleep","9"] false"#
    );
    assert!(copy(&["--set-image=none=x"]).err.contains("it has web"));
    assert!(
        copy(&["--", "true"])
            .ok()
            .starts_with("web netshoot localhost/agnhost:lab")
    );

    let port = "jsonpath={.spec.containers[0].ports[0].containerPort} {.spec.restartPolicy}";
    let words = [
        "run",
        "x",
        "--port=80",
        "--restart=OnFailure",
        "--attach=false",
    ];
    let dry = ["--dry-run=server", "-o", port];
    assert_eq!(
        say(&space, &[&words[..], &dry].concat()).ok(),
        "80 OnFailure"
    );

    // The original goes when its copy is there to come.
    space.apply(TALK);
    space.ready(&["pod/talk"]);
    let said = say(
        &space,
        &[
            "debug",
            "talk",
            "--copy-to=after",
            "--replace",
            "--rm",
            "-q",
            "--",
            "true",
        ],
    );
    assert_eq!(said.code, 0, "{}", said.err);
    space
        .kubectl(&["wait", "--for=delete", "pod/talk", "--timeout=30s"])
        .ok();
    nothing_is_left(&space);
}
