//! What is posted: data, data from files, encoded data, forms.

use super::plan::Mistake;
use netshoot_host::web::order::Order;
use netshoot_wire::web::{base64, percent};
use std::io::Read;

/// Largest file that is read into memory for a post, bytes.
const LARGEST: u64 = 1 << 30;

fn from_file(name: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    match name {
        "-" => std::io::stdin()
            .take(LARGEST)
            .read_to_end(&mut bytes)
            .ok()?,
        name => std::fs::File::open(name)
            .ok()?
            .take(LARGEST)
            .read_to_end(&mut bytes)
            .ok()?,
    };
    Some(bytes)
}

/// The bytes that an option stands for; and the file that could not be read.
pub fn of(option: &str, value: &str) -> Result<(Vec<u8>, Option<String>), Mistake> {
    if option == "data-urlencode" {
        return encoded(value);
    }
    let file = value.strip_prefix('@').filter(|_| option != "data-raw");
    let Some(file) = file else {
        return Ok((value.as_bytes().to_vec(), None));
    };
    let Some(mut bytes) = from_file(file) else {
        return Ok((Vec::new(), Some(file.to_string())));
    };
    if matches!(option, "data" | "data-ascii") {
        bytes.retain(|b| !matches!(b, b'\r' | b'\n' | 0));
    }
    Ok((bytes, None))
}

/// `content`, `=content`, `name=content`, `@file`, `name@file`.
fn encoded(value: &str) -> Result<(Vec<u8>, Option<String>), Mistake> {
    let at = value.find(['=', '@']);
    let (name, mark, rest) = match at {
        Some(at) => (
            value.get(..at).unwrap_or_default(),
            value.get(at..at + 1).unwrap_or_default(),
            value.get(at + 1..).unwrap_or_default(),
        ),
        None => ("", "=", value),
    };
    let (content, missing) = match mark {
        "@" => match from_file(rest) {
            Some(bytes) => (bytes, None),
            None => (Vec::new(), Some(rest.to_string())),
        },
        _ => (rest.as_bytes().to_vec(), None),
    };
    let content = percent(&content).replace("%20", "+");
    let text = match name {
        "" => content,
        name => format!("{name}={content}"),
    };
    Ok((text.into_bytes(), missing))
}

/// One field of a form.
#[derive(Clone, Debug, Default)]
pub struct Field {
    name: String,
    content: Content,
    kind: Option<String>,
    file_name: Option<String>,
    headers: Vec<String>,
    encoder: Option<String>,
}

#[derive(Clone, Debug)]
enum Content {
    Text(Vec<u8>),
    Files(Vec<(String, Option<String>, Option<String>)>),
    FromFile(String),
}

impl Default for Content {
    fn default() -> Content {
        Content::Text(Vec::new())
    }
}

/// A word of a field up to one of `ends`; quotes keep them.
fn word(text: &str, ends: &[char]) -> (String, String) {
    let trimmed = text.trim_start();
    if let Some(inside) = trimmed.strip_prefix('"') {
        let (mut found, mut escaped) = (String::new(), false);
        for (at, c) in inside.char_indices() {
            match c {
                '\\' if !escaped => escaped = true,
                '"' if !escaped => {
                    let rest = inside.get(at + 1..).unwrap_or_default().trim_start();
                    return (found, rest.to_string());
                }
                c => {
                    if escaped && c != '"' && c != '\\' {
                        found.push('\\');
                    }
                    found.push(c);
                    escaped = false;
                }
            }
        }
    }
    let end = text.find(ends).unwrap_or(text.len());
    let (found, rest) = text.split_at(end);
    (found.to_string(), rest.to_string())
}

/// Reads a field as it is typed.
pub fn field(text: &str, literal: bool) -> Result<Field, String> {
    let Some((name, value)) = text.split_once('=') else {
        return Err("Illegally formatted input field!".into());
    };
    let mut field = Field {
        name: name.to_string(),
        ..Field::default()
    };
    if literal {
        field.content = Content::Text(value.as_bytes().to_vec());
        return Ok(field);
    }
    let mut rest;
    if let Some(list) = value.strip_prefix('@') {
        let mut files = Vec::new();
        rest = format!(",{list}");
        while let Some(more) = rest.strip_prefix(',') {
            let (file, after) = word(more, &[';', ',']);
            let mut one = Field::default();
            rest = parameters(&after, &mut one)?;
            field.headers.extend(one.headers);
            field.encoder = field.encoder.or(one.encoder);
            files.push((file, one.kind, one.file_name));
        }
        field.content = Content::Files(files);
    } else if let Some(file) = value.strip_prefix('<') {
        let (file, after) = word(file, &[';']);
        field.content = Content::FromFile(file);
        parameters(&after, &mut field)?;
    } else {
        let (content, after) = word(value.trim_start_matches([' ', '\t']), &[';']);
        field.content = Content::Text(content.into_bytes());
        parameters(&after, &mut field)?;
    }
    Ok(field)
}

