//! The textfile: the text of `/metrics`, again and again in one place, for node_exporter's textfile collector.
//!
//! The supervisor opens an empty file beside that place, and moves it there when it is whole.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::Looks;
use super::pages::Page;
use super::serve::Site;
use crate::export::metrics::Format;

/// How long the supervisor may take to open a file.
const PATIENCE: Duration = Duration::from_secs(10);

/// Writes it whenever it is due. `changed`: there are new settings.
pub async fn run(site: Arc<Site>, looks: Looks, changed: Arc<Notify>) {
    let mut complaint = None;
    loop {
        let Some(textfile) = site.metrics().textfile else {
            changed.notified().await;
            continue;
        };
        match write(&site, &looks).await {
            Ok(()) => {
                if complaint.take().is_some() {
                    info!("{} is written again", textfile.path.display());
                }
            }
            Err(text) if complaint.as_ref() == Some(&text) => {}
            Err(text) => {
                warn!("{} cannot be written: {text}", textfile.path.display());
                complaint = Some(text);
            }
        }
        tokio::select! {
            () = sleep(textfile.interval) => {}
            () = changed.notified() => {}
        }
    }
}

async fn write(site: &Site, looks: &Looks) -> Result<(), String> {
    let settings = site.metrics();
    let page = site.pages().page(&Page::Metrics(Format::Text), &settings, false).await;
    let text = page.ok_or("the bridge does not answer")?;
    let file = timeout(PATIENCE, looks.textfile()).await.map_err(|_| "the supervisor does not answer")?;
    let file = File::from(file.map_err(|error| error.to_string())?);
    // A thread may wait for a disk.
    let work = tokio::task::spawn_blocking(move || (&file).write_all(&text));
    work.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    looks.textfile_done().await;
    Ok(())
}
