//! Copies between two ends until both are over, or patience is.

use super::end::{End, Way};
use super::{Failed, Plan, Ways, log};
use netshoot_host::{sockets, streams};
use std::io::ErrorKind;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// One way of the two.
#[derive(Default)]
struct Course {
    on: bool,
    over: bool,
    /// What the other end has not taken yet.
    owed: Vec<u8>,
    total: u64,
}

/// Copies. Gives the exit code.
pub fn relay(plan: &Plan, left: End, right: End) -> Result<i32, Failed> {
    let numbers = |end: &End| {
        let fd = |way: &Option<Way>| way.as_ref().map_or(-1, Way::fd);
        let (r, w) = (fd(&end.read), fd(&end.write));
        (if r < 0 { w } else { r }, if w < 0 { r } else { w })
    };
    let (a, b) = (numbers(&left), numbers(&right));
    plan.log.note(&format!(
        "starting data transfer loop with FDs [{},{}] and [{},{}]",
        a.0, a.1, b.0, b.1
    ));
    let mut both = [left, right];
    let course = |on| Course {
        on,
        ..Course::default()
    };
    let mut courses = [
        course(plan.ways != Ways::RightToLeft),
        course(plan.ways != Ways::LeftToRight),
    ];
    // A way over which nothing can come or go is over.
    for (i, c) in courses.iter_mut().enumerate() {
        c.over = !c.on;
        c.on &= both[i].read.is_some();
        if c.over {
            continue;
        }
        c.over = both[i].read.is_none();
    }
    let code = copy(plan, &mut both, &mut courses)?;
    for end in &mut both {
        if let Some((pid, status)) = end.failed() {
            plan.log.error(&format!(
                "waitpid(): child {pid} exited with status {status}"
            ));
            return Err(Failed);
        }
    }
    plan.log.note("exiting with status 0");
    Ok(code)
}

fn copy(plan: &Plan, both: &mut [End; 2], courses: &mut [Course; 2]) -> Result<i32, Failed> {
    let mut buffer = vec![0; plan.buffer];
    let mut closing = false;
    loop {
        if courses.iter().all(|c| c.over && c.owed.is_empty()) {
            return Ok(0);
        }
        let patience = match (closing, plan.idle) {
            (true, _) => plan.closing,
            (false, Some(idle)) => idle,
            (false, None) => streams::FOR_EVER,
        };
        let held =
            (0..2).any(|i| !courses[i].over && courses[i].owed.is_empty() && both[i].holds());
        let ready = ready(both, courses, if held { Duration::ZERO } else { patience });
        let Ok(ready) = ready.map_err(|e| {
            plan.log
                .error(&format!("poll(): {}", sockets::strerror(&e)))
        }) else {
            return Err(Failed);
        };
        if ready.is_none() && !held {
            if !closing {
                plan.log.note("inactivity timeout triggered");
            }
            return Ok(0);
        }
        let (reads, writes) = ready.unwrap_or_default();
        for from in 0..2 {
            let to = 1 - from;
            if reads[from] || both[from].holds() {
                receive(plan, both, courses, from, &mut buffer)?;
            }
            if writes[to] || !courses[from].owed.is_empty() || both[to].wants_to_write() {
                send(plan, both, courses, from)?;
            }
            if courses[from].over && courses[from].owed.is_empty() && courses[from].on {
                courses[from].on = false;
                both[to].end_writing();
                closing = true;
            }
        }
    }
}

type Ready = ([bool; 2], [bool; 2]);

/// Which ends can be read and written; none when patience is over.
fn ready(
    both: &[End; 2],
    courses: &[Course; 2],
    patience: Duration,
) -> std::io::Result<Option<Ready>> {
    let entry = |fd, events| libc::pollfd {
        fd,
        events,
        revents: 0,
    };
    let mut fds = [
        entry(-1, libc::POLLIN),
        entry(-1, libc::POLLIN),
        entry(-1, libc::POLLOUT),
        entry(-1, libc::POLLOUT),
    ];
    for i in 0..2 {
        let (from, to) = (&courses[i], &courses[1 - i]);
        if !from.over && from.owed.is_empty() {
            fds[i].fd = both[i].read.as_ref().map_or(-1, Way::fd);
        }
        if !to.owed.is_empty() || both[i].wants_to_write() {
            fds[2 + i].fd = both[i].write.as_ref().map_or(-1, Way::fd);
        }
    }
    if !sockets::poll(&mut fds, patience)? {
        return Ok(None);
    }
    let on = |i: usize| fds[i].revents != 0;
    Ok(Some(([on(0), on(1)], [on(2), on(3)])))
}

