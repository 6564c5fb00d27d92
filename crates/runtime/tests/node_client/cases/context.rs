//! What a handler finds around itself: the context, variables, the process.

use super::{Case, common, module};

const CLIENT: (&str, &str) = (
    "Lambda-Runtime-Client-Context",
    r#"{"client":{"installation_id":"i","app_title":"t"},"custom":{"c":1},"env":{"locale":"en"}}"#,
);
const IDENTITY: (&str, &str) =
    ("Lambda-Runtime-Cognito-Identity", r#"{"cognitoIdentityId":"id","cognitoIdentityPoolId":"pool"}"#);
const TRACE: (&str, &str) =
    ("Lambda-Runtime-Trace-Id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1");

pub(super) fn cases() -> Vec<Case> {
    vec![
        common("context: as JSON", "exports.handler = async (event, context) => context;").headers(&[CLIENT, IDENTITY, TRACE]).events(&["1", "2"]),
        common("context: as text", "exports.handler = async (event, context) => { console.log(context); };"),
        common("context: names in order", "exports.handler = async (event, context) => Object.keys(context);"),
        common("context: without headers", "exports.handler = async (event, context) => [typeof context.clientContext, typeof context.identity, 'tenantId' in context];"),
        common(
            "context: fields",
            "exports.handler = async (event, c) => [c.clientContext.client.installation_id, c.clientContext.custom, c.identity.cognitoIdentityId, c.invokedFunctionArn, c.awsRequestId, c.functionName, c.functionVersion, c.memoryLimitInMB, c.logGroupName, c.logStreamName];",
        )
        .headers(&[CLIENT, IDENTITY]),
        common("context: client context that is no JSON", "exports.handler = async (event, context) => 1;").headers(&[("Lambda-Runtime-Client-Context", "[1,")]),
        common("context: tenant", "exports.handler = async (event, context) => context.tenantId;").headers(&[("Lambda-Runtime-Aws-Tenant-Id", "tenant")]),
        common(
            "context: remaining time",
            "exports.handler = async (event, context) => { const { getRemainingTimeInMillis } = context; const t = getRemainingTimeInMillis(); return [typeof t, Number.isInteger(t), t > 0 && t <= 20000, context.getRemainingTimeInMillis.length]; };",
        ),
        common(
            "context: flag",
            "exports.handler = async (event, context) => { const before = context.callbackWaitsForEmptyEventLoop; context.callbackWaitsForEmptyEventLoop = 'x'; return [before, context.callbackWaitsForEmptyEventLoop]; };",
        )
        .events(&["1", "2"]),
        common("context: can be changed", "exports.handler = async (event, context) => { context.own = 1; context.awsRequestId = 'x'; console.log('as before'); return [context.own, context.awsRequestId]; };"),
        module("environment: trace", "export const handler = async () => process.env._X_AMZN_TRACE_ID;").headers(&[TRACE]),
        module("environment: no trace", "export const handler = async () => '_X_AMZN_TRACE_ID' in process.env;"),
        module("environment: trace set by the function", "process.env._X_AMZN_TRACE_ID = 'own'; export const handler = async () => '_X_AMZN_TRACE_ID' in process.env;"),
        module(
            "environment: variables",
            "export const handler = async () => [process.env._HANDLER, process.env.AWS_LAMBDA_FUNCTION_NAME, process.env.TZ, process.env.LANG, process.env._LAMBDA_TELEMETRY_LOG_FD];",
        ),
        module("process: folder", "export const handler = async () => [process.cwd(), process.env.LAMBDA_TASK_ROOT];"),
        common("process: main module", "exports.handler = async () => [typeof require.main, module.parent === require.main, typeof module.children];"),
        common("process: global names", "exports.handler = async () => [typeof awslambda, Object.keys(awslambda), typeof awslambda.HttpResponseStream.from, typeof fetch, typeof structuredClone];"),
        common("process: strict mode", "exports.handler = async () => (function () { return this === undefined; })();"),
        common("process: listeners", "exports.handler = async () => ['uncaughtException', 'unhandledRejection', 'beforeExit', 'exit', 'SIGTERM'].map((name) => process.listenerCount(name));"),
    ]
}
