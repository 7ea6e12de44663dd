//! Changes, approvals and the Operator singleton.

use serde_json::{Value, json};
use store::{
    Caps, ChangeFilter, ChangeLink, ChangeMove, ChangeRow, ChangeUpdate, ChangeWrite, EnvironmentUpdate, Error,
    EventFilter, Intent, LoggedEvent, MutationOutcome, NewApproval, NewChange, OperatorMode, OperatorRow,
    OperatorUpdate, PageRequest, Precondition, Resolution,
};
use uuid::Uuid;

use crate::postgres::test_database;
use crate::support::{alarm, at, create, event, footprint, hold, update_spec};

fn pending(name: &str) -> NewChange {
    NewChange {
        name: name.to_owned(),
        environment: "prod".to_owned(),
        environment_uid: None,
        phase: "Pending".to_owned(),
        author: "alice".to_owned(),
        message: "multi-AZ off".to_owned(),
        patch: json!({ "spec": { "database": { "multiAz": false } } }),
        plan: json!({ "steps": [] }),
        plan_hash: Some("hash".to_owned()),
        outcome: Value::Null,
        revision: None,
        expires_at: Some(at(3600)),
        finished_at: None,
        ..NewChange::default()
    }
}

#[tokio::test]
async fn a_change_goes_from_pending_to_applied() {
    let db = test_database().await;
    let store = db.store();
    create(&store, "prod").await;
    let created = store.create_change(&pending("c1"), at(1)).await.unwrap();
    assert_eq!((created.phase.as_str(), created.created_at, &created.approvals), ("Pending", at(1), &json!([])));
    assert!(matches!(store.create_change(&pending("c1"), at(1)).await, Err(Error::AlreadyExists { .. })));

    let approved = ChangeUpdate {
        phase: Some("Approved".to_owned()),
        approvals: Some(json!([{ "by": "carol" }])),
        ..ChangeUpdate::default()
    };
    let fresh = Precondition { resource_version: Some(created.resource_version), ..Precondition::default() };
    let row = store.update_change("c1", fresh, &approved).await.unwrap();
    assert_eq!((row.phase.as_str(), &row.plan), ("Approved", &created.plan));
    assert!(row.resource_version > created.resource_version);
    assert!(matches!(store.update_change("c1", fresh, &approved).await, Err(Error::Conflict { .. })));
    let before = footprint(&db.pool).await;
    assert_eq!(store.update_change("c1", Precondition::default(), &approved).await.unwrap(), row);
    assert_eq!(footprint(&db.pool).await, before);

    // Applied together with the spec that it brings.
    let update =
        ChangeUpdate { phase: Some("Applied".to_owned()), finished_at: Some(at(9)), ..ChangeUpdate::default() };
    let link = ChangeLink::Update { name: "c1".to_owned(), precondition: Precondition::default(), update };
    let update = EnvironmentUpdate { change: Some(link), ..update_spec("prod", json!({ "v": 2 })) };
    let written = store.update_environment(&update).await.unwrap();
    let change = written.change.unwrap();
    assert_eq!((change.phase.as_str(), change.revision, change.finished_at), ("Applied", Some(2), Some(at(9))));

    let log = store.changes_since(0, &["Change"], 10).await.unwrap();
    assert_eq!(log.len(), 3);
    let last: ChangeRow = serde_json::from_value(log[2].object.clone()).unwrap();
    assert_eq!((last, log[2].event), (change, LoggedEvent::Modified));
}

#[tokio::test]
async fn changes_are_filtered_and_paged() {
    let db = test_database().await;
    let store = db.store();
    create(&store, "prod").await;
    for name in ["c1", "c2", "c3"] {
        store.create_change(&pending(name), at(1)).await.unwrap();
    }
    let other = NewChange { environment: "other".to_owned(), phase: "Failed".to_owned(), ..pending("c4") };
    store.create_change(&NewChange { finished_at: Some(at(2)), ..other }, at(1)).await.unwrap();
    let names = async |filter: ChangeFilter, page: PageRequest| {
        let page = store.list_changes(&filter, &page).await.unwrap();
        (page.items.into_iter().map(|row| row.name).collect::<Vec<_>>(), page.next)
    };
    let all = ChangeFilter::default;
    assert_eq!(names(all(), PageRequest::default()).await.0, ["c1", "c2", "c3", "c4"]);
    let (first, next) = names(all(), PageRequest { limit: Some(3), after: None }).await;
    assert_eq!((first.len(), next.as_deref()), (3, Some("c3")));
    assert_eq!(names(all(), PageRequest { limit: Some(3), after: next }).await, (vec!["c4".to_owned()], None));
    let filter = ChangeFilter { environment: Some("prod".to_owned()), ..all() };
    assert_eq!(names(filter, PageRequest::default()).await.0.len(), 3);
    let filter = ChangeFilter { phases: vec!["Failed".to_owned()], ..all() };
    assert_eq!(names(filter, PageRequest::default()).await.0, ["c4"]);
    let filter = ChangeFilter { open_only: true, ..all() };
    assert_eq!(names(filter, PageRequest::default()).await.0, ["c1", "c2", "c3"]);
}

