//! The same rows by `pgbench`: one transaction for each write, statements prepared, on the same server. The documents in
//! the rows are those that the API wrote, sent as parameters: Postgres is given as many bytes to parse each time, as from
//! any client whose documents are not all the same.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use sqlx::PgPool;
use tempfile::TempDir;
use tokio::process::Command;

use crate::writes::Write;

/// `pgbench` with a script for each write.
#[derive(Debug)]
pub(crate) struct Pgbench {
    program: PathBuf,
    database: String,
    scripts: TempDir,
    documents: [Documents; 2],
}

/// The counter orders all writes: taken first, since the rows hold the version.
const BEGIN: &str = "BEGIN;\nUPDATE counter SET resource_version = resource_version + 4 \
                     RETURNING resource_version - 3 AS version \\gset\n";
const AUDIT: &str = "INSERT INTO audit_pending (entry) VALUES (:audit);\n";
const NOTIFY: &str = "SELECT pg_notify('environment', '{\"name\": \"x\", \"account\": \"123456789012\"}'), \
                      pg_notify('objects', '{\"resourceVersion\": 1}');\nCOMMIT;\n";

impl Pgbench {
    /// With scripts made from an environment that the API has created and updated; `None` where there is no pgbench.
    pub(crate) async fn new(database: &str, pool: &PgPool, example: &str) -> Result<Option<Self>> {
        let Some(program) = find() else { return Ok(None) };
        let scripts = tempfile::Builder::new().prefix("eventchain-pgbench-").tempdir()?;
        let (create, of_a_create) = create(pool, example).await?;
        let (update, of_an_update) = update(pool, example).await?;
        std::fs::write(scripts.path().join("create.sql"), create)?;
        std::fs::write(scripts.path().join("update.sql"), update)?;
        let documents = [of_a_create, of_an_update];
        Ok(Some(Self { program, database: database.to_owned(), scripts, documents }))
    }

    /// Writes for so long; answers writes a second.
    pub(crate) async fn rate(&self, write: Write, clients: usize, seconds: u64) -> Result<f64> {
        let [of_a_create, of_an_update] = &self.documents;
        let (script, documents) = match write {
            Write::Create => ("create.sql", of_a_create),
            Write::Update => ("update.sql", of_an_update),
        };
        let script = self.scripts.path().join(script);
        // Variables are sent as parameters.
        let defined = documents.iter().map(|(name, text)| format!("--define={name}={text}"));
        let output = Command::new(&self.program)
            .args(["--no-vacuum", "--protocol=prepared", "--file"])
            .arg(&script)
            .args(["--client", &clients.to_string(), "--jobs", &clients.min(2).to_string()])
            .args(["--time", &seconds.to_string()])
            .args(defined)
            .arg(&self.database)
            .stdin(Stdio::null())
            .output()
            .await
            .context("pgbench cannot be started")?;
        let (said, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success() && !told.contains("ERROR"), "pgbench: {}\n{told}", output.status);
        let rate = said.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
        rate.with_context(|| format!("pgbench says no rate:\n{said}"))
    }
}

