//! What a server of mail or of a database wants to hear before it speaks TLS.

use netshoot_host::tcp::Connection;
use std::io::{Read, Write};

/// Longest greeting, bytes.
const MOST: usize = 64 * 1024;

/// Protocols by their names.
pub const KNOWN: &[&str] = &["smtp", "lmtp", "imap", "pop3", "ftp", "postgres"];

/// Talks until the server begins TLS; the error is a sentence.
pub fn begin(protocol: &str, name: &str, c: &mut Connection) -> Result<(), String> {
    match protocol {
        "smtp" | "lmtp" => {
            let hello = if protocol == "smtp" { "EHLO" } else { "LHLO" };
            lines(c, |l| l.as_bytes().get(3) == Some(&b' '))?;
            say(c, &format!("{hello} {name}\r\n"))?;
            let said = lines(c, |l| l.as_bytes().get(3) == Some(&b' '))?;
            if !said.to_ascii_uppercase().contains("STARTTLS") {
                return Err("Didn't find STARTTLS in server response, trying anyway...".into());
            }
            say(c, "STARTTLS\r\n")?;
            wanted(lines(c, |_| true)?, "220")
        }
        "imap" => {
            lines(c, |_| true)?;
            say(c, ". CAPABILITY\r\n")?;
            lines(c, |l| l.starts_with(". "))?;
            say(c, ". STARTTLS\r\n")?;
            wanted(lines(c, |l| l.starts_with(". "))?, ". OK")
        }
        "pop3" => {
            lines(c, |_| true)?;
            say(c, "STLS\r\n")?;
            wanted(lines(c, |_| true)?, "+OK")
        }
        "ftp" => {
            lines(c, |l| l.as_bytes().get(3) == Some(&b' '))?;
            say(c, "AUTH TLS\r\n")?;
            wanted(lines(c, |_| true)?, "234")
        }
        _ => {
            // SSLRequest: 8 bytes, 80877103 (PostgreSQL, 55.7).
            let asked = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
            c.write_all(&asked)
                .map_err(|e| netshoot_host::sockets::words(&e))?;
            let mut answer = [0];
            c.read_exact(&mut answer)
                .map_err(|e| netshoot_host::sockets::words(&e))?;
            match answer {
                [b'S'] => Ok(()),
                _ => Err("the server does not speak TLS".into()),
            }
        }
    }
}

fn say(c: &mut Connection, text: &str) -> Result<(), String> {
    c.write_all(text.as_bytes())
        .map_err(|e| netshoot_host::sockets::words(&e))
}

fn wanted(said: String, begins: &str) -> Result<(), String> {
    match said.starts_with(begins) || said.contains(&format!("\n{begins}")) {
        true => Ok(()),
        false => Err(format!(
            "the server refused: {}",
            crate::report::safe(said.trim())
        )),
    }
}

/// Lines up to one that is the last; byte by byte, for what is behind belongs to TLS.
fn lines(c: &mut Connection, last: impl Fn(&str) -> bool) -> Result<String, String> {
    let (mut all, mut line) = (String::new(), Vec::new());
    while all.len() + line.len() < MOST {
        let mut byte = [0];
        c.read_exact(&mut byte)
            .map_err(|e| netshoot_host::sockets::words(&e))?;
        line.extend(byte);
        if byte == [b'\n'] {
            let text = String::from_utf8_lossy(&line).into_owned();
            all += &text;
            if last(&text) {
                return Ok(all);
            }
            line.clear();
        }
    }
    Err("the server's greeting has no end".into())
}
