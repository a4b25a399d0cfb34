//! What is shown besides the content: all that is sent and comes, and how fast.

use super::plan::{Global, Trace};
use netshoot_host::web::{Info, Kind};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// Turns what happens into text.
#[derive(Debug, Default)]
pub struct Shower {
    /// A line is not ended.
    open: bool,
    /// Data were named already since the last other thing.
    named: bool,
}

fn clock() -> String {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    let (_, _, _, h, m, s, _) =
        netshoot_wire::web::date::civil(i64::try_from(now.as_secs()).unwrap_or(0));
    format!("{h:02}:{m:02}:{s:02}.{:06} ", now.subsec_micros())
}

impl Shower {
    /// The text for something.
    pub fn text(&mut self, global: &Global, kind: Kind, bytes: &[u8]) -> Vec<u8> {
        let time = if global.trace_time {
            clock()
        } else {
            String::new()
        };
        match &global.trace {
            Trace::Off => Vec::new(),
            Trace::Plain => self.plain(&time, kind, bytes),
            Trace::Hex(_) => dump(&time, kind, bytes, true),
            Trace::Ascii(_) => dump(&time, kind, bytes, false),
        }
    }

    fn plain(&mut self, time: &str, kind: Kind, bytes: &[u8]) -> Vec<u8> {
        let mark = match kind {
            Kind::Text => "* ",
            Kind::HeadIn => "< ",
            Kind::HeadOut => "> ",
            Kind::DataIn => "{ ",
            Kind::DataOut => "} ",
        };
        let mut out = Vec::new();
        match kind {
            Kind::HeadOut => {
                for line in bytes.split_inclusive(|b| *b == b'\n') {
                    if !self.open {
                        out.extend(format!("{time}{mark}").as_bytes());
                    }
                    out.extend(line);
                    self.open = !line.ends_with(b"\n");
                }
                self.named = false;
            }
            Kind::Text | Kind::HeadIn => {
                if !self.open {
                    out.extend(format!("{time}{mark}").as_bytes());
                }
                out.extend(bytes);
                if kind == Kind::Text {
                    out.push(b'\n');
                }
                self.open = kind != Kind::Text && !bytes.ends_with(b"\n");
                self.named = false;
            }
            Kind::DataIn | Kind::DataOut => {
                if !self.named {
                    if !self.open {
                        out.extend(format!("{time}{mark}").as_bytes());
                    }
                    out.extend(format!("[{} bytes data]\n", bytes.len()).as_bytes());
                    self.open = false;
                    self.named = true;
                }
            }
        }
        out
    }
}

fn dump(time: &str, kind: Kind, bytes: &[u8], hex: bool) -> Vec<u8> {
    let what = match kind {
        Kind::Text => {
            let text = String::from_utf8_lossy(bytes);
            return format!("{time}== Info: {text}\n").into_bytes();
        }
        Kind::HeadIn => "<= Recv header",
        Kind::HeadOut => "=> Send header",
        Kind::DataIn => "<= Recv data",
        Kind::DataOut => "=> Send data",
    };
    let mut out = format!(
        "{time}{what}, {} bytes (0x{:x})\n",
        bytes.len(),
        bytes.len()
    );
    let width = if hex { 16 } else { 64 };
    let mut at = 0;
    while at < bytes.len() {
        let _ = write!(out, "{at:04x}: ");
        let rest = bytes.get(at..).unwrap_or_default();
        let mut row = rest.get(..width.min(rest.len())).unwrap_or_default();
        if hex {
            for i in 0..width {
                match row.get(i) {
                    Some(b) => {
                        let _ = write!(out, "{b:02x} ");
                    }
                    None => out += "   ",
                }
            }
        }
        let mut step = row.len();
        if !hex && let Some(end) = row.windows(2).position(|w| w == b"\r\n") {
            row = row.get(..end).unwrap_or_default();
            step = end + 2;
        } else if !hex && rest.get(row.len()..row.len() + 2) == Some(b"\r\n") {
            step += 2;
        }
        out.extend(row.iter().map(|b| match b {
            0x20..0x7f => char::from(*b),
            _ => '.',
        }));
        out.push('\n');
        at += step;
    }
    out.into_bytes()
}

/// The meter on a terminal.
#[derive(Debug)]
pub struct Meter {
    begun: bool,
    last: Option<Instant>,
    samples: Vec<(Instant, u64)>,
    bar: bool,
    through: bool,
}

