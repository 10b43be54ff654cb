//! What processes say to each other, how it is framed, and how a slow reader is kept from costing memory.
//!
//! Every pair of processes shares a non-blocking seqpacket socket. [`outbox`] is the sender's side of the engine feed:
//! the latest value of a row wins, edges wait in a ring, and a batch goes out whole.

pub mod bfd;
pub mod frame;
pub mod msg;
pub mod outbox;
pub mod rows;
pub mod run;
pub mod timing;
