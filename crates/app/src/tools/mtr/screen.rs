//! The screen of mtr: drawn anew while probes go on, and its keys.

use super::course::Course;
use super::figures::Field;
use super::plan::{Display, Plan};
use super::table::{self, Asks, View};
use crate::io::Io;
use anyhow::Result;
use crossterm::{cursor, queue, terminal};
use netshoot_host::hops::Method;
use netshoot_host::sockets;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

/// Columns of latency and of jitter, which `j` exchanges.
const LATENCY: &str = "LS NABWV";
const JITTER: &str = "DR AGJMXI";
/// What the terminal sends for Ctrl-C when it makes no signal of it.
const CTRL_C: u8 = 3;
const ESCAPE: u8 = 27;
const REDRAW: Duration = Duration::from_millis(200);
/// Nobody types a longer value.
const LONGEST: usize = 64;
/// `+` and `-` go so many hops.
const HALF_A_PAGE: usize = 5;

/// Watches until `q`, Ctrl-C or the last cycle.
pub fn watch(host: &str, course: &mut Course, io: &mut Io<'_>) -> Result<()> {
    terminal::enable_raw_mode()?;
    let out = &mut io.out;
    queue!(out, terminal::EnterAlternateScreen, cursor::Hide)?;
    let watched = watching(host, course, out);
    queue!(out, cursor::Show, terminal::LeaveAlternateScreen)?;
    out.flush()?;
    terminal::disable_raw_mode()?;
    watched
}

fn watching(host: &str, course: &mut Course, out: &mut impl std::io::Write) -> Result<()> {
    let mut view = View {
        host: host.into(),
        asks: Asks::Nothing,
        behind: 0,
    };
    let (mut paused, mut drawn) = (false, None::<Instant>);
    loop {
        if drawn.is_none_or(|d| d.elapsed() >= REDRAW) {
            draw(&view, course, out)?;
            drawn = Some(Instant::now());
        }
        // What is pasted does not hold up the probes.
        for _ in 0..LONGEST {
            let Some(key) = key()? else { break };
            if key == CTRL_C {
                return Ok(());
            }
            match std::mem::replace(&mut view.asks, Asks::Nothing) {
                Asks::Help => {}
                Asks::Value { of, typed } => view.asks = typing(of, typed, key, course)?,
                Asks::Nothing => match key {
                    b'q' => return Ok(()),
                    b'p' => paused = true,
                    b' ' => paused = false,
                    _ => pressed(key, &mut view, course)?,
                },
            }
            drawn = None;
        }
        match paused {
            false => course.step(&mut |_| Ok(()))?,
            true => course.rest()?,
        }
        if !course.plan.endless && course.cycles >= course.plan.cycles {
            return Ok(());
        }
    }
}

fn pressed(key: u8, view: &mut View, course: &mut Course) -> Result<()> {
    let plan = &mut course.plan;
    match key {
        b'?' | b'h' => view.asks = Asks::Help,
        b'd' => {
            let at = Display::ALL.iter().position(|d| *d == plan.display);
            let next = (at.unwrap_or(0) + 1) % Display::ALL.len();
            plan.display = Display::ALL[next];
        }
        b'e' => plan.labels = !plan.labels,
        b'n' => plan.numeric = !plan.numeric,
        b'y' | b'z' => plan.networks = !plan.networks,
        b'r' => course.restart(),
        b'j' => {
            let jitter = Field::list(JITTER).unwrap_or_default();
            plan.fields = match plan.fields == jitter {
                true => Field::list(LATENCY).unwrap_or_default(),
                false => jitter,
            };
        }
        b'u' | b't' => {
            let other = if key == b'u' {
                Method::Udp
            } else {
                Method::Tcp
            };
            let before = plan.method;
            plan.method = if before == other { Method::Icmp } else { other };
            // Where echo requests may not be sent it goes on as it was.
            if course.change().is_err() {
                course.plan.method = before;
            }
        }
        b'o' | b'c' | b'i' | b'f' | b'm' | b's' | b'b' | b'Q' => {
            view.asks = Asks::Value {
                of: char::from(key),
                typed: String::new(),
            };
        }
        b'+' => view.behind = (view.behind + HALF_A_PAGE).min(course.shown().len()),
        b'-' => view.behind = view.behind.saturating_sub(HALF_A_PAGE),
        _ => {}
    }
    Ok(())
}

/// A key more of a value; what cannot be one changes nothing.
fn typing(of: char, mut typed: String, key: u8, course: &mut Course) -> Result<Asks> {
    match key {
        b'\r' | b'\n' => {
            let taken = taken(&course.plan, of, &typed);
            if let Some(plan) = taken {
                let tos = plan.tos != course.plan.tos;
                course.plan = plan;
                if tos {
                    // The socket that is there stays where no other can be had.
                    let _ = course.change();
                }
            }
            return Ok(Asks::Nothing);
        }
        ESCAPE => return Ok(Asks::Nothing),
        8 | 127 => drop(typed.pop()),
        b' '..=b'~' if typed.len() < LONGEST => typed.push(char::from(key)),
        _ => {}
    }
    Ok(Asks::Value { of, typed })
}

/// The plan with a value that was typed, where it is one.
fn taken(plan: &Plan, of: char, typed: &str) -> Option<Plan> {
    let mut plan = plan.clone();
    if typed.is_empty() {
        return None;
    }
    let flag = if of == 'b' { 'B' } else { of };
    plan.take(flag, typed).ok()?;
    plan.first = plan.first.min(plan.most);
    (!plan.fields.is_empty()).then_some(plan)
}

/// A key that was pressed; the end of the input is one that ends.
fn key() -> Result<Option<u8>> {
    let stdin = std::io::stdin();
    let mut fds = [libc::pollfd {
        fd: stdin.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    }];
    if !sockets::poll(&mut fds, Duration::ZERO)? {
        return Ok(None);
    }
    let mut byte = [0];
    match rustix::io::read(stdin.as_fd(), &mut byte)? {
        0 => Ok(Some(CTRL_C)),
        _ => Ok(Some(byte[0])),
    }
}

fn draw(view: &View, course: &mut Course, out: &mut impl std::io::Write) -> Result<()> {
    let (columns, rows) = terminal::size()?;
    let all = table::rows(view, course, columns.into(), rows.into());
    for (at, row) in all.iter().enumerate() {
        queue!(out, cursor::MoveTo(0, u16::try_from(at).unwrap_or(0)))?;
        write!(out, "{row}")?;
        queue!(out, terminal::Clear(terminal::ClearType::UntilNewLine))?;
    }
    queue!(out, terminal::Clear(terminal::ClearType::FromCursorDown))?;
    out.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_none_changes_nothing() {
        let super::super::plan::Read::Plan(plan) =
            super::super::plan::read(&["-m".into(), "9".into(), "far".into()]).unwrap()
        else {
            panic!("a plan");
        };
        for (of, typed) in [
            ('i', "x"),
            ('m', "0"),
            ('o', "Q"),
            ('o', ""),
            ('s', "5"),
            ('b', "256"),
        ] {
            assert!(taken(&plan, of, typed).is_none(), "{of} {typed}");
        }
        assert_eq!(
            taken(&plan, 'f', "20").map(|p| (p.first, p.most)),
            Some((9, 9))
        );
        assert_eq!(taken(&plan, 'b', "7").map(|p| p.pattern), Some(7));
        assert_eq!(
            taken(&plan, 'c', "3").map(|p| (p.cycles, p.endless)),
            Some((3, false))
        );
        assert_eq!(taken(&plan, 'o', "LS").map(|p| p.fields.len()), Some(2));
    }
}
