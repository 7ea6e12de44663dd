//! The control plane under `/_sim/`: faults, calls, clock, timings, reset. JSON both ways; see the README.
use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Method, Request, Response};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Call, Calls, Fault, Sim, Timings, wire};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ClockChange {
    advance_seconds: Option<f64>,
    set: Option<Timestamp>,
    speed: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rates {
    on: bool,
}

/// Answers a control request.
pub(crate) fn handle(sim: &Sim, request: &Request<Bytes>) -> Response<Bytes> {
    let (status, body) = match answer(sim, request) {
        Ok(body) => (200, body),
        Err((status, message)) => (status, json!({ "error": message })),
    };
    wire::respond(status, "application/json", "control", &[], Bytes::from(body.to_string()))
}

fn read<'a, T: Deserialize<'a>>(request: &'a Request<Bytes>) -> Result<T, (u16, String)> {
    serde_json::from_slice(request.body()).map_err(|e| (400, e.to_string()))
}

/// Serde lets unknown fields of an effect without fields pass; they are refused here.
fn read_fault(request: &Request<Bytes>) -> Result<Fault, (u16, String)> {
    let fault: Fault = read(request)?;
    let given: Value = read(request)?;
    let known = serde_json::to_value(&fault).unwrap_or_default();
    let unknown = given["effect"].as_object().and_then(|e| e.keys().find(|k| known["effect"].get(k).is_none()));
    unknown.map_or(Ok(fault), |name| Err((400, format!("unknown field `{name}` of the effect"))))
}

fn answer(sim: &Sim, request: &Request<Bytes>) -> Result<Value, (u16, String)> {
    let path = request.uri().path().trim_start_matches("/_sim/");
    let post = request.method() == Method::POST;
    let delete = request.method() == Method::DELETE;
    match path {
        "health" => Ok(json!({ "now": sim.clock().now() })),
        "reset" if post => {
            sim.reset();
            Ok(json!({}))
        }
        "faults" if post => {
            let fault = read_fault(request)?;
            sim.faults().check(&fault).map_err(|message| (400, message))?;
            Ok(json!({ "id": sim.faults().add(fault) }))
        }
        "faults" if delete => {
            sim.faults().clear();
            Ok(json!({}))
        }
        "faults" => {
            let list: Vec<Value> =
                sim.faults().list().into_iter().map(|(id, fault)| json!({ "id": id, "fault": fault })).collect();
            Ok(json!({ "faults": list, "struck": sim.faults().struck() }))
        }
        "operations" => Ok(json!(sim.operations())),
        "calls" if delete => {
            sim.reset_calls();
            Ok(json!({}))
        }
        "calls" => Ok(sim.with_calls(|calls| show(calls, &parameters(request)))),
        "clock" if post => {
            let change: ClockChange = read(request)?;
            if let Some(to) = change.set {
                sim.clock().set(to);
            }
            if let Some(by) = change.advance_seconds {
                let by = SignedDuration::try_from_secs_f64(by).map_err(|e| (400, e.to_string()))?;
                sim.clock().jump(by);
            }
            if let Some(speed) = change.speed {
                sim.clock().set_speed(speed);
            }
            Ok(json!({ "now": sim.clock().now() }))
        }
        "clock" => Ok(json!({ "now": sim.clock().now() })),
        "rates" if post => {
            sim.set_rates(read::<Rates>(request)?.on);
            Ok(json!({}))
        }
        "timings" if post => {
            let timings: Timings = read(request)?;
            sim.set_timings(timings);
            Ok(json!(sim.timings()))
        }
        "timings" => Ok(json!(sim.timings())),
        other => match other.strip_prefix("faults/").and_then(|id| id.parse().ok()) {
            Some(id) if delete => {
                if sim.faults().remove(id) {
                    Ok(json!({}))
                } else {
                    Err((404, format!("no fault {id}")))
                }
            }
            _ if post => {
                let wanted = parameters(request);
                let body = if request.body().is_empty() { Value::Null } else { read(request)? };
                let (account, region) = (wanted.get("account").copied(), wanted.get("region").copied());
                match sim.service_control(other, account, region, &body) {
                    Some(answer) => answer.map_err(|message| (400, message)),
                    None => Err((404, format!("no POST /_sim/{other}"))),
                }
            }
            _ => Err((404, format!("no {} /_sim/{other}", request.method()))),
        },
    }
}

fn parameters(request: &Request<Bytes>) -> BTreeMap<&str, &str> {
    request.uri().query().unwrap_or("").split('&').filter_map(|p| p.split_once('=')).collect()
}

/// `?log=N` adds the last N calls, `?mutating=true` only those that change something, `?after=M` only those after
/// number M, and then the first N of them: who follows the log misses none.
fn show(calls: &Calls, wanted: &BTreeMap<&str, &str>) -> Value {
    let counts: Vec<Value> = calls
        .counts()
        .iter()
        .map(|(key, n)| {
            json!({ "service": key.service, "operation": key.operation, "account": key.account,
                    "region": key.region, "count": n })
        })
        .collect();
    let keep = wanted.get("log").and_then(|n| n.parse::<usize>().ok()).unwrap_or(0);
    let mutating_only = wanted.get("mutating") == Some(&"true");
    let after = wanted.get("after").and_then(|n| n.parse::<u64>().ok());
    let fits = |call: &&Call| call.mutating || !mutating_only;
    let log: Vec<&Call> = if let Some(after) = after {
        calls.log().filter(|call| call.number > after).filter(fits).take(keep).collect()
    } else {
        let mut log: Vec<&Call> = calls.log().rev().filter(fits).take(keep).collect();
        log.reverse();
        log
    };
    json!({ "total": calls.total(), "mutating": calls.mutating(), "byOperation": calls.by_operation(),
            "counts": counts, "log": log })
}
