//! A conversation with a program in a container: our streams here, its streams there, the terminal's
//! size, the wish to stop. Everything that happens comes to one loop.

use super::held::{ASK, BYE, Gate, go};
use super::terminal;
use super::waiting::End;
use crate::io::Io;
use anyhow::{Context, Result};
use netshoot_api::live::{Error, Exit, Output, Resizer, Session, Stdin};
use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// How often the held command is asked whether it is there.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// How long it may take to answer.
const HOLD_LIMIT: Duration = Duration::from_secs(20);
/// How often the terminal's size is looked at: macOS and Windows tell it in other ways.
const LOOK_AT_SIZE: Duration = Duration::from_millis(250);

/// Waits before a stream is taken up again: the longer, the more often it dropped; not when we are to stop.
pub fn pause(drops: usize, stop: &Stop) {
    let until = Instant::now() + Duration::from_secs(drops.saturating_sub(1) as u64);
    while Instant::now() < until && !stop.came() {
        std::thread::park_timeout(Duration::from_millis(100));
    }
}

/// What happens.
enum Event {
    Out(Vec<u8>),
    Err(Vec<u8>),
    End,
    Stop,
}

/// The wish to stop: Ctrl-C, a closed terminal, SIGTERM. One for the process.
#[derive(Clone)]
pub struct Stop(Arc<Mutex<Wish>>);

#[derive(Default)]
struct Wish {
    came: bool,
    tell: Option<SyncSender<Event>>,
}

impl Stop {
    /// Listens from now on.
    pub fn listen() -> Result<Stop> {
        let wish = Arc::new(Mutex::new(Wish::default()));
        let told = Arc::clone(&wish);
        ctrlc::set_handler(move || {
            let mut wish = told.lock().unwrap_or_else(|p| p.into_inner());
            wish.came = true;
            if let Some(to) = &wish.tell {
                let _ = to.try_send(Event::Stop);
            }
        })
        .context("listen for Ctrl-C")?;
        Ok(Stop(wish))
    }

    /// It came.
    pub fn came(&self) -> bool {
        self.0.lock().unwrap_or_else(|p| p.into_inner()).came
    }

    fn tell(&self, to: Option<SyncSender<Event>>) {
        self.0.lock().unwrap_or_else(|p| p.into_inner()).tell = to;
    }
}

/// Our standard input, read by one thread for as long as the process lives, whichever program gets
/// it.
#[derive(Clone, Default)]
pub struct Input {
    to: Arc<(Mutex<Where>, Condvar)>,
    keys: Arc<terminal::Keys>,
}

#[derive(Default)]
struct Where {
    stdin: Option<Stdin>,
    reads: bool,
    ended: bool,
}

impl Input {
    fn at(&self) -> MutexGuard<'_, Where> {
        self.to.0.lock().unwrap_or_else(|p| p.into_inner())
    }

    /// One thing more, in between.
    fn say(&self, what: &[u8]) {
        if let Some(stdin) = &mut self.at().stdin {
            let _ = stdin.write_all(what).and_then(|()| stdin.flush());
        }
    }

    /// From now on it goes there. At its end the program's input ends, too.
    fn send_to(&self, stdin: Stdin) {
        let mut to = self.at();
        if to.ended {
            return;
        }
        to.stdin = Some(stdin);
        self.to.1.notify_all();
        if !to.reads {
            to.reads = true;
            let input = self.clone();
            std::thread::spawn(move || input.read());
        }
    }

    fn read(&self) {
        let mut chunk = [0; 16 << 10];
        loop {
            let n = std::io::stdin().read(&mut chunk).unwrap_or(0);
            let data = chunk.get_mut(..n).unwrap_or_default();
            self.keys.of(data);
            let mut to = self.at();
            // What is typed while a stream is taken up again is for the next one.
            loop {
                if n == 0 {
                    to.ended = true;
                    to.stdin = None;
                    return;
                }
                let taken = to
                    .stdin
                    .as_mut()
                    .map(|s| s.write_all(data).and_then(|()| s.flush()));
                if let Some(Ok(())) = taken {
                    break;
                }
                to.stdin = None;
                to = self.to.1.wait(to).unwrap_or_else(|p| p.into_inner());
            }
        }
    }
}

/// How a conversation ended.
#[derive(Debug)]
pub enum Over {
    /// The program ended.
    Exit(Exit),
    /// A held command has ended, and everything of it was read.
    Ended(End),
    /// The stream ended before the program did.
    Dropped(Error),
    /// We are to stop.
    Stopped,
}

/// What the program gets from us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gets {
    /// Our input.
    pub input: bool,
    /// Our terminal.
    pub tty: bool,
}

