//! Port numbers: the same number becomes the same other number wherever it is a port.

use super::rewrite;
use crate::shape::{self, Dice};
use crate::world::World;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Numbers that mean something by themselves.
const NEVER: &[u64] = &[53, 8472, 443, 6443, 10250];
const KEYS: &[&str] = &["port", "targetPort", "containerPort", "hostPort"];
const OTHERS: &[u64] = &[
    80, 81, 3000, 4000, 5000, 5050, 7000, 7070, 8000, 8081, 8088, 8888, 9000, 9001, 9090, 9292,
    10080, 18080,
];

/// Other ports for the containers and Services of users.
pub(super) fn vary(world: &World, dice: &mut Dice) -> World {
    let mut used = BTreeSet::new();
    for object in world.objects.iter().filter(|o| super::is_users(o)) {
        collect(object, &mut used);
    }
    let plan = serde_json::to_value(&world.plan).unwrap_or_default();
    collect(&plan, &mut used);
    let mut taken = used.clone();
    let mut map = BTreeMap::new();
    for port in used.into_iter().filter(|p| !NEVER.contains(p)) {
        let free: Vec<u64> = OTHERS
            .iter()
            .copied()
            .filter(|p| !taken.contains(p))
            .collect();
        // Half of them stay: 8080 is what most people have.
        if let (Some(new), 0) = (dice.pick(&free), dice.below(2)) {
            taken.insert(*new);
            map.insert(port, *new);
        }
    }
    rewrite(world, |whole| change(whole, &map))
}

fn collect(value: &Value, used: &mut BTreeSet<u64>) {
    match value {
        Value::Array(items) => items.iter().for_each(|v| collect(v, used)),
        Value::Object(fields) => {
            for (key, inner) in fields {
                if KEYS.contains(&key.as_str()) {
                    used.extend(inner.as_u64());
                }
                collect(inner, used);
            }
        }
        _ => {}
    }
}

fn change(value: &mut Value, map: &BTreeMap<u64, u64>) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|v| change(v, map)),
        Value::String(text) => *text = in_text(text, map),
        Value::Object(fields) => {
            // An environment variable that says to be a port is one.
            let is_port = fields
                .get("name")
                .and_then(Value::as_str)
                .is_some_and(|n| n.contains("PORT"));
            for (key, inner) in fields.iter_mut() {
                let number = inner.as_u64().filter(|_| KEYS.contains(&key.as_str()));
                let written = inner
                    .as_str()
                    .and_then(|t| t.parse::<u64>().ok())
                    .filter(|_| is_port && key == "value");
                if let Some(new) = number.and_then(|n| map.get(&n)) {
                    *inner = json!(new);
                } else if let Some(new) = written.and_then(|n| map.get(&n)) {
                    *inner = json!(new.to_string());
                } else {
                    change(inner, map);
                }
            }
        }
        _ => {}
    }
}

/// `:8080` in a URL or a line of a log.
fn in_text(text: &str, map: &BTreeMap<u64, u64>) -> String {
    let mut parts = text.split(':');
    let mut out = parts.next().unwrap_or("").to_string();
    for part in parts {
        let digits = part
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(part.len());
        let (number, rest) = part.split_at(digits);
        let ends = !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '.' || c == ']');
        let new = number
            .parse()
            .ok()
            .and_then(|n: u64| map.get(&n))
            .filter(|_| ends);
        out.push(':');
        out.push_str(&new.map_or(number.to_string(), u64::to_string));
        out.push_str(rest);
    }
    out
}

/// The first port of a container of these pods, for what noise needs.
pub(super) fn any(world: &World) -> u64 {
    let mut used = BTreeSet::new();
    world
        .objects
        .iter()
        .filter(|o| shape::kind(o) == "Service")
        .for_each(|o| collect(o, &mut used));
    used.into_iter().find(|p| *p >= 1024).unwrap_or(8080)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_in_texts() {
        let map = BTreeMap::from([(80, 81), (8080, 9000)]);
        for (text, want) in [
            ("http://a:8080/x", "http://a:9000/x"),
            ("http://[fd00::80]:80", "http://[fd00::80]:81"),
            ("image:8080.1", "image:8080.1"),
            ("listening on :8080", "listening on :9000"),
            ("a:80b", "a:80b"),
        ] {
            assert_eq!(in_text(text, &map), want);
        }
    }
}
