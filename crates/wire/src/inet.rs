//! Ethernet, IP, TCP, UDP, ICMP headers and the Internet checksum (RFC 791, 8200, 9293, 768, 792, 4443, 1071).
