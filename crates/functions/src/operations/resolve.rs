//! From a name and a qualifier to one version.

use millstream_types::Scope;

use crate::failure::Failure;
use crate::functions::Functions;
use crate::names::{LATEST, Target};
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

/// Which of an alias' versions is meant.
#[derive(Clone, Copy, Debug)]
enum Pick {
    /// The one it leads to: what descriptions show.
    First,
    /// Either, by weight: what an invocation gets.
    ByWeight,
}

impl Resolved {
    /// Shown under the ARN by which it was asked for.
    pub(crate) fn shown<'a>(&'a self, target: &'a Target) -> Shown<'a> {
        let qualifier = target.qualifier.as_deref();
        Shown { scope: &target.scope, name: &target.name, qualifier, number: self.number, version: &self.version }
    }
}

/// How finely the weights of an alias are told apart.
const CHANCES: u32 = 1 << 24;

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
    /// The function that `name` (bare) and `qualifier` (`$LATEST`, a number or an alias) stand for in this scope; `None` when there
    /// is none.
    pub async fn lookup(
        &self,
        scope: &Scope,
        name: &str,
        qualifier: Option<&str>,
    ) -> Result<Option<Described>, LookupError> {
        let target = Target { scope: scope.clone(), name: name.to_owned(), qualifier: qualifier.map(str::to_owned) };
        let resolved = match self.resolve(&target).await {
            Ok(resolved) => resolved,
            Err(Failure::ResourceNotFound(_)) => return Ok(None),
            Err(failure) => return Err(LookupError(format!("{failure:?}"))),
        };
        Ok(Some(Described {
            function_arn: target.function_arn(),
            qualified_arn: target.arn(),
            version: resolved.number.map_or_else(|| LATEST.to_owned(), |number| number.to_string()),
            role_arn: resolved.version.configuration.role,
            timeout_seconds: resolved.version.configuration.timeout_seconds,
            memory_mb: resolved.version.configuration.memory_mb,
            name: target.name,
        }))
    }

    /// The function, or AWS's answer that it does not exist, under its plain ARN.
    pub(crate) async fn function(&self, target: &Target) -> Result<FunctionRecord, Failure> {
        let found = self.shared.records.function(&target.scope, &target.name).await?;
        found.map(|stored| stored.record).ok_or_else(|| not_found(target))
    }

    /// The version that the target names, or AWS's answer that it does not exist, under the ARN as it was given.
    pub(crate) async fn resolve(&self, target: &Target) -> Result<Resolved, Failure> {
        self.resolve_as(target, Pick::First).await
    }

    /// The same for one invocation, which may get the second version of an alias.
    pub(crate) async fn route(&self, target: &Target) -> Result<Resolved, Failure> {
        self.resolve_as(target, Pick::ByWeight).await
    }

    async fn resolve_as(&self, target: &Target, pick: Pick) -> Result<Resolved, Failure> {
        let scope = &target.scope;
        let found = self.shared.records.function(scope, &target.name).await?;
        let Some(function) = found.map(|stored| stored.record) else { return Err(target.not_found()) };
        let number = match target.qualifier.as_deref() {
            None | Some(LATEST) => None,
            Some(qualifier) => self.number_of(target, qualifier, pick).await?,
        };
        let Some(number) = number else {
            let version = function.latest.clone();
            return Ok(Resolved { function, number: None, version });
        };
        let version = self.shared.records.version(scope, &target.name, number).await?;
        let version = version.ok_or_else(|| target.not_found())?.record;
        Ok(Resolved { function, number: Some(number), version })
    }

    /// The version that a number or the name of an alias means; `None` is `$LATEST`.
    async fn number_of(&self, target: &Target, qualifier: &str, pick: Pick) -> Result<Option<u64>, Failure> {
        if let Some(number) = version_number(qualifier) {
            return Ok(Some(number));
        }
        let found = self.shared.records.alias(&target.scope, &target.name, qualifier).await?;
        let alias = found.ok_or_else(|| target.not_found())?.record;
        Ok(match pick {
            Pick::First => alias.version,
            Pick::ByWeight => alias.choose(|| f64::from(self.shared.random.below(CHANCES)) / f64::from(CHANCES)),
        })
    }
}

/// The answer that names the function without a qualifier.
pub(crate) fn not_found(target: &Target) -> Failure {
    target.qualified(None).not_found()
}

/// The number of a published version, from its canonical text.
pub(crate) fn version_number(qualifier: &str) -> Option<u64> {
    let number = qualifier.parse::<u64>().ok().filter(|number| *number > 0)?;
    (number.to_string() == qualifier).then_some(number)
}
