//! URLs as curl's users write them: a scheme may be missing, one to three slashes will do, addresses may be in any of the
//! C library's spellings; and what a `Location` makes of one.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A URL in its parts, each as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Url {
    /// In small letters.
    pub scheme: String,
    /// The scheme was not written.
    pub guessed: bool,
    /// Before the `@`, percent-encoded.
    pub user: Option<String>,
    /// Behind its colon, percent-encoded.
    pub password: Option<String>,
    /// Without brackets.
    pub host: String,
    /// It stood in brackets.
    pub v6: bool,
    /// Of an IPv6 address.
    pub zone: Option<String>,
    /// As it was written.
    pub port: Option<u16>,
    /// Begins with a slash.
    pub path: String,
    /// Without the question mark.
    pub query: Option<String>,
    /// Without the `#`.
    pub fragment: Option<String>,
}

/// What keeps a text from being a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// Letters that may not be, or nothing at all.
    Malformed,
    /// The port.
    Port,
    /// The host.
    Host,
    /// No host.
    NoHost,
    /// `file:` with a host.
    File,
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Bad::Malformed => "malformed",
            Bad::Port => "bad port",
            Bad::Host => "bad host",
            Bad::NoHost => "no host",
            Bad::File => "bad file: URL",
        })
    }
}

/// Bytes of a host.
const LONGEST_HOST: usize = 65_535;

/// How a text is read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manner<'a> {
    /// The scheme of a text without one; else the host's first label tells.
    pub default_scheme: Option<&'a str>,
    /// `..` in the path stays.
    pub path_as_is: bool,
    /// Spaces are encoded, not refused: it is a `Location`.
    pub spaces: bool,
}

/// The port that a scheme has by itself.
pub fn port_of(scheme: &str) -> Option<u16> {
    Some(match scheme {
        "http" | "ws" => 80,
        "https" | "wss" => 443,
        "telnet" => 23,
        "ftp" => 21,
        "socks4" | "socks4a" | "socks5" | "socks5h" | "socks" => 1080,
        _ => return None,
    })
}

/// The scheme of a text that has one: letters, digits, `+-.`, then a colon and a slash.
pub fn scheme(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.split_once(':')?;
    let known = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
    let named = name.as_bytes().first()?.is_ascii_alphabetic() && name.bytes().all(known);
    (named && name.len() <= 40 && rest.starts_with('/')).then_some((name, rest))
}

/// Reads a URL.
pub fn parse(text: &str, manner: Manner<'_>) -> Result<Url, Bad> {
    let control = |b: u8| b < 0x20 || b == 0x7f || (b == b' ' && !manner.spaces);
    if text.is_empty() || text.len() > 8_000_000 || text.bytes().any(control) {
        return Err(Bad::Malformed);
    }
    let mut url = Url::default();
    let rest = match scheme(text) {
        Some((name, rest)) => {
            url.scheme = name.to_ascii_lowercase();
            let slashes = rest.bytes().take_while(|b| *b == b'/').count();
            if url.scheme == "file" {
                return file(url, rest, manner);
            }
            if slashes > 3 {
                return Err(Bad::Malformed);
            }
            rest.get(slashes..).unwrap_or_default()
        }
        None if manner.default_scheme == Some("file") => return file_named(text, manner),
        None => {
            url.guessed = true;
            text
        }
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let named = match authority.split_once('@') {
        Some((login, host)) => {
            login_of(login, &mut url);
            host
        }
        None => authority,
    };
    host_and_port(named, &mut url)?;
    if url.guessed {
        url.scheme = guess(&url.host, manner.default_scheme);
    }
    if url.host.is_empty() {
        return Err(Bad::NoHost);
    }
    tail_of(tail, &mut url, manner);
    Ok(url)
}

fn file_named(text: &str, manner: Manner<'_>) -> Result<Url, Bad> {
    let url = Url {
        scheme: "file".into(),
        ..Url::default()
    };
    file(url, text, manner)
}

fn file(mut url: Url, rest: &str, manner: Manner<'_>) -> Result<Url, Bad> {
    let rest = match rest.strip_prefix("//") {
        Some(rest) if rest.starts_with('/') => rest,
        Some(rest) => {
            let (host, _) = rest.split_at(rest.find('/').ok_or(Bad::File)?);
            if !host.eq_ignore_ascii_case("localhost") && host != "127.0.0.1" {
                return Err(Bad::File);
            }
            rest.get(host.len()..).unwrap_or_default()
        }
        None => rest,
    };
    tail_of(rest, &mut url, manner);
    Ok(url)
}

fn login_of(login: &str, url: &mut Url) {
    let (user, password) = match login.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (login, None),
    };
    url.user = Some(user.to_string());
    url.password = password.map(str::to_string);
}

