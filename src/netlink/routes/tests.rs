use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::conf::model::{Location, Rule, RuleAction};
use crate::netlink::rules;
use crate::vrrp::io::RuleNews;

fn route(destination: &str, length: u8) -> Route {
    Route::to(Location::default(), Prefix { address: destination.parse().unwrap(), length })
}

fn resolved(config: Route, interface: Option<u32>, hops: &[Option<u32>]) -> KernelRoute {
    let table = config.table.unwrap_or(254);
    KernelRoute { config: Arc::new(config), table, interface, hops: SmallVec::from_slice(hops) }
}

#[test]
fn news_of_a_route_as_it_was_asked_for_are_news_of_it() {
    let plain = resolved(Route { gateway: Some([10, 0, 0, 1].into()), ..route("10.1.2.3", 24) }, Some(7), &[]);
    let mut six = route("2001:db8::", 32);
    six.family = Family::V6;
    six.hops = vec![
        NextHop { gateway: Some("fe80::1".parse().unwrap()), ..NextHop::default() },
        NextHop { gateway: Some("fe80::2".parse().unwrap()), weight: Some(256), ..NextHop::default() },
    ];
    six.table = Some(70_000);
    let six = resolved(six, None, &[Some(3), Some(4)]);
    for asked in [plain, six] {
        let heard = parse(&install(&asked).0).unwrap();
        let expected = asked.news();
        // The kernel gives 0 a meaning of its own.
        assert!(expected.may_be(&RouteNews { metric: expected.metric, ..heard.clone() }), "{heard:?} {expected:?}");
        assert_eq!(heard.hops, expected.hops);
        let removed = parse(&remove(&asked).0).unwrap();
        assert_eq!(removed, heard, "what is removed is what was installed");
    }
}

#[test]
fn one_leg_of_a_multipath_route_is_news_of_the_route_and_another_gateway_is_not() {
    let mut config = route("2001:db8::", 32);
    config.hops = ["fe80::1", "fe80::2"]
        .map(|gateway| NextHop { gateway: Some(gateway.parse().unwrap()), ..NextHop::default() })
        .to_vec();
    let mine = resolved(config, None, &[Some(3), Some(4)]).news();
    let leg = |gateway: &str, interface| RouteNews {
        hops: SmallVec::from_slice(&[(Some(gateway.parse().unwrap()), Some(interface))]),
        ..mine.clone()
    };
    assert!(mine.may_be(&leg("fe80::2", 4)));
    assert!(!mine.may_be(&leg("fe80::2", 3)));
    assert!(!mine.may_be(&leg("fe80::9", 4)));
    assert!(!mine.may_be(&RouteNews { protocol: 3, ..leg("fe80::2", 4) }));
}

#[test]
fn news_of_a_rule_as_it_was_asked_for_are_news_of_it() {
    let prefix = |text: &str, length| Some(Prefix { address: text.parse().unwrap(), length });
    let mut rule = Rule::new(Location::default(), Family::V4, RuleAction::Table(1000), 77);
    rule.from = prefix("10.1.2.3", 24);
    rule.to = prefix("10.2.0.0", 16);
    rule.input = Some("eth0".into());
    rule.mark = Some(crate::conf::model::FwMark { mark: 5, mask: Some(7) });
    assert_eq!(rules::parse(&rules::payload(&rule).0), Some(RuleNews::of(&rule)));
    let jump = Rule::new(Location::default(), Family::V6, RuleAction::Goto(90), 78);
    assert_eq!(rules::parse(&rules::payload(&jump).0), Some(RuleNews::of(&jump)));
}

#[test]
fn the_last_label_is_the_bottom_of_the_stack() {
    assert_eq!(label_stack(&[100, 200]), [0, 6, 0x40, 0, 0, 12, 0x81, 0]);
}

proptest! {
    #[test]
    fn no_news_panic(bytes in prop::collection::vec(any::<u8>(), 0..120), family in prop_oneof![Just(2u8), Just(10)]) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first = family;
        }
        parse(&bytes);
        rules::parse(&bytes);
        legs(&bytes);
    }

    #[test]
    fn lengths_of_prefixes_beyond_their_family_do_not_panic(length in any::<u8>(), octets in any::<[u8; 16]>()) {
        let v6 = Prefix { address: octets.into(), length }.masked();
        prop_assert!(v6.length == length);
        let [a, b, c, d, ..] = octets;
        Prefix { address: [a, b, c, d].into(), length }.masked();
    }
}
