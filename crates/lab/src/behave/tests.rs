//! Listeners and callers against each other, on `lo` of a namespace of the test's own.

use super::*;
use crate::certs::{Authority, issue};
use netshoot_host::netns::NetNs;
use std::io::Read;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Instant;

fn alone<T: Send>(test: impl FnOnce(&Arc<Shared>) -> T + Send) -> T {
    NetNs::new()
        .unwrap()
        .enter(|| {
            netshoot_host::link::set_up("lo").unwrap();
            let shared = Shared {
                name: "auth-1".into(),
                gate: Gate::default(),
                end: mpsc::channel().0,
            };
            test(&Arc::new(shared))
        })
        .unwrap()
}

fn listen(json: &str, shared: &Arc<Shared>) {
    listen::start(&serde_json::from_str(json).unwrap(), shared).unwrap();
}

/// Sends bytes and reads to the end of the connection, or until nothing comes for 300 ms.
fn talk(to: &str, sent: &[u8]) -> String {
    let mut stream = TcpStream::connect(to).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    stream.write_all(sent).unwrap();
    let mut got = Vec::new();
    drop(stream.read_to_end(&mut got));
    String::from_utf8_lossy(&got).into_owned()
}

#[test]
fn http_answers_as_told() {
    alone(|shared| {
        listen(
            r#"{"port":8080,"serve":"http","failing_path":"/health"}"#,
            shared,
        );
        listen(
            r#"{"port":8081,"serve":"http","status":418,"body_bytes":40000,"address":"127.0.0.1"}"#,
            shared,
        );
        // Two requests on one connection, over either family.
        for to in ["127.0.0.1:8080", "[::1]:8080"] {
            let both = talk(
                to,
                b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /health?x HTTP/1.1\r\nHost: a\r\n\r\n",
            );
            assert!(
                both.starts_with("HTTP/1.1 200 OK\r\n")
                    && both.contains("HTTP/1.1 503 Service Unavailable"),
                "{both}"
            );
        }
        let posted = talk(
            "[::1]:8080",
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        );
        assert!(
            posted.contains("200 OK") && posted.contains("Connection: close"),
            "{posted}"
        );
        let head = talk("[::1]:8080", b"HEAD / HTTP/1.0\r\n\r\n");
        assert!(
            head.contains("200 OK") && head.ends_with("\r\n\r\n"),
            "{head}"
        );
        assert!(talk("[::1]:8080", b"SSH-2.0-x\r\n\r\n").contains(" 400 "));
        let cookie = |n: usize| {
            format!(
                "GET / HTTP/1.1\r\nCookie: {}\r\nConnection: close\r\n\r\n",
                "c".repeat(n)
            )
            .into_bytes()
        };
        assert!(talk("[::1]:8080", &cookie(60_000)).contains(" 200 "));
        let refused = talk("[::1]:8080", &cookie(70_000));
        assert!(refused.is_empty() || refused.contains(" 431 "), "{refused}");
        let teapot = talk(
            "127.0.0.1:8081",
            b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
        );
        assert!(
            teapot.starts_with("HTTP/1.1 418 ") && teapot.ends_with(&"x".repeat(40_000)),
            "{} bytes",
            teapot.len()
        );
        assert!(TcpStream::connect("[::1]:8081").is_err(), "127.0.0.1 only");
    });
}

