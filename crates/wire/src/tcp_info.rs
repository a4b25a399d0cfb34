//! `struct tcp_info` (linux/tcp.h): what the kernel knows of a connection. Kernels append to it; what an older one does
//! not give is zero.

/// A connection's figures. Times are microseconds where the name says so, else milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // the names are the kernel's, without `tcpi_`
pub struct TcpInfo {
    pub backoff: u8,
    /// Bits: timestamps 1, SACK 2, window scale 4, ECN 8, ECN seen 16, data in the SYN 32.
    pub options: u8,
    pub send_scale: u8,
    pub receive_scale: u8,
    pub app_limited: bool,
    /// Microseconds.
    pub rto: u32,
    /// Microseconds.
    pub ato: u32,
    pub mss: u32,
    pub receive_mss: u32,
    pub unacked: u32,
    pub sacked: u32,
    pub lost: u32,
    pub retrans: u32,
    pub fackets: u32,
    pub last_sent: u32,
    pub last_received: u32,
    pub last_ack: u32,
    pub path_mtu: u32,
    pub receive_threshold: u32,
    /// Microseconds.
    pub rtt: u32,
    /// Microseconds.
    pub rtt_variation: u32,
    pub threshold: u32,
    pub window: u32,
    pub advertised_mss: u32,
    pub reordering: u32,
    /// Microseconds.
    pub receive_rtt: u32,
    pub receive_space: u32,
    pub total_retrans: u32,
    pub pacing_rate: u64,
    pub max_pacing_rate: u64,
    pub bytes_acked: u64,
    pub bytes_received: u64,
    pub segments_out: u32,
    pub segments_in: u32,
    pub not_sent: u32,
    /// Microseconds.
    pub least_rtt: u32,
    pub data_segments_in: u32,
    pub data_segments_out: u32,
    pub delivery_rate: u64,
    /// Microseconds.
    pub busy: u64,
    /// Microseconds.
    pub window_limited: u64,
    /// Microseconds.
    pub buffer_limited: u64,
    pub delivered: u32,
    pub delivered_ce: u32,
    pub bytes_sent: u64,
    pub bytes_retrans: u64,
    pub duplicates: u32,
    pub reorderings: u32,
    pub out_of_order: u32,
    pub send_window: u32,
}

impl TcpInfo {
    /// Reads it, however long it is.
    pub fn read(bytes: &[u8]) -> TcpInfo {
        let byte = |at: usize| bytes.get(at).copied().unwrap_or_default();
        let word = |at: usize| {
            let four = bytes.get(at..).and_then(|b| b.first_chunk::<4>());
            four.map_or(0, |b| u32::from_ne_bytes(*b))
        };
        let long = |at: usize| {
            let eight = bytes.get(at..).and_then(|b| b.first_chunk::<8>());
            eight.map_or(0, |b| u64::from_ne_bytes(*b))
        };
        // Of bit fields the first is the lower half on little-endian machines, the upper one on others.
        let halves = match cfg!(target_endian = "little") {
            true => (byte(6) & 15, byte(6) >> 4, byte(7) & 1),
            false => (byte(6) >> 4, byte(6) & 15, byte(7) >> 7),
        };
        TcpInfo {
            backoff: byte(4),
            options: byte(5),
            send_scale: halves.0,
            receive_scale: halves.1,
            app_limited: halves.2 != 0,
            rto: word(8),
            ato: word(12),
            mss: word(16),
            receive_mss: word(20),
            unacked: word(24),
            sacked: word(28),
            lost: word(32),
            retrans: word(36),
            fackets: word(40),
            last_sent: word(44),
            last_received: word(52),
            last_ack: word(56),
            path_mtu: word(60),
            receive_threshold: word(64),
            rtt: word(68),
            rtt_variation: word(72),
            threshold: word(76),
            window: word(80),
            advertised_mss: word(84),
            reordering: word(88),
            receive_rtt: word(92),
            receive_space: word(96),
            total_retrans: word(100),
            pacing_rate: long(104),
            max_pacing_rate: long(112),
            bytes_acked: long(120),
            bytes_received: long(128),
            segments_out: word(136),
            segments_in: word(140),
            not_sent: word(144),
            least_rtt: word(148),
            data_segments_in: word(152),
            data_segments_out: word(156),
            delivery_rate: long(160),
            busy: long(168),
            window_limited: long(176),
            buffer_limited: long(184),
            delivered: word(192),
            delivered_ce: word(196),
            bytes_sent: long(200),
            bytes_retrans: long(208),
            duplicates: word(216),
            reorderings: word(220),
            out_of_order: word(224),
            send_window: word(228),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_older_kernel_does_not_give_is_zero() {
        let mut bytes = [0; 232];
        bytes[8] = 5;
        bytes[228] = 9;
        let whole = TcpInfo::read(&bytes);
        assert_eq!((whole.rto.to_le(), whole.send_window.to_le()), (5, 9));
        let old = TcpInfo::read(&bytes[..104]);
        assert_eq!((old.rto.to_le(), old.send_window), (5, 0));
        assert_eq!(TcpInfo::read(&[]), TcpInfo::default());
        crate::fuzz::mutations(&bytes, 5_000, |bytes| {
            let _ = TcpInfo::read(bytes);
        });
    }
}