fn receive(
    plan: &Plan,
    both: &mut [End; 2],
    courses: &mut [Course; 2],
    from: usize,
    buffer: &mut [u8],
) -> Result<(), Failed> {
    let fd = both[from].read.as_ref().map_or(-1, Way::fd);
    let course = &mut courses[from];
    match both[from].take(buffer) {
        Ok(0) => {
            plan.log
                .note(&format!("socket {} (fd {fd}) is at EOF", from + 1));
            course.over = true;
        }
        Ok(n) => {
            let bytes = both[from].inward(buffer.get(..n).unwrap_or_default());
            let bytes = both[1 - from].outward(&bytes);
            dump(plan, from, &bytes, course.total);
            course.total += bytes.len() as u64;
            if let Some(carried) = plan.carried.get(from) {
                carried.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            }
            course.owed.extend(bytes);
        }
        Err(e) if e.kind() == ErrorKind::WouldBlock || e.kind() == ErrorKind::Interrupted => {}
        // A datagram before was refused.
        Err(e) if matches!(both[from].read, Some(Way::Datagrams(..))) => {
            plan.log.error(&format!(
                "read({fd}, 0, {}): {}",
                plan.buffer,
                sockets::strerror(&e)
            ));
            return Err(Failed);
        }
        // A terminal or command that is gone.
        Err(e) if e.raw_os_error() == Some(libc::EIO) => course.over = true,
        Err(e) => {
            plan.log.error(&format!(
                "read({fd}, 0, {}): {}",
                plan.buffer,
                sockets::strerror(&e)
            ));
            return Err(Failed);
        }
    }
    Ok(())
}

fn send(
    plan: &Plan,
    both: &mut [End; 2],
    courses: &mut [Course; 2],
    from: usize,
) -> Result<(), Failed> {
    let to = &mut both[1 - from];
    let course = &mut courses[from];
    match to.give(&course.owed) {
        Ok(n) => drop(course.owed.drain(..n.min(course.owed.len()))),
        Err(e) if e.kind() == ErrorKind::WouldBlock || e.kind() == ErrorKind::Interrupted => {}
        Err(e) => {
            let (fd, n) = (to.write.as_ref().map_or(-1, Way::fd), course.owed.len());
            plan.log
                .error(&format!("write({fd}, 0, {n}): {}", sockets::strerror(&e)));
            return Err(Failed);
        }
    }
    Ok(())
}

/// `> 2026/11/27 01:38:09.000670239  length=3 from=0 to=2`, and the bytes.
fn dump(plan: &Plan, from: usize, bytes: &[u8], before: u64) {
    if !plan.text && !plan.hex {
        return;
    }
    let (day, clock, fraction) = log::now();
    let arrow = if from == 0 { '>' } else { '<' };
    let last = (before + bytes.len() as u64).saturating_sub(1);
    let micros = fraction.trim_start_matches('.');
    let mut out = format!(
        "{arrow} {day} {clock}.000{micros}  length={} from={before} to={last}\n",
        bytes.len()
    );
    match (plan.text, plan.hex) {
        (true, true) => {
            for line in lines(bytes) {
                let hex: String = line.iter().map(|b| format!(" {b:02x}")).collect();
                let text: String = line.iter().map(|b| letter(*b, true)).collect();
                out += &format!("{hex:<49} {text}\n");
            }
            out += "--\n";
        }
        (false, _) => {
            let hex: String = bytes.iter().map(|b| format!(" {b:02x}")).collect();
            out += &format!("{hex}\n");
        }
        (true, false) => {
            for byte in bytes {
                match byte {
                    b'\r' => out += "\\r",
                    b'\\' => out += "\\\\",
                    other => out.push(letter(*other, false)),
                }
            }
        }
    }
    plan.log.raw(out.as_bytes());
}

fn letter(byte: u8, line: bool) -> char {
    match byte {
        b'\n' | b'\t' if !line => char::from(byte),
        0x20..=0x7e => char::from(byte),
        _ => '.',
    }
}

/// Pieces of a line, at most sixteen bytes each.
fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    let whole = bytes.split_inclusive(|b| *b == b'\n');
    whole.flat_map(|l| l.chunks(16)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_for_a_dump() {
        assert_eq!(lines(b"a\nb"), [&b"a\n"[..], b"b"]);
        assert_eq!(lines(&[b'x'; 20]).len(), 2);
    }
}
