//! What kube-proxy calls its chains: names must be unique, so they carry a hash.

use ring::digest::{SHA256, digest};

/// Base 32 (RFC 4648) of the SHA-256 of `text`, cut to `length` characters.
fn hash(text: &str, length: usize) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let digest = digest(&SHA256, text.as_bytes());
    let bit = |n: usize| {
        digest
            .as_ref()
            .get(n / 8)
            .map_or(0, |b| b >> (7 - n % 8) & 1)
    };
    (0..length)
        .map(|character| (0..5).fold(0, |five, n| five << 1 | bit(character * 5 + n)))
        .filter_map(|five| ALPHABET.get(usize::from(five)))
        .map(|c| char::from(*c))
        .collect()
}

/// nftables mode: `service-`, `external-`, `endpoint-`, `affinity-` and what it is about. Cut to
/// what a chain name may have, the hash keeps it unique.
pub fn nft(prefix: &str, about: &str) -> String {
    let name = format!("{prefix}-{}-{about}", hash(about, 8));
    name.chars().take(240).collect()
}

/// iptables mode: `KUBE-SVC-`, `KUBE-SEP-`, `KUBE-EXT-`, `KUBE-SVL-` and 16 characters.
pub fn iptables(prefix: &str, about: &str) -> String {
    format!("{prefix}-{}", hash(about, 16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_the_real_one_names_them() {
        // Seen on clusters: every cluster has the first one.
        assert_eq!(
            iptables("KUBE-SVC", "default/kubernetes:httpstcp"),
            "KUBE-SVC-NPX46M4PTMTKRN6Y"
        );
        assert_eq!(
            nft("service", "ns1/svc1/tcp/p80"),
            "service-ULMVA6XW-ns1/svc1/tcp/p80"
        );
        assert_eq!(nft("service", &"a".repeat(400)).len(), 240);
    }
}
