//! The page is read by people, and written by whoever names things: it is bounded, well formed, and nothing gets out of
//! its element.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::*;
use crate::report::fixture;
use crate::report::status;

/// One tag of a page: its name, `/name` when it closes, and its attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Tag {
    name: String,
    attributes: Vec<(String, String)>,
}

/// The tags of a page in their order. Panics at what HTML would have to forgive.
fn tags(page: &str) -> Vec<Tag> {
    let mut tags: Vec<Tag> = Vec::new();
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        assert!(!rest[..at].contains('>'), "a bare > in {:?}", &rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix("!doctype html>") {
            rest = after;
            continue;
        }
        let end = rest.find([' ', '>']).expect("a tag ends");
        let name = rest[..end].to_owned();
        let bare = name.strip_prefix('/').unwrap_or(&name);
        assert!(!bare.is_empty() && bare.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit()), "<{name}");
        rest = &rest[end..];
        let mut attributes = Vec::new();
        while let Some(after) = rest.strip_prefix(' ') {
            let end = after.find(['=', ' ', '>']).expect("an attribute ends");
            let attribute = after[..end].to_owned();
            assert!(attribute.bytes().all(|it| it.is_ascii_lowercase() || it == b'-'), "attribute {attribute}");
            rest = &after[end..];
            let value = match rest.strip_prefix('=') {
                None => String::new(),
                Some(after) => match after.strip_prefix('"') {
                    Some(quoted) => {
                        let end = quoted.find('"').expect("a quote ends");
                        rest = &quoted[end + 1..];
                        quoted[..end].to_owned()
                    }
                    None => {
                        let end = after.find([' ', '>']).expect("a value ends");
                        rest = &after[end..];
                        assert!(!after[..end].contains(['"', '\'', '<', '`', '=']), "{}", &after[..end]);
                        after[..end].to_owned()
                    }
                },
            };
            attributes.push((attribute, value));
        }
        rest =
            rest.strip_prefix('>').unwrap_or_else(|| panic!("no end of <{name} at {:?}", &rest[..rest.len().min(40)]));
        if name == "style" || name == "script" {
            let close = format!("</{name}>");
            rest = &rest[rest.find(&close).expect("it is closed")..];
        }
        tags.push(Tag { name, attributes });
    }
    tags
}

/// Tags and names of attributes: what a page is made of, whatever it says.
fn skeleton(page: &str) -> Vec<(String, Vec<String>)> {
    let names = |tag: Tag| (tag.name, tag.attributes.into_iter().map(|(name, _)| name).collect());
    tags(page).into_iter().map(names).collect()
}

/// A status in which every text that comes from outside is `text`.
#[cfg(feature = "daemon")]
fn saying(text: &str) -> Status {
    fn replace(value: &mut serde_json::Value, key: &str, text: &str) {
        match value {
            serde_json::Value::String(string) if !matches!(key, "severity" | "agentx.state") => {
                *string = text.to_owned()
            }
            serde_json::Value::Array(all) => all.iter_mut().for_each(|value| replace(value, key, text)),
            serde_json::Value::Object(all) => {
                for (name, value) in all {
                    let name = if key == "agentx" && name == "state" { "agentx.state" } else { name };
                    replace(value, name, text);
                }
            }
            _ => {}
        }
    }
    let mut value = serde_json::to_value(status(&fixture::busy(), "lb1")).unwrap();
    replace(&mut value, "", text);
    serde_json::from_value(value).unwrap()
}

/// Text with everything in it that means something to HTML.
#[cfg(feature = "daemon")]
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("<script>alert(1)</script>".to_owned()),
        Just("\"><img src=x onerror=alert(1)>".to_owned()),
        Just("' onclick='alert(1)".to_owned()),
        Just("</pre></details></main><!--".to_owned()),
        Just("&quot;&#34;&lt;".to_owned()),
        Just("\u{202e}\u{0}\u{7}\r\n\u{2028}".to_owned()),
        Just("]]>`=javascript:".to_owned()),
        any::<String>(),
        "[<>\"'&=/ \n]{1,20}",
    ];
    proptest::collection::vec(piece, 1..6).prop_map(|pieces| format!("x{}", pieces.concat()))
}

#[cfg(feature = "daemon")]
proptest! {
    // A page takes long to make and to read in a test build.
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn no_text_from_outside_leaves_its_element_or_its_attribute(text in hostile()) {
        let page = render(&saying(&text), &PageOptions::default());
        prop_assert_eq!(skeleton(&page), skeleton(&render(&saying("x"), &PageOptions::default())));
        let unseen = ['\n', '\r', '\0', '\u{202e}'];
        prop_assert!(!main_fragment(&saying(&text)).contains(unseen));
    }
}

