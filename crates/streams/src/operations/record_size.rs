//! `UpdateMaxRecordSize`.

use millstream_iam::RequestContext;
use millstream_wire::kinesis::UpdateMaxRecordSizeInput;
use millstream_wire::kinesis::error::UpdateMaxRecordSizeError;

use crate::errors::InvalidArgument;
use crate::model::Status;
use crate::names::StreamTarget;
use crate::service::Streams;

impl Streams {
    /// Holds for the puts that come after it; stored records stay.
    pub async fn update_max_record_size(
        &self,
        context: &RequestContext,
        input: UpdateMaxRecordSizeInput,
    ) -> Result<(), UpdateMaxRecordSizeError> {
        let target = StreamTarget::new(None, input.stream_arn.as_ref());
        let name = target.resolve(context, "UpdateMaxRecordSize")?;
        let kib = u32::try_from(input.max_record_size_in_kib)
            .map_err(|_| InvalidArgument("MaxRecordSizeInKiB must not be negative.".to_owned()))?;
        self.inner
            .registry
            .change(&name, |header| {
                if header.status != Status::Active {
                    return Err(UpdateMaxRecordSizeError::from(name.not_active(header.status)));
                }
                let changes = header.record_kib_max != kib;
                header.record_kib_max = kib;
                Ok(changes)
            })
            .await?;
        Ok(())
    }
}
