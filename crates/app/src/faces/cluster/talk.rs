//! Who talks to whom, and how that fails: the symptom, seen by programs that are not ours.

use super::kubernetes::Kubernetes;
use super::play::wait;
use anyhow::{Context, Result, anyhow, bail};
use netshoot_lab::scenario::{Fails, Talk};
use std::process::Output;
use std::time::{Duration, Instant};

/// The symptom shows within this time.
const SHOWS: Duration = Duration::from_secs(90);
/// Everything works, or works again, within this time.
const STANDS: Duration = Duration::from_secs(120);
/// So many answers in a row are called working; an intermittent fault needs more, and a name too: it is answered by several
/// DNS servers, each of which remembers its last answer for 30 s.
const IN_A_ROW: (usize, usize) = (3, 15);
/// An answer that took longer came from no server's memory.
const REMEMBERED: Duration = Duration::from_secs(2);

/// What a conversation brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    Answer,
    Refused,
    Silence,
    NoName,
    BadCertificate,
    Other(String),
}

impl Heard {
    fn of(output: &Output) -> Heard {
        let said = [&output.stderr[..], &output.stdout[..]].concat();
        let said = String::from_utf8_lossy(&said);
        match output.status.code() {
            Some(0) => Heard::Answer,
            _ if said.contains("Connection refused") => Heard::Refused,
            _ if said.contains("bad address") => Heard::NoName,
            _ if said.contains("certificate verify failed") => Heard::BadCertificate,
            // timeout(1) ended it: by its own account, or by that of a shell.
            Some(124 | 143) => Heard::Silence,
            // Nobody answers ARP for the address: to the caller it is the same as nothing at all.
            _ if said.contains("No route to host") => Heard::Silence,
            _ => Heard::Other(said.trim().to_string()),
        }
    }
}

impl Kubernetes {
    /// The first running pod of `pod/NAME` or `deployment/NAME`.
    pub fn pod(&self, namespace: &str, from: &str) -> Result<String> {
        let (kind, name) = from.split_once('/').unwrap_or(("pod", from));
        if kind == "pod" {
            return Ok(name.to_string());
        }
        let words = [
            "-n",
            namespace,
            "get",
            "pods",
            "--field-selector=status.phase=Running",
            "-o",
            "jsonpath={range .items[*]}{.metadata.name} {.metadata.deletionTimestamp}{\"\\n\"}{end}",
        ];
        let all = self.kubectl(&words)?;
        let mut lines = all.lines().map(str::trim);
        // `NAME-HASH-LETTERS`, and none that is being deleted.
        let of = |pod: &&str| {
            let rest = pod.strip_prefix(name).and_then(|r| r.strip_prefix('-'));
            rest.is_some_and(|r| r.split('-').count() == 2 && !r.contains(' '))
        };
        let found = lines.find(of);
        found
            .map(str::to_string)
            .with_context(|| format!("no pod of {from} runs in {namespace}"))
    }

    /// Calls of a client, one after the other, as long as they are answered: what the last one brought.
    fn hear(&self, talk: &Talk, times: usize) -> Heard {
        let said = if talk.to.starts_with("https://") {
            let mut all = (0..times).map(|_| self.handshake(talk));
            let failed = |s: &Result<Output>| !s.as_ref().is_ok_and(|o| o.status.success());
            match all.find(failed) {
                Some(said) => said,
                None => return Heard::Answer,
            }
        } else {
            // A resolver that gets no answer tries again, and then says so.
            let most = match talk.fails {
                Fails::Name => "15",
                _ => "3",
            };
            // In one stream: a stream costs more than what goes through it.
            let calls = format!(
                "for i in $(seq {times}); do timeout {most} wget -q -O - \"$0\" || exit; done"
            );
            let words = ["-n", &talk.namespace, "exec", &talk.from, "--"];
            let call = ["sh", "-c", &calls, &talk.to];
            self.output("kubectl", &[&words[..], &call].concat())
        };
        said.map_or_else(|e| Heard::Other(format!("{e:#}")), |o| Heard::of(&o))
    }

