//! Clients for each account and region, and the one way to make a call through them.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::request_id::RequestId;
use model::{ActError, AwsAccountId, Class, Effect, ObserveError, Region};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::budget::{Budgets, bucket_of};
use crate::classify::{Classify, Failure, classify, shared_only};
use crate::config::Config;
use crate::tags::TagIndex;

/// Where STS is asked when `AWS_REGION` is not set.
const STS_REGION: &str = "us-east-1";

/// The call that confirms an account.
const IDENTITY: &str = "sts:GetCallerIdentity";

/// One finished call, for counting.
#[derive(Debug, Clone)]
pub struct CallRecord<'a> {
    /// As IAM names it: `ecs:DescribeServices`.
    pub operation: &'static str,
    /// `ok`, or the class of its failure.
    pub outcome: &'a str,
    /// From sending to answer.
    pub duration: Duration,
    /// Time spent waiting for the rate budget before.
    pub waited: Duration,
}

/// Learns of every call. The daemon connects its metrics here.
pub trait Observer: Send + Sync {
    /// A call has ended.
    fn called(&self, record: &CallRecord<'_>);
}

/// Clients for every configured account. Cheap to clone.
#[derive(Clone)]
pub struct Aws {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    budgets: Budgets,
    observer: Option<Arc<dyn Observer>>,
    base: OnceCell<SdkConfig>,
    accounts: Mutex<BTreeMap<AwsAccountId, Arc<Account>>>,
}

struct Account {
    credentials: OnceCell<Option<SharedCredentialsProvider>>,
    confirmed: OnceCell<()>,
    regions: Mutex<HashMap<Region, Arc<OnceCell<Arc<RegionClients>>>>>,
}

/// The clients of one account in one region.
pub struct RegionClients {
    /// Amazon ECS.
    pub ecs: aws_sdk_ecs::Client,
    /// Amazon RDS.
    pub rds: aws_sdk_rds::Client,
    /// Amazon CloudWatch.
    pub cloudwatch: aws_sdk_cloudwatch::Client,
    /// Amazon CloudWatch Logs.
    pub logs: aws_sdk_cloudwatchlogs::Client,
    /// Elastic Load Balancing v2.
    pub elbv2: aws_sdk_elasticloadbalancingv2::Client,
    /// Application Auto Scaling.
    pub autoscaling: aws_sdk_applicationautoscaling::Client,
    /// AWS Secrets Manager.
    pub secretsmanager: aws_sdk_secretsmanager::Client,
    /// Amazon SNS.
    pub sns: aws_sdk_sns::Client,
    /// Resource Groups Tagging.
    pub tagging: aws_sdk_resourcegroupstagging::Client,
    /// The tags of many objects, read in one sweep.
    pub tags: TagIndex,
    account: AwsAccountId,
    region: Region,
    aws: Aws,
}

impl Aws {
    /// Clients by configuration. Nothing is called yet.
    pub fn new(config: Config, observer: Option<Arc<dyn Observer>>) -> Self {
        let budgets = Budgets::new(config.budget_share);
        Self { inner: Arc::new(Inner { config, budgets, observer, base: OnceCell::new(), accounts: Mutex::default() }) }
    }

