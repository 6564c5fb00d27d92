//! Turns the models' patterns, which are Java's, into the syntax of Rust's `regex`.
//!
//! The differences that occur: `\uXXXX`, the ASCII meaning of `\d`, `\w` and `\s`, and the line ends that `.` leaves
//! out. Look-around has no counterpart: such a pattern gets its Rust form (`match`) from the patch file.

/// How the models write a region. Here any region name is one, so the texts stay and the matching is wider.
const REGIONS: [&str; 4] = [
    r"(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}",
    r"[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}",
    r"[a-z]{2}((-gov)|(-iso(b?)))?-[a-z]+-\d{1}",
    r"[a-z]{2}(-gov)?-[a-z]+-\d{1}",
];
const ANY_REGION: &str = "[a-zA-Z0-9-]{1,64}";

/// The Rust form of a Java pattern.
pub(super) fn to_rust(java: &str) -> String {
    let java = REGIONS.iter().fold(java.to_owned(), |java, region| java.replace(region, ANY_REGION));
    let mut rust = String::new();
    let mut letters = java.chars().peekable();
    let mut in_class = false;
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('u') => {
                    let digits: String = letters.by_ref().take(4).collect();
                    rust.extend(["\\x{", &digits, "}"]);
                }
                Some('d') => rust.push_str(if in_class { "0-9" } else { "[0-9]" }),
                Some('w') => rust.push_str(if in_class { "0-9A-Za-z_" } else { "[0-9A-Za-z_]" }),
                Some('s') => rust.push_str("[\\t\\n\\x0B\\f\\r ]"),
                Some('S') => rust.push_str("[^\\t\\n\\x0B\\f\\r ]"),
                Some(escaped) => {
                    rust.push('\\');
                    rust.push(escaped);
                }
                None => rust.push('\\'),
            },
            '[' => {
                in_class = true;
                rust.push('[');
            }
            ']' => {
                in_class = false;
                rust.push(']');
            }
            '.' if !in_class => rust.push_str("[^\\n\\r\\x{85}\\x{2028}\\x{2029}]"),
            other => rust.push(other),
        }
    }
    rust
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_classes_become_ascii_classes() {
        assert_eq!(to_rust(r"0|([1-9]\d{0,38})"), "0|([1-9][0-9]{0,38})");
        assert_eq!(to_rust(r"[\w+=,.@-]+"), "[0-9A-Za-z_+=,.@-]+");
        assert_eq!(to_rust(r"([a-z]{2}(-gov)?-[a-z]+-\d{1})?:x"), "([a-zA-Z0-9-]{1,64})?:x");
        assert_eq!(to_rust(r"[\u0020-\u00FF]+"), r"[\x{0020}-\x{00FF}]+");
    }
}
