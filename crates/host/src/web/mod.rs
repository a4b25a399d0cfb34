//! A client for the web as people know it from the command line: HTTP with every byte under control, so that what is shown
//! is what was sent and came; TLS, proxies, cookies, logins, redirects, bodies of any size.
//!
//! Reading order: [`order`] (what is wanted), [`perform`] (one transfer, through redirects and logins), [`dial`] (a
//! connection), [`exchange`] (request and response on it), [`request`], [`response`]; [`many`] where several share one, by [`h2`] or by
//! [`h3`] over [`quic`].
//!
//! Deliberately absent: files and options of a tool; who watches ([`Watch`]) gets the bytes.

pub mod auth;
pub mod decode;
pub mod dial;
pub mod exchange;
pub mod failure;
pub mod h2;
pub mod h3;
pub mod local;
pub mod many;
pub mod netrc;
pub mod order;
pub mod perform;
pub mod pipe;
mod pool;
pub mod proxy;
pub mod quic;
pub mod request;
pub mod response;
pub mod resume;
pub mod secure;
pub mod session;
pub mod telnet;
pub mod tunnel;

pub use failure::Failure;
pub use order::{Body, Login, Order, Tls, Verb};
pub use session::{Info, Kind, Session, Watch};
