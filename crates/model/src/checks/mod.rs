//! The shelf of checks: one file each.
//!
//! To add one: a file with a `pub const CHECK: Check`, its `mod` line and its line in [`ALL`]; the
//! laws in `laws.rs` say what else is missing.

mod accept_queue_overflows;
mod behind;
mod bridge_skips_filter;
mod certificate_expired;
mod certificate_name_wrong;
mod certificate_not_trusted;
mod conntrack_table_full;
mod corefile_overrides_name;
mod dns_cache_down;
mod dns_has_no_ready_endpoints;
mod dns_policy_wrong;
mod dns_upstream_unreachable;
mod external_name_wrong;
mod forward_policy_drops;
mod hairpin_off;
mod headless_service_has_no_ready_pod;
mod hosts;
mod ip_forwarding_off;
mod link_down;
mod link_loses_packets;
mod listeners;
mod listens_on_loopback_only;
mod memory;
mod memory_grows_without_bound;
mod memory_limit_below_working_set;
mod name_does_not_resolve;
mod named_port_missing;
mod namespace_lacks_policy_label;
mod network_plugin_not_ready;
mod no_local_endpoint;
mod no_route_to_destination;
mod node_not_reporting;
mod nothing_listens_on_port;
mod path_mtu_black_hole;
mod places;
mod pod_addresses_exhausted;
mod pod_route_missing;
mod policies;
mod policy_blocks_dns;
mod policy_blocks_dns_cache;
mod policy_denies_by_default;
mod port_does_not_speak_tls;
mod port_is_silent;
mod port_refuses;
mod readiness_probe_fails;
mod route_lacks_reference_grant;
mod route_leads_to_no_service;
mod route_names_missing_port;
mod route_taken_by_nobody;
mod routes;
mod service_does_not_exist;
mod service_lacks_port;
mod service_rules_stale;
mod service_selects_no_pod;
mod target_port_wrong;
mod tunnel_port_blocked;
mod upstreams;
mod webhook_unreachable;
mod workload_scaled_to_zero;

#[cfg(test)]
mod laws;

use crate::check::Check;

/// Every check, in the order of the walk.
pub const ALL: &[&Check] = &[
    &dns_has_no_ready_endpoints::CHECK,
    &dns_policy_wrong::CHECK,
    &policy_blocks_dns::CHECK,
    &dns_cache_down::CHECK,
    &policy_blocks_dns_cache::CHECK,
    &corefile_overrides_name::CHECK,
    &dns_upstream_unreachable::CHECK,
    &route_taken_by_nobody::CHECK,
    &route_lacks_reference_grant::CHECK,
    &route_leads_to_no_service::CHECK,
    &route_names_missing_port::CHECK,
    &service_does_not_exist::CHECK,
    &external_name_wrong::CHECK,
    &name_does_not_resolve::CHECK,
    &service_lacks_port::CHECK,
    &service_selects_no_pod::CHECK,
    &workload_scaled_to_zero::CHECK,
    &named_port_missing::CHECK,
    &webhook_unreachable::CHECK,
    &node_not_reporting::CHECK,
    &network_plugin_not_ready::CHECK,
    &pod_addresses_exhausted::CHECK,
    &readiness_probe_fails::CHECK,
    &headless_service_has_no_ready_pod::CHECK,
    &no_local_endpoint::CHECK,
    &service_rules_stale::CHECK,
    &bridge_skips_filter::CHECK,
    &hairpin_off::CHECK,
    &ip_forwarding_off::CHECK,
    &forward_policy_drops::CHECK,
    &conntrack_table_full::CHECK,
    &link_down::CHECK,
    &pod_route_missing::CHECK,
    &tunnel_port_blocked::CHECK,
    &no_route_to_destination::CHECK,
    &path_mtu_black_hole::CHECK,
    &link_loses_packets::CHECK,
    &namespace_lacks_policy_label::CHECK,
    &policy_denies_by_default::CHECK,
    &port_is_silent::CHECK,
    &target_port_wrong::CHECK,
    &listens_on_loopback_only::CHECK,
    &nothing_listens_on_port::CHECK,
    &port_refuses::CHECK,
    &accept_queue_overflows::CHECK,
    &port_does_not_speak_tls::CHECK,
    &certificate_expired::CHECK,
    &certificate_name_wrong::CHECK,
    &certificate_not_trusted::CHECK,
    &memory_limit_below_working_set::CHECK,
    &memory_grows_without_bound::CHECK,
];
