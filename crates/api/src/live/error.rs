//! What can go wrong between here and the API server: a variant for each step that can fail, one
//! sentence each.

use super::words::{Denial, Tried};
use std::fmt;
use std::time::Duration;

/// Why the cluster did not give what was asked for. The sentence says what was tried, on what, what
/// came back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    // ---- before anything is sent ----
    /// No kubeconfig anywhere, and this is no pod.
    NoKubeconfig {
        /// Where it was looked for.
        looked: String,
    },
    /// A kubeconfig that cannot be read or is broken.
    Kubeconfig {
        /// The files.
        path: String,
        /// What came back.
        why: String,
    },
    /// A context, cluster or user that the kubeconfig does not have.
    NotInKubeconfig {
        /// `context`, `cluster`, `user`.
        what: &'static str,
        /// The name.
        name: String,
        /// Names that it has.
        known: Vec<String>,
    },
    /// The credentials of the kubeconfig could not be had: a credential plugin, a file.
    Credentials {
        /// The user entry.
        user: String,
        /// What came back.
        why: String,
    },
    /// This machine gave no thread or no event loop.
    Runtime {
        /// What came back.
        why: String,
    },

    // ---- on the way ----
    /// No connection to the API server.
    Unreachable {
        /// Its URL.
        server: String,
        /// The proxy that was to lead there; empty where there is none.
        proxy: String,
        /// What came back.
        why: String,
    },
    /// TLS with the API server failed: a certificate that is not trusted, expired, of another name.
    Tls {
        /// Its URL.
        server: String,
        /// What came back.
        why: String,
    },
    /// The connection broke in the middle of an answer.
    Broken {
        /// What was tried.
        tried: Box<Tried>,
        /// What came back.
        why: String,
    },
    /// No answer within the limit.
    Timeout {
        /// What was tried.
        tried: Box<Tried>,
        /// The limit.
        limit: Duration,
    },

    // ---- the API server says no ----
    /// 401: the credentials are not (or no longer) valid.
    Unauthorized {
        /// What was tried.
        tried: Box<Tried>,
        /// The API server's URL.
        server: String,
        /// The user entry of the kubeconfig.
        user: String,
    },
    /// 403 by RBAC or another authorizer.
    Forbidden(Box<Denial>),
    /// 403 by Pod Security admission.
    PodSecurity {
        /// What was tried.
        tried: Box<Tried>,
        /// `baseline` or `restricted`.
        level: String,
        /// Each violated rule, in the API server's words.
        violations: Vec<String>,
    },
    /// An admission webhook or policy said no.
    Denied {
        /// What was tried.
        tried: Box<Tried>,
        /// The webhook or policy.
        by: String,
        /// Its words.
        says: String,
    },
    /// An admission webhook did not answer, or answered nonsense.
    Webhook {
        /// What was tried.
        tried: Box<Tried>,
        /// The webhook.
        webhook: String,
        /// What came back.
        why: String,
    },
    /// A quota is used up.
    Quota {
        /// What was tried.
        tried: Box<Tried>,
        /// The API server's words.
        says: String,
    },
    /// The namespace is being deleted.
    NamespaceEnds {
        /// What was tried.
        tried: Box<Tried>,
        /// The namespace.
        namespace: String,
    },
    /// 404: there is no such object.
    NotFound {
        /// What was tried.
        tried: Box<Tried>,
        /// The API server's words.
        says: String,
    },
    /// The API server serves no such kind or version.
    UnknownKind {
        /// What was tried.
        tried: Box<Tried>,
        /// `group/version` that was asked for.
        version: String,
    },
    /// 409: an object of that name is there already.
    AlreadyExists {
        /// What was tried.
        tried: Box<Tried>,
        /// The API server's words.
        says: String,
    },
    /// 409: it was changed by somebody else in between, or a field belongs to somebody else.
    Conflict {
        /// What was tried.
        tried: Box<Tried>,
        /// The API server's words.
        says: String,
    },
    /// 410: the resource version or continue token is too old.
    Expired {
        /// What was tried.
        tried: Box<Tried>,
    },
    /// 400, 422: the object or the request is not valid.
    Invalid {
        /// What was tried.
        tried: Box<Tried>,
        /// The API server's words.
        says: String,
    },
    /// 429, and still after waiting as long as it asked.
    TooManyRequests {
        /// What was tried.
        tried: Box<Tried>,
        /// How long was waited in all.
        waited: Duration,
        /// The API server's words.
        says: String,
    },
    /// The API server cannot reach the kubelet of the pod's node.
    Kubelet {
        /// What was tried.
        tried: Box<Tried>,
        /// The API server's words.
        says: String,
    },
    /// Any other refusal.
    Refused {
        /// What was tried.
        tried: Box<Tried>,
        /// The HTTP status.
        code: u16,
        /// The API server's words.
        says: String,
    },
    /// An answer that is none.
    Nonsense {
        /// What was tried.
        tried: Box<Tried>,
        /// Where reading it failed.
        why: String,
    },

    // ---- streams ----
    /// The program could not be started in the container.
    NotStarted {
        /// What was tried.
        tried: Box<Tried>,
        /// The runtime's words.
        says: String,
    },
    /// The stream ended before the program did: a killed pod, a lost connection.
    Dropped {
        /// What was tried.
        tried: Box<Tried>,
        /// What came back; empty when the stream just ended.
        why: String,
    },
    /// Reading the own input or writing the own output failed.
    OwnStream {
        /// `read standard input`, `write standard output`.
        tried: &'static str,
        /// What came back.
        why: String,
        /// Nobody reads the output any more.
        closed: bool,
    },
}

