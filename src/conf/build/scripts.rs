//! Scripts and their users, as far as they can be checked before anything runs them.

use super::Builder;
use crate::conf::parse::Node;

pub fn check(_builder: &mut Builder<'_>, _nodes: &[Node]) {}
