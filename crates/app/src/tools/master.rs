//! Messages as BIND's dig and host print them: the header, the pseudo section, records in columns.

use super::names;
use netshoot_wire::dns::text::{self, Style};
use netshoot_wire::dns::{self, Edns, Message, Question, Record, class_word, type_word};
use std::net::{Ipv4Addr, Ipv6Addr};

/// How records are laid out.
#[derive(Clone, Debug)]
pub struct Look {
    /// How data are written.
    pub style: Style,
    /// The class is shown.
    pub class: bool,
    /// The time to live is shown.
    pub ttl: bool,
    /// It is shown as `4m52s`.
    pub units: bool,
}

impl Default for Look {
    fn default() -> Look {
        Look {
            style: Style::default(),
            class: true,
            ttl: true,
            units: false,
        }
    }
}

/// Moves on to a column, by tabs where it can.
fn to(text: &mut String, column: usize) {
    let at = width(text);
    let goal = column.max(at + 1);
    let tabs = (goal / 8).saturating_sub(at / 8);
    if tabs > 0 {
        text.extend(std::iter::repeat_n('\t', tabs));
        text.extend(std::iter::repeat_n(' ', goal % 8));
    } else {
        text.extend(std::iter::repeat_n(' ', goal - at));
    }
}

fn width(text: &str) -> usize {
    text.chars()
        .fold(0, |w, c| if c == '\t' { w / 8 * 8 + 8 } else { w + 1 })
}

/// Columns of time to live, class, type and data.
fn columns(look: &Look) -> [usize; 4] {
    match (look.style.multiline, look.ttl, look.class) {
        (true, ..) | (_, false, false) => [24, 24, 24, 32],
        (_, false, true) => [24, 24, 32, 40],
        (_, true, false) => [24, 24, 32, 40],
        _ => [24, 32, 40, 48],
    }
}

/// The data of a record.
pub fn data(r: &Record, look: &Look) -> String {
    text::data(r.rtype, &r.raw(), &look.style)
}

fn class_and_type(class: u16, rtype: u16, look: &Look) -> (String, String) {
    if look.style.unknown {
        (format!("CLASS{class}"), format!("TYPE{rtype}"))
    } else {
        (class_word(class), type_word(rtype))
    }
}

/// A record on its line or lines, without the last line's end.
pub fn record(r: &Record, look: &Look) -> String {
    let [ttl, class, kind, rest] = columns(look);
    let (class_text, kind_text) = class_and_type(r.class, r.rtype, look);
    let mut line = text::shown_name(&r.name);
    if look.ttl {
        to(&mut line, ttl);
        line.push_str(&if look.units {
            text::span_in_letters(r.ttl)
        } else {
            r.ttl.to_string()
        });
    }
    if look.class {
        to(&mut line, class);
        line.push_str(&class_text);
    }
    to(&mut line, kind);
    line.push_str(&kind_text);
    to(&mut line, rest);
    line + &data(r, look)
}

/// A line of these fields in their columns.
pub fn line(name: &str, ttl: u32, class: u16, kind: &str, data: &str, look: &Look) -> String {
    let [at_ttl, at_class, at_kind, rest] = columns(look);
    let mut line = text::shown_name(name);
    if look.ttl {
        to(&mut line, at_ttl);
        line.push_str(&ttl.to_string());
    }
    if look.class {
        to(&mut line, at_class);
        line.push_str(&class_word(class));
    }
    to(&mut line, at_kind);
    line.push_str(kind);
    to(&mut line, rest);
    line + data
}

/// A record in one line with single blanks, for YAML.
pub fn spaced(r: &Record, look: &Look) -> String {
    let (class, kind) = class_and_type(r.class, r.rtype, look);
    let name = text::shown_name(&r.name);
    format!("{name} {} {class} {kind} {}", r.ttl, data(r, look))
}

/// A question behind its semicolon.
pub fn question(q: &Question, look: &Look) -> String {
    let [_, class, kind, _] = columns(look);
    let mut line = text::shown_name(&q.name);
    if look.class {
        to(&mut line, class);
        line.push_str(&class_word(q.class));
    }
    to(&mut line, kind);
    format!(";{line}{}", type_word(q.rtype))
}

/// `qr aa rd`, in the order of the wire.
pub fn flags(m: &Message) -> String {
    let all: String = names::flags(m).iter().map(|f| format!(" {f}")).collect();
    all
}

/// The two lines of the header.
pub fn header(m: &Message) -> String {
    let (opcode, status) = (dns::opcode_word(m.opcode), dns::rcode_word(m.rcode));
    let zero = if m.reserved { " MBZ: 0x4;" } else { "" };
    let additional = m.additional.len() + usize::from(m.edns.is_some());
    format!(
        ";; ->>HEADER<<- opcode: {opcode}, status: {status}, id: {}\n;; flags:{};{zero} QUERY: {}, ANSWER: {}, AUTHORITY: {}, ADDITIONAL: {additional}\n",
        m.id,
        flags(m),
        m.questions.len(),
        m.answers.len(),
        m.authorities.len(),
    )
}

fn spaced_hex(bytes: &[u8]) -> String {
    let all: Vec<String> = bytes.iter().map(|b| format!("{b:02x}")).collect();
    all.join(" ")
}

fn printable(bytes: &[u8]) -> String {
    let shown = bytes.iter().map(|b| {
        if (0x20..0x7f).contains(b) {
            char::from(*b)
        } else {
            '.'
        }
    });
    shown.collect()
}

