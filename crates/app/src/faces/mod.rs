//! The faces: how people and programs ask.

pub mod diagnose;
pub mod verify;
