//! SNMP, processes, the last reload, RRD files and events.

use super::NAME;
use super::html::{Html, Tone};
use crate::control::snmp::{AgentX, QueueReport, SessionState};
use crate::report::{Event, Severity, Status, words};

const RECEIVERS: usize = 64;

pub fn snmp(h: &mut Html, status: &Status) {
    let snmp = &status.snmp;
    h.raw("<section id=snmp aria-labelledby=snmp-h><h2 id=snmp-h>SNMP</h2><div class=cards><article class=card>");
    h.raw("<header><h3>Master agent</h3>");
    session(h, &snmp.agentx);
    h.raw("</header><dl>");
    if snmp.agentx.state != SessionState::Off {
        agentx(h, &snmp.agentx, status.at);
    }
    h.raw("<dt>Notifications</dt><dd>").raw(if snmp.traps_enabled { "enabled" } else { "not enabled" }).raw("</dd>");
    if let Some(engine) = &snmp.engine {
        h.raw("<dt>Engine</dt><dd><code>").clip(&engine.id, NAME).raw("</code>, started ").show(engine.boots);
        h.raw(" times</dd>");
    }
    if let Some(responder) = &snmp.responder {
        h.raw("<dt>Answers on</dt><dd>");
        for (at, socket) in responder.sockets.iter().take(16).enumerate() {
            h.raw(if at > 0 { ", " } else { "" }).clip(&socket.address, NAME);
            if !socket.open {
                h.raw(" <span class=alarm>").clip(socket.error.as_deref().unwrap_or("not open"), 200).raw("</span>");
            }
        }
        h.raw("</dd>");
    }
    h.raw("</dl></article></div>");
    receivers(h, status);
    h.raw("</section>");
}

fn session(h: &mut Html, agentx: &AgentX) {
    match agentx.state {
        SessionState::Up => h.badge(Tone::Good, "session up"),
        SessionState::Off => h.badge(Tone::Calm, "not configured"),
        SessionState::Waiting => h.badge(Tone::Warn, "waiting to connect"),
        SessionState::Connecting => h.badge(Tone::Warn, "connecting"),
        SessionState::Opening => h.badge(Tone::Warn, "opening"),
        SessionState::Registering => h.badge(Tone::Warn, "registering"),
    };
}

fn agentx(h: &mut Html, agentx: &AgentX, now: f64) {
    h.raw("<dt>Address</dt><dd>").clip(&agentx.address, NAME).raw("</dd>");
    if let Some(since) = agentx.since {
        h.raw("<dt>Since</dt><dd>").time(since as f64, now).raw("</dd>");
    }
    h.raw("<dt>Subtrees</dt><dd>").number(agentx.registrations_granted as u64).raw(" of ");
    h.number(agentx.registrations_wanted as u64).raw(" registered");
    for refused in agentx.refused.iter().take(8) {
        h.raw("; <span class=alarm>")
            .clip(&refused.oid, NAME)
            .raw(" refused: ")
            .clip(&refused.reason, 200)
            .raw("</span>");
    }
    h.raw("</dd><dt>Served</dt><dd>").number(agentx.requests).raw(" requests, ").number(agentx.notifications_sent);
    h.raw(" notifications</dd><dt>Waiting</dt><dd>");
    queue(h, &agentx.queue);
    h.raw("</dd>");
    if let Some(error) = &agentx.last_error {
        h.raw("<dt>Last error</dt><dd>").clip(error, 400).raw("</dd>");
    }
}

fn queue(h: &mut Html, queue: &QueueReport) {
    h.number(queue.length as u64).raw(" of ").number(queue.limit as u64);
    if queue.dropped + queue.expired > 0 {
        h.raw(" <span class=minus>")
            .number(queue.dropped)
            .raw(" dropped, ")
            .number(queue.expired)
            .raw(" expired</span>");
    }
}

