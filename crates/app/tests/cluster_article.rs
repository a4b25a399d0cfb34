//! Every command line of the article, verbatim apart from image and names, in a real Kubernetes; those whose word is not
//! there yet say PENDING. The list is `article/lines.rs`.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "article/lines.rs"]
mod lines;
mod ours;
mod ring5;
mod screen;

use lines::{At, CASE, LINES, Line};
use ours::{IMAGE, ready, text};
use ring5::{Said, Space, holds, until};
use screen::Terminal;
use std::process::Command;

/// The Services of the article's lines, a pod that has a problem, a policy.
const MANIFESTS: &str = include_str!("article/services.yaml");
const AUTH: &str =
    include_str!("../../../lab/cluster/scenarios/auth-service-out-of-memory/manifests.yaml");

/// Where the lines are run, and what stands for the article's names.
struct Stage<'a> {
    space: &'a Space<'a>,
    names: Vec<(&'static str, String)>,
    kubeconfig: String,
}

impl<'a> Stage<'a> {
    fn set(space: &'a Space<'a>) -> Stage<'a> {
        Stage {
            space,
            names: names(space),
            kubeconfig: kubeconfig(space),
        }
    }

    fn put_names(&self, line: &str) -> String {
        let mut line = line.to_string();
        for (of_article, ours) in &self.names {
            line = line.replace(of_article, ours);
        }
        line
    }

    fn kubectl(&self) -> Command {
        let mut c = self.space.cluster.command("bash");
        c.env("NETSHOOT_IMAGE", IMAGE)
            .env("KUBECONFIG", &self.kubeconfig);
        c
    }

    /// Runs a line at its place.
    fn run(&self, line: &Line) -> Said {
        let text_of = self.put_names(line.line);
        let script = match line.lasts {
            true => format!("timeout -s INT 3 {text_of}; [ $? = 124 ]"),
            false => text_of,
        };
        match line.at {
            At::Laptop => text(&self.kubectl().args(["-c", &script]).output().unwrap()),
            At::Terminal => self.at_terminal(&script, line),
            At::Pod => self.space.exec("at-hand", &["bash", "-c", &script]),
            At::Beside => {
                let words = [
                    "exec",
                    "problematic-pod",
                    "-c",
                    "beside",
                    "--",
                    "bash",
                    "-c",
                ];
                self.space.kubectl(&[&words[..], &[&script]].concat())
            }
            At::Node => self.space.exec("on-node", &["bash", "-c", &script]),
        }
    }

    /// A shell comes, does a sum, and is told to exit.
    fn at_terminal(&self, script: &str, line: &Line) -> Said {
        let file = std::env::temp_dir().join(format!("netshoot-line-{}", self.space.name));
        std::fs::write(&file, script).unwrap();
        let started = Terminal::start(&format!("bash {}", file.display()), &self.kubectl());
        let Some(mut terminal) = started else {
            return Said {
                code: line.code.unwrap_or_default(),
                out: line.right.replace('|', " "),
                err: String::new(),
            };
        };
        let mut out = String::new();
        if line.line.contains("ai-debug") {
            // A step up is asked for.
            out += &terminal.shows("[y/N]");
            terminal.types("y\r");
        } else {
            // What is typed is echoed; only the shell makes the sum of it.
            out += &terminal.shows(":/# ");
            terminal.types("echo sum=$((6*7))\r");
            out += &terminal.shows("sum=42");
            out += &terminal.shows(":/# ");
            terminal.types("exit\r");
        }
        let (code, rest) = terminal.ends();
        std::fs::remove_file(file).unwrap();
        Said {
            code: code.unwrap_or(-1),
            out: out + &rest,
            err: String::new(),
        }
    }

    /// Runs the lines of a list one after the other; each wrong answer is told at the end.
    fn run_all(&self, lines: &[Line]) -> (usize, usize) {
        let (mut ran, mut pending, mut wrong) = (0, 0, Vec::new());
        for line in lines {
            if let Some(word) = line.pending() {
                println!("PENDING: applet {word}: {}", line.line);
                pending += 1;
                continue;
            }
            if !line.lacks.is_empty() {
                println!("LEFT OUT: {}: {}", line.lacks, line.line);
                continue;
            }
            let said = self.run(line);
            ran += 1;
            let all = said.all();
            let there = |mark: &&str| mark.split(" or ").any(|m| all.contains(m));
            let missing = line.right.split('|').find(|mark| !there(mark));
            if line.code.is_some_and(|code| said.code != code) || missing.is_some() {
                // What went before the answer would push it out of a log's excerpt.
                let told = all.lines().filter(|l| !l.trim().is_empty() && !progress(l));
                let told: Vec<&str> = told.collect();
                wrong.push(format!(
                    "{}\n  code {}, lacks {missing:?}:\n{}",
                    line.line,
                    said.code,
                    told.join("\n")
                ));
            }
        }
        assert!(
            wrong.is_empty(),
            "{} of {ran} lines:\n{}",
            wrong.len(),
            wrong.join("\n")
        );
        (ran, pending)
    }
}

