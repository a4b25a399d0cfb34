//! What a server of mail, of a database, of chats or of a directory wants to hear before it speaks TLS.

mod beyond_mail;

use netshoot_host::tcp::Connection;
use std::io::{Read, Write};

/// Longest greeting, bytes.
const MOST: usize = 64 * 1024;

/// Protocols by their names.
pub const KNOWN: &[&str] = &[
    "smtp",
    "pop3",
    "imap",
    "ftp",
    "xmpp",
    "xmpp-server",
    "irc",
    "mysql",
    "postgres",
    "lmtp",
    "nntp",
    "sieve",
    "ldap",
];

/// How it went: the last line that is shown, and whether the server offered it.
pub struct Begun {
    /// Of what the server said before.
    pub last: String,
    /// It said that it can.
    pub offered: bool,
}

/// Talks until the server begins TLS; the error is a sentence.
pub fn begin(protocol: &str, name: &str, c: &mut Connection) -> Result<Begun, String> {
    let coded = |l: &str| l.as_bytes().get(3) == Some(&b' ');
    let has = |said: &str| said.to_ascii_uppercase().contains("STARTTLS");
    let (before, offered, last) = match protocol {
        "smtp" | "lmtp" => {
            let hello = if protocol == "smtp" { "EHLO" } else { "LHLO" };
            lines(c, coded)?;
            say(c, &format!("{hello} {name}\r\n"))?;
            let said = lines(c, coded)?;
            say(c, "STARTTLS\r\n")?;
            wanted(&lines(c, |_| true)?, "220")?;
            (said.clone(), has(&said), None)
        }
        "imap" => {
            lines(c, |_| true)?;
            say(c, ". CAPABILITY\r\n")?;
            let said = lines(c, |l| l.starts_with(". "))?;
            say(c, ". STARTTLS\r\n")?;
            wanted(&lines(c, |l| l.starts_with(". "))?, ". OK")?;
            (said.clone(), has(&said), None)
        }
        "pop3" => {
            let said = lines(c, |_| true)?;
            say(c, "STLS\r\n")?;
            wanted(&lines(c, |_| true)?, "+OK")?;
            (said, true, None)
        }
        "ftp" => {
            let said = lines(c, coded)?;
            say(c, "AUTH TLS\r\n")?;
            wanted(&lines(c, |_| true)?, "234")?;
            (said, true, None)
        }
        "nntp" => {
            lines(c, |_| true)?;
            say(c, "CAPABILITIES\r\n")?;
            let said = lines(c, |l| l.trim_end() == ".")?;
            say(c, "STARTTLS\r\n")?;
            let answer = lines(c, |_| true)?;
            wanted(&answer, "382")?;
            (said.clone(), has(&said), Some(answer))
        }
        "sieve" => {
            // RFC 5804, 1.7: capabilities, a line each, and OK.
            let said = lines(c, |l| l.starts_with("OK"))?;
            say(c, "STARTTLS\r\n")?;
            let answer = lines(c, |_| true)?;
            wanted(&answer, "OK")?;
            (said.clone(), has(&said), Some(answer))
        }
        "mysql" => return mysql(c),
        "xmpp" | "xmpp-server" => return beyond_mail::xmpp(protocol, name, c),
        "irc" => return beyond_mail::irc(c),
        "ldap" => return beyond_mail::ldap(c),
        _ => {
            // SSLRequest: 8 bytes, 80877103 (PostgreSQL, 55.7).
            let asked = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
            c.write_all(&asked).map_err(words)?;
            let mut answer = [0];
            c.read_exact(&mut answer).map_err(words)?;
            match answer {
                [b'S'] => return Ok(silent()),
                _ => return Err("the server does not speak TLS".into()),
            }
        }
    };
    let text = last.unwrap_or(before);
    Ok(Begun {
        last: text.lines().last().unwrap_or_default().to_string(),
        offered,
    })
}

fn silent() -> Begun {
    Begun {
        last: String::new(),
        offered: true,
    }
}

fn words(e: std::io::Error) -> String {
    netshoot_host::sockets::words(&e)
}

/// The server speaks first, in a packet of its own (MySQL, "Connection Phase"): 3 bytes of length, a number, a version that
/// ends with 0, 4 bytes of a thread, 9 of salt, 2 of what it can; 0x0800 of these is TLS.
fn mysql(c: &mut Connection) -> Result<Begun, String> {
    let mut head = [0; 4];
    c.read_exact(&mut head).map_err(words)?;
    let [a, b, d, _] = head;
    let length = u32::from_le_bytes([a, b, d, 0]) as usize;
    if length > MOST {
        return Err("the server's greeting has no end".into());
    }
    let mut hello = vec![0; length];
    c.read_exact(&mut hello).map_err(words)?;
    let version = hello.get(1..).unwrap_or_default();
    let end = version.iter().position(|b| *b == 0).map(|at| at + 15);
    let can = end.and_then(|at| hello.get(at..at + 2));
    let Some(&[low, high]) = can else {
        return Err("the server's greeting is not one of MySQL".into());
    };
    if u16::from_le_bytes([low, high]) & 0x0800 == 0 {
        return Err("MySQL server does not support SSL.".into());
    }
    // SSLRequest: protocol 4.1, TLS, secure connection; packets of 16 MiB; utf8.
    let mut asked = vec![32, 0, 0, 1, 0x00, 0x8a, 0, 0, 0, 0, 0, 1, 0x21];
    asked.resize(36, 0);
    c.write_all(&asked).map_err(words)?;
    Ok(silent())
}

fn say(c: &mut Connection, text: &str) -> Result<(), String> {
    c.write_all(text.as_bytes()).map_err(words)
}

fn wanted(said: &str, begins: &str) -> Result<(), String> {
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
        c.read_exact(&mut byte).map_err(words)?;
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
