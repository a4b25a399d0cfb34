//! Connections that wait for a transfer or carry several, and who may begin one.
//!
//! A server whose answers take longer the more is asked at once is not asked faster than it answers: many connections at
//! once overflow what it has not accepted yet, and what is lost there costs a second each.

use super::many::Shared;
use super::pipe::Pipe;
use super::session::Connection;
use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Connections that wait, at most.
const IDLE: usize = 50;
/// Begun at once at a server that nothing is known of.
const AT_FIRST: usize = 1;
/// Where nothing was heard for so long, all who wait begin: the server is slow, not busy.
const LONG: Duration = Duration::from_millis(50);
/// The same while a connection is being made, which others may come to share.
const MAKING: Duration = Duration::from_secs(2);
/// Answers that come that quickly are not looked at closer.
const QUICK: Duration = Duration::from_millis(2);

/// The connections of a session.
pub struct Pool {
    shelf: Mutex<Shelf>,
    freed: Condvar,
    long: Duration,
}

impl Default for Pool {
    fn default() -> Pool {
        Pool {
            shelf: Mutex::default(),
            freed: Condvar::new(),
            long: LONG,
        }
    }
}

#[derive(Default)]
struct Shelf {
    idle: Vec<Connection>,
    shared: Vec<Standing>,
    lanes: HashMap<String, Lane>,
    next: i64,
}

/// What a shared connection is known by.
struct Standing {
    number: i64,
    key: String,
    make: Box<dyn Fn() -> Connection + Send>,
    many: Shared,
}

/// Connections under way to one place.
#[derive(Default)]
struct Lane {
    open: usize,
    making: usize,
    most: usize,
    quickest: Option<Duration>,
    /// When something was heard of it last.
    heard: Option<Instant>,
}

/// What there is for a transfer.
pub enum Found {
    /// One that waited.
    Idle(Connection),
    /// One that others use as well.
    Shared(Connection),
    /// None: one may be begun.
    Begin,
    /// None yet.
    Wait,
}

impl Pool {
    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of a new connection.
    pub fn number(&self) -> i64 {
        let mut shelf = self.shelf();
        shelf.next += 1;
        shelf.next - 1
    }

    /// What there is for a key; `since` when the transfer began to wait, where it may.
    pub fn take(&self, key: &str, since: Option<Instant>) -> Found {
        let mut shelf = self.shelf();
        let standing = shelf
            .shared
            .iter()
            .find(|s| s.key == key && s.many.has_room());
        if let Some(standing) = standing {
            return Found::Shared((standing.make)());
        }
        if let Some(at) = shelf.idle.iter().position(|c| c.key == key) {
            return Found::Idle(shelf.idle.remove(at));
        }
        let lane = shelf.lanes.entry(key.to_string()).or_default();
        let most = lane.most.max(AT_FIRST);
        let quiet = lane.heard.is_some_and(|at| at.elapsed() >= self.long);
        let may = match lane.making {
            0 => quiet,
            _ => since.is_some_and(|s| s.elapsed() >= MAKING),
        };
        if since.is_some() && lane.open >= most && !may {
            return Found::Wait;
        }
        if lane.open == 0 {
            lane.heard = Some(Instant::now());
        }
        lane.open += 1;
        lane.making += 1;
        Found::Begin
    }

