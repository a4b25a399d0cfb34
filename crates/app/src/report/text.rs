//! The terminal report: verdict first, then the path, the cause, the proof, the remedy.

use super::safe;
use super::words::Words;
use crate::io::Io;
use anyhow::Result;
use netshoot_model::evidence::Evidence;
use netshoot_model::report::{CauseReport, Report, Verdict};
use serde_json::Value;

/// A terminal is at least so wide, less what lines begin with.
const COLUMNS: usize = 76;

struct Paint {
    on: bool,
}

impl Paint {
    fn with(&self, code: &str, text: &str) -> String {
        if self.on {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_string()
        }
    }
}

/// Prints it.
pub fn write(r: &Report, io: &mut Io<'_>) -> Result<()> {
    let w = Words::of(io.lang);
    let p = Paint { on: io.color };
    let code = match r.verdict {
        Verdict::Broken => "1;31",
        Verdict::Healthy => "1;32",
        Verdict::Unknown => "1;33",
    };
    writeln!(
        io.out,
        "{}  {}",
        p.with(code, w.verdict(r.verdict)),
        p.with("1", &safe(&r.summary))
    )?;
    if let Some(c) = r.understood.conversations.first() {
        writeln!(
            io.out,
            "{} {}",
            p.with("2", &format!("{}:", w.understood)),
            safe(c.as_str())
        )?;
    }
    for q in &r.understood.asked_back {
        writeln!(io.out, "? {}", safe(q.as_str()))?;
    }
    path(r, &w, &p, io)?;
    looked_at(r, &w, &p, io)?;
    if let Some(c) = &r.cause {
        cause(c, r, &w, &p, io)?;
    }
    if !r.symptom.is_empty() {
        heading(w.symptom, &p, io)?;
        for s in &r.symptom {
            writeln!(io.out, "  {}", safe(s))?;
        }
    }
    remedy(r, &w, &p, io)?;
    for (title, at_risk) in [(w.also, false), (w.at_risk, true)] {
        let mut some = r.also.iter().filter(|a| a.at_risk == at_risk).peekable();
        if some.peek().is_some() {
            heading(title, &p, io)?;
        }
        for a in some {
            writeln!(
                io.out,
                "  {}{}: {}",
                numbered(&a.catalogue, " "),
                safe(&a.id),
                safe(&a.says)
            )?;
        }
    }
    if !r.ruled_out.is_empty() {
        heading(w.ruled_out, &p, io)?;
        for x in &r.ruled_out {
            writeln!(io.out, "  {}", safe(&x.what))?;
        }
    }
    if !r.unknown.is_empty() {
        heading(w.unknown, &p, io)?;
        for g in &r.unknown {
            writeln!(
                io.out,
                "  {}: {}",
                safe(g.what.as_str()),
                safe(g.missing.as_str())
            )?;
            if !g.how_to_get.is_empty() {
                writeln!(
                    io.out,
                    "    {} {}",
                    w.how_to_get,
                    safe(g.how_to_get.as_str())
                )?;
            }
        }
    }
    if !r.audit.is_empty() {
        heading(w.audit, &p, io)?;
    }
    let mut before = "";
    for a in &r.audit {
        let at = a.when.get(11..23).unwrap_or(&a.when);
        // What kept many questions from being asked is said of the first.
        let again = a.outcome == before && a.outcome != "answered";
        let outcome = if again { w.as_before } else { &a.outcome };
        before = &a.outcome;
        let line = format!(
            "{at} {}: {}; {}",
            safe(&a.from),
            safe(&a.what),
            safe(outcome)
        );
        writeln!(io.out, "  {}", p.with("2", &line))?;
    }
    writeln!(io.out)?;
    writeln!(
        io.out,
        "{}",
        p.with(
            "2",
            &format!(
                "{} {}, {} ms, {}, {}",
                r.probes,
                w.probes,
                r.elapsed_ms,
                safe(&r.source),
                r.taken_at
            )
        )
    )?;
    Ok(())
}

fn heading(text: &str, p: &Paint, io: &mut Io<'_>) -> Result<()> {
    writeln!(io.out)?;
    writeln!(io.out, "{}", p.with("1", text))?;
    Ok(())
}

