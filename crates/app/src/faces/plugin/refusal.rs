//! What the API server said no to, in words that say which rule it was and what would pass: the missing
//! right with the Role that grants it, the PodSecurity control and the profile below it, a quota, a
//! webhook, a namespace on its way out, a login that has ended.

use super::profile::{self, Profile};
use super::security::{ENFORCE, Level, violations};
use crate::io::Lang;
use netshoot_api::live::{Denial, Error};
use serde_json::Value;

/// The rights that a word takes: group, resource, verbs.
pub type Needs = &'static [(&'static str, &'static str, &'static [&'static str])];

/// A Role (ClusterRole where no namespace is) that grants these and the one that was missing, and its
/// binding to the user, as YAML.
pub fn role(needs: Needs, denial: &Denial) -> String {
    let lacks = &denial.tried;
    let resource = lacks.full_resource();
    let whole = lacks.namespace.is_empty();
    let (kind, place) = if whole {
        ("ClusterRole", String::new())
    } else {
        ("Role", format!("  namespace: {}\n", lacks.namespace))
    };
    let mut out = format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}\nmetadata:\n  name: netshoot\n{place}rules:\n"
    );
    let rule = |group: &str, resource: &str, verbs: &[&str]| {
        format!(
            "- apiGroups: [{group:?}]\n  resources: [{resource:?}]\n  verbs: [{}]\n",
            verbs
                .iter()
                .map(|v| format!("{v:?}"))
                .collect::<Vec<_>>()
                .join(", ")
        )
    };
    let named =
        |g: &str, r: &str, v: &[&str]| g == lacks.group && r == resource && v.contains(&lacks.verb);
    if !needs.iter().any(|(g, r, v)| named(g, r, v)) {
        out.push_str(&rule(&lacks.group, &resource, &[lacks.verb]));
    }
    // In a namespace's Role a rule for nodes or namespaces would grant nothing.
    let outside = |r: &str| ["nodes", "namespaces"].contains(&r);
    for (group, r, verbs) in needs {
        if whole == outside(r) || *r == resource {
            out.push_str(&rule(group, r, verbs));
        }
    }
    out.push_str(&format!(
        "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}Binding\nmetadata:\n  name: netshoot\n{place}\
         roleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: {kind}\n  name: netshoot\nsubjects:\n{}",
        subject(&denial.user)
    ));
    out
}

fn subject(user: &str) -> String {
    let account = user
        .strip_prefix("system:serviceaccount:")
        .and_then(|s| s.split_once(':'));
    match account {
        Some((namespace, name)) => {
            format!("- kind: ServiceAccount\n  name: {name}\n  namespace: {namespace}\n")
        }
        None => {
            let name = if user.is_empty() { "YOU" } else { user };
            format!("- apiGroup: rbac.authorization.k8s.io\n  kind: User\n  name: {name:?}\n")
        }
    }
}

/// What the level has against this pod, and which profile would pass.
pub fn against(
    pod_with: &dyn Fn(Profile) -> Value,
    profile: Profile,
    level: Level,
    lang: Lang,
) -> String {
    let mut out = String::new();
    for v in violations(&pod_with(profile), level) {
        out.push_str(&format!("  {v}\n"));
    }
    let passes: Vec<&str> = profile::ALL
        .into_iter()
        .filter(|p| violations(&pod_with(*p), level).is_empty())
        .map(Profile::word)
        .collect();
    if passes.is_empty() {
        out.push_str(lang.pick(
            "no profile would pass: it is the pod itself that the level refuses; another namespace would do, or the label ",
            "任何 profile 都无法通过：该级别拒绝的是 Pod 本身；可换命名空间，或由管理员设置标签 ",
        ));
        out.push_str(ENFORCE);
        out.push_str("=privileged");
    } else {
        out.push_str(lang.pick("would pass: --profile=", "可通过：--profile="));
        out.push_str(&passes.join(lang.pick(" or --profile=", " 或 --profile=")));
    }
    out
}

