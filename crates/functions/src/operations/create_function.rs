//! `CreateFunction`.

use bytes::Bytes;
use millstream_iam::RequestContext;
use millstream_types::Scope;
use millstream_wire::lambda::error::CreateFunctionError;
use millstream_wire::lambda::{CreateFunctionRequest, FunctionCode, FunctionConfiguration};

use crate::failure::Failure;
use crate::functions::Functions;
use crate::names::{LATEST, Target};
use crate::record::{Code, Configuration, FORMAT, FunctionRecord, Lifecycle, Published, VersionRecord};
use crate::response::Shown;
use crate::settings::{self, invalid};

/// Most tags of a function.
pub(super) const TAGS_MAX: usize = 50;

impl Functions {
    pub async fn create_function(
        &self,
        context: &RequestContext,
        input: CreateFunctionRequest,
    ) -> Result<FunctionConfiguration, CreateFunctionError> {
        Ok(self.create(context, input).await?)
    }

    async fn create(
        &self,
        context: &RequestContext,
        input: CreateFunctionRequest,
    ) -> Result<FunctionConfiguration, Failure> {
        let target = Target::of(context, &input.function_name, None)?;
        if target.qualifier.as_deref().is_some_and(|qualifier| qualifier != LATEST) {
            return Err(invalid("A function is created without a version or alias in its name.".to_owned()));
        }
        let name = target.name.as_str();
        let mut configuration = settings::of_new(&input, self.shared.strict_runtimes)?;
        configuration.layers = self.layer_uses(&target.scope, input.layers.as_deref().unwrap_or_default()).await?;
        let tags = input.tags.unwrap_or_default();
        if tags.len() > TAGS_MAX {
            return Err(invalid("Number of tags exceeds resource tag limit.".to_owned()));
        }
        if tags.keys().any(|key| key.to_ascii_lowercase().starts_with("aws:")) {
            return Err(invalid("aws: prefixed tag key names are not allowed for external use.".to_owned()));
        }
        let archive = zip_file(&input.code)?;
        self.refuse_existing(&target.scope, name).await?;
        self.check_role(&configuration.role).await?;
        let code = self.shared.code.add(archive).await?;
        self.check_size_with_layers(&code, &configuration.layers).await?;
        let latest = self.new_version(configuration, code);
        let number = input.publish.unwrap_or_default().then_some(1);
        let function = FunctionRecord {
            v: FORMAT,
            last_version: number.unwrap_or_default(),
            published: number.map(|number| Published { number, fingerprint: latest.fingerprint() }),
            latest,
            tags,
            deleting: false,
            reserved_concurrency: None,
        };
        if !self.shared.records.create(&target.scope, name, &function).await? {
            return Err(already_exists(name));
        }
        let mut version = function.latest;
        if let Some(number) = number {
            version.revision_id = self.shared.random.uuid();
            self.shared.records.put_version(&target.scope, name, number, &version).await?;
            self.complete_later(&target.scope, name, Some(number));
        }
        self.complete_later(&target.scope, name, None);
        // Recorded: published at creation, the answer has the version's number but the plain ARN.
        Ok(Shown { scope: &target.scope, name, qualifier: None, number, version: &version }.configuration())
    }

    async fn refuse_existing(&self, scope: &Scope, name: &str) -> Result<(), Failure> {
        if self.shared.records.function(scope, name).await?.is_some() {
            return Err(already_exists(name));
        }
        // A function can be created again at once after its deletion, even if that is still going on.
        self.finish_deletion(scope, name).await
    }

    fn new_version(&self, configuration: Configuration, code: Code) -> VersionRecord {
        VersionRecord {
            v: FORMAT,
            configuration,
            code,
            lifecycle: Lifecycle::Creating,
            revision_id: self.shared.random.uuid(),
            edition: 0,
            last_modified_ms: self.shared.service_clock.now().millis(),
        }
    }

    pub(crate) async fn check_role(&self, role_arn: &str) -> Result<(), Failure> {
        if self.shared.roles.can_be_assumed_by_lambda(role_arn).await {
            return Ok(());
        }
        tracing::warn!(
            role = %role_arn,
            "the role does not exist or does not trust Lambda; make one with: aws iam create-role --role-name NAME \
             --assume-role-policy-document '{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Allow\",\
             \"Principal\":{{\"Service\":\"lambda.amazonaws.com\"}},\"Action\":\"sts:AssumeRole\"}}]}}'"
        );
        Err(invalid("The role defined for the function cannot be assumed by Lambda.".to_owned()))
    }
}

fn zip_file(code: &FunctionCode) -> Result<Bytes, Failure> {
    if code.image_uri.is_some() {
        return Err(invalid("Code.ImageUri is not supported by this server; give the code as ZipFile.".to_owned()));
    }
    if code.s3_bucket.is_some() || code.s3_key.is_some() || code.s3_object_version.is_some() {
        return Err(invalid("Code from S3 is not supported by this server yet; give it as ZipFile.".to_owned()));
    }
    if code.source_kms_key_arn.as_ref().is_some_and(|arn| !arn.is_empty()) {
        return Err(invalid("Code.SourceKMSKeyArn is not supported by this server yet.".to_owned()));
    }
    code.zip_file.clone().ok_or_else(|| invalid("Please provide a source for function code.".to_owned()))
}

fn already_exists(name: &str) -> Failure {
    Failure::ResourceConflict(format!("Function already exist: {name}"))
}
