//! `diff` of files and folders, and with what may not count: `-r`, `-N`, `-x`, `-b`, `-w`, `-B`, `-i`. Formats other than
//! the normal and the unified one are the library's, for files alone.

use super::loose::{Rule, Space, compared};
use super::trouble;
use crate::word::flushed;
use diffutilslib::params::Format;
use diffutilslib::utils::get_modification_time;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// What a missing file of `-N` is dated.
const NEVER: &str = "1970-01-01 00:00:00.000000000 +0000";

/// What was asked for.
#[derive(Default)]
struct Asked {
    rule: Rule,
    recursive: bool,
    new_file: bool,
    brief: bool,
    same: bool,
    text: bool,
    unified: bool,
    context: usize,
    exclude: Vec<String>,
    /// Options as they were typed, for the line before each pair.
    typed: String,
    paths: Vec<PathBuf>,
    /// One of ours is among the options.
    ours: bool,
    /// One that is the library's alone.
    other: Option<String>,
}

/// The exit code, where this command line is one of ours.
pub fn diff(args: &[OsString]) -> Option<i32> {
    let asked = match asked_for(args.get(1..).unwrap_or_default()) {
        Ok(asked) => asked,
        Err(said) => return Some(trouble(&said)),
    };
    let [a, b] = asked.paths.as_slice() else {
        return None;
    };
    if let Some(other) = &asked.other {
        if !asked.ours && !a.is_dir() && !b.is_dir() {
            return None;
        }
        return Some(trouble(&format!(
            "diff: {other} is not to be had with folders, -r, -N, -b, -w, -B, -i"
        )));
    }
    let mut out = io::stdout().lock();
    let code = match (a.is_dir(), b.is_dir()) {
        (true, true) => folders(a, b, &asked, &mut out),
        (true, false) => pair(
            &a.join(b.file_name().unwrap_or_default()),
            b,
            &asked,
            false,
            &mut out,
        ),
        (false, true) => pair(
            a,
            &b.join(a.file_name().unwrap_or_default()),
            &asked,
            false,
            &mut out,
        ),
        (false, false) => pair(a, b, &asked, false, &mut out),
    };
    Some(flushed(code))
}

fn asked_for(words: &[OsString]) -> Result<Asked, String> {
    let mut asked = Asked {
        context: 3,
        ..Asked::default()
    };
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let shown = word.to_string_lossy().into_owned();
        if shown == "--" {
            asked.paths.extend(rest.by_ref().map(PathBuf::from));
            break;
        }
        if shown == "-" || !shown.starts_with('-') {
            asked.paths.push(word.into());
            continue;
        }
        asked.typed.push(' ');
        asked.typed.push_str(&shown);
        if let Some(long) = shown.strip_prefix("--") {
            asked.long(long)?;
            continue;
        }
        let mut letters = shown.chars().skip(1);
        while let Some(letter) = letters.next() {
            if !"UxC".contains(letter) {
                asked.letter(letter);
                continue;
            }
            let mut value: String = letters.by_ref().collect();
            if value.is_empty() {
                let next = rest.next();
                let next =
                    next.ok_or(format!("diff: option requires an argument -- '{letter}'"))?;
                value = next.to_string_lossy().into_owned();
                asked.typed.push_str(&format!(" {value}"));
            }
            match letter {
                'x' => asked.exclude.push(value),
                'U' => asked.lines(&value)?,
                _ => asked.other = Some("-C".into()),
            }
        }
    }
    Ok(asked)
}

impl Asked {
    fn lines(&mut self, value: &str) -> Result<(), String> {
        self.unified = true;
        self.context = value
            .parse()
            .map_err(|_| format!("diff: invalid context length '{value}'"))?;
        Ok(())
    }

    fn letter(&mut self, letter: char) {
        self.ours |= "rNbwBi".contains(letter);
        match letter {
            'r' => self.recursive = true,
            'N' => self.new_file = true,
            'b' if self.rule.space == Space::All => self.rule.space = Space::Some,
            'b' => {}
            'w' => self.rule.space = Space::None,
            'B' => self.rule.blank = true,
            'i' => self.rule.case = true,
            'q' => self.brief = true,
            's' => self.same = true,
            'a' => self.text = true,
            'u' => self.unified = true,
            _ => self.other = Some(format!("-{letter}")),
        }
    }

    fn long(&mut self, long: &str) -> Result<(), String> {
        let letter = match long {
            "recursive" => 'r',
            "new-file" => 'N',
            "ignore-space-change" => 'b',
            "ignore-all-space" => 'w',
            "ignore-blank-lines" => 'B',
            "ignore-case" => 'i',
            "brief" => 'q',
            "report-identical-files" => 's',
            "text" => 'a',
            "unified" => 'u',
            _ => {
                if let Some(value) = long.strip_prefix("unified=") {
                    return self.lines(value);
                }
                match long.strip_prefix("exclude=") {
                    Some(value) => self.exclude.push(value.into()),
                    None => self.other = Some(format!("--{long}")),
                }
                return Ok(());
            }
        };
        self.letter(letter);
        Ok(())
    }
}

