//! The reading rules, one after the other, as they were measured: how bytes become directives.

use std::net::IpAddr;

use keepwatch::conf::{self, Loaded, Options, Severity};

use crate::{GOOD, Memory, TwoInterfaces, codes, load};

/// What `router_id` is after some lines and its own.
fn router_id(before: &str, line: &str) -> String {
    let loaded = load(&format!("{before}global_defs {{\n{line}\n}}\n"));
    loaded.config.global.router_id
}

/// The last octets of an instance's addresses, whose block has this text; nothing may be complained of.
fn octets(text: &str) -> Vec<u8> {
    let loaded = load(&format!("vrrp_instance A {{\n interface eth0\n virtual_router_id 1\n {text}\n}}\n"));
    assert!(loaded.diagnostics.iter().all(|it| it.severity == Severity::Hint), "{}", loaded.render());
    last(&loaded)
}

fn last(loaded: &Loaded) -> Vec<u8> {
    let addresses = loaded.config.instances.iter().flat_map(|it| &it.addresses);
    addresses
        .map(|it| match it.address {
            IpAddr::V4(v4) => v4.octets()[3],
            IpAddr::V6(v6) => v6.octets()[15],
        })
        .collect()
}

fn addresses(lines: &str) -> Vec<u8> {
    octets(&format!("virtual_ipaddress {{\n{lines}\n}}"))
}

#[test]
fn comments_start_anywhere_but_in_double_quotes_and_after_a_backslash() {
    for (line, wanted) in [
        ("router_id \"a#b\"", "a#b"),
        ("router_id a\\#b", "a#b"),
        ("router_id a\\!b", "a!b"),
        ("router_id \"x\" ! note", "x"),
        ("router_id x # note", "x"),
        ("  router_id x", "x"),
        ("router_id\t x\r", "x"),
        ("! note\n# note\nrouter_id x", "x"),
    ] {
        assert_eq!(router_id("", line), wanted, "{line}");
    }
}

#[test]
fn a_quote_ends_a_plain_word_and_starts_another() {
    for (line, wanted) in [
        ("router_id FOO\"BAR BAZ\"QUX", "FOO"),
        ("router_id \"BAR BAZ\"QUX", "BAR BAZ"),
        ("router_id 'x", "'x"),
        ("router_id a\\b", "a\\b"),
        ("router_id \"a{b}c\"", "a{b}c"),
    ] {
        assert_eq!(router_id("", line), wanted, "{line}");
    }
}

#[test]
fn braces_are_tokens_wherever_they_stand() {
    assert_eq!(octets("virtual_ipaddress { 192.0.2.1/24 }"), [1]);
    assert_eq!(octets("virtual_ipaddress{192.0.2.1/24}"), [1]);
    assert_eq!(octets("virtual_ipaddress # note\n\n ! note\n {\n 192.0.2.1/24\n }"), [1]);
    let loaded = load(&GOOD.replace("    }\n", "    } advert_int 7\n").replace("priority 100", ""));
    assert_eq!(loaded.config.instances[0].advert_interval.as_secs(), 7, "{}", loaded.render());
}

#[test]
fn a_block_that_comes_twice_adds_its_lines() {
    assert_eq!(octets("virtual_ipaddress {\n 192.0.2.1/24\n}\nvirtual_ipaddress {\n 192.0.2.2/24\n}"), [1, 2]);
}

#[test]
fn the_name_of_an_included_file_is_the_rest_of_the_line() {
    let files = || {
        Memory::default()
            .with("a b.conf", "router_id spaces\n")
            .with("d/x.conf", "include y.conf\n")
            .with("d/y.conf", "router_id nested\n")
            .with("includez", "router_id wrong\n")
    };
    let with = |line: &str, options: &Options| {
        let files = files().with("k.conf", format!("$F=d/x.conf\nglobal_defs {{\n{line}\n}}\n"));
        conf::load("k.conf", options, &files, &TwoInterfaces)
    };
    let id = |line: &str| with(line, &Options::default()).config.global.router_id;
    assert_eq!(id("include a b.conf # note"), "spaces");
    assert_eq!(id("include \"a b.conf\""), "spaces");
    assert_eq!(id("include d/x.conf"), "nested");
    assert_eq!(id("include $F"), "nested");
    assert_eq!(id("include {nothing,d/*}.conf"), "nested");
    assert_eq!(id("@node3 include d/x.conf"), "nested");
    for line in ["includez", "includez x", "include", "%include d/x.conf"] {
        assert_eq!(codes(&with(line, &Options::default())), ["unknown-keyword"], "{line}");
    }
}

