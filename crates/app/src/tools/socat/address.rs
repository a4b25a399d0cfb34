//! Addresses as people write them: `TCP-LISTEN:8080,fork,reuseaddr`, `EXEC:'sh -c "a, b"',stderr`.

use super::options;

/// One end as it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Address {
    /// As it was written.
    pub word: String,
    pub kind: Kind,
    pub params: Vec<String>,
    /// By their first names.
    pub options: Vec<(&'static str, String)>,
}

/// What an end is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    #[default]
    Stdio,
    Stdin,
    Stdout,
    Stderr,
    Fd,
    Open,
    Gopen,
    Create,
    Pipe,
    Tcp(i32),
    TcpListen(i32),
    Udp(i32),
    UdpListen(i32),
    UdpRecv(i32),
    UdpRecvFrom(i32),
    Unix,
    UnixListen,
    Abstract,
    AbstractListen,
    Openssl(i32),
    OpensslListen(i32),
    Exec,
    System,
}

const ANY: i32 = 0;
const V4: i32 = libc::AF_INET;
const V6: i32 = libc::AF_INET6;

/// Names, the kind, how many parameters.
const KINDS: &[(&str, Kind, usize)] = &[
    ("stdio", Kind::Stdio, 0),
    ("stdin", Kind::Stdin, 0),
    ("stdout", Kind::Stdout, 0),
    ("stderr", Kind::Stderr, 0),
    ("fd", Kind::Fd, 1),
    ("open", Kind::Open, 1),
    ("file", Kind::Gopen, 1),
    ("gopen", Kind::Gopen, 1),
    ("create", Kind::Create, 1),
    ("creat", Kind::Create, 1),
    ("pipe", Kind::Pipe, 0),
    ("fifo", Kind::Pipe, 0),
    ("echo", Kind::Pipe, 0),
    ("tcp", Kind::Tcp(ANY), 2),
    ("tcp4", Kind::Tcp(V4), 2),
    ("tcp6", Kind::Tcp(V6), 2),
    ("tcp-connect", Kind::Tcp(ANY), 2),
    ("tcp4-connect", Kind::Tcp(V4), 2),
    ("tcp6-connect", Kind::Tcp(V6), 2),
    ("inet", Kind::Tcp(ANY), 2),
    ("tcp-listen", Kind::TcpListen(ANY), 1),
    ("tcp-l", Kind::TcpListen(ANY), 1),
    ("tcp4-listen", Kind::TcpListen(V4), 1),
    ("tcp4-l", Kind::TcpListen(V4), 1),
    ("tcp6-listen", Kind::TcpListen(V6), 1),
    ("tcp6-l", Kind::TcpListen(V6), 1),
    ("udp", Kind::Udp(ANY), 2),
    ("udp4", Kind::Udp(V4), 2),
    ("udp6", Kind::Udp(V6), 2),
    ("udp-connect", Kind::Udp(ANY), 2),
    ("udp4-connect", Kind::Udp(V4), 2),
    ("udp6-connect", Kind::Udp(V6), 2),
    ("udp-sendto", Kind::Udp(ANY), 2),
    ("udp4-sendto", Kind::Udp(V4), 2),
    ("udp6-sendto", Kind::Udp(V6), 2),
    ("udp-listen", Kind::UdpListen(ANY), 1),
    ("udp-l", Kind::UdpListen(ANY), 1),
    ("udp4-listen", Kind::UdpListen(V4), 1),
    ("udp4-l", Kind::UdpListen(V4), 1),
    ("udp6-listen", Kind::UdpListen(V6), 1),
    ("udp6-l", Kind::UdpListen(V6), 1),
    ("udp-recv", Kind::UdpRecv(ANY), 1),
    ("udp4-recv", Kind::UdpRecv(V4), 1),
    ("udp6-recv", Kind::UdpRecv(V6), 1),
    ("udp-recvfrom", Kind::UdpRecvFrom(ANY), 1),
    ("udp4-recvfrom", Kind::UdpRecvFrom(V4), 1),
    ("udp6-recvfrom", Kind::UdpRecvFrom(V6), 1),
    ("unix", Kind::Unix, 1),
    ("unix-connect", Kind::Unix, 1),
    ("unix-client", Kind::Unix, 1),
    ("unix-listen", Kind::UnixListen, 1),
    ("unix-l", Kind::UnixListen, 1),
    ("abstract-connect", Kind::Abstract, 1),
    ("abstract-client", Kind::Abstract, 1),
    ("abstract", Kind::Abstract, 1),
    ("abstract-listen", Kind::AbstractListen, 1),
    ("openssl", Kind::Openssl(ANY), 2),
    ("openssl-connect", Kind::Openssl(ANY), 2),
    ("ssl", Kind::Openssl(ANY), 2),
    ("openssl-listen", Kind::OpensslListen(ANY), 1),
    ("openssl-l", Kind::OpensslListen(ANY), 1),
    ("ssl-listen", Kind::OpensslListen(ANY), 1),
    ("ssl-l", Kind::OpensslListen(ANY), 1),
    ("exec", Kind::Exec, 1),
    ("system", Kind::System, 1),
];

