//! Which way to a host: none but the straight one, a SOCKS proxy, an HTTP proxy, or one through the other.

use super::dial::{self, Under};
use super::exchange;
use super::failure::{Failure, code};
use super::order::Order;
use super::pipe::Pipe;
use super::session::Session;
use netshoot_wire::web::unpercent;
use netshoot_wire::web::url::{self, Manner, Url};
use std::net::IpAddr;

/// One proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxy {
    /// `http`, `https`, `socks4`, `socks4a`, `socks5`, `socks5h`.
    pub scheme: String,
    /// Where.
    pub host: String,
    /// Where.
    pub port: u16,
    /// A UNIX socket instead.
    pub path: Option<String>,
    /// Who logs in.
    pub user: Option<(String, String)>,
}

/// The way to a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// First.
    pub socks: Option<Proxy>,
    /// Then.
    pub http: Option<Proxy>,
    /// By CONNECT.
    pub tunnel: bool,
}

impl Way {
    /// Whom to connect to.
    pub fn first(&self) -> Option<&Proxy> {
        self.socks.as_ref().or(self.http.as_ref())
    }

    /// The request names the whole URL.
    pub fn forwards(&self) -> bool {
        self.http.is_some() && !self.tunnel
    }
}

/// Reads a proxy as people write one.
pub fn parse(text: &str, default: &str) -> Result<Proxy, Failure> {
    let bad = || {
        Failure::new(
            code::PROXY_NAME,
            format!("Unsupported proxy syntax in '{text}'"),
        )
    };
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
        None => (default.to_string(), text),
    };
    let scheme = if scheme == "socks" {
        "socks4".to_string()
    } else {
        scheme
    };
    if !["http", "https", "socks4", "socks4a", "socks5", "socks5h"].contains(&scheme.as_str()) {
        let said = format!("Unsupported proxy scheme for '{text}'");
        return Err(Failure::new(7, said));
    }
    let mut proxy = Proxy::default();
    if let Some(path) = rest
        .strip_prefix("localhost/")
        .filter(|_| scheme.starts_with("socks"))
    {
        proxy.path = Some(format!("/{path}"));
    }
    let manner = Manner::default();
    let url = url::parse(&format!("http://{rest}"), manner).map_err(|_| bad())?;
    let plain = |t: &str| String::from_utf8_lossy(&unpercent(t)).into_owned();
    let standard = match scheme.as_str() {
        "https" => 443,
        _ => 1080,
    };
    Ok(Proxy {
        host: url.host.clone(),
        port: url.port.unwrap_or(standard),
        user: url
            .user
            .as_deref()
            .map(|u| (plain(u), plain(url.password.as_deref().unwrap_or_default()))),
        scheme,
        ..proxy
    })
}

/// The host is among those that no proxy is used for.
pub fn excepted(host: &str, list: &str) -> bool {
    if list.trim() == "*" {
        return true;
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    let address: Option<IpAddr> = host.parse().ok();
    list.split([',', ' '])
        .filter(|w| !w.is_empty())
        .any(|word| {
            let bare = word.trim_start_matches('[').trim_end_matches(']');
            if let Some(address) = address {
                return match bare.split_once('/') {
                    Some((net, bits)) => within(address, net, bits),
                    None => bare.parse() == Ok(address),
                };
            }
            let word = word.strip_prefix('.').unwrap_or(word);
            let word = word.strip_suffix('.').unwrap_or(word).to_ascii_lowercase();
            let host = host.to_ascii_lowercase();
            host == word || host.strip_suffix(&word).is_some_and(|h| h.ends_with('.'))
        })
}

fn within(address: IpAddr, net: &str, bits: &str) -> bool {
    let (Ok(net), Ok(bits)) = (net.parse::<IpAddr>(), bits.parse::<u32>()) else {
        return false;
    };
    match (address, net) {
        (IpAddr::V4(a), IpAddr::V4(n)) if bits <= 32 => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            u32::from(a) & mask == u32::from(n) & mask
        }
        (IpAddr::V6(a), IpAddr::V6(n)) if bits <= 128 => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            u128::from(a) & mask == u128::from(n) & mask
        }
        _ => false,
    }
}

