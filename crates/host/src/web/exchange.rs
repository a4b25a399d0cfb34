//! One request and its response on a connection: both directions at once, at a given pace, with patience.

use super::decode::Decoder;
use super::dial::Under;
use super::failure::{Failure, code};
use super::pipe::Pipe;
use super::proxy::Way;
use super::request::{self, Built, Sending};
use super::response::{Chunks, Ends, First, Head, Line, Piece, first};
use super::session::{Connection, Kind};
use crate::sockets;
use netshoot_wire::web::url::Url;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

/// Read at once at most.
const BUFFER: usize = 100 * 1024;
/// Sent at once at most.
const PIECE: usize = 64 * 1024;

/// What becomes of a body.
pub enum Fate {
    /// It is handed on.
    Keep,
    /// It is read and forgotten: the request is made again, or another.
    Ignore,
    /// It is not read.
    Fail(Failure),
}

/// How an exchange ended.
#[derive(Debug, Default)]
pub struct Answer {
    /// The last head.
    pub head: Head,
    /// The connection cannot be used again.
    pub close: bool,
    /// The body was not for us.
    pub ignored: bool,
    /// The server does not want to be asked first.
    pub refused_expect: bool,
    /// Something came.
    pub spoke: bool,
    /// All of the request's body was sent.
    pub sent_all: bool,
}

fn receive_failed(e: &io::Error) -> String {
    match e.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()) {
        Some(tls) => super::secure::said(tls),
        None => format!("Recv failure: {}", sockets::strerror(e)),
    }
}

/// Sends all of something small.
pub fn send_all(under: &mut Under<'_>, pipe: &mut Pipe, mut bytes: &[u8]) -> Result<(), Failure> {
    while !bytes.is_empty() {
        match pipe.write(bytes) {
            Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                pause(under, pipe, false, true)?;
            }
            Err(e) => {
                let said = format!("Send failure: {}", sockets::strerror(&e));
                return Err(under.fail(code::SEND, said));
            }
        }
    }
    loop {
        match pipe.flush() {
            Ok(()) => return Ok(()),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => pause(under, pipe, false, true)?,
            Err(e) => {
                let said = format!("Send failure: {}", sockets::strerror(&e));
                return Err(under.fail(code::SEND, said));
            }
        }
    }
}

fn pause(under: &mut Under<'_>, pipe: &Pipe, read: bool, write: bool) -> Result<(), Failure> {
    let left = under.left();
    if left.is_zero() {
        let said = format!("Connection timed out after {} milliseconds", under.ms());
        return Err(under.fail(code::TIMEOUT, said));
    }
    let waited = pipe.wait(read, write, left.min(Duration::from_millis(500)));
    waited.map_err(|e| Failure::new(code::RECEIVE, e.to_string()))?;
    match under.watch.progress(under.info) {
        true => Ok(()),
        false => Err(Failure::new(code::ABORTED, "Callback aborted")),
    }
}

/// Reads so many bytes.
pub fn read_exact(under: &mut Under<'_>, pipe: &mut Pipe, n: usize) -> Result<Vec<u8>, Failure> {
    let mut got = vec![0; n];
    let mut at = 0;
    while at < n {
        match pipe.read(got.get_mut(at..).unwrap_or_default()) {
            Ok(0) => return Err(Failure::new(code::RECEIVE, "connection to proxy closed")),
            Ok(more) => at += more,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => pause(under, pipe, true, false)?,
            Err(e) => return Err(Failure::new(code::RECEIVE, receive_failed(&e))),
        }
    }
    Ok(got)
}

