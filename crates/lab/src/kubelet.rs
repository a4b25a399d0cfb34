//! Pods to processes: start, probe, restart, status, events.
