//! The policy agent's part: NetworkPolicies to packet-filter rules of one node.
