//! What needs no request: certificates in words, `file:`, keys that are pinned.

use super::dial::Under;
use super::failure::{Failure, code};
use super::order::{Body, Verb};
use netshoot_wire::web::{base64, date, unpercent, url::Url};
use std::io::{Read, Seek, SeekFrom, Write};
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

fn name(of: &X509Name<'_>, between: &str, equals: &str) -> String {
    let parts = of.iter_attributes().map(|a| {
        let oid = a.attr_type().to_id_string();
        let key = match oid.as_str() {
            "2.5.4.3" => "CN",
            "2.5.4.4" => "SN",
            "2.5.4.5" => "serialNumber",
            "2.5.4.6" => "C",
            "2.5.4.7" => "L",
            "2.5.4.8" => "ST",
            "2.5.4.9" => "street",
            "2.5.4.10" => "O",
            "2.5.4.11" => "OU",
            "2.5.4.42" => "GN",
            "1.2.840.113549.1.9.1" => "emailAddress",
            "0.9.2342.19200300.100.1.25" => "DC",
            "0.9.2342.19200300.100.1.1" => "UID",
            other => other,
        };
        format!("{key}{equals}{}", String::from_utf8_lossy(a.as_slice()))
    });
    parts.collect::<Vec<_>>().join(between)
}

fn when(seconds: i64) -> String {
    let (year, month, day, h, m, s, _) = date::civil(seconds);
    format!(
        "{} {day:2} {h:02}:{m:02}:{s:02} {year} GMT",
        date::month_name(month)
    )
}

/// Shows whose certificate it is and how long it is good.
pub fn show_certificate(under: &mut Under<'_>, der: &[u8], title: &str) {
    let Ok((_, cert)) = X509Certificate::from_der(der) else {
        return;
    };
    under.say(title);
    under.say(&format!(" subject: {}", name(cert.subject(), "; ", "=")));
    under.say(&format!(
        " start date: {}",
        when(cert.validity().not_before.timestamp())
    ));
    under.say(&format!(
        " expire date: {}",
        when(cert.validity().not_after.timestamp())
    ));
}

/// Who signed it.
pub fn issuer(der: &[u8]) -> String {
    X509Certificate::from_der(der).map_or(String::new(), |(_, c)| name(c.issuer(), "; ", "="))
}

/// Which of the names fits the host.
pub fn matching(names: &[String], host: &str) -> String {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let exact = names.iter().find(|n| n.to_ascii_lowercase() == host);
    let wild = names.iter().find(|n| {
        let rest = n.strip_prefix("*.").map(str::to_ascii_lowercase);
        rest.is_some_and(|r| host.split_once('.').is_some_and(|h| h.1 == r))
    });
    exact.or(wild).cloned().unwrap_or(host)
}

/// The certificates as `%{certs}` has them: names, numbers, times, PEM.
pub fn in_words(der: &[u8]) -> String {
    let Ok((_, cert)) = X509Certificate::from_der(der) else {
        return String::new();
    };
    let mut text = format!(
        "Subject:{}\nIssuer:{}\n",
        name(cert.subject(), ", ", " = "),
        name(cert.issuer(), ", ", " = ")
    );
    let serial: String = cert
        .raw_serial()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    text += &format!(
        "Version:{}\nSerial Number:{}\n",
        cert.version().0,
        serial.trim_start_matches("00")
    );
    text += &format!(
        "Start date:{}\n",
        when(cert.validity().not_before.timestamp())
    );
    text += &format!(
        "Expire date:{}\n",
        when(cert.validity().not_after.timestamp())
    );
    text += "-----BEGIN CERTIFICATE-----\n";
    for line in base64(der).as_bytes().chunks(64) {
        text += &String::from_utf8_lossy(line);
        text.push('\n');
    }
    text + "-----END CERTIFICATE-----\n"
}

/// The presented key is the one that was pinned; else the sentence that says it is not.
pub fn pinned(wanted: &str, leaf: &[u8]) -> Result<(), String> {
    let failed = || Err("SSL: public key does not match pinned public key".to_string());
    let Ok((_, cert)) = X509Certificate::from_der(leaf) else {
        return failed();
    };
    let key = cert.public_key().raw;
    if wanted.starts_with("sha256//") {
        let own = ring::digest::digest(&ring::digest::SHA256, key);
        let own = base64(own.as_ref());
        return match wanted
            .split(';')
            .any(|w| w.strip_prefix("sha256//") == Some(&own))
        {
            true => Ok(()),
            false => failed(),
        };
    }
    let Ok(file) = std::fs::read(wanted) else {
        return failed();
    };
    let text = String::from_utf8_lossy(&file);
    let body: String = text.lines().filter(|l| !l.starts_with("-----")).collect();
    match file == key || body.trim() == base64(key) {
        true => Ok(()),
        false => failed(),
    }
}

/// Headers that ask for a WebSocket.
pub fn upgrade() -> String {
    let mut random = [0u8; 16];
    let _ = ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut random);
    format!(
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n",
        base64(&random)
    )
}

