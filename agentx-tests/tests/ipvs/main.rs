//! Everything that needs IPVS: each test here is a scenario, run in a virtual machine where this kernel has none. See
//! `agentx_tests::vm`.

mod balancer;
mod drain;
mod events;
mod fifos;
mod kernel;
mod pools;
mod refusals;
mod reload;
mod seed;
mod stop;
mod sync;
mod walks;