#[test]
fn a_start_that_fails_says_why() {
    alone(|shared| {
        listen(r#"{"port":8080,"serve":"tcp"}"#, shared);
        for (json, why) in [
            (
                r#"{"port":8080,"serve":"http"}"#,
                "listen [::]:8080: Address already in use",
            ),
            (
                r#"{"port":"env:NETSHOOT_NO_SUCH_PORT","serve":"http"}"#,
                "environment variable NETSHOOT_NO_SUCH_PORT is not set",
            ),
            (
                r#"{"port":"tcp://10.0.0.1:80","serve":"http"}"#,
                "invalid port",
            ),
            (
                r#"{"port":1,"serve":"http","address":"nowhere"}"#,
                "not an address",
            ),
            (
                r#"{"port":1,"serve":"http","address":"192.0.2.1"}"#,
                "listen 192.0.2.1:1: Cannot assign",
            ),
            (r#"{"port":1,"serve":"gopher"}"#, "not one of"),
            (r#"{"port":1,"serve":"https"}"#, "without a certificate"),
            (
                r#"{"port":1,"serve":"https","certificate":"/nonexistent"}"#,
                "/nonexistent/tls.crt",
            ),
        ] {
            let told = listen::start(&serde_json::from_str(json).unwrap(), shared).unwrap_err();
            assert!(told.contains(why), "{json}: {told}");
        }
    });
}

#[test]
fn echo_stall_reset_and_slow() {
    alone(|shared| {
        listen(r#"{"port":7,"serve":"tcp"}"#, shared);
        listen(r#"{"port":7,"serve":"udp"}"#, shared);
        listen(r#"{"port":8,"serve":"http","stall":true}"#, shared);
        listen(r#"{"port":9,"serve":"http","reset_percent":100}"#, shared);
        listen(r#"{"port":10,"serve":"http","slow_ms":120}"#, shared);
        let call = |url: &str, patience| call::once_for_test(url, patience, 0, "");
        assert_eq!(call("tcp://127.0.0.1:7", 1000), Ok("5 bytes".into()));
        for own in ["127.0.0.1:0", "[::1]:0"] {
            let socket = UdpSocket::bind(own).unwrap();
            socket
                .set_read_timeout(Some(Duration::from_secs(2)))
                .unwrap();
            socket
                .send_to(
                    b"hello",
                    SocketAddr::new(socket.local_addr().unwrap().ip(), 7),
                )
                .unwrap();
            let mut got = [0; 16];
            assert_eq!(socket.recv(&mut got).unwrap(), 5);
        }
        assert_eq!(call("udp://[::1]:7", 1000), Ok("5 bytes".into()));
        assert_eq!(
            call("http://[::1]:8/", 100),
            Err("timeout after 100 ms (read tcp [::1]:8)".into())
        );
        let reset = call("http://127.0.0.1:9/", 1000).unwrap_err();
        assert!(reset.contains("connection reset"), "{reset}");
        assert_eq!(call("http://127.0.0.1:10/", 2000), Ok("200 OK".into()));
        assert!(
            call("http://127.0.0.1:10/", 60)
                .unwrap_err()
                .starts_with("timeout after 60 ms")
        );
        assert!(
            call("http://127.0.0.1:11/", 1000)
                .unwrap_err()
                .contains("dial tcp 127.0.0.1:11: connection refused")
        );
        assert!(
            call("http://192.0.2.1:11/", 1000)
                .unwrap_err()
                .contains("network is unreachable")
        );
        assert!(
            call("udp://127.0.0.1:11", 1000)
                .unwrap_err()
                .contains("connection refused")
        );
    });
}

/// A counter of `/proc/net/netstat` in the namespace of the calling thread.
fn netstat(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/net/netstat").unwrap();
    let mut lines = text.lines().filter(|l| l.starts_with("TcpExt:"));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let at = names.split(' ').position(|n| n == name).unwrap();
    values.split(' ').nth(at).unwrap().parse().unwrap()
}

#[test]
fn a_process_that_stands_still_loses_syns() {
    alone(|shared| {
        listen(r#"{"port":8080,"serve":"http","backlog":2}"#, shared);
        let get = || call::once_for_test("http://127.0.0.1:8080/", 400, 0, "");
        assert_eq!(get(), Ok("200 OK".into()));
        let (overflows, drops) = (netstat("ListenOverflows"), netstat("ListenDrops"));
        shared.gate.set_closed(true);
        let to: SocketAddr = "127.0.0.1:8080".parse().unwrap();
        let patience = Duration::from_millis(150);
        let mut held: Vec<_> = (0..6)
            .map(|_| TcpStream::connect_timeout(&to, patience))
            .collect();
        let (connected, lost): (Vec<_>, Vec<_>) = held.drain(..).partition(Result::is_ok);
        assert_eq!(connected.len(), 3, "a backlog of 2 holds 3");
        assert!(
            lost.iter()
                .all(|r| r.as_ref().unwrap_err().kind() == std::io::ErrorKind::TimedOut),
            "{lost:?}"
        );
        assert!(netstat("ListenOverflows") >= overflows + 3 && netstat("ListenDrops") >= drops + 3);
        assert_eq!(
            get(),
            Err("timeout after 400 ms (dial tcp 127.0.0.1:8080)".into())
        );
        shared.gate.set_closed(false);
        drop(connected);
        let end = Instant::now() + Duration::from_secs(5);
        while get().is_err() {
            assert!(Instant::now() < end, "does not come back");
        }
    });
}

#[test]
fn https_reads_its_certificate_again() {
    alone(|shared| {
        let (day, now) = (86_400_000, netshoot_host::clock::now_ms() as i64);
        let authority = Authority::new("kubernetes", now - day, now + day).unwrap();
        let folder = std::env::temp_dir().join(format!("netshoot-behave-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let put = |names: &[&str], from: i64, to: i64| {
            let names: Vec<String> = names.iter().map(|n| n.to_string()).collect();
            let (certificate, key) = issue(&authority, &names, from, to).unwrap();
            std::fs::write(folder.join("tls.crt"), certificate).unwrap();
            std::fs::write(folder.join("tls.key"), key).unwrap();
        };
        put(&["localhost"], now - day, now + day);
        let ca = folder.join("ca.crt");
        std::fs::write(&ca, authority.pem()).unwrap();
        let ca = ca.to_str().unwrap();
        listen(
            &format!(
                r#"{{"port":8443,"serve":"https","certificate":"{}"}}"#,
                folder.display()
            ),
            shared,
        );
        let get = |authority| call::once_for_test("https://localhost:8443/", 3000, 3000, authority);
        assert_eq!(get(ca), Ok("200 OK".into()));
        let unknown = get("/nonexistent").unwrap_err();
        assert!(unknown.contains("UnknownIssuer"), "{unknown}");
        put(
            &["other.example.test", "and-a-longer-one.example.test"],
            now - day,
            now + day,
        );
        let misnamed = get(ca).unwrap_err();
        assert!(misnamed.contains("not valid for name"), "{misnamed}");
        put(&["localhost"], now - 2 * day, now - day);
        let expired = get(ca).unwrap_err();
        assert!(expired.contains("xpired"), "{expired}");
        std::fs::remove_dir_all(&folder).unwrap();
    });
}

#[test]
fn grpc_health_answers_the_kubelet() {
    alone(|shared| {
        listen(r#"{"port":50051,"serve":"grpc-health"}"#, shared);
        listen(
            r#"{"port":50052,"serve":"grpc-health","status":503}"#,
            shared,
        );
        let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        sent.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]); // SETTINGS
        let path = b"/grpc.health.v1.Health/Check";
        let head = [&[0x83, 0x86, 0x44, path.len() as u8], path.as_slice()].concat();
        sent.extend([0, 0, head.len() as u8, 1, 4, 0, 0, 0, 1]);
        sent.extend(&head);
        sent.extend([0, 0, 5, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0]); // DATA with an empty message
        for (to, serving) in [("[::1]:50051", 1), ("127.0.0.1:50052", 2)] {
            let mut stream = TcpStream::connect(to).unwrap();
            stream
                .set_read_timeout(Some(Duration::from_millis(300)))
                .unwrap();
            stream.write_all(&sent).unwrap();
            let mut got = Vec::new();
            drop(stream.read_to_end(&mut got));
            let message = [0, 0, 7, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 2, 8, serving];
            assert!(
                got.windows(message.len()).any(|w| w == message),
                "{to}: {got:?}"
            );
            assert!(got.ends_with(b"\x0bgrpc-status\x010"), "{to}: {got:?}");
        }
        curl_agrees();
    });
}

fn curl_agrees() {
    let ask = |path: &str| {
        let url = format!("http://127.0.0.1:50051{path}");
        let script = format!(
            r"printf '\000\000\000\000\000' | curl -sS -m 5 --http2-prior-knowledge --data-binary @- -H 'content-type: application/grpc' -D - -o - {url} | od -An -c | tr -d ' \n'"
        );
        let out = std::process::Command::new("sh")
            .args(["-c", &script])
            .output()
            .unwrap();
        String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr)
    };
    if std::process::Command::new("curl")
        .arg("--version")
        .output()
        .is_err()
    {
        return println!("SKIPPED: curl is not installed");
    }
    let check = ask("/grpc.health.v1.Health/Check");
    assert!(
        check.contains("HTTP/2200") && check.contains(r"\0\0\0\0002\b001"),
        "{check}"
    );
    let other = ask("/shop.Cart/Add");
    assert!(other.contains("grpc-status:12"), "{other}");
}

/// A container of its own process, as a node starts it.
fn container(
    behaviour: serde_json::Value,
    limit: Option<u64>,
    then: impl FnOnce(&crate::ground::Ground, i32),
) {
    let node = serde_json::json!({
        "kind": "Node", "metadata": {"name": "a"}, "spec": {"podCIDRs": ["10.244.1.0/24"]},
        "status": {"addresses": [{"type": "InternalIP", "address": "10.90.0.11"}]},
    });
    let ground = crate::ground::Ground::build(&crate::world::Wiring::default(), &[node]).unwrap();
    ground
        .add_pod("p", "a", &["10.244.1.2".parse().unwrap()], false)
        .unwrap();
    let launch = crate::ground::Launch {
        pod: "p".into(),
        container: "main".into(),
        behaviour,
        env: vec![("HOSTNAME".into(), "auth-1".into())],
        memory_limit: limit,
        ..crate::ground::Launch::default()
    };
    let pid = ground.spawn(&launch).unwrap();
    then(&ground, pid);
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < end, "{what}: not within 10 s");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn sigterm_ends_a_lean_process_at_once() {
    let listens = serde_json::json!({"listen": [{"port": 8080, "serve": "http"}, {"port": 8080, "serve": "udp"}]});
    container(listens, None, |ground, pid| {
        until("it listens", || {
            ground.log(pid).iter().any(|l| l.contains("(udp)"))
        });
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let own = status
            .lines()
            .find_map(|l| l.strip_prefix("RssAnon:"))
            .unwrap();
        let own_kib: u64 = own.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(own_kib < 6 * 1024, "{own_kib} KiB of its own");
        ground.stop(pid, false);
        let asked = Instant::now();
        until("it ends", || ground.ended(pid).is_some());
        let ended = ground.ended(pid).unwrap();
        assert!(asked.elapsed() < Duration::from_secs(2));
        assert_eq!(
            (ended.code, ended.out_of_memory),
            (0, false),
            "{:?}",
            ground.log(pid)
        );
    });
}

#[test]
fn a_cache_larger_than_its_limit_stalls_and_is_killed() {
    let grows = serde_json::json!({
        "listen": [{"port": 8080, "serve": "http"}],
        "memory": {"base_mib": 4, "items": 400, "item_kib": 128, "per_second": 400, "stall_percent": 80, "stall_ms": 100},
    });
    container(grows, Some(32 << 20), |ground, pid| {
        until("it is killed", || ground.ended(pid).is_some());
        let ended = ground.ended(pid).unwrap();
        let log = ground.log(pid);
        assert_eq!((ended.code, ended.out_of_memory), (137, true), "{log:?}");
        assert!(
            log.iter()
                .any(|l| l.starts_with("GC pause 100 ms, heap 2")
                    && l.ends_with("MiB of 32 MiB limit")),
            "{log:?}"
        );
    });
}
