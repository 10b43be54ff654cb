//! Object identifiers, ordered as SNMP walks them.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use smallvec::SmallVec;

/// An object identifier. Its order is that of GETNEXT: sub-identifier by sub-identifier, a prefix before what it
/// begins (RFC 3416 section 4.2.2). Every OID of KEEPALIVED-MIB fits without a heap allocation.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Oid(SmallVec<[u32; 16]>);

impl Oid {
    /// Most sub-identifiers that SNMP allows (RFC 2578 section 3.5).
    pub const MAX_LEN: usize = 128;

    pub fn new(ids: &[u32]) -> Self {
        Oid(SmallVec::from_slice(ids))
    }

    /// This OID with more sub-identifiers behind it.
    pub fn with(&self, more: &[u32]) -> Self {
        let mut ids = self.0.clone();
        ids.extend_from_slice(more);
        Oid(ids)
    }

    pub fn push(&mut self, id: u32) {
        self.0.push(id);
    }

    /// What follows `prefix`; `None` when this OID does not begin with it.
    pub fn below(&self, prefix: &[u32]) -> Option<&[u32]> {
        self.0.strip_prefix(prefix)
    }
}

impl Deref for Oid {
    type Target = [u32];
    fn deref(&self) -> &[u32] {
        &self.0
    }
}

impl From<&[u32]> for Oid {
    fn from(ids: &[u32]) -> Self {
        Oid::new(ids)
    }
}

impl FromIterator<u32> for Oid {
    fn from_iter<I: IntoIterator<Item = u32>>(ids: I) -> Self {
        Oid(ids.into_iter().collect())
    }
}

impl fmt::Display for Oid {
    /// As net-snmp prints it with `-On`: `.1.3.6`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|id| write!(f, ".{id}"))
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not dotted numbers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected numbers with dots between them, at most 128")]
pub struct NotAnOid;

impl FromStr for Oid {
    type Err = NotAnOid;
    fn from_str(text: &str) -> Result<Self, NotAnOid> {
        let text = text.strip_prefix('.').unwrap_or(text);
        let oid: Oid = text.split('.').map(str::parse).collect::<Result<_, _>>().map_err(|_| NotAnOid)?;
        if oid.len() > Oid::MAX_LEN { Err(NotAnOid) } else { Ok(oid) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_comes_before_what_it_begins_and_numbers_compare_as_numbers() {
        let mut oids: Vec<Oid> =
            ["1.3.6.1.10", "1.3.6.1.9.5", "1.3.6.1", "1.3.6.1.9"].iter().map(|text| text.parse().unwrap()).collect();
        oids.sort();
        let text: Vec<String> = oids.iter().map(Oid::to_string).collect();
        assert_eq!(text, [".1.3.6.1", ".1.3.6.1.9", ".1.3.6.1.9.5", ".1.3.6.1.10"]);
    }

    #[test]
    fn text_that_is_not_dotted_numbers_is_refused() {
        for text in ["", ".", "1..3", "1.x", "4294967296", "1.3."] {
            assert_eq!(text.parse::<Oid>(), Err(NotAnOid), "{text}");
        }
    }
}
