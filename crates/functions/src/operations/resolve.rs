//! From a name and a qualifier to one version.

use millstream_types::Scope;

use crate::failure::Failure;
use crate::functions::Functions;
use crate::names::{LATEST, Target, function_arn};
use crate::record::{FunctionRecord, VersionRecord};
use crate::response::Shown;

/// A version that exists.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    pub(crate) function: FunctionRecord,
    /// `None` is `$LATEST`.
    pub(crate) number: Option<u64>,
    pub(crate) version: VersionRecord,
}

impl Resolved {
    /// Shown under the ARN by which it was asked for.
    pub(crate) fn shown<'a>(&'a self, scope: &'a Scope, target: &'a Target) -> Shown<'a> {
        let qualifier = target.qualifier.as_deref();
        Shown { scope, name: &target.name, qualifier, number: self.number, version: &self.version }
    }
}

/// A function as other parts of the server see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    pub name: String,
    /// Without a qualifier.
    pub function_arn: String,
    /// As asked for: with the qualifier when one was given.
    pub qualified_arn: String,
    /// `$LATEST` or a number.
    pub version: String,
    /// The execution role.
    pub role_arn: String,
    pub timeout_seconds: u32,
    pub memory_mb: u32,
}

/// Functions cannot be read from the catalog at the moment. Trying again helps.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("functions cannot be read at the moment: {0}")]
pub struct LookupError(String);

impl Functions {
    /// The function that `name` (bare) and `qualifier` (`$LATEST` or a number) stand for in this scope; `None` when there
    /// is none.
    pub async fn lookup(
        &self,
        scope: &Scope,
        name: &str,
        qualifier: Option<&str>,
    ) -> Result<Option<Described>, LookupError> {
        let target = Target { name: name.to_owned(), qualifier: qualifier.map(str::to_owned) };
        let resolved = match self.resolve(scope, &target).await {
            Ok(resolved) => resolved,
            Err(Failure::ResourceNotFound(_)) => return Ok(None),
            Err(failure) => return Err(LookupError(format!("{failure:?}"))),
        };
        Ok(Some(Described {
            function_arn: function_arn(scope, name, None),
            qualified_arn: target.arn(scope),
            version: resolved.number.map_or_else(|| LATEST.to_owned(), |number| number.to_string()),
            role_arn: resolved.version.configuration.role,
            timeout_seconds: resolved.version.configuration.timeout_seconds,
            memory_mb: resolved.version.configuration.memory_mb,
            name: target.name,
        }))
    }

    /// The function, or AWS's answer that it does not exist, under its plain ARN.
    pub(crate) async fn function(&self, scope: &Scope, target: &Target) -> Result<FunctionRecord, Failure> {
        let found = self.shared.records.function(scope, &target.name).await?;
        found.map(|stored| stored.record).ok_or_else(|| not_found(scope, target))
    }

    /// The version that the target names, or AWS's answer that it does not exist, under the ARN as it was given.
    pub(crate) async fn resolve(&self, scope: &Scope, target: &Target) -> Result<Resolved, Failure> {
        let found = self.shared.records.function(scope, &target.name).await?;
        let Some(function) = found.map(|stored| stored.record) else { return Err(target.not_found(scope)) };
        let number = match target.qualifier.as_deref() {
            None | Some(LATEST) => {
                let version = function.latest.clone();
                return Ok(Resolved { function, number: None, version });
            }
            Some(qualifier) => version_number(qualifier).ok_or_else(|| target.not_found(scope))?,
        };
        let version = self.shared.records.version(scope, &target.name, number).await?;
        let version = version.ok_or_else(|| target.not_found(scope))?.record;
        Ok(Resolved { function, number: Some(number), version })
    }
}

/// The answer that names the function without a qualifier.
pub(crate) fn not_found(scope: &Scope, target: &Target) -> Failure {
    Target { name: target.name.clone(), qualifier: None }.not_found(scope)
}

/// The number of a published version, from its canonical text.
pub(crate) fn version_number(qualifier: &str) -> Option<u64> {
    let number = qualifier.parse::<u64>().ok().filter(|number| *number > 0)?;
    (number.to_string() == qualifier).then_some(number)
}
