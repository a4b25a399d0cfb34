//! A CoreDNS Corefile as far as a diagnosis needs it: server blocks, their zones, their plugins with
//! arguments. Lenient: a line that is not understood is a plugin with words, never an error.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

/// One server block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// Zones in lower case without the final dot; the root is empty.
    pub zones: Vec<String>,
    /// Its plugins in the order written.
    pub plugins: Vec<Plugin>,
    /// Its lines, from 0.
    pub lines: Range<usize>,
}

/// One plugin line with the lines in its braces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plugin {
    /// The words: `forward`, `.`, `10.0.0.53`.
    pub words: Vec<String>,
    /// The words of each line in its braces, deeper ones flattened.
    pub inside: Vec<Vec<String>>,
    /// Its lines, from 0.
    pub lines: Range<usize>,
}

/// Where a name is sent: the zone and its upstreams.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forward {
    /// The zone of the block or of the line, whichever is narrower; the root is empty.
    pub zone: String,
    /// Upstreams that are addresses.
    pub to: Vec<SocketAddr>,
    /// Upstreams that are files (`/etc/resolv.conf`).
    pub files: Vec<String>,
}

/// Reads a Corefile.
pub fn parse(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut depth = 0usize;
    for (at, line) in text.lines().enumerate() {
        let mut words: Vec<String> = line
            .split_whitespace()
            .take_while(|w| !w.starts_with('#'))
            .map(String::from)
            .collect();
        let opens = words.last().is_some_and(|w| w == "{");
        if opens {
            words.pop();
        }
        if words.first().is_some_and(|w| w == "}") {
            depth = depth.saturating_sub(1);
            if let Some(block) = blocks.last_mut() {
                block.lines.end = at + 1;
                if let Some(plugin) = block.plugins.last_mut().filter(|_| depth > 0) {
                    plugin.lines.end = at + 1;
                }
            }
            continue;
        }
        match (depth, blocks.last_mut()) {
            (0, _) if opens => blocks.push(Block {
                zones: words
                    .iter()
                    .flat_map(|w| w.split(','))
                    .filter(|w| !w.is_empty())
                    .map(zone_of_key)
                    .collect(),
                plugins: Vec::new(),
                lines: at..at + 1,
            }),
            (1, Some(block)) if !words.is_empty() => block.plugins.push(Plugin {
                words,
                inside: Vec::new(),
                lines: at..at + 1,
            }),
            (2.., Some(block)) if !words.is_empty() => {
                if let Some(plugin) = block.plugins.last_mut() {
                    plugin.inside.push(words);
                }
            }
            _ => {}
        }
        depth += usize::from(opens);
    }
    blocks
}

/// The text without some of its lines.
pub fn without(text: &str, lines: &Range<usize>) -> String {
    let kept = text
        .lines()
        .enumerate()
        .filter(|(at, _)| !lines.contains(at));
    kept.map(|(_, l)| format!("{l}\n")).collect()
}

/// `dns://corp.example:5353` is the zone `corp.example`.
fn zone_of_key(key: &str) -> String {
    let key = key.rsplit_once("://").map_or(key, |(_, rest)| rest);
    let zone = match key.rsplit_once(':') {
        Some((zone, port)) if port.bytes().all(|b| b.is_ascii_digit()) => zone,
        _ => key,
    };
    plain(zone)
}

/// Lower case, without dots at the ends.
pub fn plain(name: &str) -> String {
    name.trim_matches('.').to_ascii_lowercase()
}

/// The name lies in the zone, or is the zone itself.
pub fn within(name: &str, zone: &str) -> bool {
    zone.is_empty()
        || name == zone
        || name
            .strip_suffix(zone)
            .is_some_and(|head| head.ends_with('.'))
}

/// The narrowest of the zones that hold a name.
fn narrowest<'z>(zones: impl Iterator<Item = &'z String>, name: &str) -> Option<&'z String> {
    zones.filter(|z| within(name, z)).max_by_key(|z| z.len())
}

/// The block that answers for a name, with the zone by which it was chosen.
pub fn block_for<'b>(blocks: &'b [Block], name: &str) -> Option<(&'b Block, &'b str)> {
    let name = plain(name);
    blocks
        .iter()
        .filter_map(|b| Some((b, narrowest(b.zones.iter(), &name)?.as_str())))
        // Of blocks for the same zone the first counts, as max_by_key takes the last.
        .rev()
        .max_by_key(|(_, z)| z.len())
}

