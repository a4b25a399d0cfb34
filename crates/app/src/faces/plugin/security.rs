//! The Pod Security Standards as a function: a pod's spec and a level in, what the level forbids
//! out. Follows the tables of the page "Pod Security Standards" of Kubernetes; `docs/` of a cluster is
//! not asked, so that a refusal is known, and explained, before anything is sent.
//!
//! Deliberately absent: exemptions (they are in a file of the API server that nobody can read) and the
//! relaxations for pods with `hostUsers: false`, which are behind a feature gate. Both only allow more.

use serde_json::Value;
use std::fmt;

/// How much a namespace admits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Everything.
    Privileged,
    /// No known way to more rights.
    Baseline,
    /// Hardened.
    Restricted,
}

/// The label of a namespace that says what is refused.
pub const ENFORCE: &str = "pod-security.kubernetes.io/enforce";

impl Level {
    /// The level by its word in a label.
    pub fn named(word: &str) -> Option<Level> {
        match word {
            "privileged" => Some(Level::Privileged),
            "baseline" => Some(Level::Baseline),
            "restricted" => Some(Level::Restricted),
            _ => None,
        }
    }

    /// The word in a label.
    pub fn word(self) -> &'static str {
        match self {
            Level::Privileged => "privileged",
            Level::Baseline => "baseline",
            Level::Restricted => "restricted",
        }
    }

    /// What a namespace enforces; without the label that is the cluster's default, as a rule
    /// `privileged`. A word that means nothing is treated by the API server as `restricted`.
    pub fn of(namespace: &Value) -> Level {
        namespace
            .pointer("/metadata/labels")
            .and_then(|l| l.get(ENFORCE))
            .and_then(Value::as_str)
            .map_or(Level::Privileged, |w| {
                Level::named(w).unwrap_or(Level::Restricted)
            })
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One thing that a level forbids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The control, as the standard's table names it.
    pub control: &'static str,
    /// The level whose control it is.
    pub level: Level,
    /// Which field, with the container's name in place of its number.
    pub field: String,
    /// What it holds.
    pub held: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} is {}", self.control, self.field, self.held)
    }
}

/// Capabilities that baseline lets a container add: those a runtime gives anyway.
const BASELINE_CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Sysctls that are the pod's own.
const SAFE_SYSCTLS: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];

const SELINUX_TYPES: [&str; 5] = [
    "",
    "container_t",
    "container_init_t",
    "container_kvm_t",
    "container_engine_t",
];

/// Kinds of volume that restricted admits.
const RESTRICTED_VOLUMES: [&str; 8] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// What the level forbids in this pod; nothing when it would be admitted.
pub fn violations(pod: &Value, level: Level) -> Vec<Violation> {
    let mut found = Found::default();
    if level >= Level::Baseline {
        baseline(pod, &mut found);
    }
    if level >= Level::Restricted {
        restricted(pod, &mut found);
    }
    found.0
}

/// The strictest level that admits this pod.
#[cfg(test)]
pub fn strictest(pod: &Value) -> Level {
    [Level::Restricted, Level::Baseline]
        .into_iter()
        .find(|l| violations(pod, *l).is_empty())
        .unwrap_or(Level::Privileged)
}

#[derive(Default)]
struct Found(Vec<Violation>);

impl Found {
    fn add(&mut self, level: Level, control: &'static str, field: String, held: &Value) {
        let held = match held {
            Value::Null => "not set".into(),
            Value::String(s) => s.clone(),
            other => other.to_string(),
        };
        self.0.push(Violation {
            control,
            level,
            field,
            held,
        });
    }
}

fn at<'a>(v: &'a Value, pointer: &str) -> &'a Value {
    v.pointer(pointer).unwrap_or(&Value::Null)
}

fn list<'a>(v: &'a Value, pointer: &str) -> &'a [Value] {
    at(v, pointer).as_array().map_or(&[], Vec::as_slice)
}

