//! One netlink socket, one request at a time, answers collected.
