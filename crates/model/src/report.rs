//! The report as a value: what every face renders. Schema `netshoot.report/1`; fields may be
//! added, none renamed.

use crate::evidence::Evidence;
use crate::object::ObjectRef;
use crate::path::Conversation;
use crate::snapshot::Gap;
use crate::text::Text;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The schema word.
pub const SCHEMA: &str = "netshoot.report/1";

/// The answer in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// A cause was found and proven.
    Broken,
    /// The conversation works.
    Healthy,
    /// It could not be told.
    Unknown,
}

/// A whole report.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// The answer.
    pub verdict: Verdict,
    /// The answer as a sentence.
    pub summary: String,
    /// What was understood of the question.
    pub understood: Understood,
    /// The conversation that is reported, as a value; none where none was understood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<Conversation>,
    /// Every conversation that was looked at, who is hurt first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conversations: Vec<ConversationReport>,
    /// The root cause.
    pub cause: Option<CauseReport>,
    /// Other independent causes.
    pub also: Vec<CauseReport>,
    /// What the client sees.
    pub symptom: Vec<String>,
    /// The conversation as hops.
    pub path: Vec<HopReport>,
    /// All evidence that the report speaks of.
    pub evidence: Vec<Evidence>,
    /// Suspicions that were looked at and are not it.
    pub ruled_out: Vec<RuledOut>,
    /// What could not be checked.
    pub unknown: Vec<Gap>,
    /// What to do.
    pub remedy: Option<RemedyReport>,
    /// One line for each probe: who, where, what, when.
    pub audit: Vec<AuditLine>,
    /// Number of probes.
    pub probes: usize,
    /// From the first fact to the last answer.
    pub elapsed_ms: u64,
    /// Where the facts come from and when.
    pub source: String,
    /// RFC 3339.
    pub taken_at: String,
    /// What came of applying the remedy, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<Verified>,
}

/// A remedy that was applied, and what the conversation did then.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Every request after the remedy was answered.
    pub worked: bool,
    /// The steps that were carried out, as commands.
    pub applied: Vec<String>,
    /// Questions that are left for a person.
    pub asked: Vec<String>,
    /// From the remedy to the first healthy diagnosis (where `settling` has any: to the series that counts), milliseconds.
    pub healthy_after_ms: u64,
    /// Requests made after that.
    pub requests: usize,
    /// Of these not answered.
    pub failed: usize,
    /// Over how long, milliseconds.
    pub held_ms: u64,
    /// The first of these: when after the remedy, and what came back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<String>,
    /// Failures in the first seconds, when what the remedy replaced was still ending: the series began anew after them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settling: Vec<String>,
    /// In a sentence.
    pub says: String,
}

/// What was understood of the question.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Understood {
    /// As it was said.
    pub said: String,
    /// Namespace it is about; empty for all.
    pub namespace: String,
    /// Symptom words: `timeout`, `refused`, `dns`, `tls`, `slow`, `error`; may be empty.
    pub symptom: Vec<String>,
    /// The conversations that were looked at, the one reported first.
    pub conversations: Vec<Text>,
    /// Words that were not understood or were ambiguous, with what is asked back.
    pub asked_back: Vec<Text>,
    /// What the question is about too and was not looked at, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<Text>,
}

/// One conversation that was looked at, in a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversationReport {
    /// Who asks whom.
    pub conversation: Text,
    /// `works`, `broken` (with a cause), `fails` (without), `unknown`.
    pub state: String,
    /// The cause, or what the client saw.
    pub says: String,
    /// Pods that the asking one stands for: those of its workload on its node, itself among them.
    pub pods: usize,
}

/// One cause.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CauseReport {
    /// Check id.
    pub id: String,
    /// Catalogue number.
    pub catalogue: String,
    /// The check's title.
    pub title: String,
    /// One sentence with the names in it.
    pub says: String,
    /// The object to blame.
    pub subject: ObjectRef,
    /// The hop.
    pub hop: String,
    /// 0 to 1: computed from the evidence.
    pub confidence: f64,
    /// It may break or weigh on others; it was not seen to hurt.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub at_risk: bool,
    /// From root to symptom.
    pub chain: Vec<String>,
    /// Ids of its evidence.
    pub evidence: Vec<String>,
    /// Findings that only echo it.
    pub echoes: Vec<String>,
}

/// One hop of the path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HopReport {
    /// The hop's word.
    pub hop: String,
    /// What it is here: `node a`, `Service cart:80`.
    pub label: String,
    /// `ok`, `broken`, `at_risk`, `not_looked_at`.
    pub state: String,
    /// What was seen there, shortest first.
    pub notes: Vec<String>,
    /// Ids of evidence about it.
    pub evidence: Vec<String>,
}

/// A suspicion that was looked at and is not it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuledOut {
    /// What is not the cause, and why.
    pub what: String,
    /// Ids of evidence.
    pub evidence: Vec<String>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RemedyReport {
    /// May be applied without a person looking first.
    pub safe: bool,
    /// Why this, and what it costs.
    pub because: String,
    /// Steps; each has `command`, `patch` or `ask`.
    pub steps: Vec<Value>,
    /// How to see that it worked.
    pub verify: Verify,
    /// The value that is applied, for `--verify` and `lab solve`.
    pub value: crate::remedy::Remedy,
}

/// How to see that a remedy worked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verify {
    /// In words.
    pub says: String,
    /// The same as a command line.
    pub command: String,
}

/// One probe, for the audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditLine {
    /// Whose rights.
    pub who: String,
    /// From where.
    pub from: String,
    /// What was asked, in words.
    pub what: String,
    /// The same as a value.
    pub probe: crate::probe::Probe,
    /// When, RFC 3339.
    pub when: String,
    /// How long, milliseconds.
    pub took_ms: u64,
    /// What it may have done to the network.
    pub harm: crate::probe::Harm,
    /// `answered`, or why it could not be asked.
    pub outcome: String,
}
