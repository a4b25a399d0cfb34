//! What refuses a step of a diagnosis: the API server's own flow control, admission, a namespace on its way out. One clear
//! sentence each, a verdict that claims nothing, and nothing that runs afterwards.

use super::ours::{IMAGE, agents, nothing_of_ours_runs, ready, text, web};
use super::ring5::{Space, until};
use super::{MOST, diagnose, diagnosis};
use std::process::Stdio;
use std::time::Instant;

/// A webhook that nobody answers, for pods and what is added to them in one namespace.
pub fn silent_webhook(space: &Space<'_>, seconds: u32) -> String {
    format!(
        "apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {{name: {0}}}
webhooks:
- name: slow.example.test
  admissionReviewVersions: [v1]
  sideEffects: None
  timeoutSeconds: {seconds}
  failurePolicy: Fail
  namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {0}}}}}
  rules: [{{apiGroups: [''], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [pods, pods/ephemeralcontainers]}}]
  clientConfig: {{url: 'https://198.51.100.99:443/'}}
",
        space.name
    )
}

/// An object of no namespace, which goes with its test.
struct Global<'a>(&'a Space<'a>, String);

impl<'a> Global<'a> {
    fn new(space: &'a Space<'a>, manifest: String) -> Global<'a> {
        space.apply(&manifest);
        Global(space, manifest)
    }
}

impl Drop for Global<'_> {
    fn drop(&mut self) {
        let cluster = self.0.cluster;
        cluster.feed(&["delete", "--ignore-not-found", "-f", "-"], &self.1);
    }
}

/// Somebody with every right in the namespace, also to add containers, and none elsewhere.
fn admin(space: &Space<'_>) -> String {
    let user = format!("admin-of-{}", space.name);
    space.apply(&format!(
        "apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: admin}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}}
subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: User, name: {user}}}]
"
    ));
    format!("--as={user}")
}

/// Nobody reaches the web server, which its nodes must be asked about, and a client that needs nothing added to it: it holds
/// our program, and breaks no level of Pod Security. Of kube-system the admin of a namespace may not make use.
fn shut_off(space: &Space<'_>) {
    space.apply(&format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: client}}
spec:
  terminationGracePeriodSeconds: 0
  securityContext: {{runAsNonRoot: true, runAsUser: 65532, seccompProfile: {{type: RuntimeDefault}}}}
  containers:
  - name: client
    image: '{IMAGE}'
    imagePullPolicy: Never
    command: [sleep, infinity]
    securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: deny}}
spec: {{podSelector: {{matchLabels: {{app: web}}}}, policyTypes: [Ingress]}}
"
    ));
    space.ready(&["pod/client"]);
    until("the policy is in force", 20, || {
        let words = ["nc", "-z", "-w", "1", "web", "80"];
        match space.exec("client", &words) {
            said if said.code == 0 => Err("it is reached".into()),
            _ => Ok(()),
        }
    });
}

/// At this level of access it is told so, in its gaps, and nothing is claimed.
#[track_caller]
fn is_refused(space: &Space<'_>, pod: &str, words: &[&str], tells: &str) {
    let began = Instant::now();
    let said = diagnose(space, pod, words);
    assert_eq!(said.code, 2, "{words:?}: {}", said.all());
    assert!(began.elapsed() < MOST, "took {:?}", began.elapsed());
    let (_, gaps) = said.out.split_once("Could not be checked").unwrap();
    let (gaps, _) = gaps.split_once("Every probe").unwrap();
    assert!(gaps.contains(tells), "{words:?}: {tells}: {}", said.out);
    assert!(!said.all().contains("panicked"), "{}", said.all());
    nothing_of_ours_runs(space);
    assert_eq!(agents(space, &[]), "", "a pod was made all the same");
}

#[test]
fn admission_that_refuses_what_a_diagnosis_adds_is_named() {
    let Some(cluster) = ready() else { return };
    let space = cluster.namespace("refused");
    let pod = web(&space);
    let admin = admin(&space);
    shut_off(&space);

    // A level raised after the pod was made: it is the pod itself that breaks it, so no container of ours would pass.
    let level = |level: &str| {
        let label = format!("pod-security.kubernetes.io/enforce{level}");
        let words = ["label", "--overwrite", "namespace", &space.name, &label];
        cluster.kubectl(&words).ok();
    };
    level("=restricted");
    let leave = "leave of Pod Security to patch pods/ephemeralcontainers: the level restricted of namespace ";
    is_refused(&space, &pod, &["--access=ephemeral", &admin], leave);
    let leave = "leave of Pod Security to create pods: the level restricted of namespace ";
    is_refused(&space, "client", &["--access=pod", &admin], leave);
    level("-");

    let hook = Global::new(&space, silent_webhook(&space, 1));
    until("the webhook is asked", 20, || {
        let words = ["run", "probe", "--image=none", "--dry-run=server"];
        match space.kubectl(&words).err {
            said if said.contains("slow.example.test") => Ok(()),
            said => Err(said),
        }
    });
    let silent = "an answer of the admission webhook slow.example.test: ";
    is_refused(&space, &pod, &["--access=ephemeral", &admin], silent);
    is_refused(&space, "client", &["--access=pod", &admin], silent);
    drop(hook);
}