fn of_environment(url: &Url) -> (Option<String>, Option<String>) {
    let get = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
    let scheme = url.scheme.replace("wss", "https").replace("ws", "http");
    let lower = format!("{scheme}_proxy");
    // HTTP_PROXY in capitals may come from a header, where a web server starts us.
    let own = get(&lower).or_else(|| get(&lower.to_ascii_uppercase()).filter(|_| scheme != "http"));
    let proxy = own
        .or_else(|| get("all_proxy"))
        .or_else(|| get("ALL_PROXY"));
    (proxy, get("no_proxy").or_else(|| get("NO_PROXY")))
}

/// The way to a URL.
pub fn way(order: &Order, url: &Url, under: &mut Under<'_>) -> Result<Way, Failure> {
    if order.unix.is_some() {
        return Ok(Way::default());
    }
    let (from_environment, none_for) = of_environment(url);
    let none_for = order.no_proxy.clone().or(none_for).unwrap_or_default();
    if excepted(&url.host, &none_for) {
        return Ok(Way::default());
    }
    let text = match &order.proxy {
        Some(text) => Some(text.clone()),
        None => from_environment.inspect(|p| {
            let name = format!("{}_proxy", url.scheme);
            let text = format!("Uses proxy env variable {name} == '{p}'");
            under.say(&text);
        }),
    };
    let failed = |under: &mut Under<'_>, e: Failure| under.fail(e.code, e.said);
    let read = |text: &str, under: &mut Under<'_>, default| {
        parse(text, default).map_err(|e| failed(under, e))
    };
    let mut way = Way::default();
    if let Some(pre) = &order.preproxy {
        way.socks = Some(read(pre, under, "socks4")?);
    }
    if let Some(text) = text.filter(|t| !t.is_empty()) {
        let mut proxy = read(&text, under, "http")?;
        if proxy.user.is_none() {
            proxy.user.clone_from(&order.proxy_login.user);
        }
        if proxy.scheme.starts_with("socks") {
            way.socks = Some(proxy);
        } else {
            way.tunnel = order.tunnel || url.scheme != "http";
            way.http = Some(proxy);
        }
    }
    Ok(way)
}

/// Asks a SOCKS proxy for a connection.
pub fn socks(
    session: &mut Session,
    under: &mut Under<'_>,
    pipe: &mut Pipe,
    proxy: &Proxy,
    host: &str,
    port: u16,
) -> Result<(), Failure> {
    let done = match proxy.scheme.as_str() {
        "socks4" | "socks4a" => socks4(session, under, pipe, proxy, host, port),
        _ => socks5(session, under, pipe, proxy, host, port),
    };
    done.map_err(|e| match e.code {
        code::RECEIVE | code::SEND => under.fail(code::PROXY, e.said),
        _ => e,
    })
}

