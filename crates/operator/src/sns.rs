//! SNS for `notify`, over `awskit`. No decision: a class of error becomes what can be done about it.

use async_trait::async_trait;
use awskit::{Aws, Publication};
use model::Class;
use notify::{Failed, Failure, Publisher, SnsMessage};

use crate::config::{Config, topic_of};

/// Publishes with the credentials of the topic's account.
pub struct Sns {
    aws: Aws,
    config: Config,
}

impl Sns {
    /// Over these clients.
    pub fn new(aws: Aws, config: Config) -> Self {
        Self { aws, config }
    }
}

#[async_trait]
impl Publisher for Sns {
    async fn publish(&self, message: &SnsMessage) -> Result<(), Failed> {
        let (account, region) =
            topic_of(&self.config, &message.topic_arn).map_err(|why| Failed::new(Failure::Refused, why))?;
        let publication = Publication {
            topic_arn: &message.topic_arn,
            subject: &message.subject,
            body: &message.body,
            attributes: &message.attributes,
        };
        match self.aws.publish(&account, &region, publication).await {
            Ok(_) => Ok(()),
            Err(error) => {
                let failure = match error.class {
                    // This message is at fault.
                    Class::Invalid | Class::Bug => Failure::Refused,
                    // The topic or the account is: the next message would fare no better now.
                    Class::Throttled
                    | Class::Transient
                    | Class::NotYet
                    | Class::Conflict
                    | Class::NotFound
                    | Class::Quota
                    | Class::Denied => Failure::Unavailable,
                };
                Err(Failed::new(failure, format!("{}: {}: {}", error.operation, error.code, error.message)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use model::AwsAccountId;
    use serde_json::{Value, json};
    use simaws::testing::query;
    use simaws::{Server, Sim};
    use telemetry::Metrics;

    use super::*;
    use crate::daemon::open_aws;

    const ACCOUNT: &str = "123456789012";

    /// A simulated AWS on loopback with the topic `ops`, and what publishes to it over the real SDK.
    async fn publisher() -> (Sim, Server, Sns) {
        let sim = Sim::builder().account(ACCOUNT).build();
        query(&sim, "sns", "CreateTopic", &[("Name", "ops")]).await;
        let server = sim.serve(tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap()).unwrap();
        let mut config = Config::default();
        config.aws.endpoint = Some(server.url());
        config.aws.accounts.insert(AwsAccountId::parse(ACCOUNT).unwrap(), crate::config::Account::default());
        let mut aws = config.awskit();
        let credentials =
            awskit::StaticCredentials { access_key_id: ACCOUNT.to_owned(), secret_access_key: "x".to_owned() };
        for account in aws.accounts.values_mut() {
            account.static_credentials = Some(credentials.clone());
        }
        let sns = Sns::new(open_aws(aws, &Metrics::new().0), config);
        (sim, server, sns)
    }

    fn message(topic: &str, body: &str) -> SnsMessage {
        SnsMessage {
            topic_arn: format!("arn:aws:sns:us-east-1:{ACCOUNT}:{topic}"),
            subject: "[warning] DriftDetected: prod".to_owned(),
            body: body.to_owned(),
            attributes: BTreeMap::from([("class".to_owned(), "drift".to_owned())]),
        }
    }

    async fn published(sim: &Sim) -> Value {
        let request = http::Request::post("/_sim/sns/published").body(bytes::Bytes::new()).unwrap();
        serde_json::from_slice(sim.handle(request).await.unwrap().body()).unwrap()
    }

    #[tokio::test]
    async fn a_message_reaches_its_topic_with_subject_and_attributes() {
        let (sim, _server, sns) = publisher().await;
        sns.publish(&message("ops", r#"{"type":"drift.DriftDetected"}"#)).await.unwrap();
        let shown = published(&sim).await;
        let one = &shown["published"][0];
        assert_eq!((&one["topic"], &one["subject"]), (&json!("ops"), &json!("[warning] DriftDetected: prod")));
        assert_eq!(one["message"], r#"{"type":"drift.DriftDetected"}"#);
        assert_eq!(one["attributes"], json!({ "class": "drift" }));
    }

    #[tokio::test]
    async fn a_topic_that_is_not_there_is_away_and_a_message_that_is_too_long_is_refused() {
        let (sim, _server, sns) = publisher().await;
        let gone = sns.publish(&message("other", "x")).await.unwrap_err();
        assert_eq!(gone.failure, Failure::Unavailable, "{gone}");
        assert!(gone.message.starts_with("sns:Publish: NotFound"), "{gone}");
        let long = sns.publish(&message("ops", &"x".repeat(300_000))).await.unwrap_err();
        assert_eq!(long.failure, Failure::Refused, "{long}");
        let elsewhere =
            SnsMessage { topic_arn: "arn:aws:sns:us-east-1:999999999999:t".to_owned(), ..message("ops", "x") };
        assert!(sns.publish(&elsewhere).await.unwrap_err().message.contains("not in aws.accounts"));
        assert_eq!(published(&sim).await, json!({ "published": [] }));
    }
}
