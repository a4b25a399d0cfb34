//! Streams into pods: a connection that breaks under a shell, an agent of another version, completion as kubectl asks for
//! it, and the lines that the plugin was made for.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod ours;
mod ring5;
mod screen;

use ours::{IMAGE, PROGRAM, command, has_word, nothing_is_left, ready, say, text, web};
use ring5::{Cluster, Space};
use screen::Terminal;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};

/// A way to the API server that can be cut.
struct Way {
    server: String,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Way {
    fn to(cluster: &Cluster) -> Way {
        let kubeconfig = std::fs::read_to_string(cluster.state().join("kubeconfig")).unwrap();
        let (_, rest) = kubeconfig.split_once("https://").unwrap();
        let server = rest.split_whitespace().next().unwrap().to_string();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let open: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let all = Arc::clone(&open);
        std::thread::spawn(move || {
            for here in listener.incoming().flatten() {
                let there = TcpStream::connect(&server).unwrap();
                for (from, to) in [(&here, &there), (&there, &here)] {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Write);
                    });
                }
                all.lock().unwrap().extend([here, there]);
            }
        });
        Way {
            server: format!("--server=https://{address}"),
            open,
        }
    }

    /// Every connection breaks; new ones are carried.
    fn cut(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// The prompt of our line editor.
const PROMPT: &str = "\x1b[?2004h";

#[test]
fn a_shell_whose_stream_broke_is_the_same_shell_afterwards() {
    let Some(cluster) = ready() else { return };
    let space = cluster.namespace("broke");
    let pod = web(&space);
    let way = Way::to(&cluster);
    let plugin = command(&cluster);
    for words in ["run kept".to_string(), format!("debug {pod}")] {
        let line = format!(
            "{} {words} -n {} {}",
            plugin.get_program().display(),
            space.name,
            way.server
        );
        let Some(mut terminal) = Terminal::start(&line, &plugin) else {
            return;
        };
        terminal.shows(PROMPT);
        terminal.types("X=41; echo set=$((X-1))\r");
        terminal.shows("set=40");
        way.cut();
        terminal.shows("the stream dropped");
        // Typed while nobody listens: it is for the shell all the same, and Enter is Enter.
        terminal.types("echo while=$((X+2))\r");
        terminal.shows("while=43");
        terminal.types("echo then=$((X+1))\r");
        terminal.shows("then=42");
        terminal.types("exit 7\r");
        assert_eq!(terminal.ends().0, Some(7), "{words}");
    }
    // A command is not begun again: that it broke is told.
    let mut c = command(&cluster);
    let words = ["-n", &space.name, &way.server, "--", "bash", "-c"];
    c.args(["debug", &pod])
        .args(words)
        .arg("echo began; sleep 60");
    let (mut child, mut out) = ours::start(c);
    std::io::Read::read_exact(&mut out, &mut [0; 6]).unwrap();
    way.cut();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    nothing_is_left(&space);
}

#[test]
fn a_remote_shell_has_the_keys_and_the_size_of_the_window() {
    let Some(cluster) = ready() else { return };
    let space = cluster.namespace("keys");
    let plugin = command(&cluster);
    let line = format!(
        "{} run keys -n {}",
        plugin.get_program().display(),
        space.name
    );
    let Some(mut terminal) = Terminal::start(&line, &plugin) else {
        return;
    };
    terminal.shows(PROMPT);
    terminal.types("echo turn=$((1+1)); sleep 60\r");
    terminal.shows("turn=2");
    terminal.types("\x03");
    terminal.shows(PROMPT);
    terminal.types("echo code=$?\r");
    terminal.shows("code=130");
    terminal.resize(100, 30);
    terminal.types("for i in $(seq 100); do [ \"$(stty size)\" = '30 100' ] && break; sleep 0.1; done; stty size\r");
    terminal.shows("30 100\r");
    // Several lines typed ahead, and the beginning of one.
    terminal.types("echo turn=$((1+2)); sleep 1\r");
    terminal.shows("turn=3");
    terminal.types("echo one=$((0+1))\recho two=$((1+1))\recho thr");
    terminal.shows("one=1");
    terminal.shows("two=2");
    terminal.types("ee=$((1+2))\r");
    terminal.shows("three=3");
    terminal.types("exit 7\r");
    assert_eq!(terminal.ends().0, Some(7));
    nothing_is_left(&space);
}

/// A pod whose netshoot is of another version: it greets with another protocol.
fn old_agent(space: &Space<'_>) {
    let cluster = space.cluster;
    let work = cluster.state().join("old-agent");
    let bin = work.join("root/bin");
    std::fs::create_dir_all(&bin).unwrap();
    let busybox = ["/bin/busybox", "/usr/bin/busybox"]
        .into_iter()
        .find(|b| std::path::Path::new(b).exists());
    std::fs::copy(busybox.unwrap(), bin.join("busybox")).unwrap();
    for name in ["sh", "cat", "sleep"] {
        let _ = std::os::unix::fs::symlink("busybox", bin.join(name));
    }
    let script = "#!/bin/sh
hello() { echo '{\"netshoot_agent\":0,\"version\":\"0.0.1\",\"capabilities\":[]}'; }
hello
while read -r line; do hello; done
";
    std::fs::write(bin.join("netshoot"), script).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(bin.join("netshoot"), mode).unwrap();
    let image = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../lab/cluster/image");
    let archive = work.join("old.tar");
    let made = Command::new(image)
        .args([
            "localhost/netshoot-old:1",
            work.join("root").to_str().unwrap(),
            "/bin/sh",
        ])
        .stdout(std::fs::File::create(&archive).unwrap())
        .status();
    assert!(made.unwrap().success());
    cluster.script(&["load", archive.to_str().unwrap()]).ok();
    std::fs::remove_dir_all(work).unwrap();
    space.apply(
        "apiVersion: v1
kind: Pod
metadata: {name: old}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: tools, image: 'localhost/netshoot-old:1', imagePullPolicy: Never, command: [sleep, infinity]}]
",
    );
    space.ready(&["pod/old"]);
}