/// Reads or writes a file by its URL.
pub fn file(under: &mut Under<'_>, url: &Url) -> Result<(), Failure> {
    let path = unpercent(&url.path);
    if path.contains(&0) {
        return Err(Failure::plain(code::URL));
    }
    let path = String::from_utf8_lossy(&path).into_owned();
    match (under.order.verb, &under.order.body) {
        (Verb::Put, Body::Given(_)) => write_file(under, &path),
        _ => read_file(under, &path),
    }
}

fn write_file(under: &mut Under<'_>, path: &str) -> Result<(), Failure> {
    let append = under.order.append || under.order.resume.is_some_and(|r| r != 0);
    let mut options = std::fs::OpenOptions::new();
    options
        .write(true)
        .create(true)
        .append(append)
        .truncate(!append);
    let can =
        |under: &mut Under<'_>| under.fail(code::WRITE, format!("Can't open {path} for writing"));
    let Ok(mut file) = options.open(path) else {
        return Err(can(under));
    };
    let mut skip = match under.order.resume {
        Some(n) if n < 0 => file.metadata().map_or(0, |m| m.len()),
        Some(n) => n.unsigned_abs(),
        None => 0,
    };
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let n = under
            .watch
            .give(&mut buffer)
            .map_err(|_| Failure::plain(code::READ))?;
        if n == 0 {
            return Ok(());
        }
        let mut piece = buffer.get(..n).unwrap_or_default();
        let over = usize::try_from(skip).unwrap_or(usize::MAX).min(piece.len());
        piece = piece.get(over..).unwrap_or_default();
        skip -= over as u64;
        if file.write_all(piece).is_err() {
            return Err(can(under));
        }
        under.info.sent += piece.len() as u64;
        under.watch.progress(under.info);
    }
}

fn read_file(under: &mut Under<'_>, path: &str) -> Result<(), Failure> {
    let shown = path.to_string();
    let none =
        |under: &mut Under<'_>| under.fail(code::FILE, format!("Couldn't open file {shown}"));
    let Ok(mut file) = std::fs::File::open(path) else {
        return Err(none(under));
    };
    let Ok(meta) = file.metadata() else {
        return Err(none(under));
    };
    let modified = std::os::unix::fs::MetadataExt::mtime(&meta);
    under.info.modified = Some(modified);
    let size = meta.len();
    if under.order.verb == Verb::Head {
        if meta.is_file() {
            told(under, format!("Content-Length: {size}\r\n"))?;
            told(under, "Accept-ranges: bytes\r\n".into())?;
        }
        told(
            under,
            format!("Last-Modified: {}\r\n", date::http(modified)),
        )?;
        return Ok(());
    }
    let unmet = match under.order.since {
        Some(super::order::Since::Newer(at)) => modified <= at,
        Some(super::order::Since::Older(at)) => modified > at,
        None => false,
    };
    if unmet {
        under.info.unmet = true;
        return Ok(());
    }
    let (from, left) = window(under, size, meta.is_file())?;
    if from > 0 && file.seek(SeekFrom::Start(from)).is_err() {
        return Err(Failure::plain(code::RESUME));
    }
    under.info.wanted = left;
    let mut left = left.unwrap_or(u64::MAX);
    let mut buffer = vec![0; 100 * 1024];
    while left > 0 {
        let most = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let n = match file.read(buffer.get_mut(..most).unwrap_or_default()) {
            Ok(n) => n,
            // A folder, for one.
            Err(_) => {
                return Err(Failure::new(
                    code::READ,
                    "Failed to open/read local data from file/application",
                ));
            }
        };
        if n == 0 {
            break;
        }
        left -= n as u64;
        under.info.received += n as u64;
        under
            .watch
            .body(buffer.get(..n).unwrap_or_default(), under.info)?;
        if !under.watch.progress(under.info) {
            return Err(Failure::new(code::ABORTED, "Callback aborted"));
        }
    }
    Ok(())
}

fn told(under: &mut Under<'_>, line: String) -> Result<(), Failure> {
    under.info.head_bytes += line.len() as u64;
    under.watch.head(line.as_bytes(), under.info)
}

/// Where to begin, and how much is wanted.
fn window(under: &mut Under<'_>, size: u64, plain: bool) -> Result<(u64, Option<u64>), Failure> {
    let bad = |under: &mut Under<'_>| {
        under.say("failed to resume file:// transfer");
        Failure::new(code::RESUME, "Couldn't resume download")
    };
    if let Some(range) = under.order.range.clone() {
        let Some((first, last)) = range.split_once('-') else {
            return Ok((0, plain.then_some(size)));
        };
        return match (first.parse::<u64>(), last.parse::<u64>()) {
            (Ok(a), Ok(b)) if b >= a => Ok((a, Some(b - a + 1))),
            (Ok(a), _) if last.is_empty() => match a <= size {
                true => Ok((a, Some(size - a))),
                false => Err(bad(under)),
            },
            (_, Ok(b)) if first.is_empty() => {
                let n = b.min(size);
                Ok((size - n, Some(n)))
            }
            _ => Err(Failure::plain(code::RANGE)),
        };
    }
    match under.order.resume {
        Some(n) if n > 0 => match n.unsigned_abs() <= size {
            true => Ok((n.unsigned_abs(), Some(size - n.unsigned_abs()))),
            false => Err(bad(under)),
        },
        _ => Ok((0, plain.then_some(size))),
    }
}
