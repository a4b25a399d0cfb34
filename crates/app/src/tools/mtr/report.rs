//! What mtr prints when it is done.

use super::course::Course;
use super::figures::Hop;
use super::plan::{Plan, Style};
use crate::io::Lang;
use std::net::IpAddr;

/// Room for names in a report that is not wide.
const ROOM: usize = 25;
/// The column of `-z`: the number of a network is asked of nobody.
pub const NETWORK: &str = "AS???    ";

/// The report on a host, in the style that was asked for.
pub fn text(plan: &Plan, host: &str, course: &mut Course) -> String {
    let hops: Vec<(u8, String, Hop)> = named(course);
    match plan.style {
        Some(Style::Json) => json(plan, host, &hops),
        Some(Style::Xml) => xml(plan, host, &hops),
        Some(Style::Csv) => csv(plan, host, &hops),
        Some(Style::Raw) => String::new(),
        Some(Style::Report) | None => report(plan, &hops),
    }
}

/// Hops with what they are called.
pub fn named(course: &mut Course) -> Vec<(u8, String, Hop)> {
    let hops = course.shown().into_iter();
    hops.map(|(ttl, hop)| {
        let name = hop
            .from
            .map_or_else(|| "???".into(), |from| called(from, course));
        (ttl, name, hop)
    })
    .collect()
}

fn called(from: IpAddr, course: &mut Course) -> String {
    let name = match course.plan.numeric {
        true => None,
        false => course.name(from),
    };
    match name {
        Some(name) if course.plan.both => format!("{name} ({from})"),
        Some(name) => name,
        None => from.to_string(),
    }
}

/// The name of this machine.
pub fn own_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname");
    crate::report::safe(name.unwrap_or_default().trim())
}

fn report(plan: &Plan, hops: &[(u8, String, Hop)]) -> String {
    let own = own_name();
    let longest = hops
        .iter()
        .map(|h| h.1.chars().count())
        .chain([own.chars().count()])
        .max();
    let network = if plan.networks { NETWORK } else { "" };
    // A narrow report has 33 columns for all of this.
    let (head, row) = match (plan.wide, plan.networks) {
        (true, false) => (longest.unwrap_or(0), longest.unwrap_or(0)),
        (true, true) => (
            longest.unwrap_or(0) + NETWORK.len(),
            longest.unwrap_or(0) + 1,
        ),
        (false, false) => (ROOM + 2, ROOM),
        (false, true) => (ROOM + 2, ROOM + 3 - NETWORK.len()),
    };
    let cut = |name: &str, room: usize| -> String {
        let name: String = name.chars().take(room).collect();
        format!("{name:room$}")
    };
    let headings: String = plan.fields.iter().map(|f| f.heading()).collect();
    let mut text = format!("HOST: {}{headings}\n", cut(&own, head));
    for (ttl, name, hop) in hops {
        let cells: String = plan.fields.iter().map(|f| f.cell(hop)).collect();
        let mark = if plan.networks { ". " } else { ".|-- " };
        text += &format!("{ttl:3}{mark}{network}{}{cells}\n", cut(name, row));
        for label in hop.labelled().filter(|_| plan.labels) {
            text += &format!("       {label}\n");
        }
    }
    text
}

fn csv(plan: &Plan, host: &str, hops: &[(u8, String, Hop)]) -> String {
    let host = crate::report::safe(host);
    let network = if plan.networks { "Asn," } else { "" };
    let mut text = format!("Mtr_Version,Start_Time,Status,Host,Hop,Ip,{network}");
    plan.fields
        .iter()
        .for_each(|f| text += &format!("{},", f.name()));
    text.push('\n');
    let now = crate::clock::now_ms() / 1000;
    for (ttl, name, hop) in hops {
        let network = if plan.networks { "AS???," } else { "" };
        let values = plan.fields.iter().map(|f| match f.0 {
            ' ' => "0".to_string(),
            _ if f.whole() => format!("{:.0}", f.value(hop)),
            _ => format!("{:.2}", f.value(hop)),
        });
        let values: Vec<String> = values.collect();
        text += &format!(
            "MTR.0.95,{now},OK,{host},{ttl},{name},{network}{}\n",
            values.join(",")
        );
    }
    text
}

