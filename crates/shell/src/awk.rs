//! `awk`, as POSIX has it, with the functions of gawk that people use.
//!
//! A program is read by [`lex`] and [`parse`], and run by [`run`] over what [`streams`] reads and writes.

mod builtins;
mod format;
mod lex;
mod parse;
mod run;
mod streams;
mod value;

use crate::word::flushed;
use std::ffi::OsString;
use std::io::Write;

const USAGE: &str = "usage: awk [-F fs] [-v var=value] [-f progfile | 'prog'] [file ...]";

/// `awk`.
pub fn awk(args: Vec<OsString>) -> i32 {
    let args: Vec<String> = args
        .into_iter()
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    // A function that calls itself is Rust that calls itself.
    let work = std::thread::Builder::new()
        .stack_size(64 << 20)
        .spawn(move || inside(&args));
    let done = work.map_err(|e| e.to_string()).and_then(|t| {
        t.join()
            .map_err(|_| "the program could not be run".to_string())
    });
    match done.and_then(|d| d) {
        Ok(code) => flushed(code),
        Err(said) => {
            let _ = writeln!(std::io::stderr(), "awk: {said}");
            2
        }
    }
}

fn inside(args: &[String]) -> Result<i32, String> {
    let mut args = args.iter().skip(1).cloned();
    let (mut fs, mut variables, mut texts, mut words) =
        (None, Vec::new(), Vec::<String>::new(), Vec::new());
    while let Some(arg) = args.next() {
        let mut value = |attached: &str| -> Result<String, String> {
            if attached.is_empty() {
                args.next().ok_or_else(|| USAGE.to_string())
            } else {
                Ok(attached.to_string())
            }
        };
        match (arg.get(..2), arg.get(2..)) {
            (Some("--"), Some("")) => {
                words.extend(args);
                break;
            }
            (Some("--"), Some("version")) => {
                let _ = writeln!(std::io::stdout(), "awk (netshoot)");
                return Ok(0);
            }
            (Some("-F"), Some(v)) => fs = Some(value(v)?),
            (Some("-v"), Some(v)) => variables.push(value(v)?),
            (Some("-f"), Some(v)) => {
                let file = value(v)?;
                let text = if file == "-" {
                    std::io::read_to_string(std::io::stdin())
                } else {
                    std::fs::read_to_string(&file)
                };
                texts.push(
                    text.map_err(|e| format!("cannot open {file} ({})", crate::grep::system(&e)))?,
                );
            }
            _ if arg.len() > 1 && arg.starts_with('-') => {
                return Err(format!("unknown option {arg}\n{USAGE}"));
            }
            _ => {
                words.push(arg);
                words.extend(args);
                break;
            }
        }
    }
    if texts.is_empty() {
        if words.is_empty() {
            return Err(USAGE.to_string());
        }
        texts.push(words.remove(0));
    }
    let tokens = lex::lex(&texts.join("\n"))?;
    // Names that only the command line gives a value.
    let program = parse::parse(tokens, &run::NAMES)?;
    let mut argv = vec!["awk".to_string()];
    argv.extend(words);
    let mut run = run::Run::new(&program, &argv);
    if let Some(fs) = fs {
        run.assign("FS", if fs == "t" { "\t" } else { &fs });
    }
    for v in variables {
        let (name, text) = v
            .split_once('=')
            .ok_or_else(|| format!("-v {v}: not name=value"))?;
        run.assign(name, text);
    }
    run.run().inspect_err(|_| run.streams.flush())
}
