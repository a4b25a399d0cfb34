//! Pictures of a report, as SVG: the path as a line of stations, and when which probe ran.

use super::html::escape;
use super::words::Words;
use netshoot_model::probe::Harm;
use netshoot_model::report::{HopReport, Report};
use netshoot_model::time;
use std::fmt::Write;

/// A station: shape and mark differ by state, not colour alone.
fn station(x: f32, y: f32, state: &str) -> String {
    match state {
        "ok" => format!(
            "<circle class=s-ok cx={x} cy={y} r=11 /><path class=mark d=\"M{} {}l4 5 7-9\"/>",
            x - 5.0,
            y
        ),
        "broken" => format!(
            "<rect class=s-broken x={} y={} width=24 height=24 transform=\"rotate(45 {x} {y})\"/><path class=mark d=\"M{} {}l10 10m0-10l-10 10\"/>",
            x - 12.0,
            y - 12.0,
            x - 5.0,
            y - 5.0
        ),
        "at_risk" => format!(
            "<path class=s-at_risk d=\"M{x} {}l13 23h-26z\"/><path class=mark d=\"M{x} {}v7m0 4v.1\"/>",
            y - 13.0,
            y - 4.0
        ),
        _ => format!("<circle class=s-not_looked_at cx={x} cy={y} r=10 />"),
    }
}

fn title(h: &HopReport, w: &Words) -> String {
    let notes = h
        .notes
        .iter()
        .map(|n| escape(n))
        .collect::<Vec<_>>()
        .join("\n");
    format!(
        "<title>{}: {}\n{notes}</title>",
        escape(w.hop(&h.hop)),
        escape(w.state(&h.state))
    )
}

fn aria(r: &Report, w: &Words) -> String {
    r.path
        .iter()
        .map(|h| format!("{}: {}", w.hop(&h.hop), w.state(&h.state)))
        .map(|t| escape(&t))
        .collect::<Vec<_>>()
        .join("; ")
}

/// At most so many characters, with an ellipsis.
fn short(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_string();
    }
    text.chars()
        .take(most.saturating_sub(1))
        .chain(['…'])
        .collect()
}

fn width(text: &str) -> usize {
    text.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum()
}

/// A text in lines of a width, broken where words, names and addresses may be; the last line ends
/// with an ellipsis when there is more.
fn wrap(text: &str, room: usize, most: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut piece = String::new();
    let mut pieces = Vec::new();
    for c in text.chars() {
        piece.push(c);
        // Wide letters (CJK) may be broken after any of them.
        if " .-/:,".contains(c) || !c.is_ascii() || width(&piece) >= room {
            pieces.push(std::mem::take(&mut piece));
        }
    }
    pieces.push(piece);
    for p in pieces {
        let last = lines.last().map_or("", String::as_str);
        let fits = width(last) + width(p.trim_end()) <= room;
        match lines.last_mut() {
            Some(l) if fits => l.push_str(&p),
            _ => lines.push(p),
        }
    }
    let mut lines: Vec<String> = lines
        .into_iter()
        .map(|l| l.trim().to_string())
        .filter(|l| !l.is_empty())
        .collect();
    if lines.len() > most {
        lines.truncate(most);
        if let Some(l) = lines.last_mut() {
            while width(l) >= room {
                l.pop();
            }
            l.push('…');
        }
    }
    lines
}

/// The line between stations: green only where both ends were seen to be well, broken off behind
/// the broken hop.
fn tracks(r: &Report, line: impl Fn(usize, &str) -> String) -> String {
    let broken = r.path.iter().position(|h| h.state == "broken");
    let pairs = r.path.iter().zip(r.path.iter().skip(1)).enumerate();
    pairs
        .map(|(i, (a, b))| {
            let class = if broken.is_some_and(|k| i >= k) {
                "track lost"
            } else if a.state == "ok" && b.state == "ok" {
                "track done"
            } else {
                "track"
            };
            line(i, class)
        })
        .collect()
}

fn name_class(h: &HopReport) -> &'static str {
    if h.state == "broken" {
        "name-broken"
    } else {
        ""
    }
}

/// A station leads to its evidence, where there is some.
fn linked(r: &Report, h: &HopReport, inside: &str) -> String {
    if r.evidence.iter().any(|e| e.hop == h.hop) {
        let hop = escape(&h.hop);
        format!("<a class=station href=\"#hop-{hop}\">{inside}</a>")
    } else {
        format!("<g class=station>{inside}</g>")
    }
}

