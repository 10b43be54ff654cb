//! The lab: routers, switches, managers and hostile neighbours in network namespaces, for the end-to-end tests,
//! the demo and the benchmark.
//!
//! Start at [`net::Lab`] (namespaces and cables), then [`daemon::Daemon`] (keepwatchd or Debian's keepalived in one of
//! them), [`capture::Witness`] (what really was on the wire, with the kernel's time stamps) and [`snmp`] (net-snmp's
//! agent, trap daemon and tools). [`packet`] and [`hostile`] build what no honest neighbour would send. [`vm::scenario`]
//! runs a test in a kernel that has IPVS, [`pool`] is the director with real servers around it, and [`ipvsadm`] reads
//! the kernel's table; [`tap`] hears what it is asked. [`recording`] plays recorded scenarios and compares, [`promise`]
//! torments the AgentX master and looks at the adverts.
//!
//! Nothing here shares code with the daemon: packets are built and read by hand, so that a mistake in a codec
//! cannot hide itself. The exceptions are [`subagent`], which speaks AgentX beside the daemon and judges nothing, and
//! [`effective`], which holds what the daemon makes of a file against what keepalived says. Everything needs root. A lab
//! disappears when it is dropped; if its process dies first, a janitor that waits for that removes it (see [`janitor`]).

pub mod browser;
pub mod capture;
pub mod daemon;
pub mod dashboards;
pub mod dice;
pub mod differential;
pub mod effective;
pub mod exporter;
pub mod exposition;
pub mod forward;
pub mod frr;
pub mod hostile;
pub mod http;
pub mod ipvsadm;
pub mod janitor;
pub mod monitor;
pub mod mutate;
pub mod net;
pub mod packet;
pub mod pair;
pub mod pool;
pub mod process;
pub mod prometheus;
pub mod promise;
pub mod recording;
pub mod seed;
pub mod snmp;
pub mod subagent;
pub mod tap;
pub mod tool;
pub mod usage;
pub mod vm;
pub mod wait;
pub mod web;
