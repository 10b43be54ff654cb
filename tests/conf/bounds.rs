//! What a text may not do: grow without end, be long without a reason, or read otherwise when a comment stands in it.

use super::*;

fn told(text: &str, code: &str) -> String {
    let loaded = load(text);
    let found = loaded.diagnostics.iter().find(|each| each.code == code);
    found.unwrap_or_else(|| panic!("no {code} in:\n{}", loaded.render())).message.clone()
}

#[test]
fn lines_without_anything_special_are_read_as_those_with_a_comment_behind_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conf");
    let special = |c: char| !c.is_ascii() || c.is_ascii_control() || "!\"#$'@\\~".contains(c);
    for directory in ["seeds", "diagnostics"] {
        for entry in std::fs::read_dir(root.join(directory)).unwrap() {
            let path = entry.unwrap().path();
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            let commented: Vec<String> = text
                .split('\n')
                .map(|line| if line.contains(special) { line.to_owned() } else { format!("{line} # note") })
                .collect();
            let (first, second) = (load(&text), load(&commented.join("\n")));
            assert_eq!(first.diagnostics, second.diagnostics, "{}", path.display());
            assert_eq!(first.config, second.config, "{}", path.display());
        }
    }
}

#[test]
fn parameters_that_double_and_repetitions_inside_each_other_end_by_name() {
    let doubling: String = (0..40).map(|n| format!("$A{}=${{A{n}}}${{A{n}}}\n", n + 1)).collect();
    let text = format!("$A0=xxxxxxxxxx\n{doubling}global_defs {{\n router_id ${{A31}}\n}}\n");
    assert!(told(&text, "parameter-growth").contains("makes this line longer than"));
    let numbers = (0..1000).map(|number| number.to_string()).collect::<Vec<_>>().join(",");
    let text = format!("~LST(A, {numbers}) ~LST(B, {numbers}) ~LST(C, {numbers}) foo${{A}}${{B}}${{C}}\n");
    assert!(told(&text, "too-much").contains("16 MiB"));
    assert!(told("~SEQ(A, 1, 1000000000) foo\n", "repetition").contains("more than 100,000 values"));
}

#[test]
fn a_line_of_a_megabyte_and_ten_thousand_errors_are_enough() {
    assert!(told(&"x".repeat(1_000_000), "long-line").contains("1000000 octets"));
    let loaded = load(&"}\n".repeat(50_000));
    assert!(loaded.diagnostics.len() <= 10_000, "{}", loaded.diagnostics.len());
    assert!(loaded.diagnostics.iter().any(|each| each.code == "too-much") || !loaded.can_start);
    assert_eq!(loaded.status, 5);
}

#[test]
fn any_number_of_remarks_refuses_nothing() {
    let lines: String =
        (0..11_000).map(|number| format!(" 10.1.{}.{} dev eth0\n", number / 250, number % 250 + 1)).collect();
    let loaded = load(&format!("{GOOD}vrrp_track_process p {{\n process a\n}}\nstatic_ipaddress {{\n{lines}}}\n"));
    assert!(loaded.can_start, "{:?}", codes(&loaded));
    assert_eq!(loaded.config.static_addresses.len(), 11_000);
}

#[test]
fn files_that_include_the_next_one_twice_end_at_ten_thousand() {
    let mut memory = Memory::default().with("k.conf", "include n0\n").with("n40", "");
    for number in 0..40 {
        memory = memory.with(&format!("n{number}"), format!("include n{0}\ninclude n{0}\n", number + 1));
    }
    let loaded = conf::load("k.conf", &Options::default(), &memory, &TwoInterfaces);
    assert!(loaded.render().contains("more than 10000 in all"), "{:?}", codes(&loaded));
    assert!(!loaded.can_start);
}

#[test]
fn an_empty_block_of_addresses_and_a_unicast_word_without_peers_are_told() {
    let empty = "vrrp_instance V {\n interface eth0\n virtual_router_id 51\n virtual_ipaddress {\n }\n}\n";
    assert!(told(empty, "no-address").contains("has no virtual_ipaddress"));
    assert!(told(&instance("    check_unicast_src"), "no-peer").contains("adverts are multicast"));
}

#[test]
fn a_list_of_many_variables_is_counted_before_its_values_are_given_out() {
    let names = vec!["A"; 3_000].join(",");
    let ones = vec!["1"; 3_000].join(",");
    let told = told(&format!("~LST({{{names}}},{ones}) x\n"), "repetition");
    assert!(told.starts_with("3000 values for 3000 variables make the text longer than 16 MiB"), "{told}");
    let name = "A".repeat(200_000);
    let told = self::told(&format!("~SEQ({name},1,90000) x\n"), "repetition");
    assert!(told.starts_with("90000 values for 1 variable make the text longer than 16 MiB"), "{told}");
}

#[test]
fn a_value_of_several_lines_stands_only_at_the_end_also_inside_of_another_value() {
    let lines = "x \\\n".repeat(3_000);
    for uses in [vec!["$A"; 3_000].join(" "), format!("{} z", vec!["$M"; 3_000].join(" "))] {
        let loaded = load(&format!("$M=\\\n{lines}x\n$A=a $M\n{uses}\n"));
        assert!(codes(&loaded).contains(&"multi-line-inside"), "{:?}", codes(&loaded).first());
        assert!(loaded.diagnostics.len() < 20_000, "{}", loaded.diagnostics.len());
    }
}