/// One line of hops; the broken one is marked by a sign and, where it may, by colour.
fn path(r: &Report, w: &Words, p: &Paint, io: &mut Io<'_>) -> Result<()> {
    if r.path.is_empty() {
        return Ok(());
    }
    let stations: Vec<String> = r
        .path
        .iter()
        .map(|h| {
            let (sign, code) = match h.state.as_str() {
                "ok" => ("✓", "32"),
                "broken" => ("✗", "1;31"),
                "at_risk" => ("!", "33"),
                "fails" => ("×", "31"),
                _ => ("·", "2"),
            };
            p.with(code, &format!("{sign} {}", w.hop(&h.hop)))
        })
        .collect();
    writeln!(io.out)?;
    let mut line = String::new();
    let mut wide = 0;
    for (i, (h, painted)) in r.path.iter().zip(&stations).enumerate() {
        // Sign, space, word; Chinese letters take two columns.
        let word = w.hop(&h.hop).chars();
        let own = 2 + word
            .map(|c| if c.is_ascii() { 1 } else { 2 })
            .sum::<usize>();
        if i > 0 && wide + own + 3 > COLUMNS {
            writeln!(io.out, "  {line} ─")?;
            line = format!("  {painted}");
            wide = own + 2;
        } else {
            let joint = if i > 0 { " ─ " } else { "" };
            line.push_str(&format!("{joint}{painted}"));
            wide += own + 3;
        }
    }
    writeln!(io.out, "  {line}")?;
    for (sign, state) in [("·", "not_looked_at"), ("×", "fails")] {
        if r.path.iter().any(|h| h.state == state) {
            let legend = format!("{sign} {}", w.state(state));
            writeln!(io.out, "  {}", p.with("2", &legend))?;
        }
    }
    if let Some(h) = r.path.iter().find(|h| h.state == "broken") {
        writeln!(
            io.out,
            "  {} {}: {}",
            p.with("1;31", "✗"),
            w.hop(&h.hop),
            safe(&h.label)
        )?;
    }
    Ok(())
}

/// Where there are several: which work and which do not, and what was left out.
fn looked_at(r: &Report, w: &Words, p: &Paint, io: &mut Io<'_>) -> Result<()> {
    if r.conversations.len() > 1 {
        let title = format!("{} ({})", w.looked_at, r.conversations.len());
        heading(&title, p, io)?;
        for c in &r.conversations {
            let sign = match c.state.as_str() {
                "works" => "✓",
                "broken" => "✗",
                "fails" => "×",
                _ => "·",
            };
            let way = safe(c.conversation.as_str());
            writeln!(io.out, "  {sign} {way}: {}", safe(&c.says))?;
        }
    }
    if !r.understood.left_out.is_empty() {
        heading(w.left_out, p, io)?;
        for l in &r.understood.left_out {
            writeln!(io.out, "  {}", safe(l.as_str()))?;
        }
    }
    Ok(())
}

/// The catalogue number with what parts it from the next word; nothing for a check without one.
fn numbered(catalogue: &str, then: &str) -> String {
    if catalogue.is_empty() {
        String::new()
    } else {
        format!("{catalogue}{then}")
    }
}

fn cause(c: &CauseReport, r: &Report, w: &Words, p: &Paint, io: &mut Io<'_>) -> Result<()> {
    heading(w.cause, p, io)?;
    writeln!(
        io.out,
        "  {} ({}{}, {:.0} %)",
        safe(w.title(c)),
        numbered(&c.catalogue, ", "),
        safe(&c.id),
        c.confidence * 100.0
    )?;
    writeln!(io.out, "  {}: {}", w.subject, safe(&c.subject.to_string()))?;
    for (i, link) in c.chain.iter().enumerate() {
        let arrow = if i == 0 { "  " } else { "→ " };
        writeln!(
            io.out,
            "  {:width$}{arrow}{}",
            "",
            safe(link),
            width = i.min(6) * 2
        )?;
    }
    if !c.echoes.is_empty() {
        writeln!(
            io.out,
            "  {}",
            p.with(
                "2",
                &format!(
                    "{}: {}",
                    w.echoes,
                    c.echoes
                        .iter()
                        .map(|e| safe(e))
                        .collect::<Vec<_>>()
                        .join("; ")
                )
            )
        )?;
    }
    heading(w.evidence, p, io)?;
    let own: Vec<&Evidence> = r
        .evidence
        .iter()
        .filter(|e| c.evidence.contains(&e.id))
        .collect();
    for e in own {
        writeln!(io.out, "  {:<4}{}", e.id, safe(&e.value))?;
        let at = e.seen_at.get(11..23).unwrap_or(&e.seen_at);
        writeln!(
            io.out,
            "      {}",
            p.with(
                "2",
                &format!("{}; {}; {at}", safe(&e.source), safe(&e.seen_from))
            )
        )?;
    }
    Ok(())
}

fn remedy(r: &Report, w: &Words, p: &Paint, io: &mut Io<'_>) -> Result<()> {
    let Some(m) = &r.remedy else { return Ok(()) };
    heading(w.remedy, p, io)?;
    writeln!(io.out, "  {}", safe(&m.because))?;
    for s in &m.steps {
        let text = |k: &str| s.get(k).and_then(Value::as_str);
        if let Some(c) = text("command") {
            for (i, line) in c.lines().enumerate() {
                writeln!(
                    io.out,
                    "  {} {}",
                    if i == 0 { "$" } else { " " },
                    p.with("36", &safe(line))
                )?;
            }
        }
        if let Some(q) = text("ask") {
            writeln!(io.out, "  ? {}", safe(q))?;
        }
    }
    writeln!(
        io.out,
        "  {}",
        p.with("2", if m.safe { w.safe } else { w.review })
    )?;
    writeln!(
        io.out,
        "  {} {}",
        w.verify,
        p.with("36", &safe(&m.verify.command))
    )?;
    Ok(())
}
