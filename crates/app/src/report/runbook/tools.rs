//! The ordinary tool for each question.

use super::words::{host_of, line, seconds, shell, times, word};
use netshoot_model::probe::{Question, Transport};
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

/// Packets that must not be fragmented, from large to small; sizes are of the whole IP packet.
fn ladder(to: IpAddr, largest: u32) -> String {
    let headers = if to.is_ipv4() { 28 } else { 48 };
    let sizes: Vec<String> = [largest, 1500, 1450, 1400, 1280, 576]
        .iter()
        .filter(|s| **s <= largest && **s > headers)
        .map(|s| (s - headers).to_string())
        .collect();
    shell(&format!(
        "for size in {}; do ping -M do -c 1 -W 1 -s \"$size\" {to}; done",
        sizes.join(" ")
    ))
}

/// The ordinary tool's command for a question, to be run at its vantage point.
pub fn tool(q: &Question) -> Vec<String> {
    let one = |words: &[&str]| vec![line(words)];
    match q {
        Question::Links => one(&["ip", "-d", "-s", "address", "show"]),
        Question::Neighbours => {
            vec![
                line(&["ip", "neighbour", "show"]),
                line(&["bridge", "fdb", "show"]),
            ]
        }
        Question::Routes => vec![
            line(&["ip", "-4", "route", "show", "table", "all"]),
            line(&["ip", "-6", "route", "show", "table", "all"]),
        ],
        Question::RouteTo { to } => one(&["ip", "route", "get", &to.to_string()]),
        Question::ResolvConf => one(&["cat", "/etc/resolv.conf"]),
        Question::Sockets => one(&["ss", "-tuanp"]),
        Question::Counters => one(&["nstat", "-asz"]),
        Question::Conntrack { to } => {
            let list = match to {
                Some(to) => line(&["conntrack", "-L", "-d", &to.to_string()]),
                None => line(&["conntrack", "-L"]),
            };
            vec![list, line(&["conntrack", "-S"])]
        }
        Question::Rules => {
            vec![line(&["nft", "list", "ruleset"]), line(&["iptables-save"])]
        }
        Question::Sysctls { names } => {
            let mut words = vec!["sysctl"];
            words.extend(names.iter().map(String::as_str));
            one(&words)
        }
        // Asked of the API server, not at the vantage point: see `asked_of_the_api`.
        Question::Memory { .. } | Question::Log { .. } => Vec::new(),
        Question::Capture {
            interface,
            host,
            port,
            millis,
        } => {
            let name = if interface.is_empty() {
                "any"
            } else {
                interface
            };
            let filter: Vec<String> = host
                .map(|h| format!("host {h}"))
                .into_iter()
                .chain(port.map(|p| format!("port {p}")))
                .collect();
            let patience = seconds(*millis);
            let joined = filter.join(" and ");
            let mut words = vec!["timeout", &patience, "tcpdump", "-ni", name];
            if !joined.is_empty() {
                words.push(&joined);
            }
            one(&words)
        }
        _ => sends(q),
    }
}

