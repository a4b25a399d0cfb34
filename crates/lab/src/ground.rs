//! The ground a world stands on: a namespace per node with a bridge, one per pod with a veth, an
//! underlay that joins the nodes, an outside; processes inside them under memory cgroups.

use crate::Error;
use crate::world::Wiring;
use netshoot_host::netns::NetNs;
use serde_json::Value;
use std::net::IpAddr;
use std::sync::Arc;

/// Everything that exists in the kernel for one world. Dropping it ends it.
#[derive(Debug)]
pub struct Ground {}

/// What to start in a pod.
#[derive(Clone, Debug, Default)]
pub struct Launch {
    /// Pod uid.
    pub pod: String,
    /// Container name.
    pub container: String,
    /// What it does there (see [`crate::behave::Behaviour`]), as JSON.
    pub behaviour: Value,
    /// Environment of the container, `NAME`, `value`.
    pub env: Vec<(String, String)>,
    /// Memory limit, bytes.
    pub memory_limit: Option<u64>,
    /// Text of its `/etc/resolv.conf`.
    pub resolv_conf: String,
    /// Secret volumes: file path below the container's root, content.
    pub files: Vec<(String, Vec<u8>)>,
}

/// How a container's process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Exit code, 128 + signal when killed.
    pub code: i32,
    /// Killed because its memory limit was hit.
    pub out_of_memory: bool,
}

/// Memory accounting of one container.
#[derive(Clone, Debug, Default)]
pub struct Accounting {
    /// `cgroup v1`, `cgroup v2` or `process`.
    pub by: String,
    /// Bytes now.
    pub usage: u64,
    /// Highest since start.
    pub max_usage: u64,
    /// Times the limit was hit.
    pub limit_hits: u64,
}

impl Ground {
    /// Underlay, outside and the nodes (objects of kind Node: name, InternalIP, podCIDRs).
    pub fn build(_wiring: &Wiring, _nodes: &[Value]) -> Result<Ground, Error> {
        Ok(Ground {})
    }

    /// The host network of a node.
    pub fn node(&self, _name: &str) -> Option<Arc<NetNs>> {
        None
    }

    /// The network of a pod (its node's for hostNetwork).
    pub fn pod(&self, _uid: &str) -> Option<Arc<NetNs>> {
        None
    }

    /// Gives a pod its sandbox: namespace, veth on the node's bridge, addresses, routes.
    pub fn add_pod(
        &self,
        _uid: &str,
        _node: &str,
        _addresses: &[IpAddr],
        _host_network: bool,
    ) -> Result<(), Error> {
        Ok(())
    }

    /// Takes the sandbox away, with every process in it.
    pub fn remove_pod(&self, _uid: &str) {}

    /// Starts a container; gives its process id (in the world's PID namespace).
    pub fn spawn(&self, _launch: &Launch) -> Result<i32, Error> {
        Ok(0)
    }

    /// Waits without blocking for a container to end.
    pub fn ended(&self, _pid: i32) -> Option<Ended> {
        None
    }

    /// Asks a container to end (SIGTERM, or SIGKILL when `now`).
    pub fn stop(&self, _pid: i32, _now: bool) {}

    /// What the container uses.
    pub fn memory(&self, _pid: i32) -> Option<Accounting> {
        None
    }

    /// The container's last lines of output.
    pub fn log(&self, _pid: i32) -> Vec<String> {
        Vec::new()
    }
}
