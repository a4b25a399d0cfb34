//! The report as Markdown, for tickets and chats.

use super::words::Words;
use crate::io::Lang;
use netshoot_model::report::{AuditLine, CauseReport, ConversationReport, Report};
use serde_json::Value;
use std::fmt::Write;

/// Text made harmless in Markdown: marks are escaped, HTML is text, no line breaks.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in super::safe(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!' => {
                out.push('\\');
                out.push(c);
            }
            '\t' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// A code block that no content can end: its fence is longer than any run of backticks inside.
fn fence(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let marks = "`".repeat(longest.max(2) + 1);
    let lines: Vec<String> = text.lines().map(super::safe).collect();
    format!("{marks}sh\n{}\n{marks}\n", lines.join("\n"))
}

/// The document.
pub fn render(r: &Report, lang: Lang) -> String {
    let w = Words::of(lang);
    let mut b = String::new();
    let _ = writeln!(b, "# {}: {}\n", w.verdict(r.verdict), escape(&r.summary));
    if !r.understood.said.is_empty() {
        let _ = writeln!(b, "> {}\n", escape(&r.understood.said));
    }
    for q in &r.understood.asked_back {
        let _ = writeln!(b, "- ? {}", escape(q.as_str()));
    }
    if !r.path.is_empty() {
        let _ = writeln!(b, "## {}\n\n| | | | |\n|---|---|---|---|", w.path);
        for h in &r.path {
            let sign = match h.state.as_str() {
                "ok" => "✓",
                "broken" => "**✗**",
                "at_risk" => "!",
                "fails" => "×",
                _ => "·",
            };
            let _ = writeln!(
                b,
                "| {sign} | {} | {} | {} |",
                escape(w.hop(&h.hop)),
                escape(&h.label),
                escape(w.state(&h.state))
            );
        }
        b.push('\n');
    }
    if let Some(c) = &r.cause {
        let _ = writeln!(
            b,
            "## {}\n\n**{}** ({}), {}: {}\n",
            w.cause,
            escape(w.title(c)),
            numbered(&c.catalogue, &escape(&c.id), ", "),
            w.subject,
            escape(&c.subject.to_string())
        );
        for (i, s) in c.chain.iter().enumerate() {
            let _ = writeln!(b, "{}. {}", i + 1, escape(s));
        }
        b.push('\n');
    }
    if let Some(m) = &r.remedy {
        let _ = writeln!(b, "## {}\n\n{}\n", w.remedy, escape(&m.because));
        for s in &m.steps {
            let text = |k: &str| s.get(k).and_then(Value::as_str);
            if let Some(c) = text("command") {
                b.push_str(&fence(c));
            }
            if let Some(q) = text("ask") {
                let _ = writeln!(b, "- ? {}", escape(q));
            }
        }
        let _ = writeln!(b, "\n{}\n\n{}", w.verify, fence(&m.verify.command));
        if let Some(v) = &r.verified {
            let _ = writeln!(
                b,
                "**{}** {}\n",
                if v.worked { w.verified } else { w.not_verified },
                escape(&v.says)
            );
        }
    }
    if r.conversations.len() > 1 {
        let line = |c: &ConversationReport| {
            format!(
                "{}: {} ({})",
                escape(c.conversation.as_str()),
                escape(&c.says),
                escape(w.state(&c.state))
            )
        };
        bullets(
            &mut b,
            w.looked_at,
            r.conversations.iter().map(line).collect(),
        );
    }
    let left = r.understood.left_out.iter();
    bullets(
        &mut b,
        w.left_out,
        left.map(|l| escape(l.as_str())).collect(),
    );
    bullets(
        &mut b,
        w.symptom,
        r.symptom.iter().map(|s| escape(s)).collect(),
    );
    for (title, at_risk) in [(w.also, false), (w.at_risk, true)] {
        let some = r.also.iter().filter(|a| a.at_risk == at_risk);
        let line = |a: &CauseReport| {
            format!(
                "{}: {}",
                numbered(&a.catalogue, &escape(&a.id), " "),
                escape(&a.says)
            )
        };
        bullets(&mut b, title, some.map(line).collect());
    }
    if !r.evidence.is_empty() {
        let _ = writeln!(b, "## {}\n\n| | | | |\n|---|---|---|---|", w.evidence);
        for e in &r.evidence {
            let _ = writeln!(
                b,
                "| {} | {} | {} | {}, {} |",
                e.id,
                escape(&e.value),
                escape(&e.source),
                escape(&e.seen_from),
                escape(&e.seen_at)
            );
        }
        b.push('\n');
    }
    bullets(
        &mut b,
        w.ruled_out,
        r.ruled_out.iter().map(|x| escape(&x.what)).collect(),
    );
    bullets(
        &mut b,
        w.unknown,
        r.unknown
            .iter()
            .map(|g| {
                format!(
                    "{}: {}",
                    escape(g.what.as_str()),
                    escape(g.missing.as_str())
                )
            })
            .collect(),
    );
    let line = |a: &AuditLine| {
        let [when, from, what, outcome] =
            [&a.when, &a.from, &a.what, &a.outcome].map(|t| escape(t));
        format!("{when} {from}: {what}; {outcome}")
    };
    bullets(&mut b, w.audit, r.audit.iter().map(line).collect());
    let _ = writeln!(
        b,
        "{} {}, {} ms, {}, {}",
        r.probes,
        w.probes,
        r.elapsed_ms,
        escape(&r.source),
        r.taken_at
    );
    b
}

fn bullets(b: &mut String, title: &str, items: Vec<String>) {
    if items.is_empty() {
        return;
    }
    let _ = writeln!(b, "## {title}\n");
    for i in items {
        let _ = writeln!(b, "- {i}");
    }
    b.push('\n');
}

/// A check's id behind its catalogue number, if it has one.
fn numbered(catalogue: &str, id: &str, between: &str) -> String {
    if catalogue.is_empty() {
        id.to_string()
    } else {
        format!("{catalogue}{between}{id}")
    }
}
