//! One transfer of the tool: where its content goes, where what it sends comes from, what is printed about it.

use super::data::Piece;
use super::plan::{Config, Global, Out, Trace};
use super::shows::{Meter, Shower};
use super::together::Board;
use crate::io::Io;
use netshoot_host::web::failure::code;
use netshoot_host::web::{Failure, Info, Kind, Watch};
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// The streams, shared by transfers that run at once.
pub type Streams<'a, 'b> = Mutex<&'a mut Io<'b>>;

/// Where other things than the content are written.
pub enum Side {
    Out,
    Err,
    File(Mutex<File>),
}

impl Side {
    /// By name: `-` and `%` are the standard streams.
    pub fn of(name: &str) -> io::Result<Side> {
        match name {
            "-" => Ok(Side::Out),
            "%" => Ok(Side::Err),
            name => Ok(Side::File(Mutex::new(File::create(name)?))),
        }
    }

    /// Writes.
    pub fn write(&self, streams: &Streams<'_, '_>, bytes: &[u8]) -> io::Result<()> {
        match self {
            Side::File(file) => file.lock().map_or(Ok(()), |mut f| f.write_all(bytes)),
            side => {
                let Ok(mut io) = streams.lock() else {
                    return Ok(());
                };
                match side {
                    Side::Out => {
                        io.out.write_all(bytes)?;
                        io.out.flush()
                    }
                    _ => io.err.write_all(bytes),
                }
            }
        }
    }
}

/// Where the content goes.
enum Sink {
    Standard,
    /// A file that is made when there is something to write.
    Later,
    File(File),
}

/// What is sent.
enum Source {
    Nothing,
    Stdin,
    File(File),
    Pieces(Vec<Piece>, usize, u64, Option<File>),
}

/// One transfer.
pub struct Transfer<'t, 'a, 'b> {
    pub streams: &'t Streams<'a, 'b>,
    pub config: &'t Config,
    pub global: &'t Global,
    pub trace: Option<&'t Side>,
    pub errors: &'t Side,
    pub first: bool,
    pub file: Option<PathBuf>,
    pub binary_ok: bool,
    sink: Sink,
    source: Source,
    shower: Shower,
    meter: Option<Meter>,
    board: Option<(&'t Board, usize)>,
    headers: Option<Side>,
    written: u64,
    append: bool,
    disposition: Option<String>,
    named_by_url: bool,
    etag: Option<String>,
    silent_output: bool,
}

