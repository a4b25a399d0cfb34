//! The archive read back: digests, tags, paths, modes, capabilities, and the same bytes twice.

use super::rootfs::{CA_BUNDLE, CAPABILITIES};
use super::{Compression, Wanted, Written, bill, build, digest, elf, layout};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Read;

const AMD64: u8 = 62;
const ARM64: u8 = 183;

/// The head of a static program; `headers` are the kinds of its program headers.
fn program(machine: u8, headers: &[u8]) -> Vec<u8> {
    let mut file = vec![0; 64 + 56 * headers.len()];
    file[..6].copy_from_slice(b"\x7fELF\x02\x01");
    (file[16], file[18], file[32], file[54]) = (3, machine, 64, 56);
    file[56] = headers.len() as u8;
    for (n, kind) in headers.iter().enumerate() {
        file[64 + 56 * n] = *kind;
    }
    file
}

fn written(machines: &[u8], compression: Compression) -> Written {
    let programs: Vec<(String, Vec<u8>)> = machines
        .iter()
        .map(|m| (format!("netshoot-{m}"), program(*m, &[1, 2])))
        .collect();
    build(&Wanted {
        programs: &programs,
        name: "netshoot",
        tag: "1.2.3",
        compression,
        epoch: 1_764_104_343,
        words: &["netshoot", "bash", "dig"],
    })
    .unwrap()
}

fn files(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in tar::Archive::new(archive).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        assert!(all.insert(path, bytes).is_none(), "a path stands twice");
    }
    all
}

