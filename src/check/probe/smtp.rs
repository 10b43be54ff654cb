//! SMTP_CHECK: greeting, HELO, QUIT (RFC 5321).

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Stage, connect};
use crate::check::io::{Cause, Failure};
use crate::conf::model::SmtpCheck;

/// Longest line of a reply. RFC 5321 section 4.5.3.1.5 allows 512; some servers do not care.
const LINE: usize = 2048;

/// Most that a server may say in all.
const TALK: usize = 64 * 1024;

pub async fn run(check: &SmtpCheck, stage: &Stage) -> Result<(), Failure> {
    let mut stream = connect::tcp(&check.target, stage).await?;
    let mut dialogue = Dialogue::new(&check.helo);
    let mut buffer = [0; 1024];
    loop {
        stage.set(dialogue.waiting());
        let length = stream.read(&mut buffer).await.map_err(|error| connect::broken(&error, stage))?;
        if length == 0 {
            return Err(Failure::new(Cause::Protocol, format!("connection closed {stage}")));
        }
        let say = dialogue.hear(buffer.get(..length).unwrap_or_default())?;
        if dialogue.over() {
            return Ok(());
        }
        if !say.is_empty() {
            stream.write_all(&say).await.map_err(|error| connect::broken(&error, stage))?;
        }
    }
}

/// The client's side, without its socket.
#[derive(Debug)]
pub struct Dialogue {
    helo: String,
    step: Step,
    line: Vec<u8>,
    /// Code of the reply of several lines that is being read.
    code: Option<u16>,
    heard: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Greeting,
    Helo,
    Quit,
    Over,
}

impl Dialogue {
    pub fn new(helo: &str) -> Dialogue {
        Dialogue { helo: helo.to_owned(), step: Step::Greeting, line: Vec::new(), code: None, heard: 0 }
    }

    /// Takes what the server said and returns what to say to that.
    pub fn hear(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Failure> {
        let mut say = Vec::new();
        for byte in bytes {
            if self.over() {
                break;
            }
            self.heard += 1;
            match byte {
                b'\n' => {
                    let line = std::mem::take(&mut self.line);
                    if let Some(code) = self.end_of_line(line.strip_suffix(b"\r").unwrap_or(&line))? {
                        say.extend(self.answer(code)?);
                    }
                }
                _ if self.line.len() == LINE || self.heard > TALK => {
                    return Err(Failure::new(Cause::Protocol, format!("{}: reply too long", self.what())));
                }
                byte => self.line.push(*byte),
            }
        }
        Ok(say)
    }

    /// The check passed.
    pub fn over(&self) -> bool {
        self.step == Step::Over
    }

    fn waiting(&self) -> &'static str {
        match self.step {
            Step::Greeting => "waiting for the greeting",
            Step::Helo => "waiting for the reply to HELO",
            Step::Quit | Step::Over => "waiting for the reply to QUIT",
        }
    }

