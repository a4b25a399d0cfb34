//! What is shown of a session and its certificates.

use super::*;

/// OpenSSL's name of a version.
pub(super) fn version(client: &Client) -> &'static str {
    match client.tls.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "unknown",
    }
}

/// OpenSSL's name of a cipher suite: of TLS 1.3 as in the RFC, of 1.2 without what all have.
pub(super) fn suite(client: &Client) -> String {
    let name = client.tls.negotiated_cipher_suite();
    let name = name.map(|s| format!("{:?}", s.suite())).unwrap_or_default();
    if let Some(rest) = name.strip_prefix("TLS13_") {
        return format!("TLS_{rest}");
    }
    let short = name.trim_start_matches("TLS_").replace("_WITH_", "_");
    let short = short.replace("AES_", "AES").replace('_', "-");
    // Its hash is not named there.
    match short.strip_suffix("-POLY1305-SHA256") {
        Some(chacha) => format!("{chacha}-POLY1305"),
        None => short,
    }
}

/// `SHA256`, `ECDSA`.
pub(super) fn signing(scheme: Option<SignatureScheme>) -> (&'static str, &'static str) {
    use SignatureScheme as S;
    match scheme {
        Some(S::ECDSA_NISTP256_SHA256) => ("SHA256", "ECDSA"),
        Some(S::ECDSA_NISTP384_SHA384) => ("SHA384", "ECDSA"),
        Some(S::ECDSA_NISTP521_SHA512) => ("SHA512", "ECDSA"),
        Some(S::RSA_PSS_SHA256) => ("SHA256", "RSA-PSS"),
        Some(S::RSA_PSS_SHA384) => ("SHA384", "RSA-PSS"),
        Some(S::RSA_PSS_SHA512) => ("SHA512", "RSA-PSS"),
        Some(S::RSA_PKCS1_SHA256) => ("SHA256", "RSA"),
        Some(S::RSA_PKCS1_SHA384) => ("SHA384", "RSA"),
        Some(S::RSA_PKCS1_SHA512) => ("SHA512", "RSA"),
        Some(S::ED25519) => ("", "Ed25519"),
        _ => ("", ""),
    }
}

pub(super) fn group(client: &Client) -> &'static str {
    use rustls::NamedGroup as G;
    match client.tls.negotiated_key_exchange_group().map(|g| g.name()) {
        Some(G::X25519) => "X25519, 253 bits",
        Some(G::secp256r1) => "ECDH, prime256v1, 256 bits",
        Some(G::secp384r1) => "ECDH, secp384r1, 384 bits",
        _ => "",
    }
}

pub(super) fn show(
    plan: &Plan<'_>,
    client: &Client,
    seen: &Seen,
    verdict: Verdict,
    io: &mut Io<'_>,
) -> Result<()> {
    let leaf = seen.chain.first();
    let (hash, kind) = signing(seen.scheme);
    let verified = match (verdict, plan.value("verify_hostname")) {
        (Some((20, ..)), _) => "Verification error: unable to verify the first certificate".into(),
        (Some((_, words, _)), _) => format!("Verification error: {words}"),
        (None, Some(host)) => format!(
            "Verification: OK\nVerified peername: {}",
            peername(leaf, host)
        ),
        (None, None) => "Verification: OK".into(),
    };
    if plan.has("brief") {
        let peer = leaf.map(subject).unwrap_or_default();
        writeln!(
            io.err,
            "CONNECTION ESTABLISHED\nProtocol version: {}\nCiphersuite: {}",
            version(client),
            suite(client)
        )?;
        writeln!(io.err, "Peer certificate: {peer}")?;
        if !hash.is_empty() {
            writeln!(io.err, "Hash used: {hash}")?;
        }
        writeln!(
            io.err,
            "Signature type: {kind}\n{verified}\nServer Temp Key: {}",
            group(client)
        )?;
        if let Some(p) = client.tls.alpn_protocol() {
            writeln!(io.err, "ALPN protocol: {}", String::from_utf8_lossy(p))?;
        }
        return Ok(());
    }
    if plan.has("quiet") {
        return Ok(());
    }
    let mut out = String::from("---\nCertificate chain\n");
    for (i, der) in seen.chain.iter().enumerate() {
        out += &chain_entry(i, der);
        if plan.has("showcerts") {
            out += &x509::armoured(der, "CERTIFICATE");
        }
    }
    out += "---\n";
    if let Some(der) = leaf {
        out += "Server certificate\n";
        if !plan.has("showcerts") {
            out += &x509::armoured(der, "CERTIFICATE");
        }
        let issuer = decoded(der)
            .map(|c| text::name(&c.issuer, NameStyle::OneLine))
            .unwrap_or_default();
        out += &format!("subject={}\nissuer={issuer}\n---\n", subject(der));
    }
    out += "No client certificate CA names sent\n";
    if !hash.is_empty() {
        out += &format!("Peer signing digest: {hash}\n");
    }
    out += &format!(
        "Peer signature type: {kind}\nServer Temp Key: {}\n---\n",
        group(client)
    );
    out += &format!(
        "SSL handshake has read {} bytes and written {} bytes\n{verified}\n---\n",
        client.read, client.written
    );
    let bits = leaf
        .and_then(decoded)
        .and_then(|c| text::key_bits(&c))
        .unwrap_or(0);
    let modern = client.tls.protocol_version() == Some(ProtocolVersion::TLSv1_3);
    out += &format!(
        "New, {}, Cipher is {}\nServer public key is {bits} bit\n",
        version(client),
        suite(client)
    );
    out += &format!(
        "Secure Renegotiation IS{} supported\nCompression: NONE\nExpansion: NONE\n",
        if modern { " NOT" } else { "" }
    );
    out += &match client.tls.alpn_protocol() {
        Some(p) => format!(
            "ALPN protocol: {}\n",
            crate::report::safe(&String::from_utf8_lossy(p))
        ),
        None => "No ALPN negotiated\n".into(),
    };
    let (code, words) = match verdict {
        Some((20, ..)) => (21, "unable to verify the first certificate"),
        Some((number, words, _)) => (number, words),
        None => (0, "ok"),
    };
    out += &match modern {
        true => format!("Early data was not sent\nVerify return code: {code} ({words})\n---\n"),
        false => format!(
            "SSL-Session:\n    Protocol  : TLSv1.2\n    Cipher    : {}\n    Verify return code: {code} ({words})\n    Extended master secret: yes\n---\n",
            suite(client)
        ),
    };
    write!(io.out, "{out}")?;
    io.out.flush()?;
    Ok(())
}

