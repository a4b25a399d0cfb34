//! A cable that delays, reorders and corrupts, over packet sockets.