    /// Waits until something changed, for `patience` at most.
    pub fn wait(&self, patience: Duration) {
        let shelf = self.shelf();
        let waited = self.freed.wait_timeout(shelf, patience.min(self.long));
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// A new connection was answered after `took`: as long as that is quick, more are begun at once.
    pub fn answered(&self, key: &str, took: Duration) {
        let mut shelf = self.shelf();
        let Some(lane) = shelf.lanes.get_mut(key) else {
            return;
        };
        lane.heard = Some(Instant::now());
        let quickest = *lane.quickest.get_or_insert(took);
        lane.quickest = Some(quickest.min(took));
        if took <= quickest * 2 || took <= QUICK && lane.most < 4 {
            lane.most = lane.most.max(AT_FIRST) + 1;
        } else {
            lane.most = lane.most.saturating_sub(1).max(2);
        }
        self.freed.notify_all();
    }

    /// A connection was made, or could not be.
    pub fn made(&self, key: &str) {
        if let Some(lane) = self.shelf().lanes.get_mut(key) {
            lane.making = lane.making.saturating_sub(1);
            if lane.making == 0 && lane.open <= 1 {
                lane.heard = Some(Instant::now());
            }
        }
    }

    /// A connection is no more.
    pub fn gone(&self, key: &str) {
        let mut shelf = self.shelf();
        if let Some(lane) = shelf.lanes.get_mut(key) {
            lane.open = lane.open.saturating_sub(1);
            lane.heard = Some(Instant::now());
        }
        self.freed.notify_one();
    }

    /// A connection waits for the next transfer.
    pub fn keep(&self, connection: Connection) {
        let mut shelf = self.shelf();
        if let Some(lane) = shelf.lanes.get_mut(&connection.key) {
            lane.heard = Some(Instant::now());
        }
        let mut old = None;
        if shelf.idle.len() >= IDLE {
            old = Some(shelf.idle.remove(0));
        }
        shelf.idle.push(connection);
        drop(shelf);
        self.freed.notify_one();
        if let Some(mut old) = old {
            old.pipe.close();
            self.gone(&old.key);
        }
    }

    /// A connection can carry several transfers from now on.
    pub fn share(&self, connection: &Connection) {
        let Some(many) = connection.many.clone() else {
            return;
        };
        let (number, key, host) = (
            connection.number,
            connection.key.clone(),
            connection.host.clone(),
        );
        let (local, remote, verify) = (connection.local, connection.remote, connection.verify);
        let (certificates, own) = (connection.certificates.clone(), many.clone());
        let own_key = key.clone();
        let make = move || Connection {
            number,
            key: own_key.clone(),
            host: host.clone(),
            pipe: Pipe::Gone,
            local,
            remote,
            certificates: certificates.clone(),
            verify,
            many: Some(own.clone()),
            minor0: false,
        };
        self.shelf().shared.push(Standing {
            number,
            key,
            make: Box::new(make),
            many,
        });
        self.freed.notify_all();
    }

    /// A shared connection is not used any more by new transfers; true for the one who is to close it.
    pub fn part(&self, number: i64) -> bool {
        let mut shelf = self.shelf();
        let before = shelf.shared.len();
        shelf.shared.retain(|s| s.number != number);
        before != shelf.shared.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begins(pool: &Pool) -> bool {
        match pool.take("a", Some(Instant::now())) {
            Found::Begin => true,
            Found::Wait => false,
            _ => panic!("nothing was kept"),
        }
    }

    #[test]
    fn a_server_is_asked_as_quickly_as_it_answers() {
        let pool = Pool {
            long: Duration::from_secs(3600),
            ..Pool::default()
        };
        assert!(begins(&pool) && !begins(&pool));
        // Made, and not answered yet: as long as it is not quiet for long, nobody else begins.
        pool.made("a");
        assert!(!begins(&pool));
        pool.answered("a", Duration::from_millis(10));
        assert!(begins(&pool) && !begins(&pool));
        // It takes three times as long with two: no third one.
        pool.made("a");
        pool.answered("a", Duration::from_millis(30));
        assert!(!begins(&pool));
        pool.gone("a");
        assert!(begins(&pool));
        pool.made("a");
    }

    #[test]
    fn a_slow_server_is_asked_by_all_at_once() {
        let pool = Pool::default();
        assert!(begins(&pool));
        pool.made("a");
        let began = Instant::now();
        while !begins(&pool) {
            assert!(began.elapsed() < Duration::from_secs(5));
            pool.wait(Duration::from_millis(5));
        }
        pool.made("a");
        assert!(began.elapsed() >= LONG && begins(&pool));
        // Without others at the same time nobody waits.
        assert!(matches!(pool.take("b", None), Found::Begin));
        assert!(matches!(pool.take("b", None), Found::Begin));
    }
}