const ERRORS: &[&str] = &[
    "Other",
    "Unsupported DNSKEY Algorithm",
    "Unsupported DS Digest Type",
    "Stale Answer",
    "Forged Answer",
    "DNSSEC Indeterminate",
    "DNSSEC Bogus",
    "Signature Expired",
    "Signature Not Yet Valid",
    "DNSKEY Missing",
    "RRSIGs Missing",
    "No Zone Key Bit Set",
    "NSEC Missing",
    "Cached Error",
    "Not Ready",
    "Blocked",
    "Censored",
    "Filtered",
    "Prohibited",
    "Stale NXDOMAIN Answer",
    "Not Authoritative",
    "Not Supported",
    "No Reachable Authority",
    "Network Error",
    "Invalid Data",
];

fn subnet(bytes: &[u8]) -> Option<String> {
    let [0, family, source, scope, address @ ..] = bytes else {
        return None;
    };
    let mut whole = [0u8; 16];
    for (to, from) in whole.iter_mut().zip(address) {
        *to = *from;
    }
    let shown = match family {
        0 if *source == 0 => "0".to_string(),
        1 => {
            let [a, b, c, d, ..] = whole;
            Ipv4Addr::new(a, b, c, d).to_string()
        }
        2 => Ipv6Addr::from(whole).to_string(),
        _ => return None,
    };
    Some(format!("{shown}/{source}/{scope}"))
}

/// An option: its word and what it says. `sent` is the client's cookie where this is a reply.
pub fn option(code: u16, bytes: &[u8], sent: Option<&[u8]>) -> (String, String) {
    let known = |word: &str, says: String| (word.to_string(), says);
    let quoted = || format!("{} (\"{}\")", spaced_hex(bytes), printable(bytes));
    match (code, bytes) {
        (3, []) => known("NSID", String::new()),
        (3, _) => known("NSID", quoted()),
        (8, _) if subnet(bytes).is_some() => {
            known("CLIENT-SUBNET", subnet(bytes).unwrap_or_default())
        }
        (9, [a, b, c, d]) => {
            let n = u32::from_be_bytes([*a, *b, *c, *d]);
            known("EXPIRE", format!("{n} ({})", text::span_in_words(n)))
        }
        (9, []) => known("EXPIRE", String::new()),
        (10, _) => {
            let own = netshoot_wire::dns::digits::hex(bytes);
            let verdict = match sent {
                None => "",
                Some(client) if !bytes.starts_with(client) => " (bad)",
                Some(client) if bytes.len() == client.len() => " (echoed)",
                Some(_) => " (good)",
            };
            known("COOKIE", own + verdict)
        }
        (11, [a, b]) => {
            let tenths = u16::from_be_bytes([*a, *b]);
            known(
                "TCP KEEPALIVE",
                format!("{}.{} secs", tenths / 10, tenths % 10),
            )
        }
        (11, []) => known("TCP KEEPALIVE", String::new()),
        (12, _) => known("PAD", format!("({} bytes)", bytes.len())),
        (15, [a, b, rest @ ..]) => {
            let n = u16::from_be_bytes([*a, *b]);
            let word = ERRORS
                .get(usize::from(n))
                .map(|w| format!(" ({w})"))
                .unwrap_or_default();
            let more = if rest.is_empty() {
                String::new()
            } else {
                format!(": ({})", String::from_utf8_lossy(rest))
            };
            known("EDE", format!("{n}{word}{more}"))
        }
        (_, []) => known(&format!("OPT={code}"), String::new()),
        _ => known(&format!("OPT={code}"), quoted()),
    }
}

/// The client's part of the cookie in a query.
pub fn client_cookie(query: &Message) -> Option<Vec<u8>> {
    let options = &query.edns.as_ref()?.options;
    let own = options.iter().find(|(code, _)| *code == 10)?;
    own.1.get(..8).map(<[u8]>::to_vec)
}

/// The OPT record's lines; `sent` as for [`option`].
pub fn pseudo(e: &Edns, sent: Option<&[u8]>) -> String {
    let set = if e.dnssec_ok { " do" } else { "" };
    let rest = if e.flags == 0 {
        format!("; udp: {}", e.udp_size)
    } else {
        format!("; MBZ: {:#06x}, udp: {}", e.flags, e.udp_size)
    };
    let mut all = format!(
        ";; OPT PSEUDOSECTION:\n; EDNS: version: {}, flags:{set}{rest}\n",
        e.version
    );
    for (code, bytes) in &e.options {
        let (word, says) = option(*code, bytes, sent);
        let colon = if says.is_empty() { "" } else { ": " };
        all.push_str(&format!("; {word}{colon}{says}\n"));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_reached_as_bind_reaches_them() {
        let record_of = |name: &str, ttl| {
            let data = netshoot_wire::dns::Data::A([192, 0, 2, 1].into());
            record(&Record::new(name, ttl, data), &Look::default())
        };
        for (name, wanted) in [
            ("web.shop.test", "web.shop.test.\t\t300\tIN\tA\t192.0.2.1"),
            (
                "kubernetes.default.svc.cluster.local",
                "kubernetes.default.svc.cluster.local. 300 IN A\t192.0.2.1",
            ),
        ] {
            assert_eq!(record_of(name, 300), wanted);
        }
    }
}
