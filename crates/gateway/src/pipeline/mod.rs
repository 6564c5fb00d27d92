//! The way of a request: keep pages out, find the service, receive the body, and hand over to the protocol.
//!
//! - [`json`]: Kinesis, Logs, SQS and Millstream's own service (awsJson, and CBOR for Kinesis), in the recorded order of
//!   checks.
//! - [`records`]: the data path of Kinesis. [`subscribe`]: its event stream.
//! - [`rest`]: Lambda. [`query`]: IAM, STS and SNS. [`several`]: CloudWatch, by whichever of its protocols.
//! - [`s3`]: buckets. [`own`]: health, metrics, downloads.
//! - [`call`]: what all protocols share: the caller, his permissions, the call.

mod call;
mod json;
mod own;
mod query;
mod records;
mod rest;
mod s3;
mod several;
mod subscribe;
#[cfg(test)]
mod tests;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use hyper::body::{Body, Incoming};
use millstream_env::{HostClock, Random};

use crate::answer::Answer;
use crate::authenticate::Admission;
use crate::body::Budget;
use crate::identify::{Target, identify};
use crate::listener::{Handler, ResponseBody};
use crate::metrics::{Figure, Metrics};
use crate::origin::{self, Verdict};
use crate::routes::Tables;
use crate::services::Services;
use call::Call;
pub(crate) use s3::is_old_signature;

/// Tells how things behind the gateway are.
pub trait Health: Send + Sync + Debug {
    /// What an operator has to know, one line each; empty when all is well.
    fn troubles(&self) -> Vec<String>;

    /// What `/metrics` says beside the gateway's own counters.
    fn figures(&self) -> Vec<Figure>;
}

/// What a gateway is built from.
#[derive(Debug)]
pub struct Parts {
    pub services: Services,
    pub origin: origin::Options,
    pub clock: HostClock,
    pub random: Random,
    /// Shared by all gateways of a server.
    pub metrics: Arc<Metrics>,
    /// Shared by all gateways of a server.
    pub budget: Budget,
    pub health: Arc<dyn Health>,
}

/// Answers the requests of one endpoint. Clones are the same gateway.
#[derive(Clone, Debug)]
pub struct Gateway {
    shared: Arc<Shared>,
    admission: Admission,
}

#[derive(Debug)]
struct Shared {
    parts: Parts,
    tables: Tables,
    ready: AtomicBool,
}

impl Gateway {
    /// The gateway of the main endpoint. It is not ready before [`Gateway::set_ready`].
    pub fn new(parts: Parts) -> Self {
        let tables = Tables::new(&parts.services);
        for (service, operation) in tables.missing() {
            tracing::debug!(service, operation, "this operation is not served");
        }
        let shared = Arc::new(Shared { parts, tables, ready: AtomicBool::new(false) });
        Self { shared, admission: Admission::Everybody }
    }

    /// The gateway of one execution environment's own endpoint, over the same services: it always enforces, and knows that
    /// environment's sessions only.
    #[must_use]
    pub fn for_environment(&self, environment: &str) -> Self {
        Self { shared: Arc::clone(&self.shared), admission: Admission::Environment(environment.into()) }
    }

    /// Whether `/health/ready` says yes.
    pub fn set_ready(&self, ready: bool) {
        self.shared.ready.store(ready, Ordering::Relaxed);
    }

    /// Answers one request, whatever it is.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<ResponseBody>
    where
        B: Body<Data = Bytes> + Send,
    {
        let shared = &*self.shared;
        let parts = &shared.parts;
        let _in_flight = parts.metrics.begin();
        let started = parts.clock.monotonic();
        let (head, body) = request.into_parts();
        let request_id = parts.random.uuid();
        let verdict = origin::judge(&parts.origin, &head);
        let target = identify(&head);
        let (service, mut answer) = match verdict {
            Verdict::Refuse(text) => {
                parts.metrics.refused_origin.fetch_add(1, Ordering::Relaxed);
                ("other", Answer::text(StatusCode::FORBIDDEN, text).closing())
            }
            Verdict::PassCors if head.method == Method::OPTIONS => ("other", Answer::preflight(&head)),
            Verdict::Pass | Verdict::PassCors => {
                let has_id_2 = matches!(target, Target::Kinesis | Target::S3);
                let call = Call { shared, admission: self.admission.clone(), head, request_id: request_id.clone() };
                let (service, mut answer) = self.dispatch(&call, target, body).await;
                if has_id_2 {
                    answer.set_id_2(&parts.random);
                }
                (service, answer)
            }
        };
        if verdict == Verdict::PassCors {
            answer.readable_by_pages();
        }
        answer.set_request_id(&request_id, target == Target::S3);
        let duration = parts.clock.monotonic().saturating_sub(started);
        parts.metrics.answered(service, answer.status.as_u16(), duration);
        answer.into_response()
    }

    async fn dispatch<B>(&self, call: &Call<'_>, target: Target, body: B) -> (&'static str, Answer)
    where
        B: Body<Data = Bytes> + Send,
    {
        let tables = &self.shared.tables;
        // A drain waits for all others, so its own service does not count. Queues count their work themselves: a receive that
        // waits for a message does none.
        let is_waited_for = !matches!(target, Target::Own | Target::Millstream | Target::Sqs);
        let _request = is_waited_for.then(|| self.shared.parts.services.clock.activity().request());
        match target {
            Target::Own => ("other", own::serve(call).await),
            Target::Kinesis => ("kinesis", json::serve(call, &tables.kinesis, body).await),
            Target::Logs => ("logs", json::serve(call, &tables.logs, body).await),
            Target::Millstream => ("millstream", json::serve(call, &tables.millstream, body).await),
            Target::Sqs => ("sqs", json::serve(call, &tables.sqs, body).await),
            Target::Lambda => ("lambda", rest::serve(call, &tables.lambda, body).await),
            Target::Iam => ("iam", query::serve(call, Some(&tables.iam), body).await),
            Target::S3 => ("s3", Box::pin(s3::serve(call, body)).await),
            Target::Sts => ("sts", query::serve(call, Some(&tables.sts), body).await),
            Target::Monitoring => ("monitoring", several::serve(call, &tables.monitoring, body).await),
            Target::Sns => ("sns", query::serve(call, Some(&tables.sns), body).await),
            Target::Form => ("other", query::serve(call, None, body).await),
        }
    }
}

impl Handler for Gateway {
    async fn handle(&self, request: Request<Incoming>) -> Response<ResponseBody> {
        self.answer(request).await
    }
}
