//! What is said on the way: `2026/11/27 01:38:09 socat[13065] N listening on AF=2 0.0.0.0:5055`.

use netshoot_model::time;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

/// Where it goes, and how much of it.
#[derive(Debug)]
pub struct Log {
    level: usize,
    pub name: String,
    pub micros: bool,
    to: Option<Mutex<File>>,
}

impl Log {
    /// Errors only, to standard error; threads say it too, so it is held apart from `Io`.
    pub fn new() -> Log {
        let fd = std::io::stderr().as_fd().try_clone_to_owned().ok();
        Log {
            level: 0,
            name: "socat".into(),
            micros: false,
            to: fd.map(|fd| Mutex::new(File::from(fd))),
        }
    }

    pub fn louder(&mut self, by: usize) {
        self.level += by;
    }

    pub fn set(&mut self, level: usize) {
        self.level = level;
    }

    pub fn write_to(&mut self, name: &str) -> Result<(), String> {
        match File::options().append(true).create(true).open(name) {
            Ok(file) => self.to = Some(Mutex::new(file)),
            Err(e) => {
                let why = netshoot_host::sockets::strerror(&e);
                return Err(format!("cannot open log file \"{name}\": {why}"));
            }
        }
        Ok(())
    }

    pub fn error(&self, text: &str) {
        self.say('E', text);
    }

    pub fn warn(&self, text: &str) {
        if self.level >= 1 {
            self.say('W', text);
        }
    }

    pub fn note(&self, text: &str) {
        if self.level >= 2 {
            self.say('N', text);
        }
    }

    fn say(&self, level: char, text: &str) {
        let (day, clock, fraction) = now();
        let fraction = if self.micros { &fraction } else { "" };
        let text = crate::report::safe(text);
        let (pid, name) = (std::process::id(), &self.name);
        self.raw(format!("{day} {clock}{fraction} {name}[{pid}] {level} {text}\n").as_bytes());
    }

    /// Bytes of a dump.
    pub fn raw(&self, bytes: &[u8]) {
        if let Some(Ok(mut to)) = self.to.as_ref().map(Mutex::lock) {
            let _ = to.write_all(bytes);
        }
    }
}

/// Day, time, fraction of the second.
pub fn now() -> (String, String, String) {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let ms = i64::try_from(since.as_millis()).unwrap_or(0);
    let text = time::rfc3339(ms);
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    (
        part(0, 10).replace('-', "/"),
        part(11, 19).into(),
        format!(".{:06}", since.subsec_micros()),
    )
}
