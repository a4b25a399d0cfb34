//! What a rule is made of: one small instruction after the other on sixteen 4-byte registers.

use super::Verdict;
use serde::{Deserialize, Serialize};

/// An enumeration of kernel numbers that keeps numbers it has no name for.
macro_rules! numbers {
    ($(#[$outer:meta])* $name:ident { $($(#[$inner:meta])* $variant:ident = $number:literal,)* }) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$inner])* $variant,)*
            /// A number without a name here.
            Number(u32),
        }

        impl $name {
            /// From the kernel's number.
            pub fn from_number(number: u32) -> Self {
                match number {
                    $($number => $name::$variant,)*
                    other => $name::Number(other),
                }
            }

            /// The kernel's number.
            pub fn number(self) -> u32 {
                match self {
                    $($name::$variant => $number,)*
                    $name::Number(number) => number,
                }
            }
        }
    };
}

numbers! {
    /// Where a payload offset counts from (`enum nft_payload_bases`).
    PayloadBase {
        /// Link layer header.
        Link = 0,
        /// Network header.
        Network = 1,
        /// Transport header.
        Transport = 2,
        /// Behind the transport header.
        Inner = 3,
    }
}

numbers! {
    /// What is known about a packet beyond its bytes (`enum nft_meta_keys`).
    MetaKey {
        /// Length, bytes.
        Len = 0,
        /// Ethertype.
        Protocol = 1,
        /// tc priority.
        Priority = 2,
        /// Mark.
        Mark = 3,
        /// Index of the device it came by.
        Iif = 4,
        /// Index of the device it leaves by.
        Oif = 5,
        /// Name of the device it came by, 16 bytes padded with NUL.
        Iifname = 6,
        /// Name of the device it leaves by, 16 bytes padded with NUL.
        Oifname = 7,
        /// Type of the device it came by.
        Iiftype = 8,
        /// Type of the device it leaves by.
        Oiftype = 9,
        /// User of the socket.
        Skuid = 10,
        /// Group of the socket.
        Skgid = 11,
        /// Traced.
        Nftrace = 12,
        /// Routing realm.
        Rtclassid = 13,
        /// Security mark.
        Secmark = 14,
        /// `NFPROTO_*` of the packet.
        Nfproto = 15,
        /// IP protocol.
        L4proto = 16,
        /// Bridge it came by.
        BriIifname = 17,
        /// Bridge it leaves by.
        BriOifname = 18,
        /// `PACKET_HOST`, `PACKET_BROADCAST`, ...
        Pkttype = 19,
        /// Processor.
        Cpu = 20,
        /// Group of the device it came by.
        Iifgroup = 21,
        /// Group of the device it leaves by.
        Oifgroup = 22,
        /// net_cls cgroup of the socket.
        Cgroup = 23,
        /// A random number.
        Prandom = 24,
        /// Came by IPsec.
        Secpath = 25,
        /// Kind of the device it came by.
        Iifkind = 26,
        /// Kind of the device it leaves by.
        Oifkind = 27,
    }
}

numbers! {
    /// What connection tracking knows (`enum nft_ct_keys`).
    CtKey {
        /// State as a bit: invalid 1, established 2, related 4, new 8, untracked 64.
        State = 0,
        /// 0 original, 1 reply.
        Direction = 1,
        /// `IPS_*` bits: SNAT 16, DNAT 32.
        Status = 2,
        /// Mark of the connection.
        Mark = 3,
        /// Security mark.
        Secmark = 4,
        /// Milliseconds left.
        Expiration = 5,
        /// Helper.
        Helper = 6,
        /// `NFPROTO_*`.
        L3protocol = 7,
        /// Source address.
        Src = 8,
        /// Destination address.
        Dst = 9,
        /// IP protocol.
        Protocol = 10,
        /// Source port.
        ProtoSrc = 11,
        /// Destination port.
        ProtoDst = 12,
        /// Labels.
        Labels = 13,
        /// Packets.
        Pkts = 14,
        /// Bytes.
        Bytes = 15,
        /// Bytes a packet.
        Avgpkt = 16,
        /// Zone.
        Zone = 17,
        /// Events reported.
        Eventmask = 18,
        /// Source IPv4 address.
        SrcIp = 19,
        /// Destination IPv4 address.
        DstIp = 20,
        /// Source IPv6 address.
        SrcIp6 = 21,
        /// Destination IPv6 address.
        DstIp6 = 22,
        /// Number of the connection.
        Id = 23,
    }
}

