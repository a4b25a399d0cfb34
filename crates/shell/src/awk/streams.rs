//! Files and commands that an awk program reads and writes.

use regex::bytes::Regex;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;

/// Something that records come from.
pub struct Input {
    reader: BufReader<Box<dyn Read>>,
    child: Option<Child>,
    /// What was read ahead to find a separator.
    ahead: Vec<u8>,
    ended: bool,
}

impl Input {
    /// A file, or `-` for the standard input.
    pub fn open(name: &str) -> io::Result<Input> {
        let reader: Box<dyn Read> = match name {
            "-" | "/dev/stdin" => Box::new(io::stdin()),
            name => {
                let file = File::open(name)?;
                if file.metadata()?.is_dir() {
                    return Err(io::Error::from_raw_os_error(
                        rustix::io::Errno::ISDIR.raw_os_error(),
                    ));
                }
                Box::new(file)
            }
        };
        Ok(Input {
            reader: BufReader::new(reader),
            child: None,
            ahead: Vec::new(),
            ended: false,
        })
    }

    fn command(text: &str) -> io::Result<Input> {
        let mut child = shell(text).stdout(Stdio::piped()).spawn()?;
        let reader: Box<dyn Read> = match child.stdout.take() {
            Some(out) => Box::new(out),
            None => Box::new(io::empty()),
        };
        Ok(Input {
            reader: BufReader::new(reader),
            child: Some(child),
            ahead: Vec::new(),
            ended: false,
        })
    }

    /// The next record, by the separator that holds now.
    pub fn record(&mut self, rs: &str) -> Option<Rc<str>> {
        match rs.as_bytes() {
            [] => self.paragraph(),
            [one] if self.ahead.is_empty() => {
                let mut line = Vec::new();
                let n = self.reader.read_until(*one, &mut line).unwrap_or(0);
                if n == 0 {
                    return None;
                }
                if line.last() == Some(one) {
                    line.pop();
                }
                Some(text(&line))
            }
            _ => self.separated(rs),
        }
    }

    fn paragraph(&mut self) -> Option<Rc<str>> {
        let mut all: Vec<u8> = Vec::new();
        loop {
            let mut line = Vec::new();
            let n = self.reader.read_until(b'\n', &mut line).unwrap_or(0);
            if n == 0 {
                break;
            }
            if line == b"\n" {
                if all.is_empty() {
                    continue;
                }
                break;
            }
            all.append(&mut line);
        }
        if all.last() == Some(&b'\n') {
            all.pop();
        }
        (!all.is_empty()).then(|| text(&all))
    }

    /// By a regular expression: everything is read first, as the end of a match may depend on what follows.
    fn separated(&mut self, rs: &str) -> Option<Rc<str>> {
        if !self.ended {
            let _ = self.reader.read_to_end(&mut self.ahead);
            self.ended = true;
            if self.ahead.last() == Some(&b'\n') {
                self.ahead.pop();
            }
        }
        if self.ahead.is_empty() {
            return None;
        }
        let re = crate::posix::translate(rs, crate::posix::Syntax::Extended)
            .ok()
            .and_then(|t| Regex::new(&t).ok());
        let found = re.and_then(|re| {
            re.find_iter(&self.ahead)
                .find(|m| !m.is_empty())
                .map(|m| (m.start(), m.end()))
        });
        let (end, next) = found.unwrap_or((self.ahead.len(), self.ahead.len()));
        let record = text(self.ahead.get(..end).unwrap_or_default());
        self.ahead.drain(..next);
        Some(record)
    }
}

fn text(bytes: &[u8]) -> Rc<str> {
    String::from_utf8_lossy(bytes).into()
}

fn shell(text: &str) -> Command {
    let mut c = crate::own::command("sh");
    c.arg("-c").arg(text);
    c
}

enum Output {
    File(BufWriter<File>),
    Command(BufWriter<std::process::ChildStdin>, Child),
}

/// All that are open, by name.
pub struct Streams {
    out: BufWriter<io::Stdout>,
    pub main: Option<Input>,
    inputs: HashMap<String, Input>,
    outputs: HashMap<String, Output>,
    interactive: bool,
}

impl Default for Streams {
    fn default() -> Streams {
        use std::io::IsTerminal;
        Streams {
            out: BufWriter::new(io::stdout()),
            main: None,
            inputs: HashMap::new(),
            outputs: HashMap::new(),
            interactive: io::stdout().is_terminal(),
        }
    }
}

