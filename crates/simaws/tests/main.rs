//! The one integration-test binary: the simulator as clients see it.
mod cli;
mod faults;
mod logs;
mod protocols;
mod scale;
mod secrets;
mod strangers;
mod support;
mod tags;
