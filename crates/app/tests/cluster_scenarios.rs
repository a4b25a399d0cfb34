//! Every scenario's symptom is real: what works before the break fails as told, and works again after the remedy.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod ring5;

use serde_json::Value;

#[test]
fn every_scenario_breaks_what_it_says_and_mends_it() {
    let Some(cluster) = ring5::shared() else {
        return;
    };
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../lab/cluster/scenarios");
    let words = ["lab", "--labs", folder, "bench", "--cluster", "-o", "json"];
    let said = cluster.run("netshoot", &words);
    let figures: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{}", said.err));
    for scenario in figures["scenarios"].as_array().unwrap() {
        println!(
            "{} {}: {} s",
            scenario["name"], scenario["symptom"], scenario["seconds"]
        );
        assert_eq!(scenario["symptom"], "proven", "{scenario}");
    }
    assert!(figures["runs"].as_u64().unwrap() >= 5);
    assert_eq!(said.code, 0, "{}", said.out);
}
