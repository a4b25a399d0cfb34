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