#[test]
fn an_agent_of_another_version_is_named_and_not_believed() {
    let Some(cluster) = ready() else { return };
    let space = cluster.namespace("version");
    web(&space);
    old_agent(&space);
    let diagnose = |more: &[&str]| {
        let mut c = cluster.command(PROGRAM);
        c.args([
            "diagnose",
            "-n",
            &space.name,
            "--from",
            "pod/old",
            "--to",
            "svc/web:80",
        ]);
        text(&c.args(more).env("NETSHOOT_IMAGE", IMAGE).output().unwrap())
    };
    let says = "is of another version: 0.0.1 speaks protocol 0";
    let said = diagnose(&[]);
    assert!(said.code == 2 && said.out.contains(says), "{}", said.all());
    let said = diagnose(&["--access=ephemeral", "--image=localhost/netshoot-old:1"]);
    assert!(said.code == 2 && said.out.contains(says), "{}", said.all());
    // Ours beside it answers.
    let said = diagnose(&["--access=ephemeral"]);
    assert_eq!(said.code, 0, "{}", said.all());
}

#[test]
fn kubectl_completes_names_through_us() {
    let Some(cluster) = ready() else { return };
    let space = cluster.namespace("tab");
    let pod = web(&space);
    let tab = |words: &[&str]| cluster.kubectl(&[&["__complete"], words].concat()).out;
    let start = &pod[..5];
    for (words, found) in [
        (
            &["netshoot", "debug", "-n", &space.name, start][..],
            pod.as_str(),
        ),
        (
            &["netshoot", "debug", "node/node-"],
            "node/node-a\nnode/node-b\n",
        ),
        (&["netshoot", "exec-in", "-n", &space.name, start], &pod),
        (&["netshoot", "-n", &space.name, "debug", start], &pod),
        (&["netshoot", "de"], "debug\ndeploy\n"),
        (&["ai-debug", "--namespace", &space.name[..5]], &space.name),
        (&["ai-debug", "--acc"], "--access\n"),
        (&["ai-debug", "--access", "e"], "exec\nephemeral\n"),
        (&["ai-debug", "--context", "l"], "lab\n"),
        (
            &["ai-debug", "-n", &space.name, "--from", "pod/we"],
            &format!("pod/{pod}\n"),
        ),
        (
            &["ai-debug", "-n", &space.name, "--to", "svc/w"],
            "svc/web\n",
        ),
    ] {
        let said = tab(words);
        assert!(said.contains(found), "{words:?}: {said}");
    }
    // In a shell, too: its own completion asks for names.
    let script = text(
        &Command::new(PROGRAM)
            .args(["completion", "bash"])
            .output()
            .unwrap(),
    )
    .ok();
    let file = cluster.state().join("completion.bash");
    std::fs::write(&file, script).unwrap();
    let ask = format!(
        ". {}; COMP_WORDS=(netshoot debug -n {} {start}); COMP_CWORD=4; _netshoot_names; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        file.display(),
        space.name
    );
    let mut bash = cluster.command("bash");
    assert_eq!(
        text(&bash.args(["--norc", "-c", &ask]).output().unwrap()).ok(),
        format!("{pod}\n")
    );
}

