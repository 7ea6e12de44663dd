//! The one list of kinds.
//!
//! A kind is one line here: its module (which has a unit struct of the kind's name implementing `engine::Kind`, and,
//! behind the feature `aws`, `provider::Provider` implementing `Provider`). There is no second list anywhere.

use engine::{ErasedKind, Registry};

macro_rules! kinds {
    ($($module:ident :: $kind:ident),* $(,)?) => {
        /// The pure halves of all kinds.
        pub fn registry() -> Registry {
            Registry::new(vec![
                $(Box::new(engine::erased::Erased::<crate::$module::$kind>::new()) as Box<dyn ErasedKind>,)*
            ])
        }

        /// The IAM actions that the providers call, by kind: what the role in each account must grant.
        pub fn iam_actions() -> std::collections::BTreeMap<&'static str, &'static [&'static str]> {
            [$((stringify!($kind), crate::$module::IAM_ACTIONS),)*].into_iter().collect()
        }

        /// The IO halves of all kinds, on real AWS clients.
        #[cfg(feature = "aws")]
        pub fn providers(aws: &awskit::Aws) -> crate::aws::AwsCloud {
            crate::aws::AwsCloud::new(aws.clone(), [
                $((
                    stringify!($kind),
                    std::sync::Arc::new(crate::provider::Erased::new(crate::$module::provider::Provider::new(aws.clone())))
                        as std::sync::Arc<dyn crate::provider::ErasedProvider>,
                ),)*
            ])
        }
    };
}

kinds! {
    log_group::LogGroup,
    ecs_cluster::EcsCluster,
    ecs_task_definition::EcsTaskDefinition,
    ecs_service::EcsService,
    scalable_target::ScalableTarget,
    scaling_policy::ScalingPolicy,
    target_group::TargetGroup,
    listener::Listener,
    alarm::Alarm,
    secret::Secret,
    rds_instance::RdsInstance,
    rds_snapshot::RdsSnapshot,
    rds_snapshot_copy::RdsSnapshotCopy,
}
