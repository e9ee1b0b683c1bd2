//! Text for people: any bytes in, one safe line out.
//!
//! Everything that an image or a user controls passes through here before it reaches a console, a log or
//! JSON. The invariant: what comes out has no control character (C0, DEL, C1), no bidi control, no line
//! separator and no invalid UTF-8, and the escapes it uses (`\xNN`, `\u{N}`) can be told from the text,
//! because a backslash is doubled.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;

/// A notice or an error is never longer than this many bytes: a kernel log record holds about a thousand,
/// and a console line that a stranger's path fills is no use to anyone.
pub(crate) const LINE_CAP: usize = 800;

/// A path inside a line is never longer than this many bytes.
pub(crate) const PATH_CAP: usize = 320;

/// The bytes as one printable line, whole.
pub(crate) fn escape(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            push_char(&mut out, c);
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// A path for a message: escaped, and cut in the middle if it is very long, because the end of a path says
/// which file it is and the beginning says where.
pub(crate) fn path(path: impl AsRef<OsStr>) -> String {
    let whole = escape(path.as_ref().as_bytes());
    if whole.len() <= PATH_CAP {
        return whole;
    }
    let head = boundary_before(&whole, PATH_CAP / 2);
    let tail = boundary_after(&whole, whole.len() - PATH_CAP / 2);
    let (head, tail) = (whole.get(..head).unwrap_or(""), whole.get(tail..).unwrap_or(""));
    format!("{head}...{tail}")
}

/// One line of at most `cap` bytes, of text that is escaped already; `...` says that it was cut.
pub(crate) fn cap(line: &str, cap: usize) -> String {
    if line.len() <= cap {
        return line.to_owned();
    }
    let end = boundary_before(line, cap.saturating_sub(3));
    format!("{}...", line.get(..end).unwrap_or(""))
}

/// Text of our own that may carry somebody's words: only what is dangerous is escaped, a backslash is not.
pub(crate) fn sanitise(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    for c in line.chars() {
        if c == '\\' { out.push(c) } else { push_char(&mut out, c) }
    }
    out
}

fn push_char(out: &mut String, c: char) {
    match c {
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\t' => out.push_str("\\t"),
        '\r' => out.push_str("\\r"),
        c if c.is_ascii_control() => {
            let _ = write!(out, "\\x{:02x}", c as u32);
        }
        c if is_dangerous(c) => {
            let _ = write!(out, "\\u{{{:x}}}", c as u32);
        }
        c => out.push(c),
    }
}

/// C1 controls, bidi controls and marks, line separators, invisible format characters and the tags block:
/// characters that change how the rest of the line is shown.
fn is_dangerous(c: char) -> bool {
    matches!(c,
        '\u{80}'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
}

/// The last boundary between characters at or before `at`.
fn boundary_before(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// The first boundary between characters at or after `at`.
fn boundary_after(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at += 1;
    }
    at
}

/// Bytes in lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// A size as people say it: 1.5 MiB, 512 MiB, 2 GiB.
pub(crate) fn size_words(bytes: u64) -> String {
    const KIB: u64 = 1024;
    let units = [(KIB * KIB * KIB, "GiB"), (KIB * KIB, "MiB"), (KIB, "KiB")];
    for (unit, word) in units {
        if bytes >= unit {
            let (whole, tenth) = (bytes / unit, (bytes % unit) * 10 / unit);
            return if tenth == 0 { format!("{whole} {word}") } else { format!("{whole}.{tenth} {word}") };
        }
    }
    format!("{bytes} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_terminal_would_obey_is_spelt_out() {
        assert_eq!(escape(b"/a\x1b[2J\r\n"), "/a\\x1b[2J\\r\\n");
        assert_eq!(escape("/\u{202e}txt\u{9b}".as_bytes()), "/\\u{202e}txt\\u{9b}");
        assert_eq!(escape(b"/\xff\xfe \\"), "/\\xff\\xfe \\\\");
        assert_eq!(escape("/données".as_bytes()), "/données");
    }

    #[test]
    fn a_long_path_keeps_both_ends() {
        let long = format!("/start/{}/swapfile", "é".repeat(900));
        let shown = path(&long);
        assert!(shown.len() <= PATH_CAP + 8, "{}", shown.len());
        assert!(shown.starts_with("/start/") && shown.ends_with("/swapfile"));
    }

    proptest! {
        #[test]
        fn nothing_dangerous_gets_through(bytes: Vec<u8>) {
            let shown = escape(&bytes);
            prop_assert!(!shown.chars().any(|c| c.is_control() || is_dangerous(c)));
            prop_assert!(cap(&shown, 40).len() <= 40);
        }
    }
}
