//! The screen of mtr beside that of the original: what stands in the rows, not how it came there.

use super::ground::{self, Ground};
use super::screen::Terminal;
use super::screen::grid::Grid;
use std::net::UdpSocket;
use std::process::Command;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

/// Keys, and what is on the screen once they did their work.
const KEYS: &[(&str, &str)] = &[
    ("d", "Last  50 pings"),
    ("dd", "Loss%   Snt"),
    ("ej", "Jttr Javg"),
    ("j", "Loss%   Snt"),
    ("nz", "AS???"),
    ("o", "  S: Sent Packets"),
    ("LSRDNA\r", "Loss%   Snt   Rcv Drop  Last   Avg"),
    ("i", "Interval"),
    ("0.2\r", "Keys:  Help"),
];

/// A hop's row: its number and a point.
fn is_hop(row: &str) -> bool {
    row.split_once(". ")
        .is_some_and(|(number, _)| number.trim().parse::<u8>().is_ok())
}

/// Probes that were sent, by the last hop that has figures; the column behind the loss.
fn sent(rows: &[String]) -> u32 {
    let figures = |row: &String| {
        row.split_once("% ")?
            .1
            .split_whitespace()
            .next()?
            .parse()
            .ok()
    };
    rows.iter()
        .rev()
        .filter(|r| is_hop(r))
        .find_map(figures)
        .unwrap_or(0)
}

/// What varies: version, time, milliseconds, counts, and letters of a chart; what the one interval prompt rounds.
fn masked(rows: &[String]) -> Vec<String> {
    let charted = rows.iter().any(|r| r.starts_with("Scale:"));
    let row = |row: &String| {
        if row.contains("My traceroute") {
            return "My traceroute".to_string();
        }
        // The date, not a figure of twenty milliseconds.
        let dated = row.split_once("  20");
        if let Some((way, _)) = dated.filter(|(_, rest)| rest.get(2..3) == Some("-")) {
            return way.trim_end().into();
        }
        if let Some((what, _)) = row
            .split_once("Interval")
            .filter(|(before, _)| before.is_empty())
        {
            return format!("{what}Interval");
        }
        if charted && is_hop(row) {
            let (name, letters) = row.split_at(29.min(row.len()));
            let letters = letters.trim_start();
            assert!(letters.chars().all(|c| ".123abc>? ".contains(c)), "{row:?}");
            // The newest may be on its way.
            assert!(letters.is_empty() || row.len() >= 78, "{row:?}");
            return name.trim_end().into();
        }
        if row.starts_with("Scale:") {
            let letters = row.split("  ").map(|w| w.split(':').next().unwrap());
            return letters.collect::<Vec<_>>().join(" ");
        }
        if !is_hop(row) {
            return row.clone();
        }
        let mut words = Vec::new();
        let name = row.get(..36.min(row.len())).unwrap_or(row).trim_end();
        for word in row.get(36..).unwrap_or("").split_whitespace() {
            words.push(match word {
                "0.0%" => word,
                _ if word.contains('.') => "T",
                _ => "N",
            });
        }
        format!("{name} | {} to {}", words.join(" "), row.len())
    };
    let mut all: Vec<String> = rows.iter().map(row).collect();
    while all.last().is_some_and(String::is_empty) {
        all.pop();
    }
    all
}

/// What the screens showed, one behind the other.
fn watched(ground: &Ground, line: &str, ours: bool) -> Option<Vec<Vec<String>>> {
    let command = ground.at_a_terminal(line, ours);
    let mut terminal = Terminal::start(&command, Command::new("mtr").env("LC_ALL", "C.UTF-8"))?;
    let mut grid = Grid::new(80, 24);
    let mut all = Vec::new();
    all.push(terminal.looks(&mut grid, |rows| sent(rows) >= 6));
    for (keys, shows) in KEYS {
        terminal.types(keys);
        all.push(terminal.looks(&mut grid, |rows| rows.iter().any(|r| r.contains(shows))));
    }
    // Paused: what was on its way may still come.
    terminal.types("p");
    terminal.looks(&mut grid, |_| true);
    let paused = sent(&terminal.looks(&mut grid, |_| true));
    let until = Instant::now() + Duration::from_millis(700);
    while Instant::now() < until {
        assert_eq!(sent(&terminal.looks(&mut grid, |_| true)), paused, "{line}");
    }
    terminal.types(" ");
    terminal.looks(&mut grid, |rows| sent(rows) > paused);
    // Counted anew, and going on.
    let before = sent(all.last().unwrap());
    terminal.types("r ");
    let anew = terminal.looks(&mut grid, |rows| (1..before).contains(&sent(rows)));
    assert!(sent(&anew) < before, "{anew:?}");
    terminal.looks(&mut grid, |rows| sent(rows) >= 6);
    terminal.types("h");
    terminal.looks(&mut grid, |rows| {
        rows.iter().any(|r| r.contains("press any key"))
    });
    terminal.types("x");
    terminal.looks(&mut grid, |rows| {
        rows.iter().any(|r| r.starts_with("Keys:"))
    });
    grid.resize(100, 30);
    terminal.resize(100, 30);
    let wide = |rows: &[String]| {
        let heading = rows.iter().find(|r| r.starts_with(" Host"));
        heading.is_some_and(|h| h.len() == 99) && sent(rows) > 0
    };
    let rows = terminal.looks(&mut grid, wide);
    assert!(
        rows.iter()
            .filter(|r| is_hop(r) && r.contains('%'))
            .all(|r| r.len() == 99),
        "{rows:?}"
    );
    terminal.types("q");
    assert_eq!(terminal.ends().0, Some(0), "{line}");
    Some(all)
}

