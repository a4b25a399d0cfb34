//! The archive around the layers: an OCI image layout (specification 1.0) which also has the
//! `manifest.json` of `docker save`, so that one file serves `ctr images import`, `docker load`,
//! podman and skopeo.
//!
//! Each tag names an index, even with one architecture: the second one then changes no
//! reference's kind.

use super::{Layer, NONROOT, Tag, Wanted, digest};
use crate::version;
use anyhow::{Context, Result};
use netshoot_model::time::rfc3339;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// Blobs by digest, as they lie below `blobs/sha256`.
#[derive(Default)]
struct Blobs(BTreeMap<String, Vec<u8>>);

impl Blobs {
    /// Keeps a document; gives its descriptor.
    fn document(&mut self, media_type: &str, document: &Value) -> Value {
        self.bytes(media_type, document.to_string().into_bytes())
    }

    fn bytes(&mut self, media_type: &str, bytes: Vec<u8>) -> Value {
        let (digest, size) = (digest(&bytes), bytes.len());
        self.0.insert(digest.clone(), bytes);
        json!({"mediaType": media_type, "digest": digest, "size": size})
    }
}

/// The archive, and each tag with the digest of its index.
pub fn archive(wanted: &Wanted<'_>, layers: &[Layer]) -> Result<(Vec<u8>, Vec<Tag>)> {
    let mut blobs = Blobs::default();
    let (mut indexes, mut docker, mut tags) = (Vec::new(), Vec::new(), Vec::new());
    for (tag, user) in [
        (wanted.tag.to_string(), "0".to_string()),
        (
            format!("{}-nonroot", wanted.tag),
            format!("{NONROOT}:{NONROOT}"),
        ),
    ] {
        let named = format!("{}:{tag}", wanted.name);
        let mut manifests = Vec::new();
        for layer in layers {
            let (config, packed) = (
                blobs.document(CONFIG, &config(wanted, layer, &user)?),
                blobs.bytes(wanted.compression.media_type(), layer.bytes.clone()),
            );
            // docker save knows one architecture: the first.
            if manifests.is_empty() {
                docker.push(json!({
                    "Config": path(&config),
                    "RepoTags": [named],
                    "Layers": [path(&packed)],
                }));
            }
            let manifest = json!({
                "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [packed],
            });
            let mut manifest = blobs.document(MANIFEST, &manifest);
            manifest["platform"] = json!({"architecture": layer.arch.name(), "os": "linux"});
            manifests.push(manifest);
        }
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
        let mut index = blobs.document(INDEX, &index);
        let sum = index["digest"].as_str().unwrap_or_default().to_string();
        index["annotations"] = json!({
            "org.opencontainers.image.ref.name": tag,
            "io.containerd.image.name": full_name(&named),
        });
        indexes.push(index);
        tags.push(Tag {
            name: named,
            digest: sum,
        });
    }
    let top = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": indexes});
    let mut files = vec![
        (
            "oci-layout".to_string(),
            json!({"imageLayoutVersion": "1.0.0"})
                .to_string()
                .into_bytes(),
        ),
        ("index.json".to_string(), top.to_string().into_bytes()),
        (
            "manifest.json".to_string(),
            Value::from(docker).to_string().into_bytes(),
        ),
    ];
    let blobs = blobs.0.into_iter();
    files.extend(
        blobs.map(|(digest, bytes)| (format!("blobs/{}", digest.replace(':', "/")), bytes)),
    );
    Ok((tar(&files, wanted.epoch)?, tags))
}

/// What a container of it starts with. No entry point: `kubectl run NAME --image ... -- COMMAND`
/// puts its words behind one, and people write commands there.
fn config(wanted: &Wanted<'_>, layer: &Layer, user: &str) -> Result<Value> {
    let created = time(wanted.epoch)?;
    let shell = wanted.words.contains(&"bash");
    let command = if shell {
        json!(["/bin/bash", "-l"])
    } else {
        json!(["/bin/netshoot"])
    };
    Ok(json!({
        "architecture": layer.arch.name(),
        "os": "linux",
        "created": created,
        "config": {
            "User": user,
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "Cmd": command,
            "WorkingDir": "/",
            "Labels": {
                "org.opencontainers.image.title": "netshoot",
                "org.opencontainers.image.version": wanted.tag,
                "org.opencontainers.image.licenses": "Apache-2.0",
                "org.opencontainers.image.description": "Finds out why one thing in Kubernetes cannot reach another",
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
        "history": [{
            "created": created,
            "created_by": format!("netshoot image ({})", version::SHORT),
        }],
    }))
}

/// Seconds since 1970 as image configurations and bills of materials write them.
pub fn time(epoch: u64) -> Result<String> {
    let ms = i64::try_from(epoch).ok().and_then(|s| s.checked_mul(1000));
    let ms = ms.with_context(|| format!("SOURCE_DATE_EPOCH {epoch} is beyond all calendars"))?;
    Ok(rfc3339(ms))
}

/// Where a descriptor's blob lies.
fn path(descriptor: &Value) -> String {
    let digest = descriptor["digest"].as_str().unwrap_or_default();
    format!("blobs/{}", digest.replace(':', "/"))
}

/// The name as containerd and the kubelet write it: `netshoot:1` is `docker.io/library/netshoot:1`
/// (the first part is a host when it has a dot or a colon or is `localhost`).
pub fn full_name(name: &str) -> String {
    match name.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => name.to_string(),
        Some(_) => format!("docker.io/{name}"),
        None => format!("docker.io/library/{name}"),
    }
}

fn tar(files: &[(String, Vec<u8>)], epoch: u64) -> Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(epoch);
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, path, bytes.as_slice())
            .with_context(|| format!("put {path} into the archive"))?;
    }
    tar.into_inner().context("end the archive")
}
