//! Server-sent events: what changes is told to those who watch, from one look for all of them.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::Looks;
use crate::export::Look;
use crate::report;

/// How often it is looked whether something has changed, while somebody watches.
const EVERY: Duration = Duration::from_millis(500);
/// A line that means nothing, so that a client that has gone is noticed, and one in between keeps the connection.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a browser waits before it comes back.
const RETRY: &str = "retry: 2000\n\n";

/// One look, and the page's main part if anybody wanted it.
#[derive(Debug)]
pub struct Moment {
    look: Arc<Look>,
    main: OnceLock<Bytes>,
}

#[derive(Debug, Default)]
pub struct Hub {
    moments: watch::Sender<Option<Arc<Moment>>>,
}

impl Hub {
    /// Looks as long as somebody watches.
    pub async fn run(&self, looks: &Looks) {
        let mut seen = None;
        loop {
            if self.moments.receiver_count() == 0 {
                self.moments.send_replace(None);
                seen = None;
            } else if let Some(look) = looks.look().await {
                let now = (look.snapshot.generations, Arc::clone(&look.daemon), Arc::clone(&look.snmp));
                if seen.as_ref() != Some(&now) {
                    seen = Some(now);
                    let moment = Moment { look, main: OnceLock::new() };
                    self.moments.send_replace(Some(Arc::new(moment)));
                }
            }
            sleep(EVERY).await;
        }
    }

    /// The status page's main part: now, and whenever it is another.
    pub fn status(&self, host: Arc<str>, place: OwnedSemaphorePermit) -> mpsc::Receiver<Bytes> {
        let mut last: Option<Bytes> = None;
        self.stream(place, move |moment| {
            let main = moment.main.get_or_init(|| {
                Bytes::from(event(None, &report::page::main_fragment(&report::status(&moment.look, &host))))
            });
            let new = last.as_ref() != Some(main);
            new.then(|| last.insert(main.clone()).clone())
        })
    }

    /// Events from number `next` on.
    pub fn events(&self, mut next: u64, place: OwnedSemaphorePermit) -> mpsc::Receiver<Bytes> {
        self.stream(place, move |moment| {
            let report = report::events(&moment.look, next);
            next = report.next;
            let text: String = report
                .events
                .iter()
                .filter_map(|it| Some(event(Some(it.number), &serde_json::to_string(it).ok()?)))
                .collect();
            (!text.is_empty()).then(|| Bytes::from(text))
        })
    }

    /// What `tell` says of each moment. Ends with the reader.
    fn stream(
        &self,
        place: OwnedSemaphorePermit,
        mut tell: impl FnMut(&Moment) -> Option<Bytes> + Send + 'static,
    ) -> mpsc::Receiver<Bytes> {
        let mut moments = self.moments.subscribe();
        // Who does not read is not written for: the next moment says all that the one before would have said.
        let (send, receive) = mpsc::channel(1);
        tokio::spawn(async move {
            let _place = place;
            let mut beat = Instant::now() + HEARTBEAT;
            if send.send(Bytes::from_static(RETRY.as_bytes())).await.is_err() {
                return;
            }
            loop {
                let moment = moments.borrow_and_update().clone();
                if let Some(bytes) = moment.and_then(|moment| tell(&moment)) {
                    if send.send(bytes).await.is_err() {
                        return;
                    }
                    beat = Instant::now() + HEARTBEAT;
                }
                tokio::select! {
                    changed = moments.changed() => if changed.is_err() { return },
                    () = sleep_until(beat) => {
                        if send.send(Bytes::from_static(b": still here\n\n")).await.is_err() {
                            return;
                        }
                        beat = Instant::now() + HEARTBEAT;
                    }
                    () = send.closed() => return,
                }
            }
        });
        receive
    }
}

/// One event; each line of its data has its own mark.
fn event(number: Option<u64>, data: &str) -> String {
    let mut text = number.map(|number| format!("id: {number}\n")).unwrap_or_default();
    for line in data.split(['\n', '\r']) {
        text += "data: ";
        text += line;
        text.push('\n');
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_of_several_lines_stays_one_event() {
        assert_eq!(event(None, "<p>\n</p>"), "data: <p>\ndata: </p>\n\n");
        assert_eq!(event(Some(7), "{}"), "id: 7\ndata: {}\n\n");
        assert!(!event(None, "a\r\n\nevent: y").contains("\nevent: y"), "nobody else's text begins an event");
    }
}
