//! resolv.conf(5) as text, and the names a resolver library makes of one.

use netshoot_model::probe::ResolvConf;
use std::net::IpAddr;

/// Servers a resolver library takes notice of (`MAXNS`).
const MAX_SERVERS: usize = 3;
/// Upper bound of `ndots` (resolv.conf(5)).
const MAX_NDOTS: u32 = 15;

/// Reads the text as resolv.conf(5) says: the last `search` or `domain` line wins, unknown lines
/// and words are passed over, an address that does not parse is left out.
pub fn parse(text: &str) -> ResolvConf {
    let mut conf = ResolvConf {
        ndots: 1,
        ..ResolvConf::default()
    };
    for line in text.lines().filter(|l| !l.starts_with(['#', ';'])) {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("nameserver") => {
                // A link-local server has its interface behind a percent sign.
                let address = words.next().map(|w| w.split('%').next().unwrap_or(w));
                conf.nameservers
                    .extend(address.and_then(|a| a.parse::<IpAddr>().ok()));
            }
            Some("search") => conf.search = words.map(suffix).filter(|s| !s.is_empty()).collect(),
            Some("domain") => {
                conf.search = words
                    .take(1)
                    .map(suffix)
                    .filter(|s| !s.is_empty())
                    .collect()
            }
            Some("options") => {
                if let Some(n) = words
                    .filter_map(|w| w.strip_prefix("ndots:")?.parse::<u32>().ok())
                    .next_back()
                {
                    conf.ndots = n.min(MAX_NDOTS);
                }
            }
            _ => {}
        }
    }
    conf.nameservers.truncate(MAX_SERVERS);
    conf
}

fn suffix(word: &str) -> String {
    word.trim_matches('.').to_string()
}

/// The full names that are tried for a name, in order, without final dots: as it stands first
/// when it has at least `ndots` dots, else last; only as it stands when it ends in a dot.
pub fn candidates(name: &str, conf: &ResolvConf) -> Vec<String> {
    if let Some(absolute) = name.strip_suffix('.') {
        return vec![absolute.to_string()];
    }
    let mut all: Vec<String> = conf.search.iter().map(|s| format!("{name}.{s}")).collect();
    let dots = name.matches('.').count();
    let at = if dots >= conf.ndots as usize {
        0
    } else {
        all.len()
    };
    all.insert(at, name.to_string());
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pods_resolv_conf() {
        let text = "# kubelet\nsearch default.svc.cluster.local svc.cluster.local. cluster.local\nnameserver 10.96.0.10\n\
                    nameserver fe80::1%eth0\nnameserver nonsense\nnameserver fd00::a\nnameserver 10.0.0.4\n\
                    options ndots:5 timeout:1\n;options ndots:1\nsortlist 1.2.3.4\n";
        let conf = parse(text);
        assert_eq!(
            conf.search,
            [
                "default.svc.cluster.local",
                "svc.cluster.local",
                "cluster.local"
            ]
        );
        let servers: Vec<String> = conf.nameservers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["10.96.0.10", "fe80::1", "fd00::a"]);
        assert_eq!(conf.ndots, 5);
    }

    #[test]
    fn the_last_line_wins_and_nothing_has_defaults() {
        assert_eq!(parse("search a b\ndomain c d\n").search, ["c"]);
        assert_eq!(parse("domain c\nsearch\n").search, Vec::<String>::new());
        assert_eq!(parse("options ndots:99").ndots, 15);
        assert_eq!(
            parse(""),
            ResolvConf {
                ndots: 1,
                ..ResolvConf::default()
            }
        );
    }

    #[test]
    fn order_of_candidates() {
        let conf = |ndots| ResolvConf {
            search: vec!["a.b".into(), "b".into()],
            ndots,
            ..ResolvConf::default()
        };
        for (name, ndots, expected) in [
            ("web", 5, "web.a.b web.b web"),
            ("web.shop", 1, "web.shop web.shop.a.b web.shop.b"),
            ("web.shop", 2, "web.shop.a.b web.shop.b web.shop"),
            ("web.", 5, "web"),
            ("web", 0, "web web.a.b web.b"),
        ] {
            assert_eq!(
                candidates(name, &conf(ndots)).join(" "),
                expected,
                "{name} ndots:{ndots}"
            );
        }
    }

    #[test]
    fn damaged_files_are_read_as_far_as_they_go() {
        let seeds = [
            "search default.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n",
            "# a\ndomain example.org\nnameserver fe80::1%eth0\nnameserver fd00::a\noptions timeout:1 ndots:2 rotate\n",
        ];
        netshoot_wire::fuzz::texts(&seeds, 20_000, |text| {
            let conf = parse(text);
            assert!(conf.nameservers.len() <= MAX_SERVERS && conf.ndots <= MAX_NDOTS);
            let mut written = format!(
                "search {}\noptions ndots:{}\n",
                conf.search.join(" "),
                conf.ndots
            );
            for server in &conf.nameservers {
                written += &format!("nameserver {server}\n");
            }
            assert_eq!(parse(&written), conf, "{text:?}");
            let names = candidates("web.shop", &conf);
            assert_eq!(names.len(), conf.search.len() + 1, "{text:?}");
            assert!(names.iter().any(|n| n == "web.shop"), "{text:?}");
        });
    }
}
