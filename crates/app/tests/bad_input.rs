//! Bad input: one clear sentence, the right exit code, no panic, nothing lost, no secret shown.

#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Output};

const PROGRAM: &str = env!("CARGO_BIN_EXE_netshoot");

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("netshoot-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_string()
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn run(words: &[&str]) -> Output {
    Command::new(PROGRAM)
        .args(words)
        .env("LC_ALL", "C")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn files_that_are_not_what_they_should_be() {
    let dir = Folder::new("files");
    let cut = dir.file("cut", "{\"schema\": \"netshoot.recording/1\", \"netsh");
    let foreign = dir.file("foreign", "{\"schema\": \"other/7\"}");
    let bare = dir.file("bare", "[1, 2]");
    let parts = dir.file("parts", "{\"schema\": \"netshoot.recording/1\"}");
    dir.file("broken/x.yaml", "a: [\n");
    dir.file("words/x.yaml", "hello\n");
    std::fs::create_dir(dir.path("empty")).unwrap();
    let nothing = dir.path("nothing");
    let (broken, words, empty) = (dir.path("broken"), dir.path("words"), dir.path("empty"));
    dir.file("deep/x.yaml", &format!("a: {}", "[".repeat(200_000)));
    let (deep, unused) = (dir.path("deep"), "unused".to_string());
    let cases: [(&[&str], &str, i32); 22] = [
        (&["--snapshot", &nothing], "No such file", 65),
        (&["--snapshot", &cut], "cut off", 65),
        (&["--snapshot", &foreign], "other/7", 65),
        (&["--snapshot", &bare], "no schema", 65),
        (&["--snapshot", &parts], "missing field", 65),
        (&["--dump", &nothing], "No such file", 65),
        (&["--dump", &broken], "x.yaml", 65),
        (&["--dump", &words], "not a Kubernetes object", 65),
        (&["--dump", &empty], "no object", 65),
        (
            &["--dump", &empty, "--snapshot", &cut],
            "cannot be used with",
            64,
        ),
        (&["--max-probes", "many"], "many", 64),
        (&["-o", "pdf"], "pdf", 64),
        (&["--dump", &deep], "nested", 65),
        (&["--snapshot", "/dev/zero"], "endless", 65),
        (&["--snapshot", ""], "--snapshot", 64),
        (&["--dump", ""], "--dump", 64),
        (&["--to", ""], "--to", 64),
        (&["--from", ""], "--from", 64),
        (&["--record", ""], "--record", 64),
        (&["--remedy", &unused], "--verify", 64),
        (&["--verify", "--snapshot", &cut], "--snapshot", 64),
        (&["--verify", "--passive"], "--passive", 64),
    ];
    for (words, said, code) in cases {
        let all: Vec<&str> = ["diagnose"].iter().chain(words).copied().collect();
        let out = run(&all);
        let err = text(&out.stderr);
        assert_eq!(out.status.code(), Some(code), "{words:?}: {err}");
        assert!(err.contains(said), "{words:?}: {err}");
        assert!(out.stdout.is_empty(), "{words:?}: {}", text(&out.stdout));
        assert!(!err.contains("panicked"), "{words:?}: {err}");
        if code == 65 {
            assert_eq!(err.lines().count(), 1, "one sentence: {err}");
        }
    }
    let out = run(&["lab", "run", "listens-on-loopbak", "--", "true"]);
    assert_eq!(out.status.code(), Some(64));
    assert!(text(&out.stderr).contains("listens-on-loopback"), "{out:?}");
    assert_eq!(
        run(&["lab", "list", "--labs", &nothing]).status.code(),
        Some(65)
    );
}

#[test]
fn words_that_are_no_text_are_refused() {
    use std::os::unix::ffi::OsStrExt;
    let word = std::ffi::OsStr::from_bytes(b"/tmp/\xff");
    for words in [vec!["diagnose", "--snapshot"], vec!["lab", "run", "x"]] {
        let out = Command::new(PROGRAM)
            .args(words)
            .arg(word)
            .output()
            .unwrap();
        let err = text(&out.stderr);
        assert_eq!(out.status.code(), Some(64), "{err}");
        assert!(err.contains("UTF-8"), "{err}");
        assert_eq!(err.lines().count(), 1, "{err}");
    }
}

#[test]
fn worlds_that_are_none_are_refused_before_anything_is_built() {
    let dir = Folder::new("worlds");
    dir.file("broken/w/world.yaml", "a: [\n");
    dir.file("broken/w/objects.yaml", "");
    std::fs::create_dir(dir.path("empty")).unwrap();
    let (broken, empty) = (dir.path("broken"), dir.path("empty"));
    let cases: [(&[&str], &str, i32); 6] = [
        (&["list", "--labs", &empty], "no world in", 65),
        (&["list", "--labs", &broken], "world.yaml", 65),
        (&["bench", "--only", "ghost"], "ghost", 64),
        (&["bench", "--seeds", "0"], "seeds", 64),
        (&["bench", "--jobs", "99999"], "jobs", 64),
        (&["bench", "--seeds", "18446744073709551615"], "seeds", 64),
    ];
    for (words, said, code) in cases {
        let all: Vec<&str> = ["lab"].iter().chain(words).copied().collect();
        let out = run(&all);
        let err = text(&out.stderr);
        assert_eq!(out.status.code(), Some(code), "{words:?}: {err}");
        assert!(err.contains(said), "{words:?}: {err}");
        assert!(out.stdout.is_empty(), "{words:?}: {}", text(&out.stdout));
    }
}

#[test]
fn a_world_that_is_gone_is_named_and_an_empty_name_is_none() {
    for (world, said, code) in [("/nowhere", "NETSHOOT_WORLD", 2), ("", "this host", 2)] {
        let out = Command::new(PROGRAM)
            .args(["diagnose", "--passive", "--to", "127.0.0.1:1"])
            .env("NETSHOOT_WORLD", world)
            .env("LC_ALL", "C")
            .output()
            .unwrap();
        let all = text(&out.stdout) + &text(&out.stderr);
        assert_eq!(out.status.code(), Some(code), "{all}");
        assert!(all.contains(said), "{all}");
    }
}

#[test]
fn questions_that_cannot_be_understood_are_asked_back() {
    let dir = Folder::new("asked");
    dir.file(
        "d/x.yaml",
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: cart, namespace: shop}\nspec: {clusterIP: 10.96.0.9, ports: [{port: 80}]}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: cart-1, namespace: shop}\nstatus: {podIP: 10.0.0.9}\n",
    );
    let dump = dir.path("d");
    // What the report gives as "shows that it worked" is understood.
    let out = run(&["diagnose", "--dump", &dump, "--to", "pod/cart-1.shop:80"]);
    let printed = text(&out.stdout);
    assert!(printed.contains("shop/Pod/cart-1:80"), "{printed}");
    assert!(!printed.contains("? "), "{printed}");
    let cases: [(&[&str], &str); 11] = [
        (&["-n", "nowhere"], "nowhere"),
        (
            &["-n", "shop", "--from", "pod/ghost", "--to", "svc/cart:80"],
            "ghost",
        ),
        (&["-n", "shop", "--to", "svc/cart:99999"], "99999"),
        (&["-n", "shop", "--symptom", "purple elephants"], "cart"),
        (&[], "which conversation"),
        (&["--to", "pod/"], "'pod/' names no host"),
        (&["--to", "svc/:80"], "'svc/:80' names no host"),
        (&["--to", "[::1"], "'[::1' names no host"),
        (&["--to", "::1"], "[::1]:PORT"),
        (&["--to", " "], "names no host"),
        (&["--from", "pod/", "--to", "svc/cart:80"], "names nobody"),
    ];
    for (words, said) in cases {
        let all: Vec<&str> = ["diagnose", "--dump", &dump]
            .iter()
            .chain(words)
            .copied()
            .collect();
        let out = run(&all);
        let printed = text(&out.stdout);
        assert_eq!(out.status.code(), Some(2), "{words:?}: {printed}");
        let asked: Vec<&str> = printed.lines().filter(|l| l.starts_with("? ")).collect();
        assert!(
            asked.iter().any(|l| l.contains(said)),
            "{words:?}: {printed}"
        );
    }
}

