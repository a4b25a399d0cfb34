//! What an author need not say: addresses and pod ranges of nodes; and the twins of a world.

use super::World;
use crate::store::defaults::parse_cidr;
use crate::store::merge;
use crate::{Error, shape};
use serde_json::{Value, json};

impl World {
    /// The world with every node's addresses and pod ranges filled in for the families it has:
    /// `10.90.0.10+N` and `10.244.N.0/24`, `fd90::10+N` and `fd44:0:0:N::/64`.
    pub fn completed(&self) -> World {
        let mut world = self.clone();
        let families = world.plan.wiring.families.clone();
        for (index, node) in world
            .objects
            .iter_mut()
            .filter(|o| shape::kind(o) == "Node")
            .enumerate()
        {
            complete_node(node, index + 1, &families);
        }
        world
    }

    /// Another version of this world: the keys of the twin replace those of `world.yaml`,
    /// `objects` in it are applied over those of `objects.yaml` (as a merge patch where the same
    /// object is already there).
    pub fn twin(&self, name: &str) -> Result<World, Error> {
        let file = format!("{}/world.yaml", self.name);
        let wrong = |why: String| Error::Format {
            file: file.clone(),
            why,
        };
        let twin = self
            .plan
            .twins
            .get(name)
            .ok_or_else(|| wrong(format!("no twin \"{name}\"")))?;
        let mut plan = serde_json::to_value(&self.plan).map_err(|e| wrong(e.to_string()))?;
        let mut objects = self.objects.clone();
        for (key, value) in twin
            .as_object()
            .ok_or_else(|| wrong(format!("twin \"{name}\" is not a map")))?
        {
            if key == "objects" {
                for patch in value
                    .as_array()
                    .ok_or_else(|| wrong(format!("twin \"{name}\": objects is not a list")))?
                {
                    overlay(&mut objects, patch);
                }
            } else if let Some(map) = plan.as_object_mut() {
                map.insert(key.clone(), value.clone());
            }
        }
        // A twin is well unless it says otherwise.
        if let (Some(map), Some(said)) = (plan.as_object_mut(), twin.as_object()) {
            for (key, empty) in [
                ("expect", Value::Null),
                ("catalogue", json!([])),
                ("also", json!([])),
            ] {
                if !said.contains_key(key) {
                    map.insert(key.into(), empty);
                }
            }
            map.insert("twins".into(), json!({}));
        }
        let plan =
            serde_json::from_value(plan).map_err(|e| wrong(format!("twin \"{name}\": {e}")))?;
        let world = World {
            name: self.name.clone(),
            objects,
            plan,
        };
        for object in &world.objects {
            if let Some(unknown) = crate::kinds::unknown_field(object) {
                return Err(wrong(format!(
                    "twin \"{name}\": unknown field \"{}\" in {}",
                    unknown.path,
                    shape::kind(object)
                )));
            }
        }
        super::check::references(&world)?;
        super::limits::plan(&world.plan).map_err(|why| wrong(format!("twin \"{name}\": {why}")))?;
        Ok(world)
    }
}

fn overlay(objects: &mut Vec<Value>, patch: &Value) {
    let same = |o: &&mut Value| {
        shape::kind(o) == shape::kind(patch)
            && shape::name(o) == shape::name(patch)
            && shape::namespace(o) == shape::namespace(patch)
    };
    match objects.iter_mut().find(same) {
        Some(object) => merge::strategic(object, patch),
        None => objects.push(patch.clone()),
    }
}

