//! Where things are printed, what stands between them, and a body as it comes: raw, for people, line by line, into a file.

use super::machine::Record;
use super::plan::{Plan, Pretty};
use super::request::Request;
use super::show;
use crate::io::Io;
use std::fs::File;
use std::io::{self, Write};
use std::time::Instant;

/// A body for people is held back as a whole; more than this is shown as it is.
const MOST: usize = 32 * 1024 * 1024;
/// What is said instead of bytes that are no text.
const BINARY: &str = "\n+-----------------------------------------+\n| NOTE: binary data not shown in terminal |\n+-----------------------------------------+";

/// Where output goes.
enum Sink {
    Out,
    Err,
    File(File),
    Nothing,
}

/// A file that is downloaded.
pub struct Download {
    /// Its name; none for standard output.
    pub name: Option<String>,
    sink: Option<File>,
    /// Bytes that were there already.
    pub from: u64,
    /// All of it, where that is known.
    pub size: Option<u64>,
    /// Bytes that came.
    pub got: u64,
    began: Instant,
}

/// What becomes of the body that is coming.
enum Body {
    /// Nobody wants it.
    Unseen,
    /// As it is.
    Raw,
    /// Held until its end.
    Held(Vec<u8>),
    /// Line by line.
    Lines(Vec<u8>),
    /// It is not for a terminal: that was said.
    Binary,
    Download,
}

/// The printing half of a run.
pub struct Output<'p, 'i, 'b> {
    pub io: &'i mut Io<'b>,
    pub plan: &'p Plan,
    sink: Sink,
    /// The message before had a body.
    bodied: bool,
    body: Body,
    kind: String,
    headed: bool,
    pub download: Option<Download>,
    /// What is told as one object, instead of all that is printed.
    record: Option<Record>,
}

