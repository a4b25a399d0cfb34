//! Netlink frames and attributes (linux/netlink.h).
