//! One request: its limit, waiting when the server asks for it, and what went wrong on the way.

use super::connect::chain;
use super::error::Error;
use super::words::Tried;
use super::{Cluster, credentials, refusal};
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::Value;
use std::time::{Duration, Instant};

/// The longest that is waited in all when the server says "too many requests".
const MOST_WAIT: Duration = Duration::from_secs(15);
/// The largest answer that is read at once.
const MOST_BYTES: usize = 256 << 20;

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub tried: Tried,
    pub method: Method,
    /// Path with query.
    pub path: String,
    pub body: Vec<u8>,
    /// Empty for none.
    pub content_type: &'static str,
    pub accept: &'static str,
}

impl Call {
    pub fn get(tried: Tried, path: String) -> Call {
        Call {
            tried,
            method: Method::GET,
            path,
            body: Vec::new(),
            content_type: "",
            accept: "application/json",
        }
    }

    pub fn post(tried: Tried, path: String, body: &Value) -> Call {
        Call {
            method: Method::POST,
            body: body.to_string().into_bytes(),
            content_type: "application/json",
            ..Call::get(tried, path)
        }
    }

    fn request(&self) -> Result<Request<Body>, Error> {
        let mut r = Request::builder()
            .method(self.method.clone())
            .uri(&self.path)
            .header(http::header::ACCEPT, self.accept)
            .header(http::header::USER_AGENT, "netshoot");
        if !self.content_type.is_empty() {
            r = r.header(http::header::CONTENT_TYPE, self.content_type);
        }
        r.body(Body::from(self.body.clone()))
            .map_err(|e| Error::Invalid {
                tried: Box::new(self.tried.clone()),
                says: format!("no such request can be made: {e}"),
            })
    }
}

/// `a=b&c=d`, percent-encoded; nothing with an empty value.
pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    let mut out = String::new();
    for (key, value) in pairs.iter().filter(|(_, v)| !v.is_empty()) {
        out.push(if out.is_empty() { '?' } else { '&' });
        out.push_str(key);
        out.push('=');
        out.push_str(&encode(value));
    }
    out
}

/// RFC 3986 percent-encoding of everything that is not unreserved.
pub(super) fn encode(text: &str) -> String {
    let mut out = String::new();
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
            out.push(b as char);
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}

impl Cluster {
    /// A request with JSON for an answer.
    pub(super) fn json(&self, call: &Call) -> Result<Value, Error> {
        let bytes = self.bytes(call)?;
        serde_json::from_slice(&bytes).map_err(|e| Error::Nonsense {
            tried: Box::new(call.tried.clone()),
            why: e.to_string(),
        })
    }

    /// A request, its whole answer.
    pub(super) fn bytes(&self, call: &Call) -> Result<Vec<u8>, Error> {
        let began = Instant::now();
        self.events.wait(async {
            let response = self.send(call).await?;
            let left = self.about.limit.map(|l| l.saturating_sub(began.elapsed()));
            self.within(call, left, self.whole(call, response)).await
        })
    }

