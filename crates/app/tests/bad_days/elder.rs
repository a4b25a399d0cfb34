//! The real API server without one of its API groups: what a cluster of another time would answer.

use super::diagnose;
use super::ours::{ready, web};
use super::ring5::Space;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;

/// The real API server without an API group, as one of another time would answer: plain HTTP by kubectl's proxy, with "not
/// found" for the group's paths.
fn without(space: &Space<'_>, group: &'static str) -> (Killed, String) {
    let mut proxy = space
        .cluster
        .command("kubectl")
        .args(["proxy", "--port=0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(proxy.stdout.take().unwrap())
        .read_line(&mut said)
        .unwrap();
    let to = said.trim().rsplit(' ').next().unwrap().to_string();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let to = to.clone();
            std::thread::spawn(move || one_request(stream, &to, group));
        }
    });
    (Killed(proxy), format!("--server=http://{address}"))
}

/// One request of a connection, which is closed after it.
fn one_request(stream: TcpStream, to: &str, without: &str) {
    let mut from = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if from.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
    }
    let path = head.split(' ').nth(1).unwrap_or_default();
    let mut out = stream;
    if path.starts_with(&format!("/apis/{without}")) {
        let answer = "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: 19\r\n\r\n404 page not found\n";
        let _ = out.write_all(answer.as_bytes());
        return;
    }
    let mut server = TcpStream::connect(to).unwrap();
    let head = head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    server.write_all(head.as_bytes()).unwrap();
    let mut up = server.try_clone().unwrap();
    std::thread::spawn(move || std::io::copy(&mut from, &mut up));
    let _ = std::io::copy(&mut server, &mut out);
    let _ = out.shutdown(std::net::Shutdown::Both);
}

/// A process that ends with the value.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_api_that_is_not_served_is_a_gap_and_no_lack_of_objects() {
    let Some(cluster) = ready() else { return };
    let space = cluster.namespace("elder");
    let pod = web(&space);
    let unserved = "the API server does not serve";
    for (group, missing) in [("none.example.test", false), ("discovery.k8s.io", true)] {
        let (_proxy, server) = without(&space, group);
        let words = ["--access=objects", "-o", "json", &server];
        let said = diagnose(&space, &pod, &words);
        assert_eq!(said.code, 2, "{}", said.all());
        let report: Value = serde_json::from_str(&said.out).unwrap();
        assert!(report["cause"].is_null(), "{report:#}");
        let unknown = report["unknown"].to_string();
        assert_eq!(unknown.contains(unserved), missing, "{report:#}");
        assert_eq!(unknown.contains("EndpointSlice"), missing, "{report:#}");
    }
}
