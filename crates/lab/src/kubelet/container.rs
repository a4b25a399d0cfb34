//! The life of one container: started, running, ended, paused, started again.

use super::launch::{self, Site};
use super::probes::Watched;
use crate::ground::Ground;
use crate::real::{self, Real};
use crate::shape::{self, fnv, text};
use crate::world::{Pace, Past};
use serde_json::{Value, json};

/// One container of a pod.
pub(crate) struct Container {
    pub name: String,
    pub image: String,
    pub state: State,
    /// How it ended the last time.
    pub last: Option<End>,
    pub restarts: u32,
    pub id: String,
    /// Its probes.
    pub watched: Watched,
    /// How many pauses it had in a row.
    pauses: usize,
    /// The behaviour and files it runs with.
    with: Value,
    files: Vec<(String, Vec<u8>)>,
    reload: Option<real::Reload>,
    /// Started and not yet reported.
    fresh: bool,
    /// Killed by its kubelet in order to run with something else; not counted as a restart.
    swapped: bool,
}

/// Where it is in its life.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum State {
    /// Not running: why, in the API's words, and when to try again.
    Waiting {
        reason: String,
        message: String,
        until_ms: u64,
    },
    /// Running since.
    Running { pid: i32, since_ms: u64 },
    /// Ended; started again at a moment, or never.
    Ended { end: End, again_ms: Option<u64> },
}

/// An end, as `state.terminated` shows it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct End {
    pub code: i32,
    pub reason: String,
    pub started_ms: u64,
    pub finished_ms: u64,
    pub id: String,
}

/// What one step of a container needs.
pub(crate) struct Turn<'a> {
    pub site: &'a Site<'a>,
    pub behaviour: &'a Value,
    /// Upstream's programs, where the world runs on them.
    pub real: Option<&'a Real>,
    pub ground: &'a Ground,
    pub pace: &'a Pace,
    pub now_ms: u64,
}

/// A pod as the object of an event about one of its containers.
pub(crate) fn part(pod: &Value, container: &str) -> Value {
    let mut about =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": shape::at(pod, "metadata")});
    about["fieldPath"] = json!(format!("spec.containers{{{container}}}"));
    about
}

impl Container {
    pub fn new(spec: &Value, pod_uid: &str) -> Container {
        Container {
            name: text(spec, "name").into(),
            image: text(spec, "image").into(),
            state: State::Waiting {
                reason: "ContainerCreating".into(),
                message: String::new(),
                until_ms: 0,
            },
            last: None,
            restarts: 0,
            id: String::new(),
            watched: Watched::new(spec, pod_uid),
            pauses: 0,
            with: Value::Null,
            files: Vec::new(),
            reload: None,
            fresh: false,
            swapped: false,
        }
    }

    /// What it went through before the world began.
    pub fn remember(&mut self, past: &Past, now_ms: u64) {
        let finished_ms = now_ms.saturating_sub(past.ago_s * 1000);
        self.restarts = past.restarts;
        self.last = Some(End {
            code: past.code,
            reason: past.reason.clone(),
            started_ms: finished_ms.saturating_sub(3_600_000),
            finished_ms,
            id: container_id(&self.name, "before", past.restarts),
        });
    }

    /// Its process, while it runs.
    pub fn pid(&self) -> Option<i32> {
        if let State::Running { pid, .. } = self.state {
            Some(pid)
        } else {
            None
        }
    }

    /// Whether it counts as ready: runs, has started, and its readiness probe (if any) holds.
    pub fn is_ready(&self) -> bool {
        self.pid().is_some() && self.watched.is_ready()
    }

    /// Nothing better is to be expected of it.
    pub fn is_stuck(&self) -> bool {
        match &self.state {
            State::Waiting { reason, .. } => reason != "ContainerCreating",
            State::Ended { again_ms, .. } => again_ms.is_none() || self.restarts > 0,
            State::Running { .. } => self.watched.keeps_failing(),
        }
    }