/// Talks until the end. `token` is for a held command that is not let go yet.
pub fn talk(
    mut session: Session,
    gets: Gets,
    token: Option<&str>,
    input: &Input,
    stop: &Stop,
    io: &mut Io<'_>,
) -> Result<Over> {
    let (tell, events) = sync_channel(64);
    stop.tell(Some(tell.clone()));
    if stop.came() {
        return Ok(Over::Stopped);
    }
    let mut running = 0;
    for (stream, is_err) in [(session.stdout(), false), (session.stderr(), true)] {
        if let Some(stream) = stream {
            running += 1;
            read(stream, is_err, tell.clone());
        }
    }
    let mut stdin = session.stdin();
    let mut talk = Talk {
        events,
        running,
        gates: token.map(|t| [Gate::new(t), Gate::new(t)]),
        ended: None,
    };
    if let (Some(token), Some(stdin)) = (token, &mut stdin)
        && !talk.let_go(token, stdin, gets.tty)?
    {
        stop.tell(None);
        return Ok(Over::Stopped);
    }
    // Raw only now: until here Ctrl-C was for us.
    let raw = gets.tty.then(terminal::Raw::begin).transpose();
    let raw = raw.context("set the terminal to raw")?;
    if raw.is_some() {
        input.keys.raw();
    }
    if let Some(resizer) = session.resizer() {
        follow_size(resizer);
    }
    // What a program may not read must stay open all the same: its end means that we are gone.
    let mut kept = None;
    match stdin {
        Some(s) if gets.input => input.send_to(s),
        other => kept = other,
    }
    let stopped = talk.on(stop, io)?;
    stop.tell(None);
    if raw.is_some() {
        input.keys.lines();
    }
    drop(raw);
    if stopped {
        drop(kept);
        return Ok(Over::Stopped);
    }
    if let Some(end) = talk.ended {
        match &mut kept {
            Some(stdin) => drop(stdin.write_all(BYE).and_then(|()| stdin.flush())),
            None => input.say(BYE),
        }
        return Ok(Over::Ended(end));
    }
    let ended = session.wait();
    drop(kept);
    Ok(match ended {
        Ok(exit) => Over::Exit(exit),
        Err(e) => Over::Dropped(e),
    })
}

struct Talk {
    events: Receiver<Event>,
    running: usize,
    /// For output and error output, while a command is held.
    gates: Option<[Gate; 2]>,
    /// How a held command ended.
    ended: Option<End>,
}

impl Talk {
    /// Waits until both streams are attached, then lets the command go. False when we are to stop.
    fn let_go(&mut self, token: &str, stdin: &mut Stdin, tty: bool) -> Result<bool> {
        let until = Instant::now() + HOLD_LIMIT;
        let seen = |g: &[Gate; 2]| g[0].seen() && (tty || g[1].seen());
        stdin.write_all(ASK).and_then(|()| stdin.flush()).ok();
        while !self.gates.as_ref().is_some_and(seen) {
            match self.events.recv_timeout(ASK_AGAIN) {
                Ok(Event::Out(b)) => self.gate(0, b),
                Ok(Event::Err(b)) => self.gate(1, b),
                Ok(Event::Stop) => return Ok(false),
                Ok(Event::End) | Err(RecvTimeoutError::Disconnected) => {
                    self.running = self.running.saturating_sub(1);
                    if self.running == 0 {
                        return Ok(true);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    stdin.write_all(ASK).and_then(|()| stdin.flush()).ok();
                }
            }
            if Instant::now() > until {
                anyhow::bail!(
                    "the command in the pod did not answer within {} s: is the image one of netshoot?",
                    HOLD_LIMIT.as_secs()
                );
            }
        }
        stdin
            .write_all(&go(token))
            .and_then(|()| stdin.flush())
            .ok();
        Ok(true)
    }

    fn gate(&mut self, which: usize, bytes: Vec<u8>) {
        if let Some(gate) = self.gates.as_mut().and_then(|g| g.get_mut(which)) {
            // Nothing passes before the go.
            let _ = gate.pass(bytes);
        }
    }

    fn own(&mut self, which: usize, bytes: Vec<u8>) -> Vec<u8> {
        match self.gates.as_mut().and_then(|g| g.get_mut(which)) {
            Some(gate) => gate.pass(bytes),
            None => bytes,
        }
    }

    /// Copies until all streams have ended; true when we are to stop.
    fn on(&mut self, stop: &Stop, io: &mut Io<'_>) -> Result<bool> {
        while self.running > 0 {
            // Where so much comes that the wish found no place among it.
            if stop.came() {
                return Ok(true);
            }
            match self.events.recv() {
                Ok(Event::Out(b)) => {
                    let own = self.own(0, b);
                    io.out.write_all(&own)?;
                    io.out.flush()?;
                }
                Ok(Event::Err(b)) => {
                    let own = self.own(1, b);
                    io.err.write_all(&own)?;
                    io.err.flush()?;
                }
                Ok(Event::End) => self.running -= 1,
                Ok(Event::Stop) => return Ok(true),
                Err(_) => break,
            }
            let ended = |g: &[Gate; 2]| g[0].ended().and(g[1].ended()).cloned();
            self.ended = self.gates.as_ref().and_then(ended);
            if self.ended.is_some() {
                return Ok(false);
            }
        }
        for gate in self.gates.take().into_iter().flatten() {
            if !gate.is_open() {
                // It never began: its runtime's complaint is all there is.
                io.err.write_all(&gate.left())?;
            }
        }
        Ok(false)
    }
}

fn read(mut stream: Output, is_err: bool, tell: SyncSender<Event>) {
    std::thread::spawn(move || {
        let mut chunk = [0; 32 << 10];
        loop {
            match stream.read(&mut chunk) {
                Ok(0) | Err(_) => break,
                Ok(n) => {
                    let data = chunk.get(..n).unwrap_or_default().to_vec();
                    let event = if is_err {
                        Event::Err(data)
                    } else {
                        Event::Out(data)
                    };
                    if tell.send(event).is_err() {
                        return;
                    }
                }
            }
        }
        let _ = tell.send(Event::End);
    });
}

/// Tells the size now and whenever it changes, until the program is gone.
fn follow_size(mut resizer: Resizer) {
    std::thread::spawn(move || {
        let mut told = None;
        loop {
            let now = terminal::size();
            if let (Some((w, h)), true) = (now, now != told) {
                if !resizer.resize(w, h) {
                    return;
                }
                told = now;
            }
            std::thread::park_timeout(LOOK_AT_SIZE);
        }
    });
}
