use super::{Kind, Need, Place, gap, not_mine};
use crate::tls;
use netshoot_model::probe::{Answer, Harm, Question};

/// A TLS handshake; the function is [`tls::inspect`].
pub const PROBE: Kind = Kind {
    id: "tls_handshake",
    asks: "which certificates does a TLS server present, and would a strict client take them",
    needs: &[Need::None],
    harm: Harm::FewPackets,
    run,
    page: PAGE,
};

fn run(question: &Question, _: &Place) -> Answer {
    let Question::TlsHandshake {
        to,
        server_name,
        authorities,
        timeout_ms,
    } = question
    else {
        return not_mine(question);
    };
    match tls::inspect(*to, server_name, authorities, *timeout_ms) {
        Ok(handshake) => Answer::TlsHandshake(handshake),
        Err(e) => gap(&e, Need::None),
    }
}

const PAGE: &str = "\
# tls_handshake

## What it asks

Which certificate chain a TLS server presents for a name, and what a client that verifies it
would say now: expired, not yet valid, not for this name, issued by somebody unknown.

## What it sends

One connection, one TLS 1.2 or 1.3 handshake that is finished whatever the certificate is, and a
close. No client certificate, no data.

## What the answers mean

- `answered`: a chain came. `problem` is empty when it is valid for the name now, from an
  authority that is trusted (the PEM given, or else the public ones).
- `garbled`: what came is not TLS, an alert, or a close; `detail` says which.
- `refused`, `silent`, `unreachable`: as in `tcp_connect`. `silent` with a fast TCP connect: the
  handshake's large packets may be lost (MTU), or the server is stuck.
";
