//! HTTP/1.1 message heads (RFC 9112).