impl Address {
    /// The value of an option; the last one counts.
    pub fn option(&self, name: &str) -> Option<&str> {
        let found = self.options.iter().rev().find(|o| o.0 == name);
        found.map(|o| o.1.as_str())
    }

    /// A switch is set: alone, or with a number other than zero.
    pub fn has(&self, name: &str) -> bool {
        self.option(name).is_some_and(|v| v != "0")
    }

    /// It waits for one peer after the other.
    pub fn forks(&self) -> bool {
        self.has("fork")
    }

    pub fn param(&self, at: usize) -> &str {
        self.params.get(at).map_or("", String::as_str)
    }
}

/// Reads one end, or two with `!!` between them: one to read from, one to write to.
pub fn parse(text: &str) -> Result<Vec<Address>, String> {
    let halves: Vec<&str> = match text.split_once("!!") {
        Some((left, right)) => vec![left, right],
        None => vec![text],
    };
    halves.into_iter().map(one).collect()
}

fn one(text: &str) -> Result<Address, String> {
    let mut parts = split(text, ',').into_iter();
    let head = parts.next().unwrap_or_default();
    let mut words = split(&head, ':').into_iter();
    let word = words.next().unwrap_or_default();
    let mut params: Vec<String> = words.collect();
    let lower = word.to_ascii_lowercase();
    let number = !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
    let found = match word.as_str() {
        "-" => Some((Kind::Stdio, 0)),
        _ if number => {
            params.insert(0, word.clone());
            Some((Kind::Fd, 1))
        }
        // A path is a file.
        _ if word.contains('/') => {
            params.insert(0, word.clone());
            Some((Kind::Gopen, 1))
        }
        _ => KINDS.iter().find(|k| k.0 == lower).map(|k| (k.1, k.2)),
    };
    let Some((kind, wanted)) = found else {
        return Err(format!("unknown device/address \"{word}\""));
    };
    if matches!(kind, Kind::Exec | Kind::System) {
        // A colon means nothing there.
        params = head
            .split_once(':')
            .map(|p| vec![p.1.to_string()])
            .unwrap_or_default();
    } else {
        for param in &mut params {
            *param = plain(param);
        }
    }
    if params.len() != wanted && matches!(kind, Kind::Openssl(_) | Kind::OpensslListen(_)) {
        let (word, many) = (word.to_ascii_uppercase(), if wanted > 1 { "s" } else { "" });
        return Err(format!("{word}: {wanted} parameter{many} required"));
    }
    if params.len() != wanted {
        let (n, word) = (params.len(), word.to_ascii_uppercase());
        return Err(format!(
            "{word}: wrong number of parameters ({n} instead of {wanted})"
        ));
    }
    let mut address = Address {
        word,
        kind,
        params,
        options: Vec::new(),
    };
    for option in parts.filter(|o| !o.is_empty()) {
        address.options.push(options::read(&option, kind)?);
    }
    if address.option("max-children").is_some() && !address.forks() {
        return Err("option max-children not allowed without option fork".into());
    }
    Ok(address)
}

