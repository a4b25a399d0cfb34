//! The head of a request: the order of its lines is that of curl, and a header of one's own takes the place of ours.

use super::auth::State;
use super::order::{Body, Order, Since, Verb, Version};
use super::proxy::Way;
use netshoot_wire::web::{date, url::Url};

/// Larger posts ask first.
const ASK_FIRST: u64 = 1024 * 1024;
/// Smaller posts go with the head.
const WITH_HEAD: usize = 64 * 1024;

/// What one request is, behind the order: redirects and logins change it.
pub struct Hop<'a> {
    /// What is wanted.
    pub order: &'a Order,
    /// Where to.
    pub url: &'a Url,
    /// What is done now.
    pub verb: Verb,
    /// `Referer`.
    pub referer: Option<&'a str>,
    /// Login at the host.
    pub login: &'a super::order::Login,
    /// How far it is.
    pub auth: &'a mut State,
    /// And at the proxy.
    pub proxy_auth: &'a mut State,
    /// Which login the proxy gets.
    pub proxy_login: &'a super::order::Login,
    /// By which way.
    pub way: &'a Way,
    /// The host is not the one that the secrets are for.
    pub foreign: bool,
    /// From the jar.
    pub cookies: Option<String>,
    /// The server did not like to be asked first.
    pub no_expect: bool,
    /// It speaks HTTP/1.0.
    pub old: bool,
    /// Who is asked in the host's place (RFC 7838, 5).
    pub instead: Option<String>,
    /// It speaks HTTP/1, 2 or 3.
    pub by: u8,
}

/// What is sent behind a head.
#[derive(Clone, Debug, Default)]
pub struct Sending {
    /// These bytes go first.
    pub bytes: Vec<u8>,
    /// Then what the one who watches gives.
    pub given: bool,
    /// So much, where it is known.
    pub size: Option<u64>,
    /// In chunks.
    pub chunked: bool,
    /// Only when the server says 100, or says nothing for a while.
    pub expect: bool,
    /// It goes with the head, unasked.
    pub inline: bool,
}

/// A head and what follows it.
pub struct Built {
    /// With its empty line.
    pub head: Vec<u8>,
    /// The word of its first line.
    pub method: String,
    /// What follows.
    pub sending: Sending,
    /// Sentences about it.
    pub said: Vec<String>,
    /// The change to HTTP/2 was asked for.
    pub upgrade: bool,
    /// The fields of HTTP/2 and 3, where that is spoken.
    pub fields: Vec<(String, String)>,
}

/// The settings of a client of HTTP/2 as a request of HTTP/1.1 carries them: `base64url` of [`SETTINGS`].
///
/// [`SETTINGS`]: netshoot_wire::h2::client::SETTINGS
fn settings() -> String {
    let text = netshoot_wire::web::base64(&netshoot_wire::h2::client::SETTINGS);
    let url = text.replace('+', "-").replace('/', "_");
    url.trim_end_matches('=').to_string()
}

/// A header of one's own: its name, and its value where it has one.
fn split(line: &str) -> Option<(&str, Option<&str>)> {
    if let Some((name, value)) = line.split_once(':') {
        let value = value.trim_start_matches([' ', '\t']);
        return Some((name, Some(value).filter(|v| !v.trim().is_empty())));
    }
    // `Name;` stands for a header without a value.
    line.strip_suffix(';').map(|name| (name, Some("")))
}

/// The value of a header of one's own; `Some("")` where it is to be left out.
pub fn own<'a>(headers: &'a [String], name: &str) -> Option<&'a str> {
    let mut found = None;
    for line in headers {
        if let Some((own, value)) = split(line)
            && own.eq_ignore_ascii_case(name)
            && found.is_none()
        {
            found = Some(value.unwrap_or(""));
        }
    }
    found
}

/// Names of fields in small letters; the line of the request and `Host` stay.
fn small(head: &str) -> String {
    let mut out = String::new();
    for (i, line) in head.split_inclusive('\n').enumerate() {
        match line.split_once(':') {
            Some((name, value)) if i > 0 && !name.eq_ignore_ascii_case("host") => {
                out += &format!("{}:{value}", name.to_ascii_lowercase());
            }
            _ => out += line,
        }
    }
    out
}

