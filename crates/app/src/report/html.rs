//! One self-contained HTML page: no script, font or picture from anywhere else.

use super::picture;
use super::words::{Words, verdict_class};
use crate::io::Lang;
use netshoot_model::report::{CauseReport, Report, Verdict};
use serde_json::Value;
use std::fmt::Write;

/// Text made harmless in HTML, control characters shown as words.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in super::safe(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// The page.
pub fn render(r: &Report, lang: Lang) -> String {
    let w = Words::of(lang);
    let mut b = String::new();
    head(&mut b, r, &w, lang);
    section(
        &mut b,
        "path",
        w.path,
        &format!("{}{}", picture::wide(r, &w), picture::narrow(r, &w)),
    );
    if let Some(c) = &r.cause {
        section(&mut b, "cause", w.cause, &cause(c, &w));
    }
    if r.verdict == Verdict::Unknown {
        unknown(&mut b, r, &w);
    }
    remedy(&mut b, r, &w);
    list(
        &mut b,
        "symptom",
        w.symptom,
        r.symptom.iter().map(|s| escape(s)).collect(),
    );
    also(&mut b, r, &w);
    evidence(&mut b, r, &w);
    list(
        &mut b,
        "ruled-out",
        w.ruled_out,
        r.ruled_out
            .iter()
            .map(|x| format!("{}{}", escape(&x.what), links(&x.evidence)))
            .collect(),
    );
    if r.verdict != Verdict::Unknown {
        unknown(&mut b, r, &w);
    }
    list(
        &mut b,
        "asked-back",
        w.asked_back,
        r.understood
            .asked_back
            .iter()
            .map(|q| escape(q.as_str()))
            .collect(),
    );
    timings(&mut b, r, &w);
    let _ = writeln!(
        b,
        "</main><footer>netshoot {} · {} · {}</footer><script>{SCRIPT}</script></body></html>",
        crate::version::SHORT,
        escape(&r.source),
        escape(&r.taken_at)
    );
    b
}

fn head(b: &mut String, r: &Report, w: &Words, lang: Lang) {
    let class = verdict_class(r.verdict);
    let _ = write!(
        b,
        "<!doctype html><html lang=\"{}\"><head><meta charset=utf-8><meta name=viewport content=\"width=device-width,initial-scale=1\"><meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\"><title>{}: {}</title><style>{STYLE}</style></head><body class={class}><header><p class=badge>{}</p><h1>{}</h1>",
        lang.pick("en", "zh"),
        escape(w.verdict(r.verdict)),
        escape(&r.summary),
        escape(w.verdict(r.verdict)),
        escape(&r.summary)
    );
    if !r.understood.said.is_empty() {
        let _ = write!(b, "<p class=said>“{}”</p>", escape(&r.understood.said));
    }
    let conversation = r
        .understood
        .conversations
        .first()
        .map(|c| escape(c.as_str()))
        .unwrap_or_default();
    let _ = write!(
        b,
        "<p class=dim>{conversation}<br>{} · {} {} · {} ms</p></header><main>",
        escape(&r.taken_at),
        r.probes,
        w.probes,
        r.elapsed_ms
    );
}

fn section(b: &mut String, id: &str, title: &str, body: &str) {
    let _ = write!(
        b,
        "<section id={id}><h2>{}</h2>{body}</section>",
        escape(title)
    );
}

fn list(b: &mut String, id: &str, title: &str, items: Vec<String>) {
    if items.is_empty() {
        return;
    }
    let rows: String = items.iter().map(|i| format!("<li>{i}</li>")).collect();
    section(b, id, title, &format!("<ul>{rows}</ul>"));
}

fn links(ids: &[String]) -> String {
    let all: String = ids
        .iter()
        .map(|i| format!("<a class=ref href=\"#{0}\">{0}</a>", escape(i)))
        .collect();
    if all.is_empty() {
        all
    } else {
        format!(" <span class=refs>{all}</span>")
    }
}

/// The catalogue number behind what parts it from the word before; nothing for a check without one.
fn numbered(catalogue: &str, before: &str) -> String {
    if catalogue.is_empty() {
        String::new()
    } else {
        format!("{before}{}", escape(catalogue))
    }
}

fn cause(c: &CauseReport, w: &Words) -> String {
    let mut b = String::new();
    let _ = write!(
        b,
        "<p class=lead>{}</p><dl><dt>{}</dt><dd><code>{}</code></dd><dt>{}</dt><dd>{}{} · <code>{}</code></dd><dt>{}</dt><dd>{:.0} %</dd></dl>",
        escape(&c.says),
        w.subject,
        escape(&c.subject.to_string()),
        w.kind,
        escape(w.title(c)),
        numbered(&c.catalogue, " · "),
        escape(&c.id),
        w.confidence,
        c.confidence * 100.0
    );
    if !c.chain.is_empty() {
        let steps: String = c
            .chain
            .iter()
            .map(|s| format!("<li>{}</li>", escape(s)))
            .collect();
        let _ = write!(b, "<ol class=chain>{steps}</ol>");
    }
    if !c.evidence.is_empty() {
        let _ = write!(b, "<p class=dim>{}{}</p>", w.proven_by, links(&c.evidence));
    }
    if !c.echoes.is_empty() {
        let echoes: String = c
            .echoes
            .iter()
            .map(|e| format!("<li>{}</li>", escape(e)))
            .collect();
        let _ = write!(
            b,
            "<details><summary>{}</summary><ul>{echoes}</ul></details>",
            w.echoes
        );
    }
    b
}

