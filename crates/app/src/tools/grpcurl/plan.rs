//! The command line of grpcurl, which is Go's: one dash or two, values behind `=` or in the next word.

use crate::io::Io;
use anyhow::Result;
use std::ffi::OsString;
use std::time::Duration;

const ALONE: &[&str] = &[
    "plaintext",
    "insecure",
    "v",
    "vv",
    "emit-defaults",
    "allow-unknown-fields",
    "msg-template",
    "explain",
    "help",
    "version",
    "format-error",
    "expand-headers",
    "use-reflection",
    "alts",
];
const VALUED: &[&str] = &[
    "d",
    "H",
    "rpc-header",
    "reflect-header",
    "cacert",
    "cert",
    "key",
    "authority",
    "servername",
    "protoset",
    "proto",
    "import-path",
    "connect-timeout",
    "max-time",
    "max-msg-sz",
    "user-agent",
    "format",
    "keepalive-time",
    "lang",
];
const REFUSED: &[(&str, &str)] = &[
    ("unix", "a UNIX socket is socat's business"),
    ("protoset-out", "descriptors are not written here"),
];

const USAGE: &str = "\
Usage: grpcurl [flags] [address] [list|describe] [symbol]

  -plaintext          no TLS
  -insecure           take any certificate
  -cacert FILE, -cert FILE, -key FILE
  -authority NAME, -servername NAME
  -d JSON             the request; @ reads it from the input
  -H 'name: value'    of every request (-rpc-header of the call only, -reflect-header of reflection only)
  -protoset FILE      descriptors instead of reflection (protoc --descriptor_set_out)
  -proto FILE         sources instead; what they import lies in -import-path DIR (else in the working directory)
  -emit-defaults      fields that are not set, too
  -allow-unknown-fields
  -msg-template       with describe: an empty message
  -connect-timeout S, -max-time S, -max-msg-sz BYTES
  -v                  headers and trailers, too
  -explain            what the result means in a cluster
";

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    List(Option<String>),
    Describe(Option<String>),
    Call(String),
}

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Plan {
    pub address: Option<String>,
    pub verb: Verb,
    pub plaintext: bool,
    pub insecure: bool,
    pub cacert: Option<String>,
    pub cert: Option<String>,
    pub key: Option<String>,
    pub authority: Option<String>,
    pub server_name: Option<String>,
    pub data: Option<String>,
    /// Name, value; for reflection, for calls.
    pub headers: Vec<(String, String, bool, bool)>,
    pub protosets: Vec<String>,
    /// Sources of descriptors, and where what they import lies.
    pub protos: Vec<String>,
    pub imports: Vec<String>,
    pub defaults: bool,
    pub allow_unknown: bool,
    pub template: bool,
    pub connect: Duration,
    pub whole: Option<Duration>,
    pub most: usize,
    pub agent: String,
    pub verbose: bool,
    pub explain: bool,
}

/// How the command line ends: something to do, or done.
pub enum Read {
    Plan(Box<Plan>),
    Ended(i32),
}

pub fn read(args: &[OsString], io: &mut Io<'_>) -> Result<Read> {
    let words: Vec<String> = args
        .iter()
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    let mut plan = Plan {
        address: None,
        verb: Verb::List(None),
        plaintext: false,
        insecure: false,
        cacert: None,
        cert: None,
        key: None,
        authority: None,
        server_name: None,
        data: None,
        headers: Vec::new(),
        protosets: Vec::new(),
        protos: Vec::new(),
        imports: Vec::new(),
        defaults: false,
        allow_unknown: false,
        template: false,
        connect: Duration::from_secs(10),
        whole: None,
        most: 4 << 20,
        agent: format!("netshoot-grpcurl/{}", crate::version::SHORT),
        verbose: false,
        explain: false,
    };
    let mut operands = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let name = match word.strip_prefix('-') {
            // Go's flags end at the first word that is none.
            None | Some("") => {
                operands.push(word);
                operands.extend(words);
                break;
            }
            Some("-") => {
                operands.extend(words);
                break;
            }
            Some(name) => name.strip_prefix('-').unwrap_or(name).to_string(),
        };
        let (name, own) = match name.split_once('=') {
            Some((name, value)) => (name.to_string(), Some(value.to_string())),
            None => (name, None),
        };
        let refused = REFUSED.iter().find(|r| r.0 == name);
        let wrong = match (name.as_str(), refused) {
            (_, Some((_, why))) => Some(format!("-{name} is not taken: {why}")),
            ("help", _) => {
                write!(io.out, "{USAGE}")?;
                return Ok(Read::Ended(0));
            }
            ("version", _) => {
                writeln!(io.out, "grpcurl of netshoot {}", crate::version::SHORT)?;
                return Ok(Read::Ended(0));
            }
            (name, _) if ALONE.contains(&name) => {
                plan.switch(name, own.as_deref() != Some("false")).err()
            }
            (name, _) if VALUED.contains(&name) => match own.or_else(|| words.next()) {
                Some(value) if name == "lang" => {
                    io.lang = crate::io::choose_lang(Some(&value));
                    None
                }
                Some(value) => plan.take(name, value).err(),
                None => Some(format!("flag needs an argument: -{name}")),
            },
            (name, _) => Some(format!("flag provided but not defined: -{name}")),
        };
        if let Some(wrong) = wrong {
            write!(io.err, "{wrong}\n{USAGE}")?;
            return Ok(Read::Ended(2));
        }
    }
    match plan.operands(operands) {
        Ok(()) => Ok(Read::Plan(Box::new(plan))),
        Err(wrong) => {
            writeln!(io.err, "{wrong}\nTry 'grpcurl -help' for more details.")?;
            Ok(Read::Ended(2))
        }
    }
}