#[test]
fn a_recording_that_cannot_be_written_is_said_and_a_good_one_is_whole() {
    let dir = Folder::new("record");
    let nowhere = dir.path("no/such/folder/x");
    let out = run(&["diagnose", "--to", "127.0.0.1:1", "--record", &nowhere]);
    assert_eq!(out.status.code(), Some(74));
    assert!(text(&out.stderr).contains("write recording"), "{out:?}");
    let shown = text(&out.stdout);
    assert!(
        shown.contains("127.0.0.1:1"),
        "the report is shown: {shown}"
    );
    let file = dir.path("x.json");
    let live = run(&[
        "diagnose",
        "--to",
        "127.0.0.1:1",
        "--record",
        &file,
        "-o",
        "json",
    ]);
    let again = run(&["diagnose", "--snapshot", &file, "-o", "json"]);
    assert_eq!(text(&live.stdout), text(&again.stdout));
    assert_eq!(live.status.code(), again.status.code());
    assert_eq!(
        std::fs::read_dir(&dir.0).unwrap().count(),
        1,
        "nothing half-written is left"
    );
}

#[test]
fn secrets_stay_out_of_reports_and_recordings() {
    let dir = Folder::new("secret");
    let file = dir.path("x.json");
    for words in [
        ["--to", "http://bob:hunter2@127.0.0.1:1/x?token=hunter2"],
        [
            "--symptom",
            "cannot reach http://bob:hunter2@127.0.0.1:1/ with token=hunter2",
        ],
    ] {
        for format in ["text", "json", "md", "markdown", "html"] {
            let all: Vec<&str> = ["diagnose", "--record", &file, "-o", format]
                .iter()
                .chain(&words)
                .copied()
                .collect();
            let live = run(&all);
            assert!(!live.stdout.is_empty());
            let recorded = std::fs::read_to_string(&file).unwrap();
            let again = run(&["diagnose", "--snapshot", &file, "-o", format]);
            for shown in [text(&live.stdout), text(&live.stderr), recorded] {
                assert!(!shown.contains("hunter2"), "{words:?} {format}: {shown}");
            }
            assert_eq!(
                text(&live.stdout),
                text(&again.stdout),
                "{words:?} {format}"
            );
        }
    }
    let report: Value =
        serde_json::from_slice(&run(&["diagnose", "--snapshot", &file, "-o", "json"]).stdout)
            .unwrap();
    assert!(
        report["understood"]["said"]
            .as_str()
            .unwrap()
            .contains("[redacted]"),
        "{report:#}"
    );
}

