//! What processes are called where `ps -o comm` and `pgrep` look. What they do stands in their title, whatever they are called.

use std::path::Path;

use super::role::Role;
use crate::conf::model::ProcessNames;
use crate::sys::privileges;

/// The name that the program was started by: a link of another name gives its processes another one.
pub fn program(argv0: &str) -> String {
    let name = Path::new(argv0).file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if name.is_empty() || name.starts_with('-') { "keepwatchd".to_owned() } else { name.to_owned() }
}

/// Names this process as the configuration asks; `role` is `None` for the supervisor.
pub fn apply(role: Option<Role>, program: &str, names: &ProcessNames) {
    privileges::set_name(name(role, program, names));
}

fn name<'a>(role: Option<Role>, program: &'a str, names: &'a ProcessNames) -> &'a str {
    let (own, usual) = match role {
        None => (names.parent.as_deref(), "keepalived"),
        Some(Role::Vrrp) => (names.vrrp.as_deref(), "keepalived_vrrp"),
        // The manual page says keepalived_ipvs; this is what it does.
        Some(Role::Checks) => (names.checker.as_deref(), "keepalived_lvs"),
        // Keepalived has no such processes.
        Some(Role::Runner) => (None, "keepwatch_run"),
        Some(Role::Bridge) => (None, "keepwatch_view"),
        Some(Role::Rrd) => (None, "keepwatch_rrd"),
        Some(Role::Load) => (None, "keepwatch_load"),
    };
    match own {
        Some(name) => name,
        None if names.all => usual,
        None if program.is_empty() => "keepwatchd",
        None => program,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_its_own_comes_before_those_for_all_and_these_before_the_program_s() {
        let none = ProcessNames::default();
        let all = ProcessNames { all: true, ..none.clone() };
        let own = ProcessNames { vrrp: Some("v".to_owned()), ..all.clone() };
        assert_eq!(name(Some(Role::Vrrp), "keepalived", &none), "keepalived");
        assert_eq!(name(Some(Role::Vrrp), "keepalived", &all), "keepalived_vrrp");
        assert_eq!(name(Some(Role::Vrrp), "keepalived", &own), "v");
        assert_eq!(name(None, "keepwatchd", &own), "keepalived");
        assert_eq!(name(Some(Role::Bridge), "", &none), "keepwatchd");
    }

    #[test]
    fn the_program_is_called_as_the_link_that_it_was_started_by() {
        assert_eq!(program("/usr/sbin/keepalived"), "keepalived");
        assert_eq!(program("keepwatchd"), "keepwatchd");
        for odd in ["", "/", "-bash"] {
            assert_eq!(program(odd), "keepwatchd", "{odd}");
        }
    }
}
