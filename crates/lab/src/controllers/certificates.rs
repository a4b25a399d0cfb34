//! cert-manager's part: a Certificate yields a Secret, signed by the world's own authority; a
//! Secret that was deleted is issued again.

pub use crate::certs::Authority;

use super::Pass;
use crate::shape::{self, rfc3339, text};
use crate::store::Store;
use crate::store::defaults::base64;
use crate::{Error, certs};
use serde_json::{Value, json};

/// cert-manager's default lifetime, 90 days.
const LIFETIME_S: i64 = 90 * 86_400;
/// Certificates begin a little before now, for clocks that are late.
const EARLIER_S: i64 = 300;

/// One pass over all Certificates: those without their Secret get it.
pub fn pass(pass: &Pass<'_>) {
    for certificate in pass.store.of("Certificate") {
        let secret = text(&certificate, "spec.secretName");
        if pass
            .store
            .find("Secret", shape::namespace(&certificate), secret)
            .is_none()
        {
            let lifetime = seconds(text(&certificate, "spec.duration")).unwrap_or(LIFETIME_S);
            if let Err(e) = issue(
                pass.store,
                pass.authority,
                &certificate,
                lifetime,
                pass.now_ms,
            ) {
                pass.store.event(
                    &certificate,
                    "Warning",
                    "Failed",
                    &format!("The certificate request has failed: {e}"),
                    ("cert-manager-certificates-issuing", ""),
                );
            }
        }
    }
}

/// Issues the certificate of a Secret anew, to end `expires_in_s` seconds from now.
pub fn reissue(
    store: &Store,
    authority: &Authority,
    namespace: &str,
    secret: &str,
    expires_in_s: i64,
) -> Result<(), Error> {
    let all = store.of("Certificate");
    let found = all
        .iter()
        .find(|c| shape::namespace(c) == namespace && text(c, "spec.secretName") == secret);
    let certificate = found.ok_or_else(|| Error::Store {
        asked: format!("issue Secret {namespace}/{secret}"),
        why: "no Certificate has it as spec.secretName".into(),
    })?;
    issue(
        store,
        authority,
        certificate,
        expires_in_s,
        netshoot_host::clock::now_ms(),
    )
}

fn issue(
    store: &Store,
    authority: &Authority,
    certificate: &Value,
    lifetime_s: i64,
    now_ms: u64,
) -> Result<(), Error> {
    let mut names = shape::texts(certificate, "spec.dnsNames");
    names.extend(shape::texts(certificate, "spec.ipAddresses"));
    let now_s = (now_ms / 1000) as i64;
    let end = now_s + lifetime_s;
    // One that is over by now was issued its usual lifetime before its end.
    let begin = if lifetime_s > 0 {
        now_s - EARLIER_S
    } else {
        end - LIFETIME_S
    };
    let (chain, key) = certs::issue(authority, &names, begin * 1000, end * 1000)?;
    let (namespace, secret) = (
        shape::namespace(certificate),
        text(certificate, "spec.secretName"),
    );
    let issuer = shape::at(certificate, "spec.issuerRef");
    store.apply(json!({
        "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {
            "name": secret, "namespace": namespace, "labels": {"controller.cert-manager.io/fao": "true"},
            "annotations": {
                "cert-manager.io/certificate-name": shape::name(certificate), "cert-manager.io/alt-names": names.join(","),
                "cert-manager.io/issuer-kind": text(issuer, "kind"), "cert-manager.io/issuer-name": text(issuer, "name")},
        },
        "data": {"tls.crt": base64(chain.as_bytes()), "tls.key": base64(key.as_bytes()), "ca.crt": base64(authority.pem().as_bytes())},
    }))?;
    let time = |s: i64| rfc3339(s.max(0) as u64 * 1000);
    let (ready, reason, message) = if end > now_s {
        (
            "True",
            "Ready",
            "Certificate is up to date and has not expired".to_string(),
        )
    } else {
        (
            "False",
            "Expired",
            format!("Certificate expired on {}", time(end)),
        )
    };
    let conditions = super::conditions(
        shape::list(certificate, "status.conditions"),
        &[("Ready", ready, reason, message)],
        &time(now_s),
        None,
    );
    let status = json!({"conditions": conditions, "notBefore": time(begin), "notAfter": time(end), "renewalTime": time(begin + (end - begin) * 2 / 3)});
    store.set_status("Certificate", namespace, shape::name(certificate), &status);
    Ok(())
}

/// A duration as Go writes it, whole hours, minutes, seconds (`2160h`, `1h30m`).
fn seconds(duration: &str) -> Option<i64> {
    let (mut total, mut number) = (0i64, String::new());
    for c in duration.chars() {
        let unit = match c {
            '0'..='9' => {
                number.push(c);
                continue;
            }
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        total = total.checked_add(number.parse::<i64>().ok()?.checked_mul(unit)?)?;
        number.clear();
    }
    (number.is_empty() && total > 0).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, want) in [
            ("2160h", Some(7_776_000)),
            ("1h30m", Some(5_400)),
            ("", None),
            ("5", None),
            ("3d", None),
        ] {
            assert_eq!(seconds(text), want, "{text}");
        }
    }

    #[test]
    fn a_damaged_duration_is_none_or_some_time() {
        netshoot_wire::fuzz::texts(&["2160h", "1h30m", "90s", "8760h0m0s"], 20_000, |text| {
            assert!(seconds(text).is_none_or(|s| s > 0), "{text:?}");
        });
    }
}
