//! Every scenario's symptom is real: what works before the break fails as told, and works again after the remedy. The
//! diagnosis names the cause first with full rights, never another one with fewer, and none where nothing is wrong.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod ring5;

use serde_json::Value;

#[test]
fn every_scenario_is_what_it_says_and_its_cause_is_found() {
    let Some(cluster) = ring5::shared() else {
        return;
    };
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../lab/cluster/scenarios");
    // Reports of diagnoses that were not right, for whoever reads the failure.
    let keep = cluster.state().with_file_name("cluster-reports");
    let _ = std::fs::remove_dir_all(&keep);
    let kept = keep.to_str().unwrap();
    let words = [
        "lab",
        "--labs",
        folder,
        "bench",
        "--cluster",
        "--keep",
        kept,
    ];
    let words = [&words[..], &["-o", "json"]].concat();
    let said = cluster.run("netshoot", &words);
    let figures: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{}", said.err));
    for scenario in figures["scenarios"].as_array().unwrap() {
        let of = |key: &str| scenario[key].to_string();
        println!(
            "{} symptom {} diagnosis {} {} ms, before {} after {}, {} s",
            of("name"),
            of("symptom"),
            of("diagnosis"),
            of("diagnosis_ms"),
            of("before"),
            of("after"),
            of("seconds")
        );
    }
    println!("ladder {}", figures["ladder"]);
    println!("levels {}", figures["levels"]);
    for key in ["p50_ms", "p95_ms", "right_first_percent", "seconds"] {
        println!("{key} {}", figures[key]);
    }
    for scenario in figures["scenarios"].as_array().unwrap() {
        assert_eq!(scenario["symptom"], "proven", "{scenario:#}");
        for rung in scenario["ladder"].as_array().unwrap() {
            let answer = rung["answer"].as_str().unwrap();
            if rung["rights"] == "cluster-admin" {
                continue; // counted in the percentage below
            }
            assert!(["first", "unknown"].contains(&answer), "{scenario:#}");
            assert!(answer == "first" || rung["wanted"] == false, "{scenario:#}");
        }
        for when in ["before", "after"] {
            assert_ne!(scenario[when], "false alarm", "{scenario:#}");
        }
    }
    for level in figures["levels"].as_array().unwrap() {
        assert_eq!(level["right"], level["runs"], "{level:#}");
    }
    // The healthy cluster as a whole, kube-system included.
    assert_eq!(figures["system"]["answer"], "healthy", "{figures:#}");
    assert!(
        figures["right_first_percent"].as_f64().unwrap() >= 95.0,
        "{figures:#}"
    );
    assert_eq!(figures["false_alarms"], 0, "{figures:#}");
    assert!(figures["runs"].as_u64().unwrap() >= 18);
    assert_eq!(said.code, 0, "{}", said.out);
}
