//! Layers: archives that functions share, each version of which never changes.
//!
//! A function keeps what it uses of a layer itself ([`LayerUse`]): deleting a version takes it from nobody.

use millstream_iam::RequestContext;
use millstream_types::Scope;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::record::Code;
use crate::settings::invalid;

/// What the catalog keeps of a layer beside its versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LayerRecord {
    pub(crate) v: u8,
    /// The highest number ever given to a version; numbers are not used twice.
    pub(crate) last_version: u64,
}

/// What the catalog keeps of one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LayerVersionRecord {
    pub(crate) v: u8,
    pub(crate) code: Code,
    /// Of the unpacked content.
    pub(crate) unzipped_bytes: u64,
    pub(crate) description: String,
    pub(crate) license_info: Option<String>,
    pub(crate) runtimes: Vec<String>,
    pub(crate) architectures: Vec<String>,
    /// Milliseconds since the epoch.
    pub(crate) created_ms: u64,
}

/// What a function keeps of a layer's version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LayerUse {
    pub(crate) arn: String,
    pub(crate) code: Code,
    pub(crate) unzipped_bytes: u64,
}

/// A layer in the caller's region, perhaps of another account: who may use it is decided before an operation begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LayerName {
    pub(crate) scope: Scope,
    pub(crate) name: String,
}

impl LayerName {
    /// From a name or an ARN, whose form the model has checked.
    pub(crate) fn of(context: &RequestContext, text: &str) -> Result<Self, Failure> {
        let unknown = || invalid(format!("'{text}' is not the name or ARN of a layer."));
        if !text.contains(':') {
            return Ok(Self { scope: context.scope.clone(), name: text.to_owned() });
        }
        let (layer, version) = Self::parse(text).ok_or_else(unknown)?;
        if version.is_some() {
            return Err(unknown());
        }
        layer.check_region(&context.scope)?;
        Ok(layer)
    }

    /// A layer and, where the ARN has one, the number of a version.
    pub(crate) fn parse(arn: &str) -> Option<(Self, Option<u64>)> {
        let mut parts = arn.split(':');
        let ("arn", Some(_), Some("lambda")) = (parts.next()?, parts.next(), parts.next()) else { return None };
        let (region, account) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let ("layer", name) = (parts.next()?, parts.next()?) else { return None };
        let version = parts.next().map(str::parse).transpose().ok()?;
        let layer = Self { scope: Scope { account, region }, name: name.to_owned() };
        parts.next().is_none().then_some((layer, version))
    }

    pub(crate) fn check_region(&self, scope: &Scope) -> Result<(), Failure> {
        if self.scope.region == scope.region {
            return Ok(());
        }
        Err(invalid(format!(
            "Layers are not in the same region as the function. Layers are expected to be in region {}.",
            scope.region
        )))
    }

    pub(crate) fn arn(&self) -> String {
        self.scope.arn("lambda", format_args!("layer:{}", self.name)).to_string()
    }

    pub(crate) fn version_arn(&self, number: u64) -> String {
        format!("{}:{number}", self.arn())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::context;

    #[test]
    fn layers_are_named_by_name_or_arn() {
        let of = |text: &str| LayerName::of(&context(), text).map(|layer| layer.arn());
        let arn = "arn:aws:lambda:us-east-1:000000000000:layer:l";
        assert_eq!(of("l"), Ok(arn.to_owned()));
        assert_eq!(of(arn), Ok(arn.to_owned()));
        let foreign = "arn:aws:lambda:us-east-1:111122223333:layer:l";
        assert_eq!(of(foreign), Ok(foreign.to_owned()));
        for wrong in [&format!("{arn}:1"), "arn:aws:lambda:eu-west-1:000000000000:layer:l", "arn:aws:s3:::l", "a:b"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
        let (layer, version) = LayerName::parse(&format!("{arn}:7")).unwrap();
        assert_eq!((layer.version_arn(7), version), (format!("{arn}:7"), Some(7)));
        for wrong in [format!("{arn}:x"), format!("{arn}:1:2"), format!("{arn}:-1")] {
            assert_eq!(LayerName::parse(&wrong), None, "{wrong}");
        }
    }
}