#[test]
fn an_include_check_lasts_until_its_file_ends() {
    let files = Memory::default()
        .with("k.conf", "include inner.conf\ninclude none*.conf\n")
        .with("inner.conf", "global_defs {\n include_check wildcard_match\n}\n");
    let loaded = conf::load("k.conf", &Options::default(), &files, &TwoInterfaces);
    assert_eq!(codes(&loaded), [] as [&str; 0], "{}", loaded.render());
}

#[test]
fn parameters_stand_for_text_where_their_form_says_so() {
    for (before, line, wanted) in [
        ("$A=x\n", "router_id $A", "x"),
        ("$A=x\n", "router_id ${A}y", "xy"),
        ("$A=x\n", "router_id \"${A} y\"", "x y"),
        ("$A=x\n", "router_id \"$A\"", "$A"),
        ("$A=x\n", "router_id y$A", "yx"),
        ("$A=  x y\n", "router_id $A", "x"),
        ("$A=x\n$A=y\n", "router_id $A", "y"),
        ("$A=${B}\n$B=x\n", "router_id $A", "x"),
        ("$K=router_id\n", "$K x", "x"),
        ("$L=router_id x\n", "$L", "x"),
        ("$A=x\n", "$A=y\nrouter_id $A", "y"),
        ("", "router_id $", "$"),
        ("$A=x${_HASH}y\n", "router_id ${A}", "x"),
        ("$A=@node3 router_id x\n", "$A", "x"),
        ("$A=@other router_id x\n", "router_id y\n$A", "y"),
        ("$_INSTANCE=x\n", "router_id ${_INSTANCE}", "x"),
        ("", "router_id ${_INSTANCE}", "node3"),
        ("", "router_id ${_ENV SITE}", "west"),
        ("", "router_id ${_RANDOM 7 7}", "7"),
        ("", "router_id \"a${_HASH}b${_BANG}\"", "a#b!"),
    ] {
        assert_eq!(router_id(before, line), wanted, "{before}{line}");
    }
}

#[test]
fn what_is_wrong_with_a_parameter_is_told_once() {
    for (text, wanted) in [
        ("$A=${A}x\nglobal_defs {\n router_id ${A}\n}\n", "parameter-loop"),
        ("global_defs {\n router_id ${_ENV}\n}\n", "env"),
        ("global_defs {\n router_id ${_RANDOM x}\n}\n", "random"),
        ("global_defs {\n router_id ${_RANDOM 1 2 3}\n}\n", "random"),
        ("global_defs {\n router_id ${_RANDOM 3 2}\n}\n", "random"),
        ("global_defs {\n router_id ${_NET_NAMESPACE}\n}\n", "undefined-parameter"),
        ("$A = x\nglobal_defs {\n router_id ${A}\n}\n", "definition-space"),
        ("$A= \\\na \\\nb\nglobal_defs {\n router_id ${A} c\n}\n", "multi-line-inside"),
    ] {
        assert_eq!(codes(&load(text)), [wanted], "{text}");
    }
}

#[test]
fn a_definition_goes_on_while_lines_end_in_a_backslash() {
    let of = |text: &str| router_id(text, "$A");
    assert_eq!(of("$A= \\\n router_id x\n"), "x");
    assert_eq!(of("$A= \\\n notification_email_from a@b \\\n \\\n router_id x\n"), "x", "blank lines are not stored");
    assert_eq!(of("$A= \\\n # note \\\n router_id x\n"), "x", "a comment does not end it");
    assert_eq!(of("$B=x\n$A= \\\n router_id $B\n"), "x");
    assert_eq!(of("$A= \\\n @node3 router_id x \\\n @other router_id y\n"), "x");
}

#[test]
fn a_condition_is_about_the_config_id_letter_for_letter() {
    let of = |line: &str, id: &str| {
        let files = Memory::default().with("k.conf", format!("global_defs {{\n router_id none\n{line}\n}}\n"));
        let options = Options { config_id: Some(id.to_owned()), ..Options::default() };
        conf::load("k.conf", &options, &files, &TwoInterfaces).config.global.router_id
    };
    for (line, id, wanted) in [
        ("@lb1 router_id x", "lb1", "x"),
        ("@lb1  router_id x", "LB1", "none"),
        ("@^lb1 router_id x", "lb1", "none"),
        ("@^lb1 router_id x", "lb2", "x"),
        ("@ router_id x", "lb1", "none"),
        ("@^ router_id x", "lb1", "x"),
        ("@lb1 router_id x", "", "none"),
        ("@^lb1 router_id x", "", "x"),
        ("@lb1", "lb1", "none"),
        ("@lb1 @^lb2 router_id x", "lb1", "none"),
        ("@lb2 $A=y\n@lb1 $A=x\nrouter_id $A", "lb1", "x"),
    ] {
        assert_eq!(of(line, id), wanted, "{line} as `{id}`");
    }
}

