//! Licences, bans and sources of all dependencies, checked against `deny.toml` from `cargo metadata`.
//!
//! The same rules that cargo-deny reads, without the minutes that installing it would cost a fresh machine. Its advisory
//! database needs the network and is not part of the gate.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::stages::{cargo, say};

pub(crate) fn check(root: &Path) -> Result<()> {
    let rules = Rules::read(root)?;
    let output = cargo(root)
        .args(["metadata", "--format-version=1", "--locked", "--all-features"])
        .output()
        .context("cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().context("metadata lists packages")?;
    let faults: Vec<String> = packages.iter().filter_map(|package| rules.fault(package)).collect();
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    say(&format!("{} packages: licences, bans and sources are fine", packages.len()));
    Ok(())
}

struct Rules {
    licences: Vec<String>,
    banned: Vec<String>,
}

impl Rules {
    fn read(root: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(root.join("deny.toml")).context("deny.toml")?;
        let rules: toml::Table = text.parse()?;
        let strings = |table: &str, key: &str, field: Option<&str>| -> Vec<String> {
            let items = rules[table][key].as_array().map(Vec::as_slice).unwrap_or_default();
            let text =
                |item: &toml::Value| field.map_or(Some(item), |name| item.get(name))?.as_str().map(str::to_owned);
            items.iter().filter_map(text).collect()
        };
        Ok(Self { licences: strings("licenses", "allow", None), banned: strings("bans", "deny", Some("crate")) })
    }

    /// What is wrong with a package of `cargo metadata`, if anything.
    fn fault(&self, package: &Value) -> Option<String> {
        let name = package["name"].as_str()?;
        let source = package["source"].as_str();
        if source.is_some_and(|source| !source.starts_with("registry+") || !source.contains("crates.io-index")) {
            return Some(format!("{name}: source {} is not crates.io", source.unwrap_or_default()));
        }
        if self.banned.iter().any(|banned| banned == name) {
            return Some(format!("{name} is banned"));
        }
        let licence = package["license"].as_str().unwrap_or("none");
        (!self.allows(licence)).then(|| format!("{name}: licence {licence} is not allowed by deny.toml"))
    }

    /// Whether an SPDX expression is satisfied by the allowed licences: `OR` binds weaker than `AND`.
    fn allows(&self, expression: &str) -> bool {
        let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
        let tokens: Vec<&str> = spaced.split_whitespace().collect();
        let mut rest = tokens.as_slice();
        let allowed = self.any_of(&mut rest);
        allowed && rest.is_empty()
    }

    fn any_of(&self, rest: &mut &[&str]) -> bool {
        let mut allowed = self.all_of(rest);
        while let Some(("OR", tail)) = rest.split_first().map(|(first, tail)| (*first, tail)) {
            *rest = tail;
            allowed |= self.all_of(rest);
        }
        allowed
    }

    fn all_of(&self, rest: &mut &[&str]) -> bool {
        let mut allowed = self.one(rest);
        while let Some(("AND", tail)) = rest.split_first().map(|(first, tail)| (*first, tail)) {
            *rest = tail;
            allowed &= self.one(rest);
        }
        allowed
    }

    fn one(&self, rest: &mut &[&str]) -> bool {
        match **rest {
            ["(", ref tail @ ..] => {
                *rest = tail;
                let allowed = self.any_of(rest);
                if let [")", tail @ ..] = rest {
                    *rest = tail;
                }
                allowed
            }
            [licence, "WITH", exception, ref tail @ ..] => {
                *rest = tail;
                self.licences.contains(&format!("{licence} WITH {exception}"))
            }
            [licence, ref tail @ ..] => {
                *rest = tail;
                self.licences.iter().any(|allowed| allowed == licence)
            }
            [] => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licence_expressions_are_understood() {
        let rules = Rules { licences: vec!["MIT".into(), "Apache-2.0 WITH LLVM-exception".into()], banned: vec![] };
        for (expression, allowed) in [
            ("MIT", true),
            ("MIT OR GPL-3.0", true),
            ("GPL-3.0/MIT", true),
            ("MIT AND GPL-3.0", false),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("Apache-2.0", false),
            ("(GPL-3.0 OR MIT) AND MIT", true),
            ("none", false),
            ("MIT )", false),
        ] {
            assert_eq!(rules.allows(expression), allowed, "{expression}");
        }
    }
}
