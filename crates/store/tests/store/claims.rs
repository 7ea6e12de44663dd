//! One AWS object, one environment.

use serde_json::json;
use store::{ClaimConflict, EnvironmentUpdate, Error, NewEnvironment, SpecWrite};

use crate::postgres::test_database;
use crate::support::{alarm, at, create, footprint, hold, new_environment, spec_write, upsert};

fn conflict(identity: &str, holder: &str) -> ClaimConflict {
    ClaimConflict { claim: alarm(identity), holder: holder.to_owned() }
}

#[tokio::test]
async fn all_conflicting_claims_are_named_at_once_and_nothing_is_stored() {
    let db = test_database().await;
    let store = db.store();
    for (name, identity) in [("blue", "a"), ("green", "b")] {
        let new = NewEnvironment { claims: vec![alarm(identity)], ..new_environment(name) };
        store.create_environment(&new).await.unwrap();
    }
    let before = footprint(&db.pool).await;
    let new = NewEnvironment { claims: vec![alarm("c"), alarm("b"), alarm("a")], ..new_environment("prod") };
    let error = store.create_environment(&new).await.unwrap_err();
    let Error::ClaimedBy(conflicts) = error else { panic!("{error:?}") };
    assert_eq!(conflicts, [conflict("a", "blue"), conflict("b", "green")]);
    assert!(matches!(store.get_environment("prod").await, Err(Error::NotFound { .. })));
    assert_eq!(footprint(&db.pool).await, before);
    assert_eq!(store.claim_conflicts(None, &new.claims).await.unwrap(), conflicts);
}

#[tokio::test]
async fn a_new_spec_replaces_the_claims_and_frees_what_it_dropped() {
    let db = test_database().await;
    let store = db.store();
    let new = NewEnvironment { claims: vec![alarm("a"), alarm("b")], ..new_environment("prod") };
    store.create_environment(&new).await.unwrap();
    let update = EnvironmentUpdate {
        spec: Some(SpecWrite { claims: vec![alarm("b"), alarm("c"), alarm("c")], ..spec_write(json!({ "v": 2 })) }),
        ..EnvironmentUpdate::new("prod", at(1))
    };
    store.update_environment(&update).await.unwrap();
    assert_eq!(store.claims_of(new.uid).await.unwrap(), [alarm("b"), alarm("c")]);
    let other = create(&store, "other").await;
    store.replace_claims(other.uid, &[alarm("a")]).await.unwrap();
    let error = store.replace_claims(other.uid, &[alarm("a"), alarm("b")]).await.unwrap_err();
    assert!(matches!(error, Error::ClaimedBy(conflicts) if conflicts == [conflict("b", "prod")]));
}

#[tokio::test]
async fn an_object_that_left_the_spec_stays_claimed_until_it_is_let_go() {
    let db = test_database().await;
    let store = db.store();
    let new = NewEnvironment { claims: vec![alarm("a")], ..new_environment("prod") };
    store.create_environment(&new).await.unwrap();
    let fence = hold(&store, "one").await;
    store.upsert_resources(new.uid, &[upsert("a", json!({ "seen": true }))], &fence, at(1)).await.unwrap();
    let update =
        EnvironmentUpdate { spec: Some(spec_write(json!({ "v": 2 }))), ..EnvironmentUpdate::new("prod", at(2)) };
    store.update_environment(&update).await.unwrap();

    let other = create(&store, "other").await;
    let error = store.replace_claims(other.uid, &[alarm("a")]).await.unwrap_err();
    assert!(matches!(error, Error::ClaimedBy(conflicts) if conflicts == [conflict("a", "prod")]));
    assert_eq!(store.delete_resources(new.uid, &[alarm("a")], &fence).await.unwrap(), 1);
    store.replace_claims(other.uid, &[alarm("a")]).await.unwrap();
    assert_eq!(store.claims_of(other.uid).await.unwrap(), [alarm("a")]);
}

#[tokio::test]
async fn a_declared_object_stays_claimed_when_its_row_goes() {
    let db = test_database().await;
    let store = db.store();
    let new = NewEnvironment { claims: vec![alarm("a")], ..new_environment("prod") };
    store.create_environment(&new).await.unwrap();
    let fence = hold(&store, "one").await;
    store.upsert_resources(new.uid, &[upsert("a", json!({}))], &fence, at(1)).await.unwrap();
    store.delete_resources(new.uid, &[alarm("a")], &fence).await.unwrap();
    assert_eq!(store.claims_of(new.uid).await.unwrap(), [alarm("a")]);
}

#[tokio::test]
async fn of_two_environments_that_claim_one_object_together_one_gets_it() {
    let db = test_database().await;
    let store = db.store();
    let claim = |name: &'static str| {
        let store = store.clone();
        async move {
            let new = NewEnvironment { claims: vec![alarm("a"), alarm("b")], ..new_environment(name) };
            store.create_environment(&new).await
        }
    };
    let (left, right) = tokio::join!(claim("left"), claim("right"));
    let refused =
        [&left, &right].into_iter().filter(|one| matches!(one, Err(Error::ClaimedBy(both)) if both.len() == 2));
    assert_eq!(refused.count(), 1, "{left:?} {right:?}");
}
