//! The settings: who may come, with which password, what a file is called on the wire.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

/// What the files and the command line say.
#[derive(Clone, Debug, Default)]
pub struct Conf {
    pub home: PathBuf,
    pub realm: String,
    pub list: bool,
    /// In place of `index.html`.
    pub index: Option<String>,
    /// Pages for a status.
    pub pages: BTreeMap<u16, PathBuf>,
    /// Media types of endings, before those that are known anyway.
    pub types: Vec<(String, String)>,
    /// Network, length of its prefix, whether it may come; the first that fits decides.
    pub peers: Vec<(IpAddr, u8, bool)>,
    /// Nobody else may come.
    pub nobody_else: bool,
    /// Path, user, password.
    pub users: Vec<(String, String, String)>,
}

/// Media types of busybox's httpd.
const TYPES: &[(&str, &str)] = &[
    (".txt.h.c.cc.cpp", "text/plain"),
    (".htm.html", "text/html"),
    (".jpg.jpeg", "image/jpeg"),
    (".gif", "image/gif"),
    (".png", "image/png"),
    (".svg", "image/svg+xml"),
    (".css", "text/css"),
    (".js", "application/javascript"),
    (".wav", "audio/wav"),
    (".avi", "video/x-msvideo"),
    (".qt.mov", "video/quicktime"),
    (".mpe.mpeg", "video/mpeg"),
    (".mid.midi", "audio/midi"),
    (".mp3", "audio/mpeg"),
];

impl Conf {
    /// Takes the lines of a file; gives what is wrong, a sentence a line.
    pub fn read(&mut self, text: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        for line in text.lines() {
            // A remark ends a line; blanks mean nothing.
            let own: String = line
                .split('#')
                .next()
                .unwrap_or_default()
                .split_whitespace()
                .collect();
            if !own.is_empty()
                && let Err(why) = self.line(&own)
            {
                wrong.push(why);
            }
        }
        wrong
    }

    fn line(&mut self, line: &str) -> Result<(), String> {
        let bad = || format!("config error '{line}'");
        let refused = |why: &str| format!("'{line}' is not taken ({why})");
        let (key, value) = line.split_once(':').ok_or_else(bad)?;
        match key {
            "H" => self.home = value.into(),
            "I" => self.index = Some(value.into()),
            "A" | "D" if value == "*" => self.nobody_else = key == "D",
            "A" | "D" => {
                let (ip, prefix) = network(value).ok_or_else(bad)?;
                self.peers.push((ip, prefix, key == "A"));
            }
            "P" => return Err(refused("no proxy is played here")),
            _ if key.starts_with('*') => return Err(refused("no programs are run here")),
            _ if key.starts_with('E') => {
                let status = key[1..].parse().map_err(|_| bad())?;
                self.pages.insert(status, value.into());
            }
            _ if key.starts_with('.') => self.types.push((key.into(), value.into())),
            _ if key.starts_with('/') => {
                let (user, password) = value.split_once(':').ok_or_else(bad)?;
                if password.starts_with('$') || password == "*" {
                    return Err(refused("passwords stand in clear or not at all"));
                }
                self.users.push((key.into(), user.into(), password.into()));
            }
            _ => return Err(bad()),
        }
        Ok(())
    }

    /// The media type of a name.
    pub fn media_type(&self, name: &str) -> Option<&str> {
        let ending = name.rfind('.').and_then(|at| name.get(at..))?;
        let own = self.types.iter().find(|t| t.0 == ending);
        if let Some((_, own)) = own {
            return Some(own);
        }
        let bare = ending.get(1..)?;
        let known = |all: &str| all.split('.').any(|e| !e.is_empty() && e == bare);
        TYPES.iter().find(|t| known(t.0)).map(|t| t.1)
    }

    /// Whether somebody from there may come.
    pub fn welcome(&self, peer: Option<IpAddr>) -> bool {
        let Some(peer) = peer.map(|p| p.to_canonical()) else {
            return true;
        };
        let fits = |(ip, prefix, _): &&(IpAddr, u8, bool)| within(peer, *ip, *prefix);
        self.peers
            .iter()
            .find(fits)
            .map_or(!self.nobody_else, |p| p.2)
    }

