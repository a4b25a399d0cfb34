//! The options of wget(1), and how each changes the plan.

use super::plan::{Meter, Plan, Stop};
use crate::tools::getopt::{self, Long, Order, Takes, Word};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

const N: Takes = Takes::Nothing;
const V: Takes = Takes::Value;

/// Beyond all letters: options that have none.
const BEYOND: u32 = 0xE000;

/// Long names with their letters; a space where there is none.
#[rustfmt::skip] // a few a line
const NAMES: &[(&str, char, Takes)] = &[
    ("accept", 'A', V), ("adjust-extension", 'E', N), ("append-output", 'a', V), ("ask-password", ' ', N), ("auth-no-challenge", ' ', N),
    ("background", 'b', N), ("backups", ' ', Takes::Maybe), ("base", 'B', V), ("bind-address", ' ', V), ("body-data", ' ', V), ("body-file", ' ', V),
    ("ca-certificate", ' ', V), ("ca-directory", ' ', V), ("certificate", ' ', V), ("certificate-type", ' ', V), ("check-certificate", ' ', Takes::Maybe),
    ("ciphers", ' ', V), ("clobber", ' ', N), ("compression", ' ', V), ("config", ' ', V), ("connect-timeout", ' ', V), ("content-disposition", ' ', N),
    ("content-on-error", ' ', N), ("continue", 'c', N), ("convert-links", 'k', N), ("cookies", ' ', N), ("cut-dirs", ' ', V), ("debug", 'd', N),
    ("default-page", ' ', V), ("delete-after", ' ', N), ("directories", ' ', N), ("directory-prefix", 'P', V), ("dns-cache", ' ', N), ("dns-timeout", ' ', V),
    ("domains", 'D', V), ("exclude-directories", 'X', V), ("exclude-domains", ' ', V), ("execute", 'e', V), ("explain", ' ', N), ("follow-tags", ' ', V),
    ("force-directories", 'x', N), ("force-html", 'F', N), ("header", ' ', V), ("help", 'h', N), ("host-directories", ' ', N), ("hsts", ' ', N),
    ("html-extension", 'E', N), ("http-keep-alive", ' ', N), ("http-passwd", ' ', V), ("http-password", ' ', V), ("http-user", ' ', V), ("https-only", ' ', N),
    ("if-modified-since", ' ', N), ("ignore-case", ' ', N), ("ignore-length", ' ', N), ("ignore-tags", ' ', V), ("include-directories", 'I', V),
    ("inet4-only", '4', N), ("inet6-only", '6', N), ("input-file", 'i', V), ("iri", ' ', N), ("json", ' ', N), ("keep-session-cookies", ' ', N), ("level", 'l', V),
    ("limit-rate", ' ', V), ("load-cookies", ' ', V), ("local-encoding", ' ', V), ("max-redirect", ' ', V), ("method", ' ', V), ("mirror", 'm', N),
    ("no-cache", ' ', N), ("no-check-certificate", ' ', N), ("no-clobber", '\u{e800}', N), ("no-config", ' ', N), ("no-content-on-error", ' ', N), ("no-cookies", ' ', N),
    ("no-directories", '\u{e801}', N), ("no-dns-cache", ' ', N), ("no-host-directories", '\u{e802}', N), ("no-hsts", ' ', N), ("no-http-keep-alive", ' ', N),
    ("no-if-modified-since", ' ', N), ("no-iri", ' ', N), ("no-netrc", ' ', N), ("no-parent", '\u{e803}', N), ("no-proxy", ' ', N), ("no-use-server-timestamps", ' ', N),
    ("no-verbose", '\u{e804}', N), ("output-document", 'O', V), ("output-file", 'o', V), ("page-requisites", 'p', N), ("parent", ' ', N), ("password", ' ', V),
    ("post-data", ' ', V), ("post-file", ' ', V), ("prefer-family", ' ', V), ("private-key", ' ', V), ("private-key-type", ' ', V), ("progress", ' ', V),
    ("protocol-directories", ' ', N), ("proxy", ' ', Takes::Maybe), ("proxy-password", ' ', V), ("proxy-user", ' ', V), ("quiet", 'q', N), ("quota", 'Q', V),
    ("random-wait", ' ', N), ("read-timeout", ' ', V), ("recursive", 'r', N), ("referer", ' ', V), ("reject", 'R', V), ("relative", 'L', N),
    ("restrict-file-names", ' ', V), ("retry-connrefused", ' ', N), ("retry-on-host-error", ' ', N), ("retry-on-http-error", ' ', V), ("save-cookies", ' ', V),
    ("save-headers", ' ', N), ("secure-protocol", ' ', V), ("server-response", 'S', N), ("show-progress", ' ', N), ("span-hosts", 'H', N), ("spider", ' ', N),
    ("start-pos", ' ', V), ("timeout", 'T', V), ("timestamping", 'N', N), ("tries", 't', V), ("trust-server-names", ' ', N), ("use-askpass", ' ', V),
    ("use-server-timestamps", ' ', N), ("user", ' ', V), ("user-agent", 'U', V), ("verbose", 'v', N), ("version", 'V', N), ("wait", 'w', V), ("waitretry", ' ', V),
];