/// Names in a folder that are not left out.
fn names(folder: &Path, asked: &Asked) -> io::Result<Vec<OsString>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let shown = name.to_string_lossy();
        if !asked
            .exclude
            .iter()
            .any(|p| crate::glob::matches(p, &shown))
        {
            all.push(name);
        }
    }
    Ok(all)
}

fn folders(a: &Path, b: &Path, asked: &Asked, out: &mut dyn Write) -> i32 {
    let mut all: BTreeMap<OsString, (bool, bool)> = BTreeMap::new();
    for (folder, left) in [(a, true), (b, false)] {
        match names(folder, asked) {
            Ok(found) => {
                for name in found {
                    let sides = all.entry(name).or_default();
                    *(if left { &mut sides.0 } else { &mut sides.1 }) = true;
                }
            }
            // A folder that is only on the other side.
            Err(e) if asked.new_file && e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return trouble(&format!("diff: {}: {}", folder.display(), said(&e))),
        }
    }
    let mut code = 0;
    for (name, (left, right)) in all {
        let (one, other) = (a.join(&name), b.join(&name));
        let is_folder = (one.is_dir(), other.is_dir());
        let both = left && right;
        let step = match is_folder {
            (true, true) if !asked.recursive => {
                let _ = writeln!(
                    out,
                    "Common subdirectories: {} and {}",
                    one.display(),
                    other.display()
                );
                0
            }
            (true, true) => folders(&one, &other, asked, out),
            _ if !both && !asked.new_file => {
                let at = if left { a } else { b };
                let _ = writeln!(out, "Only in {}: {}", at.display(), name.to_string_lossy());
                1
            }
            (true, false) | (false, true) if !both && asked.recursive => {
                folders(&one, &other, asked, out)
            }
            (true, false) if both => other_kind(&one, "directory", &other, "regular file", out),
            (false, true) if both => other_kind(&one, "regular file", &other, "directory", out),
            (false, false) => pair(&one, &other, asked, true, out),
            _ => 0,
        };
        code = code.max(step);
    }
    code
}

fn other_kind(a: &Path, is: &str, b: &Path, other: &str, out: &mut dyn Write) -> i32 {
    let (a, b) = (a.display(), b.display());
    let _ = writeln!(out, "File {a} is a {is} while file {b} is a {other}");
    1
}

/// The words of an error, as the C library has them.
fn said(e: &io::Error) -> String {
    let text = e.to_string();
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_string()
}

/// A file; none where it may be missing and is.
fn content(file: &Path, asked: &Asked) -> io::Result<Option<Vec<u8>>> {
    if file == Path::new("-") {
        let mut all = Vec::new();
        io::stdin().read_to_end(&mut all)?;
        return Ok(Some(all));
    }
    match std::fs::read(file) {
        Ok(all) => Ok(Some(all)),
        Err(e) if asked.new_file && e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

fn pair(a: &Path, b: &Path, asked: &Asked, told: bool, out: &mut dyn Write) -> i32 {
    let (left, right) = match (content(a, asked), content(b, asked)) {
        (Ok(None), Ok(None)) => {
            return trouble(&format!("diff: {}: No such file or directory", a.display()));
        }
        (Ok(left), Ok(right)) => (left, right),
        (Err(e), _) => return trouble(&format!("diff: {}: {}", a.display(), said(&e))),
        (_, Err(e)) => return trouble(&format!("diff: {}: {}", b.display(), said(&e))),
    };
    let dated = |file: &Path, text: &Option<Vec<u8>>| match text {
        Some(_) => get_modification_time(&file.to_string_lossy()),
        None => NEVER.into(),
    };
    let names = format!(
        "--- {}\t{}\n+++ {}\t{}\n",
        a.display(),
        dated(a, &left),
        b.display(),
        dated(b, &right)
    );
    let (left, right) = (left.unwrap_or_default(), right.unwrap_or_default());
    let (a, b) = (a.display(), b.display());
    let binary = |t: &[u8]| !asked.text && t.contains(&0);
    if (binary(&left) || binary(&right)) && left != right && !asked.brief {
        let _ = writeln!(out, "Binary files {a} and {b} differ");
        return 1;
    }
    let format = if asked.unified {
        Format::Unified
    } else {
        Format::Normal
    };
    let text = if left == right {
        Vec::new()
    } else {
        compared(&left, &right, asked.rule, format, asked.context, &names)
    };
    let _ = match (text.is_empty(), asked.brief) {
        (true, _) if asked.same => writeln!(out, "Files {a} and {b} are identical"),
        (true, _) => Ok(()),
        (false, true) => writeln!(out, "Files {a} and {b} differ"),
        (false, false) => {
            if told {
                let _ = writeln!(out, "diff{} {a} {b}", asked.typed);
            }
            out.write_all(&text)
        }
    };
    i32::from(!text.is_empty())
}
