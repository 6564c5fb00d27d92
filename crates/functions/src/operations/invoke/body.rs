//! What a caller may send to a function.

use millstream_wire::lambda::error::InvokeError;
use serde::de::IgnoredAny;

/// Longest client context, in base64 (Lambda model).
const CLIENT_CONTEXT_BYTES_MAX: usize = 3583;

/// The service parses every event. The text begins as AWS's does; its end names the place of the first error.
pub(super) fn check_json(payload: &[u8]) -> Result<(), InvokeError> {
    let text = match std::str::from_utf8(payload) {
        Ok(text) => text,
        Err(error) => {
            let byte = payload[error.valid_up_to()];
            let (line, column) = place(&payload[..error.valid_up_to()]);
            return Err(unparsable(&format!("Invalid UTF-8 start byte 0x{byte:02x}"), line, column));
        }
    };
    let Err(error) = serde_json::from_str::<IgnoredAny>(text) else { return Ok(()) };
    let (line, column) = (error.line(), error.column().max(1));
    if error.is_eof() {
        return Err(unparsable("Unexpected end-of-input", line, column));
    }
    let unexpected = text.split('\n').nth(line.saturating_sub(1)).and_then(|line| {
        // Columns count bytes; the one before may lie inside a character.
        let before = line.get(..column - 1)?;
        line[before.len()..].chars().next()
    });
    let what = match unexpected {
        Some(character) => format!(
            "Unexpected character ('{character}' (code {})): expected a valid value (JSON String, Number, Array, Object \
             or token 'null', 'true' or 'false')",
            u32::from(character)
        ),
        None => "Unexpected character".to_owned(),
    };
    Err(unparsable(&what, line, column))
}

/// The JSON inside the base64 of `X-Amz-Client-Context`.
pub(super) fn client_context(base64: &str) -> Result<String, InvokeError> {
    let decoded = (base64.len() <= CLIENT_CONTEXT_BYTES_MAX)
        .then(|| base64_simd::STANDARD.decode_to_vec(base64).ok())
        .flatten()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .filter(|text| serde_json::from_str::<IgnoredAny>(text).is_ok());
    decoded.ok_or_else(|| {
        InvokeError::InvalidRequestContent("Client context must be a valid Base64-encoded JSON object.".to_owned())
    })
}

fn unparsable(what: &str, line: usize, column: usize) -> InvokeError {
    InvokeError::InvalidRequestContent(format!(
        "Could not parse request body into json: Could not parse payload into json: {what}\n at [Source: REDACTED \
         (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: {line}, column: {column}]"
    ))
}

/// Line and column, from 1, of the byte after `before`.
fn place(before: &[u8]) -> (usize, usize) {
    let line = before.split(|byte| *byte == b'\n').count();
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refusal(payload: &[u8]) -> String {
        match check_json(payload) {
            Err(InvokeError::InvalidRequestContent(message)) => {
                let start = "Could not parse request body into json: Could not parse payload into json: ";
                message.strip_prefix(start).unwrap().to_owned()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn json_of_any_kind_and_depth_is_accepted() {
        for payload in ["{}", "null", "1", "\"text\"", " [1, {\"a\": \"\\u00e9é\"}] "] {
            assert!(check_json(payload.as_bytes()).is_ok(), "{payload}");
        }
        let deep = "[".repeat(5000) + &"]".repeat(5000);
        assert!(check_json(deep.as_bytes()).is_ok());
    }

    #[test]
    fn the_first_error_is_named_with_its_place() {
        let expected = "Unexpected character ('h' (code 104)): expected a valid value (JSON String, Number, Array, \
                        Object or token 'null', 'true' or 'false')\n at [Source: REDACTED \
                        (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, column: 1]";
        assert_eq!(refusal(b"hello"), expected);
        assert!(refusal(b"{\"a\":\n  x}").starts_with("Unexpected character ('x' (code 120))"));
        assert!(refusal(b"{").starts_with("Unexpected end-of-input"));
        assert!(refusal(b"\"a\x87\"").starts_with("Invalid UTF-8 start byte 0x87\n at"));
        assert!(refusal(b"\"a\x87\"").ends_with("line: 1, column: 3]"));
    }

    #[test]
    fn a_client_context_is_json_in_base64() {
        assert_eq!(client_context("eyJhIjoxfQ=="), Ok("{\"a\":1}".to_owned()));
        for text in ["{}", "eyJhIjoxfQ", "aGVsbG8=", &"eyJhIjoxfQ==".repeat(300)] {
            assert!(client_context(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_body_panics(payload: Vec<u8>, text in "\\PC{0,30}", context in "\\PC{0,30}") {
            let _ = check_json(&payload);
            let _ = check_json(text.as_bytes());
            let _ = client_context(&context);
        }
    }
}
