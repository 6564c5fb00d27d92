//! Failed batches as objects.

use std::collections::BTreeMap;

use bytes::Bytes;
use millstream_types::Arn;

use super::names::{BucketName, ObjectKey};
use super::objects::Put;
use super::record::Metadata;
use super::{Buckets, Error};
use crate::contract::DeliveryError;
use crate::permissions;

impl Buckets {
    /// Puts `body`, which is JSON, in the name of an execution role; durable when it returns.
    ///
    /// The role needs `s3:PutObject` on the object and `s3:ListBucket` on the bucket (Lambda guide, "Retaining discarded
    /// batches"), and Lambda must be able to assume it.
    pub async fn put_for(&self, role_arn: &str, bucket: &str, key: &str, body: Bytes) -> Result<(), DeliveryError> {
        let (name, key) = (bucket.parse::<BucketName>()?, key.parse::<ObjectKey>()?);
        let needs = [("s3:PutObject", name.object_arn(key.as_str())), ("s3:ListBucket", name.arn())];
        permissions::require(&self.shared.iam, role_arn, &needs).await?;
        let role: Arn = role_arn.parse().map_err(|_| refused(format!("{role_arn} is no role")))?;
        let account = role.account.parse().map_err(|_| refused(format!("{role_arn} is no role")))?;
        let system = [("content-type".to_owned(), "application/json".to_owned())].into();
        let put = Put { content: body, metadata: Metadata { system, user: BTreeMap::new() }, ..Put::default() };
        self.put_object(&account, &name, &key, put).await?;
        Ok(())
    }
}

fn refused(text: String) -> DeliveryError {
    DeliveryError::Refused(text)
}

impl From<Error> for DeliveryError {
    fn from(error: Error) -> Self {
        let text = match &error {
            Error::Unavailable(reason) | Error::Internal(reason) => reason.clone(),
            Error::NoSuchBucket(name) => format!("the bucket {name} does not exist"),
            _ => error.to_string(),
        };
        if error.may_pass() { Self::Unavailable(text) } else { Self::Refused(text) }
    }
}
