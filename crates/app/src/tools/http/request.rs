//! A request as it is sent and shown: which headers in which order, and the body.

use super::items::{Items, Upload};
use super::nested::woven;
use super::plan::{Form, Plan};
use super::{Mistake, items, usage};
use netshoot_wire::json::Manner;
use netshoot_wire::web::percent;
use netshoot_wire::web::url::{self, Bad, Url};
use std::io::{Read, Write};

/// What the original calls itself.
const AGENT: &str = "HTTPie/3.2.1";
/// What it asks for where JSON is sent.
const JSON_OR_ANY: &str = "application/json, */*;q=0.5";
/// Headers that are there by themselves, in their order.
const STANDING: [(&str, &str); 4] = [
    ("User-Agent", AGENT),
    ("Accept-Encoding", "gzip, deflate"),
    ("Accept", "*/*"),
    ("Connection", "keep-alive"),
];

/// A request without what changes from hop to hop: cookies and logins.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its word.
    pub method: String,
    /// Where to.
    pub url: Url,
    /// Headers by themselves.
    pub base: Vec<(String, String)>,
    /// Headers that were asked for, or that belong to what is sent.
    pub own: Vec<(String, String)>,
    /// Headers to be kept in a session.
    pub kept: Vec<(String, String)>,
    /// What is sent.
    pub body: Vec<u8>,
    /// In chunks.
    pub chunked: bool,
}

/// Header lines: names and values.
type Lines = Vec<(String, String)>;

/// Headers by name, whatever its letters.
#[derive(Default)]
struct Headers {
    all: Vec<(String, String)>,
    gone: Vec<String>,
}

fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

impl Headers {
    fn has(&self, name: &str) -> bool {
        self.all.iter().any(|h| same(&h.0, name))
    }

    /// Takes the place of what has the name.
    fn set(&mut self, name: &str, value: &str) {
        let at = self.all.iter().position(|h| same(&h.0, name));
        self.all.retain(|h| !same(&h.0, name));
        let at = at.unwrap_or(self.all.len()).min(self.all.len());
        self.all.insert(at, (name.to_string(), value.to_string()));
        self.gone.retain(|g| !same(g, name));
    }

    /// Those of the command line: the first of a name takes a place, others stand behind it.
    fn given(&mut self, headers: &[(String, Option<String>)]) {
        let mut seen: Vec<&str> = Vec::new();
        for (name, value) in headers {
            match value {
                None => {
                    self.all.retain(|h| !same(&h.0, name));
                    self.gone.push(name.clone());
                }
                Some(value) if seen.iter().any(|s| same(s, name)) => {
                    let last = self.all.iter().rposition(|h| same(&h.0, name));
                    let at = last.map_or(self.all.len(), |at| at + 1);
                    self.all.insert(at, (name.clone(), value.clone()));
                }
                Some(value) => {
                    self.set(name, value);
                    seen.push(name);
                }
            }
        }
    }

    /// Standing ones that nobody changed, and the others.
    fn settled(mut self) -> (Lines, Lines) {
        let gone = |name: &str| self.gone.iter().any(|g| same(g, name));
        let base = STANDING
            .iter()
            .filter(|(name, _)| !self.has(name) && !gone(name))
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        let rank = |name: &str| {
            let at = STANDING.iter().position(|s| same(s.0, name));
            at.unwrap_or(STANDING.len())
        };
        self.all.sort_by_key(|h| rank(&h.0));
        (base, self.all)
    }
}

