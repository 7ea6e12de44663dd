//! Creating, reading, changing and removing environments.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use store::{
    ChangeLink, EnvironmentFilter, EnvironmentUpdate, Error, Fence, LabelRequirement, NewChange, NewEnvironment,
    PageRequest, Pause, Precondition, Removal, SpecWrite, StatusPatch,
};
use uuid::Uuid;

use crate::postgres::test_database;
use crate::support::{
    alarm, at, create, exact_footprint, footprint, hold, new_environment, spec_write, update_spec, upsert,
};

#[tokio::test]
async fn a_created_environment_reads_back_as_written() {
    let db = test_database().await;
    let store = db.store();
    let new = NewEnvironment {
        labels: BTreeMap::from([("team".to_owned(), "backend".to_owned())]),
        annotations: BTreeMap::from([("note".to_owned(), "ü".to_owned())]),
        claims: vec![alarm("cpu-high")],
        ..new_environment("prod")
    };
    let written = store.create_environment(&new).await.unwrap();
    assert!(written.changed && written.spec_changed);

    let read = store.get_environment("prod").await.unwrap();
    assert_eq!(read, written.environment);
    assert_eq!(read, store.get_environment_by_uid(new.uid).await.unwrap());
    assert_eq!((read.generation, read.revision), (1, 1));
    assert_eq!((&read.spec, &read.status, &read.labels), (&new.spec, &new.status, &new.labels));
    assert_eq!(read.created_at, at(0));
    assert_eq!(store.claims_of(new.uid).await.unwrap(), [alarm("cpu-high")]);
    let revision = store.get_revision("prod", 1).await.unwrap();
    assert_eq!((revision.author.as_str(), &revision.spec, revision.generation), ("alice", &new.spec, 1));
    assert!(revision.resource_version > read.resource_version);
}

