//! `-s`: how many sockets there are, without a list of them.

use anyhow::{Context, Result};
use serde_json::json;

/// The figures of /proc/net/sockstat, sockstat6 and snmp.
pub fn text(as_json: bool) -> Result<String> {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/net/{name}"));
    let v4 = read("sockstat").context("read /proc/net/sockstat")?;
    // No IPv6 in this kernel.
    let v6 = read("sockstat6").unwrap_or_default();
    let snmp = read("snmp").unwrap_or_default();
    Ok(written(&v4, &v6, established(&snmp), as_json))
}

fn written(v4: &str, v6: &str, established: u64, as_json: bool) -> String {
    let of = |word: &str, name: &str| count(v4, word, name);
    let of6 = |word: &str, name: &str| count(v6, word, name);
    let (total, orphaned, waiting) = (
        of("sockets:", "used"),
        of("TCP:", "orphan"),
        of("TCP:", "tw"),
    );
    let all = of("TCP:", "alloc") + waiting;
    let kinds = ["RAW", "UDP", "TCP"].map(|name| {
        let own = of(&format!("{name}:"), "inuse");
        (name, own, of6(&format!("{name}6:"), "inuse"))
    });
    let in_use = kinds.last().map_or(0, |k| k.1 + k.2);
    let closed = all.saturating_sub(in_use);
    let sum = kinds.iter().fold((0, 0), |s, k| (s.0 + k.1, s.1 + k.2));
    let fragments = (of("FRAG:", "inuse"), of6("FRAG6:", "inuse"));
    let lines = kinds
        .into_iter()
        .chain([("INET", sum.0, sum.1), ("FRAG", fragments.0, fragments.1)]);
    if as_json {
        let each =
            lines.map(|(name, own, six)| (name.to_lowercase(), json!({ "ip": own, "ipv6": six })));
        let each: serde_json::Map<_, _> = each.collect();
        let tcp = json!({ "total": all, "established": established, "closed": closed,
            "orphaned": orphaned, "timewait": waiting });
        return format!(
            "{}\n",
            json!({ "total": total, "tcp": tcp, "transport": each })
        );
    }
    let mut text = format!("Total: {total}\n");
    text += &format!(
        "TCP:   {all} (estab {established}, closed {closed}, orphaned {orphaned}, timewait {waiting})\n\n"
    );
    text += "Transport Total     IP        IPv6\n";
    for (name, own, six) in lines {
        text += &format!("{name}\t  {:<9} {own:<9} {six:<9}\n", own + six);
    }
    text + "\n"
}

/// In the line that begins with `word` the number behind `name`.
fn count(text: &str, word: &str, name: &str) -> u64 {
    let line = text
        .lines()
        .find(|l| l.starts_with(word))
        .unwrap_or_default();
    let mut words = line.split_whitespace().skip_while(|w| *w != name);
    words.nth(1).and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// `CurrEstab`: of each protocol a line of names and one of numbers.
fn established(snmp: &str) -> u64 {
    let mut lines = snmp.lines().filter(|l| l.starts_with("Tcp:"));
    let (Some(names), Some(numbers)) = (lines.next(), lines.next()) else {
        return 0;
    };
    let mut both = names.split_whitespace().zip(numbers.split_whitespace());
    let found = both.find(|(name, _)| *name == "CurrEstab");
    found.and_then(|(_, n)| n.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_added_up() {
        let v4 = "sockets: used 22\nTCP: inuse 6 orphan 18 tw 2 alloc 73 mem 0\nUDP: inuse 2 mem 0\nRAW: inuse 1\nFRAG: inuse 0 memory 0\n";
        let v6 = "TCP6: inuse 6\nUDP6: inuse 1\nRAW6: inuse 0\nFRAG6: inuse 0 memory 0\n";
        let established = established("Tcp: A CurrEstab\nTcp: 1 7\n");
        let text = written(v4, v6, established, false);
        assert!(
            text.contains("TCP:   75 (estab 7, closed 63, orphaned 18, timewait 2)\n"),
            "{text}"
        );
        assert!(
            text.contains("INET\t  16        9         7        \n"),
            "{text}"
        );
        let json = written(v4, v6, established, true);
        assert!(json.contains("\"inet\":{\"ip\":9,\"ipv6\":7}"), "{json}");
        assert_eq!(super::established("nothing"), 0);
    }
}