/// A URL as it was typed, with what the query gets.
pub fn address(plan: &Plan, params: &[(String, String)]) -> Result<Url, Mistake> {
    let written = &plan.url;
    let begin = written.find("://").map_or(0, |at| at + 3);
    let tail = written.get(begin..).and_then(|t| t.find(['/', '?', '#']));
    let (head, tail) = written.split_at(tail.map_or(written.len(), |t| t + begin));
    let mut safe = head.to_string();
    for c in tail.chars() {
        match c {
            ' ' | '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}' => {
                safe += &format!("%{:02X}", u32::from(c));
            }
            c if c.is_ascii() && !c.is_ascii_control() => safe.push(c),
            c => safe += &percent(c.to_string().as_bytes()),
        }
    }
    let bad = |why: Bad| {
        Mistake::Said(match why {
            Bad::NoHost => format!("InvalidURL: Invalid URL '{written}': No host supplied"),
            _ => format!("InvalidURL: Failed to parse: {written}"),
        })
    };
    let mut url = url_of(&safe, plan.path_as_is).map_err(bad)?;
    let more: Vec<String> = params
        .iter()
        .map(|(name, value)| format!("{}={}", plus(name), plus(value)))
        .collect();
    if !more.is_empty() {
        let more = more.join("&");
        url.query = Some(match url.query.filter(|q| !q.is_empty()) {
            Some(query) => format!("{query}&{more}"),
            None => more,
        });
    }
    url.fragment = None;
    Ok(url)
}

/// Reads a URL whose host may be any word: who cannot be found is told so later.
fn url_of(text: &str, path_as_is: bool) -> Result<Url, Bad> {
    let manner = url::Manner {
        path_as_is,
        spaces: true,
        ..url::Manner::default()
    };
    let begin = text.find("://").map_or(0, |at| at + 3);
    let rest = text.get(begin..).unwrap_or_default();
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = rest.get(..end).unwrap_or_default();
    let host_at = authority.rfind('@').map_or(0, |at| at + 1);
    let named = authority.get(host_at..).unwrap_or_default();
    let host = match named.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => named,
    };
    if host.is_empty() || host.contains(['[', ']', ':', ' ']) {
        return url::parse(text, manner);
    }
    let (before, behind) = (begin + host_at, begin + host_at + host.len());
    let around = |range: Option<&str>| range.unwrap_or_default().to_string();
    let stand_in = around(text.get(..before)) + "h" + &around(text.get(behind..));
    let mut url = url::parse(&stand_in, manner)?;
    url.host = host.to_lowercase();
    Ok(url)
}

/// A text in a form or a query.
fn plus(text: &str) -> String {
    percent(text.as_bytes()).replace("%20", "+")
}

/// What is sent, and its type.
enum Content {
    Nothing,
    Fields(Vec<u8>),
    Raw(Vec<u8>),
    /// Of standard input.
    Read(Vec<u8>),
    File(Upload),
    Parts(Vec<u8>, String),
}

fn random_boundary() -> String {
    let mut random = [0u8; 16];
    let _ = ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut random);
    random.iter().map(|b| format!("{b:02x}")).collect()
}

fn in_parts(parts: &[Upload], boundary: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let named = |t: &str| {
        t.replace('"', "%22")
            .replace('\r', "%0D")
            .replace('\n', "%0A")
    };
    for part in parts {
        let mut head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"",
            named(&part.name)
        );
        if !part.file.is_empty() {
            head += &format!("; filename=\"{}\"", named(&part.file));
        }
        if let Some(kind) = &part.kind {
            head += &format!("\r\nContent-Type: {kind}");
        }
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(&part.bytes);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    out
}

fn urlencoded(items: &Items) -> Vec<u8> {
    let each: Vec<String> = items
        .data
        .iter()
        .map(|(name, value)| {
            let value = items::plain(value).unwrap_or_default();
            format!("{}={}", plus(name), plus(&value))
        })
        .collect();
    each.join("&").into_bytes()
}

const MIXED: &str = "Request body (from stdin, --raw or a file) and request data (key=value) cannot be mixed. Pass --ignore-stdin to let key/value take priority. See https://httpie.io/docs#scripting for details.";

