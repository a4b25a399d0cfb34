//! A command that waits until its streams are attached, so that not a byte of a short command is
//! lost: what we send in the pod is `netshoot __hold -- COMMAND`, and both ends speak this:
//!
//!     client  ?            as often as it takes
//!     held    here         to its output and to its error output, for each `?`
//!     client  go TOKEN     once both were seen: now nothing can be missed
//!     held    ready TOKEN  to both; what follows is the command's own
//!
//! Pure; the inside is in `inside`.

/// First word of a held command.
pub const HOLD: &str = "__hold";
/// The command gets no input: what comes is only for the hold.
pub const NO_INPUT: &str = "--no-input";

/// The question of the client.
pub const ASK: &[u8] = b"?\n";
/// Its answer.
pub const HERE: &str = "here";

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

/// Takes the hold's own words off the beginning of a stream.
#[derive(Clone, Debug)]
pub struct Gate {
    before: Vec<u8>,
    end: Vec<u8>,
    open: bool,
    seen: bool,
}

impl Gate {
    /// A gate that opens after `ready TOKEN`.
    pub fn new(token: &str) -> Gate {
        Gate {
            before: Vec::new(),
            end: ready(token).into_bytes(),
            open: false,
            seen: false,
        }
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
            return bytes;
        }
        self.before.extend_from_slice(&bytes);
        let here = HERE.as_bytes();
        // A terminal echoes the question, so that only the answer tells.
        self.seen |= self.before.windows(here.len()).any(|w| w == here);
        let Some(at) = self
            .before
            .windows(self.end.len())
            .position(|w| w == self.end)
        else {
            return Vec::new();
        };
        let rest = self.before.get(at + self.end.len()..).unwrap_or_default();
        // The line's end may still be on its way; a terminal makes two bytes of it.
        let rest = match rest {
            [b'\r', b'\n', rest @ ..] | [b'\n', rest @ ..] => rest.to_vec(),
            _ => return Vec::new(),
        };
        self.open = true;
        self.before.clear();
        rest
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
