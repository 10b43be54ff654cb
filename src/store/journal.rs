//! The last edges, for people who ask what happened.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::bus::msg::Edge;

/// Edges with their numbers, the oldest first.
pub type Numbered = Vec<(u64, Arc<Edge>)>;

/// A ring of edges with running numbers.
#[derive(Debug)]
pub struct Journal {
    ring: VecDeque<Arc<Edge>>,
    capacity: usize,
    /// Number of the next edge.
    next: u64,
    /// All of them, if nothing has happened since somebody asked.
    shared: Option<Arc<Numbered>>,
}

/// An edge and its number; numbers count from 0 and have no gaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'a> {
    pub number: u64,
    pub edge: &'a Arc<Edge>,
}

impl Default for Journal {
    /// A day of one transition a minute.
    fn default() -> Self {
        Journal::new(1440)
    }
}

impl Journal {
    pub fn new(capacity: usize) -> Self {
        Journal { ring: VecDeque::new(), capacity: capacity.max(1), next: 0, shared: None }
    }

    /// Keeps `edge`; the oldest one goes when there is no room.
    pub fn push(&mut self, edge: Arc<Edge>) {
        self.shared = None;
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

    /// All that are there; the same list until there is another edge.
    pub fn all(&mut self) -> Arc<Numbered> {
        let all = match &self.shared {
            Some(all) => Arc::clone(all),
            None => Arc::new(self.since(0).map(|entry| (entry.number, Arc::clone(entry.edge))).collect()),
        };
        Arc::clone(self.shared.insert(all))
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
            journal.push(Arc::new(Edge::Transition {
                instance: "VI_1".into(),
                index,
                from: State::Backup,
                to: State::Master,
                initial: State::Backup,
                reason: Reason::MasterNoResponse,
                new_master: None,
                at: WallTime(0),
            }));
        }
        let kept = |from| journal.since(from).map(|entry| entry.number).collect::<Vec<_>>();
        assert_eq!(kept(0), [3, 4]);
        assert_eq!(kept(4), [4]);
        assert_eq!(kept(journal.next_number()), [0; 0]);
        let all = journal.all();
        assert_eq!(all.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [3, 4]);
        assert!(Arc::ptr_eq(&all, &journal.all()), "asking twice costs nothing");
        let last = Arc::clone(&all[1].1);
        journal.push(last);
        assert_eq!(journal.all().iter().map(|(number, _)| *number).collect::<Vec<_>>(), [4, 5]);
    }
}
