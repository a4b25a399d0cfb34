//! Runs an awk program: input and statements here, what expressions are worth in `values`.

mod values;

use super::parse::{Expr, From, Pattern, Place, Program, Stmt};
use super::streams::{Input, Streams};
use super::value::{Value, number_text};
use crate::posix::{Posix, Syntax, translate};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// The variables that mean something, by number.
pub const NAMES: [&str; 17] = [
    "NF", "NR", "FNR", "FS", "OFS", "ORS", "RS", "FILENAME", "SUBSEP", "RSTART", "RLENGTH",
    "CONVFMT", "OFMT", "ENVIRON", "ARGC", "ARGV", "RT",
];
const NF: usize = 0;
const NR: usize = 1;
const FNR: usize = 2;
const FS: usize = 3;
const OFS: usize = 4;
const ORS: usize = 5;
const RS: usize = 6;
const FILENAME: usize = 7;
const SUBSEP: usize = 8;
pub const RSTART: usize = 9;
pub const RLENGTH: usize = 10;
const CONVFMT: usize = 11;
const OFMT: usize = 12;
const ENVIRON: usize = 13;
const ARGC: usize = 14;
const ARGV: usize = 15;

/// An array.
pub type Array = Rc<RefCell<HashMap<Rc<str>, Value>>>;

/// A parameter: what it is shows with its first use.
#[derive(Clone)]
enum Slot {
    Scalar(Value),
    Array(Array),
}

/// Why statements end early.
pub enum Stop {
    Next,
    NextFile,
    Exit,
    Break,
    Continue,
    Return(Value),
    Failed(String),
}

type Done<T> = Result<T, Stop>;

fn failed<T>(said: impl Into<String>) -> Done<T> {
    Err(Stop::Failed(said.into()))
}

/// A program that runs.
pub struct Run<'p> {
    program: &'p Program,
    globals: Vec<Value>,
    arrays: HashMap<usize, Array>,
    frames: Vec<Vec<Slot>>,
    record: Rc<str>,
    fields: Vec<Rc<str>>,
    /// The record was split; the fields were changed since.
    split: bool,
    changed: bool,
    regexes: HashMap<String, Rc<Posix>>,
    ranges: Vec<bool>,
    pub streams: Streams,
    pub exit: i32,
    /// Where in `ARGV` the input is.
    argument: usize,
    read_any: bool,
    pub seed: (f64, u64),
}

