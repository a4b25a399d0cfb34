//! Connections that wait for a transfer or carry several, and who may begin one.
//!
//! A server whose answers take longer the more is asked at once is not asked faster than it answers: many connections at
//! once overflow what it has not accepted yet, and what is lost there costs a second each.

use super::many::Shared;
use super::pipe::Pipe;
use super::session::Connection;
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Connections that wait, at most.
const IDLE: usize = 50;
/// Begun at once at a server that nothing is known of.
const AT_FIRST: usize = 1;
/// Where nothing was heard for so long, all who wait begin: the server is slow, not busy.
const LONG: Duration = Duration::from_millis(50);
/// The same while a connection is being made, which others may come to share.
const MAKING: Duration = Duration::from_secs(2);
/// Answers that come that quickly are not looked at closer, while no more than so many are under way: each server's queue holds them.
const QUICK: Duration = Duration::from_millis(2);
const FEW: usize = 6;
/// A server whose quickest answer took less than this is not asked more quickly by more connections than so many: its queue of those
/// that it has not accepted (nine, in small ones) would only overflow.
const NEAR: Duration = Duration::from_millis(5);
const ENOUGH: usize = 8;

/// The connections of a session.
pub struct Pool {
    shelf: Mutex<Shelf>,
    long: Duration,
}

