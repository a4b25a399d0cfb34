//! `jq`: jaq's language and library behind jq's command line.

mod options;

use crate::word::flushed;
use jaq_core::load::{Arena, File, Loader, import};
use jaq_core::{Compiler, DataT, Lut, Vars, data, native, unwrap_valr};
use jaq_json::write::{Pp, Styles};
use jaq_json::{Val, read, write};
use jaq_std::input::{self, HasInputs, Inputs, RcIter};
use options::{Options, Source};
use std::ffi::OsString;
use std::io::{self, BufRead, IsTerminal, Read, Write};

const USAGE: &str = "Usage:\tjq [OPTIONS] FILTER [FILES...]\n\tjq [OPTIONS] -f FILE [FILES...]\n\tjq [OPTIONS] --args FILTER [STRINGS...]\n\nOptions: -n -s -R -r -j -c -S -a -C -M -e -f FILE --tab --indent N\n         --arg NAME VALUE --argjson NAME JSON --slurpfile NAME FILE --rawfile NAME FILE --args --jsonargs\n";

struct Kind;

impl DataT for Kind {
    type V<'a> = Val;
    type Data<'a> = &'a Data<'a>;
}

struct Data<'a> {
    lut: &'a Lut<Kind>,
    inputs: Inputs<'a, Val>,
}

impl<'a> data::HasLut<'a, Kind> for &'a Data<'a> {
    fn lut(&self) -> &'a Lut<Kind> {
        self.lut
    }
}

impl<'a> HasInputs<'a, Val> for &'a Data<'a> {
    fn inputs(&self) -> Inputs<'a, Val> {
        self.inputs
    }
}

/// Why jq ends early: what it says, and its exit code.
struct Stop(String, i32);

/// `jq`.
pub fn jq(args: Vec<OsString>) -> i32 {
    let code = match options::parse(args.into_iter().skip(1)) {
        Err(said) => {
            let _ = write!(io::stderr(), "jq: error: {said}\n{USAGE}");
            2
        }
        Ok(o) if o.help => {
            let _ = io::stdout().write_all(USAGE.as_bytes());
            0
        }
        Ok(o) if o.version => {
            let _ = writeln!(io::stdout(), "jq-1.7 (jaq)");
            0
        }
        Ok(o) => run(&o).unwrap_or_else(|Stop(said, code)| {
            let _ = io::stdout().flush();
            if !said.is_empty() {
                let _ = writeln!(io::stderr(), "jq: error: {said}");
            }
            code
        }),
    };
    flushed(code)
}

fn run(o: &Options) -> Result<i32, Stop> {
    let code = match (&o.from_file, &o.filter) {
        (Some(file), _) => std::fs::read_to_string(file)
            .map_err(|e| Stop(format!("Could not open {file}: {e}"), 2))?,
        (None, Some(filter)) => filter.clone(),
        (None, None) => {
            let _ = io::stderr().write_all(USAGE.as_bytes());
            return Ok(2);
        }
    };
    if log::set_logger(&Debug).is_ok() {
        log::set_max_level(log::LevelFilter::Debug);
    }
    let (names, values) = variables(o)?;
    let filter = compile(&code, &names)?;
    let broken = std::cell::Cell::new(false);
    let values_in = inputs(o, &broken);
    let inputs = RcIter::new(values_in);
    let inputs: Inputs<'_, Val> = &inputs;
    let data = Data {
        lut: &filter.lut,
        inputs,
    };
    let ctx = jaq_core::Ctx::<Kind>::new(&data, Vars::new(values));
    let mut last = None;
    let mut out = io::stdout().lock();
    let mut code = 0;
    let once = RcIter::new(std::iter::once(Ok(Val::Null)));
    let once: Inputs<'_, Val> = &once;
    let feed = if o.null_input { once } else { inputs };
    for input in feed {
        let input = input.map_err(|e| Stop(e, 2))?;
        for y in filter.id.run((ctx.clone(), input)) {
            match y {
                Ok(v) => {
                    last = Some(!matches!(v, Val::Null | Val::Bool(false)));
                    print(&mut out, o, &v).map_err(|e| Stop(format!("write failed: {e}"), 2))?;
                }
                Err(exn) => {
                    let _ = out.flush();
                    let exn = match exn.get_halt() {
                        Ok(halted) => return Ok(halted),
                        Err(exn) => exn,
                    };
                    if let Err(e) = unwrap_valr::<Val, Val>(Err(exn)) {
                        let _ = writeln!(io::stderr(), "jq: error (at <stdin>:0): {e}");
                    }
                    code = 5;
                    break;
                }
            }
        }
    }
    if broken.get() {
        code = 2;
    }
    Ok(match (o.exit_status, code, last) {
        (true, 0, None) => 4,
        (true, 0, Some(false)) => 1,
        _ => code,
    })
}

