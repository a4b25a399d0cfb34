//! `:` commands: files, and what is done to a range of lines.

use super::text::{Place, Text};
use super::{Editor, UNNAMED};
use crate::grep::system;
use crate::posix::{Posix, Syntax, translate};

impl Editor {
    /// A `:` command; `false`: leave.
    pub(super) fn command(&mut self) -> bool {
        let Some(line) = self.ask(':') else {
            return true;
        };
        let line = line.trim();
        let (word, rest) = line.split_once(' ').map_or((line, None), |(w, r)| {
            (w, Some(r.trim()).filter(|r| !r.is_empty()))
        });
        let changed = self.text.lines != self.saved;
        match word {
            "" => {}
            "q" | "quit" | "qa" if changed => {
                self.said = "No write since last change (:q! overrides)".into()
            }
            "q" | "q!" | "quit" | "qa" | "qa!" => return false,
            "w" | "w!" | "write" | "write!" => {
                self.write(rest, word.ends_with('!'));
            }
            "wq" | "wq!" | "x" | "x!" | "xit" => return !self.write(rest, word.ends_with('!')),
            "set" => match rest {
                Some("nu" | "number") => self.numbers = true,
                Some("nonu" | "nonumber") => self.numbers = false,
                other => self.said = format!("Unknown option: {}", other.unwrap_or_default()),
            },
            "r" | "read" => match rest.map(std::fs::read_to_string) {
                Some(Ok(text)) if text.is_empty() => {}
                Some(Ok(text)) => {
                    self.text.remember();
                    let lines = text.strip_suffix('\n').unwrap_or(&text);
                    self.text.paste(lines, true, true, 1);
                }
                Some(Err(e)) => self.said = system(&e),
                None => self.said = "No filename".into(),
            },
            "e" | "edit" if changed => {
                self.said = "No write since last change (:e! overrides)".into();
            }
            "e" | "e!" | "edit" | "edit!" => self.edit(rest),
            _ => {
                self.text.remember();
                let mut cut = None;
                self.said = match self.text.ex(line, &mut cut) {
                    Ok(said) | Err(said) => said,
                };
                if let Some(cut) = cut {
                    self.cuts.insert(UNNAMED, (cut, true));
                }
            }
        }
        self.wanted = self.text.column;
        self.text.keep_inside(false);
        true
    }

    /// Another file, or this one as it was written last.
    fn edit(&mut self, file: Option<&str>) {
        let Some(file) = file.map(String::from).or_else(|| self.file.clone()) else {
            self.said = "No current filename".into();
            return;
        };
        let text = match std::fs::read(&file) {
            Ok(bytes) => match String::from_utf8(bytes) {
                Ok(text) => text,
                Err(_) => {
                    self.said = format!("\"{file}\" is not UTF-8 text: vi FILE shows it");
                    return;
                }
            },
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                self.said = format!("\"{file}\" [New file]");
                String::new()
            }
            Err(e) => {
                self.said = format!("\"{file}\" {}", system(&e));
                return;
            }
        };
        let pattern = std::mem::take(&mut self.text.pattern);
        self.text = Text::new(&text);
        self.text.pattern = pattern;
        self.untouched = None;
        self.count = self.text.lines.len();
        self.saved = self.text.lines.clone();
        self.marks.clear();
        self.file = Some(file);
    }
}

