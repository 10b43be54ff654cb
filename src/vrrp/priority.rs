//! From the configured priority to the one that is advertised.

use crate::conf::model::{Priority, TrackedInterface};

use super::machine::OWNER;

/// What a tracked interface does to its instance at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    Nothing,
    /// Weight 0 and not as wished: the instance is in fault.
    Fault,
    Add(i16),
}

/// A positive weight counts while the interface is up, a negative one while it is down; `reverse` swaps up and down,
/// for weight 0 too.
pub fn effect(tracked: &TrackedInterface, up: bool) -> Effect {
    let good = up != tracked.reverse;
    match tracked.weight {
        0 if good => Effect::Nothing,
        0 => Effect::Fault,
        weight if (weight > 0) == good => Effect::Add(weight),
        _ => Effect::Nothing,
    }
}

/// The lines that count of an instance's own and its sync group's. Of two for one interface the group's does, but weight 0
/// goes before any other, as Keepalived has it.
pub fn counting<'a>(
    own: &'a [TrackedInterface],
    shared: &'a [TrackedInterface],
) -> impl Iterator<Item = &'a TrackedInterface> {
    let counts = |own: &TrackedInterface| own.weight == 0 || !shared.iter().any(|it| it.interface == own.interface);
    let covered = |it: &TrackedInterface| own.iter().any(|own| own.weight == 0 && own.interface == it.interface);
    own.iter().filter(move |own| counts(own)).chain(shared.iter().filter(move |it| !covered(it)))
}

/// Base plus weights, kept within 1 to 254; an owner stays an owner whatever happens.
pub fn effective(base: Priority, weights: i32) -> Priority {
    if base.get() == OWNER {
        return base;
    }
    let sum = i32::from(base.get()).saturating_add(weights).clamp(1, 254);
    u8::try_from(sum).ok().and_then(Priority::new).unwrap_or(Priority::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracked(weight: i16, reverse: bool) -> TrackedInterface {
        TrackedInterface { interface: "eth1".into(), weight, reverse }
    }

    #[test]
    fn a_weight_counts_while_up_if_positive_and_while_down_if_negative() {
        assert_eq!(effect(&tracked(20, false), true), Effect::Add(20));
        assert_eq!(effect(&tracked(20, false), false), Effect::Nothing);
        assert_eq!(effect(&tracked(-20, false), true), Effect::Nothing);
        assert_eq!(effect(&tracked(-20, false), false), Effect::Add(-20));
    }

    #[test]
    fn reverse_swaps_up_and_down() {
        assert_eq!(effect(&tracked(20, true), true), Effect::Nothing);
        assert_eq!(effect(&tracked(20, true), false), Effect::Add(20));
        assert_eq!(effect(&tracked(-20, true), true), Effect::Add(-20));
        assert_eq!(effect(&tracked(0, true), true), Effect::Fault);
        assert_eq!(effect(&tracked(0, true), false), Effect::Nothing);
    }

    #[test]
    fn weight_zero_is_a_fault_while_down() {
        assert_eq!(effect(&tracked(0, false), true), Effect::Nothing);
        assert_eq!(effect(&tracked(0, false), false), Effect::Fault);
    }

    #[test]
    fn the_sum_stays_between_1_and_254_and_an_owner_stays_an_owner() {
        let priority = |value| Priority::new(value).expect("not zero");
        assert_eq!(effective(priority(100), 20).get(), 120);
        assert_eq!(effective(priority(100), -200).get(), 1);
        assert_eq!(effective(priority(250), 200).get(), 254);
        assert_eq!(effective(priority(255), -200).get(), 255);
    }
}
