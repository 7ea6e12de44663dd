//! Clients that other people wrote, against the API on a real socket: two kubectls, kube-rs, the Python client.

mod kube_rs;
mod kubectl;
mod python;
mod server;
mod tool;
