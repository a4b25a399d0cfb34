//! A command that waits until its streams are attached, so that not a byte of a short command is
//! lost: what we send in the pod is `netshoot __hold -- COMMAND`, and both ends speak this:
//!
//!     client  ?            as often as it takes
//!     held    here         to its output and to its error output, for each `?`
//!     client  go TOKEN     once both were seen: now nothing can be missed
//!     held    ready TOKEN  to both; what follows is the command's own
//!     held    \0end TOKEN CODE [oom]   to both, when it has ended: the container stays until all was read,
//!                          since what is under way when it ends is lost. Not on a terminal.
//!     client  bye          once both were seen, where its input is still open
//!
//! Pure; the inside is in `inside`.

use super::waiting::End;

/// The reason that Kubernetes gives for an end by lack of memory.
const OOM_KILLED: &str = "OOMKilled";
/// First word of a held command.
pub const HOLD: &str = "__hold";
/// The command gets no input: what comes is only for the hold.
pub const NO_INPUT: &str = "--no-input";

/// The question of the client.
pub const ASK: &[u8] = b"?\n";
/// Its answer.
pub const HERE: &str = "here";
/// What the client says when it has everything.
pub const BYE: &[u8] = b"bye\n";
/// How an end is told that the kernel made.
const OOM: &str = " oom";

/// The command line that holds `command` back.
pub fn held(command: &[String], input: bool) -> Vec<String> {
    let mut out = vec!["netshoot".to_string(), HOLD.into()];
    if !input {
        out.push(NO_INPUT.into());
    }
    out.push("--".into());
    out.extend(command.iter().cloned());
    out
}

/// Whether a container's command is held.
pub fn is_held(command: &[String]) -> bool {
    command.get(1).is_some_and(|w| w == HOLD)
}

/// What the client says last.
pub fn go(token: &str) -> Vec<u8> {
    format!("go {token}\n").into_bytes()
}

/// What the hold answers last.
pub fn ready(token: &str) -> String {
    format!("ready {token}")
}

/// What the hold says when the command has ended.
#[cfg(any(feature = "node", test))]
pub fn ended(token: &str, end: &End) -> Vec<u8> {
    let oom = if end.reason == OOM_KILLED { OOM } else { "" };
    format!("\0end {token} {}{oom}\n", end.code).into_bytes()
}

/// Takes the hold's own words off the beginning and the end of a stream.
#[derive(Clone, Debug)]
pub struct Gate {
    before: Vec<u8>,
    ready: Vec<u8>,
    open: bool,
    seen: bool,
    /// How the last words begin.
    last: Vec<u8>,
    ended: Option<End>,
}

impl Gate {
    /// A gate that opens after `ready TOKEN`.
    pub fn new(token: &str) -> Gate {
        Gate {
            before: Vec::new(),
            ready: ready(token).into_bytes(),
            open: false,
            seen: false,
            last: format!("\0end {token} ").into_bytes(),
            ended: None,
        }
    }

    /// How the command ended: nothing of its own comes any more.
    pub fn ended(&self) -> Option<&End> {
        self.ended.as_ref()
    }

    /// Something came: the hold is attached to this stream.
    pub fn seen(&self) -> bool {
        self.seen
    }

    /// All that follows is the command's.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// What of these bytes is the command's own.
    pub fn pass(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        if self.open {
            return self.until_the_end(bytes);
        }
        self.before.extend_from_slice(&bytes);
        let here = HERE.as_bytes();
        // A terminal echoes the question, so that only the answer tells.
        self.seen |= self.before.windows(here.len()).any(|w| w == here);
        let Some(at) = self
            .before
            .windows(self.ready.len())
            .position(|w| w == self.ready)
        else {
            return Vec::new();
        };
        let rest = self.before.get(at + self.ready.len()..).unwrap_or_default();
        // The line's end may still be on its way; a terminal makes two bytes of it.
        let rest = match rest {
            [b'\r', b'\n', rest @ ..] | [b'\n', rest @ ..] => rest.to_vec(),
            _ => return Vec::new(),
        };
        self.open = true;
        self.before.clear();
        self.until_the_end(rest)
    }

    fn until_the_end(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        if self.ended.is_some() {
            return Vec::new();
        }
        let mut own = std::mem::take(&mut self.before);
        own.extend(bytes);
        let last = &self.last;
        let at = own.windows(last.len()).position(|w| w == last);
        // The last words may have come in part.
        let at = at.or_else(|| {
            let most = last.len().min(own.len());
            let partly = (1..=most).rev().find(|n| own.ends_with(&last[..*n]))?;
            Some(own.len() - partly)
        });
        if let Some(at) = at {
            self.before = own.split_off(at);
            self.ended = self.read_end();
        }
        own
    }

    fn read_end(&self) -> Option<End> {
        let said = self.before.get(self.last.len()..)?;
        let line = said.split(|b| *b == b'\n').next()?;
        if line.len() == said.len() {
            return None;
        }
        let line = std::str::from_utf8(line).ok()?;
        let (code, reason) = match line.strip_suffix(OOM) {
            Some(code) => (code, OOM_KILLED),
            None => (line, ""),
        };
        Some(End {
            code: code.parse().ok()?,
            reason: reason.into(),
        })
    }

    /// What came without the gate ever opening: the stream ended before, and this says why.
    pub fn left(self) -> Vec<u8> {
        self.before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_the_stream_is_cut_the_command_keeps_every_byte() {
        let own = b"\x00first\nready\nlast without end";
        for (line, answers) in [("\n", 1), ("\r\n", 3)] {
            let mut stream = format!("here{line}").repeat(answers).into_bytes();
            stream.extend_from_slice(format!("ready abc{line}").as_bytes());
            stream.extend_from_slice(own);
            for size in 1..=stream.len() {
                let mut gate = Gate::new("abc");
                let got: Vec<u8> = stream
                    .chunks(size)
                    .flat_map(|c| gate.pass(c.to_vec()))
                    .collect();
                assert!(gate.is_open() && gate.seen());
                assert_eq!(got, own, "in pieces of {size}");
            }
        }
    }

    #[test]
    fn the_end_is_told_however_the_stream_is_cut_and_nothing_of_it_is_shown() {
        let own = b"\0end abc\0end ab\0end xyz 1\nlast without end\0";
        for end in [(0, ""), (137, OOM_KILLED), (-1, "")].map(|(code, reason)| End {
            code,
            reason: reason.into(),
        }) {
            let mut stream = b"here\nready abc\n".to_vec();
            stream.extend_from_slice(own);
            stream.extend(ended("abc", &end));
            for size in 1..=stream.len() {
                let mut gate = Gate::new("abc");
                let got: Vec<u8> = stream
                    .chunks(size)
                    .flat_map(|c| gate.pass(c.to_vec()))
                    .collect();
                assert_eq!(got, own, "in pieces of {size}");
                assert_eq!(gate.ended(), Some(&end));
            }
        }
    }

    #[test]
    fn an_echo_opens_nothing() {
        let mut gate = Gate::new("abc");
        assert!(gate.pass(b"?\r\ngo abc\r\n".to_vec()).is_empty());
        assert!(!gate.is_open() && !gate.seen());
        assert_eq!(gate.left(), b"?\r\ngo abc\r\n");
    }

    #[test]
    fn the_command_line() {
        let command = ["bash".to_string(), "-c".into(), "x".into()];
        let line = held(&command, false);
        assert_eq!(line.join(" "), "netshoot __hold --no-input -- bash -c x");
        assert!(is_held(&line) && !is_held(&command));
    }
}
