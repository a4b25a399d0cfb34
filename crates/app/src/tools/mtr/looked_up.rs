//! The names of hops: each asked for beside the probes, which do not wait for a slow resolver.

use netshoot_host::names;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

/// Questions on their way at a time.
const MOST: usize = 16;

type Found = (IpAddr, Option<String>);

/// Names that are known or on their way.
pub struct Names {
    /// None of those that are still asked for.
    known: BTreeMap<IpAddr, Option<Option<String>>>,
    tell: Sender<Found>,
    told: Receiver<Found>,
}

impl Default for Names {
    fn default() -> Names {
        let (tell, told) = channel();
        Names {
            known: BTreeMap::new(),
            tell,
            told,
        }
    }
}

impl Names {
    fn on_their_way(&self) -> usize {
        self.known.values().filter(|k| k.is_none()).count()
    }

    /// Asks for a name, once; does not wait.
    pub fn ask(&mut self, of: IpAddr) {
        if self.known.contains_key(&of) || self.on_their_way() >= MOST {
            return;
        }
        let tell = self.tell.clone();
        let asks = move || {
            let name = names::name_of(SocketAddr::new(of, 0));
            // Who asked may have gone.
            let _ = tell.send((of, name));
        };
        let begun = std::thread::Builder::new().name("name".into()).spawn(asks);
        // Without a thread there is no name.
        let known = if begun.is_ok() { None } else { Some(None) };
        self.known.insert(of, known);
    }

    /// What has come since.
    pub fn come(&mut self) -> Vec<(IpAddr, String)> {
        let come: Vec<Found> = self.told.try_iter().collect();
        come.into_iter().filter_map(|f| self.note(f)).collect()
    }

    fn note(&mut self, (of, name): Found) -> Option<(IpAddr, String)> {
        let name = name.as_deref().map(crate::report::safe);
        self.known.insert(of, Some(name.clone()));
        name.map(|name| (of, name))
    }

    /// The name, where it is there.
    pub fn of(&self, of: IpAddr) -> Option<String> {
        self.known.get(&of)?.clone()?
    }

    /// Something is on its way.
    pub fn waits(&self) -> bool {
        self.on_their_way() > 0
    }

    /// Waits for the next one.
    pub fn wait(&mut self, until: Instant) {
        let left = until.saturating_duration_since(Instant::now());
        if let Ok(found) = self.told.recv_timeout(left) {
            let _ = self.tell.send(found);
        }
    }
}
