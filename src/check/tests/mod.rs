//! The engine against a model of the kernel's table: sentences, and a simulation.

mod bfd;
mod groups;
mod pools;
mod reloads;
mod simulation;
mod table;
mod times;
mod timing;
mod weights;
pub(crate) mod world;
