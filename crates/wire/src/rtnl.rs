//! rtnetlink, inet_diag and ctnetlink messages (linux/rtnetlink.h, linux/inet_diag.h, linux/netfilter/nfnetlink_conntrack.h).
