//! Alternative services (RFC 7838): who is asked in an origin's place, and what an origin offers.

use crate::web::dial::{self, Under};
use crate::web::order::{Order, Version};
use crate::web::proxy::Way;
use crate::web::response::now;
use crate::web::session::Connection;
use netshoot_wire::web::alternatives::{Offer, Protocol};
use netshoot_wire::web::url::Url;
use std::sync::PoisonError;

/// Finds who is asked in place of the URL's own server. `--connect-to` goes first: a person said it, not the server.
pub fn choose(under: &mut Under<'_>, url: &Url, way: &Way) {
    under.alternative = None;
    let order = under.order;
    let Some(offers) = &order.offers else { return };
    if url.scheme != "https" || dial::elsewhere(order, url).is_some() {
        return;
    }
    let by_quic = quic(order, way);
    let fits = |offer: &Offer| match (offer.to, order.version) {
        (Protocol::Three, _) => by_quic,
        (_, version) => !matches!(version, Version::V3 | Version::V3Only),
    };
    let found = {
        let offers = offers.lock().unwrap_or_else(PoisonError::into_inner);
        offers.find(&url.host, url.port(), now(), fits).cloned()
    };
    if let Some(offer) = &found {
        under.say(&format!(
            "Alt-svc connecting from [{}]{}:{} to [{}]{}",
            offer.by.word(),
            url.host,
            url.port(),
            offer.to.word(),
            offer.authority()
        ));
    }
    under.alternative = found;
}

/// Who answers for the origin on a connection: one promised HTTP/3 that did not answer does not.
pub fn used(under: &Under<'_>, connection: &Connection) -> Option<String> {
    let three = connection.many.as_ref().map(|many| many.major()) == Some(3);
    let offer = under.alternative.as_ref();
    let offer = offer.filter(|o| three || o.to != Protocol::Three);
    offer.map(Offer::authority)
}

/// HTTP/3 can be spoken: nobody asked for an older version alone, and nothing is in its way.
fn quic(order: &Order, way: &Way) -> bool {
    let older = matches!(order.version, Version::V10 | Version::V11 | Version::V2);
    let direct = way.http.is_none() && way.socks.is_none() && order.unix.is_none();
    !older && direct && order.tls.most >= 13
}

/// The origin of a request that is under way.
pub struct Asked {
    by: Protocol,
    secure: bool,
    host: String,
    port: u16,
}

impl Asked {
    /// By its URL and connection.
    pub fn of(url: &Url, connection: &Connection) -> Asked {
        Asked {
            by: match connection.many.as_ref().map(|many| many.major()) {
                Some(3) => Protocol::Three,
                Some(_) => Protocol::Two,
                None => Protocol::One,
            },
            secure: url.scheme == "https",
            host: url.host.clone(),
            port: url.port(),
        }
    }

    /// It offers alternatives. Without TLS anybody on the way could have said it.
    pub fn heard(&self, under: &mut Under<'_>, value: &str) {
        let Some(offers) = under.order.offers.as_ref().filter(|_| self.secure) else {
            return;
        };
        let told = {
            let mut offers = offers.lock().unwrap_or_else(PoisonError::into_inner);
            offers.take(value, (self.by, &self.host, self.port), now())
        };
        for said in told {
            under.say(&said);
        }
    }
}
