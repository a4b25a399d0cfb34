//! A shell that outlives its stream: in the pod, its terminal is played by a process that stays when the stream
//! drops, and the next stream is led to it. Both ends of the socket between them speak frames. Linux only.
//!
//!     client  netshoot __shell TOKEN -- bash        by exec, again and again with the same token
//!     there   __shell leads its own terminal to a socket, and has `__keep-shell` started where nobody listens yet
//!     there   __keep-shell plays the terminal of the shell, and ends with it, or when nobody came back for a while

use netshoot_host::pty::Pty;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub use super::resident::SHELL;

/// First word of who keeps it.
pub const KEEP: &str = "__keep-shell";
/// First word of what becomes a command on a terminal.
pub const ON_TERMINAL: &str = "__on-terminal";

/// How long a shell stays without anybody.
const ALONE: Duration = Duration::from_secs(60);
/// How long it may take to start.
const START: Duration = Duration::from_secs(5);
/// How often the terminal's size is looked at.
const LOOK_AT_SIZE: Duration = Duration::from_millis(250);
/// What is kept of what nobody saw.
const UNSEEN: usize = 256 << 10;
/// A longer frame is none of ours.
const MOST: usize = 1 << 20;
/// Something failed before the command.
const FAILED: i32 = 125;

/// What goes over the socket.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Frame {
    Data(Vec<u8>),
    Size(u16, u16),
    Exit(i32),
}

impl Frame {
    fn write(&self, to: &mut impl Write) -> std::io::Result<()> {
        let (kind, body) = match self {
            Frame::Data(bytes) => (b'd', bytes.clone()),
            Frame::Size(w, h) => (b's', [w.to_be_bytes(), h.to_be_bytes()].concat()),
            Frame::Exit(code) => (b'x', code.to_be_bytes().to_vec()),
        };
        let length = u32::try_from(body.len()).unwrap_or(0);
        let mut all = vec![kind];
        all.extend_from_slice(&length.to_be_bytes());
        all.extend_from_slice(&body);
        to.write_all(&all)
    }

    /// The next one; none at the end, and where something else came.
    fn read(from: &mut impl Read) -> Option<Frame> {
        let mut head = [0; 5];
        from.read_exact(&mut head).ok()?;
        let [kind, length @ ..] = head;
        let length = usize::try_from(u32::from_be_bytes(length)).ok()?;
        if length > MOST {
            return None;
        }
        let mut body = vec![0; length];
        from.read_exact(&mut body).ok()?;
        match (kind, body.as_slice()) {
            (b'd', _) => Some(Frame::Data(body)),
            (b's', [a, b, c, d]) => Some(Frame::Size(
                u16::from_be_bytes([*a, *b]),
                u16::from_be_bytes([*c, *d]),
            )),
            (b'x', [a, b, c, d]) => Some(Frame::Exit(i32::from_be_bytes([*a, *b, *c, *d]))),
            _ => None,
        }
    }
}

/// Where the socket may lie: in the container's own files, which no other container of the pod reaches.
fn places(token: &str) -> impl Iterator<Item = PathBuf> {
    let name = format!(".netshoot-{token}");
    ["/tmp", "/dev/shm", "/run"]
        .map(move |folder| PathBuf::from(folder).join(&name))
        .into_iter()
}

fn reached(token: &str) -> Option<UnixStream> {
    places(token).find_map(|at| UnixStream::connect(at).ok())
}

