use std::borrow::Cow;

use proptest::prelude::*;

use super::*;

fn only(bytes: &[u8]) -> Option<Item<'_>> {
    let mut scanner = Scanner::new(bytes);
    let item = scanner.next().ok()?;
    scanner.end().ok()?;
    Some(item)
}

#[test]
fn items_of_the_specification() {
    for (bytes, item) in [
        (&[0x17][..], Item::Integer(23)),
        (&[0x1b, 255, 255, 255, 255, 255, 255, 255, 255], Item::Integer(i64::MAX)),
        (&[0x38, 0x63], Item::Integer(-100)),
        (&[0x43, 1, 2, 3], Item::Bytes(&[1, 2, 3])),
        (&[0x61, b'a'], Item::Text(Cow::Borrowed("a"))),
        (&[0x7f, 0x61, b'a', 0x61, b'b', 0xff], Item::Text(Cow::Borrowed("ab"))),
        (&[0xf9, 0x3c, 0x00], Item::Real(1.0)),
        (&[0xf9, 0x00, 0x01], Item::Real(5.960_464_477_539_063e-8)),
        (&[0xfa, 0x47, 0xc3, 0x50, 0x00], Item::Real(100_000.0)),
        (&[0xf7], Item::Null),
        (&[0xc1, 0x1b, 0x00, 0x00, 0x01, 0xa0, 0x13, 0xac, 0xcc, 0x38], Item::Integer(0x01a0_13ac_cc38)),
    ] {
        assert_eq!(only(bytes), Some(item), "{bytes:x?}");
    }
}

#[test]
fn broken_items() {
    for bytes in [
        &[][..],
        &[0x1c],
        &[0x19, 1],
        &[0x5f, 0x41, 1, 0xff],
        &[0x42, 1],
        &[0x61, 0xff],
        &[0x9f, 1],
        &[0xa1, 1, 1],
        &[0xff],
        &[0xf8, 0x20],
        &[0x9b, 255, 255, 255, 255, 255, 255, 255, 255],
    ] {
        assert!(!is_well_formed(bytes), "{bytes:x?}");
    }
    assert!(is_well_formed(&[vec![0x81; 63], vec![0x80]].concat()));
    assert!(!is_well_formed(&[vec![0x81; 64], vec![0x80]].concat()), "nested too deeply");
}

proptest! {
    #[test]
    fn written_items_read_back(number in any::<i64>(), text in ".*", bytes in any::<Vec<u8>>()) {
        let mut out = Vec::new();
        write_integer(&mut out, number);
        prop_assert_eq!(only(&out), Some(Item::Integer(number)));
        out.clear();
        write_text(&mut out, &text);
        prop_assert_eq!(only(&out), Some(Item::Text(Cow::Borrowed(&text))));
        out.clear();
        write_bytes(&mut out, &bytes);
        prop_assert_eq!(only(&out), Some(Item::Bytes(&bytes)));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        is_well_formed(&bytes);
    }
}
