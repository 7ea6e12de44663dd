//! Publishing to SNS: the one thing that the daemon asks of a service that it reconciles nothing in.

use std::collections::BTreeMap;

use aws_sdk_sns::types::MessageAttributeValue;
use model::{ActError, AwsAccountId, Class, Effect, Region};

use crate::client::{Aws, not_tried};

/// A message to a topic.
#[derive(Debug, Clone, Copy)]
pub struct Publication<'a> {
    /// The topic.
    pub topic_arn: &'a str,
    /// At most 100 characters of ASCII.
    pub subject: &'a str,
    /// The message.
    pub body: &'a str,
    /// Attributes, as strings.
    pub attributes: &'a BTreeMap<String, String>,
}

/// Amazon SNS API Reference, Publish: errors.
fn own(code: &str) -> Option<(Class, Effect)> {
    Some(match code {
        "NotFound" | "NotFoundException" => (Class::NotFound, Effect::NotApplied),
        "InvalidParameter" | "ParameterValueInvalid" | "InvalidSecurity" | "EndpointDisabled" | "KMSInvalidState" => {
            (Class::Invalid, Effect::NotApplied)
        }
        "AuthorizationError" | "KMSAccessDenied" | "KMSDisabled" | "KMSNotFound" | "KMSOptInRequired" => {
            (Class::Denied, Effect::NotApplied)
        }
        "KMSThrottling" => (Class::Throttled, Effect::NotApplied),
        "InternalError" => (Class::Transient, Effect::Unknown),
        _ => return None,
    })
}

impl Aws {
    /// Publishes once; yields AWS's id of the message. IAM: `sns:Publish`.
    pub async fn publish(
        &self,
        account: &AwsAccountId,
        region: &Region,
        message: Publication<'_>,
    ) -> Result<String, ActError> {
        let clients = self.region(account, region).await.map_err(not_tried)?;
        let mut request = clients.sns.publish().topic_arn(message.topic_arn).message(message.body);
        if !message.subject.is_empty() {
            request = request.subject(message.subject);
        }
        for (name, value) in message.attributes {
            let value = MessageAttributeValue::builder().data_type("String").string_value(value).build();
            // The type is given: nothing is missing.
            if let Ok(value) = value {
                request = request.message_attributes(name, value);
            }
        }
        let (answer, _) = clients.act("sns:Publish", own, || request.send()).await?;
        Ok(answer.message_id().unwrap_or_default().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_of_publish_are_classed() {
        assert_eq!(own("NotFound").map(|it| it.0), Some(Class::NotFound));
        assert_eq!(own("AuthorizationError").map(|it| it.0), Some(Class::Denied));
        assert_eq!(own("InvalidParameter").map(|it| it.0), Some(Class::Invalid));
        assert_eq!(own("Throttling"), None, "that is for the shared table");
    }
}
