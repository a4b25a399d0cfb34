//! `ip`: links, addresses, routes, neighbours and rules of this network namespace, as iproute2 shows them.
//! It shows and changes nothing.

mod counters;
mod link;
mod neighbour;
mod record;
mod route;
mod rule;

use super::{Group, Tool};
use crate::io::Io;
use anyhow::Result;
use netshoot_wire::rtnl::{self, AF_INET, AF_INET6};
use record::{Json, Record};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::IpAddr;

/// The tool.
pub const TOOL: Tool = Tool {
    name: "ip",
    stands_for: "iproute2 ip",
    group: Group::Kernel,
    tier: 1,
    about: "Show links, addresses, routes, neighbours and rules",
    about_zh: "显示网络接口、地址、路由、邻居与策略规则",
    page: include_str!("../pages/ip.md"),
    cases: include_str!("../cases/ip.txt"),
    run,
};

/// How things are shown.
#[derive(Clone, Debug, Default)]
struct Options {
    /// `AF_*`, 0 for what the object prefers, 17 (`AF_PACKET`) for links only.
    family: u8,
    brief: bool,
    one_line: bool,
    json: bool,
    pretty: bool,
    statistics: u32,
    details: bool,
    numeric: bool,
    explain: bool,
}

/// `AF_PACKET`: no address of any family.
const NO_FAMILY: u8 = 17;

/// What ends the command: a sentence on standard error and an exit code.
#[derive(Debug)]
struct Refused {
    said: String,
    code: i32,
}

impl Refused {
    fn new(code: i32, said: impl Into<String>) -> Refused {
        let said = said.into();
        Refused { said, code }
    }

    fn incomplete() -> Refused {
        Refused::new(255, "Command line is not complete. Try option \"help\"")
    }
}

impl From<netshoot_host::Error> for Refused {
    fn from(e: netshoot_host::Error) -> Refused {
        match e.errno() {
            Some(errno) => {
                let said = std::io::Error::from_raw_os_error(errno).to_string();
                let said = said
                    .split(" (os error")
                    .next()
                    .unwrap_or_default()
                    .to_string();
                Refused::new(2, format!("RTNETLINK answers: {said}"))
            }
            None => Refused::new(2, e.to_string()),
        }
    }
}

type Shown = std::result::Result<Vec<Record>, Refused>;

const HELP: &str = "\
Usage: ip [ OPTIONS ] OBJECT [ show SELECTORS ]
       OBJECT := { address | link | route | neighbour | rule }
       ip route get ADDRESS [ from ADDRESS ] [ iif DEV ] [ oif DEV ] [ mark MARK ] [ fibmatch ]
       OPTIONS := { -4 | -6 | -0 | -f[amily] { inet | inet6 | link } | -br[ief] | -o[neline] | -j[son] |
                    -p[retty] | -s[tatistics] | -d[etails] | -N[umeric] | -V[ersion] | --explain }
It shows; it changes nothing.
";

fn run(args: &[OsString], io: &mut Io<'_>) -> Result<i32> {
    let words: Vec<String> = args
        .iter()
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    let mut options = Options::default();
    let shown = match options.take(&words) {
        Ok(Asked::Help) => {
            write!(io.err, "{HELP}")?;
            return Ok(255);
        }
        Ok(Asked::Version) => {
            writeln!(io.out, "ip utility, netshoot {}", crate::version::SHORT)?;
            return Ok(0);
        }
        Ok(Asked::Object(rest)) => object(rest, &options),
        Err(refused) => Err(refused),
    };
    match shown {
        Ok(records) => {
            print(&records, &options, io)?;
            if options.explain {
                writeln!(io.out, "{}", explained(&records, io.lang))?;
            }
            Ok(0)
        }
        Err(refused) => {
            writeln!(io.err, "{}", refused.said)?;
            Ok(refused.code)
        }
    }
}

