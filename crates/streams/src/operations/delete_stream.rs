//! `DeleteStream`.

use millstream_iam::RequestContext;
use millstream_wire::kinesis::DeleteStreamInput;
use millstream_wire::kinesis::error::DeleteStreamError;

use crate::consumers::texts;
use crate::model::{Intent, Status};
use crate::names::StreamTarget;
use crate::service::Streams;

impl Streams {
    /// Answers at once; records and shards are gone for readers and writers, and the stream disappears in the
    /// background. Deleting a stream that is being deleted succeeds. One that has consumers is only deleted, with them, when
    /// the caller says so.
    pub async fn delete_stream(
        &self,
        context: &RequestContext,
        input: DeleteStreamInput,
    ) -> Result<(), DeleteStreamError> {
        let target = StreamTarget::new(input.stream_name.as_ref(), input.stream_arn.as_ref());
        let name = target.resolve(context, "DeleteStream")?;
        self.admit(context, "DeleteStream", &name)?;
        self.inner
            .registry
            .change(&name, |header| {
                let changes = header.status != Status::Deleting;
                if changes && header.consumers.lasting() > 0 && input.enforce_consumer_deletion != Some(true) {
                    return Err(DeleteStreamError::from(texts::stream_has_consumers(&name)));
                }
                header.consumers.begin_deletion_of_all();
                header.status = Status::Deleting;
                header.intent = Some(Intent::Delete);
                Ok(changes)
            })
            .await?;
        self.finish_in_background(&name);
        Ok(())
    }
}
