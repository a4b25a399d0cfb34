//! Worlds: real networks in namespaces, alive enough that a remedy can be seen to work.
//!
//! A sixth room because Cargo must forbid it `netshoot-model`: the rules that enforce a policy
//! here must not be able to call the evaluator that later explains them, and the diagnosis must
//! not be able to see a fault. This crate never names `netshoot_model`.
//!
//! Reading order: [`world`] (the format of a folder under `labs/`), [`vary`] (a seed changes
//! names, ports, addresses), [`hold`] (the process that holds everything and ends with its
//! parent), [`ground`] (namespaces, links, processes), [`store`] (the API server's part),
//! [`controllers`], [`kubelet`] and [`living`] (what keeps it alive), [`proxy`] and [`enforce`] (rules),
//! [`dns`], [`behave`] (what runs in a pod), [`fault`] (what breaks it), [`serve`] (what the
//! diagnosis is given). [`real`] and [`apiserver`]: upstream's kube-proxy and CoreDNS in the place of the
//! stand-ins.

#![allow(unsafe_code)] // clone, setns, mount; each with its SAFETY line

pub mod apiserver;
pub mod behave;
pub mod certs;
pub mod controllers;
pub mod dns;
pub mod enforce;
pub mod fault;
pub mod ground;
pub mod hold;
pub mod kinds;
pub mod kubelet;
pub mod labs;
pub mod living;
pub mod own;
pub mod proxy;
pub mod real;
pub mod relay;
pub mod scenario;
pub mod serve;
pub mod shape;
pub mod standing;
pub mod store;
pub mod vary;
pub mod world;

use std::fmt;

/// What went wrong with a world, by the step that failed.
#[derive(Debug)]
pub enum Error {
    /// A world's files: which file, what is wrong with it (with line where known).
    Format {
        /// `auth-service-out-of-memory/world.yaml`
        file: String,
        /// What was wrong.
        why: String,
    },
    /// Building or running the network.
    Ground(netshoot_host::Error),
    /// An object request (get, patch, delete) that the store refuses.
    Store {
        /// What was asked, `patch Service production/cart`.
        asked: String,
        /// Why not, in the API server's words.
        why: String,
    },
    /// A condition that did not come true in time.
    Waited {
        /// The condition.
        for_what: String,
        /// How long, milliseconds.
        ms: u64,
    },
    /// This machine lacks something the world needs.
    Absent {
        /// What, and why it is not here.
        what: String,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Format { file, why } => write!(f, "{file}: {why}"),
            Error::Ground(e) => write!(f, "{e}"),
            Error::Store { asked, why } => write!(f, "{asked}: {why}"),
            Error::Waited { for_what, ms } => {
                write!(f, "waited {ms} ms for {for_what}: did not come")
            }
            Error::Absent { what } => write!(f, "{what}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<netshoot_host::Error> for Error {
    fn from(e: netshoot_host::Error) -> Self {
        Error::Ground(e)
    }
}
