//! The journal of mutations.

use std::time::Duration;

use serde_json::json;
use store::{Acquired, Begun, Cap, Error, Fence, Intent, JournalFilter, MutationOutcome, Resolution, Store};
use uuid::Uuid;

use crate::postgres::test_database;
use crate::support::{ACCOUNT, alarm, at, expire_lease, hold, versions};

fn intent(environment_uid: Uuid, identity: &str, second: i64) -> Intent {
    Intent {
        environment_uid,
        environment: format!("env-{}", environment_uid.simple()),
        generation: 4,
        resource: alarm(identity),
        step: "PutAlarm".to_owned(),
        body: json!({ "field": "threshold", "from": 70, "to": 80 }),
        risk: "Safe".to_owned(),
        token: format!("token-{second}"),
        now: at(second),
    }
}

async fn settled(store: &Store, fence: &Fence, intent: &Intent, outcome: MutationOutcome) -> i64 {
    let id = store.begin_mutation(intent, fence).await.unwrap();
    assert!(store.resolve_mutation(id, outcome, &Resolution::default(), at(100)).await.unwrap());
    id
}

#[tokio::test]
async fn an_intent_is_unresolved_until_its_effect_is_known() {
    let db = test_database().await;
    let store = db.store();
    let fence = hold(&store, "one").await;
    let uid = Uuid::new_v4();
    let wanted = intent(uid, "a", 1);
    let before = versions(&db.pool).await;
    let id = store.begin_mutation(&wanted, &fence).await.unwrap();
    let open = store.unresolved_mutations(uid).await.unwrap();
    assert_eq!(open.len(), 1);
    let row = &open[0];
    assert_eq!((row.id, row.epoch, row.outcome, row.begun_at), (id, fence.epoch, None, at(1)));
    assert_eq!((&row.body, &row.token, &row.resource), (&wanted.body, &wanted.token, &wanted.resource));
    assert!(store.unresolved_mutations(Uuid::new_v4()).await.unwrap().is_empty());

    // The call was lost: still unresolved, until somebody has looked.
    let unknown = Resolution { error_class: Some("Transient".to_owned()), ..Resolution::default() };
    assert!(store.resolve_mutation(id, MutationOutcome::Unknown, &unknown, at(2)).await.unwrap());
    assert!(!store.resolve_mutation(id, MutationOutcome::Unknown, &unknown, at(2)).await.unwrap());
    assert_eq!(store.unresolved_mutations(uid).await.unwrap()[0].outcome, Some(MutationOutcome::Unknown));
    let applied = Resolution { request_id: Some("req-1".to_owned()), ..Resolution::default() };
    assert!(store.resolve_mutation(id, MutationOutcome::Applied, &applied, at(3)).await.unwrap());
    assert!(store.unresolved_mutations(uid).await.unwrap().is_empty());

    let row = &store.last_mutations(uid, &alarm("a"), 5).await.unwrap()[0];
    assert_eq!((row.outcome, row.resolved_at), (Some(MutationOutcome::Applied), Some(at(3))));
    assert_eq!((row.request_id.as_deref(), row.error_class.as_deref()), (Some("req-1"), Some("Transient")));
    assert_eq!(versions(&db.pool).await, before, "the journal has no resourceVersion");
}

