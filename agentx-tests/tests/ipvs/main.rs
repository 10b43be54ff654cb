//! Everything that needs IPVS: each test here is a scenario, run in a virtual machine where this kernel has none. See
//! `agentx_tests::vm`.

mod balancer;
mod kernel;
mod pools;
mod reload;
mod seed;
mod walks;