impl Hop<'_> {
    /// The connection is one of many streams.
    fn many(&self) -> bool {
        self.by > 1
    }

    fn own(&self, name: &str) -> Option<&str> {
        own(&self.order.headers, name)
    }

    /// The verb's own word, or the one asked for.
    pub fn method(&self) -> String {
        if let Some(method) = &self.order.method {
            return method.clone();
        }
        match self.verb {
            Verb::Get => "GET",
            Verb::Head => "HEAD",
            Verb::Post => "POST",
            Verb::Put => "PUT",
        }
        .into()
    }

    fn target(&self) -> String {
        if let Some(target) = &self.order.target {
            return target.clone();
        }
        match self.way.forwards() {
            true => {
                let mut bare = self.url.clone();
                (bare.user, bare.password, bare.fragment) = (None, None, None);
                if bare.port == netshoot_wire::web::url::port_of(&bare.scheme) {
                    bare.port = None;
                }
                bare.to_string()
            }
            false => self.url.target(),
        }
    }

    /// The head of this request.
    pub fn build(mut self) -> Built {
        let method = self.method();
        let minor = match self.order.version == Version::V10 || self.old {
            _ if self.by == 3 => "3",
            _ if self.by == 2 => "2",
            true => "1.0",
            false => "1.1",
        };
        let upgrade = self.upgrades();
        let target = self.target();
        let mut said = Vec::new();
        let mut head = format!("{method} {target} HTTP/{minor}\r\n");
        self.host(&mut head);
        self.logins(&mut head, &method, &mut said);
        let sending = self.sending();
        self.range(&mut head, &sending);
        self.standing(&mut head);
        if sending.chunked && self.own("Transfer-Encoding").is_none() {
            head += "Transfer-Encoding: chunked\r\n";
        }
        if upgrade {
            head += "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n";
            head += &format!("HTTP2-Settings: {}\r\n", settings());
        }
        self.cookie(&mut head);
        self.since(&mut head);
        self.owns(&mut head);
        self.of_body(&mut head, &sending);
        if matches!(self.url.scheme.as_str(), "ws" | "wss") {
            head += &super::local::upgrade();
        }
        head += "\r\n";
        let mut fields = Vec::new();
        if self.many() {
            head = small(&head);
            fields = self.fields(&head, &method);
        }
        Built {
            head: head.into_bytes(),
            method,
            sending,
            said,
            upgrade,
            fields,
        }
    }

    /// The change to HTTP/2 is asked for.
    fn upgrades(&self) -> bool {
        let plain = self.url.scheme == "http";
        self.order.version == Version::Upgrade && plain && !self.many() && !self.old
    }

    /// A head as HTTP/2 and 3 have it: what belongs to a connection is left out (RFC 9113, 8.2.2).
    fn fields(&self, head: &str, method: &str) -> Vec<(String, String)> {
        let target = head.split(' ').nth(1).unwrap_or("/");
        let mut fields: Vec<(String, String)> = vec![
            (":method".into(), method.into()),
            (":path".into(), target.into()),
            (":scheme".into(), self.url.scheme.clone()),
        ];
        let mut own = Vec::new();
        for line in head.lines().skip(1) {
            let Some((name, value)) = line.split_once(':') else {
                continue;
            };
            let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
            match name.as_str() {
                "host" => fields.push((":authority".into(), value.into())),
                "te" if !value.eq_ignore_ascii_case("trailers") => {}
                "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding"
                | "upgrade" | "" => {}
                _ => own.push((name, value.to_string())),
            }
        }
        fields.extend(own);
        fields
    }

    fn host(&self, head: &mut String) {
        let line = self
            .order
            .headers
            .iter()
            .find(|l| split(l).is_some_and(|(name, _)| name.eq_ignore_ascii_case("Host")));
        match (self.own("Host").filter(|_| !self.foreign), line) {
            (Some(""), Some(line)) if line.ends_with(';') => *head += "Host:\r\n",
            (Some(""), _) => {}
            (Some(_), Some(line)) => *head += &format!("{line}\r\n"),
            _ => *head += &format!("Host: {}\r\n", self.url.authority()),
        }
    }

    fn logins(&mut self, head: &mut String, method: &str, said: &mut Vec<String>) {
        let target = self.url.target();
        if self.way.forwards()
            && own(&self.order.proxy_headers, "Proxy-Authorization").is_none()
            && let Some(value) = self.proxy_auth.header(self.proxy_login, method, &target)
        {
            let who = self.proxy_login.user.as_ref().map_or("", |u| u.0.as_str());
            if let Some(picked) = self.proxy_auth.picked {
                said.push(format!(
                    "Proxy auth using {} with user '{who}'",
                    picked.name()
                ));
            }
            *head += &format!("Proxy-Authorization: {value}\r\n");
        }
        if !self.foreign && self.own("Authorization").is_none() {
            let shown = self.order.target.clone().unwrap_or(target);
            if let Some(value) = self.auth.header(self.login, method, &shown) {
                let who = self.login.user.as_ref().map_or("", |u| u.0.as_str());
                if let Some(picked) = self.auth.picked {
                    said.push(format!(
                        "Server auth using {} with user '{who}'",
                        picked.name()
                    ));
                }
                *head += &format!("Authorization: {value}\r\n");
            }
        }
    }

    fn range(&self, head: &mut String, sending: &Sending) {
        let from = self.order.resume.filter(|n| *n > 0).unwrap_or(0);
        let range = match (&self.order.range, from) {
            (Some(range), _) => range.clone(),
            (None, 0) if self.order.resume != Some(0) || self.verb != Verb::Put => return,
            (None, from) => format!("{from}-"),
        };
        match self.verb {
            Verb::Get | Verb::Head if self.own("Range").is_none() => {
                *head += &format!("Range: bytes={range}\r\n");
            }
            Verb::Put | Verb::Post if self.own("Content-Range").is_none() => {
                if self.verb == Verb::Post && self.order.range.is_none() {
                    return;
                }
                let left = match &self.order.body {
                    Body::Given(Some(n)) => *n,
                    _ => sending.size.unwrap_or(0),
                };
                let from = from.unsigned_abs();
                let total = from + left;
                *head += &match (&self.order.range, from) {
                    (None, _) => format!(
                        "Content-Range: bytes {from}-{}/{total}\r\n",
                        total.saturating_sub(1)
                    ),
                    (Some(range), _) => format!("Content-Range: bytes {range}/{total}\r\n"),
                };
            }
            _ => {}
        }
    }

    fn standing(&self, head: &mut String) {
        let order = self.order;
        if let Some(agent) = order.user_agent.as_deref().filter(|a| !a.is_empty())
            && self.own("User-Agent").is_none()
        {
            *head += &format!("User-Agent: {agent}\r\n");
        }
        if self.own("Accept").is_none() {
            *head += "Accept: */*\r\n";
        }
        if order.transfer_encoding && self.own("TE").is_none() && !self.many() {
            let connection = self.own("Connection").filter(|c| !c.is_empty());
            *head += &match connection {
                Some(own) => format!("Connection: {own}, TE\r\nTE: gzip\r\n"),
                None => "Connection: TE\r\nTE: gzip\r\n".to_string(),
            };
        }
        if let Some(encoding) = &order.encoding
            && self.own("Accept-Encoding").is_none()
        {
            *head += &format!("Accept-Encoding: {encoding}\r\n");
        }
        if let Some(referer) = self.referer
            && self.own("Referer").is_none()
        {
            *head += &format!("Referer: {referer}\r\n");
        }
        if self.way.forwards()
            && self.own("Proxy-Connection").is_none()
            && own(&order.proxy_headers, "Proxy-Connection").is_none()
        {
            *head += "Proxy-Connection: Keep-Alive\r\n";
        }
        if let Some(instead) = &self.instead
            && self.own("Alt-Used").is_none()
        {
            *head += &format!("Alt-Used: {instead}\r\n");
        }
    }

    fn cookie(&self, head: &mut String) {
        if self.own("Cookie").is_some_and(|_| !self.foreign) {
            return;
        }
        let given = self.order.cookie.as_deref().filter(|_| !self.foreign);
        let both: Vec<&str> = self.cookies.as_deref().into_iter().chain(given).collect();
        if !both.is_empty() {
            *head += &format!("Cookie: {}\r\n", both.join("; "));
        }
    }

    fn since(&self, head: &mut String) {
        let (name, at) = match self.order.since {
            Some(Since::Newer(at)) => ("If-Modified-Since", at),
            Some(Since::Older(at)) => ("If-Unmodified-Since", at),
            None => return,
        };
        if self.own(name).is_none() {
            *head += &format!("{name}: {}\r\n", date::http(at));
        }
    }

    /// The headers of one's own that have not their place already.
    fn owns(&self, head: &mut String) {
        let order = self.order;
        let proxied = self.way.forwards();
        let lines = order
            .headers
            .iter()
            .chain(order.proxy_headers.iter().filter(|_| proxied));
        for line in lines {
            let Some((name, Some(value))) = split(line) else {
                continue;
            };
            let is = |n: &str| name.eq_ignore_ascii_case(n);
            let elsewhere = (is("Host") && !self.foreign)
                || (is("Host") && self.foreign)
                || (is("Content-Type")
                    && order.content_type.is_some()
                    && self.verb == Verb::Post
                    && self.form())
                || (is("Connection") && order.transfer_encoding)
                || (is("Content-Length") && self.empty())
                || ((is("Authorization") || is("Cookie")) && self.foreign);
            if !elsewhere {
                // As it was typed, save the one that has no value.
                *head += &match value {
                    "" => format!("{name}:\r\n"),
                    _ => format!("{line}\r\n"),
                };
            }
        }
    }

    fn form(&self) -> bool {
        self.order
            .content_type
            .as_deref()
            .is_some_and(|t| t.starts_with("multipart/"))
    }

    /// The body is held back until a challenge came.
    fn empty(&self) -> bool {
        let proxied = self.way.forwards() && self.proxy_auth.waits();
        (self.auth.waits() && !self.foreign) || proxied
    }

    fn sending(&self) -> Sending {
        let chunked = self
            .own("Transfer-Encoding")
            .is_some_and(|v| v.to_ascii_lowercase().contains("chunked"));
        let mut sending = Sending::default();
        if !matches!(self.verb, Verb::Post | Verb::Put) {
            return sending;
        }
        match &self.order.body {
            _ if self.empty() => sending.size = Some(0),
            Body::None => sending.size = Some(0),
            Body::Bytes(bytes) => {
                sending.bytes.clone_from(bytes);
                sending.size = Some(bytes.len() as u64);
                sending.inline = bytes.len() <= WITH_HEAD && !self.form();
            }
            Body::Given(size) => {
                sending.given = true;
                sending.size = *size;
            }
        }
        let unknown = sending.size.is_none()
            && self
                .own("Content-Length")
                .is_none_or(|_| self.own("Transfer-Encoding").is_none());
        sending.chunked = (chunked || unknown)
            && self.order.version != Version::V10
            && !self.empty()
            && !self.many();
        sending.expect = self.expects(&sending);
        sending
    }

    fn expects(&self, sending: &Sending) -> bool {
        if self.no_expect || self.order.version == Version::V10 {
            return false;
        }
        match self.own("Expect") {
            Some(value) => value.to_ascii_lowercase().contains("100-continue"),
            None if self.many() => false,
            None => match self.verb {
                Verb::Put => sending.size != Some(0),
                _ => sending.size.is_none_or(|n| n > ASK_FIRST),
            },
        }
    }

    fn of_body(&self, head: &mut String, sending: &Sending) {
        if !matches!(self.verb, Verb::Post | Verb::Put) {
            return;
        }
        let chunked =
            sending.chunked || self.own("Transfer-Encoding").is_some_and(|v| !v.is_empty());
        if let (Some(size), false) = (sending.size, chunked)
            && (self.own("Content-Length").is_none() || self.empty())
        {
            *head += &format!("Content-Length: {size}\r\n");
        }
        if self.verb == Verb::Post
            && let Some(kind) = &self.order.content_type
            && (self.own("Content-Type").is_none() || self.form())
        {
            // Of a form, only the boundary is ours.
            let own = self
                .own("Content-Type")
                .filter(|v| !v.is_empty() && self.form());
            *head += &match (own, kind.split_once("boundary=")) {
                (Some(own), Some((_, boundary))) => {
                    format!("Content-Type: {own}; boundary={boundary}\r\n")
                }
                _ => format!("Content-Type: {kind}\r\n"),
            };
        }
        if sending.expect && self.own("Expect").is_none() {
            *head += "Expect: 100-continue\r\n";
        }
    }
}
