//! Records that hold records, in the format of the Kinesis Producer Library.
//!
//! ```text
//! F3 89 9A C2 | protobuf AggregatedRecord | MD5 of the protobuf bytes
//!
//! AggregatedRecord { repeated string partition_key_table = 1; repeated string explicit_hash_key_table = 2;
//!                    repeated Record records = 3; }
//! Record           { uint64 partition_key_index = 1; uint64 explicit_hash_key_index = 2; bytes data = 3;
//!                    repeated Tag tags = 4; }
//! ```
//!
//! The service never looks inside; producers and consumers do. What does not follow the format in every part is a plain
//! record (AWS SDK source).

use md5::{Digest, Md5};

const MAGIC: [u8; 4] = [0xf3, 0x89, 0x9a, 0xc2];
const DIGEST_BYTES: usize = 16;

/// Protobuf's wire types.
const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const LENGTH_DELIMITED: u64 = 2;
const FIXED_32: u64 = 5;

/// One record inside an aggregated one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubRecord {
    pub partition_key: String,
    /// Decimal.
    pub explicit_hash_key: Option<String>,
    pub data: Vec<u8>,
}

/// One record's data that holds all of `records`.
pub fn encode(records: &[SubRecord]) -> Vec<u8> {
    let keys = table(records.iter().map(|record| record.partition_key.as_str()));
    let hash_keys = table(records.iter().filter_map(|record| record.explicit_hash_key.as_deref()));
    let mut body = Vec::new();
    for key in &keys {
        bytes_field(&mut body, 1, key.as_bytes());
    }
    for key in &hash_keys {
        bytes_field(&mut body, 2, key.as_bytes());
    }
    let place = |table: &[&str], key: &str| table.iter().position(|have| *have == key).unwrap_or_default() as u64;
    for record in records {
        let mut inner = Vec::with_capacity(record.data.len() + 16);
        varint_field(&mut inner, 1, place(&keys, &record.partition_key));
        if let Some(key) = &record.explicit_hash_key {
            varint_field(&mut inner, 2, place(&hash_keys, key));
        }
        bytes_field(&mut inner, 3, &record.data);
        bytes_field(&mut body, 3, &inner);
    }
    let digest = Md5::digest(&body);
    [&MAGIC[..], &body, &digest].concat()
}

/// The records inside `data`; `None` when it is a plain record.
pub fn decode(data: &[u8]) -> Option<Vec<SubRecord>> {
    let rest = data.strip_prefix(&MAGIC)?;
    let (body, digest) = rest.split_at_checked(rest.len().checked_sub(DIGEST_BYTES)?)?;
    if Md5::digest(body)[..] != *digest {
        return None;
    }
    let (mut keys, mut hash_keys, mut records) = (Vec::new(), Vec::new(), Vec::new());
    let mut fields = Fields(body);
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Bytes(key)) => keys.push(String::from_utf8(key.to_vec()).ok()?),
            (2, Value::Bytes(key)) => hash_keys.push(String::from_utf8(key.to_vec()).ok()?),
            (3, Value::Bytes(record)) => records.push(record),
            _ => {}
        }
    }
    records.into_iter().map(|record| decode_record(record, &keys, &hash_keys)).collect()
}

fn decode_record(record: &[u8], keys: &[String], hash_keys: &[String]) -> Option<SubRecord> {
    let (mut key, mut hash_key, mut data) = (None, None, None);
    let mut fields = Fields(record);
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Number(index)) => key = Some(index),
            (2, Value::Number(index)) => hash_key = Some(index),
            (3, Value::Bytes(bytes)) => data = Some(bytes.to_vec()),
            _ => {}
        }
    }
    let find = |table: &[String], index: u64| table.get(usize::try_from(index).ok()?).cloned();
    Some(SubRecord {
        partition_key: find(keys, key?)?,
        explicit_hash_key: match hash_key {
            Some(index) => Some(find(hash_keys, index)?),
            None => None,
        },
        data: data?,
    })
}

fn table<'a>(keys: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut table: Vec<&str> = Vec::new();
    for key in keys {
        if !table.contains(&key) {
            table.push(key);
        }
    }
    table
}

fn varint(out: &mut Vec<u8>, mut number: u64) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

fn varint_field(out: &mut Vec<u8>, field: u64, number: u64) {
    varint(out, field << 3 | VARINT);
    varint(out, number);
}

fn bytes_field(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    varint(out, field << 3 | LENGTH_DELIMITED);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Of a wire type that the format does not use: passed over.
    Other,
}

/// The fields of a message that are still to be read.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// The next field's number and value, the inner `None` at the end; the outer one when there is no message.
    #[expect(clippy::option_option, reason = "the outer one is for `?`, the inner one ends the loop")]
    fn next(&mut self) -> Option<Option<(u64, Value<'a>)>> {
        if self.0.is_empty() {
            return Some(None);
        }
        let tag = self.varint()?;
        let value = match tag & 7 {
            VARINT => Value::Number(self.varint()?),
            LENGTH_DELIMITED => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            FIXED_64 => self.take(8).map(|_| Value::Other)?,
            FIXED_32 => self.take(4).map(|_| Value::Other)?,
            _ => return None,
        };
        Some(Some((tag >> 3, value)))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            number |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_bytes_are_those_of_the_format() {
        let record = |key: &str, data: &[u8]| SubRecord {
            partition_key: key.into(),
            explicit_hash_key: None,
            data: data.into(),
        };
        let encoded = encode(&[record("a", b"x"), record("b", b"y"), record("a", b"")]);
        let body = b"\x0a\x01a\x0a\x01b\x1a\x05\x08\x00\x1a\x01x\x1a\x05\x08\x01\x1a\x01y\x1a\x04\x08\x00\x1a\x00";
        assert_eq!(&encoded[..4], MAGIC);
        assert_eq!(&encoded[4..encoded.len() - 16], body);
        assert_eq!(encoded[encoded.len() - 16..], Md5::digest(body)[..]);
    }

    prop_compose! {
        fn sub_records()(
            partition_key in "[a-c]{1,3}|\\PC{1,8}", explicit_hash_key in proptest::option::of("[0-9]{1,39}"),
            data: Vec<u8>,
        ) -> SubRecord {
            SubRecord { partition_key, explicit_hash_key, data }
        }
    }

    fn framed(body: &[u8]) -> Vec<u8> {
        [&MAGIC[..], body, &Md5::digest(body)].concat()
    }

    proptest! {
        #[test]
        fn records_round_trip(records in proptest::collection::vec(sub_records(), 0..20)) {
            prop_assert_eq!(decode(&encode(&records)), Some(records));
        }

        #[test]
        fn anything_changed_is_a_plain_record(
            records in proptest::collection::vec(sub_records(), 1..5), at: prop::sample::Index, bit in 0_u32..8,
        ) {
            let mut encoded = encode(&records);
            let at = at.index(encoded.len());
            encoded[at] ^= 1_u8 << bit;
            prop_assert_eq!(decode(&encoded), None);
            prop_assert_eq!(decode(&encoded[..at]), None);
        }

        #[test]
        fn any_bytes_are_judged_without_a_panic(bytes: Vec<u8>) {
            let _ = decode(&bytes);
            let _ = decode(&framed(&bytes));
        }
    }
}
