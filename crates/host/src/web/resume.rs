//! Sessions of TLS that are taken up again: by another connection to the same place under the same conditions.

use super::failure::Failure;
use super::order::Tls;
use super::secure::{self, Prepared};
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue,
    Tls13ClientSessionValue,
};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, NamedGroup};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// So many places are remembered.
const PLACES: usize = 64;
/// What rustls keeps of one server.
const OF_ONE: usize = 8;

/// What is remembered of each place.
#[derive(Default)]
pub struct Sessions {
    places: Mutex<Vec<(String, Remembered)>>,
}

#[derive(Clone)]
struct Remembered {
    prepared: Prepared,
    kept: Arc<ClientSessionMemoryCache>,
}

/// The sessions of a place for one connection, and whether one was offered.
#[derive(Debug)]
pub struct Offering {
    kept: Arc<ClientSessionMemoryCache>,
    offered: AtomicBool,
}

impl Offering {
    /// A session was offered to the server.
    pub fn offered(&self) -> bool {
        self.offered.load(Ordering::Relaxed)
    }

    fn note<T>(&self, found: Option<T>) -> Option<T> {
        self.offered.fetch_or(found.is_some(), Ordering::Relaxed);
        found
    }
}

impl ClientSessionStore for Offering {
    fn set_kx_hint(&self, name: ServerName<'static>, group: NamedGroup) {
        self.kept.set_kx_hint(name, group);
    }

    fn kx_hint(&self, name: &ServerName<'_>) -> Option<NamedGroup> {
        self.kept.kx_hint(name)
    }

    fn set_tls12_session(&self, name: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.kept.set_tls12_session(name, value);
    }

    fn tls12_session(&self, name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.note(self.kept.tls12_session(name))
    }

    fn remove_tls12_session(&self, name: &ServerName<'static>) {
        self.kept.remove_tls12_session(name);
    }

    fn insert_tls13_ticket(&self, name: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.kept.insert_tls13_ticket(name, value);
    }

    fn take_tls13_ticket(&self, name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.note(self.kept.take_tls13_ticket(name))
    }
}

impl Sessions {
    /// What a handshake with a place needs; with it, where sessions are kept, what tells whether one was offered.
    pub fn prepare(
        &self,
        order: &Tls,
        protocols: &[&str],
        place: &str,
    ) -> Result<(Prepared, Option<Arc<Offering>>), Failure> {
        if !order.resume {
            return Ok((secure::prepare(order, protocols)?, None));
        }
        let key = format!("{place} {protocols:?} {order:?}");
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let known = places.iter().find(|p| p.0 == key).map(|p| p.1.clone());
        let Remembered { mut prepared, kept } = match known {
            Some(known) => known,
            None => {
                let made = Remembered {
                    prepared: secure::prepare(order, protocols)?,
                    kept: Arc::new(ClientSessionMemoryCache::new(OF_ONE)),
                };
                if places.len() >= PLACES {
                    places.remove(0);
                }
                places.push((key, made.clone()));
                made
            }
        };
        drop(places);
        let offering = Arc::new(Offering {
            kept,
            offered: AtomicBool::new(false),
        });
        let mut config = ClientConfig::clone(&prepared.config);
        config.resumption = Resumption::store(offering.clone());
        prepared.config = Arc::new(config);
        Ok((prepared, Some(offering)))
    }
}