#[tokio::test]
async fn a_change_is_deleted_under_its_precondition() {
    let db = test_database().await;
    let store = db.store();
    let created = store.create_change(&pending("c1"), at(1)).await.unwrap();
    let stale = Precondition { resource_version: Some(1), ..Precondition::default() };
    assert!(matches!(store.delete_change("c1", stale).await, Err(Error::Conflict { .. })));
    let other = Precondition { uid: Some(Uuid::new_v4()), ..Precondition::default() };
    assert!(matches!(store.delete_change("c1", other).await, Err(Error::NotFound { .. })));
    assert!(matches!(store.update_change("c1", other, &ChangeUpdate::default()).await, Err(Error::NotFound { .. })));
    assert_eq!(store.get_change("c1").await.unwrap(), created);
    store.delete_change("c1", Precondition::default()).await.unwrap();
    assert!(matches!(store.get_change("c1").await, Err(Error::NotFound { .. })));
    assert!(matches!(store.delete_change("c1", Precondition::default()).await, Err(Error::NotFound { .. })));
    let log = store.changes_since(0, &["Change"], 10).await.unwrap();
    assert_eq!(log.last().unwrap().event, LoggedEvent::Deleted);
}

#[tokio::test]
async fn a_withdrawn_change_is_shown_no_more_and_remembered_with_its_plan() {
    let db = test_database().await;
    let store = db.store();
    let environment = create(&store, "prod").await;
    let uid = environment.uid;
    let open = NewChange { environment_uid: Some(uid), ..pending("c1") };
    store.create_change(&open, at(1)).await.unwrap();
    let approval = NewApproval {
        environment_uid: uid,
        plan_hash: "hash".to_owned(),
        steps: vec!["print".to_owned()],
        apply: Some("InWindow".to_owned()),
        approver: "carol".to_owned(),
        now: at(2),
        expires_at: at(3600),
    };
    assert_eq!(store.approve(&approval).await.unwrap().apply.as_deref(), Some("InWindow"));
    assert_eq!(store.open_changes(uid).await.unwrap().len(), 1);
    assert_eq!(store.last_closed_change(uid, "hash").await.unwrap(), None);

    let none = Precondition::default();
    let outcome = json!({ "by": "alice" });
    store.withdraw_change("c1", none, "Withdrawn", &outcome, at(5)).await.unwrap();
    assert!(matches!(store.get_change("c1").await, Err(Error::NotFound { .. })));
    assert!(matches!(
        store.withdraw_change("c1", none, "Withdrawn", &outcome, at(6)).await,
        Err(Error::NotFound { .. })
    ));
    assert!(store.list_changes(&ChangeFilter::default(), &PageRequest::default()).await.unwrap().items.is_empty());
    assert!(store.open_changes(uid).await.unwrap().is_empty());
    assert!(store.valid_approvals(uid, at(6)).await.unwrap().is_empty(), "its approvals are void");
    let last = store.last_closed_change(uid, "hash").await.unwrap().unwrap();
    assert_eq!((last.phase.as_str(), last.finished_at), ("Withdrawn", Some(at(5))));
    let log = store.changes_since(0, &["Change"], 10).await.unwrap();
    assert_eq!(log.last().unwrap().event, LoggedEvent::Deleted);
}