#[tokio::test]
async fn a_name_in_use_is_refused() {
    let db = test_database().await;
    let store = db.store();
    create(&store, "prod").await;
    let before = footprint(&db.pool).await;
    let error = store.create_environment(&new_environment("prod")).await.unwrap_err();
    assert!(matches!(error, Error::AlreadyExists { kind: "Environment", ref name } if name == "prod"), "{error:?}");
    assert_eq!(footprint(&db.pool).await, before);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let db = test_database().await;
    let store = db.store();
    let uid = Uuid::new_v4();
    assert!(matches!(store.get_environment("no").await, Err(Error::NotFound { .. })));
    assert!(matches!(store.get_environment_by_uid(uid).await, Err(Error::NotFound { .. })));
    assert!(matches!(store.update_environment(&update_spec("no", json!({}))).await, Err(Error::NotFound { .. })));
    let none = Precondition::default();
    assert!(matches!(store.request_delete("no", none, None, at(0)).await, Err(Error::NotFound { .. })));
    assert!(matches!(store.set_pause("no", none, None).await, Err(Error::NotFound { .. })));
    assert!(matches!(store.get_revision("no", 1).await, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn a_new_spec_raises_generation_and_revision_and_patches_the_status_as_it_is_now() {
    let db = test_database().await;
    let store = db.store();
    let before = create(&store, "prod").await;
    let to_unknown = |status: &Value| {
        let mut status = status.clone();
        status["ready"] = json!("Unknown");
        status
    };
    let update = EnvironmentUpdate {
        spec: Some(SpecWrite { status: StatusPatch::Apply(&to_unknown), ..spec_write(json!({ "a": 1 })) }),
        ..EnvironmentUpdate::new("prod", at(10))
    };
    let after = store.update_environment(&update).await.unwrap().environment;
    assert_eq!((after.generation, after.revision), (2, 2));
    assert!(after.resource_version > before.resource_version);
    assert_eq!(after.status, json!({ "conditions": [], "ready": "Unknown" }));
    let revision = store.get_revision("prod", 2).await.unwrap();
    assert_eq!((revision.author.as_str(), revision.message.as_str()), ("bob", "scale"));
    assert_eq!(revision.diff, json!([{ "path": "services.api.desiredCount" }]));
    assert_eq!(revision.created_at, at(10));
}

#[tokio::test]
async fn an_equal_spec_is_not_written() {
    let db = test_database().await;
    let store = db.store();
    create(&store, "prod").await;
    // Equal as stored: other order of keys, other spelling of the number.
    store.update_environment(&update_spec("prod", json!({ "n": 1000, "m": 1 }))).await.unwrap();
    let before = footprint(&db.pool).await;
    let same = update_spec("prod", serde_json::from_str("{\"m\":1,\"n\":1e3}").unwrap());
    let written = store.update_environment(&same).await.unwrap();
    assert!(!written.changed && !written.spec_changed);
    assert_eq!(written.environment.generation, 2);
    assert_eq!(footprint(&db.pool).await, before);
}

#[tokio::test]
async fn labels_change_without_generation_or_revision() {
    let db = test_database().await;
    let store = db.store();
    let before = create(&store, "prod").await;
    let labels = BTreeMap::from([("team".to_owned(), "web".to_owned())]);
    let update = EnvironmentUpdate {
        labels: Some(labels.clone()),
        finalizers: Some(Vec::new()),
        ..EnvironmentUpdate::new("prod", at(1))
    };
    let written = store.update_environment(&update).await.unwrap();
    assert!(written.changed && !written.spec_changed);
    let after = written.environment;
    assert_eq!((after.generation, after.revision, &after.labels), (1, 1, &labels));
    assert!(after.finalizers.is_empty());
    assert!(after.resource_version > before.resource_version);
    let again = store.update_environment(&update).await.unwrap();
    assert!(!again.changed);
    assert_eq!(again.environment.resource_version, after.resource_version);
}

#[tokio::test]
async fn a_stale_precondition_is_a_conflict_that_names_the_present_version() {
    let db = test_database().await;
    let store = db.store();
    let first = create(&store, "prod").await;
    let second = store.update_environment(&update_spec("prod", json!({ "a": 1 }))).await.unwrap().environment;
    let stale = [
        Precondition { resource_version: Some(first.resource_version), ..Precondition::default() },
        Precondition { generation: Some(1), ..Precondition::default() },
    ];
    for precondition in stale {
        let update = EnvironmentUpdate { precondition, ..update_spec("prod", json!({ "a": 2 })) };
        let error = store.update_environment(&update).await.unwrap_err();
        assert!(matches!(error, Error::Conflict { current } if current == second.resource_version), "{error:?}");
        assert!(matches!(store.set_pause("prod", precondition, None).await, Err(Error::Conflict { .. })));
        assert!(matches!(store.request_delete("prod", precondition, None, at(1)).await, Err(Error::Conflict { .. })));
    }
    let other = Precondition { uid: Some(Uuid::new_v4()), ..Precondition::default() };
    let update = EnvironmentUpdate { precondition: other, ..update_spec("prod", json!({ "a": 2 })) };
    assert!(matches!(store.update_environment(&update).await, Err(Error::NotFound { .. })));

    let fresh =
        Precondition { uid: Some(first.uid), resource_version: Some(second.resource_version), generation: Some(2) };
    let update = EnvironmentUpdate { precondition: fresh, ..update_spec("prod", json!({ "a": 2 })) };
    assert_eq!(store.update_environment(&update).await.unwrap().environment.generation, 3);
}

#[tokio::test]
async fn of_two_writers_with_one_precondition_one_wins() {
    let db = test_database().await;
    let store = db.store();
    let current = create(&store, "prod").await;
    let write = |count: i64| {
        let store = store.clone();
        async move {
            let precondition =
                Precondition { resource_version: Some(current.resource_version), ..Precondition::default() };
            let update = EnvironmentUpdate { precondition, ..update_spec("prod", json!({ "count": count })) };
            store.update_environment(&update).await
        }
    };
    let (left, right) = tokio::join!(write(1), write(2));
    let conflicts = [&left, &right].into_iter().filter(|one| matches!(one, Err(Error::Conflict { .. }))).count();
    assert_eq!(conflicts, 1, "{left:?} {right:?}");
    assert_eq!(store.get_environment("prod").await.unwrap().generation, 2);
}

#[tokio::test]
async fn the_change_record_is_written_with_the_spec_and_names_its_revision() {
    let db = test_database().await;
    let store = db.store();
    let environment = create(&store, "prod").await;
    let change = NewChange {
        name: "prod-7f3a".to_owned(),
        environment: "prod".to_owned(),
        environment_uid: None,
        phase: "Applied".to_owned(),
        author: "bob".to_owned(),
        message: "scale".to_owned(),
        patch: json!({ "spec": {} }),
        plan: Value::Null,
        plan_hash: None,
        outcome: Value::Null,
        revision: None,
        expires_at: None,
        finished_at: Some(at(10)),
        ..NewChange::default()
    };
    let update =
        EnvironmentUpdate { change: Some(ChangeLink::Create(change)), ..update_spec("prod", json!({ "a": 1 })) };
    let written = store.update_environment(&update).await.unwrap();
    let change = written.change.unwrap();
    assert_eq!((change.revision, change.environment_uid), (Some(2), Some(environment.uid)));
    assert_eq!(store.get_change("prod-7f3a").await.unwrap(), change);
    assert_eq!(store.get_revision("prod", 2).await.unwrap().change.as_deref(), Some("prod-7f3a"));

    // The same change again: nothing of it is written, neither spec nor record.
    let before = footprint(&db.pool).await;
    let again = EnvironmentUpdate { spec: Some(spec_write(json!({ "a": 2 }))), ..update.clone() };
    assert!(matches!(store.update_environment(&again).await, Err(Error::AlreadyExists { kind: "Change", .. })));
    assert_eq!(footprint(&db.pool).await, before);
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_overlap() {
    let db = test_database().await;
    let store = db.store();
    for name in ["e", "b", "d", "a", "c"] {
        create(&store, name).await;
    }
    let mut names = Vec::new();
    let mut page = PageRequest { limit: Some(2), after: None };
    loop {
        let got = store.list_environments(&EnvironmentFilter::default(), &page).await.unwrap();
        assert!(got.items.len() <= 2);
        assert_eq!(got.resource_version, store.resource_version().await.unwrap());
        names.extend(got.items.into_iter().map(|row| row.name));
        match got.next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    assert_eq!(names, ["a", "b", "c", "d", "e"]);
    assert_eq!(store.count_environments().await.unwrap(), 5);
}

#[tokio::test]
async fn an_empty_list_still_has_the_stores_version() {
    let db = test_database().await;
    let store = db.store();
    let page = store.list_environments(&EnvironmentFilter::default(), &PageRequest::default()).await.unwrap();
    assert!(page.items.is_empty() && page.next.is_none());
    assert_eq!(page.resource_version, 1);
}

#[tokio::test]
async fn label_selectors_mean_what_kubernetes_means() {
    let db = test_database().await;
    let store = db.store();
    for (name, labels) in [("a", vec![("tier", "web")]), ("b", vec![("tier", "db"), ("hot", "")]), ("c", vec![])] {
        let labels = labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        store.create_environment(&NewEnvironment { labels, ..new_environment(name) }).await.unwrap();
    }
    let strings = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
    let tier = || "tier".to_owned();
    let cases: [(Vec<LabelRequirement>, &[&str]); 7] = [
        (vec![LabelRequirement::equals("tier", "web")], &["a"]),
        (vec![LabelRequirement::In { key: tier(), values: strings(&["web", "db"]) }], &["a", "b"]),
        // Not in: also those without the label.
        (vec![LabelRequirement::NotIn { key: tier(), values: strings(&["web"]) }], &["b", "c"]),
        (vec![LabelRequirement::Exists { key: tier() }], &["a", "b"]),
        (vec![LabelRequirement::DoesNotExist { key: tier() }], &["c"]),
        (vec![LabelRequirement::Exists { key: tier() }, LabelRequirement::Exists { key: "hot".to_owned() }], &["b"]),
        (vec![], &["a", "b", "c"]),
    ];
    for (labels, expected) in cases {
        let filter = EnvironmentFilter { labels, ..EnvironmentFilter::default() };
        let page = store.list_environments(&filter, &PageRequest::default()).await.unwrap();
        let names: Vec<_> = page.items.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, expected, "{filter:?}");
    }
}

#[tokio::test]
async fn environments_are_found_by_account_and_name() {
    let db = test_database().await;
    let store = db.store();
    create(&store, "a").await;
    let elsewhere = NewEnvironment { account: "999999999999".to_owned(), ..new_environment("b") };
    store.create_environment(&elsewhere).await.unwrap();
    let filter = EnvironmentFilter { accounts: vec!["999999999999".to_owned()], ..EnvironmentFilter::default() };
    let page = store.list_environments(&filter, &PageRequest::default()).await.unwrap();
    assert_eq!(page.items.iter().map(|row| &row.name).collect::<Vec<_>>(), ["b"]);
    let filter = EnvironmentFilter { name: Some("a".to_owned()), ..EnvironmentFilter::default() };
    assert_eq!(store.list_environments(&filter, &PageRequest::default()).await.unwrap().items.len(), 1);
    let specs = store.specs_of_account("999999999999").await.unwrap();
    assert_eq!(specs, [(elsewhere.uid, "b".to_owned(), 1, elsewhere.spec)]);
    assert!(store.account_in_use("999999999999").await.unwrap());
    assert!(!store.account_in_use("000000000000").await.unwrap());
}

#[tokio::test]
async fn a_pause_is_kept_and_ended_and_setting_it_again_writes_nothing() {
    let db = test_database().await;
    let store = db.store();
    create(&store, "prod").await;
    let pause =
        Pause { reason: "migration".to_owned(), owner: "alice".to_owned(), until: Some(at(3600)), since: at(5) };
    let none = Precondition::default();
    let paused = store.set_pause("prod", none, Some(&pause)).await.unwrap();
    assert_eq!((paused.pause.as_ref(), paused.generation), (Some(&pause), 1));
    let before = footprint(&db.pool).await;
    assert_eq!(store.set_pause("prod", none, Some(&pause)).await.unwrap(), paused);
    assert_eq!(footprint(&db.pool).await, before);
    let resumed = store.set_pause("prod", none, None).await.unwrap();
    assert_eq!(resumed.pause, None);
    assert!(resumed.resource_version > paused.resource_version);
    assert_eq!(store.get_environment("prod").await.unwrap(), resumed);
}

#[tokio::test]
async fn deletion_is_asked_for_once_and_changes_no_generation() {
    let db = test_database().await;
    let store = db.store();
    create(&store, "prod").await;
    let none = Precondition::default();
    let status = json!({ "phase": "Deleting" });
    let first = store.request_delete("prod", none, Some(&status), at(5)).await.unwrap();
    assert_eq!((first.deletion_requested_at, first.generation, &first.status), (Some(at(5)), 1, &status));
    let again = store.request_delete("prod", none, None, at(9)).await.unwrap();
    assert_eq!(again, first);
}

#[tokio::test]
async fn only_what_was_asked_to_go_is_removed_and_its_history_stays() {
    let db = test_database().await;
    let store = db.store();
    let new = NewEnvironment { claims: vec![alarm("cpu-high")], ..new_environment("prod") };
    let environment = store.create_environment(&new).await.unwrap().environment;
    let fence = hold(&store, "one").await;
    store.upsert_resources(new.uid, &[upsert("cpu-high", json!({}))], &fence, at(1)).await.unwrap();

    let error = store.remove_environment(new.uid, Some(&fence)).await.unwrap_err();
    assert!(matches!(error, Error::Conflict { current } if current == environment.resource_version));
    store.request_delete("prod", Precondition::default(), None, at(5)).await.unwrap();
    let stale = Fence { epoch: fence.epoch + 1, ..fence.clone() };
    assert!(matches!(store.remove_environment(new.uid, Some(&stale)).await, Err(Error::StaleEpoch { .. })));
    assert_eq!(store.remove_environment(new.uid, Some(&fence)).await.unwrap(), Removal::Removed);
    assert_eq!(store.remove_environment(new.uid, Some(&fence)).await.unwrap(), Removal::AlreadyGone);

    assert!(matches!(store.get_environment("prod").await, Err(Error::NotFound { .. })));
    assert!(store.claims_of(new.uid).await.unwrap().is_empty());
    assert!(store.resources_of(new.uid).await.unwrap().is_empty());
    assert_eq!(store.get_revision("prod", 1).await.unwrap().environment_uid, new.uid);
    // The name can be used again, and its revisions go on.
    let next = create(&store, "prod").await;
    assert_eq!((next.generation, next.revision), (1, 2));
}

#[tokio::test]
async fn revisions_are_listed_in_numeric_order_page_by_page() {
    let db = test_database().await;
    let store = db.store();
    create(&store, "prod").await;
    create(&store, "other").await;
    for count in 2..=12 {
        store.update_environment(&update_spec("prod", json!({ "count": count }))).await.unwrap();
    }
    let mut numbers = Vec::new();
    let mut page = PageRequest { limit: Some(5), after: None };
    loop {
        let got = store.list_revisions(Some("prod"), &page).await.unwrap();
        numbers.extend(got.items.iter().map(|row| row.revision));
        match got.next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    assert_eq!(numbers, (1..=12).collect::<Vec<_>>());
    assert_eq!(store.list_revisions(None, &PageRequest::default()).await.unwrap().items.len(), 13);
}

#[tokio::test]
async fn input_that_postgres_cannot_hold_is_rejected_as_input() {
    let db = test_database().await;
    let store = db.store();
    create(&store, "prod").await;
    let error = store.update_environment(&update_spec("prod", json!({ "a": "nul \u{0}" }))).await.unwrap_err();
    assert!(matches!(error, Error::Rejected { .. }), "{error:?}");
    let error = store.get_environment("nul \u{0}").await.unwrap_err();
    assert!(matches!(error, Error::Rejected { .. }), "{error:?}");
}

#[tokio::test]
async fn reads_lock_nothing() {
    let db = test_database().await;
    let store = db.store();
    create(&store, "prod").await;
    let before = exact_footprint(&db.pool).await;
    store.get_environment("prod").await.unwrap();
    store.list_environments(&EnvironmentFilter::default(), &PageRequest::default()).await.unwrap();
    store.changes_since(0, &[], 10).await.unwrap();
    assert_eq!(exact_footprint(&db.pool).await, before);
}