/// From left to right, for wide windows.
pub fn wide(r: &Report, w: &Words) -> String {
    let n = r.path.len().max(1) as f32;
    let (full, y) = (1040.0f32, 22.0f32);
    let gap = full / n;
    let at = |i: usize| gap * (i as f32 + 0.5);
    // Letters of 13 px and 11 px are on average 7.6 and 6.6 px wide; wide ones must fit as well.
    let (big, small) = (((gap / 8.5) as usize).max(6), ((gap / 7.6) as usize).max(6));
    let mut stations = String::new();
    let mut bottom = 0.0f32;
    for (i, h) in r.path.iter().enumerate() {
        let x = at(i);
        let mut down = y + 34.0;
        let mut labels = String::new();
        let mut row = |text: &str, class: &str, step: f32| {
            let _ = write!(
                labels,
                "<text x={x} y={down} text-anchor=middle class=\"{class}\">{}</text>",
                escape(text)
            );
            down += step;
        };
        for l in wrap(w.hop(&h.hop), big, 2) {
            row(&l, name_class(h), 16.0);
        }
        // Names are as long as people make them; the whole is in the title and the evidence.
        for l in wrap(&super::safe(&h.label), small, 4) {
            row(&l, "small", 13.0);
        }
        bottom = bottom.max(down);
        let inside = format!("{}{}{labels}", title(h, w), station(x, y, &h.state));
        stations.push_str(&linked(r, h, &inside));
    }
    let tracks = tracks(r, |i, class| {
        format!(
            "<line class=\"{class}\" x1={} y1={y} x2={} y2={y} />",
            at(i),
            at(i + 1)
        )
    });
    format!(
        "<svg id=picture-wide viewBox=\"0 0 {full} {}\" role=img aria-label=\"{}\">{tracks}{stations}</svg>",
        bottom - 4.0,
        aria(r, w)
    )
}

/// From top to bottom, for phones.
pub fn narrow(r: &Report, w: &Words) -> String {
    let (full, step) = (340.0f32, 46.0f32);
    let height = step * r.path.len() as f32 + 10.0;
    let mut b = format!(
        "<svg id=picture-narrow viewBox=\"0 0 {full} {height}\" role=img aria-label=\"{}\">",
        aria(r, w)
    );
    let at = |i: usize| step * (i as f32 + 0.5);
    b.push_str(&tracks(r, |i, class| {
        format!(
            "<line class=\"{class}\" x1=20 y1={} x2=20 y2={} />",
            at(i),
            at(i + 1)
        )
    }));
    for (i, h) in r.path.iter().enumerate() {
        let y = at(i);
        let name = name_class(h);
        let most = if width(&h.label) > h.label.chars().count() {
            22
        } else {
            42
        };
        let inside = format!(
            "{}{}<text x=46 y={} class=\"{name}\">{}</text><text x=46 y={} class=small>{}</text>",
            title(h, w),
            station(20.0, y, &h.state),
            y - 1.0,
            escape(w.hop(&h.hop)),
            y + 14.0,
            escape(&short(&super::safe(&h.label), most))
        );
        b.push_str(&linked(r, h, &inside));
    }
    b.push_str("</svg>");
    b
}

/// When which probe ran and for how long.
pub fn timeline(r: &Report, w: &Words) -> String {
    let start = time::parse(&r.taken_at).unwrap_or(0);
    let bars: Vec<(i64, u64, Harm, &str, &str)> = r
        .audit
        .iter()
        .filter_map(|a| {
            Some((
                time::parse(&a.when)? - start,
                a.took_ms,
                a.harm,
                a.what.as_str(),
                a.from.as_str(),
            ))
        })
        .collect();
    let end = bars
        .iter()
        .map(|(at, took, ..)| at + *took as i64)
        .max()
        .unwrap_or(1)
        .max(1) as f32;
    // One row a probe is too much for hundreds: then they share rows.
    let rows = bars.len().min(60);
    let (full, row) = (1040.0f32, 7.0f32);
    let height = row * rows as f32;
    let mut b = format!(
        "<svg id=picture-time viewBox=\"0 0 {full} {height}\" role=img aria-label=\"{}\">",
        escape(w.timings)
    );
    for (i, (at, took, harm, what, from)) in bars.iter().enumerate() {
        let y = row * (i * rows / bars.len().max(1)) as f32;
        let class = match harm {
            Harm::None => "h-none",
            Harm::FewPackets => "h-few_packets",
            Harm::Series => "h-series",
        };
        let x = (*at).max(0) as f32 / end * (full - 8.0);
        let long = (*took as f32 / end * (full - 8.0)).max(2.0);
        let _ = write!(
            b,
            "<rect class={class} x={x:.1} y={y:.1} width={long:.1} height={:.1} rx=1><title>{} ({}): {took} ms</title></rect>",
            row - 2.0,
            escape(what),
            escape(from)
        );
    }
    let key = |class: &str, text: &str| format!("<span class=\"key {class}\"></span>{text} ");
    let _ = write!(
        b,
        "</svg><p class=axis><span>0</span><span>{}{}{}</span><span>{end:.0} ms</span></p>",
        key("k-none", w.sends_nothing),
        key("k-few_packets", w.few_packets),
        key("k-series", w.series)
    );
    b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_broken_where_names_may_be() {
        let cases: [(&str, usize, usize, &[&str]); 6] = [
            ("client", 14, 2, &["client"]),
            ("ingress policy", 12, 2, &["ingress", "policy"]),
            (
                "contacts.crm.svc.cluster.local",
                14,
                4,
                &["contacts.crm.", "svc.cluster.", "local"],
            ),
            ("aaaaaaaaaaaaaaaa", 6, 2, &["aaaaaa", "aaaaa…"]),
            ("服务端节点", 6, 2, &["服务端", "节点"]),
            ("", 6, 2, &[]),
        ];
        for (text, room, most, expected) in cases {
            assert_eq!(wrap(text, room, most), expected, "{text}");
        }
    }
}
