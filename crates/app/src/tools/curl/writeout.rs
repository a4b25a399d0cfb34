//! `-w`: what a transfer tells, filled into a text, or as JSON.

use netshoot_host::web::{Failure, Info, local};
use std::fmt::Write as _;
use std::time::Duration;

/// What is known besides the transfer itself.
pub struct Known<'a> {
    pub info: &'a Info,
    pub failure: Option<&'a Failure>,
    pub file: Option<&'a str>,
    pub url: &'a str,
    pub number: u64,
}

/// A value.
enum Value {
    Text(Option<String>),
    Number(u64),
    Signed(i64),
    Seconds(Duration),
}

/// In the order of `%{json}`.
const ALL: [&str; 41] = [
    "certs",
    "content_type",
    "errormsg",
    "exitcode",
    "filename_effective",
    "ftp_entry_path",
    "http_code",
    "http_connect",
    "http_version",
    "local_ip",
    "local_port",
    "method",
    "num_certs",
    "num_connects",
    "num_headers",
    "num_redirects",
    "proxy_ssl_verify_result",
    "redirect_url",
    "referer",
    "remote_ip",
    "remote_port",
    "response_code",
    "scheme",
    "size_download",
    "size_header",
    "size_request",
    "size_upload",
    "speed_download",
    "speed_upload",
    "ssl_verify_result",
    "time_appconnect",
    "time_connect",
    "time_namelookup",
    "time_pretransfer",
    "time_redirect",
    "time_starttransfer",
    "time_total",
    "url",
    "url_effective",
    "urlnum",
    "curl_version",
];

fn value(name: &str, k: &Known<'_>) -> Option<Value> {
    let i = k.info;
    let t = i.times;
    let speed = |n: u64| {
        let micros = t.total.as_micros().max(1);
        Value::Number(u64::try_from(u128::from(n) * 1_000_000 / micros).unwrap_or(0))
    };
    let some = |s: &str| Value::Text(Some(s.to_string()));
    let maybe = |s: &Option<String>| Value::Text(s.clone());
    Some(match name {
        "certs" => some(
            &i.certificates
                .iter()
                .map(|c| local::in_words(c))
                .collect::<String>(),
        ),
        "num_certs" => Value::Number(i.certificates.len() as u64),
        "content_type" => maybe(&i.content_type),
        "errormsg" => Value::Text(k.failure.map(|f| f.said.clone())),
        "exitcode" => Value::Signed(k.failure.map_or(0, |f| i64::from(f.code))),
        "filename_effective" => Value::Text(k.file.map(str::to_string)),
        "ftp_entry_path" => Value::Text(None),
        "http_code" | "response_code" => Value::Number(i.status.into()),
        "http_connect" => Value::Number(i.connect_status.into()),
        "http_version" => some(i.version),
        "local_ip" => some(&i.local.map_or(String::new(), |a| a.ip().to_string())),
        "local_port" => Value::Number(i.local.map_or(0, |a| a.port()).into()),
        "remote_ip" => some(&i.remote.map_or(String::new(), |a| a.ip().to_string())),
        "remote_port" => Value::Number(i.remote.map_or(0, |a| a.port()).into()),
        "method" => some(if i.method.is_empty() {
            "GET"
        } else {
            &i.method
        }),
        "num_connects" => Value::Number(i.connects.into()),
        "num_headers" => Value::Number(i.headers.len() as u64),
        "num_redirects" => Value::Number(i.redirects.into()),
        "proxy_ssl_verify_result" => Value::Signed(i.proxy_verify),
        "ssl_verify_result" => Value::Signed(i.verify),
        "redirect_url" => maybe(&i.redirect_url),
        "referer" => maybe(&i.referer),
        "scheme" => Value::Text(
            Some(i.scheme.clone())
                .filter(|s| !s.is_empty() && (i.connects > 0 || i.status > 0 || s == "FILE")),
        ),
        "size_download" => Value::Number(i.received),
        "size_header" => Value::Number(i.head_bytes),
        "size_request" => Value::Number(i.request_bytes),
        "size_upload" => Value::Number(i.sent),
        "speed_download" => speed(i.received),
        "speed_upload" => speed(i.sent),
        "time_appconnect" => Value::Seconds(t.secure),
        "time_connect" => Value::Seconds(t.connect),
        "time_namelookup" => Value::Seconds(t.name),
        "time_pretransfer" => Value::Seconds(t.ready),
        "time_redirect" => Value::Seconds(t.redirect),
        "time_starttransfer" => Value::Seconds(t.first),
        "time_total" => Value::Seconds(t.total),
        "url" => some(k.url),
        "url_effective" => some(&i.url),
        "urlnum" => Value::Number(k.number),
        "curl_version" => some(super::VERSION),
        _ => return None,
    })
}