fn content(plan: &Plan, items: &mut Items) -> Result<Content, Mistake> {
    let form = matches!(plan.form, Form::Fields | Form::Multipart);
    let mut whole = None;
    if !items.files.is_empty() && !form {
        let named: Vec<&str> = items
            .files
            .iter()
            .map(String::as_str)
            .filter(|f| !f.is_empty())
            .collect();
        if !named.is_empty() {
            let said = format!(
                "Invalid file fields (perhaps you meant --form?): {}",
                named.join(",")
            );
            return Err(usage("", &said));
        }
        if items.files.len() > 1 {
            return Err(usage("", "Can't read request from multiple files"));
        }
        whole = items.parts.pop();
    }
    let sources = usize::from(whole.is_some())
        + usize::from(plan.raw.is_some())
        + usize::from(plan.stdin)
        + usize::from(!items.data.is_empty() || (form && !items.files.is_empty()));
    if sources > 1 {
        return Err(usage("", MIXED));
    }
    if let Some(file) = whole {
        return Ok(Content::File(file));
    }
    if let Some(raw) = &plan.raw {
        return Ok(Content::Raw(raw.clone().into_bytes()));
    }
    if plan.stdin {
        let mut bytes = Vec::new();
        std::io::stdin()
            .read_to_end(&mut bytes)
            .map_err(|e| Mistake::Said(format!("OSError: {}", super::errno(&e))))?;
        return Ok(Content::Read(bytes));
    }
    let parts = plan.form == Form::Multipart || (form && !items.files.is_empty());
    if parts {
        let boundary = plan.boundary.clone().unwrap_or_else(random_boundary);
        return Ok(Content::Parts(in_parts(&items.parts, &boundary), boundary));
    }
    if items.data.is_empty() {
        return Ok(Content::Nothing);
    }
    if form {
        return Ok(Content::Fields(urlencoded(items)));
    }
    let manner = Manner {
        ascii: true,
        ..Manner::default()
    };
    let value = woven(&items.data)?;
    Ok(Content::Fields(value.written(manner).into_bytes()))
}

fn deflated(bytes: &[u8], force: bool) -> Option<Vec<u8>> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).ok()?;
    let packed = encoder.finish().ok()?;
    (force || packed.len() < bytes.len()).then_some(packed)
}

impl Request {
    /// What the command line means, with the headers that a session holds.
    pub fn build(plan: &Plan, session: &[(String, String)]) -> Result<Request, Mistake> {
        let form = matches!(plan.form, Form::Fields | Form::Multipart);
        let mut items = items::meant(&plan.items, form)?;
        let content = content(plan, &mut items)?;
        let url = address(plan, &items.params)?;
        let method = plan.method.clone().unwrap_or_else(|| {
            let nothing = matches!(content, Content::Nothing);
            let parts = matches!(content, Content::Parts(..)) && items.parts.is_empty();
            let word = if nothing || parts { "GET" } else { "POST" };
            word.to_string()
        });
        let mut headers = Headers::default();
        headers.set("User-Agent", AGENT);
        let raw_nothing = matches!(&content, Content::Raw(b) if b.is_empty());
        let json = plan.form == Form::Json
            || (!form && !matches!(content, Content::Nothing) && !raw_nothing);
        if json {
            headers.set("Accept", JSON_OR_ANY);
        }
        match &content {
            Content::Parts(_, boundary) => {
                let kind = format!("multipart/form-data; boundary={boundary}");
                headers.set("Content-Type", &kind);
            }
            Content::File(file) if file.kind.is_some() => {
                headers.set("Content-Type", file.kind.as_deref().unwrap_or_default());
            }
            _ if form => headers.set(
                "Content-Type",
                "application/x-www-form-urlencoded; charset=utf-8",
            ),
            _ if json => headers.set("Content-Type", "application/json"),
            _ => {}
        }
        let nothing = matches!(content, Content::Nothing);
        // Who only shows the request has not cut it yet.
        if plan.chunked && (nothing || plan.offline) {
            headers.set("Transfer-Encoding", "chunked");
        }
        let session: Vec<(String, Option<String>)> = session
            .iter()
            .map(|(n, v)| (n.clone(), Some(v.clone())))
            .collect();
        headers.given(&session);
        headers.given(&items.headers);
        let mut body = match content {
            Content::Nothing => Vec::new(),
            Content::Fields(b) | Content::Raw(b) | Content::Read(b) | Content::Parts(b, _) => b,
            Content::File(file) => file.bytes,
        };
        if plan.compress > 0
            && !body.is_empty()
            && let Some(packed) = deflated(&body, plan.compress > 1)
        {
            body = packed;
            headers.set("Content-Encoding", "deflate");
        }
        // How long it is, is counted here.
        headers.all.retain(|h| !same(&h.0, "Content-Length"));
        let (base, own) = headers.settled();
        let kept = own
            .iter()
            .filter(|h| keeps(&h.0, &items))
            .cloned()
            .collect();
        Ok(Request {
            method,
            url,
            base,
            own,
            kept,
            body,
            chunked: plan.chunked && !nothing && !plan.offline,
        })
    }

