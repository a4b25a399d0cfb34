//! getaddrinfo(3) and getnameinfo(3), with their own words for what went wrong.

use crate::sockets;
use std::ffi::{CStr, CString};
use std::io;
use std::net::SocketAddr;

/// What is looked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hints {
    /// `AF_INET`, `AF_INET6`, or 0 for both.
    pub family: i32,
    /// `SOCK_STREAM`, `SOCK_DGRAM`, `SOCK_RAW`, or 0.
    pub kind: i32,
    /// `AI_PASSIVE`, `AI_NUMERICHOST` and the like.
    pub flags: i32,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// In the order to try them in.
    pub addresses: Vec<SocketAddr>,
    /// The name of the host in full, with `AI_CANONNAME`.
    pub canonical: Option<String>,
}

/// Looks a host and a service up; the error is the C library's sentence.
pub fn resolve(host: Option<&str>, service: Option<&str>, hints: Hints) -> Result<Found, String> {
    let text = |s: Option<&str>| s.map(CString::new).transpose();
    let (Ok(host), Ok(service)) = (text(host), text(service)) else {
        return Err("Name or service not known".into());
    };
    let pointer = |s: &Option<CString>| s.as_ref().map_or(std::ptr::null(), |s| s.as_ptr());
    // SAFETY: all zeroes is a valid addrinfo; strings and places live through the call; the list
    // is read as its own links and lengths say, and given back once.
    unsafe {
        let mut wanted: libc::addrinfo = std::mem::zeroed();
        wanted.ai_family = hints.family;
        wanted.ai_socktype = hints.kind;
        wanted.ai_flags = hints.flags;
        let mut list: *mut libc::addrinfo = std::ptr::null_mut();
        let code = libc::getaddrinfo(pointer(&host), pointer(&service), &wanted, &mut list);
        if code != 0 {
            return Err(sentence(code));
        }
        let mut found = Found::default();
        let mut at = list;
        while let Some(one) = at.as_ref() {
            let mut storage: libc::sockaddr_storage = std::mem::zeroed();
            let length = (one.ai_addrlen as usize).min(size_of::<libc::sockaddr_storage>());
            let to = std::ptr::from_mut(&mut storage).cast::<u8>();
            std::ptr::copy_nonoverlapping(one.ai_addr.cast::<u8>(), to, length);
            found.addresses.extend(sockets::from_storage(&storage));
            if found.canonical.is_none() && !one.ai_canonname.is_null() {
                let name = CStr::from_ptr(one.ai_canonname);
                found.canonical = Some(name.to_string_lossy().into_owned());
            }
            at = one.ai_next;
        }
        libc::freeaddrinfo(list);
        Ok(found)
    }
}

fn sentence(code: i32) -> String {
    if code == libc::EAI_SYSTEM {
        return sockets::strerror(&io::Error::last_os_error());
    }
    // SAFETY: gai_strerror gives a string that lives for ever, for any number.
    let text = unsafe { CStr::from_ptr(libc::gai_strerror(code)) };
    text.to_string_lossy().into_owned()
}

fn info(address: SocketAddr, flags: i32) -> Option<(String, String)> {
    let (storage, length) = sockets::to_storage(address);
    let (mut host, mut service) = ([0u8; 1025], [0u8; 64]);
    // SAFETY: the pointers lead to places that live through the call, with their own lengths.
    let code = unsafe {
        libc::getnameinfo(
            std::ptr::from_ref(&storage).cast(),
            length,
            host.as_mut_ptr().cast(),
            host.len() as u32,
            service.as_mut_ptr().cast(),
            service.len() as u32,
            flags,
        )
    };
    let text = |bytes: &[u8]| {
        let text = CStr::from_bytes_until_nul(bytes).ok()?;
        Some(text.to_string_lossy().into_owned())
    };
    (code == 0).then(|| Some((text(&host)?, text(&service)?)))?
}

/// The address in figures, with its zone (`fe80::1%eth0`).
pub fn figures(address: SocketAddr) -> String {
    let flags = libc::NI_NUMERICHOST | libc::NI_NUMERICSERV;
    info(address, flags).map_or_else(|| address.ip().to_string(), |i| i.0)
}

/// The name of the interface with that index.
pub fn interface(index: u32) -> Option<String> {
    let mut name = [0u8; libc::IF_NAMESIZE];
    // SAFETY: the buffer has the size that if_indextoname writes at most.
    let found = unsafe { libc::if_indextoname(index, name.as_mut_ptr().cast()) };
    let name = CStr::from_bytes_until_nul(&name).ok();
    let name = name.filter(|_| !found.is_null())?;
    Some(name.to_string_lossy().into_owned())
}

/// The name that the address has, where it has one.
pub fn name_of(address: SocketAddr) -> Option<String> {
    info(address, libc::NI_NAMEREQD | libc::NI_NUMERICSERV).map(|i| i.0)
}

/// The name of the port in services(5), else its number.
pub fn service_of(address: SocketAddr, datagram: bool) -> String {
    let kind = if datagram { libc::NI_DGRAM } else { 0 };
    info(address, libc::NI_NUMERICHOST | kind).map_or_else(|| address.port().to_string(), |i| i.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_and_written_and_a_wrong_family_is_a_sentence() {
        let wanted = |family| Hints {
            family,
            kind: libc::SOCK_STREAM,
            flags: 0,
        };
        let found = resolve(Some("::1"), Some("80"), wanted(0)).unwrap();
        assert_eq!(found.addresses, ["[::1]:80".parse().unwrap()]);
        assert_eq!(figures(found.addresses[0]), "::1");
        let refused = resolve(Some("::1"), None, wanted(libc::AF_INET)).unwrap_err();
        assert_eq!(refused, "Address family for hostname not supported");
        let nul = resolve(Some("a\0b"), None, wanted(0)).unwrap_err();
        assert_eq!(nul, "Name or service not known");
    }
}
