//! A live cluster as `diagnose` uses it: the levels of access, what each may do, and that nothing of ours still runs when it
//! has ended, however it ended.

#![allow(clippy::unwrap_used)]

mod ours;
mod ring5;

use netshoot_api::live::{Connect, Error, Exit, Program, Resource, Selection};
use ours::{IMAGE, PROGRAM, agents, nothing_of_ours_runs, ready, say, signal, text};
use ring5::{Cluster, Said, Space, holds, shared, until};
use std::process::Stdio;
use std::time::Duration;

const SHOP: &str = include_str!("ring5/shop.yaml");
/// Denies everything to the web pods.
const DENY: &str = "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: deny}, spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress]}}";

fn diagnose(space: &Space<'_>, words: &[&str]) -> Said {
    let all = [
        &[
            "diagnose",
            "-n",
            &space.name,
            "--from",
            "pod/client-a",
            "--to",
            "svc/web:80",
        ],
        words,
    ]
    .concat();
    let mut c = space.cluster.command(PROGRAM);
    text(&c.args(all).env("NETSHOOT_IMAGE", IMAGE).output().unwrap())
}

fn shop(cluster: &Cluster) -> Space<'_> {
    let space = cluster.namespace("access");
    space.apply(SHOP);
    space
        .kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"])
        .ok();
    space.ready(&["pod/client-a", "pod/client-b"]);
    space
}

#[test]
fn each_level_uses_no_more_than_it_may() {
    let Some(cluster) = ready() else { return };
    let space = shop(&cluster);
    let said = diagnose(&space, &["--access", "ephemeral"]);
    assert_eq!(said.code, 0, "{}", said.all());
    assert!(
        said.err
            .contains("access ephemeral: adding a container to pod"),
        "{}",
        said.err
    );
    nothing_of_ours_runs(&space);

    space.apply(DENY);
    let entries =
        |pod: &str| space.field(&format!("pod/{pod}"), "{.spec.ephemeralContainers[*].name}");
    let before = entries("client-a");
    for level in ["objects", "exec"] {
        let said = diagnose(&space, &["--access", level]);
        assert_eq!(said.code, 2, "{}", said.all());
        assert!(said.out.contains("--access ephemeral"), "{}", said.out);
    }
    assert_eq!(entries("client-a"), before, "made unasked");

    let said = until("the policy is in force", 20, || {
        let said = diagnose(&space, &["--access", "node", "-o", "json"]);
        if said.code == 1 {
            Ok(said)
        } else {
            Err(said.all())
        }
    });
    let report: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(
        report["cause"]["id"], "policy-denies-by-default",
        "{}",
        said.out
    );
    assert_eq!(report["cause"]["subject"]["name"], "deny");
    nothing_of_ours_runs(&space);
    let left = agents(&space, &[]);
    assert_eq!(left, "", "pods that were made are deleted");
}

#[test]
fn whoever_may_not_look_is_told_the_right_and_how_to_get_it() {
    let Some(cluster) = ready() else { return };
    let space = shop(&cluster);
    let said = diagnose(&space, &["--as", "jane"]);
    assert_eq!(said.code, 2, "{}", said.all());
    let role = format!(
        "kubectl -n {} create role netshoot-read --verb=get,list --resource=",
        space.name
    );
    assert!(said.out.contains(&role), "{}", said.out);
    // View in the namespace: objects are read, an ephemeral container is refused, nothing is claimed.
    space
        .kubectl(&[
            "create",
            "rolebinding",
            "jane",
            "--clusterrole=view",
            "--user=jane",
        ])
        .ok();
    let said = diagnose(&space, &["--as", "jane", "--access", "node"]);
    assert_eq!(said.code, 2, "{}", said.all());
    assert!(
        said.out.contains("pods/ephemeralcontainers"),
        "{}",
        said.out
    );
    let left = agents(&space, &[]);
    assert_eq!(left, "");
}