/// The sentence, as kubectl begins it.
fn sentence(e: &Error) -> String {
    let server = |reason: &str, says: &str| format!("Error from server ({reason}): {says}");
    match e {
        Error::Forbidden(d) => server("Forbidden", &d.says),
        Error::NotFound { says, .. } => server("NotFound", says),
        Error::AlreadyExists { says, .. } => server("AlreadyExists", says),
        Error::Conflict { says, .. } => server("Conflict", says),
        Error::Invalid { says, .. } => server("Invalid", says),
        Error::Quota { says, .. } => server("Forbidden", says),
        Error::Unauthorized { .. } => {
            format!("error: You must be logged in to the server (Unauthorized): {e}")
        }
        Error::PodSecurity { .. } | Error::NamespaceEnds { .. } => {
            server("Forbidden", &e.to_string())
        }
        Error::Webhook { .. } => server("InternalError", &e.to_string()),
        Error::TooManyRequests { .. } => server("TooManyRequests", &e.to_string()),
        other => format!("error: {other}"),
    }
}

/// What to do about it; empty where the sentence is all.
fn advice(e: &Error, needs: Needs, lang: Lang) -> String {
    let p = |en: &'static str, zh: &'static str| lang.pick(en, zh).to_string();
    match e {
        Error::Forbidden(d) => format!(
            "{}: {}\n{}\n{}{}",
            p("missing right", "缺少权限"),
            d.right(),
            p(
                "an administrator grants it with: kubectl apply -f - <<EOF",
                "管理员可如下授予：kubectl apply -f - <<EOF"
            ),
            role(needs, d),
            "EOF"
        ),
        Error::PodSecurity { level, .. } => format!(
            "{} {ENFORCE}={level}",
            p(
                "the label of the namespace that forbids it:",
                "禁止它的命名空间标签："
            )
        ),
        Error::Quota { .. } => p(
            "the namespace has no room: lower it with --requests and --limits, or free some (kubectl describe quota)",
            "命名空间配额不足：用 --requests、--limits 调低，或释放资源（kubectl describe quota）",
        ),
        Error::Webhook { .. } => p(
            "while it does not answer, the API server admits nothing that it is asked about: look at the Service behind it (kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations)",
            "它未应答期间，API server 会拒绝相关请求：请检查其背后的 Service（kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations）",
        ),
        Error::NamespaceEnds { .. } => p(
            "it takes nothing new; choose another namespace with -n",
            "该命名空间不再接受新对象；请用 -n 指定其他命名空间",
        ),
        Error::Unauthorized { .. } | Error::Credentials { .. } => p(
            "log in again, or choose with --context, --user or --token",
            "请重新登录，或用 --context、--user、--token 选择",
        ),
        Error::AlreadyExists { .. } => p(
            "take another name, or see attach and clean",
            "请换一个名称，或参见 attach 与 clean",
        ),
        other => other.how_to_get(),
    }
}

