//! The near end of an agent: a stream to `netshoot agent` at another place.

use crate::agent::{Asked, Hello, PROTOCOL, Said};
use anyhow::{Result, anyhow, bail};
use netshoot_api::live::{Cluster, Error, Program, Session, Stdin};
use netshoot_model::probe::{Probe, Question};
use std::io::{BufRead, BufReader, Read, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How long a greeting may take.
const GREETING: Duration = Duration::from_secs(8);
/// So much longer than the questions themselves an answer may take.
const PATIENCE: Duration = Duration::from_secs(6);
/// No batch of questions takes longer.
const MOST_PATIENCE: Duration = Duration::from_secs(60);
/// A longer line is no answer.
const MOST_BYTES: u64 = 64 << 20;

/// An agent that is there and speaks otherwise.
#[derive(Debug)]
pub struct OtherVersion(String);

impl std::fmt::Display for OtherVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for OtherVersion {}

/// An agent that answers.
pub struct Hand {
    /// What it said of itself.
    pub hello: Hello,
    /// The container it runs in.
    pub container: String,
    /// It sees the processes of its node, and so the networks of all its pods.
    pub sees_node: bool,
    stdin: Stdin,
    lines: Receiver<String>,
    /// Holds the stream open.
    session: Option<Session>,
    next: u64,
    place: String,
    /// Why it is asked no more: it let a question pass, or ended.
    over: Option<String>,
}

impl Hand {
    /// Starts an agent in a container by exec, or attaches to one that was started as one.
    pub fn reach(
        cluster: &Cluster,
        namespace: &str,
        pod: &str,
        container: &str,
        exec: bool,
    ) -> Result<Hand> {
        let command: &[&str] = if exec { &["netshoot", "agent"] } else { &[] };
        let program = Program {
            container: container.into(),
            command: command.iter().map(|w| (*w).to_string()).collect(),
            stdin: true,
            tty: false,
        };
        let place = format!("container {container} of pod {namespace}/{pod}");
        let mut session = match cluster.start(namespace, pod, &program) {
            Err(e) if !exec && is_of_one_that_ended(&e) => {
                bail!("the agent in {place} ended before it was asked anything")
            }
            other => other?,
        };
        let (Some(mut stdin), Some(stdout)) = (session.stdin(), session.stdout()) else {
            bail!("start the agent in {place}: no streams");
        };
        if let Some(mut stderr) = session.stderr() {
            std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        }
        let (send, lines) = channel();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stdout);
            loop {
                let mut line = String::new();
                match reader.by_ref().take(MOST_BYTES).read_line(&mut line) {
                    Ok(n) if n > 0 && send.send(line).is_ok() => {}
                    _ => break,
                }
            }
        });
        // Its first greeting is lost where it was said before anybody listened.
        let greeted = stdin.write_all(b"{}\n").and_then(|()| stdin.flush());
        let hello = match greeted {
            Ok(()) => greeting(&lines, &place),
            Err(_) => None.ok_or_else(|| anyhow!("the agent in {place} ended at once")),
        };
        let hello = match hello {
            Ok(hello) => hello,
            Err(e) => {
                drop(stdin);
                // Why it could not be started says more than that it was not heard of.
                return Err(match session.wait() {
                    Err(told @ Error::NotStarted { .. }) => told.into(),
                    _ => e,
                });
            }
        };
        if hello.netshoot_agent != PROTOCOL {
            return Err(OtherVersion(format!(
                "the agent in {place} is of another version: {} speaks protocol {}, this program {} protocol {PROTOCOL}",
                hello.version,
                hello.netshoot_agent,
                crate::version::SHORT
            ))
            .into());
        }
        Ok(Hand {
            hello,
            container: container.into(),
            sees_node: false,
            stdin,
            lines,
            session: Some(session),
            next: 0,
            place,
            over: None,
        })
    }

    /// It has the capability.
    pub fn has(&self, capability: &str) -> bool {
        capability.is_empty() || self.hello.capabilities.iter().any(|c| c == capability)
    }

    /// Puts all lines, then waits for all answers; they come in the order of the lines.
    pub fn ask(&mut self, lines: Vec<Asked>) -> Result<Vec<Said>> {
        let first = self.next;
        // In the same words each time, so that a report says it once.
        if let Some(why) = &self.over {
            bail!("{why}");
        }
        let longest = lines.iter().flat_map(|l| &l.probes).map(longest).max();
        let patience = (longest.unwrap_or_default() + PATIENCE).min(MOST_PATIENCE);
        for mut asked in lines {
            asked.id = self.next;
            self.next += 1;
            let mut line = serde_json::to_vec(&asked)?;
            line.push(b'\n');
            self.stdin
                .write_all(&line)
                .and_then(|()| self.stdin.flush())
                .map_err(|_| self.gone())?;
        }
        let until = Instant::now() + patience;
        let mut said: Vec<Said> = Vec::new();
        while (said.len() as u64) < self.next - first {
            let left = until.saturating_duration_since(Instant::now());
            let line = match self.lines.recv_timeout(left) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => {
                    // Nobody waits for it a second time.
                    let (place, limit) = (&self.place, patience.as_secs());
                    let why = format!("the agent in {place} did not answer within {limit} s");
                    return Err(self.asked_no_more(why));
                }
                Err(RecvTimeoutError::Disconnected) => return Err(self.gone()),
            };
            if let Ok(one) = serde_json::from_str::<Said>(&line)
                && one.id >= first
            {
                said.push(one);
            }
        }
        said.sort_by_key(|s| s.id);
        Ok(said)
    }

    fn gone(&mut self) -> anyhow::Error {
        let why = match self.session.take().map(Session::wait) {
            Some(Err(e)) => format!(": {e}"),
            _ => String::new(),
        };
        let why = format!("the agent in {} ended while it was asked{why}", self.place);
        self.asked_no_more(why)
    }

    fn asked_no_more(&mut self, why: String) -> anyhow::Error {
        let error = anyhow!("{why}");
        self.over = Some(why);
        error
    }
}