numbers! {
    /// Comparison (`enum nft_cmp_ops`).
    CmpOp {
        /// Equal.
        Eq = 0,
        /// Not equal.
        Neq = 1,
        /// Less.
        Lt = 2,
        /// Less or equal.
        Lte = 3,
        /// Greater.
        Gt = 4,
        /// Greater or equal.
        Gte = 5,
    }
}

numbers! {
    /// Which end NAT changes (`enum nft_nat_types`).
    NatKind {
        /// Source.
        Snat = 0,
        /// Destination.
        Dnat = 1,
    }
}

numbers! {
    /// What a rule does to a set (`enum nft_dynset_ops`).
    DynsetOp {
        /// Adds an element that is not there.
        Add = 0,
        /// Adds it or starts its time anew.
        Update = 1,
        /// Takes it out.
        Delete = 2,
    }
}

/// A bitwise operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BitOp {
    /// `(register & mask) ^ xor`
    MaskXor {
        /// Mask.
        mask: Vec<u8>,
        /// Exclusive or.
        xor: Vec<u8>,
    },
    /// Shifted left by so many bits.
    ShiftLeft(u32),
    /// Shifted right by so many bits.
    ShiftRight(u32),
}

/// An x_tables match or target as the kernel keeps it; [`Xt::read`](super::xt) decodes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Xt {
    /// Name, `comment`, `DNAT`.
    pub name: String,
    /// Revision of its structure.
    pub revision: u32,
    /// The structure.
    pub info: Vec<u8>,
}

/// `NF_NAT_RANGE_PROTO_RANDOM` of a NAT's flags.
pub const NAT_RANDOM: u32 = 4;
/// `NF_NAT_RANGE_PERSISTENT` of a NAT's flags.
pub const NAT_PERSISTENT: u32 = 8;
/// `NF_NAT_RANGE_PROTO_RANDOM_FULLY` of a NAT's flags.
pub const NAT_FULLY_RANDOM: u32 = 16;