fn json(plan: &Plan, host: &str, hops: &[(u8, String, Hop)]) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut text = String::from("{\n    \"report\": {\n        \"mtr\": {\n");
    let tests = plan.cycles;
    text += &format!("            \"src\": {},\n", quoted(&own_name()));
    text += &format!("            \"dst\": {},\n", quoted(host));
    text += &format!(
        "            \"tos\": {},\n            \"tests\": {tests},\n",
        plan.tos
    );
    text += &format!("            \"psize\": \"{}\",\n", plan.size);
    text += &format!(
        "            \"bitpattern\": \"0x{:02X}\"\n        }},\n",
        plan.pattern
    );
    text += "        \"hubs\": [";
    for (i, (ttl, name, hop)) in hops.iter().enumerate() {
        text += if i > 0 { "," } else { "" };
        text += &format!("\n            {{\n                \"count\": {ttl},\n");
        text += &format!("                \"host\": {}", quoted(name));
        if plan.networks {
            text += ",\n                \"ASN\": \"AS???\"";
        }
        for field in plan.fields.iter().filter(|f| f.0 != ' ') {
            let value = field.value(hop);
            let value = match field.whole() {
                true => format!("{value:.0}"),
                // At most three places, at least one.
                false => format!("{:?}", (value * 1000.0).round() / 1000.0),
            };
            text += &format!(",\n                \"{}\": {value}", field.name());
        }
        text += "\n            }";
    }
    text += if hops.is_empty() {
        "]\n"
    } else {
        "\n        ]\n"
    };
    text + "    }\n}\n"
}

fn xml(plan: &Plan, host: &str, hops: &[(u8, String, Hop)]) -> String {
    let quoted = |text: &str| {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        text.replace('"', "&quot;")
    };
    let mut text = format!(
        "<?xml version=\"1.0\"?>\n<MTR SRC=\"{}\" DST=\"{}\" TOS=\"0x{:X}\" PSIZE=\"{}\" BITPATTERN=\"0x{:02X}\" TESTS=\"{}\">\n",
        quoted(&own_name()),
        quoted(host),
        plan.tos,
        plan.size,
        plan.pattern,
        plan.cycles
    );
    for (ttl, name, hop) in hops {
        text += &format!("    <HUB COUNT=\"{ttl}\" HOST=\"{}\">\n", quoted(name));
        for field in plan.fields.iter().filter(|f| f.0 != ' ') {
            let tag = field.name().trim_end_matches('%');
            text += &format!("        <{tag}>{}</{tag}>\n", field.cell(hop));
        }
        text += "    </HUB>\n";
    }
    text + "</MTR>\n"
}

/// What it says in a cluster's terms.
pub fn explained(course: &Course, lang: Lang) -> Vec<String> {
    let hops = course.shown();
    let mut lines = Vec::new();
    let lost = |h: &Hop| h.lost() > 0;
    match hops.last() {
        Some((_, last)) if last.ends && !lost(last) => lines.push(
            lang.pick(
                "The last hop answers without loss: whatever hops before it lose is their own reluctance to answer, not loss of what passes",
                "最后一跳无丢包：途中各跳的“丢包”只是它们不愿应答，并非转发丢包",
            )
            .into(),
        ),
        Some((_, last)) if last.ends => lines.push(
            lang.pick(
                "The last hop loses too: the first hop from which loss goes on to the end is where to look",
                "最后一跳也有丢包：从哪一跳开始丢包一直延续到末尾，就从那里查起",
            )
            .into(),
        ),
        Some(_) => lines.push(
            lang.pick(
                "The way ends before the host: a drop behind the last hop that answers; a pod's node is usually the last one that does",
                "路径在到达主机前中断：最后一个应答的跳之后有丢弃；最后应答的通常是 Pod 所在节点",
            )
            .into(),
        ),
        None => lines.push(
            lang.pick(
                "No hop answers: ICMP is dropped from the start, or a ClusterIP was asked: try mtr -T -P PORT",
                "没有任何一跳应答：ICMP 一开始就被丢弃，或目标是 ClusterIP：请试 mtr -T -P 端口",
            )
            .into(),
        ),
    }
    lines
}