/// What the list says in a cluster's terms.
fn explained(records: &[Record], lang: crate::io::Lang) -> &'static str {
    let any = |what: &str| records.iter().any(|r| r.text.contains(what));
    if records.is_empty() {
        return lang.pick(
            "Nothing is there: this network namespace has none of these",
            "没有任何条目：此网络命名空间中不存在",
        );
    }
    if any("NO-CARRIER") || any("state DOWN") {
        return lang.pick(
            "A link is down or has no carrier: its other end, in a pod the node's half of the veth, is down or gone",
            "有接口处于 DOWN 或无载波：其对端（Pod 中为节点一侧的 veth）已停用或不存在",
        );
    }
    if any("FAILED") || any("INCOMPLETE") {
        return lang.pick(
            "A neighbour does not answer ARP or neighbour discovery: nobody on the link has the address, or something drops it below IP",
            "有邻居不应答 ARP 或邻居发现：链路上无人拥有该地址，或在 IP 之下被丢弃",
        );
    }
    if any("blackhole ") || any("unreachable ") || any("prohibit ") {
        return lang.pick(
            "A route throws packets away on purpose: CNI plug-ins set such routes for ranges that have no pod yet",
            "存在有意丢弃报文的路由：CNI 插件会为尚无 Pod 的网段设置此类路由",
        );
    }
    lang.pick(
        "In a pod eth0 is one end of a veth whose other end is on the node; a default route by 169.254.1.1 or the node's bridge is the CNI plug-in's own way",
        "Pod 中的 eth0 是 veth 的一端，另一端在节点上；经由 169.254.1.1 或节点网桥的默认路由是 CNI 插件的做法",
    )
}

fn print(records: &[Record], options: &Options, io: &mut Io<'_>) -> Result<()> {
    let mut text = String::new();
    if options.json {
        let objects = records.iter().map(|r| Json::Object(r.fields.clone()));
        Json::List(objects.collect()).print(options.pretty, 0, &mut text);
        text.push('\n');
    } else {
        for record in records {
            let lines = record.text.trim_end_matches('\n');
            match options.one_line {
                true => text.push_str(&lines.replace('\n', "\\")),
                false => text.push_str(lines),
            }
            text.push('\n');
        }
    }
    io.out.write_all(text.as_bytes())?;
    Ok(())
}

enum Asked<'a> {
    Help,
    Version,
    Object(&'a [String]),
}

impl Options {
    /// Takes the options before the object.
    fn take<'a>(&mut self, words: &'a [String]) -> std::result::Result<Asked<'a>, Refused> {
        let mut at = 0;
        while let Some(word) = words.get(at).filter(|w| w.starts_with('-')) {
            at += 1;
            // One dash or two.
            let given = word
                .strip_prefix("--")
                .or(word.strip_prefix('-'))
                .unwrap_or_default();
            let is = |name: &str| !given.is_empty() && name.starts_with(given);
            match given {
                "4" => self.family = AF_INET,
                "6" => self.family = AF_INET6,
                "0" => self.family = NO_FAMILY,
                "" => break,
                "o" => self.one_line = true,
                "d" => self.details = true,
                "s" => self.statistics += 1,
                "h" | "a" | "t" | "r" | "I" => {}
                "N" => self.numeric = true,
                "br" => self.brief = true,
                _ if is("family") => {
                    let value = words.get(at).ok_or_else(Refused::incomplete)?;
                    at += 1;
                    self.family = match value.as_str() {
                        "inet" => AF_INET,
                        "inet6" => AF_INET6,
                        "link" => NO_FAMILY,
                        "help" => return Ok(Asked::Help),
                        other => {
                            let said = format!(
                                "Error: argument \"{other}\" is wrong: invalid protocol family\n"
                            );
                            return Err(Refused::new(255, said));
                        }
                    };
                }
                _ if is("loops") || is("rcvbuf") || is("netns") || is("batch") => {
                    let value = words.get(at).ok_or_else(Refused::incomplete)?;
                    at += 1;
                    if is("netns") {
                        enter(value)?;
                    }
                }
                _ if is("statistics") || is("stats") => self.statistics += 1,
                _ if is("details") => self.details = true,
                _ if is("oneline") => self.one_line = true,
                _ if is("json") => self.json = true,
                _ if is("pretty") => self.pretty = true,
                _ if is("brief") => self.brief = true,
                "explain" => self.explain = true,
                _ if is("Numeric") => self.numeric = true,
                _ if is("human-readable") || is("timestamp") || is("tshort") || is("iec") => {}
                _ if is("resolve") || is("force") || is("all") || is("echo") => {}
                _ if is("color") || given.starts_with("c=") || given.starts_with("color=") => {}
                _ if is("Version") => return Ok(Asked::Version),
                _ if is("help") => return Ok(Asked::Help),
                _ => {
                    let said = format!("Option \"{word}\" is unknown, try \"ip -help\".");
                    return Err(Refused::new(255, said));
                }
            }
        }
        match words.get(at..) {
            None | Some([]) => Ok(Asked::Help),
            Some(rest) => Ok(Asked::Object(rest)),
        }
    }
}

