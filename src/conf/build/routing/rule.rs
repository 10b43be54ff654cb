//! One rule from the words of its line.

use super::{Agreed, Context, Network, last, names, text, u8_of, u32_of};
use crate::conf::diag::{Diagnostic, Span};
use crate::conf::model::{Family, FwMark, PROTOCOL, Rule, RuleAction};
use crate::conf::parse::{Line, Named, Val};
use crate::conf::values::{Value, any_base};

/// Where the preferences begin that rules without one are given, downwards.
const PREFERENCE_FIRST: u32 = 16384;

/// The next preference to give away, for each family.
pub struct Preferences {
    v4: u32,
    v6: u32,
}

impl Default for Preferences {
    fn default() -> Self {
        Preferences { v4: PREFERENCE_FIRST, v6: PREFERENCE_FIRST }
    }
}

impl Preferences {
    fn take(&mut self, family: Family) -> u32 {
        let next = match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        };
        let preference = *next;
        *next = preference.saturating_sub(1);
        preference
    }
}

/// The rule of a line; `None` when the line is dropped, with a report.
pub fn build(context: &mut Context<'_, '_, '_>, line: &Line, preferences: &mut Preferences) -> Option<Rule> {
    let mut draft = Draft {
        rule: Rule::new(context.builder.location(line.span), Family::V4, RuleAction::Nop, 0),
        action: None,
        preference: None,
        protocol: None,
        from: None,
        to: None,
        table_only: None,
    };
    let mut agreed = Agreed::default();
    let mut dropped = false;
    let mut forced = None;
    for option in &line.options {
        match option.name {
            "inet" | "inet6" => {
                // The last one counts, unless an address says otherwise.
                forced = Some((if option.name == "inet6" { Family::V6 } else { Family::V4 }, option.word.span));
            }
            _ => dropped |= draft.option(context, &mut agreed, option).is_none(),
        }
    }
    if let Some((family, span)) = forced {
        agreed.take(context, family, span);
    }
    if agreed.broken || dropped {
        return None;
    }
    draft.finish(context, agreed.family(), line, preferences)
}

struct Draft {
    rule: Rule,
    action: Option<(RuleAction, Span)>,
    preference: Option<u32>,
    protocol: Option<(u8, Span)>,
    from: Option<Network>,
    to: Option<Network>,
    /// A word that has a meaning beside `table` only.
    table_only: Option<(&'static str, Span)>,
}

impl Draft {
    /// `None` when the line is to be dropped; that was reported.
    fn option(&mut self, context: &mut Context<'_, '_, '_>, agreed: &mut Agreed, option: &Named) -> Option<()> {
        let rule = &mut self.rule;
        let at = option.word.span;
        match option.name {
            "from" => self.from = Some(agreed.network(context, last(option)?)?),
            "to" => self.to = Some(agreed.network(context, last(option)?)?),
            "table" => {
                let value = last(option)?;
                let table = context.number(value, names::Kind::Table)?;
                if table == 0 {
                    context.report(
                        Diagnostic::error("unknown-table", value.word.span, "table 0 cannot be looked up")
                            .hint("254 is the main table"),
                    );
                    return None;
                }
                self.act(context, RuleAction::Table(table), at)?;
            }
            "goto" => self.act(context, RuleAction::Goto(u32_of(option)?), at)?,
            "nop" => self.act(context, RuleAction::Nop, at)?,
            "l3mdev" => self.act(context, RuleAction::L3mdev, at)?,
            "type" => {
                let action = match text(option)? {
                    "blackhole" => RuleAction::Blackhole,
                    "unreachable" => RuleAction::Unreachable,
                    _ => RuleAction::Prohibit,
                };
                self.act(context, action, at)?;
            }
            "not" => rule.invert = true,
            "preference" => self.preference = Some(u32_of(option)?),
            "tos" => rule.tos = Some(context.byte(last(option)?, names::Kind::Dsfield)?),
            "fwmark" => rule.mark = Some(mark(text(option)?)?),
            "realms" => {
                rule.realms = Some(context.realms(last(option)?)?);
                self.table_only = Some(("realms", at));
                agreed.take(context, Family::V4, at);
            }
            "suppress_prefixlength" => {
                rule.suppress_prefix_length = Some(u32_of(option)?);
                self.table_only = Some(("suppress_prefixlength", at));
            }
            "suppress_ifgroup" => {
                let group = context.number(last(option)?, names::Kind::Group)?;
                let name = context.names.name(context.builder.files, names::Kind::Group, group).map(str::to_owned);
                rule.suppress_group = Some((group, name));
                self.table_only = Some(("suppress_ifgroup", at));
            }
            "iif" => rule.input = Some(context.interface(last(option)?)?),
            "oif" => rule.output = Some(context.interface(last(option)?)?),
            "tunnel-id" => rule.tunnel_id = text(option)?.parse().ok().filter(|id| *id != 0),
            "uidrange" => rule.uids = Some(uids(context, last(option)?)?),
            "protocol" => self.protocol = Some((u8_of(option)?, at)),
            "ipproto" => rule.ip_protocol = Some(context.byte(last(option)?, names::Kind::IpProtocol)?),
            "sport" => rule.source_ports = Some(ports(text(option)?)?),
            "dport" => rule.destination_ports = Some(ports(text(option)?)?),
            "no_track" => rule.no_track = true,
            "track_group" => context.track_group(option),
            _ => {}
        }
        Some(())
    }

