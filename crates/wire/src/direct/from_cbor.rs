//! Reads drafts from CBOR.

use millstream_types::Payload;

use super::draft::{Data, Draft, EntryDraft, Text};
use crate::cbor::{Extent, Item, Scanner};
use crate::kinesis::shapes::{DATA, PUT_RECORDS_REQUEST_ENTRY, PUT_RECORDS_REQUEST_ENTRY_LIST, STREAM_NAME};
use crate::limits::{DecodeError, VALUES_MAX};
use crate::protocol::cbor::given;
use crate::protocol::coerce::mismatch;

pub(super) fn put_records(body: &[u8]) -> Result<Draft<'_>, DecodeError> {
    document(body, |draft, scanner, name| {
        match name {
            "Records" => draft.entries = entries(scanner)?,
            "StreamARN" => draft.stream_arn = text(scanner)?,
            "StreamId" => draft.stream_id = text(scanner)?,
            "StreamName" => draft.stream_name = text(scanner)?,
            _ => scanner.skip()?,
        }
        Ok(())
    })
}

pub(super) fn put_record(body: &[u8]) -> Result<Draft<'_>, DecodeError> {
    document(body, |draft, scanner, name| {
        match name {
            "SequenceNumberForOrdering" => draft.sequence_number_for_ordering = text(scanner)?,
            "StreamARN" => draft.stream_arn = text(scanner)?,
            "StreamId" => draft.stream_id = text(scanner)?,
            "StreamName" => draft.stream_name = text(scanner)?,
            name => entry_member(&mut draft.entry, scanner, name)?,
        }
        Ok(())
    })
}

fn document<'a>(
    body: &'a [u8],
    member: impl Fn(&mut Draft<'a>, &mut Scanner<'a>, &str) -> Result<(), DecodeError>,
) -> Result<Draft<'a>, DecodeError> {
    let mut scanner = Scanner::new(body);
    let Item::Map(mut extent) = scanner.next()? else { return Err(DecodeError::Malformed) };
    let mut draft = Draft::default();
    while scanner.more(&mut extent)? {
        let name = scanner.key()?;
        member(&mut draft, &mut scanner, &name)?;
    }
    scanner.end()?;
    Ok(draft)
}

fn entries<'a>(scanner: &mut Scanner<'a>) -> Result<Option<Vec<Option<EntryDraft<'a>>>>, DecodeError> {
    let mut extent = match scanner.next()? {
        Item::List(extent) => extent,
        Item::Null => return Ok(None),
        item => return Err(mismatch(&PUT_RECORDS_REQUEST_ENTRY_LIST, &given(&item))),
    };
    let mut entries = Vec::new();
    while scanner.more(&mut extent)? {
        if entries.len() == VALUES_MAX {
            return Err(DecodeError::Type(format!("The request holds more than {VALUES_MAX} values")));
        }
        entries.push(match scanner.next()? {
            Item::Map(extent) => Some(entry(scanner, extent)?),
            Item::Null => None,
            item => return Err(mismatch(&PUT_RECORDS_REQUEST_ENTRY, &given(&item))),
        });
    }
    Ok(Some(entries))
}

fn entry<'a>(scanner: &mut Scanner<'a>, mut extent: Extent) -> Result<EntryDraft<'a>, DecodeError> {
    let mut entry = EntryDraft::default();
    while scanner.more(&mut extent)? {
        let name = scanner.key()?;
        entry_member(&mut entry, scanner, &name)?;
    }
    Ok(entry)
}

fn entry_member<'a>(entry: &mut EntryDraft<'a>, scanner: &mut Scanner<'a>, name: &str) -> Result<(), DecodeError> {
    match name {
        "Data" => entry.data = data(scanner)?,
        "ExplicitHashKey" => entry.explicit_hash_key = text(scanner)?,
        "PartitionKey" => entry.partition_key = text(scanner)?,
        _ => scanner.skip()?,
    }
    Ok(())
}

fn text<'a>(scanner: &mut Scanner<'a>) -> Result<Text<'a>, DecodeError> {
    match scanner.next()? {
        Item::Text(text) => Ok(Some(text)),
        Item::Null => Ok(None),
        item => Err(mismatch(&STREAM_NAME, &given(&item))),
    }
}

fn data<'a>(scanner: &mut Scanner<'a>) -> Result<Option<Data<'a>>, DecodeError> {
    match scanner.next()? {
        Item::Bytes(bytes) => Ok(Some(Data { payload: Payload::Raw(bytes), length: bytes.len() })),
        Item::Null => Ok(None),
        item => Err(mismatch(&DATA, &given(&item))),
    }
}