impl Error {
    /// The object, or its kind, does not exist there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Error::NotFound { .. } | Error::UnknownKind { .. })
    }

    /// A right is missing.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Error::Forbidden(_))
    }

    /// The API server itself could not be asked: no other question will do better.
    pub fn is_no_cluster(&self) -> bool {
        matches!(
            self,
            Error::NoKubeconfig { .. }
                | Error::Kubeconfig { .. }
                | Error::NotInKubeconfig { .. }
                | Error::Credentials { .. }
                | Error::Runtime { .. }
                | Error::Unreachable { .. }
                | Error::Tls { .. }
                | Error::Unauthorized { .. }
        )
    }

    /// The API server is there and does not answer: a second question would only wait as long.
    pub fn is_silence(&self) -> bool {
        matches!(self, Error::Timeout { .. } | Error::TooManyRequests { .. })
    }

    /// The command or change that would help; empty when none is known.
    pub fn how_to_get(&self) -> String {
        match self {
            Error::Forbidden(d) => d.command(),
            Error::NotInKubeconfig {
                what: "context", ..
            } => "kubectl config get-contexts".into(),
            Error::NoKubeconfig { .. } => "export KUBECONFIG=FILE".into(),
            Error::Unauthorized { .. } => "log in again, then try: kubectl auth whoami".into(),
            Error::PodSecurity { level, .. } => {
                format!("a profile that passes the level {level}")
            }
            _ => String::new(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NoKubeconfig { looked } => write!(
                f,
                "no kubeconfig in {looked}, and this is no pod: name one with --kubeconfig or KUBECONFIG"
            ),
            Error::Kubeconfig { path, why } => write!(f, "read kubeconfig {path}: {why}"),
            Error::NotInKubeconfig { what, name, known } => {
                write!(f, "the kubeconfig has no {what} {name}")?;
                if !known.is_empty() {
                    write!(f, "; it has {}", known.join(", "))?;
                }
                Ok(())
            }
            Error::Credentials { user, why } => write!(f, "credentials of user {user}: {why}"),
            Error::Runtime { why } => write!(f, "start the event loop of the API client: {why}"),
            Error::Unreachable { server, proxy, why } if proxy.is_empty() => {
                write!(f, "the API server {server} cannot be reached: {why}")
            }
            Error::Unreachable { server, proxy, why } => write!(
                f,
                "the API server {server} cannot be reached through the proxy {proxy}: {why}"
            ),
            Error::Tls { server, why } => write!(f, "TLS with the API server {server}: {why}"),
            Error::Broken { tried, why } => write!(f, "{tried}: the connection broke: {why}"),
            Error::Timeout { tried, limit } => {
                write!(f, "{tried}: no answer within {} s", seconds(*limit))
            }
            Error::Unauthorized {
                tried,
                server,
                user,
            } => write!(
                f,
                "{tried}: the API server {server} does not accept the credentials of user {user} (401): expired, revoked, or of another cluster"
            ),
            Error::Forbidden(d) => d.fmt(f),
            Error::PodSecurity {
                tried,
                level,
                violations,
            } => write!(
                f,
                "{tried}: Pod Security level {level} of the namespace forbids it: {}",
                violations.join("; ")
            ),
            Error::Denied { tried, by, says } => write!(f, "{tried}: denied by {by}: {says}"),
            Error::Webhook {
                tried,
                webhook,
                why,
            } => write!(
                f,
                "{tried}: the admission webhook {webhook} did not answer: {why}"
            ),
            Error::NamespaceEnds { tried, namespace } => {
                write!(f, "{tried}: namespace {namespace} is being deleted")
            }
            Error::UnknownKind { tried, version } => {
                write!(f, "{tried}: the API server does not serve {version}")
            }
            Error::Expired { tried } => {
                write!(f, "{tried}: the list grew too old while it was read (410)")
            }
            Error::Quota { tried, says }
            | Error::NotFound { tried, says }
            | Error::AlreadyExists { tried, says }
            | Error::Conflict { tried, says }
            | Error::Invalid { tried, says } => write!(f, "{tried}: {says}"),
            Error::TooManyRequests {
                tried,
                waited,
                says,
            } => write!(
                f,
                "{tried}: too many requests (429), still after waiting {} s: {says}",
                seconds(*waited)
            ),
            Error::Kubelet { tried, says } => write!(
                f,
                "{tried}: the API server cannot reach the kubelet of the node: {says}"
            ),
            Error::Refused { tried, code, says } => write!(f, "{tried}: {says} (HTTP {code})"),
            Error::Nonsense { tried, why } => {
                write!(f, "{tried}: the answer cannot be read: {why}")
            }
            Error::NotStarted { tried, says } => write!(f, "{tried}: {says}"),
            Error::Dropped { tried, why } if why.is_empty() => write!(
                f,
                "{tried}: the stream ended before the program did (pod killed, or connection lost)"
            ),
            Error::Dropped { tried, why } => {
                write!(
                    f,
                    "{tried}: the stream broke before the program ended: {why}"
                )
            }
            Error::OwnStream { tried, why, .. } => write!(f, "{tried}: {why}"),
        }
    }
}

impl std::error::Error for Error {}

fn seconds(d: Duration) -> String {
    let ms = d.as_millis();
    if ms.is_multiple_of(1000) {
        format!("{}", ms / 1000)
    } else {
        format!("{:.1}", d.as_secs_f64())
    }
}
