//! `PublishLayerVersion`, `GetLayerVersion`, `GetLayerVersionByArn`, `ListLayers`, `ListLayerVersions` and
//! `DeleteLayerVersion`; and what functions take from layers.

use millstream_env::Timestamp;
use millstream_iam::RequestContext;
use millstream_types::Scope;
use millstream_wire::lambda::error::{
    DeleteLayerVersionError, GetLayerVersionByArnError, GetLayerVersionError, ListLayerVersionsError, ListLayersError,
    PublishLayerVersionError,
};
use millstream_wire::lambda::{
    Architecture, DeleteLayerVersionRequest, GetLayerVersionByArnRequest, GetLayerVersionRequest,
    GetLayerVersionResponse, LayerVersionContentOutput, LayerVersionsListItem, LayersListItem,
    ListLayerVersionsRequest, ListLayerVersionsResponse, ListLayersRequest, ListLayersResponse,
    PublishLayerVersionRequest, PublishLayerVersionResponse,
};

use super::list_functions::page_items;
use crate::code::archive::UNZIPPED_BYTES_MAX;
use crate::failure::Failure;
use crate::functions::Functions;
use crate::layers::{LayerName, LayerUse, LayerVersionRecord};
use crate::record::{Code, FORMAT};
use crate::response::last_modified;
use crate::settings::invalid;
use crate::store::{last_part, number_of};

/// Layers that one function can use.
const LAYERS_MAX: usize = 5;
const NOT_THERE: &str = "The resource you requested does not exist.";

impl Functions {
    pub async fn publish_layer_version(
        &self,
        context: &RequestContext,
        input: PublishLayerVersionRequest,
    ) -> Result<PublishLayerVersionResponse, PublishLayerVersionError> {
        let layer = LayerName::of(context, &input.layer_name)?;
        let content = &input.content;
        if content.s3_bucket.is_some() || content.s3_key.is_some() || content.s3_object_version.is_some() {
            return Err(
                invalid("Content from S3 is not supported by this server yet; give it as ZipFile.".to_owned()).into()
            );
        }
        let archive = content.zip_file.clone();
        let archive = archive.ok_or_else(|| invalid("Please provide a source for layer content.".to_owned()))?;
        let code = self.shared.code.add(archive).await?;
        let record = LayerVersionRecord {
            v: FORMAT,
            unzipped_bytes: self.shared.code.unzipped_bytes(code.digest).await?,
            code,
            description: input.description.unwrap_or_default(),
            license_info: input.license_info,
            runtimes: input.compatible_runtimes.unwrap_or_default(),
            architectures: names(input.compatible_architectures.as_deref()),
            created_ms: self.shared.service_clock.now().millis(),
        };
        let number = self.shared.records.next_layer_version(&layer).await?;
        self.shared.records.put_layer_version(&layer, number, &record).await?;
        let GetLayerVersionResponse {
            content,
            layer_arn,
            layer_version_arn,
            description,
            created_date,
            version,
            compatible_runtimes,
            license_info,
            compatible_architectures,
        } = self.shown_layer(context, &layer, number, record);
        Ok(PublishLayerVersionResponse {
            content,
            layer_arn,
            layer_version_arn,
            description,
            created_date,
            version,
            compatible_runtimes,
            license_info,
            compatible_architectures,
        })
    }

    pub async fn get_layer_version(
        &self,
        context: &RequestContext,
        input: GetLayerVersionRequest,
    ) -> Result<GetLayerVersionResponse, GetLayerVersionError> {
        let layer = LayerName::of(context, &input.layer_name)?;
        let number = checked_number(input.version_number)?;
        let record = self.layer_version(&layer, number).await?;
        Ok(self.shown_layer(context, &layer, number, record))
    }

    pub async fn get_layer_version_by_arn(
        &self,
        context: &RequestContext,
        input: GetLayerVersionByArnRequest,
    ) -> Result<GetLayerVersionResponse, GetLayerVersionByArnError> {
        let (layer, number) = layer_version_name(&context.scope, &input.arn)?;
        let record = self.layer_version(&layer, number).await?;
        Ok(self.shown_layer(context, &layer, number, record))
    }

