//! The audit trail: nothing is written without its entry, the chain is in the order of commits, and the database lets
//! nobody change it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::postgres::PgPool;
use store::{
    AUDIT_SHARD, Acquired, AuditFilter, AuditRow, Broken, Caps, ChangeUpdate, EnvironmentUpdate, Error, Fence, Head,
    Intent, MutationOutcome, NewApproval, NewChange, NewRequest, OperatorMode, OperatorUpdate, Origin, PageRequest,
    Pause, Precondition, Refusal, RequestKind, Resolution, Store, Verifier,
};
use uuid::Uuid;

use crate::postgres::test_database;
use crate::support::{alarm, at, create, hold, new_environment, spec_write, update_spec};

fn origin(actor: &str) -> Origin {
    Origin {
        actor: actor.to_owned(),
        groups: vec!["ops".to_owned()],
        address: Some("10.0.0.7".to_owned()),
        user_agent: Some("kubectl/v1.35".to_owned()),
        request_id: Some(Uuid::nil()),
        request: Some("PATCH /apis/eventchain.io/v1/environments/prod".to_owned()),
        verb: None,
        at: at(0),
    }
}

async fn lease(store: &Store, holder: &str) -> Fence {
    match store.acquire_lease(AUDIT_SHARD, holder, Duration::from_mins(1)).await.unwrap() {
        Acquired::Held(lease) => lease.fence(),
        other @ Acquired::HeldBy { .. } => panic!("expected to get the lease, found {other:?}"),
    }
}

/// Chains all that waits.
async fn chain(store: &Store, fence: &Fence) -> usize {
    let mut moved = 0;
    loop {
        let chained = store.chain_audit(fence).await.unwrap();
        moved += chained.moved;
        if !chained.more {
            return moved;
        }
    }
}

async fn all(store: &Store) -> Vec<AuditRow> {
    store.list_audit(&AuditFilter::default(), &PageRequest::default()).await.unwrap().items
}

async fn verify(store: &Store, expected: Option<Head>) -> Result<Head, Broken> {
    let mut verifier = Verifier::new(store.audit_checkpoints().await.unwrap(), expected);
    let mut after = 0;
    loop {
        let links = store.audit_links(after, 7).await.unwrap();
        let Some(last) = links.last() else { break };
        after = last.sequence;
        links.iter().try_for_each(|link| verifier.push(link))?;
    }
    verifier.finish(store.audit_state().await.unwrap().pending > 0)
}

async fn pending(pool: &PgPool) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM audit_pending").fetch_one(pool).await.unwrap()
}

/// Verb, kind, name, actor.
fn told(row: &AuditRow) -> (String, String, String, String) {
    let text = |pointer: &str| row.content.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    (text("/verb"), text("/object/kind"), text("/object/name"), text("/actor"))
}

fn new_change(name: &str) -> NewChange {
    NewChange {
        name: name.to_owned(),
        environment: "prod".to_owned(),
        environment_uid: None,
        phase: "Pending".to_owned(),
        author: "system:drift".to_owned(),
        message: "drift".to_owned(),
        patch: json!({ "spec": { "services": { "api": { "environment": { "TOKEN": "hunter2" } } } } }),
        plan: Value::Null,
        plan_hash: None,
        outcome: Value::Null,
        revision: None,
        expires_at: None,
        finished_at: None,
        ..NewChange::default()
    }
}

