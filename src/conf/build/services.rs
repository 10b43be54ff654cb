//! Virtual servers: what their directives mean together. Nothing of it has an effect yet.

use super::Builder;
use crate::conf::parse::Node;

pub fn check(_builder: &mut Builder<'_>, _nodes: &[Node]) {}
