//! Files, ranges and refusals as busybox's httpd says them.

use super::conf::Conf;
use super::request::{self, Request, Wrong};
use netshoot_model::time;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Result as Io, Seek, SeekFrom, Write};
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What became of a request, for the log.
#[derive(Clone, Debug, Default)]
pub struct Told {
    pub method: String,
    /// Set once it is known to be one.
    pub path: Option<String>,
    /// 0: nothing was answered.
    pub status: u16,
    pub bytes: u64,
}

/// How far an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The request is read.
    Asked,
    /// The answer is about to be written: in the log this stands before whatever its receiver asks next.
    Answers,
}

/// Hears of each step, with what is known by then.
pub type Tell<'a> = &'a mut dyn FnMut(Step, &Told);

/// A page that is no file.
struct Page<'a> {
    status: u16,
    more: &'a str,
    text: &'a str,
}

/// One request of a connection, answered.
pub fn converse(
    stream: &mut (impl Read + Write),
    conf: &Conf,
    peer: Option<IpAddr>,
    tell: Tell<'_>,
) -> Io<Told> {
    let mut told = Told::default();
    if !conf.welcome(peer) {
        return page(stream, conf, told, tell, 403, "", "");
    }
    let request = match request::head(stream).and_then(|h| request::parse(&h)) {
        Ok(request) => request,
        Err(Wrong::Nothing) => return Ok(told),
        Err(Wrong::Bad) => return page(stream, conf, told, tell, 400, "", "Unsupported method"),
        Err(Wrong::NoFile) => {
            return page(
                stream,
                conf,
                told,
                tell,
                404,
                "",
                "The requested URL was not found",
            );
        }
    };
    let path = String::from_utf8_lossy(&request.path).into_owned();
    told.method = request.method.clone();
    told.path = Some(path.clone());
    tell(Step::Asked, &told);
    if !conf.lets(&path, request.login.as_deref()) {
        let more = format!("WWW-Authenticate: Basic realm=\"{}\"\r\n", conf.realm);
        return page(stream, conf, told, tell, 401, &more, "");
    }
    let below = request.path.get(1..).unwrap_or_default();
    let mut file = conf.home.join(OsStr::from_bytes(below));
    if request.path.ends_with(b"/") {
        file.push(conf.index.as_deref().unwrap_or("index.html"));
    }
    if path.starts_with("/cgi-bin/") {
        let why = "CGI programs are not run here: this server only hands out files";
        return page(stream, conf, told, tell, 403, "", why);
    }
    if file.is_dir() {
        let query = request.query.as_deref().map(|q| format!("?{q}"));
        let more = format!("Location: {path}/{}\r\n", query.unwrap_or_default());
        return page(stream, conf, told, tell, 302, &more, "");
    }
    if path.ends_with("/httpd.conf") {
        return page(stream, conf, told, tell, 403, "", "");
    }
    if !matches!(request.method.as_str(), "GET" | "HEAD") {
        let why = "The requested method is not recognized";
        return page(stream, conf, told, tell, 501, "", why);
    }
    match opened(&file, request.gzip) {
        Some((open, packed)) => hand_out(stream, conf, told, tell, &request, &file, open, packed),
        None if conf.list && request.path.ends_with(b"/") => {
            listing(stream, conf, told, tell, &path, file.parent())
        }
        None => page(
            stream,
            conf,
            told,
            tell,
            404,
            "",
            "The requested URL was not found",
        ),
    }
}

/// An ordinary file, or its packed twin where the peer takes one.
fn opened(file: &Path, gzip: bool) -> Option<(File, bool)> {
    let open = |file: &Path| {
        // A pipe would wait for a writer.
        let mut options = File::options();
        let options = options.read(true).custom_flags(libc::O_NONBLOCK);
        options
            .open(file)
            .ok()
            .filter(|f| f.metadata().is_ok_and(|m| m.is_file()))
    };
    if gzip {
        let mut twin = file.as_os_str().to_owned();
        twin.push(".gz");
        if let Some(twin) = open(&PathBuf::from(twin)) {
            return Some((twin, true));
        }
    }
    open(file).map(|f| (f, false))
}

#[allow(clippy::too_many_arguments)] // what one answer is made of
fn hand_out(
    stream: &mut impl Write,
    conf: &Conf,
    mut told: Told,
    tell: Tell<'_>,
    request: &Request,
    file: &Path,
    mut open: File,
    packed: bool,
) -> Io<Told> {
    let about = open.metadata()?;
    let (size, seconds) = (about.len(), about.mtime());
    let tag = format!("\"{seconds:x}-{size:x}\"");
    let same = |t: &str| t.trim().trim_start_matches("W/") == tag || t.trim() == "*";
    if request
        .tags
        .as_deref()
        .is_some_and(|t| t.split(',').any(same))
    {
        return page(stream, conf, told, tell, 304, "", "");
    }
    let range = request.range.filter(|r| r.0 < size);
    let (first, length) = match range {
        Some((first, last)) => {
            let last = last.unwrap_or(u64::MAX).min(size.saturating_sub(1));
            (first, last - first + 1)
        }
        None => (0, size),
    };
    told.status = if range.is_some() { 206 } else { 200 };
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let mut head = begin(told.status);
    match conf.media_type(&name) {
        _ if range.is_some() => head += "Content-type: text/html\r\n",
        Some(media) => head += &format!("Content-type: {media}\r\n"),
        None => {}
    }
    if range.is_some() {
        let last = first + length - 1;
        head += &format!("Content-Range: bytes {first}-{last}/{size}\r\n");
    }
    head += &format!(
        "Accept-Ranges: bytes\r\nLast-Modified: {}\r\nETag: {tag}\r\nContent-Length: {length}\r\n",
        date(seconds)
    );
    if packed {
        head += "Content-Encoding: gzip\r\n";
    }
    head += "\r\n";
    tell(Step::Answers, &told);
    stream.write_all(head.as_bytes())?;
    if request.method != "HEAD" {
        open.seek(SeekFrom::Start(first))?;
        told.bytes = std::io::copy(&mut open.take(length), stream)?;
    }
    stream.flush()?;
    Ok(told)
}