#[tokio::test]
async fn every_write_of_somebody_is_told_once_with_who_and_from_where() {
    let db = test_database().await;
    let store = Store::from_pool(db.pool.clone());
    let ann = store.acting_as(origin("ann"));
    let none = Precondition::default();
    let row = create(&ann, "prod").await;
    ann.update_environment(&update_spec("prod", json!({ "v": 2 }))).await.unwrap();
    let labels = EnvironmentUpdate {
        labels: Some(BTreeMap::from([("team".to_owned(), "a".to_owned())])),
        ..EnvironmentUpdate::new("prod", at(11))
    };
    ann.update_environment(&labels).await.unwrap();
    let pause = Pause { reason: "night".to_owned(), owner: "ann".to_owned(), until: None, since: at(12) };
    ann.set_pause("prod", none, Some(&pause)).await.unwrap();
    ann.set_pause("prod", none, None).await.unwrap();
    let approval = NewApproval {
        environment_uid: row.uid,
        plan_hash: "h".to_owned(),
        steps: vec!["print-1".to_owned()],
        approver: "ann".to_owned(),
        apply: None,
        now: at(13),
        expires_at: at(20),
    };
    ann.approve(&approval).await.unwrap();
    store.create_change(&new_change("c1"), at(14)).await.unwrap();
    let approved = ChangeUpdate { phase: Some("Approved".to_owned()), ..ChangeUpdate::default() };
    store
        .acting_as(Origin { verb: Some("approve"), ..origin("bob") })
        .update_change("c1", none, &approved)
        .await
        .unwrap();
    ann.delete_change("c1", none).await.unwrap();
    let observe = OperatorUpdate { mode: Some(OperatorMode::Observe), ..OperatorUpdate::default() };
    ann.update_operator(none, &observe).await.unwrap();
    let request = NewRequest {
        kind: RequestKind::Reconcile,
        shard: row.account.clone(),
        environment: "prod".to_owned(),
        body: json!({}),
        ttl: Duration::from_secs(9),
    };
    ann.ask(&request).await.unwrap();
    ann.ask(&NewRequest { kind: RequestKind::Plan, ..request }).await.unwrap();
    ann.request_delete("prod", none, None, at(15)).await.unwrap();
    store.remove_environment(row.uid, None).await.unwrap();

    let fence = lease(&store, "one").await;
    chain(&store, &fence).await;
    let rows = all(&store).await;
    let told: Vec<_> = rows.iter().map(told).collect();
    let expected = [
        ("create", "Environment", "prod", "ann"),
        ("update", "Environment", "prod", "ann"),
        ("update", "Environment", "prod", "ann"),
        ("pause", "Environment", "prod", "ann"),
        ("resume", "Environment", "prod", "ann"),
        ("approve", "Environment", "prod", "ann"),
        ("create", "Change", "c1", "system:drift"),
        ("approve", "Change", "c1", "bob"),
        ("delete", "Change", "c1", "ann"),
        ("update", "Operator", "default", "ann"),
        ("reconcile", "Environment", "prod", "ann"),
        ("delete", "Environment", "prod", "ann"),
        ("finalize", "Environment", "prod", "system:operator"),
    ];
    let expected: Vec<_> = expected
        .map(|(verb, kind, name, actor)| (verb.to_owned(), kind.to_owned(), name.to_owned(), actor.to_owned()))
        .into();
    assert_eq!(told, expected);
    let first = &rows[0].content;
    assert_eq!(
        (&first["address"], &first["userAgent"], &first["groups"][0], &first["message"]),
        (&json!("10.0.0.7"), &json!("kubectl/v1.35"), &json!("ops"), &json!("first"))
    );
    assert_eq!((&first["generation"], &first["revision"]), (&json!(1), &json!(1)));
    assert_eq!(rows[2].content["diff"], json!([{ "field": "metadata.labels.team", "from": null, "to": "a" }]));
    assert_eq!(rows[9].content["diff"], json!([{ "field": "spec.mode", "from": "Enforce", "to": "Observe" }]));
    assert!(!format!("{rows:?}").contains("hunter2"), "plain environment values are masked");
    assert_eq!(verify(&store, None).await.unwrap().sequence, 13);
}

