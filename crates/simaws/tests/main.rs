//! The one integration-test binary: the simulator as clients see it.
mod alarms;
mod autoscaling;
mod cli;
mod ecs;
mod elbv2;
mod faults;
mod logs;
mod notifications;
mod protocols;
mod rds;
mod scale;
mod secrets;
mod strangers;
mod support;
mod tags;
