//! The 64 bytes of data registers, each byte known or not, and what expressions compute on them.

use netshoot_wire::nft::{BitOp, CmpOp, register_offset};
use std::cmp::Ordering;

/// A byte, or "not known".
pub(super) type Byte = Option<u8>;

pub(super) fn known(bytes: &[u8]) -> Vec<Byte> {
    bytes.iter().copied().map(Some).collect()
}

pub(super) fn unknown(len: usize) -> Vec<Byte> {
    vec![None; len]
}

/// The registers while one rule is looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Registers(Vec<Byte>);

impl Registers {
    pub fn new() -> Self {
        Registers(unknown(64))
    }

    /// Reads; what lies outside is not known.
    pub fn load(&self, register: u32, len: usize) -> Vec<Byte> {
        let len = len.min(64);
        let Some(at) = register_offset(register) else {
            return unknown(len);
        };
        (at..at.saturating_add(len))
            .map(|i| self.0.get(i).copied().flatten())
            .collect()
    }

    /// Writes; the rest of the last 4-byte word becomes zero, as the kernel does.
    pub fn store(&mut self, register: u32, bytes: &[Byte]) {
        let Some(at) = register_offset(register) else {
            return;
        };
        let padded = bytes.len().next_multiple_of(4);
        for i in 0..padded {
            if let Some(slot) = self.0.get_mut(at.saturating_add(i)) {
                *slot = bytes.get(i).copied().unwrap_or(Some(0));
            }
        }
    }
}

/// All bytes, if all are known.
pub(super) fn all(bytes: &[Byte]) -> Option<Vec<u8>> {
    bytes.iter().copied().collect()
}

/// Compares as `memcmp`; none when an unknown byte stands before the first difference.
pub(super) fn order(left: &[Byte], right: &[u8]) -> Option<Ordering> {
    for (l, r) in left.iter().zip(right) {
        match (*l)?.cmp(r) {
            Ordering::Equal => {}
            other => return Some(other),
        }
    }
    Some(Ordering::Equal)
}

/// Whether a comparison holds, if that is known.
pub(super) fn compare(left: &[Byte], op: CmpOp, right: &[u8]) -> Option<bool> {
    let differs = left
        .iter()
        .zip(right)
        .any(|(l, r)| l.is_some_and(|l| l != *r));
    let order = || order(left, right);
    Some(match op {
        CmpOp::Eq if differs => false,
        CmpOp::Neq if differs => true,
        CmpOp::Eq => order()?.is_eq(),
        CmpOp::Neq => order()?.is_ne(),
        CmpOp::Lt => order()?.is_lt(),
        CmpOp::Lte => order()?.is_le(),
        CmpOp::Gt => order()?.is_gt(),
        CmpOp::Gte => order()?.is_ge(),
        CmpOp::Number(_) => return None,
    })
}

/// `bitwise`.
pub(super) fn bitwise(bytes: &[Byte], op: &BitOp) -> Vec<Byte> {
    match op {
        BitOp::MaskXor { mask, xor } => bytes
            .iter()
            .enumerate()
            .map(|(i, byte)| {
                let mask = mask.get(i).copied().unwrap_or(0);
                let xor = xor.get(i).copied().unwrap_or(0);
                let kept = if mask == 0 { Some(0) } else { *byte };
                kept.map(|b| (b & mask) ^ xor)
            })
            .collect(),
        BitOp::ShiftLeft(by) => shift(bytes, *by, true),
        BitOp::ShiftRight(by) => shift(bytes, *by, false),
    }
}

/// Shifts over 4-byte words of the machine's order, the first word being the highest.
fn shift(bytes: &[Byte], by: u32, left: bool) -> Vec<Byte> {
    let Some(bytes) = all(bytes) else {
        return unknown(bytes.len());
    };
    let words: Vec<u32> = bytes
        .chunks(4)
        .map(|c| {
            let mut word = [0; 4];
            for (slot, b) in word.iter_mut().zip(c) {
                *slot = *b;
            }
            u32::from_ne_bytes(word)
        })
        .collect();
    let back = 32u32.saturating_sub(by);
    let word = |i: Option<usize>| i.and_then(|i| words.get(i)).copied().unwrap_or(0);
    let out = (0..words.len()).flat_map(|i| {
        let (own, other) = (
            word(Some(i)),
            if left {
                i.checked_add(1)
            } else {
                i.checked_sub(1)
            },
        );
        let value = if left {
            own.checked_shl(by).unwrap_or(0) | word(other).checked_shr(back).unwrap_or(0)
        } else {
            own.checked_shr(by).unwrap_or(0) | word(other).checked_shl(back).unwrap_or(0)
        };
        value.to_ne_bytes()
    });
    out.take(bytes.len()).map(Some).collect()
}

/// `byteorder`: turns each number around where the machine is not in network order.
pub(super) fn byteorder(bytes: &[Byte], size: u32) -> Vec<Byte> {
    let size = usize::try_from(size).unwrap_or(0);
    if cfg!(target_endian = "big") || size < 2 {
        return bytes.to_vec();
    }
    bytes
        .chunks(size)
        .flat_map(|c| c.iter().rev().copied())
        .collect()
}

/// A 4-byte number of the machine's order.
pub(super) fn number(bytes: &[Byte]) -> Option<u32> {
    let bytes = all(bytes)?;
    bytes.first_chunk::<4>().map(|b| u32::from_ne_bytes(*b))
}