    /// Whether a path may be read with what the request says of user and password.
    pub fn lets(&self, path: &str, said: Option<&str>) -> bool {
        let below = |own: &str| {
            let rest = path.strip_prefix(own.trim_end_matches('/'));
            rest.is_some_and(|r| r.is_empty() || r.starts_with('/'))
        };
        let guards: Vec<_> = self.users.iter().filter(|u| below(&u.0)).collect();
        // The longest path decides.
        let Some(longest) = guards.iter().map(|g| g.0.len()).max() else {
            return true;
        };
        let mut nearest = guards.iter().filter(|g| g.0.len() == longest);
        let said = said.unwrap_or_default();
        nearest.any(|(_, user, password)| said == format!("{user}:{password}"))
    }
}

fn within(peer: IpAddr, net: IpAddr, prefix: u8) -> bool {
    let (a, b, bits) = match (peer, net) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits()), u128::from(b.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128u8),
        _ => return false,
    };
    let off = u32::from(bits.saturating_sub(prefix));
    off >= 128 || (a >> off) == (b >> off)
}

/// `10.0.0.0/8`, `10.0.0.0/255.0.0.0`, `10.`, `fd00::/8`, an address.
fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (host, length) = match text.split_once('/') {
        Some((host, length)) => (host, Some(length)),
        None => (text, None),
    };
    if let Some(short) = host.strip_suffix('.') {
        let parts = short.split('.').count();
        let whole = format!("{short}{}", ".0".repeat(4usize.checked_sub(parts)?));
        return Some((whole.parse().ok()?, u8::try_from(parts).ok()? * 8));
    }
    let ip: IpAddr = host.parse().ok()?;
    let most = if ip.is_ipv4() { 32 } else { 128 };
    let prefix = match length {
        None => most,
        Some(mask) if mask.contains('.') => {
            let bits = mask.parse::<std::net::Ipv4Addr>().ok()?.to_bits();
            let ones = bits.leading_ones();
            (bits.count_ones() == ones).then(|| u8::try_from(ones).ok())??
        }
        Some(length) => length.parse().ok().filter(|l| *l <= most)?,
    };
    Some((ip, prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_come_and_read() {
        let mut conf = Conf::default();
        let wrong = conf.read("A:10.1.\nD:10.0.0.0/255.0.0.0 # but\nA:fd00::/8\nD:*\n/a:u:p\n/a/b:v:q\n*.php:/bin/php\nnone");
        assert_eq!(
            wrong,
            [
                "'*.php:/bin/php' is not taken (no programs are run here)",
                "config error 'none'"
            ]
        );
        for (peer, may) in [
            ("10.1.2.3", true),
            ("10.2.2.3", false),
            ("::ffff:10.1.0.1", true),
            ("fd01::1", true),
            ("11.0.0.1", false),
        ] {
            assert_eq!(conf.welcome(Some(peer.parse().unwrap())), may, "{peer}");
        }
        assert!(conf.lets("/ab", None) && conf.lets("/a/x", Some("u:p")));
        assert!(!conf.lets("/a", None) && !conf.lets("/a/b/c", Some("u:p")));
        assert!(conf.lets("/a/b/c", Some("v:q")));
        assert_eq!(conf.media_type("x.tar.html"), Some("text/html"));
        assert_eq!(conf.media_type("html"), None);
    }

    #[test]
    fn damaged_files_are_read() {
        let valid =
            "A:10.0.0.0/8\nH:/srv\nE404:/e.html\n/x:bob:secret\n.md:text/markdown\nD:*\nI:i.html\n";
        netshoot_wire::fuzz::texts(&[valid], 5_000, |text| {
            let mut conf = Conf::default();
            for why in conf.read(text) {
                assert!(why.contains('\''), "{why}");
            }
            conf.welcome(Some(IpAddr::from([10, 0, 0, 1])));
        });
    }
}
