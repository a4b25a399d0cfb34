//! The process that holds a world and ends with its parent.