/// `;type=`, `;filename=`, `;headers=`, `;encoder=`; gives what follows a comma.
fn parameters(text: &str, field: &mut Field) -> Result<String, String> {
    let mut rest = text.to_string();
    while let Some(more) = rest.clone().strip_prefix(';') {
        let more = more.trim_start();
        if let Some(kind) = more.strip_prefix("type=") {
            // Parameters of the type itself stay with it.
            let (mut kind, mut after) = word(kind, &[';', ',']);
            while let Some(own) = after.strip_prefix(';') {
                let known = ["type=", "filename=", "headers=", "encoder="];
                if known.iter().any(|k| own.trim_start().starts_with(k)) {
                    break;
                }
                let (more, behind) = word(own, &[';', ',']);
                kind = format!("{kind};{more}");
                after = behind;
            }
            field.kind = Some(kind.trim_end().to_string());
            rest = after;
        } else if let Some(name) = more.strip_prefix("filename=") {
            let (name, after) = word(name, &[';', ',']);
            field.file_name = Some(name);
            rest = after;
        } else if let Some(headers) = more.strip_prefix("headers=") {
            let (value, after) = word(headers, &[';', ',']);
            match value.strip_prefix(['@', '<']) {
                Some(file) => match from_file(file) {
                    Some(bytes) => field
                        .headers
                        .extend(folded(&String::from_utf8_lossy(&bytes))),
                    None => {
                        return Err(format!(
                            "Cannot read from {file}: No such file or directory!"
                        ));
                    }
                },
                None => field.headers.push(value),
            }
            rest = after;
        } else if let Some(encoder) = more.strip_prefix("encoder=") {
            let (encoder, after) = word(encoder, &[';', ',']);
            field.encoder = Some(encoder);
            rest = after;
        } else {
            let (_, after) = word(more, &[';', ',']);
            rest = after;
        }
    }
    Ok(rest)
}

/// Lines of a file of headers, those that go on put together, remarks left out.
fn folded(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        if line.starts_with('#') || line.trim().is_empty() {
            continue;
        }
        match (line.starts_with([' ', '\t']), lines.last_mut()) {
            (true, Some(last)) => *last = format!("{last} {}", line.trim()),
            _ => lines.push(line.trim_end().to_string()),
        }
    }
    lines
}

/// A piece of a form.
#[derive(Clone, Debug)]
pub enum Piece {
    /// As it is.
    Bytes(Vec<u8>),
    /// From a file of that size.
    File(String, u64),
}

/// A form that can be sent: its pieces, its type, its size where that is known.
pub struct Form {
    pub pieces: Vec<Piece>,
    pub content_type: String,
    pub size: Option<u64>,
}

fn kind_of(name: &str) -> Option<&'static str> {
    const KINDS: [(&str, &str); 10] = [
        (".gif", "image/gif"),
        (".jpg", "image/jpeg"),
        (".jpeg", "image/jpeg"),
        (".png", "image/png"),
        (".svg", "image/svg+xml"),
        (".txt", "text/plain"),
        (".htm", "text/html"),
        (".html", "text/html"),
        (".pdf", "application/pdf"),
        (".xml", "application/xml"),
    ];
    let lower = name.to_ascii_lowercase();
    let found = KINDS.iter().find(|k| lower.ends_with(k.0));
    found.map(|k| k.1)
}

/// The random boundary of a form.
fn boundary() -> String {
    let random: String = (0..4)
        .map(|_| format!("{:04x}", netshoot_host::sockets::random_u16()))
        .collect();
    format!("------------------------{random}")
}

/// Builds a form.
pub fn form(fields: &[Field], escape: bool, order: &Order) -> Result<Form, String> {
    let edge = boundary();
    let own =
        netshoot_host::web::request::own(&order.headers, "Content-Type").filter(|o| !o.is_empty());
    let mut build = Build {
        pieces: Vec::new(),
        text: Vec::new(),
        escape,
        unknown: false,
        what: match own.is_some_and(|o| !o.to_ascii_lowercase().starts_with("multipart/form-data"))
        {
            true => "attachment",
            false => "form-data",
        },
    };
    for field in fields {
        build.text.extend(format!("--{edge}\r\n").as_bytes());
        build.field(field)?;
        build.text.extend(b"\r\n");
    }
    build.text.extend(format!("--{edge}--\r\n").as_bytes());
    build.flush();
    let size = build.pieces.iter().map(|p| match p {
        Piece::Bytes(b) => b.len() as u64,
        Piece::File(_, n) => *n,
    });
    Ok(Form {
        content_type: format!("multipart/form-data; boundary={edge}"),
        size: (!build.unknown).then(|| size.sum()),
        pieces: build.pieces,
    })
}

