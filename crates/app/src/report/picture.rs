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

/// From left to right, for wide windows.
pub fn wide(r: &Report, w: &Words) -> String {
    let n = r.path.len().max(1) as f32;
    let (full, y) = (1040.0f32, 40.0f32);
    let gap = full / n;
    let mut b = format!(
        "<svg id=picture-wide viewBox=\"0 0 {full} 118\" role=img aria-label=\"{}\">",
        aria(r, w)
    );
    let at = |i: usize| gap * (i as f32 + 0.5);
    let broken = r.path.iter().position(|h| h.state == "broken");
    let last = at(r.path.len().saturating_sub(1));
    let _ = write!(
        b,
        "<line class=track x1={} y1={y} x2={last} y2={y} />",
        at(0)
    );
    if let Some(k) = broken {
        let _ = write!(
            b,
            "<line class=\"track done\" x1={} y1={y} x2={} y2={y} />",
            at(0),
            at(k)
        );
    }
    for (i, h) in r.path.iter().enumerate() {
        let x = at(i);
        let room = ((gap / 6.6) as usize).max(6);
        let name = if h.state == "broken" {
            "name-broken"
        } else {
            ""
        };
        // Labels alternate between two lines where there are many.
        let low = if n > 8.0 && i % 2 == 1 { 20.0 } else { 0.0 };
        let _ = write!(
            b,
            "<a href=\"#hop-{0}\">{1}{2}<text x={x} y={3} text-anchor=middle class=\"{name}\">{4}</text><text x={x} y={5} text-anchor=middle class=small>{6}</text></a>",
            escape(&h.hop),
            title(h, w),
            station(x, y, &h.state),
            74.0 + low,
            escape(&short(w.hop(&h.hop), room)),
            90.0 + low,
            escape(&short(&h.label, if n > 8.0 { room * 2 - 4 } else { room }))
        );
    }
    b.push_str("</svg>");
    b
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
    let _ = write!(
        b,
        "<line class=track x1=20 y1={} x2=20 y2={} />",
        at(0),
        at(r.path.len().saturating_sub(1))
    );
    for (i, h) in r.path.iter().enumerate() {
        let y = at(i);
        let name = if h.state == "broken" {
            "name-broken"
        } else {
            ""
        };
        let most = if width(&h.label) > h.label.chars().count() {
            22
        } else {
            42
        };
        let _ = write!(
            b,
            "<a href=\"#hop-{0}\">{1}{2}<text x=46 y={3} class=\"{name}\">{4}</text><text x=46 y={5} class=small>{6}</text></a>",
            escape(&h.hop),
            title(h, w),
            station(20.0, y, &h.state),
            y - 1.0,
            escape(w.hop(&h.hop)),
            y + 14.0,
            escape(&short(&h.label, most))
        );
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
    let height = row * rows as f32 + 24.0;
    let mut b = format!(
        "<svg viewBox=\"0 0 {full} {height}\" role=img aria-label=\"{}\">",
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
    let _ = write!(
        b,
        "<text class=small x=0 y={0}>0</text><text class=small x={full} y={0} text-anchor=end>{1:.0} ms</text></svg>",
        height - 6.0,
        end
    );
    b
}