fn seconds(d: Duration) -> String {
    format!("{}.{:06}", d.as_secs(), d.subsec_micros())
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out += "\\\"",
            '\\' => out += "\\\\",
            '\n' => out += "\\n",
            '\r' => out += "\\r",
            '\t' => out += "\\t",
            '\x08' => out += "\\b",
            '\x0c' => out += "\\f",
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out + "\""
}

fn json(k: &Known<'_>) -> String {
    let pairs = ALL.iter().filter_map(|name| {
        let shown = match value(name, k)? {
            Value::Text(Some(text)) => quoted(&text),
            Value::Text(None) => "null".into(),
            Value::Number(n) => n.to_string(),
            Value::Signed(n) => n.to_string(),
            Value::Seconds(d) => seconds(d),
        };
        Some(format!("\"{name}\":{shown}"))
    });
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
}

fn header_json(info: &Info) -> String {
    let mut names: Vec<(String, Vec<&str>)> = Vec::new();
    for (name, value) in &info.headers {
        let lower = name.to_ascii_lowercase();
        match names.iter_mut().find(|n| n.0 == lower) {
            Some(known) => known.1.push(value),
            None => names.push((lower, vec![value])),
        }
    }
    let lines: Vec<String> = names
        .iter()
        .map(|(name, values)| {
            let values: Vec<String> = values.iter().map(|v| quoted(v)).collect();
            format!("{}:[{}]", quoted(name), values.join(","))
        })
        .collect();
    match lines.is_empty() {
        true => "{\n}".into(),
        false => format!("{{{}\n}}", lines.join(",\n")),
    }
}

/// The text; each piece with whether it goes to standard error.
pub fn filled(format: &str, k: &Known<'_>) -> Vec<(bool, String)> {
    let mut pieces = vec![(false, String::new())];
    let mut rest = format;
    let put = |pieces: &mut Vec<(bool, String)>, text: &str| {
        if let Some(last) = pieces.last_mut() {
            last.1 += text;
        }
    };
    while let Some(c) = rest.chars().next() {
        let behind = rest.get(c.len_utf8()..).unwrap_or_default();
        if c == '\\' {
            let (text, taken) = match behind.chars().next() {
                Some('r') => ("\r".to_string(), 1),
                Some('n') => ("\n".to_string(), 1),
                Some('t') => ("\t".to_string(), 1),
                Some(other) => (format!("\\{other}"), other.len_utf8()),
                None => ("\\".to_string(), 0),
            };
            put(&mut pieces, &text);
            rest = behind.get(taken..).unwrap_or_default();
            continue;
        }
        if c != '%' {
            let end = rest.find(['%', '\\']).unwrap_or(rest.len());
            put(&mut pieces, rest.get(..end).unwrap_or_default());
            rest = rest.get(end..).unwrap_or_default();
            continue;
        }
        if let Some(after) = behind.strip_prefix('%') {
            put(&mut pieces, "%");
            rest = after;
        } else if let Some((name, after)) = behind
            .strip_prefix("header{")
            .and_then(|b| b.split_once('}'))
        {
            let found = k
                .info
                .headers
                .iter()
                .find(|h| h.0.eq_ignore_ascii_case(name));
            put(&mut pieces, found.map_or("", |h| h.1.as_str()));
            rest = after;
        } else if let Some((name, after)) = behind.strip_prefix('{').and_then(|b| b.split_once('}'))
        {
            rest = after;
            match name {
                "onerror" if k.failure.is_none() => return pieces,
                "onerror" => {}
                "stderr" => pieces.push((true, String::new())),
                "stdout" => pieces.push((false, String::new())),
                "json" => put(&mut pieces, &json(k)),
                "header_json" => put(&mut pieces, &header_json(k.info)),
                name => {
                    let text = match value(name, k) {
                        Some(Value::Text(text)) => text.unwrap_or_default(),
                        Some(Value::Number(n))
                            if matches!(name, "http_code" | "response_code" | "http_connect") =>
                        {
                            format!("{n:03}")
                        }
                        Some(Value::Number(n)) => n.to_string(),
                        Some(Value::Signed(n)) => n.to_string(),
                        Some(Value::Seconds(d)) => seconds(d),
                        None => {
                            let said = format!("curl: unknown --write-out variable: '{name}'\n");
                            let now = pieces.last().is_some_and(|p| p.0);
                            pieces.push((true, said));
                            pieces.push((now, String::new()));
                            String::new()
                        }
                    };
                    put(&mut pieces, &text);
                }
            }
        } else {
            put(&mut pieces, "%");
            rest = behind;
        }
    }
    pieces
}
