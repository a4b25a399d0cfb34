//! kube-proxy's iptables mode, through Debian's iptables-restore.

use super::services::View;
use crate::Error;
use netshoot_host::netns::NetNs;

/// Replaces the rules of both families.
pub fn apply(_ns: &NetNs, _views: &[View]) -> Result<(), Error> {
    Err(Error::Absent {
        what: "iptables mode is not built yet".into(),
    })
}
