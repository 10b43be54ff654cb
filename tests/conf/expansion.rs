//! Mistakes in what parameters, definitions and repetitions make: told where they are written.

use keepwatch::conf::{Diagnostic, Loaded, Severity};

use crate::{GOOD, Memory, TwoInterfaces, load};
use keepwatch::conf::{self, Options};

fn complaints(loaded: &Loaded) -> Vec<&Diagnostic> {
    loaded.diagnostics.iter().filter(|each| each.severity > Severity::Hint).collect()
}

/// The only complaint about a text.
fn complaint(text: &str) -> Diagnostic {
    let loaded = load(text);
    let complaints = complaints(&loaded);
    assert_eq!(complaints.len(), 1, "{}", loaded.render());
    complaints[0].clone()
}

/// Line, column and length.
fn place(diagnostic: &Diagnostic) -> (u32, u32, u32) {
    (diagnostic.span.line, diagnostic.span.column, diagnostic.span.length)
}

/// Lines and columns of the notes.
fn way(diagnostic: &Diagnostic) -> Vec<(u32, u32, &str)> {
    diagnostic.related.iter().map(|(span, what)| (span.line, span.column, what.as_str())).collect()
}

#[test]
fn a_value_is_told_in_its_definition_with_the_place_of_its_use() {
    let told = complaint(&format!("$PRIO=256\n{}", GOOD.replace("priority 100", "priority $PRIO")));
    assert_eq!(place(&told), (1, 7, 3));
    assert_eq!(way(&told), [(5, 14, "used here")]);
    assert_eq!(told.reads(), Some("priority 256"));
}

#[test]
fn a_word_that_a_parameter_is_a_part_of_is_told_where_it_is_put_together() {
    let text = format!("$NET=192.0.2\n{}", GOOD.replace("192.0.2.100/24", "${NET}.100/33"));
    let told = complaint(&text);
    assert_eq!((told.span.line, told.span.column), (7, 9));
    assert_eq!(told.reads(), Some("192.0.2.100/33"));
    assert!(told.related.is_empty(), "{told:?}");
}

const BLOCK: &str = "$VIPS= \\\nvirtual_ipaddress { \\\n    192.0.2.100/24 \\\n    192.0.2.1000/24 \\\n}\n";

#[test]
fn a_line_of_a_definition_of_several_lines_is_told_where_it_is_written() {
    let text = format!("{BLOCK}vrrp_instance A {{\n    interface eth0\n    virtual_router_id 1\n    $VIPS\n}}\n");
    let told = complaint(&text);
    assert_eq!(place(&told), (4, 5, 15));
    assert_eq!(way(&told), [(9, 5, "used here")]);
    assert_eq!(told.reads(), None, "the line stands as it is written");
    assert!(
        load(&text).render().contains("4 |     192.0.2.1000/24 \\\n  |     ^^^^^^^^^^^^^^^\n"),
        "{}",
        load(&text).render()
    );
}

#[test]
fn a_definition_inside_another_is_told_with_the_whole_way() {
    let text = format!(
        "{BLOCK}$BODY= \\\n    interface eth0 \\\n    virtual_router_id 1 \\\n    $VIPS \\\n\
         vrrp_instance A {{\n    $BODY\n}}\n"
    )
    .replace("$VIPS \\\nvrrp", "$VIPS\nvrrp");
    let told = complaint(&text);
    assert_eq!((told.span.line, told.span.column), (4, 5));
    assert_eq!(way(&told), [(9, 5, "used here"), (11, 5, "used here")]);
}

#[test]
fn a_misspelt_directive_of_a_definition_can_be_replaced_there() {
    let text =
        format!("$BODY= \\\n    interface eth0 \\\n    prioritty 100\n{}", GOOD.replace("interface eth0", "$BODY"));
    let told = complaint(&text);
    assert_eq!(place(&told), (3, 5, 9));
    assert_eq!(told.fix(), Some("priority"));
}

#[test]
fn a_mistake_of_a_repeated_line_is_told_once_at_the_template() {
    let told = complaint(&GOOD.replace("192.0.2.100/24", "~SEQ(N, 1, 4) 192.0.2.${N}/33"));
    assert_eq!((told.span.line, told.span.column), (6, 23));
    assert_eq!(told.reads(), Some("192.0.2.1/33"));
    assert!(told.message.ends_with("; and so in 3 more lines made of this one"), "{}", told.message);
}

#[test]
fn one_bad_round_is_told_with_the_line_it_makes() {
    let told = complaint(&GOOD.replace("192.0.2.100/24", "~SEQ(N, 254, 256) 192.0.2.${N}/24"));
    assert_eq!((told.span.line, told.span.column), (6, 27));
    assert_eq!(told.reads(), Some("192.0.2.256/24"));
}

