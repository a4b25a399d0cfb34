//! A place's resolv.conf.

use super::{Kind, Need, Place, not_mine};
use crate::resolv;
use netshoot_model::probe::{Answer, Harm, Question};

/// Which servers and suffixes a resolver library uses; the function is [`resolv::parse`].
pub const PROBE: Kind = Kind {
    id: "read_resolv_conf",
    asks: "which name servers, search suffixes and ndots do processes here use",
    needs: &[Need::None],
    harm: Harm::None,
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

fn run(question: &Question, place: &Place) -> Answer {
    match (question, resolv_conf(place)) {
        (Question::ResolvConf, Ok(text)) => Answer::ResolvConf(resolv::parse(&text)),
        (Question::ResolvConf, Err(e)) => Answer::CouldNotAsk {
            why: format!("read /etc/resolv.conf: {e}"),
            missing: "a readable /etc/resolv.conf".into(),
            how_to_get: String::new(),
        },
        _ => not_mine(question),
    }
}

/// The text of the place's resolv.conf.
fn resolv_conf(place: &Place) -> std::io::Result<String> {
    match &place.resolv_conf {
        Some(text) => Ok(text.clone()),
        None => std::fs::read_to_string("/etc/resolv.conf"),
    }
}

const PAGE: &str = "\
# read_resolv_conf

## What it asks

The name servers, search suffixes and `ndots` of resolv.conf(5) as processes there see it. In a
pod the kubelet writes that file from the pod's dnsPolicy and dnsConfig.

## What it sends

Nothing. It reads one file.

## What the answers mean

- A pod with dnsPolicy ClusterFirst names the cluster DNS; any other server does not know cluster
  names.
- A missing `ndots` counts as 1; Kubernetes writes 5, which makes short names cheap and outside names
  dear.
- Only the first three servers are ever asked.
";

const PAGE_ZH: &str = "";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_decides() {
        let text = "search a.svc.cluster.local svc.cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n";
        let place = Place {
            resolv_conf: Some(text.into()),
        };
        let Answer::ResolvConf(c) = run(&Question::ResolvConf, &place) else {
            panic!("no answer")
        };
        assert_eq!((c.nameservers.len(), c.search.len(), c.ndots), (1, 2, 5));
    }
}
