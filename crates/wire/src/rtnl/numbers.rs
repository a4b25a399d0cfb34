//! Numbers of the kernel's headers, by their names there without the prefix.

/// `AF_UNSPEC`
pub const AF_UNSPEC: u8 = 0;
/// `AF_INET`
pub const AF_INET: u8 = 2;
/// `AF_BRIDGE`
pub const AF_BRIDGE: u8 = 7;
/// `AF_INET6`
pub const AF_INET6: u8 = 10;

/// Message types (`RTM_*`).
#[allow(missing_docs)]
pub mod rtm {
    pub const NEWLINK: u16 = 16;
    pub const DELLINK: u16 = 17;
    pub const GETLINK: u16 = 18;
    pub const SETLINK: u16 = 19;
    pub const NEWADDR: u16 = 20;
    pub const DELADDR: u16 = 21;
    pub const GETADDR: u16 = 22;
    pub const NEWROUTE: u16 = 24;
    pub const DELROUTE: u16 = 25;
    pub const GETROUTE: u16 = 26;
    pub const NEWNEIGH: u16 = 28;
    pub const DELNEIGH: u16 = 29;
    pub const GETNEIGH: u16 = 30;
    pub const NEWRULE: u16 = 32;
    pub const GETRULE: u16 = 34;
}

/// Link attributes (`IFLA_*`), those of kinds with the kind in their name.
#[allow(missing_docs)]
pub mod ifla {
    pub const ADDRESS: u16 = 1;
    pub const BROADCAST: u16 = 2;
    pub const IFNAME: u16 = 3;
    pub const MTU: u16 = 4;
    pub const LINK: u16 = 5;
    pub const QDISC: u16 = 6;
    pub const MASTER: u16 = 10;
    pub const PROTINFO: u16 = 12;
    pub const TXQLEN: u16 = 13;
    pub const OPERSTATE: u16 = 16;
    pub const LINKMODE: u16 = 17;
    pub const LINKINFO: u16 = 18;
    pub const IFALIAS: u16 = 20;
    pub const STATS64: u16 = 23;
    pub const GROUP: u16 = 27;
    pub const NET_NS_FD: u16 = 28;
    pub const CARRIER_CHANGES: u16 = 35;
    pub const LINK_NETNSID: u16 = 37;
    pub const INFO_KIND: u16 = 1;
    pub const INFO_DATA: u16 = 2;
    pub const INFO_SLAVE_KIND: u16 = 4;
    pub const INFO_SLAVE_DATA: u16 = 5;
    pub const BRPORT_STATE: u16 = 1;
    pub const BRPORT_MODE: u16 = 4;
    pub const VETH_PEER: u16 = 1;
    pub const MACVLAN_MODE: u16 = 1;
    pub const VXLAN_ID: u16 = 1;
    pub const VXLAN_LINK: u16 = 3;
    pub const VXLAN_LOCAL: u16 = 4;
    pub const VXLAN_LEARNING: u16 = 7;
    pub const VXLAN_PORT: u16 = 15;
    pub const VXLAN_LOCAL6: u16 = 17;
}

/// Address attributes (`IFA_*`).
#[allow(missing_docs)]
pub mod ifa {
    pub const ADDRESS: u16 = 1;
    pub const LOCAL: u16 = 2;
    pub const LABEL: u16 = 3;
    pub const BROADCAST: u16 = 4;
    pub const CACHEINFO: u16 = 6;
    pub const FLAGS: u16 = 8;
    /// `IFA_F_NODAD`
    pub const NODAD: u32 = 0x02;
    /// `IFA_F_DADFAILED`
    pub const DADFAILED: u32 = 0x08;
    /// `IFA_F_TENTATIVE`
    pub const TENTATIVE: u32 = 0x40;
}

/// Route attributes (`RTA_*`).
#[allow(missing_docs)]
pub mod rta {
    pub const DST: u16 = 1;
    pub const SRC: u16 = 2;
    pub const IIF: u16 = 3;
    pub const OIF: u16 = 4;
    pub const GATEWAY: u16 = 5;
    pub const PRIORITY: u16 = 6;
    pub const PREFSRC: u16 = 7;
    pub const METRICS: u16 = 8;
    pub const MULTIPATH: u16 = 9;
    pub const CACHEINFO: u16 = 12;
    pub const TABLE: u16 = 15;
    pub const MARK: u16 = 16;
    pub const VIA: u16 = 18;
    pub const PREF: u16 = 20;
    pub const UID: u16 = 25;
    pub const NH_ID: u16 = 30;
    /// `RTAX_MTU`, inside [`METRICS`].
    pub const METRIC_MTU: u16 = 2;
    /// `RTM_F_CLONED`: an entry of the route cache, no route.
    pub const CLONED: u32 = 0x200;
    /// `RTM_F_LOOKUP_TABLE`: name the table that decided.
    pub const LOOKUP_TABLE: u32 = 0x1000;
    /// `RTM_F_FIB_MATCH`: answer with the route that matches, not with a cache entry.
    pub const FIB_MATCH: u32 = 0x2000;
}

/// Neighbour attributes (`NDA_*`).
#[allow(missing_docs)]
pub mod nda {
    pub const DST: u16 = 1;
    pub const LLADDR: u16 = 2;
    pub const CACHEINFO: u16 = 3;
    pub const PROBES: u16 = 4;
    /// `NUD_PERMANENT`
    pub const PERMANENT: u16 = 0x80;
    /// `NUD_NOARP`
    pub const NOARP: u16 = 0x40;
    /// `NTF_SELF`: an entry of the device itself, not of the bridge it is a port of.
    pub const SELF: u8 = 0x02;
}

/// `IFF_UP`
pub const IFF_UP: u32 = 0x1;
/// `IFF_PROMISC`
pub const IFF_PROMISC: u32 = 0x100;
/// `IFF_LOWER_UP`
pub const IFF_LOWER_UP: u32 = 0x1_0000;
