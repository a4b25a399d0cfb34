//! The faces: how people and programs ask.

#[cfg(feature = "node")]
pub mod bench;
#[cfg(feature = "node")]
pub mod cluster;
pub mod diagnose;
#[cfg(feature = "node")]
pub mod here;
#[cfg(feature = "node")]
pub mod image;
#[cfg(feature = "node")]
pub mod lab;
pub mod plugin;
mod steps;
pub mod verify;
