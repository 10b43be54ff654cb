//! When adverts, takeovers and announcements happen.

use std::time::Duration;

use super::{Draft, number};
use crate::conf::build::Builder;
use crate::conf::build::global::micros;
use crate::conf::diag::Diagnostic;
use crate::conf::model::{Garp, InitialState, Preempt, Version};
use crate::conf::parse::Node;

impl Draft<'_> {
    pub(super) fn preempt(&self, builder: &mut Builder<'_>, state: InitialState, owner: bool) -> Preempt {
        let mut never: Option<&Node> = None;
        for child in &self.node.children {
            match child.name() {
                "nopreempt" => never = Some(child),
                "preempt" => never = None,
                _ => {}
            }
        }
        if let Some(child) = never.filter(|_| owner || state == InitialState::Master) {
            let what = if owner { "priority 255" } else { "state MASTER" };
            builder.report(
                Diagnostic::warning("nopreempt", child.keyword.span, format!("nopreempt has no effect with {what}"))
                    .hint("use state BACKUP on every router, with a priority below 255"),
            );
            never = None;
        }
        let delay = self.node.child("preempt_delay").and_then(|child| Some((child, child.micros()?)));
        let Some((child, delay)) = delay.filter(|(_, delay)| *delay > 0) else {
            return if never.is_some() { Preempt::Never } else { Preempt::After(Duration::ZERO) };
        };
        let obstacle = if self.strict {
            Some("in strict mode")
        } else if never.is_some() {
            Some("with nopreempt")
        } else if state == InitialState::Master {
            Some("with state MASTER")
        } else {
            None
        };
        if let Some(obstacle) = obstacle {
            builder.report(
                Diagnostic::warning(
                    "preempt-delay",
                    child.keyword.span,
                    format!("preempt_delay has no effect {obstacle}"),
                )
                .hint("delete the line"),
            );
            return if never.is_some() { Preempt::Never } else { Preempt::After(Duration::ZERO) };
        }
        Preempt::After(micros(delay))
    }

    /// On the wire version 2 has whole seconds, version 3 hundredths up to 40.95.
    pub(super) fn advert_interval(&self, builder: &mut Builder<'_>) -> Duration {
        let Some((child, wanted)) = self.node.child("advert_int").and_then(|child| Some((child, child.micros()?)))
        else {
            return Duration::from_secs(1);
        };
        let (step, max) = match self.version {
            Version::V2 => (1_000_000, 255_000_000),
            Version::V3 => (10_000, 40_950_000),
        };
        let rounded = ((wanted + step / 2) / step * step).max(step);
        let used = rounded.min(max);
        if used != wanted {
            let seconds = crate::conf::keywords::docs::millionths;
            let why = match self.version {
                Version::V2 => "VRRPv2 sends whole seconds",
                Version::V3 if rounded > max => "VRRPv3 sends at most 40.95 seconds",
                Version::V3 => "VRRPv3 sends hundredths of a second",
            };
            let message = format!("{why}: {} is read as {}", seconds(wanted), seconds(used));
            let hint = match self.version {
                Version::V2 => "use version 3 for fractions of a second",
                Version::V3 => "write the value that is used",
            };
            builder.report(Diagnostic::warning("advert-int", child.span(), message).hint(hint));
        }
        micros(used)
    }

    pub(super) fn garp(&self, builder: &mut Builder<'_>) -> Garp {
        let global = &self.defaults.garp;
        let own = |word: &str| number(self.node, word);
        let burst = |word: &str| self.node.child(word).and_then(Node::burst);
        let common_delay = global.delay.unwrap_or(if global.minimal { 0 } else { 5 });
        let common_repeat = global.repeat.unwrap_or(if global.minimal { 1 } else { 5 });
        let lower = |builder: &mut Builder<'_>, word: &str, default: u32| {
            let wanted = own(word);
            if !self.strict {
                return wanted.unwrap_or(default);
            }
            if let Some(child) = self.node.child(word).filter(|_| wanted.is_some_and(|value| value != 0)) {
                builder.report(
                    Diagnostic::warning("strict", child.span(), format!("in strict mode {word} is 0"))
                        .hint("delete the line"),
                );
            }
            0
        };
        let lower_delay = lower(builder, "garp_lower_prio_delay", global.lower_prio_delay.unwrap_or(common_delay));
        let lower_repeat = lower(builder, "garp_lower_prio_repeat", global.lower_prio_repeat.unwrap_or(common_repeat));
        let extra = self.node.child("garp_extra_if");
        let (extra, extra_all) = match extra.and_then(|child| Some((child, u32::try_from(child.int()?).ok()?))) {
            Some((child, seconds)) => (seconds, child.value("all").is_some()),
            None => (global.extra, global.extra_all),
        };
        let seconds = |seconds: u32| Duration::from_secs(u64::from(seconds));
        Garp {
            delay: seconds(own("garp_master_delay").unwrap_or(common_delay)),
            repeat: burst("garp_master_repeat").unwrap_or(common_repeat),
            refresh: seconds(own("garp_master_refresh").or(global.refresh).unwrap_or(0)),
            refresh_repeat: burst("garp_master_refresh_repeat")
                .or(global.refresh_repeat)
                .unwrap_or(u32::from(!global.minimal)),
            lower_prio_delay: seconds(lower_delay),
            lower_prio_repeat: lower_repeat,
            interval: micros(global.interval_us),
            gna_interval: micros(global.gna_interval_us),
            extra_interval: seconds(extra),
            extra_all,
        }
    }
}
