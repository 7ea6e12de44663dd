//! Faults, rates and the control plane.
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use simaws::testing::{Caller, json as call};
use simaws::{Dropped, Effect, Fault, Sim};

use crate::support::{serve, still};

async fn names(sim: &Sim) -> Vec<String> {
    let reply = call(sim, "logs", "DescribeLogGroups", json!({})).await;
    let groups = reply.body["logGroups"].as_array().cloned().unwrap_or_default();
    groups.iter().filter_map(|g| g["logGroupName"].as_str().map(str::to_owned)).collect()
}

async fn create(sim: &Sim, name: &str) -> u16 {
    call(sim, "logs", "CreateLogGroup", json!({ "logGroupName": name })).await.status
}

async fn control(sim: &Sim, method: &str, path: &str, body: Value) -> (u16, Value) {
    let request = Request::builder().method(method).uri(path).body(Bytes::from(body.to_string())).expect("valid");
    let response = sim.handle(request).await.expect("control is never dropped");
    (response.status().as_u16(), serde_json::from_slice(response.body()).expect("JSON"))
}

#[tokio::test]
async fn a_lost_response_is_applied_and_the_connection_drops() {
    let sim = still();
    sim.faults().add(Fault::new(Effect::LostResponse).on("logs", "CreateLogGroup").times(1));
    let lost = Caller::default().json(&sim, "logs", "CreateLogGroup", json!({ "logGroupName": "/a" })).await;
    assert_eq!(lost.expect_err("no response"), Dropped);
    assert_eq!(names(&sim).await, ["/a"]);
    assert!(sim.calls().log().next().is_some_and(|c| c.lost && c.error.is_none()));
    assert_eq!(create(&sim, "/b").await, 200, "struck once only");
}

#[tokio::test]
async fn over_the_wire_a_lost_response_closes_the_connection() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let sim = still();
    sim.faults().add(Fault::new(Effect::LostResponse));
    let server = serve(&sim).await;
    let mut stream = tokio::net::TcpStream::connect(server.address()).await.expect("it listens");
    let body = r#"{"logGroupName":"/a"}"#;
    let head = format!(
        "POST / HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nX-Amz-Target: Logs_20140328.CreateLogGroup\r\n\
         Content-Length: {}\r\n\r\n{body}",
        Caller::default().authorization("logs"),
        body.len()
    );
    stream.write_all(head.as_bytes()).await.expect("written");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.is_empty());
    sim.faults().clear();
    assert_eq!(names(&sim).await, ["/a"]);
    server.stop().await;
}

#[tokio::test]
async fn a_refused_connection_and_a_server_error_are_not_applied_unless_said() {
    let sim = still();
    sim.faults().add(Fault::new(Effect::Refused).times(1));
    let refused = Caller::default().json(&sim, "logs", "CreateLogGroup", json!({ "logGroupName": "/a" })).await;
    assert!(refused.is_err());
    sim.faults().add(Fault::new(Effect::ServerError { status: 500, applied: false }).times(1));
    assert_eq!(create(&sim, "/b").await, 500);
    assert_eq!(names(&sim).await, Vec::<String>::new());
    sim.faults().add(Fault::new(Effect::ServerError { status: 503, applied: true }).mutating(true).times(1));
    assert_eq!(create(&sim, "/c").await, 503);
    assert_eq!(names(&sim).await, ["/c"]);
}

#[tokio::test]
async fn after_a_write_reads_are_stale_for_a_while() {
    let sim = still();
    create(&sim, "/a").await;
    sim.faults().add(Fault::new(Effect::StaleReads { seconds: 5.0 }).on_service("logs"));
    create(&sim, "/b").await;
    sim.clock().advance(Duration::from_secs(2));
    create(&sim, "/c").await;
    assert_eq!(names(&sim).await, ["/a"]);
    assert_eq!(create(&sim, "/b").await, 400, "writes see the present");
    sim.clock().advance(Duration::from_secs(3));
    assert_eq!(names(&sim).await, ["/a", "/b", "/c"]);
}

#[tokio::test]
async fn pages_can_be_short_partial_or_repeat_for_ever() {
    let sim = still();
    for name in ["/a", "/b", "/c", "/d"] {
        create(&sim, name).await;
    }
    let id = sim.faults().add(Fault::new(Effect::ShortPages { size: 3 }));
    let page = call(&sim, "logs", "DescribeLogGroups", json!({})).await.body;
    assert_eq!(page["logGroups"].as_array().map(Vec::len), Some(3));
    let rest = call(&sim, "logs", "DescribeLogGroups", json!({ "nextToken": page["nextToken"] })).await.body;
    assert_eq!(rest["logGroups"][0]["logGroupName"], "/d");
    assert!(sim.faults().remove(id));

    let id = sim.faults().add(Fault::new(Effect::PartialList));
    let part = call(&sim, "logs", "DescribeLogGroups", json!({})).await.body;
    assert_eq!((part["logGroups"].as_array().map(Vec::len), part.get("nextToken")), (Some(2), None));
    assert!(sim.faults().remove(id));

    sim.faults().add(Fault::new(Effect::RepeatToken));
    let first = call(&sim, "logs", "DescribeLogGroups", json!({})).await.body;
    let again = call(&sim, "logs", "DescribeLogGroups", json!({ "nextToken": first["nextToken"] })).await.body;
    assert!(first["nextToken"].is_string());
    assert_eq!(first["nextToken"], again["nextToken"]);
}

#[tokio::test]
async fn a_fault_with_a_probability_follows_the_seed() {
    async fn run() -> Vec<u16> {
        let sim = still();
        sim.faults().add(Fault::new(Effect::Throttle).probability(0.5));
        let mut statuses = Vec::new();
        for n in 0..40 {
            statuses.push(create(&sim, &format!("/{n}")).await);
        }
        statuses
    }
    let (a, b) = (run().await, run().await);
    assert_eq!(a, b);
    let struck = a.iter().filter(|s| **s == 400).count();
    assert!((10..30).contains(&struck), "{struck}");
}

