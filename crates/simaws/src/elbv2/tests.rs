//! Load balancers, as documented.
