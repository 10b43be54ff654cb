//! BFD_CHECK.

use super::world::*;
use crate::check::engine::EngineOptions;
use crate::check::io::Input;

fn says(session: &str, up: bool) -> Input {
    Input::Bfd { session: session.into(), up }
}

#[test]
fn a_session_takes_its_servers_out_of_the_pool_and_brings_them_back() {
    let servers = vec![server(1, 5, vec![bfd("a")]), server(2, 5, vec![bfd("b")]), server(3, 5, vec![bfd("a")])];
    let mut world = World::new(&config(vec![service(1, servers)]));
    assert_eq!(
        world.kernel.weights(1),
        [(1, 5), (2, 5), (3, 5)],
        "without alpha a server is good until it is told bad"
    );
    world.say(says("a", false));
    assert_eq!(world.kernel.weights(1), [(2, 5)]);
    world.say(says("nobody's", false));
    world.say(says("a", true));
    assert_eq!(world.kernel.weights(1), [(1, 5), (2, 5), (3, 5)]);
}

#[test]
fn with_alpha_a_server_waits_for_its_session_to_come_up() {
    let servers = vec![server(1, 5, vec![alpha(bfd("a"))]), server(2, 5, vec![alpha(bfd("b"))])];
    let mut world = World::waiting(&config(vec![service(1, servers)]), EngineOptions::default());
    world.say(says("b", true));
    world.begin();
    assert_eq!(world.kernel.weights(1), [(2, 5)], "what was said before the start counts");
    world.say(says("a", false));
    assert_eq!(world.kernel.weights(1), [(2, 5)]);
    world.say(says("a", true));
    assert_eq!(world.kernel.weights(1), [(1, 5), (2, 5)]);
}

#[test]
fn a_check_that_a_reload_adds_knows_its_session_at_once() {
    let with = |checkers| config(vec![service(1, vec![server(1, 5, checkers)])]);
    let mut world = World::new(&with(vec![bfd("a")]));
    world.say(says("a", true));
    world.say(says("b", false));
    assert_eq!(world.kernel.weights(1), [(1, 5)]);
    world.reload(&with(vec![bfd("a"), bfd("b")]));
    assert_eq!(world.kernel.weights(1), []);
    world.say(says("b", true));
    assert_eq!(world.kernel.weights(1), [(1, 5)]);
}
