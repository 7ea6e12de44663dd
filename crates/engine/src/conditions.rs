//! Conditions of an environment and its resources from what a pass learned. Pure.
