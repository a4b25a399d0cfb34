//! What OpenSSL calls things that certificates name in figures.

/// Figures, short name, long name.
const OBJECTS: &[(&str, &str, &str)] = &[
    ("2.5.4.3", "CN", "commonName"),
    ("2.5.4.4", "SN", "surname"),
    ("2.5.4.5", "serialNumber", "serialNumber"),
    ("2.5.4.6", "C", "countryName"),
    ("2.5.4.7", "L", "localityName"),
    ("2.5.4.8", "ST", "stateOrProvinceName"),
    ("2.5.4.9", "street", "streetAddress"),
    ("2.5.4.10", "O", "organizationName"),
    ("2.5.4.11", "OU", "organizationalUnitName"),
    ("2.5.4.12", "title", "title"),
    ("2.5.4.13", "description", "description"),
    ("2.5.4.15", "businessCategory", "businessCategory"),
    ("2.5.4.17", "postalCode", "postalCode"),
    ("2.5.4.42", "GN", "givenName"),
    ("2.5.4.43", "initials", "initials"),
    ("2.5.4.46", "dnQualifier", "dnQualifier"),
    (
        "2.5.4.97",
        "organizationIdentifier",
        "organizationIdentifier",
    ),
    ("0.9.2342.19200300.100.1.1", "UID", "userId"),
    ("0.9.2342.19200300.100.1.25", "DC", "domainComponent"),
    ("1.2.840.113549.1.9.1", "emailAddress", "emailAddress"),
    (
        "1.3.6.1.4.1.311.60.2.1.1",
        "jurisdictionL",
        "jurisdictionLocalityName",
    ),
    (
        "1.3.6.1.4.1.311.60.2.1.2",
        "jurisdictionST",
        "jurisdictionStateOrProvinceName",
    ),
    (
        "1.3.6.1.4.1.311.60.2.1.3",
        "jurisdictionC",
        "jurisdictionCountryName",
    ),
    ("1.2.840.113549.1.1.1", "rsaEncryption", "rsaEncryption"),
    ("1.2.840.113549.1.1.4", "RSA-MD5", "md5WithRSAEncryption"),
    ("1.2.840.113549.1.1.5", "RSA-SHA1", "sha1WithRSAEncryption"),
    ("1.2.840.113549.1.1.10", "RSASSA-PSS", "rsassaPss"),
    (
        "1.2.840.113549.1.1.11",
        "RSA-SHA256",
        "sha256WithRSAEncryption",
    ),
    (
        "1.2.840.113549.1.1.12",
        "RSA-SHA384",
        "sha384WithRSAEncryption",
    ),
    (
        "1.2.840.113549.1.1.13",
        "RSA-SHA512",
        "sha512WithRSAEncryption",
    ),
    ("1.2.840.10045.2.1", "id-ecPublicKey", "id-ecPublicKey"),
    ("1.2.840.10045.4.1", "ecdsa-with-SHA1", "ecdsa-with-SHA1"),
    (
        "1.2.840.10045.4.3.2",
        "ecdsa-with-SHA256",
        "ecdsa-with-SHA256",
    ),
    (
        "1.2.840.10045.4.3.3",
        "ecdsa-with-SHA384",
        "ecdsa-with-SHA384",
    ),
    (
        "1.2.840.10045.4.3.4",
        "ecdsa-with-SHA512",
        "ecdsa-with-SHA512",
    ),
    ("1.3.101.112", "ED25519", "ED25519"),
    ("1.3.101.113", "ED448", "ED448"),
    ("1.2.840.10045.3.1.7", "prime256v1", "prime256v1"),
    ("1.3.132.0.34", "secp384r1", "secp384r1"),
    ("1.3.132.0.35", "secp521r1", "secp521r1"),
    (
        "2.5.29.14",
        "subjectKeyIdentifier",
        "X509v3 Subject Key Identifier",
    ),
    ("2.5.29.15", "keyUsage", "X509v3 Key Usage"),
    (
        "2.5.29.16",
        "privateKeyUsagePeriod",
        "X509v3 Private Key Usage Period",
    ),
    (
        "2.5.29.17",
        "subjectAltName",
        "X509v3 Subject Alternative Name",
    ),
    (
        "2.5.29.18",
        "issuerAltName",
        "X509v3 Issuer Alternative Name",
    ),
    ("2.5.29.19", "basicConstraints", "X509v3 Basic Constraints"),
    ("2.5.29.30", "nameConstraints", "X509v3 Name Constraints"),
    (
        "2.5.29.31",
        "crlDistributionPoints",
        "X509v3 CRL Distribution Points",
    ),
    (
        "2.5.29.32",
        "certificatePolicies",
        "X509v3 Certificate Policies",
    ),
    ("2.5.29.32.0", "anyPolicy", "X509v3 Any Policy"),
    (
        "2.5.29.35",
        "authorityKeyIdentifier",
        "X509v3 Authority Key Identifier",
    ),
    ("2.5.29.37", "extendedKeyUsage", "X509v3 Extended Key Usage"),
    (
        "2.5.29.37.0",
        "anyExtendedKeyUsage",
        "Any Extended Key Usage",
    ),
    (
        "1.3.6.1.5.5.7.1.1",
        "authorityInfoAccess",
        "Authority Information Access",
    ),
    ("1.3.6.1.5.5.7.1.24", "tlsfeature", "TLS Feature"),
    (
        "1.3.6.1.4.1.11129.2.4.2",
        "ct_precert_scts",
        "CT Precertificate SCTs",
    ),
    ("2.16.840.1.113730.1.1", "nsCertType", "Netscape Cert Type"),
    ("2.16.840.1.113730.1.13", "nsComment", "Netscape Comment"),
    ("1.3.6.1.5.5.7.48.1", "OCSP", "OCSP"),
    ("1.3.6.1.5.5.7.48.2", "caIssuers", "CA Issuers"),
    ("1.3.6.1.5.5.7.2.1", "id-qt-cps", "Policy Qualifier CPS"),
    (
        "1.3.6.1.5.5.7.2.2",
        "id-qt-unotice",
        "Policy Qualifier User Notice",
    ),
    (
        "1.3.6.1.5.5.7.3.1",
        "serverAuth",
        "TLS Web Server Authentication",
    ),
    (
        "1.3.6.1.5.5.7.3.2",
        "clientAuth",
        "TLS Web Client Authentication",
    ),
    ("1.3.6.1.5.5.7.3.3", "codeSigning", "Code Signing"),
    ("1.3.6.1.5.5.7.3.4", "emailProtection", "E-mail Protection"),
    ("1.3.6.1.5.5.7.3.8", "timeStamping", "Time Stamping"),
    ("1.3.6.1.5.5.7.3.9", "OCSPSigning", "OCSP Signing"),
];

