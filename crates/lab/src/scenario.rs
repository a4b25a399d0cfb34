//! Scenarios: a folder under `lab/cluster/scenarios/` says what stands in a real cluster, what breaks it, who notices, and
//! what the diagnosis must find. Reading them only; `netshoot lab bench --cluster` plays them.

use crate::Error;
use crate::world::load::shallow;
use crate::world::{Ask, Expect, Reference};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Name of its folder.
    pub name: String,
    /// The folder, with `manifests.yaml` (what stands before it breaks: the healthy twin) and further manifests.
    pub folder: PathBuf,
    /// `scenario.yaml`.
    pub plan: Plan,
}

/// `scenario.yaml`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// What is wrong, in a few words.
    pub title: String,
    /// Numbers of the fault catalogue.
    pub catalogue: Vec<String>,
    /// The victim's question.
    pub ask: Ask,
    /// Namespaces that are made for it and deleted afterwards; the asked one if not given.
    #[serde(default)]
    pub namespaces: Vec<String>,
    /// What is done before `manifests.yaml` is applied: what no manifest can hold, such as certificates.
    #[serde(default)]
    pub before: Vec<Step>,
    /// Who talks to whom: the symptom. All succeed before the break and after the remedy; each fails between.
    pub talk: Vec<Talk>,
    /// What breaks it, in order.
    #[serde(rename = "break")]
    pub breaks: Vec<Step>,
    /// What is waited for when it is broken, before the symptom.
    #[serde(default)]
    pub until: Vec<Condition>,
    /// The cause that must come first.
    pub expect: Expect,
    /// What the subject is called by who may not read it: another object that stands for it.
    #[serde(default)]
    pub unread: Option<Reference>,
    /// What mends it, where the remedy of the report does not.
    pub remedy: Vec<Step>,
    /// What the remedy of the report must come to.
    #[serde(default)]
    pub mends: Mends,
    /// The least rights with which the cause must still be found. With fewer it may be unknown, and is never another one.
    #[serde(default)]
    pub ladder: Rights,
    /// Needs a cluster of its own: it breaks a node or the control plane.
    #[serde(default)]
    pub fresh: bool,
    /// The shape of that cluster.
    #[serde(default)]
    pub cluster: Shape,
}

/// Who mends what a diagnosis found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mends {
    /// The commands of the report, typed as they stand.
    #[default]
    Report,
    /// A person: the report asks what only one can decide.
    Person,
    /// The scenario: the commands of the report are right where a node is a machine, and can do nothing here.
    Scenario,
}

/// Whose rights a diagnosis has, from least to most.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Rights {
    /// One pod and nothing else: see it, its log, run something in it.
    OnePod,
    /// `view` in the namespaces of the scenario.
    View,
    /// `edit` there.
    #[default]
    Edit,
    /// `admin` there.
    Admin,
    /// Everything.
    ClusterAdmin,
}

impl Rights {
    /// All of them, from most to least.
    pub const ALL: [Rights; 5] = [
        Rights::ClusterAdmin,
        Rights::Admin,
        Rights::Edit,
        Rights::View,
        Rights::OnePod,
    ];

    /// The word in `scenario.yaml`; for the three in the middle also the name of the ClusterRole.
    pub fn word(self) -> &'static str {
        match self {
            Rights::OnePod => "one-pod",
            Rights::View => "view",
            Rights::Edit => "edit",
            Rights::Admin => "admin",
            Rights::ClusterAdmin => "cluster-admin",
        }
    }
}

/// What `scripts/cluster up` is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Shape {
    /// `routed`, `vxlan`; empty for the usual.
    pub network: String,
    /// kube-proxy's mode on each worker, in order; empty for the usual.
    pub proxy: String,
}

/// One conversation.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Talk {
    /// `pod/NAME` or `deployment/NAME`: a container with a shell.
    pub from: String,
    /// Its namespace; the asked one if not given.
    #[serde(default)]
    pub namespace: String,
    /// `http://HOST[:PORT]/PATH`, or `https://HOST:PORT` for a handshake that checks the certificate.
    pub to: String,
    /// How it fails.
    pub fails: Fails,
}

/// How a conversation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fails {
    /// Connection refused, every time.
    Refused,
    /// No answer, every time.
    Timeout,
    /// The name has no address, every time.
    Name,
    /// One way or another, and not every time.
    Sometimes,
    /// The certificate is refused, every time.
    Certificate,
    /// It does not: what works all the while tells one cause from another.
    Never,
}

/// What is done to the cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// A manifest of the folder.
    Apply(String),
    /// A strategic merge patch.
    Patch(Patch),
    /// `KIND/NAME`
    Delete(String),
    /// Any other words of kubectl, in the asked namespace.
    Kubectl(Vec<String>),
    /// A command on a node, or in a pod's network with the node's tools.
    On(On),
    /// A daemon of a node.
    Daemon(Daemon),
    /// A Secret with a certificate of the scenario's own authority, new or instead of the one there.
    Certificate(Certificate),
}

