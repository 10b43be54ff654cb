//! `docs/mib.md`, from the tables.

use std::fmt::Write;

use super::table::{Module, Part, Syntax};
use super::tree::PARTS;

/// The page; `docs/mib.md` is this text, and a test renews it (`KEEPWATCH_RENEW=1`).
pub fn page() -> String {
    let mut out = String::from(
        "# The MIB as keepwatch serves it\n\n\
         Generated from the tables in `src/mib`; do not edit. The modules themselves are in `mibs/`. Objects of a module that \
         are not listed here are not served yet. Index columns are never served. Each directive below is one of \
         `global_defs`; `-x` sets them all.\n",
    );
    let mut module = "";
    for part in PARTS {
        if part.module.name != module {
            module = part.module.name;
            write_module(&mut out, part.module).expect("a String takes any text");
        }
        write_part(&mut out, part).expect("a String takes any text");
    }
    out
}

fn write_module(out: &mut String, module: &Module) -> std::fmt::Result {
    let about = match module.name {
        "KEEPALIVED-MIB" => {
            "`vrrp` is served with `enable_snmp_vrrp` if there are virtual routers, `check` with `enable_snmp_checker` if \
             there are virtual servers, `global` with either. A priority that was set lasts until the next reload, a weight \
             until a reload that changes its server."
        }
        "VRRP-MIB" => {
            "RFC 2787. Served with `enable_snmp_rfcv2` or `enable_snmp_rfc` if there are virtual routers. No object can be \
             set."
        }
        "VRRPV3-MIB" => {
            "RFC 6527. Served with `enable_snmp_rfcv3` or `enable_snmp_rfc` if there are virtual routers. No object can be \
             set."
        }
        _ => "",
    };
    let root = dotted(module.root);
    writeln!(out, "\n## {}\n\n{about} Numbers that begin with a dot stand below {root}.", module.name)
}

fn write_part(out: &mut String, part: &Part) -> std::fmt::Result {
    let oid = dotted(&[part.module.root, part.root].concat());
    writeln!(out, "\n### {} ({oid})", part.name)?;
    if !part.scalars.is_empty() {
        writeln!(out, "\n| scalar | oid | syntax | shows |\n|---|---|---|---|")?;
        for scalar in part.scalars {
            let (name, id, syntax) = (scalar.name, dotted(scalar.id), syntax(scalar.syntax));
            writeln!(out, "| {name} | .{id}.0 | {syntax} | {} |", scalar.help)?;
        }
    }
    for table in part.tables {
        writeln!(out, "\n#### {} (.{})\n", table.name(), dotted(table.entry()))?;
        writeln!(out, "{} Index: {}.\n", table.help(), table.index().join(", "))?;
        writeln!(out, "| column | id | syntax | access | shows |\n|---|---|---|---|---|")?;
        for column in table.columns() {
            let access = column.access.text();
            let syntax = syntax(column.syntax);
            writeln!(out, "| {} | {} | {syntax} | {access} | {} |", column.name, column.id, column.help)?;
        }
    }
    for notification in part.notifications {
        writeln!(out, "\n#### {} (notification .{})\n", notification.name, dotted(notification.id))?;
        writeln!(out, "{} Needs `enable_traps`. Objects: {}.", notification.help, notification.objects.join(", "))?;
    }
    Ok(())
}

fn dotted(ids: &[u32]) -> String {
    ids.iter().map(u32::to_string).collect::<Vec<_>>().join(".")
}

/// The convention's name alone, or the enumeration with room to break lines.
fn syntax(syntax: Syntax) -> String {
    let text = syntax.text.split_once('=').map_or(syntax.text, |(name, _)| name);
    text.replace("INTEGER{", "").replace('}', "").replace(',', ", ")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_in_docs_is_the_one_that_the_tables_give() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/mib.md");
        let page = super::page();
        if std::env::var_os("KEEPWATCH_RENEW").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        let on_disk = std::fs::read_to_string(path).unwrap_or_default();
        assert!(on_disk == page, "docs/mib.md is out of date: run the tests with KEEPWATCH_RENEW=1");
    }
}