impl Default for Pool {
    fn default() -> Pool {
        Pool {
            shelf: Mutex::default(),
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
    /// Who waits for a place here. One place wakes one: fifty that look at the same place take the server's processor.
    freed: Arc<Condvar>,
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

    /// What there is for a key; `since` when the transfer began to wait, where it may. Where there is nothing, it is waited for a change,
    /// for `patience` at most, and looked at again.
    pub fn take(&self, key: &str, since: Option<Instant>, patience: Duration) -> Found {
        let mut shelf = self.shelf();
        let found = shelf.look(key, since, self.long);
        if patience.is_zero() || !matches!(found, Found::Wait) {
            return found;
        }
        let lane = shelf.lanes.entry(key.to_string()).or_default();
        let freed = Arc::clone(&lane.freed);
        // Nobody tells when it has been quiet for long; while a connection is being made, that does not count.
        let heard = lane.heard.filter(|_| lane.making == 0);
        let quiet = heard.map_or(self.long, |at| self.long.saturating_sub(at.elapsed()));
        let patience = patience.min(quiet.max(Duration::from_millis(1)));
        let (mut shelf, _) = freed
            .wait_timeout(shelf, patience)
            .unwrap_or_else(PoisonError::into_inner);
        shelf.look(key, since, self.long)
    }

    /// A new connection was answered after `took`: as long as that is quick, more are begun at once.
    pub fn answered(&self, key: &str, took: Duration) {
        let mut shelf = self.shelf();
        let Some(lane) = shelf.lanes.get_mut(key) else {
            return;
        };
        lane.heard = Some(Instant::now());
        let quickest = *lane.quickest.get_or_insert(took);
        let nearest = quickest.min(took);
        lane.quickest = Some(nearest);
        if took <= quickest * 2 || took <= QUICK && lane.most < FEW {
            let least = lane.most.max(AT_FIRST);
            lane.most = match nearest < NEAR {
                true => least.max(ENOUGH.min(least + 1)),
                false => least + 1,
            };
        } else {
            lane.most = lane.most.saturating_sub(1).max(2);
        }
        for _ in lane.open..lane.most {
            lane.freed.notify_one();
        }
    }

    /// A transfer on a shared connection ended: another one may find room there.
    pub fn room(&self, key: &str) {
        if let Some(lane) = self.shelf().lanes.get(key) {
            lane.freed.notify_one();
        }
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
            lane.freed.notify_one();
        }
    }

    /// A connection waits for the next transfer.
    pub fn keep(&self, connection: Connection) {
        let mut shelf = self.shelf();
        let freed = shelf.lanes.get_mut(&connection.key).map(|lane| {
            lane.heard = Some(Instant::now());
            Arc::clone(&lane.freed)
        });
        let mut old = None;
        if shelf.idle.len() >= IDLE {
            old = Some(shelf.idle.remove(0));
        }
        shelf.idle.push(connection);
        drop(shelf);
        if let Some(freed) = freed {
            freed.notify_one();
        }
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
        let mut shelf = self.shelf();
        if let Some(lane) = shelf.lanes.get(&key) {
            lane.freed.notify_all();
        }
        shelf.shared.push(Standing {
            number,
            key,
            make: Box::new(make),
            many,
        });
    }

    /// A shared connection is not used any more by new transfers; true for the one who is to close it.
    pub fn part(&self, number: i64) -> bool {
        let mut shelf = self.shelf();
        let before = shelf.shared.len();
        shelf.shared.retain(|s| s.number != number);
        before != shelf.shared.len()
    }
}

impl Shelf {
    fn look(&mut self, key: &str, since: Option<Instant>, long: Duration) -> Found {
        let standing = self
            .shared
            .iter()
            .find(|s| s.key == key && s.many.has_room());
        if let Some(standing) = standing {
            return Found::Shared((standing.make)());
        }
        if let Some(at) = self.idle.iter().position(|c| c.key == key) {
            return Found::Idle(self.idle.remove(at));
        }
        let lane = self.lanes.entry(key.to_string()).or_default();
        let most = lane.most.max(AT_FIRST);
        let quiet = lane.heard.is_some_and(|at| at.elapsed() >= long);
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
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    fn begins(pool: &Pool) -> bool {
        match pool.take("a", Some(Instant::now()), NOW) {
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
    fn a_near_server_is_not_asked_by_more_than_its_queue_holds() {
        let most = |took| {
            let pool = Pool::default();
            assert!(begins(&pool));
            for _ in 0..40 {
                pool.answered("a", Duration::from_millis(took));
            }
            pool.shelf().lanes.get("a").map(|l| l.most)
        };
        assert_eq!(most(1), Some(ENOUGH));
        assert_eq!(most(20), Some(41));
    }

    #[test]
    fn a_slow_server_is_asked_by_all_at_once() {
        let pool = Pool::default();
        assert!(begins(&pool));
        pool.made("a");
        let began = Instant::now();
        let mut found = Found::Wait;
        while matches!(found, Found::Wait) {
            assert!(began.elapsed() < Duration::from_secs(5));
            found = pool.take("a", Some(began), Duration::from_secs(5));
        }
        assert!(matches!(found, Found::Begin));
        pool.made("a");
        assert!(began.elapsed() >= LONG && begins(&pool));
        // Without others at the same time nobody waits.
        assert!(matches!(pool.take("b", None, NOW), Found::Begin));
        assert!(matches!(pool.take("b", None, NOW), Found::Begin));
    }

    #[test]
    fn a_place_that_is_freed_wakes_one_who_waits_for_it() {
        let pool = Pool {
            long: Duration::from_secs(3600),
            ..Pool::default()
        };
        assert!(begins(&pool));
        pool.made("a");
        std::thread::scope(|scope| {
            let waits = || pool.take("a", Some(Instant::now()), Duration::from_secs(20));
            let (one, other) = (scope.spawn(waits), scope.spawn(waits));
            let began = Instant::now();
            let waiting = || {
                pool.shelf()
                    .lanes
                    .get("a")
                    .map(|l| Arc::strong_count(&l.freed))
            };
            while waiting() != Some(3) {
                assert!(began.elapsed() < Duration::from_secs(10));
                std::thread::yield_now();
            }
            pool.gone("a");
            while !one.is_finished() && !other.is_finished() {
                assert!(began.elapsed() < Duration::from_secs(10));
                std::thread::yield_now();
            }
            pool.made("a");
            let both = one.is_finished() && other.is_finished();
            assert!(!both && !begins(&pool));
            pool.gone("a");
        });
        assert!(pool.shelf().lanes.get("a").is_some_and(|l| l.open == 1));
    }
}
