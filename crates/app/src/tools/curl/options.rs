//! The words of the command line: curl(1)'s options, their letters, and whether a value follows.

use super::plan::{Mistake, Reading};
use std::collections::VecDeque;

/// Whether an option has a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// None; `--no-NAME` takes it back.
    Flag,
    /// None, and it cannot be taken back.
    Once,
    /// One.
    Takes,
}

use Kind::{Flag, Once, Takes};

/// Name, letter, kind.
#[rustfmt::skip] // a table
pub const ALL: &[(&str, char, Kind)] = &[
    ("abstract-unix-socket", ' ', Takes), ("alpn", ' ', Flag), ("alt-svc", ' ', Takes), ("anyauth", ' ', Once),
    ("append", 'a', Flag), ("aws-sigv4", ' ', Takes), ("basic", ' ', Flag), ("buffer", ' ', Flag),
    ("cacert", ' ', Takes), ("capath", ' ', Takes), ("cert", 'E', Takes), ("cert-status", ' ', Flag),
    ("cert-type", ' ', Takes), ("ciphers", ' ', Takes), ("clobber", ' ', Flag), ("compressed", ' ', Flag),
    ("compressed-ssh", ' ', Flag), ("config", 'K', Takes), ("connect-timeout", ' ', Takes),
    ("connect-to", ' ', Takes), ("continue-at", 'C', Takes), ("cookie", 'b', Takes), ("cookie-jar", 'c', Takes),
    ("create-dirs", ' ', Flag), ("create-file-mode", ' ', Takes), ("crlf", ' ', Flag), ("crlfile", ' ', Takes),
    ("curves", ' ', Takes), ("data", 'd', Takes), ("data-ascii", ' ', Takes), ("data-binary", ' ', Takes),
    ("data-raw", ' ', Takes), ("data-urlencode", ' ', Takes), ("delegation", ' ', Takes), ("digest", ' ', Flag),
    ("disable", 'q', Flag), ("disable-eprt", ' ', Flag), ("disable-epsv", ' ', Flag),
    ("disallow-username-in-url", ' ', Flag), ("dns-interface", ' ', Takes), ("dns-ipv4-addr", ' ', Takes),
    ("dns-ipv6-addr", ' ', Takes), ("dns-servers", ' ', Takes), ("doh-cert-status", ' ', Flag),
    ("doh-insecure", ' ', Flag), ("doh-url", ' ', Takes), ("dump-header", 'D', Takes), ("egd-file", ' ', Takes),
    ("engine", ' ', Takes), ("eprt", ' ', Flag), ("epsv", ' ', Flag), ("etag-compare", ' ', Takes),
    ("etag-save", ' ', Takes), ("expect100-timeout", ' ', Takes), ("explain", ' ', Flag), ("fail", 'f', Flag),
    ("fail-early", ' ', Flag), ("fail-with-body", ' ', Flag), ("false-start", ' ', Flag), ("form", 'F', Takes),
    ("form-escape", ' ', Flag), ("form-string", ' ', Takes), ("ftp-account", ' ', Takes),
    ("ftp-alternative-to-user", ' ', Takes), ("ftp-create-dirs", ' ', Flag), ("ftp-method", ' ', Takes),
    ("ftp-pasv", ' ', Flag), ("ftp-port", 'P', Takes), ("ftp-pret", ' ', Flag), ("ftp-skip-pasv-ip", ' ', Flag),
    ("ftp-ssl-ccc", ' ', Flag), ("ftp-ssl-ccc-mode", ' ', Takes), ("ftp-ssl-control", ' ', Flag), ("get", 'G', Flag),
    ("globoff", 'g', Flag), ("happy-eyeballs-timeout-ms", ' ', Takes), ("haproxy-protocol", ' ', Flag),
    ("head", 'I', Flag), ("header", 'H', Takes), ("help", 'h', Flag), ("hostpubmd5", ' ', Takes),
    ("hostpubsha256", ' ', Takes), ("hsts", ' ', Takes), ("http0.9", ' ', Flag), ("http1.0", '0', Once),
    ("http1.1", ' ', Once), ("http2", ' ', Once), ("http2-prior-knowledge", ' ', Once), ("http3", ' ', Once),
    ("http3-only", ' ', Once), ("ignore-content-length", ' ', Flag), ("include", 'i', Flag), ("insecure", 'k', Flag),
    ("interface", ' ', Takes), ("ipv4", '4', Once), ("ipv6", '6', Once), ("json", ' ', Takes),
    ("junk-session-cookies", 'j', Flag), ("keepalive", ' ', Flag), ("keepalive-time", ' ', Takes),
    ("key", ' ', Takes), ("key-type", ' ', Takes), ("krb", ' ', Takes), ("libcurl", ' ', Takes),
    ("limit-rate", ' ', Takes), ("list-only", 'l', Flag), ("local-port", ' ', Takes), ("location", 'L', Flag),
    ("location-trusted", ' ', Flag), ("login-options", ' ', Takes), ("mail-auth", ' ', Takes),
    ("mail-from", ' ', Takes), ("mail-rcpt", ' ', Takes), ("mail-rcpt-allowfails", ' ', Flag), ("manual", 'M', Once),
    ("max-filesize", ' ', Takes), ("max-redirs", ' ', Takes), ("max-time", 'm', Takes), ("metalink", ' ', Flag),
    ("negotiate", ' ', Flag), ("netrc", 'n', Flag), ("netrc-file", ' ', Takes), ("netrc-optional", ' ', Flag),
    ("next", ':', Once), ("noproxy", ' ', Takes), ("npn", ' ', Flag), ("ntlm", ' ', Flag), ("ntlm-wb", ' ', Flag),
    ("oauth2-bearer", ' ', Takes), ("output", 'o', Takes), ("output-dir", ' ', Takes), ("parallel", 'Z', Flag),
    ("parallel-immediate", ' ', Flag), ("parallel-max", ' ', Takes), ("pass", ' ', Takes), ("path-as-is", ' ', Flag),
    ("pinnedpubkey", ' ', Takes), ("post301", ' ', Flag), ("post302", ' ', Flag), ("post303", ' ', Flag),
    ("preproxy", ' ', Takes), ("progress-bar", '#', Flag), ("progress-meter", ' ', Flag), ("proto", ' ', Takes),
    ("proto-default", ' ', Takes), ("proto-redir", ' ', Takes), ("proxy", 'x', Takes), ("proxy-anyauth", ' ', Flag),
    ("proxy-basic", ' ', Flag), ("proxy-cacert", ' ', Takes), ("proxy-capath", ' ', Takes),
    ("proxy-cert", ' ', Takes), ("proxy-cert-type", ' ', Takes), ("proxy-ciphers", ' ', Takes),
    ("proxy-crlfile", ' ', Takes), ("proxy-digest", ' ', Flag), ("proxy-header", ' ', Takes),
    ("proxy-insecure", ' ', Flag), ("proxy-key", ' ', Takes), ("proxy-key-type", ' ', Takes),
    ("proxy-negotiate", ' ', Flag), ("proxy-ntlm", ' ', Flag), ("proxy-pass", ' ', Takes),
    ("proxy-pinnedpubkey", ' ', Takes), ("proxy-service-name", ' ', Takes), ("proxy-ssl-allow-beast", ' ', Flag),
    ("proxy-ssl-auto-client-cert", ' ', Flag), ("proxy-tls13-ciphers", ' ', Takes), ("proxy-tlsauthtype", ' ', Takes),
    ("proxy-tlspassword", ' ', Takes), ("proxy-tlsuser", ' ', Takes), ("proxy-tlsv1", ' ', Once),
    ("proxy-user", 'U', Takes), ("proxy1.0", ' ', Takes), ("proxytunnel", 'p', Flag), ("pubkey", ' ', Takes),
    ("quote", 'Q', Takes), ("random-file", ' ', Takes), ("range", 'r', Takes), ("rate", ' ', Takes),
    ("raw", ' ', Flag), ("referer", 'e', Takes), ("remote-header-name", 'J', Flag), ("remote-name", 'O', Flag),
    ("remote-name-all", ' ', Flag), ("remote-time", 'R', Flag), ("remove-on-error", ' ', Flag),
    ("request", 'X', Takes), ("request-target", ' ', Takes), ("resolve", ' ', Takes), ("retry", ' ', Takes),
    ("retry-all-errors", ' ', Flag), ("retry-connrefused", ' ', Flag), ("retry-delay", ' ', Takes),
    ("retry-max-time", ' ', Takes), ("sasl-authzid", ' ', Takes), ("sasl-ir", ' ', Flag),
    ("service-name", ' ', Takes), ("sessionid", ' ', Flag), ("show-error", 'S', Flag), ("silent", 's', Flag),
    ("socks4", ' ', Takes), ("socks4a", ' ', Takes), ("socks5", ' ', Takes), ("socks5-basic", ' ', Flag),
    ("socks5-gssapi", ' ', Flag), ("socks5-gssapi-nec", ' ', Flag), ("socks5-gssapi-service", ' ', Takes),
    ("socks5-hostname", ' ', Takes), ("speed-limit", 'Y', Takes), ("speed-time", 'y', Takes), ("ssl", ' ', Flag),
    ("ssl-allow-beast", ' ', Flag), ("ssl-auto-client-cert", ' ', Flag), ("ssl-no-revoke", ' ', Flag),
    ("ssl-reqd", ' ', Flag), ("ssl-revoke-best-effort", ' ', Flag), ("sslv2", '2', Once), ("sslv3", '3', Once),
    ("stderr", ' ', Takes), ("styled-output", ' ', Flag), ("suppress-connect-headers", ' ', Flag),
    ("tcp-fastopen", ' ', Flag), ("tcp-nodelay", ' ', Flag), ("telnet-option", 't', Takes),
    ("tftp-blksize", ' ', Takes), ("tftp-no-options", ' ', Flag), ("time-cond", 'z', Takes), ("tls-max", ' ', Takes),
    ("tls13-ciphers", ' ', Takes), ("tlsauthtype", ' ', Takes), ("tlspassword", ' ', Takes), ("tlsuser", ' ', Takes),
    ("tlsv1", '1', Once), ("tlsv1.0", ' ', Once), ("tlsv1.1", ' ', Once), ("tlsv1.2", ' ', Once),
    ("tlsv1.3", ' ', Once), ("tr-encoding", ' ', Flag), ("trace", ' ', Takes), ("trace-ascii", ' ', Takes),
    ("trace-ids", ' ', Flag), ("trace-time", ' ', Flag), ("unix-socket", ' ', Takes), ("upload-file", 'T', Takes),
    ("url", ' ', Takes), ("url-query", ' ', Takes), ("use-ascii", 'B', Flag), ("user", 'u', Takes),
    ("user-agent", 'A', Takes), ("verbose", 'v', Flag), ("version", 'V', Once), ("write-out", 'w', Takes),
    ("xattr", ' ', Flag),
];