/// A certificate.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// Name of the Secret, of type `kubernetes.io/tls`.
    pub secret: String,
    /// DNS names it is for.
    pub names: Vec<String>,
    /// From now; negative for one that has expired.
    pub expires_in_s: i64,
}

/// A patch.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patch {
    /// `KIND/NAME`
    pub object: String,
    /// What is merged into it.
    pub patch: Value,
}

/// A command somewhere.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct On {
    /// `world`, `control`, a worker, or `NAMESPACE/POD`.
    pub place: String,
    /// Program and arguments.
    pub run: Vec<String>,
}

/// A daemon is stopped, killed or started.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Daemon {
    /// `stop`, `kill`, `start`.
    #[serde(rename = "do")]
    pub what: String,
    /// `control` or a worker.
    pub node: String,
    /// `kubelet`, `kube-proxy`, ...
    pub name: String,
}

/// What kubectl shows of an object at last.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// Words of `kubectl get`.
    pub object: Vec<String>,
    /// Its JSONPath.
    pub path: String,
    /// Text that must be in the output.
    pub has: String,
}

impl Scenario {
    /// Reads a folder; an error names the file, and the line where it is known.
    pub fn read(folder: &Path) -> Result<Scenario, Error> {
        let name = folder
            .file_name()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default();
        let file = folder.join("scenario.yaml");
        let text = std::fs::read_to_string(&file).map_err(|e| Error::Format {
            file: file.display().to_string(),
            why: format!("read: {e}"),
        })?;
        let mut scenario = Scenario {
            plan: parse(&format!("{name}/scenario.yaml"), &text)?,
            folder: folder.to_path_buf(),
            name,
        };
        let plan = &mut scenario.plan;
        if plan.namespaces.is_empty() {
            plan.namespaces.push(plan.ask.namespace.clone());
        }
        for talk in &mut plan.talk {
            if talk.namespace.is_empty() {
                talk.namespace = plan.ask.namespace.clone();
            }
        }
        scenario.check()?;
        Ok(scenario)
    }

    /// What the fields promise each other.
    fn check(&self) -> Result<(), Error> {
        let wrong = |why: String| {
            Err(Error::Format {
                file: format!("{}/scenario.yaml", self.name),
                why,
            })
        };
        let plan = &self.plan;
        if !plan.catalogue.contains(&plan.expect.catalogue) {
            let number = &plan.expect.catalogue;
            return wrong(format!("expects {number}, which its catalogue lacks"));
        }
        if plan.cluster != Shape::default() && !plan.fresh {
            return wrong("the shape of the shared cluster is given: fresh: true".into());
        }
        for (list, name) in [
            (plan.talk.is_empty(), "talk"),
            (plan.breaks.is_empty(), "break"),
            (plan.remedy.is_empty(), "remedy"),
        ] {
            if list {
                return wrong(format!("{name} is empty"));
            }
        }
        for talk in &plan.talk {
            let from = talk.from.split_once('/');
            if !from.is_some_and(|(kind, _)| ["pod", "deployment"].contains(&kind)) {
                return wrong(format!(
                    "{} is neither pod/NAME nor deployment/NAME",
                    talk.from
                ));
            }
            if !["http://", "https://"]
                .iter()
                .any(|s| talk.to.starts_with(s))
            {
                return wrong(format!("{} is no http:// or https:// address", talk.to));
            }
            if !plan.namespaces.contains(&talk.namespace) {
                return wrong(format!("namespace {} is not made for it", talk.namespace));
            }
        }
        let mut files = vec!["manifests.yaml".to_string()];
        for step in plan.before.iter().chain(&plan.breaks).chain(&plan.remedy) {
            match step {
                Step::Apply(file) => files.push(file.clone()),
                Step::On(On { place, .. }) if !place.contains('/') && !plan.fresh => {
                    return wrong(format!(
                        "a command on {place} needs a cluster of its own: fresh: true"
                    ));
                }
                Step::Daemon(daemon) => {
                    if !["stop", "kill", "start"].contains(&daemon.what.as_str()) {
                        return wrong(format!("{} is none of stop, kill, start", daemon.what));
                    }
                    if !plan.fresh {
                        return wrong(format!(
                            "without {} the cluster is no other's: fresh: true",
                            daemon.name
                        ));
                    }
                }
                _ => {}
            }
        }
        match files.iter().find(|f| !self.folder.join(f).is_file()) {
            Some(file) => wrong(format!("there is no {file} beside it")),
            None => Ok(()),
        }
    }
}

fn parse(file: &str, text: &str) -> Result<Plan, Error> {
    shallow(file, text)?;
    serde_yaml_ng::with::singleton_map_recursive::deserialize(
        serde_yaml_ng::Deserializer::from_str(text),
    )
    .map_err(|e| Error::Format {
        file: file.to_string(),
        why: e.to_string(),
    })
}