/// The refusal and what to do about it.
pub fn explain(e: &Error, needs: Needs, lang: Lang) -> String {
    let (sentence, advice) = (sentence(e), advice(e, needs, lang));
    if advice.is_empty() {
        sentence
    } else {
        format!("{sentence}\n{advice}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netshoot_api::live::Tried;
    use serde_json::json;

    const NEEDS: Needs = &[
        ("", "pods", &["create", "get"]),
        ("", "pods/exec", &["create"]),
        ("", "nodes", &["get"]),
    ];

    fn tried(verb: &'static str, resource: &str, namespace: &str) -> Tried {
        Tried {
            verb,
            resource: resource.into(),
            namespace: namespace.into(),
            ..Tried::default()
        }
    }

    fn denial(t: Tried, user: &str) -> Denial {
        Denial {
            tried: t,
            user: user.into(),
            says: "pods is forbidden: User \"jo\" cannot create resource \"pods\"".into(),
        }
    }

    #[test]
    fn a_missing_right_comes_with_the_role_that_grants_it() {
        let e = Error::Forbidden(Box::new(denial(tried("create", "pods", "shop"), "jo")));
        assert_eq!(
            explain(&e, NEEDS, Lang::En),
            r#"Error from server (Forbidden): pods is forbidden: User "jo" cannot create resource "pods"
missing right: create pods in namespace shop
an administrator grants it with: kubectl apply -f - <<EOF
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: netshoot
  namespace: shop
rules:
- apiGroups: [""]
  resources: ["pods"]
  verbs: ["create", "get"]
- apiGroups: [""]
  resources: ["pods/exec"]
  verbs: ["create"]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: netshoot
  namespace: shop
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: netshoot
subjects:
- apiGroup: rbac.authorization.k8s.io
  kind: User
  name: "jo"
EOF"#
        );
    }

    #[test]
    fn a_right_outside_namespaces_gets_a_cluster_role() {
        let d = denial(tried("get", "nodes", ""), "system:serviceaccount:ops:bot");
        let yaml = role(NEEDS, &d);
        assert!(yaml.contains("kind: ClusterRoleBinding"), "{yaml}");
        assert!(yaml.contains("resources: [\"nodes\"]"), "{yaml}");
        assert!(!yaml.contains("pods"), "{yaml}");
        assert!(
            yaml.contains("kind: ServiceAccount\n  name: bot\n  namespace: ops"),
            "{yaml}"
        );
    }

    #[test]
    fn what_the_level_has_against_a_pod_and_what_would_pass() {
        let pod = |p: Profile| json!({"spec": {"containers": [{"name": "netshoot", "securityContext": p.context()}]}});
        assert_eq!(
            against(&pod, Profile::Netadmin, Level::Baseline, Lang::En),
            "  Capabilities: spec.containers[netshoot].securityContext.capabilities.add is NET_ADMIN\n\
             \x20 Capabilities: spec.containers[netshoot].securityContext.capabilities.add is NET_RAW\n\
             would pass: --profile=restricted or --profile=baseline"
        );
        let host = |p: Profile| {
            let mut v = pod(p);
            v["spec"]["hostPID"] = true.into();
            v
        };
        let said = against(&host, Profile::Netadmin, Level::Baseline, Lang::En);
        assert!(said.contains("no profile would pass"), "{said}");
    }

    #[test]
    fn each_refusal_begins_as_kubectl_does_and_says_what_to_do() {
        let t = || Box::new(tried("create", "pods", "shop"));
        let says = String::from("x");
        let cases = [
            (
                Error::NotFound {
                    tried: t(),
                    says: says.clone(),
                },
                "Error from server (NotFound): x",
                "",
            ),
            (
                Error::AlreadyExists {
                    tried: t(),
                    says: says.clone(),
                },
                "Error from server (AlreadyExists): x",
                "another name",
            ),
            (
                Error::Quota {
                    tried: t(),
                    says: says.clone(),
                },
                "Error from server (Forbidden): x",
                "--limits",
            ),
            (
                Error::Unauthorized {
                    tried: t(),
                    server: "s".into(),
                    user: "u".into(),
                },
                "error: You must be logged in",
                "log in again",
            ),
            (
                Error::NamespaceEnds {
                    tried: t(),
                    namespace: "shop".into(),
                },
                "Error from server (Forbidden)",
                "another namespace",
            ),
            (
                Error::Webhook {
                    tried: t(),
                    webhook: "w".into(),
                    why: "deadline".into(),
                },
                "Error from server (InternalError)",
                "Service behind it",
            ),
            (
                Error::PodSecurity {
                    tried: t(),
                    level: "baseline".into(),
                    violations: vec![],
                },
                "Error from server (Forbidden)",
                "enforce=baseline",
            ),
            (
                Error::Unreachable {
                    server: "s".into(),
                    proxy: String::new(),
                    why: "refused".into(),
                },
                "error: the API server s cannot be reached",
                "",
            ),
        ];
        for (e, begins, tells) in cases {
            let said = explain(&e, NEEDS, Lang::En);
            assert!(said.starts_with(begins) && said.contains(tells), "{said}");
            assert!(!said.ends_with('.'), "{said}");
        }
    }
}
