use super::*;
use crate::labs::labs;
use crate::world::check;
use std::collections::BTreeSet;

#[test]
fn every_world_varied_is_still_a_world() {
    for world in labs().unwrap() {
        let mut seen = BTreeSet::new();
        for seed in 0..12 {
            let varied = vary(&world, seed);
            check::references(&varied).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
            assert_eq!(varied.plan.faults.len(), world.plan.faults.len());
            assert_eq!(varied.plan.catalogue, world.plan.catalogue);
            let again = vary(&world, seed);
            assert_eq!(
                varied.objects, again.objects,
                "the same seed gives the same world"
            );
            seen.insert(
                json!([varied.objects, serde_json::to_value(&varied.plan).unwrap()]).to_string(),
            );
            for object in &varied.objects {
                assert_eq!(crate::kinds::unknown_field(object), None);
            }
            let names: Vec<String> = varied
                .objects
                .iter()
                .map(|o| {
                    format!(
                        "{}/{}/{}",
                        shape::kind(o),
                        shape::namespace(o),
                        shape::name(o)
                    )
                })
                .collect();
            assert_eq!(
                names.iter().collect::<BTreeSet<_>>().len(),
                names.len(),
                "two objects of one name: {names:?}"
            );
            for twin in world.plan.twins.keys() {
                vary(&world.twin(twin).unwrap(), seed);
            }
        }
        assert!(seen.len() > 8, "{}: seeds change too little", world.name);
    }
}

#[test]
fn the_question_names_the_new_objects() {
    for world in labs().unwrap() {
        let varied = vary(&world, 3);
        for plan in [&world.plan, &varied.plan] {
            let said =
                plan.ask.en.contains(&plan.client.name) || plan.ask.en.contains(&plan.server.name);
            assert!(said, "{}: {}", world.name, plan.ask.en);
        }
    }
}

#[test]
fn no_name_survives_hashing() {
    for world in labs().unwrap() {
        let (hashed, map) = hashed(&world);
        let mut words = BTreeSet::new();
        let mut whole = json!([hashed.objects, serde_json::to_value(&hashed.plan).unwrap()]);
        each_text(&mut whole, &mut |text| {
            let letter = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            words.extend(text.split(|c| !letter(c)).map(str::to_string));
            None
        });
        assert!(map.len() > 3, "{}: {map:?}", world.name);
        for old in map.keys() {
            assert!(!words.contains(old), "{}: {old} is still there", world.name);
        }
        check::references(&hashed).unwrap();
    }
}
