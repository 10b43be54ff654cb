//! Datagrams to a responder with communities and users, and answers to a sender of informs. The first octet says what the
//! others are: a datagram, a scoped PDU to be sealed by a user who may read (1) or write (2), an answer (3).
#![no_main]

use std::cell::OnceCell;

use keepwatch::bus::msg::{Command, Refusal, Reply, Source};
use keepwatch::clock::Instant;
use keepwatch::conf::model::{
    Access, AuthProtocol, Community, Priority, PrivacyProtocol, Responder as Settings, Secret, UsmUser,
};
use keepwatch::mib::table::SetError;
use keepwatch::mib::view::View;
use keepwatch::snmp::client::Client;
use keepwatch::snmp::responder::{Action, Origin, Responder};
use keepwatch::snmp::usm::{Header, Lane, LocalEngine, Salts, Usm};
use keepwatch::wire::oid::Oid;
use keepwatch::wire::snmp::{DATAGRAM_MAX, Pdu, PduKind, Value, VarBind, decode, decode_scoped};
use libfuzzer_sys::fuzz_target;

const START: Instant = Instant::from_nanos(0);

struct Lab {
    responder: Responder,
    usm: Usm,
}

thread_local! {
    /// Pass phrases take their time.
    static LAB: OnceCell<Lab> = const { OnceCell::new() };
}

fuzz_target!(|data: &[u8]| {
    let Some((what, rest)) = data.split_first() else { return };
    LAB.with(|lab| {
        let lab = lab.get_or_init(Lab::new);
        match what & 3 {
            0 => serve(&mut lab.responder.clone(), rest),
            3 => listen(rest),
            level => {
                let Ok(scoped) = decode_scoped(rest) else { return };
                let user = usize::from(level);
                let mut usm = lab.usm.clone();
                let level = usm.level(user);
                let header =
                    Header { message_id: 1, max_size: 484 + u32::from(*what) * 64, level, user, reportable: true };
                let datagram = usm.seal(&header, scoped, START).expect("there is such a user");
                serve(&mut lab.responder.clone(), &datagram);
            }
        }
    });
});

/// The datagram, and the same once more while what it asked for may be under way; then everything is refused.
fn serve(responder: &mut Responder, datagram: &[u8]) {
    let origin = Origin { socket: 0, from: "192.0.2.1:9".parse().expect("an address") };
    let mut actions = responder.handle(datagram, origin, &Numbers, START);
    actions.extend(responder.handle(datagram, origin, &Numbers, START));
    while let Some(action) = actions.pop() {
        match action {
            Action::Send { datagram, .. } => {
                assert!(datagram.len() <= DATAGRAM_MAX);
                decode(&datagram).expect("an answer that can be read");
            }
            Action::Command { token, command: Command::SetPriority { priority, .. } } if priority.get() == 7 => {
                actions.extend(responder.reply(token, Reply::Refused(Refusal::NoSuchInstance), START));
            }
            Action::Command { token, command } => {
                actions.extend(responder.reply(token, Reply::Done { undo: command, visible_at: 1 }, START));
                actions.extend(responder.store_at(Source::Vrrp, 1, START));
            }
        }
    }
    assert_eq!(responder.deadline(), None);
}

fn listen(datagram: &[u8]) {
    let mut client = Client::new(&user("nobody", false), Salts::new(1, Lane::Notifications), 4);
    let inform = Pdu::notification(PduKind::Inform, 1, 1, &Oid::new(&[1, 3, 9]), &[]);
    for _ in 0..2 {
        client.message(inform.clone(), START);
        client.handle(datagram, START);
    }
}

impl Lab {
    fn new() -> Lab {
        let users = [user("nobody", false), user("reader", true), user("boss", true)];
        let access = |user: &str, write| Access { user: user.to_owned(), write };
        let community = |name: &str, write| Community { name: Secret(name.to_owned()), write, networks: vec![] };
        let settings = Settings {
            listen: vec![],
            communities: vec![community("public", false), community("private", true)],
            users: vec![access("nobody", true), access("reader", false), access("boss", true)],
        };
        let engine = LocalEngine { id: vec![0x80, 0, 0, 1, 5, 1], boots: 2, started: START };
        Lab {
            responder: Responder::new(&settings, &users, engine.clone()),
            usm: Usm::new(engine, &users, Lane::Notifications),
        }
    }
}

fn user(name: &str, keys: bool) -> UsmUser {
    let phrase = || Secret("maplesyrup".to_owned());
    UsmUser {
        name: name.to_owned(),
        auth: keys.then(|| (AuthProtocol::Sha256, phrase())),
        privacy: keys.then(|| (PrivacyProtocol::Aes128, phrase())),
    }
}

/// Numbers below 1.3.9, up to a million; every third is a Counter64. Any can be set.
struct Numbers;

impl View for Numbers {
    fn get(&self, name: &Oid) -> Value {
        match name.below(&[1, 3, 9]) {
            Some([number @ 1..=1_000_000]) if number % 3 == 0 => Value::Counter64((*number).into()),
            Some([number @ 1..=1_000_000]) => Value::Gauge32(*number),
            Some(_) => Value::NoSuchInstance,
            None => Value::NoSuchObject,
        }
    }

    fn next(&self, name: &Oid, include: bool, _: &Oid) -> Option<VarBind> {
        let number = match name.below(&[1, 3, 9]) {
            Some([]) => 1,
            Some([number]) if include => *number,
            Some([number, ..]) => number.checked_add(1)?,
            None if name[..] < [1, 3, 9][..] => 1,
            None => return None,
        };
        let name = Oid::new(&[1, 3, 9, number.max(1)]);
        (number <= 1_000_000).then(|| VarBind::new(name.clone(), self.get(&name)))
    }

    fn test_set(&self, varbind: &VarBind) -> Result<Command, SetError> {
        let Value::Integer(number) = varbind.value else { return Err(SetError::WrongType) };
        let priority = u8::try_from(number).ok().and_then(Priority::new).ok_or(SetError::WrongValue)?;
        Ok(Command::SetPriority { instance: "VI_1".into(), priority })
    }
}
