//! DNS as a client: one query, and what a resolver library makes of a name.

use crate::sockets::{self, Deadline};
use crate::{Error, resolv, tcp};
use netshoot_model::probe::{DnsReply, Outcome, ResolvConf, Transport};
use netshoot_wire::dns::{self, Message};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

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
    let deadline = Deadline::after_ms(timeout_ms);
    let (ended, rtt_us) = match over {
        Transport::Udp => over_udp(&bytes, &ask, server, deadline)?,
        Transport::Tcp => over_tcp(&bytes, &ask, server, timeout_ms)?,
    };
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

type Ended = Result<(io::Result<Message>, u64), Error>;

fn over_udp(bytes: &[u8], ask: &Message, server: SocketAddr, deadline: Deadline) -> Ended {
    let family = sockets::family(server.ip());
    let socket = sockets::open(family, libc::SOCK_DGRAM, libc::IPPROTO_UDP, "UDP")?;
    let exchange = || {
        sockets::want_icmp_errors(&socket, family)?;
        sockets::connect(&socket, server)?;
        sockets::send(&socket, bytes)?;
        let mut buffer = vec![0u8; usize::from(u16::MAX)];
        // Somebody else's or a late reply must not end the waiting; nonsense only explains it.
        let mut nonsense = None;
        loop {
            match sockets::wait(&socket, libc::POLLIN, deadline) {
                Err(e) if e.kind() == io::ErrorKind::TimedOut => return Err(nonsense.unwrap_or(e)),
                other => other?,
            };
            let n = match sockets::receive(&socket, &mut buffer) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => continue,
                other => other?,
            };
            match understand(buffer.get(..n).unwrap_or_default(), ask) {
                Ok(message) => return Ok(message),
                Err(e) => nonsense = Some(e),
            }
        }
    };
    Ok((exchange(), deadline.spent_us()))
}

fn over_tcp(bytes: &[u8], ask: &Message, server: SocketAddr, timeout_ms: u32) -> Ended {
    let mut connection = match tcp::connect(server, timeout_ms)? {
        Ok((connection, _)) => connection,
        Err(a) => {
            let errno = match a.outcome {
                Outcome::Refused => libc::ECONNREFUSED,
                Outcome::Reset => libc::ECONNRESET,
                Outcome::Silent => libc::ETIMEDOUT,
                _ => libc::EHOSTUNREACH,
            };
            return Ok((Err(io::Error::from_raw_os_error(errno)), a.took_us));
        }
    };
    let mut exchange = || {
        let len =
            u16::try_from(bytes.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        connection.write_all(&[&len.to_be_bytes(), bytes].concat())?;
        let mut len = [0u8; 2];
        connection.read_exact(&mut len)?;
        let mut reply = vec![0u8; usize::from(u16::from_be_bytes(len))];
        connection.read_exact(&mut reply)?;
        understand(&reply, ask)
    };
    let ended = exchange();
    Ok((ended, connection.spent_us()))
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