/// Goes into a namespace that has a name below /run/netns.
fn enter(name: &str) -> std::result::Result<(), Refused> {
    let place = format!("/var/run/netns/{name}");
    let entered = netshoot_host::netns::NetNs::open(&place).and_then(|ns| ns.set_current());
    entered.map_err(|e| {
        let errno = e.errno().unwrap_or(libc::ENOENT);
        let said = std::io::Error::from_raw_os_error(errno).to_string();
        let said = said.split(" (os error").next().unwrap_or_default();
        Refused::new(
            255,
            format!("Cannot open network namespace \"{name}\": {said}"),
        )
    })
}

/// Objects in the order in which their beginnings are looked up.
const OBJECTS: &[&str] = &["address", "route", "rule", "neighbor", "neighbour", "link"];

fn object(words: &[String], options: &Options) -> Shown {
    let word = words.first().map_or("", String::as_str);
    let found = OBJECTS.iter().find(|o| o.starts_with(word)).copied();
    let rest = words.get(1..).unwrap_or_default();
    match found {
        Some("address") => link::addresses(
            shows(
                rest,
                "addr",
                &[
                    "add", "change", "replace", "del", "flush", "save", "restore",
                ],
            )?,
            options,
        ),
        Some("link") => link::links(
            shows(
                rest,
                "link",
                &[
                    "add", "set", "replace", "del", "xstats", "afstats", "property",
                ],
            )?,
            options,
        ),
        Some("route") => route::routes(rest, options),
        Some("neighbor" | "neighbour") => neighbour::neighbours(
            shows(
                rest,
                "neigh",
                &["add", "change", "chg", "replace", "del", "get", "flush"],
            )?,
            options,
        ),
        Some("rule") => rule::rules(
            shows(rest, "rule", &["add", "del", "flush", "save", "restore"])?,
            options,
        ),
        _ if word == "help" => Err(Refused::new(255, HELP.trim_end())),
        _ => {
            let said = format!("Object \"{word}\" is unknown, try \"ip help\".");
            Err(Refused::new(1, said))
        }
    }
}

/// The selectors behind `show`, `list` or nothing; what would change something is refused.
fn shows<'a>(
    words: &'a [String],
    object: &str,
    changing: &[&str],
) -> std::result::Result<&'a [String], Refused> {
    let Some(word) = words.first().map(String::as_str) else {
        return Ok(words);
    };
    let command = changing.iter().find(|c| c.starts_with(word));
    let shown = ["show", "lst", "list"].iter().any(|c| c.starts_with(word));
    // Of `ip link s` the original makes `set`, of every other `s` it makes `show`.
    if let Some(command) = command.filter(|_| !shown || object == "link" && word != "show") {
        let said = format!("ip {object} {command}: this ip shows and changes nothing");
        return Err(Refused::new(255, said));
    }
    if shown {
        return Ok(words.get(1..).unwrap_or_default());
    }
    if word == "help" {
        return Err(Refused::new(255, HELP.trim_end()));
    }
    let said = format!("Command \"{word}\" is unknown, try \"ip {object} help\".");
    Err(Refused::new(255, said))
}