    /// One that is not there is no error. Functions that use it go on.
    pub async fn delete_layer_version(
        &self,
        context: &RequestContext,
        input: DeleteLayerVersionRequest,
    ) -> Result<(), DeleteLayerVersionError> {
        let layer = LayerName::of(context, &input.layer_name)?;
        let number = checked_number(input.version_number)?;
        Ok(self.shared.records.remove_layer_version(&layer, number).await?)
    }

    /// Newest first.
    pub async fn list_layer_versions(
        &self,
        context: &RequestContext,
        input: ListLayerVersionsRequest,
    ) -> Result<ListLayerVersionsResponse, ListLayerVersionsError> {
        let layer = LayerName::of(context, &input.layer_name)?;
        let limit = page_items(input.max_items);
        let below = match &input.marker {
            Some(marker) => marker.parse().map_err(|_| invalid("Invalid Marker.".to_owned()))?,
            None => u64::MAX,
        };
        let wanted = Wanted { runtime: input.compatible_runtime, architecture: input.compatible_architecture };
        let mut versions = self.matching_versions(&layer, &wanted).await?;
        versions.retain(|(number, _)| *number < below);
        versions.reverse();
        let more = versions.len() > limit;
        versions.truncate(limit);
        let next_marker = versions.last().filter(|_| more).map(|(number, _)| number.to_string());
        let items = versions.into_iter().map(|(number, record)| layer_item(&layer, number, record));
        Ok(ListLayerVersionsResponse { next_marker, layer_versions: Some(items.collect()) })
    }

    /// Each layer with its newest version that matches; those without one are left out.
    pub async fn list_layers(
        &self,
        context: &RequestContext,
        input: ListLayersRequest,
    ) -> Result<ListLayersResponse, ListLayersError> {
        let limit = page_items(input.max_items);
        let wanted = Wanted { runtime: input.compatible_runtime, architecture: input.compatible_architecture };
        let (mut layers, mut after) = (Vec::new(), input.marker);
        loop {
            let page = self.shared.records.layers(&context.scope, after.as_deref(), limit - layers.len()).await?;
            for stored in &page.items {
                let layer = LayerName { scope: context.scope.clone(), name: last_part(&stored.key).to_owned() };
                if let Some((number, record)) = self.matching_versions(&layer, &wanted).await?.pop() {
                    layers.push(LayersListItem {
                        layer_name: Some(layer.name.clone()),
                        layer_arn: Some(layer.arn()),
                        latest_matching_version: Some(layer_item(&layer, number, record)),
                    });
                }
                after = Some(layer.name);
            }
            if !page.more || layers.len() == limit {
                let next_marker = after.filter(|_| page.more);
                return Ok(ListLayersResponse { next_marker, layers: Some(layers) });
            }
        }
    }

    /// What a function with these layers takes from them, in their order.
    pub(super) async fn layer_uses(&self, scope: &Scope, arns: &[String]) -> Result<Vec<LayerUse>, Failure> {
        if arns.len() > LAYERS_MAX {
            return Err(invalid(format!("Cannot reference more than {LAYERS_MAX} layers.")));
        }
        let (mut uses, mut seen) = (Vec::new(), Vec::<(LayerName, &String)>::new());
        for arn in arns {
            let (layer, number) = layer_version_name(scope, arn)?;
            if let Some((_, other)) = seen.iter().find(|(other, _)| *other == layer) {
                return Err(invalid(format!(
                    "Two different versions of the same layer are not allowed to be referenced in the same function. \
                     {other} and {arn} are versions of the same layer."
                )));
            }
            let found = self.shared.records.layer_version(&layer, number).await?;
            let found = found.ok_or_else(|| invalid(format!("Layer version {arn} does not exist.")))?.record;
            uses.push(LayerUse { arn: arn.clone(), code: found.code, unzipped_bytes: found.unzipped_bytes });
            seen.push((layer, arn));
        }
        Ok(uses)
    }

    /// The bound on all that a function sees unpacked.
    pub(super) async fn check_size_with_layers(&self, code: &Code, layers: &[LayerUse]) -> Result<(), Failure> {
        if layers.is_empty() {
            return Ok(());
        }
        let of_layers: u64 = layers.iter().map(|layer| layer.unzipped_bytes).sum();
        let bytes = self.shared.code.unzipped_bytes(code.digest).await? + of_layers;
        if bytes > UNZIPPED_BYTES_MAX {
            return Err(invalid(format!(
                "Function code combined with layers exceeds the maximum allowed size of {UNZIPPED_BYTES_MAX} bytes. The \
                 actual size is {bytes} bytes."
            )));
        }
        Ok(())
    }

