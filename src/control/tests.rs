use std::sync::Arc;

use super::*;
use crate::conf::model::{Family, Protocol, ServiceKey, ServiceKind, SorryServer, VirtualServer};
use crate::mib::fixture::check::{address_key, committed, group_key, ip, server, service, service_rows};

/// Two virtual servers over one pool, one with names, one of IPv6 with a sorry server.
fn snapshot() -> Arc<Look> {
    let mut rows = Vec::new();
    let mut add = |index, config: VirtualServer, servers: &[(&str, u16, Option<&str>)]| {
        let servers = servers.iter().map(|&(address, port, name)| {
            let mut server = server(&config, address, port, 3);
            server.snmp_name = name.map(str::to_owned);
            (server, crate::check::table::Load { active: 7, persistent: 2, ..Default::default() })
        });
        let servers = servers.collect();
        rows.extend(service_rows(index, config, Default::default(), servers));
    };
    let web = VirtualServer {
        snmp_name: Some("shop".to_owned()),
        ..service(address_key("192.0.2.10", 80, Protocol::Tcp), Family::V4)
    };
    add(1, web, &[("192.168.1.10", 80, Some("w1")), ("192.168.1.11", 80, Some("w2"))]);
    add(2, service(group_key("web", Protocol::Tcp), Family::V4), &[("192.168.1.10", 80, None)]);
    let mut six = service(address_key("2001:db8::1", 53, Protocol::Udp), Family::V6);
    six.sorry = Some(SorryServer {
        address: ip("fd00::99"),
        port: 53,
        location: Default::default(),
        forwarding: crate::conf::model::Forwarding::Nat,
        inhibit: false,
    });
    add(3, six, &[("fd00::10", 53, None)]);
    let mark = ServiceKey { kind: ServiceKind::Mark { mark: 47, family: Family::V4 }, protocol: None };
    add(4, service(mark, Family::V4), &[("10.0.0.1", 0, None)]);
    Arc::new(Look { snapshot: committed(rows).snapshot(), ..Look::default() })
}

fn set(server: &str, service: Option<&str>) -> Step {
    let service = service.map(str::to_owned);
    handle(&Request::SetWeight { server: server.to_owned(), service, weight: 0 }, &snapshot(), "lb1", true)
}

