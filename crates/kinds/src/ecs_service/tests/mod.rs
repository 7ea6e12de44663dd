//! The suite every kind passes, and what is this kind's own.

mod live;
mod pure;

testkit::kind_suite!(
    EcsService,
    json!({ "spec": { "services": { "event-service": { "desiredCount": 4 } } } }),
    json!({ "spec": { "services": { "order-service": { "assignPublicIp": false } } } }),
    json!({ "spec": { "services": { "order-service": { "circuitBreaker": true, "minimumHealthyPercent": 50 } } } }),
    json!({ "spec": { "services": { "api-gateway": { "healthCheckGracePeriod": "90s" } } } }),
    json!({ "spec": { "services": { "event-service": { "environment": { "LOG_LEVEL": "debug" } } } } }),
);