#[test]
fn values_of_several_lines_inside_themselves_end_by_name() {
    let lines = "y \\\n".repeat(150_000);
    assert!(told(&format!("$M=a $M \\\n{lines}y\n$M\n"), "parameter-growth").contains("`M` makes this line longer"));
}

#[test]
fn a_file_whose_lines_all_go_on_is_read_once() {
    let line = format!("{} \\\n", "word ".repeat(200));
    let loaded = load(&line.repeat(4_000));
    assert_eq!(loaded.diagnostics.iter().filter(|each| each.code == "continuation").count(), 4_000);
    let long: Vec<_> = loaded.diagnostics.iter().filter(|each| each.code == "long-line").collect();
    assert!((10..=20).contains(&long.len()), "{}", long.len());
    assert!(long.iter().all(|each| each.message.contains("more than 262144 characters")));
}

#[test]
fn a_quote_that_stays_open_keeps_a_hash_in_the_line_that_goes_on() {
    let loaded = load("router \"a \\\n b # c\" d#e\n");
    let cuts: Vec<_> = loaded.diagnostics.iter().filter(|each| each.code == "comment-cuts-word").collect();
    assert_eq!(cuts.len(), 1, "{}", loaded.render());
    assert!(cuts[0].message.ends_with("the value read is `d`"), "{}", cuts[0].message);
}

#[test]
fn a_line_of_a_quarter_of_a_million_braces_is_cut_in_one_go() {
    for special in ["'", "@", "$x ", "@^a ", "~"] {
        let loaded = load(&format!("{special}{}\n", "{".repeat(250_000)));
        assert!(!codes(&loaded).is_empty(), "{special}");
        assert!(loaded.diagnostics.len() < 20_000, "{special}: {}", loaded.diagnostics.len());
    }
    assert!(told(&"{@^a ".repeat(50_000), "too-much").contains("16 MiB"));
    // What stands behind a brace means what it means elsewhere.
    let loaded =
        load("vrrp_script 'a' { @^b interval 3 \n script \"/bin/true {\" } vrrp_script b { $X=7\n interval $X\n}\n");
    assert!(!loaded.diagnostics.iter().any(|each| each.code.contains("parameter")), "{}", loaded.render());
}

#[test]
fn of_many_config_ids_ten_are_named() {
    let lines: String = (0..60_000).map(|number| format!("@id{number} foo\n")).collect();
    let told = told(&lines, "config-id");
    assert!(
        told.ends_with("ids in this file: id0, id1, id2, id3, id4, id5, id6, id7, id8, id9, and 59990 more"),
        "{told}"
    );
}

#[test]
fn a_bound_that_is_not_defined_is_told_once() {
    for line in ["~SEQ(A, ${LO}, 3) foo", "~SEQ(${LO}, 1, 3) foo", "~LST(${LO}, 1, 3) foo"] {
        let loaded = load(&format!("{GOOD}{line}\n"));
        let told: Vec<_> = codes(&loaded);
        assert_eq!(told.iter().filter(|code| **code == "undefined-parameter").count(), 1, "{line}: {told:?}");
        assert!(!told.contains(&"repetition"), "{line}: {told:?}");
    }
}

#[test]
fn too_many_mistakes_are_told_once() {
    let loaded = load(&format!("{}{}", "}\n".repeat(10_001), "~SEQ(\n".repeat(10_001)));
    assert_eq!(codes(&loaded).iter().filter(|code| **code == "too-much").count(), 1);
}

#[test]
fn of_names_that_nothing_has_many_are_told_and_few_get_a_suggestion() {
    let known: String = (0..3_000).map(|n| format!("vrrp_script known_{n} {{\n script /bin/true\n}}\n")).collect();
    let used: String = (0..3_000).map(|n| format!(" kmown_{n}\n")).collect();
    let used = instance(&format!(" track_script {{\n{used} }}"));
    let loaded = load(&format!("{known}{used}"));
    let unknown: Vec<_> = loaded.diagnostics.iter().filter(|each| each.code == "unknown-name").collect();
    assert_eq!(unknown.len(), 3_000);
    assert_eq!(unknown[7].fix(), Some("known_7"));
    assert_eq!(unknown[2_999].fix(), None, "by then nobody reads on");

    let instances: String = (1..=255).map(|n| GOOD.replace("VI_1", &format!("V{n}"))).collect();
    let group = "vrrp_sync_group G {\n group {\n nothing\n V1\n V2\n }\n}\n";
    let loaded = load(&format!("{group}{instances}"));
    let told = loaded.diagnostics.iter().find(|each| each.code == "unknown-instance").unwrap();
    let hint = told.hint.clone().unwrap_or_default();
    assert_eq!(hint, "known: V1, V2, V3, V4, V5, V6, V7, V8, V9, V10, and 245 more");
}

#[test]
fn two_long_names_are_not_compared_letter_by_letter() {
    let name = "n".repeat(100_000);
    let told = told(&format!("${name}=1\nfoo ${{{name}x}}\n"), "undefined-parameter");
    assert!(told.ends_with("is not defined before this line"));
}