/// Asks an HTTP proxy for a tunnel.
pub fn tunnel(
    under: &mut Under<'_>,
    connection: &mut Connection,
    host: &str,
    port: u16,
    url: &Url,
    via: &Way,
) -> Result<(), Failure> {
    let order = under.order;
    let named = match url.v6 && host == url.host {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    };
    under.say("allocate connect buffer");
    under.say(&format!("Establish HTTP proxy tunnel to {named}"));
    let mut state = super::auth::State::begin(&order.proxy_login);
    let mut login = order.proxy_login.clone();
    if let Some(p) = &via.http
        && p.user.is_some()
    {
        login.user.clone_from(&p.user);
        if order.proxy_login.user.is_none() && state.picked.is_none() && login.ways.count() == 1 {
            state = super::auth::State::begin(&login);
        }
    }
    if login.user.is_some() && login.ways.count() == 0 {
        login.ways.basic = true;
        state = super::auth::State::begin(&login);
    }
    let minor = if order.proxy10 { "1.0" } else { "1.1" };
    loop {
        let own = |name: &str| request::own(&order.proxy_headers, name);
        let mut head = format!("CONNECT {named} HTTP/{minor}\r\n");
        match own("Host").or_else(|| request::own(&order.headers, "Host")) {
            Some("") => {}
            Some(host) => head += &format!("Host: {host}\r\n"),
            None => head += &format!("Host: {named}\r\n"),
        }
        if own("Proxy-Authorization").is_none()
            && let Some(value) = state.header(&login, "CONNECT", &named)
        {
            let who = login.user.as_ref().map_or("", |u| u.0.as_str());
            if let Some(picked) = state.picked {
                under.say(&format!(
                    "Proxy auth using {} with user '{who}'",
                    picked.name()
                ));
            }
            head += &format!("Proxy-Authorization: {value}\r\n");
        }
        if let Some(agent) = order.user_agent.as_deref().filter(|a| !a.is_empty())
            && own("User-Agent").is_none()
            && request::own(&order.headers, "User-Agent").is_none()
        {
            head += &format!("User-Agent: {agent}\r\n");
        } else if let Some(agent) =
            request::own(&order.headers, "User-Agent").filter(|a| !a.is_empty())
            && own("User-Agent").is_none()
        {
            head += &format!("User-Agent: {agent}\r\n");
        }
        if own("Proxy-Connection").is_none() {
            head += "Proxy-Connection: Keep-Alive\r\n";
        }
        for line in &order.proxy_headers {
            if let Some((name, value)) = line.split_once(':')
                && !value.trim().is_empty()
                && !name.eq_ignore_ascii_case("Host")
            {
                head += &format!("{name}: {}\r\n", value.trim());
            } else if let Some(name) = line.strip_suffix(';') {
                head += &format!("{name}:\r\n");
            }
        }
        head += "\r\n";
        if order.verbose {
            under.watch.show(Kind::HeadOut, head.as_bytes());
        }
        under.info.request_bytes += head.len() as u64;
        send_all(under, &mut connection.pipe, head.as_bytes())?;
        let (answer, closed) = connect_answer(under, connection)?;
        under.info.connect_status = answer.status;
        if answer.status / 100 == 2 {
            under.say("CONNECT phase completed");
            under.say(&format!(
                "CONNECT tunnel established, response {}",
                answer.status
            ));
            return Ok(());
        }
        let asked: Vec<String> = answer.all("proxy-authenticate").map(String::from).collect();
        let mut said = Vec::new();
        let again = answer.status == 407
            && state.asked(&login, asked.iter().map(String::as_str), &mut |t| {
                said.push(t.to_string())
            });
        for text in said {
            under.say(&text);
        }
        if again && closed {
            under.say("Connect me again please");
            return Err(Failure::new(-1, "again"));
        }
        if !again {
            let said = format!("CONNECT tunnel failed, response {}", answer.status);
            return Err(under.fail(code::RECEIVE, said));
        }
        under.say(&format!("Establish HTTP proxy tunnel to {named}"));
    }
}

