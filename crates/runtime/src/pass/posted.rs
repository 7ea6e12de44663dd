//! Changes that were posted and whose spec is not written yet: their plan is made once it can be, and made anew when
//! another generation came. What needs no approval then is applied; what does is shown and waits.

use engine::changes::{Phase, approval_hash, loosened};
use jiff::SignedDuration;
use model::merge;
use serde_json::{Value, json};
use store::ChangeRow;

use super::document::{NewVersion, document_of};
use super::govern::{Governed, NextSpec, about, moved};
use super::preview::preview;
use super::{Halt, Pass};

/// A plan that could not be made is tried again after so long.
const AGAIN: SignedDuration = SignedDuration::from_secs(30);

impl Pass<'_> {
    /// What becomes of a posted change.
    pub(super) async fn posted(&self, row: &ChangeRow, governed: &mut Governed) -> Result<(), Halt> {
        let mut look_at = |at| governed.until = [governed.until, at].into_iter().flatten().min();
        if row.expires_at.is_some_and(|at| at <= self.now) {
            let outcome = json!({ "reason": "Expired", "message": "nobody approved it in time" });
            let message = format!("{} lapsed: nobody approved it in time", about(row));
            let event = self.told("Warning", "ChangeExpired", message);
            let (update, events) = self.ended(row, Phase::Expired, outcome, event);
            governed.moves.push(moved(row, update, events));
            return Ok(());
        }
        if self.deleting() {
            let outcome = json!({ "reason": "Superseded", "message": "the environment is being deleted" });
            let event = self.told("Normal", "ChangeSuperseded", format!("{} ends with its environment", about(row)));
            let (update, events) = self.ended(row, Phase::Superseded, outcome, event);
            governed.moves.push(moved(row, update, events));
            return Ok(());
        }
        look_at(row.expires_at);
        let planned_for = row.plan.get("generation").and_then(Value::as_i64);
        let asked = row.phase == Phase::PendingApproval.to_string();
        if asked && planned_for == Some(self.row.generation + 1) {
            return Ok(());
        }
        let mut document = document_of(&self.row);
        merge::apply(&mut document, &row.patch);
        let installation = &self.shared.config.installation;
        let version = match NewVersion::read(&self.shared.registry, installation, &self.row, document) {
            Ok(version) => version,
            Err(error) => return self.refuse_posted(row, &error.to_string()).await,
        };
        if version.environment.spec == self.document.environment.spec {
            let outcome = json!({ "reason": "NothingToChange" });
            let event = self.told("Normal", "ChangeSuperseded", format!("{}: the spec says so already", about(row)));
            let (update, events) = self.ended(row, Phase::Superseded, outcome, event);
            governed.moves.push(moved(row, update, events));
            return Ok(());
        }
        let mut plan = preview(self.shared, &self.row.name, &json!({ "spec": version.spec })).await?;
        if plan.get("error").is_some() {
            look_at(self.now.checked_add(AGAIN).ok());
            return Ok(());
        }
        let policy = &self.document.environment.spec.policy;
        let loosens = loosened(policy, &version.environment.spec.policy);
        if let Some(hash) = approval_hash(&plan, loosens, &version.spec) {
            plan["hash"] = json!(hash);
            plan["loosens"] = json!(loosens);
            let (update, events) = self.asked(row, plan, asked);
            governed.moves.push(moved(row, update, events));
        } else if governed.spec.is_none() {
            governed.spec = Some(NextSpec::Posted(Box::new(row.clone()), Box::new(version), plan));
        }
        Ok(())
    }
}