/// All containers of a pod with the words to name their fields by.
fn containers(pod: &Value) -> impl Iterator<Item = (String, &Value)> {
    ["containers", "initContainers", "ephemeralContainers"]
        .into_iter()
        .flat_map(move |kind| {
            list(pod, &format!("/spec/{kind}")).iter().map(move |c| {
                let name = at(c, "/name").as_str().unwrap_or("?");
                (format!("spec.{kind}[{name}]"), c)
            })
        })
}

/// The security contexts of pod and containers.
fn contexts(pod: &Value) -> Vec<(String, &Value)> {
    let own = (
        "spec.securityContext".to_string(),
        at(pod, "/spec/securityContext"),
    );
    let inner = containers(pod).map(|(f, c)| (f + ".securityContext", at(c, "/securityContext")));
    std::iter::once(own).chain(inner).collect()
}

fn baseline(pod: &Value, found: &mut Found) {
    const L: Level = Level::Baseline;
    for key in ["hostNetwork", "hostPID", "hostIPC"] {
        let v = at(pod, &format!("/spec/{key}"));
        if v == true {
            found.add(L, "Host Namespaces", format!("spec.{key}"), v);
        }
    }
    for v in list(pod, "/spec/volumes") {
        if !at(v, "/hostPath").is_null() {
            let name = at(v, "/name").as_str().unwrap_or("?");
            let field = format!("spec.volumes[{name}].hostPath");
            found.add(L, "HostPath Volumes", field, at(v, "/hostPath/path"));
        }
    }
    for s in list(pod, "/spec/securityContext/sysctls") {
        let name = at(s, "/name");
        if !SAFE_SYSCTLS.contains(&name.as_str().unwrap_or("")) {
            let field = "spec.securityContext.sysctls[].name".to_string();
            found.add(L, "Sysctls", field, name);
        }
    }
    for (key, v) in at(pod, "/metadata/annotations")
        .as_object()
        .into_iter()
        .flatten()
    {
        let told = v.as_str().unwrap_or("");
        if key.starts_with("container.apparmor.security.beta.kubernetes.io/")
            && !(told.is_empty() || told == "runtime/default" || told.starts_with("localhost/"))
        {
            found.add(L, "AppArmor", format!("metadata.annotations[{key}]"), v);
        }
    }
    for (field, c) in contexts(pod) {
        baseline_context(&field, c, found);
    }
    for (field, c) in containers(pod) {
        baseline_container(&field, c, found);
    }
}

fn baseline_context(field: &str, c: &Value, found: &mut Found) {
    const L: Level = Level::Baseline;
    let mut refuse = |control, path: &str, bad: &dyn Fn(&Value) -> bool| {
        let v = at(c, &format!("/{}", path.replace('.', "/")));
        if !v.is_null() && bad(v) {
            found.add(L, control, format!("{field}.{path}"), v);
        }
    };
    refuse("HostProcess", "windowsOptions.hostProcess", &|v| v == true);
    let unconfined = |v: &Value| !["RuntimeDefault", "Localhost"].contains(&text(v));
    refuse("AppArmor", "appArmorProfile.type", &unconfined);
    refuse("Seccomp", "seccompProfile.type", &unconfined);
    refuse("SELinux", "seLinuxOptions.type", &|v| {
        !SELINUX_TYPES.contains(&text(v))
    });
    refuse("SELinux", "seLinuxOptions.user", &|v| !text(v).is_empty());
    refuse("SELinux", "seLinuxOptions.role", &|v| !text(v).is_empty());
}

