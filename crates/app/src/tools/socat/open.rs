//! Opening an end.

use super::address::{Address, Kind, words};
use super::end::{End, Lines, Unlinked, Way};
use super::{Failed, Plan, listen, secured};
use netshoot_host::names::{self, Hints};
use netshoot_host::streams::{self, Manner};
use netshoot_host::{interrupt, sockets};
use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{SocketAddr as Name, UnixStream};
use std::process::{Command, Stdio};
use std::time::Duration;

type Opened = Result<End, Failed>;

pub fn fail<T>(plan: &Plan, why: &str) -> Result<T, Failed> {
    plan.log.error(why);
    Err(Failed)
}

/// Opens one address, or two of which the first is read and the second written. `which`: 0 is the left one.
pub fn open(plan: &Plan, all: &[Address], which: usize) -> Opened {
    open_told(plan, all, which, &[])
}

/// The same; commands are told what is in `told`.
pub fn open_told(plan: &Plan, all: &[Address], which: usize, told: &[(String, String)]) -> Opened {
    match all {
        [one] => single(plan, one, which, told),
        [from, to] => {
            let (mut from, mut to) = (
                single(plan, from, which, told)?,
                single(plan, to, which, told)?,
            );
            // TLS cannot be cut in two.
            if from.tls.is_some() || to.tls.is_some() {
                return fail(plan, "!! joins no OPENSSL addresses here");
            }
            from.write = to.write.take();
            Ok(from)
        }
        _ => fail(plan, "an address is missing"),
    }
}

fn single(plan: &Plan, a: &Address, which: usize, told: &[(String, String)]) -> Opened {
    let mut end = retried(plan, a, which, told)?;
    end.lines = match () {
        () if a.has("crnl") => Lines::CrLf,
        () if a.has("cr") => Lines::Cr,
        () => Lines::AsTheyAre,
    };
    end.ignore_eof = a.has("ignoreeof");
    end.shut_none = a.has("shut-none");
    Ok(end)
}

fn retried(plan: &Plan, a: &Address, which: usize, told: &[(String, String)]) -> Opened {
    let number = |name: &str| a.option(name).and_then(|v| v.parse::<f64>().ok());
    let mut left = match (a.has("forever"), a.option("retry")) {
        (true, _) => u64::MAX,
        (_, Some("")) => 1,
        // Below zero there is no end of it.
        (_, Some(n)) if n.starts_with('-') => u64::MAX,
        (_, n) => n.and_then(|n| n.parse().ok()).unwrap_or(0),
    };
    let pause = Duration::try_from_secs_f64(number("interval").unwrap_or(1.0))
        .unwrap_or(Duration::from_secs(1));
    loop {
        let why = match kind(plan, a, which, told) {
            Ok(end) => return Ok(end),
            Err(why) => why,
        };
        if left == 0 {
            if !why.is_empty() {
                plan.log.error(&why);
            }
            return Err(Failed);
        }
        plan.log.warn(&why);
        left -= 1;
        std::thread::sleep(pause);
    }
}

/// A file of one of the three standard descriptors.
fn standard(fd: impl AsFd) -> io::Result<Way> {
    Ok(Way::File(File::from(fd.as_fd().try_clone_to_owned()?)))
}