/// Words before `--`, the command of the issue, one that looks at the same, its exit code, what it must show.
type Line<'a> = (&'a [&'a str], &'a [&'a str], &'a [&'a str], i32, &'a str);

/// The lines of the issue; a word that is not there yet says so, and another one looks at the same.
#[test]
fn the_lines_that_the_plugin_was_made_for() {
    let Some(cluster) = ready() else { return };
    let space = cluster.namespace("lines");
    let pod = web(&space);
    let address = space.field(&format!("pod/{pod}"), "{.status.podIP}");
    let lines: [Line<'_>; 4] = [
        (
            &["run", "tmp-shell"],
            &[
                "bash",
                "-c",
                "nslookup kubernetes.default.svc.cluster.local; exit 7",
            ],
            &["bash", "-c", "grep 10.96.0.10 /etc/resolv.conf; exit 7"],
            7,
            "10.96.0.1", // also the beginning of the resolver's address
        ),
        (
            &["debug", &pod],
            &["ip", "addr", "show"],
            &["cat", "/proc/net/fib_trie"],
            0,
            &address,
        ),
        (
            &["debug", "node/node-a"],
            &["ip", "route", "show"],
            &["cat", "/proc/net/route"],
            0,
            "cni0",
        ),
        // Port 8080 of the web server; in hexadecimal where the kernel's table is read.
        (
            &["exec-in", &pod],
            &["ss", "-tln"],
            &["cat", "/proc/net/tcp6"],
            0,
            "8080",
        ),
    ];
    for (start, line, until_then, code, shows) in lines {
        let (word, rest) = start.split_first().unwrap();
        let tool = if line[0] == "bash" {
            "nslookup"
        } else {
            line[0]
        };
        let run = if has_word(tool) {
            line
        } else {
            println!(
                "PENDING: applet {tool}: kubectl netshoot {} -- {}",
                start.join(" "),
                line.join(" ")
            );
            until_then
        };
        let said = say(&space, &[&[*word], rest, &["--"], run].concat());
        let shows = if run[0] == "cat" && line[0] == "ss" {
            "1F90"
        } else {
            shows
        };
        assert!(
            said.code == code && said.out.contains(shows),
            "{run:?}: {}",
            said.all()
        );
    }
    // kubectl's own flags may stand before the word, as they may before kubectl's words.
    let mut c = command(&cluster);
    c.args(["-n", &space.name, "exec-in", &pod, "--", "ss", "-tln"]);
    let said = text(&c.output().unwrap());
    assert!(
        said.code == 0 && said.out.contains("8080"),
        "{}",
        said.all()
    );
    nothing_is_left(&space);
}
