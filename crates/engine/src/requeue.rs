//! When to look again after a pass, by outcome. Pure: jitter comes in as a value.
