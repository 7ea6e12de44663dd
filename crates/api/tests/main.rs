//! The API on a real Postgres, in process: every path, every class of error, and the promises of the design.

#[cfg(test)]
mod api;
