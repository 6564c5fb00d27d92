//! Settings whose effect this server does not have yet: only AWS's default is accepted.

use millstream_wire::lambda::{
    CapacityProviderConfig, CreateFunctionRequest, DeadLetterConfig, DurableConfig, FileSystemConfig,
    FunctionVersionLatestPublished, ImageConfig, PackageType, SnapStart, SnapStartApplyOn, TenancyConfig,
    TracingConfig, TracingMode, UpdateFunctionConfigurationRequest, VpcConfig,
};

use super::invalid;
use crate::failure::Failure;

/// The settings of either request, by reference.
pub(super) struct Later<'a> {
    vpc: Option<&'a VpcConfig>,
    dead_letter: Option<&'a DeadLetterConfig>,
    kms_key_arn: Option<&'a str>,
    tracing: Option<&'a TracingConfig>,
    file_systems: Option<&'a [FileSystemConfig]>,
    image: Option<&'a ImageConfig>,
    snap_start: Option<&'a SnapStart>,
    code_signing_config_arn: Option<&'a str>,
    package_type: Option<PackageType>,
    capacity_provider: Option<&'a CapacityProviderConfig>,
    durable: Option<&'a DurableConfig>,
    tenancy: Option<&'a TenancyConfig>,
    publish_to: Option<FunctionVersionLatestPublished>,
}

impl<'a> Later<'a> {
    pub(super) fn of_create(request: &'a CreateFunctionRequest) -> Self {
        Self {
            vpc: request.vpc_config.as_ref(),
            dead_letter: request.dead_letter_config.as_ref(),
            kms_key_arn: request.kms_key_arn.as_deref(),
            tracing: request.tracing_config.as_ref(),
            file_systems: request.file_system_configs.as_deref(),
            image: request.image_config.as_ref(),
            snap_start: request.snap_start.as_ref(),
            code_signing_config_arn: request.code_signing_config_arn.as_deref(),
            package_type: request.package_type,
            capacity_provider: request.capacity_provider_config.as_ref(),
            durable: request.durable_config.as_ref(),
            tenancy: request.tenancy_config.as_ref(),
            publish_to: request.publish_to,
        }
    }

    pub(super) fn of_update(request: &'a UpdateFunctionConfigurationRequest) -> Self {
        Self {
            vpc: request.vpc_config.as_ref(),
            dead_letter: request.dead_letter_config.as_ref(),
            kms_key_arn: request.kms_key_arn.as_deref(),
            tracing: request.tracing_config.as_ref(),
            file_systems: request.file_system_configs.as_deref(),
            image: request.image_config.as_ref(),
            snap_start: request.snap_start.as_ref(),
            code_signing_config_arn: None,
            package_type: None,
            capacity_provider: request.capacity_provider_config.as_ref(),
            durable: request.durable_config.as_ref(),
            tenancy: None,
            publish_to: None,
        }
    }

    /// Names the first setting that goes beyond AWS's default.
    pub(super) fn refuse(&self) -> Result<(), Failure> {
        let given = |list: Option<&[String]>| list.is_some_and(|list| !list.is_empty());
        let checks = [
            (self.package_type == Some(PackageType::Image), "PackageType Image", "Zip"),
            (self.image.is_some_and(|image| *image != ImageConfig::default()), "ImageConfig", "none"),
            (
                self.vpc.is_some_and(|vpc| {
                    given(vpc.subnet_ids.as_deref())
                        || given(vpc.security_group_ids.as_deref())
                        || vpc.ipv6_allowed_for_dual_stack == Some(true)
                }),
                "VpcConfig",
                "none",
            ),
            (
                self.dead_letter.is_some_and(|letter| letter.target_arn.as_ref().is_some_and(|arn| !arn.is_empty())),
                "DeadLetterConfig",
                "none",
            ),
            (self.kms_key_arn.is_some_and(|arn| !arn.is_empty()), "KMSKeyArn", "none"),
            (
                self.tracing.is_some_and(|tracing| tracing.mode == Some(TracingMode::Active)),
                "TracingConfig.Mode Active",
                "PassThrough",
            ),
            (self.file_systems.is_some_and(|list| !list.is_empty()), "FileSystemConfigs", "none"),
            (
                self.snap_start.is_some_and(|snap| snap.apply_on == Some(SnapStartApplyOn::PublishedVersions)),
                "SnapStart.ApplyOn PublishedVersions",
                "None",
            ),
            (self.code_signing_config_arn.is_some_and(|arn| !arn.is_empty()), "CodeSigningConfigArn", "none"),
            (self.capacity_provider.is_some(), "CapacityProviderConfig", "none"),
            (self.durable.is_some(), "DurableConfig", "none"),
            (self.tenancy.is_some(), "TenancyConfig", "none"),
            (self.publish_to.is_some(), "PublishTo", "none"),
        ];
        match checks.iter().find(|(beyond, ..)| *beyond) {
            Some((_, setting, default)) => Err(refused(setting, default)),
            None => Ok(()),
        }
    }
}

pub(super) fn refused(setting: &str, default: &str) -> Failure {
    invalid(format!("{setting} is not supported by this server yet; only the default ({default}) is accepted."))
}
