//! A simulated AWS, a database, and people: they declare and change an environment straight in the store, as the API does.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use e2e::chaos::checker::{Asked, Told, Write};
use e2e::chaos::record;
use jiff::Timestamp;
use model::Environment;
use model::env::{EnvironmentSpec, Metadata};
use serde_json::{Value, json};
use simaws::{Clock, Sim, Timings};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use store::{
    ChangeLink, Claim, EnvironmentRow, EnvironmentUpdate, NewChange, NewEnvironment, Precondition, SpecWrite,
    StatusPatch, Store,
};
use testkit::fixtures::{self, ACCOUNT, COPY_REGION, INSTALLATION};
use testkit::postgres::TestDb;
use uuid::Uuid;

/// The environment.
pub(crate) const NAME: &str = "prod";

/// Everything but the replicas.
pub(crate) struct World {
    pub(crate) sim: Sim,
    pub(crate) database: TestDb,
    pub(crate) store: Store,
    pub(crate) document: Value,
    pub(crate) writes: Vec<Write>,
}

/// A pool of one process: Postgres knows it by the name.
pub(crate) fn pool(url: &str, name: &str) -> Result<PgPool> {
    let options: PgConnectOptions = url.parse()?;
    Ok(PgPoolOptions::new().max_connections(4).connect_lazy_with(options.application_name(name)))
}

impl World {
    pub(crate) async fn new(seed: u64) -> Result<Self> {
        let sim = Sim::builder()
            .account(ACCOUNT)
            .seed(seed)
            .clock(Clock::manual(testkit::world::epoch()))
            .timings(Timings::default())
            .rates(false)
            .build();
        let balancer = testkit::world::create_load_balancer(&sim, "eventchain-alb").await;
        testkit::world::create_subnet_group(&sim, "eventchain-db-subnet-group").await;
        sim.reset_calls();
        let database = testkit::postgres::test_database().await;
        for statement in record::statements("current_setting('application_name')") {
            sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&database.pool).await?;
        }
        let patch = json!({ "spec": {
            "policy": { "windows": [{ "cron": "0 4 1 1 *", "duration": "1h" }] },
            "services": { "order-service": null, "analytics-service": null },
            "database": { "snapshots": { "schedule": "*/10 * * * *", "keep": 100, "copyTo": [
                { "region": COPY_REGION, "kmsKeyId": "alias/aws/rds", "keep": 100 }] } }
        } });
        let document = fixtures::patched(fixtures::document(&balancer), &patch);
        let store = Store::from_pool(pool(&database.url, "people")?);
        Ok(Self { sim, database, store, document, writes: Vec::new() })
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.sim.clock().now()
    }

    pub(crate) async fn row(&self) -> Result<EnvironmentRow> {
        Ok(self.store.get_environment(NAME).await?)
    }

    /// Declares the environment. Its id follows from the seed, since tokens of calls follow from it.
    pub(crate) async fn declare(&mut self, seed: u64) -> Result<()> {
        let spec = self.document["spec"].clone();
        let author = "user.0".to_owned();
        self.store
            .create_environment(&NewEnvironment {
                uid: Uuid::from_u64_pair(seed, 1),
                name: NAME.to_owned(),
                account: ACCOUNT.to_owned(),
                labels: BTreeMap::new(),
                annotations: BTreeMap::new(),
                finalizers: vec![store::FINALIZER.to_owned()],
                managed_fields: Value::Null,
                spec: spec.clone(),
                status: json!({}),
                claims: claims(&spec)?,
                author: author.clone(),
                message: String::new(),
                diff: json!([]),
                change: None,
                now: self.now(),
            })
            .await?;
        self.remember(author, Asked::Create(spec), Told::Accepted { generation: Some(1) });
        Ok(())
    }

    /// Lays a patch over the spec that was read, on condition that it is still the present one.
    pub(crate) async fn write(&mut self, patch: Value) -> Result<()> {
        let row = self.row().await?;
        let author = format!("user.{}", self.writes.len());
        let spec = fixtures::patched(json!({ "spec": row.spec }), &patch)["spec"].clone();
        let (generation, now) = (row.generation + 1, self.now());
        let status = move |old: &Value| engine::conditions::spec_written(old, generation, now);
        let change = NewChange {
            name: format!("{NAME}-change-{generation}"),
            environment: NAME.to_owned(),
            environment_uid: Some(row.uid),
            phase: "Applying".to_owned(),
            origin: Some("Direct".to_owned()),
            apply: Some("Immediately".to_owned()),
            author: author.clone(),
            patch: patch.clone(),
            base_revision: Some(row.revision),
            applied_at: Some(now),
            ..NewChange::default()
        };
        let update = EnvironmentUpdate {
            precondition: Precondition { generation: Some(row.generation), ..Precondition::default() },
            spec: Some(SpecWrite {
                claims: claims(&spec)?,
                spec,
                diff: json!([]),
                author: author.clone(),
                message: String::new(),
                status: StatusPatch::Apply(&status),
            }),
            change: Some(ChangeLink::Create(change)),
            ..EnvironmentUpdate::new(NAME, now)
        };
        let told = match self.store.update_environment(&update).await {
            Ok(_) => Told::Accepted { generation: Some(generation) },
            Err(error) => Told::Refused(409, error.to_string()),
        };
        self.remember(author, Asked::Merge { patch, on: Some(row.generation) }, told);
        Ok(())
    }

    fn remember(&mut self, author: String, asked: Asked, told: Told) {
        // One after another: that is their time.
        let at = Timestamp::from_second(self.writes.len() as i64).unwrap_or_default();
        let environment = NAME.to_owned();
        self.writes.push(Write { author, environment, sent_at: at, answered_at: at, asked, told });
    }

    /// A lease runs out: its holder does not know.
    pub(crate) async fn expire(&self, holder: &str) -> Result<()> {
        let mut connection = self.database.pool.acquire().await?;
        // In the record it is the holder's own word.
        let sql = format!("SET application_name = '{holder}'");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut *connection).await?;
        sqlx::query(
            "UPDATE leases SET expires_at = clock_timestamp() WHERE holder = $1 AND expires_at > clock_timestamp()",
        )
        .bind(holder)
        .execute(&mut *connection)
        .await
        .context("expire")?;
        Ok(())
    }
}

fn claims(spec: &Value) -> Result<Vec<Claim>> {
    let spec: EnvironmentSpec = serde_json::from_value(spec.clone())?;
    let metadata = Metadata { name: NAME.to_owned(), ..Metadata::default() };
    let environment = Environment { api_version: String::new(), kind: String::new(), metadata, spec };
    let graph =
        engine::expand(&kinds::registry(), &environment, INSTALLATION).map_err(|error| anyhow::anyhow!("{error}"))?;
    let claim = |node: &engine::Node| Claim {
        account: node.key.account.to_string(),
        region: node.key.region.to_string(),
        kind: node.key.kind.to_string(),
        identity: node.key.identity.to_string(),
    };
    Ok(graph.claims().map(claim).collect())
}
