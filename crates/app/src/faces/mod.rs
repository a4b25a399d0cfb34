//! The faces: how people and programs ask.

pub mod bench;
pub mod cluster;
pub mod diagnose;
pub mod here;
pub mod image;
pub mod lab;
pub mod plugin;
mod steps;
pub mod verify;