/// The same for questions that send packets.
fn sends(q: &Question) -> Vec<String> {
    match q {
        Question::Resolve {
            name,
            record,
            server,
            over,
            timeout_ms,
        } => {
            let (ip, port) = host_of(*server);
            let (at, patience) = (format!("@{ip}"), format!("+time={}", seconds(*timeout_ms)));
            let mut words = vec!["dig", &at, "-p", &port, &patience, "+tries=1"];
            if *over == Transport::Tcp {
                words.push("+tcp");
            }
            words.extend([name.as_str(), record.as_str()]);
            vec![line(&words)]
        }
        Question::Lookup { name, .. } => vec![line(&["nslookup", name])],
        Question::TcpConnect {
            to,
            tries,
            timeout_ms,
        } => {
            let (ip, port) = host_of(*to);
            let once = line(&["nc", "-zv", "-w", &seconds(*timeout_ms), &ip, &port]);
            vec![times(*tries, &once)]
        }
        Question::UdpExchange {
            to,
            payload,
            timeout_ms,
        } => {
            let (ip, port) = host_of(*to);
            vec![shell(&format!(
                "printf %s {} | {}",
                word(payload),
                line(&["nc", "-u", "-w", &seconds(*timeout_ms), &ip, &port])
            ))]
        }
        Question::Echo {
            to,
            count,
            timeout_ms,
        } => vec![line(&[
            "ping",
            "-c",
            &count.to_string(),
            "-i",
            "0.2",
            "-W",
            &seconds(*timeout_ms),
            &to.to_string(),
        ])],
        Question::PathMtu { to, largest, .. } => vec![
            line(&["tracepath", "-n", "-m", "15", &to.to_string()]),
            ladder(*to, *largest),
        ],
        Question::TlsHandshake {
            to, server_name, ..
        } => {
            let mut connect = line(&["openssl", "s_client", "-connect", &to.to_string()]);
            if !server_name.is_empty() {
                let _ = write!(connect, " -servername {}", word(server_name));
            }
            vec![shell(&format!(
                "{connect} -showcerts </dev/null | openssl x509 -noout -subject -issuer -serial -dates -ext subjectAltName"
            ))]
        }
        Question::Http {
            to,
            host,
            path,
            tls,
            padding,
            tries,
            timeout_ms,
        } => vec![request(
            *to,
            host,
            path,
            *tls,
            *padding,
            *tries,
            *timeout_ms,
        )],
        _ => Vec::new(),
    }
}

fn request(
    to: SocketAddr,
    host: &str,
    path: &str,
    tls: bool,
    padding: u32,
    tries: u32,
    timeout_ms: u32,
) -> String {
    let (ip, port) = host_of(to);
    let ip = if to.is_ipv6() { format!("[{ip}]") } else { ip };
    let host = if host.is_empty() { ip.as_str() } else { host };
    // A host with a port in it, or none: the name alone goes into --resolve.
    let name = match host.rsplit_once(':') {
        Some((name, p)) if p.chars().all(|c| c.is_ascii_digit()) && !host.ends_with(']') => name,
        _ => host,
    };
    let url = format!(
        "{}://{name}:{port}{path}",
        if tls { "https" } else { "http" }
    );
    let resolve = format!("{name}:{port}:{ip}");
    let shown = "%{http_code} connect %{time_connect}s first byte %{time_starttransfer}s total %{time_total}s\\n";
    let patience = seconds(timeout_ms);
    let mut words = vec!["curl", "-v", "-o", "/dev/null", "--max-time", &patience];
    if tls {
        words.push("-k");
    }
    words.extend(["--resolve", &resolve, "-w", shown]);
    let mut command = line(&words);
    if padding > 0 {
        // A request of whole segments: small ones pass where large ones vanish.
        let filled = format!(
            "{command} -H \"X-Padding: $(head -c {padding} /dev/zero | tr '\\0' x)\" {}",
            word(&url)
        );
        return if tries > 1 {
            times(tries, &filled)
        } else {
            shell(&filled)
        };
    }
    let _ = write!(command, " {}", word(&url));
    times(tries, &command)
}

/// Questions that kubectl answers by itself.
pub fn asked_of_the_api(q: &Question) -> Vec<String> {
    match q {
        Question::Memory { namespace, pod, .. } => vec![
            line(&[
                "kubectl",
                "top",
                "pod",
                pod,
                "-n",
                namespace,
                "--containers",
            ]),
            line(&["kubectl", "describe", "pod", pod, "-n", namespace]),
        ],
        Question::Log {
            namespace,
            pod,
            container,
            previous,
        } => {
            let mut words = vec!["kubectl", "logs", "--tail=50", "-n", namespace, pod];
            if !container.is_empty() {
                words.extend(["-c", container]);
            }
            if *previous {
                words.push("--previous");
            }
            vec![line(&words)]
        }
        _ => Vec::new(),
    }
}