fn socks4(
    session: &mut Session,
    under: &mut Under<'_>,
    pipe: &mut Pipe,
    proxy: &Proxy,
    host: &str,
    port: u16,
) -> Result<(), Failure> {
    let remote = proxy.scheme == "socks4a";
    let protocol = if remote { "SOCKS4a" } else { "SOCKS4" };
    under.say(&format!("{protocol} communication to {host}:{port}"));
    let mut ip = [0, 0, 0, 1];
    if !remote {
        let found = dial::resolve(session, under, host, port, code::HOST_NAME);
        let found = found.ok().and_then(|ips| {
            ips.into_iter().find_map(|i| match i {
                IpAddr::V4(v4) => Some(v4),
                IpAddr::V6(_) => None,
            })
        });
        match found {
            Some(v4) => {
                ip = v4.octets();
                under.say(&format!("SOCKS4 connect to IPv4 {v4} (locally resolved)"));
            }
            None => {
                let said = format!("Failed to resolve \"{host}\" for SOCKS4 connect.");
                return Err(under.fail(code::PROXY, said));
            }
        }
    }
    let mut ask = vec![4, 1];
    ask.extend(port.to_be_bytes());
    ask.extend(ip);
    let user = proxy.user.as_ref().map(|u| u.0.clone()).unwrap_or_default();
    if user.len() > 255 {
        return Err(under.fail(code::PROXY, "SOCKS4: too long user name"));
    }
    ask.extend(user.as_bytes());
    ask.push(0);
    if remote {
        if host.len() > 255 {
            return Err(under.fail(code::PROXY, "SOCKS4: too long host name"));
        }
        ask.extend(host.as_bytes());
        ask.push(0);
    }
    exchange::send_all(under, pipe, &ask)?;
    let answer = exchange::read_exact(under, pipe, 8)?;
    let byte = |i: usize| answer.get(i).copied().unwrap_or(0);
    if byte(0) != 0 {
        return Err(under.fail(
            code::PROXY,
            "SOCKS4 reply has wrong version, version should be 0.",
        ));
    }
    let (ip, code_) = (&answer[4.min(answer.len())..], byte(1));
    let end = match ip {
        [a, b, c, d] => format!("{a}.{b}.{c}.{d}:{}", u16::from_be_bytes([byte(2), byte(3)])),
        _ => String::new(),
    };
    let why = match code_ {
        90 => {
            under.say(&format!("{protocol} request granted."));
            return Ok(());
        }
        91 => "request rejected or failed.",
        92 => "request rejected because SOCKS server cannot connect to identd on the client.",
        93 => "request rejected because the client program and identd report different user-ids.",
        _ => "Unknown.",
    };
    Err(under.fail(
        code::PROXY,
        format!("Can't complete SOCKS4 connection to {end}. ({code_}), {why}"),
    ))
}

