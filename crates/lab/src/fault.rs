//! What breaks a world, at its moment.