    /// True once after each start.
    pub fn take_fresh(&mut self) -> bool {
        std::mem::take(&mut self.fresh)
    }

    /// Asks it to end, so that it is started again. A clean program ends with code 0 then, and its
    /// last state reads `Completed`, misleading as on a real node.
    pub fn end(&self, ground: &Ground) {
        if let Some(pid) = self.pid() {
            ground.stop(pid, false);
        }
    }

    /// Notes its end, if it has ended.
    pub fn reap(&mut self, ground: &Ground, now_ms: u64) -> Option<End> {
        let State::Running { pid, since_ms } = self.state else {
            return None;
        };
        let ended = ground.ended(pid)?;
        let reason = match (ended.out_of_memory, ended.code) {
            (true, _) => "OOMKilled",
            (false, 0) => "Completed",
            _ => "Error",
        };
        let end = End {
            code: ended.code,
            reason: reason.to_string(),
            started_ms: since_ms,
            finished_ms: now_ms,
            id: self.id.clone(),
        };
        self.state = State::Ended {
            end: end.clone(),
            again_ms: None,
        };
        self.watched.stopped();
        Some(end)
    }

    /// One step.
    pub fn pass(&mut self, turn: &Turn<'_>) {
        if let Some(end) = self.reap(turn.ground, turn.now_ms) {
            self.after(&end, turn);
        }
        match &self.state {
            State::Running { pid, .. } => self.while_running(*pid, turn),
            State::Waiting { until_ms, .. } if *until_ms <= turn.now_ms => self.start(turn),
            State::Ended {
                again_ms: Some(again),
                ..
            } if *again <= turn.now_ms => self.start(turn),
            _ => {}
        }
    }

    fn while_running(&mut self, pid: i32, turn: &Turn<'_>) {
        if self.with != *turn.behaviour {
            self.swapped = true;
            turn.ground.stop(pid, true);
            return;
        }
        // Volumes of ConfigMaps and Secrets follow their objects.
        if let Ok(files) = launch::files(turn.site, &self.name)
            && files != self.files
            && launch::refresh(pid, &files).is_ok()
        {
            self.files = files;
            if turn.real.is_some() && real::is_dns(turn.behaviour) {
                self.reload = real::Reload::ask(turn.ground, pid, turn.now_ms);
            }
        }
        if self
            .reload
            .as_ref()
            .is_some_and(|r| r.is_over(turn.ground, pid, turn.now_ms))
        {
            self.reload = None;
        }
    }

    /// Its program was asked to read its settings again and has not said that it did.
    pub fn is_reloading(&self) -> bool {
        self.reload.is_some()
    }

    /// Decides what follows an end.
    fn after(&mut self, end: &End, turn: &Turn<'_>) {
        if self.swapped {
            self.swapped = false;
            self.state = State::Waiting {
                reason: "ContainerCreating".into(),
                message: String::new(),
                until_ms: 0,
            };
            return;
        }
        let policy = text(turn.site.pod, "spec.restartPolicy");
        if policy == "Never" || (policy == "OnFailure" && end.code == 0) {
            return;
        }
        if end.finished_ms.saturating_sub(end.started_ms) >= turn.pace.restart_forgets_ms {
            self.pauses = 0;
        }
        let pause = turn
            .pace
            .restart_ms
            .get(self.pauses)
            .or(turn.pace.restart_ms.last())
            .copied()
            .unwrap_or(1000);
        let again = turn.now_ms + pause;
        self.last = Some(end.clone());
        if self.pauses == 0 {
            self.state = State::Ended {
                end: end.clone(),
                again_ms: Some(again),
            };
        } else {
            let pod = turn.site.pod;
            let place = format!(
                "{}_{}({})",
                shape::name(pod),
                shape::namespace(pod),
                shape::uid(pod)
            );
            let seconds = pause.div_ceil(1000);
            let message = format!(
                "back-off {seconds}s restarting failed container={} pod={place}",
                self.name
            );
            let words = format!(
                "Back-off restarting failed container {} in pod {place}",
                self.name
            );
            turn.site.store.event(
                &part(pod, &self.name),
                "Warning",
                "BackOff",
                &words,
                ("kubelet", text(pod, "spec.nodeName")),
            );
            self.state = State::Waiting {
                reason: "CrashLoopBackOff".into(),
                message,
                until_ms: again,
            };
        }
        self.pauses += 1;
    }

