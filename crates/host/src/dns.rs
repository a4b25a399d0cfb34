//! DNS as a client: one query, and what a resolver library makes of a name.

mod doh;
pub mod seal;
pub mod talk;
pub mod tsig;

use crate::sockets;
use crate::{Error, resolv};
use netshoot_model::probe::{DnsReply, Outcome, ResolvConf, Transport};
use netshoot_wire::dns::{self, Message};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};
use talk::{Over, Route, Talk};

/// Port of DNS servers.
pub const PORT: u16 = 53;

/// How one query ended: the outcome in the reply, the message where one came.
pub struct Asked {
    /// The answer to the probe.
    pub reply: DnsReply,
    /// The message, for who wants more of it.
    pub message: Option<Message>,
}

/// Asks one server once for one exact name. The error is a gap.
pub fn query(
    name: &str,
    record: &str,
    server: SocketAddr,
    over: Transport,
    timeout_ms: u32,
) -> Result<Asked, Error> {
    let absent = |what: String| Error::Absent { what };
    let rtype =
        dns::type_number(record).ok_or_else(|| absent(format!("a record type `{record}`: it")))?;
    let ask = Message::query(sockets::random_u16(), name, rtype);
    let bytes = ask
        .encode()
        .map_err(|e| absent(format!("`{name}` is no domain name ({e}): a name for it")))?;
    let route = Route {
        server,
        source: None,
        timeout: Duration::from_millis(timeout_ms.into()),
    };
    let over = match over {
        Transport::Udp => Over::Udp,
        Transport::Tcp => Over::Tcp,
    };
    let began = Instant::now();
    let ended = replied(&route, &over, &bytes, &ask);
    let rtt_us = began.elapsed().as_micros() as u64;
    let mut reply = DnsReply {
        name: name.trim_end_matches('.').to_string(),
        record: record.to_ascii_uppercase(),
        server,
        outcome: Outcome::Answered,
        rcode: String::new(),
        answers: vec![],
        truncated: false,
        authoritative: false,
        rtt_us,
    };
    let message = match ended {
        Ok(message) => message,
        Err(e) => {
            reply.outcome = sockets::outcome(&e);
            return Ok(Asked {
                reply,
                message: None,
            });
        }
    };
    reply.rcode = dns::rcode_word(message.rcode);
    reply.answers = message.answers.iter().map(ToString::to_string).collect();
    reply.truncated = message.truncated;
    reply.authoritative = message.authoritative;
    Ok(Asked {
        reply,
        message: Some(message),
    })
}

/// The reply. Somebody else's or a late one must not end the waiting; nonsense only explains it.
fn replied(route: &Route, over: &Over, bytes: &[u8], ask: &Message) -> io::Result<Message> {
    let mut talk = Talk::open(route, over)?;
    let (mut understood, mut nonsense) = (None, None);
    let ended = talk.exchange(bytes, |reply| match understand(reply, ask) {
        Ok(message) => {
            understood = Some(message);
            true
        }
        Err(e) => {
            nonsense = Some(e);
            *over != Over::Udp
        }
    });
    match (ended, understood) {
        (Ok(_), Some(message)) => Ok(message),
        (Err(e), _) if e.kind() != io::ErrorKind::TimedOut => Err(e),
        (ended, _) => Err(match (nonsense, ended) {
            (Some(e), _) | (None, Err(e)) => e,
            (None, Ok(_)) => io::ErrorKind::InvalidData.into(),
        }),
    }
}

/// The message, if it is the reply to this query.
fn understand(bytes: &[u8], ask: &Message) -> io::Result<Message> {
    let garbled = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let message = Message::decode(bytes).map_err(|e| garbled(e.to_string()))?;
    if !message.response || message.id != ask.id {
        return Err(garbled("not a reply to this query".into()));
    }
    // A server that failed to read the question sends none back.
    let same = message
        .questions
        .iter()
        .zip(&ask.questions)
        .all(|(theirs, ours)| {
            theirs.rtype == ours.rtype && theirs.name.eq_ignore_ascii_case(&ours.name)
        });
    if same {
        Ok(message)
    } else {
        Err(garbled("a reply to another question".into()))
    }
}

