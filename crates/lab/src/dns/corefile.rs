//! The Corefile: server blocks and the plugins of each, as far as they change an answer.

use std::net::{IpAddr, SocketAddr};

/// Directives that a server takes and that change no answer here.
const WITHOUT_EFFECT: &[&str] = &[
    "any",
    "bind",
    "bufsize",
    "cancel",
    "debug",
    "health",
    "import",
    "lameduck",
    "loadbalance",
    "metadata",
    "multisocket",
    "prometheus",
    "ready",
    "timeouts",
    "trace",
];

/// One server block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// Zones, lower case, without the final dot; the root is empty.
    pub zones: Vec<String>,
    /// Port.
    pub port: u16,
    /// `errors`: failures are logged.
    pub errors: bool,
    /// `log`: queries are logged.
    pub log: bool,
    /// `reload`: a changed Corefile counts without a restart.
    pub reload: bool,
    /// `loop`: ends when its own queries come back to it.
    pub loops: bool,
    /// `cache`: answers of an upstream are kept for at most so many seconds.
    pub cache: Option<u32>,
    /// `template`s in order.
    pub templates: Vec<Template>,
    /// `hosts` with inline lines.
    pub hosts: Option<Hosts>,
    /// `kubernetes`.
    pub kubernetes: Option<Kubernetes>,
    /// `forward`s in order.
    pub forwards: Vec<Forward>,
}

/// `kubernetes ZONES... { }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kubernetes {
    /// Zones, the reverse ones too; the first other one names Services.
    pub zones: Vec<String>,
    /// `pods`: `disabled`, `insecure` or `verified`.
    pub pods: String,
    /// `ttl`, seconds.
    pub ttl: u32,
    /// Zones whose missing names go on to the next plugin; the root for all.
    pub fallthrough: Vec<String>,
}

/// `forward FROM TO... { }`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forward {
    /// Zone.
    pub from: String,
    /// Upstreams.
    pub to: Vec<SocketAddr>,
    /// Zones left out.
    pub except: Vec<String>,
    /// `force_tcp`
    pub force_tcp: bool,
}

/// `hosts { ADDRESS NAME... }`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts {
    /// Name, address.
    pub lines: Vec<(String, IpAddr)>,
    /// `ttl`, seconds.
    pub ttl: u32,
    /// Names that are not there go on to the next plugin.
    pub fallthrough: bool,
}

/// `template CLASS TYPE ZONES... { }`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    /// Record type's word, `ANY` for all.
    pub kind: String,
    /// Zones.
    pub zones: Vec<String>,
    /// `rcode`'s word.
    pub rcode: String,
    /// Addresses of `answer` lines.
    pub answers: Vec<(u32, IpAddr)>,
}

/// Blocks within blocks; a server and its plugins need two.
const DEEPEST: usize = 8;

/// A directive with its block.
struct Directive<'a> {
    line: usize,
    words: Vec<&'a str>,
    inside: Vec<Directive<'a>>,
}

/// Reads a Corefile; `resolv_conf` is where a `forward` to a file looks. The error is what the
/// server logs before it ends.
pub fn parse(text: &str, resolv_conf: &str) -> Result<Vec<Block>, String> {
    let mut lines = text.lines().enumerate();
    let top = directives(&mut lines, 0).map_err(|(l, e)| at(l, &e))?;
    let mut blocks = Vec::new();
    for block in top {
        let mut made = Block::default();
        for key in block
            .words
            .iter()
            .flat_map(|w| w.split(','))
            .filter(|w| !w.is_empty())
        {
            let key = key.rsplit_once("://").map_or(key, |(_, rest)| rest);
            let (zone, port) = match key.rsplit_once(':') {
                Some((zone, port)) => (
                    zone,
                    port.parse()
                        .map_err(|_| at(block.line, &format!("invalid port '{port}'")))?,
                ),
                None => (key, 53),
            };
            made.zones.push(zone_name(zone));
            made.port = port;
        }
        for directive in &block.inside {
            apply(&mut made, directive, resolv_conf).map_err(|(l, e)| at(l, &e))?;
        }
        blocks.push(made);
    }
    if blocks.is_empty() {
        return Err(at(1, "no server block"));
    }
    Ok(blocks)
}

