//! `tar`: create, list, extract, append; with `-z`, and with gzip recognised where it is read.

use crate::glob;
use crate::grep::system;
use crate::word::flushed;
use flate2::{Compression, read::MultiGzDecoder, write::GzEncoder};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Component, Path, PathBuf};

#[derive(Default)]
struct Options {
    mode: Option<char>,
    file: Option<String>,
    gzip: bool,
    verbose: u32,
    folder: Option<PathBuf>,
    stdout: bool,
    keep_old: bool,
    no_overwrite_newer: bool,
    follow: bool,
    absolute: bool,
    strip: usize,
    exclude: Vec<String>,
    preserve: Option<bool>,
    numeric: bool,
    /// Names, and the folder that each is looked up in.
    names: Vec<(PathBuf, String)>,
}

/// `tar`.
pub fn tar(args: Vec<OsString>) -> i32 {
    let args: Vec<String> = args
        .into_iter()
        .skip(1)
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    let o = match parse(&args) {
        Ok(o) => o,
        Err(said) => return complain(&said, 2),
    };
    let mut trouble = false;
    let done = match o.mode {
        Some('c') => create(&o, &mut trouble),
        Some('t') => list(&o, &mut trouble),
        Some('x') => extract(&o, &mut trouble),
        _ => {
            return complain(
                "You must specify one of the '-Acdtrux', '--delete' or '--test-label' options",
                2,
            );
        }
    };
    match done {
        Ok(()) if trouble => complain("Exiting with failure status due to previous errors", 2),
        Ok(()) => flushed(0),
        Err(said) => {
            complain(&said, 2);
            complain("Error is not recoverable: exiting now", 2)
        }
    }
}

fn complain(said: &str, code: i32) -> i32 {
    let _ = io::stdout().flush();
    let _ = writeln!(io::stderr(), "tar: {said}");
    code
}

fn parse(args: &[String]) -> Result<Options, String> {
    let mut o = Options::default();
    let mut here = PathBuf::new();
    let mut args = args.iter().cloned().enumerate();
    while let Some((n, arg)) = args.next() {
        let mut next = |what: &str| {
            args.next()
                .map(|(_, a)| a)
                .ok_or_else(|| format!("option requires an argument -- '{what}'"))
        };
        // The old style: letters first without a dash, their values after them.
        let letters = if let Some(long) = arg.strip_prefix("--") {
            let (name, value) = long
                .split_once('=')
                .map_or((long, None), |(n, v)| (n, Some(v.to_string())));
            let mut need = || value.clone().map_or_else(|| next(name), Ok);
            match name {
                "create" => o.mode = Some('c'),
                "list" => o.mode = Some('t'),
                "extract" | "get" => o.mode = Some('x'),
                "file" => o.file = Some(need()?),
                "gzip" | "gunzip" => o.gzip = true,
                "verbose" => o.verbose += 1,
                "directory" => here = here.join(need()?),
                "to-stdout" => o.stdout = true,
                "keep-old-files" => o.keep_old = true,
                "overwrite" | "no-recursion" | "sparse" | "wildcards" | "no-same-owner"
                | "same-owner" => {}
                "keep-newer-files" => o.no_overwrite_newer = true,
                "dereference" => o.follow = true,
                "absolute-names" => o.absolute = true,
                "strip-components" => {
                    o.strip = need()?.parse().map_err(|_| "invalid number of elements")?
                }
                "exclude" => o.exclude.push(need()?),
                "exclude-from" => {
                    let file = need()?;
                    let text = std::fs::read_to_string(&file)
                        .map_err(|e| format!("{file}: {}", system(&e)))?;
                    o.exclude.extend(text.lines().map(String::from));
                }
                "preserve-permissions" | "same-permissions" => o.preserve = Some(true),
                "no-same-permissions" => o.preserve = Some(false),
                "numeric-owner" => o.numeric = true,
                "" => {
                    o.names
                        .extend(args.by_ref().map(|(_, a)| (here.clone(), a)));
                    break;
                }
                _ => return Err(format!("unrecognized option '--{name}'")),
            }
            continue;
        } else if let Some(l) = arg.strip_prefix('-').filter(|l| !l.is_empty()) {
            l.to_string()
        } else if n == 0 {
            arg.clone()
        } else {
            o.names.push((here.clone(), arg));
            continue;
        };
        let old = !arg.starts_with('-');
        let mut letters = letters.chars();
        while let Some(c) = letters.next() {
            match c {
                'c' | 't' | 'x' => o.mode = Some(c),
                'z' => o.gzip = true,
                'v' => o.verbose += 1,
                'O' => o.stdout = true,
                'k' => o.keep_old = true,
                'h' => o.follow = true,
                'P' => o.absolute = true,
                'p' => o.preserve = Some(true),
                'o' | 'm' | 'S' | 'w' | 'a' | 'i' | 'B' => {}
                'f' | 'C' | 'T' | 'X' | 'b' => {
                    let attached: String = if old {
                        String::new()
                    } else {
                        letters.by_ref().collect()
                    };
                    let value = if attached.is_empty() {
                        next(&c.to_string())?
                    } else {
                        attached
                    };
                    match c {
                        'f' => o.file = Some(value),
                        'C' => here = here.join(value),
                        'b' => {}
                        _ => {
                            let text = if value == "-" {
                                io::read_to_string(io::stdin())
                            } else {
                                std::fs::read_to_string(&value)
                            };
                            let text = text.map_err(|e| format!("{value}: {}", system(&e)))?;
                            let lines = text.lines().map(String::from);
                            if c == 'X' {
                                o.exclude.extend(lines)
                            } else {
                                o.names.extend(lines.map(|l| (here.clone(), l)))
                            }
                        }
                    }
                }
                c => return Err(format!("invalid option -- '{c}'")),
            }
        }
    }
    o.folder = Some(here);
    Ok(o)
}

