//! What one object says, as keywords and values in the file's own words, and how two such lists differ.
//!
//! A value that is left to its default is either told with the default, where there is a word for it, or not at all.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::{Debug, Display};

use serde::{Deserialize, Serialize};

/// One value of an object that both configurations have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// The directive, as the file calls it.
    pub keyword: Cow<'static, str>,
    pub how: How,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum How {
    /// There is one, and it is another.
    Changed {
        old: String,
        new: String,
    },
    /// There was none. The text is empty where the directive alone says all.
    Set(String),
    /// There is none any more.
    Unset(String),
    /// One more, or one less, of a list.
    Added(String),
    Removed(String),
    /// The same ones in another order.
    Reordered,
    /// It differs in what is not told: a password, or what no short word stands for. The text says of what, if it is one of
    /// several.
    Otherwise(String),
}

impl Edit {
    /// Whether `other`, of something within, is nothing but this, inherited.
    pub(super) fn explains(&self, other: &Edit) -> bool {
        let (mine, theirs) = (plain(&self.keyword), plain(&other.keyword));
        // Without one of its own, `warmup` is as long as `delay_loop`.
        self.how == other.how && (mine == theirs || (mine, theirs) == ("delay_loop", "warmup"))
    }
}

fn plain(keyword: &str) -> &str {
    keyword.strip_prefix(CHECKER).unwrap_or(keyword)
}

/// Before the keyword where a checker has what its server has as well.
const CHECKER: &str = "checker ";

/// What an object says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Facts(Vec<Fact>);

#[derive(Debug, PartialEq, Eq)]
struct Fact {
    keyword: &'static str,
    text: String,
    /// What differs although the text does not; shown to nobody.
    print: String,
    list: bool,
}

impl Facts {
    fn push(&mut self, keyword: &'static str, text: String, print: String, list: bool) {
        self.0.push(Fact { keyword, text, print, list });
    }

    /// There is always one.
    pub(super) fn one(&mut self, keyword: &'static str, value: impl Display) {
        self.push(keyword, value.to_string(), String::new(), false);
    }

    pub(super) fn maybe(&mut self, keyword: &'static str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.one(keyword, value);
        }
    }

    /// A directive without a value, or none.
    pub(super) fn flag(&mut self, keyword: &'static str, set: bool) {
        if set {
            self.one(keyword, "");
        }
    }

    /// Of one value a text and what else there is to it.
    pub(super) fn with(&mut self, keyword: &'static str, text: String, print: String) {
        self.push(keyword, text, print, false);
    }

    /// Not to be told.
    pub(super) fn hidden(&mut self, keyword: &'static str, value: Option<&(impl Debug + ?Sized)>) {
        if let Some(value) = value {
            self.push(keyword, String::new(), format!("{value:?}"), false);
        }
    }

    pub(super) fn each(&mut self, keyword: &'static str, values: impl IntoIterator<Item: Display>) {
        for value in values {
            self.push(keyword, value.to_string(), String::new(), true);
        }
    }

    /// Of each one a text and what else there is to it.
    pub(super) fn each_with(&mut self, keyword: &'static str, values: impl IntoIterator<Item = (String, String)>) {
        for (text, print) in values {
            self.push(keyword, text, print, true);
        }
    }

    /// What has to be edited to get from these to `new`, in the order of the keywords.
    pub(super) fn edits(&self, new: &Facts) -> Vec<Edit> {
        if self == new {
            return Vec::new();
        }
        let mut keywords: Vec<&'static str> = Vec::new();
        let mut by_keyword: HashMap<&'static str, (Vec<&Fact>, Vec<&Fact>)> = HashMap::new();
        let all = new.0.iter().map(|fact| (fact, true)).chain(self.0.iter().map(|fact| (fact, false)));
        for (fact, is_new) in all {
            let (old, new) = by_keyword.entry(fact.keyword).or_insert_with(|| {
                keywords.push(fact.keyword);
                Default::default()
            });
            if is_new { new.push(fact) } else { old.push(fact) }
        }
        let mut edits = Vec::new();
        for keyword in keywords {
            let Some((old, new)) = by_keyword.get(keyword) else { continue };
            if old != new {
                let how = hows(old, new);
                edits.extend(how.into_iter().map(|how| Edit { keyword: Cow::Borrowed(keyword), how }));
            }
        }
        edits
    }
}

fn hows(old: &[&Fact], new: &[&Fact]) -> Vec<How> {
    let list = |facts: &[&Fact]| facts.len() > 1 || facts.iter().any(|fact| fact.list);
    if !list(old) && !list(new) {
        return single(old.first().copied(), new.first().copied()).into_iter().collect();
    }
    let added = without(new, old, |fact| (&fact.text, &fact.print));
    let removed = without(old, new, |fact| (&fact.text, &fact.print));
    if added.is_empty() && removed.is_empty() {
        return vec![How::Reordered];
    }
    // What reads the same and is not is one that changed.
    let come = without(&added, &removed, |fact| (&fact.text, ""));
    let gone = without(&removed, &added, |fact| (&fact.text, ""));
    let changed = without(&removed, &gone, |fact| (&fact.text, ""));
    let all = changed.into_iter().map(|fact| How::Otherwise(fact.text.clone()));
    let all = all.chain(gone.into_iter().map(|fact| How::Removed(fact.text.clone())));
    all.chain(come.into_iter().map(|fact| How::Added(fact.text.clone()))).collect()
}