/// Options that take no part here: taken, and nothing changes.
const IDLE: &[&str] = &[
    "ask-password",
    "certificate-type",
    "clobber",
    "debug",
    "directories",
    "dns-cache",
    "follow-tags",
    "hsts",
    "ignore-tags",
    "iri",
    "local-encoding",
    "no-dns-cache",
    "no-hsts",
    "no-iri",
    "private-key-type",
    "config",
    "no-config",
    "cookies",
    "host-directories",
    "http-keep-alive",
    "if-modified-since",
    "use-server-timestamps",
    "parent",
    "ignore-case",
];
/// Those that would be missed: refused.
const REFUSED: &[&str] = &[
    "convert-links",
    "backups",
    "delete-after",
    "save-headers",
    "use-askpass",
    "relative",
];

const SHORT: &str = "a:A:bB:cdD:e:EFhHi:I:kl:LmNn:o:O:pP:qQ:rR:St:T:U:vVw:xX:46";

fn longs() -> Vec<Long> {
    NAMES
        .iter()
        .zip(0..)
        .map(|((name, letter, takes), at)| {
            let beyond = char::from_u32(BEYOND + at).unwrap_or(' ');
            // Each that takes nothing takes `=on` and `=off`.
            let takes = if *takes == N { &Takes::Maybe } else { takes };
            (*name, *takes, if *letter == ' ' { beyond } else { *letter })
        })
        .collect()
}

/// The option's long name.
fn name_of(letter: char) -> Option<&'static str> {
    let at = u32::from(letter).checked_sub(BEYOND).map(|n| n as usize);
    let beyond = at.and_then(|at| NAMES.get(at)).filter(|n| n.1 == ' ');
    let found = beyond.or_else(|| NAMES.iter().find(|n| n.1 == letter));
    found.map(|n| n.0)
}

fn usage(said: &str) -> Stop {
    Stop::Usage(format!("wget: {said}\n"), 2)
}

fn seconds(name: &str, text: &str) -> Result<Option<Duration>, Stop> {
    let (number, unit) = match text.chars().last().filter(char::is_ascii_alphabetic) {
        Some(c) => (
            text.get(..text.len() - 1).unwrap_or_default(),
            c.to_ascii_lowercase(),
        ),
        None => (text, 's'),
    };
    let factor = match unit {
        's' => 1.0,
        'm' => 60.0,
        'h' => 3_600.0,
        'd' => 86_400.0,
        'w' => 604_800.0,
        _ => -1.0,
    };
    let value = plain(number).map(|n| n * factor);
    let below = number.parse::<f64>().is_ok_and(|n| n < 0.0);
    match value.filter(|v| *v >= 0.0).map(Duration::try_from_secs_f64) {
        Some(Ok(d)) => Ok(Some(d).filter(|d| !d.is_zero())),
        _ => Err(Stop::Said(
            match below {
                true => format!("wget: --{name}: Negative time period ‘{text}’\n"),
                false => format!("wget: --{name}: Invalid time period ‘{text}’\n"),
            },
            2,
        )),
    }
}

/// Digits and a point.
fn plain(number: &str) -> Option<f64> {
    let digits = number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    digits.then(|| number.parse().ok())?
}

fn bytes(name: &str, text: &str) -> Result<f64, Stop> {
    let lower = text.to_ascii_lowercase();
    let (number, factor) = match lower.chars().last() {
        Some('k') => (lower.get(..lower.len() - 1), 1024.0),
        Some('m') => (lower.get(..lower.len() - 1), 1024.0 * 1024.0),
        Some('g') => (lower.get(..lower.len() - 1), 1024.0 * 1024.0 * 1024.0),
        _ => (Some(lower.as_str()), 1.0),
    };
    let value = number.and_then(plain).map(|n| n * factor);
    value
        .filter(|v| *v >= 0.0)
        .ok_or_else(|| Stop::Said(format!("wget: --{name}: Invalid byte value ‘{text}’\n"), 2))
}