fn guess(host: &str, default: Option<&str>) -> String {
    if let Some(default) = default {
        return default.to_ascii_lowercase();
    }
    let first = host
        .split_once('.')
        .map_or("", |h| h.0)
        .to_ascii_lowercase();
    match first.as_str() {
        "ftp" | "dict" | "ldap" | "imap" | "smtp" | "pop3" => first,
        _ => "http".into(),
    }
}

fn host_and_port(text: &str, url: &mut Url) -> Result<(), Bad> {
    let port = match text.strip_prefix('[') {
        Some(inside) => {
            let (address, behind) = inside.split_once(']').ok_or(Bad::Host)?;
            let (address, zone) = match address.split_once('%') {
                Some((address, zone)) => (address, Some(zone.strip_prefix("25").unwrap_or(zone))),
                None => (address, None),
            };
            let address: Ipv6Addr = address.parse().map_err(|_| Bad::Host)?;
            (url.host, url.v6) = (address.to_string(), true);
            url.zone = zone.filter(|z| !z.is_empty()).map(str::to_string);
            match behind.strip_prefix(':') {
                Some(port) => Some(port),
                None if behind.is_empty() => None,
                None => return Err(Bad::Port),
            }
        }
        None => {
            let (host, port) = match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            };
            let host = unpercent_host(host)?;
            url.host = ipv4(&host).map_or(host, |v4| v4.to_string());
            port
        }
    };
    url.port = match port {
        None => None,
        Some("") if url.guessed => return Err(Bad::Port),
        Some("") => None,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            Some(digits.parse().map_err(|_| Bad::Port)?)
        }
        Some(_) => return Err(Bad::Port),
    };
    Ok(())
}

fn unpercent_host(host: &str) -> Result<String, Bad> {
    let host = match host.contains('%') {
        true => String::from_utf8(super::unpercent(host)).map_err(|_| Bad::Host)?,
        false => host.to_string(),
    };
    let bad = |c: char| " \r\n\t/:#?!@{}[]\\$'\"^`*<>=;,&()+%|".contains(c) || c.is_ascii_control();
    match host.contains(bad) || host.len() > LONGEST_HOST {
        true => Err(Bad::Host),
        false => Ok(host),
    }
}

/// Addresses as inet_aton(3) reads them: one to four numbers, decimal, octal or hexadecimal.
fn ipv4(host: &str) -> Option<Ipv4Addr> {
    let host = host.strip_suffix('.').unwrap_or(host);
    let parts: Vec<&str> = host.split('.').collect();
    if host.is_empty() || parts.len() > 4 {
        return None;
    }
    let mut numbers = Vec::new();
    for part in &parts {
        let lower = part.to_ascii_lowercase();
        let (digits, radix) = match lower.strip_prefix("0x") {
            Some(hex) => (hex.to_string(), 16),
            None if lower.len() > 1 && lower.starts_with('0') => (lower.clone(), 8),
            None => (lower.clone(), 10),
        };
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        numbers.push(u32::from_str_radix(&digits, radix).ok()?);
    }
    let last = numbers.pop()?;
    let mut value = 0u32;
    for n in &numbers {
        value = value << 8 | u8::try_from(*n).ok().map(u32::from)?;
    }
    let bits = 32 - 8 * numbers.len() as u32;
    if bits < 32 && u64::from(last) >= 1u64 << bits {
        return None;
    }
    let high = if bits == 32 { 0 } else { value << bits };
    Some(Ipv4Addr::from(high | last))
}

