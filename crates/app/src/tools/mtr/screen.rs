//! The screen of mtr: the table, drawn anew while probes go on.

use super::course::Course;
use super::figures::Field;
use super::plan::Plan;
use super::report;
use crate::io::Io;
use anyhow::Result;
use crossterm::{cursor, queue, terminal};
use netshoot_host::sockets;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

/// Columns of latency and of jitter, which `j` exchanges.
const JITTER: &str = "DR AGJMXI";
/// What the terminal sends for Ctrl-C when it makes no signal of it.
const CTRL_C: u8 = 3;
const REDRAW: Duration = Duration::from_millis(200);

/// Watches until `q`, Ctrl-C or the last cycle.
pub fn watch(plan: &Plan, host: &str, course: &mut Course<'_>, io: &mut Io<'_>) -> Result<()> {
    terminal::enable_raw_mode()?;
    let out = &mut io.out;
    queue!(out, terminal::EnterAlternateScreen, cursor::Hide)?;
    let watched = watching(plan, host, course, out);
    queue!(out, cursor::Show, terminal::LeaveAlternateScreen)?;
    out.flush()?;
    terminal::disable_raw_mode()?;
    watched
}

fn watching(
    plan: &Plan,
    host: &str,
    course: &mut Course<'_>,
    out: &mut impl std::io::Write,
) -> Result<()> {
    let mut shown = plan.clone();
    let (mut paused, mut drawn) = (false, None::<Instant>);
    loop {
        if drawn.is_none_or(|d| d.elapsed() >= REDRAW) {
            draw(&shown, host, course, paused, out)?;
            drawn = Some(Instant::now());
        }
        let patience = if paused { REDRAW } else { Duration::ZERO };
        if let Some(key) = key(patience)? {
            match key {
                CTRL_C | b'q' => return Ok(()),
                b'p' => paused = true,
                b' ' => paused = false,
                b'r' => course.restart(),
                b'n' => shown.numeric = !shown.numeric,
                b'b' => shown.both = !shown.both,
                b'j' => {
                    let other = match shown.fields == plan.fields {
                        true => Field::list(JITTER).ok(),
                        false => None,
                    };
                    shown.fields = other.unwrap_or_else(|| plan.fields.clone());
                }
                _ => {}
            }
            drawn = None;
        }
        if !paused {
            course.step(&mut |_| Ok(()))?;
        }
        if !plan.endless && course.cycles >= plan.cycles {
            return Ok(());
        }
    }
}

/// A key that was pressed; the end of the input is one that ends.
fn key(patience: Duration) -> Result<Option<u8>> {
    let stdin = std::io::stdin();
    let mut fds = [libc::pollfd {
        fd: stdin.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    }];
    if !sockets::poll(&mut fds, patience)? {
        return Ok(None);
    }
    let mut byte = [0];
    match rustix::io::read(stdin.as_fd(), &mut byte)? {
        0 => Ok(Some(CTRL_C)),
        _ => Ok(Some(byte[0])),
    }
}

fn draw(
    plan: &Plan,
    host: &str,
    course: &mut Course<'_>,
    paused: bool,
    out: &mut impl std::io::Write,
) -> Result<()> {
    let (columns, rows) = terminal::size()?;
    let (columns, rows) = (usize::from(columns), usize::from(rows));
    let headings: String = plan.fields.iter().map(|f| f.heading()).collect();
    let room = columns.saturating_sub(headings.len() + 5).max(8);
    let host = crate::report::safe(host);
    let mut lines = vec![
        format!("{:^columns$}", "My traceroute  [netshoot]"),
        format!(
            "{} -> {host}{}",
            report::own_name(),
            if paused { "  (paused)" } else { "" }
        ),
        "Keys:  p pause  space resume  r restart  n names  b both  j jitter  q quit".to_string(),
        String::new(),
        format!(" {:1$}{headings}", "Host", room + 4),
    ];
    for (ttl, name, hop) in report::named(plan, course) {
        let name: String = name.chars().take(room).collect();
        let cells: String = plan.fields.iter().map(|f| f.cell(&hop)).collect();
        lines.push(format!("{ttl:3}. {name:room$}{cells}"));
    }
    queue!(out, cursor::MoveTo(0, 0))?;
    for (at, line) in lines.iter().take(rows).enumerate() {
        let line: String = line.chars().take(columns).collect();
        queue!(out, cursor::MoveTo(0, u16::try_from(at).unwrap_or(0)))?;
        write!(out, "{line}")?;
        queue!(out, terminal::Clear(terminal::ClearType::UntilNewLine))?;
    }
    queue!(out, terminal::Clear(terminal::ClearType::FromCursorDown))?;
    out.flush()?;
    Ok(())
}