    fn act(&mut self, context: &mut Context<'_, '_, '_>, action: RuleAction, at: Span) -> Option<()> {
        if let Some((_, first)) = self.action {
            context.report(
                Diagnostic::error("two-actions", at, "a rule has one action")
                    .related(first, "the first is here")
                    .hint("the line is ignored; write one rule for each"),
            );
            return None;
        }
        self.action = Some((action, at));
        Some(())
    }

    fn finish(
        mut self,
        context: &mut Context<'_, '_, '_>,
        family: Family,
        line: &Line,
        preferences: &mut Preferences,
    ) -> Option<Rule> {
        let first = line.options.first().map_or(line.span, |option| option.word.span);
        let Some((action, at)) = self.action else {
            context.report(Diagnostic::error("no-action", first, "the rule says not what to do").hint(
                "add `table NAME`, `goto PREFERENCE`, `nop`, `l3mdev`, `blackhole`, `unreachable` or `prohibit`",
            ));
            return None;
        };
        if let Some((word, span)) = self.table_only.filter(|_| !matches!(action, RuleAction::Table(_))) {
            context.report(
                Diagnostic::error("table-only", span, format!("`{word}` has a meaning beside `table` only"))
                    .hint("the line is ignored"),
            );
            return None;
        }
        if let RuleAction::Goto(target) = action
            && self.preference.is_none_or(|preference| preference >= target)
        {
            let message = match self.preference {
                Some(preference) => format!("a rule of preference {preference} cannot go back to {target}"),
                None => "`goto` needs a rule with a preference".to_owned(),
            };
            context
                .report(Diagnostic::error("goto", at, message).hint("the target is a preference above the rule's own"));
            return None;
        }
        let rule = &mut self.rule;
        (rule.family, rule.action) = (family, action);
        rule.from = self.from.map(|network| network.of(family));
        rule.to = self.to.map(|network| network.of(family));
        rule.preference = self.preference.unwrap_or_else(|| {
            let preference = preferences.take(family);
            context.report(
                Diagnostic::warning(
                    "rule-preference",
                    first,
                    format!("the rule has no preference: {preference} is assigned"),
                )
                .hint("add `preference N`"),
            );
            preference
        });
        rule.protocol = match self.protocol {
            Some((protocol, span)) if protocol != PROTOCOL && !rule.no_track => {
                context.report(
                    Diagnostic::warning(
                        "protocol-tracked",
                        span,
                        format!("a rule that is watched has protocol {PROTOCOL} (keepalived), whatever is written"),
                    )
                    .hint("add `no_track`, or delete `protocol`"),
                );
                Some(PROTOCOL)
            }
            Some((protocol, _)) => Some(protocol),
            None if rule.no_track => None,
            None => Some(PROTOCOL),
        };
        Some(self.rule)
    }
}

/// `mark[/mask]`; the type of the word has been checked.
fn mark(text: &str) -> Option<FwMark> {
    let number = |text: &str| any_base(text).and_then(|number| u32::try_from(number).ok());
    Some(match text.split_once('/') {
        Some((mark, mask)) => FwMark { mark: number(mark)?, mask: Some(number(mask)?) },
        None => FwMark { mark: number(text)?, mask: None },
    })
}

/// `first-last`, or one port; the type of the word has been checked.
fn ports(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some((first.parse().ok()?, last.parse().ok()?))
}

fn uids(context: &mut Context<'_, '_, '_>, value: &Val) -> Option<(u32, u32)> {
    let Some(Value::Text(text)) = &value.value else { return None };
    let number = |text: &str| text.parse::<u32>().ok().filter(|_| !text.starts_with('+'));
    let range = text.split_once('-').and_then(|(first, last)| number(first).zip(number(last)));
    let range = range.filter(|(first, last)| first <= last);
    if range.is_none() {
        let message = format!("expected a range of user ids, found `{text}`");
        context.report(Diagnostic::error("uid-range", value.word.span, message).hint("write first-last"));
    }
    range
}
