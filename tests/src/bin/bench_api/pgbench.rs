//! The same rows by `pgbench`: one transaction for each write, statements prepared, on the same server. The documents in
//! the rows are those that the API wrote, so that as many bytes are sent and parsed.

use std::fmt::Write as _;
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
}

/// The counter orders all writes: taken first, since the rows hold the version.
const BEGIN: &str = "BEGIN;\nUPDATE counter SET resource_version = resource_version + 4 \
                     RETURNING resource_version - 3 AS version \\gset\n";
const NOTIFY: &str = "SELECT pg_notify('environment', '{\"name\": \"x\", \"account\": \"123456789012\"}'), \
                      pg_notify('objects', '{\"resourceVersion\": 1}');\nCOMMIT;\n";

impl Pgbench {
    /// With scripts made from an environment that the API has created and updated; `None` where there is no pgbench.
    pub(crate) async fn new(database: &str, pool: &PgPool, example: &str) -> Result<Option<Self>> {
        let Some(program) = find() else { return Ok(None) };
        let scripts = tempfile::Builder::new().prefix("eventchain-pgbench-").tempdir()?;
        std::fs::write(scripts.path().join("create.sql"), create(pool, example).await?)?;
        std::fs::write(scripts.path().join("update.sql"), update(pool, example).await?)?;
        Ok(Some(Self { program, database: database.to_owned(), scripts }))
    }

