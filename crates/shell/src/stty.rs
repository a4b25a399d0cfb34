//! `stty`: what is typed of it: `size`, `-a`, `sane`, `raw`, `echo`, rows and columns.

use crate::grep::system;
use rustix::termios::{
    ControlModes, InputModes, LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, Termios,
    tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize,
};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;

/// A switch, and where it stands.
enum Switch {
    Input(InputModes),
    Output(OutputModes),
    Control(ControlModes),
    Local(LocalModes),
}

const SWITCHES: &[(&str, Switch)] = &[
    ("parenb", Switch::Control(ControlModes::PARENB)),
    ("parodd", Switch::Control(ControlModes::PARODD)),
    ("hupcl", Switch::Control(ControlModes::HUPCL)),
    ("cstopb", Switch::Control(ControlModes::CSTOPB)),
    ("cread", Switch::Control(ControlModes::CREAD)),
    ("clocal", Switch::Control(ControlModes::CLOCAL)),
    ("ignbrk", Switch::Input(InputModes::IGNBRK)),
    ("brkint", Switch::Input(InputModes::BRKINT)),
    ("ignpar", Switch::Input(InputModes::IGNPAR)),
    ("parmrk", Switch::Input(InputModes::PARMRK)),
    ("inpck", Switch::Input(InputModes::INPCK)),
    ("istrip", Switch::Input(InputModes::ISTRIP)),
    ("inlcr", Switch::Input(InputModes::INLCR)),
    ("igncr", Switch::Input(InputModes::IGNCR)),
    ("icrnl", Switch::Input(InputModes::ICRNL)),
    ("ixon", Switch::Input(InputModes::IXON)),
    ("ixoff", Switch::Input(InputModes::IXOFF)),
    ("ixany", Switch::Input(InputModes::IXANY)),
    ("imaxbel", Switch::Input(InputModes::IMAXBEL)),
    ("iutf8", Switch::Input(InputModes::IUTF8)),
    ("opost", Switch::Output(OutputModes::OPOST)),
    ("onlcr", Switch::Output(OutputModes::ONLCR)),
    ("ocrnl", Switch::Output(OutputModes::OCRNL)),
    ("isig", Switch::Local(LocalModes::ISIG)),
    ("icanon", Switch::Local(LocalModes::ICANON)),
    ("iexten", Switch::Local(LocalModes::IEXTEN)),
    ("echo", Switch::Local(LocalModes::ECHO)),
    ("echoe", Switch::Local(LocalModes::ECHOE)),
    ("echok", Switch::Local(LocalModes::ECHOK)),
    ("echonl", Switch::Local(LocalModes::ECHONL)),
    ("noflsh", Switch::Local(LocalModes::NOFLSH)),
    ("tostop", Switch::Local(LocalModes::TOSTOP)),
    ("echoctl", Switch::Local(LocalModes::ECHOCTL)),
    ("echoke", Switch::Local(LocalModes::ECHOKE)),
];

const KEYS: &[(&str, SpecialCodeIndex)] = &[
    ("intr", SpecialCodeIndex::VINTR),
    ("quit", SpecialCodeIndex::VQUIT),
    ("erase", SpecialCodeIndex::VERASE),
    ("kill", SpecialCodeIndex::VKILL),
    ("eof", SpecialCodeIndex::VEOF),
    ("start", SpecialCodeIndex::VSTART),
    ("stop", SpecialCodeIndex::VSTOP),
    ("susp", SpecialCodeIndex::VSUSP),
    ("werase", SpecialCodeIndex::VWERASE),
    ("lnext", SpecialCodeIndex::VLNEXT),
];

/// `stty`.
pub fn stty(args: Vec<OsString>) -> i32 {
    let mut args: Vec<String> = args
        .into_iter()
        .skip(1)
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    let mut device = None;
    if let Some(at) = args.iter().position(|a| a == "-F" || a == "--file") {
        device = args.get(at + 1).cloned();
        args.drain(at..(at + 2).min(args.len()));
    }
    let done = match device {
        Some(d) => File::open(&d)
            .map_err(|e| format!("{d}: {}", system(&e)))
            .and_then(|f| run(&args, &d, &f)),
        None => run(&args, "'standard input'", &io::stdin()),
    };
    match done {
        Ok(()) => 0,
        Err(said) => {
            let _ = writeln!(io::stderr(), "stty: {said}");
            1
        }
    }
}