/// The document a descriptor names, after its size and digest were compared.
fn followed(files: &BTreeMap<String, Vec<u8>>, descriptor: &Value) -> Vec<u8> {
    let sum = descriptor["digest"].as_str().unwrap();
    let bytes = &files[&format!("blobs/{}", sum.replace(':', "/"))];
    assert_eq!(digest(bytes), sum);
    assert_eq!(descriptor["size"], bytes.len());
    bytes.clone()
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn every_descriptor_leads_to_its_bytes_and_both_tags_share_a_layer() {
    let files = files(&written(&[AMD64, ARM64], Compression::Zstd).archive);
    assert_eq!(json(&files["oci-layout"])["imageLayoutVersion"], "1.0.0");
    let mut seen = Vec::new();
    let top = json(&files["index.json"]);
    for image in top["manifests"].as_array().unwrap() {
        let name = image["annotations"]["io.containerd.image.name"].as_str();
        let index = json(&followed(&files, image));
        for manifest in index["manifests"].as_array().unwrap() {
            let platform = &manifest["platform"];
            let manifest = json(&followed(&files, manifest));
            let config = json(&followed(&files, &manifest["config"]));
            assert_eq!(config["architecture"], platform["architecture"]);
            assert_eq!(config["created"], "2025-11-25T20:59:03.000Z");
            assert!(config["config"]["Entrypoint"].is_null());
            let layer = &manifest["layers"][0];
            let tar = zstd::decode_all(followed(&files, layer).as_slice()).unwrap();
            assert_eq!(config["rootfs"]["diff_ids"], json!([digest(&tar)]));
            seen.push((
                name.unwrap().to_string(),
                platform["architecture"].as_str().unwrap().to_string(),
                config["config"]["User"].as_str().unwrap().to_string(),
                layer["digest"].as_str().unwrap().to_string(),
            ));
        }
    }
    let expected = [
        ("docker.io/library/netshoot:1.2.3", "amd64", "0"),
        ("docker.io/library/netshoot:1.2.3", "arm64", "0"),
        (
            "docker.io/library/netshoot:1.2.3-nonroot",
            "amd64",
            "65532:65532",
        ),
        (
            "docker.io/library/netshoot:1.2.3-nonroot",
            "arm64",
            "65532:65532",
        ),
    ];
    let held = seen
        .iter()
        .map(|(n, a, u, _)| (n.as_str(), a.as_str(), u.as_str()));
    assert_eq!(held.collect::<Vec<_>>(), expected);
    assert_eq!(seen[0].3, seen[2].3, "both tags have one layer");
    assert_ne!(seen[0].3, seen[1].3, "each architecture has its own");
    let docker = json(&files["manifest.json"]);
    assert_eq!(docker[1]["RepoTags"], json!(["netshoot:1.2.3-nonroot"]));
    for image in docker.as_array().unwrap() {
        assert!(files.contains_key(image["Config"].as_str().unwrap()));
        assert!(files.contains_key(image["Layers"][0].as_str().unwrap()));
    }
    let blobs = files.keys().filter(|f| f.starts_with("blobs/")).count();
    assert_eq!(
        blobs,
        2 + 4 + 4 + 2,
        "indexes, manifests, configurations, layers"
    );
}

#[test]
fn the_layer_holds_what_a_container_needs() {
    let image = written(&[AMD64], Compression::None);
    let mut archive = tar::Archive::new(image.layers[0].bytes.as_slice());
    let mut held = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let header = entry.header().clone();
        assert_eq!(header.mtime().unwrap(), 1_764_104_343);
        let mut capabilities = None;
        for record in entry.pax_extensions().unwrap().into_iter().flatten() {
            let record = record.unwrap();
            assert_eq!(record.key().unwrap(), "SCHILY.xattr.security.capability");
            capabilities = Some(record.value_bytes().to_vec());
        }
        let link = header.link_name().unwrap().map(|l| l.display().to_string());
        let (mode, owner) = (header.mode().unwrap(), header.uid().unwrap());
        let path = entry.path().unwrap().display().to_string();
        let mut text = Vec::new();
        entry.read_to_end(&mut text).unwrap();
        held.insert(path, (mode, owner, link, capabilities, text));
    }
    assert_eq!(held["tmp/"].0, 0o1777);
    assert_eq!(
        (held["home/nonroot/"].0, held["home/nonroot/"].1),
        (0o700, 65532)
    );
    for (link, to) in [
        ("bin", "usr/bin"),
        ("sbin", "usr/bin"),
        ("usr/bin/bash", "netshoot"),
        ("usr/bin/dig", "netshoot"),
    ] {
        assert_eq!(held[link].2.as_deref(), Some(to));
    }
    let with: Vec<&String> = held
        .iter()
        .filter(|(_, e)| e.3.is_some())
        .map(|(p, _)| p)
        .collect();
    assert_eq!(with, ["usr/bin/netshoot"]);
    assert_eq!(held["usr/bin/netshoot"].0, 0o755);
    assert_eq!(
        held["usr/bin/netshoot"].3.as_deref(),
        Some(&CAPABILITIES[..])
    );
    let bundle = &held[CA_BUNDLE].4;
    let roots = CertificateDer::pem_slice_iter(bundle)
        .map(Result::unwrap)
        .count();
    assert_eq!(roots, webpki_root_certs::TLS_SERVER_ROOT_CERTS.len());
    assert!(roots > 100, "{roots}");
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    for compression in [Compression::Zstd, Compression::Gzip, Compression::None] {
        let (one, two) = (
            written(&[AMD64], compression),
            written(&[AMD64], compression),
        );
        assert_eq!(
            digest(&one.archive),
            digest(&two.archive),
            "{compression:?}"
        );
    }
    let plain = written(&[AMD64], Compression::None).layers[0].bytes.clone();
    let gzip = written(&[AMD64], Compression::Gzip).layers[0].bytes.clone();
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(gzip.as_slice())
        .read_to_end(&mut unpacked)
        .unwrap();
    assert_eq!(unpacked, plain);
}

#[test]
fn only_static_programs_of_known_machines_are_taken() {
    assert_eq!(elf::arch(&program(AMD64, &[1])).unwrap(), elf::Arch::Amd64);
    assert_eq!(elf::arch(&program(ARM64, &[])).unwrap(), elf::Arch::Arm64);
    let cases: [(Vec<u8>, &str); 5] = [
        (program(AMD64, &[6, 3, 1]), "dynamic loader"),
        (program(8, &[1]), "ELF machine 8"),
        (b"#!/bin/sh\n".to_vec(), "not a 64-bit"),
        (program(AMD64, &[1])[..40].to_vec(), "ends early"),
        (
            program(AMD64, &[1, 1])[..100].to_vec(),
            "program header is missing",
        ),
    ];
    for (file, says) in cases {
        let said = elf::arch(&file).unwrap_err().to_string();
        assert!(said.contains(says), "{said}");
    }
    let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    assert!(elf::arch(&own).is_ok());
    let two = [
        ("a".into(), program(AMD64, &[])),
        ("b".into(), program(AMD64, &[])),
    ];
    let said = build(&Wanted {
        programs: &two,
        name: "n",
        tag: "t",
        compression: Compression::None,
        epoch: 0,
        words: &[],
    });
    assert!(
        said.err()
            .unwrap()
            .to_string()
            .contains("second program for amd64")
    );
}