impl Streams {
    /// Says something on standard error, after what was printed.
    pub fn complain(&mut self, said: &str) {
        let _ = self.out.flush();
        let _ = writeln!(io::stderr(), "awk: {said}");
    }

    /// Writes to the standard output, or to where the sign and name lead.
    pub fn write(&mut self, to: Option<(&str, Rc<str>)>, bytes: &[u8]) -> Result<(), String> {
        let Some((sign, name)) = to else {
            let done = self.out.write_all(bytes);
            if self.interactive {
                let _ = self.out.flush();
            }
            return done.map_err(|e| format!("write: {e}"));
        };
        match &*name {
            "/dev/stdout" | "-" if sign != "|" => return self.write(None, bytes),
            "/dev/stderr" => {
                let _ = self.out.flush();
                return io::stderr().write_all(bytes).map_err(|e| e.to_string());
            }
            _ => {}
        }
        if !self.outputs.contains_key(&*name) {
            let output = self.open(sign, &name).map_err(|e| {
                format!(
                    "cannot open {name} for output ({})",
                    crate::grep::system(&e)
                )
            })?;
            self.outputs.insert(name.to_string(), output);
        }
        let done = match self.outputs.get_mut(&*name) {
            Some(Output::File(f)) => f.write_all(bytes),
            Some(Output::Command(p, _)) => p.write_all(bytes),
            None => Ok(()),
        };
        done.map_err(|e| format!("write to {name}: {e}"))
    }

    fn open(&mut self, sign: &str, name: &str) -> io::Result<Output> {
        if sign == "|" {
            let _ = self.out.flush();
            let mut child = shell(name).stdin(Stdio::piped()).spawn()?;
            let input = child
                .stdin
                .take()
                .ok_or_else(|| io::Error::other("no pipe"))?;
            return Ok(Output::Command(BufWriter::new(input), child));
        }
        let mut how = File::options();
        how.create(true).write(true);
        if sign == ">>" {
            how.append(true)
        } else {
            how.truncate(true)
        };
        Ok(Output::File(BufWriter::new(how.open(name)?)))
    }

    /// A record from a file or a command.
    pub fn read(&mut self, name: &str, command: bool, rs: &str) -> io::Result<Option<Rc<str>>> {
        if !self.inputs.contains_key(name) {
            let input = if command {
                self.flush();
                Input::command(name)?
            } else {
                Input::open(name)?
            };
            self.inputs.insert(name.to_string(), input);
        }
        Ok(self.inputs.get_mut(name).and_then(|i| i.record(rs)))
    }

    /// Everything written so far goes out.
    pub fn flush(&mut self) {
        let _ = self.out.flush();
        for output in self.outputs.values_mut() {
            let _ = match output {
                Output::File(f) => f.flush(),
                Output::Command(p, _) => p.flush(),
            };
        }
    }

    /// Closes what has that name; its exit code, or -1.
    pub fn close(&mut self, name: &str) -> f64 {
        let mut code = -1.0;
        if let Some(mut input) = self.inputs.remove(name) {
            drop(input.reader);
            code = input
                .child
                .as_mut()
                .and_then(|c| c.wait().ok())
                .map_or(0.0, ended);
        }
        match self.outputs.remove(name) {
            Some(Output::File(mut f)) => code = if f.flush().is_ok() { 0.0 } else { -1.0 },
            Some(Output::Command(mut p, mut child)) => {
                let _ = p.flush();
                drop(p);
                code = child.wait().map_or(-1.0, ended);
            }
            None => {}
        }
        code
    }

    /// Runs a command; its exit code.
    pub fn system(&mut self, text: &str) -> f64 {
        self.flush();
        shell(text).status().map_or(127.0, ended)
    }

    /// Closes all, commands too.
    pub fn close_all(&mut self) {
        let _ = self.out.flush();
        let names: Vec<String> = self
            .outputs
            .keys()
            .chain(self.inputs.keys())
            .cloned()
            .collect();
        for name in names {
            self.close(&name);
        }
    }
}

fn ended(status: std::process::ExitStatus) -> f64 {
    use std::os::unix::process::ExitStatusExt;
    f64::from(
        status
            .code()
            .or(status.signal().map(|s| 256 + s))
            .unwrap_or(-1),
    )
}
