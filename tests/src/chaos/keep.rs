//! What a run that broke a promise leaves behind, to be read: every log, the calls, and the tables.

use std::path::PathBuf;

use anyhow::Result;

use super::checker::{Evidence, shown};
use super::replica::Replica;
use super::stage::Stage;

/// Tables that tell what happened.
const TABLES: [&str; 7] =
    ["revisions", "changes", "events", "journal", "managed_resources", "chaos.leases", "chaos.intents"];

/// Writes all of it into a new directory beside the temporary files; answers where.
///
/// # Errors
/// When it cannot be written.
pub async fn evidence(stage: &Stage, evidence: &Evidence, seed: u64) -> Result<PathBuf> {
    let place = tempfile::Builder::new().prefix(&format!("eventchain-chaos-seed-{seed}-")).tempdir()?.keep();
    for logged in stage.replicas.iter().flat_map(Replica::logs) {
        std::fs::write(place.join(format!("{}.log", logged.process)), logged.lines.all().join("\n"))?;
    }
    let calls: Vec<String> = evidence.calls.iter().map(shown).collect();
    std::fs::write(place.join("calls.txt"), calls.join("\n"))?;
    let writes: Vec<String> = evidence.writes.iter().map(|write| format!("{write:?}")).collect();
    std::fs::write(place.join("writes.txt"), writes.join("\n"))?;
    let notes: Vec<String> = stage.notes().iter().map(|(at, note)| format!("{at} {note}")).collect();
    std::fs::write(place.join("notes.txt"), notes.join("\n"))?;
    for table in TABLES {
        let sql = format!("SELECT row_to_json(t)::text FROM {table} t");
        let rows: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(&stage.database).await?;
        std::fs::write(place.join(format!("{table}.json")), rows.join("\n"))?;
    }
    Ok(place)
}
