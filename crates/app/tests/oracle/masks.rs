//! What must vary from run to run, and so is not compared.

use super::ground::Said;

/// What was said, with the program's own path and what varies for this tool and line taken out.
pub fn masked(tool: &str, line: &str, said: &Said) -> Said {
    if ["nslookup", "dig", "host", "drill", "delv"].contains(&tool) {
        return super::names::masked(tool, line, said);
    }
    let usage = |text: &str| match tool {
        // The list of flags is ours: its page says so.
        "whois" => text.split("Usage:").next().unwrap_or_default().to_string(),
        "ping" => ping(text),
        "nc" => nc(text),
        "httpd" => httpd(text),
        "ss" => ss(text),
        "ip" => ip(text),
        "fping" => fping(text),
        "mtr" => mtr(text),
        "trip" => trip(text),
        "tracepath" => tracepath(text),
        "tcptraceroute" => tcptraceroute(text),
        "arping" => without_times(text.split("\nUsage:").next().unwrap_or_default(), &[]),
        "socat" => socat(text),
        "openssl" => openssl(text),
        "echo-server" | "websocat" | "grpcurl" => ports(text),
        "curl" => curl(text),
        "http" | "https" => httpie(text),
        "wget" => wget(text),
        "traceroute" => without_times(text.split("Usage:").next().unwrap_or_default(), &[]),
        _ => text.to_string(),
    };
    Said {
        out: usage(&said.out),
        err: usage(&said.err),
        code: said.code,
    }
}

/// Each number with a point in it, and each whole number behind one of `marks`.
fn without_times(text: &str, marks: &[&str]) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        out += &rest[..at];
        let number = &rest[at..];
        let end = number
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(number.len());
        let (number, behind) = number.split_at(end);
        let decimal = number.matches('.').count() == 1 && !number.ends_with('.');
        if decimal || marks.iter().any(|m| out.ends_with(m)) {
            out.push('T');
        } else {
            out += number;
        }
        rest = behind;
    }
    out + rest
}

/// Times and identifiers; the descriptors that -v of the original names; the list of flags, which is ours.
fn ping(text: &str) -> String {
    let own = text.split("\nUsage\n").next().unwrap_or_default();
    // An empty line stands behind the descriptors.
    let mut hidden = false;
    let lines = own.split_inclusive('\n').filter(|l| {
        let empty = hidden && *l == "\n";
        hidden = l.starts_with("ping: sock4.fd");
        !hidden && !empty && !l.starts_with("ai->ai_family")
    });
    lines
        .map(|l| without_times(l, &["time=", "time ", "ident=", "["]))
        .collect()
}

/// Seconds since a neighbour was used, confirmed and updated.
fn ip(text: &str) -> String {
    let ages = |word: &str| word.matches('/').count() == 2 && word.ends_with("probes");
    let words = text.split_inclusive(' ').map(|w| match ages(w.trim_end()) {
        true => w.replace(|c: char| c.is_ascii_digit(), "N"),
        false => w.to_string(),
    });
    words.collect()
}

/// The list of flags, dates of now, and the port that a peer comes from.
fn httpd(text: &str) -> String {
    let own = text.split("BusyBox v").next().unwrap_or_default();
    let own = own.split("Usage: httpd").next().unwrap_or_default();
    let lines = own
        .split_inclusive('\n')
        .map(|l| match l.starts_with("Date: ") {
            true => "Date: NOW\r\n".to_string(),
            false => ports(l),
        });
    lines.collect()
}

/// Times, process ids, descriptors and addresses of memory.
fn socat(text: &str) -> String {
    let day = |l: &str| {
        l.len() > 20 && l.as_bytes().get(4) == Some(&b'/') && l.as_bytes().get(7) == Some(&b'/')
    };
    let lines = text.split_inclusive('\n').map(|l| {
        if let Some((_, behind)) = l.split_once("] ").filter(|_| day(l)) {
            return ports(&without_descriptors(behind));
        }
        // Of a dump: what it is, not when.
        match l.split_once("  length=") {
            Some((when, behind)) if when.starts_with(['>', '<']) => {
                format!("{} length={behind}", &when[..1])
            }
            _ => l.to_string(),
        }
    });
    // Which of two processes spoke first is not the same each time; who forks says so twice.
    lines
        .filter(|l| !l.contains("childdied") && !l.contains("recvmsg()"))
        .collect()
}

