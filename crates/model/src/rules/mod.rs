//! A walk through packet-filter rules: what would happen to this packet here?
