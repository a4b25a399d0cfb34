//! The worlds compiled into the binary. To add one: a folder under `labs/`, one line here.

use crate::Error;
use crate::world::{World, load};

macro_rules! lab {
    ($name:literal) => {
        ($name, include_str!(concat!("../../../labs/", $name, "/objects.yaml")), include_str!(concat!("../../../labs/", $name, "/world.yaml")))
    };
}

/// Name, `objects.yaml`, `world.yaml`.
pub const LABS: &[(&str, &str, &str)] = &[lab!("auth-service-out-of-memory")];

/// All built-in worlds.
pub fn labs() -> Result<Vec<World>, Error> {
    LABS.iter().map(|(name, objects, plan)| load::from_texts(name, objects, plan)).collect()
}

/// One built-in world.
pub fn lab(name: &str) -> Result<Option<World>, Error> {
    LABS.iter().find(|l| l.0 == name).map(|(name, objects, plan)| load::from_texts(name, objects, plan)).transpose()
}
