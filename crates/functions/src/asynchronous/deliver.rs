//! Takes the result of an event to where the configuration says.

use std::time::Duration;

use millstream_destinations::{Delivery, DeliveryError};
use millstream_env::activity::{Party, Standing};
use millstream_types::Arn;

use super::Taken;
use super::result::Ended;
use crate::failure::Failure;
use crate::functions::Functions;
use crate::invoke::{Invocation, InvokeReport};
use crate::invoke_config::InvokeConfigRecord;
use crate::names::{LATEST, Target, named_by};

/// Waits before a destination is tried again; after the last one the result is dropped, and counted.
const PAUSES: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8)];

impl Functions {
    /// Sends the result of an event that ended, if there is a destination for it. The event is kept until this returns: a
    /// crash repeats it.
    pub(super) async fn send_result(
        &self,
        taken: &Taken,
        config: &InvokeConfigRecord,
        report: &InvokeReport,
        condition: &str,
        party: &Party,
    ) {
        let destination = if condition == "Success" { &config.on_success } else { &config.on_failure };
        let Some(destination) = destination.as_ref().and_then(|text| text.parse::<Arn>().ok()) else { return };
        let Some(target) = taken.target() else { return };
        let pauses = PAUSES.into_iter().map(Some).chain([None]);
        for pause in pauses {
            let result = self.send_once(taken, &target, &destination, report, condition).await;
            let (Err(error @ DeliveryError::Unavailable(_)), Some(pause)) = (&result, pause) else {
                if let Err(error) = result {
                    tracing::warn!(
                        function = %target.name, request_id = %taken.event.request_id, %destination, %error,
                        "the result of an asynchronous event was not delivered"
                    );
                    self.shared.measures.delivery_failed(&target, self.shared.service_clock.now());
                }
                return;
            };
            tracing::info!(function = %target.name, %destination, %error, "a result is sent again");
            let until = self.shared.service_clock.now().plus(pause);
            let standing = Standing::Waiting { until, why: "a destination is tried again" };
            party.park(standing, None, self.shared.service_clock.sleep_until(until)).await;
        }
    }

    async fn send_once(
        &self,
        taken: &Taken,
        target: &Target,
        destination: &Arn,
        report: &InvokeReport,
        condition: &str,
    ) -> Result<(), DeliveryError> {
        let unavailable = |failure: Failure| DeliveryError::Unavailable(format!("{failure:?}"));
        let role_arn = match self.resolve(target).await {
            Ok(resolved) => resolved.version.configuration.role,
            Err(Failure::ResourceNotFound(text)) => return Err(DeliveryError::Refused(text)),
            Err(failure) => return Err(unavailable(failure)),
        };
        let at = self.shared.service_clock.now();
        let qualified = target.qualifier.as_deref().unwrap_or(LATEST);
        let ended = Ended {
            at,
            request_id: &taken.event.request_id,
            function_arn: &target.qualified(Some(qualified)).arn(),
            condition,
            invoke_count: taken.event.attempts.runs(&report.outcome),
            payload: &taken.payload,
            outcome: &report.outcome,
            executed_version: report.executed_version.as_deref(),
        };
        let document = ended.document();
        if destination.service != "lambda" {
            let object_key = ended.object_key(&target.name, &self.shared.random.uuid());
            let (destination, region) = (destination.clone(), target.scope.region.clone());
            let delivery = Delivery { destination, role_arn, region, document, object_key };
            return self.shared.deliver.deliver(delivery).await;
        }
        let text = destination.to_string();
        if !self.shared.roles.allows(&role_arn, "lambda:InvokeFunction", &text).await {
            return Err(DeliveryError::Refused(format!(
                "the role {role_arn} is not allowed lambda:InvokeFunction on {text}"
            )));
        }
        let next = named_by(destination).ok_or_else(|| DeliveryError::Refused("it is no function".to_owned()))?;
        match self.resolve(&next).await {
            Ok(_) => {}
            Err(Failure::ResourceNotFound(text)) => return Err(DeliveryError::Refused(text)),
            Err(failure) => return Err(unavailable(failure)),
        }
        let invocation = Invocation {
            scope: next.scope,
            function_name: next.name,
            qualifier: next.qualifier,
            payload: document,
            client_context: None,
        };
        let accepted = self.shared.queue.accept(invocation, self.shared.random.uuid()).await;
        accepted.map_err(unavailable)
    }
}
