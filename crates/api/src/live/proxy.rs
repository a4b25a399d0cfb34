//! Which proxy leads to the API server where the kubeconfig names none: the one of the environment, as Go programs
//! read it (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`), so that whoever uses kubectl needs nothing more.

use http::Uri;
use std::net::IpAddr;

/// The proxy for this server; none where it is asked directly. `var` reads the environment.
pub(super) fn of(server: &Uri, var: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let either = |upper: &str| {
        let given = |name: &str| var(name).filter(|v| !v.trim().is_empty());
        given(upper).or_else(|| given(&upper.to_lowercase()))
    };
    let plain = server.scheme_str() == Some("http");
    let proxy = either(if plain { "HTTP_PROXY" } else { "HTTPS_PROXY" })?;
    let host = server.host()?.trim_matches(['[', ']']);
    let port = server.port_u16().unwrap_or(if plain { 80 } else { 443 });
    if is_here(host) || either("NO_PROXY").is_some_and(|all| spared(&all, host, port)) {
        return None;
    }
    let proxy = proxy.trim();
    Some(if proxy.contains("://") {
        proxy.into()
    } else {
        format!("http://{proxy}")
    })
}

/// This machine is never asked through a proxy.
fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|a: IpAddr| a.is_loopback())
}

/// `NO_PROXY`: `*`, addresses, networks, names with all names below them, `.example` for those below only; each
/// may end with a port.
fn spared(all: &str, host: &str, port: u16) -> bool {
    let host = host.trim_end_matches('.').to_lowercase();
    let address: Option<IpAddr> = host.parse().ok();
    all.split(',').map(|p| p.trim().to_lowercase()).any(|part| {
        if part == "*" {
            return true;
        }
        if let (Some((net, bits)), Some(a)) = (part.split_once('/'), address) {
            return within(a, net, bits);
        }
        let (name, only) = match part.rsplit_once(':') {
            Some((name, p)) if !name.contains(':') || name.ends_with(']') => (name, p.parse().ok()),
            _ => (part.as_str(), None),
        };
        if only.is_some_and(|p: u16| p != port) {
            return false;
        }
        let name = name.trim_matches(['[', ']']);
        let name = name
            .strip_prefix('*')
            .filter(|n| n.starts_with('.'))
            .unwrap_or(name);
        match (name.strip_prefix('.'), address) {
            _ if name.is_empty() => false,
            (_, Some(a)) => name.parse().is_ok_and(|n: IpAddr| n == a),
            (Some(_), None) => host.ends_with(name),
            (None, None) => host == name || host.ends_with(&format!(".{name}")),
        }
    })
}

/// Whether an address lies in a network.
fn within(address: IpAddr, net: &str, bits: &str) -> bool {
    let (Ok(net), Ok(bits)) = (net.parse::<IpAddr>(), bits.parse::<u32>()) else {
        return false;
    };
    let number = |a: IpAddr| match a {
        IpAddr::V4(a) => (u128::from(a.to_bits()) << 96, 32),
        IpAddr::V6(a) => (a.to_bits(), 128),
    };
    let ((a, width), (n, of_net)) = (number(address), number(net));
    if width != of_net || bits > width {
        return false;
    }
    bits == 0 || (a ^ n) >> (128 - bits) == 0
}

/// A proxy as it may be shown: who logs in to it with a password does not want it in a message.
pub(super) fn shown(proxy: &Uri) -> String {
    let authority = proxy.authority().map_or("", |a| a.as_str());
    let place = authority.rsplit('@').next().unwrap_or(authority);
    format!("{}://{place}", proxy.scheme_str().unwrap_or("http"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(server: &str, set: &[(&str, &str)]) -> Option<String> {
        let var = |name: &str| {
            let found = set.iter().find(|(n, _)| *n == name);
            found.map(|(_, v)| v.to_string())
        };
        of(&server.parse().unwrap(), &var)
    }

    #[test]
    fn the_environment_names_the_proxy_as_go_reads_it() {
        let https = ("HTTPS_PROXY", "http://p:3128");
        for (server, set, want) in [
            ("https://api:6443", vec![https], Some("http://p:3128")),
            (
                "https://api:6443",
                vec![("https_proxy", "p:1")],
                Some("http://p:1"),
            ),
            (
                "https://api:6443",
                vec![("HTTPS_PROXY", ""), ("https_proxy", "socks5://p:1")],
                Some("socks5://p:1"),
            ),
            ("https://api:6443", vec![("HTTP_PROXY", "http://p:1")], None),
            (
                "http://api:80",
                vec![("HTTP_PROXY", "http://p:1"), https],
                Some("http://p:1"),
            ),
            ("https://api:6443", vec![], None),
            ("https://127.0.0.1:6443", vec![https], None),
            ("https://[::1]:6443", vec![https], None),
            ("https://localhost", vec![https], None),
            ("https://api:6443", vec![https, ("NO_PROXY", "*")], None),
            (
                "https://api.corp:6443",
                vec![https, ("NO_PROXY", "a, corp")],
                None,
            ),
            (
                "https://api.corp:6443",
                vec![https, ("no_proxy", ".corp")],
                None,
            ),
            (
                "https://api.corp:6443",
                vec![https, ("no_proxy", "*.corp")],
                None,
            ),
            (
                "https://corp:6443",
                vec![https, ("NO_PROXY", ".corp")],
                Some("http://p:3128"),
            ),
            (
                "https://mycorp:6443",
                vec![https, ("NO_PROXY", "corp")],
                Some("http://p:3128"),
            ),
            (
                "https://api.corp:6443",
                vec![https, ("NO_PROXY", "api.corp:443")],
                Some("http://p:3128"),
            ),
            (
                "https://api.corp",
                vec![https, ("NO_PROXY", "api.corp:443")],
                None,
            ),
            (
                "https://10.9.1.1:6443",
                vec![https, ("NO_PROXY", "10.0.0.0/8")],
                None,
            ),
            (
                "https://11.9.1.1:6443",
                vec![https, ("NO_PROXY", "10.0.0.0/8,11.9.1.2")],
                Some("http://p:3128"),
            ),
            (
                "https://[fd00::7]:6443",
                vec![https, ("NO_PROXY", "fd00::/16")],
                None,
            ),
            (
                "https://[fd00::7]:6443",
                vec![https, ("NO_PROXY", "fd00::7")],
                None,
            ),
        ] {
            assert_eq!(proxy(server, &set).as_deref(), want, "{server} {set:?}");
        }
    }

    #[test]
    fn damaged_exceptions_are_read_without_harm() {
        let seeds = [
            "*",
            "10.0.0.0/8,.corp:443",
            "[fd00::1]:6443,fd00::/16",
            "a.b,*.c,:,/",
        ];
        netshoot_wire::fuzz::texts(&seeds, 5_000, |text| {
            for host in ["api.corp", "10.1.2.3", "fd00::7"] {
                // A single star spares all; nothing else spares a host that it does not name.
                if spared(text, host, 443) {
                    assert!(!text.trim().is_empty(), "{host}");
                }
            }
        });
    }

    #[test]
    fn a_password_is_not_shown() {
        let uri = "http://me:secret@p:3128".parse().unwrap();
        assert_eq!(shown(&uri), "http://p:3128");
    }
}