fn kind(plan: &Plan, a: &Address, which: usize, told: &[(String, String)]) -> Result<End, String> {
    let text = |e: io::Error| sockets::strerror(&e);
    let reads = || standard(std::io::stdin()).map_err(text);
    let writes = || standard(std::io::stdout()).map_err(text);
    match a.kind {
        Kind::Stdio => {
            use super::Ways;
            let (read, write) = match (plan.ways, which) {
                (Ways::Both, _) => ("reading from and writing to stdio", true),
                (Ways::LeftToRight, 0) | (Ways::RightToLeft, 1) => ("reading from stdin", false),
                _ => ("writing to stdout", true),
            };
            plan.log.note(read);
            Ok(End {
                read: Some(reads()?),
                write: if write { Some(writes()?) } else { None },
                ..End::default()
            })
        }
        Kind::Stdin => {
            plan.log.note("reading from stdin");
            Ok(End {
                read: Some(reads()?),
                ..End::default()
            })
        }
        Kind::Stdout => {
            plan.log.note("writing to stdout");
            Ok(End {
                write: Some(writes()?),
                ..End::default()
            })
        }
        Kind::Stderr => {
            plan.log.note("writing to stderr");
            let write = standard(std::io::stderr()).map_err(text)?;
            Ok(End {
                write: Some(write),
                ..End::default()
            })
        }
        Kind::Fd => descriptor(a),
        Kind::Open | Kind::Gopen | Kind::Create => file(plan, a, which),
        Kind::Pipe => {
            plan.log.note("writing to and reading from unnamed pipe");
            let (read, write) = std::io::pipe().map_err(text)?;
            Ok(End {
                read: Some(Way::File(File::from(OwnedFd::from(read)))),
                write: Some(Way::File(File::from(OwnedFd::from(write)))),
                ..End::default()
            })
        }
        Kind::Tcp(family) => Ok(End::stream(connect(plan, a, family, false)?).map_err(text)?),
        Kind::Udp(family) => {
            let fd = connect(plan, a, family, true)?;
            Ok(End {
                read: Some(Way::Datagrams(fd.try_clone().map_err(text)?, false)),
                write: Some(Way::Datagrams(fd, false)),
                ..End::default()
            })
        }
        Kind::Openssl(family) => {
            let wish = secured::wish(a)?;
            let fd = connect(plan, a, family, false)?;
            if !wish.verify {
                plan.log
                    .note("option openssl-verify disabled, no check of certificate");
            }
            let mut end = End::stream(fd.try_clone().map_err(text)?).map_err(text)?;
            let host = a.param(0).trim_matches(['[', ']']);
            let done = secured::Secured::connect(fd, &wish, host, a.option("snihost"))?;
            end.tls = Some(Box::new(done));
            Ok(end)
        }
        Kind::Unix | Kind::Abstract => unix(plan, a),
        Kind::Exec | Kind::System => command(plan, a, told),
        _ => listen::one(plan, a),
    }
}

fn descriptor(a: &Address) -> Result<End, String> {
    let number: i32 = a
        .param(0)
        .parse()
        .map_err(|_| format!("error in FD number \"{}\"", a.param(0)))?;
    // Without unsafe code a descriptor that was handed down is opened anew by its name in /proc.
    let path = format!("/proc/self/fd/{number}");
    let open = |read: bool| File::options().read(read).write(!read).open(&path);
    let (read, write) = (open(true), open(false));
    if let (Err(e), Err(_)) = (&read, &write) {
        let missing = e.kind() == io::ErrorKind::NotFound;
        let why = if missing {
            "Bad file descriptor".into()
        } else {
            sockets::strerror(e)
        };
        return Err(format!("fd {number}: {why}"));
    }
    Ok(End {
        read: read.ok().map(Way::File),
        write: write.ok().map(Way::File),
        ..End::default()
    })
}

fn file(plan: &Plan, a: &Address, which: usize) -> Result<End, String> {
    use super::Ways;
    let path = a.param(0);
    // `-u A B` reads A and writes B.
    let (mut read, mut write) = match (plan.ways, which) {
        (Ways::Both, _) => (true, true),
        (Ways::LeftToRight, 0) | (Ways::RightToLeft, 1) => (true, false),
        _ => (false, true),
    };
    if a.kind == Kind::Gopen && is_socket(path) {
        let mut as_socket = a.clone();
        as_socket.kind = Kind::Unix;
        return unix(plan, &as_socket);
    }
    if a.kind == Kind::Create {
        read = false;
    }
    (read, write) = (read && !a.has("wronly"), write && !a.has("rdonly"));
    let creates = matches!(a.kind, Kind::Create | Kind::Gopen);
    let there = match std::fs::metadata(path) {
        Err(e) if creates && e.kind() != io::ErrorKind::NotFound => {
            return Err(format!("stat(\"{path}\"): {}", sockets::strerror(&e)));
        }
        other => other.is_ok(),
    };
    let create =
        a.kind == Kind::Create || a.has("creat") || (a.kind == Kind::Gopen && write && !there);
    let append = a.has("append") || (a.kind == Kind::Gopen && write && there && !a.has("trunc"));
    let trunc = a.has("trunc") || a.kind == Kind::Create;
    let flag = |set: bool, flag: i32| if set && write { flag } else { 0 };
    let more = flag(append, libc::O_APPEND) | flag(trunc, libc::O_TRUNC);
    let mut options = File::options();
    options.read(read).write(write).custom_flags(more);
    options.create(create && write);
    let opened = options.open(path).map_err(|e| {
        let why = sockets::strerror(&e);
        if a.kind == Kind::Create {
            return format!("creat(\"{path}\", 0666): {why}");
        }
        // <fcntl.h>: O_WRONLY 01, O_RDWR 02, O_CREAT 0100.
        let way = if read && write { 2 } else { i32::from(write) };
        let creates = if create { libc::O_CREAT } else { 0 };
        format!("open(\"{path}\", 0{:o}, 0666): {why}", way | creates | more)
    })?;
    let twin = opened.try_clone().map_err(|e| sockets::strerror(&e))?;
    Ok(End {
        read: read.then_some(Way::File(opened)),
        write: write.then_some(Way::File(twin)),
        unlinked: a.has("unlink-close").then(|| Unlinked(path.into())),
        ..End::default()
    })
}

