//! `gzip`, `gunzip`, `zcat`.

use crate::grep::system;
use crate::word::flushed;
use flate2::{Compression, GzBuilder, read::MultiGzDecoder};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

struct Options {
    decompress: bool,
    stdout: bool,
    keep: bool,
    force: bool,
    test: bool,
    list: bool,
    quiet: bool,
    verbose: bool,
    no_name: bool,
    level: u32,
    suffix: String,
    files: Vec<String>,
}

/// `gzip`.
pub fn gzip(args: Vec<OsString>) -> i32 {
    run(args, "gzip", false, false)
}

/// `gunzip`.
pub fn gunzip(args: Vec<OsString>) -> i32 {
    run(args, "gunzip", true, false)
}

/// `zcat`.
pub fn zcat(args: Vec<OsString>) -> i32 {
    run(args, "zcat", true, true)
}

fn run(args: Vec<OsString>, name: &str, decompress: bool, stdout: bool) -> i32 {
    let args: Vec<String> = args
        .into_iter()
        .skip(1)
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    let o = match parse(&args, decompress, stdout) {
        Ok(o) => o,
        Err(said) if said.is_empty() => {
            let _ = writeln!(
                io::stdout(),
                "Usage: {name} [-cdfklnqtv1-9] [-S SUFFIX] [FILE]..."
            );
            return 0;
        }
        Err(said) => {
            let _ = writeln!(io::stderr(), "{name}: {said}");
            return 1;
        }
    };
    let files = if o.files.is_empty() {
        vec!["-".to_string()]
    } else {
        o.files.clone()
    };
    let mut code = 0;
    for file in &files {
        let done = if file == "-" {
            standard(&o)
        } else {
            one(&o, Path::new(file))
        };
        if let Err((said, warning)) = done {
            if !(warning && o.quiet) {
                let _ = writeln!(io::stderr(), "{name}: {said}");
            }
            code = if warning && code != 1 { 2 } else { 1 };
        }
    }
    flushed(code)
}

fn parse(args: &[String], decompress: bool, stdout: bool) -> Result<Options, String> {
    let mut o = Options {
        decompress,
        stdout,
        keep: stdout,
        force: false,
        test: false,
        list: false,
        quiet: false,
        verbose: false,
        no_name: false,
        level: 6,
        suffix: ".gz".into(),
        files: Vec::new(),
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let letters = match arg.as_str() {
            "--" => {
                o.files.extend(args.by_ref().cloned());
                break;
            }
            "--stdout" | "--to-stdout" => "c",
            "--decompress" | "--uncompress" => "d",
            "--keep" => "k",
            "--force" => "f",
            "--test" => "t",
            "--list" => "l",
            "--quiet" => "q",
            "--verbose" => "v",
            "--no-name" => "n",
            "--name" => "N",
            "--fast" => "1",
            "--best" => "9",
            "--help" => return Err(String::new()),
            a if a.starts_with("--") => return Err(format!("unrecognized option '{a}'")),
            a if a.len() > 1 && a.starts_with('-') => a.get(1..).unwrap_or_default(),
            a => {
                o.files.push(a.to_string());
                continue;
            }
        };
        let mut letters = letters.chars();
        while let Some(c) = letters.next() {
            match c {
                'c' => o.stdout = true,
                'd' => o.decompress = true,
                'k' => o.keep = true,
                'f' => o.force = true,
                't' => (o.test, o.decompress) = (true, true),
                'l' => (o.list, o.decompress) = (true, true),
                'q' => o.quiet = true,
                'v' => o.verbose = true,
                'n' => o.no_name = true,
                'N' | 'r' => {}
                'h' => return Err(String::new()),
                '1'..='9' => o.level = c.to_digit(10).unwrap_or(6),
                'S' => {
                    let attached: String = letters.by_ref().collect();
                    let value = if attached.is_empty() {
                        args.next().cloned()
                    } else {
                        Some(attached)
                    };
                    o.suffix = value.ok_or("option requires an argument -- 'S'")?;
                }
                c => return Err(format!("invalid option -- '{c}'")),
            }
        }
    }
    Ok(o)
}

/// What went wrong, and whether it is only a warning.
type Done = Result<(), (String, bool)>;

fn standard(o: &Options) -> Done {
    let mut input = io::stdin().lock();
    if o.test {
        return unpack(&mut input, &mut io::sink()).map_err(|e| (format!("stdin: {e}"), false));
    }
    if o.decompress {
        return unpack(&mut input, &mut io::stdout().lock())
            .map_err(|e| (format!("stdin: {e}"), false));
    }
    if io::stdout().is_terminal() && !o.force {
        return Err((
            "compressed data not written to a terminal. Use -f to force compression.".into(),
            false,
        ));
    }
    pack(&mut input, &mut io::stdout().lock(), o, None)
        .map_err(|e| (format!("stdin: {}", system(&e)), false))
}

fn pack(
    input: &mut dyn Read,
    out: &mut dyn Write,
    o: &Options,
    name: Option<(&Path, u32)>,
) -> io::Result<()> {
    let mut head = GzBuilder::new().operating_system(3);
    if let Some((name, time)) = name.filter(|_| !o.no_name) {
        use std::os::unix::ffi::OsStrExt;
        if let Some(name) = name.file_name() {
            head = head.filename(name.as_bytes()).mtime(time);
        }
    }
    let mut packer = head.write(BufWriter::new(out), Compression::new(o.level));
    io::copy(input, &mut packer)?;
    packer.finish()?.flush()
}