#[test]
fn a_namespace_that_ends_takes_no_pod_of_a_diagnosis() {
    let Some(cluster) = ready() else { return };
    let space = cluster.namespace("ending");
    let pod = web(&space);
    let admin = admin(&space);
    shut_off(&space);
    let finalizer = |words: &str| {
        let patch = format!("{{\"metadata\":{{\"finalizers\":{words}}}}}");
        for object in ["configmap/keeps", &format!("pod/{pod}"), "pod/client"] {
            let words = ["patch", object, "--type=merge", "-p", &patch];
            space.kubectl(&words).ok();
        }
    };
    space.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: keeps}}");
    finalizer("[\"example.test/keeps\"]");
    cluster
        .kubectl(&["delete", "namespace", &space.name, "--wait=false"])
        .ok();
    let said = diagnose(&space, "client", &["--access=pod", &admin]);
    finalizer("null");
    assert_eq!(said.code, 2, "{}", said.all());
    let tells = format!("{} is being deleted", space.name);
    assert!(said.out.contains(&tells), "{}", said.out);
}

#[test]
fn flow_control_is_waited_for_and_named_when_it_does_not_end() {
    let Some(cluster) = ready() else { return };
    let space = cluster.namespace("jam");
    let pod = web(&space);
    // One request at a time and no queue: the API server refuses what comes beside it with 429.
    let user = format!("busy-in-{}", space.name);
    let jam = format!(
        "apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: PriorityLevelConfiguration
metadata: {{name: {0}}}
spec: {{type: Limited, limited: {{nominalConcurrencyShares: 0, lendablePercent: 0, borrowingLimitPercent: 0, limitResponse: {{type: Reject}}}}}}
---
apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: FlowSchema
metadata: {{name: {0}}}
spec:
  priorityLevelConfiguration: {{name: {0}}}
  matchingPrecedence: 5
  rules:
  - subjects: [{{kind: User, user: {{name: {user}}}}}]
    resourceRules: [{{verbs: ['*'], apiGroups: ['*'], resources: ['*'], namespaces: ['*'], clusterScope: true}}]
    nonResourceRules: [{{verbs: ['*'], nonResourceURLs: ['*']}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: {0}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}}
subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: User, name: {user}}}]
",
        space.name
    );
    let _jam = Global::new(&space, jam);
    let _hook = Global::new(&space, silent_webhook(&space, 30));
    let who = format!("--as={user}");
    // Its own lists come eight at a time: some are refused, waited for as the server asks, and none is lost.
    let began = Instant::now();
    let said = until("the rules of flow control are in force", 20, || {
        let said = diagnose(&space, &pod, &["--access=objects", &who, "-o=json"]);
        let waited = began.elapsed().as_secs() >= 1;
        if waited { Ok(said) } else { Err(said.all()) }
    });
    let report: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert!(!said.all().contains("429"), "{}", said.all());
    assert_eq!(
        report["conversations"].as_array().map(Vec::len),
        Some(1),
        "{}",
        said.out
    );

    // The only place is taken by a request that waits for a webhook.
    let mut holds = cluster
        .command("kubectl")
        .args([&who, "-n", &space.name, "run", "x", "--image=none"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("its place is taken", 10, || {
        let words = [&who, "get", "--raw", "/version", "--request-timeout=1s"];
        match cluster.kubectl(&words) {
            said if said.code == 0 => Err(said.out),
            _ => Ok(()),
        }
    });
    let began = Instant::now();
    let mut asks = diagnosis(&space, &pod, &["--access=objects", &who]);
    let said = text(&asks.output().unwrap());
    let took = began.elapsed();
    holds.kill().unwrap();
    holds.wait().unwrap();
    assert_eq!(said.code, 2, "{}", said.all());
    let told: Vec<&str> = said.err.lines().collect();
    assert_eq!(told.len(), 1, "one sentence: {}", said.err);
    // The server names each wait; a longer one, than is left, is not begun.
    let tells = "too many requests (429), still after waiting ";
    let waited = told[0].split_once(tells).and_then(|(_, rest)| {
        let digits = rest.split_once(" s: ")?.0;
        digits.parse::<u64>().ok()
    });
    assert!(
        waited.is_some_and(|s| (10..=15).contains(&s)),
        "{}",
        said.err
    );
    assert!((10..30).contains(&took.as_secs()), "took {took:?}");
}
