//! The shelf of checks: one file each.
//!
//! To add one: a file with a `pub const CHECK: Check`, its `mod` line and its line in [`ALL`]; the
//! laws in `laws.rs` say what else is missing.

mod accept_queue_overflows;
mod certificate_expired;
mod certificate_name_wrong;
mod certificate_not_trusted;
mod dns_has_no_ready_endpoints;
mod dns_policy_wrong;
mod forward_policy_drops;
mod hosts;
mod ip_forwarding_off;
mod link_down;
mod listeners;
mod listens_on_loopback_only;
mod memory;
mod memory_grows_without_bound;
mod memory_limit_below_working_set;
mod name_does_not_resolve;
mod namespace_lacks_policy_label;
mod no_route_to_destination;
mod nothing_listens_on_port;
mod path_mtu_black_hole;
mod places;
mod policies;
mod policy_blocks_dns;
mod policy_denies_by_default;
mod port_is_silent;
mod port_refuses;
mod service_rules_stale;
mod service_selects_no_pod;
mod target_port_wrong;
mod tunnel_port_blocked;
mod workload_scaled_to_zero;

#[cfg(test)]
mod laws;

use crate::check::Check;

/// Every check, in the order of the walk.
pub const ALL: &[&Check] = &[
    &dns_has_no_ready_endpoints::CHECK,
    &dns_policy_wrong::CHECK,
    &policy_blocks_dns::CHECK,
    &name_does_not_resolve::CHECK,
    &service_selects_no_pod::CHECK,
    &workload_scaled_to_zero::CHECK,
    &service_rules_stale::CHECK,
    &ip_forwarding_off::CHECK,
    &forward_policy_drops::CHECK,
    &link_down::CHECK,
    &tunnel_port_blocked::CHECK,
    &no_route_to_destination::CHECK,
    &path_mtu_black_hole::CHECK,
    &namespace_lacks_policy_label::CHECK,
    &policy_denies_by_default::CHECK,
    &port_is_silent::CHECK,
    &target_port_wrong::CHECK,
    &listens_on_loopback_only::CHECK,
    &nothing_listens_on_port::CHECK,
    &port_refuses::CHECK,
    &accept_queue_overflows::CHECK,
    &certificate_expired::CHECK,
    &certificate_name_wrong::CHECK,
    &certificate_not_trusted::CHECK,
    &memory_limit_below_working_set::CHECK,
    &memory_grows_without_bound::CHECK,
];
