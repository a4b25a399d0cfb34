//! Certificates for the pods of a world.