impl Plan {
    fn switch(&mut self, name: &str, on: bool) -> Result<(), String> {
        match name {
            "plaintext" => self.plaintext = on,
            "insecure" => self.insecure = on,
            "v" | "vv" => self.verbose = on,
            "emit-defaults" => self.defaults = on,
            "allow-unknown-fields" => self.allow_unknown = on,
            "msg-template" => self.template = on,
            "explain" => self.explain = on,
            "alts" => return Err("-alts is not taken: it is Google's own".into()),
            _ => {}
        }
        Ok(())
    }

    fn take(&mut self, name: &str, value: String) -> Result<(), String> {
        let seconds = |v: &str| {
            let span = v
                .parse()
                .ok()
                .and_then(|s| Duration::try_from_secs_f64(s).ok());
            span.ok_or_else(|| format!("invalid value \"{v}\" for flag -{name}"))
        };
        match name {
            "d" => self.data = Some(value),
            "H" | "rpc-header" | "reflect-header" => {
                let (n, v) = value.split_once(':').unwrap_or((&value, ""));
                let (reflection, call) = (name != "rpc-header", name != "reflect-header");
                self.headers
                    .push((n.trim().to_lowercase(), v.trim().into(), reflection, call));
            }
            "cacert" => self.cacert = Some(value),
            "cert" => self.cert = Some(value),
            "key" => self.key = Some(value),
            "authority" => self.authority = Some(value),
            "servername" => self.server_name = Some(value),
            "protoset" => self.protosets.push(value),
            "proto" => self.protos.push(value),
            "import-path" => self.imports.push(value),
            "connect-timeout" => self.connect = seconds(&value)?,
            "max-time" => self.whole = Some(seconds(&value)?),
            "max-msg-sz" => {
                self.most = value
                    .parse()
                    .map_err(|_| format!("invalid value \"{value}\" for flag -{name}"))?
            }
            "user-agent" => self.agent = value,
            "format" if value != "json" => return Err("-format is json here".into()),
            _ => {}
        }
        Ok(())
    }

    /// No file says what there is: the server is asked.
    pub fn by_reflection(&self) -> bool {
        self.protosets.is_empty() && self.protos.is_empty()
    }

    fn operands(&mut self, mut words: Vec<String>) -> Result<(), String> {
        if words.is_empty() {
            return Err("Too few arguments.".into());
        }
        let verb = |w: &str| w == "list" || w == "describe";
        if !verb(&words[0]) {
            self.address = Some(words.remove(0));
        }
        let mut words = words.into_iter();
        self.verb = match (words.next(), words.next()) {
            (Some(w), symbol) if w == "list" => Verb::List(symbol),
            (Some(w), symbol) if w == "describe" => Verb::Describe(symbol),
            (Some(method), None) => Verb::Call(method),
            (None, _) => return Err("Too few arguments.".into()),
            _ => return Err("Too many arguments.".into()),
        };
        if words.next().is_some() {
            return Err("Too many arguments.".into());
        }
        if !self.protosets.is_empty() && !self.protos.is_empty() {
            return Err("Use either -protoset files or -proto files, but not both.".into());
        }
        if self.address.is_none() && self.by_reflection() {
            return Err(
                "No host:port specified, no protoset specified, and no proto sources specified."
                    .into(),
            );
        }
        if self.plaintext && (self.insecure || self.cert.is_some()) {
            return Err(
                "The -plaintext and -insecure (or -cert) arguments are mutually exclusive.".into(),
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_words_are_refused_or_read() {
        let valid = "-plaintext -d={} -H a:b --max-time 3 -protoset=x 127.0.0.1:80 describe a.B";
        netshoot_wire::fuzz::texts(&[valid], 4_000, |line| {
            let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let (read, _, err) = crate::io::heard(|io| read(&args, io).unwrap());
            if let Read::Ended(2) = read {
                assert!(!err.is_empty(), "{line}");
            }
        });
    }
}