/// Bits of a key's usage (RFC 5280, 4.2.1.3).
pub const USAGES: [&str; 9] = [
    "Digital Signature",
    "Non Repudiation",
    "Key Encipherment",
    "Data Encipherment",
    "Key Agreement",
    "Certificate Sign",
    "CRL Sign",
    "Encipher Only",
    "Decipher Only",
];

/// The short name, else the figures.
pub fn short(figures: &str) -> &str {
    OBJECTS
        .iter()
        .find(|o| o.0 == figures)
        .map_or(figures, |o| o.1)
}

/// The long name, else the figures.
pub fn long(figures: &str) -> &str {
    OBJECTS
        .iter()
        .find(|o| o.0 == figures)
        .map_or(figures, |o| o.2)
}

/// What may stand in `-nameopt`.
const STYLES: [&str; 27] = [
    "oneline",
    "rfc2253",
    "multiline",
    "compat",
    "ca_default",
    "utf8",
    "esc_2253",
    "esc_2254",
    "esc_ctrl",
    "esc_msb",
    "use_quote",
    "ignore_type",
    "show_type",
    "dump_all",
    "dump_nostr",
    "dump_unknown",
    "dump_der",
    "sep_comma_plus",
    "sep_comma_plus_space",
    "sep_semi_plus_space",
    "sep_multiline",
    "dn_rev",
    "nofname",
    "sname",
    "lname",
    "oid",
    "align",
];

/// Each word of a `-nameopt` is one.
pub fn is_style(asked: &str) -> bool {
    let known = |word: &str| {
        let word = word.strip_prefix(['-', '~']).unwrap_or(word);
        let word = word.to_ascii_lowercase();
        word == "space_eq" || STYLES.contains(&word.as_str())
    };
    asked.is_empty() || asked.split(',').all(known)
}

/// The NIST's name of a curve, and its bits.
pub fn curve(figures: &str) -> Option<(&'static str, u32)> {
    match figures {
        "1.2.840.10045.3.1.7" => Some(("P-256", 256)),
        "1.3.132.0.34" => Some(("P-384", 384)),
        "1.3.132.0.35" => Some(("P-521", 521)),
        _ => None,
    }
}