    fn start(&mut self, turn: &Turn<'_>) {
        let pod = turn.site.pod;
        let about = part(pod, &self.name);
        let say = |kind: &str, reason: &str, words: &str| {
            turn.site.store.event(
                &about,
                kind,
                reason,
                words,
                ("kubelet", text(pod, "spec.nodeName")),
            )
        };
        let mut order = match launch::order(turn.site, &self.name, turn.behaviour) {
            Ok(mut order) => {
                // Replicas that start together would do everything together: each learns its place.
                if self.last.is_none() {
                    order
                        .env
                        .push((crate::behave::TURN.into(), place_among_siblings(turn.site)));
                }
                order
            }
            Err(launch::Missing::Volume(words)) => {
                turn.site.store.event(
                    pod,
                    "Warning",
                    "FailedMount",
                    &words,
                    ("kubelet", text(pod, "spec.nodeName")),
                );
                self.wait("ContainerCreating", String::new(), turn.now_ms + 1000);
                return;
            }
            Err(launch::Missing::Config(words)) => {
                say("Warning", "Failed", &format!("Error: {words}"));
                self.wait("CreateContainerConfigError", words, turn.now_ms + 1000);
                return;
            }
        };
        say(
            "Normal",
            "Pulled",
            &format!(
                "Container image \"{}\" already present on machine and can be accessed by the pod",
                self.image
            ),
        );
        if let Some(real) = turn.real
            && let Err(e) = real.dress(turn.ground, &mut order)
        {
            say("Warning", "Failed", &format!("Error: {e}"));
            self.wait("CreateContainerError", e.to_string(), turn.now_ms + 1000);
            return;
        }
        match turn.ground.spawn(&order) {
            Ok(pid) => {
                let again = !self.id.is_empty()
                    && self.last.is_some()
                    && !matches!(&self.state, State::Waiting { reason, .. } if reason == "ContainerCreating");
                self.restarts += u32::from(again);
                self.id = container_id(shape::uid(pod), &self.name, self.restarts);
                self.state = State::Running {
                    pid,
                    since_ms: turn.now_ms,
                };
                self.with = turn.behaviour.clone();
                self.files = order.files;
                self.fresh = true;
                self.watched.started(turn.now_ms, turn.pace);
                say("Normal", "Created", "Container created");
                say("Normal", "Started", "Container started");
            }
            Err(e) => {
                say("Warning", "Failed", &format!("Error: {e}"));
                self.wait("CreateContainerError", e.to_string(), turn.now_ms + 1000);
            }
        }
    }

    fn wait(&mut self, reason: &str, message: String, until_ms: u64) {
        self.state = State::Waiting {
            reason: reason.into(),
            message,
            until_ms,
        };
    }
}

/// `INDEX/COUNT` of the pod among the pods of its controller.
fn place_among_siblings(site: &Site<'_>) -> String {
    let own = shape::controller(site.pod).map(|c| c.2);
    let siblings: Vec<_> = site
        .store
        .of("Pod")
        .into_iter()
        .filter(|p| own.is_some() && shape::controller(p).map(|c| c.2) == own)
        .collect();
    let index = siblings
        .iter()
        .position(|p| shape::uid(p) == shape::uid(site.pod))
        .unwrap_or(0);
    format!("{index}/{}", siblings.len().max(1))
}

/// An id as containerd gives it: 64 hexadecimal digits.
fn container_id(uid: &str, name: &str, count: u32) -> String {
    let part = |i: u32| {
        format!(
            "{:016x}",
            fnv(format!("{uid}/{name}/{count}/{i}").as_bytes())
        )
    };
    format!("containerd://{}", (0..4).map(part).collect::<String>())
}
