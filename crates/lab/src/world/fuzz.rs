//! Damaged worlds: refused in a sentence, or complete, variable and readable again.

use super::World;
use super::load::{from_texts, manifests};
use crate::labs::LABS;
use crate::vary::{hashed, vary};
use netshoot_wire::fuzz;
use serde_json::Value;

fn lab(name: &str) -> (&'static str, &'static str) {
    let found = LABS.iter().find(|l| l.0 == name);
    found.map(|(_, objects, plan)| (*objects, *plan)).unwrap()
}

/// A world as two texts, as somebody could have written it.
fn written(world: &World) -> (String, String) {
    let objects = serde_json::json!({"kind": "List", "items": world.objects});
    (objects.to_string(), plan(world).to_string())
}

fn plan(world: &World) -> Value {
    serde_json::to_value(&world.plan).unwrap()
}

/// What must hold of every world that is read.
fn whole(world: &World) {
    let (objects, text) = written(world);
    let again = from_texts(&world.name, &objects, &text).unwrap();
    assert_eq!(again.objects, world.objects);
    assert_eq!(plan(&again), plan(world));
    world.completed();
    for twin in world.plan.twins.keys() {
        let _ = world.twin(twin); // an error is a sentence
    }
    let (renamed, names) = hashed(world);
    assert_eq!(renamed.objects.len(), world.completed().objects.len());
    assert!(names.values().all(|n| n.starts_with('h')));
    vary(world, 3);
}

#[test]
fn every_built_in_world_is_written_and_read_again() {
    for (name, objects, plan) in LABS {
        whole(&from_texts(name, objects, plan).unwrap());
    }
}

#[test]
fn a_damaged_plan_is_refused_or_whole() {
    let (objects, plan) = lab("listens-on-loopback");
    let others = [
        plan,
        lab("stale-rules-on-a-node").1,
        lab("certificate-expired").1,
    ];
    let mut read = 0;
    fuzz::texts(&others, 1_000, |text| {
        if let Ok(world) = from_texts("w", objects, text) {
            read += 1;
            if read % 8 == 0 {
                whole(&world);
            }
        }
    });
    assert!(read > 20, "{read}");
}

#[test]
fn damaged_objects_are_refused_or_whole() {
    let (objects, plan) = lab("service-sends-to-wrong-port");
    let mut read = 0;
    fuzz::texts(&[objects], 500, |text| {
        let said = manifests("w/objects.yaml", text);
        if let Err(e) = &said {
            assert!(e.to_string().contains("w/objects.yaml"), "{e}");
        }
        if let Ok(world) = from_texts("w", text, plan) {
            read += 1;
            if read % 8 == 0 {
                whole(&world);
            }
        }
    });
    assert!(read > 20, "{read}");
}