fn run(args: &[String], name: &str, terminal: &impl AsFd) -> Result<(), String> {
    let broken = |e: rustix::io::Errno| format!("{name}: {}", system(&e.into()));
    let mut t = tcgetattr(terminal).map_err(broken)?;
    let mut size = tcgetwinsize(terminal).map_err(broken)?;
    if args.is_empty() || args.iter().any(|a| a == "-a" || a == "--all") {
        let mut text = format!(
            "speed {} baud; rows {}; columns {}; line = 0;\n",
            t.output_speed(),
            size.ws_row,
            size.ws_col
        );
        if !args.is_empty() {
            text.push_str(&all(&t));
        }
        return io::stdout()
            .write_all(text.as_bytes())
            .map_err(|e| system(&e));
    }
    let mut words = args.iter();
    while let Some(word) = words.next() {
        let mut number = || {
            let n = words
                .next()
                .ok_or_else(|| format!("missing argument to '{word}'"))?;
            n.parse::<u16>()
                .map_err(|_| format!("invalid integer argument: '{n}'"))
        };
        match word.as_str() {
            "size" => {
                let text = format!("{} {}\n", size.ws_row, size.ws_col);
                io::stdout()
                    .write_all(text.as_bytes())
                    .map_err(|e| system(&e))?;
            }
            "speed" => {
                io::stdout()
                    .write_all(format!("{}\n", t.output_speed()).as_bytes())
                    .map_err(|e| system(&e))?;
            }
            "rows" => size.ws_row = number()?,
            "cols" | "columns" => size.ws_col = number()?,
            "min" => t.special_codes[SpecialCodeIndex::VMIN] = number()? as u8,
            "time" => t.special_codes[SpecialCodeIndex::VTIME] = number()? as u8,
            "raw" | "-cooked" => t.make_raw(),
            "sane" | "cooked" | "-raw" => sane(&mut t),
            "-g" | "--save" => return Err("-g is not supported".into()),
            w => one(&mut t, w)?,
        }
    }
    tcsetattr(terminal, OptionalActions::Drain, &t).map_err(broken)?;
    tcsetwinsize(terminal, size).map_err(broken)
}

fn one(t: &mut Termios, word: &str) -> Result<(), String> {
    let (name, on) = word.strip_prefix('-').map_or((word, true), |n| (n, false));
    let (_, switch) = SWITCHES
        .iter()
        .find(|(n, _)| *n == name)
        .ok_or_else(|| format!("invalid argument '{word}'"))?;
    match switch {
        Switch::Input(m) => t.input_modes.set(*m, on),
        Switch::Output(m) => t.output_modes.set(*m, on),
        Switch::Control(m) => t.control_modes.set(*m, on),
        Switch::Local(m) => t.local_modes.set(*m, on),
    }
    Ok(())
}

fn sane(t: &mut Termios) {
    for name in [
        "cread", "brkint", "icrnl", "imaxbel", "opost", "onlcr", "isig", "icanon", "iexten",
        "echo", "echoe", "echok", "echoctl", "echoke", "ixon",
    ] {
        let _ = one(t, name);
    }
    for name in [
        "-ignbrk", "-inlcr", "-igncr", "-ixoff", "-ixany", "-ocrnl", "-echonl", "-noflsh",
        "-tostop",
    ] {
        let _ = one(t, name);
    }
    for (key, code) in [
        (SpecialCodeIndex::VINTR, 3),
        (SpecialCodeIndex::VQUIT, 28),
        (SpecialCodeIndex::VERASE, 127),
        (SpecialCodeIndex::VKILL, 21),
        (SpecialCodeIndex::VEOF, 4),
        (SpecialCodeIndex::VSTART, 17),
        (SpecialCodeIndex::VSTOP, 19),
        (SpecialCodeIndex::VSUSP, 26),
    ] {
        t.special_codes[key] = code;
    }
}

fn all(t: &Termios) -> String {
    let key = |code: u8| match code {
        0 => "<undef>".to_string(),
        127 => "^?".to_string(),
        c if c < 32 => format!("^{}", char::from(c + 64)),
        c => char::from(c).to_string(),
    };
    let keys: Vec<String> = KEYS
        .iter()
        .map(|(n, i)| format!("{n} = {};", key(t.special_codes[*i])))
        .collect();
    let switches: Vec<String> = SWITCHES
        .iter()
        .map(|(n, s)| {
            let on = match s {
                Switch::Input(m) => t.input_modes.contains(*m),
                Switch::Output(m) => t.output_modes.contains(*m),
                Switch::Control(m) => t.control_modes.contains(*m),
                Switch::Local(m) => t.local_modes.contains(*m),
            };
            format!("{}{n}", if on { "" } else { "-" })
        })
        .collect();
    format!("{}\n{}\n", keys.join(" "), switches.join(" "))
}