/// A number of bytes in five characters.
pub fn five(n: u64) -> String {
    const K: u64 = 1024;
    match n {
        0..100_000 => format!("{n:5}"),
        n if n < 10_000 * K => format!("{:4}k", n / K),
        n if n < 100 * K * K => format!("{:2}.{}M", n / (K * K), n % (K * K) / (K * K / 10)),
        n if n < 10_000 * K * K => format!("{:4}M", n / (K * K)),
        n if n < 100 * K * K * K => format!(
            "{:2}.{}G",
            n / (K * K * K),
            n % (K * K * K) / (K * K * K / 10)
        ),
        n => format!("{:4}G", n / (K * K * K)),
    }
}

/// Seconds in eight characters.
pub fn hours(seconds: u64) -> String {
    match seconds {
        0 => "--:--:--".into(),
        s if s / 3600 < 100 => format!("{:2}:{:02}:{:02}", s / 3600, s % 3600 / 60, s % 60),
        s => format!("{:3}d {:02}h", s / 86_400, s % 86_400 / 3600),
    }
}

impl Meter {
    /// Nothing shown yet.
    pub fn new(bar: bool) -> Meter {
        Meter {
            begun: false,
            last: None,
            samples: Vec::new(),
            bar,
            through: false,
        }
    }

    /// The last line was shown.
    pub fn through(&mut self) {
        self.through = true;
    }

    /// It began, and its last line was not shown.
    pub fn is_open(&self) -> bool {
        self.last.is_some() && !self.through
    }

    /// What is to be printed now, if it is time.
    pub fn tick(&mut self, info: &Info, first: bool, end: bool) -> Option<String> {
        let now = Instant::now();
        let due = self
            .last
            .is_none_or(|l| now.duration_since(l) >= Duration::from_secs(1));
        if !due && !end {
            return None;
        }
        self.last = Some(now);
        self.through = false;
        if self.bar {
            return self.bar(info, end);
        }
        let mut text = String::new();
        if !self.begun {
            self.begun = true;
            if first {
                text += "  % Total    % Received % Xferd  Average Speed   Time    Time     Time  Current\n                                 Dload  Upload   Total   Spent    Left  Speed\n";
            }
        }
        text.push('\r');
        text += &self.line(info, now);
        if end {
            text.push('\n');
        }
        Some(text)
    }

    fn line(&mut self, info: &Info, now: Instant) -> String {
        let spent = info.began.elapsed().as_secs_f64().max(0.000_001);
        let moved = info.received + info.sent;
        self.samples.push((now, moved));
        if self.samples.len() > 6 {
            self.samples.remove(0);
        }
        let down = (info.received as f64 / spent) as u64;
        let up = (info.sent as f64 / spent) as u64;
        let current = match self.samples.first() {
            Some((at, bytes))
                if now.duration_since(*at).as_millis() > 0 && self.samples.len() > 1 =>
            {
                ((moved - bytes.min(&moved)) as f64 / now.duration_since(*at).as_secs_f64()) as u64
            }
            _ => down + up,
        };
        let percent = |have: u64, all: Option<u64>| match all {
            Some(all) if all > 0 => have * 100 / all,
            _ => 0,
        };
        let (want, send) = (info.wanted, info.to_send);
        let total = want.unwrap_or(info.received) + send.unwrap_or(info.sent);
        let left = |all: Option<u64>, have: u64, speed: u64| match (all, speed) {
            (Some(all), 1..) => (all.saturating_sub(have) / speed, all / speed),
            _ => (0, 0),
        };
        let (left_down, all_down) = left(want, info.received, down);
        let (left_up, all_up) = left(send, info.sent, up);
        let whole = want.is_some() || send.is_some();
        format!(
            "{:3} {}  {:3} {}  {:3} {}  {}  {} {} {} {} {}",
            if whole {
                percent(moved, Some(total))
            } else {
                0
            },
            five(total),
            percent(info.received, want),
            five(info.received),
            percent(info.sent, send),
            five(info.sent),
            five(down),
            five(up),
            hours(all_down.max(all_up)),
            hours(spent as u64),
            hours(left_down.max(left_up)),
            five(current)
        )
    }

    fn bar(&mut self, info: &Info, end: bool) -> Option<String> {
        const WIDTH: usize = 79;
        let moved = info.received + info.sent;
        let all = info.wanted.unwrap_or(0) + info.to_send.unwrap_or(0);
        if all == 0 {
            return end.then(|| "\n".to_string());
        }
        let share = moved as f64 / all as f64;
        let full = ((WIDTH - 7) as f64 * share) as usize;
        let mut text = format!(
            "\r{:<1$} {2:5.1}%",
            "#".repeat(full.min(WIDTH - 7)),
            WIDTH - 7,
            share * 100.0
        );
        if end {
            text.push('\n');
        }
        Some(text)
    }
}
