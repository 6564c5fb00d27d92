//! Reads drafts from JSON.

use std::borrow::Cow;

use millstream_types::Payload;

use super::draft::{Data, Draft, EntryDraft, Text};
use crate::json::{Kind, Scanner};
use crate::kinesis::shapes::{DATA, PUT_RECORDS_REQUEST_ENTRY, PUT_RECORDS_REQUEST_ENTRY_LIST, STREAM_NAME};
use crate::limits::{DecodeError, VALUES_MAX};
use crate::protocol::coerce::not_base64;
use crate::protocol::json::refuse;
use crate::shape::Shape;

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

/// Reads the one structure of a body, handing each member to `member`.
fn document<'a>(
    body: &'a [u8],
    member: impl Fn(&mut Draft<'a>, &mut Scanner<'a>, &str) -> Result<(), DecodeError>,
) -> Result<Draft<'a>, DecodeError> {
    let mut scanner = Scanner::new(body);
    if scanner.kind()? != Kind::Structure {
        return Err(DecodeError::Malformed);
    }
    scanner.enter()?;
    let mut draft = Draft::default();
    let mut first = true;
    while let Some(name) = scanner.next_key(&mut first)? {
        member(&mut draft, &mut scanner, &name)?;
    }
    scanner.end()?;
    Ok(draft)
}

fn entries<'a>(scanner: &mut Scanner<'a>) -> Result<Option<Vec<Option<EntryDraft<'a>>>>, DecodeError> {
    if !starts(scanner, Kind::List, &PUT_RECORDS_REQUEST_ENTRY_LIST)? {
        return Ok(None);
    }
    let mut entries = Vec::new();
    let mut first = true;
    while scanner.next_item(&mut first)? {
        if entries.len() == VALUES_MAX {
            return Err(DecodeError::Type(format!("The request holds more than {VALUES_MAX} values")));
        }
        entries.push(entry(scanner)?);
    }
    Ok(Some(entries))
}

fn entry<'a>(scanner: &mut Scanner<'a>) -> Result<Option<EntryDraft<'a>>, DecodeError> {
    if !starts(scanner, Kind::Structure, &PUT_RECORDS_REQUEST_ENTRY)? {
        return Ok(None);
    }
    let mut entry = EntryDraft::default();
    let mut first = true;
    while let Some(name) = scanner.next_key(&mut first)? {
        entry_member(&mut entry, scanner, &name)?;
    }
    Ok(Some(entry))
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

/// Steps into a container of that kind; false when null stands in its place.
fn starts(scanner: &mut Scanner<'_>, wanted: Kind, shape: &Shape) -> Result<bool, DecodeError> {
    let kind = scanner.kind()?;
    if kind == wanted {
        scanner.enter()?;
        return Ok(true);
    }
    if kind == Kind::Null {
        scanner.null()?;
        return Ok(false);
    }
    Err(refuse(scanner, shape, kind)?)
}

fn text<'a>(scanner: &mut Scanner<'a>) -> Result<Text<'a>, DecodeError> {
    match scanner.kind()? {
        Kind::String => Ok(Some(scanner.string()?)),
        Kind::Null => Ok(scanner.null().map(|()| None)?),
        kind => Err(refuse(scanner, &STREAM_NAME, kind)?),
    }
}

fn data<'a>(scanner: &mut Scanner<'a>) -> Result<Option<Data<'a>>, DecodeError> {
    match scanner.kind()? {
        Kind::String => {}
        Kind::Null => return Ok(scanner.null().map(|()| None)?),
        kind => return Err(refuse(scanner, &DATA, kind)?),
    }
    let raw = scanner.until_quote()?;
    let payload = Payload::Base64(raw);
    if let Ok(length) = payload.decoded_len() {
        return Ok(Some(Data { payload, length }));
    }
    scanner.rewind(raw);
    escaped_data(scanner).map(Some)
}

/// Data that is not base64 as it stands: with escapes it may be, else the error says what is wrong.
fn escaped_data<'a>(scanner: &mut Scanner<'a>) -> Result<Data<'a>, DecodeError> {
    let mut again = scanner.clone();
    let (raw, _) = again.raw_string()?;
    let text: Cow<'_, str> = scanner.string()?;
    let payload = Payload::Base64Escaped(raw);
    match payload.decoded_len() {
        Ok(length) => Ok(Data { payload, length }),
        Err(_) => Err(not_base64(&text)),
    }
}