#[test]
fn sequences_count_as_their_numbers_say() {
    for (line, wanted) in [
        ("~SEQ(N, 10, 10, 30) 192.0.2.${N}/24", &[10, 20, 30][..]),
        ("~SEQ(N,3) 192.0.2.${N}/24", &[1, 2, 3]),
        ("~SEQ(N,0) 192.0.2.${N}/24", &[1, 0]),
        ("~SEQ(N,,2) 192.0.2.${N}/24", &[0, 1, 2]),
        ("~SEQ (N, 5, 4) 192.0.2.${N}/24", &[5, 4]),
        ("~SEQ(N, 1, 4, 10) 192.0.2.${N}/24", &[1, 5, 9]),
        ("~SEQ(N, 0x10, 020) 192.0.2.${N}/24", &[16]),
        ("$E=2\n~SEQ(N, $E) 192.0.2.${N}/24", &[1, 2]),
        ("~SEQ(N, 1, 2) 192.0.2.${N}/24\n192.0.2.1${N}/24", &[1, 2, 12]),
        ("~LST(N, 7, 9) 192.0.2.${N}/24", &[7, 9]),
        ("~LST({N,P}, {7,24}, {9,25}) 192.0.2.${N}/${P}", &[7, 9]),
        ("~LST({P,Q}, 1, 2) 192.0.2.${P}${Q}/24", &[1, 2]),
        ("~SEQ(A, 1, 2) ~SEQ(B, 3, 4) 192.0.2.${A}${B}/24", &[13, 14, 23, 24]),
        ("$T=~SEQ(N, 1, 2) 192.0.2.${N}/24\n$T", &[1, 2]),
        // As soon as values make a repetition or a condition of a line, what follows is for the lines that it makes.
        ("$T=~SEQ(N, 1, 2)\n$T 192.0.2.${N}/24", &[1, 2]),
        ("$T=~SEQ(N, 2, 3) 192.0.2.${N}\n${T}${N}/24", &[22, 33]),
        ("$N=9\n$T=~LST(N, 1, 2)\n${T}192.0.2.${N}/24", &[1, 2]),
        ("$B=~SEQ(N, 1, 2)\n$A=$B\n$E=\n${E}$A 192.0.2.${N}/24", &[1, 2]),
        ("$Z=$E ~SEQ(N, 1, 2)\n$E=\n$Z 192.0.2.${N}/24", &[1, 2]),
        ("$H=3\n$T=~SEQ(N, 2,\n${T} ${H}) 192.0.2.${N}/24", &[2, 3]),
        ("$T=~SEQ(N, 1, 2)\n$T ~SEQ(M, 3, 4) 192.0.2.${N}${M}/24", &[13, 14, 23, 24]),
        ("$T=~SEQ(N, 1, 2)\n$U=~SEQ(M, 3, 4)\n$T $U 192.0.2.${N}${M}/24", &[13, 14, 23, 24]),
        ("$C=@^other\n$M=5\n$C 192.0.2.${M}/24\n$C $T=~SEQ(N, 6, 7)\n$T 192.0.2.${N}/24", &[5, 6, 7]),
    ] {
        assert_eq!(addresses(line), wanted, "{line}");
    }
    let loaded = load(&GOOD.replace("192.0.2.100/24", "~SEQx(N, 9, 11) 2001:db8:1::${N}/64"));
    assert_eq!(last(&loaded), [9, 10, 11], "{}", loaded.render());
}