/// Those of `all` that are not in `others`; the same line may stand there twice.
fn without<'a>(all: &[&'a Fact], others: &[&'a Fact], key: fn(&'a Fact) -> (&'a str, &'a str)) -> Vec<&'a Fact> {
    let mut left: HashMap<(&str, &str), usize> = HashMap::new();
    for fact in others {
        *left.entry(key(fact)).or_default() += 1;
    }
    let mut kept = Vec::new();
    for fact in all {
        match left.get_mut(&key(fact)) {
            Some(count) if *count > 0 => *count -= 1,
            _ => kept.push(*fact),
        }
    }
    kept
}

fn single(old: Option<&Fact>, new: Option<&Fact>) -> Option<How> {
    match (old, new) {
        (None, None) => None,
        (None, Some(new)) => Some(How::Set(new.text.clone())),
        (Some(old), None) => Some(How::Unset(old.text.clone())),
        (Some(old), Some(new)) if old.text != new.text => {
            Some(How::Changed { old: old.text.clone(), new: new.text.clone() })
        }
        (Some(old), Some(new)) => (old.print != new.print).then(|| How::Otherwise(String::new())),
    }
}

/// Seconds with as many decimals as it takes, as the file gives them.
pub(super) fn seconds(of: std::time::Duration) -> String {
    let text = format!("{}.{:09}", of.as_secs(), of.subsec_nanos());
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

pub(super) fn seconds_us(us: u64) -> String {
    seconds(std::time::Duration::from_micros(us))
}

pub(super) fn seconds_ns(ns: u64) -> String {
    seconds(std::time::Duration::from_nanos(ns))
}

/// Milliseconds with as many decimals as it takes, likewise.
pub(super) fn milliseconds_us(us: u32) -> String {
    let text = format!("{}.{:03}", us / 1000, us % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn list(values: &[(&str, &str)]) -> Facts {
        let mut facts = Facts::default();
        facts.each_with("x", values.iter().map(|(text, print)| ((*text).to_owned(), (*print).to_owned())));
        facts
    }

    fn how(old: &[(&str, &str)], new: &[(&str, &str)]) -> Vec<How> {
        list(old).edits(&list(new)).into_iter().map(|edit| edit.how).collect()
    }

    #[test]
    fn lists_tell_what_came_what_went_what_is_otherwise_and_nothing_else() {
        let (a, b, c) = (("a", ""), ("b", ""), ("c", ""));
        assert_eq!(how(&[a, b], &[a, b]), []);
        assert_eq!(how(&[a, b], &[b, a]), [How::Reordered]);
        assert_eq!(how(&[a, b], &[c, b]), [How::Removed("a".to_owned()), How::Added("c".to_owned())]);
        assert_eq!(how(&[a, a], &[a]), [How::Removed("a".to_owned())]);
        assert_eq!(how(&[], &[a, a]), [How::Added("a".to_owned()), How::Added("a".to_owned())]);
        assert_eq!(how(&[("a", "1"), b], &[("a", "2"), b]), [How::Otherwise("a".to_owned())]);
    }

    #[test]
    fn one_value_is_set_unset_changed_or_other_than_it_looks() {
        let of = |text: Option<(&str, &str)>| {
            let mut facts = Facts::default();
            if let Some((text, print)) = text {
                facts.with("x", text.to_owned(), print.to_owned());
            }
            facts
        };
        let how = |old, new| of(old).edits(&of(new)).pop().map(|edit| edit.how);
        assert_eq!(how(None, Some(("1", ""))), Some(How::Set("1".to_owned())));
        assert_eq!(how(Some(("1", "")), None), Some(How::Unset("1".to_owned())));
        assert_eq!(how(Some(("", "s3cret")), Some(("", "other"))), Some(How::Otherwise(String::new())));
        let changed = How::Changed { old: "1".to_owned(), new: "2".to_owned() };
        assert_eq!(how(Some(("1", "")), Some(("2", ""))), Some(changed));
        assert_eq!(how(Some(("1", "")), Some(("1", ""))), None);
    }

    #[test]
    fn times_read_as_in_the_file() {
        assert_eq!(seconds(Duration::from_millis(1500)), "1.5");
        assert_eq!(seconds(Duration::from_secs(10)), "10");
        assert_eq!(seconds_us(1), "0.000001");
        assert_eq!(seconds_ns(0), "0");
        assert_eq!(milliseconds_us(10_000), "10");
        assert_eq!(milliseconds_us(1_010), "1.01");
    }
}