/// Reads a proxy's answer byte by byte, so that nothing behind it is lost; and its body, where it refuses.
fn connect_answer(
    under: &mut Under<'_>,
    connection: &mut Connection,
) -> Result<(Head, bool), Failure> {
    let mut head = Head::default();
    let mut line = Vec::new();
    loop {
        let byte =
            read_exact(under, &mut connection.pipe, 1).map_err(|e| match e.said.as_str() {
                "connection to proxy closed" => under.fail(code::RECEIVE, "Proxy CONNECT aborted"),
                _ => e,
            })?;
        line.extend(&byte);
        if line.last() != Some(&b'\n') {
            if line.len() > BUFFER {
                return Err(under.fail(code::RECEIVE, "Too large response headers from the proxy"));
            }
            continue;
        }
        let kind = head
            .take(&line, false)
            .map_err(|e| under.fail(e.code, e.said))?;
        if under.order.verbose {
            under.watch.show(Kind::HeadIn, &line);
        }
        under.info.head_bytes += line.len() as u64;
        under.info.connect_status = head.status;
        if !under.order.hide_connect {
            under.watch.head(&line, under.info)?;
        }
        line.clear();
        if kind == Line::End {
            if head.status / 100 == 1 {
                head = Head::default();
                continue;
            }
            break;
        }
    }
    let ok = head.status / 100 == 2;
    for (name, shown) in [
        ("content-length", "Content-Length"),
        ("transfer-encoding", "Transfer-Encoding"),
    ] {
        if ok && head.get(name).is_some() {
            let said = format!("Ignoring {shown} in CONNECT {} response", head.status);
            under.say(&said);
        }
    }
    let ends = head.ends(ok);
    let close = head.closes(ok);
    if ok || head.status != 407 {
        return Ok((head, close));
    }
    under.say("Ignore response-body");
    match ends {
        Ends::After(n) => {
            let mut left = n;
            while left > 0 {
                let step = usize::try_from(left.min(4096)).unwrap_or(4096);
                read_exact(under, &mut connection.pipe, step)?;
                left -= step as u64;
            }
        }
        Ends::Chunked => {
            let mut chunks = Chunks::default();
            while chunks
                .take(&read_exact(under, &mut connection.pipe, 1)?, |_| Ok(()))?
                .is_none()
            {}
        }
        Ends::Closed => {}
    }
    Ok((head, close))
}

/// One request and its response.
pub struct Exchange<'e, 'u> {
    /// Patience and who watches.
    pub under: &'e mut Under<'u>,
    /// Where.
    pub connection: &'e mut Connection,
    /// What is done with a body.
    pub decide: &'e mut dyn FnMut(&Head, &mut Under<'_>) -> Fate,
    /// Who looks at each field as it comes.
    pub field: &'e mut dyn FnMut(&str, &str, &mut Under<'_>),
    no_body: bool,
    out: Vec<u8>,
    out_at: usize,
    sending: Sending,
    given: u64,
    waiting: Option<Instant>,
    sent_all: bool,
    quiet_upload: bool,
    input: Vec<u8>,
    head: Head,
    state: State,
    chunks: Chunks,
    decoders: Vec<Decoder>,
    answer: Answer,
    pace: Pace,
    began_reading: bool,
    old: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Head,
    Body(Ends),
    Done,
}

/// Keeps to a limit, and knows when it is too slow.
struct Pace {
    began: Instant,
    bytes: u64,
    slow_since: Option<Instant>,
    last: (Instant, u64),
}

impl Pace {
    fn new() -> Pace {
        let now = Instant::now();
        Pace {
            began: now,
            bytes: 0,
            slow_since: None,
            last: (now, 0),
        }
    }

    /// How long nothing should be moved.
    fn rest(&self, limit: Option<u64>) -> Duration {
        let Some(limit) = limit.filter(|l| *l > 0) else {
            return Duration::ZERO;
        };
        let due = Duration::from_secs_f64(self.bytes as f64 / limit as f64);
        due.saturating_sub(self.began.elapsed())
    }

    fn too_slow(&mut self, slow: Option<(u64, u64)>) -> bool {
        let Some((least, seconds)) = slow else {
            return false;
        };
        let (at, bytes) = self.last;
        let spent = at.elapsed();
        if spent < Duration::from_secs(1) {
            return self
                .slow_since
                .is_some_and(|s| s.elapsed() >= Duration::from_secs(seconds));
        }
        let speed = (self.bytes - bytes) as f64 / spent.as_secs_f64();
        self.last = (Instant::now(), self.bytes);
        match speed < least as f64 {
            true => {
                let since = *self.slow_since.get_or_insert(at);
                since.elapsed() >= Duration::from_secs(seconds)
            }
            false => {
                self.slow_since = None;
                false
            }
        }
    }
}

