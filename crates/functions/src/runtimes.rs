//! Runtime identifiers: which AWS knows, which it has retired, and which can run here.

use crate::failure::Failure;

/// What AWS accepts at present, in its own (recorded) order.
const SUPPORTED: [&str; 25] = [
    "nodejs20.x",
    "python3.14",
    "provided.al2023",
    "python3.12",
    "python3.13",
    "nodejs24.x",
    "nodejs22.x",
    "java25",
    "python3.10",
    "python3.11",
    "java21",
    "ruby3.3",
    "ruby3.4",
    "ruby3.2",
    "python3.8",
    "python3.9",
    "java17",
    "nodejs16.x",
    "dotnet10",
    "dotnet8",
    "java11",
    "dotnet6",
    "nodejs18.x",
    "provided.al2",
    "java8.al2",
];

/// What AWS no longer accepts. Old tutorials name these.
const RETIRED: [&str; 22] = [
    "nodejs",
    "nodejs4.3",
    "nodejs4.3-edge",
    "nodejs6.10",
    "nodejs8.10",
    "nodejs10.x",
    "nodejs12.x",
    "nodejs14.x",
    "python2.7",
    "python3.6",
    "python3.7",
    "java8",
    "go1.x",
    "provided",
    "ruby2.5",
    "ruby2.7",
    "dotnetcore1.0",
    "dotnetcore2.0",
    "dotnetcore2.1",
    "dotnetcore3.1",
    "dotnet5.0",
    "dotnet7",
];

/// Refuses an identifier that cannot be used for a function. With `strict`, retired ones are refused as AWS does;
/// otherwise they run on the nearest interpreter.
pub(crate) fn check(runtime: &str, strict: bool) -> Result<(), Failure> {
    let retired = RETIRED.contains(&runtime);
    if !retired && !SUPPORTED.contains(&runtime) {
        return Err(Failure::InvalidParameterValue(format!(
            "Value {runtime} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [{}] or be \
             a valid ARN",
            SUPPORTED.join(", ")
        )));
    }
    if retired && strict {
        return Err(Failure::InvalidParameterValue(format!(
            "The runtime parameter of {runtime} is no longer supported for creating or updating AWS Lambda functions. \
             We recommend you use a supported runtime while creating or updating functions."
        )));
    }
    if !runs_here(runtime) {
        return Err(Failure::InvalidParameterValue(format!(
            "The runtime {runtime} cannot be run by this server. Supported here are python3.x, nodejs*.x, provided.al2 \
             and provided.al2023."
        )));
    }
    Ok(())
}

/// Whether functions of this runtime are native programs.
pub(crate) fn is_native(runtime: &str) -> bool {
    runtime.starts_with("provided")
}

fn runs_here(runtime: &str) -> bool {
    let is_node = runtime.strip_prefix("nodejs").is_some_and(|version| {
        version.starts_with(|first: char| first.is_ascii_digit()) && !version.ends_with("-edge")
    });
    is_node || runtime.starts_with("python3") || is_native(runtime)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(runtime: &str, strict: bool) -> Option<String> {
        match check(runtime, strict) {
            Ok(()) => None,
            Err(Failure::InvalidParameterValue(message)) => Some(message),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn interpreters_and_native_programs_run() {
        for runtime in ["python3.8", "python3.14", "nodejs16.x", "nodejs24.x", "provided.al2", "provided.al2023"] {
            assert_eq!(message(runtime, true), None);
        }
    }

    #[test]
    fn retired_ones_run_unless_strict() {
        for runtime in ["nodejs12.x", "nodejs8.10", "python3.7", "provided"] {
            assert_eq!(message(runtime, false), None);
            let expected = format!(
                "The runtime parameter of {runtime} is no longer supported for creating or updating AWS Lambda \
                 functions. We recommend you use a supported runtime while creating or updating functions."
            );
            assert_eq!(message(runtime, true), Some(expected));
        }
    }

    #[test]
    fn others_are_refused_with_what_can_be_done() {
        for runtime in ["java21", "dotnet8", "ruby3.4", "go1.x", "python2.7", "nodejs4.3-edge"] {
            assert!(message(runtime, false).unwrap().contains("Supported here are python3.x"), "{runtime}");
        }
        let unknown = message("python9.9", false).unwrap();
        assert!(unknown.starts_with("Value python9.9 at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [nodejs20.x, python3.14,"));
        assert!(unknown.ends_with("provided.al2, java8.al2] or be a valid ARN"));
    }
}
