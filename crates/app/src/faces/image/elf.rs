//! As much of an ELF file (elf(5)) as tells for which machine it is and whether it stands alone.

use anyhow::{Context, Result, bail};

/// Machines that images are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arch {
    /// x86-64.
    Amd64,
    /// AArch64.
    Arm64,
}

impl Arch {
    /// As an image's configuration writes it (Go's GOARCH).
    pub fn name(self) -> &'static str {
        match self {
            Arch::Amd64 => "amd64",
            Arch::Arm64 => "arm64",
        }
    }
}

/// Program header that names a dynamic loader.
const PT_INTERP: u64 = 3;

/// The machine of a static 64-bit little-endian program; anything else is refused.
pub fn arch(file: &[u8]) -> Result<Arch> {
    if !file.starts_with(b"\x7fELF\x02\x01") {
        bail!("not a 64-bit little-endian ELF program");
    }
    let short = "the ELF header ends early";
    let arch = match number(file, 18, 2).context(short)? {
        62 => Arch::Amd64,
        183 => Arch::Arm64,
        other => bail!("ELF machine {other}; images are made for amd64 (62) and arm64 (183)"),
    };
    let table = number(file, 32, 8).context(short)?;
    let size = number(file, 54, 2).context(short)?;
    for n in 0..number(file, 56, 2).context(short)? {
        let at = table.saturating_add(n.saturating_mul(size));
        let kind = number(file, usize::try_from(at)?, 4).context("a program header is missing")?;
        if kind == PT_INTERP {
            bail!(
                "it needs a dynamic loader, and the image has none; build with -C target-feature=+crt-static"
            );
        }
    }
    Ok(arch)
}

fn number(file: &[u8], at: usize, len: usize) -> Option<u64> {
    let bytes = file.get(at..at.checked_add(len)?)?;
    Some(bytes.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b)))
}
