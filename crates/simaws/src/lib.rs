//! A simulated AWS: the services that EventChain's operator reconciles, over their real wire protocols.
//!
//! Strict, deterministic, fast. In-process through [`Sim::handle`], on loopback through [`Sim::serve`], or as a
//! process of its own: the binary `simaws`. The crate's README tells how to use it and its control plane;
//! `ADDING_A_SERVICE.md` how it grows. Must not depend on any other crate of this workspace.
//!
//! A request goes: [`Sim::handle`] → SigV4 scope gives account, region and service → protocol gives operation and
//! an unchecked [`Doc`] → faults and token buckets → the operation's [`shape`] checks the input strictly → what
//! is due by now is settled, in order of time → the operation runs on the state of its (account, region) → the
//! protocol writes the answer.
#![expect(clippy::unnecessary_wraps, reason = "operations share one signature, also those that cannot fail")]

mod application_autoscaling;
mod base;
mod cloudwatch;
mod control;
mod ecs;
mod elbv2;
mod logs;
mod rds;
mod secretsmanager;
mod server;
mod sim;
mod sns;
mod sts;
mod tagging;
pub mod testing;
mod wire;

pub use base::agenda::Agenda;
pub use base::calls::{Call, CallKey, Calls, LOG_KEEPS};
pub use base::clock::Clock;
pub use base::doc::{Doc, Fields};
pub use base::error::{AwsError, Outcome, Refusal};
pub use base::faults::{Effect, Fault, Faults};
pub use base::page::{BadToken, Pager};
pub use base::rates::Rate;
pub use base::rng::Rng;
pub use base::tags::{TagMap, Tags, tags_in, tags_out};
pub use base::timings::Timings;
pub use base::world::{Ctx, Place, Session, State};
pub use secretsmanager::{create_managed as create_managed_secret, delete_managed as delete_managed_secret};
pub use server::Server;
pub use sim::{Builder, Dropped, Sim};

/// The DSL for operations' inputs.
pub mod shape {
    pub use crate::base::shape::{
        Field, Origin, Problem, Shape, any, blob, boolean, float, int, list, map, opt, read, req, structure, tag_list,
        text, time,
    };
}

/// What happens inside AWS without anyone calling it, by service: for [`Sim::with`].
pub mod hand {
    pub use crate::application_autoscaling::hand as application_autoscaling;
    pub use crate::ecs::hand as ecs;
    pub use crate::elbv2::hand as elbv2;
    pub use crate::rds::hand as rds;
}

/// What a service implements.
pub mod service {
    pub use crate::base::service::{Handler, Identity, Op, Service};
}

/// Every service. One line each; the order decides who settles first when two things are due at the same instant.
fn services() -> Vec<Box<dyn service::Service>> {
    vec![
        Box::new(sts::Sts),
        Box::new(logs::Logs),
        Box::new(secretsmanager::SecretsManager),
        Box::new(rds::Rds),
        Box::new(elbv2::Elbv2),
        Box::new(ecs::Ecs),
        Box::new(cloudwatch::CloudWatch),
        Box::new(application_autoscaling::ApplicationAutoScaling),
        Box::new(tagging::Tagging),
        Box::new(sns::Sns),
    ]
}

#[cfg(test)]
mod tests;
