//! A seed changes names, ports, addresses, replicas, placement, family and noise; never the point.
