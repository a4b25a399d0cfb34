//! Words of numbers: record types, classes, opcodes, EDNS options, DNSSEC algorithms (the IANA
//! registries of "Domain Name System Parameters").

/// Record types, the ones for questions only behind.
pub(super) const TYPES: &[(u16, &str)] = &[
    (1, "A"),
    (2, "NS"),
    (3, "MD"),
    (4, "MF"),
    (5, "CNAME"),
    (6, "SOA"),
    (7, "MB"),
    (8, "MG"),
    (9, "MR"),
    (10, "NULL"),
    (11, "WKS"),
    (12, "PTR"),
    (13, "HINFO"),
    (14, "MINFO"),
    (15, "MX"),
    (16, "TXT"),
    (17, "RP"),
    (18, "AFSDB"),
    (19, "X25"),
    (20, "ISDN"),
    (21, "RT"),
    (22, "NSAP"),
    (23, "NSAP-PTR"),
    (24, "SIG"),
    (25, "KEY"),
    (26, "PX"),
    (27, "GPOS"),
    (28, "AAAA"),
    (29, "LOC"),
    (30, "NXT"),
    (31, "EID"),
    (32, "NIMLOC"),
    (33, "SRV"),
    (34, "ATMA"),
    (35, "NAPTR"),
    (36, "KX"),
    (37, "CERT"),
    (38, "A6"),
    (39, "DNAME"),
    (40, "SINK"),
    (41, "OPT"),
    (42, "APL"),
    (43, "DS"),
    (44, "SSHFP"),
    (45, "IPSECKEY"),
    (46, "RRSIG"),
    (47, "NSEC"),
    (48, "DNSKEY"),
    (49, "DHCID"),
    (50, "NSEC3"),
    (51, "NSEC3PARAM"),
    (52, "TLSA"),
    (53, "SMIMEA"),
    (55, "HIP"),
    (56, "NINFO"),
    (57, "RKEY"),
    (58, "TALINK"),
    (59, "CDS"),
    (60, "CDNSKEY"),
    (61, "OPENPGPKEY"),
    (62, "CSYNC"),
    (63, "ZONEMD"),
    (64, "SVCB"),
    (65, "HTTPS"),
    (99, "SPF"),
    (104, "NID"),
    (105, "L32"),
    (106, "L64"),
    (107, "LP"),
    (108, "EUI48"),
    (109, "EUI64"),
    (249, "TKEY"),
    (250, "TSIG"),
    (251, "IXFR"),
    (252, "AXFR"),
    (253, "MAILB"),
    (254, "MAILA"),
    (255, "ANY"),
    (256, "URI"),
    (257, "CAA"),
    (258, "AVC"),
    (259, "DOA"),
    (260, "AMTRELAY"),
    (32768, "TA"),
    (32769, "DLV"),
];

const CLASSES: &[(u16, &str)] = &[
    (1, "IN"),
    (3, "CH"),
    (3, "CHAOS"),
    (4, "HS"),
    (4, "HESIOD"),
    (254, "NONE"),
    (255, "ANY"),
    (0, "RESERVED0"),
];

const OPCODES: &[&str] = &["QUERY", "IQUERY", "STATUS", "RESERVED3", "NOTIFY", "UPDATE"];

const ALGORITHMS: &[(u8, &str)] = &[
    (1, "RSAMD5"),
    (2, "DH"),
    (3, "DSA"),
    (5, "RSASHA1"),
    (6, "NSEC3DSA"),
    (7, "NSEC3RSASHA1"),
    (8, "RSASHA256"),
    (10, "RSASHA512"),
    (12, "ECCGOST"),
    (13, "ECDSAP256SHA256"),
    (14, "ECDSAP384SHA384"),
    (15, "ED25519"),
    (16, "ED448"),
    (252, "INDIRECT"),
    (253, "PRIVATEDNS"),
    (254, "PRIVATEOID"),
];

const CERTIFICATES: &[(u16, &str)] = &[
    (1, "PKIX"),
    (2, "SPKI"),
    (3, "PGP"),
    (4, "IPKIX"),
    (5, "ISPKI"),
    (6, "IPGP"),
    (7, "ACPKIX"),
    (8, "IACPKIX"),
    (253, "URI"),
    (254, "OID"),
];

fn word<N: Copy + PartialEq>(table: &[(N, &'static str)], number: N) -> Option<&'static str> {
    table.iter().find(|(n, _)| *n == number).map(|(_, w)| *w)
}

/// Word of a class, `CLASS7` for one without a word.
pub fn class_word(number: u16) -> String {
    word(CLASSES, number).map_or_else(|| format!("CLASS{number}"), String::from)
}

/// Number of a class's word, in any case; `CLASS7` too.
pub fn class_number(text: &str) -> Option<u16> {
    let text = text.to_ascii_uppercase();
    let known = CLASSES.iter().find(|(_, w)| *w == text).map(|(n, _)| *n);
    known.or_else(|| text.strip_prefix("CLASS")?.parse().ok())
}

/// Word of an opcode, `RESERVED7` for one without a word.
pub fn opcode_word(number: u8) -> String {
    let known = OPCODES.get(usize::from(number));
    known.map_or_else(|| format!("RESERVED{number}"), |w| (*w).to_string())
}

/// Number of an opcode's word, in any case.
pub fn opcode_number(text: &str) -> Option<u8> {
    let at = OPCODES.iter().position(|w| w.eq_ignore_ascii_case(text))?;
    u8::try_from(at).ok()
}

/// Word of a DNSSEC algorithm, its number where it has none.
pub fn algorithm_word(number: u8) -> String {
    word(ALGORITHMS, number).map_or_else(|| number.to_string(), String::from)
}

pub(super) fn certificate_word(number: u16) -> String {
    word(CERTIFICATES, number).map_or_else(|| number.to_string(), String::from)
}
