//! Shard iterators: opaque, signed, without state on the server.
//!
//! Like AWS's they are base64 that begins with the bytes 0 0 0 0 0 0 0 1 and is shorter than 512 characters. They carry
//! the stream's place, name and incarnation, the shard, where to read on and when they were made; a nonce makes each
//! one new. They are made in whole groups of three bytes, so that no bit of the text is without meaning.

use millstream_env::{Random, Timestamp};
use millstream_log::{Position, ReadBatch, ReadFrom};
use millstream_types::{Scope, SequenceNumber, ShardId, ShardIndex};

use crate::names::{StreamName, is_stream_name};
use crate::signer::{SIGNATURE_BYTES, Signer};

const PURPOSE: &str = "shard-iterator";
const BEGINNING: [u8; 8] = [0, 0, 0, 0, 0, 0, 0, 1];
/// Real iterators have 152 + 16 k bytes; every third of these sizes is whole groups of three bytes.
const BYTES_MIN: usize = 168;
const BYTES_STEP: usize = 48;

const FROM_POSITION: u8 = 0;
const FROM_TIME: u8 = 1;

/// What an iterator says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ShardIterator {
    pub(crate) stream: StreamName,
    pub(crate) incarnation: u64,
    pub(crate) shard: ShardId,
    pub(crate) from: From,
    pub(crate) issued: Timestamp,
}

/// Where an iterator reads on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    Position(Position),
    /// At the first record that arrived at or after this moment, whenever that comes.
    Time(Timestamp),
}

impl From {
    /// Where to read on after a read from here. With nothing read yet and nothing passed over, a place by time stays one:
    /// the position it will begin at is not known before its first record arrives.
    pub(crate) fn after(self, batch: &ReadBatch) -> Self {
        match self {
            Self::Time(_) if batch.records.is_empty() && batch.behind.is_none() => self,
            Self::Time(_) | Self::Position(_) => Self::Position(batch.next.min(Position(SequenceNumber::MAX_INDEX))),
        }
    }
}

impl std::convert::From<From> for ReadFrom {
    fn from(from: From) -> Self {
        match from {
            From::Position(position) => Self::Position(position),
            From::Time(time) => Self::Time(time),
        }
    }
}

impl ShardIterator {
    pub(crate) fn encode(&self, signer: &Signer, random: &Random) -> String {
        let (kind, place) = match self.from {
            From::Position(position) => (FROM_POSITION, position.0),
            From::Time(time) => (FROM_TIME, time.millis()),
        };
        let mut bytes = Vec::with_capacity(BYTES_MIN + 3 * BYTES_STEP);
        bytes.extend(BEGINNING);
        bytes.extend(random.bytes::<8>());
        bytes.extend(self.issued.millis().to_be_bytes());
        bytes.extend(self.incarnation.to_be_bytes());
        bytes.extend(self.shard.0.get().to_be_bytes());
        bytes.push(kind);
        bytes.extend(place.to_be_bytes());
        let StreamName { scope, name } = &self.stream;
        for text in [scope.account.as_str(), scope.region.as_str(), name] {
            bytes.push(u8::try_from(text.len()).expect("accounts, regions and names have at most 128 bytes"));
            bytes.extend(text.as_bytes());
        }
        let whole = bytes.len() + SIGNATURE_BYTES;
        let steps = whole.saturating_sub(BYTES_MIN).div_ceil(BYTES_STEP);
        bytes.resize(BYTES_MIN + steps * BYTES_STEP - SIGNATURE_BYTES, 0);
        signer.seal(PURPOSE, bytes)
    }

    /// Reads an iterator that [`ShardIterator::encode`] made; also one in double quotes, as AWS does.
    pub(crate) fn decode(signer: &Signer, text: &str) -> Option<Self> {
        let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
        let payload = signer.open(PURPOSE, text)?;
        let mut rest = Reader(payload.strip_prefix(&BEGINNING)?);
        rest.take(8)?;
        let issued = Timestamp::from_millis(rest.u64()?);
        let incarnation = rest.u64()?;
        let shard = ShardId(ShardIndex::new(u32::from_be_bytes(rest.take(4)?.try_into().ok()?))?);
        let from = match (rest.take(1)?, rest.u64()?) {
            ([FROM_POSITION], position) => From::Position(Position(position)),
            ([FROM_TIME], millis) => From::Time(Timestamp::from_millis(millis)),
            _ => return None,
        };
        let scope = Scope { account: rest.text()?.parse().ok()?, region: rest.text()?.parse().ok()? };
        let name = Some(rest.text()?).filter(|name| is_stream_name(name))?.to_owned();
        Some(Self { stream: StreamName { scope, name }, incarnation, shard, from, issued })
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(self.take(8)?.try_into().ok()?))
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = usize::from(self.take(1)?[0]);
        std::str::from_utf8(self.take(length)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use base64_simd::STANDARD;
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        fn iterators()(
            account in "[0-9]{12}", region in "[a-z0-9-]{1,64}", name in "[a-zA-Z0-9_.-]{1,128}", incarnation: u64,
            shard in 0..=ShardIndex::MAX, place: u64, by_time: bool, issued: u64,
        ) -> ShardIterator {
            ShardIterator {
                stream: StreamName {
                    scope: Scope { account: account.parse().unwrap(), region: region.parse().unwrap() },
                    name,
                },
                incarnation,
                shard: ShardId(ShardIndex::new(shard).unwrap()),
                from: if by_time { From::Time(Timestamp::from_millis(place)) } else { From::Position(Position(place)) },
                issued: Timestamp::from_millis(issued),
            }
        }
    }

    proptest! {
        #[test]
        fn iterators_round_trip_and_look_like_real_ones(iterator in iterators(), seed: u64) {
            let (signer, random) = (Signer::new(&[1; 32]), Random::seeded(seed));
            let text = iterator.encode(&signer, &random);
            prop_assert_eq!(ShardIterator::decode(&signer, &text), Some(iterator.clone()));
            prop_assert_eq!(ShardIterator::decode(&signer, &format!("\"{text}\"")), Some(iterator.clone()));
            prop_assert!(iterator.encode(&signer, &random) != text);
            prop_assert!(text.len() <= 512);
            let bytes = STANDARD.decode_to_vec(&text).unwrap();
            prop_assert_eq!((bytes.len() - 152) % 16, 0);
            prop_assert_eq!(&bytes[..8], &BEGINNING[..]);
        }

        #[test]
        fn a_changed_iterator_is_refused(iterator in iterators(), at: prop::sample::Index, with in "[ -~]") {
            let signer = Signer::new(&[1; 32]);
            let text = iterator.encode(&signer, &Random::seeded(1));
            let at = at.index(text.len());
            let mut changed = text.clone();
            changed.replace_range(at..=at, &with);
            prop_assert_eq!(ShardIterator::decode(&signer, &changed).is_some(), changed == text);
            prop_assert_eq!(ShardIterator::decode(&Signer::new(&[2; 32]), &text), None);
            prop_assert_eq!(ShardIterator::decode(&signer, &text[..at]), None);
        }

        #[test]
        fn any_text_is_judged_without_a_panic(text: String, payload: Vec<u8>) {
            let signer = Signer::new(&[1; 32]);
            prop_assert_eq!(ShardIterator::decode(&signer, &text), None);
            // Even correctly signed nonsense.
            let _ = ShardIterator::decode(&signer, &signer.seal(PURPOSE, payload.clone()));
            let _ = ShardIterator::decode(&signer, &signer.seal(PURPOSE, [&BEGINNING[..], &payload].concat()));
        }
    }
}
