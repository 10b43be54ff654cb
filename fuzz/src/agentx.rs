//! What a master agent says: to the codec, and to a session that it has opened. The first octet says in pieces of what size
//! it comes.
#![no_main]

use keepwatch::agentx::{Action, Event, Session, Settings, Wanted};
use keepwatch::bus::msg::{Command, Refusal, Reply};
use keepwatch::clock::Instant;
use keepwatch::conf::model::Priority;
use keepwatch::mib::table::SetError;
use keepwatch::mib::view::View;
use keepwatch::wire::agentx::{Body, ErrorStatus, Pdu, decode};
use keepwatch::wire::oid::Oid;
use keepwatch::wire::value::{Value, VarBind};
use libfuzzer_sys::fuzz_target;

const START: Instant = Instant::from_nanos(0);

fuzz_target!(|data: &[u8]| {
    let Some((size, bytes)) = data.split_first() else { return };
    if let Ok((pdu, length)) = decode(bytes) {
        assert!(length <= bytes.len());
        let again = pdu.encode();
        assert_eq!(decode(&again), Ok((pdu, again.len())));
    }
    let mut session = Session::new(Settings::default());
    let wanted = Wanted {
        registrations: vec![Oid::new(&[1, 3, 9])],
        capabilities: vec![(Oid::new(&[1, 3, 9]), "numbers".to_owned())],
    };
    let mut actions: Vec<Action> = session.want(wanted, START).into_iter().collect();
    actions.extend(session.handle(Event::Connected, &Numbers, START));
    // A master that agrees to everything, until the session is up.
    while let Some(action) = actions.pop() {
        let Action::Send(bytes) = action else { continue };
        let Ok((asked, _)) = decode(&bytes) else { panic!("the session sends what cannot be read") };
        let body = Body::Response { uptime: 1, error: ErrorStatus::NO_ERROR, index: 0, varbinds: vec![] };
        let answer = Pdu { session: 1, body, ..asked };
        actions.extend(session.handle(Event::Bytes(&answer.encode()), &Numbers, START));
    }
    for piece in bytes.chunks(usize::from(*size).max(1)) {
        let mut actions: Vec<Action> = session.handle(Event::Bytes(piece), &Numbers, START).into_iter().collect();
        while let Some(action) = actions.pop() {
            match action {
                Action::Send(bytes) => {
                    decode(&bytes).expect("an answer that can be read");
                }
                Action::Command { token, command: Command::SetPriority { priority, .. } } if priority.get() == 7 => {
                    let reply = Reply::Refused(Refusal::NoSuchInstance);
                    actions.extend(session.handle(Event::CommandReply { token, reply }, &Numbers, START));
                }
                Action::Command { token, command } => {
                    let reply = Reply::Done { undo: command, visible_at: 0 };
                    actions.extend(session.handle(Event::CommandReply { token, reply }, &Numbers, START));
                }
                Action::Disconnect => return,
                Action::Connect | Action::Log(_) => {}
            }
        }
    }
});

/// Ten numbers below 1.3.9; any can be set.
struct Numbers;

impl View for Numbers {
    fn get(&self, name: &Oid) -> Value {
        match name.below(&[1, 3, 9]) {
            Some([number @ 1..=10]) => Value::Gauge32(*number),
            Some(_) => Value::NoSuchInstance,
            None => Value::NoSuchObject,
        }
    }

    fn next(&self, name: &Oid, include: bool, end: &Oid) -> Option<VarBind> {
        let mut names = (1..=10).map(|number| Oid::new(&[1, 3, 9, number]));
        let name = names.find(|other| other > name || include && other == name)?;
        (end.is_empty() || name < *end).then(|| VarBind::new(name.clone(), self.get(&name)))
    }

    fn test_set(&self, varbind: &VarBind) -> Result<Command, SetError> {
        let Value::Integer(number) = varbind.value else { return Err(SetError::WrongType) };
        let priority = u8::try_from(number).ok().and_then(Priority::new).ok_or(SetError::WrongValue)?;
        Ok(Command::SetPriority { instance: "VI_1".into(), priority })
    }
}