/// Names of links by their index.
fn names(links: &[rtnl::Link]) -> BTreeMap<u32, String> {
    links.iter().map(|l| (l.index, l.name.clone())).collect()
}

fn name(names: &BTreeMap<u32, String>, index: u32) -> String {
    match names.get(&index) {
        Some(name) => name.clone(),
        None => format!("if{index}"),
    }
}

/// The index of a link that is named.
fn index(names: &BTreeMap<u32, String>, wanted: &str) -> std::result::Result<u32, Refused> {
    let found = names.iter().find(|(_, name)| *name == wanted);
    found
        .map(|(index, _)| *index)
        .ok_or_else(|| no_device(wanted))
}

fn no_device(name: &str) -> Refused {
    Refused::new(1, format!("Cannot find device \"{name}\""))
}

/// The value behind a selector.
fn value<'a>(words: &mut std::slice::Iter<'a, String>) -> std::result::Result<&'a str, Refused> {
    words
        .next()
        .map(String::as_str)
        .ok_or_else(Refused::incomplete)
}

/// A prefix as iproute2 takes it: missing bytes of IPv4 are zero, `default` is all there is.
fn prefix(text: &str, family: u8) -> std::result::Result<Option<(IpAddr, u8)>, Refused> {
    if ["default", "any", "all"].contains(&text) {
        return Ok(None);
    }
    let expected = match family {
        AF_INET => "inet",
        AF_INET6 => "inet6",
        _ => "any valid",
    };
    let wrong = || {
        let said = format!("Error: {expected} prefix is expected rather than \"{text}\".");
        Refused::new(1, said)
    };
    let (host, bits) = match text.split_once('/') {
        Some((host, bits)) => (host, Some(bits.parse::<u8>().map_err(|_| wrong())?)),
        None => (text, None),
    };
    let address = match host.parse::<IpAddr>() {
        Ok(address) => address,
        Err(_) => short_v4(host).ok_or_else(wrong)?,
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    let other = family == AF_INET && most == 128 || family == AF_INET6 && most == 32;
    match bits.unwrap_or(most) {
        bits if bits <= most && !other => Ok(Some((address, bits))),
        _ => Err(wrong()),
    }
}

/// `10.1` is 10.1.0.0.
fn short_v4(text: &str) -> Option<IpAddr> {
    let parts: Option<Vec<u8>> = text.split('.').map(|p| p.parse().ok()).collect();
    let mut parts = parts.filter(|p| (1..=4).contains(&p.len()))?;
    parts.resize(4, 0);
    let [a, b, c, d] = <[u8; 4]>::try_from(parts).ok()?;
    Some(IpAddr::from([a, b, c, d]))
}

/// Whether `inner` lies in the prefix.
fn within(inner: IpAddr, outer: (IpAddr, u8)) -> bool {
    let bits = |a: IpAddr| match a {
        IpAddr::V4(a) => u128::from(u32::from(a)) << 96,
        IpAddr::V6(a) => u128::from(a),
    };
    let mask = match outer.1 {
        0 => 0,
        n => u128::MAX << (128 - u32::from(n.min(128))),
    };
    inner.is_ipv4() == outer.0.is_ipv4() && (bits(inner) ^ bits(outer.0)) & mask == 0
}

/// The table of a number, as /etc/iproute2/rt_tables names it everywhere.
fn table_word(table: u32, numeric: bool) -> String {
    match table {
        253 if !numeric => "default".into(),
        254 if !numeric => "main".into(),
        255 if !numeric => "local".into(),
        n => n.to_string(),
    }
}

/// The number of a table.
fn table_number(word: &str) -> Option<u32> {
    match word {
        "default" => Some(253),
        "main" => Some(254),
        "local" => Some(255),
        n => n.parse().ok(),
    }
}

/// A scope in words.
fn scope_word(scope: u8, numeric: bool) -> String {
    match scope {
        n if numeric => n.to_string(),
        0 => "global".into(),
        200 => "site".into(),
        253 => "link".into(),
        254 => "host".into(),
        255 => "nowhere".into(),
        n => n.to_string(),
    }
}