fn tail_of(tail: &str, url: &mut Url, manner: Manner<'_>) {
    let (tail, fragment) = match tail.split_once('#') {
        Some((tail, fragment)) => (tail, Some(fragment)),
        None => (tail, None),
    };
    let (path, query) = match tail.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (tail, None),
    };
    url.fragment = fragment.map(str::to_string);
    url.query = query.map(|q| encoded(q, true));
    let path = encoded(path, false);
    let path = match manner.path_as_is {
        true => path,
        false => without_dots(&path),
    };
    url.path = if path.is_empty() { "/".into() } else { path };
}

/// Spaces and what is no ASCII, encoded; a space of a query becomes a plus.
fn encoded(text: &str, query: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        match b {
            b' ' if query => out.push('+'),
            b' ' => out += "%20",
            0x80.. => out += &format!("%{b:02x}"),
            b => out.push(char::from(b)),
        }
    }
    out
}

/// The path without `.` and `..` (RFC 3986, 5.2.4).
pub fn without_dots(path: &str) -> String {
    if !path.contains('.') {
        return path.to_string();
    }
    let mut kept: Vec<&str> = Vec::new();
    let rooted = path.starts_with('/');
    let parts: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
    for (i, part) in parts.iter().enumerate() {
        let last = i + 1 == parts.len();
        match *part {
            "." if last => kept.push(""),
            "." => {}
            ".." => {
                kept.pop();
                if last {
                    kept.push("");
                }
            }
            part => kept.push(part),
        }
    }
    let root = if rooted { "/" } else { "" };
    format!("{root}{}", kept.join("/"))
}

impl Url {
    /// The port, written or the scheme's own.
    pub fn port(&self) -> u16 {
        self.port.or(port_of(&self.scheme)).unwrap_or(0)
    }

    /// The host as it stands in a URL.
    pub fn written_host(&self) -> String {
        match (self.v6, &self.zone) {
            (true, _) => format!("[{}]", self.host),
            (false, _) => self.host.clone(),
        }
    }

    /// The host with its port, where that is not the scheme's own.
    pub fn authority(&self) -> String {
        match self.port.filter(|p| Some(*p) != port_of(&self.scheme)) {
            Some(port) => format!("{}:{port}", self.written_host()),
            None => self.written_host(),
        }
    }