#[test]
fn a_value_of_a_list_is_told_in_the_list() {
    let told = complaint(&GOOD.replace("192.0.2.100/24", "~LST(A, 192.0.2.1, 192.0.2.300, 192.0.2.3) ${A}"));
    assert_eq!(place(&told), (6, 28, 11));
    assert_eq!(told.reads(), Some("192.0.2.300"));
    let told =
        complaint(&GOOD.replace(
            "192.0.2.100/24",
            "~LST({A,L}, {192.0.2.1,24}, {192.0.2.3,lo0}) ${A}/24 label ${L}l234567890abcde",
        ));
    assert_eq!(told.span.line, 6);
}

#[test]
fn rounds_inside_rounds_show_the_line_of_the_innermost() {
    let text = GOOD.replace("192.0.2.100/24", "~LST(A, 1, 2) ~SEQ(B, 254, 256) 192.0.${A}.${B}/24");
    let told = complaint(&text);
    assert_eq!((told.span.line, told.span.column), (6, 41));
    assert_eq!(told.reads(), Some("192.0.1.256/24"));
    assert!(told.message.ends_with("; and so in 1 more line made of this one"), "{}", told.message);
}

#[test]
fn a_repeated_block_is_told_where_the_block_is_defined() {
    let text = "$VI= \\\nvrrp_instance VI_${N} { \\\n    interface eth0 \\\n    virtual_router_id ${N} \\\n    prioritty 10 \\\n    \
                virtual_ipaddress { \\\n        192.0.2.${N}/24 \\\n    } \\\n}\n~SEQ(N, 101, 103) $VI\n";
    let told = complaint(text);
    assert_eq!(place(&told), (5, 5, 9));
    assert_eq!(way(&told), [(10, 19, "used here"), (10, 1, "repeated here")]);
    assert!(told.message.ends_with("; and so in 2 more lines made of this one"), "{}", told.message);
    let loaded =
        load(&text.replace("virtual_router_id ${N}", "virtual_router_id 5").replace("    prioritty 10 \\\n", ""));
    let told = complaints(&loaded);
    assert_eq!((told.len(), told[0].code, told[0].span.line), (1, "duplicate-vrid", 4), "{}", loaded.render());
}

#[test]
fn a_file_that_uses_a_definition_of_another_is_named_in_the_note() {
    let files = Memory::default()
        .with("k.conf", "$PRIO=many\ninclude vi.conf\n")
        .with("vi.conf", GOOD.replace("priority 100", "priority ${PRIO}"));
    let loaded = conf::load("k.conf", &Options::default(), &files, &TwoInterfaces);
    assert_eq!(
        loaded.render(),
        "error: expected a number from 1 to 255 for `priority`, found `many`\n  --> k.conf:1:7\n1 | $PRIO=many\n  |       ^^^^\n\
         note: the line reads `priority many`\nnote: used here\n  --> vi.conf:4:14\n4 |     priority ${PRIO}\n  |              \
         ^^^^^^^\nhint: the line is ignored; the value before it, or the default, stays\n"
    );
}

#[test]
fn what_the_environment_brings_is_told_where_it_is_used() {
    let told = complaint(&GOOD.replace("priority 100", "priority ${_ENV SITE}"));
    assert_eq!((told.span.line, told.span.column, told.reads()), (4, 14, Some("priority west")));
}

#[test]
fn a_secret_in_a_definition_is_kept_from_those_who_may_not_read_the_file() {
    let text = "$WORD=canary5678\nvrrp_instance A {\n interface eth0\n virtual_router_id 1\n authentication {\n auth_type PASS\n \
                auth_pass $WORD extra\n }\n virtual_ipaddress {\n 192.0.2.1/24\n }\n}\n";
    let loaded = load(text);
    assert!(!complaints(&loaded).is_empty());
    for diagnostic in &loaded.diagnostics {
        let told = diagnostic.render_discreetly(&loaded.sources) + &diagnostic.in_a_line(&loaded.sources);
        assert!(!told.contains("canary"), "{told}");
    }
}

#[test]
fn a_comment_that_begins_inside_a_secret_is_told_to_those_who_may_not_see_it_too() {
    for (text, place) in [
        ("$PASS=s3cr#t\n".to_owned(), (1, 11)),
        ("$PASS= \\\n    s3cr#t\n".to_owned(), (2, 9)),
        (GOOD.replace("priority 100", "authentication {\n auth_type PASS\n auth_pass s3cr!t\n }"), (6, 16)),
    ] {
        let loaded = load(&text);
        let told = complaints(&loaded);
        let [told] = told[..] else { panic!("{}", loaded.render()) };
        assert_eq!((told.code, (told.span.line, told.span.column)), ("comment-cuts-word", place), "{text}");
        assert_eq!(told.message, "a comment begins inside this secret: the value read is `s3cr`");
        let discreet = told.render_discreetly(&loaded.sources);
        assert!(discreet.starts_with("warning: a comment begins inside this secret: the value read is (not shown)\n"));
    }
    let told = complaint("$NAME=some#thing\n");
    assert_eq!(told.message, "`#` starts a comment: the value read is `some`");
}