impl<'t, 'a, 'b> Transfer<'t, 'a, 'b> {
    /// Prepares where things go.
    pub fn new(
        streams: &'t Streams<'a, 'b>,
        config: &'t Config,
        global: &'t Global,
        sides: (Option<&'t Side>, &'t Side),
        out: &Out,
        file: Option<PathBuf>,
    ) -> Transfer<'t, 'a, 'b> {
        let to_terminal = file.is_none() && io::stdout().is_terminal();
        let metered = !global.silent && global.meter && !to_terminal && !global.parallel;
        Transfer {
            streams,
            config,
            global,
            trace: sides.0,
            errors: sides.1,
            first: true,
            sink: match &file {
                None => Sink::Standard,
                Some(_) => Sink::Later,
            },
            named_by_url: out.remote_name,
            file,
            binary_ok: !to_terminal || out.output.as_deref() == Some("-"),
            source: Source::Nothing,
            shower: Shower::default(),
            meter: metered.then(|| Meter::new(global.bar)),
            board: None,
            headers: None,
            written: 0,
            append: false,
            disposition: None,
            etag: None,
            silent_output: false,
        }
    }

    /// It is one of several that run at once, and its number among them.
    pub fn one_of(&mut self, board: &'t Board, number: usize) {
        self.board = Some((board, number));
    }

    fn note(&self, info: &Info) {
        if let Some((board, number)) = self.board {
            board.note(number, info);
        }
    }

    /// The content goes behind what the file holds.
    pub fn append(&mut self) {
        self.append = true;
    }

    /// Heads go there too.
    pub fn heads_to(&mut self, side: Side) {
        self.headers = Some(side);
    }

    /// Standard input is sent.
    pub fn give_stdin(&mut self) {
        self.source = Source::Stdin;
    }

    /// A file is sent.
    pub fn give_file(&mut self, file: File) {
        self.source = Source::File(file);
    }

    /// A form is sent.
    pub fn give_pieces(&mut self, pieces: Vec<Piece>) {
        self.source = Source::Pieces(pieces, 0, 0, None);
    }

    /// Begins anew after a failure.
    pub fn again(&mut self) {
        self.rewind();
        if let Sink::File(file) = &mut self.sink {
            let keep = 0;
            let _ = file.set_len(keep);
            let _ = file.seek(SeekFrom::Start(keep));
        }
        self.written = 0;
    }

    /// A sentence on standard error.
    pub fn complain(&self, text: &str) {
        let _ = self.errors.write(self.streams, text.as_bytes());
    }

    /// The name that the content has in the end.
    pub fn name(&self) -> Option<String> {
        self.file.as_ref().map(|f| f.display().to_string())
    }

    fn tick(&mut self, info: &Info, end: bool) {
        let first = self.first;
        if let Some(text) = self.meter.as_mut().and_then(|m| m.tick(info, first, end)) {
            self.complain(&text);
        }
    }

    /// The end: an empty file where nothing came, times, tags.
    pub fn end(&mut self, info: &Info, done: &Result<(), Failure>) -> Result<(), Failure> {
        self.note(info);
        if self.meter.as_ref().is_some_and(|m| m.is_open()) {
            self.tick(info, true);
        }
        if done.is_ok() && matches!(self.sink, Sink::Later) && !info.unmet && self.file.is_some() {
            self.open()?;
        }
        if let Sink::File(file) = &mut self.sink {
            file.flush().map_err(|_| Failure::plain(code::WRITE))?;
            if self.config.remote_time
                && let Some(at) = info.modified
                && let Ok(at) = u64::try_from(at)
            {
                let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(at);
                let _ = file.set_modified(time);
            }
        }
        if let (Some(path), Some(tag), true) = (&self.config.etag_save, &self.etag, done.is_ok()) {
            let _ = std::fs::write(path, format!("{tag}\n"));
        }
        if done.is_err()
            && self.config.remove_on_error
            && let (Sink::File(_), Some(path)) = (&self.sink, &self.file)
        {
            let _ = std::fs::remove_file(path);
        }
        if let Ok(mut io) = self.streams.lock() {
            io.out.flush().map_err(|_| Failure::plain(code::WRITE))?;
        }
        Ok(())
    }

    fn open(&mut self) -> Result<(), Failure> {
        let Some(mut path) = self.file.clone() else {
            return Ok(());
        };
        let given = self.disposition.take();
        if let Some(name) = &given {
            path = match &self.config.output_dir {
                Some(dir) => Path::new(dir).join(name),
                None => PathBuf::from(name),
            };
        }
        if self.config.create_dirs
            && let Some(dir) = path.parent().filter(|d| !d.as_os_str().is_empty())
            && std::fs::create_dir_all(dir).is_err()
        {
            let warning = format!(
                "The directory name {} contains a path component that could not be created",
                dir.display()
            );
            self.warn(&warning);
            return Err(Failure::plain(code::WRITE));
        }
        let mut options = OpenOptions::new();
        options
            .write(true)
            .create(true)
            .append(self.append)
            .truncate(!self.append);
        let opened = match (given.is_some(), self.config.no_clobber && !self.append) {
            (true, _) => OpenOptions::new().write(true).create_new(true).open(&path),
            (_, true) => fresh(&mut path),
            _ => options.open(&path),
        };
        self.file = Some(path.clone());
        match opened {
            Ok(file) => {
                self.sink = Sink::File(file);
                Ok(())
            }
            Err(e) => {
                let why = netshoot_host::sockets::strerror(&e);
                let text = match e.kind() {
                    io::ErrorKind::AlreadyExists => {
                        format!("Refusing to overwrite {}: {why}", path.display())
                    }
                    _ => format!("Failed to open the file {}: {why}", path.display()),
                };
                self.warn(&text);
                Err(Failure::plain(code::WRITE))
            }
        }
    }

    fn warn(&self, text: &str) {
        if !self.global.silent {
            self.complain(&super::wrapped("Warning: ", text));
        }
    }

    fn failed_write(&self, wrote: usize) -> Failure {
        let _ = wrote;
        Failure::new(code::WRITE, "Failure writing output to destination")
    }
}

/// A file that was not there before: `name.1` and so on.
fn fresh(path: &mut PathBuf) -> io::Result<File> {
    let base = path.clone();
    let mut n = 0;
    loop {
        match OpenOptions::new().write(true).create_new(true).open(&*path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && n < 100 => {
                n += 1;
                *path = PathBuf::from(format!("{}.{n}", base.display()));
            }
            other => return other,
        }
    }
}

/// The name in a `Content-Disposition`.
pub fn file_name(header: &str) -> Option<String> {
    let mut rest = header;
    while let Some(at) = rest.find(';') {
        rest = rest.get(at + 1..).unwrap_or_default().trim_start();
        let Some(head) = rest
            .get(..9)
            .filter(|h| h.eq_ignore_ascii_case("filename="))
        else {
            continue;
        };
        let value = rest.get(head.len()..).unwrap_or_default().trim_start();
        let value = match value.strip_prefix(['"', '\'']) {
            Some(inside) => {
                let quote = value.chars().next().unwrap_or('"');
                inside.split(quote).next().unwrap_or_default()
            }
            None => value.split(';').next().unwrap_or_default().trim(),
        };
        let base = value.rsplit(['/', '\\']).next().unwrap_or_default();
        let base: String = base
            .chars()
            .take_while(|c| *c != '\r' && *c != '\n')
            .collect();
        return Some(base).filter(|b| !b.is_empty() && b != "." && b != "..");
    }
    None
}

