//! What we know of a cluster's network and what we conclude from it. Pure: no IO, no clock, no
//! environment, no logging, never async, never a panic on input.
//!
//! Reading order: [`object`] and [`snapshot`] (facts), [`topology`] (facts indexed), [`path`]
//! (one conversation as hops), [`route`] (what an Ingress sends where), [`probe`] (questions and answers), [`evidence`], [`finding`],
//! [`check`] and [`checks`] (the shelf), [`cause`], [`remedy`], [`engine`] (the loop), [`report`].
//!
//! Deliberately absent: everything that touches the world. The snapshot carries its time; the
//! engine names probes, somebody else runs them.
#![warn(missing_docs)]
#![cfg_attr(test, allow(clippy::disallowed_methods))] // tests read fixtures and list their shelf

pub mod cause;
pub mod check;
pub mod checks;
pub mod compose;
pub mod corefile;
pub mod dns_cache;
pub mod engine;
pub mod evidence;
pub mod finding;
pub mod growth;
pub mod object;
pub mod observe;
pub mod path;
pub mod policy;
pub mod probe;
pub mod remedy;
pub mod report;
pub mod rights;
pub mod route;
pub mod rules;
pub mod snapshot;
pub mod standing;
pub mod symptom;
pub mod text;
pub mod time;
pub mod topology;

#[cfg(test)]
mod fuzz;