    /// The rate budgets, for metrics.
    pub fn budgets(&self) -> &Budgets {
        &self.inner.budgets
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Confirms by STS that our credentials reach the account; asks again even if they did before.
    pub async fn confirm(&self, account: &AwsAccountId) -> Result<(), ObserveError> {
        let entry = self.account(account)?;
        self.ask_identity(account, &entry).await?;
        let _ = entry.confirmed.set(());
        Ok(())
    }

    /// The clients of an account in a region. The first time an account is used STS must confirm it.
    pub async fn region(&self, account: &AwsAccountId, region: &Region) -> Result<Arc<RegionClients>, ObserveError> {
        let entry = self.account(account)?;
        entry.confirmed.get_or_try_init(|| self.ask_identity(account, &entry)).await?;
        let cell = {
            let mut regions = entry.regions.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(regions.entry(region.clone()).or_default())
        };
        let clients = cell.get_or_try_init(|| self.build(account, &entry, region)).await?;
        Ok(Arc::clone(clients))
    }

    fn account(&self, account: &AwsAccountId) -> Result<Arc<Account>, ObserveError> {
        if !self.inner.config.accounts.contains_key(account) {
            return Err(denied(
                IDENTITY,
                "AccountNotConfigured",
                format!("account {account} is not in this daemon's configuration (aws.accounts)"),
            ));
        }
        let mut accounts = self.inner.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = accounts.entry(account.clone()).or_insert_with(|| {
            Arc::new(Account { credentials: OnceCell::new(), confirmed: OnceCell::new(), regions: Mutex::default() })
        });
        Ok(Arc::clone(entry))
    }

    async fn base(&self) -> &SdkConfig {
        self.inner
            .base
            .get_or_init(|| async {
                let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
                    // Each client gets its own region; this one is STS's. The machine's metadata service is not asked
                    // for it: where there is none, that takes seconds.
                    .region(
                        RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
                            .or_else(aws_types::region::Region::new(STS_REGION)),
                    )
                    // The queue is the one owner of retries; a page of a read is sent twice at most, by `read`.
                    .retry_config(RetryConfig::disabled())
                    .timeout_config(
                        TimeoutConfig::builder()
                            .connect_timeout(Duration::from_secs(3))
                            .operation_timeout(self.inner.config.call_timeout)
                            .build(),
                    );
                if let Some(client) = &self.inner.config.http_client {
                    loader = loader.http_client(client.clone());
                }
                // Where every account brings its own static key, the machine's credentials are not even looked for.
                let accounts = &self.inner.config.accounts;
                if !accounts.is_empty() && accounts.values().all(|account| account.static_credentials.is_some()) {
                    loader = loader.no_credentials();
                }
                loader.load().await
            })
            .await
    }

    async fn credentials(&self, account: &AwsAccountId, entry: &Account) -> Option<SharedCredentialsProvider> {
        entry
            .credentials
            .get_or_init(|| async {
                let base = self.base().await;
                let config = self.inner.config.accounts.get(account)?;
                if let Some(key) = &config.static_credentials {
                    return Some(SharedCredentialsProvider::new(Credentials::new(
                        &key.access_key_id,
                        &key.secret_access_key,
                        None,
                        None,
                        "configuration",
                    )));
                }
                let Some(role) = &config.role_arn else { return base.credentials_provider() };
                let mut provider = aws_config::sts::AssumeRoleProvider::builder(role.clone())
                    .configure(base)
                    .session_name("eventchain-operator");
                if let Some(external_id) = &config.external_id {
                    provider = provider.external_id(external_id.clone());
                }
                Some(SharedCredentialsProvider::new(provider.build().await))
            })
            .await
            .clone()
    }

    /// The SDK configuration of one service in one region.
    fn service(
        &self,
        base: &SdkConfig,
        credentials: Option<&SharedCredentialsProvider>,
        region: &str,
        service: &str,
    ) -> SdkConfig {
        let mut builder = base.to_builder().region(aws_types::region::Region::new(region.to_owned()));
        builder.set_credentials_provider(credentials.cloned());
        if let Some(endpoint) = self.inner.config.endpoints.of(service) {
            builder.set_endpoint_url(Some(endpoint.to_owned()));
        }
        builder.build()
    }

    /// The SDK configuration of one service in one region, with the daemon's own credentials.
    pub(crate) async fn own(&self, region: &str, service: &str) -> SdkConfig {
        let base = self.base().await;
        self.service(base, base.credentials_provider().as_ref(), region, service)
    }

    /// One reading call with the daemon's own credentials.
    pub(crate) async fn read_as_own<T, E, F, Fut>(
        &self,
        account: &AwsAccountId,
        region: &Region,
        operation: &'static str,
        own: Classify,
        send: F,
    ) -> Result<T, ObserveError>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let result = self.call(account, region, operation, own, Duration::MAX, send).await;
        result.map_err(|failure| observe_error(operation, failure))
    }

    async fn ask_identity(&self, account: &AwsAccountId, entry: &Account) -> Result<(), ObserveError> {
        let base = self.base().await;
        let credentials = self.credentials(account, entry).await;
        let home = base.region().map_or_else(|| STS_REGION.to_owned(), ToString::to_string);
        let sts = aws_sdk_sts::Client::new(&self.service(base, credentials.as_ref(), &home, "sts"));
        let region = Region::parse(&home).map_err(|message| denied(IDENTITY, "InvalidRegion", message))?;
        let answer = self
            .call(account, &region, IDENTITY, shared_only, Duration::MAX, || sts.get_caller_identity().send())
            .await
            .map_err(|failure| observe_error(IDENTITY, failure))?;
        match answer.account() {
            Some(id) if id == account.as_str() => Ok(()),
            other => Err(denied(
                IDENTITY,
                "WrongAccount",
                format!("the credentials configured for account {account} belong to account {}", other.unwrap_or("?")),
            )),
        }
    }

    async fn build(
        &self,
        account: &AwsAccountId,
        entry: &Account,
        region: &Region,
    ) -> Result<Arc<RegionClients>, ObserveError> {
        let base = self.base().await;
        let credentials = self.credentials(account, entry).await;
        let config = |service: &str| self.service(base, credentials.as_ref(), region.as_str(), service);
        Ok(Arc::new(RegionClients {
            ecs: aws_sdk_ecs::Client::new(&config("ecs")),
            rds: aws_sdk_rds::Client::new(&config("rds")),
            cloudwatch: aws_sdk_cloudwatch::Client::new(&config("cloudwatch")),
            logs: aws_sdk_cloudwatchlogs::Client::new(&config("logs")),
            elbv2: aws_sdk_elasticloadbalancingv2::Client::new(&config("elasticloadbalancing")),
            autoscaling: aws_sdk_applicationautoscaling::Client::new(&config("application-autoscaling")),
            secretsmanager: aws_sdk_secretsmanager::Client::new(&config("secretsmanager")),
            sns: aws_sdk_sns::Client::new(&config("sns")),
            tagging: aws_sdk_resourcegroupstagging::Client::new(&config("tag")),
            tags: TagIndex::default(),
            account: account.clone(),
            region: region.clone(),
            aws: self.clone(),
        }))
    }

