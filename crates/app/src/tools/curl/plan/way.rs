//! Options of the way to the server: TLS, proxies, addresses, patience.

use super::*;

impl Reading<'_> {
    pub(super) fn of_tls(
        &mut self,
        name: &str,
        v: &str,
        on: bool,
        shown: &str,
    ) -> Result<bool, Mistake> {
        let c = self.config();
        let (proxy, bare) = match name.strip_prefix("proxy-") {
            Some(bare) => (true, bare),
            None => (false, name),
        };
        let tls = if proxy {
            &mut c.order.proxy_tls
        } else {
            &mut c.order.tls
        };
        let path = || Some(PathBuf::from(v));
        match bare {
            "insecure" => tls.verify = !on,
            "cacert" => tls.authorities = path(),
            "capath" => tls.folder = path(),
            "cert" => {
                // A password may follow: keys here have none.
                let file = match v.contains("\\:") {
                    true => v.replace("\\:", ":"),
                    false => v.split(':').next().unwrap_or(v).to_string(),
                };
                tls.certificate = Some(file.into());
            }
            "key" => tls.key = path(),
            "ciphers" => tls.ciphers = Some(v.into()),
            "tls13-ciphers" => tls.ciphers13 = Some(v.into()),
            "pinnedpubkey" => tls.pinned = Some(v.into()),
            "tlsv1" | "tlsv1.0" | "tlsv1.1" | "tlsv1.2" => tls.least = 12,
            "tlsv1.3" => tls.least = 13,
            "tls-max" => {
                tls.most = match v {
                    "default" | "1.3" => 13,
                    "1.2" => 12,
                    "1.0" => 10,
                    "1.1" => 11,
                    _ => return Err(Mistake::option(shown, "is badly used here")),
                };
            }
            "alpn" => tls.alpn = on,
            "sessionid" => (c.order.tls.resume, c.order.proxy_tls.resume) = (on, on),
            "cert-type"
            | "key-type"
            | "ssl-allow-beast"
            | "ssl-auto-client-cert"
            | "npn"
            | "false-start"
            | "ssl-no-revoke"
            | "ssl-revoke-best-effort"
            | "ssl"
            | "ssl-reqd"
            | "egd-file"
            | "random-file" => {}
            "sslv2" | "sslv3" => self.warn("Ignores instruction to use SSLv2 or SSLv3"),
            _ => return Ok(false),
        }
        Ok(true)
    }

    pub(super) fn of_way(
        &mut self,
        name: &str,
        v: &str,
        on: bool,
        shown: &str,
    ) -> Result<bool, Mistake> {
        let prefixed = |scheme: &str| Some(format!("{scheme}://{v}"));
        let bare = v.split_once("://").map_or(v, |p| p.1);
        let o = &mut self.config().order;
        match name {
            "proxy" => o.proxy = Some(v.into()),
            "proxy1.0" => {
                o.proxy = Some(v.into());
                o.proxy10 = true;
            }
            "preproxy" => o.preproxy = Some(v.into()),
            "socks4" | "socks4a" | "socks5" => {
                o.proxy = match v.contains("://") {
                    true => Some(format!("{name}://{bare}")),
                    false => prefixed(name),
                }
            }
            "socks5-hostname" => o.proxy = Some(format!("socks5h://{bare}")),
            "noproxy" => o.no_proxy = Some(v.into()),
            "proxytunnel" => o.tunnel = on,
            "proxy-user" => {
                let (user, password) = login(v);
                let asks = password.is_none();
                o.proxy_login.user = Some((user, password.unwrap_or_default()));
                self.config().asks_proxy_password = asks;
            }
            "proxy-basic" => o.proxy_login.ways.basic = on,
            "proxy-digest" => o.proxy_login.ways.digest = on,
            "proxy-anyauth" => {
                o.proxy_login.ways.basic = true;
                o.proxy_login.ways.digest = true;
            }
            "proxy-header" => self.header(v, true),
            "suppress-connect-headers" => o.hide_connect = on,
            "resolve" => o.resolve.push(v.into()),
            "connect-to" => o.connect_to.push(v.into()),
            "interface" => o.interface = Some(v.to_string()).filter(|i| !i.is_empty()),
            "unix-socket" => o.unix = Some(v.into()),
            "abstract-unix-socket" => o.unix = Some(format!("@{v}")),
            "ipv4" => o.family = 4,
            "ipv6" => o.family = 6,
            "connect-timeout" => {
                o.connect_patience = Some(seconds(v, shown)?).filter(|d| !d.is_zero())
            }
            "max-time" => o.patience = Some(seconds(v, shown)?).filter(|d| !d.is_zero()),
            "expect100-timeout" => o.expect_patience = seconds(v, shown)?,
            "happy-eyeballs-timeout-ms" => {
                o.second_family = Duration::from_millis(natural(v, shown)?)
            }
            "limit-rate" => o.limit = Some(size(v, shown)?).filter(|n| *n > 0),
            "speed-limit" => {
                let time = o.slow.map_or(30, |s| s.1);
                o.slow = Some((natural(v, shown)?, time));
            }
            "speed-time" => {
                let least = o.slow.map_or(1, |s| s.0);
                o.slow = Some((least, natural(v, shown)?));
            }
            "keepalive" => o.keepalive = on.then_some(60),
            "keepalive-time" => o.keepalive = u32::try_from(natural(v, shown)?).ok(),
            "tcp-nodelay" => o.nodelay = on,
            "tcp-fastopen" | "socks5-basic" => {}
            "haproxy-protocol" => o.haproxy = on,
            "local-port" => {
                let (first, last) = v.split_once('-').unwrap_or((v, v));
                let ports = (first.parse::<u16>(), last.trim().parse::<u16>());
                o.local_ports = match ports {
                    (Ok(first), Ok(last)) if first <= last => Some((first, last)),
                    _ => return Err(Mistake::option(shown, "is badly used here")),
                };
            }
            "telnet-option" => o.telnet.push(v.into()),
            _ => return Ok(false),
        }
        Ok(true)
    }
}
