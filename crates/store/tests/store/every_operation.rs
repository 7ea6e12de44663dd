//! Each operation label is observed at least once, so that no method (and no statement behind it) goes untried, and the
//! observer is told how each call ended.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use store::{
    Acquired, Attempt, Cap, ChangeFilter, ChangeUpdate, EnvironmentFilter, EventFilter, Freshness, Intent,
    MutationOutcome, NewApproval, NewChange, NewRequest, Operation, OperatorUpdate, Origin, PageRequest, PassRecord,
    Precondition, QueryObserver, QueryOutcome, Refusal, RequestKind, Resolution, StatusWrite, Store,
};
use strum::VariantArray;

use crate::postgres::test_database;
use crate::support::{ACCOUNT, alarm, at, event, new_environment, update_spec, upsert};

#[derive(Default)]
struct Recorder(Mutex<Vec<(Operation, QueryOutcome)>>);

impl QueryObserver for Recorder {
    fn observe(&self, operation: Operation, outcome: QueryOutcome, _elapsed: Duration) {
        self.0.lock().unwrap().push((operation, outcome));
    }
}

#[tokio::test]
async fn every_operation_runs_and_is_observed() {
    let db = test_database().await;
    let recorder = Arc::new(Recorder::default());
    let store = Store::from_pool_observed(db.pool.clone(), recorder.clone());
    let none = Precondition::default();
    let all = PageRequest::default();

    store.ping().await.unwrap();
    store.migrate().await.unwrap();
    store.schema_status().await.unwrap();
    let environment = store.create_environment(&new_environment("prod")).await.unwrap().environment;
    let uid = environment.uid;
    store.get_environment("prod").await.unwrap();
    store.list_environments(&EnvironmentFilter::default(), &all).await.unwrap();
    store.update_environment(&update_spec("prod", json!({ "v": 2 }))).await.unwrap();
    store.set_pause("prod", none, None).await.unwrap();
    store.replace_claims(uid, &[alarm("a")]).await.unwrap();
    store.claims_of(uid).await.unwrap();
    store.list_revisions(None, &all).await.unwrap();

    let Acquired::Held(lease) = store.acquire_lease(ACCOUNT, "one", Duration::from_mins(1)).await.unwrap() else {
        panic!()
    };
    let fence = lease.fence();
    store.renew_lease(&fence, "one", Duration::from_mins(1)).await.unwrap();
    store.leases().await.unwrap();
    let status = json!({ "ready": true });
    store.write_status(StatusWrite { uid, generation: 2, status: &status }, &fence).await.unwrap();
    store.upsert_resources(uid, &[upsert("a", json!(1))], &fence, at(1)).await.unwrap();
    store.list_resources(&store::ResourceFilter::default(), &all).await.unwrap();
    let pass = PassRecord {
        uid,
        generation: 2,
        status: &status,
        resources: &[],
        gone: &[],
        events: &[event("A", "a", 1)],
        changes: &[],
        now: at(1),
    };
    store.record_pass(&pass, &fence).await.unwrap();
    store.delete_resources(uid, &[alarm("a")], &fence).await.unwrap();
    store.changes_since(0, &[], 1).await.unwrap();
    store.prune_log(Duration::from_mins(1)).await.unwrap();

    let change = NewChange {
        name: "c1".to_owned(),
        environment: "prod".to_owned(),
        environment_uid: Some(uid),
        phase: "Pending".to_owned(),
        author: "alice".to_owned(),
        message: String::new(),
        patch: json!({}),
        plan: Value::Null,
        plan_hash: None,
        outcome: Value::Null,
        revision: None,
        expires_at: None,
        finished_at: None,
        ..NewChange::default()
    };
    store.create_change(&change, at(1)).await.unwrap();
    store.list_changes(&ChangeFilter::default(), &all).await.unwrap();
    store.update_change("c1", none, &ChangeUpdate::default()).await.unwrap();
    let approval = NewApproval {
        environment_uid: uid,
        plan_hash: "h".to_owned(),
        steps: Vec::new(),
        apply: None,
        approver: "alice".to_owned(),
        now: at(1),
        expires_at: at(2),
    };
    store.approve(&approval).await.unwrap();
    store.valid_approvals(uid, at(1)).await.unwrap();
    store.consume_approvals(uid, "h", at(1)).await.unwrap();
    store.write_events(&[event("B", "b", 1)]).await.unwrap();
    store.list_events(&EventFilter::default(), &all).await.unwrap();
    store.prune_events(at(100)).await.unwrap();
    store.prune_approvals(at(100)).await.unwrap();
    store.prune_changes(at(100)).await.unwrap();

    let intent = Intent {
        environment_uid: uid,
        environment: "prod".to_owned(),
        generation: 2,
        resource: alarm("a"),
        step: "PutAlarm".to_owned(),
        body: json!({}),
        risk: "Safe".to_owned(),
        token: "t".to_owned(),
        now: at(1),
    };
    let id = store.begin_mutation(&intent, &fence).await.unwrap();
    store.begin_mutation_within(&intent, &fence, &Cap { most: 1, since: at(0) }).await.unwrap();
    store.resolve_mutation(id, MutationOutcome::Applied, &Resolution::default(), at(1)).await.unwrap();
    store.unresolved_mutations(uid).await.unwrap();
    store.prune_journal(at(100)).await.unwrap();
    let request = NewRequest {
        kind: RequestKind::Reconcile,
        shard: ACCOUNT.to_owned(),
        environment: "prod".to_owned(),
        body: json!({}),
        ttl: Duration::from_mins(1),
    };
    let token = store.ask(&request).await.unwrap();
    store.pending_requests(&[ACCOUNT.to_owned()]).await.unwrap();
    store.answer_request(token, &json!({})).await.unwrap();
    store.prune_requests(Duration::ZERO).await.unwrap();
    store.get_operator().await.unwrap();
    store.update_operator(none, &OperatorUpdate::default()).await.unwrap();
    let sweep = Freshness {
        account: ACCOUNT.to_owned(),
        region: "us-east-1".to_owned(),
        kind: "Alarm".to_owned(),
        observed_at: at(1),
    };
    store.write_freshness(&fence, &[sweep]).await.unwrap();
    store.sweeps(&[]).await.unwrap();
    store.prune_sweeps(at(0)).await.unwrap();
    store.chain_audit(&fence).await.unwrap();
    store.prune_audit(Duration::from_mins(1), &fence).await.unwrap();
    let origin = Origin {
        actor: "eve".to_owned(),
        groups: Vec::new(),
        address: None,
        user_agent: None,
        request_id: None,
        request: None,
        verb: None,
        at: at(1),
    };
    let refusal = Refusal {
        verb: "delete".to_owned(),
        kind: "Environment".to_owned(),
        name: String::new(),
        environment: String::new(),
        code: 403,
        message: String::new(),
        count: 1,
    };
    store.acting_as(origin).record_refusal(&refusal).await.unwrap();
    store.audit_state().await.unwrap();
    store.enrol_receivers(&["ops"], &fence).await.unwrap();
    store.events_after(0, 1).await.unwrap();
    store.queue_notifications(0, &[], &fence).await.unwrap();
    store.due_notifications("ops", 1).await.unwrap();
    store.end_delivery(0, &Attempt::Delivered).await.unwrap();
    store.prune_notifications(Duration::ZERO, &fence).await.unwrap();
    store.release_lease(&fence, "one").await.unwrap();
    store.request_delete("prod", none, None, at(2)).await.unwrap();
    store.remove_environment(uid, None).await.unwrap();
    store.get_environment("prod").await.unwrap_err();

    let observed = recorder.0.lock().unwrap();
    let labels: BTreeSet<Operation> = observed.iter().map(|(operation, _)| *operation).collect();
    let never: Vec<_> = Operation::VARIANTS.iter().filter(|operation| !labels.contains(operation)).collect();
    assert!(never.is_empty(), "never observed: {never:?}");
    assert_eq!(observed.last(), Some(&(Operation::GetEnvironment, QueryOutcome::Refused)));
    let refused = observed.iter().filter(|(_, outcome)| *outcome != QueryOutcome::Ok).count();
    assert_eq!(refused, 1);
}