fn baseline_container(field: &str, c: &Value, found: &mut Found) {
    const L: Level = Level::Baseline;
    let v = at(c, "/securityContext/privileged");
    if v == true {
        let field = format!("{field}.securityContext.privileged");
        found.add(L, "Privileged Containers", field, v);
    }
    let mount = at(c, "/securityContext/procMount");
    if !["", "Default"].contains(&text(mount)) {
        let field = format!("{field}.securityContext.procMount");
        found.add(L, "/proc Mount Type", field, mount);
    }
    for add in list(c, "/securityContext/capabilities/add") {
        if !BASELINE_CAPABILITIES.contains(&text(add)) {
            let field = format!("{field}.securityContext.capabilities.add");
            found.add(L, "Capabilities", field, add);
        }
    }
    for port in list(c, "/ports") {
        let host = at(port, "/hostPort");
        if host.as_i64().is_some_and(|p| p != 0) {
            found.add(L, "Host Ports", format!("{field}.ports[].hostPort"), host);
        }
    }
    for hook in [
        "livenessProbe",
        "readinessProbe",
        "startupProbe",
        "lifecycle/postStart",
        "lifecycle/preStop",
    ] {
        for way in ["httpGet", "tcpSocket"] {
            let host = at(c, &format!("/{hook}/{way}/host"));
            if !text(host).is_empty() {
                let field = format!("{field}.{}.{way}.host", hook.replace('/', "."));
                found.add(L, "Host Probes / Lifecycle Hooks", field, host);
            }
        }
    }
}

fn restricted(pod: &Value, found: &mut Found) {
    const L: Level = Level::Restricted;
    for v in list(pod, "/spec/volumes") {
        let name = at(v, "/name").as_str().unwrap_or("?");
        for kind in v.as_object().into_iter().flatten().map(|(k, _)| k.as_str()) {
            // hostPath is refused by baseline already.
            let fine = ["name", "hostPath"].contains(&kind) || RESTRICTED_VOLUMES.contains(&kind);
            if !fine {
                let field = format!("spec.volumes[{name}]");
                found.add(L, "Volume Types", field, &Value::from(kind));
            }
        }
    }
    let windows = at(pod, "/spec/os/name") == "windows";
    let own = at(pod, "/spec/securityContext");
    let user = at(own, "/runAsUser");
    if user == 0 {
        let field = "spec.securityContext.runAsUser".to_string();
        found.add(L, "Running as Non-root user", field, user);
    }
    for (field, c) in containers(pod) {
        restricted_container(&field, c, own, windows, found);
    }
}

fn restricted_container(field: &str, c: &Value, pod: &Value, windows: bool, found: &mut Found) {
    const L: Level = Level::Restricted;
    let sc = at(c, "/securityContext");
    let field = format!("{field}.securityContext");
    let escalation = at(sc, "/allowPrivilegeEscalation");
    if !windows && escalation != false {
        let field = format!("{field}.allowPrivilegeEscalation");
        found.add(L, "Privilege Escalation", field, escalation);
    }
    let non_root = at(sc, "/runAsNonRoot");
    let inherited = non_root.is_null() && at(pod, "/runAsNonRoot") == true;
    if non_root != true && !inherited {
        let field = format!("{field}.runAsNonRoot");
        found.add(L, "Running as Non-root", field, non_root);
    }
    let user = at(sc, "/runAsUser");
    if user == 0 {
        found.add(
            L,
            "Running as Non-root user",
            format!("{field}.runAsUser"),
            user,
        );
    }
    if windows {
        return;
    }
    let seccomp = at(sc, "/seccompProfile/type");
    let effective = if seccomp.is_null() {
        at(pod, "/seccompProfile/type")
    } else {
        seccomp
    };
    if !["RuntimeDefault", "Localhost"].contains(&text(effective)) {
        let field = format!("{field}.seccompProfile.type");
        found.add(L, "Seccomp", field, effective);
    }
    let drops = list(sc, "/capabilities/drop");
    if !drops.iter().any(|d| d == "ALL") {
        let field = format!("{field}.capabilities.drop");
        found.add(L, "Capabilities", field, at(sc, "/capabilities/drop"));
    }
    for add in list(sc, "/capabilities/add") {
        // Others are refused by baseline already.
        if add != "NET_BIND_SERVICE" && BASELINE_CAPABILITIES.contains(&text(add)) {
            let field = format!("{field}.capabilities.add");
            found.add(L, "Capabilities", field, add);
        }
    }
}

fn text(v: &Value) -> &str {
    v.as_str().unwrap_or("")
}

#[cfg(test)]
mod tests;