/// What a server that lies sends, by the path that is asked for.
fn lie(path: &str, stream: &mut std::net::TcpStream) -> std::io::Result<()> {
    use std::io::Write;
    let ok = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    match path {
        "/headers" => {
            stream.write_all(ok.as_bytes())?;
            loop {
                stream.write_all(b"X-More: and more and more and more\r\n")?;
            }
        }
        "/line" => {
            stream.write_all(b"HTTP/1.1 200 ")?;
            loop {
                stream.write_all(&[b'x'; 4096])?;
            }
        }
        "/length" => {
            write!(
                stream,
                "{ok}Content-Length: 9223372036854775807\r\n\r\n{{}}"
            )
        }
        "/chunk" => write!(
            stream,
            "{ok}Transfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n{{}}"
        ),
        "/bomb" => {
            // Half a gigabyte of nothing, packed by the megabyte.
            let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packed.write_all(&vec![b' '; 1 << 20])?;
            let packed = packed.finish()?;
            let length = 512 * packed.len();
            write!(
                stream,
                "{ok}Content-Encoding: gzip\r\nContent-Length: {length}\r\n\r\n"
            )?;
            for _ in 0..512 {
                stream.write_all(&packed)?;
            }
            Ok(())
        }
        "/again" => write!(
            stream,
            "HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n"
        ),
        "/deep" => {
            let body = "[".repeat(300_000);
            write!(stream, "{ok}Content-Length: {}\r\n\r\n{body}", body.len())
        }
        "/pages" => {
            let body = "<a href='/pages?".repeat(1000) + &"<".repeat(100_000);
            let html = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n";
            write!(stream, "{html}Content-Length: {}\r\n\r\n{body}", body.len())
        }
        _ => {
            // Silence, until who asked has gone.
            let _ = std::io::Read::read(stream, &mut [0]);
            Ok(())
        }
    }
}

/// Answers on a port of its own for as long as the test runs.
fn liar() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                use std::io::{BufRead, BufReader};
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let first = lines.next().and_then(Result::ok).unwrap_or_default();
                let head = lines.map_while(Result::ok);
                head.take_while(|l| !l.is_empty()).for_each(drop);
                let path = first.split(' ').nth(1).unwrap_or_default().to_string();
                // Who has heard enough hangs up.
                let _ = lie(path.split('?').next().unwrap_or_default(), &mut stream);
            });
        }
    });
    port
}

/// Neither a hang beyond the patience that was given, nor memory without bounds, nor a panic.
#[test]
fn web_servers_that_lie() {
    let dir = Folder::new("lies");
    std::fs::create_dir_all(&dir.0).unwrap();
    let port = liar();
    let paths = [
        "/headers", "/line", "/length", "/chunk", "/bomb", "/again", "/deep", "/pages", "/silent",
    ];
    for path in paths {
        let url = format!("http://127.0.0.1:{port}{path}");
        for line in [
            format!("http -I --timeout 1 {url}"),
            format!("http -I --timeout 1 --pretty all {url}"),
            format!("http -I --timeout 1 -F -d -o /dev/null {url}"),
            format!("wget -T 1 -t 1 --compression=auto -O /dev/null {url}"),
            format!("wget -T 1 -t 1 -r -l 2 -nv {url}"),
        ] {
            let began = std::time::Instant::now();
            let script = format!("ulimit -v 450000; timeout 20 \"$PROGRAM\" {line} >/dev/null");
            let out = Command::new("sh")
                .args(["-c", &script])
                .env("PROGRAM", PROGRAM)
                .env("LC_ALL", "C")
                .current_dir(&dir.0)
                .stdin(std::process::Stdio::null())
                .output()
                .unwrap();
            let (code, said) = (out.status.code().unwrap_or(-1), text(&out.stderr));
            assert!((0..=8).contains(&code), "{line}: exit {code}: {said}");
            assert!(!said.contains("panicked"), "{line}: {said}");
            let spent = began.elapsed().as_secs();
            assert!(spent < 15, "{line}: {spent} s");
        }
    }
}
