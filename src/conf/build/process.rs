//! Names, masks, dumps and reloads: what `global_defs` says of the daemon as processes and files.

use std::path::PathBuf;

use super::{Builder, set_some};
use crate::conf::diag::Diagnostic;
use crate::conf::model::{AutoPriority, Dbus, JsonVersion, ProcessSettings, ReloadFile};
use crate::conf::parse::Node;
use crate::conf::values::Value;

pub fn build(builder: &mut Builder<'_>, nodes: &[Node]) -> ProcessSettings {
    let mut process = ProcessSettings::default();
    for node in nodes.iter().filter(|node| node.name() == "child_wait_time") {
        set_some(&mut process.child_wait_s, node.int().and_then(|seconds| u32::try_from(seconds).ok()));
    }
    let mut dbus = Dbus { name: "org.keepalived.Vrrp1".to_owned(), no_interface: "none".to_owned() };
    let mut on = false;
    let globals = nodes.iter().filter(|node| node.name() == "global_defs");
    for node in globals.flat_map(|node| &node.children) {
        match (node.name(), node.text()) {
            ("enable_dbus", _) => on = true,
            ("dbus_service_name", Some(name)) => dbus.name = name.to_owned(),
            ("dbus_no_interface_name", Some(name)) => dbus.no_interface = name.to_owned(),
            _ => directive(builder, node, &mut process),
        }
    }
    process.dbus = on.then_some(dbus);
    process
}

fn directive(builder: &mut Builder<'_>, node: &Node, process: &mut ProcessSettings) {
    let text = || node.text().map(str::to_owned);
    // One that is too long was reported, and is cut.
    let name = || node.values.first().map(|value| short(&value.word.text)).filter(|name| !name.is_empty());
    match node.name() {
        "process_names" => process.names.all = true,
        "process_name" => set_some(&mut process.names.parent, name()),
        "vrrp_process_name" => set_some(&mut process.names.vrrp, name()),
        "checker_process_name" => set_some(&mut process.names.checker, name()),
        "max_auto_priority" => auto_priority(node, &mut process.auto_priority),
        "min_auto_priority_delay" => {
            if let Some(micros) = node.int().and_then(|micros| u32::try_from(micros).ok()) {
                process.auto_priority.delay_us = micros;
            }
        }
        "umask" => set_some(&mut process.umask, umask(builder, node)),
        "state_dump_file" => set_some(&mut process.dumps.state, text()),
        "stats_dump_file" => set_some(&mut process.dumps.stats, text()),
        "json_dump_file" => set_some(&mut process.dumps.json, text()),
        "data_use_instance" => process.dumps.use_instance = node.switch().unwrap_or(process.dumps.use_instance),
        "json_version" => match node.text() {
            Some("2") => process.dumps.json_version = JsonVersion::V2,
            Some(_) => process.dumps.json_version = JsonVersion::V1,
            None => {}
        },
        // Without a file Keepalived writes them to /dev/null; the log has them anyway.
        "reload_check_config" => process.reload.check_log = node.text().map(PathBuf::from),
        "reload_time_file" => set_some(&mut process.reload.time_file, node.text().map(PathBuf::from)),
        "reload_repeat" => process.reload.repeat = true,
        "reload_file" => {
            let path = node.text().map(|path| ReloadFile::At(path.into()));
            if path.is_some() || node.values.is_empty() {
                process.reload.file = Some(path.unwrap_or(ReloadFile::Usual));
            }
        }
        "config_save_dir" => set_some(&mut process.reload.save_dir, node.text().map(PathBuf::from)),
        _ => {}
    }
}

/// The kernel keeps 15 octets of a name.
fn short(name: &str) -> String {
    let end = (0..=name.len().min(15)).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0);
    name.get(..end).unwrap_or_default().to_owned()
}

fn auto_priority(node: &Node, to: &mut AutoPriority) {
    match node.values.first() {
        None => to.max = 99,
        // -1 keeps Keepalived from recommending the directive, which we do not do.
        Some(value) => {
            if let Some(Value::Int(priority)) = value.value {
                to.max = u8::try_from(priority).unwrap_or(0);
            }
        }
    }
}

/// A number of any base, or names of permission bits with `|` between them.
fn umask(builder: &mut Builder<'_>, node: &Node) -> Option<u16> {
    let words: Vec<&str> = node.values.iter().map(|value| value.word.text.as_str()).collect();
    let (first, last) = (node.values.first()?.word.span, node.values.last()?.word.span);
    let mask = mask(&words.concat());
    if mask.is_none() {
        builder.report(
            Diagnostic::warning("umask", first.to(last), format!("`{}` is no file creation mask", words.join(" ")))
                .hint("write 022, 0x12, or bits as IWGRP | IWOTH"),
        );
    }
    mask
}

fn mask(text: &str) -> Option<u16> {
    let number = match (text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")), text.strip_prefix('0')) {
        (Some(hex), _) => u16::from_str_radix(hex, 16).ok(),
        (None, Some(octal)) if !octal.is_empty() => u16::from_str_radix(octal, 8).ok(),
        _ => text.parse().ok(),
    };
    let digits = text.starts_with(|c: char| c.is_ascii_digit());
    let mask = if digits { number } else { text.split('|').map(bits).try_fold(0, |mask, bits| Some(mask | bits?)) };
    mask.filter(|mask| *mask <= 0o777)
}

/// `IRUSR` and its like, and `IRWXU`, `IRWXG`, `IRWXO`.
fn bits(word: &str) -> Option<u16> {
    match word {
        "IRWXU" => return Some(0o700),
        "IRWXG" => return Some(0o070),
        "IRWXO" => return Some(0o007),
        _ => {}
    }
    let rest = word.strip_prefix('I')?;
    let mut letters = rest.chars();
    let bit = match letters.next()? {
        'R' => 4,
        'W' => 2,
        'X' => 1,
        _ => return None,
    };
    match letters.as_str() {
        "USR" => Some(bit << 6),
        "GRP" => Some(bit << 3),
        "OTH" => Some(bit),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_is_a_number_of_any_base_or_bits_by_name() {
        for (text, expected) in [
            ("022", Some(0o022)),
            ("0x12", Some(0o022)),
            ("18", Some(0o022)),
            ("0", Some(0)),
            ("0777", Some(0o777)),
            ("01000", None),
            ("08", None),
            ("IWGRP|IWOTH", Some(0o022)),
            ("IRWXG|IROTH", Some(0o074)),
            ("IWGRP|", None),
            ("WGRP", None),
            ("IQUSR", None),
            ("", None),
            ("-1", None),
            ("0x", None),
        ] {
            assert_eq!(mask(text), expected, "{text}");
        }
    }

    #[test]
    fn names_are_cut_where_the_kernel_cuts_them_and_never_within_a_character() {
        assert_eq!(short("keepalived_vrrp"), "keepalived_vrrp");
        assert_eq!(short("keepalived_vrrp_1"), "keepalived_vrrp");
        assert_eq!(short("aaaaaaaaaaaaaa\u{e9}"), "aaaaaaaaaaaaaa");
    }
}
