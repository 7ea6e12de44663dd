//! [`Cloud`] on real AWS clients. Names no SDK crate itself: that is the providers' part.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use awskit::Aws;
use model::{AwsAccountId, ObserveError};

use crate::provider::{Cloud, ErasedProvider};

/// All providers over one set of AWS clients.
pub struct AwsCloud {
    aws: Aws,
    providers: BTreeMap<&'static str, Arc<dyn ErasedProvider>>,
}

impl AwsCloud {
    pub(crate) fn new<const N: usize>(aws: Aws, providers: [(&'static str, Arc<dyn ErasedProvider>); N]) -> Self {
        Self { aws, providers: providers.into_iter().collect() }
    }
}

#[async_trait]
impl Cloud for AwsCloud {
    fn provider(&self, kind: &str) -> Option<Arc<dyn ErasedProvider>> {
        self.providers.get(kind).cloned()
    }

    async fn confirm(&self, account: &AwsAccountId) -> Result<(), ObserveError> {
        self.aws.confirm(account).await
    }
}
