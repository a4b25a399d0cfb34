//! How long a diagnosis takes at a level of access, in a namespace of fifty pods: with objects alone, and with an ephemeral
//! container that is made for it.

use super::asked::Asker;
use super::kubernetes::Kubernetes;
use super::play::wait;
use crate::faces::bench::quantile;
use anyhow::{Result, bail};
use serde::Serialize;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Where the pods are.
const SPACE: &str = "fifty";
/// All of them: the crowd, one that serves, one that asks.
const PODS: u64 = 50;
/// They run within this time.
const RUN: Duration = Duration::from_secs(240);

/// One level.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Level {
    /// The word of `--access`; `debug` for the plugin's `debug POD`.
    pub access: &'static str,
    pub pods: u64,
    pub runs: usize,
    /// Runs whose answer was the right one.
    pub right: usize,
    pub p50_ms: u64,
    pub p95_ms: u64,
}

/// The question at a level, how often it is put, and its right answer.
const ASKED: [(&str, &str, usize, &str); 2] = [
    ("objects", "asker cannot reach lost", 20, "broken"),
    ("ephemeral", "asker cannot reach server", 10, "healthy"),
];

/// Makes the pods, asks, takes them away.
pub fn measure(kubernetes: &Kubernetes, asker: &Asker) -> Result<Vec<Level>> {
    let namespace = [SPACE.to_string()];
    kubernetes.clear(&namespace, true)?;
    kubernetes.kubectl(&["create", "namespace", SPACE])?;
    let all = json!({"apiVersion": "v1", "kind": "List", "items": objects()});
    kubernetes.feed(&["-n", SPACE, "apply", "-f", "-"], &all.to_string())?;
    let path = "jsonpath={.items[*].status.containerStatuses[0].ready}";
    wait("fifty pods ready", RUN, || {
        let said = kubernetes.kubectl(&["-n", SPACE, "get", "pods", "-o", path])?;
        let ready = said.split_whitespace().filter(|w| *w == "true").count();
        if ready as u64 != PODS {
            bail!("{ready} of {PODS}");
        }
        Ok(())
    })?;
    let mut levels = Vec::new();
    for (access, says, runs, verdict) in ASKED {
        let words = ["-n", SPACE, "--symptom", says, "--access", access];
        let (mut times, mut right) = (Vec::new(), 0);
        for _ in 0..runs {
            let answer = asker.alone(kubernetes, &words)?;
            right += usize::from(answer.verdict() == verdict);
            times.push(answer.ms);
        }
        levels.push(Level {
            access,
            pods: PODS,
            runs,
            right,
            p50_ms: quantile(&mut times, 0.5),
            p95_ms: quantile(&mut times, 0.95),
        });
    }
    levels.push(debug(kubernetes)?);
    kubernetes.clear(&namespace, false)?;
    Ok(levels)
}

/// `kubectl netshoot debug POD`, from its start to the end of a command that does nothing in a container made for it: a prompt
/// comes before.
fn debug(kubernetes: &Kubernetes) -> Result<Level> {
    const RUNS: usize = 10;
    let of_crowd = ["-n", SPACE, "get", "pods", "-l", "app=crowd", "-o", "name"];
    let pods = kubernetes.kubectl(&of_crowd)?;
    // One pod each: a container of ours that is there already is used again, and is no start.
    let pods: Vec<&str> = pods.lines().take(RUNS).collect();
    if pods.len() < RUNS {
        bail!("{} pods to debug of {RUNS}", pods.len());
    }
    let (mut times, mut right) = (Vec::new(), 0);
    for pod in pods {
        let words = ["debug", pod, "-n", SPACE, "--", "true"];
        let began = Instant::now();
        let said = kubernetes.output("kubectl-netshoot", &words)?;
        right += usize::from(said.status.success());
        times.push(u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX));
    }
    Ok(Level {
        access: "debug",
        pods: PODS,
        runs: RUNS,
        right,
        p50_ms: quantile(&mut times, 0.5),
        p95_ms: quantile(&mut times, 0.95),
    })
}

/// A crowd that does nothing, a server with its Service, a Service that selects nobody, and who asks both.
fn objects() -> Vec<Value> {
    let workload = |name: &str, replicas: u64, container: Value| {
        let mut container = container;
        container["name"] = json!(name);
        container["imagePullPolicy"] = json!("Never");
        let labels = json!({"app": name});
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
                "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]}}}})
    };
    let service = |name: &str, of: &str| {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"selector": {"app": of}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}})
    };
    let serves = json!({"image": "localhost/agnhost:lab", "args": ["netexec", "--http-port=8080", "--udp-port=-1"],
        "ports": [{"containerPort": 8080}]});
    let asks = json!({"image": "localhost/busybox:lab", "command": ["sleep", "infinity"],
        "env": [{"name": "LOST", "value": "http://lost/"}, {"name": "SERVER", "value": "http://server/"}]});
    vec![
        workload("crowd", PODS - 2, json!({"image": "localhost/pause:lab"})),
        workload("server", 1, serves),
        workload("asker", 1, asks),
        service("server", "server"),
        service("lost", "nobody"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_pods_as_are_told() {
        let replicas = |o: &Value| o.pointer("/spec/replicas").and_then(Value::as_u64);
        assert_eq!(objects().iter().filter_map(replicas).sum::<u64>(), PODS);
    }
}
