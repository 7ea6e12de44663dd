//! simaws
