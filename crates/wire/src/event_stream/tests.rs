use proptest::prelude::*;

use super::*;
use crate::CommonError;
use crate::kinesis::SERVICE;
use crate::kinesis::error::SubscribeToShardEventStreamError;

fn whole(bytes: &[u8]) -> Message<'_> {
    let (message, length) = decode(bytes).unwrap().unwrap();
    assert_eq!(length, bytes.len());
    message
}

/// Frames of the published test suite of the format: what others wrote is read, and written the same.
#[test]
fn known_frames_are_read_and_written() {
    // No headers and no payload.
    let empty = [0, 0, 0, 0x10, 0, 0, 0, 0, 0x05, 0xc2, 0x48, 0xeb, 0x7d, 0x98, 0xc8, 0xff];
    assert_eq!(whole(&empty), Message { headers: vec![], payload: b"" });
    assert_eq!(frame(&[], b""), empty);
    // A payload alone.
    let mut payload = vec![0, 0, 0, 0x1d, 0, 0, 0, 0, 0xfd, 0x52, 0x8c, 0x5a];
    payload.extend_from_slice(b"{'foo':'bar'}");
    payload.extend_from_slice(&[0xc3, 0x65, 0x39, 0x36]);
    assert_eq!(whole(&payload).payload, b"{'foo':'bar'}");
    assert_eq!(frame(&[], b"{'foo':'bar'}"), payload);
    // A header that is a number, not a text.
    let mut number = vec![0, 0, 0, 0x2d, 0, 0, 0, 0x10, 0x41, 0xc4, 0x24, 0xb8];
    number.extend_from_slice(b"\nevent-type\x04\0\0\xa0\x0c{'foo':'bar'}");
    number.extend_from_slice(&[0x36, 0xf4, 0x80, 0xa0]);
    assert_eq!(whole(&number), Message { headers: vec![], payload: b"{'foo':'bar'}" });
}

#[test]
fn the_messages_around_the_events_say_what_clients_look_for() {
    let opening = initial_response();
    let message = whole(&opening);
    assert_eq!((message.header(":message-type"), message.payload), (Some("event"), &b"{}"[..]));
    assert_eq!(message.header(":event-type"), Some("initial-response"));

    let error = SubscribeToShardEventStreamError::ResourceInUse("a \"text\"".to_owned());
    let ending = exception(&SERVICE, &error.into());
    let message = whole(&ending);
    assert_eq!(message.header(":message-type"), Some("exception"));
    assert_eq!(message.header(":exception-type"), Some("ResourceInUseException"));
    assert_eq!(message.payload, br#"{"message":"a \"text\""}"#);

    let ending = exception(&SERVICE, &CommonError::Throttling("slow".to_owned()).into());
    let message = whole(&ending);
    assert_eq!(message.header(":message-type"), Some("error"));
    assert_eq!(message.header(":error-code"), Some("ProvisionedThroughputExceededException"));
    assert_eq!((message.header(":error-message"), message.payload), (Some("slow"), &b""[..]));
}

proptest! {
    #[test]
    fn frames_round_trip_and_are_found_in_a_row(
        headers in prop::collection::vec(("[a-z:-]{1,255}", ".{0,64}"), 0..6),
        payload: Vec<u8>,
        after: Vec<u8>,
    ) {
        let borrowed: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (&name[..], &value[..])).collect();
        let bytes = frame(&borrowed, &payload);
        let row = [&bytes[..], &after].concat();
        let (message, length) = decode(&row).unwrap().unwrap();
        prop_assert_eq!(length, bytes.len());
        prop_assert_eq!(message, Message { headers: borrowed, payload: &payload });
    }

    #[test]
    fn a_part_of_a_frame_is_waited_for(payload: Vec<u8>, cut: prop::sample::Index) {
        let bytes = frame(&[(":event-type", "e")], &payload);
        prop_assert_eq!(decode(&bytes[..cut.index(bytes.len())]), Ok(None));
    }

    #[test]
    fn no_changed_bit_goes_unseen(payload: Vec<u8>, at: prop::sample::Index, bit in 0_u32..8) {
        let mut bytes = frame(&[(":event-type", "e")], &payload);
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        prop_assert!(decode(&bytes).is_err());
    }

    #[test]
    fn any_bytes_are_judged_without_a_panic(bytes: Vec<u8>, headers: Vec<u8>) {
        let _ = decode(&bytes);
        // Even with right checksums.
        let mut nonsense = start(&[], 0);
        nonsense.extend_from_slice(&headers);
        let length = u32::try_from(headers.len()).unwrap();
        nonsense[4..8].copy_from_slice(&length.to_be_bytes());
        let _ = decode(&finish(nonsense));
    }

    #[test]
    fn long_values_are_cut_between_characters(length in 65_500_usize..65_600) {
        let value: String = "é".repeat(length / 2);
        let bytes = frame(&[(":error-message", &value)], b"");
        let message = whole(&bytes);
        prop_assert!(value.starts_with(message.header(":error-message").unwrap()));
    }
}
