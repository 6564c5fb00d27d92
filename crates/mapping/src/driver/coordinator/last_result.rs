//! What `LastProcessingResult` says, and what suspends a mapping as a whole.

use super::{Coordinator, Flow, RETRY_DELAY};
use crate::record::MappingRecord;
use crate::result::ProcessingResult;
use crate::store;

impl Coordinator {
    pub(super) fn block(&mut self, problem: ProcessingResult) {
        if self.signals.result() != problem {
            tracing::warn!(mapping = %self.uuid, problem = problem.text(), "a mapping is suspended");
        }
        self.signals.set_suspension(Some(problem));
    }

    pub(super) fn unblock(&mut self) {
        if self.signals.result().is_suspension() {
            tracing::info!(mapping = %self.uuid, "a suspended mapping goes on");
            self.signals.set_suspension(None);
        }
    }

    pub(super) async fn write_result(&mut self) -> Flow {
        self.result_write = None;
        let text = self.signals.result().text();
        let set = |record: &mut MappingRecord| {
            if record.last_processing_result != text {
                text.clone_into(&mut record.last_processing_result);
            }
            Ok::<(), store::Error>(())
        };
        if let Err(error) = self.shared.records.change(&self.key, set).await {
            tracing::warn!(mapping = %self.uuid, %error, "the last processing result cannot be stored at the moment");
            self.result_write = Some(self.timer(RETRY_DELAY));
        }
        Flow::Continue
    }
}
