//! The suite every kind passes, and what is this kind's own.

mod live;
mod pure;

testkit::kind_suite!(
    EcsTaskDefinition,
    json!({ "spec": { "services": { "event-service": { "environment": { "LOG_LEVEL": "debug" } } } } }),
    json!({ "spec": { "services": { "api-gateway": { "environment": { "CANARY": null } } } } }),
    json!({ "spec": { "serviceDefaults": { "cpu": 1024, "memoryMib": 2048 } } }),
    json!({ "spec": { "services": { "order-service": { "port": 4000 } } } }),
);
