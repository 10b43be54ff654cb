//! The recorded scenarios of `oracle/` that need no IPVS, with keepwatchd in Keepalived's place: walks, answers to SETs,
//! notifications with their variables in order, and the parts that sysORTable names, equal but for what
//! `agentx_tests::recording::known` lists.

mod routes;
mod tracking;
mod v2;
mod v3;
mod vmac;