fn find() -> Option<PathBuf> {
    if let Some(given) = std::env::var_os("EVENTCHAIN_PGBENCH") {
        return Some(given.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|directory| directory.join("pgbench")).find(|file: &PathBuf| Path::is_file(file))
}

/// Documents of the rows that the API wrote, by the names of the variables that stand for them in a script.
type Documents = Vec<(&'static str, String)>;

async fn text(pool: &PgPool, query: &'static str, example: &str) -> Result<String> {
    sqlx::query_scalar(query).bind(example).fetch_one(pool).await.context(query)
}

async fn documents(pool: &PgPool, example: &str, queries: &[(&'static str, &'static str)]) -> Result<Documents> {
    let mut documents = Vec::new();
    for (name, query) in queries {
        documents.push((*name, text(pool, query, example).await?));
    }
    Ok(documents)
}

/// What both writes have.
const SHARED: [(&str, &str); 4] = [
    ("labels", "SELECT labels::text FROM environments WHERE name = $1"),
    ("status", "SELECT status::text FROM environments WHERE name = $1"),
    ("managed", "SELECT coalesce(managed_fields, '[]')::text FROM environments WHERE name = $1"),
    (
        "environment",
        "SELECT object::text FROM object_log WHERE kind = 'Environment' AND name = $1
         ORDER BY resource_version DESC LIMIT 1",
    ),
];

const OF_A_CREATE: [(&str, &str); 4] = [
    ("spec", "SELECT spec::text FROM revisions WHERE environment = $1 AND revision = 1"),
    ("diff", "SELECT diff::text FROM revisions WHERE environment = $1 AND revision = 1"),
    ("revision_object", "SELECT object::text FROM object_log WHERE kind = 'Revision' AND name = $1 || '-1' LIMIT 1"),
    ("audit", "SELECT entry FROM audit_pending WHERE entry::jsonb ->> 'environment' = $1 ORDER BY id LIMIT 1"),
];

const OF_AN_UPDATE: [(&str, &str); 6] = [
    ("spec", "SELECT spec::text FROM environments WHERE name = $1"),
    ("diff", "SELECT diff::text FROM revisions WHERE environment = $1 ORDER BY revision DESC LIMIT 1"),
    ("patch", "SELECT patch::text FROM changes WHERE environment = $1 ORDER BY name DESC LIMIT 1"),
    (
        "change_object",
        "SELECT object::text FROM object_log WHERE kind = 'Change' AND name LIKE $1 || '-%'
         ORDER BY resource_version DESC LIMIT 1",
    ),
    (
        "revision_object",
        "SELECT object::text FROM object_log WHERE kind = 'Revision' AND name LIKE $1 || '-%'
         ORDER BY resource_version DESC LIMIT 1",
    ),
    ("audit", "SELECT entry FROM audit_pending WHERE entry::jsonb ->> 'environment' = $1 ORDER BY id DESC LIMIT 1"),
];

async fn create(pool: &PgPool, example: &str) -> Result<(String, Documents)> {
    let mut documents = documents(pool, example, &SHARED).await?;
    documents.extend(self::documents(pool, example, &OF_A_CREATE).await?);
    let claims: i64 =
        sqlx::query_scalar("SELECT count(*) FROM claims JOIN environments ON uid = environment_uid WHERE name = $1")
            .bind(example)
            .fetch_one(pool)
            .await?;
    let script = format!(
        "\\set random random(1, 1000000000000000)\n{BEGIN}\
         INSERT INTO environments (uid, name, account, labels, annotations, finalizers, generation, revision, \
         resource_version, spec, status, created_at, managed_fields) VALUES (gen_random_uuid(), \
         'pg-' || :client_id || '-' || :random, '123456789012', :labels::jsonb, '{{}}', \
         '[\"eventchain.io/converge\"]', 1, 1, :version, :spec::jsonb, :status::jsonb, now(), :managed::jsonb) \
         RETURNING uid, name \\gset\n\
         INSERT INTO claims (account, region, kind, identity, environment_uid, declared) \
         SELECT '123456789012', 'us-east-1', 'Kind' || number, 'eventchain-' || :name || '-object', :uid, true \
         FROM generate_series(1, {claims}) AS number;\n\
         INSERT INTO revisions (environment, revision, environment_uid, generation, resource_version, author, message, \
         change, spec, diff, created_at) VALUES (:name, 1, :uid, 1, :version + 1, 'anonymous', '', null, :spec::jsonb, \
         :diff::jsonb, now());\n\
         INSERT INTO object_log (resource_version, kind, name, event, object) VALUES \
         (:version, 'Environment', :name, 'ADDED', :environment::jsonb), \
         (:version + 1, 'Revision', :name || '-1', 'ADDED', :revision_object::jsonb);\n{AUDIT}{NOTIFY}"
    );
    Ok((script, documents))
}

async fn update(pool: &PgPool, example: &str) -> Result<(String, Documents)> {
    let mut documents = documents(pool, example, &SHARED).await?;
    documents.extend(self::documents(pool, example, &OF_AN_UPDATE).await?);
    let script = format!(
        "\\set random random(1, 1000000000000000)\n{BEGIN}\
         UPDATE environments SET resource_version = :version, spec = :spec::jsonb, status = :status::jsonb, \
         managed_fields = :managed::jsonb, generation = generation + 1, revision = revision + 1 \
         WHERE name = 'pgown-' || :client_id RETURNING uid, name, generation, revision \\gset\n\
         INSERT INTO changes (uid, name, environment, environment_uid, resource_version, phase, author, message, patch, \
         plan, approvals, outcome, revision, created_at, finished_at) VALUES (gen_random_uuid(), \
         'pg-' || :client_id || '-' || :random, :name, :uid, :version + 1, 'Applied', 'anonymous', '', :patch::jsonb, \
         'null', '[]', '{{\"reason\": \"Applied\"}}', :revision, now(), now());\n\
         INSERT INTO revisions (environment, revision, environment_uid, generation, resource_version, author, message, \
         change, spec, diff, created_at) VALUES (:name, :revision, :uid, :generation, :version + 2, 'anonymous', '', \
         'pg-' || :client_id || '-' || :random, :spec::jsonb, :diff::jsonb, now());\n\
         INSERT INTO object_log (resource_version, kind, name, event, object) VALUES \
         (:version, 'Environment', :name, 'MODIFIED', :environment::jsonb), \
         (:version + 1, 'Change', :name || '-1', 'ADDED', :change_object::jsonb), \
         (:version + 2, 'Revision', :name || '-1', 'ADDED', :revision_object::jsonb);\n{AUDIT}{NOTIFY}"
    );
    Ok((script, documents))
}

/// The environments that pgbench updates, made from the API's own.
pub(crate) async fn make_own(pool: &PgPool, clients: usize, example: &str) -> Result<()> {
    for client in 0..clients {
        sqlx::query(
            "WITH counted AS (UPDATE counter SET resource_version = resource_version + 1 RETURNING resource_version)
             INSERT INTO environments (uid, name, account, labels, annotations, finalizers, generation, revision,
                                       resource_version, spec, status, created_at, managed_fields)
             SELECT gen_random_uuid(), $1, account, labels, annotations, finalizers, generation, revision,
                    counted.resource_version, spec, status, created_at, managed_fields
             FROM environments, counted WHERE name = $2",
        )
        .bind(format!("pgown-{client}"))
        .bind(example)
        .execute(pool)
        .await?;
    }
    Ok(())
}