/// What `debug` says, as jq says it.
struct Debug;

impl log::Log for Debug {
    fn enabled(&self, m: &log::Metadata<'_>) -> bool {
        m.target().starts_with("jaq")
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            let _ = io::stdout().flush();
            let _ = writeln!(io::stderr(), "[\"DEBUG:\",{}]", record.args());
        }
    }

    fn flush(&self) {}
}

/// Global variables: their names with `$`, and their values.
fn variables(o: &Options) -> Result<(Vec<String>, Vec<Val>), Stop> {
    let mut names = vec!["$ENV".to_string(), "$__prog_name".to_string()];
    let env = std::env::vars().map(|(k, v)| (Val::from(k), Val::from(v)));
    let mut values = vec![Val::obj(env.collect()), Val::from("jq".to_string())];
    let mut all = Vec::new();
    for (name, source) in &o.named {
        let v = value(name, source)?;
        all.push((Val::from(name.clone()), v.clone()));
        names.push(format!("${name}"));
        values.push(v);
    }
    let mut words = Vec::new();
    for source in &o.positional {
        words.push(value("positional", source)?);
    }
    let args = [
        (
            Val::from("positional".to_string()),
            words.into_iter().collect(),
        ),
        (
            Val::from("named".to_string()),
            Val::obj(all.into_iter().collect()),
        ),
    ];
    names.push("$ARGS".into());
    values.push(Val::obj(args.into_iter().collect()));
    Ok((names, values))
}

fn value(name: &str, source: &Source) -> Result<Val, Stop> {
    let open = |file: &str| {
        std::fs::read(file)
            .map_err(|e| Stop(format!("Bad JSON in --slurpfile {name} {file}: {e}"), 2))
    };
    match source {
        Source::Text(t) => Ok(Val::from(t.clone())),
        Source::Json(t) => read::parse_single(t.as_bytes())
            .map_err(|_| Stop(format!("Invalid JSON text passed to --argjson\n{USAGE}"), 2)),
        Source::RawFile(file) => Ok(Val::utf8_str(open(file)?)),
        Source::SlurpFile(file) => {
            let bytes = open(file)?;
            let all: Result<Vec<Val>, _> = read::parse_many(&bytes).collect();
            let all =
                all.map_err(|e| Stop(format!("Bad JSON in --slurpfile {name} {file}: {e}"), 2))?;
            Ok(all.into_iter().collect())
        }
    }
}

fn compile(code: &str, names: &[String]) -> Result<jaq_core::Filter<Kind>, Stop> {
    let stop = |what: String| {
        let _ = writeln!(io::stderr(), "jq: error: {what}\njq: 1 compile error");
        Stop(String::new(), 3)
    };
    let defs = jaq_core::defs()
        .chain(jaq_std::defs())
        .chain(jaq_json::defs());
    let run = native::run::<Kind>;
    let inputs = input::funs::<Kind>().into_vec().into_iter().map(run);
    let funs = jaq_core::funs::<Kind>()
        .chain(jaq_std::funs::<Kind>())
        .chain(jaq_json::funs())
        .chain(inputs);
    let arena = Arena::default();
    let modules = Loader::new(defs)
        .load(&arena, File { path: (), code })
        .map_err(|errs| stop(load_error(&errs)))?;
    import(&modules, |_| Err("modules are not supported".into()))
        .map_err(|errs| stop(load_error(&errs)))?;
    Compiler::default()
        .with_funs(funs)
        .with_global_vars(names.iter().map(String::as_str))
        .compile(modules)
        .map_err(|errs| {
            let first = errs.first().and_then(|(_, e)| e.first());
            stop(
                first.map_or_else(String::new, |(found, undefined)| match undefined {
                    jaq_core::compile::Undefined::Filter(arity) => {
                        format!("{found}/{arity} is not defined at <top-level>")
                    }
                    other => format!("{found} is not defined ({})", other.as_str()),
                }),
            )
        })
}

