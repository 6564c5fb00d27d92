//! Lambda: method and path name the operation; members travel in the path, the query, headers and the body.

use bytes::Bytes;
use hyper::body::Body;
use millstream_types::limits::INVOKE_PAYLOAD_BYTES_MAX;
use millstream_wire::protocol::{Encoding, decode_value, encode_value, route};
use millstream_wire::{ApiError, CommonError, OperationShape};

use super::call::{Call, LAMBDA_CODE_BYTES_MAX, OTHER_BYTES_MAX};
use crate::answer::Answer;
use crate::body::Received;
use crate::operation::Table;

pub(super) async fn serve<B>(call: &Call<'_>, table: &Table, body: B) -> Answer
where
    B: Body<Data = Bytes> + Send,
{
    let (method, uri) = (&call.head.method, &call.head.uri);
    let operation = route(table.service, method.as_str(), uri.path(), uri.query().unwrap_or_default());
    let name = operation.map_or("", |operation| operation.name);
    let received = match call.receive(body, bytes_max(name)).await {
        Ok(received) => received,
        Err(error) => {
            let error = naming_operation(error, name).into();
            return call.refusal(table, Encoding::RestJson, &error).closing();
        }
    };
    let answer = run(call, table, operation, &received).await.unwrap_or_else(|error| {
        call.log_failure(name, &error);
        call.refusal(table, Encoding::RestJson, &error)
    });
    call.log_request(table.service.name, name, Encoding::RestJson, &answer);
    answer
}

/// Lambda says for which operation a request is too large; what the model calls `Invoke` has another name there.
fn naming_operation(error: CommonError, operation: &str) -> CommonError {
    match error {
        CommonError::RequestTooLarge(text) => {
            let name = if operation == "Invoke" { "InvokeFunction" } else { operation };
            CommonError::RequestTooLarge(format!("{text} for the {name} operation"))
        }
        other => other,
    }
}

fn bytes_max(operation: &str) -> usize {
    match operation {
        "CreateFunction" | "UpdateFunctionCode" => LAMBDA_CODE_BYTES_MAX,
        "Invoke" => INVOKE_PAYLOAD_BYTES_MAX,
        _ => OTHER_BYTES_MAX,
    }
}

async fn run(
    call: &Call<'_>,
    table: &Table,
    operation: Option<&'static OperationShape>,
    received: &Received,
) -> Result<Answer, ApiError> {
    let context = call.authenticate(table.service.name, &received.sha256).await?;
    let Some(entry) = operation.and_then(|operation| table.get(operation.name)) else {
        let (method, path) = (&call.head.method, call.head.uri.path());
        tracing::info!(%method, path, "an operation was called that is not implemented");
        return Err(CommonError::UnknownOperation.into());
    };
    let request = call.request(&received.bytes);
    let input = decode_value(table.service, entry.shape, Encoding::RestJson, &request)?;
    let output = call.run(entry, &context, input).await?;
    Ok(encode_value(table.service, entry.shape, Encoding::RestJson, &call.request_id, &output).into())
}
