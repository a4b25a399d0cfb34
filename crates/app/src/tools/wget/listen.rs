//! One answer as it comes: what the log says of it, what becomes of its body.
//!
//! How a connection comes about is told by the client in the sentences of `curl -v`; the log has words of its own for each.

use super::log::Log;
use super::meter::{self, Progress};
use super::names;
use super::plan::Plan;
use netshoot_host::web::failure::code;
use netshoot_host::web::{Failure, Info, Kind, Watch};
use netshoot_wire::web::date;
use netshoot_wire::web::url::Url;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// Bytes of an unwanted body that are read so that the connection can be used again.
const SKIPPED: u64 = 64 * 1024;

/// What becomes of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not known yet.
    Open,
    /// Read and forgotten.
    Skip,
    /// Written.
    Keep,
    /// The file is complete already.
    Complete,
    /// It did not change.
    Same,
    /// The file cannot be written.
    NoFile,
}

/// Where bodies go that do not go to a file of their own.
pub enum Shared {
    /// Each to its own file.
    No,
    /// Standard output.
    Out,
    /// One file.
    File(File),
}

/// Who looks at an answer.
pub struct Listener<'l, 'i, 'b> {
    pub log: &'l mut Log<'i, 'b>,
    pub plan: &'l Plan,
    pub url: &'l Url,
    pub shared: &'l mut Shared,
    /// `host (host)|ip|:port`, as connecting names it.
    pub named: String,
    /// `host:port`.
    pub short: String,
    pub proxied: bool,
    /// Only the head was asked for.
    pub head_only: bool,
    /// Bytes that the file has.
    pub from: u64,
    /// Bytes in front that the server sends though they were not asked for.
    skip: u64,
    /// The same file as in the try before.
    pub file: Option<String>,
    pub lines: Vec<String>,
    pub fields: Vec<(String, String)>,
    pub status: u16,
    pub reason: String,
    pub verdict: Verdict,
    pub sink: Option<File>,
    pub progress: Option<Progress>,
    pub total: Option<u64>,
    pub got: u64,
    pub late: bool,
    pub heard: Instant,
    pub connected: bool,
    pub patience: Option<Duration>,
    pub broken: Option<io::Error>,
    received: u64,
    counted: u64,
}