/// `TOKEN -- COMMAND`: leads this terminal to the shell of that token, which is started where it is not there yet.
pub fn shell(words: &[String]) -> i32 {
    let token = words.first().map_or("", String::as_str);
    let command = super::inside::after_dashes(words);
    if token.is_empty() || token.contains('/') || command.is_empty() {
        return FAILED;
    }
    let stream = reached(token).or_else(|| {
        let own = std::env::current_exe().ok()?;
        let mut keeper = Command::new(own);
        keeper
            .args([KEEP, token, "--"])
            .args(command)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut keeper = keeper.spawn().ok()?;
        let until = Instant::now() + START;
        while Instant::now() < until {
            if let Some(stream) = reached(token) {
                return Some(stream);
            }
            if !matches!(keeper.try_wait(), Ok(None)) {
                return None;
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
        None
    });
    match stream {
        Some(stream) => lead(stream),
        // No folder for a socket, no terminals: then the shell ends with its stream.
        None => super::inside::become_it(command, true),
    }
}

/// Leads our terminal there until the shell has ended; gives its exit code.
fn lead(stream: UnixStream) -> i32 {
    let raw = crossterm::terminal::enable_raw_mode().is_ok();
    let keys = super::terminal::Keys::default();
    if raw {
        keys.raw();
    }
    let code = follow(stream, keys);
    if raw {
        let _ = crossterm::terminal::disable_raw_mode();
    }
    code
}

fn follow(mut from: UnixStream, keys: super::terminal::Keys) -> i32 {
    let Ok(to) = from.try_clone() else {
        return FAILED;
    };
    let to = Arc::new(Mutex::new(to));
    let send = |to: &Mutex<UnixStream>, frame: &Frame| {
        to.lock().is_ok_and(|mut to| frame.write(&mut *to).is_ok())
    };
    let sizes = Arc::clone(&to);
    std::thread::spawn(move || {
        let mut told = None;
        loop {
            let now = super::terminal::size();
            if let (Some((w, h)), true) = (now, now != told) {
                if !send(&sizes, &Frame::Size(w, h)) {
                    return;
                }
                told = now;
            }
            std::thread::park_timeout(LOOK_AT_SIZE);
        }
    });
    std::thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(n @ 1..) = std::io::stdin().read(&mut chunk) {
            let data = chunk.get_mut(..n).unwrap_or_default();
            keys.of(data);
            if !send(&to, &Frame::Data(data.to_vec())) {
                return;
            }
        }
        // Our stream is gone: the shell is left to the next one.
        if let Ok(to) = to.lock() {
            let _ = to.shutdown(std::net::Shutdown::Both);
        }
    });
    let mut out = std::io::stdout();
    loop {
        match Frame::read(&mut from) {
            Some(Frame::Data(bytes)) => {
                if out.write_all(&bytes).and_then(|()| out.flush()).is_err() {
                    return FAILED;
                }
            }
            Some(Frame::Exit(code)) => return code,
            Some(Frame::Size(..)) => {}
            None => return FAILED,
        }
    }
}

/// What comes to the one that keeps a shell.
enum Event {
    Shown(Vec<u8>),
    /// Nobody has the terminal open any more.
    Closed,
    Ended(i32),
    Came(UnixStream),
    Said(usize, Frame),
    Left(usize),
}

/// `TOKEN -- COMMAND`: plays the terminal of the command for whoever comes.
pub fn keep(words: &[String]) -> i32 {
    // Out of the session of the stream, whose end would end us.
    let _ = rustix::process::setsid();
    let token = words.first().map_or("", String::as_str);
    let command = super::inside::after_dashes(words);
    let bound = places(token).find_map(|at| Some((UnixListener::bind(&at).ok()?, at)));
    let (Some((listener, at)), Ok(pty), Ok(own)) = (bound, Pty::open(), std::env::current_exe())
    else {
        return FAILED;
    };
    let started = Command::new(own)
        .arg(ON_TERMINAL)
        .arg(&pty.terminal)
        .arg("--")
        .args(command)
        .stdin(Stdio::null())
        .spawn();
    let Ok(mut child) = started else {
        let _ = std::fs::remove_file(&at);
        return FAILED;
    };
    let group = rustix::process::Pid::from_child(&child);
    let (tell, events) = sync_channel(64);
    listen(listener, tell.clone());
    show(&pty, tell.clone());
    std::thread::spawn(move || {
        let code = child.wait().map_or(FAILED, |status| {
            status
                .code()
                .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
        });
        let _ = tell.send(Event::Ended(code));
    });
    let kept = Kept {
        pty,
        client: None,
        unseen: Vec::new(),
        asked: false,
        ended: None,
        closed: false,
    };
    let ended = kept.serve(&events);
    let _ = std::fs::remove_file(&at);
    if !ended {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::HUP);
    }
    0
}