struct Build {
    pieces: Vec<Piece>,
    text: Vec<u8>,
    escape: bool,
    unknown: bool,
    what: &'static str,
}

impl Build {
    fn flush(&mut self) {
        if !self.text.is_empty() {
            self.pieces
                .push(Piece::Bytes(std::mem::take(&mut self.text)));
        }
    }

    fn say(&mut self, text: &str) {
        self.text.extend(text.as_bytes());
    }

    fn escaped(&self, name: &str) -> String {
        match self.escape {
            true => name.replace('\\', "\\\\").replace('"', "\\\""),
            false => name
                .replace('"', "%22")
                .replace('\r', "%0D")
                .replace('\n', "%0A"),
        }
    }

    fn field(&mut self, field: &Field) -> Result<(), String> {
        let name = match field.name.as_str() {
            "" => String::new(),
            name => format!("; name=\"{}\"", self.escaped(name)),
        };
        match &field.content {
            Content::Files(files) if files.len() > 1 => {
                let (inner, what) = (boundary(), self.what);
                self.say(&format!("Content-Disposition: {what}{name}\r\nContent-Type: multipart/mixed; boundary={inner}\r\n\r\n"));
                for (file, kind, file_name) in files {
                    self.say(&format!("--{inner}\r\n"));
                    self.one_file(
                        file,
                        kind.as_deref(),
                        file_name.as_deref(),
                        "attachment",
                        "",
                        field,
                    )?;
                    self.say("\r\n");
                }
                self.say(&format!("--{inner}--\r\n"));
                Ok(())
            }
            Content::Files(files) => {
                let Some((file, kind, file_name)) = files.first() else {
                    return Ok(());
                };
                self.one_file(
                    file,
                    kind.as_deref(),
                    file_name.as_deref(),
                    self.what,
                    &name,
                    field,
                )
            }
            Content::Text(bytes) => {
                self.heads(
                    self.what,
                    &name,
                    field.file_name.as_deref(),
                    field.kind.as_deref(),
                    field,
                );
                let bytes = coded(bytes, field.encoder.as_deref());
                self.text.extend(bytes);
                Ok(())
            }
            Content::FromFile(file) => {
                let bytes = from_file(file).ok_or_else(|| file.clone())?;
                self.heads(
                    self.what,
                    &name,
                    field.file_name.as_deref(),
                    field.kind.as_deref(),
                    field,
                );
                self.text.extend(coded(&bytes, field.encoder.as_deref()));
                Ok(())
            }
        }
    }

    fn heads(
        &mut self,
        what: &str,
        name: &str,
        file_name: Option<&str>,
        kind: Option<&str>,
        field: &Field,
    ) {
        let file = file_name.map_or(String::new(), |f| {
            format!("; filename=\"{}\"", self.escaped(f))
        });
        self.say(&format!("Content-Disposition: {what}{name}{file}\r\n"));
        if let Some(kind) = kind {
            self.say(&format!("Content-Type: {kind}\r\n"));
        }
        if let Some(encoder) = &field.encoder {
            self.say(&format!("Content-Transfer-Encoding: {encoder}\r\n"));
        }
        for line in &field.headers {
            self.say(&format!("{line}\r\n"));
        }
        self.say("\r\n");
    }

    fn one_file(
        &mut self,
        file: &str,
        kind: Option<&str>,
        file_name: Option<&str>,
        what: &str,
        name: &str,
        field: &Field,
    ) -> Result<(), String> {
        let base = file.rsplit('/').next().unwrap_or(file);
        let shown = file_name.unwrap_or(base);
        let kind = match (kind, kind_of(shown)) {
            (Some(kind), _) => kind,
            (None, Some(kind)) => kind,
            (None, None) => kind_of(base).unwrap_or("application/octet-stream"),
        }
        .to_string();
        if file == "-" || field.encoder.is_some() {
            let bytes = from_file(file).ok_or_else(|| file.to_string())?;
            self.heads(what, name, Some(shown), Some(&kind), field);
            self.text.extend(coded(&bytes, field.encoder.as_deref()));
            return Ok(());
        }
        let meta = std::fs::metadata(file).map_err(|_| file.to_string())?;
        self.heads(what, name, Some(shown), Some(&kind), field);
        if meta.is_file() {
            self.flush();
            self.pieces.push(Piece::File(file.to_string(), meta.len()));
        } else {
            let bytes = from_file(file).ok_or_else(|| file.to_string())?;
            self.text.extend(bytes);
        }
        Ok(())
    }
}

fn coded(bytes: &[u8], encoder: Option<&str>) -> Vec<u8> {
    match encoder {
        Some("base64") => {
            let all = base64(bytes);
            let lines: Vec<&[u8]> = all.as_bytes().chunks(76).collect();
            lines.join(&b"\r\n"[..])
        }
        Some("7bit") => bytes.iter().map(|b| b & 0x7f).collect(),
        _ => bytes.to_vec(),
    }
}
