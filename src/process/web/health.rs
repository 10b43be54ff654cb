//! `/livez`, `/readyz` and `/healthz/vip`: yes, or why not.

use crate::bus::rows::State;
use crate::bus::timing::Pulse;
use crate::export::Look;

/// Engines that the configuration asks for, as the supervisor names them, and whether they are connected.
fn engines(look: &Look) -> impl Iterator<Item = (&'static str, bool)> {
    let all = [("vrrp", look.vrrp_connected), ("checks", look.checks_connected)];
    all.into_iter().filter(|(name, _)| look.daemon.wanted.iter().any(|wanted| wanted == name))
}

/// Why something is stuck: an engine that is wanted has not said for [`Pulse::PATIENCE`] that its loop turns.
pub fn stuck(look: &Look) -> Vec<String> {
    let mut why = vec![];
    for (name, connected) in engines(look) {
        match look.silence(name) {
            _ if !connected => why.push(format!("the {name} process is not there")),
            None => why.push(format!("the {name} process has not told of itself yet")),
            Some(age) if age > Pulse::PATIENCE => {
                why.push(format!("the {name} process was last heard of {} s ago", age.as_secs()));
            }
            Some(_) => {}
        }
    }
    why
}

/// Why not all is in place that the configuration asks for. `sockets`: what is said of those that HTTP is not served on.
pub fn unready(look: &Look, sockets: &[String]) -> Vec<String> {
    let mut why = vec![];
    let (daemon, snapshot) = (&look.daemon, &look.snapshot);
    if daemon.pid == 0 {
        why.push("the supervisor has not told of itself yet".to_owned());
    } else if !daemon.all_ready {
        why.push("not every process has the configuration in force".to_owned());
    }
    for (name, connected) in engines(look) {
        let age = if name == "vrrp" { snapshot.generations.vrrp } else { snapshot.generations.checks };
        if !connected || age.generation == 0 {
            why.push(format!("the {name} process has not told of its state yet"));
        }
    }
    why.extend(sockets.iter().cloned());
    let responder = look.snmp.responder.iter().flat_map(|responder| &responder.sockets);
    for socket in responder.filter(|socket| !socket.open) {
        let error = socket.error.as_deref().unwrap_or("it is not bound yet");
        why.push(format!("the SNMP responder does not listen at {}: {error}", socket.address));
    }
    if engines(look).any(|(name, _)| name == "checks") {
        let table = &snapshot.checks.ipvs;
        if !table.unavailable.is_empty() && !snapshot.checks.services.is_empty() {
            why.push(format!("the kernel's table cannot be programmed: {}", table.unavailable));
        }
        for (_, service) in snapshot.checks.services.iter() {
            if !service.installed && !service.suspended && table.unavailable.is_empty() {
                why.push(format!("virtual server {} is not in the kernel's table", service.key()));
            } else if let Some(trouble) = service.trouble.first() {
                why.push(format!("virtual server {}: {trouble}", service.key()));
            }
        }
    }
    why
}

/// Which addresses are where they do not belong: a master has all of its own, any other has none.
pub fn misplaced(look: &Look) -> Vec<String> {
    let mut why = vec![];
    let vrrp = &look.snapshot.vrrp;
    if !look.vrrp_connected && look.daemon.wanted.iter().any(|wanted| wanted == "vrrp") {
        why.push("the vrrp process is not there".to_owned());
    }
    for (_, instance) in vrrp.instances.iter() {
        let master = instance.state == State::Master;
        let (name, state) = (&instance.config.name, instance.state.name());
        for (_, address) in vrrp.addresses.iter().filter(|(_, address)| address.owner_index == instance.index) {
            if address.installed != master {
                let what = if master { "is missing" } else { "is there" };
                why.push(format!("{name} is {state}, and {} {what}", address.config.address));
            }
        }
    }
    why
}
