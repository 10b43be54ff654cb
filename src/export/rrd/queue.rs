//! What waits for the rrd process: at most [`STEPS_MAX`] steps, then the oldest goes and is counted.

use std::collections::VecDeque;

use super::wire::Batch;

/// Ten minutes of 10 s.
pub const STEPS_MAX: usize = 60;

/// Batches by the step that they are of, the oldest first. One is under way at a time.
#[derive(Debug, Default)]
pub struct Queue {
    steps: VecDeque<(u64, VecDeque<Batch>)>,
    under_way: Option<(u64, Batch)>,
    dropped: u64,
}

impl Queue {
    /// Adds a step.
    pub fn push(&mut self, at: u64, batches: Vec<Batch>) {
        if !batches.is_empty() {
            self.steps.push_back((at, batches.into()));
        }
        self.shorten();
    }

    /// The next batch to send; none while one is under way.
    pub fn next(&self) -> Option<&Batch> {
        if self.under_way.is_some() { None } else { self.steps.front().and_then(|(_, batches)| batches.front()) }
    }

    /// The one that [`Self::next`] gave is with the rrd process.
    pub fn sent(&mut self) {
        let Some((at, batches)) = self.steps.front_mut() else { return };
        self.under_way = batches.pop_front().map(|batch| (*at, batch));
        if batches.is_empty() {
            self.steps.pop_front();
        }
    }

    /// Nothing of its step waits behind the one that is under way.
    pub fn ends_step(&self) -> bool {
        let front = self.steps.front().map(|(at, _)| *at);
        self.under_way.as_ref().is_some_and(|(at, _)| front != Some(*at))
    }

    /// It was written, or could not be; false if that one was not under way.
    pub fn done(&mut self, number: u64) -> bool {
        self.under_way.take_if(|(_, batch)| batch.number == number).is_some()
    }

    /// It was not taken, or who had it is gone: it is the next again.
    pub fn back(&mut self) {
        let Some((at, batch)) = self.under_way.take() else { return };
        match self.steps.front_mut() {
            Some((front, batches)) if *front == at => batches.push_front(batch),
            _ => self.steps.push_front((at, VecDeque::from([batch]))),
        }
        self.shorten();
    }

    /// What is counted as dropped for another reason.
    pub fn lose(&mut self, updates: u64) {
        self.dropped += updates;
    }

    /// Updates that went because there was no room.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Steps that wait.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    fn shorten(&mut self) {
        while self.steps.len() > STEPS_MAX {
            let gone = self.steps.pop_front().map(|(_, batches)| batches).unwrap_or_default();
            self.dropped += gone.iter().map(|batch| batch.updates).sum::<u64>();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(number: u64) -> Batch {
        Batch { number, frame: vec![], updates: 10 }
    }

    #[test]
    fn batches_go_in_order_one_at_a_time() {
        let mut queue = Queue::default();
        queue.push(10, vec![batch(1), batch(2)]);
        queue.push(20, vec![batch(3)]);
        queue.push(30, vec![]);
        let mut order = Vec::new();
        while let Some(number) = queue.next().map(|batch| batch.number) {
            queue.sent();
            assert!(queue.next().is_none());
            assert_eq!(queue.ends_step(), number != 1);
            assert!(!queue.done(number + 1));
            assert!(queue.done(number));
            order.push(number);
        }
        assert_eq!((order, queue.dropped()), (vec![1, 2, 3], 0));
    }

    #[test]
    fn what_was_with_a_process_that_died_is_sent_again_first() {
        let mut queue = Queue::default();
        queue.push(10, vec![batch(1), batch(2)]);
        queue.sent();
        queue.back();
        assert_eq!(queue.next().map(|batch| batch.number), Some(1));
        queue.sent();
        assert!(queue.done(1));
        queue.sent();
        queue.push(20, vec![batch(3)]);
        queue.back();
        queue.back();
        assert_eq!(queue.next().map(|batch| batch.number), Some(2));
        assert_eq!(queue.len(), 2);
    }

    #[test]
    fn the_oldest_step_goes_when_nobody_writes_for_longer_than_the_queue() {
        let mut queue = Queue::default();
        for step in 0..100 {
            queue.push(step, vec![batch(2 * step), batch(2 * step + 1)]);
            if step == 0 {
                queue.sent();
            }
        }
        // The one under way may be written yet: it is not dropped.
        assert_eq!((queue.len(), queue.dropped()), (STEPS_MAX, (39 * 2 + 1) * 10));
        queue.back();
        assert_eq!((queue.len(), queue.dropped()), (STEPS_MAX, 40 * 20));
    }
}
