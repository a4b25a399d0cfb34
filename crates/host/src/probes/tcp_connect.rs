use super::{Need, Place, Runs, gap, not_mine};
use crate::tcp;
use netshoot_model::probe::{Answer, Question, kinds};

/// TCP handshakes; the function is [`tcp::connect_many`].
pub const PROBE: Runs = Runs {
    kind: &kinds::tcp_connect::KIND,
    run,
};

fn run(question: &Question, _: &Place) -> Answer {
    let Question::TcpConnect {
        to,
        tries,
        timeout_ms,
    } = question
    else {
        return not_mine(question);
    };
    match tcp::connect_many(*to, *tries, *timeout_ms) {
        Ok(attempts) => Answer::TcpConnect(attempts),
        Err(e) => gap(&e, Need::None),
    }
}

#[cfg(test)]
mod tests {
    use crate::tcp::connect_many;
    use crate::testground::alone;
    use netshoot_model::probe::{Attempt, Outcome};
    use std::net::{SocketAddr, TcpListener};
    use std::time::{Duration, Instant};

    fn attempts(to: SocketAddr, tries: u32, timeout_ms: u32) -> (Vec<Attempt>, Duration) {
        let began = Instant::now();
        (
            connect_many(to, tries, timeout_ms).unwrap(),
            began.elapsed(),
        )
    }

    const BOTH: [&str; 2] = ["127.0.0.1:0", "[::1]:0"];

    #[test]
    fn open_and_closed_ports() {
        alone(|| {
            for local in BOTH {
                let listener = TcpListener::bind(local).unwrap();
                let to = listener.local_addr().unwrap();
                let (open, _) = attempts(to, 5, 1000);
                assert!(
                    open.len() == 5 && open.iter().all(|a| a.outcome == Outcome::Answered),
                    "{open:?}"
                );
                drop(listener);
                let (closed, took) = attempts(to, 2, 1000);
                assert!(
                    closed.len() == 2 && closed.iter().all(|a| a.outcome == Outcome::Refused),
                    "{closed:?}"
                );
                assert_eq!(closed[0].detail, "Connection refused");
                assert!(took < Duration::from_millis(500), "{took:?}");
            }
        });
    }

    #[test]
    fn a_full_accept_queue_is_silent() {
        alone(|| {
            for local in BOTH {
                let listener = TcpListener::bind(local).unwrap();
                // SAFETY: listen takes no pointers; again only to set the backlog.
                unsafe { libc::listen(std::os::fd::AsRawFd::as_raw_fd(&listener), 0) };
                let to = listener.local_addr().unwrap();
                let (all, took) = attempts(to, 5, 1300);
                let silent: Vec<_> = all
                    .iter()
                    .filter(|a| a.outcome == Outcome::Silent)
                    .collect();
                assert!(
                    !silent.is_empty() && silent.len() < 5,
                    "a backlog of 0 takes some, not all: {all:?}"
                );
                assert!(silent.iter().all(|a| a.retransmissions >= 1), "{silent:?}");
                assert!(
                    took >= Duration::from_millis(1300) && took < Duration::from_millis(1600),
                    "{took:?}"
                );
            }
        });
    }

    #[test]
    fn no_route_is_unreachable() {
        alone(|| {
            for to in ["192.0.2.1:80", "[2001:db8::1]:80"] {
                let (all, _) = attempts(to.parse().unwrap(), 1, 500);
                assert_eq!(all[0].outcome, Outcome::Unreachable, "{all:?}");
                assert_eq!(all[0].detail, "Network is unreachable");
            }
        });
    }
}