pub(super) fn peername(leaf: Option<&CertificateDer<'static>>, host: &str) -> String {
    let names = leaf
        .and_then(decoded)
        .map(|c| text::hosts(&c).0)
        .unwrap_or_default();
    names
        .into_iter()
        .find(|n| text::fits(n, host))
        .unwrap_or_default()
}

pub(super) fn chain_entry(i: usize, der: &CertificateDer<'_>) -> String {
    let Some(c) = decoded(der) else {
        return format!(" {i} (no certificate that can be read)\n");
    };
    let (own, issuer) = (
        text::name(&c.subject, NameStyle::OneLine),
        text::name(&c.issuer, NameStyle::OneLine),
    );
    let bits = text::key_bits(&c).unwrap_or(0);
    format!(
        "{i:2} s:{own}\n   i:{issuer}\n   a:PKEY: {}, {bits} (bit); sigalg: {}\n   v:NotBefore: {}; NotAfter: {}\n",
        names::short(&c.key_kind),
        names::short(&c.signed_with),
        text::time(&c.not_before),
        text::time(&c.not_after)
    )
}

pub(super) fn as_json(client: &Client, seen: &Seen, verdict: Verdict) -> serde_json::Value {
    let one = |der: &CertificateDer<'static>| {
        decoded(der).map(|c| {
            json!({
                "subject": text::name(&c.subject, NameStyle::Rfc2253),
                "issuer": text::name(&c.issuer, NameStyle::Rfc2253),
                "not_before": text::time(&c.not_before),
                "not_after": text::time(&c.not_after),
                "hosts": text::hosts(&c).0,
            })
        })
    };
    json!({
        "version": version(client),
        "cipher": suite(client),
        "group": group(client),
        "alpn": client.tls.alpn_protocol().map(|p| String::from_utf8_lossy(p).into_owned()),
        "chain": seen.chain.iter().map(one).collect::<Vec<_>>(),
        "verify": { "code": verdict.map_or(0, |v| v.0), "says": verdict.map_or("ok", |v| v.1) },
    })
}

pub(super) fn explain(plan: &Plan<'_>, verdict: Verdict, io: &mut Io<'_>) -> Result<()> {
    if !plan.has("explain") {
        return Ok(());
    }
    let text = match verdict {
        None => io.lang.pick(
            "TLS: the handshake decides; without one the port was refused or silent: try nc -zv",
            "TLS：以握手结果为准；若未握手，则端口被拒绝或无响应：请尝试 nc -zv",
        ),
        Some((10 | 9, ..)) => io.lang.pick(
            "The certificate is out of its time: renew its Secret, and restart what read it at its start",
            "证书不在有效期内：请更新对应的 Secret，并重启启动时读取它的程序",
        ),
        Some((18..=21, ..)) => io.lang.pick(
            "Signed by an authority that is not trusted here: give its certificate with -CAfile (in a cluster often ca.crt of the Secret)",
            "签发机构在此不受信任：请用 -CAfile 指定其证书（集群中通常是 Secret 里的 ca.crt）",
        ),
        Some((62 | 64, ..)) => io.lang.pick(
            "The certificate is for other names than the one that was asked for: a Service is called NAME.NAMESPACE.svc",
            "证书中的名称与所请求的不符：Service 的名称是 NAME.NAMESPACE.svc",
        ),
        Some(_) => io.lang.pick(
            "The port answered but not with a handshake that both sides take: it may speak plain HTTP, or older TLS",
            "端口有应答，但握手未被双方接受：可能是明文 HTTP 或过旧的 TLS",
        ),
    };
    writeln!(io.err, "{text}")?;
    let _ = Lang::En;
    Ok(())
}
