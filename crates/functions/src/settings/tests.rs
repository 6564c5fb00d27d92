//! Defaults are accepted, bounds and unsupported settings are refused with the right words.

use std::collections::BTreeMap;

use millstream_wire::lambda::{
    DeadLetterConfig, Environment, EphemeralStorage, SnapStart, SnapStartApplyOn, TracingConfig, TracingMode, VpcConfig,
};

use super::*;

fn request() -> CreateFunctionRequest {
    CreateFunctionRequest {
        function_name: "f".to_owned(),
        role: "arn:aws:iam::000000000000:role/r".to_owned(),
        runtime: Some("python3.13".to_owned()),
        handler: Some("app.handler".to_owned()),
        ..CreateFunctionRequest::default()
    }
}

fn refusal(request: &CreateFunctionRequest) -> String {
    match of_new(request, false) {
        Err(Failure::InvalidParameterValue(message) | Failure::Common(CommonError::Validation(message))) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_not_given_gets_the_default() {
    let configuration = of_new(&request(), true).unwrap();
    assert_eq!((configuration.timeout_seconds, configuration.memory_mb), (3, 128));
    assert_eq!((configuration.ephemeral_storage_mb, configuration.architecture.as_str()), (512, "x86_64"));
    assert_eq!((configuration.environment, configuration.log_group), (None, None));
}

#[test]
fn the_defaults_that_tools_send_are_accepted() {
    let request = CreateFunctionRequest {
        vpc_config: Some(VpcConfig { subnet_ids: Some(vec![]), ..VpcConfig::default() }),
        dead_letter_config: Some(DeadLetterConfig { target_arn: Some(String::new()) }),
        kms_key_arn: Some(String::new()),
        tracing_config: Some(TracingConfig { mode: Some(TracingMode::PassThrough) }),
        layers: Some(vec![]),
        file_system_configs: Some(vec![]),
        snap_start: Some(SnapStart { apply_on: Some(SnapStartApplyOn::None) }),
        ephemeral_storage: Some(EphemeralStorage { size: 512 }),
        logging_config: Some(LoggingConfig { log_format: Some(LogFormat::Text), ..LoggingConfig::default() }),
        architectures: Some(vec![Architecture::X86_64]),
        ..request()
    };
    assert_eq!(of_new(&request, true), of_new(&self::request(), true));
}

#[test]
fn settings_without_effect_are_refused() {
    let mode = Some(TracingMode::Active);
    let tracing = CreateFunctionRequest { tracing_config: Some(TracingConfig { mode }), ..request() };
    assert!(refusal(&tracing).starts_with("TracingConfig.Mode Active is not supported"));
    let format = Some(LogFormat::Json);
    let logging = LoggingConfig { log_format: format, ..LoggingConfig::default() };
    assert!(refusal(&CreateFunctionRequest { logging_config: Some(logging), ..request() }).contains("LogFormat JSON"));
}

#[test]
fn bounds_are_those_of_functions() {
    let text = |member, value, relation| {
        format!(
            "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: Member must have \
             value {relation}"
        )
    };
    let request = |timeout, memory_size| CreateFunctionRequest { timeout, memory_size, ..request() };
    assert!(of_new(&request(Some(900), Some(10_240)), false).is_ok());
    assert_eq!(refusal(&request(Some(901), None)), text("timeout", 901, "less than or equal to 900"));
    assert_eq!(refusal(&request(None, Some(10_241))), text("memorySize", 10_241, "less than or equal to 10240"));
    assert_eq!(refusal(&request(None, Some(127))), text("memorySize", 127, "greater than or equal to 128"));
}

#[test]
fn variables_are_measured_and_reserved_names_refused() {
    let with = |variables: &[(&str, &str)]| {
        let variables: BTreeMap<String, String> =
            variables.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        CreateFunctionRequest { environment: Some(Environment { variables: Some(variables) }), ..request() }
    };
    // {"K":"…"} has 8 bytes beside the value.
    assert!(of_new(&with(&[("K", &"v".repeat(4088))]), false).is_ok());
    let message = refusal(&with(&[("K", &"v".repeat(4089))]));
    assert!(message.contains("exceeded the 4KB limit. String measured: {\"K\":\"vvv"), "{message}");
    let message = refusal(&with(&[("_HANDLER", "x"), ("AWS_REGION", "y"), ("AWS_LAMBDA_EXEC_WRAPPER", "/opt/w")]));
    assert!(message.ends_with("Reserved keys used in this request: AWS_REGION, _HANDLER"), "{message}");
    assert_eq!(of_new(&with(&[]), false).unwrap().environment, Some(BTreeMap::new()));
}

#[test]
fn an_update_changes_only_what_it_names() {
    let mut configuration = of_new(&request(), false).unwrap();
    let logging = LoggingConfig { log_group: Some("/my/group".to_owned()), ..LoggingConfig::default() };
    let request = UpdateFunctionConfigurationRequest {
        timeout: Some(30),
        logging_config: Some(logging),
        ..UpdateFunctionConfigurationRequest::default()
    };
    let before = configuration.clone();
    update(&mut configuration, &request, false).unwrap();
    let expected = Configuration { timeout_seconds: 30, log_group: Some("/my/group".to_owned()), ..before };
    assert_eq!(configuration, expected);
}
