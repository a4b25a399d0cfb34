use super::{Need, Place, Runs, gap, not_mine};
use crate::http::{Get, get_many};
use netshoot_model::probe::{Answer, Question, kinds};

/// HTTP requests; the function is [`crate::http::get`].
pub const PROBE: Runs = Runs {
    kind: &kinds::http_get::KIND,
    run,
};

fn run(question: &Question, _: &Place) -> Answer {
    let Question::Http {
        to,
        host,
        path,
        tls,
        padding,
        tries,
        timeout_ms,
    } = question
    else {
        return not_mine(question);
    };
    let ask = Get {
        to: *to,
        host: host.clone(),
        path: path.clone(),
        tls: *tls,
        padding: *padding,
        timeout_ms: *timeout_ms,
    };
    match get_many(&ask, *tries) {
        Ok(attempts) => Answer::Http(attempts),
        Err(e) => gap(&e, Need::None),
    }
}

#[cfg(test)]
mod tests {
    use crate::http::{Get, get_many};
    use crate::sockets;
    use crate::testground::alone;
    use netshoot_model::probe::{HttpAttempt, Outcome};
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;
    use std::time::{Duration, Instant};

    /// One request to a server that does `serve` with each connection.
    fn against(
        local: &str,
        tries: u32,
        serve: impl Fn(TcpStream) + Send + Sync,
    ) -> Vec<HttpAttempt> {
        let listener = TcpListener::bind(local).unwrap();
        let to = listener.local_addr().unwrap();
        let ask = Get {
            to,
            host: "web".into(),
            path: "/x".into(),
            tls: false,
            padding: 3000,
            timeout_ms: 600,
        };
        std::thread::scope(|scope| {
            scope.spawn(|| (0..tries).for_each(|_| serve(listener.accept().unwrap().0)));
            get_many(&ask, tries).unwrap()
        })
    }

    fn read_request(stream: &mut TcpStream) -> String {
        let mut text = Vec::new();
        let mut byte = [0u8; 1];
        while !text.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
            text.push(byte[0]);
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    #[test]
    fn whole_responses() {
        alone(|| {
            for response in [
                "HTTP/1.1 503 Nope\r\nContent-Length: 2\r\n\r\nno",
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Nope\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
                "HTTP/1.0 503 Nope\r\n\r\nno",
            ] {
                for local in ["127.0.0.1:0", "[::1]:0"] {
                    let all = against(local, 3, |mut s| {
                        let request = read_request(&mut s);
                        assert!(
                            request.starts_with("GET /x HTTP/1.1\r\nHost: web\r\n")
                                && request.len() > 3000
                        );
                        s.write_all(response.as_bytes()).unwrap();
                    });
                    assert_eq!(all.len(), 3);
                    for a in &all {
                        assert_eq!(
                            (a.outcome, a.phase.as_str(), a.status),
                            (Outcome::Answered, "done", 503),
                            "{a:?}"
                        );
                        assert!(
                            a.connect_us > 0 && a.first_byte_us > 0 && a.total_us >= a.connect_us,
                            "{a:?}"
                        );
                    }
                }
            }
        });
    }

    #[test]
    fn ways_to_fail() {
        type Serve = fn(TcpStream);
        let cases: [(&str, Serve, Outcome, &str); 5] = [
            (
                "silence",
                |mut s| drop((read_request(&mut s), s.read(&mut [0; 9]))),
                Outcome::Silent,
                "response",
            ),
            (
                "a banner",
                |mut s| drop(s.write_all(b"SSH-2.0-x\r\n")),
                Outcome::Garbled,
                "response",
            ),
            (
                "closed at once",
                |mut s| drop(read_request(&mut s)),
                Outcome::Garbled,
                "response",
            ),
            (
                "half a body",
                |mut s| {
                    read_request(&mut s);
                    s.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
                        .unwrap();
                },
                Outcome::Garbled,
                "response",
            ),
            (
                "a reset",
                |mut s| {
                    read_request(&mut s);
                    // SAFETY: the pointer and length describe `linger`, which lives through the call.
                    unsafe {
                        let linger = libc::linger {
                            l_onoff: 1,
                            l_linger: 0,
                        };
                        let at = std::ptr::from_ref(&linger).cast();
                        libc::setsockopt(s.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, at, 8);
                    }
                },
                Outcome::Reset,
                "response",
            ),
        ];
        alone(|| {
            for (what, serve, outcome, phase) in cases {
                let began = Instant::now();
                let all = against("127.0.0.1:0", 1, serve);
                assert_eq!(
                    (all[0].outcome, all[0].phase.as_str()),
                    (outcome, phase),
                    "{what}: {all:?}"
                );
                assert!(began.elapsed() < Duration::from_millis(800), "{what}");
            }
        });
    }

    #[test]
    fn a_server_that_never_reads_leaves_bytes_unacknowledged() {
        alone(|| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            sockets::set(&listener, libc::SOL_SOCKET, libc::SO_RCVBUF, 1024).unwrap();
            let to = listener.local_addr().unwrap();
            let ask = Get {
                to,
                host: "w".into(),
                path: "".into(),
                tls: false,
                padding: 400_000,
                timeout_ms: 400,
            };
            let all = get_many(&ask, 1).unwrap();
            assert_eq!(all[0].outcome, Outcome::Silent);
            assert!(all[0].unacknowledged > 0, "{all:?}");
        });
    }

    #[test]
    fn a_closed_port_is_refused_while_connecting() {
        alone(|| {
            let to = TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap();
            let ask = Get {
                to,
                host: "w".into(),
                path: "".into(),
                tls: true,
                padding: 0,
                timeout_ms: 400,
            };
            let all = get_many(&ask, 1).unwrap();
            assert_eq!(
                (all[0].outcome, all[0].phase.as_str()),
                (Outcome::Refused, "connect"),
                "{all:?}"
            );
        });
    }
}
