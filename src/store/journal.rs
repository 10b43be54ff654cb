//! The last edges, for people who ask what happened.

use std::collections::VecDeque;

use crate::bus::msg::Edge;

/// A ring of edges with running numbers.
#[derive(Debug)]
pub struct Journal {
    ring: VecDeque<Edge>,
    capacity: usize,
    /// Number of the next edge.
    next: u64,
}

/// An edge and its number; numbers count from 0 and have no gaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'a> {
    pub number: u64,
    pub edge: &'a Edge,
}

impl Default for Journal {
    /// A day of one transition a minute.
    fn default() -> Self {
        Journal::new(1440)
    }
}

impl Journal {
    pub fn new(capacity: usize) -> Self {
        Journal { ring: VecDeque::new(), capacity: capacity.max(1), next: 0 }
    }

    /// Keeps `edge`; the oldest one goes when there is no room.
    pub fn push(&mut self, edge: Edge) {
        if self.ring.len() == self.capacity {
            self.ring.pop_front();
        }
        self.ring.push_back(edge);
        self.next += 1;
    }

    /// Edges from `number` on, as far as they are still there: the first entry's number tells.
    pub fn since(&self, number: u64) -> impl Iterator<Item = Entry<'_>> {
        let oldest = self.next - self.ring.len() as u64;
        (oldest..)
            .zip(&self.ring)
            .map(|(number, edge)| Entry { number, edge })
            .filter(move |entry| entry.number >= number)
    }

    /// The number that the next edge will have.
    pub fn next_number(&self) -> u64 {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::rows::{Reason, State};
    use crate::clock::WallTime;

    #[test]
    fn the_oldest_edges_go_and_numbers_go_on() {
        let mut journal = Journal::new(2);
        for index in 0..5 {
            journal.push(Edge::Transition {
                instance: "VI_1".into(),
                index,
                from: State::Backup,
                to: State::Master,
                initial: State::Backup,
                reason: Reason::MasterNoResponse,
                new_master: None,
                at: WallTime(0),
            });
        }
        let kept = |from| journal.since(from).map(|entry| entry.number).collect::<Vec<_>>();
        assert_eq!(kept(0), [3, 4]);
        assert_eq!(kept(4), [4]);
        assert_eq!(kept(journal.next_number()), [0; 0]);
    }
}
