//! Renderers: one file each. They print what the report says; they decide nothing.

#[cfg(test)]
mod browser;
mod html;
mod markdown;
mod picture;
mod runbook;
#[cfg(test)]
mod tests;
mod text;
mod words;

use crate::io::Io;
use anyhow::Result;
use netshoot_model::report::Report;
pub use runbook::script as runbook;

/// How to print a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For a terminal.
    Text,
    /// Schema `netshoot.report/1`.
    Json,
    /// For tickets and chats.
    Markdown,
    /// One self-contained page.
    Html,
}

impl Format {
    /// By its word on the command line.
    pub fn named(word: &str) -> Format {
        match word {
            "json" => Format::Json,
            "md" | "markdown" => Format::Markdown,
            "html" => Format::Html,
            _ => Format::Text,
        }
    }
}

/// Prints a report.
pub fn write(report: &Report, format: Format, io: &mut Io<'_>) -> Result<()> {
    match format {
        Format::Text => text::write(report, io),
        Format::Json => {
            writeln!(io.out, "{}", json(report)?)?;
            Ok(())
        }
        Format::Markdown => Ok(write!(io.out, "{}", markdown::render(report, io.lang))?),
        Format::Html => Ok(write!(io.out, "{}", html::render(report, io.lang))?),
    }
}

/// JSON without raw control characters: DEL and those above it need no escape there, but move a terminal.
fn json(report: &Report) -> Result<String> {
    let raw = serde_json::to_string_pretty(report)?;
    let moves = |c: char| c.is_control() && c != '\n';
    if !raw.contains(moves) {
        return Ok(raw);
    }
    let mut out = String::with_capacity(raw.len());
    for c in raw.chars() {
        if moves(c) {
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    Ok(out)
}

/// Text from the cluster or the network, made harmless for a terminal: control characters become
/// `\x1b` words.
pub fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let bidi = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}');
        if (c.is_control() && c != '\t') || bidi {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}
