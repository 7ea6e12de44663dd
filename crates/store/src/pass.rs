//! One pass's results in one transaction: status, managed resources and events become visible together, or not at all.

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::changes::{ChangeMove, move_changes_in};
use crate::environments::{StatusOutcome, StatusWrite, status_differs, write_status_in};
use crate::error::{Error, Result};
use crate::events::{NewEvent, write_events_in};
use crate::leases::{check_fence, fence_holds};
use crate::object_log::Pen;
use crate::operation::Operation;
use crate::pool::{Store, transact};
use crate::resources::{ResourceUpsert, ResourcesWritten, delete_in, differences, upsert_in};
use crate::types::{Fence, ResourceKey};

/// All that one pass learned about one environment.
#[derive(Debug, Clone, Copy)]
pub struct PassRecord<'a> {
    /// The environment.
    pub uid: Uuid,
    /// The generation that the pass worked on.
    pub generation: i64,
    /// Its status.
    pub status: &'a Value,
    /// Its resources; equal ones are not written.
    pub resources: &'a [ResourceUpsert],
    /// Resources that are no longer managed.
    pub gone: &'a [ResourceKey],
    /// What happened.
    pub events: &'a [NewEvent],
    /// What became of open changes.
    pub changes: &'a [ChangeMove],
    /// The caller's clock.
    pub now: Timestamp,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassRecorded {
    /// What became of the status. `Superseded` does not hold back the rest: what was observed and done is true whatever
    /// the spec says now.
    pub status: StatusOutcome,
    /// The resources that were written.
    pub resources: ResourcesWritten,
    /// How many resources were deleted.
    pub deleted: usize,
}

impl Store {
    /// Records a pass. A pass that changed nothing takes two reads and writes nothing.
    ///
    /// # Errors
    /// `StaleEpoch`; `NotFound` for an environment that is gone.
    pub async fn record_pass(&self, pass: &PassRecord<'_>, fence: &Fence) -> Result<PassRecorded> {
        let status = StatusWrite { uid: pass.uid, generation: pass.generation, status: pass.status };
        if pass.gone.is_empty() && pass.events.is_empty() && pass.changes.is_empty() {
            let unchanged = self
                .timed(Operation::RecordPass, async {
                    let mut connection = self.pool().acquire().await?;
                    if !fence_holds(&mut connection, fence).await? {
                        return Err(Error::StaleEpoch { shard: fence.shard.clone(), epoch: fence.epoch });
                    }
                    let Some(outcome) = status_differs(&mut connection, status).await? else { return Ok(None) };
                    let differing = differences(&mut connection, pass.uid, pass.resources).await?;
                    Ok(differing.is_empty().then_some(outcome))
                })
                .await?;
            if let Some(status) = unchanged {
                return Ok(PassRecorded { status, resources: ResourcesWritten::default(), deleted: 0 });
            }
        }
        transact!(self, Operation::RecordPass, |tx| async {
            let mut pen = Pen::take(tx).await?;
            check_fence(tx, fence).await?;
            let resources = upsert_in(tx, &mut pen, pass.uid, pass.resources, pass.now).await?;
            let deleted = delete_in(tx, &mut pen, pass.uid, pass.gone).await?;
            let status = write_status_in(tx, &mut pen, status).await?;
            write_events_in(tx, &mut pen, pass.events).await?;
            move_changes_in(tx, &mut pen, (pass.changes, None), pass.now).await?;
            pen.put_down(tx).await?;
            Ok(PassRecorded { status, resources, deleted })
        })
    }
}
