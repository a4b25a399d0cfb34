//! What is wanted of one transfer.

use netshoot_wire::web::alternatives::Offers;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What is done with the resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verb {
    /// Got.
    #[default]
    Get,
    /// Only its head.
    Head,
    /// Something is posted to it.
    Post,
    /// It is written.
    Put,
}

/// What is sent with the request.
#[derive(Clone, Debug, Default)]
pub enum Body {
    /// Nothing.
    #[default]
    None,
    /// These bytes.
    Bytes(Vec<u8>),
    /// What the one who watches gives; its size where it is known.
    Given(Option<u64>),
}

/// Ways to log in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ways {
    /// RFC 7617.
    pub basic: bool,
    /// RFC 7616.
    pub digest: bool,
    /// RFC 6750.
    pub bearer: bool,
}

impl Ways {
    /// How many.
    pub fn count(self) -> usize {
        [self.basic, self.digest, self.bearer]
            .iter()
            .filter(|w| **w)
            .count()
    }
}

/// Who logs in, and how.
#[derive(Clone, Debug, Default)]
pub struct Login {
    /// Name and password.
    pub user: Option<(String, String)>,
    /// A token.
    pub bearer: Option<String>,
    /// The ways that may be used; one alone is used unasked where that is possible.
    pub ways: Ways,
}

/// What is asked of TLS.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The certificate must be good.
    pub verify: bool,
    /// Authorities, PEM.
    pub authorities: Option<PathBuf>,
    /// A folder of them.
    pub folder: Option<PathBuf>,
    /// The client's own certificate, PEM.
    pub certificate: Option<PathBuf>,
    /// Its key; else in the same file.
    pub key: Option<PathBuf>,
    /// Least version: 12 or 13.
    pub least: u8,
    /// Highest version.
    pub most: u8,
    /// Suites of TLS 1.2 by OpenSSL's names.
    pub ciphers: Option<String>,
    /// Suites of TLS 1.3.
    pub ciphers13: Option<String>,
    /// `sha256//...` or a file with the public key that must be presented.
    pub pinned: Option<String>,
    /// ALPN is used.
    pub alpn: bool,
    /// Sessions are taken up again.
    pub resume: bool,
}

impl Default for Tls {
    fn default() -> Tls {
        Tls {
            verify: true,
            authorities: None,
            folder: None,
            certificate: None,
            key: None,
            least: 12,
            most: 13,
            ciphers: None,
            ciphers13: None,
            pinned: None,
            alpn: true,
            resume: false,
        }
    }
}

/// A condition on the time of the resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// Only if it is newer than that (seconds since 1970).
    Newer(i64),
    /// Only if it is not.
    Older(i64),
}

/// Which version of HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// 1.1, or 2 where TLS offers it.
    Any,
    /// 1.0.
    V10,
    /// 1.1.
    #[default]
    V11,
    /// As any; without TLS, the change to 2 is asked for.
    Upgrade,
    /// 2, from the first byte.
    V2,
    /// 3, or what TLS offers where that is not to be had.
    V3,
    /// 3 alone.
    V3Only,
}

