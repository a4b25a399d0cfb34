//! Sockets (inet_diag), conntrack (ctnetlink), counters and sysctls (`/proc`), cgroup memory.