    async fn whole(&self, call: &Call, response: Response<Body>) -> Result<Vec<u8>, Error> {
        let mut body = response.into_body();
        let mut out = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|e| Error::Broken {
                tried: Box::new(call.tried.clone()),
                why: chain(&e),
            })?;
            if let Ok(data) = frame.into_data() {
                out.extend_from_slice(&data);
            }
            if out.len() > MOST_BYTES {
                return Err(Error::Nonsense {
                    tried: Box::new(call.tried.clone()),
                    why: format!("more than {MOST_BYTES} bytes"),
                });
            }
        }
        Ok(out)
    }

    /// Sends; gives the answer's head. Waits when the server is busy, as long as it says and no
    /// longer than the limits.
    pub(super) async fn send(&self, call: &Call) -> Result<Response<Body>, Error> {
        let mut waited = Duration::ZERO;
        let mut broken = false;
        loop {
            let sent = self.client.send(call.request()?);
            let response = match self.within_kube(call, sent).await {
                // A pooled connection that the server had closed: asking again is safe for reads.
                Err(Error::Broken { .. }) if !broken && call.method == Method::GET => {
                    broken = true;
                    continue;
                }
                other => other?,
            };
            let code = response.status().as_u16();
            if code < 400 {
                return Ok(response);
            }
            let again = wait_for(&response, code);
            let body = self.within(call, self.about.limit, self.whole(call, response));
            let body = String::from_utf8_lossy(&body.await.unwrap_or_default()).into_owned();
            let refused = refusal::of(&call.tried, &self.about.asked, code, &body);
            let busy = code == 429 || (call.method == Method::GET && matches!(code, 503 | 504));
            match again {
                Some(pause) if busy && waited + pause <= MOST_WAIT => {
                    tokio::time::sleep(pause).await;
                    waited += pause;
                }
                _ => {
                    return Err(match refused {
                        Error::TooManyRequests { tried, says, .. } => Error::TooManyRequests {
                            tried,
                            waited,
                            says,
                        },
                        other => other,
                    });
                }
            }
        }
    }

    async fn within_kube<T>(
        &self,
        call: &Call,
        work: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, Error> {
        self.within(call, self.about.limit, async {
            work.await.map_err(|e| self.on_the_way(&call.tried, &e))
        })
        .await
    }

    async fn within<T>(
        &self,
        call: &Call,
        limit: Option<Duration>,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let Some(limit) = limit else {
            return work.await;
        };
        match tokio::time::timeout(limit, work).await {
            Ok(done) => done,
            Err(_) => Err(Error::Timeout {
                tried: Box::new(call.tried.clone()),
                limit: self.about.limit.unwrap_or(limit),
            }),
        }
    }

    /// What an error of kube means: it says little itself, its sources say more.
    pub(super) fn on_the_way(&self, tried: &Tried, e: &kube::Error) -> Error {
        let server = self.about.asked.server.clone();
        let user = self.about.asked.user.clone();
        let said = chain(e);
        let io = io_kind(e);
        let tail = last_words(&said);
        match e {
            kube::Error::Api(status) => {
                let body = serde_json::to_string(status).unwrap_or_default();
                refusal::of(tried, &self.about.asked, status.code, &body)
            }
            _ if credentials::failure(e).is_some() => Error::Credentials {
                user,
                why: credentials::why(e, &self.about.asked.plugin),
            },
            // What is no TLS at all comes as invalid data.
            _ if said.contains("certificate") || io == Some(std::io::ErrorKind::InvalidData) => {
                Error::Tls { server, why: tail }
            }
            kube::Error::Service(_) if said.contains("(Connect)") || is_connect(io) => {
                Error::Unreachable {
                    server,
                    proxy: self.about.asked.proxy.clone(),
                    why: tail,
                }
            }
            _ => Error::Broken {
                tried: Box::new(tried.clone()),
                why: tail,
            },
        }
    }
}

/// The kind of the innermost IO error. One that wraps another does not give it as its source.
fn io_kind(e: &(dyn std::error::Error + 'static)) -> Option<std::io::ErrorKind> {
    let mut next = Some(e);
    let mut found = None;
    while let Some(e) = next {
        next = match e.downcast_ref::<std::io::Error>() {
            Some(io) => {
                found = Some(io.kind());
                io.get_ref().map(|inner| inner as _)
            }
            None => e.source(),
        };
    }
    found
}

fn is_connect(kind: Option<std::io::ErrorKind>) -> bool {
    use std::io::ErrorKind as K;
    matches!(
        kind,
        Some(K::ConnectionRefused | K::HostUnreachable | K::NetworkUnreachable | K::TimedOut)
    )
}

/// What lies deepest: `ServiceError: client error (Connect): tcp connect error: Connection refused`.
fn last_words(chain: &str) -> String {
    let useful = [
        "ServiceError: ",
        "client error (Connect): ",
        "HyperError: ",
        "auth error: ",
    ];
    let mut text = chain;
    while let Some(rest) = useful.iter().find_map(|u| text.strip_prefix(u)) {
        text = rest;
    }
    text.replace("deadline has elapsed", "no answer within 10 s")
}

/// How long the server wants to be left alone: `Retry-After` in seconds (RFC 9110); a 429 without
/// it means one second.
fn wait_for<B>(response: &Response<B>, code: u16) -> Option<Duration> {
    let said = response.headers().get(http::header::RETRY_AFTER);
    let seconds = match said {
        None if code != 429 => return None,
        None => 1,
        Some(v) => v.to_str().ok()?.trim().parse().ok()?,
    };
    Some(Duration::from_secs(seconds))
}
