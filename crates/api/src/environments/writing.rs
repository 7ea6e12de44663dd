//! One attempt at a change of an environment: how it is governed, and the transaction that writes it. Whether a change is
//! written at once, held for approval, or held until its plan is known is found here; the rules are the engine's.

use std::collections::BTreeMap;

use engine::changes::{Apply, Origin, Phase, Requires, approval_hash, loosened};
use engine::conditions::spec_written;
use http::StatusCode;
use jiff::SignedDuration;
use jiff::Timestamp;
use model::env::{KIND, Policy};
use model::problem::Reason;
use model::{diff, merge};
use serde_json::{Value, json};
use store::{
    ChangeLink, ChangeRow, ChangeUpdate, EnvironmentRow, EnvironmentUpdate, NewApproval, NewChange, Precondition,
    SpecWrite, StatusPatch,
};
use uuid::Uuid;

use super::edit::{Approved, Edit, Edited, Record, change_name};
use crate::approvals;
use crate::document::{self, CHANGE_MESSAGE, Checked};
use crate::error::{ApiError, ApiResult};
use crate::freshness::Freshness;
use crate::happened::{About, happened};
use crate::state::ApiState;

/// One attempt.
pub(super) struct Writing<'a> {
    edit: &'a Edit,
    row: EnvironmentRow,
    checked: Checked,
    managed: Value,
    finalizers: Vec<String>,
    version: Option<i64>,
    spec_changed: bool,
    message: String,
    /// The policy that holds: a change is judged by the one that it changes.
    policy: Policy,
    now: Timestamp,
}

/// What goes into the transaction besides the spec.
#[derive(Default)]
struct Beside {
    change: Option<ChangeLink>,
    approvals: Vec<NewApproval>,
}

impl<'a> Writing<'a> {
    pub(super) fn new(
        state: &ApiState,
        edit: &'a Edit,
        row: EnvironmentRow,
        (checked, (managed, finalizers)): (Checked, (Value, Vec<String>)),
        version: Option<i64>,
    ) -> Self {
        let old = document::stored(&row);
        // Compared as documents, not as text: what another release wrote otherwise is no change.
        let spec_changed = old.as_ref().is_none_or(|old| old.spec != checked.environment.spec);
        let annotation = |of: &BTreeMap<String, String>| of.get(CHANGE_MESSAGE).cloned();
        let said = annotation(&checked.environment.metadata.annotations);
        let fresh = said.filter(|said| annotation(&row.annotations).as_ref() != Some(said));
        let message = if edit.message.is_empty() { fresh.unwrap_or_default() } else { edit.message.clone() };
        let policy = old.map(|old| old.spec.policy).unwrap_or_default();
        Self { edit, row, checked, managed, finalizers, version, spec_changed, message, policy, now: state.now() }
    }

    pub(super) async fn carry_out(self, state: &ApiState) -> ApiResult<Edited> {
        match &self.edit.record {
            Record::Direct => self.direct(state).await,
            Record::Posted { .. } if !self.spec_changed => self.nothing(state).await,
            Record::Posted { apply, .. } => self.posted(state, *apply).await,
            Record::Approved(approved) => self.approved(state, approved).await,
        }
    }

    /// A direct write: the spec at once; its gated steps wait.
    async fn direct(&self, state: &ApiState) -> ApiResult<Edited> {
        if let Some(field) = self.loosens() {
            let why = format!(
                "{field} asks for less than the policy that holds: post this as a Change, for others to approve"
            );
            return Err(ApiError::new(StatusCode::FORBIDDEN, "Forbidden", why).about(KIND, &self.row.name));
        }
        let change = self.spec_changed.then(|| {
            let patch = merge::between(&self.row.spec, &self.checked.spec).unwrap_or_else(|| json!({}));
            let name = change_name(&self.row.name, self.now);
            self.applying(name, json!({ "spec": patch }), (Origin::Direct, None))
        });
        self.write_new(state, change).await
    }

    /// A posted change that leaves the spec as it is.
    async fn nothing(&self, state: &ApiState) -> ApiResult<Edited> {
        let (name, patch) = self.asked_for();
        let change = NewChange {
            phase: Phase::Converged.to_string(),
            outcome: json!({ "reason": "NothingToChange" }),
            finished_at: Some(self.now),
            applied_at: None,
            base_revision: None,
            ..self.applying(name, patch, (Origin::Posted, None))
        };
        self.write_new(state, Some(change)).await
    }

