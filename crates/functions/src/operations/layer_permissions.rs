//! `AddLayerVersionPermission`, `RemoveLayerVersionPermission` and `GetLayerVersionPolicy`: who else may use a layer.

use millstream_iam::RequestContext;
use millstream_wire::lambda::error::{
    AddLayerVersionPermissionError, GetLayerVersionPolicyError, RemoveLayerVersionPermissionError,
};
use millstream_wire::lambda::{
    AddLayerVersionPermissionRequest, AddLayerVersionPermissionResponse, GetLayerVersionPolicyRequest,
    GetLayerVersionPolicyResponse, RemoveLayerVersionPermissionRequest,
};

use crate::failure::Failure;
use crate::functions::Functions;
use crate::layers::LayerName;
use crate::policy::{Statement, principal};
use crate::settings::invalid;
use crate::store::layer_policy_key;

impl Functions {
    pub async fn add_layer_version_permission(
        &self,
        context: &RequestContext,
        input: AddLayerVersionPermissionRequest,
    ) -> Result<AddLayerVersionPermissionResponse, AddLayerVersionPermissionError> {
        let (layer, number) = self.existing_layer(context, &input.layer_name, input.version_number).await?;
        let principal = principal(&input.principal).ok_or_else(|| {
            invalid("The provided principal was invalid. Please check the principal and try again.".to_owned())
        })?;
        let conditions = [("StringEquals", "aws:PrincipalOrgID", input.organization_id.as_deref())];
        let resource = layer.version_arn(number);
        let statement = Statement::new(&input.statement_id, principal, &input.action, resource, &conditions);
        let shown = statement.shown();
        let key = layer_policy_key(&layer, number);
        let revision_id = self.add_statement(&key, input.revision_id.as_deref(), statement).await?;
        Ok(AddLayerVersionPermissionResponse { statement: Some(shown), revision_id: Some(revision_id) })
    }

    pub async fn remove_layer_version_permission(
        &self,
        context: &RequestContext,
        input: RemoveLayerVersionPermissionRequest,
    ) -> Result<(), RemoveLayerVersionPermissionError> {
        let (layer, number) = self.existing_layer(context, &input.layer_name, input.version_number).await?;
        let key = layer_policy_key(&layer, number);
        Ok(self.remove_statement(&key, input.revision_id.as_deref(), &input.statement_id).await?)
    }

    pub async fn get_layer_version_policy(
        &self,
        context: &RequestContext,
        input: GetLayerVersionPolicyRequest,
    ) -> Result<GetLayerVersionPolicyResponse, GetLayerVersionPolicyError> {
        let (layer, number) = self.existing_layer(context, &input.layer_name, input.version_number).await?;
        let policy = self
            .policy_at(&layer_policy_key(&layer, number))
            .await?
            .ok_or_else(|| Failure::ResourceNotFound("No policy is associated with the given resource.".to_owned()))?;
        Ok(GetLayerVersionPolicyResponse { policy: Some(policy.document()), revision_id: Some(policy.revision_id) })
    }

    async fn existing_layer(
        &self,
        context: &RequestContext,
        name: &str,
        version: i64,
    ) -> Result<(LayerName, u64), Failure> {
        let layer = LayerName::of(context, name)?;
        let number = u64::try_from(version).unwrap_or_default();
        let found = self.shared.records.layer_version(&layer, number).await?;
        let missing =
            || Failure::ResourceNotFound(format!("Layer version {} does not exist.", layer.version_arn(number)));
        found.ok_or_else(missing)?;
        Ok((layer, number))
    }
}