impl Watch for Transfer<'_, '_, '_> {
    fn show(&mut self, kind: Kind, bytes: &[u8]) {
        let text = self.shower.text(self.global, kind, bytes);
        if let Some(side) = self.trace
            && !text.is_empty()
        {
            let _ = side.write(self.streams, &text);
        }
    }

    fn head(&mut self, line: &[u8], info: &Info) -> Result<(), Failure> {
        let unwritten = |_| Failure::new(code::WRITE, "Failed writing header");
        let text = String::from_utf8_lossy(line);
        let (name, value) = text.split_once(':').unwrap_or((&text, ""));
        if name.eq_ignore_ascii_case("etag") && self.config.etag_save.is_some() {
            self.etag = Some(value.trim().to_string()).filter(|t| !t.is_empty());
        }
        if name.eq_ignore_ascii_case("content-disposition")
            && self.config.content_disposition
            && self.named_by_url
            && matches!(self.sink, Sink::Later)
            && let Some(given) = file_name(value)
        {
            self.disposition = Some(given.clone());
            self.file = Some(match &self.config.output_dir {
                Some(dir) => Path::new(dir).join(given),
                None => PathBuf::from(given),
            });
            self.open().map_err(unwritten)?;
        }
        if let Some(side) = &self.headers {
            side.write(self.streams, line)
                .map_err(|_| self.failed_write(0))?;
        }
        let heads_of_file = info.scheme == "FILE" && self.config.head;
        if self.config.include || self.config.head || heads_of_file {
            let styled = self.global.styled
                && matches!(self.sink, Sink::Standard)
                && io::stdout().is_terminal();
            if styled && text.contains(':') {
                let bold = format!("\x1b[1m{name}\x1b[0m:{value}");
                return self.write(bold.as_bytes()).map_err(unwritten);
            }
            self.write(line).map_err(unwritten)?;
        }
        Ok(())
    }

    fn body(&mut self, bytes: &[u8], _info: &Info) -> Result<(), Failure> {
        if !self.binary_ok && self.written == 0 && bytes.contains(&0) {
            self.warn("Binary output can mess up your terminal. Use \"--output -\" to tell curl to output it to your terminal anyway, or consider \"--output <FILE>\" to save to a file.");
            return Err(Failure::new(
                code::WRITE,
                "Failure writing output to destination",
            ));
        }
        self.write(bytes)
    }

    fn give(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.source {
            Source::Nothing => Ok(0),
            Source::Stdin => io::stdin().read(buffer),
            Source::File(file) => file.read(buffer),
            Source::Pieces(pieces, at, within, open) => loop {
                match pieces.get(*at) {
                    None => return Ok(0),
                    Some(Piece::Bytes(bytes)) => {
                        let from = usize::try_from(*within)
                            .unwrap_or(usize::MAX)
                            .min(bytes.len());
                        let rest = bytes.get(from..).unwrap_or_default();
                        let n = rest.len().min(buffer.len());
                        if n > 0 {
                            buffer
                                .get_mut(..n)
                                .unwrap_or_default()
                                .copy_from_slice(rest.get(..n).unwrap_or_default());
                            *within += n as u64;
                            return Ok(n);
                        }
                    }
                    Some(Piece::File(path, _)) => {
                        if open.is_none() {
                            *open = Some(File::open(path)?);
                        }
                        let n = open.as_mut().map_or(Ok(0), |f| f.read(buffer))?;
                        if n > 0 {
                            return Ok(n);
                        }
                    }
                }
                (*at, *within, *open) = (*at + 1, 0, None);
            },
        }
    }

    fn rewind(&mut self) -> bool {
        match &mut self.source {
            Source::Nothing => true,
            Source::Stdin => io::stdin().is_terminal() || rewind_stdin(),
            Source::File(file) => {
                let from = self
                    .config
                    .order
                    .resume
                    .filter(|n| *n > 0)
                    .unwrap_or(0)
                    .unsigned_abs();
                file.seek(SeekFrom::Start(from)).is_ok()
            }
            Source::Pieces(_, at, within, open) => {
                (*at, *within, *open) = (0, 0, None);
                true
            }
        }
    }

    fn ended(&mut self, info: &Info) {
        self.tick(info, true);
        if let Some(meter) = &mut self.meter {
            meter.through();
        }
    }

    fn progress(&mut self, info: &Info) -> bool {
        self.note(info);
        if self.meter.is_some() {
            self.tick(info, false);
        }
        true
    }
}

fn rewind_stdin() -> bool {
    use std::os::fd::AsFd;
    let Ok(own) = io::stdin().as_fd().try_clone_to_owned() else {
        return false;
    };
    File::from(own).seek(SeekFrom::Start(0)).is_ok()
}

impl Transfer<'_, '_, '_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if matches!(self.sink, Sink::Later) {
            self.open().map_err(|_| self.failed_write(0))?;
        }
        self.written += bytes.len() as u64;
        let done = match &mut self.sink {
            Sink::File(file) => file.write_all(bytes),
            _ => match self.streams.lock() {
                Ok(mut io) => io.out.write_all(bytes),
                Err(_) => Ok(()),
            },
        };
        let _ = self.silent_output;
        done.map_err(|_| self.failed_write(bytes.len()))
    }
}

/// Everything is told to the engine's watcher.
pub fn verbose(global: &Global) -> bool {
    global.trace != Trace::Off
}
