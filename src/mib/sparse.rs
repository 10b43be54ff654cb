//! Columns in which few rows have a value: the next one is found without looking at all rows between.

use std::sync::{Mutex, PoisonError};

use crate::store::{Identity, RowSet};

/// Where one column has values, in the rows that it was last asked about. Made when a search steps over many rows that
/// have none, and forgotten when the rows change: it remembers answers and changes none.
#[derive(Debug, Default)]
pub struct Sparse(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    of: Identity,
    /// Positions of rows that have a value, ascending.
    positions: Vec<u32>,
}

/// Rows without a value that a search steps over before it asks where the others are. A column that most rows have is
/// never asked.
const STEPS: usize = 32;

impl Sparse {
    /// The first row at or behind `position` that has a value. What `get` says of a row, as far as that is whether there
    /// is a value, follows from the row alone.
    pub fn next<'a, R: Send + Sync + 'static, T>(
        &self,
        rows: &'a RowSet<R>,
        position: usize,
        get: impl Fn(&R) -> Option<T>,
    ) -> Option<(&'a [u32], T)> {
        let at = |position| {
            let (index, row) = rows.at(position)?;
            Some((index, get(row)?))
        };
        let near = position.saturating_add(STEPS).min(rows.len());
        if let Some(found) = (position..near).find_map(at) {
            return Some(found);
        }
        if near == rows.len() {
            return None;
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !rows.is(&known.of) {
            let valued = (0_u32..).zip(rows.iter()).filter(|(_, (_, row))| get(row).is_some());
            *known = Known { of: rows.identity(), positions: valued.map(|(position, _)| position).collect() };
        }
        let behind = known.positions.partition_point(|position| (*position as usize) < near);
        known.positions.get(behind).and_then(|position| at(*position as usize))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;

    use proptest::collection::vec;
    use proptest::prelude::*;
    use smallvec::smallvec;

    use super::*;

    fn rows(values: &[Option<u8>]) -> RowSet<Option<u8>> {
        RowSet::new((1..).zip(values).map(|(n, value)| (smallvec![n], Arc::new(*value))))
    }

    #[test]
    fn a_column_that_no_row_has_is_looked_through_once_until_the_rows_change() {
        let (sparse, looked) = (Sparse::default(), Cell::new(0));
        let get = |row: &Option<u8>| {
            looked.set(looked.get() + 1);
            *row
        };
        let empty = rows(&[None; 10_000]);
        assert_eq!(sparse.next(&empty, 0, get), None);
        assert_eq!(looked.replace(0), 10_000 + STEPS);
        for position in 0..10_000 {
            assert_eq!(sparse.next(&empty, position, get), None);
        }
        assert!(looked.replace(0) <= 10_000 * STEPS);
        // The last of as many rows.
        let mut values = vec![None; 10_000];
        values[9_999] = Some(1);
        let last = rows(&values);
        assert_eq!(sparse.next(&last, 0, get), Some((&[10_000][..], 1)));
        looked.set(0);
        assert_eq!(sparse.next(&last, 1, get), Some((&[10_000][..], 1)));
        assert_eq!(looked.get(), STEPS + 1);
    }

    /// Long stretches of rows with and without a value.
    fn values() -> impl Strategy<Value = Vec<Option<u8>>> {
        let stretch = (prop_oneof![Just(0), Just(5), Just(100)], vec((0..100, any::<u8>()), 0..120))
            .prop_map(|(percent, row)| row.into_iter().map(|(at, value)| (at < percent).then_some(value)).collect());
        vec(stretch, 0..6).prop_map(|stretches: Vec<Vec<_>>| stretches.concat())
    }

    proptest! {
        #[test]
        fn the_next_value_is_what_looking_at_every_row_finds(
            values in vec(values(), 1..4),
            asked in vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..60),
        ) {
            // Several snapshots, asked in turn, as readers of different ages do.
            let sets: Vec<RowSet<Option<u8>>> = values.iter().map(|values| rows(values)).collect();
            let sparse = Sparse::default();
            for (which, position) in asked {
                let set = which.get(&sets);
                let position = position.index(set.len() + 2);
                let expected = set.iter().skip(position).find_map(|(index, value)| Some((index, (*value)?)));
                prop_assert_eq!(sparse.next(set, position, |row| *row), expected);
            }
        }
    }
}
