//! The far end: asks, and says what came back.

use super::{Asked, Container, Hello, PROTOCOL, Said};
use crate::clock;
use anyhow::Result;
use netshoot_host::groups;
use netshoot_host::netns::NetNs;
use netshoot_host::probes::{self, Place};
use netshoot_model::probe::{Answer, Answered, ContainerMemory, Probe, Question};
use serde::Serialize;
use std::io::{BufRead, BufReader, Read, Write};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Longer lines are not read.
const MOST_BYTES: u64 = 4 << 20;
/// Between two samples of memory.
const SAMPLE: Duration = Duration::from_millis(50);
/// Whoever starts it asks at once, or was ended before.
const FIRST: Duration = Duration::from_secs(15);
/// No question may keep it longer.
const MOST_WATCH_MS: u32 = 10_000;

/// What the serving thread waits for.
enum Event {
    Line(String),
    End,
    Done(Said),
}

/// Serves until the input ends, nothing came for `idle`, or `deadline` has passed.
pub fn serve(
    input: impl Read + Send + 'static,
    out: &mut dyn Write,
    idle: Duration,
    deadline: Duration,
) -> Result<()> {
    let hello = Hello {
        netshoot_agent: PROTOCOL,
        version: crate::version::SHORT.into(),
        capabilities: groups::capabilities()
            .into_iter()
            .map(String::from)
            .collect(),
    };
    say(out, &hello)?;
    let until = Instant::now() + deadline;
    let (events, next) = mpsc::channel();
    let done = events.clone();
    // Reading may block for ever; the deadline must not.
    std::thread::spawn(move || {
        let mut reader = BufReader::new(input);
        loop {
            let mut line = String::new();
            match reader.by_ref().take(MOST_BYTES).read_line(&mut line) {
                Ok(n) if n > 0 && events.send(Event::Line(line)).is_ok() => {}
                _ => break,
            }
        }
        let _ = events.send(Event::End);
    });
    let (mut open, mut ended, mut asked) = (0usize, false, false);
    while !(ended && open == 0) {
        let left = until.saturating_duration_since(Instant::now());
        let idle = if asked { idle } else { idle.min(FIRST) };
        let left = if open > 0 { left } else { left.min(idle) };
        match next.recv_timeout(left) {
            Ok(Event::Line(line)) if line.trim().is_empty() => {}
            Ok(Event::Line(line)) => {
                asked = true;
                match serde_json::from_str::<Asked>(&line) {
                    Ok(asked) if asked.probes.is_empty() => say(out, &hello)?,
                    Ok(asked) => {
                        open += 1;
                        let done = done.clone();
                        // A thread for each line: a capture must see what the others send.
                        std::thread::spawn(move || {
                            let _ = done.send(Event::Done(answer(&asked)));
                        });
                    }
                    Err(e) => {
                        let error = format!("read questions: {e}");
                        say(
                            out,
                            &Said {
                                error,
                                ..Said::default()
                            },
                        )?;
                    }
                }
            }
            Ok(Event::End) => ended = true,
            Ok(Event::Done(said)) => {
                open -= 1;
                say(out, &said)?;
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    Ok(())
}

fn say(out: &mut dyn Write, what: &impl Serialize) -> Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    out.write_all(&line)?;
    out.flush()?;
    Ok(())
}

fn answer(asked: &Asked) -> Said {
    let (memory, network): (Vec<&Probe>, Vec<&Probe>) = asked
        .probes
        .iter()
        .partition(|p| matches!(p.question, Question::Memory { .. }));
    let network: Vec<Probe> = network.into_iter().cloned().collect();
    // Memory is watched while the others are asked: both belong to one moment.
    let (watched, answered) = std::thread::scope(|scope| {
        let watching: Vec<_> = memory
            .iter()
            .map(|p| scope.spawn(|| watch(p, asked)))
            .collect();
        let answered = in_network(&network, asked.inside.as_ref());
        let watched: Vec<Answered> = watching.into_iter().filter_map(|t| t.join().ok()).collect();
        (watched, answered)
    });
    let id = asked.id;
    match answered {
        Ok(mut answers) => {
            answers.extend(watched);
            Said {
                id,
                answers,
                error: String::new(),
            }
        }
        Err(error) => Said {
            id,
            answers: watched,
            error,
        },
    }
}

/// Asks in the network of a container, or here.
fn in_network(probes: &[Probe], inside: Option<&Container>) -> Result<Vec<Answered>, String> {
    if probes.is_empty() {
        return Ok(Vec::new());
    }
    let Some(container) = inside else {
        return Ok(probes::ask_all(probes, &Place { resolv_conf: None }));
    };
    let pid = groups::process_in(&container.id).or_else(|| {
        // systemd writes it with underscores.
        let slice = container.pod.replace('-', "_");
        groups::process_in(&container.pod).or_else(|| groups::process_in(&slice))
    });
    let pid = pid.ok_or_else(|| {
        format!(
            "enter the network of container {}: no process of it is seen from here",
            container.name
        )
    })?;
    let place = Place {
        resolv_conf: std::fs::read_to_string(format!("/proc/{pid}/root/etc/resolv.conf")).ok(),
    };
    let space = NetNs::open(&format!("/proc/{pid}/ns/net")).map_err(|e| e.to_string())?;
    space
        .enter(|| probes::ask_all(probes, &place))
        .map_err(|e| e.to_string())
}

/// Watches the memory of the containers that are seen from here.
fn watch(probe: &Probe, asked: &Asked) -> Answered {
    let at_ms = clock::now_ms();
    let began = Instant::now();
    let Question::Memory { watch_ms, .. } = &probe.question else {
        return probes::ask(probe, &Place::default());
    };
    let until = Duration::from_millis(u64::from((*watch_ms).min(MOST_WATCH_MS)));
    let mut watched: Vec<(Option<u32>, ContainerMemory)> = Vec::new();
    let mut why = String::new();
    for c in &asked.containers {
        let pid = match groups::process_in(&c.id) {
            None if c.name != asked.own || c.name.is_empty() => {
                why = format!("no process of container {} is seen from here", c.name);
                continue;
            }
            found => found,
        };
        match groups::memory_of(pid) {
            Ok(m) => watched.push((
                pid,
                ContainerMemory {
                    container: c.name.clone(),
                    accounted_by: format!("cgroup v{}", m.version),
                    limit: m.limit,
                    max_usage: m.max_usage,
                    limit_hits: m.limit_hits,
                    age_ms: groups::age_ms(pid),
                    samples: Vec::new(),
                },
            )),
            Err(e) => why = e.to_string(),
        }
    }
    if watched.is_empty() {
        return Answered {
            probe: probe.clone(),
            at_ms,
            took_ms: began.elapsed().as_millis() as u64,
            answer: probes::could_not_ask(why),
        };
    }
    loop {
        let t = began.elapsed().as_millis() as u64;
        for (pid, m) in &mut watched {
            if let Ok(now) = groups::memory_of(*pid) {
                m.samples.push((t, now.usage));
                m.max_usage = m.max_usage.max(now.max_usage);
                m.limit_hits = now.limit_hits;
            }
        }
        if began.elapsed() >= until {
            break;
        }
        std::thread::sleep(SAMPLE);
    }
    Answered {
        probe: probe.clone(),
        at_ms,
        took_ms: began.elapsed().as_millis() as u64,
        answer: Answer::Memory(watched.into_iter().map(|(_, m)| m).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netshoot_model::probe::Vantage;

    fn lines(input: &str) -> Vec<serde_json::Value> {
        let mut out = Vec::new();
        let input = std::io::Cursor::new(input.to_string().into_bytes());
        serve(
            input,
            &mut out,
            Duration::from_secs(5),
            Duration::from_secs(5),
        )
        .unwrap();
        let text = String::from_utf8(out).unwrap();
        text.lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect()
    }

    #[test]
    fn it_greets_answers_and_ends_with_its_input() {
        let probe = Probe {
            from: Vantage::Here,
            question: Question::Sysctls {
                names: vec!["kernel.ostype".into()],
            },
        };
        let asked = Asked {
            id: 7,
            probes: vec![probe.clone(), probe],
            ..Asked::default()
        };
        let asked = serde_json::to_string(&asked).unwrap();
        let said = lines(&format!("{{}}\n{asked}\n\nnonsense\n"));
        assert_eq!(said[0]["netshoot_agent"], PROTOCOL);
        assert_eq!(said[1]["netshoot_agent"], PROTOCOL);
        let answers = said.iter().find(|s| s["id"] == 7).unwrap();
        assert_eq!(answers["answers"].as_array().map(Vec::len), Some(2));
        let refused = said.iter().find(|s| s["error"].is_string()).unwrap();
        assert!(
            refused["error"]
                .as_str()
                .unwrap()
                .contains("read questions")
        );
        assert_eq!(said.len(), 4);
    }

    #[test]
    fn a_container_that_is_not_seen_is_no_other_ones_network() {
        let asked = Asked {
            probes: vec![Probe {
                from: Vantage::Here,
                question: Question::Links,
            }],
            inside: Some(Container {
                name: "web".into(),
                id: "0123456789abcdef-not-here".into(),
                ..Container::default()
            }),
            ..Asked::default()
        };
        let said = lines(&format!("{}\n", serde_json::to_string(&asked).unwrap()));
        assert!(
            said[1]["error"].as_str().unwrap().contains("container web"),
            "{said:?}"
        );
    }

    #[test]
    fn nothing_to_do_ends_it() {
        let (input, _keep_open) = std::io::pipe().unwrap();
        let mut out = Vec::new();
        serve(
            input,
            &mut out,
            Duration::from_millis(20),
            Duration::from_secs(60),
        )
        .unwrap();
        assert_eq!(out.iter().filter(|b| **b == b'\n').count(), 1);
    }
}
