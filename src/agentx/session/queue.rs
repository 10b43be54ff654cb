//! Notifications that wait for a session.

use std::collections::VecDeque;

use crate::clock::Instant;
use crate::mib::trap::Trap;
use crate::wire::agentx::{Value, VarBind};
use crate::wire::oid::Oid;

/// A bounded queue. When it is full the oldest goes: what happened last matters most.
#[derive(Debug, Default)]
pub(super) struct TrapQueue {
    waiting: VecDeque<(Trap, Instant)>,
    dropped: u64,
}

impl TrapQueue {
    /// Every instance of a large router changing its state once or twice.
    pub(super) const MAX: usize = 256;

    pub(super) fn push(&mut self, trap: Trap, at: Instant) {
        if self.waiting.len() == Self::MAX {
            self.waiting.pop_front();
            self.dropped += 1;
        }
        self.waiting.push_back((trap, at));
    }

    pub(super) fn pop(&mut self) -> Option<(Trap, Instant)> {
        self.waiting.pop_front()
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// The variables of a notification, with the two that begin every one (RFC 3416 section 4.2.6).
pub(super) fn varbinds(trap: Trap, uptime: u32) -> Vec<VarBind> {
    const SYS_UP_TIME: [u32; 9] = [1, 3, 6, 1, 2, 1, 1, 3, 0];
    const SNMP_TRAP_OID: [u32; 11] = [1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0];
    let first = [
        VarBind::new(Oid::new(&SYS_UP_TIME), Value::TimeTicks(uptime)),
        VarBind::new(Oid::new(&SNMP_TRAP_OID), Value::ObjectIdentifier(trap.oid)),
    ];
    first.into_iter().chain(trap.varbinds).collect()
}
