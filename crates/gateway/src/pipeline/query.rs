//! IAM, STS, SNS and older clients of CloudWatch: a form names the operation, XML answers it.

use bytes::Bytes;
use http::Method;
use hyper::body::Body;
use millstream_wire::protocol::{Encoding, Form, decode_value, encode_value, parse_form};
use millstream_wire::{ApiError, CommonError, Protocol};

use super::call::{Call, OTHER_BYTES_MAX};
use super::several::plain;
use crate::answer::Answer;
use crate::body::Received;
use crate::operation::Table;

/// `signed_for` is the service that the signature names, if it names one of these.
pub(super) async fn serve<B>(call: &Call<'_>, signed_for: Option<&Table>, body: B) -> Answer
where
    B: Body<Data = Bytes> + Send,
{
    let fallback = signed_for.unwrap_or(&call.shared.tables.sts);
    let received = match call.receive(body, OTHER_BYTES_MAX).await {
        Ok(received) => received,
        Err(error) => return call.refusal(fallback, Encoding::Query, &error.into()).closing(),
    };
    let plain = match plain(call, &received.bytes) {
        Ok(plain) => plain,
        Err(error) => return call.refusal(fallback, Encoding::Query, &error.into()),
    };
    let text = match call.head.method {
        // The query string says the same as a form; presigned calls use it.
        Method::GET => call.head.uri.query().unwrap_or_default().as_bytes(),
        _ => &plain[..],
    };
    let Some(form) = parse_form(text) else {
        return call.refusal(fallback, Encoding::Query, &CommonError::Malformed.into());
    };
    let table = signed_for.or_else(|| by_version(call, &form)).unwrap_or(fallback);
    let action = field(&form, "Action");
    let answer = run(call, table, action, &received, &plain).await.unwrap_or_else(|error| {
        call.log_failure(action, &error);
        call.refusal(table, Encoding::Query, &error)
    });
    call.log_request(table.service.name, action, Encoding::Query, &answer);
    answer
}

fn field<'a>(form: &'a Form<'_>, name: &str) -> &'a str {
    form.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
}

fn by_version<'a>(call: &'a Call<'_>, form: &Form<'_>) -> Option<&'a Table> {
    let tables = &call.shared.tables;
    let all = [&tables.iam, &tables.sts, &tables.sns, &tables.monitoring];
    all.into_iter().find(|table| match table.service.protocol {
        Protocol::Query { version, .. } | Protocol::Several { version, .. } => field(form, "Version") == version,
        _ => false,
    })
}

async fn run(
    call: &Call<'_>,
    table: &Table,
    action: &str,
    received: &Received,
    plain: &Bytes,
) -> Result<Answer, ApiError> {
    let context = call.authenticate(table.service.name, &received.sha256).await?;
    let Some(entry) = table.get(action) else {
        tracing::info!(service = table.service.name, action, "an operation was called that is not implemented");
        return Err(CommonError::UnknownOperation.into());
    };
    let input = decode_value(table.service, entry.shape, Encoding::Query, &call.request(plain))?;
    let output = call.run(entry, &context, input).await?;
    Ok(encode_value(table.service, entry.shape, Encoding::Query, &call.request_id, &output).into())
}
