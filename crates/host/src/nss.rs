//! Names of hosts and users without shared objects. A static glibc has the services `files` and
//! `dns` inside; for any other word in nsswitch.conf(5) it would search for a `libnss_*.so` of the
//! system and load it into this process, which may crash it.

use std::ffi::{CStr, c_char, c_int};

unsafe extern "C" {
    /// glibc, <nss.h>: overrides nsswitch.conf for one database.
    fn __nss_configure_lookup(database: *const c_char, services: *const c_char) -> c_int;
}

/// What is inside the binary, by database.
const LOOKUPS: [(&CStr, &CStr); 5] = [
    (c"hosts", c"files dns"),
    (c"passwd", c"files"),
    (c"group", c"files"),
    (c"services", c"files"),
    (c"protocols", c"files"),
];

/// Pins lookups to what is inside the binary. To be called first in `main`, before any thread.
/// Gives false when glibc refused one.
pub fn pin() -> bool {
    LOOKUPS.iter().all(|(database, services)| {
        // SAFETY: both are strings that end with 0 and live for ever; glibc copies what it keeps.
        unsafe { __nss_configure_lookup(database.as_ptr(), services.as_ptr()) == 0 }
    })
}

#[cfg(test)]
mod tests {
    use std::net::ToSocketAddrs;

    #[test]
    fn lookups_are_accepted_and_still_work() {
        assert!(super::pin(), "glibc refused a service that is inside it");
        let found = "127.0.0.1:80".to_socket_addrs().unwrap().count();
        assert_eq!(found, 1);
    }
}
