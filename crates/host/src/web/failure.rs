//! Why a transfer failed: the number that curl(1) lists, and a sentence.

/// A transfer that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// One of the exit codes of curl(1).
    pub code: i32,
    /// What was tried, on what, what came back.
    pub said: String,
    /// It was said already where everything is shown.
    pub shown: bool,
}

/// The codes that are told apart here.
#[allow(missing_docs)]
pub mod code {
    pub const UNSUPPORTED: i32 = 1;
    pub const URL: i32 = 3;
    pub const PROXY_NAME: i32 = 5;
    pub const HOST_NAME: i32 = 6;
    pub const CONNECT: i32 = 7;
    pub const WEIRD: i32 = 8;
    pub const HTTP2: i32 = 16;
    pub const PARTIAL: i32 = 18;
    pub const HTTP: i32 = 22;
    pub const WRITE: i32 = 23;
    pub const READ: i32 = 26;
    pub const OUT_OF_MEMORY: i32 = 27;
    pub const TIMEOUT: i32 = 28;
    pub const RANGE: i32 = 33;
    pub const TLS: i32 = 35;
    pub const RESUME: i32 = 36;
    pub const FILE: i32 = 37;
    pub const ABORTED: i32 = 42;
    pub const BIND: i32 = 45;
    pub const REDIRECTS: i32 = 47;
    pub const OPTION: i32 = 49;
    pub const NOTHING: i32 = 52;
    pub const SEND: i32 = 55;
    pub const RECEIVE: i32 = 56;
    pub const CERTIFICATE: i32 = 58;
    pub const CIPHER: i32 = 59;
    pub const UNTRUSTED: i32 = 60;
    pub const ENCODING: i32 = 61;
    pub const TOO_LARGE: i32 = 63;
    pub const REWIND: i32 = 65;
    pub const AUTHORITIES: i32 = 77;
    pub const PINNED: i32 = 90;
    pub const STREAM: i32 = 92;
    pub const LOGIN: i32 = 94;
    pub const HTTP3: i32 = 95;
    pub const QUIC: i32 = 96;
    pub const PROXY: i32 = 97;
}

impl Failure {
    /// With a sentence of its own.
    pub fn new(code: i32, said: impl Into<String>) -> Failure {
        Failure {
            code,
            said: said.into(),
            shown: false,
        }
    }

    /// With the sentence that belongs to the code.
    pub fn plain(code: i32) -> Failure {
        Failure {
            code,
            said: sentence(code).into(),
            shown: true,
        }
    }
}

/// The sentence that belongs to a code.
pub fn sentence(code: i32) -> &'static str {
    match code {
        0 => "No error",
        1 => "Unsupported protocol",
        2 => "Failed initialization",
        3 => "URL using bad/illegal format or missing URL",
        5 => "Couldn't resolve proxy name",
        6 => "Couldn't resolve host name",
        7 => "Couldn't connect to server",
        8 => "Weird server reply",
        16 => "Error in the HTTP2 framing layer",
        18 => "Transferred a partial file",
        22 => "HTTP response code said error",
        23 => "Failed writing received data to disk/application",
        26 => "Failed to open/read local data from file/application",
        28 => "Timeout was reached",
        33 => "Requested range was not delivered by the server",
        35 => "SSL connect error",
        36 => "Couldn't resume download",
        37 => "Couldn't read a file:// file",
        42 => "Operation was aborted by an application callback",
        43 => "A libcurl function was given a bad argument",
        45 => "Failed binding local connection end",
        47 => "Number of redirects hit maximum amount",
        49 => "Malformed telnet option",
        52 => "Server returned nothing (no headers, no data)",
        55 => "Failed sending data to the peer",
        56 => "Failure when receiving data from the peer",
        58 => "Problem with the local SSL certificate",
        59 => "Couldn't use specified SSL cipher",
        60 => "SSL peer certificate or SSH remote key was not OK",
        61 => "Unrecognized or bad HTTP Content or Transfer-Encoding",
        63 => "Maximum file size exceeded",
        65 => "Send failed since rewinding of the data stream failed",
        77 => "Problem with the SSL CA cert (path? access rights?)",
        92 => "Stream error in the HTTP/2 framing layer",
        90 => "SSL public key does not match pinned public key",
        94 => "An authentication function returned an error",
        95 => "HTTP/3 error",
        96 => "QUIC connection error",
        97 => "proxy handshake error",
        _ => "Unknown error",
    }
}
