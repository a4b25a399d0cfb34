use super::*;
use serde_json::json;

/// Level that admits a pod whose first container and spec hold these, and the controls that
/// restricted names.
fn judge(spec: Value, container: Value) -> (Level, Vec<&'static str>) {
    let mut c = hardened();
    merge(&mut c, &container);
    let mut pod = json!({"spec": {"containers": [c]}});
    merge(&mut pod["spec"], &spec);
    let mut controls: Vec<_> = violations(&pod, Level::Restricted)
        .iter()
        .map(|v| v.control)
        .collect();
    controls.dedup();
    (strictest(&pod), controls)
}

fn hardened() -> Value {
    json!({"name": "a", "securityContext": {
        "allowPrivilegeEscalation": false, "runAsNonRoot": true,
        "seccompProfile": {"type": "RuntimeDefault"}, "capabilities": {"drop": ["ALL"]}}})
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(a), Value::Object(b)) => {
            for (k, v) in b {
                merge(a.entry(k.clone()).or_insert(Value::Null), v);
            }
        }
        (a, b) => *a = b.clone(),
    }
}

fn sc(v: Value) -> Value {
    json!({"securityContext": v})
}

#[test]
fn each_control_of_baseline() {
    let none = || json!({});
    let cases = [
        (json!({"hostNetwork": true}), none(), "Host Namespaces"),
        (json!({"hostPID": true}), none(), "Host Namespaces"),
        (json!({"hostIPC": true}), none(), "Host Namespaces"),
        (
            json!({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}),
            none(),
            "HostPath Volumes",
        ),
        (
            sc(json!({"sysctls": [{"name": "kernel.msgmax", "value": "1"}]})),
            none(),
            "Sysctls",
        ),
        (
            sc(json!({"windowsOptions": {"hostProcess": true}})),
            none(),
            "HostProcess",
        ),
        (
            sc(json!({"seccompProfile": {"type": "Unconfined"}})),
            none(),
            "Seccomp",
        ),
        (
            sc(json!({"seLinuxOptions": {"type": "spc_t"}})),
            none(),
            "SELinux",
        ),
        (
            sc(json!({"seLinuxOptions": {"user": "u"}})),
            none(),
            "SELinux",
        ),
        (
            sc(json!({"appArmorProfile": {"type": "Unconfined"}})),
            none(),
            "AppArmor",
        ),
        (
            none(),
            sc(json!({"privileged": true})),
            "Privileged Containers",
        ),
        (
            none(),
            sc(json!({"procMount": "Unmasked"})),
            "/proc Mount Type",
        ),
        (
            none(),
            sc(json!({"capabilities": {"add": ["NET_RAW"]}})),
            "Capabilities",
        ),
        (none(), json!({"ports": [{"hostPort": 80}]}), "Host Ports"),
        (
            none(),
            json!({"livenessProbe": {"httpGet": {"host": "10.0.0.1"}}}),
            "Host Probes / Lifecycle Hooks",
        ),
        (
            none(),
            json!({"lifecycle": {"preStop": {"tcpSocket": {"host": "x"}}}}),
            "Host Probes / Lifecycle Hooks",
        ),
    ];
    for (spec, container, control) in cases {
        let (level, controls) = judge(spec.clone(), container.clone());
        assert_eq!(level, Level::Privileged, "{spec} {container}");
        assert!(
            controls.contains(&control),
            "{spec} {container}: {controls:?}"
        );
    }
}

#[test]
fn each_control_of_restricted() {
    let none = || json!({});
    let cases = [
        (
            json!({"volumes": [{"name": "v", "nfs": {}}]}),
            none(),
            "Volume Types",
        ),
        (
            none(),
            sc(json!({"allowPrivilegeEscalation": null})),
            "Privilege Escalation",
        ),
        (
            none(),
            sc(json!({"runAsNonRoot": null})),
            "Running as Non-root",
        ),
        (
            sc(json!({"runAsNonRoot": true})),
            sc(json!({"runAsNonRoot": false})),
            "Running as Non-root",
        ),
        (
            none(),
            sc(json!({"runAsUser": 0})),
            "Running as Non-root user",
        ),
        (
            sc(json!({"runAsUser": 0})),
            none(),
            "Running as Non-root user",
        ),
        (none(), sc(json!({"seccompProfile": null})), "Seccomp"),
        (
            none(),
            sc(json!({"capabilities": {"drop": ["NET_RAW"]}})),
            "Capabilities",
        ),
        (
            none(),
            sc(json!({"capabilities": {"add": ["CHOWN"]}})),
            "Capabilities",
        ),
    ];
    for (spec, container, control) in cases {
        let (level, controls) = judge(spec.clone(), container.clone());
        assert_eq!(level, Level::Baseline, "{spec} {container}");
        assert_eq!(controls, [control], "{spec} {container}");
    }
}

#[test]
fn what_looks_forbidden_and_is_not() {
    let none = || json!({});
    let cases = [
        (none(), none()),
        (json!({"hostNetwork": false}), none()),
        (
            json!({"volumes": [{"name": "v", "emptyDir": {}}, {"name": "w", "projected": {}}]}),
            none(),
        ),
        (
            sc(json!({"sysctls": [{"name": "net.ipv4.tcp_rmem", "value": "1"}]})),
            none(),
        ),
        (
            sc(json!({"runAsNonRoot": true})),
            sc(json!({"runAsNonRoot": null})),
        ),
        (
            sc(json!({"seccompProfile": {"type": "Localhost"}})),
            sc(json!({"seccompProfile": null})),
        ),
        (
            none(),
            sc(json!({"capabilities": {"add": ["NET_BIND_SERVICE"]}})),
        ),
        (
            none(),
            json!({"ports": [{"containerPort": 80, "hostPort": 0}]}),
        ),
        (
            none(),
            json!({"livenessProbe": {"httpGet": {"host": "", "port": 80}}}),
        ),
        (
            json!({"os": {"name": "windows"}}),
            sc(
                json!({"allowPrivilegeEscalation": null, "seccompProfile": null, "capabilities": null}),
            ),
        ),
    ];
    for (spec, container) in cases {
        let (level, controls) = judge(spec.clone(), container.clone());
        assert_eq!(level, Level::Restricted, "{spec} {container}: {controls:?}");
    }
}

#[test]
fn every_kind_of_container_is_looked_at_and_named() {
    let pod = json!({"spec": {"containers": [hardened()], "ephemeralContainers": [
        {"name": "debugger", "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}}]}});
    let found = violations(&pod, Level::Baseline);
    assert_eq!(
        found.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "Capabilities: spec.ephemeralContainers[debugger].securityContext.capabilities.add is NET_ADMIN"
        ]
    );
}

#[test]
fn the_level_of_a_namespace() {
    let ns = |l: Value| json!({"metadata": {"labels": l}});
    assert_eq!(
        Level::of(&ns(json!({ENFORCE: "baseline"}))),
        Level::Baseline
    );
    assert_eq!(Level::of(&ns(json!({"a": "b"}))), Level::Privileged);
    assert_eq!(Level::of(&json!({})), Level::Privileged);
    assert_eq!(
        Level::of(&ns(json!({ENFORCE: "strict"}))),
        Level::Restricted
    );
}
