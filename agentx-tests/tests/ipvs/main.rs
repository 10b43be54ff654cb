//! Everything that needs IPVS, or ipvlan and what else the same kernels have or lack: each test here is a scenario, run in a virtual
//! machine where this kernel has none. See `agentx_tests::vm`.

mod answers;
mod balancer;
mod drain;
mod effective;
mod events;
mod fifos;
mod ipvlan;
mod kernel;
mod namespaces;
mod pools;
mod refusals;
mod reload;
mod seed;
mod stop;
mod sync;
mod system;
mod walks;
