//! `PutRecords` without a value tree.

use super::draft::failed;
use super::writer::Writer;
use super::{Format, PutRecords, PutResult, from_cbor, from_json};
use crate::error::ApiError;
use crate::kinesis::EncryptionType;
use crate::{cbor, json};

/// Bytes that one result takes at most, error texts aside.
const RESULT_BYTES: usize = 160;

/// Decodes a request and checks its constraints.
pub fn decode(body: &[u8], format: Format) -> Result<PutRecords<'_>, ApiError> {
    let draft = match format {
        Format::Json => from_json::put_records(body).map_err(|error| failed(error, || json::is_well_formed(body)))?,
        Format::Cbor => from_cbor::put_records(body).map_err(|error| failed(error, || cbor::is_well_formed(body)))?,
    };
    draft.into_put_records()
}

/// The body of the answer; result *i* belongs to entry *i*. `encryption_type` is `None` for unencrypted streams.
pub fn encode(results: &[PutResult], encryption_type: Option<EncryptionType>, format: Format) -> Vec<u8> {
    let mut out = Writer::new(format, results.len() * RESULT_BYTES + RESULT_BYTES);
    out.start_structure();
    if let Some(encryption_type) = encryption_type {
        out.text("EncryptionType", encryption_type.as_str());
    }
    let failed = results.iter().filter(|result| matches!(result, PutResult::Failed { .. })).count();
    out.integer("FailedRecordCount", i64::try_from(failed).expect("a request has few entries"));
    out.start_list("Records");
    for result in results {
        out.item();
        out.start_structure();
        match result {
            PutResult::Stored { shard_id, sequence_number } => {
                out.display("SequenceNumber", sequence_number);
                out.display("ShardId", shard_id);
            }
            PutResult::Failed { error_code, error_message } => {
                out.text("ErrorCode", error_code);
                out.text("ErrorMessage", error_message);
            }
        }
        out.end_structure();
    }
    out.end_list();
    out.end_structure();
    out.finish()
}
