//! What notifications are told: receivers, and times. Plain data; the daemon's configuration is read elsewhere.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::select::Wants;
use crate::sign::Secret;

/// Receivers and times.
#[derive(Debug, Clone)]
pub struct Config {
    /// Id of this installation, told in each message.
    pub installation: String,
    /// Id of this process, as in its lease. Unique.
    pub holder: String,
    /// Who is told.
    pub receivers: Vec<Receiver>,
    /// Times.
    pub timing: Timing,
}

/// Who is told, of what, and how.
#[derive(Debug, Clone)]
pub struct Receiver {
    /// Unique.
    pub name: String,
    /// Which events it wants.
    pub wants: Wants,
    /// So long passes between two messages about the same event.
    pub repeat_after: Duration,
    /// How it is told.
    pub target: Target,
}

impl Receiver {
    pub(crate) fn needs_tls(&self) -> bool {
        matches!(&self.target, Target::Webhook(hook) if hook.url.starts_with("https:"))
    }
}

/// How a receiver is told.
#[derive(Debug, Clone)]
pub enum Target {
    /// An HTTP POST.
    Webhook(Webhook),
    /// A topic of SNS.
    Sns {
        /// Its ARN: tells account and region too.
        topic_arn: String,
    },
}

/// A webhook.
#[derive(Clone)]
pub struct Webhook {
    /// `https://…` or `http://…`.
    pub url: String,
    /// What messages are signed with; several while one is replaced by another.
    pub secrets: Vec<Secret>,
    /// Headers besides. Values may be private.
    pub headers: BTreeMap<String, String>,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The path of a URL is often the secret itself.
        out.debug_struct("Webhook").field("headers", &self.headers.keys()).finish_non_exhaustive()
    }
}

/// Times.
#[derive(Debug, Clone)]
pub struct Timing {
    /// How long one attempt may take.
    pub attempt: Duration,
    /// Before the second attempt; doubled for each further one.
    pub first_retry: Duration,
    /// The longest between two attempts.
    pub longest_retry: Duration,
    /// What could not be delivered for so long is given up.
    pub give_up_after: Duration,
    /// A receiver that has not been configured for so long is forgotten, with what waits for it.
    pub forget_after: Duration,
    /// How often events and due deliveries are looked for without a notification.
    pub poll: Duration,
    /// How long the lease lives without being renewed.
    pub lease_ttl: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            attempt: Duration::from_secs(10),
            first_retry: Duration::from_secs(5),
            longest_retry: Duration::from_secs(600),
            give_up_after: Duration::from_secs(24 * 3600),
            forget_after: Duration::from_secs(900),
            poll: Duration::from_secs(2),
            lease_ttl: Duration::from_secs(12),
        }
    }
}
