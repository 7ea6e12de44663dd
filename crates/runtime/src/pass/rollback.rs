//! The specs that the daemon writes itself: a failed change taken back, and a change whose plan was not known when it was
//! posted. One transaction each: spec, revision, what becomes of the changes, and the event; under the lease's epoch, and
//! only while the generation is still the one that was judged. Nobody's later revision is ever undone.

use engine::changes::{Apply, Failure, Origin, Phase, ROLLBACK, Requires};
use engine::conditions::spec_written;
use model::{diff, merge};
use serde_json::{Value, json};
use store::{ChangeLink, ChangeRow, ChangeUpdate, EnvironmentUpdate, NewChange, Precondition, SpecWrite, StatusPatch};

use super::document::{NewVersion, document_of};
use super::govern::{NextSpec, about, cause, moved};
use super::{Halt, Pass};

impl Pass<'_> {
    /// Writes the next spec, if there is one. Answers whether the next pass has something to do at once.
    pub(super) async fn write_spec(&self, next: Option<NextSpec>) -> Result<bool, Halt> {
        match next {
            None => Ok(false),
            Some(NextSpec::Back(change, failures)) => self.take_back(&change, &failures).await,
            Some(NextSpec::Posted(change, version, plan)) => self.apply_posted(&change, &version, plan).await,
        }
    }

    /// The spec before a failed change becomes the spec again.
    async fn take_back(&self, change: &ChangeRow, failures: &[Failure]) -> Result<bool, Halt> {
        let base = change.base_revision.unwrap_or_default();
        let revision = match self.shared.store.get_revision(&self.row.name, base).await {
            Ok(revision) if revision.environment_uid == self.row.uid => revision,
            Ok(_) | Err(store::Error::NotFound { .. }) => {
                return self.stays(change, failures, "there is no revision before it").await;
            }
            Err(error) => return Err(error.into()),
        };
        let mut document = document_of(&self.row);
        document["spec"] = revision.spec;
        let installation = &self.shared.config.installation;
        let version = match NewVersion::read(&self.shared.registry, installation, &self.row, document) {
            Ok(version) => version,
            Err(error) => {
                let why = format!("what it did cannot be taken back: {error}");
                return self.stays(change, failures, &why).await;
            }
        };
        let cause = cause(failures);
        let message = format!("{} failed and was taken back to revision {base}: {cause}", about(change));
        let next = self.row.revision + 1;
        let outcome = json!({
            "reason": failures.first().map_or("Failed", |failure| failure.reason.as_str()),
            "message": cause,
            "rolledBackTo": base,
            "asRevision": next,
            "evidence": failures,
        });
        let ended = ChangeUpdate {
            phase: Some(Phase::RolledBack.to_string()),
            outcome: Some(outcome),
            waiting: Some(Value::Null),
            finished_at: Some(self.now),
            ..ChangeUpdate::default()
        };
        let policy = &version.environment.spec.policy;
        let patch = merge::between(&self.row.spec, &version.spec).unwrap_or_else(|| json!({}));
        let back = NewChange {
            name: format!("{}-back", change.name),
            environment: self.row.name.clone(),
            environment_uid: Some(self.row.uid),
            phase: Phase::Applying.to_string(),
            origin: Some(Origin::Rollback.to_string()),
            apply: Some(Apply::by_policy(policy).to_string()),
            author: ROLLBACK.to_owned(),
            message: message.clone(),
            patch: json!({ "spec": patch }),
            requires: json!(Requires::of(&policy.changes)),
            base_revision: Some(self.row.revision),
            applied_at: Some(self.now),
            ..NewChange::default()
        };
        let (generation, now) = (self.row.generation + 1, self.now);
        let status = move |old: &Value| spec_written(old, generation, now);
        let update = EnvironmentUpdate {
            spec: Some(SpecWrite {
                diff: diff::fields(&self.row.spec, &version.spec),
                spec: version.spec,
                claims: version.claims,
                author: ROLLBACK.to_owned(),
                message: message.clone(),
                status: StatusPatch::Apply(&status),
            }),
            change: Some(ChangeLink::Create(back)),
            while_change: Some((&change.name, change.resource_version)),
            moves: vec![moved(change, ended, Vec::new())],
            events: vec![self.told("Warning", "ChangeRolledBack", message)],
            ..self.update()
        };
        match self.shared.store.update_environment(&update).await {
            Ok(_) => Ok(true),
            // Somebody wrote a spec or decided about the change meanwhile: that holds.
            Err(store::Error::Conflict { .. } | store::Error::AlreadyExists { .. } | store::Error::NotFound { .. }) => {
                Ok(true)
            }
            Err(store::Error::ClaimedBy(_)) => {
                let why = "what it did cannot be taken back: another Environment manages an object of it now";
                self.stays(change, failures, why).await
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn stays(&self, change: &ChangeRow, failures: &[Failure], why: &str) -> Result<bool, Halt> {
        let (update, events) = self.failed_change(change, failures, why);
        self.shared.store.move_changes(&[moved(change, update, events)], &self.shard.fence, self.now).await?;
        Ok(false)
    }

    /// A posted change whose plan turned out to need no approval.
    async fn apply_posted(&self, change: &ChangeRow, version: &NewVersion, plan: Value) -> Result<bool, Halt> {
        let metadata = &version.environment.metadata;
        let (generation, now) = (self.row.generation + 1, self.now);
        let status = move |old: &Value| spec_written(old, generation, now);
        let applied = ChangeUpdate {
            phase: Some(Phase::Applying.to_string()),
            plan: Some(plan),
            base_revision: Some(self.row.revision),
            applied_at: Some(self.now),
            waiting: Some(Value::Null),
            ..ChangeUpdate::default()
        };
        let from = Precondition { resource_version: Some(change.resource_version), ..Precondition::default() };
        let message = format!("{} is applied as revision {}: {}", about(change), self.row.revision + 1, change.message);
        let update = EnvironmentUpdate {
            made_from: Some(&self.row),
            labels: (metadata.labels != self.row.labels).then(|| metadata.labels.clone()),
            annotations: (metadata.annotations != self.row.annotations).then(|| metadata.annotations.clone()),
            spec: Some(SpecWrite {
                diff: diff::fields(&self.row.spec, &version.spec),
                spec: version.spec.clone(),
                claims: version.claims.clone(),
                author: change.author.clone(),
                message: change.message.clone(),
                status: StatusPatch::Apply(&status),
            }),
            change: Some(ChangeLink::Update { name: change.name.clone(), precondition: from, update: applied }),
            events: vec![self.told("Normal", "ChangeApplied", message)],
            ..self.update()
        };
        match self.shared.store.update_environment(&update).await {
            Ok(_) | Err(store::Error::Conflict { .. } | store::Error::NotFound { .. }) => Ok(true),
            Err(store::Error::ClaimedBy(conflicts)) => {
                let why = format!("another Environment manages an object of it: {} in all", conflicts.len());
                self.refuse_posted(change, &why).await?;
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A posted change that cannot be applied any more.
    pub(super) async fn refuse_posted(&self, change: &ChangeRow, why: &str) -> Result<(), Halt> {
        let message = format!("{} cannot be applied: {why}", about(change));
        let event = self.told("Warning", "ChangeFailed", message);
        let (update, events) = self.ended(change, Phase::Failed, json!({ "reason": "Invalid", "message": why }), event);
        self.shared.store.move_changes(&[moved(change, update, events)], &self.shard.fence, self.now).await?;
        Ok(())
    }

    /// An update of the generation that this pass worked on, under its lease.
    fn update(&self) -> EnvironmentUpdate<'_> {
        EnvironmentUpdate {
            precondition: Precondition {
                uid: Some(self.row.uid),
                generation: Some(self.row.generation),
                ..Precondition::default()
            },
            fence: Some(&self.shard.fence),
            ..EnvironmentUpdate::new(&self.row.name, self.now)
        }
    }
}
