//! fstab(5), as far as swap goes.
//!
//! Fields are separated by blanks and octal-escaped; a line that makes no sense is left out, as every reader
//! of fstab does.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::builtin::fstab;

/// A line of fstab whose type is `swap`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The first field, decoded: a path or a tag.
    pub spec: OsString,
    /// What the fourth field asks for.
    pub options: Options,
}

/// The options of a swap entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// `swapon -a` leaves it alone.
    pub noauto: bool,
    /// It may be missing.
    pub nofail: bool,
    /// `pri=`.
    pub priority: Option<OsString>,
    /// `discard`, with its policy if it has one.
    pub discard: Option<Option<OsString>>,
}

/// The swap entries in their order.
pub fn parse(text: &[u8]) -> Vec<Entry> {
    let entries = fstab::parse(text).into_iter().filter(fstab::Entry::is_swap);
    entries
        .map(|entry| Entry { spec: unquoted(entry.spec), options: parse_options(entry.options.as_bytes()) })
        .collect()
}

/// The numbers of the lines that make no sense, from 1.
pub fn bad_lines(text: &[u8]) -> Vec<usize> {
    fstab::Table::parse(text).bad_lines
}

/// `LABEL="swap"` may be quoted.
fn unquoted(spec: OsString) -> OsString {
    let bytes = spec.as_bytes();
    let equals = bytes.iter().position(|&b| b == b'=');
    let quoted = equals.and_then(|at| {
        Some((bytes.get(..=at)?, bytes.get(at + 1..)?.strip_prefix(b"\"")?.strip_suffix(b"\"")?))
    });
    match quoted {
        Some((name, value)) => OsString::from_vec([name, value].concat()),
        None => spec,
    }
}

fn parse_options(field: &[u8]) -> Options {
    let mut options = Options::default();
    let text = |value: &[u8]| OsString::from_vec(value.to_owned());
    for option in field.split(|&b| b == b',') {
        match option {
            b"noauto" => options.noauto = true,
            b"nofail" => options.nofail = true,
            b"discard" => options.discard = Some(None),
            _ => {
                if let Some(value) = option.strip_prefix(b"pri=") {
                    options.priority = Some(text(value));
                } else if let Some(value) = option.strip_prefix(b"discard=") {
                    options.discard = Some(Some(text(value)));
                }
            }
        }
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn swap_entries_are_read_as_the_tools_read_them() {
        let entries = parse(
            b"# a comment\n/dev/vda / ext4 defaults 0 1\n/swap\\040file none swap sw,pri=5,nofail 0 0\n\
              \tLABEL=x\tnone\text4\tnoauto\n/b none swap\n/c none swap discard\nshort none\n",
        );
        let specs: Vec<&[u8]> = entries.iter().map(|entry| entry.spec.as_bytes()).collect();
        assert_eq!(specs, [&b"/swap file"[..], b"/b", b"/c"]);
        assert_eq!(entries[0].options.priority, Some("5".into()));
        assert!(entries[0].options.nofail && !entries[0].options.noauto);
        assert_eq!(entries[2].options.discard, Some(None));
    }

    #[test]
    fn a_quoted_tag_loses_its_quotes() {
        let entries = parse(b"LABEL=\"swap\" none swap noauto,discard=once 0 0\n");
        assert_eq!(entries[0].spec, "LABEL=swap");
        assert!(entries[0].options.noauto);
        assert_eq!(entries[0].options.discard, Some(Some("once".into())));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(text: Vec<u8>) {
            parse(&text);
        }
    }
}
