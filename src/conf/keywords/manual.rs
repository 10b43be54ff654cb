//! The table as a manual page: keepwatch.conf(5).

use std::fmt::Write;

use super::docs::shape;
use super::{Effect, Row, rows};

const INTRODUCTION: &str = r#".SH NAME
keepwatch.conf \- configuration of keepwatchd in the language of keepalived.conf
.SH DESCRIPTION
keepwatchd reads /etc/keepalived/keepalived.conf, or the file named by
.BR \-f ,
unchanged. A line is a directive and its values; a block is a directive, its name, and lines between
.B {
and
.BR } .
A comment begins with
.B #
or
.B !
outside double quotes. Words with blanks stand in double quotes.
.PP
.BI $ NAME = value
defines a parameter, and
.BI ${ NAME }
stands for its value from there on; lines that end with a backslash belong to one value.
.BI ~SEQ( NAME , " first" , " last" )
and
.BI ~LST( NAME , " values" )
repeat the rest of their line.
.BI @ ID
before a line keeps it where the configuration id (option
.BR \-i )
is
.IR ID ,
.BI @^ ID
everywhere else.
.B include
and its relatives read other files where they stand.
.PP
.B keepwatch check
says what is wrong with a file,
.B keepwatch check \-\-explain
which value is in force and which line says so,
.B keepwatch check \-\-dump
writes it without includes and parameters. What Keepalived has no words for stands in keepwatch.yaml beside the file.
.PP
Below,
.B ?
marks values that may be left out,
.B *
any number of them,
.B +
at least one. Times are seconds unless something else is said.
"#;

const CONCLUSION: &str = r#".SH FILES
.TP
.I /etc/keepalived/keepalived.conf
The configuration.
.TP
.I /etc/keepalived/keepwatch.yaml
keepwatch's own settings.
.SH SEE ALSO
.BR keepwatch (1),
.BR keepwatch-check (1),
.BR ipvsadm (8),
.BR ip (8)
"#;

/// The page in roff, one section per block.
pub fn manual(version: &str) -> String {
    let mut out = format!(".TH KEEPWATCH.CONF 5 \"\" \"keepwatch {}\" \"File Formats\"\n", escape(version));
    out.push_str(INTRODUCTION);
    let mut sections: Vec<&[&str]> = Vec::new();
    for row in rows() {
        if !sections.contains(&row.paths) {
            sections.push(row.paths);
        }
    }
    for paths in sections {
        let titles: Vec<String> = paths.iter().map(|path| title(path)).collect();
        let _ = writeln!(out, ".SH \"{}\"", escape(&titles.join(", ")));
        rows().filter(|row| row.paths == paths).for_each(|row| entry(&mut out, row));
    }
    out.push_str(CONCLUSION);
    out
}

/// What a block is called in a heading.
fn title(path: &str) -> String {
    match path {
        "/" => "TOP LEVEL".to_owned(),
        "<addr-entry>" => "LINES OF ADDRESSES".to_owned(),
        "<route-entry>" => "LINES OF ROUTES".to_owned(),
        "<rule-entry>" => "LINES OF RULES".to_owned(),
        path => path.to_owned(),
    }
}

fn entry(out: &mut String, row: &Row) {
    let value = shape(row.shape).replace('`', "");
    let _ = writeln!(out, ".TP\n\\fB{}\\fR {}", escape(row.keyword), escape(&value));
    let _ = writeln!(out, "{}.", sentence(row.help));
    let synonyms: Vec<String> =
        row.synonyms.iter().map(|synonym| format!("\\fB{}\\fR", escape(synonym.word()))).collect();
    if !synonyms.is_empty() {
        let _ = writeln!(out, "Also written {}.", synonyms.join(", "));
    }
    if !matches!(row.default, "" | "-") {
        let _ = writeln!(out, "Default: {}.", escape(row.default));
    }
    if row.effect == Effect::NotBuilt {
        out.push_str("It is read and checked, and has no effect yet.\n");
    }
}

/// A line of text; one that begins with a dot or a quote would be a request.
fn sentence(text: &str) -> String {
    let text = escape(text.trim_end_matches('.'));
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '"' => out.push_str("\\(dq"),
            c if c.is_ascii() => out.push(c),
            c => {
                let _ = write!(out, "\\[u{:04X}]", u32::from(c));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_keyword_is_in_the_page_and_no_line_is_a_request_by_accident() {
        let page = manual("1.0");
        for row in rows() {
            assert!(page.contains(&format!("\\fB{}\\fR", escape(row.keyword))), "{}", row.keyword);
        }
        assert!(page.is_ascii(), "formatters differ about other characters");
        let known = [".TH", ".SH", ".TP", ".PP", ".B", ".BR", ".BI", ".I", ".IR"];
        for line in page.lines().filter(|line| line.starts_with(['.', '\''])) {
            let request = line.split(' ').next().unwrap_or_default();
            assert!(known.contains(&request), "{line}");
        }
    }
}