    /// Several calls at once; and more where a name is not known at once, until one of them brings another answer.
    fn hear_again(&self, talk: &Talk) -> Vec<Heard> {
        // One that is answered otherwise says that it is too early for more.
        if let Some(awaited) = awaited(talk.fails) {
            let first = self.hear(talk, 1);
            if first != awaited {
                return vec![first];
            }
        }
        let mut heard = Vec::new();
        while heard.len() < IN_A_ROW.1 {
            let begun = Instant::now();
            heard.extend(std::thread::scope(|scope| {
                let call = |_| scope.spawn(|| self.hear(talk, 1));
                let calls: Vec<_> = (0..IN_A_ROW.0).map(call).collect();
                let heard = calls.into_iter().filter_map(|c| c.join().ok());
                heard.collect::<Vec<_>>()
            }));
            let denied = talk.fails == Fails::Name && heard.iter().all(|h| *h == Heard::NoName);
            if !denied || begun.elapsed() > REMEMBERED {
                break;
            }
        }
        heard
    }

    /// A TLS handshake in the network of the client's pod by openssl of its node: the wget of a pod checks no certificate.
    fn handshake(&self, talk: &Talk) -> Result<Output> {
        let rest = talk.to.trim_start_matches("https://");
        let rest = rest.split('/').next().unwrap_or(rest);
        let (host, port) = rest.split_once(':').unwrap_or((rest, "443"));
        let mut labels = host.split('.');
        let service = labels.next().unwrap_or(host);
        let namespace = labels.next().unwrap_or(&talk.namespace);
        let address = self.kubectl(&[
            "-n",
            namespace,
            "get",
            "service",
            service,
            "-o",
            "jsonpath={.spec.clusterIP}",
        ])?;
        let place = format!(
            "{}/{}",
            talk.namespace,
            self.pod(&talk.namespace, &talk.from)?
        );
        let to = format!("{address}:{port}");
        let authority = self.authority().display().to_string();
        self.output(
            "scripts/cluster",
            &[
                "on",
                &place,
                "timeout",
                "3",
                "openssl",
                "s_client",
                "-brief",
                "-connect",
                &to,
                "-servername",
                host,
                "-verify_hostname",
                host,
                "-verify_return_error",
                "-CAfile",
                &authority,
            ],
        )
    }
}

/// What each call brings then; nothing where some are answered and some are not.
fn awaited(fails: Fails) -> Option<Heard> {
    match fails {
        Fails::Sometimes => None,
        Fails::Refused => Some(Heard::Refused),
        Fails::Timeout => Some(Heard::Silence),
        Fails::Name => Some(Heard::NoName),
        Fails::Certificate => Some(Heard::BadCertificate),
        Fails::Never => Some(Heard::Answer),
    }
}

/// All conversations work, several times in a row.
pub fn works(kubernetes: &Kubernetes, all: &[Talk], when: &str) -> Result<()> {
    for talk in all {
        let enough = match talk.fails {
            Fails::Sometimes | Fails::Name => IN_A_ROW.1,
            _ => IN_A_ROW.0,
        };
        let what = format!("{when}: {} reaches {}", talk.from, talk.to);
        wait(&what, STANDS, || match kubernetes.hear(talk, enough) {
            Heard::Answer => Ok(()),
            other => Err(anyhow!("{other:?}")),
        })?;
    }
    Ok(())
}

/// All conversations fail as they were told to.
pub fn fails(kubernetes: &Kubernetes, all: &[Talk]) -> Result<()> {
    for talk in all {
        let (from, to, how) = (&talk.from, &talk.to, talk.fails);
        let what = format!("the symptom: {from} to {to} fails ({how:?})");
        wait(&what, SHOWS, || {
            let heard = kubernetes.hear_again(talk);
            let seen = match awaited(how) {
                Some(awaited) => heard.iter().all(|h| *h == awaited),
                None => heard.iter().any(|h| *h != Heard::Answer),
            };
            if !seen {
                bail!("{heard:?}");
            }
            Ok(())
        })?;
    }
    Ok(())
}