    /// One call: a token of the budget, the call, the count. It is not made when it would have to wait longer than
    /// `patience` for its token.
    async fn call<T, E, F, Fut>(
        &self,
        account: &AwsAccountId,
        region: &Region,
        operation: &'static str,
        own: Classify,
        patience: Duration,
        send: F,
    ) -> Result<T, Failure>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let inner = &self.inner;
        let taken = inner.budgets.take(account, region, operation, patience, Instant::now());
        let token = taken.map_err(|wait| over_budget(operation, wait))?;
        let waited = token.wait();
        if !waited.is_zero() {
            tokio::time::sleep(waited).await;
        }
        token.spend();
        let started = Instant::now();
        let result = send().await.map_err(|error| classify(&error, own));
        let now = Instant::now();
        let outcome: &'static str = match &result {
            Ok(_) => "ok",
            Err(failure) => failure.class.into(),
        };
        if let Err(failure) = &result {
            if failure.class == Class::Throttled {
                inner.budgets.throttled(account, region, operation, now);
            }
            tracing::debug!(
                aws.operation = operation,
                aws.bucket = bucket_of(operation).name,
                aws.code = failure.code,
                aws.request_id = failure.request_id.as_deref(),
                error.class = outcome,
                "an AWS call failed"
            );
        }
        if let Some(observer) = &inner.observer {
            observer.called(&CallRecord { operation, outcome, duration: now.duration_since(started), waited });
        }
        result
    }
}

impl RegionClients {
    /// The account these clients are for.
    pub fn account(&self) -> &AwsAccountId {
        &self.account
    }

    /// The region these clients are for.
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// The AWS configuration in force.
    pub fn config(&self) -> &Config {
        self.aws.config()
    }

    /// Makes one reading call. It is sent a second time when the connection or the service failed: a read changes
    /// nothing. `operation` is as IAM names it; `own` is the kind's table of error codes.
    pub async fn read<T, E, F, Fut>(&self, operation: &'static str, own: Classify, send: F) -> Result<T, ObserveError>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let first = self.aws.call(&self.account, &self.region, operation, own, Duration::MAX, &send).await;
        let result = match first {
            Err(failure) if failure.class == Class::Transient => {
                self.aws.call(&self.account, &self.region, operation, own, Duration::MAX, &send).await
            }
            other => other,
        };
        result.map_err(|failure| observe_error(operation, failure))
    }

    /// Makes one mutating call, once. Yields the answer and AWS's request id. Of the time that a call may take, it waits
    /// half for the rate budget at most: whoever gives up a call in the end does not know whether it was made.
    pub async fn act<T, E, F, Fut>(
        &self,
        operation: &'static str,
        own: Classify,
        send: F,
    ) -> Result<(T, Option<String>), ActError>
    where
        T: RequestId,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let patience = self.config().call_timeout / 2;
        match self.aws.call(&self.account, &self.region, operation, own, patience, send).await {
            Ok(answer) => {
                let request_id = answer.request_id().map(str::to_owned);
                Ok((answer, request_id))
            }
            Err(failure) => Err(ActError {
                class: failure.class,
                effect: failure.effect,
                operation: operation.to_owned(),
                code: failure.code,
                message: failure.message,
                request_id: failure.request_id,
            }),
        }
    }
}

/// Our share of the rate is used up for longer than the caller can wait: nothing was sent.
fn over_budget(operation: &str, wait: Duration) -> Failure {
    Failure {
        class: Class::Throttled,
        effect: Effect::NotApplied,
        code: "RateBudget".to_owned(),
        message: format!(
            "our share of the rate of {operation} (bucket {}) is used up for {:.1} s",
            bucket_of(operation).name,
            wait.as_secs_f64()
        ),
        request_id: None,
    }
}

fn observe_error(operation: &str, failure: Failure) -> ObserveError {
    ObserveError {
        class: failure.class,
        operation: operation.to_owned(),
        code: failure.code,
        message: failure.message,
        request_id: failure.request_id,
    }
}

pub(crate) fn denied(operation: &str, code: &str, message: String) -> ObserveError {
    ObserveError {
        class: Class::Denied,
        operation: operation.to_owned(),
        code: code.to_owned(),
        message,
        request_id: None,
    }
}

/// An `ObserveError` as the error of an act that was not even tried, since what it needs could not be read.
pub fn not_tried(error: ObserveError) -> ActError {
    ActError {
        class: error.class,
        effect: Effect::NotApplied,
        operation: error.operation,
        code: error.code,
        message: error.message,
        request_id: error.request_id,
    }
}
