//! Asks the servers, and tells of what is asked and proved.

use super::plan::Plan;
use crate::io::Io;
use crate::tools::names::{self, Server};
use anyhow::Result;
use netshoot_host::dns::talk::{Failed, Over, Route, exchange};
use netshoot_wire::dns::dnssec::chain::{Event, Source};
use netshoot_wire::dns::{Edns, Message, rcode, rcode_word, type_word};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);
/// Times that servers which say nothing are asked.
const TRIES: usize = 2;

/// Asks for one run.
pub struct Asker<'a, 'io> {
    plan: &'a Plan,
    servers: Vec<Server>,
    io: &'a mut Io<'io>,
    /// Who was asked last.
    last: String,
    cookie: Vec<u8>,
    written: std::io::Result<()>,
}

/// `www.signed.test`, and `.` for the root.
fn shown(name: &str) -> &str {
    if name.is_empty() { "." } else { name }
}

impl<'a, 'io> Asker<'a, 'io> {
    /// With these servers.
    pub fn new(plan: &'a Plan, servers: Vec<Server>, io: &'a mut Io<'io>) -> Asker<'a, 'io> {
        Asker {
            plan,
            servers,
            io,
            last: String::new(),
            cookie: (0..4)
                .flat_map(|_| netshoot_host::sockets::random_u16().to_be_bytes())
                .collect(),
            written: Ok(()),
        }
    }

    /// Whether all that was to be told could be.
    pub fn ended(self) -> Result<()> {
        Ok(self.written?)
    }

    fn say(&mut self, text: &str) {
        let written = writeln!(self.io.err, "{text}");
        if self.written.is_ok() {
            self.written = written;
        }
    }

    fn query(&self, name: &str, kind: u16) -> Message {
        let mut q = Message::query(netshoot_host::sockets::random_u16(), name, kind);
        q.checking_disabled = self.plan.cd;
        q.edns = Some(Edns {
            udp_size: 1232,
            dnssec_ok: self.plan.validate,
            options: vec![(10, self.cookie.clone())],
            ..Edns::default()
        });
        q
    }

    fn once(&mut self, server: &Server, q: &Message) -> Result<Message, names::Step> {
        let route = Route {
            server: server.at,
            source: self.plan.source,
            timeout: PATIENCE,
        };
        let mut over = if self.plan.tcp { Over::Tcp } else { Over::Udp };
        loop {
            let reply = match exchange(&route, &over, q) {
                Ok(reply) => reply,
                Err(Failed::Setup(e) | Failed::Reply(e)) => return Err(names::Step::Io(e)),
            };
            let message = Message::decode(&reply.bytes).map_err(|_| names::Step::Garbled)?;
            if !names::answers(q, &message) {
                return Err(names::Step::Garbled);
            }
            if message.truncated && over == Over::Udp {
                over = Over::Tcp;
                continue;
            }
            return Ok(message);
        }
    }
}

impl Source for Asker<'_, '_> {
    fn fetch(&mut self, name: &str, kind: u16) -> std::result::Result<Message, String> {
        let q = self.query(name, kind);
        let what = format!("resolving '{}/{}/IN'", shown(name), type_word(kind));
        let mut why = "failure";
        for _ in 0..TRIES {
            let mut again = false;
            for server in self.servers.clone() {
                self.last = names::hash_port(server.at);
                let last = self.last.clone();
                match self.once(&server, &q) {
                    Ok(m) => {
                        if self.plan.mtrace {
                            self.say(&super::show::packet(&m, &last));
                        }
                        match m.rcode {
                            rcode::NOERROR | rcode::NXDOMAIN => return Ok(m),
                            rcode::SERVFAIL => {}
                            other => {
                                let word = rcode_word(other);
                                self.say(&format!(";; {word} unexpected RCODE {what}: {last}"));
                            }
                        }
                    }
                    Err(names::Step::Garbled) => {
                        self.say(&format!(";; FORMERR {what}: {last}"));
                    }
                    Err(names::Step::Io(e)) => match names::words(&e).as_str() {
                        "timed out" => (why, again) = ("timed out", true),
                        word => self.say(&format!(";; {word} {what}: {last}")),
                    },
                }
            }
            if !again {
                break;
            }
        }
        Err(why.into())
    }

    fn told(&mut self, event: Event<'_>) {
        let p = self.plan;
        let step = |depth: usize, name: &str, kind: u16, says: &str| {
            let (name, kind) = (shown(name), type_word(kind));
            format!(";; {}validating {name}/{kind}: {says}", "  ".repeat(depth))
        };
        match event {
            Event::Fetch(name, kind) => {
                if p.rtrace || p.mtrace || p.vtrace {
                    self.say(&format!(";; fetch: {}/{}", shown(name), type_word(kind)));
                }
            }
            Event::Step(depth, name, kind, says) => {
                if p.vtrace {
                    self.say(&step(depth, name, kind, says));
                }
            }
            Event::Fault(depth, name, kind, says) => self.say(&step(depth, name, kind, says)),
            Event::Failed(why, name, kind) => {
                let (name, kind, last) = (shown(name), type_word(kind), self.last.clone());
                let why = why.words();
                self.say(&format!(";; {why} resolving '{name}/{kind}/IN': {last}"));
            }
        }
    }
}
