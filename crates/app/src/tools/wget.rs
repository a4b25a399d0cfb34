//! `wget`: files from the web into files, again and again until they are there, and what they lead to, as Wget 1.21.3 does.
//!
//! Reading order: [`options`] and [`plan`] (the command line), [`fetch`] (one URL), [`ask`] (one request), [`listen`] (one answer), [`after`] (what
//! follows from it), [`crawl`] (links), [`names`], [`meter`] and [`log`].

mod after;
mod ask;
mod crawl;
mod fetch;
mod listen;
mod log;
mod meter;
mod names;
mod options;
mod plan;

use super::{Group, Tool, take_lang};
use crate::io::Io;
use anyhow::Result;
use fetch::{Fetcher, Got};
use listen::Shared;
use log::Log;
use netshoot_host::web::response::now;
use netshoot_wire::web::url::{self, Bad, Url};
use plan::{Plan, Stop};
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::time::Instant;

/// The tool.
pub const TOOL: Tool = Tool {
    name: "wget",
    stands_for: "GNU Wget 1.21.3",
    group: Group::Web,
    tier: 2,
    about: "Fetch files from the web, again until they are there",
    about_zh: "从 Web 下载文件，失败则重试",
    page: include_str!("pages/wget.md"),
    cases: include_str!("cases/wget.txt"),
    run,
};

const USAGE: &str = "Usage: wget [OPTION]... [URL]...\n";
const HINT: &str = "\nTry `wget --help' for more options.\n";

fn run(args: &[OsString], io: &mut Io<'_>) -> Result<i32> {
    let mut words: Vec<String> = args.iter().map(options::text).collect();
    take_lang(&mut words, io);
    let args: Vec<OsString> = words.iter().map(OsString::from).collect();
    let plan = match options::read(&args) {
        Ok(plan) => plan,
        Err(Stop::Usage(said, code)) => {
            let hint = if said.starts_with("wget: ") { HINT } else { "" };
            write!(io.err, "{said}{USAGE}{hint}")?;
            return Ok(code);
        }
        Err(Stop::Said(said, code)) => {
            io.err.write_all(said.as_bytes())?;
            return Ok(code);
        }
    };
    match plan.show {
        Some("version") => {
            writeln!(
                io.out,
                "GNU Wget 1.21.3 built on linux-gnu.\n\n+digest +https +ipv6 +large-file (netshoot {})",
                env!("CARGO_PKG_VERSION")
            )?;
            return Ok(0);
        }
        Some(_) => {
            write!(
                io.out,
                "GNU Wget 1.21.3, a non-interactive network retriever.\n{USAGE}\n{}",
                options::listed()
            )?;
            return Ok(0);
        }
        None => {}
    }
    if plan.background && std::env::var_os(BEGUN).is_none() {
        return in_background(&args, &plan, io);
    }
    fetch_all(&plan, io)
}

/// Says to the one who is begun that it is in the background already.
const BEGUN: &str = "NETSHOOT_WGET_BEGUN";

/// Begins anew as a process of its own that nobody waits for.
fn in_background(args: &[OsString], plan: &Plan, io: &mut Io<'_>) -> Result<i32> {
    use std::os::unix::process::CommandExt;
    use std::process::Stdio;
    let own = (plan.log.is_none() && (!plan.quiet || plan.server_response))
        .then(|| names::unused("wget-log"));
    let mut command = std::process::Command::new(std::env::current_exe()?);
    command
        .arg0("wget")
        .args(args)
        .env(BEGUN, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0);
    if let Some(log) = &own {
        command.args(["-o", log]);
    }
    let child = command.spawn()?;
    writeln!(io.out, "Continuing in background, pid {}.", child.id())?;
    if let Some(log) = own {
        writeln!(io.out, "Output will be written to ‘{log}’.")?;
    }
    Ok(0)
}

/// The URLs of a file, one a line, or the links of a page.
fn listed(plan: &Plan, input: &str) -> std::io::Result<Vec<String>> {
    let mut bytes = Vec::new();
    match input {
        "-" => std::io::stdin().read_to_end(&mut bytes)?,
        name => File::open(name)?.read_to_end(&mut bytes)?,
    };
    let text = String::from_utf8_lossy(&bytes);
    let base = plan.base.as_deref().and_then(|b| read_url(b).ok());
    let joined = |line: &str| match &base {
        Some(base) => base
            .join(line, false)
            .map_or(line.to_string(), |u| u.to_string()),
        None => line.to_string(),
    };
    if plan.force_html {
        let found = netshoot_wire::web::links::parse(&text);
        return Ok(found.links.iter().map(|l| joined(&l.url)).collect());
    }
    let lines = text.lines().map(str::trim).filter(|l| !l.is_empty());
    Ok(lines.map(joined).collect())
}

