//! fstab(5): lines of blank-separated, octal-escaped fields.
//!
//! A line that makes no sense is left out and its number kept, because the tools say it aloud and go on.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::octal;

/// A line of fstab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What is mounted or enabled: a path or a tag such as `LABEL=swap`.
    pub spec: OsString,
    /// Where; `none` for swap.
    pub dir: OsString,
    /// The filesystem's type, `swap` for swap.
    pub fstype: OsString,
    /// Comma-separated; empty if the line has none.
    pub options: OsString,
}

/// A whole fstab.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// The lines that make sense, in their order.
    pub entries: Vec<Entry>,
    /// The numbers of the lines that do not, from 1.
    pub bad_lines: Vec<usize>,
}

/// Every entry; a line that makes no sense is left out.
pub fn parse(text: &[u8]) -> Vec<Entry> {
    Table::parse(text).entries
}

impl Table {
    /// Reads a whole fstab.
    pub fn parse(text: &[u8]) -> Self {
        let mut table = Self::default();
        for (at, line) in text.split(|&b| b == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() || line.first() == Some(&b'#') {
                continue;
            }
            match parse_line(line) {
                Some(entry) => table.entries.push(entry),
                None => table.bad_lines.push(at + 1),
            }
        }
        table
    }
}

/// Three fields are needed; the fifth and sixth have to be numbers, if they are there.
fn parse_line(line: &[u8]) -> Option<Entry> {
    let mut fields = line.split(|b| matches!(b, b' ' | b'\t')).filter(|field| !field.is_empty());
    let mut text = || fields.next().map(|field| OsString::from_vec(octal::decode(field)));
    let (spec, dir, fstype) = (text()?, text()?, text()?);
    let options = text().unwrap_or_default();
    let numbers = fields.take(2).all(|field| {
        let digits = field.strip_prefix(b"-").unwrap_or(field);
        digits.first().is_some_and(u8::is_ascii_digit)
    });
    numbers.then_some(Entry { spec, dir, fstype, options })
}

impl Entry {
    /// Whether it is about swap.
    pub fn is_swap(&self) -> bool {
        self.fstype == "swap"
    }

    /// Whether an option is there, with or without a value.
    pub fn has(&self, name: &str) -> bool {
        option(&self.options, name).is_some()
    }
}

/// The first option of that name in a comma-separated list: `Some(None)` if it has no value.
pub fn option<'a>(options: &'a OsStr, name: &str) -> Option<Option<&'a [u8]>> {
    options.as_bytes().split(|&b| b == b',').find_map(|option| {
        match option.strip_prefix(name.as_bytes())? {
            [] => Some(None),
            [b'=', value @ ..] => Some(Some(value)),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_table_is_read_as_libmount_reads_it() {
        let table = Table::parse(
            b"# c\n\n  /a\tnone\tswap\tpri=5\t0\t0\n/b\\040c none swap\n/x none\n/y\n/z none swap sw a b\n\
              /d none swap sw 0 0 junk\nLABEL=r / ext4 ro 0 1",
        );
        let specs: Vec<_> = table.entries.iter().map(|entry| entry.spec.as_bytes()).collect();
        assert_eq!(specs, [&b"/a"[..], b"/b c", b"/d", b"LABEL=r"]);
        assert_eq!(table.bad_lines, [5, 6, 7]);
        assert!(table.entries[2].is_swap() && !table.entries[3].is_swap());
        assert!(table.entries[2].has("sw") && !table.entries[2].has("s"));
    }

    #[test]
    fn the_first_of_two_options_counts() {
        let options = OsStr::new("discard,pri=5,pri=6,nofail");
        assert_eq!(option(options, "pri"), Some(Some(&b"5"[..])));
        assert_eq!(option(options, "discard"), Some(None));
        assert_eq!(option(options, "noauto"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(text: Vec<u8>) {
            let lines = text.split(|&b| b == b'\n').count();
            let table = Table::parse(&text);
            prop_assert!(table.entries.len() + table.bad_lines.len() <= lines);
        }
    }
}