    async fn layer_version(&self, layer: &LayerName, number: u64) -> Result<LayerVersionRecord, Failure> {
        let found = self.shared.records.layer_version(layer, number).await?;
        Ok(found.ok_or_else(|| Failure::ResourceNotFound(NOT_THERE.to_owned()))?.record)
    }

    /// The versions of a layer that match, oldest first.
    async fn matching_versions(
        &self,
        layer: &LayerName,
        wanted: &Wanted,
    ) -> Result<Vec<(u64, LayerVersionRecord)>, Failure> {
        let (mut versions, mut after) = (Vec::new(), 0);
        loop {
            let page = self.shared.records.layer_versions(layer, after).await?;
            for stored in page.items {
                after = number_of(&stored.key);
                if wanted.fits(&stored.record) {
                    versions.push((after, stored.record));
                }
            }
            if !page.more {
                return Ok(versions);
            }
        }
    }

    fn shown_layer(
        &self,
        context: &RequestContext,
        layer: &LayerName,
        number: u64,
        record: LayerVersionRecord,
    ) -> GetLayerVersionResponse {
        let token = self.shared.downloads.token(record.code.digest);
        let content = LayerVersionContentOutput {
            location: Some(format!("{}/_millstream/code/{token}", context.endpoint)),
            code_sha256: Some(record.code.sha256_base64()),
            code_size: i64::try_from(record.code.bytes).ok(),
            ..LayerVersionContentOutput::default()
        };
        let LayerVersionsListItem {
            layer_version_arn,
            version,
            description,
            created_date,
            compatible_runtimes,
            license_info,
            compatible_architectures,
        } = layer_item(layer, number, record);
        GetLayerVersionResponse {
            content: Some(content),
            layer_arn: Some(layer.arn()),
            layer_version_arn,
            description,
            created_date,
            version,
            compatible_runtimes,
            license_info,
            compatible_architectures,
        }
    }
}

/// Which versions a listing is about.
struct Wanted {
    runtime: Option<String>,
    architecture: Option<Architecture>,
}

impl Wanted {
    fn fits(&self, version: &LayerVersionRecord) -> bool {
        self.runtime.as_ref().is_none_or(|runtime| version.runtimes.contains(runtime))
            && self.architecture.is_none_or(|wanted| version.architectures.iter().any(|own| own == wanted.as_str()))
    }
}

fn checked_number(version: i64) -> Result<u64, Failure> {
    let number = u64::try_from(version).ok().filter(|number| *number > 0);
    number.ok_or_else(|| invalid("Layer Version Cannot be less than 1.".to_owned()))
}

/// The version of a layer that an ARN names, in the region of `scope`.
pub(super) fn layer_version_name(scope: &Scope, arn: &str) -> Result<(LayerName, u64), Failure> {
    let parsed = LayerName::parse(arn).and_then(|(layer, number)| Some((layer, number?)));
    let (layer, number) = parsed.ok_or_else(|| invalid(format!("'{arn}' is not the ARN of a layer version.")))?;
    layer.check_region(scope)?;
    Ok((layer, number))
}

fn names(architectures: Option<&[Architecture]>) -> Vec<String> {
    architectures.unwrap_or_default().iter().map(|one| one.as_str().to_owned()).collect()
}

fn layer_item(layer: &LayerName, number: u64, record: LayerVersionRecord) -> LayerVersionsListItem {
    let architectures: Vec<_> = record.architectures.iter().filter_map(|name| name.parse().ok()).collect();
    LayerVersionsListItem {
        layer_version_arn: Some(layer.version_arn(number)),
        version: i64::try_from(number).ok(),
        description: Some(record.description),
        created_date: Some(last_modified(Timestamp::from_millis(record.created_ms))),
        compatible_runtimes: Some(record.runtimes).filter(|runtimes| !runtimes.is_empty()),
        license_info: record.license_info,
        compatible_architectures: Some(architectures).filter(|architectures| !architectures.is_empty()),
    }
}
