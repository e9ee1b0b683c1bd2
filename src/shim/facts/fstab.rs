//! fstab(5), as far as swap goes.
//!
//! The lines are read as the real tool reads them (`swap::fstab`); here their options get a meaning.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use crate::swap::fstab::{self, BadLine, Reader};

/// A line of fstab whose type is `swap`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwapEntry {
    /// The first field, decoded: a path or a tag, which may be quoted (`LABEL="swap"`).
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
    /// `pri=`, as BusyBox reads it.
    pub priority: Option<i16>,
    /// `discard`, if it is there.
    pub discard: Option<DiscardOption>,
    /// `discard` comes before `pri`.
    pub discard_first: bool,
    /// All of them as they are, if a priority or discarding is among them.
    pub text: OsString,
}

/// The option `discard`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscardOption {
    /// What follows its `=`, if anything does.
    pub policy: Option<OsString>,
}

/// The swap entries of what is read at `path`, and its lines that make no sense.
pub fn read(path: &Path, reader: Reader) -> (Vec<SwapEntry>, Vec<BadLine>) {
    let tables = fstab::read(path, reader).unwrap_or_default();
    let bad_lines = fstab::bad_lines(&tables);
    (tables.into_iter().flat_map(|(_, table)| swap_of(table, reader).0).collect(), bad_lines)
}

/// The swap entries in their order, and the numbers of the lines that make no sense, from 1.
pub fn parse(text: &[u8], reader: Reader) -> (Vec<SwapEntry>, Vec<usize>) {
    swap_of(fstab::Table::parse(text, reader), reader)
}

fn swap_of(table: fstab::Table, reader: Reader) -> (Vec<SwapEntry>, Vec<usize>) {
    let entries = table.entries.into_iter().filter(fstab::Entry::is_swap);
    let entry = |entry: fstab::Entry| SwapEntry { options: options_of(&entry, reader), spec: entry.spec };
    (entries.map(entry).collect(), table.bad_lines)
}

fn options_of(entry: &fstab::Entry, reader: Reader) -> Options {
    let places = ["discard", "pri"].map(|name| {
        fstab::split(&entry.options, reader).position(|option| fstab::value(option, name).is_some())
    });
    let value = |name| fstab::option(&entry.options, name, reader);
    let discard = value("discard")
        .map(|policy| DiscardOption { policy: policy.map(|policy| OsString::from_vec(policy.to_owned())) });
    Options {
        noauto: entry.has("noauto", reader),
        nofail: entry.has("nofail", reader),
        priority: value("pri").flatten().and_then(fstab::strict_priority),
        discard,
        discard_first: matches!(places, [Some(discard), Some(priority)] if discard < priority),
        text: if places == [None, None] { OsString::new() } else { entry.options.clone() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    use proptest::prelude::*;

    #[test]
    fn swap_entries_are_read_as_the_tools_read_them() {
        let (entries, bad) = parse(
            b"# a comment\n/dev/vda / ext4 defaults 0 1\n/swap\\040file none swap sw,pri=5,pri=6,nofail=1 0 0\n\
              \tLABEL=x\tnone\text4\tnoauto\n/b none swap\n/c none swap discard,xnofail\nshort none\n\
              /d none swap noauto=1,discard=once,pri=-4",
            Reader::Libmount,
        );
        let specs: Vec<&[u8]> = entries.iter().map(|entry| entry.spec.as_bytes()).collect();
        assert_eq!(specs, [&b"/swap file"[..], b"/b", b"/c", b"/d"]);
        assert_eq!(bad, [7]);
        assert_eq!(entries[0].options.priority, Some(5));
        assert!(entries[0].options.nofail && !entries[0].options.noauto);
        assert!(
            entries[2].options.discard == Some(DiscardOption { policy: None }) && !entries[2].options.nofail
        );
        assert!(entries[3].options.noauto && entries[3].options.priority.is_none());
        assert!(entries[3].options.discard_first && !entries[2].options.discard_first);
        assert_eq!(entries[3].options.text, "noauto=1,discard=once,pri=-4");
        assert_eq!(entries[1].options.text, "");
        assert_eq!(entries[3].options.discard, Some(DiscardOption { policy: Some("once".into()) }));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(text: Vec<u8>) {
            parse(&text, Reader::Libmount);
            parse(&text, Reader::Getmntent);
        }
    }
}
