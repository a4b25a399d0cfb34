//! The command line as Python's argparse reads it, with its words for what is wrong.

use super::{Mistake, usage};

/// What an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing.
    Flag,
    /// A value.
    Value,
    /// One of these.
    Choice(&'static [&'static str]),
}

/// One option: its long name, its letter or none, what it takes.
type Known = (&'static str, &'static str, Kind);

/// Styles that the original has.
pub const STYLES: &[&str] = &[
    "abap",
    "algol",
    "algol_nu",
    "arduino",
    "auto",
    "autumn",
    "borland",
    "bw",
    "colorful",
    "default",
    "dracula",
    "emacs",
    "friendly",
    "friendly_grayscale",
    "fruity",
    "github-dark",
    "gruvbox-dark",
    "gruvbox-light",
    "igor",
    "inkpot",
    "lilypond",
    "lovelace",
    "manni",
    "material",
    "monokai",
    "murphy",
    "native",
    "nord",
    "nord-darker",
    "one-dark",
    "paraiso-dark",
    "paraiso-light",
    "pastie",
    "perldoc",
    "pie",
    "pie-dark",
    "pie-light",
    "rainbow_dash",
    "rrt",
    "sas",
    "solarized",
    "solarized-dark",
    "solarized-light",
    "staroffice",
    "stata",
    "stata-dark",
    "stata-light",
    "tango",
    "trac",
    "vim",
    "vs",
    "xcode",
    "zenburn",
];

/// All options, in the original's order; ours stand at the end.
#[rustfmt::skip] // one option, one line
const ALL: &[Known] = &[
    ("json", "j", Kind::Flag),
    ("form", "f", Kind::Flag),
    ("multipart", "", Kind::Flag),
    ("boundary", "", Kind::Value),
    ("raw", "", Kind::Value),
    ("compress", "x", Kind::Flag),
    ("pretty", "", Kind::Choice(&["all", "colors", "format", "none"])),
    ("style", "s", Kind::Choice(STYLES)),
    ("unsorted", "", Kind::Flag),
    ("sorted", "", Kind::Flag),
    ("response-charset", "", Kind::Value),
    ("response-mime", "", Kind::Value),
    ("format-options", "", Kind::Value),
    ("print", "p", Kind::Value),
    ("headers", "h", Kind::Flag),
    ("meta", "m", Kind::Flag),
    ("body", "b", Kind::Flag),
    ("verbose", "v", Kind::Flag),
    ("all", "", Kind::Flag),
    ("stream", "S", Kind::Flag),
    ("output", "o", Kind::Value),
    ("download", "d", Kind::Flag),
    ("continue", "c", Kind::Flag),
    ("quiet", "q", Kind::Flag),
    ("session", "", Kind::Value),
    ("session-read-only", "", Kind::Value),
    ("auth", "a", Kind::Value),
    ("auth-type", "A", Kind::Choice(&["basic", "digest", "bearer"])),
    ("ignore-netrc", "", Kind::Flag),
    ("offline", "", Kind::Flag),
    ("proxy", "", Kind::Value),
    ("follow", "F", Kind::Flag),
    ("max-redirects", "", Kind::Value),
    ("max-headers", "", Kind::Value),
    ("timeout", "", Kind::Value),
    ("check-status", "", Kind::Flag),
    ("path-as-is", "", Kind::Flag),
    ("chunked", "", Kind::Flag),
    ("verify", "", Kind::Value),
    ("ssl", "", Kind::Choice(&["ssl2.3", "tls1", "tls1.1", "tls1.2"])),
    ("ciphers", "", Kind::Value),
    ("cert", "", Kind::Value),
    ("cert-key", "", Kind::Value),
    ("cert-key-pass", "", Kind::Value),
    ("ignore-stdin", "I", Kind::Flag),
    ("help", "", Kind::Flag),
    ("manual", "", Kind::Flag),
    ("version", "", Kind::Flag),
    ("traceback", "", Kind::Flag),
    ("default-scheme", "", Kind::Value),
    ("debug", "", Kind::Flag),
    ("explain", "", Kind::Flag),
];

