//! Requests, answers, refusals, silence and lost sessions in any order, against an owner that is two numbers.

use std::collections::{BTreeMap, VecDeque};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Happening {
    /// Of transaction 0 to 2; which variables, and to what.
    Test(u32, Vec<(bool, u8)>),
    Commit(u32),
    Undo(u32),
    CleanUp(u32),
    /// The owner carries out the oldest command that it has not carried out yet.
    Work {
        refuse: bool,
    },
    /// Its oldest answer arrives.
    Answer,
    Shown,
    Pass(u64),
    Lost,
}

fn happening() -> impl Strategy<Value = Happening> {
    let variable = (any::<bool>(), 1..4_u8);
    prop_oneof![
        4 => (0..3_u32, vec(variable, 1..4)).prop_map(|(id, values)| Happening::Test(id, values)),
        4 => (0..3_u32).prop_map(Happening::Commit),
        2 => (0..3_u32).prop_map(Happening::Undo),
        2 => (0..3_u32).prop_map(Happening::CleanUp),
        6 => prop::bool::weighted(0.1).prop_map(|refuse| Happening::Work { refuse }),
        6 => Just(Happening::Answer),
        3 => Just(Happening::Shown),
        2 => (0..700_u64).prop_map(Happening::Pass),
        1 => Just(Happening::Lost),
    ]
}

/// A priority and a preemption, and a queue in each direction.
#[derive(Debug)]
struct Owner {
    priority: u8,
    preempt: bool,
    asked: VecDeque<(Token, Command)>,
    answers: VecDeque<(Token, Reply)>,
    generation: Generation,
}

impl Owner {
    fn work(&mut self, refuse: bool) {
        let Some((token, command)) = self.asked.pop_front() else { return };
        if refuse {
            return self.answers.push_back((token, refused()));
        }
        self.generation += 1;
        let undo = match command {
            Command::SetPriority { priority, .. } => {
                set_priority(std::mem::replace(&mut self.priority, priority.get()))
            }
            Command::SetPreempt { preempt, .. } => set_preempt(std::mem::replace(&mut self.preempt, preempt)),
            other => panic!("{other:?}"),
        };
        self.answers.push_back((token, done(undo, self.generation)));
    }
}

struct World {
    lab: Lab,
    owner: Owner,
    now: Instant,
    /// Requests of the session at hand that have no answer yet.
    open: BTreeMap<u32, Asked>,
    /// What a manager was told last: these two numbers are set, or nothing is known.
    errors: Vec<ErrorStatus>,
}

impl World {
    fn take(&mut self, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Command { token, command } => self.owner.asked.push_back((token, command)),
                Step::Answer { to, error, .. } => {
                    assert_eq!(self.open.remove(&to.packet), Some(to), "an answer to what was asked, once");
                    self.errors.push(error);
                }
            }
        }
    }

    fn ask(&mut self, id: u32, commit: bool) {
        let asked = self.lab.asked(id);
        self.open.insert(asked.packet, asked.clone());
        let steps = if commit { self.lab.sets.commit(asked, self.now) } else { self.lab.sets.undo(asked, self.now) };
        self.take(steps);
    }

    fn answer(&mut self) {
        if let Some((token, reply)) = self.owner.answers.pop_front() {
            let steps = self.lab.sets.reply(token, reply, self.now);
            self.take(steps);
        }
    }

    fn shown(&mut self) {
        let steps = self.lab.sets.store_at(Source::Vrrp, self.owner.generation, self.now);
        self.take(steps);
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.lab.sets.deadline().filter(|due| *due <= end) {
            self.now = due.max(self.now);
            let steps = self.lab.sets.wake(self.now);
            self.take(steps);
        }
        self.now = end;
    }

    fn settle(&mut self) {
        while !self.owner.asked.is_empty() || !self.owner.answers.is_empty() {
            self.owner.work(false);
            self.answer();
            self.shown();
        }
        self.shown();
    }

    fn lose(&mut self) {
        self.open.clear();
        let steps = self.lab.sets.clear(self.now);
        self.take(steps);
    }
}

fn world() -> World {
    let owner = Owner { priority: 150, preempt: true, asked: VecDeque::new(), answers: VecDeque::new(), generation: 1 };
    World { lab: lab(), owner, now: T0, open: BTreeMap::new(), errors: vec![] }
}

fn variables(values: &[(bool, u8)]) -> Vec<VarBind> {
    let of = |(which, value): &(bool, u8)| {
        if *which { priority(i32::from(*value)) } else { preempt(1 + i32::from(value % 2)) }
    };
    values.iter().map(of).collect()
}

proptest! {
    #[test]
    fn in_any_order_each_request_has_one_answer_and_nothing_is_left_behind(happenings in vec(happening(), 0..80)) {
        let mut world = world();
        for happening in happenings {
            match happening {
                Happening::Test(id, values) => drop(world.lab.test(id, &variables(&values))),
                Happening::Commit(id) => world.ask(id, true),
                Happening::Undo(id) => world.ask(id, false),
                Happening::CleanUp(id) => world.lab.sets.clean_up(id),
                Happening::Work { refuse } => world.owner.work(refuse),
                Happening::Answer => world.answer(),
                Happening::Shown => world.shown(),
                Happening::Pass(ms) => world.pass(Duration::from_millis(ms)),
                Happening::Lost => world.lose(),
            }
        }
        world.settle();
        world.pass(Duration::from_secs(1));
        world.settle();
        prop_assert_eq!(world.open.len(), 0, "every request has its answer");
        world.pass(Duration::from_secs(200));
        prop_assert_eq!(world.lab.sets.deadline(), None, "nothing is remembered for ever");
        prop_assert!(world.owner.asked.is_empty());
    }

    /// One SET after another, as net-snmp's master does it: all of it, or nothing, whatever happens on the way.
    #[test]
    fn a_set_is_done_whole_or_not_at_all(
        sets in vec((vec((any::<bool>(), 1..200_u8), 1..4), vec(any::<(bool, bool, bool)>(), 0..12), 0..600_u64, 0..8_u8), 1..8),
    ) {
        let mut world = world();
        for (values, turns, late, how) in sets {
            let before = (world.owner.priority, world.owner.preempt);
            let mut after = before;
            for (which, value) in &values {
                if *which { after.0 = *value } else { after.1 = value % 2 == 0 }
            }
            world.lab.test(7, &variables(&values)).unwrap();
            world.errors.clear();
            world.ask(7, true);
            for (work, refuse, answer) in turns {
                // One that refuses to take a thing back cannot be helped.
                let refuse = refuse && how % 2 == 0 && world.errors.is_empty();
                if work { world.owner.work(refuse) }
                if answer { world.answer(); world.shown() }
            }
            world.pass(Duration::from_millis(late));
            let lost = how > 5 && !world.open.is_empty();
            if lost { world.lose() }
            world.settle();
            let told = world.errors.first().copied();
            if !lost {
                if told != Some(ErrorStatus::NO_ERROR) {
                    world.ask(7, false);
                    world.settle();
                }
                world.lab.sets.clean_up(7);
            }
            let expected = if told == Some(ErrorStatus::NO_ERROR) { after } else { before };
            prop_assert_eq!((world.owner.priority, world.owner.preempt), expected, "told {:?}", told);
            prop_assert!(world.open.is_empty());
        }
    }
}