fn at(line: usize, why: &str) -> String {
    format!("/etc/coredns/Corefile:{line} - Error during parsing: {why}")
}

fn zone_name(text: &str) -> String {
    text.trim_matches('.').to_ascii_lowercase()
}

type Failed = (usize, String);

fn directives<'a>(
    lines: &mut impl Iterator<Item = (usize, &'a str)>,
    within: usize,
) -> Result<Vec<Directive<'a>>, Failed> {
    let mut all = Vec::new();
    let mut last = 1;
    while let Some((number, line)) = lines.next() {
        last = number + 1;
        let mut words: Vec<&str> = line
            .split_ascii_whitespace()
            .take_while(|w| !w.starts_with('#'))
            .collect();
        let opens = words.last() == Some(&"{");
        if opens {
            words.pop();
        }
        match words.first() {
            Some(&"}") if within > 0 && !opens => return Ok(all),
            Some(&"}") => return Err((last, "Unexpected '}'".into())),
            None if opens => return Err((last, "Unexpected '{'".into())),
            None => {}
            Some(_) if opens && within >= DEEPEST => {
                return Err((last, format!("blocks nested more than {DEEPEST} deep")));
            }
            Some(_) => {
                let inside = if opens {
                    directives(lines, within + 1)?
                } else {
                    Vec::new()
                };
                all.push(Directive {
                    line: last,
                    words,
                    inside,
                });
            }
        }
    }
    if within > 0 {
        Err((last, "Unexpected EOF".into()))
    } else {
        Ok(all)
    }
}

fn apply(block: &mut Block, directive: &Directive<'_>, resolv_conf: &str) -> Result<(), Failed> {
    let (name, arguments) = directive
        .words
        .split_first()
        .map_or(("", &[][..]), |(n, a)| (*n, a));
    match name {
        "errors" => block.errors = true,
        "log" => block.log = true,
        "reload" => block.reload = true,
        "loop" => block.loops = true,
        "cache" => {
            block.cache = Some(
                arguments
                    .first()
                    .and_then(|a| a.parse().ok())
                    .unwrap_or(3600),
            )
        }
        "kubernetes" => block.kubernetes = Some(kubernetes(directive, arguments, &block.zones)?),
        "forward" => block
            .forwards
            .push(forward(directive, arguments, resolv_conf)?),
        "hosts" => block.hosts = Some(hosts(directive)),
        "template" => block.templates.push(template(directive, arguments)),
        _ if WITHOUT_EFFECT.contains(&name) => {}
        _ => return Err((directive.line, format!("Unknown directive '{name}'"))),
    }
    Ok(())
}

fn zones(words: &[&str]) -> Vec<String> {
    words.iter().map(|w| zone_name(w)).collect()
}

/// `fallthrough` without zones is for all.
fn all_or(words: &[&str]) -> Vec<String> {
    if words.is_empty() {
        vec![String::new()]
    } else {
        zones(words)
    }
}

fn kubernetes(
    directive: &Directive<'_>,
    arguments: &[&str],
    of_block: &[String],
) -> Result<Kubernetes, Failed> {
    let zones = if arguments.is_empty() {
        of_block.to_vec()
    } else {
        zones(arguments)
    };
    let mut made = Kubernetes {
        zones,
        pods: "disabled".into(),
        ttl: 5,
        fallthrough: Vec::new(),
    };
    for inner in &directive.inside {
        let wrong = |why: String| (inner.line, format!("plugin/kubernetes: {why}"));
        match inner.words.as_slice() {
            ["pods", mode @ ("disabled" | "insecure" | "verified")] => made.pods = mode.to_string(),
            ["pods", ..] => return Err(wrong("wrong value for pods".into())),
            ["ttl", seconds] => {
                let seconds: u32 = seconds
                    .parse()
                    .map_err(|_| wrong(format!("wrong ttl '{seconds}'")))?;
                if seconds > 3600 {
                    return Err(wrong(format!("ttl must be in range [0, 3600]: {seconds}")));
                }
                made.ttl = seconds;
            }
            ["fallthrough", zones @ ..] => made.fallthrough = all_or(zones),
            [
                "endpoint" | "tls" | "kubeconfig" | "apiserver_qps" | "apiserver_burst"
                | "endpoint_pod_names" | "noendpoints",
                ..,
            ] => {}
            ["namespaces" | "namespace_labels" | "labels" | "ignore", ..] => {
                return Err(wrong(format!(
                    "'{}' is not played in a world",
                    inner.words.join(" ")
                )));
            }
            other => {
                return Err(wrong(format!(
                    "unknown property '{}'",
                    other.first().unwrap_or(&"")
                )));
            }
        }
    }
    Ok(made)
}

