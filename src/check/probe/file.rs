//! FILE_CHECK: what track_files say, whenever that changes.
//!
//! A thread of its own reads each file four times a second, so that a disk or a network file system that hangs keeps
//! nobody else waiting. At most [`SIZE`] octets are read, whatever the file holds.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc;

/// Octets that a number with white space around it may take.
const SIZE: u64 = 128;

/// Time between two looks.
const INTERVAL: Duration = Duration::from_millis(250);

/// Watches files for as long as it exists.
#[derive(Debug)]
pub struct Watcher {
    news: mpsc::Receiver<(String, Option<i64>)>,
}

impl Watcher {
    /// `files`: name and path of each track_file.
    pub fn start(files: impl IntoIterator<Item = (String, PathBuf)>) -> io::Result<Watcher> {
        let mut files: BTreeMap<String, Watched> =
            files.into_iter().map(|(name, path)| (name, Watched { path, last: None })).collect();
        let (tell, news) = mpsc::channel(files.len().max(1));
        if files.is_empty() {
            return Ok(Watcher { news });
        }
        thread::Builder::new().name("track_files".to_owned()).spawn(move || {
            while !tell.is_closed() {
                for (name, file) in &mut files {
                    let value = read(&file.path);
                    if file.last != Some(value) {
                        file.last = Some(value);
                        if tell.blocking_send((name.clone(), value)).is_err() {
                            return;
                        }
                    }
                }
                thread::sleep(INTERVAL);
            }
        })?;
        Ok(Watcher { news })
    }

    /// The next file whose value is new, first of all each file's; waits forever when there are no files. `None`: it is
    /// missing, or holds no number.
    ///
    /// Cancel safe.
    pub async fn next(&mut self) -> (String, Option<i64>) {
        match self.news.recv().await {
            Some(news) => news,
            None => std::future::pending().await,
        }
    }
}

#[derive(Debug)]
struct Watched {
    path: PathBuf,
    /// What was told last; `None` when nothing was.
    last: Option<Option<i64>>,
}

fn read(path: &Path) -> Option<i64> {
    // Opening a FIFO would wait for its other end.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut content = Vec::new();
    file.take(SIZE + 1).read_to_end(&mut content).ok()?;
    value(&content)
}

/// The number that a file's first octets hold: decimal, with a sign if need be, and white space around it.
pub fn value(content: &[u8]) -> Option<i64> {
    if content.len() as u64 > SIZE {
        return None;
    }
    std::str::from_utf8(content).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_number_is_a_value_and_nothing_else_is() {
        for (content, expected) in [
            ("5", Some(5)),
            (" -17\n", Some(-17)),
            ("+3\n\n", Some(3)),
            ("", None),
            ("five", None),
            ("5 6", None),
            ("0x10", None),
            ("100000000000000000000", None),
        ] {
            assert_eq!(value(content.as_bytes()), expected, "{content:?}");
        }
        assert_eq!(value(&[b'\n'; 1000]), None);
    }

    #[test]
    fn the_first_value_and_every_change_are_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("value");
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut watcher = Watcher::start([("file".to_owned(), path.clone())]).unwrap();
            let mut news = async || watcher.next().await;
            assert_eq!(news().await, ("file".to_owned(), None));
            fs::write(&path, "7\n").unwrap();
            assert_eq!(news().await.1, Some(7));
            // A file of a gigabyte, of which nobody reads much.
            fs::File::create(&path).unwrap().set_len(1 << 30).unwrap();
            assert_eq!(news().await.1, None);
            let new = directory.path().join("new");
            fs::write(&new, "-8").unwrap();
            fs::rename(&new, &path).unwrap();
            assert_eq!(news().await.1, Some(-8));
            fs::remove_file(&path).unwrap();
            nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
            assert_eq!(news().await.1, None);
        });
    }
}