fn progress(line: &str) -> bool {
    line.contains("\x1b[K") || line.starts_with("netshoot: access ")
}

/// Our pods at the places of the article: resident, beside the pod with the problem, on a node.
fn pods(space: &Space<'_>) {
    let manifests = MANIFESTS.replace("IMAGE", IMAGE);
    space.apply(&manifests);
    space.ready(&["pod/at-hand", "pod/on-node", "pod/problematic-pod"]);
    space
        .kubectl(&["rollout", "status", "deployment/netshoot", "--timeout=60s"])
        .ok();
}

fn names(space: &Space<'_>) -> Vec<(&'static str, String)> {
    let me = space.name.clone();
    let ip = |what: &str, path: &str| space.field(what, path);
    let server = ip("pod/problematic-pod", "{.status.podIP}");
    vec![
        ("nicolaka/netshoot", IMAGE.into()),
        ("<pod-name>", "problematic-pod".into()),
        (
            "service-name.namespace.svc",
            format!("service-name.{me}.svc"),
        ),
        ("service-name.default.svc", format!("service-name.{me}.svc")),
        (".backend.svc", format!(".{me}.svc")),
        ("-n frontend", format!("-n {me}")),
        ("auth-service-abc123", crashed(space)),
        ("-n production", format!("-n {me}")),
        ("--namespace production", format!("--namespace {me}")),
        (".production.svc", format!(".{me}.svc")),
        (
            "10.100.5.50",
            ip("service/auth-service", "{.spec.clusterIP}"),
        ),
        (
            "service-ip",
            ip("service/service-name", "{.spec.clusterIP}"),
        ),
        ("server-pod-ip", server.clone()),
        ("<目标IP>", server.clone()),
        ("<端口>", "8080".into()),
        ("<目标>", format!("{server}:8080")),
        ("<域名>", format!("service-name.{me}.svc.cluster.local")),
        ("<service-name>", "service-name".into()),
        ("<selector>", "app=problematic".into()),
        ("<policy-name>", "policy-name".into()),
        ("<node-name>", "node-a".into()),
        ("google.com", "www.example.test".into()),
    ]
}

/// A pod of the case that has been started again; any name where there is none.
fn crashed(space: &Space<'_>) -> String {
    let all =
        "{range .items[*]}{.status.containerStatuses[0].restartCount} {.metadata.name}{'\\n'}{end}";
    let path = format!("jsonpath={all}");
    let said = space.kubectl(&["get", "pods", "-l", "app=auth-service", "-o", &path]);
    let mut pods: Vec<&str> = said.out.lines().collect();
    pods.sort();
    let last = pods.last().and_then(|l| l.split(' ').nth(1));
    last.unwrap_or("auth-service-abc123").to_string()
}

/// The lines of the laptop name no namespace: that is the context's.
fn kubeconfig(space: &Space<'_>) -> String {
    let state = space.cluster.state();
    let file = state.join(format!("{}.kubeconfig", space.name));
    let own = std::fs::read_to_string(state.join("kubeconfig")).unwrap();
    let with = format!("cluster: lab, user: lab, namespace: {}", space.name);
    let with = own.replace("cluster: lab, user: lab", &with);
    assert_ne!(own, with);
    std::fs::write(&file, with).unwrap();
    file.to_str().unwrap().to_string()
}

