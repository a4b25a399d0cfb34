//! DNS messages (RFC 1035, 2782, 3596, 6891): names, questions, records, both ways.
