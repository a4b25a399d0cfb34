//! The places of the cases: a network namespace of their own, with what listens there, gone with the test.

use netshoot_host::netns::NetNs;
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long one line may take, seconds.
const PATIENCE_S: &str = "60";

/// What a command said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    pub out: String,
    pub err: String,
    pub code: i32,
}

/// Why a tool cannot be compared here.
pub fn missing(tool: &str) -> Option<String> {
    let own = std::fs::metadata("/proc/self").unwrap();
    if own.uid() != 0 {
        return Some("needs root for a network namespace (sudo)".into());
    }
    original(tool).err()
}

fn original(tool: &str) -> Result<String, String> {
    let places = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"];
    let found = places
        .iter()
        .map(|p| format!("{p}/{tool}"))
        .find(|p| Path::new(p).exists());
    found.ok_or_else(|| format!("the original {tool} is not installed (scripts/test installs it)"))
}

/// A namespace, held by a process in it.
pub struct Ground {
    holder: Child,
}

impl Ground {
    /// Makes a place and waits until what answers there answers.
    pub fn of(place: &str) -> Ground {
        let holder = Command::new("unshare")
            .args(["--net", "--mount", "--", "sh", "-c"])
            .arg("ip link set lo up && echo ready && exec cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ground = Ground { holder };
        let mut ready = [0; 6];
        ground
            .holder
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut ready)
            .unwrap();
        match place {
            "whois" => ground.inside(serve_whois),
            other => panic!("no place {other:?}"),
        }
        ground
    }

    /// Does something in the place's network; threads that it begins stay there.
    fn inside(&self, work: fn()) {
        let net = NetNs::open(&format!("/proc/{}/ns/net", self.holder.id())).unwrap();
        net.enter(work).unwrap();
    }

    /// The original's answer to a line.
    pub fn original(&self, line: &str) -> Said {
        self.run(line, |name| original(name).unwrap())
    }

    /// Ours.
    pub fn ours(&self, line: &str) -> Said {
        self.run(line, |_| env!("CARGO_BIN_EXE_netshoot").to_string())
    }

    fn run(&self, line: &str, program: impl Fn(&str) -> String) -> Said {
        let mut words = line.split(' ');
        let name = words.next().unwrap();
        // nsenter hands its own name on: a shell calls the program by the name people type.
        let out = Command::new("timeout")
            .arg(PATIENCE_S)
            .arg("nsenter")
            .arg(format!("--target={}", self.holder.id()))
            .args([
                "--net",
                "--mount",
                "--",
                "bash",
                "-c",
                "exec -a \"$0\" \"$@\"",
                name,
            ])
            .arg(program(name))
            .args(words)
            .env("LC_ALL", "C.UTF-8")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Said {
            out: String::from_utf8_lossy(&out.stdout).into_owned(),
            err: String::from_utf8_lossy(&out.stderr).into_owned(),
            code: out.status.code().unwrap_or(-1),
        }
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Answers on port 4343 of both families with what it was asked, for as long as the test runs.
fn serve_whois() {
    for address in ["127.0.0.1", "::1"] {
        let at: IpAddr = address.parse().unwrap();
        let began = Instant::now();
        let listener = loop {
            match TcpListener::bind((at, 4343)) {
                Ok(listener) => break listener,
                // An IPv6 address of a new namespace is tentative for a moment.
                Err(e) => assert!(began.elapsed() < Duration::from_secs(5), "{address}: {e}"),
            }
            std::thread::yield_now();
        };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let mut asked = [0; 1024];
                let n = stream.read(&mut asked).unwrap_or(0);
                let asked = String::from_utf8_lossy(&asked[..n]).into_owned();
                let _ = write!(
                    stream,
                    "% asked: {asked}\r\nstatus: active\r\n\r\nno newline"
                );
            }
        });
    }
}
