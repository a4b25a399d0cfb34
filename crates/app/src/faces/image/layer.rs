//! A layer: the tar of what is in the image, and that tar packed.

use super::rootfs::{CAPABILITIES, Entry, What};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::io::Write;

/// The level of zstd.
pub const HARDEST: i32 = 22;

/// How a layer is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Zstandard, level 22: containerd from 1.5, Docker from 23.
    Zstd,
    /// gzip, level 9: everything.
    Gzip,
    /// Not at all: quick to write, for a cluster on the same machine.
    None,
}

impl Compression {
    /// From the word on the command line.
    pub fn named(word: &str) -> Option<Compression> {
        match word {
            "zstd" => Some(Compression::Zstd),
            "gzip" => Some(Compression::Gzip),
            "none" => Some(Compression::None),
            _ => None,
        }
    }

    /// The media type of a layer packed so (OCI image specification, `layer.md`).
    pub fn media_type(self) -> &'static str {
        match self {
            Compression::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
            Compression::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Compression::None => "application/vnd.oci.image.layer.v1.tar",
        }
    }
}

/// The tar. The order is that of the paths; times, users and modes are what the entries say.
pub fn tar(entries: &BTreeMap<String, Entry>, epoch: u64) -> Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, entry) in entries {
        let mut header = tar::Header::new_ustar();
        header.set_mode(entry.mode);
        header.set_uid(entry.owner.into());
        header.set_gid(entry.owner.into());
        header.set_mtime(epoch);
        header.set_size(0);
        let done = match &entry.what {
            What::Folder => {
                header.set_entry_type(tar::EntryType::Directory);
                tar.append_data(&mut header, format!("{path}/"), std::io::empty())
            }
            What::Link(to) => {
                header.set_entry_type(tar::EntryType::Symlink);
                tar.append_link(&mut header, path, to)
            }
            What::File(bytes) => {
                header.set_entry_type(tar::EntryType::Regular);
                header.set_size(bytes.len() as u64);
                tar.append_data(&mut header, path, bytes.as_slice())
            }
            What::Program(bytes) => {
                let xattr: (&str, &[u8]) = ("SCHILY.xattr.security.capability", &CAPABILITIES);
                header.set_entry_type(tar::EntryType::Regular);
                header.set_size(bytes.len() as u64);
                tar.append_pax_extensions([xattr])
                    .and_then(|()| tar.append_data(&mut header, path, bytes.as_slice()))
            }
        };
        done.with_context(|| format!("put /{path} into the layer"))?;
    }
    tar.into_inner().context("end the layer")
}

/// Packs a tar.
pub fn pack(tar: &[u8], compression: Compression) -> Result<Vec<u8>> {
    match compression {
        Compression::None => Ok(tar.to_vec()),
        Compression::Gzip => {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            gzip.write_all(tar)
                .and_then(|()| gzip.finish())
                .context("gzip the layer")
        }
        Compression::Zstd => zstd::bulk::compress(tar, HARDEST).context("pack the layer with zstd"),
    }
}
