//! Failures in the words that Python's libraries have for them: scripts look for these.

use super::exit;
use netshoot_host::web::Failure;
use netshoot_host::web::failure::code;
use netshoot_wire::web::url::Url;

/// What is known of a request that failed.
pub struct Failed<'a> {
    /// Why.
    pub failure: &'a Failure,
    /// The system's number.
    pub errno: i32,
    /// Its word.
    pub method: &'a str,
    /// Where to.
    pub url: &'a Url,
    /// It went through a proxy: its host and port.
    pub proxy: Option<(String, u16)>,
    /// What came instead of a head.
    pub garbage: Option<&'a [u8]>,
    /// Patience, seconds.
    pub timeout: f64,
    /// It was over.
    pub late: bool,
    /// Bytes of the body that came.
    pub got: u64,
}

/// Seconds as Python writes them.
fn seconds(value: f64) -> String {
    netshoot_wire::json::number(&format!("{value:e}"))
}

fn pool(host: &str, port: u16, secure: bool) -> String {
    let kind = if secure { "HTTPS" } else { "HTTP" };
    format!("{kind}ConnectionPool(host='{host}', port={port})")
}

impl Failed<'_> {
    fn secure(&self) -> bool {
        self.url.scheme == "https"
    }

    fn tried(&self) -> String {
        let doing = format!(
            " while doing a {} request to URL: {}",
            self.method, self.url
        );
        doing
    }

    fn retries(&self, cause: &str) -> String {
        let (host, port, target) = match &self.proxy {
            Some((host, port)) if !self.secure() => (host.clone(), *port, self.url.to_string()),
            _ => (self.url.host.clone(), self.url.port(), self.url.target()),
        };
        let pool = pool(&host, port, self.secure());
        format!("{pool}: Max retries exceeded with url: {target} (Caused by {cause})")
    }

    fn connect(&self) -> String {
        let io = std::io::Error::from_raw_os_error(self.errno);
        let why = match self.errno {
            0 => "Failed to establish a new connection".to_string(),
            _ => format!(
                "Failed to establish a new connection: {}",
                super::errno(&io)
            ),
        };
        let new = format!("NewConnectionError('{why}')");
        match &self.proxy {
            Some(_) => {
                let cause = format!("ProxyError('Cannot connect to proxy.', {new})");
                format!("ProxyError: {}", self.retries(&cause))
            }
            None => format!("ConnectionError: {}", self.retries(&new)),
        }
    }

    fn name(&self) -> String {
        let hints = netshoot_host::names::Hints {
            family: 0,
            kind: libc::SOCK_STREAM,
            flags: 0,
        };
        // Asked once more: now for the reason.
        let asked = netshoot_host::names::resolve(Some(&self.url.host), None, hints);
        let why = asked
            .err()
            .unwrap_or_else(|| "Name or service not known".into());
        let (number, advice) = match why.as_str() {
            "Temporary failure in name resolution" => (
                -3,
                "\nCouldn’t connect to a DNS server. Please check your connection and try again.",
            ),
            "No address associated with hostname" => (-5, ""),
            _ => (
                -2,
                "\nCouldn’t resolve the given hostname. Please check the URL and try again.",
            ),
        };
        format!("gaierror: [Errno {number}] {why}{advice}")
    }

    fn certificate(&self) -> String {
        let said = &self.failure.said;
        let why = said
            .rsplit_once(": ")
            .map_or(said.as_str(), |p| p.1)
            .trim_end_matches('.');
        let cause = match self.failure.code {
            code::UNTRUSTED => format!(
                "SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: {why} (_ssl.c:992)'))"
            ),
            _ => format!("SSLError(SSLError(1, '{why} (_ssl.c:992)'))"),
        };
        format!("SSLError: {}", self.retries(&cause))
    }

    /// The sentence and the exit code.
    pub fn told(&self) -> (String, i32) {
        if self.late || self.failure.code == code::TIMEOUT {
            let said = format!("Request timed out ({}s).", seconds(self.timeout));
            return (said, exit::TIMEOUT);
        }
        let aborted = |what: &str| format!("ConnectionError: ('Connection aborted.', {what})");
        let said = match self.failure.code {
            code::HOST_NAME => return (self.name(), exit::ERROR),
            code::CONNECT | code::PROXY_NAME => self.connect(),
            code::NOTHING => {
                aborted("RemoteDisconnected('Remote end closed connection without response')")
            }
            _ if self.garbage.is_some() => {
                let line = self.garbage.unwrap_or_default();
                let line = line
                    .split_inclusive(|b| *b == b'\n')
                    .next()
                    .unwrap_or_default();
                let line = String::from_utf8_lossy(line);
                aborted(&format!("BadStatusLine({})", super::python(&line)))
            }
            code::RECEIVE | code::SEND if self.failure.said.contains("reset") => {
                let what = "ConnectionResetError(104, 'Connection reset by peer')";
                match self.got {
                    0 => aborted(what),
                    _ => format!("ChunkedEncodingError: (\"Connection broken: {what}\", {what})"),
                }
            }
            code::TLS | code::UNTRUSTED | code::CERTIFICATE | code::CIPHER => self.certificate(),
            code::PARTIAL => {
                let what = "InvalidChunkLength(got length b'', 0 bytes read)";
                let said = format!("ChunkedEncodingError: (\"Connection broken: {what}\", {what})");
                return (said, exit::ERROR);
            }
            code::ENCODING => {
                let said = "ContentDecodingError: ('Received response with content-encoding: gzip, but failed to decode it.', error('Error -3 while decompressing data: incorrect header check'))";
                return (said.into(), exit::ERROR);
            }
            code::URL => return (self.name(), exit::ERROR),
            code::UNSUPPORTED => {
                let said = format!(
                    "InvalidSchema: No connection adapters were found for '{}'",
                    self.url
                );
                return (said, exit::ERROR);
            }
            _ if self.failure.said.starts_with("HTTPException") => aborted(&self.failure.said),
            _ if self.failure.said.contains("chunked-encoding") => {
                let why = super::python(&self.failure.said);
                return (format!("ChunkedEncodingError: {why}"), exit::ERROR);
            }
            _ => aborted(&super::python(&self.failure.said)),
        };
        (said + &self.tried(), exit::ERROR)
    }
}
