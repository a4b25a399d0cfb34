//! Links, addresses, routes, neighbours over rtnetlink: making them (for worlds) and reading
//! them (for probes). Every function acts in the namespace of the calling thread unless it is
//! handed one.
