//! What goes from the virtual server to its real servers and on to their checkers.

use super::{last, number};
use crate::conf::parse::Node;

#[derive(Debug, Clone, Copy)]
pub struct Timing {
    pub retry: Option<u32>,
    pub delay_before_retry_us: Option<u64>,
    pub warmup_us: Option<u64>,
    pub connect_timeout_us: u64,
    pub delay_loop_us: u64,
    pub alpha: bool,
}

/// What a virtual server starts from.
pub const DEFAULT: Timing = Timing {
    retry: None,
    delay_before_retry_us: None,
    warmup_us: None,
    connect_timeout_us: 5_000_000,
    delay_loop_us: 60_000_000,
    alpha: false,
};

impl Timing {
    /// With the lines of a block inside.
    pub fn inside(self, node: &Node) -> Timing {
        let micros = |name| last(node, name, Node::micros);
        Timing {
            retry: number(node, "retry").or(self.retry),
            delay_before_retry_us: micros("delay_before_retry").or(self.delay_before_retry_us),
            warmup_us: micros("warmup").or(self.warmup_us),
            connect_timeout_us: micros("connect_timeout").unwrap_or(self.connect_timeout_us),
            delay_loop_us: micros("delay_loop").unwrap_or(self.delay_loop_us),
            alpha: last(node, "alpha", Node::switch).unwrap_or(self.alpha),
        }
    }
}