/// All scenarios of a folder of folders, sorted by name.
pub fn all_in(folder: &Path) -> Result<Vec<Scenario>, Error> {
    let unreadable = |e: std::io::Error| Error::Format {
        file: folder.display().to_string(),
        why: format!("read folder: {e}"),
    };
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        folders.push(entry.map_err(unreadable)?.path());
    }
    folders.sort();
    let all: Result<Vec<Scenario>, Error> = folders
        .iter()
        .filter(|f| f.is_dir())
        .map(|f| Scenario::read(f))
        .collect();
    let all = all?;
    apart(&all)?;
    Ok(all)
}

/// Those that share a cluster are played at the same time: no namespace is two scenarios'.
fn apart(all: &[Scenario]) -> Result<(), Error> {
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    for scenario in all.iter().filter(|s| !s.plan.fresh) {
        for namespace in &scenario.plan.namespaces {
            if let Some(other) = owners.insert(namespace, &scenario.name) {
                return Err(Error::Format {
                    file: format!("{}/scenario.yaml", scenario.name),
                    why: format!("namespace {namespace} is that of {other} in the shared cluster"),
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shelf() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../lab/cluster/scenarios")
    }

    #[test]
    fn every_scenario_reads() {
        let all = all_in(&shelf()).unwrap();
        assert!(all.len() >= 5);
        for scenario in &all {
            // Kinds and fields that nobody knows are refused in manifests, too.
            let text = std::fs::read_to_string(scenario.folder.join("manifests.yaml")).unwrap();
            crate::world::load::manifests(&scenario.name, &text).unwrap();
        }
    }

    #[test]
    fn two_in_one_cluster_do_not_share_a_namespace() {
        let one = Scenario::read(&shelf().join("selector-matches-nothing")).unwrap();
        let mut other = one.clone();
        other.name = "other".into();
        let said = apart(&[one.clone(), other.clone()])
            .unwrap_err()
            .to_string();
        assert!(
            said.contains("is that of selector-matches-nothing"),
            "{said}"
        );
        // In a cluster of its own it may be called as it likes.
        other.plan.fresh = true;
        apart(&[one, other]).unwrap();
    }

    /// A scenario whose text is changed in one place is refused with these words.
    fn refused(from: &str, to: &str, words: &str) {
        let folder = shelf().join("selector-matches-nothing");
        let text = std::fs::read_to_string(folder.join("scenario.yaml")).unwrap();
        assert!(text.contains(from), "{from}");
        let own =
            std::env::temp_dir().join(format!("scenario-{}-{}", std::process::id(), words.len()));
        std::fs::create_dir_all(&own).unwrap();
        std::fs::copy(folder.join("manifests.yaml"), own.join("manifests.yaml")).unwrap();
        std::fs::write(own.join("scenario.yaml"), text.replacen(from, to, 1)).unwrap();
        let said = Scenario::read(&own).unwrap_err().to_string();
        std::fs::remove_dir_all(&own).unwrap();
        assert!(said.contains(words), "{said}");
        assert!(said.contains("scenario.yaml"), "{said}");
    }

    #[test]
    fn a_wrong_one_is_refused_with_the_reason() {
        refused("title:", "titel:", "unknown field `titel`");
        refused("- patch:", "- push:", "unknown variant `push`");
        refused(
            "fails: refused",
            "fails: slowly",
            "unknown variant `slowly`",
        );
        refused(
            "deployment/cart",
            "cart",
            "neither pod/NAME nor deployment/NAME",
        );
        refused("http://", "tcp://", "is no http:// or https:// address");
        refused(
            "catalogue: F21",
            "catalogue: F22",
            "expects F22, which its catalogue lacks",
        );
        refused(
            "break:",
            "break:\n- daemon: {do: kill, node: node-a, name: kubelet}",
            "fresh: true",
        );
        refused(
            "break:",
            "break:\n- on: {place: node-a, run: [ls]}",
            "needs a cluster of its own",
        );
        refused(
            "break:",
            "break:\n- apply: gone.yaml",
            "there is no gone.yaml beside it",
        );
        refused("remedy:\n", "remedy: []\n#", "remedy is empty");
        refused("break:", "cluster: {network: vxlan}\nbreak:", "fresh: true");
        refused(
            "break:",
            "ladder: nobody\nbreak:",
            "unknown variant `nobody`",
        );
    }
}

#[cfg(test)]
mod damaged {
    #[test]
    fn a_damaged_scenario_is_read_or_refused_by_its_file() {
        let seeds = [
            include_str!("../../../lab/cluster/scenarios/auth-service-out-of-memory/scenario.yaml"),
            include_str!("../../../lab/cluster/scenarios/default-deny-without-allow/scenario.yaml"),
        ];
        netshoot_wire::fuzz::texts(&seeds, 1_000, |text| {
            if let Err(e) = super::parse("s/scenario.yaml", text) {
                assert!(e.to_string().contains("s/scenario.yaml"), "{e}");
            }
        });
    }
}
