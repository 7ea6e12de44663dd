//! Chaos: an installation of real daemons, a real Postgres and a simulated AWS in a process of its own, to which everything is
//! done that may happen, by a seeded schedule, while people write; then a judge who knows nothing of the daemons' code looks
//! at what AWS was asked and at how everything stands in the end.
//!
//! `checker` is the judge, `schedule` what is done, `stage` what it is done to, `people` who writes, `record` what is
//! remembered. The judge must use nothing of the operator, the rest no way into a daemon that a user has not.

pub mod checker;
pub mod failover;
pub mod keep;
pub mod people;
pub mod record;
pub mod replica;
pub mod report;
pub mod run;
pub mod schedule;
pub mod stage;
pub mod survey;