fn whole(name: &str, text: &str) -> Result<u64, Stop> {
    if text.starts_with('-') {
        let said = format!("wget: --{name}: Invalid number ‘{text}’.\n");
        return Err(Stop::Said(said, 2));
    }
    // As atoi(3) reads it.
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number = text.get(..digits).unwrap_or_default();
    match number.parse::<u64>() {
        Ok(n) if i32::try_from(n).is_ok() => Ok(n),
        Err(_) if number.is_empty() => Ok(0),
        _ => Err(Stop::Said(
            format!("wget: --{name}: Invalid number ‘{text}’.\n"),
            2,
        )),
    }
}

fn family(option: &str) -> u8 {
    if option.contains('4') { 4 } else { 6 }
}

/// One of a few words.
fn one_of(name: &str, text: &str, known: &[&str]) -> Result<(), Stop> {
    if known.iter().any(|k| k.eq_ignore_ascii_case(text)) {
        return Ok(());
    }
    let said = format!("wget: --{name}: Invalid value ‘{text}’.\n");
    Err(Stop::Said(said, 2))
}

fn list(into: &mut Vec<String>, text: &str) {
    into.extend(
        text.split(',')
            .map(str::trim)
            .filter(|t| !t.is_empty())
            .map(String::from),
    );
}