/// Nobody attaches to a container, or a pod, that has ended meanwhile: what comes back of it are the words of kubelet or of the
/// runtime, which call it not found, or not running.
fn is_of_one_that_ended(error: &Error) -> bool {
    let said = error.to_string();
    let ended = ["not found", "404", "not running", "CONTAINER_EXITED"];
    !error.is_forbidden() && ended.iter().any(|words| said.contains(words))
}

/// How long a question takes where nothing answers.
fn longest(probe: &Probe) -> Duration {
    let ms = match &probe.question {
        Question::TcpConnect {
            tries, timeout_ms, ..
        }
        | Question::Http {
            tries, timeout_ms, ..
        } => u64::from(*tries) * u64::from(*timeout_ms),
        Question::Echo {
            count, timeout_ms, ..
        } => u64::from(*count) * u64::from(*timeout_ms),
        // Ladders and captures.
        _ => 10_000,
    };
    Duration::from_millis(ms)
}

fn greeting(lines: &Receiver<String>, place: &str) -> Result<Hello> {
    let until = Instant::now() + GREETING;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match lines.recv_timeout(left) {
            Ok(line) => {
                if let Ok(hello) = serde_json::from_str(&line) {
                    return Ok(hello);
                }
            }
            Err(RecvTimeoutError::Timeout) => bail!(
                "the agent in {place} did not greet within {} s",
                GREETING.as_secs()
            ),
            Err(RecvTimeoutError::Disconnected) => bail!("the agent in {place} ended at once"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_that_ended_is_told_from_one_that_may_not_be_reached() {
        let error = |says: &str| Error::Refused {
            tried: Box::default(),
            code: 500,
            says: says.into(),
        };
        // As kubelet and containerd say it.
        for says in [
            "unable to upgrade connection: container e not found in pod p_dead",
            "error attaching to container: container is in CONTAINER_EXITED state",
            "container netshoot-a is not running",
        ] {
            assert!(is_of_one_that_ended(&error(says)), "{says}");
        }
        for says in [
            "dial tcp 10.90.0.11:10250: connect: connection refused",
            "too many requests",
        ] {
            assert!(!is_of_one_that_ended(&error(says)), "{says}");
        }
    }
}