#[test]
fn names_become_those_of_containerd() {
    for (name, full) in [
        ("netshoot:1", "docker.io/library/netshoot:1"),
        ("team/netshoot:1", "docker.io/team/netshoot:1"),
        ("localhost/netshoot:1", "localhost/netshoot:1"),
        ("registry.example/netshoot:1", "registry.example/netshoot:1"),
        ("host:5000/netshoot:1", "host:5000/netshoot:1"),
    ] {
        assert_eq!(layout::full_name(name), full);
    }
}

/// netshoot-app -> a -> b; a macro, a build script's and a test's crate beside.
fn metadata() -> Value {
    let package = |id: &str, name: &str, source: Value, kind: &str| {
        json!({"id": id, "name": name, "version": "1.0.0+x", "license": "MIT/Apache-2.0",
               "source": source, "targets": [{"kind": [kind]}]})
    };
    let needs = |id: &str, kind: Value| json!({"pkg": id, "dep_kinds": [{"kind": kind}]});
    json!({
        "packages": [
            package("root", "netshoot-app", Value::Null, "bin"),
            package("w", "netshoot-wire", Value::Null, "lib"),
            package("a", "a", "registry".into(), "lib"),
            package("m", "derive", "registry".into(), "proc-macro"),
            package("s", "cc", "registry".into(), "lib"),
            package("t", "proptest", "registry".into(), "lib"),
        ],
        "resolve": {"nodes": [
            {"id": "root", "deps": [needs("w", Value::Null), needs("m", Value::Null)]},
            {"id": "w", "deps": [needs("a", Value::Null), needs("t", "dev".into())]},
            {"id": "a", "deps": [needs("s", "build".into())]},
            {"id": "m", "deps": [needs("s", Value::Null)]},
        ]},
    })
}

#[test]
fn the_bill_lists_what_is_in_the_binary_and_no_more() {
    let image = written(&[AMD64], Compression::None);
    let lock = "[[package]]\nname = \"a\"\nversion = \"1.0.0+x\"\nchecksum = \"00ff\"\n";
    let metadata = metadata();
    let sources = bill::Sources {
        metadata: &metadata,
        lock,
        program: b"GNU C Library (rustc version \0\
            GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36.\n\0\
            rustc version 1.95.0 (59807616e 2026-04-14)\0",
    };
    let bill = bill::of_materials(&sources, &image, "1.2.3", 0).unwrap();
    let names: Vec<&str> = bill["components"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["bom-ref"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "glibc",
            "netshoot-wire@1.0.0+x",
            "pkg:cargo/a@1.0.0%2Bx",
            "rust-std"
        ]
    );
    let a = &bill["components"][2];
    assert_eq!(a["licenses"][0]["expression"], "MIT OR Apache-2.0");
    assert_eq!(a["hashes"][0]["content"], "00ff");
    assert_eq!(bill["components"][0]["version"], "2.36");
    assert_eq!(bill["components"][3]["version"], "1.95.0");
    assert_eq!(bill["metadata"]["timestamp"], "1970-01-01T00:00:00.000Z");
    let again = bill::of_materials(&sources, &image, "1.2.3", 0).unwrap();
    assert_eq!(bill, again);
    let serial = bill["serialNumber"].as_str().unwrap();
    assert_eq!((serial.len(), &serial[23..24]), (45, "8"), "{serial}");
    for broken in [
        json!({}),
        json!({"packages": []}),
        json!({"packages": [], "resolve": {"nodes": []}}),
    ] {
        let sources = bill::Sources {
            metadata: &broken,
            ..sources
        };
        assert!(bill::of_materials(&sources, &image, "1.2.3", 0).is_err());
    }
}