/// Reads the words behind the program's name.
pub fn read(args: &[OsString]) -> Result<Plan, Stop> {
    let mut plan = Plan::default();
    let args: Vec<OsString> = args.iter().map(turned_off).collect();
    let words = getopt::read(&args, SHORT, &longs(), Order::Anywhere);
    let no_config = args.iter().any(|a| a == "--no-config");
    if !no_config {
        startup(&mut plan)?;
    }
    let mut asked: Vec<(&'static str, String)> = Vec::new();
    for word in words {
        match word {
            Err(mistake) => return Err(usage(&mistake.to_string())),
            Ok(Word::Operand(url)) => plan.urls.push(text(&url)),
            Ok(Word::Option('n', Some(letters))) => {
                for letter in letters.to_string_lossy().chars() {
                    let name = match letter {
                        'c' => "no-clobber",
                        'd' => "no-directories",
                        'H' => "no-host-directories",
                        'p' => "no-parent",
                        'v' => "no-verbose",
                        c => return Err(usage(&format!("invalid option -- 'n{c}'"))),
                    };
                    asked.push((name, String::new()));
                }
            }
            Ok(Word::Option(letter, value)) => {
                let Some(name) = name_of(letter) else {
                    continue;
                };
                let switch = NAMES.iter().any(|n| n.0 == name && n.2 == N);
                let value = value.map(|v| v.to_string_lossy().into_owned());
                match value {
                    Some(value) if switch && !on_or_off(name, &value)? => {
                        asked.retain(|a| a.0 != name);
                        if name == "verbose" {
                            asked.push(("no-verbose", String::new()));
                        }
                    }
                    value => asked.push((name, value.unwrap_or_default())),
                }
            }
        }
    }
    for (name, value) in asked {
        apply(&mut plan, name, &value)?;
    }
    plan.settle()?;
    Ok(plan)
}

/// `--no-quiet` is `--quiet=off`, where no option of its own has that name.
fn turned_off(word: &OsString) -> OsString {
    let own = word.to_str().and_then(|w| w.strip_prefix("--"));
    let known = |name: &str| NAMES.iter().any(|n| n.0 == name);
    let off = own
        .filter(|o| !known(o))
        .and_then(|o| o.strip_prefix("no-"));
    match off.filter(|o| NAMES.iter().any(|n| n.0 == *o && n.2 == N)) {
        Some(name) => format!("--{name}=off").into(),
        None => word.clone(),
    }
}

fn on_or_off(name: &str, value: &str) -> Result<bool, Stop> {
    match value.to_ascii_lowercase().as_str() {
        "on" | "yes" | "y" | "1" => Ok(true),
        "off" | "no" | "n" | "0" => Ok(false),
        _ => Err(Stop::Said(
            format!("wget: --{name}: Invalid boolean ‘{value}’; use `on' or `off'.\n"),
            2,
        )),
    }
}

/// A word as text; bytes that are none become `%FF`.
pub fn text(word: &OsString) -> String {
    let mut text = String::new();
    for chunk in word.as_bytes().utf8_chunks() {
        text += chunk.valid();
        text += &netshoot_wire::web::percent(chunk.invalid());
    }
    text
}

/// The file of one's own settings.
fn startup(plan: &mut Plan) -> Result<(), Stop> {
    let named = std::env::var_os("WGETRC").map(std::path::PathBuf::from);
    if let Some(path) = &named
        && let Err(e) = std::fs::metadata(path)
    {
        let (path, why) = (path.display(), netshoot_host::sockets::strerror(&e));
        let said = format!(
            "wget: WGETRC points to {path}, which couldn't be accessed because of error: {why}.\n"
        );
        return Err(Stop::Said(said, 1));
    }
    let own = named.or_else(|| Some(std::env::home_dir()?.join(".wgetrc")));
    let Some(text) = own.and_then(|p| std::fs::read_to_string(p).ok()) else {
        return Ok(());
    };
    for line in text.lines().map(str::trim) {
        if !line.is_empty() && !line.starts_with('#') {
            command(plan, line)?;
        }
    }
    Ok(())
}

/// `name = value`, as in a startup file.
pub fn command(plan: &mut Plan, line: &str) -> Result<(), Stop> {
    let wrong = || Stop::Said(format!("wget: Invalid --execute command ‘{line}’\n"), 2);
    let (name, value) = line.split_once('=').ok_or_else(wrong)?;
    let plain = |t: &str| t.trim().replace(['-', '_'], "").to_ascii_lowercase();
    let (key, value) = (plain(name), value.trim().trim_matches('"'));
    let on = matches!(
        value.to_ascii_lowercase().as_str(),
        "on" | "yes" | "1" | "true"
    );
    match key.as_str() {
        "robots" => plan.robots = on,
        "httpproxy" => plan.http_proxy = Some(value.to_string()),
        "httpsproxy" => plan.https_proxy = Some(value.to_string()),
        "noproxy" => plan.no_proxy = Some(value.to_string()),
        "useproxy" => plan.proxy = on,
        "checkcertificate" => plan.check = on,
        "passiveftp" => {}
        "reclevel" => apply(plan, "level", value)?,
        "dirprefix" => apply(plan, "directory-prefix", value)?,
        "logfile" => apply(plan, "output-file", value)?,
        "verbose" => plan.verbose = Some(on),
        "cookies" => plan.cookies = on,
        _ => {
            let known = NAMES.iter().find(|n| plain(n.0) == key).ok_or_else(wrong)?;
            if known.2 == V || on {
                apply(plan, known.0, value)?;
            }
        }
    }
    Ok(())
}

fn apply(plan: &mut Plan, name: &'static str, value: &str) -> Result<(), Stop> {
    let text = || Some(value.to_string());
    match name {
        "tries" => {
            plan.tries = if value == "inf" {
                0
            } else {
                whole(name, value)?
            }
        }
        "timeout" => {
            let time = seconds(name, value)?;
            (plan.connect_timeout, plan.read_timeout, plan.dns_timeout) = (time, time, time);
        }
        "connect-timeout" => plan.connect_timeout = seconds(name, value)?,
        "read-timeout" => plan.read_timeout = seconds(name, value)?,
        "dns-timeout" => plan.dns_timeout = seconds(name, value)?,
        "waitretry" => plan.wait_retry = seconds(name, value)?.unwrap_or_default(),
        "wait" => plan.wait = seconds(name, value)?.unwrap_or_default(),
        "limit-rate" => plan.limit = Some(bytes(name, value)? as u64).filter(|n| *n > 0),
        "quota" => plan.quota = Some(bytes(name, value)? as u64).filter(|n| *n > 0),
        "start-pos" => plan.start = Some(bytes(name, value)? as u64),
        "max-redirect" => plan.redirects = whole(name, value)?,
        "level" => {
            plan.level = if value == "inf" {
                0
            } else {
                whole(name, value)?
            }
        }
        "cut-dirs" => plan.cut = whole(name, value)?,
        "execute" => command(plan, value)?,
        "header" if value.is_empty() => plan.headers.clear(),
        "header" => {
            let named = value
                .split_once(':')
                .is_some_and(|p| !p.0.trim().is_empty());
            if !named || value.contains('\n') {
                let value = value.escape_debug();
                return Err(Stop::Said(
                    format!("wget: --header: Invalid header ‘{value}’.\n"),
                    2,
                ));
            }
            plan.headers.push(value.to_string());
        }
        "progress" => plan.meter = Some(meter(value)?),
        "restrict-file-names" => {
            let known = [
                "unix",
                "windows",
                "vms",
                "lowercase",
                "uppercase",
                "nocontrol",
                "ascii",
            ];
            if let Some(odd) = value.split(',').find(|w| !known.contains(w)) {
                let said = format!(
                    "wget: --restrict-file-names: Invalid restriction ‘{odd}’,\n    use [unix|vms|windows],[lowercase|uppercase],[nocontrol],[ascii].\n"
                );
                return Err(Stop::Said(said, 2));
            }
            plan.restrict = text();
        }
        "retry-on-http-error" => list(&mut plan.retry_on, value),
        "accept" => list(&mut plan.accept, value),
        "reject" => list(&mut plan.reject, value),
        "domains" => list(&mut plan.domains, value),
        "exclude-domains" => list(&mut plan.exclude_domains, value),
        "include-directories" => list(&mut plan.include, value),
        "exclude-directories" => list(&mut plan.exclude, value),
        "check-certificate" => plan.check = !matches!(value, "off" | "no" | "quiet"),
        "proxy" => plan.proxy = !matches!(value, "off" | "no"),
        "compression" => {
            one_of(name, value, &["auto", "gzip", "none"])?;
            plan.compression = !value.eq_ignore_ascii_case("none");
        }
        "prefer-family" => {
            one_of(name, value, &["IPv4", "IPv6", "none"])?;
            plan.prefer = text();
        }
        "secure-protocol" => {
            let old = ["auto", "SSLv2", "SSLv3", "TLSv1", "TLSv1_1", "PFS"];
            match value.to_ascii_lowercase().as_str() {
                "tlsv1_2" => plan.tls.most = 12,
                "tlsv1_3" => plan.tls.least = 13,
                _ => one_of(name, value, &old)?,
            }
        }
        "inet4-only" | "inet6-only" if ![0, family(name)].contains(&plan.family) => {
            let said = "Cannot specify both --inet4-only and --inet6-only.\n";
            return Err(Stop::Usage(said.into(), 1));
        }
        name if REFUSED.contains(&name) => {
            let said = format!("wget: --{name} is not done here\n");
            return Err(Stop::Said(said, 1));
        }
        name if IDLE.contains(&name) => {}
        name => flag(plan, name, value),
    }
    Ok(())
}

fn flag(plan: &mut Plan, name: &str, value: &str) {
    let text = Some(value.to_string());
    match name {
        "append-output" => (plan.log, plan.log_append) = (text, true),
        "output-file" => (plan.log, plan.log_append) = (text, false),
        "auth-no-challenge" => plan.auth_first = true,
        "background" => plan.background = true,
        "base" => plan.base = text,
        "bind-address" => plan.bind = text,
        "body-data" => plan.body_data = text,
        "body-file" => plan.body_file = text,
        "ca-certificate" => plan.tls.authorities = Some(value.into()),
        "ca-directory" => plan.tls.folder = Some(value.into()),
        "certificate" => plan.tls.certificate = Some(value.into()),
        "private-key" => plan.tls.key = Some(value.into()),
        "ciphers" => plan.tls.ciphers = text,
        "content-disposition" => plan.disposition = true,
        "content-on-error" => plan.content_on_error = true,
        "no-content-on-error" => plan.content_on_error = false,
        "continue" => plan.resume = true,
        "adjust-extension" => plan.adjust = true,
        "default-page" => plan.page = value.to_string(),
        "directory-prefix" => plan.prefix = text,
        "explain" => plan.explain = true,
        "json" => plan.json = true,
        "force-directories" => plan.dirs = Some(true),
        "force-html" => plan.force_html = true,
        "no-directories" => plan.dirs = Some(false),
        "no-host-directories" => plan.host_dirs = false,
        "protocol-directories" => plan.protocol_dirs = true,
        "help" => plan.show = Some("help"),
        "version" => plan.show = Some("version"),
        "user" => plan.user = text,
        "password" => plan.password = text,
        "http-user" => plan.http_user = text,
        "http-passwd" | "http-password" => plan.http_password = text,
        "proxy-user" => plan.proxy_user = text,
        "proxy-password" => plan.proxy_password = text,
        "https-only" => plan.https_only = true,
        "no-if-modified-since" => plan.since = false,
        "ignore-length" => plan.ignore_length = true,
        "inet4-only" | "inet6-only" => plan.family = family(name),
        "input-file" => plan.input = text,
        "keep-session-cookies" => plan.keep_session = true,
        "load-cookies" => plan.load_cookies = text,
        "save-cookies" => plan.save_cookies = text,
        "method" => plan.method = text.map(|m| m.to_ascii_uppercase()),
        "mirror" => (plan.recursive, plan.timestamping, plan.level) = (true, true, 0),
        "no-cache" => plan.no_cache = true,
        "no-check-certificate" => plan.check = false,
        "no-clobber" => plan.no_clobber = true,
        "no-cookies" => plan.cookies = false,
        "no-http-keep-alive" => plan.keep_alive = false,
        "no-netrc" => plan.netrc = false,
        "no-parent" => plan.no_parent = true,
        "no-proxy" => plan.proxy = false,
        "no-use-server-timestamps" => plan.server_times = false,
        "no-verbose" => plan.verbose = Some(false),
        "verbose" => (plan.verbose, plan.loud) = (Some(true), true),
        "output-document" => plan.output = text,
        "page-requisites" => plan.requisites = true,
        "post-data" => plan.post_data = text,
        "post-file" => plan.post_file = text,
        "quiet" => plan.quiet = true,
        "random-wait" => plan.random_wait = true,
        "recursive" => plan.recursive = true,
        "referer" => plan.referer = text,
        "retry-connrefused" => plan.retry_refused = true,
        "retry-on-host-error" => plan.retry_host = true,
        "server-response" => plan.server_response = true,
        "show-progress" => plan.show_progress = Some(true),
        "span-hosts" => plan.span = true,
        "spider" => plan.spider = true,
        "timestamping" => plan.timestamping = true,
        "trust-server-names" => plan.trust_names = true,
        "user-agent" => plan.agent = value.to_string(),
        _ => {}
    }
}

fn meter(text: &str) -> Result<Meter, Stop> {
    let (kind, more) = text.split_once(':').unwrap_or((text, ""));
    match kind {
        "bar" => Ok(match more.contains("force") {
            true => Meter::Bar,
            false => Meter::BarOnTerminal,
        }),
        "dot" => Ok(Meter::Dots(match more {
            "binary" => (8_192, 16, 48),
            "mega" => (65_536, 8, 48),
            "giga" => (1 << 20, 8, 32),
            _ => (1_024, 10, 50),
        })),
        _ => Err(Stop::Said(
            format!("wget: --progress: Invalid progress type ‘{text}’.\n"),
            2,
        )),
    }
}

/// The options, one a line.
pub fn listed() -> String {
    let mut lines: Vec<String> = NAMES
        .iter()
        .map(|(name, letter, takes)| {
            let short = match letter {
                ' ' | '\u{e800}'.. => "    ".to_string(),
                c => format!("-{c}, "),
            };
            let value = if *takes == V { "=VALUE" } else { "" };
            format!("  {short}--{name}{value}\n")
        })
        .collect();
    lines.dedup();
    lines.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(line: &str) -> Result<Plan, Stop> {
        let mut args = vec![OsString::from("--no-config")];
        args.extend(line.split(' ').map(OsString::from));
        read(&args)
    }

    #[test]
    fn letters_words_and_settings_mean_the_same() {
        let p = plan("-qO- -t3 -T 2 -nH --header=A:b -e robots=off http://x").unwrap();
        assert_eq!(
            (p.quiet, p.output.as_deref(), p.tries, p.host_dirs, p.robots),
            (true, Some("-"), 3, false, false)
        );
        assert_eq!(p.read_timeout, Some(Duration::from_secs(2)));
        assert_eq!(plan("--limit-rate=1k x").unwrap().limit, Some(1024));
        assert!(matches!(plan("--nosuch"), Err(Stop::Usage(_, 2))));
        assert!(matches!(plan("-e foo=x y"), Err(Stop::Said(_, 2))));
        assert!(matches!(plan("--header=A:b\nC:d x"), Err(Stop::Said(_, 2))));
        let p = plan("--method=head -t 2x http://x").unwrap();
        assert!(p.spider && p.tries == 2);
    }

    #[test]
    fn any_command_line_is_read_or_refused() {
        let seeds = [
            "-qO- --tries=3 -nv http://x",
            "-e robots=off --level inf -A a,b",
            "-T 1h --quota=2m",
        ];
        netshoot_wire::fuzz::texts(&seeds, 3_000, |text| {
            if let Err(Stop::Usage(said, code) | Stop::Said(said, code)) = plan(text) {
                assert!(!said.is_empty() && code > 0, "{text}");
            }
        });
    }
}
