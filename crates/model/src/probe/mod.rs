//! A question that could be put to the network, and the answer, both as values.
//!
//! The same probe runs here, in a pod, or is answered from a recording. "Refused" is an answer;
//! only "could not ask" is not, and becomes a gap.

mod answer;
pub mod kinds;
mod question;

pub use answer::*;
pub use question::*;