fn meant(step: &Step) -> String {
    match step {
        Step::NeedsCommand(Command::SetWeight { server, weight: 0 }) => format!("{} {server}", server.service),
        Step::Answer(Response::Error { code, candidates, .. }) => format!("{code:?} {}", candidates.len()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_server_is_meant_by_its_address_or_its_name() {
    for (server, service, expected) in [
        ("192.168.1.11:80", None, "192.0.2.10:80/tcp 192.168.1.11:80"),
        ("192.168.1.11", None, "192.0.2.10:80/tcp 192.168.1.11:80"),
        ("w2", None, "192.0.2.10:80/tcp 192.168.1.11:80"),
        ("[fd00::10]:53", None, "[2001:db8::1]:53/udp [fd00::10]:53"),
        ("[fd00:0:0::10]", None, "[2001:db8::1]:53/udp [fd00::10]:53"),
        ("fd00::10", None, "[2001:db8::1]:53/udp [fd00::10]:53"),
        ("10.0.0.1:0", None, "fwmark:47 10.0.0.1:0"),
        ("192.168.1.11:81", None, "NoSuchServer 0"),
        ("w", None, "NoSuchServer 0"),
        ("", None, "NoSuchServer 0"),
        ("192.168.1.10:80", None, "Ambiguous 2"),
        ("192.168.1.10:80", Some("shop"), "192.0.2.10:80/tcp 192.168.1.10:80"),
        ("192.168.1.10:80", Some("192.0.2.10:80"), "192.0.2.10:80/tcp 192.168.1.10:80"),
        ("192.168.1.10:80", Some("192.0.2.10:80/tcp"), "192.0.2.10:80/tcp 192.168.1.10:80"),
        ("192.168.1.10:80", Some("192.0.2.10:80/udp"), "NoSuchService 0"),
        ("192.168.1.10:80", Some("web"), "group:web/tcp 192.168.1.10:80"),
        ("192.168.1.10:80", Some("group:web/tcp"), "group:web/tcp 192.168.1.10:80"),
        ("10.0.0.1", Some("fwmark:47"), "fwmark:47 10.0.0.1:0"),
        ("192.168.1.11", Some("web"), "NoSuchServer 0"),
        ("192.168.1.11", Some("nowhere"), "NoSuchService 0"),
        // A sorry server has no weight to set.
        ("[fd00::99]:53", None, "BadRequest 0"),
    ] {
        assert_eq!(meant(&set(server, service)), expected, "{server} {service:?}");
    }
}

#[test]
fn those_who_may_not_write_may_read() {
    let snapshot = snapshot();
    let write = Request::ResetWeight { server: "w1".to_owned(), service: None };
    let refused = Step::Answer(error(Code::PermissionDenied, "only root and the daemon's user may change anything"));
    assert_eq!(handle(&write, &snapshot, "lb1", false), refused);
    let read = Request::Servers { service: None, server: Some("w1".to_owned()) };
    let Step::Answer(Response::Servers { servers, statistics_interval_ms, statistics_at_ns }) =
        handle(&read, &snapshot, "lb1", false)
    else {
        panic!("no servers");
    };
    assert_eq!((statistics_interval_ms, statistics_at_ns), (5000, 0));
    let [w1] = &servers[..] else { panic!("{servers:?}") };
    assert_eq!((w1.service.as_str(), w1.server.as_str()), ("192.0.2.10:80/tcp", "192.168.1.10:80"));
    assert_eq!((w1.weight, w1.configured_weight, w1.active_connections, w1.persistent_connections), (3, Some(3), 7, 2));
}

#[test]
fn lists_are_whole_or_of_one_virtual_server() {
    let snapshot = snapshot();
    let count = |service: Option<&str>| {
        let request = Request::Servers { service: service.map(str::to_owned), server: None };
        match handle(&request, &snapshot, "lb1", false) {
            Step::Answer(Response::Servers { servers, .. }) => servers.len(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((count(None), count(Some("shop")), count(Some("[2001:db8::1]:53"))), (6, 2, 2));
    let services = |service: Option<&str>| {
        handle(&Request::Services { service: service.map(str::to_owned) }, &snapshot, "lb1", false)
    };
    assert!(matches!(services(None), Step::Answer(Response::Services { services }) if services.len() == 4));
    assert!(matches!(services(Some("x")), Step::Answer(Response::Error { code: Code::NoSuchService, .. })));
}

#[test]
fn a_weight_that_ipvs_does_not_have_is_refused() {
    let request = Request::SetWeight { server: "w1".to_owned(), service: None, weight: WEIGHT_MAX + 1 };
    assert!(matches!(
        handle(&request, &snapshot(), "lb1", true),
        Step::Answer(Response::Error { code: Code::BadRequest, .. })
    ));
}

#[test]
fn without_word_from_the_checks_process_nothing_is_known() {
    let request = Request::Services { service: None };
    assert!(matches!(
        handle(&request, &Look::default(), "lb1", true),
        Step::Answer(Response::Error { code: Code::Unavailable, .. })
    ));
}

#[test]
fn a_write_is_answered_with_the_server_as_it_is_then_or_why_not() {
    let snapshot = snapshot();
    let Step::NeedsCommand(command) = set("w1", None) else { panic!("no command") };
    let done = Reply::Done { undo: command.clone(), visible_at: 1 };
    assert!(matches!(
        settled(&command, &done, &snapshot),
        Response::Servers { servers, .. } if servers.len() == 1 && servers[0].name.as_deref() == Some("w1")
    ));
    let code = |refusal| match settled(&command, &Reply::Refused(refusal), &snapshot) {
        Response::Error { code, .. } => code,
        other => panic!("{other:?}"),
    };
    assert_eq!(code(Refusal::NoSuchServer), Code::NoSuchServer);
    assert_eq!(code(Refusal::Kernel(12)), Code::Refused);
}

fn answered(request: &Request, look: &Look) -> Response {
    match handle(request, look, "lb1", false) {
        Step::Answer(response) => response,
        other => panic!("{other:?}"),
    }
}

fn explain(what: &str, service: Option<&str>, kind: Option<Kind>) -> String {
    let request = Request::Explain { what: what.to_owned(), service: service.map(str::to_owned), kind };
    match answered(&request, &snapshot()) {
        Response::Explanation { explanation } => explanation.subject,
        Response::Error { code, meanings, .. } => {
            let meanings = meanings.iter().map(|meaning| format!(" {:?} {}", meaning.kind, meaning.what));
            format!("{code:?}{}", meanings.collect::<String>())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_to_be_explained_is_found_by_any_of_its_names_and_what_means_more_than_one_is_listed() {
    assert!(explain("w2", None, None).contains("192.168.1.11:80"));
    assert!(explain("shop", None, None).contains("192.0.2.10:80/tcp"));
    assert!(explain("group:web", None, None).contains("group:web"));
    assert_eq!(
        explain("192.168.1.10:80", None, None),
        "Ambiguous RealServer 192.168.1.10:80 RealServer 192.168.1.10:80"
    );
    assert!(explain("192.168.1.10:80", Some("web"), None).contains("group:web"));
    assert_eq!(explain("192.168.1.10:80", None, Some(Kind::VirtualServer)), "NoSuchService");
    assert_eq!(explain("192.168.1.10:80", Some("nowhere"), None), "NoSuchService");
    assert_eq!(explain("nothing", None, None), "NothingSuch");
    assert_eq!(explain("nothing", Some("shop"), None), "NoSuchServer");
    assert_eq!(explain("VI_1", None, Some(Kind::Instance)), "Unavailable", "there is no vrrp process");
}

#[test]
fn documents_are_narrowed_down_to_what_was_asked_for() {
    let services =
        |service: Option<&str>| match answered(&Request::Ipvs { service: service.map(str::to_owned) }, &snapshot()) {
            Response::Ipvs { ipvs } => Ok(ipvs.services.len()),
            Response::Error { code, .. } => Err(code),
            other => panic!("{other:?}"),
        };
    assert_eq!(services(None), Ok(4));
    assert_eq!(services(Some("fwmark:47")), Ok(1));
    assert_eq!(services(Some("nowhere")), Err(Code::NoSuchService));
    let request = Request::Ipvs { service: Some("fwmark:47".to_owned()) };
    let unheard = answered(&request, &Look::default());
    assert!(matches!(unheard, Response::Error { code: Code::Unavailable, .. }), "it may be there yet");
    let Response::Status { status } = answered(&Request::Status, &snapshot()) else { panic!() };
    assert_eq!((&*status.host, status.ipvs.services.len()), ("lb1", 4));
    let request = Request::Vrrp { instance: Some("VI_1".to_owned()) };
    assert!(matches!(answered(&request, &snapshot()), Response::Error { code: Code::Unavailable, .. }));
    let request = Request::Bfd { session: Some("B_1".to_owned()) };
    assert!(matches!(answered(&request, &snapshot()), Response::Error { code: Code::Unavailable, .. }));
    assert!(matches!(answered(&Request::Bfd { session: None }, &snapshot()), Response::Bfd { .. }));
    assert!(matches!(answered(&Request::Events { since: 0 }, &snapshot()), Response::Events { .. }));
    assert!(matches!(answered(&Request::Checkers, &snapshot()), Response::Checkers { .. }));
}

#[test]
fn every_request_and_answer_can_be_written_and_read() {
    let requests = [
        ("{\"command\":\"status\"}", Request::Status),
        ("{\"command\":\"vrrp\",\"instance\":\"VI_1\"}", Request::Vrrp { instance: Some("VI_1".to_owned()) }),
        ("{\"command\":\"bfd\"}", Request::Bfd { session: None }),
        ("{\"command\":\"bfd\",\"session\":\"B1\"}", Request::Bfd { session: Some("B1".to_owned()) }),
        ("{\"command\":\"ipvs\"}", Request::Ipvs { service: None }),
        ("{\"command\":\"events\",\"since\":7}", Request::Events { since: 7 }),
        (
            "{\"command\":\"failover\",\"instance\":\"VI_1\",\"back\":true}",
            Request::Failover { instance: "VI_1".to_owned(), back: true },
        ),
        ("{\"command\":\"reload\"}", Request::Reload { plan: false, safe: false }),
        ("{\"command\":\"reload\",\"plan\":true}", Request::Reload { plan: true, safe: false }),
        ("{\"command\":\"reload\",\"safe\":true}", Request::Reload { plan: false, safe: true }),
        (
            "{\"command\":\"explain\",\"what\":\"x\",\"kind\":\"real-server\"}",
            Request::Explain { what: "x".to_owned(), service: None, kind: Some(Kind::RealServer) },
        ),
    ];
    for (text, request) in requests {
        assert_eq!(serde_json::from_str::<Request>(text).unwrap(), request);
        assert_eq!(serde_json::to_string(&request).unwrap(), text);
        assert_eq!(request.writes(), matches!(request, Request::Failover { .. } | Request::Reload { .. }));
    }
    for request in
        [Request::Status, Request::Ipvs { service: None }, Request::Checkers, Request::Services { service: None }]
    {
        let response = answered(&request, &snapshot());
        let text = serde_json::to_string(&response).unwrap();
        assert_eq!(serde_json::from_str::<Response>(&text).unwrap(), response, "{text}");
    }
}
