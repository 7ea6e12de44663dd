//! The daemon end to end: the built program on a simulated AWS, a real Postgres, and two emulators by other people.

mod access;
mod adoption;
mod bad_input;
mod chaos;
mod curl;
mod deployment;
mod emulators;
mod faults;
mod governed;
mod kills;
mod kubectl;
mod notifications;
mod oidc;
mod postgres;
mod privacy;
mod replicas;
mod restore;
mod schemathesis;
mod story;
mod trail;