/// Splits where the mark stands outside of quotes and brackets, and behind no backslash.
fn split(text: &str, mark: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut nest: Vec<char> = Vec::new();
    let mut letters = text.chars();
    while let Some(c) = letters.next() {
        if c == mark && nest.is_empty() {
            parts.push(String::new());
            continue;
        }
        let Some(part) = parts.last_mut() else { break };
        part.push(c);
        match c {
            '\\' => part.extend(letters.next()),
            c if nest.last() == Some(&c) => drop(nest.pop()),
            // Within quotes nothing else nests.
            _ if matches!(nest.last(), Some('"' | '\'')) => {}
            '"' | '\'' => nest.push(c),
            '(' => nest.push(')'),
            '[' => nest.push(']'),
            '{' => nest.push('}'),
            _ => {}
        }
    }
    parts
}

/// Without quotes and backslashes.
pub fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut quote = None;
    let mut letters = text.chars();
    while let Some(c) = letters.next() {
        match (c, quote) {
            ('\\', _) => out.extend(letters.next()),
            (c, Some(q)) if c == q => quote = None,
            ('"' | '\'', None) => quote = Some(c),
            _ => out.push(c),
        }
    }
    out
}

/// The words of a command line: blanks part them, quotes and backslashes hold them together.
pub fn words(text: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let (mut quote, mut open) = (None, false);
    let mut letters = text.chars();
    while let Some(c) = letters.next() {
        if c == ' ' && quote.is_none() {
            open = false;
            continue;
        }
        if !open {
            parts.push(String::new());
            open = true;
        }
        let Some(part) = parts.last_mut() else { break };
        match (c, quote) {
            ('\\', _) => part.extend(letters.next()),
            (c, Some(q)) if c == q => quote = None,
            ('"' | '\'', None) => quote = Some(c),
            _ => part.push(c),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_people_write_them() {
        let [a] = parse("TCP-LISTEN:8080,fork,reuseaddr,bind=[::1]")
            .unwrap()
            .try_into()
            .unwrap();
        assert_eq!((a.kind, a.param(0)), (Kind::TcpListen(ANY), "8080"));
        assert!(a.forks() && a.option("bind") == Some("[::1]"));
        let [a] = parse("tcp6:[fd00::1]:80").unwrap().try_into().unwrap();
        assert_eq!(a.params, ["[fd00::1]", "80"]);
        let [a] = parse("EXEC:sh -c \"a, b\",stderr")
            .unwrap()
            .try_into()
            .unwrap();
        assert_eq!(words(a.param(0)), ["sh", "-c", "a, b"]);
        assert!(a.has("stderr"));
        let [a] = parse("SYSTEM:cat\\, x: y").unwrap().try_into().unwrap();
        assert_eq!(a.param(0), "cat\\, x: y");
        assert_eq!(parse("STDIN!!STDOUT").unwrap().len(), 2);
        assert_eq!(parse("./x").unwrap()[0].kind, Kind::Gopen);
        for (text, why) in [
            ("TCP", "TCP: wrong number of parameters (0 instead of 2)"),
            ("NOPE:1", "unknown device/address \"NOPE\""),
            ("-,nosuch", "parseopts_table(): unknown option \"nosuch\""),
            (
                "EXEC:x,pty",
                "option \"pty\" is not taken: a terminal is script's business",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err(), why);
        }
    }

    #[test]
    fn damaged_addresses_are_refused_or_read() {
        let seeds = [
            "TCP-LISTEN:8080,fork,reuseaddr,bind=[::1]",
            "EXEC:sh -c \"a, b\",stderr,pipes",
            "OPENSSL:host:443,verify=0,cafile='a b',commonname=x!!STDOUT",
        ];
        netshoot_wire::fuzz::texts(&seeds, 10_000, |text| match parse(text) {
            Ok(all) => assert!(!all.is_empty() && all.len() <= 2),
            Err(why) => assert!(!why.is_empty()),
        });
    }
}