impl Text {
    /// `:s`, `:d` and the like on a range of lines; what was cut or copied of it.
    pub fn ex(&mut self, line: &str, cut: &mut Option<String>) -> Result<String, String> {
        let ((first, last), rest) = self.range(line)?;
        let rest = rest.trim_start();
        let most = self.lines.len() - 1;
        let (first, last) = match rest {
            // To a line behind the last one is to the last one.
            "" => (first.min(most), last.min(most)),
            _ if first > last => return Err("Backwards range".into()),
            _ if last > most => return Err("Invalid range".into()),
            _ => (first, last),
        };
        let count = last - first + 1;
        match rest {
            "" => {
                self.row = last;
                self.column = self.indent(last);
            }
            "d" | "delete" => {
                *cut = Some(self.lines_from(first, count).join("\n"));
                self.drop_lines(first, count);
            }
            "y" | "yank" => *cut = Some(self.lines_from(first, count).join("\n")),
            "j" | "join" => {
                (self.row, self.column) = (first, 0);
                (0..count.max(2) - 1).for_each(|_| self.join());
            }
            ">" | "<" => self.shift(first, count, rest == ">"),
            _ => return self.ex_with_words(line, (first, last), rest, cut),
        }
        Ok(String::new())
    }

    fn ex_with_words(
        &mut self,
        line: &str,
        (first, last): Place,
        rest: &str,
        cut: &mut Option<String>,
    ) -> Result<String, String> {
        let without = |word: &str| rest.strip_prefix(word);
        let sign = |rest: &str| rest.starts_with(|c: char| !c.is_alphanumeric());
        if let Some(words) = without("s").filter(|r| sign(r)) {
            return self.substitute(first, last, words);
        }
        for (word, when) in [("g!", false), ("g", true), ("v", false)] {
            if let Some(words) = without(word).filter(|r| sign(r)) {
                // Without a range it is about all lines.
                let given = line.len() > rest.len();
                let rows = if given {
                    (first, last)
                } else {
                    (0, self.lines.len() - 1)
                };
                return self.global(rows, words, when, cut);
            }
        }
        let to = |words: &str| -> Result<usize, String> {
            match words.trim() {
                "0" => Ok(0),
                w => match self.address(w)? {
                    at if at < self.lines.len() => Ok(at + 1),
                    _ => Err("Invalid range".into()),
                },
            }
        };
        let moved = without("m").map(|w| (w, true));
        let copied = without("co").or(without("t")).map(|w| (w, false));
        let Some((words, moves)) = moved.or(copied) else {
            return Err(format!("Not an editor command: {line}"));
        };
        let mut at = to(words)?;
        let lines = self.lines_from(first, last - first + 1);
        if moves {
            if (first + 1..=last).contains(&at) {
                return Err("Cannot move a range of lines into itself".into());
            }
            self.lines.drain(first..=last);
            at -= if at > last { lines.len() } else { 0 };
        }
        self.row = at + lines.len() - 1;
        self.lines.splice(at..at, lines);
        self.column = self.indent(self.row);
        Ok(String::new())
    }

    /// `:g/pattern/command`: the command on each line that matches, or on each that does not.
    fn global(
        &mut self,
        (first, last): Place,
        words: &str,
        when: bool,
        cut: &mut Option<String>,
    ) -> Result<String, String> {
        let sign = words.chars().next().unwrap_or('/');
        let words = words.strip_prefix(sign).unwrap_or_default();
        let parts = cut_at(words, sign, 2);
        let part = |n: usize| parts.get(n).map_or("", String::as_str);
        let (pattern, command) = (self.pattern_or_last(part(0))?, part(1));
        if !(["d", "delete", "j", ">", "<"].contains(&command) || command.starts_with('s')) {
            return Err(format!("Not a command for each line: {command}"));
        }
        let re = translate(&pattern, Syntax::Basic).and_then(|t| Posix::new(&t, false))?;
        let hit = |l: &String| re.is_match(l.as_bytes()) == when;
        let all = self
            .lines
            .iter()
            .enumerate()
            .skip(first)
            .take(last - first + 1);
        let rows: Vec<usize> = all.filter(|(_, l)| hit(l)).map(|(n, _)| n).collect();
        if rows.is_empty() {
            return Err(format!("Pattern not found: {pattern}"));
        }
        if command.starts_with('d') {
            let mut next = rows.iter().copied().peekable();
            let mut kept = Vec::with_capacity(self.lines.len());
            let mut gone = Vec::new();
            for (n, line) in std::mem::take(&mut self.lines).into_iter().enumerate() {
                match next.next_if_eq(&n) {
                    Some(_) => gone.push(line),
                    None => kept.push(line),
                }
            }
            self.lines = kept;
            self.row = rows.last().map_or(0, |r| r + 1).saturating_sub(rows.len());
            self.keep_inside(false);
            self.column = self.indent(self.row);
            *cut = Some(gone.join("\n"));
            return Ok(String::new());
        }
        let (length, mut all) = (self.lines.len(), Vec::new());
        for row in rows {
            // All of these commands leave as many lines or fewer.
            self.row = row.saturating_sub(length - self.lines.len().min(length));
            let mut one = None;
            // A line without what is to be replaced is none to complain of.
            let _ = self.ex(command, &mut one);
            all.extend(one);
        }
        if !all.is_empty() {
            *cut = Some(all.join("\n"));
        }
        self.keep_inside(false);
        Ok(String::new())
    }