/// `connect(5, AF=...`, `(fd 6)`, `FDs [6,6] and [5,5]`, `read(5, 0x55be54fe4000, 8192)`.
fn without_descriptors(text: &str) -> String {
    if let Some((before, _)) = text.split_once(" with FDs ") {
        return format!("{before} with FDs\n");
    }
    for (mark, end) in [
        ("(fd ", ")"),
        ("connect(", ","),
        ("bind(", ","),
        ("read(", ")"),
        ("write(", ")"),
    ] {
        if let Some((before, behind)) = text.split_once(mark)
            && let Some(at) = behind.find(end)
        {
            return format!("{before}{mark}FD{}", &behind[at..]);
        }
    }
    text.to_string()
}

/// The thread and the line of source in errors, numbers of bytes, what a session is and holds.
fn openssl(text: &str) -> String {
    let mut out = String::new();
    let (mut session, mut ticket) = (false, false);
    for line in text.split_inclusive('\n') {
        // Tickets come when they come.
        if line.starts_with("Post-Handshake New Session Ticket") {
            out.truncate(out.len().saturating_sub("---\n".len()));
            ticket = true;
        }
        if ticket {
            ticket = !line.starts_with("read R BLOCK");
            continue;
        }
        if line.starts_with("SSL-Session:") {
            session = true;
        }
        let kept = [
            "SSL-Session",
            "    Protocol",
            "    Cipher",
            "    Verify return",
            "    Extended master",
            "---",
        ];
        if session && !kept.iter().any(|k| line.starts_with(k)) {
            continue;
        }
        if line.starts_with("---") {
            session = false;
        }
        // How its decoders failed one after the other.
        if line.contains(":1608010C:") || line.contains(":1E08010C:") {
            continue;
        }
        if line.starts_with("SSL handshake has read") {
            out += "SSL handshake has read N bytes\n";
            continue;
        }
        let line = match line.split_once(":error:") {
            Some((thread, rest)) if thread.bytes().all(|b| b.is_ascii_hexdigit()) => {
                format!("error:{rest}")
            }
            _ => line.to_string(),
        };
        out += &match line.split_once(":../") {
            Some((before, behind)) => {
                let behind = behind.splitn(3, ':').nth(2).unwrap_or("\n");
                format!("{before}:{behind}")
            }
            None => line,
        };
    }
    out
}

/// Ports that the kernel chose: five digits behind an address.
fn ports(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(':') {
        let (before, behind) = rest.split_at(at + 1);
        out += before;
        let digits = behind.bytes().take_while(u8::is_ascii_digit).count();
        let number: u32 = behind[..digits].parse().unwrap_or(0);
        let of_address = before.ends_with("]:")
            || before
                .trim_end_matches(':')
                .ends_with(|c: char| c.is_ascii_digit());
        rest = if number > 9999 && of_address {
            out += "PORT";
            &behind[digits..]
        } else {
            behind
        };
    }
    out + rest
}

/// The list of flags, and the port that a peer comes from.
fn nc(text: &str) -> String {
    let own = text.split("usage: nc").next().unwrap_or_default();
    let from = |l: &str| match l.strip_prefix("Connection received on ") {
        Some(peer) if peer.contains(' ') => {
            let name = peer.split(' ').next().unwrap_or_default();
            format!("Connection received on {name} PORT\n")
        }
        _ => l.to_string(),
    };
    own.split_inclusive('\n').map(from).collect()
}

/// What runs, the figures that are of the whole machine, the list of flags, which is ours, what a kernel says of DCCP, and
/// the socket by which each asks. Where one of them varies in length, columns are as wide as they like.
fn ss(text: &str) -> String {
    let own = text.split("Usage: ss").next().unwrap_or_default();
    let asks = |l: &str| l.contains("tcpdiag:") || l.starts_with("nl ") && l.contains(" 4:");
    let lines = own
        .lines()
        .filter(|l| *l != "RTNETLINK answers: Invalid argument" && !asks(l));
    let varies = ["lastsnd:", "timer:(", "nl    "]
        .iter()
        .any(|v| own.contains(v));
    let line = |l: &str| {
        let mut l = l.to_string();
        for (before, after) in [
            ("lastsnd:", " "),
            ("lastrcv:", " "),
            ("lastack:", " "),
            ("timer:(on,", ")"),
            ("timer:(keepalive,", ","),
            ("timer:(timewait,", ","),
            ("TCP:   ", " "),
            (", closed ", ","),
            (", orphaned ", ","),
        ] {
            if let Some((head, rest)) = l.split_once(before) {
                let end = rest.find(after).unwrap_or(rest.len());
                l = format!("{head}{before}*{}", &rest[end..]);
            }
        }
        match varies {
            true => l
                .split(' ')
                .filter(|w| !w.is_empty())
                .collect::<Vec<_>>()
                .join(" "),
            false => l,
        }
    };
    let mut all: String = lines.map(|l| line(l) + "\n").collect();
    if !own.ends_with('\n') {
        all.pop();
    }
    all
}