fn complete_node(node: &mut Value, number: usize, families: &[String]) {
    let v6_of = |a: &str| a.contains(':');
    let mut ranges = shape::texts(node, "spec.podCIDRs");
    if ranges.is_empty() {
        ranges
            .extend(Some(shape::text(node, "spec.podCIDR").to_string()).filter(|r| !r.is_empty()));
    }
    let mut addresses: Vec<String> = shape::list(node, "status.addresses")
        .iter()
        .filter(|a| shape::text(a, "type") == "InternalIP")
        .map(|a| shape::text(a, "address").to_string())
        .collect();
    let mut kept = (Vec::new(), Vec::new());
    for family in families {
        let v6 = family == "ipv6";
        let range = ranges
            .iter()
            .position(|r| parse_cidr(r).is_some() && v6_of(r) == v6)
            .map(|i| ranges.remove(i));
        let address = addresses
            .iter()
            .position(|a| v6_of(a) == v6)
            .map(|i| addresses.remove(i));
        kept.0.push(range.unwrap_or_else(|| {
            if v6 {
                format!("fd44:0:0:{number:x}::/64")
            } else {
                format!("10.244.{number}.0/24")
            }
        }));
        kept.1.push(address.unwrap_or_else(|| {
            if v6 {
                format!("fd90::{:x}", 16 + number)
            } else {
                format!("10.90.0.{}", 10 + number)
            }
        }));
    }
    let name = shape::name(node).to_string();
    let spec = shape::child(node, "spec");
    spec.insert("podCIDR".into(), json!(kept.0.first()));
    spec.insert("podCIDRs".into(), json!(kept.0));
    let mut said: Vec<Value> = kept
        .1
        .iter()
        .map(|a| json!({"type": "InternalIP", "address": a}))
        .collect();
    said.push(json!({"type": "Hostname", "address": name}));
    shape::child(node, "status").insert("addresses".into(), json!(said));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::load::from_texts;

    const OBJECTS: &str = "
apiVersion: v1
kind: Node
metadata: {name: a}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Pod
metadata: {name: c, namespace: shop}
spec: {containers: [{name: c, resources: {limits: {memory: 1Mi}}}]}
";
    const PLAN: &str = "
title: t
layer: L4
ask: {namespace: shop, en: x}
client: {kind: Pod, namespace: shop, name: c}
server: {kind: Pod, namespace: shop, name: c, port: 1}
expect: {catalogue: F1, subject: {kind: Pod, namespace: shop, name: c}}
catalogue: [F1]
wiring: {families: [ipv6, ipv4]}
twins:
  healthy:
    objects:
    - {apiVersion: v1, kind: Pod, metadata: {name: c, namespace: shop}, spec: {containers: [{name: c, resources: {limits: {memory: 2Mi}}}]}}
    - {apiVersion: v1, kind: Namespace, metadata: {name: other}}
";

    #[test]
    fn twins_and_nodes() {
        let world = from_texts("w", OBJECTS, PLAN).unwrap();
        let twin = world.twin("healthy").unwrap();
        assert_eq!(
            shape::text(
                &twin.objects[2],
                "spec.containers.0.resources.limits.memory"
            ),
            "2Mi"
        );
        assert_eq!(twin.objects.len(), 4);
        assert!(twin.plan.expect.is_none() && twin.plan.catalogue.is_empty());
        assert!(world.twin("none").is_err());
        let done = world.completed();
        assert_eq!(
            shape::texts(&done.objects[0], "spec.podCIDRs"),
            ["fd44:0:0:1::/64", "10.244.1.0/24"]
        );
        assert_eq!(
            shape::text(&done.objects[0], "status.addresses.0.address"),
            "fd90::11"
        );
        assert_eq!(
            shape::text(&done.objects[0], "status.addresses.1.address"),
            "10.90.0.11"
        );
    }

    #[test]
    fn what_is_not_there_is_refused() {
        for (old, new, want) in [
            (
                "kind: Pod, namespace: shop, name: c}\nserver",
                "kind: Pod, namespace: shop, name: d}\nserver",
                "client: there is no Pod shop/d",
            ),
            (
                "subject: {kind: Pod",
                "subject: {kind: Service",
                "expect: there is no Service",
            ),
            ("title: t", "titel: t", "unknown field `titel`"),
        ] {
            let said = from_texts("w", OBJECTS, &PLAN.replacen(old, new, 1))
                .unwrap_err()
                .to_string();
            assert!(said.contains(want), "{said}");
        }
        let said = from_texts("w", &OBJECTS.replace("name: shop}", "name: shup}"), PLAN)
            .unwrap_err()
            .to_string();
        assert!(said.contains("no Namespace \"shop\""), "{said}");
    }
}
