//! Sections of a state file, and what differs between two lists of lines.

/// What stands below a `------< TITLE >------` that begins its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    pub title: String,
    /// As they are, without blank ones.
    pub lines: Vec<String>,
}

/// All sections in their order; a title that comes twice is two.
pub fn sections(text: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for line in text.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
        if let Some(title) = line.strip_prefix("------< ").and_then(|rest| rest.strip_suffix(" >------")) {
            sections.push(Section { title: title.to_owned(), lines: Vec::new() });
        } else if let Some(section) = sections.last_mut() {
            section.lines.push(line.to_owned());
        }
    }
    sections
}

/// Lines of one that the other has not at that place, each with the block that it is in.
pub(super) fn diff(theirs: &[String], ours: &[String]) -> Vec<String> {
    // Length of the longest common subsequence from each pair of places on.
    let width = ours.len() + 1;
    let mut common = vec![0_u32; (theirs.len() + 1) * width];
    for (i, one) in theirs.iter().enumerate().rev() {
        for (k, other) in ours.iter().enumerate().rev() {
            common[i * width + k] = if one == other {
                common[(i + 1) * width + k + 1] + 1
            } else {
                common[(i + 1) * width + k].max(common[i * width + k + 1])
            };
        }
    }
    let (mut i, mut k) = (0, 0);
    let mut found = Vec::new();
    while i < theirs.len() || k < ours.len() {
        if i < theirs.len() && k < ours.len() && theirs[i] == ours[k] {
            (i, k) = (i + 1, k + 1);
        } else if k == ours.len() || i < theirs.len() && common[(i + 1) * width + k] >= common[i * width + k + 1] {
            found.push(format!("only keepalived has `{}`{}", theirs[i].trim(), within(theirs, i)));
            i += 1;
        } else {
            found.push(format!("only we have `{}`{}", ours[k].trim(), within(ours, k)));
            k += 1;
        }
    }
    found
}

/// The lines above one that are less deep.
fn within(lines: &[String], at: usize) -> String {
    let depth = |line: &str| line.len() - line.trim_start().len();
    let Some(own) = lines.get(at) else { return String::new() };
    let mut least = depth(own);
    let mut above = Vec::new();
    for line in lines[..at].iter().rev() {
        let heads = line.contains("RIP = ") || line.contains("Checked url") || depth(line) < least;
        if heads && !line.contains("------<") {
            above.push(line.trim());
            least = least.min(depth(line));
        }
        if depth(line) <= 1 && !line.contains("------<") {
            break;
        }
    }
    if above.is_empty() { String::new() } else { format!(" in {}", above.join(" in ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn a_value_that_differs_a_line_too_many_and_one_too_few_are_told() {
        let theirs = list(&[" A = 1", "   x = 1", "   new = 3", " B = 2", "   x = 1"]);
        let ours = list(&[" A = 1", "   x = 2", " B = 2", "   x = 1", "   own = 4"]);
        let told = diff(&theirs, &ours);
        let wanted = [
            "only keepalived has `x = 1` in A = 1",
            "only keepalived has `new = 3` in A = 1",
            "only we have `x = 2` in A = 1",
            "only we have `own = 4` in B = 2",
        ];
        assert_eq!(told, wanted);
        assert!(diff(&theirs, &theirs).is_empty());
    }

    #[test]
    fn lines_in_another_order_differ() {
        assert_eq!(diff(&list(&["a", "b"]), &list(&["b", "a"])).len(), 2);
    }

    #[test]
    fn sections_begin_at_titles_that_begin_a_line() {
        let found = sections("------< One >------\n a\n ------< Within >------\n\n------< Two >------\n");
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].lines, list(&[" a", " ------< Within >------"]));
        assert_eq!((found[1].title.as_str(), found[1].lines.len()), ("Two", 0));
    }
}