/// What stands on a command line.
#[derive(Debug, Default)]
pub struct Words {
    /// Options by name, in order, with their values.
    pub options: Vec<(&'static str, String)>,
    /// The words of the first group that has any.
    pub operands: Vec<String>,
    /// What nobody knows, and operands that come too late.
    pub extras: Vec<String>,
}

/// `--auth/-a`, as a mistake names an option.
pub fn named(name: &str) -> String {
    match ALL.iter().find(|o| o.0 == name) {
        Some((_, letter, _)) if !letter.is_empty() => format!("--{name}/-{letter}"),
        _ => format!("--{name}"),
    }
}

/// A mistake in the value of an option: the usage line shows that one.
pub fn wrong_value(name: &str, said: &str) -> Mistake {
    let known = ALL.iter().find(|o| o.0 == name);
    let mut shape = match known {
        Some((_, letter, _)) if !letter.is_empty() => format!("-{letter}/--{name}"),
        _ => format!("--{name}"),
    };
    if let Some((_, _, Kind::Choice(choices))) = known {
        shape += &format!(" {{{}}}", choices.join(", "));
    }
    usage(&shape, &format!("argument {}: {said}", named(name)))
}

/// What an option may be, as Python shows each.
fn choice(name: &str, choices: &[&str], value: &str) -> Mistake {
    let mut choices = choices.to_vec();
    // Names that come from plugins are sorted for this.
    choices.sort_unstable();
    let each: Vec<String> = choices
        .iter()
        .map(|c| match *c {
            "pie" => "<PieStyle.UNIVERSAL: 'pie'>".to_string(),
            "pie-dark" => "<PieStyle.DARK: 'pie-dark'>".to_string(),
            "pie-light" => "<PieStyle.LIGHT: 'pie-light'>".to_string(),
            c => format!("'{c}'"),
        })
        .collect();
    let said = format!(
        "invalid choice: {} (choose from {})",
        super::python(value),
        each.join(", ")
    );
    wrong_value(name, &said)
}

fn long(name: &str) -> Result<Option<Known>, Mistake> {
    if let Some(known) = ALL.iter().find(|o| o.0 == name) {
        return Ok(Some(*known));
    }
    let near: Vec<&Known> = ALL.iter().filter(|o| o.0.starts_with(name)).collect();
    match near.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(**one)),
        several => {
            let all: Vec<String> = several.iter().map(|o| format!("--{}", o.0)).collect();
            let said = format!("ambiguous option: --{name} could match {}", all.join(", "));
            Err(usage("", &said))
        }
    }
}

/// A word that begins an option.
fn is_option(word: &str) -> bool {
    let number = |t: &str| {
        let digits = t.strip_prefix('-').unwrap_or(t).replacen('.', "", 1);
        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
    };
    word.len() > 1 && word.starts_with('-') && !word.contains(' ') && !number(word)
}

struct Reading<'a> {
    words: std::iter::Peekable<std::slice::Iter<'a, String>>,
    found: Words,
}

/// Reads the words.
pub fn read(args: &[String]) -> Result<Words, Mistake> {
    let mut reading = Reading {
        words: args.iter().peekable(),
        found: Words::default(),
    };
    let (mut grouped, mut plain) = (false, false);
    while let Some(word) = reading.words.next() {
        if !plain && word == "--" {
            plain = true;
        } else if plain || !is_option(word) {
            // Operands belong together; those that come later are nobody's.
            match grouped {
                false => reading.found.operands.push(word.clone()),
                true => reading.found.extras.push(word.clone()),
            }
            continue;
        } else if let Some(text) = word.strip_prefix("--") {
            reading.long(word, text)?;
        } else {
            reading.letters(word)?;
        }
        grouped |= !reading.found.operands.is_empty() && !plain;
    }
    Ok(reading.found)
}

