//! What accompanies a transfer: how long it may take, who is told, and in what words.

use super::three::Rival;
use crate::web::failure::Failure;
use crate::web::order::Order;
use crate::web::resume::Sessions;
use crate::web::session::{Info, Kind, Watch};
use netshoot_wire::web::alternatives::Offer;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Patience of connecting where none is given.
const CONNECT: Duration = Duration::from_secs(300);

/// How long things may take, and who is told.
pub struct Under<'a> {
    /// What is wanted.
    pub order: &'a Order,
    /// What is told in the end.
    pub info: &'a mut Info,
    /// Who watches.
    pub watch: &'a mut dyn Watch,
    /// When connecting began.
    pub connecting: Instant,
    /// HTTP/3, which is tried at the same time.
    pub rival: Option<Rival>,
    /// Who answers for the origin of the request that is under way.
    pub alternative: Option<Offer>,
    /// Sessions of TLS that others began.
    pub secured: Arc<Sessions>,
}

impl Under<'_> {
    /// Shows a sentence.
    pub fn say(&mut self, text: &str) {
        if self.order.verbose {
            self.watch.show(Kind::Text, text.as_bytes());
        }
    }

    /// Says where a connection is begun to.
    pub fn say_trying(&mut self, to: SocketAddr) {
        let shown = match to {
            SocketAddr::V6(a) => format!("[{}]", a.ip()),
            SocketAddr::V4(a) => a.ip().to_string(),
        };
        self.say(&format!("  Trying {shown}:{}...", to.port()));
    }

    /// There is no connection to a host: why.
    pub fn not_connected(&mut self, code: i32, host: &str, port: u16, why: &str) -> Failure {
        let ms = self.ms();
        let said = format!("Failed to connect to {host} port {port} after {ms} ms: {why}");
        self.fail(code, said)
    }

    /// Shows a failure and gives it.
    pub fn fail(&mut self, code: i32, said: impl Into<String>) -> Failure {
        let said = said.into();
        self.say(&said);
        Failure {
            code,
            said,
            shown: true,
        }
    }

    /// What is left of both patiences while connecting; zero when it is over.
    pub fn left(&self) -> Duration {
        let connect = self.order.connect_patience.unwrap_or(CONNECT);
        let connect = connect.saturating_sub(self.connecting.elapsed());
        self.whole_left().map_or(connect, |l| l.min(connect))
    }

    /// What is left of the whole.
    pub fn whole_left(&self) -> Option<Duration> {
        let whole = self.order.patience?;
        Some(whole.saturating_sub(self.info.began.elapsed()))
    }

    /// HTTP/3 was there first.
    pub fn outrun(&mut self) -> bool {
        let mut rival = self.rival.take();
        let first = rival.as_mut().is_some_and(|r| r.won(self));
        self.rival = rival;
        first
    }

    /// How long is waited before somebody looks around, of what is left.
    pub fn turn(&self, left: Duration) -> Duration {
        left.min(Duration::from_millis(match self.rival {
            Some(_) => 10,
            None => 500,
        }))
    }

    /// Milliseconds since it began.
    pub fn ms(&self) -> u128 {
        self.info.hop.elapsed().as_millis()
    }

    /// Since the transfer began.
    pub fn at(&self) -> Duration {
        self.info.hop.elapsed()
    }
}
