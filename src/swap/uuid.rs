//! UUIDs of swap areas: as text, from text as strictly as libuuid reads it, and new ones.
//!
//! The `uuid` crate lays the bytes out; the random ones come from the kernel, so that it needs no generator of its
//! own. Sixteen zeros mean that an area has none.

use std::time::{SystemTime, UNIX_EPOCH};

use uuid::{Builder, Uuid};

use crate::sys;

/// 8-4-4-4-12 hexadecimal digits in lower case.
pub(crate) fn text(uuid: &[u8; 16]) -> String {
    Uuid::from_bytes_ref(uuid).hyphenated().to_string()
}

/// The reverse of [`text`], in either case. The crate would take three other ways of writing a UUID as well, all of
/// another length.
pub(crate) fn parse(text: &[u8]) -> Option<[u8; 16]> {
    const LENGTH: usize = 36;
    Uuid::try_parse_ascii(text).ok().filter(|_| text.len() == LENGTH).map(Uuid::into_bytes)
}

/// A new one of version 4.
///
/// # Errors
/// The kernel has no random bytes to give.
pub(crate) fn random() -> nix::Result<[u8; 16]> {
    Ok(Builder::from_random_bytes(sys::random_bytes()?).into_uuid().into_bytes())
}

/// A new one of version 1, made of the time, with a random node that says that it is no network card.
///
/// # Errors
/// As [`random`].
pub(crate) fn of_the_time() -> nix::Result<[u8; 16]> {
    /// Version 1 counts steps of 100 nanoseconds since October 1582.
    const FROM_1582_TO_1970: u64 = 0x01b2_1dd2_1381_4000;
    const MULTICAST: u8 = 1;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let steps = u64::try_from(since.as_nanos() / 100).unwrap_or(u64::MAX).wrapping_add(FROM_1582_TO_1970);
    let [first, second, mut node @ ..] = sys::random_bytes::<8>()?;
    node[0] |= MULTICAST;
    let counter = u16::from_be_bytes([first, second]);
    Ok(Builder::from_gregorian_timestamp(steps, counter, &node).into_uuid().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_read_as_strictly_as_libuuid_does() {
        let uuid = b"11111111-2222-3333-4444-5555555555aF";
        assert_eq!(text(&parse(uuid).unwrap()).as_bytes(), uuid.to_ascii_lowercase());
        for bad in [
            &b"11111111222233334444555555555555"[..],
            b"",
            b"11111111-2222-3333-4444-55555555555g",
            b"1111111-12222-3333-4444-555555555555",
            b"{11111111-2222-3333-4444-555555555555}",
            b"urn:uuid:11111111-2222-3333-4444-555555555555",
        ] {
            assert_eq!(parse(bad), None);
        }
    }

    #[test]
    fn new_ones_say_of_which_version_they_are() {
        let random = text(&random().unwrap());
        assert!(random.as_bytes()[14] == b'4' && b"89ab".contains(&random.as_bytes()[19]), "{random}");
        let uuid = of_the_time().unwrap();
        let timed = text(&uuid);
        assert!(timed.as_bytes()[14] == b'1' && b"89ab".contains(&timed.as_bytes()[19]), "{timed}");
        assert_eq!(uuid[10] & 1, 1, "{timed}");
        let (seconds, _) = Uuid::from_bytes(uuid).get_timestamp().unwrap().to_unix();
        assert!(seconds.abs_diff(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()) < 60);
    }
}
