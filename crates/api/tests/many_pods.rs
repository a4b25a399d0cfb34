//! Five thousand pods in one namespace are read within the memory that a diagnosis may take.

#![allow(clippy::unwrap_used)]

use netshoot_api::facts::{Wanted, facts};
use netshoot_api::live::{Cluster, Connect};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

/// A pod as an API server of 1.37 gives it, managed fields and all.
const POD: &str = include_str!("pod.json");
const PODS: usize = 5000;
const MOST_KIB: u64 = 128 * 1024;

fn page(from: usize) -> String {
    let to = (from + 500).min(PODS);
    let items: Vec<String> = (from..to)
        .map(|i| {
            POD.trim()
                .replace("cart-9f5b49f5b-62n95", &format!("cart-9f5b49f5b-{i:05}"))
                .replace("8c22b4baf4bf", &format!("{i:012x}"))
        })
        .collect();
    let more = if to < PODS {
        to.to_string()
    } else {
        String::new()
    };
    format!(
        r#"{{"kind":"PodList","apiVersion":"v1","metadata":{{"resourceVersion":"9","continue":"{more}"}},"items":[{}]}}"#,
        items.join(",")
    )
}

fn serve(stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut out = stream;
    loop {
        let (mut first, mut line, mut length) = (String::new(), String::new(), 0u64);
        while reader.read_line(&mut line).is_ok_and(|n| n > 2) {
            if first.is_empty() {
                first = line.clone();
            }
            if let Some(n) = line.to_lowercase().strip_prefix("content-length:") {
                length = n.trim().parse().unwrap();
            }
            line.clear();
        }
        if first.is_empty() {
            return;
        }
        std::io::copy(
            &mut std::io::Read::take(&mut reader, length),
            &mut std::io::sink(),
        )
        .unwrap();
        let body = if first.contains("/namespaces/shop/pods") {
            let from = first.split_once("continue=").map_or(0, |(_, n)| {
                n.split(['&', ' ']).next().unwrap().parse().unwrap()
            });
            page(from)
        } else {
            r#"{"metadata":{},"items":[]}"#.to_string()
        };
        let code = if first.contains("/configmaps/") {
            "404 Not Found"
        } else {
            "200 OK"
        };
        let head = format!("HTTP/1.1 {code}\r\nContent-Length: {}\r\n\r\n", body.len());
        if out
            .write_all(head.as_bytes())
            .and_then(|()| out.write_all(body.as_bytes()))
            .is_err()
        {
            return;
        }
    }
}

#[test]
fn five_thousand_pods_fit() {
    // The server is a process of its own: its memory is not ours.
    if std::env::var_os("MANY_PODS_SERVER").is_some() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::io::stderr()
            .write_all(format!("port {port}\n").as_bytes())
            .unwrap();
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            std::thread::spawn(move || serve(stream));
        }
    }
    let mut server = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["five_thousand_pods_fit", "--exact", "--nocapture"])
        .env("MANY_PODS_SERVER", "1")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stderr.take().unwrap()).lines();
    let port = lines
        .find_map(|l| l.unwrap().strip_prefix("port ").map(String::from))
        .unwrap();
    let how = Connect {
        kubeconfig: Some("/dev/null".into()),
        server: Some(format!("http://127.0.0.1:{port}")),
        ..Connect::default()
    };
    let wanted = Wanted {
        kinds: [
            "Pod",
            "Service",
            "EndpointSlice",
            "NetworkPolicy",
            "Namespace",
            "Node",
        ]
        .map(String::from)
        .into(),
        namespaces: BTreeSet::from(["shop".to_string()]),
        ..Wanted::default()
    };
    let snapshot = facts(&Cluster::connect(&how).unwrap(), &wanted);
    server.kill().unwrap();
    server.wait().unwrap();
    let snapshot = snapshot.unwrap();
    assert_eq!(snapshot.objects.len(), PODS);
    assert!(snapshot.gaps.is_empty(), "{:?}", snapshot.gaps);
    let pod = &snapshot.objects[4321];
    assert_eq!(pod.str("status.podIPs.0.ip"), "10.244.1.5");
    assert_eq!(pod.str("spec.containers.0.ports.0.containerPort"), "");
    assert_eq!(
        pod.int("spec.containers.0.ports.0.containerPort"),
        Some(8080)
    );
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak: u64 = status
        .lines()
        .find_map(|l| l.strip_prefix("VmHWM:"))
        .and_then(|l| l.split_ascii_whitespace().next()?.parse().ok())
        .unwrap();
    assert!(
        peak <= MOST_KIB,
        "{peak} KiB for {PODS} pods, more than {MOST_KIB}"
    );
}
