//! Application Auto Scaling from inside.