impl Block {
    /// Plugins of a name.
    pub fn all<'s>(&'s self, plugin: &'s str) -> impl Iterator<Item = &'s Plugin> + 's {
        self.plugins
            .iter()
            .filter(move |p| p.words.first().is_some_and(|w| w == plugin))
    }

    /// Where the block sends what it does not know of a name.
    pub fn forward(&self, zone: &str, name: &str) -> Option<Forward> {
        let name = plain(name);
        self.all("forward").find_map(|p| {
            let from = plain(p.words.get(1)?);
            let except = p
                .inside
                .iter()
                .filter(|l| l.first().is_some_and(|w| w == "except"))
                .flat_map(|l| l.iter().skip(1));
            if !within(&name, &from) || except.into_iter().any(|z| within(&name, &plain(z))) {
                return None;
            }
            let mut out = Forward {
                zone: if from.len() > zone.len() {
                    from
                } else {
                    zone.to_string()
                },
                ..Forward::default()
            };
            for word in p.words.iter().skip(2) {
                match upstream(word) {
                    Some(a) => out.to.push(a),
                    None => out.files.push(word.clone()),
                }
            }
            Some(out)
        })
    }
}

fn upstream(word: &str) -> Option<SocketAddr> {
    let word = word.strip_prefix("dns://").unwrap_or(word);
    word.parse::<IpAddr>()
        .map(|a| SocketAddr::new(a, 53))
        .or_else(|_| word.parse())
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COREFILE: &str = "# of the cluster\n.:53 {\n    errors\n    kubernetes cluster.local in-addr.arpa {\n       pods insecure\n    }\n    forward . /etc/resolv.conf {\n       except corp.example\n    }\n}\nCorp.Example.:53 dns://old.example {\n    forward . 10.9.0.53 10.9.0.54:5353\n}\n";

    #[test]
    fn the_narrowest_block_answers() {
        let blocks = parse(COREFILE);
        assert_eq!(blocks.len(), 2);
        let of = |name: &str| block_for(&blocks, name).map(|(_, z)| z);
        assert_eq!(of("db.corp.example."), Some("corp.example"));
        assert_eq!(of("corp.example"), Some("corp.example"));
        assert_eq!(of("a.old.example"), Some("old.example"));
        assert_eq!(of("xcorp.example"), Some(""));
    }

    #[test]
    fn upstreams_are_addresses_or_files() {
        let blocks = parse(COREFILE);
        let (block, zone) = block_for(&blocks, "db.corp.example").unwrap();
        let forward = block.forward(zone, "db.corp.example").unwrap();
        let to: Vec<String> = forward.to.iter().map(|a| a.to_string()).collect();
        assert_eq!(to, ["10.9.0.53:53", "10.9.0.54:5353"]);
        let (block, zone) = block_for(&blocks, "www.example.test").unwrap();
        let forward = block.forward(zone, "www.example.test").unwrap();
        assert_eq!((forward.zone.as_str(), forward.to.len()), ("", 0));
        assert_eq!(forward.files, ["/etc/resolv.conf"]);
        assert_eq!(block.forward(zone, "x.corp.example"), None);
    }

    #[test]
    fn a_plugin_can_be_taken_out_whole() {
        let (block, _) = block_for(&parse(COREFILE), "www.example.test")
            .map(|(b, z)| (b.clone(), z.to_string()))
            .unwrap();
        let kubernetes = block.all("kubernetes").next().unwrap();
        assert_eq!(kubernetes.lines, 3..6);
        let rest = without(COREFILE, &kubernetes.lines);
        assert!(!rest.contains("kubernetes") && !rest.contains("insecure"));
        assert_eq!(parse(&rest).len(), 2);
        assert_eq!(parse(&without(COREFILE, &block.lines)).len(), 1);
    }

    #[test]
    fn damaged_ones_are_read_without_harm() {
        netshoot_wire::fuzz::texts(
            &[COREFILE, ". {\n hosts {\n 10.0.0.1 a\n }\n}"],
            20_000,
            |t| {
                let blocks = parse(t);
                let lines = t.lines().count();
                assert!(blocks.iter().map(|b| b.plugins.len()).sum::<usize>() <= lines);
                if let Some((block, zone)) = block_for(&blocks, "a.b.example") {
                    assert!(within("a.b.example", zone), "{zone}");
                    let _ = block.forward(zone, "a.b.example");
                }
            },
        );
    }
}