fn socks5(
    session: &mut Session,
    under: &mut Under<'_>,
    pipe: &mut Pipe,
    proxy: &Proxy,
    host: &str,
    port: u16,
) -> Result<(), Failure> {
    let remote = proxy.scheme == "socks5h";
    under.say(
        &format!("SOCKS5: connecting to HTTP proxy {host} port {port}").replace("HTTP proxy ", ""),
    );
    let hello: &[u8] = match proxy.user {
        Some(_) => &[5, 2, 0, 2],
        None => &[5, 1, 0],
    };
    exchange::send_all(under, pipe, hello)?;
    let chosen = exchange::read_exact(under, pipe, 2)?;
    match chosen.as_slice() {
        [5, 0] => {}
        [5, 2] => {
            let (user, password) = proxy.user.clone().unwrap_or_default();
            if user.len() > 255 || password.len() > 255 {
                return Err(under.fail(code::PROXY, "Excessive user name length for proxy auth"));
            }
            let length = |s: &str| u8::try_from(s.len()).unwrap_or(255);
            let mut login = vec![1, length(&user)];
            login.extend(user.as_bytes());
            login.push(length(&password));
            login.extend(password.as_bytes());
            exchange::send_all(under, pipe, &login)?;
            let answer = exchange::read_exact(under, pipe, 2)?;
            if answer.get(1) != Some(&0) {
                let byte = |i: usize| answer.get(i).copied().unwrap_or(0);
                let said = format!(
                    "User was rejected by the SOCKS5 server ({} {}).",
                    byte(0),
                    byte(1)
                );
                return Err(under.fail(code::PROXY, said));
            }
        }
        [5, 255] => {
            return Err(under.fail(code::PROXY, "No authentication method was acceptable."));
        }
        [5, other] => {
            let said = format!("Unknown SOCKS5 mode '{other}' received.");
            return Err(under.fail(code::PROXY, said));
        }
        _ => {
            return Err(under.fail(
                code::PROXY,
                "Received invalid version in initial SOCKS5 response.",
            ));
        }
    }
    let mut ask = vec![5, 1, 0];
    let literal: Option<IpAddr> = host.parse().ok();
    let address = match (remote, literal) {
        (true, None) => None,
        (_, Some(ip)) => Some(ip),
        (false, None) => {
            let found = dial::resolve(session, under, host, port, code::HOST_NAME).ok();
            let Some(ip) = found.and_then(|f| f.first().copied()) else {
                let said = format!("Failed to resolve \"{host}\" for SOCKS5 connect.");
                return Err(under.fail(code::PROXY, said));
            };
            Some(ip)
        }
    };
    match address {
        None => {
            let Ok(length) = u8::try_from(host.len()) else {
                return Err(under.fail(code::PROXY, "SOCKS5: the destination hostname is too long to be resolved remotely by the proxy."));
            };
            ask.extend([3, length]);
            ask.extend(host.as_bytes());
            under.say(&format!(
                "SOCKS5 connect to {host}:{port} (remotely resolved)"
            ));
        }
        Some(ip) => {
            let shown = match ip {
                IpAddr::V4(v4) => {
                    ask.push(1);
                    ask.extend(v4.octets());
                    format!("IPv4 {v4}:{port}")
                }
                IpAddr::V6(v6) => {
                    ask.push(4);
                    ask.extend(v6.octets());
                    format!("IPv6 [{v6}]:{port}")
                }
            };
            let where_ = if remote { "" } else { " (locally resolved)" };
            under.say(&format!("SOCKS5 connect to {shown}{where_}"));
        }
    }
    ask.extend(port.to_be_bytes());
    exchange::send_all(under, pipe, &ask)?;
    let head = exchange::read_exact(under, pipe, 5)?;
    let byte = |i: usize| head.get(i).copied().unwrap_or(0);
    if byte(0) != 5 {
        return Err(under.fail(
            code::PROXY,
            "SOCKS5 reply has wrong version, version should be 5.",
        ));
    }
    if byte(1) != 0 {
        let said = format!("Can't complete SOCKS5 connection to {host}. ({})", byte(1));
        return Err(under.fail(code::PROXY, said));
    }
    let rest = match byte(3) {
        1 => 5,
        3 => usize::from(byte(4)) + 2,
        4 => 17,
        _ => return Err(under.fail(code::PROXY, "SOCKS5 reply has wrong address type.")),
    };
    exchange::read_exact(under, pipe, rest)?;
    under.say("SOCKS5 request granted.");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_and_exceptions_are_read() {
        let read =
            |text: &str| parse(text, "http").map(|p| format!("{} {} {}", p.scheme, p.host, p.port));
        assert_eq!(read("p:3128").as_deref(), Ok("http p 3128"));
        assert_eq!(
            read("socks5h://u:p@[::1]").as_deref(),
            Ok("socks5h ::1 1080")
        );
        assert!(read("ftp://x").is_err());
        for (host, list, wanted) in [
            ("a.example.com", "example.com", true),
            ("badexample.com", "example.com", false),
            ("10.1.2.3", "10.1.0.0/16", true),
            ("10.2.2.3", "10.1.0.0/16", false),
            ("::1", "[::1]", true),
            ("x", "*", true),
        ] {
            assert_eq!(excepted(host, list), wanted, "{host} {list}");
        }
        netshoot_wire::fuzz::texts(
            &["socks5h://user:pw@[::1]:1080", "10.0.0.0/8,.example.com"],
            2_000,
            |text| {
                if let Ok(proxy) = parse(text, "http") {
                    assert!(!proxy.host.is_empty());
                }
                let _ = (excepted("10.1.2.3", text), excepted("a.example.com", text));
            },
        );
    }
}
