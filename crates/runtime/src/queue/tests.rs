//! The queue's rules, in paused time.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

async fn next(queue: &Queue<&'static str>) -> &'static str {
    tokio::time::timeout(Duration::from_secs(1000), queue.next()).await.expect("a key is due").unwrap().key
}

async fn nothing_within(queue: &Queue<&'static str>, time: Duration) -> bool {
    tokio::time::timeout(time, queue.next()).await.is_err()
}

#[tokio::test(start_paused = true)]
async fn a_key_has_one_slot_and_the_earlier_time_wins() {
    let queue = Queue::new(2);
    queue.add_after("a", Priority::Background, 10 * SECOND);
    queue.add_after("a", Priority::Background, 3 * SECOND);
    queue.add_after("a", Priority::Background, 20 * SECOND);
    let start = Instant::now();
    assert_eq!(next(&queue).await, "a");
    assert_eq!(start.elapsed().as_secs(), 3);
    queue.done(&"a");
    assert!(nothing_within(&queue, 100 * SECOND).await);
}

#[tokio::test(start_paused = true)]
async fn a_running_key_is_held_and_run_once_after() {
    let queue = Queue::new(2);
    queue.add("a", Priority::Background);
    assert_eq!(next(&queue).await, "a");
    queue.add("a", Priority::Background);
    assert!(!queue.user_waits_for(&"a"));
    queue.add("a", Priority::User);
    assert!(queue.user_waits_for(&"a"));
    assert!(nothing_within(&queue, 100 * SECOND).await, "it runs already");
    queue.done(&"a");
    let again = queue.next().await.unwrap();
    assert_eq!((again.key, again.priority), ("a", Priority::User));
    queue.done(&"a");
    assert!(nothing_within(&queue, 100 * SECOND).await, "it was run once after");
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_cap_run_at_once() {
    let queue = Queue::new(2);
    for key in ["a", "b", "c"] {
        queue.add(key, Priority::Background);
    }
    assert_eq!((next(&queue).await, next(&queue).await), ("a", "b"));
    assert!(nothing_within(&queue, SECOND).await);
    queue.done(&"a");
    assert_eq!(next(&queue).await, "c");
}

#[tokio::test(start_paused = true)]
async fn a_user_goes_before_background_work() {
    let queue = Queue::new(1);
    queue.add("background", Priority::Background);
    tokio::time::advance(SECOND).await;
    queue.add("user", Priority::User);
    assert_eq!(next(&queue).await, "user");
}

#[tokio::test(start_paused = true)]
async fn background_work_that_has_aged_goes_before_a_younger_user() {
    let queue = Queue::new(1);
    queue.add("background", Priority::Background);
    tokio::time::advance(AGEING + SECOND).await;
    queue.add("user", Priority::User);
    assert_eq!(next(&queue).await, "background");
}

#[tokio::test(start_paused = true)]
async fn a_user_who_asks_raises_a_key_that_waits() {
    let queue = Queue::new(1);
    queue.add("a", Priority::Background);
    queue.add("b", Priority::Background);
    queue.add("b", Priority::User);
    assert_eq!(next(&queue).await, "b");
}

#[tokio::test(start_paused = true)]
async fn a_delayed_key_is_taken_when_a_new_one_would_wake_the_waiter() {
    let queue = std::sync::Arc::new(Queue::new(4));
    queue.add_after("late", Priority::Background, 50 * SECOND);
    let waiter = {
        let queue = std::sync::Arc::clone(&queue);
        tokio::task::spawn(async move { queue.next().await.unwrap().key })
    };
    tokio::time::advance(SECOND).await;
    queue.add_after("soon", Priority::Background, 2 * SECOND);
    assert_eq!(waiter.await.unwrap(), "soon");
}

#[tokio::test(start_paused = true)]
async fn a_closed_queue_gives_nothing_and_takes_nothing() {
    let queue = Queue::new(1);
    queue.add("a", Priority::User);
    queue.close();
    assert_eq!(queue.next().await, None);
    queue.add("b", Priority::User);
    assert_eq!(queue.state().user + queue.state().delayed, 1, "what was there stays, nothing is added");
}

#[tokio::test(start_paused = true)]
async fn the_state_says_who_waits_and_for_how_long() {
    let queue = Queue::new(1);
    queue.add("a", Priority::User);
    queue.add("b", Priority::Background);
    queue.add_after("c", Priority::Background, 100 * SECOND);
    tokio::time::advance(5 * SECOND).await;
    assert_eq!(next(&queue).await, "a");
    tokio::time::advance(2 * SECOND).await;
    let state = queue.state();
    assert_eq!((state.user, state.background, state.delayed, state.running), (0, 1, 1, 1));
    assert_eq!((state.oldest.as_secs(), state.longest.as_secs()), (7, 2));
}