fn excluded(o: &Options, name: &str) -> bool {
    let name = name.trim_end_matches('/');
    let tails = name
        .match_indices('/')
        .map(|(at, _)| name.get(at + 1..).unwrap_or_default());
    std::iter::once(name).chain(tails).any(|tail| {
        o.exclude
            .iter()
            .any(|p| glob::matches(p.trim_end_matches('/'), tail))
    })
}

fn create(o: &Options, trouble: &mut bool) -> Result<(), String> {
    if o.names.is_empty() {
        return Err("Cowardly refusing to create an empty archive".into());
    }
    let out: Box<dyn Write> = match o.file.as_deref() {
        None | Some("-") => Box::new(io::stdout().lock()),
        Some(file) => Box::new(
            File::create(file).map_err(|e| format!("{file}: Cannot open: {}", system(&e)))?,
        ),
    };
    let out = BufWriter::new(out);
    let gzip = o.gzip || o.file.as_deref().is_some_and(|f| f.ends_with(".tgz"));
    let broken = |e: io::Error| format!("write: {}", system(&e));
    if gzip {
        let mut packed = into(o, GzEncoder::new(out, Compression::default()), trouble)?;
        packed.try_finish().map_err(broken)?;
        packed.get_mut().flush().map_err(broken)
    } else {
        into(o, out, trouble)?.flush().map_err(broken)
    }
}

fn into<W: Write>(o: &Options, out: W, trouble: &mut bool) -> Result<W, String> {
    let mut archive = tar::Builder::new(out);
    archive.follow_symlinks(o.follow);
    archive.sparse(false);
    let mut told = false;
    let mut links = Links::new();
    for (folder, name) in &o.names {
        let path = folder.join(name);
        if let Err(e) = path.symlink_metadata() {
            complain(&format!("{name}: Cannot stat: {}", system(&e)), 2);
            *trouble = true;
            continue;
        }
        let mut stored = name.clone();
        if !o.absolute && name.starts_with('/') {
            if !told {
                complain("Removing leading `/' from member names", 0);
                told = true;
            }
            stored = name.trim_start_matches('/').to_string();
        }
        add(o, &mut archive, &path, &stored, &mut links, trouble)?;
    }
    archive.into_inner().map_err(|e| system(&e))
}

/// Files with more names than one, by device and number, and the name that each was stored under.
type Links = std::collections::HashMap<(u64, u64), String>;

fn add<W: Write>(
    o: &Options,
    archive: &mut tar::Builder<W>,
    path: &Path,
    stored: &str,
    links: &mut Links,
    trouble: &mut bool,
) -> Result<(), String> {
    if excluded(o, stored) {
        return Ok(());
    }
    let folder = if o.follow {
        path.is_dir()
    } else {
        path.symlink_metadata().is_ok_and(|m| m.is_dir())
    };
    let shown = if folder {
        format!("{}/", stored.trim_end_matches('/'))
    } else {
        stored.to_string()
    };
    if o.verbose > 0 {
        let to_err = matches!(o.file.as_deref(), None | Some("-"));
        let _ = if to_err {
            writeln!(io::stderr(), "{shown}")
        } else {
            writeln!(io::stdout(), "{shown}")
        };
    }
    let name = if shown.is_empty() { "./" } else { &shown };
    if let Err(e) = append(archive, path, name, links) {
        complain(&format!("{stored}: {}", system(&e)), 2);
        *trouble = true;
        return Ok(());
    }
    if folder {
        let mut below: Vec<_> = std::fs::read_dir(path)
            .map_err(|e| format!("{stored}: {}", system(&e)))?
            .flatten()
            .collect();
        below.sort_by_key(std::fs::DirEntry::file_name);
        for entry in below {
            let name = format!("{shown}{}", entry.file_name().to_string_lossy());
            add(o, archive, &entry.path(), &name, links, trouble)?;
        }
    }
    Ok(())
}