impl<'e, 'u> Exchange<'e, 'u> {
    /// Begins; `old` when the connection was used before.
    pub fn new(
        under: &'e mut Under<'u>,
        connection: &'e mut Connection,
        built: Built,
        no_body: bool,
        old: bool,
        decide: &'e mut dyn FnMut(&Head, &mut Under<'_>) -> Fate,
        field: &'e mut dyn FnMut(&str, &str, &mut Under<'_>),
    ) -> Exchange<'e, 'u> {
        if under.order.verbose {
            under.watch.show(Kind::HeadOut, &built.head);
        }
        under.info.request_bytes += built.head.len() as u64;
        let nothing =
            built.sending.bytes.is_empty() && !built.sending.given && !built.sending.chunked;
        let waiting = built.sending.expect.then(Instant::now);
        let exchange = Exchange {
            no_body,
            out: built.head,
            out_at: 0,
            given: 0,
            waiting: waiting.filter(|_| !nothing),
            sent_all: nothing,
            quiet_upload: nothing || (built.sending.inline && waiting.is_none()),
            sending: built.sending,
            input: Vec::new(),
            head: Head::default(),
            state: State::Head,
            chunks: Chunks::default(),
            decoders: Vec::new(),
            answer: Answer::default(),
            pace: Pace::new(),
            began_reading: false,
            old,
            under,
            connection,
            decide,
            field,
        };
        exchange.under.info.to_send = exchange.sending.size.filter(|_| !nothing);
        exchange
    }

    /// Does it.
    pub fn run(mut self) -> Result<Answer, Failure> {
        let mut buffer = vec![0; BUFFER];
        // What is small goes with the head.
        if self.quiet_upload && !self.sent_all {
            self.fill()?;
        }
        while self.state != State::Done {
            self.checks()?;
            let moved = self.send()? | self.receive(&mut buffer)?;
            if !moved && self.state != State::Done {
                self.wait()?;
            }
        }
        self.answer.sent_all = self.sent_all && self.out_at >= self.out.len();
        self.answer.close |= !self.answer.sent_all;
        self.answer.head = std::mem::take(&mut self.head);
        Ok(self.answer)
    }

    fn checks(&mut self) -> Result<(), Failure> {
        if !self.under.watch.progress(self.under.info) {
            return Err(Failure::new(code::ABORTED, "Callback aborted"));
        }
        if self.under.whole_left().is_some_and(|l| l.is_zero()) {
            let (got, ms) = (
                self.under.info.received,
                self.under.info.began.elapsed().as_millis(),
            );
            let said = match self.under.info.wanted {
                Some(all) => format!(
                    "Operation timed out after {ms} milliseconds with {got} out of {all} bytes received"
                ),
                None => {
                    format!("Operation timed out after {ms} milliseconds with {got} bytes received")
                }
            };
            return Err(self.under.fail(code::TIMEOUT, said));
        }
        if self.pace.too_slow(self.under.order.slow) {
            let (least, seconds) = self.under.order.slow.unwrap_or_default();
            let said = format!(
                "Operation too slow. Less than {least} bytes/sec transferred the last {seconds} seconds"
            );
            return Err(self.under.fail(code::TIMEOUT, said));
        }
        if let Some(since) = self.waiting
            && since.elapsed() >= self.under.order.expect_patience
        {
            self.waiting = None;
            self.under.say("Done waiting for 100-continue");
        }
        Ok(())
    }

    fn wait(&mut self) -> Result<(), Failure> {
        let mut patience = Duration::from_millis(500);
        if let Some(left) = self.under.whole_left() {
            patience = patience.min(left.max(Duration::from_millis(1)));
        }
        if let Some(since) = self.waiting {
            patience = patience.min(
                self.under
                    .order
                    .expect_patience
                    .saturating_sub(since.elapsed()),
            );
        }
        let rest = self.pace.rest(self.under.order.limit);
        if !rest.is_zero() {
            std::thread::sleep(rest.min(patience));
            return Ok(());
        }
        let write = self.out_at < self.out.len() || (!self.sent_all && self.waiting.is_none());
        if write && self.out_at >= self.out.len() {
            // Nothing was given now: it is asked for again soon.
            patience = patience.min(Duration::from_millis(50));
        }
        let write = self.out_at < self.out.len();
        let waited = self.connection.pipe.wait(true, write, patience);
        waited
            .map(drop)
            .map_err(|e| Failure::new(code::RECEIVE, e.to_string()))
    }

    /// Gets more to send.
    fn fill(&mut self) -> Result<(), Failure> {
        let mut piece = match self.sending.bytes.is_empty() {
            false => std::mem::take(&mut self.sending.bytes),
            true => Vec::new(),
        };
        if piece.is_empty() && self.sending.given {
            piece = vec![0; PIECE];
            if let Some(size) = self.sending.size.filter(|_| !self.sending.chunked) {
                let left = usize::try_from(size - self.given.min(size)).unwrap_or(usize::MAX);
                piece.truncate(left.min(PIECE));
            }
            let n = match piece.len() {
                0 => Ok(0),
                _ => self.under.watch.give(&mut piece),
            };
            match n {
                Ok(n) => piece.truncate(n),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(()),
                Err(_) => {
                    return Err(self
                        .under
                        .fail(code::READ, "read function returned funny value"));
                }
            }
        }
        self.given += piece.len() as u64;
        let ended = piece.is_empty() || (!self.sending.given && self.sending.bytes.is_empty());
        if piece.is_empty()
            && let Some(size) = self
                .sending
                .size
                .filter(|s| !self.sending.chunked && self.sending.given && *s > self.given)
        {
            let _ = size;
            self.answer.close = true;
        }
        if self.under.order.crlf && !piece.is_empty() {
            piece = with_cr(&piece);
        }
        if self.out_at >= self.out.len() {
            self.out.clear();
            self.out_at = 0;
        }
        if !piece.is_empty() {
            match self.sending.chunked {
                true => {
                    self.out.extend(format!("{:x}\r\n", piece.len()).as_bytes());
                    self.out.extend(&piece);
                    self.out.extend(b"\r\n");
                }
                false if self.out.is_empty() => self.out = piece.clone(),
                false => self.out.extend(&piece),
            }
            if self.under.order.verbose {
                let shown = match self.sending.chunked {
                    true => self.out.clone(),
                    false => piece,
                };
                self.under.watch.show(Kind::DataOut, &shown);
            }
        }
        let known = self.sending.size.filter(|_| !self.sending.chunked);
        if ended || known.is_some_and(|s| self.given >= s) {
            if self.sending.chunked {
                self.out.extend(b"0\r\n\r\n");
                if self.under.order.verbose {
                    self.under.watch.show(Kind::DataOut, b"0\r\n\r\n");
                }
            }
            self.sent_all = true;
        }
        Ok(())
    }

    fn send(&mut self) -> Result<bool, Failure> {
        if !self.pace.rest(self.under.order.limit).is_zero() {
            return Ok(false);
        }
        let mut moved = false;
        if self.out_at >= self.out.len() && !self.sent_all && self.waiting.is_none() {
            self.fill()?;
            if self.sent_all && self.out_at >= self.out.len() {
                self.uploaded();
            }
        }
        while self.out_at < self.out.len() {
            let limit = self.under.order.limit.map_or(usize::MAX, |l| {
                usize::try_from(l.max(1)).unwrap_or(usize::MAX)
            });
            let rest = self.out.get(self.out_at..).unwrap_or_default();
            let rest = rest.get(..rest.len().min(limit)).unwrap_or_default();
            match self.connection.pipe.write(rest) {
                Ok(n) => {
                    moved = true;
                    self.out_at += n;
                    if self.began_sending() {
                        self.pace.bytes += n as u64;
                        self.under.info.sent = self.given;
                    }
                    if self.under.order.limit.is_some() {
                        break;
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                // What the server said before it went is still worth hearing.
                Err(e) if self.state != State::Head || self.gone(&e) => {
                    self.out_at = self.out.len();
                    self.sent_all = true;
                    self.answer.close = true;
                }
                Err(e) => {
                    let said = format!("Send failure: {}", sockets::strerror(&e));
                    return Err(self.under.fail(code::SEND, said));
                }
            }
        }
        let flushed = self.connection.pipe.flush();
        if flushed.is_ok() && moved && self.sent_all && self.out_at >= self.out.len() {
            self.uploaded();
        }
        Ok(moved)
    }

    fn gone(&self, e: &io::Error) -> bool {
        matches!(e.raw_os_error(), Some(libc::EPIPE | libc::ECONNRESET))
    }

    fn began_sending(&self) -> bool {
        self.given > 0
    }

    fn uploaded(&mut self) {
        if !self.quiet_upload {
            self.quiet_upload = true;
            self.under.say("We are completely uploaded and fine");
        }
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<bool, Failure> {
        if !self.pace.rest(self.under.order.limit).is_zero() {
            return Ok(false);
        }
        let most = self.under.order.limit.map_or(buffer.len(), |l| {
            usize::try_from(l.clamp(1, buffer.len() as u64)).unwrap_or(1)
        });
        let n = match self
            .connection
            .pipe
            .read(buffer.get_mut(..most).unwrap_or_default())
        {
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(true),
            Err(e) => {
                if self.old && !self.answer.spoke {
                    return Err(Failure::new(-2, "the connection was gone"));
                }
                let said = receive_failed(&e);
                return Err(self.under.fail(code::RECEIVE, said));
            }
        };
        if n == 0 {
            self.ended()?;
            return Ok(true);
        }
        self.answer.spoke = true;
        if !self.began_reading {
            self.began_reading = true;
            self.under.info.times.first = self.under.at();
        }
        let bytes = buffer.get(..n).unwrap_or_default();
        match self.state {
            State::Head => self.heads(bytes)?,
            State::Body(ends) => self.body(ends, bytes)?,
            State::Done => {}
        }
        Ok(true)
    }

    /// The peer closed.
    fn ended(&mut self) -> Result<(), Failure> {
        self.answer.close = true;
        match self.state {
            State::Head if self.head.status == 0 && self.input.is_empty() => {
                if self.old && !self.answer.spoke {
                    return Err(Failure::new(-2, "the connection was gone"));
                }
                return Err(self.under.fail(code::NOTHING, "Empty reply from server"));
            }
            State::Head => {
                let rest = std::mem::take(&mut self.input);
                if self.head.status == 0 && !rest.is_empty() {
                    self.not_http(&rest)?;
                }
                self.answer.close = false;
            }
            State::Body(Ends::After(left)) if left > 0 => {
                let said = format!("transfer closed with {left} bytes remaining to read");
                return Err(self.under.fail(code::PARTIAL, said));
            }
            State::Body(Ends::Chunked) => {
                let said = "transfer closed with outstanding read data remaining";
                return Err(self.under.fail(code::PARTIAL, said));
            }
            _ => {}
        }
        self.state = State::Done;
        Ok(())
    }

    fn not_http(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if !self.under.order.http09 {
            return Err(self
                .under
                .fail(code::UNSUPPORTED, "Received HTTP/0.9 when not allowed"));
        }
        self.under.info.version = "0.9";
        if self.no_body {
            self.answer.close = true;
            self.state = State::Done;
            return Ok(());
        }
        self.answer.close = true;
        self.state = State::Body(Ends::Closed);
        self.body(Ends::Closed, bytes)
    }

    fn heads(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.input.extend(bytes);
        let input = std::mem::take(&mut self.input);
        let mut rest = input.as_slice();
        while self.state == State::Head && !rest.is_empty() {
            if self.head.status == 0 && self.head.bytes == 0 {
                match first(rest) {
                    First::Unknown => break,
                    First::Other => {
                        let all = rest.to_vec();
                        return self.not_http(&all);
                    }
                    First::Http => {}
                }
            }
            let Some(end) = rest.iter().position(|b| *b == b'\n') else {
                if rest.len() > BUFFER {
                    let said = format!("Too large response headers: {} > {BUFFER}", rest.len());
                    return Err(self.under.fail(27, said));
                }
                break;
            };
            let (line, behind) = rest.split_at(end + 1);
            rest = behind;
            self.line(line)?;
        }
        match self.state {
            State::Head => self.input = rest.to_vec(),
            State::Body(ends) if !rest.is_empty() => {
                let rest = rest.to_vec();
                self.body(ends, &rest)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8]) -> Result<(), Failure> {
        let ignore = self.under.order.ignore_length;
        let kind = self
            .head
            .take(line, ignore)
            .map_err(|e| self.under.fail(e.code, e.said))?;
        let info = &mut *self.under.info;
        match kind {
            Line::Status => {
                info.status = self.head.status;
                info.version = if self.head.minor == 0 { "1.0" } else { "1.1" };
                info.headers.clear();
            }
            Line::Field => {
                info.headers.clone_from(&self.head.fields);
                if let Some(kind) = self.head.get("content-type") {
                    info.content_type = Some(kind.to_string()).filter(|k| !k.is_empty());
                }
                let name = self.head.fields.last().map(|f| f.0.to_ascii_lowercase());
                if let Some((name, value)) = self.head.fields.last() {
                    (self.field)(name, value, self.under);
                    let moved =
                        name.eq_ignore_ascii_case("location") && self.head.status / 100 == 3;
                    if moved && self.under.order.follow && self.given > 0 {
                        self.under.say("Please rewind output before next send");
                    }
                }
                if name.as_deref() == Some("content-length") {
                    self.too_large()?;
                }
            }
            Line::End => return self.head_ended(line),
        }
        self.tell(line)
    }

    fn tell(&mut self, line: &[u8]) -> Result<(), Failure> {
        if self.under.order.verbose {
            self.under.watch.show(Kind::HeadIn, line);
        }
        self.under.info.head_bytes += line.len() as u64;
        let told = self.under.watch.head(line, self.under.info);
        told.map_err(|e| self.under.fail(e.code, e.said))
    }

    fn too_large(&mut self) -> Result<(), Failure> {
        match (self.head.announced(), self.under.order.largest) {
            (Some(n), Some(most)) if most > 0 && n > most && !self.no_body => Err(self
                .under
                .fail(code::TOO_LARGE, "Maximum file size exceeded")),
            _ => Ok(()),
        }
    }

    fn head_ended(&mut self, line: &[u8]) -> Result<(), Failure> {
        let status = self.head.status;
        if (100..200).contains(&status) && status != 101 {
            self.under.info.head_bytes += line.len() as u64;
            let told = self.under.watch.head(line, self.under.info);
            told.map_err(|e| self.under.fail(e.code, e.said))?;
            if status == 100 {
                self.waiting = None;
            }
            self.head = Head::default();
            return Ok(());
        }
        let no_body = self.no_body;
        if self.head.endless(no_body) {
            self.under
                .say("no chunk, no close, no size. Assume close to signal end");
        }
        let early = !self.sent_all || self.out_at < self.out.len();
        if status == 417 && self.waiting.is_some() {
            self.under
                .say("Got HTTP failure 417 while waiting for a 100");
            self.answer.refused_expect = true;
        }
        let fate = (self.decide)(&self.head, self.under);
        match fate {
            // Said already, and the end of the head is not shown any more.
            Fate::Fail(failure) if failure.code == code::HTTP => {
                self.under.info.head_bytes += line.len() as u64;
                self.under.watch.head(line, self.under.info)?;
                return Err(failure);
            }
            Fate::Fail(failure) => {
                self.tell(line)?;
                return Err(self.under.fail(failure.code, failure.said));
            }
            _ => self.tell(line)?,
        }
        if early && status >= 300 {
            if !self.answer.refused_expect {
                self.under
                    .say("HTTP error before end of send, stop sending");
            }
            self.stop_sending();
        }
        self.under.info.wanted = match self.head.ends(no_body) {
            Ends::After(n) if !no_body => Some(n),
            _ if no_body => self.head.length(),
            _ => None,
        };
        self.answer.close |= self.head.closes(no_body);
        if matches!(fate, Fate::Ignore) {
            self.answer.ignored = true;
            if !no_body && self.head.ends(no_body) != Ends::After(0) {
                self.under.say("Ignoring the response-body");
            }
        }
        self.codings()?;
        let ends = match status {
            101 => Ends::Closed,
            _ => self.head.ends(no_body),
        };
        self.state = match ends {
            Ends::After(0) => State::Done,
            ends => State::Body(ends),
        };
        if self.answer.ignored && self.state == State::Body(Ends::Closed) {
            // Nobody waits for the end of what nobody wants.
            self.answer.close = true;
            self.state = State::Done;
        }
        if self.state == State::Done && !self.sent_all && status < 300 {
            // The answer came before all was sent: nobody waits for the rest.
            self.stop_sending();
        }
        Ok(())
    }

    fn stop_sending(&mut self) {
        self.sent_all = true;
        self.waiting = None;
        self.quiet_upload = true;
        let partly = self.out_at < self.out.len()
            || self.given > 0
            || self.sending.given
            || !self.sending.bytes.is_empty();
        self.answer.close |= partly;
        self.out_at = self.out.len();
    }

    fn codings(&mut self) -> Result<(), Failure> {
        let order = self.under.order;
        if order.raw {
            return Ok(());
        }
        let mut names: Vec<String> = Vec::new();
        if order.encoding.is_some() {
            names.extend(
                self.head
                    .all("content-encoding")
                    .flat_map(|v| v.split(',').map(String::from)),
            );
        }
        names.extend(
            self.head
                .all("transfer-encoding")
                .flat_map(|v| v.split(',').map(String::from)),
        );
        if names.len() > 5 {
            let said = "Reject response due to more than 5 content encodings";
            return Err(self.under.fail(code::ENCODING, said));
        }
        for name in names.iter().rev() {
            match Decoder::of(name) {
                Ok(decoder) => self.decoders.extend(decoder),
                // Nobody decodes a body that there is not.
                Err(_) if self.no_body || self.head.ends(self.no_body) == Ends::After(0) => {}
                Err(e) => return Err(self.under.fail(e.code, e.said)),
            }
        }
        Ok(())
    }

    fn body(&mut self, ends: Ends, bytes: &[u8]) -> Result<(), Failure> {
        if self.under.order.verbose {
            self.under.watch.show(Kind::DataIn, bytes);
        }
        self.pace.bytes += bytes.len() as u64;
        match ends {
            Ends::Closed => self.deliver(bytes),
            Ends::After(left) => {
                let n = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                let (own, more) = bytes.split_at(n);
                if !more.is_empty() {
                    let size = self.under.info.wanted.unwrap_or(0);
                    self.under.say(&format!(
                        "Excess found in a read: excess = {}, size = {size}, maxdownload = {size}, bytecount = {}",
                        more.len(),
                        self.under.info.received
                    ));
                    self.answer.close = true;
                }
                self.deliver(own)?;
                let left = left - n as u64;
                self.state = match left {
                    0 => State::Done,
                    left => State::Body(Ends::After(left)),
                };
                Ok(())
            }
            Ends::Chunked if self.under.order.raw => {
                let mut chunks = std::mem::take(&mut self.chunks);
                let done = chunks.take(bytes, |_| Ok(()));
                self.chunks = chunks;
                let over = done.map_err(|e| self.under.fail(e.code, e.said))?;
                let n = bytes.len() - over.unwrap_or(0);
                self.deliver(bytes.get(..n).unwrap_or_default())?;
                if over.is_some() {
                    self.state = State::Done;
                }
                Ok(())
            }
            Ends::Chunked => self.chunked(bytes),
        }
    }

    fn chunked(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let mut chunks = std::mem::take(&mut self.chunks);
        let done = chunks.take(bytes, |piece| match piece {
            Piece::Data(data) => self.deliver(data),
            Piece::Trailer(line) => {
                self.under.info.head_bytes += line.len() as u64;
                self.under.watch.head(line, self.under.info)
            }
        });
        self.chunks = chunks;
        match done {
            Ok(Some(over)) => {
                if over > 0 {
                    self.under
                        .say(&format!("Leftovers after chunking: {over} bytes"));
                    self.answer.close = true;
                }
                self.state = State::Done;
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(e) if e.shown => Err(e),
            Err(e) => Err(self.under.fail(e.code, e.said)),
        }
    }

    fn deliver(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if bytes.is_empty() || self.answer.ignored {
            return Ok(());
        }
        self.under.info.received += bytes.len() as u64;
        let most = self.under.order.largest.filter(|m| *m > 0);
        if most.is_some_and(|m| self.under.info.received > m) {
            let said = format!(
                "Exceeded the maximum allowed file size ({})",
                most.unwrap_or(0)
            );
            return Err(self.under.fail(code::TOO_LARGE, said));
        }
        let mut decoders = std::mem::take(&mut self.decoders);
        let under = &mut *self.under;
        let done = feed(&mut decoders, bytes, &mut |piece| {
            under.watch.body(piece, under.info)
        });
        self.decoders = decoders;
        done.map_err(|e| match e.shown {
            true => e,
            false => self.under.fail(e.code, e.said),
        })
    }
}

type Keep<'k> = &'k mut dyn FnMut(&[u8]) -> Result<(), Failure>;

fn feed(decoders: &mut [Decoder], bytes: &[u8], keep: Keep<'_>) -> Result<(), Failure> {
    match decoders.split_first_mut() {
        None => keep(bytes),
        Some((first, rest)) => first.take(bytes, &mut |piece| feed(rest, piece, keep)),
    }
}

fn with_cr(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 16);
    let mut last = 0;
    for b in bytes {
        if *b == b'\n' && last != b'\r' {
            out.push(b'\r');
        }
        out.push(*b);
        last = *b;
    }
    out
}
