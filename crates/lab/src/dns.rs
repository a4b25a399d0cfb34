//! The cluster DNS: answers as CoreDNS does for these objects. A stand-in, lean and alone in this file.
