//! Rust names for the model's names. The same name always gives the same result, so the output is stable.

/// Units whose letters belong together though their case suggests otherwise.
const UNITS: [(&str, &str); 4] = [("KiB", "Kib"), ("MiBps", "Mibps"), ("GiB", "Gib"), ("VCpu", "Vcpu")];

/// `StreamARN` → `stream_arn`, `KMSKeyArn` → `kms_key_arn`, `MaxRecordSizeInKiB` → `max_record_size_in_kib`.
pub(super) fn snake(name: &str) -> String {
    let name = UNITS.iter().fold(name.to_owned(), |name, (unit, word)| name.replace(unit, word));
    let letters: Vec<char> = name.chars().collect();
    let mut result = String::new();
    for (index, &letter) in letters.iter().enumerate() {
        let before = index.checked_sub(1).map(|i| letters[i]);
        let after = letters.get(index + 1);
        let starts_word = letter.is_ascii_uppercase()
            && before.is_some_and(|before| {
                !before.is_ascii_uppercase() || after.is_some_and(char::is_ascii_lowercase) && before != '_'
            });
        if starts_word && !result.ends_with('_') {
            result.push('_');
        }
        result.push(if letter == '-' { '_' } else { letter.to_ascii_lowercase() });
    }
    result
}

/// A field name: as [`snake`], escaped when it is a keyword.
pub(super) fn field(name: &str) -> String {
    match snake(name) {
        name if name == "type" => "r#type".to_owned(),
        name => name,
    }
}

/// `shardListType` → `SHARD_LIST_TYPE`.
pub(super) fn constant(name: &str) -> String {
    snake(name).to_ascii_uppercase()
}

/// A type name: the model's, with a capital first letter.
pub(super) fn type_name(name: &str) -> String {
    capitalised(name, str::to_owned)
}

/// A variant for an enum value: `ON_DEMAND` → `OnDemand`, `FunctionError.InitTimeout` → `FunctionErrorInitTimeout`,
/// `x86_64` → `X86_64`.
pub(super) fn variant(value: &str) -> String {
    let shouted = !value.chars().any(|c| c.is_ascii_lowercase());
    let mut result = String::new();
    for word in value.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
        let digits_meet =
            result.ends_with(|c: char| c.is_ascii_digit()) && word.starts_with(|c: char| c.is_ascii_digit());
        if digits_meet {
            result.push('_');
        }
        result.push_str(&capitalised(word, |rest| if shouted { rest.to_ascii_lowercase() } else { rest.to_owned() }));
    }
    result
}

/// An error variant: the exception's name without `Exception`.
pub(super) fn error_variant(exception: &str) -> String {
    type_name(exception.strip_suffix("Exception").unwrap_or(exception))
}

fn capitalised(word: &str, rest: impl Fn(&str) -> String) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().collect::<String>() + &rest(letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_become_snake_case() {
        for (name, expected) in [
            ("StreamARN", "stream_arn"),
            ("KMSKeyArn", "kms_key_arn"),
            ("MaxRecordSizeInKiB", "max_record_size_in_kib"),
            ("WarmThroughputMiBps", "warm_throughput_mibps"),
            ("UUID", "uuid"),
            ("S3ObjectVersion", "s3_object_version"),
            ("CodeSha256", "code_sha256"),
            ("logGroupName", "log_group_name"),
            ("EC2ErrorCode", "ec2_error_code"),
            ("SourceKMSKeyArn", "source_kms_key_arn"),
            ("Ipv6AllowedForDualStack", "ipv6_allowed_for_dual_stack"),
        ] {
            assert_eq!(snake(name), expected);
        }
    }

    #[test]
    fn enum_values_become_variants() {
        for (value, expected) in [
            ("AFTER_SEQUENCE_NUMBER", "AfterSequenceNumber"),
            ("x86_64", "X86_64"),
            ("arm64", "Arm64"),
            ("FunctionError.InitTimeout", "FunctionErrorInitTimeout"),
            ("ALL", "All"),
            ("RequestResponse", "RequestResponse"),
            ("SASL_SCRAM_512_AUTH", "SaslScram512Auth"),
        ] {
            assert_eq!(variant(value), expected);
        }
    }
}