/// A URL as people type it.
fn read_url(text: &str) -> Result<Url, String> {
    let mut safe = String::new();
    for (at, c) in text.char_indices() {
        let two = || text.get(at + 1..at + 3).unwrap_or_default();
        match c {
            ' ' => safe += "%20",
            '%' if two().len() < 2 || !two().bytes().all(|b| b.is_ascii_hexdigit()) => {
                safe += "%25";
            }
            c if c.is_ascii_control() => {
                safe += &netshoot_wire::web::percent(c.to_string().as_bytes());
            }
            c if c.is_ascii() => safe.push(c),
            c => safe += &netshoot_wire::web::percent(c.to_string().as_bytes()),
        }
    }
    if let Some((scheme, _)) = text.split_once("://")
        && !["http", "https"].contains(&scheme.to_ascii_lowercase().as_str())
    {
        if scheme.contains(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c)) {
            return Err("Scheme missing".into());
        }
        return Err(format!("Unsupported scheme ‘{scheme}’"));
    }
    let behind = text.split_once("://").map_or(text, |p| p.1);
    if behind.is_empty() || behind.starts_with('/') {
        return Err("Invalid host name".into());
    }
    if let Some(literal) = behind.strip_prefix('[') {
        let literal = literal
            .split_once(']')
            .ok_or("Unterminated IPv6 numeric address")?
            .0;
        let address = literal.split('%').next().unwrap_or_default();
        if address.parse::<std::net::Ipv6Addr>().is_err() {
            return Err("Invalid IPv6 numeric address".into());
        }
    }
    let manner = url::Manner {
        default_scheme: Some("http"),
        ..url::Manner::default()
    };
    let url = url::parse(&safe, manner).map_err(|bad| {
        match bad {
            Bad::Port => "Bad port number",
            Bad::NoHost | Bad::Host => "Invalid host name",
            _ => "Invalid URL",
        }
        .to_string()
    })?;
    match url.scheme.as_str() {
        "http" | "https" => Ok(url),
        scheme => Err(format!("Unsupported scheme ‘{scheme}’")),
    }
}

/// The number that goes first among exit codes.
fn worse(a: i32, b: i32) -> i32 {
    match (a, b) {
        (0, b) => b,
        (a, 0) => a,
        (a, b) => a.min(b),
    }
}

fn fetch_all(plan: &Plan, io: &mut Io<'_>) -> Result<i32> {
    let began = Instant::now();
    let shared = match plan.output.as_deref() {
        _ if plan.spider => Shared::No,
        None => Shared::No,
        Some("-") => Shared::Out,
        Some(name) if plan.no_clobber && std::path::Path::new(name).exists() => {
            let said = format!("File ‘{name}’ already there; not retrieving.\n");
            Log::new(plan, io)?.verbose(&said)?;
            return Ok(1);
        }
        Some(name) => {
            let mut options = File::options();
            options.create(true).write(true);
            match plan.resume {
                true => options.append(true),
                false => options.truncate(true),
            };
            match options.open(name) {
                Ok(file) => Shared::File(file),
                Err(e) => {
                    let why = netshoot_host::sockets::strerror(&e);
                    writeln!(io.err, "{name}: {why}")?;
                    return Ok(1);
                }
            }
        }
    };
    if let Some(log) = plan.log.as_deref()
        && let Err(e) = Log::file(plan)
    {
        let why = netshoot_host::sockets::strerror(&e);
        writeln!(io.err, "wget: {log}: {why}")?;
        return Ok(1);
    }
    let mut log = Log::new(plan, io)?;
    if plan.timestamping && plan.output.is_some() {
        log.plain("WARNING: timestamping does nothing in combination with -O. See the manual\nfor details.\n\n")?;
    }
    let mut fetcher = Fetcher::new(plan, log, shared);
    load_cookies(plan, &fetcher);
    let mut code = 0;
    for text in &plan.urls {
        code = worse(code, one(&mut fetcher, text)?);
    }
    let listed = match &plan.input {
        Some(input) => input_of(&mut fetcher, input)?,
        None => Vec::new(),
    };
    for text in &listed {
        if plan.quota.is_some_and(|q| fetcher.bytes > q) {
            break;
        }
        code = worse(code, one(&mut fetcher, text)?);
    }
    store_cookies(plan, &fetcher);
    let several = plan.recursive || plan.requisites || plan.urls.len() > 1 || plan.input.is_some();
    if several && fetcher.bytes > 0 {
        finished(&mut fetcher, began.elapsed().as_secs_f64())?;
    }
    Ok(code)
}