fn load_error<P>(errs: &jaq_core::load::Errors<&str, P>) -> String {
    use jaq_core::load::Error;
    let at = |found: &str| match found.lines().next() {
        None | Some("") => "end of input".to_string(),
        Some(line) => format!("\"{}\"", line.chars().take(40).collect::<String>()),
    };
    match errs.first().map(|(_, e)| e) {
        Some(Error::Lex(e)) => e.first().map_or_else(String::new, |(want, found)| {
            format!("syntax error, expected {} at {}", want.as_str(), at(found))
        }),
        Some(Error::Parse(e)) => e.first().map_or_else(String::new, |(want, found)| {
            format!("syntax error, expected {} at {}", want.as_str(), at(found))
        }),
        Some(Error::Io(e)) => e
            .first()
            .map_or_else(String::new, |(path, why)| format!("{path}: {why}")),
        None => String::new(),
    }
}

type Values<'a> = Box<dyn Iterator<Item = Result<Val, String>> + 'a>;

/// The input values, read as they are needed.
fn inputs<'a>(o: &'a Options, broken: &'a std::cell::Cell<bool>) -> Values<'a> {
    let readers: Box<dyn Iterator<Item = Box<dyn BufRead>>> = if o.files.is_empty() {
        Box::new(std::iter::once_with(|| {
            Box::new(io::stdin().lock()) as Box<dyn BufRead>
        }))
    } else {
        Box::new(o.files.iter().filter_map(|f| match std::fs::File::open(f) {
            Ok(file) => Some(Box::new(io::BufReader::new(file)) as Box<dyn BufRead>),
            Err(e) => {
                let shown = f.to_string_lossy();
                let _ = writeln!(io::stderr(), "jq: error: Could not open {shown}: {e}");
                broken.set(true);
                None
            }
        }))
    };
    if o.raw_input && o.slurp {
        return Box::new(std::iter::once_with(move || {
            let mut all = Vec::new();
            for mut r in readers {
                r.read_to_end(&mut all).map_err(|e| e.to_string())?;
            }
            Ok(Val::utf8_str(all))
        }));
    }
    if o.raw_input {
        return Box::new(readers.flat_map(|r| {
            r.split(b'\n')
                .map(|line| line.map(Val::utf8_str).map_err(|e| e.to_string()))
        }));
    }
    let values = readers
        .flat_map(|r| read::read_many(r).map(|v| v.map_err(|e| format!("(at <stdin>): {e}"))));
    if o.slurp {
        return Box::new(std::iter::once_with(move || {
            let all: Result<Vec<Val>, String> = values.collect();
            all.map(|v| v.into_iter().collect())
        }));
    }
    Box::new(values)
}

fn print(out: &mut impl Write, o: &Options, v: &Val) -> io::Result<()> {
    if let (true, Val::TStr(s) | Val::BStr(s)) = (o.raw_output, v) {
        out.write_all(s)?;
    } else {
        let color = o.color.unwrap_or_else(|| {
            io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
        });
        let indent = (!o.compact).then(|| {
            if o.tab {
                "\t".into()
            } else {
                " ".repeat(o.indent)
            }
        });
        let pp = Pp {
            indent,
            sort_keys: o.sort_keys,
            styles: if color {
                Styles::ansi()
            } else {
                Styles::default()
            },
            sep_space: !o.compact,
        };
        if o.ascii {
            let mut text = Vec::new();
            write::write(&mut text, &pp, 0, v)?;
            out.write_all(ascii(&String::from_utf8_lossy(&text)).as_bytes())?;
        } else {
            write::write(out, &pp, 0, v)?;
        }
    }
    if o.nul {
        out.write_all(b"\0")
    } else if o.join {
        out.flush()
    } else {
        out.write_all(b"\n")
    }
}

/// What is not ASCII stands only in strings: as `\u` escapes.
fn ascii(text: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
}