    /// A posted change: written at once if its plan is known and needs no approval, and held otherwise.
    async fn posted(&self, state: &ApiState, apply: Option<Apply>) -> ApiResult<Edited> {
        let windows = &self.checked.environment.spec.policy.windows;
        if apply == Some(Apply::InWindow) && windows.is_empty() {
            let rule = "the Environment has no spec.policy.windows";
            return Err(ApiError::field("spec.apply", Reason::FieldValueInvalid, rule));
        }
        let place = (self.row.account.as_str(), self.row.name.as_str());
        let plan = crate::owner::plan(state, place, Some(&self.checked.spec), state.config.change_plan_patience).await;
        let (name, patch) = self.asked_for();
        let change = self.applying(name, patch, (Origin::Posted, apply));
        let plan = match plan {
            Ok(plan) => plan,
            Err(error) => {
                let why = format!("its plan is not known, so nothing is applied yet: {}", error.message());
                let change = NewChange {
                    phase: Phase::Pending.to_string(),
                    outcome: json!({ "reason": "PlanUnknown", "planMissing": why }),
                    ..self.held(change)
                };
                return self.hold(state, change).await;
            }
        };
        match approval_hash(&plan, self.loosens(), &self.checked.spec) {
            None => {
                let change = NewChange { plan, outcome: json!({ "reason": "Applied" }), ..change };
                self.write_new(state, Some(change)).await
            }
            Some(hash) => {
                let change = NewChange {
                    phase: Phase::PendingApproval.to_string(),
                    plan: self.with_hash(plan, &hash),
                    plan_hash: Some(hash),
                    ..self.held(change)
                };
                self.hold(state, change).await
            }
        }
    }

    /// A posted change with all its approvals.
    async fn approved(&self, state: &ApiState, approved: &Approved) -> ApiResult<Edited> {
        let Approved { change, approvals, approver, expires_in } = approved;
        if state.store.get_change(&change.name).await?.resource_version != change.resource_version {
            return Err(ApiError::changed_plan("Change", &change.name, "somebody moved it meanwhile".to_owned()));
        }
        let place = (self.row.account.as_str(), self.row.name.as_str());
        let plan = crate::owner::plan(state, place, Some(&self.checked.spec), state.config.plan_patience).await?;
        let hash = approval_hash(&plan, self.loosens(), &self.checked.spec);
        if hash.is_none() || hash != change.plan_hash {
            let plan = hash.as_ref().map(|hash| self.with_hash(plan, hash));
            return Err(approvals::plan_changed(state, (change, &self.row), hash.zip(plan)).await);
        }
        let apply = approvals::apply_of(change);
        let steps = approvals::steps_of(&plan);
        let windows = &self.checked.environment.spec.policy.windows;
        let until = approvals::counts_until(state, windows, (apply, *expires_in), self.now)?;
        let approval = NewApproval {
            environment_uid: self.row.uid,
            plan_hash: hash.clone().unwrap_or_default(),
            steps,
            apply: Some(apply.to_string()),
            approver: approver.clone(),
            now: self.now,
            expires_at: until,
        };
        let update = ChangeUpdate {
            phase: Some(Phase::Applying.to_string()),
            plan: hash.map(|hash| self.with_hash(plan, &hash)),
            approvals: Some(approvals.clone()),
            waiting: Some(Value::Null),
            outcome: Some(json!({ "reason": "Applied" })),
            base_revision: Some(self.row.revision),
            applied_at: Some(self.now),
            ..ChangeUpdate::default()
        };
        let precondition = Precondition { resource_version: Some(change.resource_version), ..Precondition::default() };
        let beside = Beside {
            change: Some(ChangeLink::Update { name: change.name.clone(), precondition, update }),
            approvals: if approval.steps.is_empty() { Vec::new() } else { vec![approval] },
        };
        self.write(state, beside).await
    }

    /// The change record of a spec that is written now.
    fn applying(&self, name: String, patch: Value, (origin, apply): (Origin, Option<Apply>)) -> NewChange {
        let new_policy = &self.checked.environment.spec.policy;
        NewChange {
            name,
            environment: self.row.name.clone(),
            environment_uid: Some(self.row.uid),
            phase: Phase::Applying.to_string(),
            origin: Some(origin.to_string()),
            apply: Some(apply.unwrap_or_else(|| Apply::by_policy(new_policy)).to_string()),
            author: self.edit.author.clone(),
            message: self.message.clone(),
            patch,
            requires: json!(Requires::of(&self.policy.changes)),
            outcome: json!({ "reason": "Applied" }),
            base_revision: Some(self.row.revision),
            field_manager: Some(self.edit.manager.writer.manager.clone()),
            applied_at: Some(self.now),
            ..NewChange::default()
        }
    }

    /// The same change, while its spec is not written.
    fn held(&self, change: NewChange) -> NewChange {
        let after = SignedDuration::from_secs(self.policy.changes.expire_after.as_secs().into());
        NewChange {
            outcome: Value::Null,
            base_revision: None,
            applied_at: None,
            expires_at: self.now.checked_add(after).ok(),
            ..change
        }
    }

    fn asked_for(&self) -> (String, Value) {
        match &self.edit.record {
            Record::Posted { name, patch, .. } => (name.clone(), patch.clone()),
            Record::Direct | Record::Approved(_) => (change_name(&self.row.name, self.now), json!({})),
        }
    }