#[test]
fn tags_are_closed_in_the_order_in_which_they_were_opened() {
    // The end of these may be left out, or they have none.
    let lax = ["li", "td", "th", "tr", "dt", "dd", "meta", "link", "img", "source", "thead"];
    for look in [fixture::busy(), fixture::calm(), crate::export::Look::default()] {
        let mut open: Vec<String> = Vec::new();
        for tag in tags(&render(&status(&look, "lb1"), &PageOptions::default())) {
            match tag.name.strip_prefix('/') {
                Some(name) if lax.contains(&name) => {}
                Some(name) => assert_eq!(open.pop().as_deref(), Some(name), "open: {open:?}"),
                None if lax.contains(&tag.name.as_str()) => {}
                None => open.push(tag.name),
            }
        }
        assert_eq!(open, [""; 0]);
    }
}

#[test]
fn every_id_is_given_once_and_every_link_inside_the_page_leads_somewhere() {
    let tags = tags(&render(&status(&fixture::busy(), "lb1"), &PageOptions::default()));
    let all = |wanted: &str| {
        let attributes = tags.iter().flat_map(|tag| &tag.attributes);
        attributes.filter(|(name, _)| name == wanted).map(|(_, value)| value.clone()).collect::<Vec<_>>()
    };
    let ids: BTreeSet<_> = all("id").into_iter().collect();
    assert_eq!(ids.len(), all("id").len());
    for target in
        all("href").iter().filter_map(|href| href.strip_prefix('#')).map(str::to_owned).chain(all("aria-labelledby"))
    {
        assert!(ids.contains(&target), "#{target}");
    }
    for href in all("href").iter().chain(&all("src")).chain(&all("srcset")) {
        assert!(href.starts_with(['#', '/']) && !href.starts_with("//") || href == "data:,", "{href} is elsewhere");
    }
}

#[test]
fn the_hashes_of_the_policy_are_those_of_the_page() {
    let page = render(&status(&fixture::calm(), "lb1"), &PageOptions::default());
    let of = |open: &str, close: &str| {
        let start = page.find(open).unwrap() + open.len();
        let digest = Sha256::digest(&page.as_bytes()[start..start + page[start..].find(close).unwrap()]);
        format!("sha256-{}", base64(&digest))
    };
    assert_eq!(of("<script>", "</script>"), SCRIPT_HASH);
    assert_eq!(of("<style>", "</style>"), STYLE_HASH);
    assert!(CSP.contains(&format!("script-src '{SCRIPT_HASH}'")) && CSP.contains(&format!("style-src '{STYLE_HASH}'")));
    assert!(SCRIPT.contains(&format!("EventSource(\"{EVENTS_PATH}\")")));
    // No attribute is script or style: the policy would forbid them.
    assert!(
        tags(&page).iter().flat_map(|tag| &tag.attributes).all(|(name, _)| !name.starts_with("on") && name != "style")
    );
}

fn base64(octets: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in octets.chunks(3) {
        let number = (0..3).fold(0, |number, at| number << 8 | u32::from(chunk.get(at).copied().unwrap_or(0)));
        for at in 0..4 {
            match at <= chunk.len() {
                true => text.push(char::from(LETTERS[(number >> (18 - 6 * at) & 63) as usize])),
                false => text.push('='),
            }
        }
    }
    text
}

#[test]
fn the_fragment_is_what_the_page_has_in_main_and_one_line() {
    let status = status(&fixture::busy(), "lb1");
    let fragment = main_fragment(&status);
    assert!(!fragment.contains('\n'));
    assert!(render(&status, &PageOptions::default()).contains(&format!("<main id=main tabindex=-1>{fragment}</main>")));
}

#[test]
fn without_script_there_is_none() {
    let page = render(&status(&fixture::busy(), "lb1"), &PageOptions { script: false });
    assert!(!page.contains("<script"));
}