#[tokio::test]
async fn a_write_that_changes_nothing_or_fails_leaves_no_entry() {
    let db = test_database().await;
    let store = Store::from_pool(db.pool.clone()).acting_as(origin("ann"));
    let none = Precondition::default();
    create(&store, "prod").await;
    assert_eq!(pending(&db.pool).await, 1);
    let same = spec_write(new_environment("prod").spec);
    let update = EnvironmentUpdate { spec: Some(same), ..EnvironmentUpdate::new("prod", at(10)) };
    assert!(!store.update_environment(&update).await.unwrap().changed);
    store.set_pause("prod", none, None).await.unwrap();
    store.update_operator(none, &OperatorUpdate::default()).await.unwrap();
    store.create_environment(&new_environment("prod")).await.unwrap_err();
    let stale = Precondition { resource_version: Some(1), ..none };
    store.request_delete("prod", stale, None, at(11)).await.unwrap_err();
    let status = OperatorUpdate { status: Some(json!({ "x": 1 })), ..OperatorUpdate::default() };
    store.update_operator(none, &status).await.unwrap();
    assert_eq!(pending(&db.pool).await, 1, "status is the daemon's word, not somebody's write");
    let caps = OperatorUpdate { caps: Some(Caps { count: Some(3), share: None }), ..OperatorUpdate::default() };
    store.update_operator(none, &caps).await.unwrap();
    assert_eq!(pending(&db.pool).await, 2);
}

#[tokio::test]
async fn a_crash_between_write_and_chain_loses_nothing_and_tells_nothing_twice() {
    let db = test_database().await;
    let store = Store::from_pool(db.pool.clone());
    create(&store, "a").await;
    // The writer that should have chained it is gone; another replica takes over.
    let fence = lease(&store, "one").await;
    sqlx::query("UPDATE leases SET expires_at = clock_timestamp() - interval '1 second'")
        .execute(&db.pool)
        .await
        .unwrap();
    create(&store, "b").await;
    let successor = lease(&store, "two").await;
    let stale = store.chain_audit(&fence).await.unwrap_err();
    assert!(matches!(stale, Error::StaleEpoch { .. }), "{stale:?}");
    assert_eq!((pending(&db.pool).await, all(&store).await.len()), (2, 0), "a stale writer leaves no trace");
    assert_eq!(chain(&store, &successor).await, 2);
    assert_eq!(chain(&store, &successor).await, 0);
    assert_eq!(pending(&db.pool).await, 0);
    assert_eq!(verify(&store, None).await.unwrap().sequence, 2);
}

#[tokio::test]
async fn two_writers_at_once_never_fork_the_chain() {
    let db = test_database().await;
    let store = Store::from_pool(db.pool.clone());
    let fence = lease(&store, "one").await;
    for round in 0..10 {
        create(&store, &format!("e{round}")).await;
        // Both hold the same epoch: as if one process ran the writer twice.
        let (one, two) = tokio::join!(store.chain_audit(&fence), store.chain_audit(&fence));
        for result in [one, two] {
            assert!(matches!(result, Ok(_) | Err(Error::Violates { .. } | Error::Unavailable { .. })), "{result:?}");
        }
        chain(&store, &fence).await;
    }
    assert_eq!(verify(&store, None).await.unwrap().sequence, 10);
}