impl<'l, 'i, 'b> Listener<'l, 'i, 'b> {
    /// For one request.
    pub fn new(
        log: &'l mut Log<'i, 'b>,
        plan: &'l Plan,
        url: &'l Url,
        shared: &'l mut Shared,
    ) -> Listener<'l, 'i, 'b> {
        Listener {
            log,
            plan,
            url,
            shared,
            named: String::new(),
            short: String::new(),
            proxied: false,
            head_only: false,
            from: 0,
            skip: 0,
            file: None,
            lines: Vec::new(),
            fields: Vec::new(),
            status: 0,
            reason: String::new(),
            verdict: Verdict::Open,
            sink: None,
            progress: None,
            total: None,
            got: 0,
            late: false,
            heard: Instant::now(),
            connected: false,
            patience: plan.connect_timeout,
            broken: None,
            received: 0,
            counted: 0,
        }
    }

    fn kept<T>(&mut self, done: io::Result<T>) -> Result<T, Failure> {
        done.map_err(|e| {
            self.broken = Some(e);
            Failure::plain(code::WRITE)
        })
    }

    /// A field of the answer.
    pub fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|f| f.0.eq_ignore_ascii_case(name));
        found.map(|f| f.1.as_str())
    }

    /// Its type, without parameters.
    pub fn kind(&self) -> Option<String> {
        let kind = self.field("content-type")?.split(';').next()?.trim();
        (!kind.is_empty()).then(|| kind.to_string())
    }

    /// Its length is that of something packed.
    pub fn packed(&self) -> bool {
        self.plan.compression && self.field("content-encoding").is_some()
    }

    /// `Last-Modified`.
    pub fn modified(&self) -> Option<i64> {
        self.field("last-modified").and_then(date::parse)
    }

    /// It leads elsewhere.
    pub fn location(&self) -> Option<&str> {
        match self.status {
            301 | 302 | 303 | 307 | 308 => self.field("location"),
            _ => None,
        }
    }

    /// The status is known.
    fn answered(&mut self) -> io::Result<()> {
        if self.plan.server_response {
            self.log.verbose("\n")?;
            for line in std::mem::take(&mut self.lines) {
                self.log.always(&format!("  {line}\n"))?;
            }
        } else {
            let text = format!("{} {}\n", self.status, self.reason);
            self.log.verbose(&text)?;
        }
        let length = self
            .field("content-length")
            .and_then(|l| l.trim().parse().ok());
        let chunked = self.field("transfer-encoding").is_some();
        self.total = length.filter(|_| !chunked && !self.plan.ignore_length);
        self.decide()
    }

    fn decide(&mut self) -> io::Result<()> {
        self.verdict = Verdict::Skip;
        if let Some(location) = self.location() {
            let text = format!("Location: {location} [following]\n");
            return self.log.verbose(&text);
        }
        match self.status {
            401 | 407 => return Ok(()),
            304 => {
                self.verdict = Verdict::Same;
                return Ok(());
            }
            416 if self.from > 0 => {
                self.verdict = Verdict::Complete;
                return Ok(());
            }
            200 if self.from > 0 && self.plan.resume && self.total == Some(self.from) => {
                self.verdict = Verdict::Complete;
                return Ok(());
            }
            204 => {
                self.total = None;
                return Ok(());
            }
            206 => {}
            200..300 if self.plan.start.is_some() && !self.plan.resume => {
                if self.total.is_some_and(|t| t <= self.from) {
                    self.verdict = Verdict::Complete;
                    return Ok(());
                }
                (self.skip, self.from) = (self.from, 0);
            }
            200..300 => self.from = 0,
            _ if !self.plan.content_on_error => return Ok(()),
            _ => self.from = 0,
        }
        let error = self.status >= 400;
        if self.from > 0 {
            self.total = self.total.map(|t| t + self.from);
        }
        if self.unchanged() && !self.head_only {
            self.verdict = Verdict::Same;
            return Ok(());
        }
        if !error {
            let text = meter::length(self.total, self.from, self.kind().as_deref());
            self.log.verbose(&text)?;
        }
        if self.head_only {
            return Ok(());
        }
        self.open()
    }

    /// The server did not look at the date, and the file is the same.
    fn unchanged(&self) -> bool {
        let name = names::file_for(self.plan, self.url, None);
        let there = std::fs::metadata(name)
            .ok()
            .filter(|_| self.plan.timestamping);
        let modified = self.modified().and_then(|m| u64::try_from(m).ok());
        there.zip(modified).is_some_and(|(there, modified)| {
            let own = there
                .modified()
                .ok()
                .and_then(|m| m.duration_since(std::time::UNIX_EPOCH).ok());
            let newer = own.is_some_and(|o| o.as_secs() >= modified);
            newer && self.total == Some(there.len()) && matches!(self.shared, Shared::No)
        })
    }

    /// Opens the file and says so.
    fn open(&mut self) -> io::Result<()> {
        let shown = match self.shared {
            Shared::Out => "STDOUT".to_string(),
            Shared::File(_) => self.plan.output.clone().unwrap_or_default(),
            Shared::No => {
                let name = match self.file.take() {
                    Some(name) => name,
                    None => self.choose(),
                };
                let opened = self.create(&name);
                self.file = Some(name.clone());
                match opened {
                    Ok(file) => self.sink = Some(file),
                    Err(e) => {
                        let why = netshoot_host::sockets::strerror(&e);
                        let text = format!("{name}: {why}\n\nCannot write to ‘{name}’ ({why}).\n");
                        self.verdict = Verdict::NoFile;
                        return self.log.plain(&text);
                    }
                }
                name
            }
        };
        self.verdict = Verdict::Keep;
        self.log.verbose(&format!("Saving to: ‘{shown}’\n"))?;
        let bare = match self.shared {
            Shared::Out => "-".to_string(),
            Shared::File(_) => shown.clone(),
            Shared::No => Path::new(&shown)
                .file_name()
                .map_or(shown.clone(), |n| n.to_string_lossy().into_owned()),
        };
        self.progress = Some(Progress::begin(
            self.plan, self.log, &bare, self.from, self.total,
        )?);
        Ok(())
    }

    fn choose(&self) -> String {
        let told = self.field("content-disposition").and_then(names::told);
        let told = told.filter(|_| self.plan.disposition);
        let mut name = names::file_for(self.plan, self.url, told.as_deref());
        if self.plan.adjust {
            name = names::adjusted(name, &self.kind().unwrap_or_default());
        }
        match names::replaces(self.plan) {
            true => name,
            false => names::unused(&name),
        }
    }

    fn create(&mut self, name: &str) -> io::Result<File> {
        if let Some(folder) = Path::new(name)
            .parent()
            .filter(|p| !p.as_os_str().is_empty())
            && let Err(e) = std::fs::create_dir_all(folder)
        {
            let why = netshoot_host::sockets::strerror(&e);
            self.log.plain(&format!("{}: {why}\n", folder.display()))?;
        }
        let mut options = File::options();
        options.create(true).write(true);
        match self.from > 0 {
            true => options.append(true),
            false => options.truncate(true),
        };
        options.open(name)
    }

    fn store(&mut self, bytes: &[u8], came: u64) -> io::Result<()> {
        self.got += bytes.len() as u64;
        let skipped = self.skip.min(bytes.len() as u64);
        self.skip -= skipped;
        let bytes = bytes.get(skipped as usize..).unwrap_or_default();
        match (&mut *self.shared, &mut self.sink) {
            (Shared::Out, _) => {
                self.log.io.out.write_all(bytes)?;
                self.log.io.out.flush()?;
            }
            (Shared::File(file), _) | (Shared::No, Some(file)) => file.write_all(bytes)?,
            (Shared::No, None) => {}
        }
        match &mut self.progress {
            Some(progress) => progress.more(self.log, came),
            None => Ok(()),
        }
    }

    fn told(&mut self, text: &str) -> io::Result<()> {
        if text.starts_with("Re-using existing connection") {
            self.connected = true;
            let text = format!("Reusing existing connection to {}.\n", self.short);
            return self.log.verbose(&text);
        }
        if text.starts_with("  Trying ") {
            let text = format!("Connecting to {}... ", self.named);
            return self.log.verbose(&text);
        }
        if text.starts_with("Connected to ") {
            self.connected = true;
            return self.log.verbose("connected.\n");
        }
        if text.contains("certificate verify result") && text.contains("continuing anyway") {
            let host = &self.url.host;
            let text = format!(
                "WARNING: The certificate of ‘{host}’ is not trusted.\nWARNING: The certificate of ‘{host}’ doesn't have a known issuer.\n"
            );
            return self.log.plain(&text);
        }
        Ok(())
    }
}

