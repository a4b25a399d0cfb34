//! Damaged manifests and texts: what is read can be read again, and no secret comes through.

use crate::{parse, redact, redact_texts};
use netshoot_model::object::Object;
use netshoot_wire::fuzz;
use serde_json::{Value, json};

const MANIFESTS: &[&str] = &[
    "kind: List\nitems:\n- {kind: Pod, metadata: {name: a, namespace: shop}}\n---\nkind: PodList\nitems: [{metadata: {name: b}}]\n",
    "apiVersion: v1\nkind: Service\nmetadata:\n  name: cart\n  labels: &l {app: cart}\nspec:\n  selector: *l\n  ports:\n  - port: 80\n    targetPort: http\n",
    "{\"kind\": \"Secret\", \"metadata\": {\"name\": \"s\"}, \"data\": {\"tls.key\": \"eA==\"}, \"type\": null}\n",
    "{\"kind\": \"Pod\", \"metadata\": {\"name\": \"a\", \"annotations\": {\"x\": \"\u{2028}\u{7f}\u{85}\"}}}\n",
    "# text\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n  Corefile: |\n    .:53 {\n      errors\n    }\n  number: '1'\n",
];

#[test]
fn a_dump_that_is_read_is_read_again() {
    let mut read = 0;
    fuzz::texts(MANIFESTS, 6_000, |text| {
        let Ok(objects) = parse("dump.yaml", text) else {
            return;
        };
        read += usize::from(!objects.is_empty());
        for o in &objects {
            assert!(!o.kind().is_empty() && o.0.pointer("/metadata/name").is_some());
        }
        let written = json!({"kind": "List", "items": objects}).to_string();
        assert_eq!(parse("again.json", &written).unwrap(), objects, "{text}");
    });
    assert!(read > 500, "{read}");
}

#[test]
fn a_dump_of_lists_within_lists_is_survived() {
    let mut text = "{\"kind\": \"Pod\", \"metadata\": {\"name\": \"a\"}}".to_string();
    for _ in 0..60 {
        text = format!("{{\"kind\": \"List\", \"items\": [{text}]}}");
    }
    assert_eq!(parse("deep.json", &text).unwrap().len(), 1);
}

/// Texts around a secret that must not be seen.
const AROUND: &[(&str, &str)] = &[
    ("postgres://app:", "@db:5432/x"),
    ("https://", "@git.example/x.git"),
    ("amqp://a:b@c", "@db"),
    ("Authorization: Bearer ", ""),
    ("authorization: bearer ", ", x"),
    ("Authorization: Basic ", "; x"),
    ("--token=", " --port=1"),
    ("DB_Password=", "&x=1"),
    ("{\"apiKey\": \"", "\"}"),
    ("\"client_secret\" :\"", " with, a; comma\" "),
];

#[test]
fn no_secret_comes_through_whatever_stands_around_it() {
    const SECRET: &str = "hunter2hunter2";
    let noise = [
        "GET /x?token=a http://u:p@h/ 200",
        "被 Bearer x \"password\":\"y\" secret=",
    ];
    fuzz::texts(&noise, 1_500, |noise| {
        for (before, behind) in AROUND {
            let said = format!("{noise} {before}{SECRET}{behind} {noise}");
            let mut value = json!({"log": [said], "n": 1});
            redact_texts(&mut value);
            let clean = value.to_string();
            assert!(!clean.contains(SECRET), "{said:?}");
            let once = value.clone();
            redact_texts(&mut value);
            assert_eq!(value, once, "{said:?}");
        }
    });
}

#[test]
fn an_object_is_redacted_once_and_for_all() {
    let pod = json!({"kind": "Pod", "metadata": {"name": "a", "managedFields": [1],
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}},
        "spec": {"containers": [{"env": [{"name": "DB_PASSWORD", "value": "x"}, {"name": "PORT", "value": "80"},
            {"name": "URL", "value": "http://u:p@h/"}]}]}})
    .to_string();
    let secret = json!({"kind": "Secret", "metadata": {"name": "s"}, "data": {"k": "eA=="}, "stringData": {"k": "x"}}).to_string();
    fuzz::texts(&[&pod, &secret], 6_000, |text| {
        let Ok(mut value) = serde_json::from_str::<Value>(text) else {
            return;
        };
        let given = Object(value.clone());
        redact(&mut value);
        let once = value.clone();
        redact(&mut value);
        assert_eq!(value, once, "{text}");
        let after = Object(value);
        assert_eq!(given.kind(), after.kind());
        if given.kind() == "Secret" {
            for (_, v) in after.get("data").as_object().into_iter().flatten() {
                assert_eq!(v, "[redacted]", "{text}");
            }
        }
    });
}