fn listing(
    stream: &mut impl Write,
    conf: &Conf,
    mut told: Told,
    tell: Tell<'_>,
    path: &str,
    folder: Option<&Path>,
) -> Io<Told> {
    let Some(Ok(entries)) = folder.map(std::fs::read_dir) else {
        return page(
            stream,
            conf,
            told,
            tell,
            404,
            "",
            "The requested URL was not found",
        );
    };
    let mut rows: Vec<(bool, String, u64, i64)> = entries
        .filter_map(|e| {
            let e = e.ok()?;
            let about = std::fs::metadata(e.path()).ok()?;
            let name = e.file_name().to_string_lossy().into_owned();
            Some((!about.is_dir(), name, about.len(), about.mtime()))
        })
        .collect();
    rows.sort();
    let title = entities(path);
    let mut text = format!(
        "<!DOCTYPE html>\n<HTML><HEAD><META charset=\"utf-8\"><TITLE>{title}</TITLE></HEAD>\n<BODY><H1>{title}</H1>\n<PRE>\n"
    );
    for (file, name, size, seconds) in &rows {
        let slash = if *file { "" } else { "/" };
        text += &format!(
            "<A href=\"{}{slash}\">{}{slash}</A>  {size}  {}\n",
            escaped(name),
            entities(name),
            date(*seconds)
        );
    }
    text += "</PRE></BODY></HTML>\n";
    told.status = 200;
    told.bytes = text.len() as u64;
    tell(Step::Answers, &told);
    let head = begin(200) + "Content-type: text/html; charset=utf-8\r\n";
    write!(stream, "{head}Content-Length: {}\r\n\r\n{text}", text.len())?;
    stream.flush()?;
    Ok(told)
}

#[allow(clippy::too_many_arguments)] // what one answer is made of
fn page(
    stream: &mut impl Write,
    conf: &Conf,
    mut told: Told,
    tell: Tell<'_>,
    status: u16,
    more: &str,
    text: &str,
) -> Io<Told> {
    told.status = status;
    let page = Page { status, more, text };
    let bytes = page.bytes(conf);
    told.bytes = bytes.len() as u64;
    tell(Step::Answers, &told);
    stream.write_all(&bytes)?;
    stream.flush()?;
    Ok(told)
}

impl Page<'_> {
    fn bytes(&self, conf: &Conf) -> Vec<u8> {
        let mut out = begin(self.status) + "Content-type: text/html\r\n" + self.more + "\r\n";
        if matches!(self.status, 302 | 304) {
            return out.into_bytes();
        }
        let own = conf.pages.get(&self.status);
        if let Some(own) = own.and_then(|file| std::fs::read(conf.home.join(file)).ok()) {
            let mut bytes = out.into_bytes();
            bytes.extend(own);
            return bytes;
        }
        let title = format!("{} {}", self.status, word(self.status));
        out += &format!(
            "<HTML><HEAD><TITLE>{title}</TITLE></HEAD>\n<BODY><H1>{title}</H1>\n{}\n</BODY></HTML>\n",
            self.text
        );
        out.into_bytes()
    }
}

fn begin(status: u16) -> String {
    let now = i64::try_from(netshoot_host::clock::now_ms() / 1000).unwrap_or(0);
    let (word, now) = (word(status), date(now));
    format!("HTTP/1.1 {status} {word}\r\nDate: {now}\r\nConnection: close\r\n")
}

fn word(status: u16) -> &'static str {
    match status {
        206 => "Partial Content",
        304 => "Not Modified",
        501 => "Not Implemented",
        other => netshoot_host::requests::reason(other),
    }
}

/// RFC 9110, 5.6.7: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub fn date(seconds: i64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let text = time::rfc3339(seconds.saturating_mul(1000));
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    let week = DAYS.get(seconds.div_euclid(86_400).rem_euclid(7) as usize);
    let month = part(5, 7)
        .parse::<usize>()
        .ok()
        .and_then(|m| MONTHS.get(m.wrapping_sub(1)));
    format!(
        "{}, {} {} {} {} GMT",
        week.unwrap_or(&""),
        part(8, 10),
        month.unwrap_or(&""),
        part(0, 4),
        part(11, 19)
    )
}

/// Every character that HTML could take for something else, as busybox writes it.
pub fn entities(text: &str) -> String {
    let one = |c: char| match c {
        c if c.is_ascii_alphanumeric() => c.to_string(),
        c => format!("&#{};", u32::from(c)),
    };
    text.chars().map(one).collect()
}

fn escaped(name: &str) -> String {
    let one = |b: u8| match b {
        b if b.is_ascii_alphanumeric() || b"-._~".contains(&b) => char::from(b).to_string(),
        b => format!("%{b:02X}"),
    };
    name.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_names() {
        assert_eq!(date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(entities("a<b"), "a&#60;b");
        assert_eq!(escaped("a b/c"), "a%20b%2Fc");
    }
}
