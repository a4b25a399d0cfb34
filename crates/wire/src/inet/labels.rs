//! Labels of MPLS that a router tells behind the packet it complains of (RFC 4884, RFC 4950).

use super::checksum;

/// Version 2, in the upper half of the first byte.
const VERSION: u8 = 2;
/// Version and checksum; length, class and type of an object.
const HEAD: usize = 4;
/// Class and type of a label stack.
const STACK: [u8; 2] = [1, 1];
/// A stack deeper than this is cut off.
const MOST: usize = 8;

/// A stack, the outermost label first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    entries: [u32; MOST],
    count: usize,
}

/// An entry of a stack (RFC 3032).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// 20 bits.
    pub label: u32,
    /// Traffic class, 3 bits.
    pub class: u8,
    /// It is the innermost one.
    pub bottom: bool,
    /// Its own time to live.
    pub ttl: u8,
}

impl Labels {
    /// Reads an extension structure; none where it is damaged or holds no labels. A checksum of zero is none, and only
    /// then wrong where the structure was not announced.
    pub fn decode(bytes: &[u8], announced: bool) -> Option<Labels> {
        let (head, mut rest) = bytes.split_at_checked(HEAD)?;
        let sum = head.get(2..4)? != [0, 0];
        if head.first()? >> 4 != VERSION || !(sum || announced) || sum && checksum(&[bytes]) != 0 {
            return None;
        }
        let mut labels = Labels::default();
        while let Some((object, _)) = rest.split_at_checked(HEAD) {
            let length = usize::from(u16::from_be_bytes([*object.first()?, *object.get(1)?]));
            let body = rest.get(HEAD..length)?;
            if object.get(2..4)? == STACK {
                for entry in body.as_chunks::<4>().0 {
                    if let Some(place) = labels.entries.get_mut(labels.count) {
                        *place = u32::from_be_bytes(*entry);
                        labels.count += 1;
                    }
                }
            }
            rest = rest.get(length..)?;
        }
        (labels.count > 0).then_some(labels)
    }

    /// Each label.
    pub fn all(&self) -> impl Iterator<Item = Label> + '_ {
        let entries = self.entries.iter().take(self.count);
        entries.map(|e| {
            let [.., third, ttl] = e.to_be_bytes();
            Label {
                label: e >> 12,
                class: third >> 1 & 7,
                bottom: third & 1 == 1,
                ttl,
            }
        })
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Label 16012, class 3, TTL 1 above label 24015, the bottom, TTL 2; before them an object of another class.
    fn structure() -> Vec<u8> {
        let mut bytes = vec![0x20, 0, 0, 0];
        bytes.extend([0, 8, 2, 1, 9, 9, 9, 9]);
        bytes.extend([0, 12, 1, 1, 0x03, 0xe8, 0xc6, 0x01, 0x05, 0xdc, 0xf1, 0x02]);
        bytes
    }

    #[test]
    fn a_stack_is_read_and_a_damaged_one_is_none() {
        let mut bytes = structure();
        let read = Labels::decode(&bytes, true).unwrap();
        let label = |label, class, bottom, ttl| Label {
            label,
            class,
            bottom,
            ttl,
        };
        let all: Vec<Label> = read.all().collect();
        assert_eq!(all, [label(16_012, 3, false, 1), label(24_015, 0, true, 2)]);
        assert_eq!(
            Labels::decode(&bytes, false),
            None,
            "no checksum, not announced"
        );
        let sum = checksum(&[&bytes]).to_be_bytes();
        bytes[2..4].copy_from_slice(&sum);
        assert_eq!(Labels::decode(&bytes, false), Some(read));
        let mut other = bytes.clone();
        other[15] ^= 1;
        assert_eq!(Labels::decode(&other, true), None, "the checksum is wrong");
        other[0] = 0x10;
        assert_eq!(Labels::decode(&other, true), None, "another version");
        let none = [0x20, 0, 0, 0, 0, 8, 2, 1, 9, 9, 9, 9];
        assert_eq!(Labels::decode(&none, true), None, "nothing of MPLS");
        let endless = [0x20, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0];
        assert_eq!(
            Labels::decode(&endless, true),
            None,
            "an object without a length"
        );
    }

    #[test]
    fn damaged_structures_end() {
        crate::fuzz::mutations(&structure(), 5_000, |bytes| {
            if let Some(read) = Labels::decode(bytes, true) {
                let all: Vec<Label> = read.all().collect();
                assert!((1..=MOST).contains(&all.len()) && !read.is_empty());
                assert!(all.iter().all(|l| l.label < 1 << 20 && l.class < 8));
            }
        });
    }
}
