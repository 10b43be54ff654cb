//! Hex strings of UDP_CHECK: digits pair up, blanks separate, a digit alone is an octet.

use crate::conf::parse::Val;

/// Octets with masks: `x` stands for any four bits. `None` when a word was refused.
pub fn octets(words: &[Val]) -> Option<Vec<(u8, u8)>> {
    let mut octets = Vec::new();
    for word in words {
        word.value.as_ref()?;
        for run in word.word.text.split(' ').filter(|run| !run.is_empty()) {
            let nibbles: Vec<char> = run.chars().collect();
            for pair in nibbles.chunks(2) {
                octets.push(match pair {
                    [high, low] => {
                        let ((high, high_mask), (low, low_mask)) = (nibble(*high)?, nibble(*low)?);
                        (high << 4 | low, high_mask << 4 | low_mask)
                    }
                    // Four bits of zero are understood before it.
                    [low] => {
                        let (low, mask) = nibble(*low)?;
                        (low, if mask == 0 { 0 } else { 0xff })
                    }
                    _ => return None,
                });
            }
        }
    }
    Some(octets)
}

fn nibble(c: char) -> Option<(u8, u8)> {
    if matches!(c, 'x' | 'X') {
        return Some((0, 0));
    }
    Some((u8::try_from(c.to_digit(16)?).ok()?, 0xf))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::diag::Span;
    use crate::conf::lex::Word;
    use crate::conf::values::Value;

    fn read(text: &str) -> Option<Vec<(u8, u8)>> {
        let word = |text: &str| Word { text: text.into(), span: Span::default(), quoted: false };
        let words: Vec<Val> = text
            .split(' ')
            .map(|text| Val { name: "hex", word: word(text), value: Some(Value::Text(text.into())) })
            .collect();
        octets(&words)
    }

    #[test]
    fn digits_pair_up_and_one_alone_is_an_octet() {
        let bytes: Vec<u8> = read("Ab12f 3 456 546443123").unwrap().into_iter().map(|(value, _)| value).collect();
        assert_eq!(bytes, [0xAB, 0x12, 0x0F, 0x03, 0x45, 0x06, 0x54, 0x64, 0x43, 0x12, 0x03]);
        assert_eq!(read("0g"), None);
    }

    #[test]
    fn an_x_is_four_bits_that_do_not_matter() {
        assert_eq!(read("aXx5 XX x"), Some(vec![(0xa0, 0xf0), (0x05, 0x0f), (0, 0), (0, 0)]));
    }
}
