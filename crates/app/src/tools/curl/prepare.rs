//! From options to transfers: each URL of a pattern, its file, its order.

use super::data;
use super::glob::{self, Pattern};
use super::plan::{Config, Global, Out};
use super::transfer::{Side, Transfer};
use netshoot_host::web::Body;
use netshoot_host::web::failure::code;
use netshoot_host::web::order::{Netrc, Order, Verb};
use netshoot_wire::web::percent_small;
use netshoot_wire::web::url::{self, Manner};
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Why a transfer does not begin.
#[derive(Debug)]
pub struct Early {
    pub code: i32,
    pub said: String,
    /// Said although all is quiet.
    pub always: bool,
}

fn early(code: i32, said: String) -> Early {
    Early {
        code,
        said,
        always: false,
    }
}

/// One transfer to be done.
pub struct Job {
    pub url: String,
    pub out: Out,
    upload: Option<String>,
    choices: Vec<String>,
}

/// All transfers of a part of the command line, one after the other.
pub fn jobs(part: &Config) -> impl Iterator<Item = Result<Job, Early>> {
    part.outs
        .iter()
        .filter(|o| o.url.is_some())
        .flat_map(|out| of_out(part, out))
}

fn pattern(text: &str, off: bool) -> Result<Pattern, Early> {
    if off {
        return Ok(vec![glob::Part::Text(text.to_string())]);
    }
    glob::parse(text).map_err(|bad| {
        let mark = " ".repeat(bad.at.saturating_sub(1));
        let said = format!(
            "curl: (3) {} in URL position {}:\n{text}\n{mark}^\n",
            bad.why, bad.at
        );
        early(code::URL, said)
    })
}

fn of_out<'p>(
    part: &'p Config,
    out: &'p Out,
) -> Box<dyn Iterator<Item = Result<Job, Early>> + Send + 'p> {
    let text = out.url.clone().unwrap_or_default();
    let urls = match pattern(&text, part.glob_off) {
        Ok(urls) => urls,
        Err(e) => return Box::new(std::iter::once(Err(e))),
    };
    let files = match out.upload.as_deref().map(|f| pattern(f, part.glob_off)) {
        Some(Ok(files)) => Some(files),
        Some(Err(e)) => return Box::new(std::iter::once(Err(e))),
        None => None,
    };
    let count = glob::total(&urls);
    let uploads = files.as_ref().map_or(1, |f| glob::total(f));
    let all = (0..uploads).flat_map(move |u| (0..count).map(move |n| (u, n)));
    Box::new(all.map(move |(u, n)| {
        let (url, choices) = glob::nth(&urls, n);
        Ok(Job {
            url,
            out: out.clone(),
            upload: files.as_ref().map(|f| glob::nth(f, u).0),
            choices,
        })
    }))
}

/// Percent-encoding in small letters, as what is put behind a URL has it.
fn small(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('%') {
        out += before;
        out.push('%');
        let hex = behind
            .get(..2)
            .filter(|h| h.bytes().all(|b| b.is_ascii_hexdigit()));
        out += &hex.unwrap_or_default().to_ascii_lowercase();
        rest = behind.get(hex.map_or(0, str::len)..).unwrap_or_default();
    }
    out + rest
}

/// A URL with more behind its question mark.
fn with_query(text: &str, queries: &[String]) -> String {
    if queries.is_empty() {
        return text.to_string();
    }
    let (bare, fragment) = match text.split_once('#') {
        Some((bare, fragment)) => (bare, format!("#{fragment}")),
        None => (text, String::new()),
    };
    let authority = bare.find("://").map_or(0, |at| at + 3);
    let has_path = bare
        .get(authority..)
        .is_some_and(|r| r.contains(['/', '?']));
    let slash = if has_path { "" } else { "/" };
    let mark = match bare.find('?') {
        Some(at) if at + 1 == bare.len() => "",
        Some(_) => "&",
        None => "?",
    };
    format!("{bare}{slash}{mark}{}{fragment}", small(&queries.join("&")))
}

