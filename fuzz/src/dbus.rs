//! Messages from a D-Bus peer: whatever comes over the socket.
#![no_main]

use keepwatch::dbus::wire::Message;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok((message, length)) = Message::decode(bytes) else { return };
    assert!(length <= bytes.len(), "no more than there is");
    let _ = (message.strings::<1>(), message.strings::<3>(), message.number());
    let again = message.encode();
    let (read, length) = Message::decode(&again).expect("what was written can be read");
    assert_eq!(length, again.len());
    assert_eq!((read.path, read.interface, read.member), (message.path, message.interface, message.member));
    assert_eq!((read.signature, read.body), (message.signature, message.body));
});
