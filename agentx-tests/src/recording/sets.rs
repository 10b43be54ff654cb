//! SETs and GETs one by one: the words of a scenario's `sets.sh` played against the agent, and what was printed compared
//! with `sets.txt`.

use std::fmt::Write as _;

use super::{At, NEEDED_NO_MORE, NotYet, is_volatile, variable};
use crate::snmp::Manager;

/// A line of a recorded answer that is right otherwise.
#[derive(Debug, Clone, Copy)]
pub struct Rewrite {
    /// With this the request begins; empty: every request.
    pub request: &'static str,
    /// The recorded line.
    pub from: &'static str,
    /// What should be there; empty: no line.
    pub to: &'static str,
    pub why: &'static str,
}

/// One request of a recording and everything that was printed for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// `$ snmpset ...`, or the title of a look at several objects: `--- effective`.
    pub request: String,
    pub answer: Vec<String>,
}

/// Takes a recorded or played text apart. A title that comes again gets a number: `--- effective (2)`.
pub fn exchanges(text: &str) -> Vec<Exchange> {
    let mut all: Vec<Exchange> = Vec::new();
    let mut looks: Vec<&str> = Vec::new();
    for line in text.lines().map(str::trim_end).filter(|line| !line.starts_with("## ")) {
        if line.starts_with("$ ") {
            all.push(Exchange { request: line.to_owned(), answer: Vec::new() });
        } else if line.starts_with("--- ") {
            let before = looks.iter().filter(|look| **look == line).count();
            looks.push(line);
            let request = if before == 0 { line.to_owned() } else { format!("{line} ({})", before + 1) };
            all.push(Exchange { request, answer: Vec::new() });
        } else if let Some(exchange) = all.last_mut() {
            exchange.answer.push(line.to_owned());
        }
    }
    all
}

/// What differs, in words: answers that are not as recorded and rewritten, rewrites that do not fit the recording, and
/// entries of "not yet" that are needed no more.
pub fn differing(recorded: &[Exchange], rewrites: &[Rewrite], not_yet: &[NotYet], played: &[Exchange]) -> Vec<String> {
    let mut wrong = Vec::new();
    let (mut used, mut waited) = (vec![false; rewrites.len()], vec![false; not_yet.len()]);
    for (number, exchange) in recorded.iter().enumerate() {
        let mut why = "";
        let mut want = Vec::new();
        for line in &exchange.answer {
            let fits = |it: &Rewrite| exchange.request.starts_with(it.request) && it.from == line;
            match rewrites.iter().position(fits) {
                Some(at) => {
                    used[at] = true;
                    why = rewrites[at].why;
                    want.extend(rewrites[at].to.lines().map(str::to_owned));
                }
                None => want.push(line.clone()),
            }
        }
        let have = played.get(number).filter(|it| it.request == exchange.request);
        let have: Vec<String> = have.map(|it| it.answer.clone()).unwrap_or_else(|| vec!["not asked".to_owned()]);
        if want.iter().map(|line| masked(line)).eq(have.iter().map(|line| masked(line))) {
            continue;
        }
        let waits = |it: &NotYet| matches!(it.at, At::Request(request) if exchange.request.starts_with(request));
        if let Some(at) = not_yet.iter().position(waits) {
            waited[at] = true;
            continue;
        }
        let differing = |of: &[String], other: &[String]| -> String {
            of.iter().filter(|line| !other.contains(line)).fold(String::new(), |mut all, line| {
                let _ = write!(all, "\n      {line}");
                all
            })
        };
        let (want, have) = (differing(&want, &have), differing(&have, &want));
        wrong.push(format!("{} {why}\n  want{want}\n  have{have}", exchange.request));
    }
    if played.len() > recorded.len() {
        wrong.push(format!("{} requests are played, {} are recorded", played.len(), recorded.len()));
    }
    let unused = rewrites.iter().zip(used).filter(|(_, used)| !used);
    wrong.extend(unused.map(|(it, _)| format!("`{}` is to be rewritten ({}), and is not recorded", it.from, it.why)));
    let requests = not_yet.iter().zip(waited).filter(|(it, waited)| matches!(it.at, At::Request(_)) && !waited);
    wrong.extend(requests.map(|(it, _)| format!("{:?}: {NEEDED_NO_MORE}", it.at)));
    wrong
}

fn masked(line: &str) -> String {
    let (get, rest) = line.strip_prefix("get: ").map_or(("", line), |rest| ("get: ", rest));
    match variable(rest) {
        Some((object, value)) if is_volatile(&object, &value) => {
            format!("{get}{} = (volatile)", rest.split(" = ").next().unwrap_or_default())
        }
        _ => line.to_owned(),
    }
}

/// Plays the words of a script against the agent and prints what `record.sh` prints.
#[track_caller]
pub fn replay(script: &str, manager: &Manager) -> String {
    let mut printed = String::new();
    let mut names: Vec<(String, String)> = Vec::new();
    for line in script.lines() {
        if let Some((name, value)) = line.split_once('=')
            && !name.is_empty()
            && name.chars().all(|it| it.is_ascii_uppercase() || it.is_ascii_digit())
        {
            names.push((name.to_owned(), value.to_owned()));
            continue;
        }
        for command in commands(line) {
            play(&words(&command, &names), manager, &mut printed);
        }
    }
    printed
}