    /// Path and query.
    pub fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    /// The URL that a reference in a document at this one means.
    pub fn join(&self, reference: &str, path_as_is: bool) -> Result<Url, Bad> {
        let manner = Manner {
            default_scheme: None,
            path_as_is,
            spaces: true,
        };
        if scheme(reference).is_some() {
            return parse(reference, manner);
        }
        if let Some(rest) = reference.strip_prefix("//") {
            return parse(&format!("{}://{rest}", self.scheme), manner);
        }
        let mut url = self.clone();
        url.fragment = None;
        let (bare, fragment) = match reference.split_once('#') {
            Some((bare, fragment)) => (bare, Some(fragment.to_string())),
            None => (reference, None),
        };
        url.fragment = fragment;
        if bare.is_empty() {
            return Ok(url);
        }
        if bare.bytes().any(|b| b < 0x20 || b == 0x7f) {
            return Err(Bad::Malformed);
        }
        let (path, query) = match bare.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (bare, None),
        };
        url.query = query.map(|q| encoded(q, true));
        if !path.is_empty() {
            let path = encoded(path, false);
            let full = match path.starts_with('/') {
                true => path,
                false => {
                    let mut folder = self.path.rsplit_once('/').map_or("", |p| p.0);
                    let mut path = path.as_str();
                    // What leads up is followed even where dots stay.
                    while let Some(rest) = path.strip_prefix("../") {
                        folder = folder.rsplit_once('/').map_or("", |p| p.0);
                        path = rest;
                    }
                    format!("{folder}/{path}")
                }
            };
            url.path = match path_as_is {
                true => full,
                false => without_dots(&full),
            };
        }
        Ok(url)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme)?;
        if self.scheme != "file" {
            if let Some(user) = &self.user {
                f.write_str(user)?;
                if let Some(password) = &self.password {
                    write!(f, ":{password}")?;
                }
                f.write_str("@")?;
            }
            match (&self.zone, self.v6) {
                (Some(zone), true) => write!(f, "[{}%25{zone}]", self.host)?,
                _ => f.write_str(&self.written_host())?,
            }
            if let Some(port) = self.port {
                write!(f, ":{port}")?;
            }
        }
        f.write_str(&self.target())?;
        match &self.fragment {
            Some(fragment) => write!(f, "#{fragment}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        match parse(text, Manner::default()) {
            Ok(url) => format!("{url} {}", url.port()),
            Err(e) => e.to_string(),
        }
    }

    #[test]
    fn texts_become_urls_as_people_mean_them() {
        for (text, wanted) in [
            ("example.com", "http://example.com/ 80"),
            (
                "localhost:8080/a/../b?c#d",
                "http://localhost:8080/b?c#d 8080",
            ),
            ("https:/example.com", "https://example.com/ 443"),
            ("HTTP:///h/x", "http://h/x 80"),
            ("http:////h", "malformed"),
            ("http://u:p%40@h:81/", "http://u:p%40@h:81/ 81"),
            ("http://[::1]:80/", "http://[::1]:80/ 80"),
            ("http://[fe80::1%25eth0]/", "http://[fe80::1%25eth0]/ 80"),
            ("http://0x7f.1/", "http://127.0.0.1/ 80"),
            ("127.1:9", "http://127.0.0.1:9/ 9"),
            ("http://h:/", "http://h/ 80"),
            ("http://h:99999/", "bad port"),
            ("http://h:8x/", "bad port"),
            ("http://a b/", "malformed"),
            ("http://a{b/", "bad host"),
            ("http:///", "no host"),
            ("file:///etc/hosts", "file:///etc/hosts 0"),
            ("file://localhost/etc", "file:///etc 0"),
            ("file://other/etc", "bad file: URL"),
            ("http://h/é?é", "http://h/%c3%a9?%c3%a9 80"),
            ("h?a/b", "http://h/?a/b 80"),
        ] {
            assert_eq!(read(text), wanted, "{text}");
        }
    }

    #[test]
    fn references_are_resolved() {
        let base = parse("http://u@h:8/a/b/c?q", Manner::default()).unwrap();
        for (reference, wanted) in [
            ("d", "http://u@h:8/a/b/d"),
            ("../d e?f g", "http://u@h:8/a/d%20e?f+g"),
            ("/x", "http://u@h:8/x"),
            ("?y", "http://u@h:8/a/b/c?y"),
            ("#z", "http://u@h:8/a/b/c?q#z"),
            ("//o/p", "http://o/p"),
            ("https://s", "https://s/"),
            ("../../../../d", "http://u@h:8/d"),
        ] {
            assert_eq!(base.join(reference, false).unwrap().to_string(), wanted);
        }
    }

    #[test]
    fn damaged_urls_end_in_a_url_or_a_reason() {
        let seeds = [
            "http://user:pw@host.example:8080/a/../b?q=1#f",
            "[fe80::1%25eth0]:80/x file:///etc/passwd",
        ];
        crate::fuzz::texts(&seeds, 3_000, |text| {
            if let Ok(url) = parse(text, Manner::default()) {
                let again = parse(&url.to_string(), Manner::default()).unwrap();
                assert_eq!(again.to_string(), url.to_string(), "{text:?}");
                let _ = url.join(text, false);
            }
        });
    }
}