impl Reading<'_> {
    fn long(&mut self, word: &str, text: &str) -> Result<(), Mistake> {
        let (name, own) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        match long(name)? {
            Some(known) => self.take(known, own),
            None => {
                self.found.extras.push(word.to_string());
                Ok(())
            }
        }
    }

    fn letters(&mut self, word: &str) -> Result<(), Mistake> {
        let mut rest = word.get(1..).unwrap_or_default();
        while let Some(letter) = rest.chars().next() {
            let behind = rest.get(letter.len_utf8()..).unwrap_or_default();
            let found = ALL
                .iter()
                .find(|o| !o.1.is_empty() && o.1.starts_with(letter));
            let Some(known) = found else {
                self.found.extras.push(word.to_string());
                return Ok(());
            };
            if known.2 == Kind::Flag {
                self.take(*known, None)?;
                rest = behind;
                continue;
            }
            let own = behind.strip_prefix('=').unwrap_or(behind);
            return self.take(*known, (!behind.is_empty()).then_some(own));
        }
        Ok(())
    }

    fn take(&mut self, known: Known, own: Option<&str>) -> Result<(), Mistake> {
        let (name, _, kind) = known;
        let value = match (kind, own) {
            (Kind::Flag, Some(own)) => {
                let said = format!("ignored explicit argument {}", super::python(own));
                return Err(wrong_value(name, &said));
            }
            (Kind::Flag, None) => String::new(),
            (_, Some(own)) => own.to_string(),
            (_, None) => match self.words.next_if(|w| !is_option(w) && *w != "--") {
                Some(next) => next.clone(),
                None => return Err(wrong_value(name, "expected one argument")),
            },
        };
        if let Kind::Choice(choices) = kind
            && !choices.contains(&value.as_str())
        {
            return Err(choice(name, choices, &value));
        }
        self.found.options.push((name, value));
        Ok(())
    }
}

/// The options, one a line.
pub fn listed() -> String {
    let each = ALL.iter().map(|(name, letter, kind)| {
        let value = match kind {
            Kind::Flag => String::new(),
            Kind::Value => " VALUE".into(),
            Kind::Choice(_) if *name == "style" => " STYLE".into(),
            Kind::Choice(choices) => format!(" {{{}}}", choices.join(",")),
        };
        let short = if letter.is_empty() {
            String::new()
        } else {
            format!(", -{letter}")
        };
        format!("  --{name}{short}{value}\n")
    });
    each.collect()
}

/// The full name of an option that `--no-...` takes back.
pub fn taken_back(word: &str) -> Option<&'static str> {
    let name = word.strip_prefix("--no-")?;
    ALL.iter().find(|o| o.0 == name).map(|o| o.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &str) -> String {
        let args: Vec<String> = line.split(' ').map(String::from).collect();
        match read(&args) {
            Ok(found) => format!(
                "{:?} {:?} {:?}",
                found.options, found.operands, found.extras
            ),
            Err(mistake) => mistake.to_string(),
        }
    }

    #[test]
    fn words_are_read_as_argparse_reads_them() {
        assert_eq!(
            told("-vh --pri=H GET :80 -pB x"),
            r#"[("verbose", ""), ("headers", ""), ("print", "H"), ("print", "B")] ["GET", ":80"] ["x"]"#
        );
        assert!(told("--s x").contains("ambiguous option: --s could match --style, --sorted"));
        assert!(told("-a").contains("argument --auth/-a: expected one argument"));
        assert!(told("-a -x").contains("expected one argument"));
        assert!(told("x --nosuch -- -y").contains(r#"["--nosuch", "-y"]"#));
    }

    #[test]
    fn any_words_are_read_or_refused() {
        let seeds = [
            "-vh --print=H GET :80 a=b -a u:p --session x",
            "-A x --timeout -1 --",
            "-p=b",
        ];
        netshoot_wire::fuzz::texts(&seeds, 3_000, |text| {
            let args: Vec<String> = text.split(' ').map(String::from).collect();
            if let Ok(found) = read(&args) {
                let count = found.options.len() + found.operands.len() + found.extras.len();
                assert!(count <= text.len() + 1, "{text}");
            }
        });
    }
}