impl Watch for Listener<'_, '_, '_> {
    fn show(&mut self, kind: Kind, bytes: &[u8]) {
        let done = match kind {
            Kind::Text => self.told(&String::from_utf8_lossy(bytes)),
            Kind::HeadOut if !bytes.starts_with(b"CONNECT ") => {
                self.heard = Instant::now();
                self.patience = self.plan.read_timeout;
                let who = if self.proxied { "Proxy" } else { "HTTP" };
                self.log
                    .verbose(&format!("{who} request sent, awaiting response... "))
            }
            _ => Ok(()),
        };
        if let Err(e) = done {
            self.broken.get_or_insert(e);
        }
    }

    fn head(&mut self, line: &[u8], info: &Info) -> Result<(), Failure> {
        self.heard = Instant::now();
        let text = String::from_utf8_lossy(line);
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() && self.verdict == Verdict::Open {
            if (100..200).contains(&info.status) {
                self.lines.clear();
                self.fields.clear();
                return Ok(());
            }
            self.status = info.status;
            let done = self.answered();
            self.kept(done)?;
            return match self.verdict {
                Verdict::NoFile => Err(Failure::plain(code::WRITE)),
                _ => Ok(()),
            };
        }
        if self.verdict != Verdict::Open {
            return Ok(());
        }
        if self.lines.is_empty() {
            self.reason = text
                .splitn(3, ' ')
                .nth(2)
                .unwrap_or_default()
                .trim()
                .to_string();
        } else if let Some((name, value)) = text.split_once(':') {
            self.fields.push((name.trim().into(), value.trim().into()));
        }
        self.lines.push(text.to_string());
        Ok(())
    }

    fn body(&mut self, bytes: &[u8], info: &Info) -> Result<(), Failure> {
        self.heard = Instant::now();
        if self.verdict == Verdict::Open {
            // No head at all: as it was in the nineties.
            self.status = 200;
            self.reason = match info.version {
                "0.9" => "No headers, assuming HTTP/0.9".into(),
                _ => String::new(),
            };
            let done = self.answered();
            self.kept(done)?;
        }
        if self.verdict == Verdict::Keep {
            // What is packed is counted as it came.
            let came = info.received.saturating_sub(self.counted);
            self.counted = info.received;
            let done = self.store(bytes, came);
            return self.kept(done);
        }
        self.got += bytes.len() as u64;
        match self.got > SKIPPED {
            true => Err(Failure::plain(code::WRITE)),
            false => Ok(()),
        }
    }

    fn progress(&mut self, info: &Info) -> bool {
        if info.received != self.received {
            self.received = info.received;
            self.heard = Instant::now();
        }
        self.late = self.patience.is_some_and(|p| self.heard.elapsed() >= p);
        !self.late && self.broken.is_none()
    }
}
