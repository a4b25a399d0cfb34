//! The cluster DNS: answers as CoreDNS does for these objects. A stand-in, lean and alone in this file.

/// Serves, in the container of the cluster's DNS.
pub(crate) fn start(_end: std::sync::mpsc::Sender<i32>) -> Result<(), String> {
    Err("DNS is not there yet".into())
}