    fn range<'a>(&self, line: &'a str) -> Result<(Place, &'a str), String> {
        if let Some(rest) = line.strip_prefix('%') {
            return Ok(((0, self.lines.len() - 1), rest));
        }
        let end = line
            .find(|c: char| !(c.is_ascii_digit() || ".$,+-".contains(c)))
            .unwrap_or(line.len());
        let (words, rest) = line.split_at(end);
        let (a, b) = words.split_once(',').unwrap_or((words, words));
        let (a, b) = (self.address(a)?, self.address(b)?);
        Ok(((a, b), rest))
    }

    /// `3`, `.`, `$`, each with `+2` or `-1` behind it; a line that is there.
    fn address(&self, word: &str) -> Result<usize, String> {
        let wrong = || format!("Invalid range: {word}");
        let (mut at, last) = (self.row, self.lines.len() - 1);
        let end = word.find(['+', '-']).unwrap_or(word.len());
        let (base, mut steps) = word.split_at(end);
        match base {
            "" | "." => {}
            "$" => at = last,
            n => at = n.parse::<usize>().map_err(|_| wrong())?.saturating_sub(1),
        }
        while let Some(sign) = steps.chars().next() {
            let rest = steps.get(1..).unwrap_or_default();
            let digits = rest.find(['+', '-']).unwrap_or(rest.len());
            let (number, after) = rest.split_at(digits);
            let by = match number {
                "" => 1,
                n => n.parse::<usize>().map_err(|_| wrong())?,
            };
            at = match sign {
                '+' => at.saturating_add(by),
                _ => at.saturating_sub(by),
            };
            steps = after;
        }
        Ok(at)
    }

    /// An empty pattern is the one of the last search.
    fn pattern_or_last(&mut self, pattern: &str) -> Result<String, String> {
        if !pattern.is_empty() {
            self.pattern = pattern.to_string();
        }
        match self.pattern.is_empty() {
            true => Err("No previous pattern".into()),
            false => Ok(self.pattern.clone()),
        }
    }

    fn substitute(&mut self, first: usize, last: usize, rest: &str) -> Result<String, String> {
        let sign = rest
            .chars()
            .next()
            .filter(|c| !c.is_alphanumeric())
            .ok_or("No pattern")?;
        let parts = cut_at(rest.get(sign.len_utf8()..).unwrap_or_default(), sign, 3);
        let part = |n: usize| parts.get(n).map_or("", String::as_str);
        let pattern = self.pattern_or_last(part(0))?;
        let translated = translate(&pattern, Syntax::Basic)?;
        let flags = part(2).trim();
        if let Some(c) = flags.chars().find(|c| !"giI&".contains(*c)) {
            return Err(format!("There is no flag {c} here"));
        }
        let re = regex::RegexBuilder::new(&translated)
            .case_insensitive(flags.contains('i'))
            .build()
            .map_err(|_| format!("Invalid pattern: {pattern}"))?;
        let by = replacement(part(1));
        let mut count = 0;
        for row in first..=last {
            let Some(line) = self.lines.get_mut(row) else {
                break;
            };
            let found = re.find_iter(line).count();
            if found > 0 {
                count += if flags.contains('g') { found } else { 1 };
                *line = if flags.contains('g') {
                    re.replace_all(line, by.as_str())
                } else {
                    re.replace(line, by.as_str())
                }
                .into_owned();
                self.row = row;
            }
        }
        if count == 0 {
            return Err("Pattern not found".into());
        }
        // `\\r` of a replacement ends a line.
        if by.contains('\n') {
            let rows = first..(last + 1).min(self.lines.len());
            let before = self.lines.len();
            let cut: Vec<String> = self
                .lines
                .drain(rows)
                .flat_map(|l| l.split('\n').map(String::from).collect::<Vec<_>>())
                .collect();
            self.lines.splice(first..first, cut);
            self.row += self.lines.len() - before;
        }
        Ok(format!(
            "{count} substitution{}",
            if count == 1 { "" } else { "s" }
        ))
    }
}

