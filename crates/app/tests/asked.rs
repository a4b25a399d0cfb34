//! The victim's question of every world, in both languages and under other names, is understood as
//! the conversation that the world is about.

#![allow(clippy::unwrap_used)]

use netshoot_lab::labs::labs;
use netshoot_lab::vary::vary;
use netshoot_lab::world::World;
use netshoot_model::object::Object;
use netshoot_model::path::Destination;
use netshoot_model::snapshot::ClusterSnapshot;
use netshoot_model::symptom::{Request, understand};
use netshoot_model::topology::Topology;
use serde_json::{Value, json};

/// The world's objects, and one running pod for each workload, as its controllers make it.
fn facts(world: &World) -> ClusterSnapshot {
    let mut objects = world.completed().objects;
    let pods: Vec<Value> = objects
        .iter()
        .filter(|o| o["spec"]["template"].is_object())
        .map(|o| {
            let name = o["metadata"]["name"].as_str().unwrap();
            let mut pod = o["spec"]["template"].clone();
            pod["kind"] = json!("Pod");
            pod["metadata"]["name"] = json!(format!("{name}-5f6d-x1"));
            pod["metadata"]["namespace"] = o["metadata"]["namespace"].clone();
            pod["metadata"]["ownerReferences"] =
                json!([{"kind": o["kind"], "name": name, "controller": true}]);
            pod["spec"]["nodeName"] = json!("a");
            pod["status"] = json!({"phase": "Running"});
            pod
        })
        .collect();
    objects.extend(pods);
    let mut snapshot = ClusterSnapshot::new("test", "you", 0);
    snapshot.objects = objects.into_iter().map(Object).collect();
    snapshot
}

#[test]
fn every_worlds_question_is_understood() {
    let (mut asked, mut wrong) = (0, Vec::new());
    for written in labs().unwrap() {
        for seed in 0..=3 {
            let world = vary(&written, seed);
            let snapshot = facts(&world);
            let topology = Topology::new(&snapshot);
            let plan = &world.plan;
            assert!(!plan.ask.zh.is_empty(), "{}", world.name);
            for said in [&plan.ask.en, &plan.ask.zh] {
                asked += 1;
                let request = Request {
                    said: said.clone(),
                    namespace: plan.ask.namespace.clone(),
                    ..Request::default()
                };
                let (u, all) = understand(&topology, &request);
                let right = !all.is_empty()
                    && !u.symptom.is_empty()
                    && all.iter().all(|c| {
                        let from = c.from.as_ref().and_then(|f| topology.get(f));
                        let owner = from.map(|p| topology.owner_of(p));
                        owner.is_some_and(|o| {
                            (o.kind.as_str(), o.namespace.as_str(), o.name.as_str())
                                == (
                                    plan.client.kind.as_str(),
                                    plan.client.namespace.as_str(),
                                    plan.client.name.as_str(),
                                )
                        }) && matches!(&c.to, Destination::Service(s)
                            if s.namespace == plan.server.namespace && s.name == plan.server.name)
                            && c.port == plan.server.port
                    });
                if !right {
                    wrong.push(format!(
                        "{} seed {seed}: {said}\n    {:?} {:?} {:?}",
                        world.name, u.conversations, u.symptom, u.asked_back
                    ));
                }
            }
        }
    }
    assert!(asked >= 23 * 8, "{asked} questions");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
