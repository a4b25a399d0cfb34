//! Options of addresses: their names, what they take, and which kinds of ends have them.

use super::address::{Kind, plain};

/// What stands behind the name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// A number or nothing, which is 1.
    Number,
    Octal,
    Seconds,
    Word,
    Nothing,
}

use Takes::{Nothing, Number, Octal, Seconds, Word};

/// Their names, the first of which is used here.
const OPTIONS: &[(Takes, &[&str])] = &[
    (Number, &["fork"]),
    (Number, &["reuseaddr", "so-reuseaddr"]),
    (Number, &["reuseport", "so-reuseport"]),
    (Word, &["bind"]),
    (Nothing, &["crnl", "crlf"]),
    (Nothing, &["cr"]),
    (Number, &["verify", "openssl-verify"]),
    (Word, &["cert", "certificate", "openssl-certificate"]),
    (Word, &["key", "openssl-key"]),
    (Word, &["cafile", "ca", "openssl-cafile"]),
    (Word, &["commonname", "cn", "openssl-commonname"]),
    (Word, &["snihost", "openssl-snihost"]),
    (Number, &["nosni", "no-sni", "openssl-no-sni"]),
    (Word, &["min-proto-version", "openssl-min-proto-version"]),
    (Word, &["max-proto-version", "openssl-max-proto-version"]),
    (Seconds, &["connect-timeout"]),
    (Number, &["retry"]),
    (Seconds, &["interval", "intervall"]),
    (Number, &["forever"]),
    (Number, &["keepalive", "so-keepalive"]),
    (Number, &["nodelay", "tcp-nodelay"]),
    (Number, &["backlog"]),
    (Number, &["max-children", "maxchildren"]),
    (Word, &["pf", "protocol-family"]),
    (Number, &["ipv6only", "ipv6-v6only", "v6only"]),
    (Number, &["ignoreeof", "ignore-eof"]),
    (Nothing, &["shut-none"]),
    (Nothing, &["shut-down"]),
    (Octal, &["mode", "perm"]),
    (Number, &["unlink-early"]),
    (Number, &["unlink-close"]),
    (Number, &["append", "o-append"]),
    (Number, &["creat", "create", "o-creat"]),
    (Number, &["trunc", "o-trunc"]),
    (Number, &["rdonly", "o-rdonly"]),
    (Number, &["wronly", "o-wronly"]),
    (Number, &["rdwr", "o-rdwr"]),
    (Number, &["stderr"]),
    (Number, &["pipes"]),
    (Number, &["sourceport", "sp"]),
    (Number, &["ttl", "ip-ttl"]),
    (Number, &["tos", "ip-tos"]),
    (Number, &["broadcast", "so-broadcast"]),
    (Number, &["rcvbuf", "so-rcvbuf"]),
    (Number, &["sndbuf", "so-sndbuf"]),
    (Number, &["nonblock"]),
    (Number, &["cloexec"]),
    (Number, &["nofork"]),
    (Nothing, &["end-close"]),
];

/// Options that the original has and this one does not take, and why.
const REFUSED: &[(&str, &str)] = &[
    ("pty", "a terminal is script's business"),
    ("su", "a container's user comes from runAsUser"),
    ("user", "a container's user comes from runAsUser"),
    ("range", "who may come is a NetworkPolicy's business"),
    ("tcpwrap", "who may come is a NetworkPolicy's business"),
];

/// Reads `NAME`, `NAME=VALUE`.
pub fn read(option: &str, kind: Kind) -> Result<(&'static str, String), String> {
    let (name, value) = match option.split_once('=') {
        Some((name, value)) => (name, Some(plain(value))),
        None => (option, None),
    };
    let lower = name.to_ascii_lowercase();
    if let Some((_, why)) = REFUSED.iter().find(|r| r.0 == lower) {
        return Err(format!("option \"{name}\" is not taken: {why}"));
    }
    let known = OPTIONS.iter().find(|o| o.1.contains(&lower.as_str()));
    let Some((takes, Some(first))) = known.map(|o| (o.0, o.1.first())) else {
        return Err(format!("parseopts_table(): unknown option \"{name}\""));
    };
    if !suits(first, kind) {
        return Err(format!(
            "parseopts_table(): option \"{name}\" not supported with this address type"
        ));
    }
    let needed = || {
        value
            .clone()
            .ok_or(format!("option \"{name}\": value required"))
    };
    let value = match takes {
        Nothing if value.is_some() => {
            return Err(format!("no value permitted for option \"{first}\""));
        }
        Nothing => String::new(),
        Word => needed()?,
        Octal => numeric(option, &needed()?, |v| {
            u32::from_str_radix(v, 8).is_ok().then(|| v.into())
        })?,
        Seconds => numeric(option, &needed()?, |v| {
            v.parse::<f64>().is_ok().then(|| v.into())
        })?,
        Number => match value {
            None => String::new(),
            Some(value) => numeric(option, &value, |v| integer(v).map(|n| n.to_string()))?,
        },
    };
    Ok((first, value))
}