fn remedy(b: &mut String, r: &Report, w: &Words) {
    let Some(m) = &r.remedy else { return };
    let mut body = format!(
        "<p>{}</p><p class=dim>{}</p>",
        escape(&m.because),
        if m.safe { w.safe } else { w.review }
    );
    for s in &m.steps {
        let text = |k: &str| s.get(k).and_then(Value::as_str);
        if let Some(c) = text("command") {
            body.push_str(&command(c, w));
        }
        if let Some(q) = text("ask") {
            let _ = write!(body, "<p class=question>{}</p>", escape(q));
        }
    }
    let _ = write!(
        body,
        "<p>{} {}</p>{}",
        w.verify,
        escape(&m.verify.says),
        command(&m.verify.command, w)
    );
    if let Some(v) = &r.verified {
        let word = if v.worked { w.verified } else { w.not_verified };
        let _ = write!(
            body,
            "<p class=\"{}\"><b>{word}</b> {}</p>",
            if v.worked { "good" } else { "bad" },
            escape(&v.says)
        );
    }
    section(b, "remedy", w.remedy, &body);
}

/// What could not be checked: where nothing could be told, this is the answer.
fn unknown(b: &mut String, r: &Report, w: &Words) {
    let unknown = r.unknown.iter().map(|g| {
        let how = if g.how_to_get.is_empty() {
            String::new()
        } else {
            format!(
                "<br><span class=dim>{}</span> <code>{}</code>",
                w.how_to_get,
                escape(g.how_to_get.as_str())
            )
        };
        format!(
            "<b>{}</b>: {}{how}",
            escape(g.what.as_str()),
            escape(g.missing.as_str())
        )
    });
    list(b, "unknown", w.unknown, unknown.collect());
}

fn command(text: &str, w: &Words) -> String {
    format!(
        "<div class=command><pre>{}</pre><button type=button>{}</button></div>",
        escape(text),
        w.copy
    )
}

fn also(b: &mut String, r: &Report, w: &Words) {
    let lines = |at_risk: bool| {
        let some = r.also.iter().filter(|c| c.at_risk == at_risk);
        some.map(|c| {
            format!(
                "<b>{}</b> ({}<code>{}</code>): {}{}",
                escape(w.title(c)),
                escape(c.catalogue.as_str()).to_string()
                    + if c.catalogue.is_empty() { "" } else { ", " },
                escape(&c.subject.to_string()),
                escape(&c.says),
                links(&c.evidence)
            )
        })
        .collect()
    };
    list(b, "also", w.also, lines(false));
    list(b, "at-risk", w.at_risk, lines(true));
}

fn evidence(b: &mut String, r: &Report, w: &Words) {
    if r.evidence.is_empty() {
        return;
    }
    let mut body = String::new();
    let mut hops: Vec<&str> = r.path.iter().map(|h| h.hop.as_str()).collect();
    for e in &r.evidence {
        if !hops.contains(&e.hop.as_str()) {
            hops.push(&e.hop);
        }
    }
    for hop in hops {
        let here: Vec<_> = r.evidence.iter().filter(|e| e.hop == hop).collect();
        if here.is_empty() {
            continue;
        }
        let open = if r.cause.as_ref().is_some_and(|c| c.hop == hop) {
            " open"
        } else {
            ""
        };
        let _ = write!(
            body,
            "<details id=\"hop-{0}\"{open}><summary><b>{1}</b> <span class=dim>{2}</span></summary>",
            escape(hop),
            escape(w.hop(hop)),
            here.len()
        );
        for e in here {
            let _ = write!(
                body,
                "<details class=fact id=\"{0}\"><summary><span class=ref>{0}</span> {1}</summary><p class=dim>{2}<br>{3} · {4}</p></details>",
                escape(&e.id),
                escape(&e.value),
                escape(&e.source),
                escape(&e.seen_from),
                escape(&e.seen_at)
            );
        }
        body.push_str("</details>");
    }
    section(b, "evidence", w.evidence, &body);
}

fn timings(b: &mut String, r: &Report, w: &Words) {
    if r.audit.is_empty() {
        return;
    }
    let mut rows = String::new();
    for a in &r.audit {
        let _ = write!(
            rows,
            "<tr><td>{}<td>{}<td>{}<td class=n>{}<td>{}",
            escape(a.when.get(11..23).unwrap_or(&a.when)),
            escape(&a.from),
            escape(&a.what),
            a.took_ms,
            escape(&a.outcome)
        );
    }
    let body = format!(
        "{}<details><summary>{} ({})</summary><div class=scroll><table><tr><th>{}<th>{}<th>{}<th>ms<th>{}{rows}</table></div></details>",
        picture::timeline(r, w),
        w.audit,
        r.audit.len(),
        w.when,
        w.from,
        w.what,
        w.outcome
    );
    section(b, "timings", w.timings, &body);
}

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
