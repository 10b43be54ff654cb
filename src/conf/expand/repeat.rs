//! `~SEQ` and `~LST`: a line for each of some values.

use super::{Definition, Expander, MADE_MAX, ROUND_COST, Step, name_at};
use crate::conf::diag::{Diagnostic, Made, Span};
use crate::conf::lex::{Text, UNDEFINED};

impl Expander<'_> {
    /// The lines of a `~SEQ` or `~LST`, each after what its variables are then.
    pub(super) fn repeat(&mut self, text: &Text, at_start: bool) -> Vec<Step> {
        let at = text.chars().iter().position(|c| *c == '(');
        let end = text.chars().iter().position(|c| *c == ')');
        let (Some(at), Some(end)) = (at, end.filter(|end| at.is_some_and(|at| at < *end))) else {
            self.bad_repeat(text.span(0, text.len()), "expected `(VAR, values)` after it");
            return nothing(text, at_start);
        };
        let keyword = text.slice(0, at).trim().to_string();
        let arguments = text.slice(at + 1, end);
        let body = text.slice(end + 1, text.len()).trim();
        // Numbers may be parameters.
        let replaced = self.replace(&arguments).and_then(|lines| lines.into_iter().next()).unwrap_or(arguments);
        let result = match keyword.as_str() {
            "~SEQ" => sequence(&replaced, false),
            "~SEQx" => sequence(&replaced, true),
            "~LST" => list(&replaced),
            _ => Err(Some((text.span(0, at), format!("unknown repetition `{keyword}`: expected ~SEQ, ~SEQx or ~LST")))),
        };
        match result {
            Ok(rounds) => {
                let mut steps = Vec::new();
                for round in rounds {
                    self.made += body.len() + cost(round.iter().map(|(name, _)| name));
                    steps.extend(round.into_iter().map(|(name, value)| Step::Define(name, value)));
                    if self.made > MADE_MAX {
                        break;
                    }
                    let made = self.brought(Made::Repeated, text.span(0, end + 1));
                    steps.push(Step::Line(made.map_or_else(|| body.clone(), |made| body.made(made)), at_start));
                }
                steps
            }
            Err(mistake) => {
                if let Some((span, message)) = mistake {
                    self.bad_repeat(span, &message);
                }
                nothing(text, at_start)
            }
        }
    }

    fn bad_repeat(&mut self, span: Span, message: &str) {
        self.diagnostics.push(
            Diagnostic::error("repetition", span, message.to_owned())
                .hint("write `~SEQ(VAR, START, STEP, END) text ${VAR}` or `~LST(VAR, a, b) text ${VAR}`"),
        );
    }
}

/// In the place of lines that nobody knows: what lacks them has not to be told.
fn nothing(text: &Text, at_start: bool) -> Vec<Step> {
    vec![Step::Line(Text::of_use(text.span(0, text.len()), UNDEFINED.encode_utf8(&mut [0; 4])), at_start)]
}

type Rounds = Vec<Vec<(String, Definition)>>;
/// What is wrong and where; nothing when it was told before.
type Mistake = Option<(Span, String)>;

/// What a round with these variables costs besides its line.
fn cost<'a>(names: impl IntoIterator<Item = &'a String>) -> usize {
    names.into_iter().map(|name| name.len() + ROUND_COST).sum()
}

/// Whether there is room for that many rounds, asked before they are made.
fn room(names: &[String], rounds: usize, all: Span) -> Result<(), Mistake> {
    if cost(names).saturating_mul(rounds) <= MADE_MAX {
        return Ok(());
    }
    let variables = if names.len() == 1 { "variable" } else { "variables" };
    let message = format!(
        "{rounds} values for {} {variables} make the text longer than 16 MiB or a quarter of a million lines",
        names.len()
    );
    Err(Some((all, message)))
}