impl<'p, 'i, 'b> Output<'p, 'i, 'b> {
    /// Opens what is to be opened; a mistake where that fails.
    pub fn new(plan: &'p Plan, io: &'i mut Io<'b>) -> Result<Output<'p, 'i, 'b>, super::Mistake> {
        let mut sink = match (&plan.output, plan.download) {
            (_, true) => Sink::Err,
            (Some(name), false) if name != "-" => {
                let file = File::create(name).map_err(|e| {
                    let why = super::errno(&e);
                    let name = super::python(name);
                    let said = format!("can't open {name}: {why}: {name}");
                    super::words::wrong_value("output", &said)
                })?;
                Sink::File(file)
            }
            _ => Sink::Out,
        };
        if plan.quiet > 0 && !matches!(sink, Sink::File(_)) {
            sink = Sink::Nothing;
        }
        Ok(Output {
            io,
            plan,
            sink,
            bodied: false,
            body: Body::Unseen,
            kind: String::new(),
            headed: false,
            download: None,
            record: plan.as_json.then(Record::default),
        })
    }

    fn wants(&self, what: char) -> bool {
        self.plan.print.contains(what)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.sink {
            Sink::Out => {
                self.io.out.write_all(bytes)?;
                self.io.out.flush()
            }
            Sink::Err => self.io.err.write_all(bytes),
            Sink::File(file) => file.write_all(bytes),
            Sink::Nothing => Ok(()),
        }
    }

    /// Between two messages, where the first one had a body.
    fn part(&mut self, follows: bool) -> io::Result<()> {
        if std::mem::take(&mut self.bodied) && follows {
            self.write(b"\n\n")?;
        }
        Ok(())
    }

    /// Shows a request.
    pub fn request(&mut self, request: &Request, lines: &[(String, String)]) -> io::Result<()> {
        if let Some(record) = &mut self.record {
            record.request(request, lines);
            return Ok(());
        }
        let (head, body) = (self.wants('H'), self.wants('B'));
        self.part(head || body)?;
        if head {
            let first = format!("{} {} HTTP/1.1", request.method, request.url.target());
            let text = show::head(&first, lines, &self.plan.pretty);
            self.write(text.as_bytes())?;
        }
        if body {
            let kind = lines
                .iter()
                .find(|l| l.0.eq_ignore_ascii_case("content-type"))
                .map(|l| l.1.clone())
                .unwrap_or_default();
            self.shown(&request.body, &kind, head)?;
        }
        self.bodied = body;
        if body && self.plan.offline && self.plan.to_terminal {
            self.part(true)?;
        }
        Ok(())
    }

    /// A body that is there as a whole.
    fn shown(&mut self, bytes: &[u8], kind: &str, headed: bool) -> io::Result<()> {
        let pretty = self.plan.pretty;
        let plain = !pretty.colors && !pretty.format && !self.plan.to_terminal;
        if plain || bytes.is_empty() {
            return self.write(bytes);
        }
        if bytes.contains(&0) {
            let gap = if headed { "\n" } else { "" };
            return self.write(format!("{gap}{BINARY}").as_bytes());
        }
        let mut text = show::body(&show::text_of(bytes, kind), kind, &pretty);
        if !pretty.colors && !pretty.format && !text.ends_with('\n') {
            // As it is, but in whole lines.
            text.push('\n');
        }
        match self.plan.to_terminal {
            true => self.write(text.as_bytes()),
            false => self.write(&show::encoded(&text, kind)),
        }
    }

    /// Shows the head of an answer and says what becomes of its body; `last` where no other answer follows.
    pub fn head(&mut self, first: &str, fields: &[(String, String)], last: bool) -> io::Result<()> {
        if let Some(record) = &mut self.record {
            record.head(first, fields);
            return Ok(());
        }
        self.body = Body::Unseen;
        if !last && !self.plan.all {
            return Ok(());
        }
        self.part(self.wants('h') || self.wants('b') || self.wants('m'))?;
        self.headed = self.wants('h');
        if self.headed {
            // Cookies that are set stand behind all others.
            let mut fields = fields.to_vec();
            fields.sort_by_key(|f| f.0.eq_ignore_ascii_case("set-cookie"));
            let text = show::head(first, &fields, &self.plan.pretty);
            self.write(text.as_bytes())?;
        }
        self.kind = fields
            .iter()
            .find(|f| f.0.eq_ignore_ascii_case("content-type"))
            .map(|f| f.1.clone())
            .unwrap_or_default();
        if let Some(mime) = &self.plan.mime {
            self.kind.clone_from(mime);
        }
        if self.download.is_some() && last {
            self.body = Body::Download;
            return self.begin_download();
        }
        if !self.wants('b') {
            return Ok(());
        }
        let Pretty { colors, format, .. } = self.plan.pretty;
        self.body = match (colors || format || self.plan.to_terminal, self.plan.stream) {
            (false, _) => Body::Raw,
            (true, true) => Body::Lines(Vec::new()),
            (true, false) => Body::Held(Vec::new()),
        };
        Ok(())
    }

    /// A piece of the body.
    pub fn piece(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(record) = &mut self.record {
            record.piece(bytes);
            return Ok(());
        }
        match std::mem::replace(&mut self.body, Body::Unseen) {
            Body::Unseen => {}
            Body::Binary => self.body = Body::Binary,
            Body::Raw => {
                self.body = Body::Raw;
                self.write(bytes)?;
            }
            Body::Held(mut held) => {
                held.extend_from_slice(bytes);
                if held.len() < MOST {
                    self.body = Body::Held(held);
                } else {
                    // Nobody waits for the end of that, and no memory holds it.
                    self.body = Body::Raw;
                    match self.plan.to_terminal && held.contains(&0) {
                        true => self.binary()?,
                        false => self.write(&held)?,
                    }
                }
            }
            Body::Lines(mut held) => {
                held.extend_from_slice(bytes);
                if held.contains(&0) {
                    return self.binary();
                }
                while let Some(at) = held.iter().position(|b| *b == b'\n') {
                    let line: Vec<u8> = held.drain(..=at).collect();
                    self.line(&line)?;
                }
                if held.len() > MOST {
                    self.line(&std::mem::take(&mut held))?;
                }
                self.body = Body::Lines(held);
            }
            Body::Download => {
                self.body = Body::Download;
                self.store(bytes)?;
            }
        }
        Ok(())
    }

    fn binary(&mut self) -> io::Result<()> {
        self.body = Body::Binary;
        let gap = if self.headed { "\n" } else { "" };
        self.write(format!("{gap}{BINARY}").as_bytes())
    }

    fn line(&mut self, line: &[u8]) -> io::Result<()> {
        let bare = line.strip_suffix(b"\n").unwrap_or(line);
        let text = show::text_of(bare, &self.kind);
        let text = show::body(&text, &self.kind, &self.plan.pretty);
        self.write(format!("{text}\n").as_bytes())
    }

    /// The answer is through.
    pub fn ended(&mut self, seconds: f64, last: bool) -> io::Result<()> {
        if let Some(record) = &mut self.record {
            record.ended(seconds);
            return Ok(());
        }
        match std::mem::replace(&mut self.body, Body::Unseen) {
            Body::Held(held) => {
                let kind = self.kind.clone();
                self.shown(&held, &kind, self.headed)?;
            }
            Body::Lines(held) if !held.is_empty() => self.line(&held)?,
            _ => {}
        }
        if !last && !self.plan.all {
            return Ok(());
        }
        let body = self.wants('b');
        if self.wants('m') {
            if body {
                self.write(b"\n\n")?;
            }
            let text = show::elapsed(seconds, &self.plan.pretty);
            self.write(text.as_bytes())?;
            self.bodied = false;
            return Ok(());
        }
        self.bodied = body;
        if body && self.plan.to_terminal {
            self.write(b"\n\n")?;
        }
        self.bodied &= !last;
        Ok(())
    }

    /// The run is over: what was recorded is told, with what went wrong.
    pub fn over(&mut self, error: Option<&str>, code: i32) -> io::Result<()> {
        match self.record.take() {
            Some(record) => self.write(record.written(error, code).as_bytes()),
            None => Ok(()),
        }
    }

    fn tell(&mut self, text: &str) -> io::Result<()> {
        match self.plan.quiet {
            0 => self.io.err.write_all(text.as_bytes()),
            _ => Ok(()),
        }
    }

    fn begin_download(&mut self) -> io::Result<()> {
        let Some(download) = &mut self.download else {
            return Ok(());
        };
        download.began = Instant::now();
        if let Some(name) = &download.name {
            let resumed = download.from > 0;
            let mut options = File::options();
            options
                .write(true)
                .create(true)
                .append(resumed)
                .truncate(!resumed);
            download.sink = Some(options.open(name)?);
        }
        let gap = if download.size.is_some() { "\n" } else { "" };
        let to = download.name.as_deref().unwrap_or("<stdout>");
        let text = format!("Downloading to {to}\n{gap}");
        self.tell(&text)
    }

    fn store(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(download) = &mut self.download else {
            return Ok(());
        };
        download.got += bytes.len() as u64;
        let (got, size) = (download.got + download.from, download.size);
        match &mut download.sink {
            Some(file) => file.write_all(bytes)?,
            None => self.io.out.write_all(bytes)?,
        }
        if self.plan.quiet == 0 {
            let all = size.map_or(String::new(), |s| format!("/{s}"));
            self.io.progress(&format!("{got}{all} bytes"));
        }
        Ok(())
    }

    /// What came of a download; what it lacks.
    pub fn downloaded(&mut self) -> io::Result<Option<(u64, u64)>> {
        let Some(download) = &self.download else {
            return Ok(None);
        };
        let all = download.got + download.from;
        let short = download.size.filter(|s| *s != all);
        let spent = download.began.elapsed().as_secs_f64();
        let word = if short.is_some() {
            "Interrupted"
        } else {
            "Done"
        };
        let minutes = (spent / 60.0).floor();
        let speed = download.got as f64 / spent.max(1e-9);
        let text = format!(
            "{word}. {all} bytes in {minutes:02}:{:.5} ({})\n",
            spent - minutes * 60.0,
            rate(speed)
        );
        if self.plan.quiet == 0 {
            self.io.progress_done();
        }
        self.tell(&text)?;
        Ok(short.map(|size| (size, all)))
    }
}

impl Download {
    /// A download to a file of that name, or to standard output.
    pub fn new(name: Option<String>, from: u64, size: Option<u64>) -> Download {
        Download {
            name,
            sink: None,
            from,
            size,
            got: 0,
            began: Instant::now(),
        }
    }
}

fn rate(speed: f64) -> String {
    const UNITS: [&str; 4] = ["bytes", "kB", "MB", "GB"];
    let (mut value, mut unit) = (speed, 0);
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let unit = UNITS.get(unit).unwrap_or(&"");
    format!("{value:.1} {unit}/s")
}

/// A name for what is downloaded: from the answer, else from the URL.
pub fn name_for(disposition: Option<&str>, path: &str, kind: &str) -> String {
    let told = disposition.and_then(|d| {
        let at = d.find("filename=")?;
        let value = d.get(at + "filename=".len()..)?.trim();
        let value = match value.strip_prefix('"') {
            Some(inside) => inside.split('"').next()?,
            None => value.split(';').next()?.trim(),
        };
        let name = value.rsplit(['/', '\\']).next()?.trim_start_matches('.');
        (!name.is_empty()).then(|| name.to_string())
    });
    if let Some(name) = told {
        return name;
    }
    let last = path
        .trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or_default();
    let last = netshoot_wire::web::unpercent(last);
    let mut name = String::from_utf8_lossy(&last).replace(['/', '\0'], "_");
    if name.is_empty() || name.starts_with('.') {
        name = "index".into();
    }
    let ending = match show::bare(kind).as_str() {
        "application/json" => ".json",
        "text/html" => ".html",
        "text/plain" => ".txt",
        "text/css" => ".css",
        "application/pdf" => ".pdf",
        "image/png" => ".png",
        "image/jpeg" => ".jpg",
        "application/zip" => ".zip",
        _ => "",
    };
    if !name.contains('.') {
        name += ending;
    }
    name
}

/// A name that no file has yet.
pub fn unused(name: &str) -> String {
    let mut free = name.to_string();
    for n in 1..10_000 {
        if !std::path::Path::new(&free).exists() {
            break;
        }
        free = format!("{name}-{n}");
    }
    free
}