fn append<W: Write>(
    archive: &mut tar::Builder<W>,
    path: &Path,
    name: &str,
    links: &mut Links,
) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let about = path.symlink_metadata()?;
    if about.is_file() && about.nlink() > 1 {
        if let Some(first) = links.get(&(about.dev(), about.ino())) {
            let mut head = tar::Header::new_gnu();
            head.set_metadata(&about);
            head.set_entry_type(tar::EntryType::Link);
            head.set_size(0);
            return archive.append_link(&mut head, name, first);
        }
        links.insert((about.dev(), about.ino()), name.to_string());
    }
    archive.append_path_with_name(path, name)
}

fn reader(o: &Options) -> Result<Box<dyn Read>, String> {
    let input: Box<dyn Read> = match o.file.as_deref() {
        None | Some("-") => Box::new(io::stdin()),
        Some(file) => {
            Box::new(File::open(file).map_err(|e| format!("{file}: Cannot open: {}", system(&e)))?)
        }
    };
    let mut input = BufReader::with_capacity(64 << 10, input);
    let packed = input
        .fill_buf()
        .map_err(|e| system(&e))?
        .starts_with(&[0x1f, 0x8b]);
    Ok(if packed {
        Box::new(MultiGzDecoder::new(input))
    } else {
        Box::new(input)
    })
}

/// Whether an entry is among the names asked for; each that was found is marked.
fn wanted(o: &Options, name: &str, found: &mut [bool]) -> bool {
    if excluded(o, name) {
        return false;
    }
    if o.names.is_empty() {
        return true;
    }
    let name = name.trim_end_matches('/');
    let mut any = false;
    for ((_, w), found) in o.names.iter().zip(found) {
        let w = w.trim_end_matches('/');
        let below = name
            .strip_prefix(w)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if below || glob::matches(w, name) {
            *found = true;
            any = true;
        }
    }
    any
}

fn missing(o: &Options, found: &[bool], trouble: &mut bool) {
    for ((_, name), found) in o.names.iter().zip(found) {
        if !found {
            complain(&format!("{name}: Not found in archive"), 2);
            *trouble = true;
        }
    }
}

fn bad(e: &io::Error) -> String {
    match e.kind() {
        io::ErrorKind::UnexpectedEof => "Unexpected EOF in archive".into(),
        _ => format!("This does not look like a tar archive: {}", system(e)),
    }
}

fn list(o: &Options, trouble: &mut bool) -> Result<(), String> {
    let mut archive = tar::Archive::new(reader(o)?);
    let mut found = vec![false; o.names.len()];
    for entry in archive.entries().map_err(|e| bad(&e))? {
        let entry = entry.map_err(|e| bad(&e))?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if wanted(o, &name, &mut found) {
            show(o, &entry, &name, o.verbose > 0);
        }
    }
    missing(o, &found, trouble);
    Ok(())
}

fn show<R: Read>(o: &Options, entry: &tar::Entry<'_, R>, name: &str, long: bool) {
    let mut out = io::stdout().lock();
    if !long {
        let _ = writeln!(out, "{name}");
        return;
    }
    let head = entry.header();
    let kind = match head.entry_type() {
        tar::EntryType::Directory => 'd',
        tar::EntryType::Symlink => 'l',
        tar::EntryType::Link => 'h',
        tar::EntryType::Char => 'c',
        tar::EntryType::Block => 'b',
        tar::EntryType::Fifo => 'p',
        _ => '-',
    };
    let mode = head.mode().unwrap_or(0);
    let owner = |name: Option<&str>, id: u64| match name {
        Some(n) if !n.is_empty() && !o.numeric => n.to_string(),
        _ => id.to_string(),
    };
    let user = owner(head.username().ok().flatten(), head.uid().unwrap_or(0));
    let group = owner(head.groupname().ok().flatten(), head.gid().unwrap_or(0));
    let size = entry.size().to_string();
    let both = format!("{user}/{group}");
    let pad = 19usize.saturating_sub(both.len() + 1);
    let time = crate::clock::minutes(head.mtime().unwrap_or(0));
    let link = entry.link_name_bytes().map(|l| {
        let sign = if kind == 'h' { "link to" } else { "->" };
        format!(" {sign} {}", String::from_utf8_lossy(&l))
    });
    let _ = writeln!(
        out,
        "{kind}{} {both} {size:>pad$} {time} {name}{}",
        crate::clock::mode(mode),
        link.unwrap_or_default()
    );
}

