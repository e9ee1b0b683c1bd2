//! The kernel's octal escapes, as /proc/self/mountinfo, /proc/swaps and fstab(5) use them.
//!
//! The kernel writes `\ooo` for the bytes that would break its own line format and leaves every other byte
//! as it is, so decoding is lossless and a backslash that starts no escape stands for itself.

/// `\ooo` turned back into bytes.
pub fn decode(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, tail @ ..] = rest {
        match (first, tail) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) => {
                out.push(((a - b'0') << 6) | ((b - b'0') << 3) | (c - b'0'));
                rest = after;
            }
            _ => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    out
}

/// Bytes of `special` as `\ooo`, the others as they are.
pub fn encode(bytes: &[u8], special: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for &byte in bytes {
        if special.contains(&byte) { push_octal(&mut out, byte) } else { out.push(byte) }
    }
    out
}

/// A line as a parser of UTF-8 takes it: bytes from 0x80 on become escapes too. [`decode`] undoes both.
pub fn to_ascii(line: &[u8]) -> String {
    let mut out = Vec::with_capacity(line.len());
    for &byte in line {
        if byte >= 0x80 { push_octal(&mut out, byte) } else { out.push(byte) }
    }
    String::from_utf8(out).unwrap_or_default()
}

fn push_octal(out: &mut Vec<u8>, byte: u8) {
    out.extend_from_slice(&[b'\\', b'0' + (byte >> 6), b'0' + ((byte >> 3) & 7), b'0' + (byte & 7)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel escapes in mountinfo.
    const MOUNTINFO: &[u8] = b" \t\n\\#";
    /// What it escapes in /proc/swaps.
    const SWAPS: &[u8] = b" \t\n\\";
    use proptest::prelude::*;

    #[test]
    fn only_whole_escapes_are_decoded() {
        assert_eq!(decode(br"/a\040b\134c\012"), b"/a b\\c\n");
        assert_eq!(decode(br"/a\04"), br"/a\04");
        assert_eq!(decode(br"/a\888\400"), br"/a\888\400");
        assert_eq!(decode(b"\\"), b"\\");
    }

    proptest! {
        #[test]
        fn decode_undoes_encode(bytes: Vec<u8>) {
            prop_assert_eq!(&decode(&encode(&bytes, MOUNTINFO)), &bytes);
            prop_assert_eq!(&decode(&encode(&bytes, SWAPS)), &bytes);
        }

        #[test]
        fn a_line_survives_the_detour_through_ascii(bytes: Vec<u8>) {
            let line = encode(&bytes, MOUNTINFO);
            prop_assert_eq!(decode(to_ascii(&line).as_bytes()), bytes);
        }

        #[test]
        fn decode_never_grows(bytes: Vec<u8>) {
            prop_assert!(decode(&bytes).len() <= bytes.len());
        }
    }
}