/// What only some kinds of ends have.
fn suits(name: &str, kind: Kind) -> bool {
    let tls = matches!(kind, Kind::Openssl(_) | Kind::OpensslListen(_));
    let unix = matches!(kind, Kind::UnixListen | Kind::AbstractListen);
    let tcp = matches!(kind, Kind::Tcp(_) | Kind::TcpListen(_));
    match name {
        "stderr" | "pipes" | "nofork" => matches!(kind, Kind::Exec | Kind::System),
        "verify" | "cert" | "key" | "cafile" | "commonname" | "snihost" | "nosni"
        | "min-proto-version" | "max-proto-version" => tls,
        "nodelay" => tls || tcp,
        "backlog" => unix || matches!(kind, Kind::TcpListen(_) | Kind::OpensslListen(_)),
        _ => true,
    }
}

/// What `read` makes of a value: none of it may be left.
fn numeric(
    option: &str,
    value: &str,
    read: impl Fn(&str) -> Option<String>,
) -> Result<String, String> {
    if let Some(number) = read(value) {
        return Ok(number);
    }
    let begins = (1..value.len()).any(|at| value.get(..at).is_some_and(|v| read(v).is_some()));
    Err(match begins {
        true => format!("parseopts(): trailing garbage in numerical arg of option \"{option}\""),
        false => format!("parseopts(): missing numerical value of option \"{option}\""),
    })
}

/// Decimal, `0x10` or `010`, as C reads numbers.
pub fn integer(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let hex = digits.strip_prefix("0x").or(digits.strip_prefix("0X"));
    let (base, digits) = match hex {
        Some(hex) => (16, hex),
        None if digits.len() > 1 && digits.starts_with('0') => (8, digits),
        None => (10, digits),
    };
    let plain = !digits.is_empty() && digits.chars().all(|c| c.is_digit(base));
    let number = plain.then(|| i64::from_str_radix(digits, base).unwrap_or(i64::MAX));
    number.map(|n| sign * n)
}

/// The same of an option on the command line; none of it may be left, and it is not below zero.
pub fn size(option: &str, text: &str) -> Result<u64, String> {
    let read = numeric(option, text, |v| integer(v).map(|n| n.to_string()))?;
    let number: i64 = read.parse().unwrap_or(i64::MAX);
    match u64::try_from(number) {
        Ok(n) if n > 0 && number < i64::MAX => Ok(n),
        Ok(0) => Err(format!("option \"{option}\": nothing fits into 0 bytes")),
        _ => {
            let (shown, most) = (if number < 0 { number as u64 } else { u64::MAX }, i64::MAX);
            Err(format!(
                "buffer size option ({option}) to big - {shown} (max is {most})"
            ))
        }
    }
}

/// Seconds of an option on the command line.
pub fn seconds(option: &str, text: &str) -> Result<std::time::Duration, String> {
    let read = numeric(option, text, |v| v.parse::<f64>().is_ok().then(|| v.into()))?;
    let span = read.parse::<f64>().ok();
    let span = span.and_then(|s| std::time::Duration::try_from_secs_f64(s).ok());
    span.ok_or_else(|| format!("option \"{option}\": \"{text}\" is no time to wait"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_options_are_refused_or_read() {
        let seeds = [
            "connect-timeout=1.5",
            "mode=600",
            "ttl=0x10",
            "bind='a b'",
            "crlf",
        ];
        netshoot_wire::fuzz::texts(&seeds, 10_000, |text| {
            match read(text, Kind::TcpListen(0)) {
                Ok((name, value)) => {
                    let again = match value.as_str() {
                        "" => name.to_string(),
                        plain if plain.contains(['\\', '"', '\'']) => return,
                        value => format!("{name}={value}"),
                    };
                    let bare = text.contains('=') && value.is_empty();
                    assert!(bare || read(&again, Kind::TcpListen(0)) == Ok((name, value)));
                }
                Err(why) => assert!(!why.is_empty()),
            }
            if let Ok(size) = size("-b", text) {
                assert!(size > 0 && i64::try_from(size).is_ok());
            }
            drop(seconds("-t", text));
        });
    }

    #[test]
    fn numbers_as_c_reads_them() {
        let read: Vec<Option<i64>> = ["0x10", "010", "-1", "+7", "08", "", "1x", "0"]
            .map(integer)
            .into();
        let (none, some) = (None, Some);
        assert_eq!(
            read,
            [
                some(16),
                some(8),
                some(-1),
                some(7),
                none,
                none,
                none,
                some(0)
            ]
        );
    }
}
