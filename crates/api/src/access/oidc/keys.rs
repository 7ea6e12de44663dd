//! An issuer's keys, in memory: fetched when they are needed, kept while the issuer is away, and fetched again when a
//! token names one that is not there, but not more often than is decent.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jsonwebtoken::jwk::{Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde_json::Value;
use telemetry::AccessMetrics;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;

use super::fetch::{FetchError, Fetcher};

/// So many requests wait for a fetch at once; more are told to come again, rather than fill the places of all requests.
const MOST_WAITING: usize = 32;

/// One key.
#[derive(Clone)]
pub(super) struct Key {
    id: Option<String>,
    /// The one algorithm that it is for, if the issuer says so.
    algorithm: Option<KeyAlgorithm>,
    pub(super) public: DecodingKey,
}

impl Key {
    fn is_for(&self, algorithm: Algorithm) -> bool {
        let stated = self.algorithm.is_none_or(|stated| stated == KeyAlgorithm::from(algorithm));
        stated && self.public.family().algorithms().contains(&algorithm)
    }
}

/// A set of keys, and when it was fetched.
struct Set {
    keys: Vec<Key>,
    at: Instant,
}

/// The keys of an issuer.
pub(super) struct Keys {
    fetcher: Fetcher,
    /// Between two fetches at least.
    floor: Duration,
    /// Until they are fetched anew.
    fresh: Duration,
    current: RwLock<Option<Arc<Set>>>,
    /// When it was tried last. Whoever holds it fetches; the others wait for what he gets.
    tried: Mutex<Option<Instant>>,
    waiting: Arc<Semaphore>,
    metrics: AccessMetrics,
}

/// Why there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoKey {
    /// The issuer has no such key.
    Unknown,
    /// It has, and not for this algorithm.
    OtherAlgorithm,
    /// It could never be asked, or too many wait for its answer.
    Unavailable,
}

impl Keys {
    pub(super) fn new(fetcher: Fetcher, (floor, fresh): (Duration, Duration), metrics: AccessMetrics) -> Self {
        Self {
            fetcher,
            floor,
            fresh,
            current: RwLock::new(None),
            tried: Mutex::new(None),
            waiting: Arc::new(Semaphore::new(MOST_WAITING)),
            metrics,
        }
    }

    /// The key that a token names.
    pub(super) async fn find(self: &Arc<Self>, id: Option<&str>, algorithm: Algorithm) -> Result<Key, NoKey> {
        let known = self.current();
        let seen = known.as_ref().map(|set| set.at);
        match known.as_ref().map_or(Err(NoKey::Unavailable), |set| pick(&set.keys, id, algorithm)) {
            Ok(key) => {
                if seen.is_some_and(|at| at.elapsed() >= self.fresh) {
                    self.refresh_behind(seen);
                }
                return Ok(key);
            }
            Err(NoKey::OtherAlgorithm) => return Err(NoKey::OtherAlgorithm),
            Err(NoKey::Unknown | NoKey::Unavailable) => {}
        }
        let place = Arc::clone(&self.waiting).try_acquire_owned().map_err(|_| NoKey::Unavailable)?;
        let keys = Arc::clone(self);
        // By itself: a client that goes away does not break off what others wait for.
        let fetching = tokio::spawn(async move {
            keys.refresh(seen).await;
            drop(place);
        });
        fetching.await.map_err(|_| NoKey::Unavailable)?;
        let set = self.current().ok_or(NoKey::Unavailable)?;
        pick(&set.keys, id, algorithm)
    }

    /// Fetches them before anybody asks.
    pub(super) fn warm_up(self: &Arc<Self>) {
        self.refresh_behind(None);
    }

    /// Nobody waits for it: an issuer that is away holds up no request whose key is held.
    fn refresh_behind(self: &Arc<Self>, seen: Option<Instant>) {
        if self.tried.try_lock().is_err() {
            return;
        }
        let keys = Arc::clone(self);
        tokio::spawn(async move { keys.refresh(seen).await });
    }

