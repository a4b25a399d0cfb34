//! What to do, as values. The printed command line is made from the value, and what is applied is
//! the same value.

use crate::object::ObjectRef;
use crate::text::{Lang, Text};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One step of a remedy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// A merge patch (RFC 7386; lists replaced whole) on one object.
    Patch {
        /// The object.
        object: ObjectRef,
        /// Strategic merge for lists keyed by name (`containers`, `ports`), as kubectl does by default.
        strategic: bool,
        /// The patch.
        patch: Value,
    },
    /// A new object.
    Create {
        /// The object, whole.
        object: Value,
    },
    /// Delete an object; its controller makes it anew.
    Delete {
        /// The object.
        object: ObjectRef,
    },
    /// A command on a node, argv.
    OnNode {
        /// Node name.
        node: String,
        /// Words.
        argv: Vec<String>,
    },
    /// A question only a person can answer.
    Ask {
        /// The question.
        question: Text,
    },
}

/// What to do about one cause.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Remedy {
    /// May be applied without a person looking at it first.
    pub safe: bool,
    /// Why this, and what it costs.
    pub because: Text,
    /// Steps in order.
    pub steps: Vec<Step>,
}

impl Remedy {
    /// The same with its words in one language.
    pub fn settle(&self, lang: Lang) -> Remedy {
        let mut remedy = self.clone();
        remedy.because = remedy.because.settle(lang);
        for step in &mut remedy.steps {
            if let Step::Ask { question } = step {
                *question = question.settle(lang);
            }
        }
        remedy
    }
}

impl Step {
    /// The command a person would type. Made from the value, so that what is shown is what is done.
    pub fn command(&self) -> Option<String> {
        match self {
            Step::Patch {
                object,
                strategic,
                patch,
            } => Some(set_resources(object, patch).unwrap_or_else(|| {
                format!(
                    "kubectl patch {}{} --type {} -p {}",
                    named(object),
                    namespace_flag(object),
                    if *strategic { "strategic" } else { "merge" },
                    quote(&patch.to_string())
                )
            })),
            Step::Create { object } => Some(format!("kubectl apply -f - <<'EOF'\n{object}\nEOF")),
            Step::Delete { object } => Some(format!(
                "kubectl delete {}{}",
                named(object),
                namespace_flag(object)
            )),
            Step::OnNode { node, argv } => {
                let words: Vec<String> = argv.iter().map(|w| quote(w)).collect();
                Some(format!(
                    "kubectl debug {} -it --image=busybox --profile=sysadmin -- chroot /host {}",
                    quote(&format!("node/{node}")),
                    words.join(" ")
                ))
            }
            Step::Ask { .. } => None,
        }
    }

    /// The step in a report: `command`, and `patch` or `ask` where that is its nature.
    pub fn describe(&self, lang: Lang) -> Value {
        let mut out = serde_json::Map::new();
        if let Some(c) = self.command() {
            out.insert("command".into(), Value::String(c));
        }
        match self {
            Step::Patch { object, patch, .. } => {
                out.insert(
                    "patch".into(),
                    serde_json::json!({ "object": object, "patch": patch }),
                );
            }
            Step::Ask { question } => {
                out.insert("ask".into(), Value::String(question.in_lang(lang).into()));
            }
            Step::Create { .. } | Step::Delete { .. } | Step::OnNode { .. } => {}
        }
        Value::Object(out)
    }
}

fn namespace_flag(object: &ObjectRef) -> String {
    if object.namespace.is_empty() {
        String::new()
    } else {
        format!(" -n {}", quote(&object.namespace))
    }
}

/// `kind/name` as a shell needs it: a name of a recording may be anything.
fn named(object: &ObjectRef) -> String {
    quote(&format!("{}/{}", object.kind.to_lowercase(), object.name))
}

/// `kubectl set resources`, where the patch is nothing but that.
fn set_resources(object: &ObjectRef, patch: &Value) -> Option<String> {
    let containers = crate::object::at(patch, "spec.template.spec.containers").as_array()?;
    let [container] = containers.as_slice() else {
        return None;
    };
    let map = container.as_object()?;
    if map.len() != 2 {
        return None;
    }
    let resources = map.get("resources")?.as_object()?;
    let name = map.get("name")?.as_str()?;
    let flag = |kind: &str| {
        let memory = resources.get(kind)?.get("memory")?.as_str()?;
        Some(format!(" --{kind}={}", quote(&format!("memory={memory}"))))
    };
    Some(format!(
        "kubectl set resources {}{} -c {}{}{}",
        named(object),
        namespace_flag(object),
        quote(name),
        flag("limits").unwrap_or_default(),
        flag("requests").unwrap_or_default()
    ))
}

/// A word as a POSIX shell needs it.
pub fn quote(word: &str) -> String {
    let plain = !word.is_empty()
        && word
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_./:=,@+%".contains(c));
    if plain {
        word.to_string()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_a_command_stays_a_name() {
        let hostile = "x$(id)`id`;id\n'";
        let object = ObjectRef {
            kind: "Deployment".into(),
            namespace: hostile.into(),
            name: hostile.into(),
        };
        let resources = serde_json::json!({"spec": {"template": {"spec": {"containers": [
            {"name": hostile, "resources": {"limits": {"memory": hostile}}}
        ]}}}});
        let steps = [
            Step::Delete {
                object: object.clone(),
            },
            Step::Patch {
                object: object.clone(),
                strategic: true,
                patch: serde_json::json!({"spec": hostile}),
            },
            Step::Patch {
                object,
                strategic: true,
                patch: resources,
            },
            Step::OnNode {
                node: hostile.into(),
                argv: vec![hostile.into()],
            },
        ];
        for step in steps {
            let command = step.command().unwrap_or_default();
            // What stands outside single quotes, as a shell reads it.
            let outside: String = command
                .replace("'\\''", "")
                .split('\'')
                .step_by(2)
                .collect();
            assert!(
                command.contains("$(id)") && !outside.contains("id"),
                "{command}"
            );
        }
    }
}
