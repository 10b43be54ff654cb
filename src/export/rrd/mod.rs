//! History in RRD files: which files there are ([`layout`], [`names`]), what goes into them ([`updates`]), what waits when
//! nobody writes ([`queue`]), what the bridge and the rrd process say to each other ([`wire`]), how rrdcached is spoken to
//! ([`cached`]), and what the pictures show ([`graphs`]).
//!
//! All of it is values. librrd is known to `keepwatch-rrd` alone.

pub mod cached;
pub mod graphs;
pub mod layout;
pub mod names;
pub mod queue;
pub mod updates;
pub mod wire;

pub use layout::{Layout, Object};