/// What an option that stands for another's opposite is called.
fn letter(c: char) -> Option<(&'static str, Kind, bool)> {
    if c == 'N' {
        return Some(("buffer", Flag, false));
    }
    let found = ALL.iter().find(|o| o.1 == c && c != ' ')?;
    Some((found.0, found.2, true))
}

/// An option by its name or by as much of it as tells it apart.
fn named(name: &str) -> Result<(&'static str, Kind, bool), &'static str> {
    let exact = |n: &str| ALL.iter().find(|o| o.0 == n);
    if let Some(o) = exact(name) {
        return Ok((o.0, o.2, true));
    }
    if let Some(rest) = name.strip_prefix("no-") {
        let near: Vec<_> = ALL.iter().filter(|o| o.0.starts_with(rest)).collect();
        let found = exact(rest).or_else(|| near.first().copied().filter(|_| near.len() == 1));
        return match found {
            Some((name, _, Flag)) => Ok((*name, Flag, false)),
            Some(_) => Err("used '--no-' for option that isn't a boolean"),
            None => Err("is unknown"),
        };
    }
    let mut near = ALL.iter().filter(|o| o.0.starts_with(name));
    match (near.next(), near.next()) {
        (Some(o), None) => Ok((o.0, o.2, true)),
        (Some(_), Some(_)) => Err("is ambiguous"),
        (None, _) => Err("is unknown"),
    }
}

/// Reads a command line.
pub fn read(args: &[String], into: &mut Reading<'_>) -> Result<(), Mistake> {
    let mut words: VecDeque<&String> = args.iter().collect();
    let mut only_urls = false;
    while let Some(word) = words.pop_front() {
        if only_urls || !word.starts_with('-') {
            into.url(word);
        } else if word == "-" {
            return Err(Mistake::option(word, "is unknown"));
        } else if word == "--" {
            only_urls = true;
        } else if let Some(name) = word.strip_prefix("--") {
            let wrong = |why: &str| Mistake::option(word, why);
            let (name, kind, on) = named(name).map_err(wrong)?;
            match kind {
                Takes => {
                    let value = words
                        .pop_front()
                        .ok_or_else(|| wrong("requires parameter"))?;
                    into.remark_dash(word, value);
                    into.apply(name, Some(value), on, word)?;
                }
                _ => into.apply(name, None, on, word)?,
            }
        } else {
            letters(word, &mut words, into)?;
        }
    }
    Ok(())
}

fn letters(
    word: &str,
    words: &mut VecDeque<&String>,
    into: &mut Reading<'_>,
) -> Result<(), Mistake> {
    let wrong = |why: &str| Mistake::option(word, why);
    let mut text = word.get(1..).unwrap_or_default();
    while let Some(c) = text.chars().next() {
        text = text.get(c.len_utf8()..).unwrap_or_default();
        let (name, kind, on) = letter(c).ok_or_else(|| wrong("is unknown"))?;
        if kind != Takes {
            into.apply(name, None, on, word)?;
            continue;
        }
        let value = match text {
            "" => words
                .pop_front()
                .ok_or_else(|| wrong("requires parameter"))?
                .clone(),
            own => own.to_string(),
        };
        if text.is_empty() {
            into.remark_dash(&format!("-{c}"), &value);
        }
        return into.apply(name, Some(&value), on, word);
    }
    Ok(())
}

/// Reads one line of a file of options.
pub fn one(name: &str, value: Option<&str>, into: &mut Reading<'_>) -> Result<(), Mistake> {
    let bare = name.strip_prefix("--").unwrap_or(name);
    let wrong = |why: &str| Mistake::option(name, why);
    let single = name.strip_prefix('-').filter(|n| n.chars().count() == 1);
    let (full, kind, on) = match single.and_then(|n| letter(n.chars().next()?)) {
        Some(found) => found,
        None => named(bare).map_err(wrong)?,
    };
    match kind {
        Takes => {
            let value = value.ok_or_else(|| wrong("requires parameter"))?;
            into.apply(full, Some(value), on, name)
        }
        _ => into.apply(full, None, on, name),
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::Global;
    use super::*;

    fn said(line: &str) -> String {
        let args: Vec<String> = line.split_whitespace().map(String::from).collect();
        let mut warn = |_: &Global, _: &str| {};
        let mut reading = Reading {
            parts: Vec::new(),
            global: Global::default(),
            warn: &mut warn,
            depth: 5,
        };
        match read(&args, &mut reading) {
            Ok(()) => format!("{} parts", reading.parts.len()),
            Err(Mistake::Option(said)) => said,
            Err(_) => "other".into(),
        }
    }

    #[test]
    fn command_lines_are_read_and_damaged_ones_end_in_a_sentence() {
        for (line, wanted) in [
            ("-sSo out http://a --next http://b", "2 parts"),
            ("--nosuch", "option --nosuch: is unknown"),
            ("-m", "option -m: requires parameter"),
            ("-sSm", "option -sSm: requires parameter"),
            ("-s%", "option -s%: is unknown"),
            ("-", "option -: is unknown"),
            ("--rate 0/s a", "option --rate: is badly used here"),
            ("--rate 1/x a", "option --rate: is badly used here"),
            ("--rate 3/min a", "1 parts"),
            (
                "--local-port 5-1 a",
                "option --local-port: is badly used here",
            ),
            ("--local-port 5-6 a", "1 parts"),
            (
                "--max-t x a",
                "option --max-t: expected a proper numerical parameter",
            ),
            ("--no-silent a", "1 parts"),
        ] {
            assert_eq!(said(line), wanted, "{line}");
        }
        let seeds = [
            "-v -X PUT -H a:b -d x --resolve a:1:b -m 5 http://a",
            "-u a:b -L --max-redirs 3 -T f -r 1-2 --next -F a=b;type=x -z 2020",
        ];
        netshoot_wire::fuzz::texts(&seeds, 1_500, |text| {
            let text = text.replace(['@', '<'], "");
            assert!(!said(&text).is_empty());
        });
    }
}
