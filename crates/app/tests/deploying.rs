//! What lies in `deploy/`, as text: the chart says what the kustomize base says, its schema knows every value, its
//! rules are those of the checks. In a cluster they are held in cluster_image.rs.

#![allow(clippy::unwrap_used)]

mod deploy;

use deploy::{chart, documents, folder, read, values};
use netshoot_model::{checks, rights};
use serde_json::{Value, json};

fn of_kind(text: &str, kind: &str) -> Option<Value> {
    documents(text).into_iter().find(|d| d["kind"] == kind)
}

fn pod(text: &str) -> Value {
    of_kind(text, "Deployment").unwrap()["spec"]["template"]["spec"].clone()
}

#[test]
fn the_chart_and_the_kustomize_base_give_the_same_pod() {
    let mut from_chart = pod(&chart("tools", &json!({})));
    let mut from_base = pod(&read("kustomize/base/deployment.yaml"));
    assert_eq!(
        from_chart["containers"][0]["image"],
        "netshoot:0.1.0-nonroot"
    );
    from_base["containers"][0]["image"] = "netshoot:0.1.0-nonroot".into();
    // What values could add is written out empty.
    for (field, empty) in [("imagePullSecrets", json!([])), ("tolerations", json!([]))] {
        assert_eq!(
            from_chart.as_object_mut().unwrap().remove(field),
            Some(empty)
        );
    }
    let policy = from_chart["containers"][0]
        .as_object_mut()
        .unwrap()
        .remove("imagePullPolicy");
    assert_eq!(policy, Some(json!("IfNotPresent")));
    assert_eq!(from_chart, from_base);
}

#[test]
fn the_version_is_that_of_the_program() {
    let version = env!("CARGO_PKG_VERSION");
    let about: Value = serde_yaml_ng::from_str(&read("chart/Chart.yaml")).unwrap();
    assert_eq!(
        (&about["version"], &about["appVersion"]),
        (&json!(version), &json!(version))
    );
    let base = read("kustomize/base/kustomization.yaml");
    assert!(
        base.contains(&format!("newTag: {version}-nonroot")),
        "{base}"
    );
    for file in std::fs::read_dir(folder().join("article")).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let images = text.matches("netshoot:").count();
        assert!(images > 0, "{}", path.display());
        assert_eq!(
            images,
            text.matches(&format!("netshoot:{version}")).count(),
            "{}",
            path.display()
        );
    }
}

#[test]
fn every_value_does_what_it_says() {
    let plain = pod(&chart("tools", &json!({})));
    assert_eq!(plain["automountServiceAccountToken"], false);
    assert!(of_kind(&chart("tools", &json!({})), "ServiceAccount").is_none());

    let capture = pod(&chart("tools", &json!({"capture": true})));
    let security = &capture["containers"][0]["securityContext"];
    assert_eq!(
        security["capabilities"],
        json!({"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]})
    );
    assert_eq!(security["allowPrivilegeEscalation"], false);

    let root = pod(&chart("tools", &json!({"user": 0})));
    assert_eq!(root["securityContext"]["runAsUser"], 0);
    assert!(root["securityContext"]["runAsNonRoot"].is_null());

    let other = json!({"image": {"repository": "registry.example/netshoot", "tag": "7"},
        "pullSecrets": [{"name": "pull"}], "tolerations": [{"operator": "Exists"}], "tmpSize": "1Gi",
        "nodeSelector": {"kubernetes.io/hostname": "node-a"}, "user": 1_000_650_000});
    let other = pod(&chart("tools", &other));
    assert_eq!(
        other["containers"][0]["image"],
        "registry.example/netshoot:7"
    );
    assert_eq!(other["imagePullSecrets"], json!([{"name": "pull"}]));
    assert_eq!(other["tolerations"], json!([{"operator": "Exists"}]));
    assert_eq!(other["securityContext"]["runAsUser"], 1_000_650_000);
    assert_eq!(other["volumes"][0]["emptyDir"]["sizeLimit"], "1Gi");

    for (reads, role, binding) in [
        ("namespace", "Role", "RoleBinding"),
        ("cluster", "ClusterRole", "ClusterRoleBinding"),
    ] {
        let text = chart("tools", &json!({"reads": reads}));
        assert_eq!(pod(&text)["serviceAccountName"], "netshoot");
        let role = of_kind(&text, role).unwrap();
        let bound = of_kind(&text, binding).unwrap();
        assert_eq!(bound["roleRef"]["name"], role["metadata"]["name"]);
        assert_eq!(bound["subjects"][0]["namespace"], "tools");
    }
}

/// The rules in the chart, written anew with UPDATE=1.
#[test]
fn the_rules_are_those_that_the_checks_need() {
    let kinds: Vec<&str> = checks::ALL
        .iter()
        .flat_map(|c| c.looks_at.iter().copied())
        .collect();
    let rules = serde_json::to_string(&rights::to_read(&kinds)).unwrap();
    let path = folder().join("chart/templates/rights.yaml");
    let held = read("chart/templates/rights.yaml");
    let line = format!("rules: {rules}");
    let now: Vec<&str> = held
        .lines()
        .map(|l| if l.starts_with("rules: ") { &line } else { l })
        .collect();
    let now = format!("{}\n", now.join("\n"));
    if std::env::var_os("UPDATE").is_some_and(|v| v == "1") && std::env::var_os("CI").is_none() {
        std::fs::write(path, now).unwrap();
        return;
    }
    assert!(
        held == now,
        "UPDATE=1 cargo test -p netshoot-app rewrites {}",
        path.display()
    );
    let role = of_kind(&chart("tools", &json!({"reads": "cluster"})), "ClusterRole").unwrap();
    for rule in role["rules"].as_array().unwrap() {
        assert_eq!(
            rule["verbs"],
            json!(["get", "list", "watch"]),
            "it reads and no more"
        );
    }
}

/// What a part of the schema says of a value, as far as this schema says anything.
fn fits(value: &Value, schema: &Value, at: &str) {
    let kind = match value {
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        Value::Null => panic!("{at} is null"),
    };
    assert_eq!(schema["type"], kind, "{at}");
    if let Some(words) = schema["enum"].as_array() {
        assert!(words.contains(value), "{at}: {value}");
    }
    if let (Value::Object(fields), Some(known)) = (value, schema["properties"].as_object()) {
        for (key, value) in fields {
            let schema = known
                .get(key)
                .unwrap_or_else(|| panic!("the schema lacks {at}.{key}"));
            fits(value, schema, &format!("{at}.{key}"));
        }
    }
}

#[test]
fn the_schema_knows_every_value_and_nothing_else() {
    let schema: Value = serde_json::from_str(&read("chart/values.schema.json")).unwrap();
    let own = values(&json!({}));
    fits(&own, &schema, "values");
    assert_eq!(
        schema["additionalProperties"], false,
        "a typing error is refused"
    );
    let known = schema["properties"].as_object().unwrap().keys();
    // Helm itself puts `global` there.
    for key in known.filter(|k| *k != "global") {
        assert!(own.get(key).is_some(), "values.yaml lacks {key}");
    }
}