fn forward(
    directive: &Directive<'_>,
    arguments: &[&str],
    resolv_conf: &str,
) -> Result<Forward, Failed> {
    let wrong = |why: String| (directive.line, format!("plugin/forward: {why}"));
    let Some((from, to)) = arguments.split_first().filter(|(_, to)| !to.is_empty()) else {
        return Err((
            directive.line,
            "Wrong argument count or unexpected line ending after 'forward'".into(),
        ));
    };
    let mut made = Forward {
        from: zone_name(from),
        ..Forward::default()
    };
    for word in to {
        let plain = word.strip_prefix("dns://").unwrap_or(word);
        let address = plain
            .parse()
            .map(|a: IpAddr| SocketAddr::new(a, 53))
            .or_else(|_| plain.parse());
        match address {
            Ok(address) => made.to.push(address),
            Err(_) if plain.starts_with('/') => {
                made.to
                    .extend(crate::behave::resolve::Resolver::from_text(resolv_conf).servers);
            }
            Err(_) => return Err(wrong(format!("not an IP address or file: {word:?}"))),
        }
    }
    if made.to.is_empty() {
        return Err(wrong("no nameservers found".into()));
    }
    for inner in &directive.inside {
        match inner.words.as_slice() {
            ["except", zones @ ..] => made.except.extend(self::zones(zones)),
            ["force_tcp"] => made.force_tcp = true,
            _ => {}
        }
    }
    Ok(made)
}

fn hosts(directive: &Directive<'_>) -> Hosts {
    let mut made = Hosts {
        ttl: 3600,
        ..Hosts::default()
    };
    for inner in &directive.inside {
        match inner.words.as_slice() {
            ["fallthrough", ..] => made.fallthrough = true,
            ["ttl", seconds] => made.ttl = seconds.parse().unwrap_or(made.ttl),
            [address, names @ ..] => {
                if let Ok(address) = address.parse() {
                    made.lines
                        .extend(names.iter().map(|n| (zone_name(n), address)));
                }
            }
            [] => {}
        }
    }
    made
}