/// Values of `VAR, [START,] [STEP,] END`.
fn sequence(arguments: &Text, hex: bool) -> Result<Rounds, Mistake> {
    let parts = split_commas(arguments);
    let all = arguments.span(0, arguments.len());
    let (name, numbers) = parts.split_first().ok_or_else(|| Some((all, "a variable is missing".to_owned())))?;
    let variable = variable(name)?;
    let mut values = Vec::new();
    for part in numbers {
        let text = part.to_string();
        let mistake = || told_unless_undefined(part, format!("`{text}` is not a number"));
        let number = integer(&text).ok_or_else(mistake)?;
        values.push((number, part.span(0, part.len())));
    }
    let (start, step, end) = match *values.as_slice() {
        [(end, _)] => {
            let start = if end < 0 { -1 } else { 1 };
            (start, if end < start { -1 } else { 1 }, end)
        }
        [(start, _), (end, _)] => (start, if end < start { -1 } else { 1 }, end),
        [(start, _), (step, at), (end, _)] => {
            if step == 0 || (end > start && step < 0) || (end < start && step > 0) {
                return Err(Some((at, format!("step {step} cannot go from {start} to {end}"))));
            }
            (start, step, end)
        }
        [] => return Err(Some((all, "the last value is missing".to_owned()))),
        _ => return Err(Some((all, "at most three numbers: start, step and end".to_owned()))),
    };
    if hex && (start < 0 || end < 0) {
        return Err(Some((all, "~SEQx takes no negative numbers".to_owned())));
    }
    let count = (end - start) / step;
    if count >= 100_000 {
        return Err(Some((all, "more than 100,000 values".to_owned())));
    }
    let names = [variable];
    room(&names, usize::try_from(count).unwrap_or_default() + 1, all)?;
    let mut rounds = Vec::new();
    let mut value = start;
    while (step > 0 && value <= end) || (step < 0 && value >= end) {
        let text = if hex { format!("{value:x}") } else { value.to_string() };
        rounds.push(names.iter().map(|name| (name.clone(), Definition::Made(text.clone()))).collect());
        value += step;
    }
    Ok(rounds)
}

/// Values of `VAR, a, b` or `{A,B}, {a1,b1}, {a2,b2}`.
fn list(arguments: &Text) -> Result<Rounds, Mistake> {
    let parts = split_commas(arguments);
    let all = arguments.span(0, arguments.len());
    let (names, values) = parts.split_first().ok_or_else(|| Some((all, "a variable is missing".to_owned())))?;
    let names: Vec<String> = members(names).iter().map(variable).collect::<Result<_, _>>()?;
    room(&names, values.len(), all)?;
    let mut rounds = Vec::new();
    for value in values {
        let members = members(value);
        if members.len() > names.len() {
            let message = format!("{} values for {} variables", members.len(), names.len());
            return Err(Some((value.span(0, value.len()), message)));
        }
        let missing = std::iter::repeat_with(|| Definition::Made(String::new()));
        let values = members.into_iter().map(|value| Definition::Lines(vec![value])).chain(missing);
        rounds.push(names.iter().cloned().zip(values).collect());
    }
    if rounds.is_empty() {
        return Err(Some((all, "values are missing".to_owned())));
    }
    Ok(rounds)
}

fn variable(text: &Text) -> Result<String, Mistake> {
    let name = name_at(text, 0).filter(|name| name.chars().count() == text.len());
    name.ok_or_else(|| told_unless_undefined(text, format!("`{text}` cannot name a variable")))
}

/// A parameter that is not defined was told when it was replaced.
fn told_unless_undefined(text: &Text, message: String) -> Mistake {
    (!text.chars().contains(&UNDEFINED)).then(|| (text.span(0, text.len()), message))
}

fn members(text: &Text) -> Vec<Text> {
    if text.get(0) == Some('{') && text.get(text.len().wrapping_sub(1)) == Some('}') {
        split_commas(&text.slice(1, text.len() - 1))
    } else {
        vec![text.clone()]
    }
}

fn split_commas(text: &Text) -> Vec<Text> {
    let mut parts = Vec::new();
    let mut from = 0;
    let mut depth = 0_usize;
    for (at, c) in text.chars().iter().enumerate() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(text.slice(from, at).trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text.slice(from, text.len()).trim());
    parts
}

/// Decimal, 0x hex or 0 octal, with a sign; nothing counts as 0. Within 32 bits, so that steps cannot overflow.
fn integer(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let value = match (digits.strip_prefix("0x"), digits.strip_prefix('0')) {
        _ if digits.is_empty() && text.is_empty() => 0,
        (Some(hex), _) => i64::from_str_radix(hex, 16).ok()?,
        (_, Some(octal)) if !octal.is_empty() => i64::from_str_radix(octal, 8).ok()?,
        _ => digits.parse().ok()?,
    };
    (value <= i64::from(u32::MAX)).then_some(sign * value)
}
