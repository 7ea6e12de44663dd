//! The daemon's own secret: the password of its database, where AWS keeps and rotates it. Never a secret of an environment,
//! and never as the role of a target account.

use model::{AwsAccountId, ObserveError, Region, Secret};

use crate::classify::shared_only;
use crate::client::{Aws, denied};

impl Aws {
    /// The text of a secret, read with the daemon's own credentials. Whoever gets it hands it on and drops it. IAM: `secretsmanager:GetSecretValue`, and `kms:Decrypt` where it has a key of its own.
    ///
    /// # Errors
    /// When the ARN is none, or AWS does not give the value.
    pub async fn own_secret(&self, arn: &str) -> Result<Secret, ObserveError> {
        const GET: &str = "secretsmanager:GetSecretValue";
        let refused = |message: String| denied(GET, "InvalidSecretArn", message);
        let (region, account) = place(arn)
            .ok_or_else(|| refused("it must be arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME".to_owned()))?;
        let region = Region::parse(region).map_err(refused)?;
        let account = AwsAccountId::parse(account).map_err(refused)?;
        let secrets = aws_sdk_secretsmanager::Client::new(&self.own(region.as_str(), "secretsmanager").await);
        let answer =
            self.read_as_own(&account, &region, GET, shared_only, || secrets.get_secret_value().secret_id(arn).send());
        let text = answer.await?.secret_string;
        text.map(Secret::new)
            .ok_or_else(|| denied(GET, "NoSecretString", "the secret is binary, or has no value".to_owned()))
    }
}

/// Region and account of a secret's ARN.
fn place(arn: &str) -> Option<(&str, &str)> {
    let mut parts = arn.split(':');
    let head = (parts.next()?, parts.next()?.starts_with("aws"), parts.next()?);
    let (region, account) = (parts.next()?, parts.next()?);
    (head == ("arn", true, "secretsmanager") && parts.next() == Some("secret") && parts.next().is_some())
        .then_some((region, account))
}

/// Whether a text is the ARN of a secret.
pub fn is_secret_arn(text: &str) -> bool {
    place(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secrets_arn_says_where_it_is() {
        let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:rds!db-0a1b-AbCdEf";
        assert_eq!(place(arn), Some(("eu-west-1", "123456789012")));
        for other in
            ["", "eventchain/database", "arn:aws:ssm:eu-west-1:123456789012:secret:x", "arn:aws:secretsmanager:x"]
        {
            assert!(!is_secret_arn(other), "{other}");
        }
    }
}