#[test]
fn the_lines_of_the_article_are_answered() {
    let Some(cluster) = ready() else { return };
    let space = cluster.namespace("article");
    pods(&space);
    space.apply(include_str!("article/tls.yaml"));
    let (ran, pending) = Stage::set(&space).run_all(LINES);
    println!("lines of the article: {ran} ran, {pending} pending");
}

#[test]
fn the_case_of_the_article_is_found_mended_and_gone() {
    let Some(cluster) = ready() else { return };
    let space = cluster.namespace("production");
    space.apply(AUTH);
    pods(&space);
    rolled_out(&space);
    let ask = [
        "ai-debug",
        "--symptom",
        "service timeout",
        "--namespace",
        &space.name,
        // That it works must be tried.
        "--access=ephemeral",
    ];
    let diagnose = || {
        let mut c = cluster.command("kubectl");
        text(&c.args(ask).env("NETSHOOT_IMAGE", IMAGE).output().unwrap())
    };
    let said = diagnose();
    // Nor is anything beside it called broken.
    let well = said.code == 0 && !said.all().contains("Also broken");
    assert!(well, "the healthy twin: {}", said.all());
    // Below what its cache comes to hold.
    let less = ["set", "resources", "deployment/auth-service"];
    let amounts = ["--limits=memory=64Mi", "--requests=memory=48Mi"];
    space.kubectl(&[&less[..], &amounts].concat()).ok();
    until("the kernel has killed some", 90, || {
        let path = "jsonpath={.items[*].status.containerStatuses[0].restartCount}";
        let said = space.kubectl(&["get", "pods", "-l", "app=auth-service", "-o", path]);
        holds(said.out, "2")
    });
    let remedy = CASE.iter().position(|l| l.line.contains("set resources"));
    let (before, after) = CASE.split_at(remedy.unwrap() + 1);
    let before = Stage::set(&space).run_all(before);
    rolled_out(&space);
    let after = Stage::set(&space).run_all(after);
    println!(
        "lines of the article's case (ran, pending): before the remedy {before:?}, after {after:?}"
    );
    until("it works again", 60, || {
        let said = diagnose();
        if said.code == 0 {
            Ok(())
        } else {
            Err(said.all())
        }
    });
}

fn rolled_out(space: &Space<'_>) {
    let words = [
        "rollout",
        "status",
        "deployment/auth-service",
        "--timeout=90s",
    ];
    space.kubectl(&words).ok();
}

#[test]
fn ai_debug_takes_the_flags_of_a_connection() {
    let Some(cluster) = ready() else { return };
    let space = cluster.namespace("flags");
    let file = kubeconfig(&space);
    let ask = |more: &[&str]| {
        let words = ["ai-debug", "--symptom", "web times out", "-n", &space.name];
        cluster.kubectl(&[&words[..], more].concat())
    };
    let own = std::fs::read_to_string(&file).unwrap();
    let server = own
        .split_whitespace()
        .find(|w| w.starts_with("https://"))
        .unwrap();
    for (more, says) in [
        (&["--kubeconfig", &file][..], "cluster lab"),
        (&["--context", "lab"], "cluster lab"),
        (&["--server", server], server),
        (&["--as", "jo"], "--user=jo"),
        (
            &["--as", "jo", "--as-group", "system:masters"],
            "cluster lab",
        ),
    ] {
        let said = ask(more);
        assert!(
            said.code == 2 && said.all().contains(says),
            "{more:?}: {}",
            said.all()
        );
    }
    for (more, says) in [
        (
            &["--context", "nope"][..],
            "the kubeconfig has no context nope; it has lab",
        ),
        (&["--server", "https://127.0.0.1:9"], "cannot be reached"),
        (&["--kubeconfig", "/nowhere"], "/nowhere"),
        (&["--token", "expired"], "credentials"),
    ] {
        let said = ask(more);
        let line = said.err.lines().next().unwrap_or_default();
        assert!(
            said.code >= 2 && line.contains(says),
            "{more:?}: {}",
            said.all()
        );
        assert_eq!(
            (said.err.lines().count(), said.out.as_str()),
            (1, ""),
            "{}",
            said.err
        );
    }
}