/// What a reader sees: text without tags.
fn read(page: &str) -> String {
    let body = &page[page.find("<body>").unwrap()..page.find("<noscript>").unwrap()];
    let mut text = String::new();
    let mut inside = false;
    for letter in body.chars() {
        match letter {
            '<' => inside = true,
            '>' => {
                inside = false;
                text.push(' ');
            }
            letter if !inside => text.push(letter),
            _ => {}
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_page_says_what_an_operator_asks_first() {
    let text = read(&render(&status(&fixture::busy(), "lb1"), &PageOptions::default()));
    for said in [
        "3 instances, 1 master; 16 real servers",
        "two masters: 10.0.0.3 advertises priority 50",
        "= base 150 − 60 interface eth1down",
        "= base 100 + 20 interface eth0",
        "192.0.2.11/24 eth0 ✕ wanted, missing",
        "this router, and 10.0.0.3 with priority 50",
        "Because interface eth3 is down",
        "◇ drained 0 by an operator, configured 1",
        "HTTP_GET 10.0.0.12:80: HTTP status 503",
        "✕ sorry server serves 2 of 4 up; weight 2 of 3 needed",
        "waiting to connect",
        "▲ the file is refused",
        "expected a router id from 1 to 255, found `300`",
        "refused an advert from 10.0.0.66",
        "Last error connection refused",
    ] {
        assert!(
            text.contains(said) || text.contains(&said.replace("16 real servers", "17 of 20 real servers up")),
            "{said}\n{text}"
        );
    }
}

#[test]
fn what_needs_a_look_is_unfolded_and_comes_first() {
    let page = main_fragment(&status(&fixture::busy(), "lb1"));
    let services: Vec<_> = tags(&page)
        .into_iter()
        .filter_map(|tag| {
            let of =
                |wanted: &str| tag.attributes.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
            let id = of("id").filter(|id| tag.name == "details" && id.starts_with("vs-"))?;
            Some((id, of("open").is_some()))
        })
        .collect();
    let expected = [("vs-1", true), ("vs-2", true), ("vs-3", true), ("vs-4", false), ("vs-5", false)];
    assert_eq!(services, expected.map(|(id, open)| (id.to_owned(), open)));
}

/// So many virtual servers of four real servers each; every fifth has one that is down.
fn many(services: u32) -> Status {
    let mut checks = vec![fixture::ipvs()];
    for index in 1..=services {
        let key = crate::mib::fixture::check::address_key(
            &format!("10.{}.{}.{}", index >> 16, index >> 8 & 255, index & 255),
            80,
            crate::conf::model::Protocol::Tcp,
        );
        let pool = fixture::pool_of(index, crate::mib::fixture::check::service(key, crate::conf::model::Family::V4));
        let pool = if index % 5 == 0 { pool.fails(2, &"<timed out> ".repeat(100)) } else { pool };
        checks.extend(pool.rows());
    }
    status(&fixture::look(vec![], checks), "lb1")
}

#[test]
fn a_thousand_virtual_servers_fit_a_page_and_what_is_left_out_is_said() {
    let status = many(1000);
    let page = render(&status, &PageOptions::default());
    assert!(page.len() < 1_200_000, "{}", page.len());
    for service in &status.ipvs.services {
        assert!(page.contains(&service.service.service), "{}", service.service.service);
    }
    assert!(read(&page).contains("Their real servers are in /api/v1/ipvs"));
    assert!(read(&page).contains("100 more are in /api/v1/status"), "troubles beyond the first hundred");
}

#[test]
fn a_page_does_not_grow_without_end() {
    let page = render(&many(3000), &PageOptions::default());
    assert!(page.len() < 1_300_000, "{}", page.len());
    assert!(read(&page).contains("more virtual servers"));
}

#[test]
fn graphs_are_offered_where_rrd_files_are_kept() {
    let mut look = fixture::calm();
    let page = main_fragment(&status(&look, "lb1"));
    assert!(page.contains("src=\"/graph/vs/192.0.2.10%3A80%2Ftcp.svg\""));
    assert!(page.contains("src=\"/graph/vrrp/VI_OUTSIDE.svg\""));
    look.rrd = None;
    let mut daemon = (*look.daemon).clone();
    daemon.wanted.retain(|name| name != "rrd");
    daemon.processes.retain(|process| process.name != "rrd");
    look.daemon = Arc::new(daemon);
    assert!(!main_fragment(&status(&look, "lb1")).contains("/graph/"));
}

/// Pages for `KEEPWATCH_PAGES`, a directory, if it is given: to be looked at. They must be made either way.
#[test]
fn pages_of_all_fixtures_are_made() {
    let pages = [
        ("busy", status(&fixture::busy(), "lb1.example.com")),
        ("calm", status(&fixture::calm(), "lb1.example.com")),
        ("many", many(1000)),
        ("empty", status(&crate::export::Look::default(), "lb1.example.com")),
    ];
    for (name, status) in pages {
        let page = render(&status, &PageOptions { script: false });
        assert!(page.ends_with("</html>"), "{name}");
        if let Ok(directory) = std::env::var("KEEPWATCH_PAGES") {
            std::fs::write(format!("{directory}/{name}.html"), page).unwrap();
        }
    }
}
