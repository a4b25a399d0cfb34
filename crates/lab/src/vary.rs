//! A seed changes names, ports, addresses, replicas, placement, family and noise; never the point.
//!
//! The same seed gives the same world. What a world's `fixed` names is left alone. Objects and
//! plan are changed as one text: a name in a URL, an environment variable or the question changes
//! with its object.

mod addresses;
mod names;
mod noise;
mod ports;

use crate::shape::{self, Dice};
use crate::world::{Place, World};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The world varied by a seed; 0 is the world as written.
pub fn vary(world: &World, seed: u64) -> World {
    if seed == 0 {
        return world.clone();
    }
    let mut dice = Dice::new(seed ^ shape::fnv(world.name.as_bytes()));
    let free = |what: &str| !world.plan.fixed.iter().any(|f| f == what);
    let mut varied = world.completed();
    if free("names") {
        varied = names::rename(&varied, &names::plausible(&varied, &mut dice));
    }
    if free("ports") {
        varied = ports::vary(&varied, &mut dice);
    }
    if free("families") {
        addresses::families(&mut varied, &mut dice);
    }
    if free("addresses") {
        varied = addresses::vary(&varied, &mut dice);
    }
    if free("network") && dice.below(2) == 0 {
        varied.plan.wiring.network = if varied.plan.wiring.network == "vxlan" {
            "routed".into()
        } else {
            "vxlan".into()
        };
    }
    if free("replicas") {
        replicas(&mut varied, &mut dice);
    }
    if free("placement") {
        placement(&mut varied, &mut dice);
    }
    if free("noise") {
        noise::add(&mut varied, &mut dice);
    }
    varied
}

/// The world with every name of a user replaced by a hash, and which name became which. Nothing
/// else changes, so a diagnosis that reads meaning out of names shows itself.
pub fn hashed(world: &World) -> (World, BTreeMap<String, String>) {
    let completed = world.completed();
    let all = names::of(&completed, true);
    let map: BTreeMap<String, String> = all
        .into_iter()
        .map(|n| {
            (
                n.clone(),
                format!("h{:09x}", shape::fnv(n.as_bytes()) >> 28),
            )
        })
        .collect();
    (names::rename(&completed, &map), map)
}

/// Objects and plan as one value, changed by `change`, and back. A world that no longer reads as
/// one is given back as it was: that would be an error of `change`, not of the world.
fn rewrite(world: &World, change: impl FnOnce(&mut Value)) -> World {
    let Ok(plan) = serde_json::to_value(&world.plan) else {
        return world.clone();
    };
    let mut whole = json!({"objects": world.objects, "plan": plan});
    change(&mut whole);
    let objects = shape::list(&whole, "objects").to_vec();
    match serde_json::from_value(shape::at(&whole, "plan").clone()) {
        Ok(plan) => World {
            name: world.name.clone(),
            objects,
            plan,
        },
        Err(_) => world.clone(),
    }
}

/// Every text below a value, changed in place.
fn each_text(value: &mut Value, change: &mut impl FnMut(&str) -> Option<String>) {
    match value {
        Value::String(text) => {
            if let Some(new) = change(text) {
                *text = new;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|v| each_text(v, change)),
        Value::Object(map) => map.values_mut().for_each(|v| each_text(v, change)),
        _ => {}
    }
}

/// Whether it is an object that a user deployed: a workload outside the system's namespaces.
fn is_users(object: &Value) -> bool {
    !shape::namespace(object).starts_with("kube-")
}

/// Two to five of what there are several of; a single one stays single.
fn replicas(world: &mut World, dice: &mut Dice) {
    for object in world
        .objects
        .iter_mut()
        .filter(|o| is_users(o) && shape::kind(o) == "Deployment")
    {
        if shape::int(object, "spec.replicas").is_some_and(|n| n >= 2) {
            let n = 2 + dice.below(4);
            shape::child(object, "spec").insert("replicas".into(), json!(n));
        }
    }
}

/// Some workloads onto nodes of the dice's choice: near each other or apart.
fn placement(world: &mut World, dice: &mut Dice) {
    let nodes: Vec<String> = world
        .objects
        .iter()
        .filter(|o| shape::kind(o) == "Node")
        .map(|o| shape::name(o).to_string())
        .collect();
    if nodes.is_empty() || !world.plan.placement.is_empty() {
        return;
    }
    let places = world.objects.iter().filter(|o| {
        is_users(o)
            && shape::kind(o) == "Deployment"
            && shape::at(o, "spec.template.spec.nodeSelector").is_null()
    });
    let places = places.map(|o| {
        let mut list = nodes.clone();
        list.rotate_left(dice.below(nodes.len()));
        list.truncate(1 + dice.below(nodes.len()));
        Place {
            namespace: shape::namespace(o).into(),
            name: shape::name(o).into(),
            nodes: list,
        }
    });
    world.plan.placement = places.collect();
}

#[cfg(test)]
mod tests;
