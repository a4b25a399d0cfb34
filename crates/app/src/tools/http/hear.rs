//! One answer as it comes: its head is read, its body goes where it belongs.

use super::output::{self, Download, Output};
use super::plan::Plan;
use netshoot_host::web::failure::code;
use netshoot_host::web::{Failure, Info, Watch};
use netshoot_wire::web::url::Url;
use std::io;
use std::time::{Duration, Instant};

/// Who looks at an answer as it comes.
pub struct Listener<'l, 'p, 'i, 'b> {
    pub output: &'l mut Output<'p, 'i, 'b>,
    pub plan: &'l Plan,
    pub url: &'l Url,
    /// A challenge would be answered to.
    pub may_log_in: bool,
    pub first: String,
    pub fields: Vec<(String, String)>,
    pub last: bool,
    /// The answer is to be shown at all.
    pub seen: bool,
    pub garbage: Vec<u8>,
    pub began: Instant,
    pub answered: Option<Duration>,
    pub heard: Instant,
    pub received: u64,
    pub late: bool,
    pub broken: Option<io::Error>,
}

impl Listener<'_, '_, '_, '_> {
    fn kept<T: Default>(&mut self, done: io::Result<T>) -> Result<T, Failure> {
        done.map_err(|e| {
            self.broken = Some(e);
            Failure::plain(code::WRITE)
        })
    }

    /// The head is through.
    fn headed(&mut self, status: u16) -> Result<(), Failure> {
        self.answered = Some(self.began.elapsed());
        let moved = self.plan.follow && is_redirect(status, &self.fields);
        self.seen = !(self.may_log_in && status == 401 && challenged(&self.fields));
        self.last = self.seen && !moved;
        if !self.seen {
            return Ok(());
        }
        if self.last && self.plan.download && (status == 200 || status == 206) {
            let resumed = status == 206;
            self.output.download = Some(download(self.plan, self.url, &self.fields, resumed));
        }
        let done = self.output.head(&self.first, &self.fields, self.last);
        self.kept(done)
    }
}

impl Watch for Listener<'_, '_, '_, '_> {
    fn head(&mut self, line: &[u8], info: &Info) -> Result<(), Failure> {
        self.heard = Instant::now();
        let text = String::from_utf8_lossy(line);
        let text = text.trim_end_matches(['\r', '\n']);
        if text.starts_with("HTTP/") && self.answered.is_none() {
            self.first = text.to_string();
            self.fields.clear();
            return Ok(());
        }
        if text.is_empty() {
            return match info.status {
                100..200 if info.status != 101 => Ok(()),
                status => self.headed(status),
            };
        }
        if self.answered.is_some() {
            // Trailers are not shown.
            return Ok(());
        }
        match (text.split_once(':'), self.fields.last_mut()) {
            (None, Some(last)) => last.1 += &format!(" {}", text.trim()),
            (Some((name, value)), _) => {
                self.fields
                    .push((name.trim_end().into(), value.trim().into()));
            }
            _ => {}
        }
        match self.plan.max_headers {
            most if most > 0 && self.fields.len() > most => Err(Failure::new(
                code::WEIRD,
                format!("HTTPException('got more than {most} headers')"),
            )),
            _ => Ok(()),
        }
    }

    fn body(&mut self, bytes: &[u8], info: &Info) -> Result<(), Failure> {
        self.heard = Instant::now();
        if info.version == "0.9" {
            self.garbage = bytes.to_vec();
            return Err(Failure::new(code::WEIRD, "no head"));
        }
        self.received += bytes.len() as u64;
        if !self.seen {
            return Ok(());
        }
        let done = self.output.piece(bytes);
        self.kept(done)
    }

    fn progress(&mut self, info: &Info) -> bool {
        if info.received != self.received {
            self.heard = Instant::now();
            self.received = info.received;
        }
        let patience = self.plan.timeout;
        self.late = patience > 0.0 && self.heard.elapsed().as_secs_f64() >= patience;
        !self.late
    }
}

/// A field by its name.
pub fn field<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = fields.iter().find(|f| f.0.eq_ignore_ascii_case(name));
    found.map(|f| f.1.as_str())
}

/// It leads elsewhere.
pub fn is_redirect(status: u16, fields: &[(String, String)]) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308) && field(fields, "location").is_some()
}

/// It asks for a login by Digest.
pub fn challenged(fields: &[(String, String)]) -> bool {
    fields.iter().any(|(name, value)| {
        name.eq_ignore_ascii_case("www-authenticate")
            && value.to_ascii_lowercase().contains("digest")
    })
}

fn download(plan: &Plan, url: &Url, fields: &[(String, String)], resumed: bool) -> Download {
    let length: Option<u64> = field(fields, "content-length").and_then(|l| l.parse().ok());
    let name = match plan.output.as_deref() {
        Some("-") => None,
        Some(name) => Some(name.to_string()),
        None if !io::IsTerminal::is_terminal(&io::stdout()) => None,
        None => {
            let kind = field(fields, "content-type").unwrap_or_default();
            let told = output::name_for(field(fields, "content-disposition"), &url.path, kind);
            Some(output::unused(&told))
        }
    };
    let from = match (&name, resumed) {
        (Some(name), true) => std::fs::metadata(name).map_or(0, |m| m.len()),
        _ => 0,
    };
    let encoded = field(fields, "content-encoding").is_some();
    let size = length.map(|l| l + from).filter(|_| !encoded);
    Download::new(name, from, size)
}
