//! Placeholder until the rules below are written.
