//! Earlier programs on newer schemas, and what they wrote read by this one: expand, migrate, contract
//! (`migrations/README.md`).
//!
//! `<newest migration>.statements.sql` holds every statement of the program that knew migrations up to that one. Each must still be
//! understood: while replicas are replaced the old ones run on the new schema. `RECORD_STATEMENTS=1 cargo xtask test -p store
//! earlier` writes the file of the present program: do it at each release, and remove the files of programs that no longer run.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgPool;
use sqlx::{AssertSqlSafe, Executor as _, SqlStr};
use store::{ChangeFilter, EnvironmentFilter, EventFilter, PageRequest, ResourceFilter, SchemaStatus, Store};

use crate::postgres::test_database;
use crate::support::{hold, update_spec};

/// The newest migration of the first schema.
const FIRST: i64 = 20_261_122_000_400;

/// Rows as the program of that schema wrote them.
const FIRST_ROWS: &str = include_str!("20261122000400.rows.sql");

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/store/earlier")
}

fn newest() -> i64 {
    store::MIGRATOR.iter().map(|migration| migration.version).max().unwrap()
}

/// Leaves a database with the migrations up to one.
async fn only_up_to(version: i64, pool: &PgPool) {
    sqlx::raw_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public").execute(pool).await.unwrap();
    let migrations = store::MIGRATOR.iter().filter(|migration| migration.version <= version).cloned().collect();
    Migrator { migrations, ..Migrator::DEFAULT }.run(pool).await.unwrap();
}

/// Whether everything that was written can be read, and goes on from where it was.
async fn is_read(store: &Store) {
    let all = PageRequest::default();
    let old = store.get_environment("old").await.unwrap();
    assert_eq!((old.generation, old.revision, old.labels["team"].as_str()), (2, 2, "a"));
    assert_eq!(store.list_environments(&EnvironmentFilter::default(), &all).await.unwrap().items.len(), 1);
    assert_eq!(store.list_revisions(Some("old"), &all).await.unwrap().items.len(), 2);
    let change = store.get_change("old-1").await.unwrap();
    assert_eq!((change.phase.as_str(), change.author.as_str()), ("Pending", "alice"));
    assert_eq!(store.list_changes(&ChangeFilter::default(), &all).await.unwrap().items.len(), 1);
    assert_eq!(store.list_resources(&ResourceFilter::default(), &all).await.unwrap().items.len(), 1);
    assert_eq!(store.list_events(&EventFilter::default(), &all).await.unwrap().items.len(), 1);
    assert_eq!(store.valid_approvals(old.uid, crate::support::at(1)).await.unwrap().len(), 1);
    assert_eq!(store.unresolved_mutations(old.uid).await.unwrap().len(), 1);
    assert_eq!(store.claims_of(old.uid).await.unwrap().len(), 1);
    assert_eq!(store.sweeps(&[]).await.unwrap().len(), 1);
    assert!(!store.changes_since(1, &[], 100).await.unwrap().is_empty());
    let fence = hold(store, "new").await;
    assert!(fence.epoch > 3, "a lease of before is followed");
    let updated = store.update_environment(&update_spec("old", json!({ "v": 3 }))).await.unwrap();
    assert_eq!(updated.environment.generation, 3);
}

#[tokio::test]
async fn what_the_first_program_wrote_is_read_after_all_migrations() {
    let db = test_database().await;
    only_up_to(FIRST, &db.pool).await;
    sqlx::raw_sql(FIRST_ROWS).execute(&db.pool).await.unwrap();
    let store = db.store();
    assert!(matches!(store.schema_status().await.unwrap(), SchemaStatus::Behind { .. }));
    store.migrate().await.unwrap();
    assert_eq!(store.schema_status().await.unwrap(), SchemaStatus::Current);
    is_read(&store).await;
}

#[tokio::test]
async fn the_first_program_still_writes_on_the_newest_schema() {
    let db = test_database().await;
    sqlx::raw_sql(FIRST_ROWS).execute(&db.pool).await.unwrap();
    is_read(&db.store()).await;
}

#[tokio::test]
async fn statements_of_earlier_programs_are_still_understood() {
    let db = test_database().await;
    let mut files: Vec<PathBuf> = fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.to_string_lossy().ends_with(".statements.sql"));
    assert!(!files.is_empty());
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let statements: Vec<&str> = text.split(";\n").map(str::trim).filter(|one| !one.is_empty()).collect();
        assert!(statements.len() > 50, "{}", file.display());
        for statement in statements {
            understood(&db.pool, statement)
                .await
                .unwrap_or_else(|error| panic!("{}: {error}\n{statement}", file.display()));
        }
    }
}

async fn understood(pool: &PgPool, statement: &str) -> Result<(), sqlx::Error> {
    let sql: SqlStr = sqlx::SqlSafeStr::into_sql_str(AssertSqlSafe(statement.to_owned()));
    pool.prepare(sql).await.map(drop)
}

#[tokio::test]
async fn the_statements_of_this_program_can_be_recorded() {
    let db = test_database().await;
    let mut literal = Vec::new();
    of_directory(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut literal);
    literal.sort();
    literal.dedup();
    let mut found = Vec::new();
    for statement in literal {
        // The others are parts of statements.
        if understood(&db.pool, &statement).await.is_ok() {
            found.push(statement);
        }
    }
    assert!(found.len() > 80, "{}", found.len());
    if std::env::var_os("RECORD_STATEMENTS").is_some() {
        let text: Vec<String> = found.iter().map(|statement| format!("{statement};\n")).collect();
        fs::write(directory().join(format!("{}.statements.sql", newest())), text.join("\n")).unwrap();
    }
}

fn of_directory(directory: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            of_directory(&path, found);
        } else {
            let text = fs::read_to_string(&path).unwrap();
            found.extend(literals(text.split("#[cfg(test)]").next().unwrap_or_default()));
        }
    }
}

/// The statements that stand in a source as one literal. What is put together of parts is left out.
fn literals(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = source;
    while let Some(begin) = rest.find('"') {
        let put_together = rest[..begin].trim_end().ends_with("format!(");
        rest = &rest[begin + 1..];
        let (mut text, mut end, mut escaped) = (String::new(), rest.len(), false);
        for (at, c) in rest.char_indices() {
            match c {
                '"' if !escaped => {
                    end = at;
                    break;
                }
                '\\' if !escaped => {
                    escaped = true;
                    continue;
                }
                // A line that goes on.
                '\n' if escaped => {}
                other => text.push(other),
            }
            escaped = false;
        }
        rest = rest.get(end + 1..).unwrap_or_default();
        let is_statement =
            ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH "].iter().any(|verb| text.starts_with(verb));
        if is_statement && !put_together && !text.contains('{') {
            found.push(outdented(&text));
        }
    }
    found
}

fn outdented(text: &str) -> String {
    let lines: Vec<&str> = text.trim().lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join("\n  ")
}
