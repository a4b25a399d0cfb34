//! What a container that does not run yet waits for, from the pod's status and events. Pure.

use crate::io::Lang;
use netshoot_model::object::Object;
use serde_json::Value;

/// How a container stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stands {
    /// It does not run yet; why, in a sentence.
    Waits(String),
    /// It runs.
    Runs,
    /// It has ended.
    Ended(End),
    /// It will never run.
    Never(String),
}

/// How a container ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// Exit code; 128 + signal where it was killed.
    pub code: i32,
    /// `Completed`, `Error`, `OOMKilled`, `DeadlineExceeded`.
    pub reason: String,
}

/// Reasons after which the kubelet only tries the same again.
const NEVER: [&str; 8] = [
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImageInspectError",
    "ImagePullBackOff",
    "InvalidImageName",
    "RunContainerError",
];

/// How the container of that name stands.
pub fn stands(pod: &Value, container: &str, events: &[Object], lang: Lang) -> Stands {
    let status = ["containerStatuses", "ephemeralContainerStatuses"]
        .iter()
        .filter_map(|k| pod["status"][k].as_array())
        .flatten()
        .find(|s| s["name"] == container);
    let state = status.map_or(&Value::Null, |s| &s["state"]);
    if state["running"].is_object() {
        return Stands::Runs;
    }
    if let Some(t) = state["terminated"].as_object() {
        let code = t.get("exitCode").and_then(Value::as_i64).unwrap_or(255);
        let reason = match pod["status"]["reason"].as_str() {
            Some("DeadlineExceeded") => "DeadlineExceeded",
            _ => t.get("reason").and_then(Value::as_str).unwrap_or(""),
        };
        return Stands::Ended(End {
            code: i32::try_from(code).unwrap_or(255),
            reason: reason.into(),
        });
    }
    if ["Failed", "Succeeded"].contains(&pod["status"]["phase"].as_str().unwrap_or("")) {
        let text = |k: &str| pod["status"][k].as_str().unwrap_or("");
        return Stands::Never(format!(
            "{}: {} {}",
            lang.pick("the pod has ended", "Pod 已结束"),
            text("reason"),
            text("message")
        ));
    }
    let (reason, message) = (
        state["waiting"]["reason"].as_str().unwrap_or(""),
        state["waiting"]["message"].as_str().unwrap_or(""),
    );
    if NEVER.contains(&reason) {
        return Stands::Never(never(reason, message, pod, container, events, lang));
    }
    Stands::Waits(waits(pod, container, reason, events, lang))
}

fn image<'a>(pod: &'a Value, container: &str) -> &'a str {
    ["containers", "ephemeralContainers"]
        .iter()
        .filter_map(|k| pod["spec"][k].as_array())
        .flatten()
        .find(|c| c["name"] == container)
        .and_then(|c| c["image"].as_str())
        .unwrap_or("?")
}

fn never(
    reason: &str,
    message: &str,
    pod: &Value,
    container: &str,
    events: &[Object],
    lang: Lang,
) -> String {
    let image = image(pod, container);
    // The status says "back-off" only; the first failure stands in an event.
    let told = events
        .iter()
        .rev()
        .map(|e| e.str("message"))
        .find(|m| m.contains("Failed to pull") || m.contains("rror: ") && m.contains(image))
        .unwrap_or(message);
    match reason {
        "ErrImagePull" | "ImagePullBackOff" => format!(
            "{} {image} {}: {told}",
            lang.pick("the image", "镜像"),
            lang.pick("cannot be pulled", "无法拉取")
        ),
        "ErrImageNeverPull" => format!(
            "{} {image} {}",
            lang.pick("the image", "镜像"),
            lang.pick(
                "is not on the node, and --image-pull-policy=Never forbids to pull it",
                "不在该节点上，且 --image-pull-policy=Never 禁止拉取"
            )
        ),
        "InvalidImageName" => format!(
            "{image} {}",
            lang.pick("is no name of an image", "不是合法的镜像名")
        ),
        _ => format!(
            "{}: {reason}: {message}",
            lang.pick("the container cannot be made", "无法创建容器")
        ),
    }
}

