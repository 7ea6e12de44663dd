//! What SNS is asked, in words of our own: the daemon hands in who does it.

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::send::Failed;

/// A message to a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnsMessage {
    /// The topic.
    pub topic_arn: String,
    /// Subject, for people who get mail: at most 100 characters of ASCII.
    pub subject: String,
    /// The document.
    pub body: String,
    /// What subscriptions filter by.
    pub attributes: BTreeMap<String, String>,
}

/// Publishes to SNS.
#[async_trait]
pub trait Publisher: Send + Sync {
    /// Publishes once.
    ///
    /// # Errors
    /// With what is to be done about it.
    async fn publish(&self, message: &SnsMessage) -> Result<(), Failed>;
}

/// `[critical] BackupTooOld: prod`.
pub(crate) fn subject(attributes: &BTreeMap<String, String>) -> String {
    let of = |name: &str| attributes.get(name).map(String::as_str).unwrap_or_default();
    let place = if of("environment").is_empty() { of("installation") } else { of("environment") };
    let subject = format!("[{}] {}: {place}", of("severity"), of("reason"));
    subject.chars().filter(|c| c.is_ascii() && !c.is_ascii_control()).take(100).collect()
}