    fn current(&self) -> Option<Arc<Set>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Fetches the keys, unless somebody else did since `seen`, or it was tried a moment ago.
    async fn refresh(&self, seen: Option<Instant>) {
        let mut tried = self.tried.lock().await;
        let newer = self.current().is_some_and(|set| Some(set.at) != seen);
        if newer || tried.is_some_and(|at| at.elapsed() < self.floor) {
            return;
        }
        match self.fetcher.keys().await {
            Ok(published) => {
                let keys = usable(published);
                let (count, issuer) = (keys.len(), self.fetcher.issuer());
                if count == 0 {
                    tracing::warn!(issuer, "the issuer publishes no key that can be used: its tokens are refused");
                } else {
                    tracing::debug!(keys = count, issuer, "the issuer's keys were read");
                }
                self.metrics.keys_refreshed(true);
                let set = Arc::new(Set { keys, at: Instant::now() });
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(set);
            }
            Err(error) => self.failed(&error),
        }
        // After the answer: one that was long in coming is not asked for again at once.
        *tried = Some(Instant::now());
    }

    fn failed(&self, error: &FetchError) {
        self.metrics.keys_refreshed(false);
        let held = self.current().map_or(0, |set| set.keys.len());
        let (error, issuer) = (telemetry::ErrorChain(error), self.fetcher.issuer());
        tracing::warn!(%error, issuer, held, "the issuer's keys cannot be read; those that are held go on counting");
    }
}

/// The keys that tokens can be checked with. What is for something else, of a kind that is not known, or a shared secret,
/// is left out, and keeps nobody out.
fn usable(published: Vec<Value>) -> Vec<Key> {
    let signs = |usage: &Option<PublicKeyUse>| matches!(usage, None | Some(PublicKeyUse::Signature));
    let parsed = published.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
    parsed
        .filter(|jwk| signs(&jwk.common.public_key_use))
        .filter_map(|jwk| {
            let public = DecodingKey::from_jwk(&jwk).ok()?;
            Some(Key { id: jwk.common.key_id.clone(), algorithm: jwk.common.key_algorithm, public })
        })
        .filter(|key| key.public.family() != AlgorithmFamily::Hmac)
        .collect()
}

/// The key of that id; without an id, the only one that fits.
fn pick(keys: &[Key], id: Option<&str>, algorithm: Algorithm) -> Result<Key, NoKey> {
    let named = |key: &&Key| id.is_none() || key.id.as_deref() == id;
    let mut fitting = keys.iter().filter(named).filter(|key| key.is_for(algorithm));
    match (fitting.next(), fitting.next()) {
        (Some(key), None) => Ok(key.clone()),
        (Some(key), Some(_)) if id.is_some() => Ok(key.clone()),
        (None, _) if id.is_some() && keys.iter().any(|key| named(&key)) => Err(NoKey::OtherAlgorithm),
        _ => Err(NoKey::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
    const Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";

    fn published(change: &[(&str, &str)]) -> Value {
        let mut key = json!({ "kty": "EC", "crv": "P-256", "kid": "one", "x": X, "y": Y });
        for (field, value) in change {
            key[*field] = json!(value);
        }
        key
    }

    #[test]
    fn what_cannot_check_a_signature_is_left_out_and_spoils_nothing() {
        let keys = usable(vec![
            published(&[("use", "enc")]),
            published(&[("kty", "new")]),
            json!({ "kty": "oct", "kid": "one", "k": "c2VjcmV0" }),
            json!("nonsense"),
            json!({}),
            published(&[("use", "sig"), ("kid", "good")]),
        ]);
        let ids: Vec<_> = keys.iter().map(|key| key.id.as_deref()).collect();
        assert_eq!(ids, [Some("good")]);
    }

    #[test]
    fn a_key_is_found_by_its_id_and_without_one_where_there_is_no_doubt() {
        let one = usable(vec![published(&[])]);
        let two = usable(vec![published(&[]), published(&[("kid", "two")])]);
        assert!(pick(&one, Some("one"), Algorithm::ES256).is_ok());
        assert!(pick(&one, None, Algorithm::ES256).is_ok());
        assert!(pick(&two, Some("two"), Algorithm::ES256).is_ok());
        assert_eq!(pick(&two, None, Algorithm::ES256).err(), Some(NoKey::Unknown));
        assert_eq!(pick(&one, Some("two"), Algorithm::ES256).err(), Some(NoKey::Unknown));
        assert_eq!(pick(&one, Some("one"), Algorithm::RS256).err(), Some(NoKey::OtherAlgorithm));
        let stated = usable(vec![published(&[("alg", "ES384")])]);
        assert_eq!(pick(&stated, Some("one"), Algorithm::ES256).err(), Some(NoKey::OtherAlgorithm));
        assert_eq!(pick(&[], None, Algorithm::ES256).err(), Some(NoKey::Unknown));
    }
}
