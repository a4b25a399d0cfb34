//! A small deterministic fuzzer for the tests of decoders: mutates valid inputs.

/// Calls `decode` with `rounds` mutations of `valid`: flipped bytes, cut ends, spliced pieces.
pub fn mutations(valid: &[u8], rounds: u32, mut decode: impl FnMut(&[u8])) {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    for len in 0..=valid.len() {
        decode(&valid[..len]);
    }
    for _ in 0..rounds {
        let mut bytes = valid.to_vec();
        for _ in 0..=next(4) {
            let at = next(bytes.len());
            match next(5) {
                0 => bytes.truncate(at),
                1 if !bytes.is_empty() => {
                    bytes[at] = [0, 1, 0x3f, 0x40, 0x7f, 0x80, 0xc0, 0xff][next(8)]
                }
                2 if !bytes.is_empty() => bytes[at] ^= 1 << next(8),
                3 => bytes.insert(at, next(256) as u8),
                _ if !bytes.is_empty() => {
                    let (from, to) = (at, next(bytes.len()));
                    bytes[to] = bytes[from];
                }
                _ => {}
            }
        }
        decode(&bytes);
    }
}
