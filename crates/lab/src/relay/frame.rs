//! A frame with its offload header (linux/virtio_net.h, `struct virtio_net_hdr`, numbers in the
//! machine's own order).

/// Bytes of the offload header.
pub(super) const OFFLOAD: usize = 10;
/// Bytes of an Ethernet header without tags.
pub(super) const ETHERNET: usize = 14;
/// `VIRTIO_NET_HDR_F_NEEDS_CSUM`
const NEEDS_CHECKSUM: u8 = 1;

/// Flips one bit behind the Ethernet header. A checksum that was left to the hardware is computed
/// first, as the hardware would have before the cable: else nobody could see that a bit is wrong.
/// False for a frame with nothing to flip, and for a segment that is still to be cut (its
/// checksums do not exist yet).
pub(super) fn flip_a_bit(bytes: &mut [u8], choice: u64) -> bool {
    let [flags, segments, ..] = *bytes else {
        return false;
    };
    if segments != 0 || (flags & NEEDS_CHECKSUM != 0 && complete(bytes).is_none()) {
        return false;
    }
    let Some(content) = bytes
        .get_mut(OFFLOAD + ETHERNET..)
        .filter(|c| !c.is_empty())
    else {
        return false;
    };
    let bit = choice % (content.len() as u64 * 8);
    if let Some(byte) = content.get_mut((bit / 8) as usize) {
        *byte ^= 1 << (bit % 8);
    }
    true
}

/// Puts the checksum in and says so in the offload header.
fn complete(bytes: &mut [u8]) -> Option<()> {
    let number = |at: usize| Some(u16::from_ne_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    let (start, offset) = (usize::from(number(6)?), usize::from(number(8)?));
    // The field holds the pseudo header's sum already, so it is part of what is summed.
    let summed = bytes.get(OFFLOAD + start..)?;
    let sum = summed.chunks(2).fold(0u64, |sum, pair| {
        let [high, low] = [pair.first(), pair.get(1)].map(|b| u64::from(b.copied().unwrap_or(0)));
        sum + (high << 8 | low)
    });
    let folded = (0..4).fold(sum, |s, _| (s & 0xffff) + (s >> 16));
    // A sum of 0 would mean "none" to UDP (RFC 768); TCP does not mind.
    let checksum = match !(folded as u16) {
        0 => 0xffff,
        sum => sum,
    };
    let at = OFFLOAD + start + offset;
    bytes
        .get_mut(at..at + 2)?
        .copy_from_slice(&checksum.to_be_bytes());
    bytes.get_mut(..OFFLOAD)?.fill(0);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An offload header, Ethernet, and a UDP datagram over IPv4 with only its pseudo sum.
    fn left_to_hardware() -> Vec<u8> {
        let mut bytes = vec![NEEDS_CHECKSUM, 0, 0, 0, 0, 0];
        bytes.extend(34u16.to_ne_bytes()); // checksum starts behind Ethernet and IP
        bytes.extend(6u16.to_ne_bytes());
        bytes.extend([0; ETHERNET]);
        bytes.extend([
            0x45, 0, 0, 30, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
        ]);
        // 0a00+0001+0a00+0002 + 17 + 10 = 0x141e
        bytes.extend([0, 1, 0, 2, 0, 10, 0x14, 0x1e, b'h', b'i']);
        bytes
    }

    fn sum(words: &[u8]) -> u16 {
        let sum: u32 = words
            .chunks(2)
            .map(|p| u32::from(p[0]) << 8 | u32::from(p[1]))
            .sum();
        (sum & 0xffff) as u16 + (sum >> 16) as u16
    }

    #[test]
    fn a_flipped_bit_leaves_a_wrong_checksum() {
        let mut good = left_to_hardware();
        complete(&mut good).unwrap();
        let datagram = &good[OFFLOAD + 34..];
        let pseudo = [10, 0, 0, 1, 10, 0, 0, 2, 0, 17, 0, 10];
        assert_eq!(sum(&[&pseudo, datagram].concat()), 0xffff);
        let mut bad = left_to_hardware();
        assert!(flip_a_bit(&mut bad, 8 * 28));
        assert_eq!(
            bad.iter()
                .zip(&good)
                .map(|(a, b)| (a ^ b).count_ones())
                .sum::<u32>(),
            1
        );
    }

    #[test]
    fn frames_of_any_bytes_do_not_panic() {
        let mut random = crate::behave::Random::new(1);
        for _ in 0..20_000 {
            let mut bytes = left_to_hardware();
            for _ in 0..random.below(8) {
                let at = random.below(bytes.len() as u64) as usize;
                bytes[at] = random.below(256) as u8;
            }
            bytes.truncate(random.below(bytes.len() as u64 + 1) as usize);
            flip_a_bit(&mut bytes, random.below(u64::MAX));
        }
        let mut segment = left_to_hardware();
        segment[1] = 1;
        assert!(
            !flip_a_bit(&mut segment, 0),
            "a segment that is still to be cut"
        );
    }

    #[test]
    fn damaged_frames_lose_one_bit_or_none() {
        let mut valid = vec![0; OFFLOAD + ETHERNET];
        valid.extend([
            0x45, 0, 0, 30, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
        ]);
        valid.extend([0, 53, 0, 53, 0, 10, 0, 0, 1, 2]);
        valid[0] = NEEDS_CHECKSUM;
        valid[6] = (ETHERNET + 20) as u8;
        valid[8] = 6;
        netshoot_wire::fuzz::mutations(&valid, 20_000, |bytes| {
            let mut after = bytes.to_vec();
            let flipped = flip_a_bit(&mut after, 77);
            assert_eq!(after.len(), bytes.len());
            let bits: u32 = after
                .iter()
                .zip(bytes)
                .map(|(a, b)| (a ^ b).count_ones())
                .sum();
            // Where the hardware's checksum is computed first, more changes.
            if bytes
                .first()
                .is_some_and(|flags| flags & NEEDS_CHECKSUM == 0)
            {
                assert_eq!(bits, u32::from(flipped), "{bytes:?}");
            }
        });
    }
}
