//! Settings of buckets that can only be read: they are as S3 has them for a new bucket, and cannot be changed. Tools that
//! manage buckets read all of them.

use http::StatusCode;

use super::refusal::Refusal;
use super::xml::Document;
use crate::answer::Answer;

/// A setting.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Configuration {
    /// The parameter that names it.
    parameter: &'static str,
    pub(super) operation: &'static str,
    /// What is asked for without `s3:`.
    pub(super) action: &'static str,
    state: State,
}

/// What is answered.
#[derive(Debug, PartialEq, Eq)]
enum State {
    /// 404: nothing is configured.
    Missing(&'static str, &'static str),
    /// A document that is empty, or has one element.
    Document(&'static str, Option<(&'static str, &'static str)>),
    /// The owner may do everything.
    Owned,
    /// The lists of access are off.
    OwnerEnforced,
    /// Known, and not even to be read.
    NotImplemented,
}

use State::{Document as Found, Missing, NotImplemented, Owned, OwnerEnforced};

macro_rules! table {
    ($($parameter:literal $operation:literal $action:literal $state:expr;)*) => {
        &[$(Configuration { parameter: $parameter, operation: $operation, action: $action, state: $state }),*]
    };
}

/// Sources: the API reference and its error responses; new buckets since April 2023.
const CONFIGURATIONS: &[Configuration] = table! {
    "abac" "GetBucketAbac" "GetBucketAbac" NotImplemented;
    "accelerate" "GetBucketAccelerateConfiguration" "GetAccelerateConfiguration" Found("AccelerateConfiguration", None);
    "acl" "GetBucketAcl" "GetBucketAcl" Owned;
    "analytics" "GetBucketAnalyticsConfiguration" "GetAnalyticsConfiguration" NotImplemented;
    "cors" "GetBucketCors" "GetBucketCORS" Missing("NoSuchCORSConfiguration", "The CORS configuration does not exist");
    "encryption" "GetBucketEncryption" "GetEncryptionConfiguration"
        Missing("ServerSideEncryptionConfigurationNotFoundError", "The server side encryption configuration was not found");
    "intelligent-tiering" "GetBucketIntelligentTieringConfiguration" "GetIntelligentTieringConfiguration" NotImplemented;
    "inventory" "GetBucketInventoryConfiguration" "GetInventoryConfiguration" NotImplemented;
    "lifecycle" "GetBucketLifecycleConfiguration" "GetLifecycleConfiguration"
        Missing("NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist");
    "logging" "GetBucketLogging" "GetBucketLogging" Found("BucketLoggingStatus", None);
    "metadataConfiguration" "GetBucketMetadataConfiguration" "GetBucketMetadataTableConfiguration" NotImplemented;
    "metadataTable" "GetBucketMetadataTableConfiguration" "GetBucketMetadataTableConfiguration" NotImplemented;
    "metrics" "GetBucketMetricsConfiguration" "GetMetricsConfiguration" NotImplemented;
    "notification" "GetBucketNotificationConfiguration" "GetBucketNotification" Found("NotificationConfiguration", None);
    "object-lock" "GetObjectLockConfiguration" "GetBucketObjectLockConfiguration"
        Missing("ObjectLockConfigurationNotFoundError", "Object Lock configuration does not exist for this bucket");
    "ownershipControls" "GetBucketOwnershipControls" "GetBucketOwnershipControls" OwnerEnforced;
    "policy" "GetBucketPolicy" "GetBucketPolicy" Missing("NoSuchBucketPolicy", "The bucket policy does not exist");
    "policyStatus" "GetBucketPolicyStatus" "GetBucketPolicyStatus"
        Missing("NoSuchBucketPolicy", "The bucket policy does not exist");
    "publicAccessBlock" "GetPublicAccessBlock" "GetBucketPublicAccessBlock"
        Missing("NoSuchPublicAccessBlockConfiguration", "The public access block configuration was not found");
    "replication" "GetBucketReplication" "GetReplicationConfiguration"
        Missing("ReplicationConfigurationNotFoundError", "The replication configuration was not found");
    "requestPayment" "GetBucketRequestPayment" "GetBucketRequestPayment"
        Found("RequestPaymentConfiguration", Some(("Payer", "BucketOwner")));
    "tagging" "GetBucketTagging" "GetBucketTagging" Missing("NoSuchTagSet", "The TagSet does not exist");
    "versioning" "GetBucketVersioning" "GetBucketVersioning" Found("VersioningConfiguration", None);
    "website" "GetBucketWebsite" "GetBucketWebsite"
        Missing("NoSuchWebsiteConfiguration", "The specified bucket does not have a website configuration");
};

/// The setting that a parameter of the query names.
pub(super) fn of(parameter: &str) -> Option<&'static Configuration> {
    CONFIGURATIONS.iter().find(|configuration| configuration.parameter == parameter)
}

impl Configuration {
    /// Its state in `bucket`, whose owner has this canonical id.
    pub(super) fn answer(&self, bucket: &str, owner_id: &str) -> Result<Answer, Refusal> {
        let document = match &self.state {
            NotImplemented => return Err(Refusal::not_implemented()),
            Missing(code, message) => return Err(Refusal::new(404, code, *message).with("BucketName", bucket)),
            Found(root, content) => {
                let mut document = Document::new(root);
                if let Some((name, value)) = content {
                    document.text(name, value);
                }
                document
            }
            Owned => {
                let mut document = Document::new("AccessControlPolicy");
                document.begin("Owner").text("ID", owner_id).end().begin("AccessControlList").begin("Grant");
                document.grantee(owner_id).text("Permission", "FULL_CONTROL").end().end();
                document
            }
            OwnerEnforced => {
                let mut document = Document::new("OwnershipControls");
                document.begin("Rule").text("ObjectOwnership", "BucketOwnerEnforced").end();
                document
            }
        };
        Ok(document.answer(StatusCode::OK))
    }
}
