//! A connection for a request: one that waits, one that others use as well, or a new one.

use super::Run;
use crate::web::dial::{self, Under};
use crate::web::failure::{Failure, code};
use crate::web::order::Version;
use crate::web::pool::Found;
use crate::web::proxy::Way;
use crate::web::session::{Connection, Session};
use netshoot_wire::web::url::Url;
use std::time::{Duration, Instant};

/// How long it is waited for others without a look at the time.
const WAIT: Duration = Duration::from_millis(50);

impl Session {
    /// One that waits, or a new one; true for one that was used.
    pub(super) fn connection(
        &mut self,
        under: &mut Under<'_>,
        run: &Run,
        way: &Way,
    ) -> Result<(Connection, bool), Failure> {
        let key = key_of(under, &run.url, way);
        let waits = self.together.then(Instant::now);
        let mut patience = Duration::ZERO;
        loop {
            let mut found = match self.pool.take(&key, waits, patience) {
                Found::Idle(found) => found,
                Found::Shared(found) => found,
                Found::Begin => break,
                Found::Wait => {
                    if patience.is_zero() {
                        under.say("Server doesn't support multiplex yet, wait");
                        under.say("No connections available.");
                    }
                    patience = patience_with_others(under)?;
                    continue;
                }
            };
            let shared = found.many.is_some();
            under.say(&format!(
                "Found bundle for host: {:#x} [{}]",
                std::ptr::from_ref(&found.key) as usize,
                if shared { "can multiplex" } else { "serially" }
            ));
            if !shared {
                under.say("Can not multiplex, even if we wanted to");
            } else if self.together {
                under.say("Multiplexed connection found");
            }
            let alive = match &found.many {
                Some(many) => many.alive(),
                None => found.pipe.alive(),
            };
            if alive {
                let what = if way.first().is_some() {
                    "proxy"
                } else {
                    "host"
                };
                let host = way
                    .first()
                    .map_or(found.host.as_str(), |p| p.host.as_str())
                    .to_string();
                under.say(&format!(
                    "Re-using existing connection #{} with {what} {host}",
                    found.number
                ));
                return Ok((found, true));
            }
            under.say(&format!("Connection {} seems to be dead", found.number));
            under.say(&format!("Closing connection {}", found.number));
            self.close(found);
        }
        loop {
            match dial::open(self, under, &run.url, key.clone(), way) {
                Err(e) if e.code == -1 => {}
                Err(e) => {
                    self.pool.made(&key);
                    self.pool.gone(&key);
                    return Err(e);
                }
                Ok(connection) => {
                    self.pool.made(&key);
                    self.pool.share(&connection);
                    return Ok((connection, false));
                }
            }
        }
    }

    /// Nobody uses a connection any more, but transfers that share it.
    pub(super) fn close(&self, mut connection: Connection) {
        match &connection.many {
            Some(many) => {
                let last = self.pool.part(connection.number);
                many.close();
                if last {
                    self.pool.gone(&connection.key);
                }
            }
            None => {
                connection.pipe.close();
                self.pool.gone(&connection.key);
            }
        }
    }
}

/// Others connect first: how long they are waited for before this is asked again.
fn patience_with_others(under: &mut Under<'_>) -> Result<Duration, Failure> {
    let left = under.whole_left().unwrap_or(WAIT);
    if left.is_zero() {
        let said = format!("Connection timed out after {} milliseconds", under.ms());
        return Err(under.fail(code::TIMEOUT, said));
    }
    if !under.watch.progress(under.info) {
        return Err(Failure::new(code::ABORTED, "Callback aborted"));
    }
    Ok(left.min(WAIT))
}

fn key_of(under: &Under<'_>, url: &Url, way: &Way) -> String {
    let order = under.order;
    let secure = matches!(url.scheme.as_str(), "https" | "wss");
    let to = dial::elsewhere(order, url);
    let host = match (way.forwards(), &to) {
        (true, _) => String::new(),
        (false, Some(to)) => format!("{}:{}/{to:?}", url.host, url.port()),
        (false, None) => format!("{}:{} {:?}", url.host, url.port(), url.zone),
    };
    let old = matches!(order.version, Version::V10 | Version::V11);
    let two = !old && !url.scheme.starts_with("ws");
    // What one asks for by HTTP/3 is not answered by a connection that was not.
    let three = match order.version {
        Version::V3 => "3 ",
        Version::V3Only => "3only ",
        _ => "",
    };
    let instead = under.alternative.as_ref();
    let instead = instead.map(|o| format!("{} {}", o.to.word(), o.authority()));
    format!(
        "{secure} {two} {three} {instead:?} {} {way:?} {:?} {:?} {:?} {}",
        host.to_ascii_lowercase(),
        order.unix,
        order.interface,
        order.local_ports,
        if secure {
            format!("{:?}", order.tls)
        } else {
            String::new()
        }
    )
}