fn template(directive: &Directive<'_>, arguments: &[&str]) -> Template {
    let kind = arguments
        .get(1)
        .map_or("ANY".into(), |w| w.to_ascii_uppercase());
    let zones = all_or(arguments.get(2..).unwrap_or_default());
    let mut made = Template {
        kind,
        zones,
        rcode: "NOERROR".into(),
        answers: Vec::new(),
    };
    for inner in &directive.inside {
        match inner.words.as_slice() {
            ["rcode", word] => made.rcode = word.to_ascii_uppercase(),
            ["answer", words @ ..] => {
                // "{{ .Name }} 60 IN A 192.0.2.1": the number, and the address at the end.
                let ttl = words.iter().find_map(|w| w.parse().ok()).unwrap_or(3600);
                let address = words.last().and_then(|w| w.trim_matches('"').parse().ok());
                made.answers.extend(address.map(|a| (ttl, a)));
            }
            _ => {}
        }
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESOLV: &str = "nameserver 198.51.100.53\nnameserver 2001:db8::53\n";

    #[test]
    fn the_usual_one() {
        let blocks = parse(crate::controllers::system::COREFILE, RESOLV).unwrap();
        let [block] = blocks.as_slice() else {
            panic!("{blocks:?}")
        };
        assert_eq!(
            (block.zones.as_slice(), block.port),
            (&[String::new()][..], 53)
        );
        assert!(block.errors && block.reload && block.loops && !block.log);
        assert_eq!(block.cache, Some(30));
        let reverse = ["in-addr.arpa".to_string(), "ip6.arpa".into()];
        let kubernetes = block.kubernetes.as_ref().unwrap();
        assert_eq!(
            kubernetes.zones,
            ["cluster.local", "in-addr.arpa", "ip6.arpa"]
        );
        assert_eq!(
            (
                kubernetes.pods.as_str(),
                kubernetes.ttl,
                kubernetes.fallthrough.as_slice()
            ),
            ("insecure", 30, &reverse[..])
        );
        let to: Vec<String> = block.forwards[0]
            .to
            .iter()
            .map(SocketAddr::to_string)
            .collect();
        assert_eq!(to, ["198.51.100.53:53", "[2001:db8::53]:53"]);
    }

    #[test]
    fn stub_zones_hosts_and_templates() {
        let text = "corp.example.test:53 {\n  forward . 192.0.2.7:5353 { \n    except a.corp.example.test\n    force_tcp\n  }\n}\n\
                    . {\n  hosts {\n    192.0.2.9 db.example.test db2.example.test\n    ttl 7\n    fallthrough\n  }\n\
                    template IN A bad.test {\n rcode SERVFAIL\n }\n template IN A {\n answer \"{{ .Name }} 60 IN A 192.0.2.1\"\n }\n}\n";
        let blocks = parse(text, "").unwrap();
        assert_eq!(blocks[0].zones, ["corp.example.test"]);
        assert_eq!(
            blocks[0].forwards[0].to,
            ["192.0.2.7:5353".parse().unwrap()]
        );
        assert!(blocks[0].forwards[0].force_tcp);
        assert_eq!(blocks[0].forwards[0].except, ["a.corp.example.test"]);
        let hosts = blocks[1].hosts.as_ref().unwrap();
        assert_eq!(
            (hosts.lines.len(), hosts.ttl, hosts.fallthrough),
            (2, 7, true)
        );
        assert_eq!(blocks[1].templates[0].rcode, "SERVFAIL");
        assert_eq!(
            blocks[1].templates[1].answers,
            [(60, "192.0.2.1".parse().unwrap())]
        );
    }

    #[test]
    fn mistakes_are_told_as_the_server_tells_them() {
        for (text, why) in [
            (
                ".:53 {\n  errors\n  kubernets cluster.local\n}\n",
                "Corefile:3 - Error during parsing: Unknown directive 'kubernets'",
            ),
            (
                ".:53 {\n  errors\n",
                "Corefile:2 - Error during parsing: Unexpected EOF",
            ),
            ("}\n", "Corefile:1 - Error during parsing: Unexpected '}'"),
            (".:x {\n}\n", "invalid port 'x'"),
            (
                ". {\n forward . dns.example.test\n}",
                "not an IP address or file",
            ),
            (
                ". {\n forward . /etc/resolv.conf\n}",
                "no nameservers found",
            ),
            (". {\n forward .\n}", "Wrong argument count"),
            (
                ". {\n kubernetes cluster.local {\n pods maybe\n }\n}",
                "wrong value for pods",
            ),
            (
                ". {\n kubernetes cluster.local {\n colour red\n }\n}",
                "unknown property 'colour'",
            ),
            ("", "no server block"),
        ] {
            let told = parse(text, "").unwrap_err();
            assert!(told.contains(why), "{text}: {told}");
        }
    }

    #[test]
    fn no_text_panics() {
        let mut random = crate::behave::Random::new(3);
        for _ in 0..3000 {
            let mut bytes = crate::controllers::system::COREFILE.as_bytes().to_vec();
            for _ in 0..random.below(6) {
                let place = random.below(bytes.len() as u64) as usize;
                bytes[place] = b"{} \n.:#ab1"[random.below(10) as usize];
            }
            bytes.truncate(random.below(bytes.len() as u64 + 1) as usize);
            let _ = parse(&String::from_utf8_lossy(&bytes), RESOLV);
        }
    }
}