/// Times, and the list of flags, which is ours.
fn fping(text: &str) -> String {
    let own = text.split("Usage: fping").next().unwrap_or_default();
    let lines = own.split_inclusive('\n').map(|l| {
        let clock = l.trim_end().len() == 10 && l.starts_with('[') && l.matches(':').count() == 2;
        match l.starts_with("SET m") || l.starts_with("SET avg") {
            _ if clock => "[CLOCK]\n".to_string(),
            true => "SET time\n".to_string(),
            false => without_times(l, &[]),
        }
    });
    lines.collect()
}

/// When it was, times (not losses), and the list of flags, which is ours.
fn mtr(text: &str) -> String {
    let own = text.split("\nUsage:\n mtr").next().unwrap_or_default();
    let line = |l: &str| {
        if l.starts_with("Start: ") {
            return "Start: T\n".to_string();
        }
        if let Some(rest) = l.strip_prefix("MTR.0.95,") {
            let rest = rest.split_once(',').map_or("", |r| r.1);
            return format!("MTR,T,{}", without_times(rest, &[]));
        }
        let losses = l.replace(".0%", " per cent").replace("100.0 ", "all ");
        let words = without_times(&losses, &[]).replace("T.", "T");
        // Of more than a second, the column has no room for the decimals.
        let long = |w: &str| {
            w.len() > 4
                && w.strip_suffix('.')
                    .is_some_and(|w| w.parse::<u32>().is_ok())
        };
        let words: Vec<&str> = words
            .split(' ')
            .filter(|w| !w.is_empty())
            .map(|w| if long(w) { "T" } else { w })
            .collect();
        // How wide a report is, its heading shows.
        match l.starts_with("HOST") || l.starts_with("Mtr") {
            true => l.to_string(),
            false => words.join(" "),
        }
    };
    own.split_inclusive('\n').map(line).collect()
}

/// As mtr's, and what this machine is called.
fn trip(text: &str) -> String {
    let masked = mtr(text);
    let lines = masked.lines().map(|l| {
        let mut words: Vec<&str> = l.split_whitespace().collect();
        match words.as_mut_slice() {
            ["HOST:" | "\"src\":", own, ..] => *own = "NAME",
            _ => return l.to_string() + "\n",
        }
        words.join(" ") + "\n"
    });
    lines.collect()
}

/// Times and the room in front of them, and the list of flags, which is ours.
fn tracepath(text: &str) -> String {
    let own = text.split("\nUsage\n").next().unwrap_or_default();
    let mut own = without_times(own, &[]);
    while own.contains("  T") {
        own = own.replace("  T", " T");
    }
    own
}

/// Times, the own port, what program it is and the list of flags, which is ours.
fn tcptraceroute(text: &str) -> String {
    let own = text
        .split("Usage: tcptraceroute")
        .next()
        .unwrap_or_default();
    let own = own.split("\ntcptraceroute 1.").next().unwrap_or_default();
    without_times(own, &[", port "])
}

/// Milliseconds, own ports and places in memory; of TLS the sizes of records and what rustls keeps to itself.
fn curl(text: &str) -> String {
    let tls = text.contains(" TLS handshake, ");
    let text = &together(text);
    let own = |l: &&str| {
        let sizes = tls && l.ends_with(" bytes data]");
        let kept = [
            "Copying HTTP/2 data in stream buffer",
            "Newsession Ticket",
            "old SSL session ID",
            "TLS alert, close notify",
        ];
        !sizes && !kept.iter().any(|k| l.contains(k))
    };
    let lines = text.lines().filter(own).map(|l| {
        let l = clock(l).unwrap_or(l);
        let l = l.replace("deflate, gzip, br, zstd", "deflate, gzip, zstd");
        let l = match l
            .split_once("after ")
            .and_then(|(a, b)| Some((a, b.split_once(' ')?)))
        {
            Some((a, (n, b))) if n.parse::<u32>().is_ok() => format!("{a}after N {b}"),
            _ => l,
        };
        let random = [
            "host: 0x",
            "easy handle 0x",
            "Local port: ",
            "* Connected to (nil)",
        ];
        match random.iter().find_map(|r| Some((l.split_once(r)?.0, r))) {
            Some((before, mark)) => format!("{before}{mark}"),
            None => l,
        }
    });
    let mut all: Vec<String> = lines.collect();
    // The original's thread that resolves says it too, when it is quick enough.
    all.dedup_by(|b, a| a == b && a.starts_with("* Could not resolve host: "));
    // The meter: only that it is there.
    all.iter_mut()
        .filter(|l| l.contains("--:--:--"))
        .for_each(|l| *l = meter(l));
    all.join("\n")
}

