//! The place of the tools that ask name servers: one `named` that is the root, the zones below it and a resolver, each
//! at an address of its own, and a server that lies.
//!
//! 127.0.0.1 and ::1 resolve and validate, and so does unbound at .7; .2 is the root, .3 `test`, .4 all other zones, .5 refuses, .6 lies, .77 is
//! closed; 198.51.100.9 is silent, to 203.0.113.1 there is no route.

use super::ground::{Ground, Said};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// The server, and the folder of its zones.
pub struct Names {
    dir: PathBuf,
    named: Child,
    unbound: Child,
}

impl Names {
    /// Where its files are.
    pub fn dir(&self) -> &std::path::Path {
        &self.dir
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        for server in [&mut self.named, &mut self.unbound] {
            let _ = server.kill();
            let _ = server.wait();
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Why the place cannot be made.
pub fn missing() -> Option<String> {
    let tools = [
        "/usr/sbin/named",
        "/usr/bin/dnssec-signzone",
        "/usr/sbin/unbound",
    ];
    let absent = tools.iter().find(|t| !std::path::Path::new(t).exists())?;
    Some(format!(
        "{absent} is not installed (scripts/test installs it)"
    ))
}

/// Makes it.
pub fn serve(ground: &Ground, tag: &str) -> Names {
    let dir = std::env::temp_dir().join(format!("netshoot-names-{tag}-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/names");
    for entry in std::fs::read_dir(own).unwrap() {
        let from = entry.unwrap().path();
        std::fs::copy(&from, dir.join(from.file_name().unwrap())).unwrap();
    }
    let enter = || {
        let mut c = Command::new("nsenter");
        c.arg(format!("--target={}", ground.id()));
        c.args(["--net", "--mount", "--"]).env("DIR", &dir);
        c
    };
    let out = enter()
        .args(["sh", "-e"])
        .arg(dir.join("prepare.sh"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "prepare.sh: {said}");
    let mut command = enter();
    command.args(["/usr/sbin/named", "-g", "-n", "1", "-c"]);
    let named = runs(command.arg(dir.join("named.conf")), " running");
    let mut command = enter();
    command.args(["/usr/sbin/unbound", "-d", "-c"]);
    let unbound = runs(command.arg(dir.join("unbound.conf")), "start of service");
    ground.inside(lie);
    Names {
        dir,
        named,
        unbound,
    }
}

/// Starts a server and waits until it says that it serves.
fn runs(command: &mut Command, says: &str) -> Child {
    let mut server = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(server.stderr.take().unwrap());
    let mut all = String::new();
    loop {
        let mut line = String::new();
        let n = log.read_line(&mut line).unwrap();
        assert!(n > 0, "{command:?} ended: {all}");
        all += &line;
        if line.contains(says) {
            break;
        }
    }
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    server
}

/// What the server that lies says to a query: its first label says how it lies.
fn lies(query: &[u8]) -> (String, Vec<u8>) {
    let mut at = 12;
    let mut first = String::new();
    while let Some(len) = query.get(at).copied().filter(|l| *l > 0) {
        let end = at + 1 + usize::from(len);
        if first.is_empty() {
            first = String::from_utf8_lossy(&query[at + 1..end]).into_owned();
        }
        at = end;
    }
    let question = &query[12..at + 5];
    let record = b"\xc0\x0c\0\x01\0\x01\0\0\x01\x2c\0\x04\xc0\0\x02\x01";
    let here = u8::try_from(12 + question.len()).unwrap();
    let message = |flags: u16, answers: u16, rest: &[u8]| {
        let mut m = query[..2].to_vec();
        m.extend(flags.to_be_bytes());
        m.extend([0, 1]);
        m.extend(answers.to_be_bytes());
        m.extend([0; 4]);
        m.extend(question);
        m.extend(rest);
        m
    };
    let good = message(0x8580, 1, record);
    let said = match first.as_str() {
        "loop" => message(0x8580, 1, &[&[0xc0, here], &record[2..]].concat()),
        "long" => message(
            0x8580,
            1,
            &[&record[..10], b"\xff\xff", &record[12..]].concat(),
        ),
        "cut" => message(0x8580, 1, &record[..8]),
        "count" => message(0x8580, 500, record),
        "id" => [&[query[0] ^ 1, query[1]], &good[2..]].concat(),
        "formerr" => message(0x8181, 0, &[]),
        "notimp" => message(0x8184, 0, &[]),
        "rcode" => message(0x818f, 0, &[]),
        "head" => good[..5].to_vec(),
        _ => good,
    };
    (first, said)
}

fn lie() {
    let udp = UdpSocket::bind("127.0.0.6:53").unwrap();
    let tcp = TcpListener::bind("127.0.0.6:53").unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((n, from)) = udp.recv_from(&mut buffer) {
            let _ = udp.send_to(&lies(&buffer[..n]).1, from);
        }
    });
    std::thread::spawn(move || {
        for stream in tcp.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut buffer = [0; 2048];
            let n = stream.read(&mut buffer).unwrap_or(0);
            if n < 19 {
                continue;
            }
            let (how, said) = lies(&buffer[2..n]);
            let len = u16::try_from(said.len()).unwrap().to_be_bytes();
            let _ = match how.as_str() {
                "eof" => Ok(()),
                "half" => stream.write_all(&[&len, &said[..10]].concat()),
                _ => stream.write_all(&[&len, &said[..]].concat()),
            };
        }
    });
}

/// Takes out what varies: ids, cookies, times, versions, and how long a resolver has kept a record.
pub fn masked(tool: &str, asked: &str, said: &Said) -> Said {
    // What a resolver keeps grows old: 299 s may be left of 300. It is asked where nobody else is named, and where it says so.
    let own = [
        "127.0.0.2",
        "127.0.0.3",
        "127.0.0.4",
        "127.0.0.5",
        "127.0.0.6",
    ];
    let resolvers = [
        "SERVER: 127.0.0.1",
        "SERVER: ::1",
        "from 127.0.0.1",
        "SERVER: 127.0.0.7",
        "response_address: \"127.0.0.7\"",
        "Address: 127.0.0.7",
        "Address:\t127.0.0.7",
        "Address:\t127.0.0.1",
        "Address:\t::1",
    ];
    let named = asked.split(' ').map(|word| word.trim_start_matches('@'));
    let kept = tool == "delv"
        || resolvers.iter().any(|r| said.out.contains(r))
        || !named.into_iter().any(|word| own.contains(&word));
    let lines = |text: &str| -> String {
        // Each key that it compares while it goes down (-T -D) is said by the original alone.
        const COMPARED: [&str; 4] = [
            "Checking if signing key is trusted:",
            "New key: ",
            "\tTrusted key: ",
            "Key is now trusted!",
        ];
        let said = text.lines();
        let said = said.filter(|l| tool != "drill" || !COMPARED.iter().any(|c| l.starts_with(c)));
        let lines = said.map(|l| line(l, kept));
        let mut all: String = lines.map(|l| l + "\n").collect();
        if !text.ends_with('\n') {
            all.pop();
        }
        all
    };
    // host's list of flags is ours: its page says so.
    let told = lines(&said.err);
    let flags = match tool {
        "delv" => told.find("Usage:  delv"),
        _ => told.find("Usage: host"),
    };
    let flags = flags.unwrap_or(told.len());
    Said {
        out: lines(&said.out),
        err: told[..flags].to_string(),
        code: said.code,
    }
}

/// The text with the word between `before` and `after` masked.
fn between(text: &str, before: &str, after: &str) -> String {
    match text.split_once(before) {
        Some((head, rest)) => {
            let end = if after.is_empty() {
                rest.len()
            } else {
                rest.find(after).unwrap_or(rest.len())
            };
            format!("{head}{before}*{}", &rest[end..])
        }
        None => text.to_string(),
    }
}

fn line(text: &str, kept: bool) -> String {
    let mut text = text.to_string();
    for (before, after) in [
        ("<<>> DiG ", " <<>>"),
        ("status: NOERROR, id: ", ","),
        (", id: ", ","),
        ("COOKIE: ", " ("),
        (";; Query time: ", " "),
        (";; WHEN: ", ""),
        (" in ", " ms"),
        ("query_time: !!timestamp ", ""),
        ("response_time: !!timestamp ", ""),
        ("      id: ", ""),
        ("drill version ", ""),
    ] {
        if text.contains(before) && (after != " ms" || text.trim_end_matches('.').ends_with(" ms"))
        {
            text = between(&text, before, after);
        }
    }
    for name in ["DiG ", "nslookup ", "host ", "delv "] {
        if text.starts_with(name) && text.split(' ').count() == 2 {
            text = format!("{name}*");
        }
    }
    text = signature(&text);
    if kept {
        text = between(&text, "\tttl = ", "\n");
        let words: Vec<&str> = text.split([' ', '\t']).filter(|w| !w.is_empty()).collect();
        let class = words.iter().position(|w| ["IN", "CLASS1"].contains(w));
        let at = class
            .and_then(|c| c.checked_sub(1))
            .filter(|at| (1..4).contains(at));
        if let Some(at) = at.filter(|at| words[*at].parse::<u32>().is_ok()) {
            text = words
                .iter()
                .enumerate()
                .map(|(i, w)| if i == at { "TTL " } else { w }.to_string() + " ")
                .collect();
        }
    }
    text
}

/// Of the signature of a message: its time, its bytes, its identifier.
fn signature(text: &str) -> String {
    let Some((head, data)) = text
        .split_once("TSIG\t")
        .or_else(|| text.split_once("TSIG "))
    else {
        return text.to_string();
    };
    let words: Vec<&str> = data.split(' ').collect();
    let [algorithm, _, fudge, length, rest @ ..] = words.as_slice() else {
        return text.to_string();
    };
    if fudge.parse::<u32>().is_err() {
        return text.to_string();
    }
    // What is wrong, and more data with its length, stand last.
    let n = rest.len().saturating_sub(3);
    let (bytes, behind) = (rest[..n].len(), rest[n..].join(" "));
    format!("{head}TSIG {algorithm} TIME {fudge} {length} ({bytes} words) {behind}")
}