#[tokio::test]
async fn rates_throttle_when_the_bucket_is_empty_and_refill_with_simulated_time() {
    let sim = still();
    sim.set_rates(true);
    for _ in 0..10 {
        assert_eq!(call(&sim, "logs", "DescribeLogGroups", json!({})).await.status, 200);
    }
    let throttled = call(&sim, "logs", "DescribeLogGroups", json!({})).await;
    assert_eq!((throttled.status, throttled.code().as_str()), (400, "ThrottlingException"));
    assert_eq!(throttled.body["message"], "Rate exceeded");
    sim.clock().advance(Duration::from_millis(200));
    assert_eq!(call(&sim, "logs", "DescribeLogGroups", json!({})).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn latency_delays_the_answer_but_not_the_change() {
    let sim = still();
    sim.faults().add(Fault::new(Effect::Latency { millis: 30_000 }).times(1));
    let slow = tokio::time::timeout(Duration::from_secs(1), create(&sim, "/a")).await;
    assert!(slow.is_err(), "the client gave up");
    assert_eq!(names(&sim).await, ["/a"]);
    sim.faults().add(Fault::new(Effect::Hang { applied: false }).times(1));
    let hung = tokio::time::timeout(Duration::from_mins(1), create(&sim, "/b")).await;
    assert!(hung.is_err());
    assert_eq!(names(&sim).await, ["/a"]);
}

#[tokio::test]
async fn the_control_plane_sets_faults_clock_and_rates_and_counts_calls() {
    let sim = still();
    let fault =
        json!({ "service": "logs", "operation": "CreateLogGroup", "times": 1, "effect": { "kind": "throttle" } });
    let (status, added) = control(&sim, "POST", "/_sim/faults", fault).await;
    assert_eq!((status, &added["id"]), (200, &json!(1)));
    assert_eq!(create(&sim, "/a").await, 400);
    assert_eq!(create(&sim, "/a").await, 200);
    let (_, faults) = control(&sim, "GET", "/_sim/faults", Value::Null).await;
    assert_eq!(faults, json!({ "faults": [], "struck": 1 }));
    let (_, calls) = control(&sim, "GET", "/_sim/calls?log=1", Value::Null).await;
    assert_eq!(calls["byOperation"], json!({ "logs:CreateLogGroup": 2 }));
    assert_eq!(calls["log"][0]["number"], 2);
    let (_, clock) = control(&sim, "POST", "/_sim/clock", json!({ "advanceSeconds": 60 })).await;
    assert_eq!(clock["now"], "2026-03-01T12:01:00Z");
    let wrong = json!({ "effect": { "kind": "throttle", "colour": "red" } });
    assert_eq!(control(&sim, "POST", "/_sim/faults", wrong).await.0, 400);
    let misspelt = json!({ "servce": "logs", "effect": { "kind": "throttle" } });
    assert_eq!(control(&sim, "POST", "/_sim/faults", misspelt).await.0, 400);
    let nowhere = json!({ "service": "cloudwatch", "effect": { "kind": "throttle" } });
    let (status, why) = control(&sim, "POST", "/_sim/faults", nowhere).await;
    assert_eq!(status, 400);
    assert!(why["error"].as_str().is_some_and(|e| e.contains("monitoring")), "{why}");
    control(&sim, "POST", "/_sim/reset", Value::Null).await;
    assert_eq!(names(&sim).await, Vec::<String>::new());
    assert_eq!(control(&sim, "GET", "/_sim/nonsense", Value::Null).await.0, 404);
}

#[tokio::test]
async fn a_fault_is_not_used_up_by_calls_it_cannot_touch() {
    let sim = still();
    create(&sim, "/a").await;
    sim.faults().add(Fault::new(Effect::StaleReads { seconds: 5.0 }).times(1));
    assert_eq!(names(&sim).await, ["/a"]);
    create(&sim, "/b").await;
    assert_eq!(names(&sim).await, ["/a"]);
    sim.faults().add(Fault::new(Effect::RepeatToken).times(1));
    create(&sim, "/c").await;
    assert_eq!(sim.faults().list().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_stops_even_while_a_request_hangs() {
    use tokio::io::AsyncWriteExt as _;
    let sim = still();
    sim.faults().add(Fault::new(Effect::Hang { applied: true }));
    let server = serve(&sim).await;
    let mut stream = tokio::net::TcpStream::connect(server.address()).await.expect("it listens");
    let head = format!(
        "POST / HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nX-Amz-Target: Logs_20140328.DescribeLogGroups\r\n\
         Content-Length: 2\r\n\r\n{{}}",
        Caller::default().authorization("logs")
    );
    stream.write_all(head.as_bytes()).await.expect("written");
    while sim.calls().total() == 0 {
        tokio::task::yield_now().await;
    }
    let begun = tokio::time::Instant::now();
    server.stop().await;
    assert!(begun.elapsed() < Duration::from_mins(1));
}

#[tokio::test]
async fn what_is_implemented_can_be_asked() {
    let (_, operations) = control(&still(), "GET", "/_sim/operations", Value::Null).await;
    assert_eq!(operations["logs"]["DeleteLogGroup"], json!(["logGroupName"]));
}

#[tokio::test]
async fn a_clock_jump_moves_simulated_time() {
    let sim = still();
    let before = sim.clock().now();
    sim.faults().add(Fault::new(Effect::ClockJump { seconds: -90.0 }).times(1));
    names(&sim).await;
    assert_eq!(before.duration_since(sim.clock().now()).as_secs(), 90);
}