/// What stands behind `--trace-time`'s time.
fn clock(line: &str) -> Option<&str> {
    let (time, rest) = line.split_at_checked(16)?;
    let shape: String = time
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    (shape == "00:00:00.000000 ").then_some(rest)
}

/// Of the meter of `-Z` the last line, without times and speed: how often it is drawn varies.
fn together(text: &str) -> String {
    const WIDTH: usize = 71;
    let mut out = String::new();
    for (at, piece) in text.split('\r').enumerate() {
        let of_meter = |l: &str| l.get(35..36) == Some(":") && l.get(38..39) == Some(":");
        match piece.split_at_checked(WIDTH).filter(|p| of_meter(p.0)) {
            Some((line, behind)) => {
                if line.ends_with('\n') {
                    out += &format!("TOGETHER {}\n", &line[..31]);
                }
                out += behind;
            }
            None if at == 0 => out += piece,
            None => out += &format!("\r{piece}"),
        }
    }
    out
}

fn meter(line: &str) -> String {
    let end = line.rfind("--:--:--").map_or(line.len(), |at| at + 8);
    let of_speed = |c: char| c.is_ascii_digit() || " .kM".contains(c);
    let rest = line[end..].trim_start_matches(of_speed);
    format!("METER{rest}")
}

/// Places in memory, times, speeds, and what a login by Digest makes up.
fn httpie(text: &str) -> String {
    let line = |l: &str| {
        let mut l = l.to_string();
        // An object of Python's: where it stood in memory tells nobody anything, and ours has none.
        if let Some((before, behind)) = l.split_once("<urllib3.connection.HTTP")
            && let Some((_, behind)) = behind.split_once(">: ")
        {
            l = format!("{before}{behind}");
        }
        for (mark, end) in [
            ("Elapsed time: ", "s"),
            (" bytes in ", "\n"),
            ("cnonce=\"", "\""),
            ("response=\"", "\""),
        ] {
            if let Some((before, behind)) = l.split_once(mark)
                && let Some(at) = behind.find(end)
            {
                l = format!("{before}{mark}*{}", &behind[at..]);
            }
        }
        l
    };
    text.split_inclusive('\n').map(line).collect()
}

/// When it was, how fast and how long, what a login by Digest makes up, and when a cookie file was written.
fn wget(text: &str) -> String {
    let line = |l: &str| {
        let mut l = l.to_string();
        // `2026-11-27 05:02:21`, wherever it stands.
        let stamp = |t: &str| {
            t.len() == 19
                && t.bytes().enumerate().all(|(i, b)| match i {
                    4 | 7 => b == b'-',
                    10 => b == b' ',
                    13 | 16 => b == b':',
                    _ => b.is_ascii_digit(),
                })
        };
        while let Some(at) = (0..l.len()).find(|at| l.get(*at..at + 19).is_some_and(stamp)) {
            l.replace_range(at..at + 19, "WHEN");
        }
        for (mark, end) in [
            ("WHEN (", ")"),
            ("Total wall clock time: ", "\n"),
            (" in ", "\n"),
            ("cnonce=\"", "\""),
            ("response=\"", "\""),
        ] {
            if let Some((before, behind)) = l.split_once(mark)
                && let Some(at) = behind.find(end)
            {
                l = format!("{before}{mark}*{}", &behind[at..]);
            }
        }
        // The rate in a bar: whether there is one at all hangs on how long it took.
        if let Some(at) = l.rfind("    in *")
            && let Some(rate) = l[..at].rfind("  ").filter(|_| l.contains("%["))
        {
            l.replace_range(rate + 2..at, "RATE");
        }
        // The rate and the time behind a line of dots.
        match l.strip_prefix("     0K ").and_then(|r| r.split_once('=')) {
            Some((before, _)) => {
                let dots = before
                    .trim_end_matches(|c: char| !c.is_whitespace())
                    .trim_end();
                format!("     0K {dots}\n")
            }
            None => l,
        }
    };
    text.split_inclusive('\n').map(line).collect()
}
