//! `virtual_routes`, `virtual_rules`, `static_routes` and `static_rules`. Not put into the kernel yet.

use serde::{Deserialize, Serialize};

use super::{Family, Location};

/// One line of `virtual_routes` or `static_routes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    pub location: Location,
    pub family: Family,
    pub hops: Vec<NextHop>,
}

/// One `nexthop` of a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextHop {
    pub interface: Option<String>,
}

/// One line of `virtual_rules` or `static_rules`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    pub location: Location,
    pub family: Family,
}