/// A line, or the body of `for NAME in WORDS; do BODY; done` for each word.
fn commands(line: &str) -> Vec<String> {
    let looped = line.strip_prefix("for ").and_then(|rest| {
        let (head, body) = rest.split_once("; do ")?;
        let (name, each) = head.split_once(" in ")?;
        Some((format!("${name}"), each, body.strip_suffix("; done")?))
    });
    let Some((name, each, body)) = looped else { return vec![line.to_owned()] };
    each.split(' ')
        .flat_map(|value| body.split("; ").map(|command| command.replace(&name, value)).collect::<Vec<_>>())
        .collect()
}

/// Words of a shell command, with names replaced; double quotes group.
fn words(command: &str, names: &[(String, String)]) -> Vec<String> {
    let mut command = command.to_owned();
    // The longer first: $R2 is not $R and a 2.
    let mut names: Vec<_> = names.iter().collect();
    names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    for (name, value) in names {
        command = command.replace(&format!("${name}"), value);
    }
    let mut words = Vec::new();
    for (number, part) in command.split('"').enumerate() {
        if number % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

#[track_caller]
fn play(words: &[String], manager: &Manager, printed: &mut String) {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let get = |oids: &[&str]| manager.raw("snmpget", "public", oids).0;
    *printed += &match words.as_slice() {
        ["SET", request @ ..] => {
            let (said, status) = manager.raw("snmpset", "private", request);
            format!("$ snmpset {}\n{said}rc={status}\nget: {}", request.join(" "), get(&request[..1]))
        }
        ["SETM", request @ ..] => {
            let (said, status) = manager.raw("snmpset", "private", request);
            format!("$ snmpset {}\n{said}rc={status}\n", request.join(" "))
        }
        ["SETRO", request @ ..] => {
            let (said, status) = manager.raw("snmpset", "public", request);
            format!("$ snmpset (read-only community) {}\n{said}rc={status}\n", request.join(" "))
        }
        ["snap", title, "get", oids @ ..] => format!("--- {title}\n{}", get(oids)),
        ["snap", title, "walk", .., oid] => {
            format!("--- {title}\n{}", manager.raw("snmpwalk", "public", &[oid]).0)
        }
        ["GET", oid] => format!("$ snmpget {oid}\n{}", get(&[oid])),
        ["NEXT", oid] => format!("$ snmpgetnext {oid}\n{}", manager.raw("snmpgetnext", "public", &[oid]).0),
        ["echo", ..] | [] => String::new(),
        other => panic!("sets.sh has a word that is not known here: {other:?}"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDED: &str = "## chapter\n$ snmpset .1.3.6.1.2.1.68.1.2.0 i 2\nError\nrc=2\nget: .1.3.6.1.2.1.68.1.2.0 = INTEGER: 1\n\
                            --- counters\n.1.3.6.1.2.1.68.2.4.1.2.10.60 = Counter32: 4\n.1.3.6.1.2.1.68.2.3.0 = Counter32: 0 \n";

    #[test]
    fn an_answer_is_as_recorded_but_for_volatile_values_and_rewritten_lines() {
        let rewrite = Rewrite {
            request: "--- ",
            from: ".1.3.6.1.2.1.68.2.3.0 = Counter32: 0",
            to: ".1.3.6.1.2.1.68.2.3.0 = Counter32: 1",
            why: "B25",
        };
        let played = RECORDED.replace("Counter32: 4", "Counter32: 77").replace("Counter32: 0", "Counter32: 1");
        assert_eq!(differing(&exchanges(RECORDED), &[rewrite], &[], &exchanges(&played)), Vec::<String>::new());
        assert_eq!(differing(&exchanges(RECORDED), &[], &[], &exchanges(&played)).len(), 1);
        let useless = Rewrite { from: "nothing", ..rewrite };
        assert_eq!(differing(&exchanges(RECORDED), &[rewrite, useless], &[], &exchanges(&played)).len(), 1);
    }

    #[test]
    fn what_waits_for_a_feature_is_passed_over_while_it_differs_and_told_when_it_does_not() {
        let not_yet = [NotYet { at: At::Request("$ snmpset .1.3.6.1.2.1.68"), why: "" }];
        let other = RECORDED.replace("rc=2", "rc=0");
        assert_eq!(differing(&exchanges(RECORDED), &[], &not_yet, &exchanges(&other)), Vec::<String>::new());
        assert_eq!(differing(&exchanges(RECORDED), &[], &not_yet, &exchanges(RECORDED)).len(), 1);
    }

    #[test]
    fn loops_and_names_of_a_script_are_replaced() {
        let names = [("R".to_owned(), ".1".to_owned()), ("R2".to_owned(), ".2".to_owned())];
        let all: Vec<Vec<String>> = commands("for i in 10.60 11.62; do GET $R.$i; GET $R2.$i; done")
            .iter()
            .map(|it| words(it, &names))
            .collect();
        assert_eq!(all, [["GET", ".1.10.60"], ["GET", ".2.10.60"], ["GET", ".1.11.62"], ["GET", ".2.11.62"]]);
        assert_eq!(words("snap \"two words\" get $R", &names), ["snap", "two words", "get", ".1"]);
    }
}
