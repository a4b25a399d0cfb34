use super::{Kind, Need, Place, gap, not_mine};
use crate::http::{Get, get_many};
use netshoot_model::probe::{Answer, Harm, Question};

/// HTTP requests; the function is [`crate::http::get`].
pub const PROBE: Kind = Kind {
    id: "http_get",
    asks: "does an HTTP server answer, how fast in each phase, and in which phase does it stop",
    asks_zh: "HTTP 服务器是否应答，各阶段多快，停在哪个阶段",
    needs: &[Need::None],
    harm: Harm::Series,
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
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

const PAGE: &str = "\
# http_get

## What it asks

What an HTTP/1.1 server does with a GET request, from the SYN to the last byte, as many times as
told, 8 ms apart.

## What it sends

For each try a connection, with `tls` a TLS handshake (the certificate is not verified), one GET
request with `Connection: close`. `padding` adds so many bytes in `X-Padding` headers: enough of
them fill whole segments, which a path with a smaller MTU behind it then loses.

## What the answers mean

- `answered`: a whole response came, whatever its status.
- `phase` says how far it came: `connect`, `tls`, `request`, `response`, `done`.
- `silent` in `response` with `unacknowledged` bytes and `retransmissions`: the request never
  arrived, though the handshake did (MTU). Without unacknowledged bytes: the server has the
  request and does not answer.
- `reset` in `response`: the server, or something on the way, tore the connection down.
- `garbled`: what came is not HTTP, or was cut short; `detail` says which.
";

const PAGE_ZH: &str = "\
# http_get

## 问什么

HTTP/1.1 服务器如何处理一个 GET 请求，从 SYN 到最后一个字节；按指定次数尝试，间隔 8 毫秒。

## 发送什么

每次尝试建立一个连接；带 `tls` 时进行 TLS 握手（不校验证书）；发送一个带 `Connection: close` 的 GET 请求。`padding` 以 `X-Padding` 头增加相应的字节数：足够多时会填满整个报文段，而其后 MTU 更小的路径就会丢失它们。

## 应答的含义

- `answered`：收到了完整的响应，无论状态码是什么。
- `phase` 说明进行到哪一步：`connect`、`tls`、`request`、`response`、`done`。
- 停在 `response` 的 `silent`，并有 `unacknowledged` 字节和 `retransmissions`：握手到达了，请求却始终没有到达（MTU）。若没有未确认的字节：服务器收到了请求，但不应答。
- 停在 `response` 的 `reset`：服务器或路径上的某个设备断开了连接。
- `garbled`：收到的不是 HTTP，或中途截断；`detail` 说明是哪一种。
";

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