impl<'p> Run<'p> {
    /// Ready to run, with `ARGV`.
    pub fn new(program: &'p Program, argv: &[String]) -> Run<'p> {
        let mut run = Run {
            program,
            globals: vec![Value::None; program.names.len()],
            arrays: HashMap::new(),
            frames: Vec::new(),
            record: "".into(),
            fields: Vec::new(),
            split: true,
            changed: false,
            regexes: HashMap::new(),
            ranges: vec![false; program.rules.len()],
            streams: Streams::default(),
            exit: 0,
            argument: 1,
            read_any: false,
            seed: (0.0, 0x2545_f491_4f6c_dd1d),
        };
        for (at, text) in [
            (FS, " "),
            (OFS, " "),
            (ORS, "\n"),
            (RS, "\n"),
            (SUBSEP, "\x1c"),
            (CONVFMT, "%.6g"),
            (OFMT, "%.6g"),
            (FILENAME, ""),
        ] {
            run.set_global(at, Value::text(text));
        }
        for at in [NF, NR, FNR, RSTART] {
            run.set_global(at, Value::Number(0.0));
        }
        run.set_global(RLENGTH, Value::Number(-1.0));
        run.set_global(ARGC, Value::Number(argv.len() as f64));
        let list = run.global_array(ARGV);
        for (n, a) in argv.iter().enumerate() {
            list.borrow_mut()
                .insert(n.to_string().into(), Value::Input(a.as_str().into()));
        }
        let environment = run.global_array(ENVIRON);
        for (k, v) in std::env::vars_os() {
            let (k, v) = (k.to_string_lossy(), v.to_string_lossy());
            environment
                .borrow_mut()
                .insert(k.as_ref().into(), Value::Input(v.as_ref().into()));
        }
        run
    }

    /// `-v` and `name=value` between files.
    pub fn assign(&mut self, name: &str, text: &str) {
        if let Some(at) = self.program.names.iter().position(|n| n == name) {
            let value = Value::Input(super::lex::unescaped(text).into());
            self.set_global(at, value);
        }
    }

    fn set_global(&mut self, at: usize, value: Value) {
        if let Some(v) = self.globals.get_mut(at) {
            *v = value;
        }
    }

    fn global(&self, at: usize) -> &Value {
        const NONE: &Value = &Value::None;
        self.globals.get(at).unwrap_or(NONE)
    }

    fn special(&self, at: usize) -> Rc<str> {
        self.global(at).string("%.6g")
    }

    fn global_array(&mut self, at: usize) -> Array {
        self.arrays.entry(at).or_default().clone()
    }

    /// The whole program; the exit code, or what went wrong.
    pub fn run(&mut self) -> Result<i32, String> {
        let mut end = self.rules(|p| matches!(p, Pattern::Begin));
        let reads = self
            .program
            .rules
            .iter()
            .any(|(p, _)| !matches!(p, Pattern::Begin));
        if end.is_ok() && reads {
            end = self.main_loop();
        }
        if let Err(Stop::Failed(said)) = end {
            return Err(said);
        }
        // `exit` still runs END, unless END says it.
        if let Err(Stop::Failed(said)) = self.rules(|p| matches!(p, Pattern::End)) {
            return Err(said);
        }
        self.streams.close_all();
        Ok(self.exit)
    }

    fn rules(&mut self, which: impl Fn(&Pattern) -> bool) -> Done<()> {
        let program = self.program;
        for (pattern, body) in program.rules.iter().filter(|(p, _)| which(p)) {
            let _ = pattern;
            self.block(body.as_deref().unwrap_or_default())?;
        }
        Ok(())
    }

    fn main_loop(&mut self) -> Done<()> {
        let program = self.program;
        while let Some(record) = self.next_record()? {
            self.set_record(record);
            match self.one_record(program) {
                Ok(()) | Err(Stop::Next) => {}
                Err(Stop::NextFile) => self.streams.main = None,
                Err(stop) => return Err(stop),
            }
        }
        Ok(())
    }

    fn one_record(&mut self, program: &Program) -> Done<()> {
        for (n, (pattern, body)) in program.rules.iter().enumerate() {
            let runs = match pattern {
                Pattern::Begin | Pattern::End => false,
                Pattern::Always => true,
                Pattern::When(e) => self.truth(e)?,
                Pattern::Range(first, last) => {
                    let inside = self.ranges.get(n).copied().unwrap_or_default();
                    let runs = inside || self.truth(first)?;
                    let goes_on = runs && !self.truth(last)?;
                    if let Some(r) = self.ranges.get_mut(n) {
                        *r = goes_on;
                    }
                    runs
                }
            };
            if !runs {
                continue;
            }
            match body {
                Some(body) => self.block(body)?,
                None => self.print(&[], false, None)?,
            }
        }
        Ok(())
    }

    /// The next record of the main input.
    fn next_record(&mut self) -> Done<Option<Rc<str>>> {
        loop {
            if self.streams.main.is_none() && !self.open_next()? {
                return Ok(None);
            }
            let rs = self.special(RS);
            let record = match self.streams.main.as_mut() {
                Some(input) => input.record(&rs),
                None => None,
            };
            match record {
                Some(r) => {
                    let (nr, fnr) = (
                        self.global(NR).number() + 1.0,
                        self.global(FNR).number() + 1.0,
                    );
                    self.set_global(NR, Value::Number(nr));
                    self.set_global(FNR, Value::Number(fnr));
                    return Ok(Some(r));
                }
                None => self.streams.main = None,
            }
        }
    }

    fn open_next(&mut self) -> Done<bool> {
        let argv = self.global_array(ARGV);
        while (self.argument as f64) < self.global(ARGC).number() {
            let key: Rc<str> = self.argument.to_string().into();
            self.argument += 1;
            let word = argv.borrow().get(&key).map(|v| v.string("%.6g"));
            let Some(word) = word.filter(|w| !w.is_empty()) else {
                continue;
            };
            if let Some((name, value)) = word.split_once('=')
                && !name.is_empty()
                && name.chars().all(|c| c.is_alphanumeric() || c == '_')
                && !name.starts_with(|c: char| c.is_ascii_digit())
            {
                self.assign(name, value);
                continue;
            }
            self.read_any = true;
            match Input::open(&word) {
                Ok(input) => {
                    self.streams.main = Some(input);
                    self.set_global(FILENAME, Value::text(word));
                    self.set_global(FNR, Value::Number(0.0));
                    return Ok(true);
                }
                Err(e) => {
                    self.exit = 2;
                    self.streams
                        .complain(&format!("cannot open {word} ({})", crate::grep::system(&e)));
                }
            }
        }
        if self.read_any {
            return Ok(false);
        }
        self.read_any = true;
        self.streams.main = Input::open("-").ok();
        Ok(true)
    }

    fn set_record(&mut self, record: Rc<str>) {
        self.record = record;
        self.split = false;
        self.changed = false;
    }

    /// Splits the record when a field is wanted.
    fn fields(&mut self) {
        if self.split {
            return;
        }
        self.split = true;
        let fs = self.special(FS);
        let record = self.record.clone();
        let fs = if self.special(RS).is_empty() && &*fs != " " {
            format!("(?:{fs})|\n").into()
        } else {
            fs
        };
        self.fields = self.pieces(&record, &fs).unwrap_or_default();
        let n = self.fields.len();
        self.set_global(NF, Value::Number(n as f64));
    }

    /// The pieces of a text between separators.
    pub fn pieces(&mut self, text: &str, fs: &str) -> Done<Vec<Rc<str>>> {
        if text.is_empty() {
            return Ok(Vec::new());
        }
        Ok(match fs {
            " " => text
                .split([' ', '\t', '\n'])
                .filter(|s| !s.is_empty())
                .map(Into::into)
                .collect(),
            "" => text.chars().map(|c| c.to_string().into()).collect(),
            one if one.chars().count() == 1 && one != "\\" => {
                text.split(one).map(Into::into).collect()
            }
            _ => {
                let re = self.regex(fs)?;
                let mut all = Vec::new();
                let (mut from, mut at) = (0, 0);
                while let Some((start, end)) = re.find_at(text.as_bytes(), at) {
                    if end > start {
                        all.push(text.get(from..start).unwrap_or_default().into());
                        from = end;
                        at = end;
                    } else {
                        at = end + 1;
                    }
                    if at > text.len() {
                        break;
                    }
                }
                all.push(text.get(from..).unwrap_or_default().into());
                all
            }
        })
    }

    /// The compiled expression of a text.
    pub fn regex(&mut self, text: &str) -> Done<Rc<Posix>> {
        if let Some(re) = self.regexes.get(text) {
            return Ok(re.clone());
        }
        let source = escapes(text);
        let re = translate(&source, Syntax::Extended)
            .and_then(|t| Posix::new(&format!("(?s){t}"), false));
        match re {
            Ok(re) => {
                let re = Rc::new(re);
                self.regexes.insert(text.to_string(), re.clone());
                Ok(re)
            }
            Err(e) => failed(format!("regular expression {text}: {e}")),
        }
    }

    fn joined(&mut self) {
        if self.changed {
            self.changed = false;
            self.record = self.fields.join(&self.special(OFS)).into();
        }
    }

    fn field(&mut self, n: f64) -> Done<Value> {
        if n < 0.0 {
            return failed(format!("attempt to access field {n}"));
        }
        if n < 1.0 {
            self.joined();
            return Ok(Value::Input(self.record.clone()));
        }
        self.fields();
        Ok(self
            .fields
            .get(n as usize - 1)
            .map_or(Value::None, |f| Value::Input(f.clone())))
    }

    fn set_field(&mut self, n: f64, value: Rc<str>) -> Done<()> {
        if !(0.0..=1e6).contains(&n) {
            return failed(format!("attempt to access field {n}"));
        }
        if n < 1.0 {
            self.set_record(value);
            return Ok(());
        }
        self.fields();
        let at = n as usize;
        if self.fields.len() < at {
            self.fields.resize(at, "".into());
            self.set_global(NF, Value::Number(at as f64));
        }
        if let Some(f) = self.fields.get_mut(at - 1) {
            *f = value;
        }
        self.changed = true;
        Ok(())
    }

    fn set_nf(&mut self, n: f64) {
        self.fields();
        self.fields
            .resize((n.max(0.0) as usize).min(1 << 20), "".into());
        self.changed = true;
    }

    // Statements.

    fn block(&mut self, all: &[Stmt]) -> Done<()> {
        all.iter().try_for_each(|s| self.statement(s))
    }

    /// The body of a loop; `false`: it is over.
    fn turn(&mut self, body: &Stmt) -> Done<bool> {
        match self.statement(body) {
            Ok(()) | Err(Stop::Continue) => Ok(true),
            Err(Stop::Break) => Ok(false),
            Err(stop) => Err(stop),
        }
    }

    fn statement(&mut self, s: &Stmt) -> Done<()> {
        match s {
            Stmt::Expr(e) => self.value(e).map(drop),
            Stmt::Print(words, format, to) => self.print(words, *format, to.as_ref()),
            Stmt::Block(all) => self.block(all),
            Stmt::If(condition, then, other) => match (self.truth(condition)?, other) {
                (true, _) => self.statement(then),
                (false, Some(other)) => self.statement(other),
                (false, None) => Ok(()),
            },
            Stmt::While(condition, body) => {
                while self.truth(condition)? && self.turn(body)? {}
                Ok(())
            }
            Stmt::Do(body, condition) => {
                while self.turn(body)? && self.truth(condition)? {}
                Ok(())
            }
            Stmt::For(first, condition, step, body) => {
                first.iter().try_for_each(|s| self.statement(s))?;
                loop {
                    if let Some(c) = condition
                        && !self.truth(c)?
                    {
                        return Ok(());
                    }
                    if !self.turn(body)? {
                        return Ok(());
                    }
                    step.iter().try_for_each(|s| self.statement(s))?;
                }
            }
            Stmt::ForIn(key, place, body) => {
                let array = self.array(*place)?;
                let mut keys: Vec<Rc<str>> = array.borrow().keys().cloned().collect();
                keys.sort_by(|a, b| key_order(a, b));
                for k in keys {
                    if !array.borrow().contains_key(&k) {
                        continue;
                    }
                    self.set(key, Value::Input(k))?;
                    if !self.turn(body)? {
                        break;
                    }
                }
                Ok(())
            }
            Stmt::Delete(place, index) => {
                let array = self.array(*place)?;
                match index {
                    Some(index) => {
                        let key = self.key(index)?;
                        array.borrow_mut().remove(&key);
                    }
                    None => array.borrow_mut().clear(),
                }
                Ok(())
            }
            Stmt::Next => Err(Stop::Next),
            Stmt::NextFile => Err(Stop::NextFile),
            Stmt::Break => Err(Stop::Break),
            Stmt::Continue => Err(Stop::Continue),
            Stmt::Exit(code) => {
                if let Some(code) = code {
                    self.exit = self.value(code)?.number() as i32;
                }
                Err(Stop::Exit)
            }
            Stmt::Return(value) => {
                let value = value.as_ref().map_or(Ok(Value::None), |v| self.value(v))?;
                Err(Stop::Return(value))
            }
        }
    }

    fn print(
        &mut self,
        words: &[Expr],
        format: bool,
        to: Option<&(&'static str, Expr)>,
    ) -> Done<()> {
        let mut text = String::new();
        if format {
            let mut values = Vec::new();
            for w in words {
                values.push(self.value(w)?);
            }
            let convfmt = self.special(CONVFMT);
            let form = values
                .first()
                .map(|v| v.string(&convfmt))
                .unwrap_or_default();
            text = super::format::printf(&form, values.get(1..).unwrap_or_default(), &convfmt);
        } else if words.is_empty() {
            self.joined();
            text.push_str(&self.record);
            text.push_str(&self.special(ORS));
        } else {
            let (ofs, ofmt) = (self.special(OFS), self.special(OFMT));
            for (n, w) in words.iter().enumerate() {
                if n > 0 {
                    text.push_str(&ofs);
                }
                match self.value(w)? {
                    Value::Number(n) => text.push_str(&number_text(n, &ofmt)),
                    v => text.push_str(&v.string(&ofmt)),
                }
            }
            text.push_str(&self.special(ORS));
        }
        let to = match to {
            Some((sign, e)) => Some((*sign, self.text(e)?)),
            None => None,
        };
        self.streams.write(to, text.as_bytes()).or_else(failed)
    }
}

/// Numbers by value before text by letters.
fn key_order(a: &str, b: &str) -> std::cmp::Ordering {
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(x), Ok(y)) => x.total_cmp(&y),
        (Ok(_), Err(_)) => std::cmp::Ordering::Less,
        (Err(_), Ok(_)) => std::cmp::Ordering::Greater,
        _ => a.cmp(b),
    }
}

/// Escapes that awk has inside regular expressions, as the characters that they mean.
fn escapes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('f') => out.push('\x0c'),
            Some('v') => out.push('\x0b'),
            Some('a') => out.push('\x07'),
            Some('"') => out.push('"'),
            Some('/') => out.push('/'),
            // In awk, \y is the edge of a word.
            Some('y') => out.push_str("\\b"),
            Some(c) => {
                out.push('\\');
                out.push(c);
            }
            None => out.push_str("\\\\"),
        }
    }
    out
}
