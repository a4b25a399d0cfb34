//! `watch`: runs a command again and again, and shows its output.

use crate::term::{Key, Screen, fitted};
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::Stdio;
use std::time::{Duration, Instant};

const USAGE: &str = "Usage:\n watch [-n SECONDS] [-d] [-t] [-e] [-g] [-x] COMMAND";

/// `watch`.
pub fn watch(args: Vec<OsString>) -> i32 {
    let mut args: std::collections::VecDeque<String> = args
        .into_iter()
        .skip(1)
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    let mut every = 2.0f64;
    let (mut differences, mut no_title, mut on_error, mut on_change, mut direct) =
        (false, false, false, false, false);
    while let Some(arg) = args
        .front()
        .filter(|a| a.len() > 1 && a.starts_with('-'))
        .cloned()
    {
        args.pop_front();
        if arg == "--" {
            break;
        }
        let value = |args: &mut std::collections::VecDeque<String>, attached: &str| {
            if attached.is_empty() {
                args.pop_front()
            } else {
                Some(attached.to_string())
            }
        };
        let fine = match arg.as_str() {
            "-d" | "--differences" => {
                differences = true;
                true
            }
            "-t" | "--no-title" => {
                no_title = true;
                true
            }
            "-e" | "--errexit" => {
                on_error = true;
                true
            }
            "-g" | "--chgexit" => {
                on_change = true;
                true
            }
            "-x" | "--exec" => {
                direct = true;
                true
            }
            "-b" | "-c" | "-p" | "--color" | "--beep" | "--precise" => true,
            a if a.starts_with("-n") || a.starts_with("--interval") => {
                let attached = a
                    .strip_prefix("-n")
                    .or(a.strip_prefix("--interval="))
                    .unwrap_or_default();
                match value(&mut args, attached)
                    .and_then(|v| v.replace(',', ".").parse::<f64>().ok())
                {
                    Some(n) => {
                        every = n.clamp(0.1, 1e6);
                        true
                    }
                    None => false,
                }
            }
            _ => false,
        };
        if !fine {
            let _ = writeln!(io::stderr(), "watch: invalid option '{arg}'\n{USAGE}");
            return 1;
        }
    }
    let words: Vec<String> = args.into();
    if words.is_empty() {
        let _ = writeln!(io::stderr(), "{USAGE}");
        return 1;
    }
    let mut screen = match Screen::open() {
        Ok(s) => s,
        Err(e) => {
            let _ = writeln!(io::stderr(), "watch: /dev/tty: {}", crate::grep::system(&e));
            return 1;
        }
    };
    let mut before: Option<Vec<String>> = None;
    loop {
        let (text, code) = output(&words, direct);
        let (rows, columns) = screen.size();
        let lines: Vec<String> = text.lines().map(|l| fitted(l, 0, columns)).collect();
        let mut page = String::from("\x1b[?25l\x1b[H");
        let mut room = rows;
        if !no_title {
            page.push_str(&title(every, &words.join(" "), columns));
            room = room.saturating_sub(2);
        }
        for (n, line) in lines.iter().take(room).enumerate() {
            let old = before.as_ref().and_then(|b| b.get(n));
            let shown = if differences && before.is_some() {
                marked(line, old.map_or("", String::as_str))
            } else {
                line.clone()
            };
            page.push_str(&format!("{shown}\x1b[m\x1b[K"));
            if n + 1 < room {
                page.push_str("\r\n");
            }
        }
        page.push_str("\x1b[J");
        screen.put(&page);
        if on_error && code != 0 {
            return code;
        }
        if on_change && before.as_ref().is_some_and(|b| *b != lines) {
            return 0;
        }
        before = Some(lines);
        let end = Instant::now() + Duration::from_secs_f64(every);
        while let Some(key) = screen.key(Some(end.saturating_duration_since(Instant::now()))) {
            match key {
                Key::Ctrl('c') | Key::Char('q') => return 0,
                Key::Char(' ') => break,
                _ => {}
            }
        }
    }
}

fn title(every: f64, words: &str, columns: usize) -> String {
    let seconds = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |d| d.as_secs());
    let left = format!("Every {every:.1}s: {words}");
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let right = format!(
        "{}: {}",
        host.trim(),
        crate::clock::shown(seconds, "%a %b %e %H:%M:%S %Y")
    );
    let gap = columns.saturating_sub(left.chars().count() + right.chars().count());
    let line = if gap == 0 {
        left
    } else {
        format!("{left}{}{right}", " ".repeat(gap))
    };
    format!("{}\x1b[K\r\n\x1b[K\r\n", fitted(&line, 0, columns))
}

/// What a command prints, and its code.
fn output(words: &[String], direct: bool) -> (String, i32) {
    let mut command = match words.split_first() {
        Some((name, rest)) if direct => {
            let mut c = crate::own::command(name);
            c.args(rest);
            c
        }
        _ => {
            let mut c = crate::own::command("sh");
            c.arg("-c").arg(format!("{{ {}\n}} 2>&1", words.join(" ")));
            c
        }
    };
    match command.stdin(Stdio::null()).output() {
        Ok(out) => {
            let mut text = String::from_utf8_lossy(&out.stdout).into_owned();
            text.push_str(&String::from_utf8_lossy(&out.stderr));
            (text, out.status.code().unwrap_or(1))
        }
        Err(e) => (
            format!("{}: {}", words.join(" "), crate::grep::system(&e)),
            127,
        ),
    }
}

/// The line with what changed shown in reverse.
fn marked(line: &str, old: &str) -> String {
    let mut out = String::new();
    let mut old = old.chars();
    for c in line.chars() {
        if old.next() == Some(c) {
            out.push(c);
        } else {
            out.push_str(&format!("\x1b[7m{c}\x1b[27m"));
        }
    }
    out
}
