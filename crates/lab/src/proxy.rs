//! kube-proxy's part: Services and EndpointSlices to packet-filter rules. A stand-in until the
//! real one runs beside it, therefore lean and alone in this file.
