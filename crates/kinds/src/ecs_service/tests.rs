//! The suite every kind passes, and what is this kind's own.