#[test]
fn a_killed_client_leaves_nothing_that_runs() {
    let Some(cluster) = ready() else { return };
    let space = shop(&cluster);
    space.apply(DENY);
    for name in ["INT", "KILL"] {
        let mut child = cluster
            .command(PROGRAM)
            .env("NETSHOOT_IMAGE", IMAGE)
            .args([
                "diagnose",
                "-n",
                &space.name,
                "--from",
                "pod/client-a",
                "--to",
                "svc/web:80",
                "--access",
                "node",
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Another `clean` than one's own leaves it alone.
        let owned = "{range .items[*]}{.metadata.annotations.netshoot/client} {.metadata.annotations.netshoot/deadline}\n{end}";
        let owned = format!("jsonpath={owned}");
        let client = format!("/{} 20", child.id());
        until("something of ours is there", 30, || {
            let words = ["get", "pods", "-l", "netshoot/role=agent", "-o", &owned];
            holds(space.kubectl(&words).out, &client)
        });
        signal(&child, name);
        child.wait().unwrap();
        nothing_of_ours_runs(&space);
        let left = || agents(&space, &[]);
        // After a KILL it is found by whose it was.
        if name == "KILL" {
            say(&space, &["clean"]).ok();
            assert_eq!(left(), "", "clean");
        } else {
            until("pods are deleted on Ctrl-C", 10, || {
                if left().is_empty() {
                    Ok(())
                } else {
                    Err(left())
                }
            });
        }
    }
}

#[test]
fn programs_run_in_containers_with_their_streams() {
    let Some(ring) = shared() else { return };
    let space = shop(&ring);
    let connect = Connect {
        kubeconfig: Some(ring.state().join("kubeconfig")),
        ..Connect::default()
    };
    let api = netshoot_api::live::Cluster::connect(&connect).unwrap();
    let sh = |script: &str, stdin: bool| Program {
        command: ["sh", "-c", script].map(String::from).to_vec(),
        stdin,
        ..Program::default()
    };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = api
        .start(
            &space.name,
            "client-a",
            &sh("cat; echo oops >&2; exit 7", true),
        )
        .unwrap()
        .run(Some(Box::new(&b"a\0b\n"[..])), &mut out, &mut err)
        .unwrap();
    assert_eq!(
        (exit, out.as_slice(), err.as_slice()),
        (Exit::Code(7), &b"a\0b\n"[..], &b"oops\n"[..])
    );
    // Much, byte for byte.
    let mut out = Vec::new();
    let much = sh("head -c 3000000 /dev/zero", false);
    api.start(&space.name, "client-a", &much)
        .unwrap()
        .run(None, &mut out, &mut Vec::new())
        .unwrap();
    assert_eq!(out.len(), 3_000_000);
    // A terminal has a size.
    let tty = Program {
        tty: true,
        ..sh("stty size; read x; stty size", true)
    };
    let mut session = api.start(&space.name, "client-a", &tty).unwrap();
    let (mut sizes, mut input) = (session.resizer().unwrap(), session.stdin().unwrap());
    assert!(sizes.resize(101, 33));
    let mut output = std::io::BufReader::new(session.stdout().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut output, &mut line).unwrap();
    std::io::Write::write_all(&mut input, b"\n").unwrap();
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut output, &mut rest).unwrap();
    assert!(rest.contains("33 101"), "{line}{rest}");
    assert_eq!(session.wait().unwrap(), Exit::Code(0));

    let start = |pod: &str, command: &str| {
        let program = Program {
            command: vec![command.into()],
            ..Program::default()
        };
        api.start(&space.name, pod, &program)
            .and_then(|s| s.run(None, &mut Vec::new(), &mut Vec::new()))
    };
    assert!(
        matches!(
            start("client-a", "no-such-program"),
            Err(Error::NotStarted { .. })
        ),
        "{:?}",
        start("client-a", "no-such-program")
    );
    assert!(
        matches!(start("nobody", "true"), Err(Error::NotFound { .. })),
        "{:?}",
        start("nobody", "true")
    );
    // The pod is killed under the program: that is no end of the program.
    let session = api
        .start(&space.name, "client-b", &sh("echo here; sleep 600", false))
        .unwrap();
    space.kubectl(&["delete", "pod", "client-b", "--grace-period=0", "--force"]);
    match session.run(None, &mut Vec::new(), &mut Vec::new()) {
        Err(Error::Dropped { .. }) | Ok(Exit::Code(137)) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_the_api_server_refuses_is_one_sentence() {
    let Some(ring) = shared() else { return };
    let space = ring.namespace("refuse");
    let base = Connect {
        kubeconfig: Some(ring.state().join("kubeconfig")),
        ..Connect::default()
    };
    let api = netshoot_api::live::Cluster::connect(&base).unwrap();
    let pod = serde_json::json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"hostNetwork": true, "containers": [{"name": "c", "image": "localhost/busybox:lab", "securityContext": {"privileged": true}}]}});
    let pods = Resource::pods();
    space
        .kubectl(&[
            "label",
            "namespace",
            &space.name,
            "pod-security.kubernetes.io/enforce=baseline",
        ])
        .ok();
    match api.create(&pods, &space.name, &pod, true) {
        Err(Error::PodSecurity {
            level, violations, ..
        }) => {
            assert_eq!(level, "baseline");
            assert!(
                violations.iter().any(|v| v.starts_with("privileged")),
                "{violations:?}"
            );
        }
        other => panic!("{other:?}"),
    }
    let wrong = Connect {
        token: Some("nonsense".into()),
        ..base.clone()
    };
    let e = netshoot_api::live::Cluster::connect(&wrong).unwrap().list(
        &pods,
        &space.name,
        &Selection::default(),
    );
    assert!(matches!(e, Err(Error::Unauthorized { .. })), "{e:?}");
    let e = api.get(&pods, &space.name, "none");
    assert!(matches!(e, Err(Error::NotFound { .. })), "{e:?}");
    let unknown = Resource {
        version: "v9".into(),
        ..pods.clone()
    };
    let e = api.list(&unknown, &space.name, &Selection::default());
    assert!(matches!(e, Err(Error::UnknownKind { .. })), "{e:?}");
    let routes = Resource::known("httproutes").unwrap();
    let e = api.list(&routes, &space.name, &Selection::default());
    assert!(matches!(e, Err(Error::UnknownKind { .. })), "{e:?}");
    assert!(api.version().unwrap().minor().is_some_and(|m| m >= 30));
    assert!(
        api.served()
            .unwrap()
            .iter()
            .any(|s| s.resource.kind == "Pod"
                && s.subresources.iter().any(|x| x == "ephemeralcontainers"))
    );
    let quick = Connect {
        request_timeout: Some(Duration::from_millis(1)),
        ..base
    };
    let e = netshoot_api::live::Cluster::connect(&quick).unwrap().list(
        &pods,
        "",
        &Selection::default(),
    );
    assert!(matches!(e, Err(Error::Timeout { .. })), "{e:?}");
}
