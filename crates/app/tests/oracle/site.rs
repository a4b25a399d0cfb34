//! More that the place `web` answers: what is laid out, logged in to, resumed, linked and led elsewhere. It depends on the path
//! and on the head of the request alone.

/// An answer with its length.
pub fn said(status: &str, more: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\nServer: ground\r\n{more}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|l| {
        let (own, value) = l.split_once(':')?;
        own.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

const JSON: &str = "Content-Type: application/json\r\n";
const HTML: &str = "Content-Type: text/html\r\n";
const TEXT: &str = "Content-Type: text/plain\r\n";
const DATED: &str = "Content-Type: text/plain\r\nLast-Modified: Tue, 03 Mar 2020 10:00:00 GMT\r\n";

/// Ten digits, from where the client wants them.
fn range(head: &str) -> Vec<u8> {
    let all = b"0123456789";
    let from = field(head, "range").and_then(|r| {
        let from = r.strip_prefix("bytes=")?.split('-').next()?;
        from.parse::<usize>().ok()
    });
    match from {
        Some(from) if from >= all.len() => said(
            "416 Range Not Satisfiable",
            "Content-Range: bytes */10\r\n",
            b"",
        ),
        Some(from) => {
            let more = format!("{DATED}Content-Range: bytes {from}-9/10\r\n");
            said("206 Partial Content", &more, &all[from..])
        }
        None => said("200 OK", DATED, all),
    }
}

fn dated(head: &str) -> Vec<u8> {
    match field(head, "if-modified-since") {
        Some(_) => said("304 Not Modified", "", b""),
        None => said("200 OK", DATED, b"dated\n"),
    }
}

/// Pages that lead to each other.
fn site(path: &str) -> Vec<u8> {
    match path {
        "/site/" => said(
            "200 OK",
            HTML,
            b"<html><head><link rel=stylesheet href=s.css></head><body background='bg.png'>\n<a href=\"a.html\">a</a> <A HREF='sub/b.html#x'>b</A> <img src=c.png>\n<a href=\"http://other.invalid:1/\">o</a> <a href=\"/up.html\">up</a> <a href=mailto:x>m</a> <!-- <a href=no.html> -->\n<a href=\"q?a=1&amp;b=2\">q</a> <a href=nofollow.html rel=nofollow>n</a></body></html>\n",
        ),
        "/site/a.html" => said("200 OK", HTML, b"<a href='deep.html'>d</a> <a href='missing.html'>m</a>\n"),
        "/site/sub/b.html" => said("200 OK", HTML, b"<a href='../a.html'>a</a>\n"),
        "/site/missing.html" => said("404 Not Found", HTML, b"no\n"),
        "/site/s.css" => said("200 OK", "Content-Type: text/css\r\n", b"a { background: url(u.png) }\n"),
        _ => said("200 OK", HTML, b"<p>page</p>\n"),
    }
}

/// The answer, where the path is one of these.
pub fn answer(path: &str, head: &str) -> Option<(Vec<u8>, bool)> {
    let basic = field(head, "authorization").is_some_and(|v| v.starts_with("Basic "));
    let answer = match path {
        "/json" => said(
            "200 OK",
            JSON,
            "{\"b\":[1,2.50,{\"x\":null}],\"a\":\"é\\u00e9\",\"e\":{},\"f\":[],\"n\":1e10,\"t\":true}".as_bytes(),
        ),
        "/broken.json" => said("200 OK", JSON, b"{\"a\": tru, nope"),
        "/guarded" => said("200 OK", TEXT, b")]}',\n{\"b\":1,\"a\":2}\n"),
        "/lines.json" => said("200 OK", JSON, b"{\"b\":1,\"a\":2}\n{\"c\":3}\n"),
        "/latin" => said("200 OK", "Content-Type: text/plain; charset=latin1\r\n", b"caf\xe9\n"),
        "/bin" => said("200 OK", "Content-Type: application/octet-stream\r\n", b"a\0b"),
        "/error" => said("500 Oops", TEXT, b"oops\n"),
        "/busy" => said("503 Service Unavailable", TEXT, b"busy\n"),
        "/none" => said("204 No Content", "", b""),
        "/see" => said("303 See Other", "Location: /echo\r\n", b""),
        "/kept" => said("307 Temporary Redirect", "Location: /echo\r\n", b""),
        "/relative/x" => said("301 Moved Permanently", "Location: ../hello?x=1\r\n", b""),
        "/away" => said("302 Found", "Location: http://[::1]:8080/echo\r\n", b""),
        "/named" => said(
            "200 OK",
            "Content-Type: text/plain\r\nContent-Disposition: attachment; filename=\"given.txt\"\r\n",
            b"named\n",
        ),
        "/basic" if basic => said("200 OK", TEXT, head.as_bytes()),
        "/basic" => said("401 Unauthorized", "WWW-Authenticate: Basic realm=\"r\"\r\n", b"who?\n"),
        "/range" => range(head),
        "/dated" => dated(head),
        "/setandgo" => said("302 Found", "Set-Cookie: a=b\r\nLocation: /echo\r\n", b""),
        "/robots.txt" => said("200 OK", TEXT, b"User-agent: *\nDisallow: /site/sub/\n"),
        "/unfinished" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n".to_vec(),
        path if path.starts_with("/site/") => site(path),
        _ => return None,
    };
    Some((answer, path == "/unfinished"))
}