#[tokio::test]
async fn the_chain_is_in_the_order_of_commits_under_many_writers() {
    let db = test_database().await;
    let store = Store::from_pool(db.pool.clone());
    let fence = lease(&store, "one").await;
    let writers = (0..8).map(|writer| {
        let store = store.acting_as(origin(&format!("writer-{writer}")));
        tokio::spawn(async move {
            create(&store, &format!("e{writer}")).await;
            for step in 0..10 {
                let name = format!("e{writer}");
                store.update_environment(&update_spec(&name, json!({ "step": step }))).await.unwrap();
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    while !writers.iter().all(tokio::task::JoinHandle::is_finished) {
        store.chain_audit(&fence).await.unwrap();
    }
    for writer in writers {
        writer.await.unwrap();
    }
    chain(&store, &fence).await;
    let rows = all(&store).await;
    assert_eq!(rows.len(), 88);
    let versions: Vec<i64> =
        rows.iter().map(|row| row.content["object"]["resourceVersion"].as_str().unwrap().parse().unwrap()).collect();
    assert!(versions.is_sorted(), "{versions:?}");
    assert_eq!(verify(&store, None).await.unwrap().sequence, 88);
}

#[tokio::test]
async fn the_database_refuses_to_change_or_lose_an_entry() {
    let db = test_database().await;
    let store = Store::from_pool(db.pool.clone());
    let fence = lease(&store, "one").await;
    create(&store, "a").await;
    chain(&store, &fence).await;
    create(&store, "b").await;
    for statement in [
        "UPDATE audit_log SET actor = 'nobody'",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
        "UPDATE audit_pending SET entry = '{}'",
        "DELETE FROM audit_pending",
        "TRUNCATE audit_pending",
    ] {
        let refused = sqlx::query(statement).execute(&db.pool).await.unwrap_err();
        let refused = refused.into_database_error().unwrap();
        assert_eq!(refused.constraint(), Some("audit_append_only"), "{statement}: {refused}");
    }
    assert_eq!((all(&store).await.len(), pending(&db.pool).await), (1, 1));
}

#[tokio::test]
async fn tampering_behind_the_triggers_is_found_at_the_first_entry_it_touched() {
    let db = test_database().await;
    let store = Store::from_pool(db.pool.clone());
    let fence = lease(&store, "one").await;
    for name in ["a", "b", "c", "d"] {
        create(&store.acting_as(origin("ann")), name).await;
    }
    chain(&store, &fence).await;
    let noted = verify(&store, None).await.unwrap();
    let tamper = async |statement: &'static str| {
        let mut tx = db.pool.begin().await.unwrap();
        sqlx::query("SET LOCAL session_replication_role = replica").execute(&mut *tx).await.unwrap();
        sqlx::query(statement).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    };
    tamper("UPDATE audit_log SET actor = 'bob' WHERE sequence = 3").await;
    assert_eq!(verify(&store, None).await.unwrap_err().sequence, 3);
    tamper("UPDATE audit_log SET content = replace(content, 'ann', 'bob') WHERE sequence = 2").await;
    assert_eq!(verify(&store, None).await.unwrap_err().sequence, 2);
    tamper("DELETE FROM audit_log WHERE sequence <= 3").await;
    assert_eq!(verify(&store, None).await.unwrap_err().sequence, 4);
    tamper("DELETE FROM audit_log").await;
    assert_eq!(verify(&store, None).await.unwrap().sequence, 0, "an empty trail looks like a new one");
    assert_eq!(verify(&store, Some(noted)).await.unwrap_err().sequence, 4, "and not to whoever noted its head");
}

#[tokio::test]
async fn old_entries_go_behind_a_checkpoint_and_the_rest_still_verifies() {
    let db = test_database().await;
    let store = Store::from_pool(db.pool.clone());
    let fence = lease(&store, "one").await;
    for name in ["a", "b", "c"] {
        create(&store, name).await;
    }
    chain(&store, &fence).await;
    assert_eq!(store.prune_audit(Duration::from_hours(1), &fence).await.unwrap(), 0);
    let before = store.resource_version().await.unwrap();
    assert_eq!(store.prune_audit(Duration::ZERO, &fence).await.unwrap(), 2, "the newest stays");
    assert_eq!(verify(&store, None).await.unwrap().sequence, 3, "also before the cut itself is chained");
    chain(&store, &fence).await;
    let rows = all(&store).await;
    assert_eq!(rows.iter().map(|row| row.sequence).collect::<Vec<_>>(), [3, 4]);
    assert_eq!((&rows[1].content["verb"], &rows[1].content["details"]["through"]), (&json!("prune"), &json!(2)));
    assert_eq!(verify(&store, None).await.unwrap().sequence, 4);
    let deleted = store.changes_since(before, &["AuditEntry"], 10).await.unwrap();
    let deleted: Vec<_> = deleted.iter().map(|entry| (entry.event.to_string(), entry.name.as_str())).collect();
    assert_eq!(deleted[..2], [("DELETED".to_owned(), "000000000001"), ("DELETED".to_owned(), "000000000002")]);
}

#[tokio::test]
async fn the_acts_that_followed_a_write_are_found_by_its_generation() {
    let db = test_database().await;
    let store = Store::from_pool(db.pool.clone());
    let shard = hold(&store, "owner").await;
    let fence = lease(&store, "one").await;
    let row = create(&store, "prod").await;
    let act = async |generation, second, request: &str| {
        let intent = Intent {
            environment_uid: row.uid,
            environment: "prod".to_owned(),
            generation,
            resource: alarm("a"),
            step: "PutMetricAlarm".to_owned(),
            body: json!({}),
            risk: "Safe".to_owned(),
            token: "t".to_owned(),
            now: at(second),
        };
        let id = store.begin_mutation(&intent, &shard).await.unwrap();
        let resolution = Resolution { request_id: Some(request.to_owned()), ..Resolution::default() };
        store.resolve_mutation(id, MutationOutcome::Applied, &resolution, at(second)).await.unwrap();
    };
    act(1, 1, "r1").await;
    store.update_environment(&update_spec("prod", json!({ "v": 2 }))).await.unwrap();
    act(2, 2, "r2").await;
    let later = store.acting_as(Origin { at: at(3), ..origin("ann") });
    let approval = NewApproval {
        environment_uid: row.uid,
        plan_hash: "h".to_owned(),
        steps: Vec::new(),
        approver: "ann".to_owned(),
        apply: None,
        now: at(3),
        expires_at: at(20),
    };
    later.approve(&approval).await.unwrap();
    act(2, 4, "r3").await;
    chain(&store, &fence).await;
    let rows = all(&store).await;
    let acts = store.acts_of(&rows.iter().collect::<Vec<_>>(), 10).await.unwrap();
    let requests = |sequence: i64| -> Vec<String> {
        acts.get(&sequence).into_iter().flatten().filter_map(|act| act.request_id.clone()).collect()
    };
    assert_eq!(requests(1), ["r1"]);
    assert_eq!(requests(2), ["r2", "r3"]);
    assert_eq!(requests(3), ["r3"], "what was done before the approval does not follow from it");
}

#[tokio::test]
async fn refusals_and_filters() {
    let db = test_database().await;
    let store = Store::from_pool(db.pool.clone());
    let fence = lease(&store, "one").await;
    create(&store.acting_as(origin("ann")), "prod").await;
    create(&store.acting_as(origin("bob")), "stage").await;
    let refusal = Refusal {
        verb: "delete".to_owned(),
        kind: "Environment".to_owned(),
        name: "prod".to_owned(),
        environment: "prod".to_owned(),
        code: 403,
        message: "not allowed".to_owned(),
        count: 4,
    };
    store.acting_as(origin("eve")).record_refusal(&refusal).await.unwrap();
    chain(&store, &fence).await;
    let count =
        async |filter: AuditFilter| store.list_audit(&filter, &PageRequest::default()).await.unwrap().items.len();
    assert_eq!(count(AuditFilter { environment: Some("prod".to_owned()), ..AuditFilter::default() }).await, 2);
    assert_eq!(count(AuditFilter { actor: Some("bob".to_owned()), ..AuditFilter::default() }).await, 1);
    assert_eq!(count(AuditFilter { verb: Some("delete".to_owned()), ..AuditFilter::default() }).await, 1);
    assert_eq!(count(AuditFilter { outcome: Some("Refused".to_owned()), ..AuditFilter::default() }).await, 1);
    let page = store.list_audit(&AuditFilter::default(), &PageRequest { limit: Some(2), after: None }).await.unwrap();
    let rest =
        store.list_audit(&AuditFilter::default(), &PageRequest { limit: Some(2), after: page.next }).await.unwrap();
    assert_eq!((rest.items.len(), rest.items[0].sequence, rest.next), (1, 3, None));
    assert_eq!(rest.items[0].content["count"], 4);
    let state = store.audit_state().await.unwrap();
    assert_eq!((state.sequence, state.pending, state.oldest_pending), (3, 0, None));
    store.get_audit(2).await.unwrap();
    assert!(matches!(store.get_audit(9).await.unwrap_err(), Error::NotFound { .. }));
}
