//! What a report says to do, done as it says it: its command lines, by a shell, as somebody would paste them.

use super::kubernetes::Kubernetes;
use super::talk;
use anyhow::{Context, Result, bail};
use netshoot_lab::scenario::Scenario;
use serde_json::Value;
use std::path::Path;

/// A command that has not ended by then will not.
const MOST_S: &str = "90";

/// What became of a report's remedy.
pub enum Remedied {
    /// The conversations work again.
    Worked,
    /// It asks a person, and has no command.
    Asks,
    /// What came of its commands, or that there are none.
    Failed(String),
}

/// Does what the report says, and looks whether the conversations work.
pub fn apply(kubernetes: &Kubernetes, scenario: &Scenario, report: &Value) -> Remedied {
    let steps = report.pointer("/remedy/steps").and_then(Value::as_array);
    let Some(steps) = steps else {
        return Remedied::Failed("the report has no remedy".into());
    };
    let lines: Vec<&str> = steps.iter().filter_map(|s| s["command"].as_str()).collect();
    if lines.is_empty() {
        return Remedied::Asks;
    }
    let done = lines
        .iter()
        .try_for_each(|line| typed(kubernetes, scenario, line))
        .and_then(|()| talk::works(kubernetes, &scenario.plan.talk, "after the report's remedy"));
    match done {
        Ok(()) => Remedied::Worked,
        Err(e) => Remedied::Failed(format!("{}: {e:#}", lines.join("; "))),
    }
}

fn typed(kubernetes: &Kubernetes, scenario: &Scenario, line: &str) -> Result<()> {
    let line = here(line, &scenario.plan.ask.namespace);
    let _begun = super::BEGUN.read();
    let said = kubernetes
        .command(Path::new("timeout"))
        .args([MOST_S, "sh", "-c", &line])
        .output()
        .context("start a shell")?;
    if !said.status.success() {
        bail!("{line}: {}", String::from_utf8_lossy(&said.stderr).trim());
    }
    Ok(())
}

/// The line with what is called otherwise here: nothing is pulled, and what is made goes with the scenario's namespace.
fn here(line: &str, namespace: &str) -> String {
    match line.strip_prefix("kubectl debug ") {
        Some(rest) => {
            let rest = rest.replacen("--image=busybox ", "--image=localhost/busybox:lab ", 1);
            format!("kubectl debug -n {namespace} {rest}")
        }
        None => line.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_typed_as_it_stands_but_for_image_and_namespace() {
        let patch = "kubectl patch service/cart -n shop --type merge -p '{}'";
        assert_eq!(here(patch, "shop"), patch);
        let on_node = "kubectl debug node/node-a -it --image=busybox --profile=sysadmin -- chroot /host sysctl -w net.ipv4.ip_forward=1";
        assert_eq!(
            here(on_node, "shop"),
            "kubectl debug -n shop node/node-a -it --image=localhost/busybox:lab --profile=sysadmin -- chroot /host sysctl -w net.ipv4.ip_forward=1"
        );
    }
}