    /// Header lines for one hop, as they are shown: cookies, length and login stand behind those that stand by themselves.
    /// Behind a redirect, cookies come last.
    pub fn lines(
        &self,
        cookie: Option<&str>,
        login: Option<&str>,
        led: bool,
    ) -> Vec<(String, String)> {
        let mut all = self.base.clone();
        let mut add = |name: &str, value: &str| {
            if !self.own.iter().any(|h| same(&h.0, name)) {
                all.push((name.to_string(), value.to_string()));
            }
        };
        if let Some(cookie) = cookie.filter(|_| !led) {
            add("Cookie", cookie);
        }
        if self.chunked {
            add("Transfer-Encoding", "chunked");
        } else if !self.body.is_empty() || !["GET", "HEAD"].contains(&self.method.as_str()) {
            add("Content-Length", &self.body.len().to_string());
        }
        if let Some(login) = login {
            add("Authorization", login);
        }
        all.extend(self.own.iter().cloned());
        if let Some(cookie) = cookie.filter(|_| led && !all.iter().any(|h| same(&h.0, "Cookie"))) {
            all.push(("Cookie".into(), cookie.to_string()));
        }
        if !all.iter().any(|h| same(&h.0, "Host")) {
            all.push(("Host".into(), self.url.authority()));
        }
        all
    }

    /// What a redirect makes of it.
    pub fn led(&mut self, status: u16, to: Url) {
        let to_get = match status {
            303 => self.method != "HEAD",
            302 => self.method != "HEAD",
            301 => self.method == "POST",
            _ => false,
        };
        if to_get {
            self.method = "GET".into();
        }
        if !matches!(status, 307 | 308) {
            self.body.clear();
            self.chunked = false;
            let of_body = ["Content-Length", "Content-Type", "Transfer-Encoding"];
            self.own.retain(|h| !of_body.iter().any(|n| same(&h.0, n)));
        }
        let elsewhere = !same(&self.url.host, &to.host)
            || (self.url.port(), &self.url.scheme) != (to.port(), &to.scheme);
        let upgraded = same(&self.url.host, &to.host)
            && (self.url.scheme.as_str(), self.url.port()) == ("http", 80)
            && (to.scheme.as_str(), to.port()) == ("https", 443);
        if elsewhere && !upgraded {
            self.own.retain(|h| !same(&h.0, "Authorization"));
        }
        self.url = to;
    }
}

/// A session keeps headers of the command line, save those of one body or one moment.
fn keeps(name: &str, items: &Items) -> bool {
    let lower = name.to_ascii_lowercase();
    let given = items.headers.iter().any(|h| same(&h.0, name));
    given && !lower.starts_with("content-") && !lower.starts_with("if-") && lower != "cookie"
}
