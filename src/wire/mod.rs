//! Wire codecs: total functions over bytes, without meaning, I/O or time.

pub mod agentx;
pub mod oid;
pub mod value;