    /// The field by which the new policy asks for less than the one that holds.
    fn loosens(&self) -> Option<&'static str> {
        loosened(&self.policy, &self.checked.environment.spec.policy)
    }

    /// The plan with the hash that is to be approved.
    fn with_hash(&self, mut plan: Value, hash: &str) -> Value {
        plan["hash"] = json!(hash);
        if let Some(field) = self.loosens() {
            plan["loosens"] = json!(field);
        }
        plan
    }

    /// Records a change and leaves the environment as it is.
    async fn hold(&self, state: &ApiState, change: NewChange) -> ApiResult<Edited> {
        if self.edit.dry_run {
            let change = shown(change, None, self.now);
            return Ok(Edited {
                row: self.row.clone(),
                change: Some(change),
                warnings: self.checked.warnings.clone(),
                freshness: Freshness::default(),
            });
        }
        let change = state.store.create_change(&change, self.now).await?;
        if change.phase == Phase::PendingApproval.to_string() {
            let message = approvals::needed(&change);
            happened(state, About::Environment(&self.row), "ApprovalNeeded", message).await;
        }
        Ok(Edited {
            row: self.row.clone(),
            change: Some(change),
            warnings: self.checked.warnings.clone(),
            freshness: Freshness::default(),
        })
    }

    async fn write_new(&self, state: &ApiState, change: Option<NewChange>) -> ApiResult<Edited> {
        if self.edit.dry_run {
            return Ok(self.tried_out(change));
        }
        self.write(state, Beside { change: change.map(ChangeLink::Create), ..Beside::default() }).await
    }

    async fn write(&self, state: &ApiState, beside: Beside) -> ApiResult<Edited> {
        let metadata = &self.checked.environment.metadata;
        let generation = self.row.generation + 1;
        let now = self.now;
        let status = move |old: &Value| spec_written(old, generation, now);
        let update = EnvironmentUpdate {
            precondition: Precondition {
                uid: Some(self.row.uid),
                resource_version: self.version,
                generation: Some(self.row.generation),
            },
            made_from: Some(&self.row),
            labels: (metadata.labels != self.row.labels).then(|| metadata.labels.clone()),
            annotations: (metadata.annotations != self.row.annotations).then(|| metadata.annotations.clone()),
            finalizers: (self.finalizers != self.row.finalizers).then(|| self.finalizers.clone()),
            managed_fields: (self.managed != self.row.managed_fields).then(|| self.managed.clone()),
            spec: self.spec_changed.then(|| SpecWrite {
                spec: self.checked.spec.clone(),
                claims: self.checked.claims.clone(),
                diff: diff::fields(&self.row.spec, &self.checked.spec),
                author: self.edit.author.clone(),
                message: self.message.clone(),
                status: StatusPatch::Apply(&status),
            }),
            change: beside.change,
            approvals: beside.approvals,
            ..EnvironmentUpdate::new(&self.row.name, now)
        };
        let written = state.store.update_environment(&update).await.map_err(|error| self.checked.refused(error))?;
        Ok(Edited {
            row: written.environment,
            change: written.change,
            warnings: self.checked.warnings.clone(),
            freshness: Freshness::default(),
        })
    }

    /// What a dry run shows: the object as it would be, with the version it has.
    fn tried_out(&self, change: Option<NewChange>) -> Edited {
        let mut row = self.row.clone();
        let metadata = self.checked.environment.metadata.clone();
        row.labels = metadata.labels;
        row.annotations = metadata.annotations;
        row.finalizers.clone_from(&self.finalizers);
        row.managed_fields = self.managed.clone();
        if self.spec_changed {
            row.generation += 1;
            row.revision += 1;
            row.status = spec_written(&row.status, row.generation, self.now);
            row.spec = self.checked.spec.clone();
        }
        let revision = self.spec_changed.then_some(row.revision);
        let change = change.map(|new| shown(new, revision, self.now));
        Edited { row, change, warnings: self.checked.warnings.clone(), freshness: Freshness::default() }
    }
}

/// A change as it would be recorded.
fn shown(new: NewChange, revision: Option<i64>, now: Timestamp) -> ChangeRow {
    ChangeRow {
        uid: Uuid::nil(),
        name: new.name,
        environment: new.environment,
        environment_uid: new.environment_uid,
        resource_version: 0,
        phase: new.phase,
        origin: new.origin,
        apply: new.apply,
        author: new.author,
        message: new.message,
        patch: new.patch,
        plan: new.plan,
        plan_hash: new.plan_hash,
        approvals: json!([]),
        requires: new.requires,
        waiting: Value::Null,
        outcome: new.outcome,
        revision,
        base_revision: new.base_revision,
        generation: new.generation,
        field_manager: new.field_manager,
        applied_at: new.applied_at,
        created_at: now,
        expires_at: new.expires_at,
        finished_at: new.finished_at,
    }
}