fn listen(listener: UnixListener, tell: SyncSender<Event>) {
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            let Ok(mut from) = stream.try_clone() else {
                continue;
            };
            if tell.send(Event::Came(stream)).is_err() {
                return;
            }
            let tell = tell.clone();
            std::thread::spawn(move || {
                while let Some(frame) = Frame::read(&mut from) {
                    if tell.send(Event::Said(number, frame)).is_err() {
                        return;
                    }
                }
                let _ = tell.send(Event::Left(number));
            });
        }
    });
}

fn show(pty: &Pty, tell: SyncSender<Event>) {
    let Ok(mut from) = pty.side.try_clone() else {
        return;
    };
    std::thread::spawn(move || {
        let mut chunk = [0; 16 << 10];
        while let Ok(n @ 1..) = from.read(&mut chunk) {
            let data = chunk.get(..n).unwrap_or_default().to_vec();
            if tell.send(Event::Shown(data)).is_err() {
                return;
            }
        }
        let _ = tell.send(Event::Closed);
    });
}

struct Kept {
    pty: Pty,
    /// Its number, and the way to it. The last that came has the shell.
    client: Option<(usize, UnixStream)>,
    unseen: Vec<u8>,
    /// The shell asks where the cursor is, and the terminal has not answered.
    asked: bool,
    ended: Option<i32>,
    closed: bool,
}

/// What an editor asks of a terminal before it shows anything: where the cursor is; and how an answer ends.
const WHERE: &[u8] = b"\x1b[6n";
const THERE: u8 = b'R';

impl Kept {
    /// Until the shell has ended and somebody was told, or nobody came for too long; whether it has ended.
    fn serve(mut self, events: &Receiver<Event>) -> bool {
        let (mut alone, mut count) = (Instant::now(), 0);
        loop {
            if let Some(code) = self.ended
                && self.told(code)
            {
                return true;
            }
            let left = match (&self.client, self.ended) {
                // What it said last is on its way; a job in its background may hold the terminal for ever.
                (_, Some(_)) if !self.closed => Duration::from_millis(200),
                (Some(_), _) => ALONE,
                (None, _) => ALONE.saturating_sub(alone.elapsed()),
            };
            match events.recv_timeout(left) {
                Ok(Event::Shown(bytes)) => self.show(bytes),
                Ok(Event::Closed) => self.closed = true,
                Ok(Event::Ended(code)) => self.ended = Some(code),
                Ok(Event::Came(stream)) => {
                    self.client = Some((count, stream));
                    count += 1;
                    let mut unseen = std::mem::take(&mut self.unseen);
                    // It may have gone into a stream that was broken already.
                    if self.asked && !holds(&unseen, WHERE) {
                        unseen.extend_from_slice(WHERE);
                    }
                    self.show(unseen);
                }
                Ok(Event::Said(number, frame)) => self.said(number, frame),
                Ok(Event::Left(number)) => {
                    if self.client.as_ref().is_some_and(|(n, _)| *n == number) {
                        self.client = None;
                        alone = Instant::now();
                    }
                }
                Err(RecvTimeoutError::Timeout) if self.ended.is_some() && !self.closed => {
                    self.closed = true;
                }
                Err(_) if self.client.is_none() => return self.ended.is_some(),
                Err(_) => {}
            }
        }
    }

    fn said(&mut self, number: usize, frame: Frame) {
        // An earlier one whose end was not noticed yet types no more.
        if self.client.as_ref().is_none_or(|(n, _)| *n != number) {
            return;
        }
        match frame {
            Frame::Data(bytes) => {
                self.asked &= !(holds(&bytes, b"\x1b[") && bytes.contains(&THERE));
                let _ = self.pty.side.write_all(&bytes);
            }
            Frame::Size(w, h) => {
                let _ = self.pty.resize(w, h);
            }
            Frame::Exit(_) => {}
        }
    }

    /// Whether the client could be told the exit code.
    fn told(&mut self, code: i32) -> bool {
        self.closed
            && self
                .client
                .as_mut()
                .is_some_and(|(_, to)| Frame::Exit(code).write(to).is_ok())
    }

    fn show(&mut self, bytes: Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        self.asked |= holds(&bytes, WHERE);
        let frame = Frame::Data(bytes);
        let seen = self
            .client
            .as_mut()
            .is_some_and(|(_, to)| frame.write(to).is_ok());
        if let (false, Frame::Data(bytes)) = (seen, frame) {
            self.client = None;
            self.unseen.extend(bytes);
            let too_many = self.unseen.len().saturating_sub(UNSEEN);
            self.unseen.drain(..too_many);
        }
    }
}