/// One transfer.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // each is an option of curl(1) by its name
pub struct Order {
    pub url: String,
    pub default_scheme: Option<String>,
    pub path_as_is: bool,
    pub verb: Verb,
    /// Said instead of the verb's own word.
    pub method: Option<String>,
    pub body: Body,
    /// Of a body that has one by itself.
    pub content_type: Option<String>,
    pub headers: Vec<String>,
    pub proxy_headers: Vec<String>,
    pub user_agent: Option<String>,
    pub referer: Option<String>,
    pub auto_referer: bool,
    pub login: Login,
    pub proxy_login: Login,
    /// Other hosts get the login too.
    pub trusted: bool,
    /// `name=value; ...`, sent besides those of the jar.
    pub cookie: Option<String>,
    /// The jar is used.
    pub cookies: bool,
    pub range: Option<String>,
    /// Bytes that are there already; negative for what the resource holds.
    pub resume: Option<i64>,
    pub since: Option<Since>,
    pub follow: bool,
    /// Negative for any number.
    pub most_redirects: i64,
    pub keep_post: [bool; 3],
    pub version: Version,
    pub http09: bool,
    pub encoding: Option<String>,
    pub transfer_encoding: bool,
    pub raw: bool,
    pub ignore_length: bool,
    /// 400 and above is a failure; true twice for: but the body is wanted.
    pub fail: bool,
    pub fail_with_body: bool,
    pub largest: Option<u64>,
    pub tls: Tls,
    pub proxy_tls: Tls,
    pub proxy: Option<String>,
    pub preproxy: Option<String>,
    pub no_proxy: Option<String>,
    pub tunnel: bool,
    pub proxy10: bool,
    pub hide_connect: bool,
    pub resolve: Vec<String>,
    pub connect_to: Vec<String>,
    pub interface: Option<String>,
    pub local_ports: Option<(u16, u16)>,
    /// A path, or `@name` without a file.
    pub unix: Option<String>,
    /// 4, 6, or 0 for both.
    pub family: u8,
    pub connect_patience: Option<Duration>,
    pub patience: Option<Duration>,
    pub expect_patience: Duration,
    pub second_family: Duration,
    /// Bytes a second.
    pub limit: Option<u64>,
    pub slow: Option<(u64, u64)>,
    pub keepalive: Option<u32>,
    pub nodelay: bool,
    pub haproxy: bool,
    pub target: Option<String>,
    pub no_url_login: bool,
    /// Schemes that may be used, and that a redirect may lead to.
    pub schemes: Vec<String>,
    pub redirect_schemes: Vec<String>,
    pub telnet: Vec<String>,
    pub append: bool,
    /// Line ends of what is sent become CR LF.
    pub crlf: bool,
    /// Everything is told to the one who watches.
    pub verbose: bool,
    /// Logins by host of a netrc file.
    pub netrc: Option<Netrc>,
    /// Offers of `Alt-Svc` are taken and heeded.
    pub offers: Option<Arc<Mutex<Offers>>>,
}

/// A netrc file.
#[derive(Clone, Debug)]
pub struct Netrc {
    /// Its text.
    pub text: String,
    /// A login of the command line or the URL goes first.
    pub optional: bool,
}

impl Default for Order {
    fn default() -> Order {
        let all = || ["http", "https", "ws", "wss"].map(String::from).to_vec();
        let mut schemes = all();
        schemes.extend(["file", "telnet"].map(String::from));
        Order {
            url: String::new(),
            default_scheme: None,
            path_as_is: false,
            verb: Verb::Get,
            method: None,
            body: Body::None,
            content_type: None,
            headers: Vec::new(),
            proxy_headers: Vec::new(),
            user_agent: None,
            referer: None,
            auto_referer: false,
            login: Login::default(),
            proxy_login: Login::default(),
            trusted: false,
            cookie: None,
            cookies: false,
            range: None,
            resume: None,
            since: None,
            follow: false,
            most_redirects: 50,
            keep_post: [false; 3],
            version: Version::default(),
            http09: false,
            encoding: None,
            transfer_encoding: false,
            raw: false,
            ignore_length: false,
            fail: false,
            fail_with_body: false,
            largest: None,
            tls: Tls::default(),
            proxy_tls: Tls::default(),
            proxy: None,
            preproxy: None,
            no_proxy: None,
            tunnel: false,
            proxy10: false,
            hide_connect: false,
            resolve: Vec::new(),
            connect_to: Vec::new(),
            interface: None,
            local_ports: None,
            unix: None,
            family: 0,
            connect_patience: None,
            patience: None,
            expect_patience: Duration::from_secs(1),
            second_family: Duration::from_millis(200),
            limit: None,
            slow: None,
            keepalive: Some(60),
            nodelay: true,
            haproxy: false,
            target: None,
            no_url_login: false,
            schemes,
            redirect_schemes: all(),
            telnet: Vec::new(),
            append: false,
            crlf: false,
            verbose: false,
            netrc: None,
            offers: None,
        }
    }
}