fn is_socket(path: &str) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::metadata(path).is_ok_and(|m| m.file_type().is_socket())
}

/// The family that an address, its options and the command line want.
pub fn family(plan: &Plan, a: &Address, own: i32) -> i32 {
    match a.option("pf") {
        Some("ip4" | "ipv4" | "inet" | "2") => libc::AF_INET,
        Some("ip6" | "ipv6" | "inet6" | "10") => libc::AF_INET6,
        _ if own != 0 => own,
        _ => plan.family,
    }
}

/// What the options say of a socket.
pub fn manner(a: &Address, datagram: bool) -> Manner {
    let number = |name: &str| a.option(name).and_then(|v| v.parse::<u32>().ok());
    let byte = |name: &str| number(name).and_then(|n| u8::try_from(n).ok());
    Manner {
        datagram,
        tos: byte("tos"),
        ttl: byte("ttl"),
        receive_buffer: number("rcvbuf"),
        send_buffer: number("sndbuf"),
        broadcast: a.has("broadcast"),
        ..Manner::default()
    }
}

/// `2 127.0.0.1:80`, `10 [0000:...:0001]:80`, as the original writes addresses.
pub fn shown(at: SocketAddr) -> String {
    match at {
        SocketAddr::V4(a) => format!("AF=2 {a}"),
        SocketAddr::V6(a) => {
            let parts: Vec<String> = a
                .ip()
                .segments()
                .iter()
                .map(|s| format!("{s:04x}"))
                .collect();
            format!("AF=10 [{}]:{}", parts.join(":"), a.port())
        }
    }
}

/// The size of such a sockaddr (ip(7), ipv6(7)).
pub fn size(at: SocketAddr) -> usize {
    if at.is_ipv4() { 16 } else { 28 }
}

/// The own address that `bind=` names.
pub fn own(
    a: &Address,
    family: i32,
    port: &str,
    passive: bool,
) -> Result<Option<SocketAddr>, String> {
    let Some(bind) = a.option("bind").filter(|b| !b.is_empty()) else {
        return Ok(None);
    };
    let bare = bind.trim_matches(['[', ']']);
    let (host, port) = match bind.rsplit_once(':') {
        Some((host, own)) if !host.contains(':') || host.ends_with(']') => {
            (host.trim_matches(['[', ']']), own)
        }
        _ => (bare, port),
    };
    let hints = Hints {
        family,
        kind: libc::SOCK_STREAM,
        flags: if passive { libc::AI_PASSIVE } else { 0 },
    };
    let found = names::resolve(Some(host), Some(port), hints);
    let found = found.map_err(|why| {
        format!("getaddrinfo(\"{host}\", \"NULL\", {{1,{family},1,6}}, {{}}): {why}")
    })?;
    Ok(found.addresses.first().copied())
}

/// What no socket takes.
pub fn check(a: &Address, port: &str) -> Result<(), String> {
    const FAMILIES: [&str; 8] = ["ip4", "ipv4", "inet", "2", "ip6", "ipv6", "inet6", "10"];
    if let Some(name) = a.option("pf").filter(|n| !FAMILIES.contains(n)) {
        return Err(format!("unknown protocol family \"{name}\""));
    }
    let ttl = a.option("ttl").and_then(|t| t.parse::<i64>().ok());
    // <netinet/in.h>: IP_TTL is 2; -1 is the kernel's own.
    if let Some(wrong) = ttl.filter(|t| *t != -1 && !(1..256).contains(t)) {
        return Err(format!(
            "setsockopt(5, 0, 2, {{{wrong}}}, 4): Invalid argument"
        ));
    }
    match port {
        "" => Err("empty port/service".into()),
        _ => Ok(()),
    }
}

