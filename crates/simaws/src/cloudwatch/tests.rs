//! Alarms, as documented.