fn receivers(h: &mut Html, status: &Status) {
    let receivers = &status.snmp.receivers;
    if receivers.is_empty() {
        return;
    }
    h.raw(
        "<table role=table class=wide><caption>Receivers of notifications</caption><thead role=rowgroup><tr role=row>",
    );
    h.raw("<th role=columnheader scope=col>Receiver<th role=columnheader scope=col>State");
    h.raw("<th role=columnheader scope=col>Version<th role=columnheader scope=col class=n>Sent");
    h.raw("<th role=columnheader scope=col class=n>Acknowledged<th role=columnheader scope=col>Waiting");
    h.raw("<th role=columnheader scope=col>Last error</thead><tbody role=rowgroup>");
    for receiver in receivers.iter().take(RECEIVERS) {
        h.raw("<tr role=row><td role=cell data-label=Receiver>").clip(&receiver.address, NAME);
        h.raw("<td role=cell data-label=State>");
        match receiver.away_since {
            Some(since) => h.badge(Tone::Warn, "away").raw(" since ").time(since as f64, status.at),
            None if receiver.inform => h.badge(Tone::Good, "acknowledges"),
            None => h.badge(Tone::Calm, "is not asked to acknowledge"),
        };
        h.raw("<td role=cell data-label=Version>").text(&receiver.version);
        h.raw(if receiver.inform { " informs" } else { " traps" });
        if let Some(user) = &receiver.user {
            h.raw(" as ").clip(user, NAME);
        }
        h.raw("<td role=cell class=n data-label=Sent>").number(receiver.sent);
        h.raw("<td role=cell class=n data-label=Acknowledged>").number(receiver.acknowledged);
        h.raw("<td role=cell data-label=Waiting>");
        queue(h, &receiver.queue);
        h.raw("<td role=cell data-label=\"Last error\">");
        match &receiver.last_error {
            Some(error) => h.clip(error, 200),
            None => h.raw("<span class=quiet>none</span>"),
        };
    }
    h.raw("</tbody></table>");
    if receivers.len() > RECEIVERS {
        h.raw("<p class=quiet>").number((receivers.len() - RECEIVERS) as u64);
        h.raw(" more are in <a href=\"/api/v1/status\">/api/v1/status</a>.</p>");
    }
}

pub fn section(h: &mut Html, status: &Status) {
    h.raw("<section id=daemon aria-labelledby=daemon-h><h2 id=daemon-h>Daemon</h2><div class=cards>");
    reload(h, status);
    rrd(h, status);
    h.raw("</div>");
    processes(h, status);
    h.raw("</section>");
}

fn reload(h: &mut Html, status: &Status) {
    let (daemon, reload, now) = (&status.daemon, &status.daemon.reload, status.at);
    h.raw("<article class=card><header><h3>Configuration</h3>");
    match (reload.successful, reload.tried_at.0, daemon.ready) {
        (true, _, true) => h.badge(Tone::Good, "in force"),
        (true, _, false) => h.badge(Tone::Note, "being put in force"),
        (false, 0, _) => h.badge(Tone::Note, "not known"),
        (false, ..) => h.badge(Tone::Warn, "the file is refused"),
    };
    h.raw("</header><dl><dt>File</dt><dd><code>").clip(&daemon.config_file, 300).raw("</code></dd>");
    h.raw("<dt>Accepted</dt><dd>").time(words::unix(reload.accepted_at), now);
    h.raw("</dd><dt>Last attempt</dt><dd>").time(words::unix(reload.tried_at), now);
    h.raw("</dd><dt>Reloads</dt><dd>").number(reload.accepted).raw(" accepted, ").number(reload.rejected);
    h.raw(" refused</dd><dt>Warnings</dt><dd>").number(reload.warnings.into());
    h.raw("</dd><dt>Daemon since</dt><dd>").time(daemon.started, now).raw("</dd></dl>");
    if !reload.errors.is_empty() {
        h.raw("<p class=alarm>What was wrong at the last attempt:</p><pre tabindex=0>");
        h.clip(&reload.errors, 16 * 1024).raw("</pre>");
    }
    h.raw("</article>");
}