fn holds(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|w| w == what)
}

/// `FILE -- COMMAND`: becomes the command on that terminal, as the first of a session of its own.
pub fn on_terminal(words: &[String]) -> i32 {
    let _ = rustix::process::setsid();
    let Some((program, args)) = super::inside::after_dashes(words).split_first() else {
        return FAILED;
    };
    let file = words.first().map_or("", String::as_str);
    // The first of a session that opens a terminal has it from then on.
    let opened = File::options().read(true).write(true).open(file);
    let three = opened.and_then(|f| Ok([f.try_clone()?, f.try_clone()?, f]));
    let Ok([stdin, stdout, stderr]) = three else {
        return FAILED;
    };
    let mut c = Command::new(program);
    c.args(args).stdin(stdin).stdout(stdout).stderr(stderr);
    super::inside::cannot(program, &c.exec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_as_they_were_written() {
        let all = [
            Frame::Data(b"\0x".to_vec()),
            Frame::Size(120, 40),
            Frame::Data(Vec::new()),
            Frame::Exit(-7),
        ];
        let mut bytes = Vec::new();
        for frame in &all {
            frame.write(&mut bytes).unwrap();
        }
        let mut from = bytes.as_slice();
        for frame in &all {
            assert_eq!(Frame::read(&mut from).as_ref(), Some(frame));
        }
        assert_eq!(Frame::read(&mut from), None);
        for damaged in [
            &b"d\xff\xff\xff\xffxx"[..],
            b"q\0\0\0\0",
            b"s\0\0\0\x01x",
            b"d",
        ] {
            assert_eq!(Frame::read(&mut &damaged[..]), None, "{damaged:?}");
        }
    }

    /// The keeper without the processes around it.
    fn kept() -> (SyncSender<Event>, std::thread::JoinHandle<bool>, File) {
        let pty = Pty::open().unwrap();
        let terminal = File::options()
            .read(true)
            .write(true)
            .open(&pty.terminal)
            .unwrap();
        let (tell, events) = sync_channel(64);
        show(&pty, tell.clone());
        let kept = Kept {
            pty,
            client: None,
            unseen: Vec::new(),
            asked: false,
            ended: None,
            closed: false,
        };
        let served = std::thread::spawn(move || kept.serve(&events));
        (tell, served, terminal)
    }

    #[test]
    fn who_comes_again_sees_what_nobody_saw_and_gets_the_exit_code() {
        let (tell, served, mut terminal) = kept();
        let (first, there) = UnixStream::pair().unwrap();
        tell.send(Event::Came(there)).unwrap();
        terminal.write_all(b"one").unwrap();
        let mut from = first.try_clone().unwrap();
        assert_eq!(Frame::read(&mut from), Some(Frame::Data(b"one".to_vec())));
        // Where is the cursor? Nobody answers.
        terminal.write_all(WHERE).unwrap();
        assert_eq!(Frame::read(&mut from), Some(Frame::Data(WHERE.to_vec())));
        drop((first, from));
        tell.send(Event::Left(0)).unwrap();
        terminal.write_all(b"two").unwrap();
        let (mut again, there) = UnixStream::pair().unwrap();
        tell.send(Event::Came(there)).unwrap();
        // In one piece or in two: the terminal and who comes are heard by two threads.
        let mut seen = Vec::new();
        while !(holds(&seen, b"two") && holds(&seen, WHERE)) {
            let Some(Frame::Data(more)) = Frame::read(&mut again) else {
                panic!("only {seen:?}");
            };
            seen.extend(more);
        }
        tell.send(Event::Said(1, Frame::Data(b"\x1b[1;1R\n".to_vec())))
            .unwrap();
        let mut line = [0; 7];
        terminal.read_exact(&mut line).unwrap();
        assert_eq!(&line, b"\x1b[1;1R\n");
        drop(terminal);
        tell.send(Event::Ended(7)).unwrap();
        let last = std::iter::from_fn(|| Frame::read(&mut again)).last();
        assert_eq!(last, Some(Frame::Exit(7)));
        assert!(served.join().unwrap());
    }
}