/// What a resolver library does with a name: every query, in order, and the addresses it would
/// give to an application. The error is a gap.
///
/// Each server is given one timeout for each name. Silence of all servers ends the search, as
/// does success; NXDOMAIN and empty answers go on to the next name, SERVFAIL and REFUSED to the
/// next server (resolv.conf(5)).
pub fn lookup(
    name: &str,
    conf: &ResolvConf,
    timeout_ms: u32,
) -> Result<(Vec<DnsReply>, Vec<IpAddr>), Error> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok((vec![], vec![address]));
    }
    // Without a server, the one on this machine is meant (resolv.conf(5)).
    let local = [IpAddr::V4(Ipv4Addr::LOCALHOST)];
    let servers = if conf.nameservers.is_empty() {
        local.as_slice()
    } else {
        conf.nameservers.as_slice()
    };
    let mut queries = Vec::new();
    for candidate in resolv::candidates(name, conf) {
        let mut somebody_spoke = false;
        for server in servers {
            let server = SocketAddr::new(*server, PORT);
            let pair = both_families(&candidate, server, timeout_ms)?;
            let addresses = addresses_in(&pair);
            // Only a word on the name itself ends the asking around.
            let told = pair
                .iter()
                .any(|r| matches!(r.rcode.as_str(), "NOERROR" | "NXDOMAIN"));
            somebody_spoke |= pair.iter().any(|r| r.outcome == Outcome::Answered);
            queries.extend(pair);
            if !addresses.is_empty() {
                return Ok((queries, addresses));
            }
            if told {
                break;
            }
        }
        if !somebody_spoke {
            break;
        }
    }
    Ok((queries, vec![]))
}

/// A and AAAA at the same time; what was truncated once more over TCP.
fn both_families(name: &str, server: SocketAddr, timeout_ms: u32) -> Result<Vec<DnsReply>, Error> {
    let ask =
        |record: &str, over| query(name, record, server, over, timeout_ms).map(|asked| asked.reply);
    // New threads start in the namespace of the thread that makes them.
    let (a, aaaa) = std::thread::scope(|scope| {
        let a = scope.spawn(|| ask("A", Transport::Udp));
        let aaaa = ask("AAAA", Transport::Udp);
        let panicked = || Error::Absent {
            what: "the thread of one query (it panicked)".into(),
        };
        (a.join().unwrap_or_else(|_| Err(panicked())), aaaa)
    });
    let mut replies = vec![a?, aaaa?];
    for i in 0..replies.len() {
        if let Some(cut) = replies.get(i).filter(|r| r.truncated) {
            let whole = ask(&cut.record.clone(), Transport::Tcp)?;
            replies.push(whole);
        }
    }
    Ok(replies)
}

/// Each address once, in order.
fn addresses_in(replies: &[DnsReply]) -> Vec<IpAddr> {
    let mut all = Vec::new();
    for address in replies
        .iter()
        .flat_map(|r| &r.answers)
        .filter_map(|text| text.parse().ok())
    {
        if !all.contains(&address) {
            all.push(address);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_reply_is_garbled_or_to_this_query() {
        let ask = Message::query(7, "web.shop", 1);
        let mut reply = ask.reply(0);
        let address = netshoot_wire::dns::Data::A([10, 0, 0, 1].into());
        reply.answers = vec![netshoot_wire::dns::Record::new("web.shop", 5, address)];
        let mut read = 0;
        netshoot_wire::fuzz::mutations(&reply.encode().unwrap(), 20_000, |bytes| {
            let Ok(message) = understand(bytes, &ask) else {
                return;
            };
            read += 1;
            assert!(message.response && message.id == 7);
            for q in &message.questions {
                assert!(q.name.eq_ignore_ascii_case("web.shop"), "{q:?}");
            }
        });
        assert!(read > 1000, "{read}");
    }
}