#[tokio::test]
async fn what_is_open_ends_with_its_environment() {
    let db = test_database().await;
    let store = db.store();
    let uid = create(&store, "prod").await.uid;
    for name in ["c1", "c2"] {
        let open = NewChange { environment_uid: Some(uid), ..pending(name) };
        store.create_change(&open, at(1)).await.unwrap();
    }
    store.request_delete("prod", Precondition::default(), None, at(2)).await.unwrap();
    store.remove_environment(uid, None).await.unwrap();
    for name in ["c1", "c2"] {
        let ended = store.get_change(name).await.unwrap();
        assert_eq!((ended.phase.as_str(), &ended.outcome["reason"]), ("Superseded", &json!("EnvironmentDeleted")));
        assert!(ended.finished_at.is_some());
    }
    assert!(store.open_changes(uid).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_move_from_a_version_that_is_gone_is_neither_made_nor_told() {
    let db = test_database().await;
    let store = db.store();
    create(&store, "prod").await;
    let fence = hold(&store, "one").await;
    let created = store.create_change(&pending("c1"), at(1)).await.unwrap();
    let to = |phase: &str, version| ChangeMove {
        write: ChangeWrite::Update {
            name: "c1".to_owned(),
            version,
            update: Box::new(ChangeUpdate { phase: Some(phase.to_owned()), ..ChangeUpdate::default() }),
        },
        events: vec![event(phase, "c1", 1)],
    };
    let opened =
        ChangeMove { write: ChangeWrite::Open(Box::new(pending("c2"))), events: vec![event("Opened", "c2", 1)] };
    let moves = [to("Applying", created.resource_version), to("Failed", created.resource_version), opened];
    store.move_changes(&moves, &fence, at(2)).await.unwrap();
    assert_eq!(store.get_change("c1").await.unwrap().phase, "Applying");
    assert_eq!(store.get_change("c2").await.unwrap().created_at, at(2));
    let events = store.recent_events(&EventFilter::default(), 10).await.unwrap();
    let mut reasons: Vec<String> = events.into_iter().map(|event| event.reason).collect();
    reasons.sort();
    assert_eq!(reasons, ["Applying", "Opened"]);
    let before = footprint(&db.pool).await;
    let stale = store::Fence { epoch: fence.epoch + 1, ..fence.clone() };
    assert!(matches!(store.move_changes(&moves, &stale, at(3)).await, Err(Error::StaleEpoch { .. })));
    assert_eq!(footprint(&db.pool).await, before);
}

#[tokio::test]
async fn a_spec_its_approvals_and_the_end_of_another_change_are_written_together_or_not_at_all() {
    let db = test_database().await;
    let store = db.store();
    let environment = create(&store, "prod").await;
    let fence = hold(&store, "one").await;
    let bad = store.create_change(&pending("bad"), at(1)).await.unwrap();
    let settled = ChangeMove {
        write: ChangeWrite::Update {
            name: "bad".to_owned(),
            version: bad.resource_version,
            update: Box::new(ChangeUpdate {
                phase: Some("RolledBack".to_owned()),
                finished_at: Some(at(9)),
                ..ChangeUpdate::default()
            }),
        },
        events: Vec::new(),
    };
    let approval = NewApproval {
        environment_uid: environment.uid,
        plan_hash: "hash".to_owned(),
        steps: vec!["print".to_owned()],
        apply: None,
        approver: "carol".to_owned(),
        now: at(2),
        expires_at: at(3600),
    };
    let stale = store::Fence { epoch: fence.epoch + 1, ..fence.clone() };
    let update = EnvironmentUpdate {
        change: Some(ChangeLink::Create(NewChange { base_revision: Some(1), ..pending("back") })),
        moves: vec![settled],
        approvals: vec![approval],
        events: vec![event("ChangeRolledBack", "bad", 9)],
        fence: Some(&stale),
        ..update_spec("prod", json!({ "v": 2 }))
    };
    let before = footprint(&db.pool).await;
    assert!(matches!(store.update_environment(&update).await, Err(Error::StaleEpoch { .. })));
    assert_eq!(footprint(&db.pool).await, before);
    let written = store.update_environment(&EnvironmentUpdate { fence: Some(&fence), ..update }).await.unwrap();
    let change = written.change.unwrap();
    assert_eq!((change.revision, change.generation, change.base_revision), (Some(2), Some(2), Some(1)));
    assert_eq!(store.get_change("bad").await.unwrap().phase, "RolledBack");
    assert_eq!(store.valid_approvals(environment.uid, at(3)).await.unwrap().len(), 1);
    assert_eq!(store.recent_events(&EventFilter::default(), 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_approval_counts_until_it_runs_out_or_is_used_up() {
    let db = test_database().await;
    let store = db.store();
    let environment = create(&store, "prod").await;
    let approve = async |hash: &str, approver: &str, second: i64| {
        let new = NewApproval {
            environment_uid: environment.uid,
            plan_hash: hash.to_owned(),
            steps: Vec::new(),
            apply: None,
            approver: approver.to_owned(),
            now: at(second),
            expires_at: at(second + 100),
        };
        store.approve(&new).await.unwrap()
    };
    let first = approve("h1", "alice", 0).await;
    let renewed = approve("h1", "alice", 50).await;
    assert_eq!((renewed.id, renewed.expires_at), (first.id, at(150)));
    approve("h1", "bob", 0).await;
    approve("h2", "bob", 0).await;
    let valid = async |second| store.valid_approvals(environment.uid, at(second)).await.unwrap();
    assert_eq!(valid(60).await.len(), 3);
    assert_eq!(valid(120).await, [renewed]);
    assert!(valid(150).await.is_empty());

    assert_eq!(store.consume_approvals(environment.uid, "h1", at(60)).await.unwrap(), 2);
    assert_eq!(store.consume_approvals(environment.uid, "h1", at(60)).await.unwrap(), 0);
    assert_eq!(store.consume_approvals(environment.uid, "h2", at(100)).await.unwrap(), 0, "it has run out");
    assert_eq!(valid(60).await.iter().map(|one| one.plan_hash.as_str()).collect::<Vec<_>>(), ["h2"]);
    // Used up is not for ever: the same plan can be approved anew.
    approve("h1", "alice", 60).await;
    assert_eq!(store.consume_approvals(environment.uid, "h1", at(61)).await.unwrap(), 1);

    let gone = NewApproval {
        environment_uid: Uuid::new_v4(),
        plan_hash: "h".to_owned(),
        steps: Vec::new(),
        apply: None,
        approver: "alice".to_owned(),
        now: at(0),
        expires_at: at(1),
    };
    assert!(matches!(store.approve(&gone).await, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn a_step_that_had_its_effect_is_used_up_in_what_was_approved_before() {
    let db = test_database().await;
    let store = db.store();
    let environment = create(&store, "prod").await;
    let fence = hold(&store, "one").await;
    let approve = async |hash: &str, steps: &[&str], second: i64| {
        let steps = steps.iter().map(|step| (*step).to_owned()).collect();
        let (plan_hash, approver) = (hash.to_owned(), "alice".to_owned());
        let (now, expires_at) = (at(second), at(1000));
        let environment_uid = environment.uid;
        let new = NewApproval { environment_uid, plan_hash, steps, apply: None, approver, now, expires_at };
        store.approve(&new).await.unwrap();
    };
    let left = async || {
        let valid = store.valid_approvals(environment.uid, at(100)).await.unwrap();
        valid.into_iter().map(|one| (one.plan_hash, one.steps.join(","))).collect::<Vec<_>>()
    };
    let act = async |step: &str, second: i64, effective: Option<bool>| {
        let intent = Intent {
            environment_uid: environment.uid,
            environment: "prod".to_owned(),
            generation: 1,
            resource: alarm("a"),
            step: "PutAlarm".to_owned(),
            body: json!({ "approvable": step }),
            risk: "Destructive".to_owned(),
            token: "t".to_owned(),
            now: at(second),
        };
        let id = store.begin_mutation(&intent, &fence).await.unwrap();
        let seen = Resolution { effective, ..Resolution::default() };
        store.resolve_mutation(id, MutationOutcome::Applied, &seen, at(second)).await.unwrap();
    };
    let of = |steps: &[(&str, &str)]| -> Vec<(String, String)> {
        steps.iter().map(|(hash, left)| ((*hash).to_owned(), (*left).to_owned())).collect()
    };
    act("one", 5, Some(true)).await;
    approve("h", &["one", "two"], 10).await;
    assert_eq!(left().await, of(&[("h", "one,two")]), "what was done before it was approved");
    act("one", 20, None).await;
    act("two", 21, Some(false)).await;
    assert_eq!(left().await, of(&[("h", "one,two")]), "no effect was seen");
    act("two", 22, Some(true)).await;
    assert_eq!(left().await, of(&[("h", "one")]));
    approve("again", &["two"], 30).await;
    assert_eq!(left().await, of(&[("h", "one"), ("again", "two")]), "approved anew");
    act("one", 40, Some(true)).await;
    assert_eq!(left().await, of(&[("again", "two")]));
}

#[tokio::test]
async fn what_ended_long_ago_is_forgotten_and_what_is_open_never() {
    let db = test_database().await;
    let store = db.store();
    let environment = create(&store, "prod").await;
    let change = |name: &str, finished_at| NewChange {
        name: name.to_owned(),
        environment: "prod".to_owned(),
        environment_uid: Some(environment.uid),
        phase: "Applying".to_owned(),
        author: "alice".to_owned(),
        finished_at,
        ..NewChange::default()
    };
    for (name, finished_at) in [("old", Some(at(10))), ("new", Some(at(60))), ("open", None)] {
        store.create_change(&change(name, finished_at), at(1)).await.unwrap();
    }
    let version = store.resource_version().await.unwrap();
    assert_eq!(store.prune_changes(at(50)).await.unwrap(), 1);
    let left = store.list_changes(&ChangeFilter::default(), &PageRequest::default()).await.unwrap();
    assert_eq!(left.items.iter().map(|change| change.name.as_str()).collect::<Vec<_>>(), ["new", "open"]);
    let told = store.changes_since(version, &["Change"], 10).await.unwrap();
    assert_eq!(
        told.iter().map(|entry| (entry.name.as_str(), entry.event)).collect::<Vec<_>>(),
        [("old", LoggedEvent::Deleted)]
    );

    for (hash, second) in [("old", 0), ("new", 60)] {
        let new = NewApproval {
            environment_uid: environment.uid,
            plan_hash: hash.to_owned(),
            steps: vec!["one".to_owned()],
            apply: None,
            approver: "alice".to_owned(),
            now: at(second),
            expires_at: at(second + 100),
        };
        store.approve(&new).await.unwrap();
    }
    store.consume_approvals(environment.uid, "old", at(40)).await.unwrap();
    assert_eq!(store.prune_approvals(at(50)).await.unwrap(), 1);
    assert_eq!(store.valid_approvals(environment.uid, at(70)).await.unwrap()[0].plan_hash, "new");
}

#[tokio::test]
async fn of_two_that_use_up_one_approval_one_gets_it() {
    let db = test_database().await;
    let store = db.store();
    let environment = create(&store, "prod").await;
    let new = NewApproval {
        environment_uid: environment.uid,
        plan_hash: "h".to_owned(),
        steps: Vec::new(),
        apply: None,
        approver: "alice".to_owned(),
        now: at(0),
        expires_at: at(100),
    };
    store.approve(&new).await.unwrap();
    let (left, right) = tokio::join!(
        store.consume_approvals(environment.uid, "h", at(1)),
        store.consume_approvals(environment.uid, "h", at(1))
    );
    assert_eq!(left.unwrap() + right.unwrap(), 1);
}

#[tokio::test]
async fn the_red_button_is_one_row_for_all_replicas() {
    let db = test_database().await;
    let store = db.store();
    let first = store.get_operator().await.unwrap();
    assert_eq!((first.mode, first.generation), (OperatorMode::Enforce, 1));
    assert_eq!(first.caps, Caps { count: None, share: None });

    let none = Precondition::default();
    let observe = OperatorUpdate { mode: Some(OperatorMode::Observe), ..OperatorUpdate::default() };
    let second = store.update_operator(none, &observe).await.unwrap();
    assert_eq!((second.mode, second.generation), (OperatorMode::Observe, 2));
    let before = footprint(&db.pool).await;
    assert_eq!(store.update_operator(none, &observe).await.unwrap(), second);
    assert_eq!(footprint(&db.pool).await, before);

    let stale = Precondition { resource_version: Some(first.resource_version), ..none };
    let conflict = store.update_operator(stale, &observe).await.unwrap_err();
    assert!(matches!(conflict, Error::Conflict { current } if current == second.resource_version));
    let caps = Caps { count: Some(5), share: Some(0.1) };
    let capped =
        store.update_operator(none, &OperatorUpdate { caps: Some(caps), ..OperatorUpdate::default() }).await.unwrap();
    assert_eq!((capped.mode, capped.caps, capped.generation), (OperatorMode::Observe, caps, 3));
    let status = OperatorUpdate { status: Some(json!({ "replicas": 2 })), ..OperatorUpdate::default() };
    let reported = store.update_operator(none, &status).await.unwrap();
    assert_eq!((reported.generation, &reported.status), (3, &json!({ "replicas": 2 })));
    assert_eq!(store.get_operator().await.unwrap(), reported);
    let log = store.changes_since(0, &["Operator"], 10).await.unwrap();
    assert_eq!(log.len(), 3);
    let last: OperatorRow = serde_json::from_value(log[2].object.clone()).unwrap();
    assert_eq!(last, reported);

    let nonsense = Caps { count: None, share: Some(1.5) };
    let refused = OperatorUpdate { caps: Some(nonsense), ..OperatorUpdate::default() };
    let error = store.update_operator(none, &refused).await.unwrap_err();
    assert!(matches!(error, Error::Violates { ref constraint, .. } if constraint == "operators_share_sane"));
}