    fn what(&self) -> &'static str {
        match self.step {
            Step::Greeting => "greeting",
            Step::Helo => "HELO",
            Step::Quit | Step::Over => "QUIT",
        }
    }

    /// The code, when the reply is complete with this line (RFC 5321 section 4.2.1).
    fn end_of_line(&mut self, line: &[u8]) -> Result<Option<u16>, Failure> {
        let malformed = || Failure::new(Cause::Protocol, format!("{}: not a reply of SMTP", self.what()));
        let (digits, rest) = line.split_first_chunk::<3>().ok_or_else(malformed)?;
        let [hundreds @ b'2'..=b'5', tens @ b'0'..=b'9', ones @ b'0'..=b'9'] = *digits else {
            return Err(malformed());
        };
        let code = u16::from(hundreds - b'0') * 100 + u16::from(tens - b'0') * 10 + u16::from(ones - b'0');
        if self.code.is_some_and(|first| first != code) {
            return Err(malformed());
        }
        match rest.first() {
            Some(b'-') => {
                self.code = Some(code);
                Ok(None)
            }
            Some(b' ') | None => {
                self.code = None;
                Ok(Some(code))
            }
            Some(_) => Err(malformed()),
        }
    }

    fn answer(&mut self, code: u16) -> Result<Vec<u8>, Failure> {
        let (wanted, next, say) = match self.step {
            Step::Greeting => (Some(220), Step::Helo, format!("HELO {}\r\n", self.helo)),
            Step::Helo => (Some(250), Step::Quit, "QUIT\r\n".to_owned()),
            // The server works; how it takes its leave does not matter.
            Step::Quit | Step::Over => (None, Step::Over, String::new()),
        };
        if wanted.is_some_and(|wanted| wanted != code) {
            return Err(Failure::new(Cause::Status, format!("{}: SMTP reply {code}", self.what())));
        }
        self.step = next;
        Ok(say.into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the client says to each of these, and whether the check passed.
    fn talk(replies: &[&str]) -> Result<(Vec<String>, bool), String> {
        let mut dialogue = Dialogue::new("me.example");
        let mut said = Vec::new();
        for reply in replies {
            let say = dialogue.hear(reply.as_bytes()).map_err(|failure| failure.text)?;
            said.push(String::from_utf8(say).unwrap());
        }
        Ok((said, dialogue.over()))
    }

    #[test]
    fn greeting_helo_quit() {
        let (said, passed) = talk(&["220 mx ESMTP\r\n", "250 mx\r\n", "221 bye\r\n"]).unwrap();
        assert_eq!(
            (&said[..], passed),
            (&["HELO me.example\r\n".to_owned(), "QUIT\r\n".into(), String::new()][..], true)
        );
        assert!(talk(&["220\n", "250\n", "500 never heard of it\n"]).unwrap().1, "any reply to QUIT will do");
    }

    #[test]
    fn replies_of_several_lines_are_one_reply() {
        let (said, passed) =
            talk(&["220-mx\r\n220-no spam\r\n", "220 please\r\n", "250-mx\r\n250 ok\r\n", "221 x\r\n"]).unwrap();
        assert_eq!(said, ["", "HELO me.example\r\n", "QUIT\r\n", ""]);
        assert!(passed);
        assert!(talk(&["220-mx\r\n221 mx\r\n"]).is_err());
    }

    #[test]
    fn other_codes_fail_by_name() {
        assert_eq!(talk(&["554 no\r\n"]).unwrap_err(), "greeting: SMTP reply 554");
        assert_eq!(talk(&["220 a\r\n", "251 b\r\n"]).unwrap_err(), "HELO: SMTP reply 251");
    }

    #[test]
    fn what_is_no_smtp_fails() {
        for greeting in ["hello\r\n", "\r\n", "22\r\n", "2200 a\r\n", "999 a\r\n", "SSH-2.0-x\r\n", "+OK POP3\r\n"] {
            assert_eq!(talk(&[greeting]).unwrap_err(), "greeting: not a reply of SMTP", "{greeting:?}");
        }
        assert_eq!(talk(&[&"2".repeat(5000)]).unwrap_err(), "greeting: reply too long");
        assert_eq!(talk(&[&"220-more\r\n".repeat(10_000)]).unwrap_err(), "greeting: reply too long");
    }

    proptest! {
        #[test]
        fn however_replies_are_cut_the_verdict_is_the_same(
            lines in proptest::collection::vec(prop_oneof![Just("220 a\r\n"), Just("250 b\n"), Just("221 c\r\n"), Just("250-d\r\n"), Just("x\n")], 0..6),
            size in 1_usize..9,
        ) {
            let all = lines.concat();
            let whole = {
                let mut dialogue = Dialogue::new("h");
                dialogue.hear(all.as_bytes()).map(|said| (said, dialogue.over()))
            };
            let cut = {
                let mut dialogue = Dialogue::new("h");
                let said: Result<Vec<Vec<u8>>, Failure> =
                    all.as_bytes().chunks(size).map(|piece| dialogue.hear(piece)).collect();
                said.map(|said| (said.concat(), dialogue.over()))
            };
            prop_assert_eq!(whole, cut);
        }
    }
}
