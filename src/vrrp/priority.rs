//! From the configured priority to the one that is advertised.

use crate::conf::model::Priority;

use super::machine::OWNER;

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

    #[test]
    fn the_sum_stays_between_1_and_254_and_an_owner_stays_an_owner() {
        let priority = |value| Priority::new(value).expect("not zero");
        assert_eq!(effective(priority(100), 20).get(), 120);
        assert_eq!(effective(priority(100), -200).get(), 1);
        assert_eq!(effective(priority(250), 200).get(), 254);
        assert_eq!(effective(priority(255), -200).get(), 255);
    }
}
