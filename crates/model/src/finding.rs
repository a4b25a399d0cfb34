//! One check's statement about one subject. It cannot be built without evidence.

use crate::object::ObjectRef;
use crate::path::HopKind;
use crate::probe::Probe;
use crate::remedy::Remedy;
use crate::text::Text;

/// What a check says of its subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is broken, and this was seen.
    Broken,
    /// It will break, or it weighs on others; it is not what hurts now.
    AtRisk,
    /// It was looked at and is right: rules a suspicion out.
    Fine,
}

/// An observation before it is numbered for the report.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// The hop it speaks of.
    pub hop: HopKind,
    /// `Service production/cart spec.selector`, `probe tcp_connect`.
    pub source: Text,
    /// What was seen, one line.
    pub value: Text,
    /// When, milliseconds since 1970.
    pub at_ms: u64,
    /// From where.
    pub from: Text,
    /// A probe saw it, not only an object said it.
    pub probed: bool,
}

/// One statement.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The check's id.
    pub check: &'static str,
    /// Broken or at risk.
    pub state: State,
    /// The object to blame.
    pub subject: ObjectRef,
    /// Where on the path.
    pub hop: HopKind,
    /// One sentence for people, with the names in it.
    pub says: Text,
    /// What was seen; never empty.
    pub evidence: Vec<Seen>,
    /// What to do.
    pub remedy: Option<Remedy>,
    /// Probes that will show that the remedy worked, besides the symptom's own.
    pub verify: Vec<Probe>,
    /// Chain from root to symptom in short sentences, root first; may be empty.
    pub chain: Vec<Text>,
    /// Number of the fault catalogue, where it is not the check's first.
    pub number: Option<&'static str>,
}

impl Finding {
    /// Adds an observation.
    pub fn and(&mut self, seen: Seen) -> &mut Self {
        self.evidence.push(seen);
        self
    }

    /// Tells one of the check's catalogue numbers from its first.
    pub fn numbered(&mut self, number: &'static str) -> &mut Self {
        self.number = Some(number);
        self
    }

    /// Says what to do.
    pub fn remedy(&mut self, remedy: Remedy) -> &mut Self {
        self.remedy = Some(remedy);
        self
    }

    /// Adds one link of the chain from root to symptom.
    pub fn then(&mut self, link: Text) -> &mut Self {
        self.chain.push(link);
        self
    }
}
