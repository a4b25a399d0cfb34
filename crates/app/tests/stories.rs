//! Whole snapshots of a real cluster, without a network: what may be said of them, and what not.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::{Command, Output};

fn fixture(dump: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(dump)
}

fn diagnose(dump: &str, namespace: &str, said: &str, format: &str) -> Output {
    // An absolute path stands for itself.
    let dir = fixture(dump);
    Command::new(env!("CARGO_BIN_EXE_netshoot"))
        .args(["diagnose", "--dump", dir.to_str().unwrap()])
        .args(["-n", namespace, "--symptom", said, "-o", format])
        .env("LC_ALL", "C")
        .output()
        .unwrap()
}

/// The report, after what holds for every dump: unknown, no cause, each gap with a way to close it.
fn report(dump: &str, namespace: &str, said: &str) -> Value {
    let out = diagnose(dump, namespace, said, "json");
    let report: Value = serde_json::from_slice(&out.stdout).unwrap_or_else(|e| {
        panic!(
            "{dump}: {e}: {}{}",
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr)
        )
    });
    assert_eq!(report["verdict"], json!("unknown"), "{dump}: {report}");
    assert_eq!(report["cause"], Value::Null, "{dump}: {report}");
    assert_eq!(out.status.code(), Some(2), "{dump}");
    let gaps = report["unknown"].as_array().unwrap();
    assert!(!gaps.is_empty(), "{dump}: {report}");
    for gap in gaps {
        for key in ["what", "missing", "how_to_get"] {
            assert_ne!(gap[key], json!(""), "{dump}: {gap}");
        }
    }
    report
}

/// `id: what is said` of everything that is at risk; nothing else may stand in `also`.
fn risks(report: &Value) -> Vec<String> {
    let all = report["also"].as_array().unwrap();
    all.iter()
        .map(|c| {
            assert_eq!(c["at_risk"], json!(true), "{c}");
            assert!(!c["evidence"].as_array().unwrap().is_empty(), "{c}");
            format!(
                "{}: {}",
                c["id"].as_str().unwrap(),
                c["says"].as_str().unwrap()
            )
        })
        .collect()
}

#[test]
fn nothing_is_wrong_with_a_healthy_cluster() {
    for (namespace, said) in [
        ("shop", "client-a cannot reach web"),
        ("shop", "client-b 访问 api.backend 超时"),
        ("shop", "timeouts"),
        ("kube-system", "DNS 解析失败"),
    ] {
        let report = report("cluster-healthy", namespace, said);
        assert_eq!(risks(&report), Vec::<String>::new(), "{said}");
        for hop in report["path"].as_array().unwrap() {
            assert_eq!(hop["state"], json!("not_looked_at"), "{said}: {hop}");
        }
        let understood = report["understood"]["conversations"].as_array().unwrap();
        assert!(!understood.is_empty(), "{said}: {report}");
        let unknown = report["unknown"].to_string();
        assert!(unknown.contains("TCP connect to"), "{said}: {unknown}");
    }
}

#[test]
fn policies_that_would_deny_are_at_risk_and_not_proven() {
    for (namespace, said, expected) in [
        // Measured in that cluster when the dump was taken: it timed out.
        (
            "shop",
            "client-a cannot reach http://web/hostname",
            vec![
                "policy-denies-by-default: pod client-a to port 8080 of pod web-7d589b56bd-z5jjt (all 3 endpoints) would be denied by NetworkPolicy client-out: egress of client-a is isolated and no rule allows this",
            ],
        ),
        // Measured too: it was answered.
        (
            "shop",
            "client-a cannot reach http://api.backend/hostname",
            vec![],
        ),
        // Nobody isolates the sender here, and the receiver lets only clients in.
        (
            "shop",
            "timeouts from pod/web-7d589b56bd-z5jjt to http://api.backend/",
            vec![
                "policy-denies-by-default: pod web-7d589b56bd-z5jjt to port 8080 of pod api-594bb5f89d-hfsfw (all 3 endpoints) would be denied by NetworkPolicy api-from-client, default-deny: ingress of api-594bb5f89d-hfsfw is isolated and no rule allows this",
            ],
        ),
    ] {
        let report = report("cluster-policy", namespace, said);
        assert_eq!(risks(&report), expected, "{said}");
    }
    let out = diagnose(
        "cluster-policy",
        "shop",
        "client-a cannot reach web",
        "text",
    );
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(
        text.contains("At risk") && !text.contains("Also broken"),
        "{text}"
    );
}

#[test]
fn a_policy_that_forgets_dns_is_at_risk() {
    let whole = std::fs::read_to_string(fixture("cluster-policy").join("objects.yaml")).unwrap();
    // The rule for DNS opens another port: 53 is forgotten.
    let forgetful = whole.replacen(
        "      - port: 53\n        protocol: UDP",
        "      - port: 54\n        protocol: UDP",
        1,
    );
    assert_ne!(whole, forgetful);
    let dir = std::env::temp_dir().join(format!("netshoot-stories-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("objects.yaml"), forgetful).unwrap();
    let said = "client-a cannot reach http://api.backend/hostname";
    let report = report(dir.to_str().unwrap(), "shop", said);
    std::fs::remove_dir_all(&dir).unwrap();
    let risks = risks(&report);
    assert_eq!(risks.len(), 1, "{risks:?}");
    assert!(
        risks[0].starts_with("policy-blocks-dns: DNS of pod client-a (53/UDP to pod coredns-"),
        "{risks:?}"
    );
}

#[test]
fn recent_kills_behind_a_service_are_at_risk() {
    let report = report("cluster-oom", "shop", "client-a to cart times out");
    let risks = risks(&report);
    assert_eq!(risks.len(), 1, "{risks:?}");
    assert!(
        risks[0].starts_with("memory-limit-below-working-set: 2 of 2 pods of shop/Deployment/cart were OOMKilled at the memory limit 32Mi, the last one 3s ago"),
        "{risks:?}"
    );
    assert_eq!(report["also"][0]["evidence"].as_array().unwrap().len(), 2);
    assert_eq!(report["taken_at"], json!("2026-11-26T12:14:16.522Z"));
}

#[test]
fn other_services_of_that_cluster_are_left_alone() {
    let report = report("cluster-oom", "shop", "client-a to web times out");
    assert_eq!(risks(&report), Vec::<String>::new());
}
