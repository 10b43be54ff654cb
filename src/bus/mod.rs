//! What processes say to each other.

pub mod msg;
pub mod rows;
