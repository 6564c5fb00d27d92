//! `CreateLogStream`.

use millstream_catalog::{Expect, StoreError};
use millstream_iam::RequestContext;
use millstream_wire::logs::CreateLogStreamRequest;
use millstream_wire::logs::error::CreateLogStreamError;

use crate::logs::errors::{AlreadyExists, Internal};
use crate::logs::model::{self, Group, Stream};
use crate::logs::names::GroupName;
use crate::logs::service::Logs;

impl Logs {
    pub async fn create_log_stream(
        &self,
        context: &RequestContext,
        input: CreateLogStreamRequest,
    ) -> Result<(), CreateLogStreamError> {
        let group = self.expect_group(&GroupName::new(&context.scope, &input.log_group_name)).await?;
        match self.make_stream(&group, &input.log_stream_name).await? {
            Some(_) => Ok(()),
            None => Err(AlreadyExists("The specified log stream already exists".to_owned()).into()),
        }
    }

    /// `None` when the stream exists.
    pub(crate) async fn make_stream(&self, group: &Group, name: &str) -> Result<Option<Stream>, Internal> {
        let stream = Stream::new(self.inner.random.u64(), self.now_millis());
        let key = model::stream_key(group.id, name);
        match self.inner.store.put(&key, Expect::Absent, model::encode(&stream)).await {
            Ok(_) => Ok(Some(stream)),
            Err(StoreError::Conflict) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