    /// Writes for so long; answers writes a second.
    pub(crate) async fn rate(&self, write: Write, clients: usize, seconds: u64) -> Result<f64> {
        let script = self.scripts.path().join(match write {
            Write::Create => "create.sql",
            Write::Update => "update.sql",
        });
        let output = Command::new(&self.program)
            .args(["--no-vacuum", "--protocol=prepared", "--file"])
            .arg(&script)
            .args(["--client", &clients.to_string(), "--jobs", &clients.min(2).to_string()])
            .args(["--time", &seconds.to_string()])
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

/// One value of a row that the API wrote, as a literal for a script.
async fn value(pool: &PgPool, query: &'static str, example: &str) -> Result<String> {
    let text: String = sqlx::query_scalar(query).bind(example).fetch_one(pool).await.context(query)?;
    literal(&text)
}

/// JSON as an SQL literal in which pgbench finds none of its variables: those begin with a colon.
fn literal(json: &str) -> Result<String> {
    // Separators are followed by a space here; every other colon stands in a text, where JSON can say it otherwise.
    let value: serde_json::Value = serde_json::from_str(json)?;
    let mut out = String::from("'");
    spelled(&value, &mut out)?;
    out.push_str("'::jsonb");
    Ok(out)
}

fn spelled(value: &serde_json::Value, out: &mut String) -> Result<()> {
    use serde_json::Value;
    let text =
        |text: &str| -> Result<String> { Ok(serde_json::to_string(text)?.replace(':', "\\u003a").replace('\'', "''")) };
    match value {
        Value::Object(fields) => {
            out.push('{');
            for (index, (name, value)) in fields.iter().enumerate() {
                write!(out, "{}{}: ", if index == 0 { "" } else { "," }, text(name)?)?;
                spelled(value, out)?;
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (index, value) in items.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                spelled(value, out)?;
            }
            out.push(']');
        }
        Value::String(it) => out.push_str(&text(it)?),
        Value::Null | Value::Bool(_) | Value::Number(_) => write!(out, "{value}")?,
    }
    Ok(())
}

async fn logged(pool: &PgPool, kind: &str, example: &str) -> Result<String> {
    let query = "SELECT object::text FROM object_log WHERE kind = $2 AND name LIKE $1 || '%'
                 ORDER BY resource_version DESC LIMIT 1";
    let text: String = sqlx::query_scalar(query).bind(example).bind(kind).fetch_one(pool).await.context(query)?;
    literal(&text)
}

async fn create(pool: &PgPool, example: &str) -> Result<String> {
    let column = |query| value(pool, query, example);
    let labels = column("SELECT labels::text FROM environments WHERE name = $1").await?;
    let spec = column("SELECT spec::text FROM revisions WHERE environment = $1 AND revision = 1").await?;
    let status = column("SELECT status::text FROM environments WHERE name = $1").await?;
    let managed = column("SELECT coalesce(managed_fields, '[]')::text FROM environments WHERE name = $1").await?;
    let diff = column("SELECT diff::text FROM revisions WHERE environment = $1 AND revision = 1").await?;
    let environment = logged(pool, "Environment", example).await?;
    let revision = logged(pool, "Revision", example).await?;
    let claims: i64 =
        sqlx::query_scalar("SELECT count(*) FROM claims JOIN environments ON uid = environment_uid WHERE name = $1")
            .bind(example)
            .fetch_one(pool)
            .await?;
    Ok(format!(
        "\\set random random(1, 1000000000000000)\n{BEGIN}\
         INSERT INTO environments (uid, name, account, labels, annotations, finalizers, generation, revision, \
         resource_version, spec, status, created_at, managed_fields) VALUES (gen_random_uuid(), \
         'pg-' || :client_id || '-' || :random, '123456789012', {labels}, '{{}}', '[\"eventchain.io/converge\"]', 1, 1, \
         :version, {spec}, {status}, now(), {managed}) RETURNING uid, name \\gset\n\
         INSERT INTO claims (account, region, kind, identity, environment_uid, declared) \
         SELECT '123456789012', 'us-east-1', 'Kind' || number, 'eventchain-' || :name || '-object', :uid, true \
         FROM generate_series(1, {claims}) AS number;\n\
         INSERT INTO revisions (environment, revision, environment_uid, generation, resource_version, author, message, \
         change, spec, diff, created_at) VALUES (:name, 1, :uid, 1, :version + 1, 'anonymous', '', null, {spec}, {diff}, \
         now());\n\
         INSERT INTO object_log (resource_version, kind, name, event, object) VALUES \
         (:version, 'Environment', :name, 'ADDED', {environment}), \
         (:version + 1, 'Revision', :name || '-1', 'ADDED', {revision});\n{NOTIFY}"
    ))
}

async fn update(pool: &PgPool, example: &str) -> Result<String> {
    let column = |query| value(pool, query, example);
    let spec = column("SELECT spec::text FROM environments WHERE name = $1").await?;
    let status = column("SELECT status::text FROM environments WHERE name = $1").await?;
    let managed = column("SELECT coalesce(managed_fields, '[]')::text FROM environments WHERE name = $1").await?;
    let diff = column("SELECT diff::text FROM revisions WHERE environment = $1 ORDER BY revision DESC LIMIT 1").await?;
    let patch = column("SELECT patch::text FROM changes WHERE environment = $1 ORDER BY name DESC LIMIT 1").await?;
    let environment = logged(pool, "Environment", example).await?;
    let change = logged(pool, "Change", example).await?;
    let revision = logged(pool, "Revision", example).await?;
    Ok(format!(
        "\\set random random(1, 1000000000000000)\n{BEGIN}\
         UPDATE environments SET resource_version = :version, spec = {spec}, status = {status}, \
         managed_fields = {managed}, generation = generation + 1, revision = revision + 1 \
         WHERE name = 'pgown-' || :client_id RETURNING uid, name, generation, revision \\gset\n\
         INSERT INTO changes (uid, name, environment, environment_uid, resource_version, phase, author, message, patch, \
         plan, approvals, outcome, revision, created_at, finished_at) VALUES (gen_random_uuid(), \
         'pg-' || :client_id || '-' || :random, :name, :uid, :version + 1, 'Applied', 'anonymous', '', {patch}, 'null', \
         '[]', '{{\"reason\": \"Applied\"}}', :revision, now(), now());\n\
         INSERT INTO revisions (environment, revision, environment_uid, generation, resource_version, author, message, \
         change, spec, diff, created_at) VALUES (:name, :revision, :uid, :generation, :version + 2, 'anonymous', '', \
         'pg-' || :client_id || '-' || :random, {spec}, {diff}, now());\n\
         INSERT INTO object_log (resource_version, kind, name, event, object) VALUES \
         (:version, 'Environment', :name, 'MODIFIED', {environment}), \
         (:version + 1, 'Change', :name || '-1', 'ADDED', {change}), \
         (:version + 2, 'Revision', :name || '-1', 'ADDED', {revision});\n{NOTIFY}"
    ))
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