/// The URLs of the input file; said where there are none.
fn input_of(fetcher: &mut Fetcher<'_, '_, '_>, input: &str) -> Result<Vec<String>> {
    let said = match listed(fetcher.plan, input) {
        Ok(urls) if !urls.is_empty() => return Ok(urls),
        Ok(_) => String::new(),
        Err(e) => format!("{input}: {}\n", netshoot_host::sockets::strerror(&e)),
    };
    let text = format!("{said}No URLs found in {input}.\n");
    fetcher.log.plain(&text)?;
    Ok(Vec::new())
}

/// One URL of the command line; its exit code.
fn one(fetcher: &mut Fetcher<'_, '_, '_>, text: &str) -> Result<i32> {
    let plan = fetcher.plan;
    let url = match read_url(text) {
        Ok(url) => url,
        Err(why) => {
            fetcher.log.plain(&format!("{text}: {why}.\n"))?;
            return Ok(1);
        }
    };
    let (got, codes) = match plan.recursive || plan.requisites {
        true => fetcher.crawl(&url)?,
        false => {
            let got = fetcher.fetch(&url, None)?;
            let code = got.code;
            (got, vec![code])
        }
    };
    if plan.json {
        told(fetcher, &url, &got)?;
    }
    if plan.explain {
        let lang = fetcher.log.io.lang;
        let info = got.info.clone().unwrap_or_default();
        let text = super::curl::explain::explained(&info, got.failure.as_ref(), lang);
        fetcher.log.io.err.write_all(text.as_bytes())?;
    }
    Ok(codes.into_iter().fold(0, worse))
}

/// One object for a URL.
fn told(fetcher: &mut Fetcher<'_, '_, '_>, url: &Url, got: &Got) -> Result<()> {
    let object = serde_json::json!({
        "url": fetch::shown(url),
        "final_url": got.url.as_ref().map(fetch::shown),
        "status": (got.status > 0).then_some(got.status),
        "type": (!got.kind.is_empty()).then_some(&got.kind),
        "file": got.file,
        "bytes": got.bytes,
        "seconds": got.seconds,
        "exit_code": got.code,
        "error": got.failure.as_ref().map(|f| f.said.clone()),
    });
    writeln!(fetcher.log.io.out, "{object}")?;
    Ok(())
}

fn finished(fetcher: &mut Fetcher<'_, '_, '_>, spent: f64) -> Result<()> {
    let (bytes, seconds) = (fetcher.bytes, fetcher.seconds);
    let text = format!(
        "FINISHED --{}--\nTotal wall clock time: {}\nDownloaded: {} files, {} in {} ({})\n",
        log::stamp(),
        log::time(spent),
        fetcher.files,
        log::human(bytes),
        log::time(seconds),
        log::speed(bytes, seconds)
    );
    fetcher.log.plain(&text)?;
    if let Some(quota) = fetcher.plan.quota.filter(|q| bytes > *q) {
        fetcher.log.plain(&format!(
            "Download quota of {} EXCEEDED!\n",
            log::human(quota)
        ))?;
    }
    Ok(())
}

fn load_cookies(plan: &Plan, fetcher: &Fetcher<'_, '_, '_>) {
    if let Some(file) = &plan.load_cookies
        && let Ok(text) = std::fs::read_to_string(file)
        && let Ok(mut jar) = fetcher.session.jar.lock()
    {
        jar.load(&text, false, now());
    }
}

fn store_cookies(plan: &Plan, fetcher: &Fetcher<'_, '_, '_>) {
    let (Some(file), Ok(mut jar)) = (&plan.save_cookies, fetcher.session.jar.lock()) else {
        return;
    };
    let all = jar.to_file(now());
    let mut text = format!(
        "# HTTP Cookie File\n# Generated by Wget on {}.\n# Edit at your own risk.\n\n",
        log::stamp()
    );
    for line in all.lines().filter(|l| l.contains('\t')) {
        let session = line.split('\t').nth(4) == Some("0");
        if plan.keep_session || !session {
            text += &format!("{line}\n");
        }
    }
    // It is no failure of the fetching.
    let _ = std::fs::write(file, text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_as_people_type_them() {
        assert_eq!(read_url("h/a b").unwrap().to_string(), "http://h/a%20b");
        assert_eq!(read_url("foo://x").unwrap_err(), "Unsupported scheme ‘foo’");
        assert_eq!(read_url("http://h:99999/").unwrap_err(), "Bad port number");
        netshoot_wire::fuzz::texts(
            &["http://u:p@h:1/a?b#c", "h", "http://[::1]/é"],
            2_000,
            |text| {
                if let Ok(url) = read_url(text) {
                    assert!(["http", "https"].contains(&url.scheme.as_str()), "{text}");
                }
            },
        );
    }
}