fn connect(plan: &Plan, a: &Address, own_family: i32, datagram: bool) -> Result<OwnedFd, String> {
    let (host, port) = (a.param(0).trim_matches(['[', ']']), a.param(1));
    check(a, port)?;
    let bracketed = a.param(0).starts_with('[');
    let family = match family(plan, a, own_family) {
        0 if bracketed => libc::AF_INET6,
        other => other,
    };
    let (kind, protocol) = if datagram { (2, 17) } else { (1, 6) };
    // A service's name first, as the original does.
    if port.parse::<u16>().is_err() {
        let hints = Hints {
            family: 0,
            kind,
            flags: 0,
        };
        let known = names::resolve(None, Some(port), hints);
        if known.is_err() {
            return Err(format!(
                "getaddrinfo\"{host}\", \"{port}\", {{1,0,{kind},0}}, {{}}): Servname not supported for ai_socktype"
            ));
        }
    }
    let hints = Hints {
        family,
        kind,
        flags: 0,
    };
    let flags = if bracketed { 5 } else { 1 };
    let numeric = || {
        host.split('%')
            .next()
            .is_some_and(|h| h.parse::<IpAddr>().is_ok())
    };
    let found = match bracketed && !numeric() {
        true => Err("Name or service not known".to_string()),
        false => names::resolve(Some(host), Some(port), hints).map_err(|w| w.to_string()),
    };
    let found = found.map_err(|why| {
        format!(
            "getaddrinfo(\"{host}\", \"NULL\", {{{flags},{family},{kind},{protocol}}}, {{}}): {why}"
        )
    })?;
    // The original asks for one address, of IPv4 where there is one.
    let preferred = if plan.family == libc::AF_INET6 {
        libc::AF_INET6
    } else {
        libc::AF_INET
    };
    let of = |f: i32| {
        found
            .addresses
            .iter()
            .find(|x| sockets::family(x.ip()) == f)
    };
    let first = of(preferred).or(found.addresses.first());
    let to = *first.ok_or_else(|| format!("{host}: no address"))?;
    plan.log
        .note(&format!("opening connection to {}", shown(to)));
    let fd = streams::open(to, &manner(a, datagram)).map_err(|f| sockets::strerror(&f.source))?;
    let port = a.option("sourceport").unwrap_or("0");
    let mut own = own(a, sockets::family(to.ip()), port, false)?;
    if own.is_none() && a.option("sourceport").is_some() {
        let port = port.parse().unwrap_or(0);
        let any = if to.is_ipv4() { "0.0.0.0" } else { "::" };
        own = any.parse().ok().map(|ip| SocketAddr::new(ip, port));
    }
    if a.has("reuseaddr") {
        let _ = sockets::set(&fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1);
    }
    if a.has("keepalive") {
        let _ = sockets::set(&fd, libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1);
    }
    if a.has("nodelay") && !datagram {
        let _ = sockets::set(&fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1);
    }
    if let Some(own) = own {
        sockets::bind(&fd, own).map_err(|e| {
            format!(
                "bind({}, {{{}}}, {}): {}",
                fd.as_raw_fd(),
                shown(own),
                size(own),
                sockets::strerror(&e)
            )
        })?;
    }
    let patience = a.option("connect-timeout").and_then(|t| t.parse().ok());
    let patience = patience.and_then(|s| Duration::try_from_secs_f64(s).ok());
    streams::connect(&fd, to, patience).map_err(|e| {
        let why = match e.raw_os_error() {
            Some(libc::EINPROGRESS) => "Connection timed out".into(),
            _ => sockets::strerror(&e),
        };
        format!(
            "connect({}, {}, {}): {why}",
            fd.as_raw_fd(),
            shown(to),
            size(to)
        )
    })?;
    if let Ok(local) = sockets::local(&fd) {
        plan.log.note(&format!(
            "successfully connected from local address {}",
            shown(local)
        ));
    }
    Ok(fd)
}

/// The name of a UNIX socket: a path, or what stands in no folder.
pub fn unix_name(a: &Address) -> Result<Name, String> {
    // unix(7): sun_path has 108 bytes.
    if a.param(0).len() > 108 {
        let n = a.param(0).len();
        return Err(format!(
            "unix socket address {n} characters long, max length is 108"
        ));
    }
    let name = match a.kind {
        Kind::Abstract | Kind::AbstractListen => Name::from_abstract_name(a.param(0)),
        _ => Name::from_pathname(a.param(0)),
    };
    name.map_err(|e| sockets::strerror(&e))
}

