//! The line protocol of rrdcached (rrdcached(1), PROTOCOL): what is said, and what the answers mean.

use super::layout::{Archive, Ds, Existing};

/// A socket to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    Unix(String),
    /// `host:port`.
    Tcp(String),
}

/// rrdcached's own.
const PORT: u16 = 42217;

impl Address {
    /// `unix:/path`, `/path`, `host:port`, `host`, `[2001:db8::1]:port`, as librrd reads RRDCACHED_ADDRESS.
    pub fn parse(text: &str) -> Address {
        if let Some(path) = text.strip_prefix("unix:") {
            return Address::Unix(path.to_owned());
        }
        if text.starts_with('/') {
            return Address::Unix(text.to_owned());
        }
        let with_port = text
            .rsplit_once(':')
            .is_some_and(|(host, port)| port.parse::<u16>().is_ok() && (!host.contains(':') || host.ends_with(']')));
        match (with_port, text.contains(':') && !text.starts_with('[')) {
            (true, _) => Address::Tcp(text.to_owned()),
            (false, true) => Address::Tcp(format!("[{text}]:{PORT}")),
            (false, false) => Address::Tcp(format!("{text}:{PORT}")),
        }
    }
}

/// A word of a command: a backslash keeps a space or a backslash from ending it. A line feed cannot be said at all.
pub fn word(text: &str) -> Option<String> {
    if text.contains(['\n', '\r', '\0']) {
        return None;
    }
    Some(text.replace('\\', "\\\\").replace(' ', "\\ "))
}

/// CREATE for one file that must not be there yet. `begin`: the first update comes after it.
pub fn create(
    path: &str,
    step: u32,
    heartbeat: u32,
    begin: u64,
    sources: &[Ds],
    archives: &[Archive],
) -> Option<String> {
    let mut line = format!("CREATE {} -s {step} -b {begin} -O", word(path)?);
    let sources = sources.iter().map(|ds| ds.argument(heartbeat));
    for argument in sources.chain(archives.iter().map(Archive::argument)) {
        line.push(' ');
        line.push_str(&argument);
    }
    line.push('\n');
    Some(line)
}

/// The first line of every answer: a status, and how many lines follow it.
pub fn status(line: &str) -> Option<(i64, &str)> {
    let (number, text) = line.trim_end().split_once(' ').unwrap_or((line.trim_end(), ""));
    Some((number.parse().ok()?, text))
}

/// One line of what follows the end of a BATCH: the command, counted from 1, and what was wrong with it.
pub fn complaint(line: &str) -> Option<(usize, &str)> {
    let (number, text) = line.trim_end().split_once(' ')?;
    Some((number.parse().ok()?, text))
}

/// Whether a complaint says that this time was written before, as after a restart.
pub fn is_past(complaint: &str) -> bool {
    complaint.contains("minimum one second step")
}

/// Whether a complaint says that there is no such file.
pub fn is_missing(complaint: &str) -> bool {
    complaint.contains("No such file")
}

/// What INFO says of a file.
pub fn existing<'a>(lines: impl Iterator<Item = &'a str>) -> Existing {
    let items = lines.filter_map(|line| {
        let mut words = line.splitn(3, ' ');
        let (key, _kind, value) = (words.next()?, words.next()?, words.next()?);
        Some((key.to_owned(), value.trim_end().to_owned()))
    });
    Existing::new(items)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::model::RrdProfile;
    use crate::export::graph::GraphKind;
    use crate::export::rrd::layout::{Layout, sources};

    #[test]
    fn addresses_are_read_as_librrd_reads_them() {
        for (text, address) in [
            ("unix:/run/rrdcached.sock", Address::Unix("/run/rrdcached.sock".into())),
            ("/run/rrdcached.sock", Address::Unix("/run/rrdcached.sock".into())),
            ("rrd.example", Address::Tcp("rrd.example:42217".into())),
            ("rrd.example:1", Address::Tcp("rrd.example:1".into())),
            ("192.0.2.1:42217", Address::Tcp("192.0.2.1:42217".into())),
            ("2001:db8::1", Address::Tcp("[2001:db8::1]:42217".into())),
            ("[2001:db8::1]", Address::Tcp("[2001:db8::1]:42217".into())),
            ("[2001:db8::1]:7", Address::Tcp("[2001:db8::1]:7".into())),
        ] {
            assert_eq!(Address::parse(text), address);
        }
    }

    #[test]
    fn a_path_is_one_word_whatever_is_in_it() {
        assert_eq!(word("/a b\\c%3A").as_deref(), Some("/a\\ b\\\\c%3A"));
        assert_eq!(word("/a\nQUIT"), None);
    }

    #[test]
    fn what_was_created_fits_and_what_is_another_does_not() {
        let layout = Layout { profile: RrdProfile::Small, host: String::new() };
        let ds = sources(GraphKind::Ipvs);
        let line = create("/x y.rrd", 10, 20, 1_700_000_000, &ds[..2], &layout.archives()[..1]).unwrap();
        let expected = "CREATE /x\\ y.rrd -s 10 -b 1700000000 -O DS:conns:DERIVE:20:0:U DS:in_pkts:DERIVE:20:0:U RRA:AVERAGE:0.5:1:360\n";
        assert_eq!(line, expected);
        let info = "filename 2 /x.rrd\nstep 1 10\nlast_update 1 1700000000\nds[in_pkts].index 1 1\nds[in_pkts].type 2 DERIVE\n\
                    ds[conns].index 1 0\nds[conns].type 2 DERIVE\n";
        let existing = existing(info.lines());
        assert_eq!(existing.last_update, Some(1_700_000_000));
        assert_eq!(existing.differs(10, &ds[..2]), None);
        assert!(existing.differs(300, &ds[..2]).unwrap().contains("step"));
        assert!(existing.differs(10, &ds[..3]).is_some());
        assert!(existing.differs(10, &[ds[1], ds[0]]).is_some());
    }

    #[test]
    fn answers_are_understood() {
        assert_eq!(status("0 Go ahead.  End with dot '.' on its own line.\n").map(|(code, _)| code), Some(0));
        assert_eq!(status("-1 No such file: /x\n"), Some((-1, "No such file: /x")));
        assert_eq!(status("hello"), None);
        let text =
            "2 illegal attempt to update using time 1.0 when last update time is 2.0 (minimum one second step)\n";
        let (command, text) = complaint(text).unwrap();
        assert!(command == 2 && is_past(text) && !is_missing(text));
        assert!(is_missing(complaint("3 No such file: /tmp/none.rrd").unwrap().1));
    }
}