#[tokio::test]
async fn a_known_outcome_is_final_and_verification_may_still_be_noted() {
    let db = test_database().await;
    let store = db.store();
    let fence = hold(&store, "one").await;
    let uid = Uuid::new_v4();
    let id = settled(&store, &fence, &intent(uid, "a", 1), MutationOutcome::Applied).await;
    let resolve = async |outcome, effective| {
        let resolution = Resolution { effective, ..Resolution::default() };
        store.resolve_mutation(id, outcome, &resolution, at(200)).await.unwrap()
    };
    assert!(!resolve(MutationOutcome::NotApplied, None).await);
    assert!(resolve(MutationOutcome::Applied, Some(false)).await);
    assert!(!resolve(MutationOutcome::Applied, Some(false)).await);
    let row = &store.last_mutations(uid, &alarm("a"), 1).await.unwrap()[0];
    assert_eq!((row.outcome, row.effective), (Some(MutationOutcome::Applied), Some(false)));
    assert_eq!(row.resolved_at, Some(at(100)));
    let missing = store.resolve_mutation(id + 1, MutationOutcome::Applied, &Resolution::default(), at(1)).await;
    assert!(matches!(missing, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn no_intent_is_written_under_a_stale_lease() {
    let db = test_database().await;
    let store = db.store();
    let uid = Uuid::new_v4();
    let never = Fence { shard: ACCOUNT.to_owned(), epoch: 1 };
    assert!(matches!(store.begin_mutation(&intent(uid, "a", 1), &never).await, Err(Error::StaleEpoch { .. })));
    let first = hold(&store, "one").await;
    expire_lease(&db.pool).await;
    assert!(matches!(store.begin_mutation(&intent(uid, "a", 1), &first).await, Err(Error::StaleEpoch { .. })));
    let taken = store.acquire_lease(ACCOUNT, "two", Duration::from_mins(1)).await.unwrap();
    let Acquired::Held(second) = taken else { panic!("{taken:?}") };
    assert!(matches!(store.begin_mutation(&intent(uid, "a", 1), &first).await, Err(Error::StaleEpoch { .. })));
    assert!(store.unresolved_mutations(uid).await.unwrap().is_empty());
    store.begin_mutation(&intent(uid, "a", 1), &second.fence()).await.unwrap();
}

#[tokio::test]
async fn an_old_owners_outcome_is_still_recorded() {
    let db = test_database().await;
    let store = db.store();
    let fence = hold(&store, "one").await;
    let uid = Uuid::new_v4();
    let id = store.begin_mutation(&intent(uid, "a", 1), &fence).await.unwrap();
    expire_lease(&db.pool).await;
    hold(&store, "two").await;
    assert!(store.resolve_mutation(id, MutationOutcome::Applied, &Resolution::default(), at(2)).await.unwrap());
}

#[tokio::test]
async fn the_write_budget_counts_what_may_have_been_applied() {
    let db = test_database().await;
    let store = db.store();
    let fence = hold(&store, "one").await;
    let uid = Uuid::new_v4();
    settled(&store, &fence, &intent(uid, "a", 10), MutationOutcome::Applied).await;
    settled(&store, &fence, &intent(uid, "a", 20), MutationOutcome::NotApplied).await;
    settled(&store, &fence, &intent(uid, "a", 30), MutationOutcome::Unknown).await;
    store.begin_mutation(&intent(uid, "a", 40), &fence).await.unwrap();
    store.begin_mutation(&intent(uid, "b", 40), &fence).await.unwrap();
    assert_eq!(store.writes_since(uid, &alarm("a"), at(0)).await.unwrap(), 3);
    assert_eq!(store.writes_since(uid, &alarm("a"), at(30)).await.unwrap(), 2);
    assert_eq!(store.writes_since(uid, &alarm("a"), at(41)).await.unwrap(), 0);
    assert_eq!(store.writes_since(Uuid::new_v4(), &alarm("a"), at(0)).await.unwrap(), 0);
}

#[tokio::test]
async fn the_last_mutations_come_newest_first() {
    let db = test_database().await;
    let store = db.store();
    let fence = hold(&store, "one").await;
    let uid = Uuid::new_v4();
    for second in [1, 2, 3, 4] {
        settled(&store, &fence, &intent(uid, "a", second), MutationOutcome::Applied).await;
    }
    let last = store.last_mutations(uid, &alarm("a"), 3).await.unwrap();
    assert_eq!(last.iter().map(|row| row.begun_at).collect::<Vec<_>>(), [at(4), at(3), at(2)]);
    let filter = JournalFilter { before: Some(last[1].id), ..JournalFilter::default() };
    let older = store.list_journal(&filter, 10).await.unwrap();
    assert_eq!(older.iter().map(|row| row.begun_at).collect::<Vec<_>>(), [at(2), at(1)]);
    let other = JournalFilter { kind: Some("EcsService".to_owned()), ..JournalFilter::default() };
    assert!(store.list_journal(&other, 10).await.unwrap().is_empty());
    let this = JournalFilter {
        environment: Some(last[0].environment.clone()),
        identity: Some("a".to_owned()),
        ..JournalFilter::default()
    };
    assert_eq!(store.list_journal(&this, 10).await.unwrap().len(), 4);
}

#[tokio::test]
async fn the_blast_radius_counts_environments_not_writes() {
    let db = test_database().await;
    let store = db.store();
    let fence = hold(&store, "one").await;
    let (one, two, three) = (Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4());
    settled(&store, &fence, &intent(one, "a", 10), MutationOutcome::Applied).await;
    settled(&store, &fence, &intent(one, "b", 11), MutationOutcome::Applied).await;
    settled(&store, &fence, &intent(three, "c", 11), MutationOutcome::NotApplied).await;
    store.begin_mutation(&intent(two, "a", 20), &fence).await.unwrap();
    let since = async |second| {
        let mutated = store.environments_mutated_since(at(second)).await.unwrap();
        mutated.into_iter().map(|(uid, _)| uid).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(since(0).await, [one, two].into());
    assert_eq!(since(15).await, [two].into());
    assert!(since(21).await.is_empty());
}

#[tokio::test]
async fn replicas_that_ask_at_once_for_the_last_place_under_the_cap_get_it_once() {
    let db = test_database().await;
    let store = db.store();
    let fence = hold(&store, "one").await;
    let cap = Cap { most: 3, since: at(0) };
    let mut asking = tokio::task::JoinSet::new();
    for second in 1..=8 {
        let (store, fence) = (store.clone(), fence.clone());
        asking.spawn(async move {
            let intent = intent(Uuid::new_v4(), "a", second);
            (intent.environment_uid, store.begin_mutation_within(&intent, &fence, &cap).await.unwrap())
        });
    }
    let (placed, refused): (Vec<_>, Vec<_>) =
        asking.join_all().await.into_iter().partition(|(_, begun)| matches!(begun, Begun::As(_)));
    assert_eq!((placed.len(), refused.len()), (3, 5));
    for (_, begun) in refused {
        assert!(matches!(begun, Begun::Full(others) if others.len() == 3 && others.is_sorted()));
    }
    let again = store.begin_mutation_within(&intent(placed[0].0, "b", 20), &fence, &cap).await.unwrap();
    assert!(matches!(again, Begun::As(_)), "whoever has a place goes on");

    let later = Cap { most: 1, since: at(21) };
    let freed = store.begin_mutation_within(&intent(Uuid::new_v4(), "a", 30), &fence, &later).await.unwrap();
    assert!(matches!(freed, Begun::As(_)), "the hour is over");
    let never = Fence { epoch: fence.epoch + 1, ..fence.clone() };
    let stale = store.begin_mutation_within(&intent(placed[0].0, "a", 31), &never, &cap).await;
    assert!(matches!(stale, Err(Error::StaleEpoch { .. })));
}

#[tokio::test]
async fn pruning_forgets_what_is_settled_and_never_what_is_not() {
    let db = test_database().await;
    let store = db.store();
    let fence = hold(&store, "one").await;
    let uid = Uuid::new_v4();
    settled(&store, &fence, &intent(uid, "a", 1), MutationOutcome::Applied).await;
    settled(&store, &fence, &intent(uid, "a", 2), MutationOutcome::NotApplied).await;
    settled(&store, &fence, &intent(uid, "a", 3), MutationOutcome::Unknown).await;
    store.begin_mutation(&intent(uid, "a", 4), &fence).await.unwrap();
    settled(&store, &fence, &intent(uid, "a", 60), MutationOutcome::Applied).await;
    assert_eq!(store.prune_journal(at(50)).await.unwrap(), 2);
    let left = store.last_mutations(uid, &alarm("a"), 10).await.unwrap();
    assert_eq!(left.iter().map(|row| row.begun_at).collect::<Vec<_>>(), [at(60), at(4), at(3)]);
}

#[tokio::test]
async fn a_big_journal_is_pruned_in_batches() {
    let db = test_database().await;
    let store = db.store();
    let fence = hold(&store, "one").await;
    let uid = Uuid::new_v4();
    settled(&store, &fence, &intent(uid, "a", 1), MutationOutcome::Applied).await;
    settled(&store, &fence, &intent(uid, "a", 60), MutationOutcome::Applied).await;
    let copies = "INSERT INTO journal (environment_uid, environment, account, region, kind, identity, step, body, risk,
                      generation, epoch, token, begun_at, resolved_at, outcome)
                  SELECT environment_uid, environment, account, region, kind, identity, step, body, risk,
                      generation, epoch, token, begun_at, resolved_at, outcome
                  FROM journal, generate_series(1, 1500) WHERE begun_at < to_timestamp($1)";
    sqlx::query(copies).bind(at(50).as_second() as f64).execute(&db.pool).await.unwrap();
    assert_eq!(store.prune_journal(at(50)).await.unwrap(), 1501);
    assert_eq!(store.mutations_of(uid, 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn refused_writes_and_clocks_do_not_push_real_ones_out_of_an_objects_history() {
    let db = test_database().await;
    let store = db.store();
    let fence = hold(&store, "one").await;
    let uid = Uuid::new_v4();
    let first = settled(&store, &fence, &intent(uid, "a", 50), MutationOutcome::Applied).await;
    // Another replica's clock is behind.
    let second = settled(&store, &fence, &intent(uid, "a", 10), MutationOutcome::Applied).await;
    for second in 60..65 {
        settled(&store, &fence, &intent(uid, "a", second), MutationOutcome::NotApplied).await;
    }
    let last = store.last_mutations(uid, &alarm("a"), 3).await.unwrap();
    assert_eq!(last.iter().map(|row| row.id).collect::<Vec<_>>(), [second, first]);
}

#[tokio::test]
async fn the_mutations_of_an_environment_are_its_own_newest_first() {
    let db = test_database().await;
    let store = db.store();
    let fence = hold(&store, "one").await;
    let (uid, other) = (Uuid::new_v4(), Uuid::new_v4());
    let mut ids = Vec::new();
    for identity in ["a", "b", "c"] {
        ids.push(settled(&store, &fence, &intent(uid, identity, 1), MutationOutcome::Applied).await);
        settled(&store, &fence, &intent(other, identity, 1), MutationOutcome::Applied).await;
    }
    let last = store.mutations_of(uid, 2).await.unwrap();
    assert_eq!(last.iter().map(|row| row.id).collect::<Vec<_>>(), [ids[2], ids[1]]);
}