/// The parts of a command between its signs; one behind a backslash is a letter.
fn cut_at(text: &str, sign: char, most: usize) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let ends = c == sign && parts.len() < most;
        if ends {
            parts.push(String::new());
            continue;
        }
        let Some(part) = parts.last_mut() else { break };
        match c {
            '\\' if chars.peek() == Some(&sign) => part.extend(chars.next()),
            '\\' => {
                part.push('\\');
                part.extend(chars.next());
            }
            c => part.push(c),
        }
    }
    parts
}

/// vi's `&` and `\1` as the library's `${0}` and `${1}`.
fn replacement(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '$' => out.push_str("$$"),
            '&' => out.push_str("${0}"),
            '\\' => match chars.next() {
                Some(d) if d.is_ascii_digit() => out.push_str(&format!("${{{d}}}")),
                Some('r' | 'n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some(c) => out.push(c),
                None => {}
            },
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn substitution_knows_ranges_groups_and_flags() {
        for (command, expected) in [
            ("%s/o/0/g", "f00 b0\nb00\n"),
            ("s/\\(f\\)o/<\\1&>/", "<ffo>o bo\nboo\n"),
            ("2s/b/\\//", "foo bo\n/oo\n"),
            ("$d", "foo bo\n"),
            ("1,$-1d", "boo\n"),
            ("1m$", "boo\nfoo bo\n"),
            ("2m0", "boo\nfoo bo\n"),
            ("1t.", "foo bo\nfoo bo\nboo\n"),
            ("1,2j", "foo bo boo\n"),
            ("g/foo/d", "boo\n"),
            ("%s/o\\/*o/x/", "fx bo\nbx\n"),
            ("1s/ /\\r/", "foo\nbo\nboo\n"),
            ("%s/o/\\//g", "f// b/\nb//\n"),
            ("v/foo/s/o/0/g", "foo bo\nb00\n"),
            (".+1>", "foo bo\n\tboo\n"),
        ] {
            let mut t = Text::new("foo bo\nboo\n");
            assert!(t.ex(command, &mut None).is_ok(), "{command}");
            assert_eq!(t.whole(), expected, "{command}");
        }
        let mut cut = None;
        Text::new("a\nb\nc\n").ex("2,3y", &mut cut).unwrap();
        assert_eq!(cut.as_deref(), Some("b\nc"));
        for wrong in [
            "s/y/z/",
            "frobnicate",
            "1-x",
            "g/x/q",
            "1,2m1",
            "99d",
            "2,1d",
            "s/x/y/c",
            "s//y/",
            "1m9",
        ] {
            assert!(Text::new("x\ny\n").ex(wrong, &mut None).is_err(), "{wrong}");
        }
    }
}
