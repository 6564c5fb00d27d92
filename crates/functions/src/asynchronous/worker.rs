//! The work on the queue: takes what is due, runs it, and keeps or forgets it.

use std::sync::Arc;
use std::time::Duration;

use millstream_env::activity::{Kind, Party, Standing, Subject};
use tokio::sync::Semaphore;

use super::retry::Next;
use super::{Queue, Taken};
use crate::failure::Failure;
use crate::functions::Functions;
use crate::invoke::{Invocation, InvokeReport, Outcome};
use crate::names::{LATEST, Target};

/// Asynchronous events running at once, all functions together.
pub(super) const RUNNING_MAX: usize = 128;
/// The wait after the catalog failed to read or keep an event.
const STORE_PAUSE: Duration = Duration::from_secs(1);

impl Functions {
    /// Works until the server stops. What runs then is waited for; what waits is found by the next start.
    pub(crate) async fn work_on_queue(self) {
        let running = Arc::new(Semaphore::new(RUNNING_MAX));
        let tasks = self.shared.tasks.clone();
        let party = self.party("");
        loop {
            let next = async {
                // At work, as those are that run: a place that becomes free cannot be seen from outside before this task runs.
                let free =
                    party.park(Standing::Busy("all places are taken"), None, Arc::clone(&running).acquire_owned());
                let permit = free.await.expect("the semaphore is never closed");
                (permit, self.shared.queue.next_due(&party).await)
            };
            let Some((permit, key)) = tasks.token().run_until_cancelled(next).await else { return };
            let functions = self.clone();
            // Here already, so that somebody is at work when this task waits for the next.
            let attempt = self.party(key.rsplit('/').next().unwrap_or_default());
            tasks.spawn(async move {
                functions.attempt(&key, &attempt).await;
                drop(permit);
            });
        }
    }

    fn party(&self, id: &str) -> Party {
        let subject = Subject { kind: Kind::AsynchronousInvocation, id: id.into(), part: None };
        self.shared.service_clock.activity().register(subject)
    }

    async fn attempt(&self, key: &str, party: &Party) {
        let queue = &self.shared.queue;
        match queue.take(key).await {
            Ok(Some(taken)) => {
                let report = party.park(Standing::Busy("invoking"), None, self.run_taken(&taken)).await;
                if let Err(failure) = self.settle(&taken, report, party).await {
                    tracing::error!(%key, ?failure, "the outcome of an asynchronous event could not be kept; it runs again");
                    queue.wait_until(self.shared.service_clock.now().plus(STORE_PAUSE), key);
                }
            }
            Ok(None) => {
                tracing::error!(%key, "an asynchronous event is missing");
                queue.forget();
            }
            Err(failure) => {
                tracing::error!(%key, ?failure, "an asynchronous event could not be read; it is tried again");
                queue.wait_until(self.shared.service_clock.now().plus(STORE_PAUSE), key);
            }
        }
    }

    async fn run_taken(&self, taken: &Taken) -> Option<InvokeReport> {
        let Target { scope, name, qualifier } = taken.target()?;
        let invocation = Invocation {
            scope,
            function_name: name,
            qualifier,
            payload: taken.payload.clone(),
            client_context: taken.event.client_context.clone(),
        };
        Some(self.run(invocation, taken.event.request_id.clone()).await)
    }

    async fn settle(&self, taken: &Taken, report: Option<InvokeReport>, party: &Party) -> Result<(), Failure> {
        let queue: &Queue = &self.shared.queue;
        let (Some(report), Some(target)) = (report, taken.target()) else {
            tracing::error!(key = %taken.key, "an asynchronous event under a key that is none is given up");
            return queue.finish(taken).await;
        };
        let qualifier = target.qualifier.as_deref().unwrap_or(LATEST);
        let config = self.invoke_config(&target.qualified(Some(qualifier))).await?.unwrap_or_default();
        let is_off = self.is_switched_off(&target, &report.outcome).await?;
        let now = self.shared.service_clock.now();
        let condition = match taken.event.attempts.after(&report.outcome, config.bounds(), is_off, now) {
            Next::Retry(attempts) => return queue.postpone(taken, attempts).await,
            Next::Done => "Success",
            Next::GiveUp(reason) => {
                Self::log_giving_up(taken, reason);
                reason
            }
        };
        self.send_result(taken, &config, &report, condition, party).await;
        queue.finish(taken).await
    }

    /// Whether a throttled function has a reservation of nothing.
    async fn is_switched_off(&self, target: &Target, outcome: &Outcome) -> Result<bool, Failure> {
        if !matches!(outcome, Outcome::Throttled { .. }) {
            return Ok(false);
        }
        let found = self.shared.records.function(&target.scope, &target.name).await?;
        Ok(found.is_some_and(|stored| stored.record.reserved_concurrency == Some(0)))
    }

    fn log_giving_up(taken: &Taken, reason: &str) {
        tracing::warn!(
            function = %taken.event.function_name,
            request_id = %taken.event.request_id,
            reason,
            "an asynchronous event was given up"
        );
    }
}
