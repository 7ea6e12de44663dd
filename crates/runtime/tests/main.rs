//! The runtime from outside: real Postgres, a cloud and two kinds of its own.

mod converging;
mod faults;
mod leaving;
mod ownership;
mod requests;
mod support;
