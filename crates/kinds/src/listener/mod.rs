//! `Listener`: a port of the application load balancer, with its certificate and default action.
//!
//! - API: Elastic Load Balancing API Reference: CreateListener, DescribeListeners, ModifyListener, DescribeTags.
//! - Identity: `<load balancer ARN>/<port>`: a port belongs to one listener.
//! - Immutable: the load balancer.
//! - AWS fills in: the TLS policy of an HTTPS listener; host, path and query of a redirect.
//! - Limits: DescribeListeners reads one load balancer, or a list of listener ARNs; which of them may be of several
//!   load balancers is not documented, so that is tried, with one call for each load balancer behind it.
//! - Under a CODE_DEPLOY or EXTERNAL deployment controller of the service, which of two target groups it forwards to is
//!   only reported: a blue/green deployment moves it.
//! - Only the default action is managed. Other rules, and further certificates, are left alone.

mod desired;
#[cfg(feature = "aws")]
mod errors;
mod observed;
mod plan;
#[cfg(feature = "aws")]
pub mod provider;
#[cfg(test)]
#[cfg(feature = "aws")]
mod tests;

pub use desired::{Desired, Target};
pub use observed::{DefaultAction, Observed, Redirect};
pub use plan::{Action, Listener};

/// What the provider calls, as IAM names it.
pub const IAM_ACTIONS: &[&str] = &[
    "elasticloadbalancing:DescribeListeners",
    "elasticloadbalancing:DescribeTags",
    "elasticloadbalancing:CreateListener",
    "elasticloadbalancing:ModifyListener",
    "elasticloadbalancing:AddTags",
    "elasticloadbalancing:DeleteListener",
];
