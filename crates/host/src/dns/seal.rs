//! The arithmetic of DNSSEC: digests and signatures.

use netshoot_wire::dns::dnssec::Crypto;
use ring::{digest, signature};

/// What `ring` can do: SHA-1, SHA-256 and SHA-384; RSA, ECDSA on P-256 and P-384, Ed25519 (RFC 8624).
#[derive(Clone, Copy, Debug, Default)]
pub struct Seal;

fn bare(bytes: &[u8]) -> &[u8] {
    let zeroes = bytes.iter().take_while(|b| **b == 0).count();
    bytes.get(zeroes..).unwrap_or_default()
}

/// The exponent and the modulus of a key (RFC 3110, 2), without zeroes before them.
fn rsa(key: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = match key {
        [0, a, b, rest @ ..] => (usize::from(*a) << 8 | usize::from(*b), rest),
        [a, rest @ ..] => (usize::from(*a), rest),
        [] => return None,
    };
    let (exponent, modulus) = rest.split_at_checked(length)?;
    Some((bare(exponent), bare(modulus)))
}

impl Crypto for Seal {
    fn digest(&self, kind: u8, bytes: &[u8]) -> Option<Vec<u8>> {
        let kind = match kind {
            1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            2 => &digest::SHA256,
            4 => &digest::SHA384,
            _ => return None,
        };
        Some(digest::digest(kind, bytes).as_ref().to_vec())
    }

    fn verify(&self, algorithm: u8, key: &[u8], signed: &[u8], sealed: &[u8]) -> Option<bool> {
        let curve = |algorithm: &'static dyn signature::VerificationAlgorithm, key: &[u8]| {
            let key = signature::UnparsedPublicKey::new(algorithm, key);
            Some(key.verify(signed, sealed).is_ok())
        };
        let modulus = |algorithm: &'static signature::RsaParameters| {
            let Some((e, n)) = rsa(key) else {
                return Some(false);
            };
            let key = signature::RsaPublicKeyComponents { n, e };
            Some(key.verify(algorithm, signed, sealed).is_ok())
        };
        // Of a point its two halves are sent (RFC 6605, 4); 4 says that they are whole (SEC 1, 2.3.3).
        let point = || [&[4], key].concat();
        match algorithm {
            5 | 7 => modulus(&signature::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY),
            8 => modulus(&signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY),
            10 => modulus(&signature::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY),
            13 => curve(&signature::ECDSA_P256_SHA256_FIXED, &point()),
            14 => curve(&signature::ECDSA_P384_SHA384_FIXED, &point()),
            15 => curve(&signature::ED25519, key),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netshoot_wire::dns::dnssec::{Set, denial};
    use netshoot_wire::dns::{Data, Record, rtype};

    #[test]
    fn names_are_hashed_as_the_rfc_hashes_them() {
        // RFC 5155, appendix A: `example` itself, which has NS, SOA, MX, RRSIG, DNSKEY and NSEC3PARAM.
        let mut data = vec![1, 1, 0, 12, 4, 0xaa, 0xbb, 0xcc, 0xdd, 20];
        data.extend([7u8; 20]);
        data.extend([0, 7, 0x22, 0x01, 0, 0, 0, 0x02, 0x90]);
        let owner = "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.example";
        let mut record = Record::new(owner, 3600, Data::Other(data));
        record.rtype = rtype::NSEC3;
        let set = Set {
            name: owner.into(),
            rtype: rtype::NSEC3,
            records: vec![record],
            signatures: vec![],
        };
        let proof = |kind| denial::proof(&[&set], "example", kind, &Seal);
        assert_eq!(proof(rtype::A), denial::Proof::NoData { delegated: false });
        assert_eq!(proof(rtype::MX), denial::Proof::Nothing);
    }

    #[test]
    fn damaged_keys_and_signatures_verify_nothing() {
        let good = [3u8, 1, 0, 1, 0xc0, 0xff, 0xee, 9, 9, 9, 9, 9, 9];
        for algorithm in [5, 7, 8, 10, 13, 14, 15] {
            netshoot_wire::fuzz::mutations(&good, 300, |bytes| {
                assert_eq!(Seal.verify(algorithm, bytes, b"x", bytes), Some(false));
            });
        }
        assert_eq!(Seal.verify(1, &good, b"x", b"y"), None);
        assert_eq!(rsa(&good), Some((&good[1..4], &good[4..])));
    }
}