#[test]
fn mtr_shows_what_the_original_shows() {
    if let Some(missing) = ground::missing("mtr") {
        println!("SKIPPED: the screen of mtr: {missing}");
        return;
    }
    let ground = Ground::of("routed", "mtr");
    let lines = [
        "mtr -i 0.3 far",
        "mtr -i 0.3 -b far6",
        "mtr -i 0.3 10.9.4.4",
        "mtr -i 0.3 -u far",
        "mtr -i 0.3 -e -n 10.9.8.8",
        "mtr -i 0.3 -e fd09:8::9",
    ];
    for line in lines {
        let Some(theirs) = watched(&ground, line, false) else {
            return;
        };
        let ours = watched(&ground, line, true).unwrap();
        let keys = [("", "")].iter().chain(KEYS);
        for ((theirs, ours), (key, _)) in theirs.iter().zip(&ours).zip(keys) {
            let (theirs, ours) = (masked(theirs).join("\n"), masked(ours).join("\n"));
            assert!(
                theirs == ours,
                "{line}, behind {key:?}, original:\n{theirs}\nours:\n{ours}"
            );
        }
    }
    println!(
        "oracle: mtr: {} screens proved",
        lines.len() * (KEYS.len() + 1)
    );
}

/// A name server of one name that holds every question until it is told to answer.
fn slow_names(ground: &Ground) -> Sender<()> {
    let (go, gone) = channel();
    ground.inside(move || {
        let socket = UdpSocket::bind("127.0.0.1:53").unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        std::thread::spawn(move || {
            let (mut held, mut buffer, mut open) = (Vec::new(), [0; 512], false);
            // The sender goes with the test.
            while let Ok(()) | Err(std::sync::mpsc::TryRecvError::Empty) =
                gone.try_recv().map(|()| open = true)
            {
                if let Ok((n, from)) = socket.recv_from(&mut buffer) {
                    held.push((buffer[..n].to_vec(), from));
                }
                for (asked, from) in held.drain(..if open { held.len() } else { 0 }) {
                    let question =
                        &asked[12..asked.windows(4).position(|w| w == [0, 12, 0, 1]).unwrap() + 4];
                    let mut said =
                        [&asked[..2], &[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0], question].concat();
                    said.extend([0xc0, 12, 0, 12, 0, 1, 0, 0, 0, 60, 0, 14]);
                    said.extend(b"\x04slow\x07example\0");
                    let _ = socket.send_to(&said, from);
                }
            }
        });
    });
    go
}

/// A resolver that holds its answers holds up neither probes nor keys.
#[test]
fn mtr_goes_on_while_names_are_looked_up() {
    if let Some(missing) = ground::missing("mtr") {
        println!("SKIPPED: mtr and slow names: {missing}");
        return;
    }
    let ground = Ground::of("routed", "mtr");
    // So long a program that waits for a name stands still.
    let resolver = |server: &str| {
        let lines = format!("nameserver {server}\\noptions timeout:20 attempts:1\\n");
        ground.script(&format!("printf '{lines}' >/etc/resolv.conf"));
    };
    let standstill = Duration::from_secs(20);
    ground.script("mount --bind /dev/null /etc/hosts");
    resolver("127.0.0.1");
    let answer = slow_names(&ground);
    let command = ground.at_a_terminal("mtr -i 0.2 10.9.2.2", true);
    let Some(mut terminal) = Terminal::start(&command, &Command::new("mtr")) else {
        return;
    };
    let mut grid = Grid::new(80, 24);
    let began = Instant::now();
    let rows = terminal.looks(&mut grid, |rows| sent(rows) >= 10);
    assert!(began.elapsed() < standstill, "{rows:?}");
    assert!(
        rows.iter().any(|r| r.starts_with(" 1. 10.9.1.1 ")),
        "{rows:?}"
    );
    answer.send(()).unwrap();
    let rows = terminal.looks(&mut grid, |rows| {
        rows.iter().any(|r| r.starts_with(" 2. slow.example "))
    });
    assert!(sent(&rows) >= 10, "{rows:?}");
    terminal.types("q");
    assert_eq!(terminal.ends().0, Some(0));
    // Nor does a report wait longer than for what was sent.
    resolver("127.0.0.9");
    ground.inside(|| std::mem::forget(UdpSocket::bind("127.0.0.9:53").unwrap()));
    let began = Instant::now();
    let said = ground.ours("mtr -r -c 1 -G 1 10.9.2.2");
    assert!(said.out.contains(" 2.|-- 10.9.2.2 "), "{said:?}");
    assert!(began.elapsed() < standstill, "{said:?}");
}
