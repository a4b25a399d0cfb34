//! What a peer asks for: the head, read with patience and limits, and the path in it.

use netshoot_wire::dns::digits::from_base64;
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;

/// The longest head that is read, bytes.
const MOST: usize = 32 * 1024;

/// A request as far as it matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    /// Unescaped, without `..`; begins with a slash.
    pub path: Vec<u8>,
    pub query: Option<String>,
    pub range: Option<(u64, Option<u64>)>,
    pub tags: Option<String>,
    pub gzip: bool,
    /// `user:password`
    pub login: Option<String>,
}

/// What came instead of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Nothing, or an empty line: nothing is answered.
    Nothing,
    /// No request of HTTP.
    Bad,
    /// A path that no file can have.
    NoFile,
}

/// Reads up to the empty line; what is there when the peer is silent, or too much, is no request.
pub fn head(stream: &mut impl Read) -> Result<Vec<u8>, Wrong> {
    let (mut bytes, mut piece) = (Vec::new(), [0; 2048]);
    loop {
        match stream.read(&mut piece) {
            Ok(n @ 1..) => bytes.extend_from_slice(piece.get(..n).unwrap_or_default()),
            _ if bytes.is_empty() => return Err(Wrong::Nothing),
            _ => return Ok(bytes),
        }
        let ends = |end: &[u8]| bytes.windows(end.len()).any(|w| w == end);
        if ends(b"\r\n\r\n") || ends(b"\n\n") || bytes.starts_with(b"\r\n") {
            return Ok(bytes);
        }
        if bytes.len() > MOST {
            return Err(Wrong::Bad);
        }
    }
}

/// Understands a head.
pub fn parse(head: &[u8]) -> Result<Request, Wrong> {
    let mut lines = head
        .split(|b| *b == b'\n')
        .map(|l| l.strip_suffix(b"\r").unwrap_or(l));
    let first = lines.next().unwrap_or_default();
    if first.is_empty() {
        return Err(Wrong::Nothing);
    }
    let mut words = first.splitn(3, |b| *b == b' ');
    let (Some(method), Some(target), Some(version)) = (words.next(), words.next(), words.next())
    else {
        return Err(Wrong::Bad);
    };
    let known = version
        .strip_prefix(b"HTTP/")
        .is_some_and(|v| v.first().is_some_and(u8::is_ascii_digit));
    if !known || !target.starts_with(b"/") {
        return Err(Wrong::Bad);
    }
    let mut halves = target.splitn(2, |b| *b == b'?');
    let path = plain(halves.next().unwrap_or_default())?;
    let text = |b: &[u8]| String::from_utf8_lossy(b).trim().to_string();
    let mut request = Request {
        method: text(method).to_ascii_uppercase(),
        path,
        query: halves.next().map(text),
        ..Request::default()
    };
    for line in lines {
        let Some(at) = line.iter().position(|b| *b == b':') else {
            continue;
        };
        let (name, value) = line.split_at(at);
        let value = text(value.get(1..).unwrap_or_default());
        match text(name).to_ascii_lowercase().as_str() {
            "range" => request.range = range(&value),
            "if-none-match" => request.tags = Some(value),
            "accept-encoding" => request.gzip = value.contains("gzip"),
            "authorization" => request.login = login(&value),
            _ => {}
        }
    }
    Ok(request)
}

/// One range with a beginning; anything else asks for the whole.
fn range(value: &str) -> Option<(u64, Option<u64>)> {
    let (first, last) = value.strip_prefix("bytes=")?.split_once('-')?;
    let first: u64 = first.parse().ok()?;
    let last = match last {
        "" => None,
        last => Some(last.parse().ok()?),
    };
    Some((first, last)).filter(|_| last.is_none_or(|l| l >= first))
}

/// Basic authentication (RFC 7617).
fn login(value: &str) -> Option<String> {
    let (scheme, coded) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("basic").then_some(())?;
    let bytes = from_base64(coded)?;
    String::from_utf8(bytes).ok()
}