fn unpack(input: &mut dyn Read, out: &mut dyn Write) -> Result<(), String> {
    let mut input = BufReader::new(input);
    let head = {
        use io::BufRead;
        let seen = input.fill_buf().map_err(|e| system(&e))?;
        if seen.is_empty() {
            return Err("unexpected end of file".into());
        }
        seen.starts_with(&[0x1f, 0x8b])
    };
    if !head {
        return Err("not in gzip format".into());
    }
    let mut out = BufWriter::new(out);
    io::copy(&mut MultiGzDecoder::new(input), &mut out).map_err(|e| match e.kind() {
        io::ErrorKind::UnexpectedEof => "unexpected end of file".to_string(),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
            "invalid compressed data--format violated".to_string()
        }
        _ => system(&e),
    })?;
    out.flush().map_err(|e| system(&e))
}

fn one(o: &Options, file: &Path) -> Done {
    let shown = file.display().to_string();
    let trouble = |e: &io::Error| (format!("{shown}: {}", system(e)), false);
    let mut file = file.to_path_buf();
    if o.decompress && !file.exists() && !shown.ends_with(&o.suffix) {
        file = PathBuf::from(format!("{shown}{}", o.suffix));
    }
    let about = file.metadata().map_err(|e| trouble(&e))?;
    if about.is_dir() {
        return Err((format!("{shown} is a directory -- ignored"), true));
    }
    let input = File::open(&file).map_err(|e| trouble(&e))?;
    let mut input = BufReader::new(input);
    if o.list {
        return list(&file, about.len(), input).map_err(|e| (format!("{shown}: {e}"), false));
    }
    if o.test {
        return unpack(&mut input, &mut io::sink()).map_err(|e| (format!("{shown}: {e}"), false));
    }
    if o.stdout {
        let out = &mut io::stdout().lock();
        return if o.decompress {
            unpack(&mut input, out).map_err(|e| (format!("{shown}: {e}"), false))
        } else {
            pack(&mut input, out, o, Some((&file, seconds(&about)))).map_err(|e| trouble(&e))
        };
    }
    let text = file.to_string_lossy().into_owned();
    let target = if o.decompress {
        match text.strip_suffix(&o.suffix).or(text.strip_suffix("-gz")) {
            Some(t) if !t.is_empty() => t.to_string(),
            _ => match text.strip_suffix(".tgz") {
                Some(t) => format!("{t}.tar"),
                None => return Err((format!("{shown}: unknown suffix -- ignored"), true)),
            },
        }
    } else if text.ends_with(&o.suffix) && !o.force {
        return Err((
            format!("{shown} already has {} suffix -- unchanged", o.suffix),
            true,
        ));
    } else {
        format!("{text}{}", o.suffix)
    };
    let target = PathBuf::from(target);
    if target.exists() && !o.force {
        return Err((
            format!("{} already exists; not overwritten", target.display()),
            true,
        ));
    }
    let mut out = File::create(&target).map_err(|e| trouble(&e))?;
    let done = if o.decompress {
        unpack(&mut input, &mut out).map_err(|e| (format!("{shown}: {e}"), false))
    } else {
        pack(&mut input, &mut out, o, Some((&file, seconds(&about)))).map_err(|e| trouble(&e))
    };
    if done.is_err() {
        let _ = std::fs::remove_file(&target);
        return done;
    }
    let _ = std::fs::set_permissions(&target, about.permissions());
    if let Ok(time) = about.modified() {
        let _ = out.set_modified(time);
    }
    if o.verbose {
        let _ = writeln!(
            io::stderr(),
            "{shown}:\t -- replaced with {}",
            target.display()
        );
    }
    if !o.keep {
        std::fs::remove_file(&file).map_err(|e| trouble(&e))?;
    }
    Ok(())
}

fn seconds(about: &std::fs::Metadata) -> u32 {
    use std::os::unix::fs::MetadataExt;
    u32::try_from(about.mtime()).unwrap_or(0)
}

fn list(file: &Path, packed: u64, input: BufReader<File>) -> Result<(), String> {
    let mut count = Counter(0);
    unpack(&mut { input }, &mut count)?;
    let ratio = if count.0 == 0 {
        0.0
    } else {
        100.0 * (1.0 - packed as f64 / count.0 as f64)
    };
    let name = file.to_string_lossy();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let mut out = io::stdout().lock();
    let _ = writeln!(
        out,
        "         compressed        uncompressed  ratio uncompressed_name"
    );
    let _ = writeln!(out, "{packed:>19} {:>19} {ratio:>5.1}% {name}", count.0);
    Ok(())
}

struct Counter(u64);

impl Write for Counter {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0 += buf.len() as u64;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod damaged {
    #[test]
    fn damaged_command_lines_are_read_or_refused() {
        let seeds = ["-dc a.gz", "-9 --keep a", "--test a.gz -S .z", "-- -x"];
        netshoot_wire::fuzz::texts(&seeds, 5_000, |text| {
            let args: Vec<String> = text.split(' ').map(str::to_string).collect();
            if let Err(said) = super::parse(&args, false, false) {
                assert!(!said.is_empty(), "{text}");
            }
        });
    }
}
