//! The only door to the terminal: what is printed goes through here.

use std::io::{IsTerminal, Write};

pub use netshoot_model::text::Lang;

/// The language from `--lang`, else from the locale.
pub fn choose_lang(asked: Option<&str>) -> Lang {
    let locale = || {
        ["LC_ALL", "LC_MESSAGES", "LANG"]
            .iter()
            .find_map(|k| std::env::var(k).ok().filter(|v| !v.is_empty()))
    };
    match asked.map(str::to_string).or_else(locale) {
        Some(l) if l.to_lowercase().starts_with("zh") => Lang::Zh,
        _ => Lang::En,
    }
}

/// Output, errors, colour, language.
pub struct Io<'a> {
    /// Standard output.
    pub out: &'a mut (dyn Write + Send),
    /// Standard error: progress and complaints.
    pub err: &'a mut (dyn Write + Send),
    /// Colour may be used on `out`.
    pub color: bool,
    /// Progress may be shown on `err`.
    pub progress: bool,
    /// Language of texts.
    pub lang: Lang,
}

impl Io<'_> {
    /// Runs `work` with the process's own streams.
    pub fn standard<T>(lang: Lang, work: impl FnOnce(&mut Io<'_>) -> T) -> T {
        let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
        let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        let dumb = std::env::var("TERM").as_deref() == Ok("dumb");
        let color = out.is_terminal() && !plain && !dumb;
        let progress = err.is_terminal() && !dumb;
        let result = work(&mut Io {
            out: &mut out,
            err: &mut err,
            color,
            progress,
            lang,
        });
        let _ = out.flush();
        result
    }

    /// A line of progress that the next one overwrites; nothing where nobody watches.
    pub fn progress(&mut self, text: &str) {
        if self.progress {
            // Names of the cluster stand in it.
            let short: String = crate::report::safe(text).chars().take(100).collect();
            let _ = write!(self.err, "\r\x1b[K{short}");
            let _ = self.err.flush();
        }
    }

    /// A sentence of a process that a signal ends, from another thread than its work.
    pub fn last_words(said: &str) {
        let mut err = std::io::stderr();
        let clear = if err.is_terminal() { "\r\x1b[K" } else { "" };
        let _ = writeln!(err, "{clear}{}", crate::report::safe(said));
    }

    /// Takes the line of progress away.
    pub fn progress_done(&mut self) {
        if self.progress {
            let _ = write!(self.err, "\r\x1b[K");
            let _ = self.err.flush();
        }
    }
}

/// For tests: what `work` gives, and what it wrote to both streams, in English and without colour.
#[cfg(test)]
pub fn heard<T>(work: impl FnOnce(&mut Io<'_>) -> T) -> (T, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let done = work(&mut Io {
        out: &mut out,
        err: &mut err,
        color: false,
        progress: false,
        lang: Lang::En,
    });
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (done, text(out), text(err))
}
