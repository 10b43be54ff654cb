//! Changes in words.

use crate::conf::diff::{Change, Edit, How, Object, What};

pub(super) fn line(change: &Change) -> String {
    let object = &change.object;
    match &change.what {
        What::Added { parts: 0 } => format!("{object} added"),
        What::Added { parts } => format!("{object} added, with {}", servers(*parts)),
        What::Removed { parts: 0 } => format!("{object} removed"),
        What::Removed { parts } => format!("{object} removed, with {}", servers(*parts)),
        What::Reordered => format!("{}: another order", kind(object)),
        What::Changed(edits) => {
            let mut parts: Vec<String> = edits.iter().map(edit).collect();
            if matches!(object, Object::Instance(_)) && !edits.iter().any(about_addresses) {
                parts.push("no address changes".to_owned());
            }
            format!("{object}: {}", parts.join(", "))
        }
    }
}

fn edit(edit: &Edit) -> String {
    let keyword = &edit.keyword;
    match &edit.how {
        How::Changed { old, new } => format!("{keyword} {} → {}", shown(old), shown(new)),
        How::Set(text) if text.is_empty() => format!("{keyword} added"),
        How::Set(text) => format!("{keyword} {text} added"),
        How::Unset(text) if text.is_empty() => format!("{keyword} removed"),
        How::Unset(text) => format!("{keyword} {text} removed"),
        How::Added(text) => format!("{keyword} {text} added"),
        How::Removed(text) => format!("{keyword} {text} removed"),
        How::Reordered => format!("{keyword} in another order"),
        How::Otherwise(text) if text.is_empty() => format!("{keyword} changed"),
        How::Otherwise(text) => format!("{keyword} {text} changed"),
    }
}

fn shown(text: &str) -> &str {
    if text.is_empty() { "\"\"" } else { text }
}

fn about_addresses(edit: &Edit) -> bool {
    matches!(&*edit.keyword, "virtual_ipaddress" | "virtual_ipaddress_excluded")
}

fn servers(number: u32) -> String {
    if number == 1 { "1 real server".to_owned() } else { format!("{number} real servers") }
}

fn kind(object: &Object) -> &'static str {
    match object {
        Object::Global => "global_defs",
        Object::Settings => "keepwatch.yaml",
        Object::Statics => "static addresses, routes and rules",
        Object::TrackGroup(_) => "track groups",
        Object::Tracker(..) => "what is tracked",
        Object::Bfd(_) => "BFD sessions",
        Object::Instance(_) => "instances",
        Object::SyncGroup(_) => "sync groups",
        Object::ServerGroup(_) => "virtual server groups",
        Object::Service(_) => "virtual servers",
        Object::Server(_) => "real servers",
    }
}
