//! The terminal report: verdict first.

use super::safe;
use crate::io::Io;
use anyhow::Result;
use netshoot_model::report::Report;

/// Prints it.
pub fn write(r: &Report, io: &mut Io<'_>) -> Result<()> {
    writeln!(io.out, "{:?}: {}", r.verdict, safe(&r.summary))?;
    for s in &r.symptom {
        writeln!(io.out, "  symptom: {}", safe(s))?;
    }
    if let Some(c) = &r.cause {
        writeln!(io.out, "cause: {} ({}) subject {} hop {} confidence {}", c.id, c.catalogue, c.subject, c.hop, c.confidence)?;
        for l in &c.chain {
            writeln!(io.out, "  -> {}", safe(l))?;
        }
    }
    for a in &r.also {
        writeln!(io.out, "also: {} ({}): {}", a.id, a.catalogue, safe(&a.says))?;
    }
    for e in &r.evidence {
        writeln!(io.out, "  {} [{}] {} | {} | {}", e.id, e.hop, safe(&e.source), safe(&e.value), safe(&e.seen_from))?;
    }
    for x in &r.ruled_out {
        writeln!(io.out, "ruled out: {}", safe(&x.what))?;
    }
    for g in &r.unknown {
        writeln!(io.out, "unknown: {}: {} ({})", safe(&g.what), safe(&g.missing), safe(&g.how_to_get))?;
    }
    for q in &r.understood.asked_back {
        writeln!(io.out, "? {}", safe(q))?;
    }
    if let Some(m) = &r.remedy {
        writeln!(io.out, "remedy: {}", safe(&m.because))?;
        for s in &m.steps {
            writeln!(io.out, "  {}", safe(&s.to_string()))?;
        }
    }
    writeln!(io.out, "{} probes, {} ms", r.probes, r.elapsed_ms)?;
    Ok(())
}