fn rrd(h: &mut Html, status: &Status) {
    let Some(rrd) = &status.rrd else { return };
    h.raw("<article class=card><header><h3>RRD files</h3>");
    match (rrd.connected && rrd.stuck_since.is_none(), &rrd.last_error) {
        (true, None) => h.badge(Tone::Good, "kept"),
        (true, Some(_)) => h.badge(Tone::Warn, "with errors"),
        (false, _) => h.badge(Tone::Warn, "not kept now"),
    };
    h.raw("</header><dl><dt>Directory</dt><dd><code>").clip(&rrd.directory.to_string_lossy(), 300).raw("</code></dd>");
    if let Some(cached) = &rrd.cached {
        h.raw("<dt>rrdcached</dt><dd>").clip(cached, 300).raw("</dd>");
    }
    h.raw("<dt>Files</dt><dd>").number(rrd.files).raw("</dd><dt>Updates</dt><dd>").number(rrd.success);
    h.raw(" written, ").number(rrd.failure).raw(" failed, ").number(rrd.dropped).raw(" dropped</dd>");
    if let Some(error) = &rrd.last_error {
        h.raw("<dt>Last error</dt><dd>").clip(error, 400).raw("</dd>");
    }
    h.raw("</dl></article>");
}

fn processes(h: &mut Html, status: &Status) {
    h.raw("<table role=table class=wide><caption>Processes</caption><thead role=rowgroup><tr role=row>");
    h.raw("<th role=columnheader scope=col>Process<th role=columnheader scope=col>State");
    h.raw("<th role=columnheader scope=col class=n>PID<th role=columnheader scope=col>Started");
    h.raw("<th role=columnheader scope=col class=n>Restarts<th role=columnheader scope=col class=n>CPU time");
    h.raw("<th role=columnheader scope=col class=n>Memory<th role=columnheader scope=col class=n>Open files");
    h.raw("</thead><tbody role=rowgroup>");
    for process in status.daemon.processes.iter().take(16) {
        let report = &process.report;
        h.raw("<tr role=row><td role=cell data-label=Process>").clip(&report.name, NAME);
        h.raw("<td role=cell data-label=State>");
        match (process.up, report.pid) {
            (true, _) => h.badge(Tone::Good, "up"),
            (false, 0) => h.badge(Tone::Bad, "does not run"),
            (false, _) => h.badge(Tone::Bad, "does not answer"),
        };
        h.raw("<td role=cell class=n data-label=PID>").show(report.pid);
        h.raw("<td role=cell data-label=Started>").time(words::unix(report.started), status.at);
        h.raw("<td role=cell class=n data-label=Restarts>").number(report.restarts);
        h.raw("<td role=cell class=n data-label=\"CPU time\">");
        h.text(&words::duration(std::time::Duration::from_millis(report.cpu_ns / 1_000_000)));
        h.raw("<td role=cell class=n data-label=Memory>")
            .show(format_args!("{:.1} MiB", report.resident_bytes as f64 / 1048576.0));
        h.raw("<td role=cell class=n data-label=\"Open files\">")
            .number(report.open_fds)
            .raw(" of ")
            .number(report.max_fds);
    }
    h.raw("</tbody></table>");
}

/// The newest first.
pub fn events(h: &mut Html, status: &Status) {
    h.raw("<section id=events aria-labelledby=events-h><h2 id=events-h>Events</h2>");
    if status.events.is_empty() {
        h.raw("<p class=quiet>Nothing has happened since the daemon was started.</p></section>");
        return;
    }
    h.raw("<ol class=events reversed>");
    for event in status.events.iter().rev() {
        line(h, event, status.at);
    }
    h.raw("</ol><p class=quiet>Earlier ones are in <a href=\"/api/v1/events\">/api/v1/events</a>, as far as they are kept.</p>");
    h.raw("</section>");
}

fn line(h: &mut Html, event: &Event, now: f64) {
    h.raw(match event.severity {
        Severity::Critical => "<li class=bad>",
        Severity::Warning => "<li class=warn>",
        Severity::Info => "<li class=note>",
    });
    h.time(event.at, now).raw(" <strong>").clip(&event.subject, NAME).raw("</strong> ");
    h.raw(match event.severity {
        Severity::Critical => "<span class=unseen>critical: </span>",
        Severity::Warning => "<span class=unseen>warning: </span>",
        Severity::Info => "",
    });
    h.clip(&event.text, 400).raw("</li>");
}