impl Job {
    /// The order, and the file that the content goes to.
    pub fn order(&self, part: &Config, global: &Global) -> Result<(Order, Option<PathBuf>), Early> {
        let mut order = part.order.clone();
        super::verbose(&mut order, global);
        order.url = with_query(&self.url, &part.url_query);
        if let Some(file) = &self.upload {
            order.verb = Verb::Put;
            order.url = self.upload_url(file, &order.url);
        }
        self.netrc(part, &mut order)?;
        let file = self.file(part, &order.url)?;
        if part.resume_from_file && self.upload.is_none() {
            let there = file
                .as_ref()
                .and_then(|f| std::fs::metadata(f).ok())
                .map_or(0, |m| m.len());
            order.resume = i64::try_from(there).ok().filter(|n| *n > 0);
        } else if part.resume_from_file {
            order.resume = Some(0);
        }
        if let Some(path) = &part.etag_compare {
            let text = std::fs::read_to_string(path).map_err(|e| {
                let why = netshoot_host::sockets::strerror(&e);
                early(code::READ, format!("curl: Failed to open {path}: {why}\n"))
            })?;
            let line = text.lines().next().unwrap_or_default();
            order.headers.push(match line {
                "" => "If-None-Match: \"\"".to_string(),
                tag => format!("If-None-Match: {tag}"),
            });
        }
        if let Some(path) = &part.etag_save
            && path != "-"
            && std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)
                .is_err()
        {
            let said = format!("Failed creating file for saving etags: \"{path}\"");
            let said = super::wrapped("Warning: ", &said);
            let quiet = global.silent;
            return Err(early(code::READ, if quiet { String::new() } else { said }));
        }
        Ok((order, file))
    }

    fn upload_url(&self, file: &str, url_text: &str) -> String {
        if file == "-" || file == "." {
            return url_text.to_string();
        }
        let Ok(parsed) = url::parse(url_text, Manner::default()) else {
            return url_text.to_string();
        };
        let no_name = parsed.path.ends_with('/') && parsed.query.is_none();
        let base = file.rsplit('/').next().unwrap_or(file);
        match no_name {
            true => {
                let slash = if url_text.ends_with('/') { "" } else { "/" };
                format!("{url_text}{slash}{}", percent_small(base.as_bytes()))
            }
            false => url_text.to_string(),
        }
    }

    fn netrc(&self, part: &Config, order: &mut Order) -> Result<(), Early> {
        if !(part.netrc || part.netrc_optional || part.netrc_file.is_some()) {
            return Ok(());
        }
        let home = || Some(Path::new(&std::env::var_os("HOME")?).join(".netrc"));
        let path = part.netrc_file.as_ref().map(PathBuf::from).or_else(home);
        let text = path.and_then(|p| std::fs::read(p).ok());
        let broken =
            |bytes: &[u8]| netshoot_host::web::netrc::broken(&String::from_utf8_lossy(bytes));
        match text {
            Some(bytes) if broken(&bytes) => {
                Err(early(code::READ, "curl: (26) .netrc parser error\n".into()))
            }
            Some(bytes) => {
                order.netrc = Some(Netrc {
                    text: String::from_utf8_lossy(&bytes).into_owned(),
                    optional: part.netrc_optional,
                });
                Ok(())
            }
            None if part.netrc_file.is_some() && !part.netrc_optional => {
                Err(early(code::READ, "curl: (26) .netrc parser error\n".into()))
            }
            None => Ok(()),
        }
    }

    fn file(&self, part: &Config, url_text: &str) -> Result<Option<PathBuf>, Early> {
        let remote = self.out.remote_name || (part.remote_all && self.out.output.is_none());
        let name = if remote {
            let parsed = url::parse(url_text, Manner::default()).ok();
            let path = parsed.map_or_else(String::new, |u| u.path);
            let base = path.rsplit('/').next().unwrap_or_default().to_string();
            if base.is_empty() {
                let said = "curl: Remote file name has no length!\n".to_string();
                return Err(Early {
                    code: code::WRITE,
                    said: said + super::HINT,
                    always: true,
                });
            }
            base
        } else {
            match &self.out.output {
                None => return Ok(None),
                Some(name) if name == "-" => return Ok(None),
                Some(name) => glob::filled(name, &self.choices),
            }
        };
        Ok(Some(match &part.output_dir {
            Some(dir) => Path::new(dir).join(name),
            None => name.into(),
        }))
    }

    /// Where heads go and what is sent.
    pub fn arrange(
        &self,
        part: &Config,
        order: &mut Order,
        transfer: &mut Transfer<'_, '_, '_>,
    ) -> Result<(), Early> {
        if order.resume.is_some_and(|n| n > 0) && self.upload.is_none() {
            transfer.append();
        }
        if let Some(name) = &part.dump_header {
            match Side::of(name) {
                Ok(side) => transfer.heads_to(side),
                Err(_) => {
                    transfer.complain(&super::wrapped(
                        "Warning: ",
                        &format!("Failed to open {name}"),
                    ));
                    return Err(early(code::WRITE, String::new()));
                }
            }
        }
        match &self.upload {
            Some(file) if file == "-" || file == "." => {
                transfer.give_stdin();
                order.body = Body::Given(None);
            }
            Some(file) => self.send_file(part, order, transfer, file)?,
            None => {}
        }
        if !part.form.is_empty() {
            let form = data::form(&part.form, part.form_escape, order).map_err(|file| {
                let _ = file;
                early(
                    code::READ,
                    "curl: (26) Failed to open/read local data from file/application\n".into(),
                )
            })?;
            order.content_type = Some(form.content_type);
            order.body = Body::Given(form.size);
            transfer.give_pieces(form.pieces);
        }
        Ok(())
    }

    fn send_file(
        &self,
        part: &Config,
        order: &mut Order,
        transfer: &mut Transfer<'_, '_, '_>,
        file: &str,
    ) -> Result<(), Early> {
        let failed = || Early {
            code: code::READ,
            said: format!("curl: Can't open '{file}'!\n{}", super::HINT),
            always: true,
        };
        let mut open = File::open(file).map_err(|_| failed())?;
        let meta = open.metadata().map_err(|_| failed())?;
        let mut size = meta.is_file().then_some(meta.len());
        let _ = part;
        if let (Some(from), Some(all)) = (
            order
                .resume
                .filter(|n| *n > 0 && !self.url.starts_with("file:")),
            size,
        ) {
            let from = from.unsigned_abs();
            let _ = open.seek(SeekFrom::Start(from));
            size = Some(all.saturating_sub(from));
        }
        order.body = Body::Given(size);
        transfer.give_file(open);
        Ok(())
    }
}