/// That name as the original writes it.
pub fn shown_name(a: &Address) -> String {
    match (a.kind, a.param(0)) {
        (Kind::Abstract | Kind::AbstractListen, name) => format!("\\0{name}"),
        (_, "") => "<anon>".into(),
        (_, path) => path.into(),
    }
}

/// How long its sockaddr is.
pub fn unix_length(a: &Address) -> usize {
    let zero = usize::from(matches!(a.kind, Kind::Abstract | Kind::AbstractListen));
    2 + zero + a.param(0).len()
}

fn unix(plan: &Plan, a: &Address) -> Result<End, String> {
    let path = shown_name(a);
    let in_words = |e: io::Error| {
        let length = unix_length(a);
        format!(
            "connect(, AF=1 \"{path}\", {length}): {}",
            sockets::strerror(&e)
        )
    };
    plan.log
        .note(&format!("opening connection to AF=1 \"{path}\""));
    let name = unix_name(a)?;
    let stream = UnixStream::connect_addr(&name).map_err(in_words)?;
    plan.log
        .note("successfully connected from local address AF=1 \"\"");
    stream
        .set_nonblocking(true)
        .map_err(|e| sockets::strerror(&e))?;
    End::stream(stream.into()).map_err(|e| sockets::strerror(&e))
}

fn command(plan: &Plan, a: &Address, told: &[(String, String)]) -> Result<End, String> {
    let text = |e: io::Error| sockets::strerror(&e);
    let line = words(a.param(0));
    let (program, args) = match (a.kind, line.split_first()) {
        (Kind::System, _) => (
            "sh".to_string(),
            vec!["-c".into(), a.param(0).replace("\\,", ",")],
        ),
        (_, Some((first, rest))) => (first.clone(), rest.to_vec()),
        (_, None) => return Err("EXEC: an empty command line".into()),
    };
    let mut command = netshoot_shell::own_command(&program);
    command.args(&args).envs(told.iter().map(|(k, v)| (k, v)));
    let (child, mut end) = if a.has("pipes") {
        plan.log
            .note("forking off child, using pipes for reading and writing");
        let (theirs, ours) = std::io::pipe().map_err(text)?;
        let (back, their_back) = std::io::pipe().map_err(text)?;
        with_errors(
            &mut command,
            a,
            their_back.try_clone().map_err(text)?.into(),
        );
        command.stdin(theirs).stdout(their_back);
        let end = End {
            read: Some(Way::File(File::from(OwnedFd::from(back)))),
            write: Some(Way::File(File::from(OwnedFd::from(ours)))),
            ..End::default()
        };
        (command.spawn(), end)
    } else {
        plan.log
            .note("forking off child, using socket for reading and writing");
        let (ours, theirs) = UnixStream::pair().map_err(text)?;
        ours.set_nonblocking(true).map_err(text)?;
        let twin = || theirs.try_clone().map(OwnedFd::from).map_err(text);
        with_errors(&mut command, a, twin()?);
        command.stdin(twin()?).stdout(twin()?);
        (command.spawn(), End::stream(ours.into()).map_err(text)?)
    };
    drop(command);
    match child {
        Ok(child) => {
            plan.log
                .note(&format!("forked off child process {}", child.id()));
            end.child = Some(child);
        }
        Err(e) => {
            // Nobody reads it.
            end.write = None;
            // Of a longer line the beginning is told.
            let mut all = vec![format!("\"{program}\""), format!("\"{program}\"")];
            all.extend(args.iter().take(2).map(|a| format!("\"{a}\"")));
            if args.len() > 1 {
                all.push("...".into());
            }
            plan.log.error(&format!(
                "execvp({}): {}",
                all.join(", "),
                sockets::strerror(&e)
            ));
        }
    }
    Ok(end)
}

fn with_errors(command: &mut Command, a: &Address, to: OwnedFd) {
    if a.has("stderr") {
        command.stderr(Stdio::from(to));
    }
}

/// A file that is taken away whatever ends the process; the promise lives as long as the process.
pub fn unlinked_at_the_end(path: &str) {
    let path = path.to_string();
    if let Ok(owed) = interrupt::on_end(move || drop(std::fs::remove_file(path))) {
        std::mem::forget(owed);
    }
}
