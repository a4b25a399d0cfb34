//! ARP for IPv4 on Ethernet (RFC 826).

use crate::Malformed;
use std::net::Ipv4Addr;

/// Length of a message, bytes.
pub const LENGTH: usize = 28;
/// Who has an address.
pub const REQUEST: u16 = 1;
/// Who has it answers.
pub const REPLY: u16 = 2;
/// Hardware type Ethernet, protocol IPv4, lengths of their addresses.
const HEAD: [u8; 6] = [0, 1, 8, 0, 6, 4];

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// [`REQUEST`] or [`REPLY`].
    pub operation: u16,
    /// Hardware address of who says it.
    pub sender: [u8; 6],
    /// Its address.
    pub sender_ip: Ipv4Addr,
    /// Hardware address of who is meant, zeroes or ones where it is asked for.
    pub target: [u8; 6],
    /// Address of who is meant.
    pub target_ip: Ipv4Addr,
}

impl Arp {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = HEAD.to_vec();
        bytes.extend(self.operation.to_be_bytes());
        bytes.extend(self.sender);
        bytes.extend(self.sender_ip.octets());
        bytes.extend(self.target);
        bytes.extend(self.target_ip.octets());
        bytes
    }

    /// Reads one; what is behind it is padding.
    pub fn decode(bytes: &[u8]) -> Result<Arp, Malformed> {
        let wrong = |at, expected| Malformed {
            format: "ARP",
            at,
            expected,
        };
        let whole = bytes.first_chunk::<LENGTH>();
        let whole = whole.ok_or_else(|| wrong(bytes.len(), "28 bytes"))?;
        let Some((head, rest)) = whole.split_first_chunk::<6>() else {
            return Err(wrong(0, "a header"));
        };
        if *head != HEAD {
            return Err(wrong(0, "Ethernet and IPv4"));
        }
        let [
            o0,
            o1,
            s0,
            s1,
            s2,
            s3,
            s4,
            s5,
            a,
            b,
            c,
            d,
            t0,
            t1,
            t2,
            t3,
            t4,
            t5,
            e,
            f,
            g,
            h,
        ] = *rest
        else {
            return Err(wrong(6, "22 bytes"));
        };
        Ok(Arp {
            operation: u16::from_be_bytes([o0, o1]),
            sender: [s0, s1, s2, s3, s4, s5],
            sender_ip: Ipv4Addr::new(a, b, c, d),
            target: [t0, t1, t2, t3, t4, t5],
            target_ip: Ipv4Addr::new(e, f, g, h),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_damage_is_refused_in_a_sentence() {
        let arp = Arp {
            operation: REQUEST,
            sender: [2, 0, 0, 0, 0, 1],
            sender_ip: Ipv4Addr::new(10, 0, 0, 1),
            target: [255; 6],
            target_ip: Ipv4Addr::new(10, 0, 0, 2),
        };
        let mut bytes = arp.encode();
        assert_eq!(bytes.len(), LENGTH);
        assert_eq!(Arp::decode(&bytes), Ok(arp));
        bytes.resize(60, 0);
        assert_eq!(Arp::decode(&bytes), Ok(arp));
        assert!(Arp::decode(&bytes[..27]).is_err());
        crate::fuzz::mutations(&bytes, 10_000, |bytes| {
            if let Ok(arp) = Arp::decode(bytes) {
                assert_eq!(Arp::decode(&arp.encode()), Ok(arp));
            }
        });
    }
}
