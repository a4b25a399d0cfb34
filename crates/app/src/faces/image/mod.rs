//! The image: one layer with this binary in it, written as a file that containerd, Docker and
//! podman read. No engine, no registry, the same bytes for the same input.
//!
//! Reading order: [`rootfs`] (what is in it), [`layer`] (that as a tar), [`layout`] (the archive
//! around it), [`bill`] (what the binary was made of).

pub mod bill;
mod elf;
mod layer;
mod layout;
mod rootfs;
#[cfg(test)]
mod tests;

use anyhow::{Context, Result, bail};
pub use layer::{Compression, HARDEST};
use std::collections::BTreeMap;

/// The user of the second tag: what distroless images call nonroot.
pub const NONROOT: u32 = 65532;

/// What to write.
pub struct Wanted<'a> {
    /// Programs by where they were read from; one for each architecture.
    pub programs: &'a [(String, Vec<u8>)],
    /// The repository, `netshoot` or `localhost/netshoot`.
    pub name: &'a str,
    /// The first tag; the second has `-nonroot` behind it.
    pub tag: &'a str,
    /// How the layers are packed.
    pub compression: Compression,
    /// Seconds since 1970 that every file and the image itself carry.
    pub epoch: u64,
    /// Words that become links.
    pub words: &'a [&'a str],
}

/// What was written.
pub struct Written {
    /// The whole file.
    pub archive: Vec<u8>,
    /// The names that the image has.
    pub tags: Vec<Tag>,
    /// One for each architecture.
    pub layers: Vec<Layer>,
}

/// A name of the image.
pub struct Tag {
    /// `netshoot:0.1.0`.
    pub name: String,
    /// SHA-256 of the index that it names.
    pub digest: String,
}

/// One layer, packed.
pub struct Layer {
    /// `amd64`.
    pub arch: elf::Arch,
    /// SHA-256 of the tar, as the image's configuration names it.
    pub diff_id: String,
    /// SHA-256 of the packed tar.
    pub digest: String,
    /// Bytes of the tar.
    pub plain: usize,
    /// The packed tar.
    pub bytes: Vec<u8>,
}

/// Builds the layers and the archive around them.
pub fn build(wanted: &Wanted<'_>) -> Result<Written> {
    let mut layers: BTreeMap<elf::Arch, Layer> = BTreeMap::new();
    for (from, program) in wanted.programs {
        let arch = elf::arch(program).with_context(|| format!("read {from}"))?;
        let entries = rootfs::entries(program, wanted.words, wanted.tag);
        let tar = layer::tar(&entries, wanted.epoch)?;
        let bytes = layer::pack(&tar, wanted.compression)?;
        let layer = Layer {
            arch,
            diff_id: digest(&tar),
            digest: digest(&bytes),
            plain: tar.len(),
            bytes,
        };
        if layers.insert(arch, layer).is_some() {
            bail!(
                "{from} is a second program for {}; an image has one for each",
                arch.name()
            );
        }
    }
    let layers: Vec<Layer> = layers.into_values().collect();
    let (archive, tags) = layout::archive(wanted, &layers)?;
    Ok(Written {
        archive,
        tags,
        layers,
    })
}

/// `sha256:` and the digest, as descriptors write it.
fn digest(bytes: &[u8]) -> String {
    let sum = ring::digest::digest(&ring::digest::SHA256, bytes);
    format!("sha256:{}", hex(sum.as_ref()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
