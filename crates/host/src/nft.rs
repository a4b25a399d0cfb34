//! The packet filter: dump what is there, apply a batch (nf_tables netlink).
