//! Writes RRD files and draws graphs, in a process that nobody waits for: librrd is mapped here and nowhere else.

use rrd as _;

fn main() {}