/// A path of a URL as a path of files: unescaped, `.` and `..` taken out; none above the root.
fn plain(path: &[u8]) -> Result<Vec<u8>, Wrong> {
    let mut i = 0;
    while let Some(at) = path
        .get(i..)
        .and_then(|p| p.iter().position(|b| *b == b'%'))
    {
        let digits = path.get(i + at + 1..i + at + 3).unwrap_or_default();
        if digits.len() < 2 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(Wrong::Bad);
        }
        if matches!(digits, b"00") || digits.eq_ignore_ascii_case(b"2f") {
            return Err(Wrong::NoFile);
        }
        i += at + 3;
    }
    let bytes = unescaped(OsStr::from_bytes(path), false);
    let mut parts: Vec<&[u8]> = Vec::new();
    let all: Vec<&[u8]> = bytes.split(|b| *b == b'/').skip(1).collect();
    let folder = matches!(all.last(), Some(&(b"" | b"." | b"..")));
    for part in all {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop().ok_or(Wrong::Bad)?),
            part => parts.push(part),
        }
    }
    let mut out: Vec<u8> = Vec::new();
    for part in &parts {
        out.push(b'/');
        out.extend_from_slice(part);
    }
    if folder || parts.is_empty() {
        out.push(b'/');
    }
    Ok(out)
}

/// `%41` as `A`, and where asked `+` as a blank; what is no escape stays.
pub fn unescaped(text: &OsStr, plus: bool) -> Vec<u8> {
    let (bytes, mut out, mut i) = (text.as_bytes(), Vec::new(), 0);
    while let Some(byte) = bytes.get(i) {
        let digit = |at: usize| bytes.get(at).and_then(|b| char::from(*b).to_digit(16));
        match (byte, digit(i + 1), digit(i + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                i += 3;
                continue;
            }
            (b'+', ..) if plus => out.push(b' '),
            _ => out.push(*byte),
        }
        i += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(target: &str) -> Result<String, Wrong> {
        let head = format!("GET {target} HTTP/1.0\r\n\r\n");
        parse(head.as_bytes()).map(|r| String::from_utf8(r.path).unwrap())
    }

    #[test]
    fn no_path_leaves_the_folder() {
        for (target, found) in [
            ("/", Ok("/")),
            ("/a//b/./c", Ok("/a/b/c")),
            ("/a/b/..", Ok("/a/")),
            ("/a%2e%2e/x", Ok("/a../x")),
            ("/..", Err(Wrong::Bad)),
            ("/%2e%2e/etc/passwd", Err(Wrong::Bad)),
            ("/a/../../x", Err(Wrong::Bad)),
            ("/..%2fx", Err(Wrong::NoFile)),
            ("/a%00", Err(Wrong::NoFile)),
            ("/%zz", Err(Wrong::Bad)),
            ("http://x/", Err(Wrong::Bad)),
        ] {
            assert_eq!(path(target), found.map(String::from), "{target}");
        }
    }

    #[test]
    fn damaged_heads_stay_within() {
        let valid = b"GET /a/%2e%2e/b?x=y HTTP/1.1\r\nHost: x\r\nRange: bytes=3-9\r\nIf-None-Match: \"a\"\r\nAuthorization: Basic Ym9iOnNlY3JldA==\r\n\r\n";
        assert_eq!(parse(valid).unwrap().login.as_deref(), Some("bob:secret"));
        netshoot_wire::fuzz::mutations(valid, 20_000, |bytes| {
            if let Ok(request) = head(&mut &bytes[..]).and_then(|h| parse(&h)) {
                assert!(request.path.starts_with(b"/"));
                assert!(!request.path.split(|b| *b == b'/').any(|p| p == b".."));
            }
        });
    }

    #[test]
    fn an_endless_head_ends() {
        let mut endless = std::io::repeat(b'x');
        assert_eq!(head(&mut endless), Err(Wrong::Bad));
    }
}
