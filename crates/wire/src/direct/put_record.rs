//! `PutRecord` without a value tree.

use millstream_types::{SequenceNumber, ShardId};

use super::draft::failed;
use super::writer::Writer;
use super::{Format, PutRecord, from_cbor, from_json};
use crate::error::ApiError;
use crate::kinesis::EncryptionType;
use crate::{cbor, json};

/// Decodes a request and checks its constraints.
pub fn decode(body: &[u8], format: Format) -> Result<PutRecord<'_>, ApiError> {
    let draft = match format {
        Format::Json => from_json::put_record(body).map_err(|error| failed(error, || json::is_well_formed(body)))?,
        Format::Cbor => from_cbor::put_record(body).map_err(|error| failed(error, || cbor::is_well_formed(body)))?,
    };
    draft.into_put_record()
}

/// The body of the answer. `encryption_type` is `None` for unencrypted streams.
pub fn encode(
    shard_id: ShardId,
    sequence_number: SequenceNumber,
    encryption_type: Option<EncryptionType>,
    format: Format,
) -> Vec<u8> {
    let mut out = Writer::new(format, 192);
    out.start_structure();
    if let Some(encryption_type) = encryption_type {
        out.text("EncryptionType", encryption_type.as_str());
    }
    out.display("SequenceNumber", &sequence_number);
    out.display("ShardId", &shard_id);
    out.end_structure();
    out.finish()
}