fn waits(pod: &Value, container: &str, reason: &str, events: &[Object], lang: Lang) -> String {
    let conditions = pod["status"]["conditions"].as_array();
    let condition = |t: &str| {
        conditions
            .into_iter()
            .flatten()
            .find(|c| c["type"] == t && c["status"] == "False")
    };
    if pod["spec"]["nodeName"].as_str().unwrap_or("").is_empty() {
        let why = condition("PodScheduled")
            .and_then(|c| c["message"].as_str())
            .unwrap_or("");
        let said = lang.pick("waiting for a node", "等待调度");
        return if why.is_empty() {
            said.into()
        } else {
            format!("{said}: {why}")
        };
    }
    let last = events.last();
    let seen = |r: &str| events.iter().any(|e| e.str("reason") == r);
    let image = image(pod, container);
    if seen("FailedCreatePodSandBox")
        && last.is_some_and(|e| e.str("reason") == "FailedCreatePodSandBox")
    {
        let why = last.map(|e| e.str("message")).unwrap_or_default();
        return format!(
            "{}: {why}",
            lang.pick(
                "the node cannot make the pod's network",
                "节点无法创建 Pod 网络"
            )
        );
    }
    if seen("FailedMount") && !seen("Pulled") {
        let why = events
            .iter()
            .rfind(|e| e.str("reason") == "FailedMount")
            .map(|e| e.str("message"))
            .unwrap_or_default();
        return format!("{}: {why}", lang.pick("waiting for a volume", "等待挂载卷"));
    }
    if seen("Pulling") && !seen("Pulled") {
        return format!("{} {image}", lang.pick("pulling the image", "正在拉取镜像"));
    }
    match reason {
        "PodInitializing" => lang
            .pick("waiting for the init containers", "等待 init 容器")
            .into(),
        "" | "ContainerCreating" if events.is_empty() => format!(
            "{} {}",
            lang.pick("waiting for the kubelet of node", "等待节点 kubelet："),
            pod["spec"]["nodeName"].as_str().unwrap_or("?")
        ),
        _ => lang.pick("starting the container", "正在启动容器").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(reason: &str, message: &str) -> Object {
        Object(json!({"reason": reason, "message": message}))
    }

    fn pod(node: &str, state: Value, status: Value) -> Value {
        let mut p = json!({"spec": {"nodeName": node, "containers": [{"name": "c", "image": "netshoot:1"}]},
            "status": {"phase": "Pending", "containerStatuses": [{"name": "c", "state": state}]}});
        for (k, v) in status.as_object().unwrap() {
            p["status"][k] = v.clone();
        }
        p
    }

    #[test]
    fn why_it_waits() {
        let unschedulable = json!({"conditions": [{"type": "PodScheduled", "status": "False",
            "message": "0/2 nodes are available"}]});
        let cases = [
            (pod("", json!({}), json!({})), vec![], "waiting for a node"),
            (
                pod("", json!({}), unschedulable),
                vec![],
                "waiting for a node: 0/2 nodes are available",
            ),
            (
                pod("a", json!({}), json!({})),
                vec![],
                "waiting for the kubelet of node a",
            ),
            (
                pod(
                    "a",
                    json!({"waiting": {"reason": "ContainerCreating"}}),
                    json!({}),
                ),
                vec![event("Pulling", "")],
                "pulling the image netshoot:1",
            ),
            (
                pod(
                    "a",
                    json!({"waiting": {"reason": "ContainerCreating"}}),
                    json!({}),
                ),
                vec![event("Pulling", ""), event("Pulled", "")],
                "starting the container",
            ),
            (
                pod(
                    "a",
                    json!({"waiting": {"reason": "ContainerCreating"}}),
                    json!({}),
                ),
                vec![event("FailedMount", "secret \"x\" not found")],
                "waiting for a volume: secret \"x\" not found",
            ),
            (
                pod("a", json!({}), json!({})),
                vec![event("FailedCreatePodSandBox", "no IP addresses available")],
                "the node cannot make the pod's network: no IP addresses available",
            ),
        ];
        for (p, events, expected) in cases {
            assert_eq!(
                stands(&p, "c", &events, Lang::En),
                Stands::Waits(expected.into())
            );
        }
    }

    #[test]
    fn what_never_runs_says_why() {
        let waiting = |r: &str, m: &str| json!({"waiting": {"reason": r, "message": m}});
        let cases = [
            (
                waiting("ImagePullBackOff", "Back-off pulling image"),
                vec![event(
                    "Failed",
                    "Failed to pull image \"netshoot:1\": not found",
                )],
                "the image netshoot:1 cannot be pulled: Failed to pull image \"netshoot:1\": not found",
            ),
            (
                waiting("ErrImagePull", "no such host"),
                vec![],
                "the image netshoot:1 cannot be pulled: no such host",
            ),
            (
                waiting("ErrImageNeverPull", "x"),
                vec![],
                "the image netshoot:1 is not on the node, and --image-pull-policy=Never forbids to pull it",
            ),
            (
                waiting(
                    "CreateContainerConfigError",
                    "container has runAsNonRoot and image will run as root",
                ),
                vec![],
                "the container cannot be made: CreateContainerConfigError: container has runAsNonRoot and image will run as root",
            ),
        ];
        for (state, events, expected) in cases {
            assert_eq!(
                stands(&pod("a", state, json!({})), "c", &events, Lang::En),
                Stands::Never(expected.into())
            );
        }
        let evicted = json!({"phase": "Failed", "reason": "Evicted", "message": "low on memory"});
        assert_eq!(
            stands(&pod("a", json!({}), evicted), "c", &[], Lang::En),
            Stands::Never("the pod has ended: Evicted low on memory".into())
        );
    }

    #[test]
    fn running_and_ended() {
        let p = pod("a", json!({"running": {}}), json!({}));
        assert_eq!(stands(&p, "c", &[], Lang::En), Stands::Runs);
        let p = pod(
            "a",
            json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}),
            json!({}),
        );
        let end = |code, reason: &str| {
            Stands::Ended(End {
                code,
                reason: reason.into(),
            })
        };
        assert_eq!(stands(&p, "c", &[], Lang::En), end(137, "OOMKilled"));
        let late = json!({"phase": "Failed", "reason": "DeadlineExceeded"});
        let p = pod(
            "a",
            json!({"terminated": {"exitCode": 137, "reason": "Error"}}),
            late,
        );
        assert_eq!(stands(&p, "c", &[], Lang::En), end(137, "DeadlineExceeded"));
    }
}