/// The path below the target, or why it is refused.
fn inside(o: &Options, name: &str) -> Result<Option<PathBuf>, String> {
    let mut path = PathBuf::new();
    let mut skipped = 0;
    for part in Path::new(name).components() {
        match part {
            Component::Normal(p) if skipped < o.strip => {
                let _ = p;
                skipped += 1;
            }
            Component::Normal(p) => path.push(p),
            Component::ParentDir if !o.absolute => {
                return Err(format!("{name}: Member name contains '..'"));
            }
            Component::RootDir if o.absolute => path.push("/"),
            _ => {}
        }
    }
    Ok((!path.as_os_str().is_empty()).then_some(path))
}

fn extract(o: &Options, trouble: &mut bool) -> Result<(), String> {
    let mut archive = tar::Archive::new(reader(o)?);
    let target = o
        .folder
        .clone()
        .filter(|f| !f.as_os_str().is_empty())
        .unwrap_or_else(|| ".".into());
    let root = rustix::process::geteuid().is_root();
    archive.set_preserve_permissions(o.preserve.unwrap_or(root));
    archive.set_preserve_ownerships(root);
    archive.set_overwrite(true);
    let mut found = vec![false; o.names.len()];
    let mut folders = Vec::new();
    for entry in archive.entries().map_err(|e| bad(&e))? {
        let mut entry = entry.map_err(|e| bad(&e))?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if !wanted(o, &name, &mut found) {
            continue;
        }
        if o.verbose > 0 {
            show(o, &entry, &name, o.verbose > 1);
        }
        if o.stdout {
            let _ = io::copy(&mut entry, &mut io::stdout().lock()).map_err(|e| system(&e))?;
            continue;
        }
        match inside(o, &name).map(|p| p.map(|p| target.join(p))) {
            Err(said) => {
                complain(&said, 2);
                *trouble = true;
            }
            Ok(None) => {}
            Ok(Some(path)) => {
                if entry.header().entry_type().is_dir() {
                    // Their times last: files that come into them change those.
                    folders.push((
                        path,
                        entry.header().mode().unwrap_or(0o755),
                        entry.header().mtime().unwrap_or(0),
                    ));
                    let _ = std::fs::create_dir_all(
                        folders.last().map(|f| f.0.clone()).unwrap_or_default(),
                    );
                    continue;
                }
                if o.keep_old && path.symlink_metadata().is_ok() {
                    complain(&format!("{name}: Cannot open: File exists"), 2);
                    *trouble = true;
                    continue;
                }
                put(&mut entry, &path, &target, &name, trouble);
            }
        }
    }
    for (path, mode, time) in folders.iter().rev() {
        use std::os::unix::fs::PermissionsExt;
        let _ = std::fs::set_permissions(path, std::fs::Permissions::from_mode(*mode & 0o7777));
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(*time);
        let _ = File::open(path).and_then(|f| f.set_modified(time));
    }
    missing(o, &found, trouble);
    Ok(())
}

fn put<R: Read>(
    entry: &mut tar::Entry<'_, R>,
    path: &Path,
    target: &Path,
    name: &str,
    trouble: &mut bool,
) {
    // A link inside the archive may lead outside: nothing is written through one.
    let mut below = target.to_path_buf();
    let parts: Vec<_> = path
        .strip_prefix(target)
        .unwrap_or(path)
        .components()
        .collect();
    for part in parts.iter().take(parts.len().saturating_sub(1)) {
        below.push(part);
        if below.is_symlink()
            && std::fs::canonicalize(&below)
                .is_ok_and(|real| std::fs::canonicalize(target).is_ok_and(|t| !real.starts_with(t)))
        {
            complain(
                &format!("{name}: Cannot open: it lies behind a link that leads out"),
                2,
            );
            *trouble = true;
            return;
        }
    }
    if let Some(parent) = path.parent() {
        let _ = std::fs::create_dir_all(parent);
    }
    if path.is_symlink() || (path.exists() && !path.is_dir()) {
        let _ = std::fs::remove_file(path);
    }
    let hard = entry.header().entry_type().is_hard_link();
    let done = match entry.link_name().ok().flatten().filter(|_| hard) {
        Some(link) => std::fs::hard_link(target.join(link), path),
        None => entry.unpack(path).map(drop),
    };
    if let Err(e) = done {
        complain(&format!("{name}: Cannot open: {}", system(&e)), 2);
        *trouble = true;
    }
}

#[cfg(test)]
mod damaged {
    #[test]
    fn damaged_command_lines_are_read_or_refused() {
        let seeds = [
            "-czf a.tar.gz -C dir x y",
            "xvf - --strip-components=1",
            "--list --file=a.tar",
            "-tf a.tar -T list",
        ];
        netshoot_wire::fuzz::texts(&seeds, 5_000, |text| {
            let args: Vec<String> = text.split(' ').map(str::to_string).collect();
            if let Err(said) = super::parse(&args) {
                assert!(!said.is_empty(), "{text}");
            }
        });
    }
}