#[test]
fn a_repetition_that_cannot_be_read_is_one_mistake() {
    for line in [
        "~SEQ(N, 1, 0, 5) x",
        "~SEQ(N, 1, -1, 5) x",
        "~SEQ(N, 1, 5 x",
        "~SEQ(N) x",
        "~SEQ(N, a) x",
        "~SEQ(N, 1, 2, 3, 4) x",
        "~SEQx(N, -3) x",
        "~LST({A,B}, {1,2,3}) x",
        "~LST(A) x",
    ] {
        let loaded = load(&GOOD.replace("192.0.2.100/24", &format!("192.0.2.100/24\n{line}")));
        assert_eq!((codes(&loaded), loaded.status), (vec!["repetition"], 5), "{line}");
        // Nor is it told that there is nothing where its lines were to be.
        for (before, after) in [
            ("vrrp_instance A {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n", "}\n}\n"),
            ("virtual_server_group g {\n", "}\n"),
            ("global_defs {\n smtp_server 192.0.2.1\n notification_email {\n", "}\n}\n"),
            ("", ""),
        ] {
            let loaded = load(&format!("{before}{line}\n{after}"));
            assert_eq!(codes(&loaded), ["repetition"], "{before}{line}\n{}", loaded.render());
        }
        let peers = format!("unicast_src_ip 192.0.2.11\n unicast_peer {{\n{line}\n}}");
        assert_eq!(codes(&load(&GOOD.replace("priority 100", &peers))), ["repetition"], "{line}");
        let group = format!("vrrp_sync_group G {{\n group {{\n{line}\n}}\n}}\n{GOOD}");
        assert_eq!(codes(&load(&group)), ["repetition"], "{line}");
    }
    assert_eq!(codes(&load("~FOO(N, 1) x\n")), ["unknown-keyword"]);
    for line in ["$A=~SEQ(N, 1, 2) $A\n$A", "$A=@^x $A\n$A"] {
        assert!(codes(&load(line)).contains(&"too-much"), "a repetition of itself ends: {line}");
    }
}

#[test]
fn numbers_and_times_have_the_forms_of_keepalived() {
    let of = |line: &str| load(&GOOD.replace("priority 100", line));
    for (line, priority) in [("priority +7", 7), ("priority 007", 7), ("priority \" 7\"", 7)] {
        let loaded = of(line);
        assert_eq!((loaded.config.instances[0].priority.get(), codes(&loaded).len()), (priority, 0), "{line}");
    }
    for line in ["priority 0x10", "priority 12x", "priority 1.5", "priority -1", "priority \"\"", "priority 4294967296"]
    {
        assert_eq!(codes(&of(line)), ["number"], "{line}");
    }
    for (line, millis) in [(".5", 500), ("5.", 5000), ("+5", 5000), ("1.2345678", 1230)] {
        let loaded = of(&format!("version 3\nadvert_int {line}"));
        assert_eq!(loaded.config.instances[0].advert_interval.as_millis(), millis, "{line}: {}", loaded.render());
    }
    for line in ["1s", "1e1", "0x1", "-1", "."] {
        assert_eq!(codes(&of(&format!("version 3\nadvert_int {line}"))), ["number"], "{line}");
    }
}

#[test]
fn addresses_are_strict_and_what_has_no_meaning_behind_them_is_cut_off() {
    let service = |address: &str| {
        let text = format!(
            "virtual_server {address} {{\nprotocol TCP\nlvs_sched rr\nlvs_method NAT\nreal_server 198.51.100.2 80 {{\n}}\n}}\n"
        );
        load(&text)
    };
    assert_eq!(codes(&service("192.0.2.1/24 80")), [] as [&str; 0]);
    assert_eq!(codes(&service("192.0.2.1-5 80")), [] as [&str; 0]);
    for address in ["192.0.2.01 80", "192.0.2 80", "192.0.2.1.1 80", "www 80"] {
        let refused = service(address);
        assert!(refused.config.services.is_empty() && refused.status == 5, "{address}: {}", refused.render());
    }
}

#[test]
fn a_word_before_a_brace_counts_where_lines_of_data_follow() {
    let of = |text: &str| {
        let loaded = load(text);
        (codes(&loaded).join(" "), loaded.status)
    };
    let told = |status| ("extra-word".to_owned(), status);
    assert_eq!(of(&GOOD.replace("virtual_ipaddress {", "virtual_ipaddress x {")), told(5));
    assert_eq!(of("static_ipaddress x {\n 192.0.2.100/24\n}\n"), told(5));
    let auth = "authentication x {\n auth_type PASS\n auth_pass a\n }";
    assert_eq!(of(&GOOD.replace("priority 100", auth)), told(0));
    assert_eq!(of("global_defs x {\n router_id a\n}\n"), told(0));
    let service = "virtual_server 192.0.2.11 80 {\n protocol TCP\n lvs_sched rr\n lvs_method NAT\n real_server 10.0.0.1 80 {\n \
                   TCP_CHECK x {\n }\n }\n}\n";
    assert_eq!(of(service), told(0));
}
