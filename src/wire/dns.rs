//! DNS as a health check needs it (RFC 1035 section 4.1): one question out, the header of a reply in.

/// Longest query: header, a name of 255 octets, type and class.
pub const QUERY_MAX: usize = 12 + 255 + 4;

/// The query, recursion desired; `None` when no name on the wire is like this: a label is empty or has more than 63
/// octets, or the name more than 255. `name` has no final dot and is empty for the root.
pub fn query(id: u16, name: &str, record: u16) -> Option<Vec<u8>> {
    const RECURSION_DESIRED: u16 = 0x0100;
    const INTERNET: u16 = 1;
    let mut message = Vec::with_capacity(QUERY_MAX);
    for word in [id, RECURSION_DESIRED, 1, 0, 0, 0] {
        message.extend(word.to_be_bytes());
    }
    let labels = if name.is_empty() { None } else { Some(name.split('.')) };
    for label in labels.into_iter().flatten() {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
        message.push(length);
        message.extend(label.bytes());
    }
    message.push(0);
    message.extend(record.to_be_bytes());
    message.extend(INTERNET.to_be_bytes());
    (message.len() <= QUERY_MAX).then_some(message)
}

/// The RCODE of the response to the query with this id; `None` for anything else, which a check does not believe.
///
/// What a response says beyond its header is not looked at: an empty or cut answer is an answer.
pub fn response_code(message: &[u8], id: u16) -> Option<u8> {
    let header: &[u8; 12] = message.first_chunk()?;
    let [id_high, id_low, flags_high, flags_low, ..] = *header;
    let is_response = flags_high & 0x80 != 0;
    (u16::from_be_bytes([id_high, id_low]) == id && is_response).then_some(flags_low & 0x0f)
}

/// The name of an RCODE (RFC 1035 section 4.1.1, RFC 2136 section 2.2).
pub fn code_name(code: u8) -> Option<&'static str> {
    Some(match code {
        0 => "NOERROR",
        1 => "FORMERR",
        2 => "SERVFAIL",
        3 => "NXDOMAIN",
        4 => "NOTIMP",
        5 => "REFUSED",
        6 => "YXDOMAIN",
        7 => "YXRRSET",
        8 => "NXRRSET",
        9 => "NOTAUTH",
        10 => "NOTZONE",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_query_is_one_question() {
        let wire = b"\xd3\x4e\x01\x00\x00\x01\0\0\0\0\0\0\x03www\x07example\x03com\0\0\x01\0\x01";
        assert_eq!(query(0xd34e, "www.example.com", 1).unwrap(), wire);
        assert_eq!(query(1, "", 6).unwrap(), b"\0\x01\x01\0\0\x01\0\0\0\0\0\0\0\0\x06\0\x01");
    }

    #[test]
    fn what_no_name_can_be_is_refused() {
        assert_eq!(query(1, "a..b", 1), None);
        assert_eq!(query(1, &"x".repeat(64), 1), None);
        assert!(query(1, &"x".repeat(63), 1).is_some());
        let long = |labels| vec!["x".repeat(49); labels].join(".");
        assert!(query(1, &long(5), 1).is_some());
        assert_eq!(query(1, &long(6), 1), None);
    }

    #[test]
    fn only_a_response_with_our_id_counts() {
        let response = b"\x12\x34\x81\x83\0\x01\0\0\0\0\0\0";
        assert_eq!(response_code(response, 0x1234), Some(3));
        assert_eq!(response_code(response, 0x1235), None);
        assert_eq!(response_code(&response[..11], 0x1234), None);
        assert_eq!(response_code(b"\x12\x34\x01\x00\0\x01\0\0\0\0\0\0", 0x1234), None, "a query is no response");
    }

    proptest! {
        #[test]
        fn any_octets_have_a_verdict(bytes: Vec<u8>, id: u16) {
            let is_ours = bytes.len() >= 12 && bytes[..2] == id.to_be_bytes() && bytes[2] >= 0x80;
            prop_assert_eq!(response_code(&bytes, id), is_ours.then(|| bytes[3] & 15));
        }

        #[test]
        fn a_query_comes_back_as_its_own_answer(id: u16, name in "[a-z.]{0,300}", record: u16) {
            if let Some(mut message) = query(id, &name, record) {
                prop_assert!(message.len() <= QUERY_MAX);
                prop_assert_eq!(response_code(&message, id), None);
                message[2] |= 0x80;
                prop_assert_eq!(response_code(&message, id), Some(0));
            }
        }
    }
}
