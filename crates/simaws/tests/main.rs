//! The one integration-test binary: the simulator as clients see it.
mod cli;
mod faults;
mod logs;
mod protocols;
mod strangers;
mod support;