/// One expression of a rule. Registers are numbered as the kernel does (`NFT_REG_*`); see
/// [`register_offset`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expr {
    /// `counter`
    Counter {
        /// Packets.
        packets: u64,
        /// Bytes.
        bytes: u64,
    },
    /// `immediate` with a verdict.
    Verdict(Verdict),
    /// `immediate` with data into a register.
    Immediate {
        /// Destination.
        dreg: u32,
        /// Data.
        data: Vec<u8>,
    },
    /// `payload`: bytes of the packet into a register.
    Payload {
        /// Destination.
        dreg: u32,
        /// Where the offset counts from.
        base: PayloadBase,
        /// Offset, bytes.
        offset: u32,
        /// Length, bytes.
        len: u32,
    },
    /// `payload`: a register into the packet.
    PayloadSet {
        /// Source.
        sreg: u32,
        /// Where the offset counts from.
        base: PayloadBase,
        /// Offset, bytes.
        offset: u32,
        /// Length, bytes.
        len: u32,
        /// `enum nft_payload_csum_types`
        checksum: u32,
        /// Offset of the checksum to mend.
        checksum_offset: u32,
        /// `enum nft_payload_csum_flags`
        checksum_flags: u32,
    },
    /// `meta` into a register.
    Meta {
        /// Destination.
        dreg: u32,
        /// What.
        key: MetaKey,
    },
    /// A register into `meta`.
    MetaSet {
        /// Source.
        sreg: u32,
        /// What.
        key: MetaKey,
    },
    /// `ct` into a register.
    Ct {
        /// Destination.
        dreg: u32,
        /// What.
        key: CtKey,
        /// 0 original, 1 reply, where the key has directions.
        direction: Option<u8>,
    },
    /// A register into `ct`.
    CtSet {
        /// Source.
        sreg: u32,
        /// What.
        key: CtKey,
        /// 0 original, 1 reply, where the key has directions.
        direction: Option<u8>,
    },
    /// `cmp`: the rule ends here unless it holds. Compared byte by byte (network order).
    Cmp {
        /// Left side.
        sreg: u32,
        /// Comparison.
        op: CmpOp,
        /// Right side.
        data: Vec<u8>,
    },
    /// `range`: the rule ends here unless the register lies inside (outside when inverted).
    Range {
        /// Register.
        sreg: u32,
        /// Outside instead of inside.
        inverted: bool,
        /// First, inclusive.
        from: Vec<u8>,
        /// Last, inclusive.
        to: Vec<u8>,
    },
    /// `bitwise`
    Bitwise {
        /// Source.
        sreg: u32,
        /// Destination.
        dreg: u32,
        /// Length, bytes.
        len: u32,
        /// Operation.
        op: BitOp,
    },
    /// `byteorder`
    Byteorder {
        /// Source.
        sreg: u32,
        /// Destination.
        dreg: u32,
        /// Host to network (true) or network to host.
        to_network: bool,
        /// Length, bytes.
        len: u32,
        /// Size of each number, bytes.
        size: u32,
    },
    /// `lookup` in a set or map: the rule ends here when the key is not in it (is, when inverted).
    Lookup {
        /// Key.
        sreg: u32,
        /// Set or map of the same table.
        set: String,
        /// Where a map's data go: 0 is the verdict; none for a set.
        dreg: Option<u32>,
        /// In the set means no.
        inverted: bool,
    },
    /// `dynset`: adds to or takes from a set.
    Dynset {
        /// Set or map of the same table.
        set: String,
        /// What.
        op: DynsetOp,
        /// Key.
        sreg_key: u32,
        /// Data for a map.
        sreg_data: Option<u32>,
        /// Time to live of the element, milliseconds; 0 for the set's.
        timeout_ms: u64,
        /// Succeeds when the set is full or the element is there already.
        inverted: bool,
        /// What is attached to the element.
        exprs: Vec<Expr>,
    },
    /// `nat`
    Nat {
        /// Which end.
        kind: NatKind,
        /// `NFPROTO_*` of the address.
        family: u32,
        /// Register of the (first) address.
        addr: Option<u32>,
        /// Register of the last address of a range.
        addr_max: Option<u32>,
        /// Register of the (first) port.
        port: Option<u32>,
        /// Register of the last port of a range.
        port_max: Option<u32>,
        /// [`NAT_RANDOM`] and so on.
        flags: u32,
    },
    /// `masq`
    Masquerade {
        /// [`NAT_RANDOM`] and so on.
        flags: u32,
        /// Register of the (first) port.
        port: Option<u32>,
        /// Register of the last port of a range.
        port_max: Option<u32>,
    },
    /// `redir`
    Redirect {
        /// [`NAT_RANDOM`] and so on.
        flags: u32,
        /// Register of the (first) port.
        port: Option<u32>,
        /// Register of the last port of a range.
        port_max: Option<u32>,
    },
    /// `reject`
    Reject {
        /// `enum nft_reject_types`: 0 ICMP of the table's family, 1 TCP reset, 2 ICMP of the packet's.
        kind: u32,
        /// ICMP code; of kind 2 an `enum nft_reject_inet_code`.
        code: u8,
    },
    /// `numgen`: a number below `modulus`, plus `offset`.
    Numgen {
        /// Destination.
        dreg: u32,
        /// One more than the largest.
        modulus: u32,
        /// Random (true) or counting up.
        random: bool,
        /// Added.
        offset: u32,
    },
    /// `hash`
    Hash {
        /// Source, of a Jenkins hash.
        sreg: Option<u32>,
        /// Destination.
        dreg: u32,
        /// Bytes hashed.
        len: u32,
        /// One more than the largest.
        modulus: u32,
        /// Seed.
        seed: u32,
        /// Added.
        offset: u32,
        /// Symmetric over the flow rather than Jenkins.
        symmetric: bool,
    },
    /// `limit`: the rule ends here above the rate (below, when inverted).
    Limit {
        /// Packets or bytes ...
        rate: u64,
        /// ... in so many seconds.
        per_seconds: u64,
        /// Above it at once.
        burst: u32,
        /// Bytes rather than packets.
        bytes: bool,
        /// Above the rate means yes.
        inverted: bool,
    },
    /// `quota`: the rule ends here when so many bytes went by (before, when inverted).
    Quota {
        /// Bytes.
        bytes: u64,
        /// Used.
        consumed: u64,
        /// Above the quota means yes.
        inverted: bool,
    },
    /// `connlimit`: the rule ends here when so many connections are open (before, when inverted).
    Connlimit {
        /// Connections.
        count: u32,
        /// Above the number means yes.
        inverted: bool,
    },
    /// `fib`: what the routing table says.
    Fib {
        /// Destination.
        dreg: u32,
        /// `enum nft_fib_result`: 1 device index, 2 device name, 3 address type (`RTN_*`).
        result: u32,
        /// `enum nft_fib_flags`: 1 source, 2 destination, 4 mark, 8 input, 16 output device, 32 presence.
        flags: u32,
    },
    /// `rt`
    Rt {
        /// Destination.
        dreg: u32,
        /// `enum nft_rt_keys`: 0 realm, 1 and 2 next hop, 3 MSS, 4 IPsec.
        key: u32,
    },
    /// `exthdr`: a header option into a register.
    Exthdr {
        /// Destination; for a presence test the register of a boolean.
        dreg: u32,
        /// Number of the option.
        kind: u8,
        /// Offset in it, bytes.
        offset: u32,
        /// Length, bytes.
        len: u32,
        /// 1: presence only.
        flags: u32,
        /// `enum nft_exthdr_op`: 0 IPv6, 1 TCP, 2 IPv4.
        op: u32,
    },
    /// `exthdr`: a register into a header option (MSS clamping).
    ExthdrSet {
        /// Source.
        sreg: u32,
        /// Number of the option.
        kind: u8,
        /// Offset in it, bytes.
        offset: u32,
        /// Length, bytes.
        len: u32,
        /// `enum nft_exthdr_op`: 0 IPv6, 1 TCP, 2 IPv4.
        op: u32,
    },
    /// `log`
    Log {
        /// Text before.
        prefix: String,
        /// nfnetlink_log group; none for the kernel's log.
        group: Option<u16>,
        /// Kernel log level (`enum nft_log_level`), 4 when not given.
        level: u32,
        /// `NF_LOG_*` flags.
        flags: u32,
    },
    /// `notrack`
    Notrack,
    /// `queue`
    Queue {
        /// First queue.
        first: u16,
        /// Number of queues.
        total: u16,
        /// 1: pass when nobody listens.
        flags: u16,
    },
    /// `objref`: a named counter, quota, limit.
    Objref {
        /// `NFT_OBJECT_*`.
        kind: u32,
        /// Name.
        name: String,
    },
    /// An x_tables match.
    Match(Xt),
    /// An x_tables target.
    Target(Xt),
    /// Anything this decoder does not know: as it came.
    Other {
        /// The kernel's name for it.
        name: String,
        /// Its attributes (`NFTA_EXPR_DATA`).
        data: Vec<u8>,
    },
}

/// Where a register lies, in bytes from the start of the 64 bytes of data registers: the four
/// 16-byte registers (1 to 4) and the sixteen 4-byte ones (8 to 23) are the same memory. None for
/// the verdict register (0) and for numbers without a register.
pub fn register_offset(register: u32) -> Option<usize> {
    match register {
        1..=4 => usize::try_from(register.saturating_sub(1).saturating_mul(16)).ok(),
        8..=23 => usize::try_from(register.saturating_sub(8).saturating_mul(4)).ok(),
        _ => None,
    }
}
