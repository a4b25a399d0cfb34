//! Damaged objects and patches: the store refuses them or stays a store.

use super::defaults::{base64, parse_cidr, unbase64};
use super::{PatchKind, Store, merge};
use crate::shape;
use netshoot_wire::fuzz;
use serde_json::{Value, json};

const OBJECTS: &[&str] = &[
    r#"{"kind":"Namespace","metadata":{"name":"shop","labels":{"team":"a"}}}"#,
    r#"{"kind":"Service","metadata":{"name":"cart","namespace":"shop"},"spec":{"selector":{"app":"cart"},"ports":[{"name":"http","port":80,"targetPort":8080},{"name":"admin","port":81}]}}"#,
    r#"{"kind":"Deployment","metadata":{"name":"cart","namespace":"shop"},"spec":{"replicas":2,"selector":{"matchLabels":{"app":"cart"}},"template":{"metadata":{"labels":{"app":"cart"}},"spec":{"containers":[{"name":"cart","env":[{"name":"PORT","value":"8080"}],"ports":[{"containerPort":8080}]}]}}}}"#,
    r#"{"kind":"Pod","metadata":{"name":"one","namespace":"shop","generation":9},"spec":{"nodeName":"a","terminationGracePeriodSeconds":5,"containers":[{"name":"c"}]}}"#,
    r#"{"kind":"NetworkPolicy","metadata":{"name":"deny","namespace":"shop"},"spec":{"podSelector":{},"policyTypes":["Ingress"],"ingress":[{"ports":[{"port":53,"protocol":"UDP"}]}]}}"#,
    r#"{"kind":"Secret","metadata":{"name":"s","namespace":"shop"},"stringData":{"a":"b"}}"#,
];

const PATCHES: &[&str] = &[
    r#"{"spec":{"template":{"spec":{"containers":[{"name":"cart","env":[{"name":"PORT","value":"9090"}]}]}}}}"#,
    r#"{"spec":{"ports":[{"port":80,"targetPort":"http"},{"port":81,"$patch":"delete"}],"selector":null}}"#,
    r#"{"metadata":{"labels":{"a":"b"},"generation":9223372036854775807},"spec":{"replicas":0}}"#,
    r#"{"spec":{"$patch":"replace","terminationGracePeriodSeconds":1}}"#,
];

fn store() -> Store {
    let families = ["ipv4".into(), "ipv6".into()];
    let store = Store::new(&families, &["10.96.0.0/16".into(), "fd96::/112".into()], 1);
    for text in OBJECTS {
        store.apply(serde_json::from_str(text).unwrap()).unwrap();
    }
    store
}

/// Each object stands under its own name, and nowhere else.
fn sound(store: &Store, after: &str) {
    for object in store.all() {
        let (kind, namespace, name) = (
            shape::kind(&object),
            shape::namespace(&object),
            shape::name(&object),
        );
        let found = store.get(kind, namespace, name);
        assert_eq!(found.as_ref(), Some(&object), "{after}");
    }
}

#[test]
fn damaged_objects_leave_a_sound_store() {
    let mut store = store();
    let mut taken = 0;
    fuzz::texts(OBJECTS, 3_000, |text| {
        let Ok(object) = serde_json::from_str::<Value>(text) else {
            return;
        };
        taken += usize::from(store.apply(object).is_ok());
        if taken % 100 == 99 {
            sound(&store, text);
            store = self::store();
        }
    });
    assert!(taken > 200, "{taken}");
}

#[test]
fn damaged_patches_leave_a_sound_store() {
    let mut store = store();
    let mut taken = 0;
    fuzz::texts(PATCHES, 1_500, |text| {
        let Ok(patch) = serde_json::from_str::<Value>(text) else {
            return;
        };
        for (kind, name) in [("Service", "cart"), ("Deployment", "cart"), ("Pod", "one")] {
            for how in [PatchKind::Merge, PatchKind::Strategic] {
                let said = store.patch(kind, "shop", name, how, &patch);
                taken += usize::from(said.is_ok());
            }
        }
        let _ = store.delete("Pod", "shop", "one");
        sound(&store, text);
        store = self::store();
    });
    assert!(taken > 500, "{taken}");
}

#[test]
fn a_patch_that_is_applied_twice_changes_nothing_more() {
    let objects: Vec<Value> = OBJECTS
        .iter()
        .map(|o| serde_json::from_str(o).unwrap())
        .collect();
    fuzz::texts(PATCHES, 3_000, |text| {
        let Ok(patch) = serde_json::from_str::<Value>(text) else {
            return;
        };
        for how in [merge::merge, merge::strategic] {
            for object in &objects {
                let mut once = object.clone();
                how(&mut once, &patch);
                let mut twice = once.clone();
                how(&mut twice, &patch);
                assert_eq!(once, twice, "{text}");
            }
        }
        // RFC 7386: from nothing, a patch gives itself without its nulls.
        let mut made = json!({});
        merge::merge(&mut made, &patch);
        let mut again = made.clone();
        merge::merge(&mut again, &made);
        assert_eq!(again, made, "{text}");
    });
}

#[test]
fn small_texts() {
    fuzz::mutations(b"any bytes \x00\xff at all", 5_000, |bytes| {
        assert_eq!(unbase64(&base64(bytes)), bytes);
    });
    fuzz::texts(&["10.96.0.0/16", "fd96::/112"], 5_000, |text| {
        unbase64(text);
        if let Some((address, bits)) = parse_cidr(text) {
            assert_eq!(
                parse_cidr(&format!("{address}/{bits}")),
                Some((address, bits))
            );
            // A range of any width gives Services addresses, or none.
            let store = Store::new(&["ipv4".into(), "ipv6".into()], &[text.into()], 1);
            let _ = store.apply(serde_json::from_str(OBJECTS[0]).unwrap());
            let _ = store.apply(serde_json::from_str(OBJECTS[1]).unwrap());
        }
    });
}
