//! fstab(5): lines of blank-separated, octal-escaped fields.
//!
//! A line that makes no sense is left out and its number kept, because the tools say it aloud and go on. What
//! makes no sense is not the same to all of them: libmount insists on numbers in the last two fields, and
//! getmntent(3), by which BusyBox and toybox read, does not look at them. Where LIBMOUNT_FSTAB or `--fstab` names a
//! directory, libmount reads the files in it.
#![expect(clippy::disallowed_methods, reason = "the running system's own files, and never an image's")]

use std::ffi::{CString, OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::{octal, sys};

/// A line of fstab that makes sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What is mounted or enabled: a path or a tag such as `LABEL=swap`.
    pub spec: OsString,
    /// Where it is mounted, which is `none` for swap.
    pub dir: OsString,
    /// The filesystem's type, `swap` for swap.
    pub fstype: OsString,
    /// Comma-separated; empty if the line has none.
    pub options: OsString,
}

/// What a whole fstab says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// The lines that make sense, in their order.
    pub entries: Vec<Entry>,
    /// The numbers of the lines that do not, from 1.
    pub bad_lines: Vec<usize>,
}

/// By whose rules a file is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reader {
    /// util-linux's, which is libmount's.
    #[default]
    Libmount,
    /// The C library's getmntent(3), which others use.
    Getmntent,
}

/// What is read at `path`, each file with the name by which the reader speaks of it.
///
/// # Errors
/// As stat(2) and open(2) say; libmount reads nothing that is neither a file nor a directory.
pub fn read(path: &Path, reader: Reader) -> io::Result<Vec<(PathBuf, Table)>> {
    if reader == Reader::Libmount {
        let meta = fs::metadata(path)?;
        if meta.is_dir() {
            return read_directory(path);
        } else if !meta.is_file() {
            // It goes by an errno of before, and mostly that is this one.
            return Err(io::Error::from_raw_os_error(libc::ENOENT));
        }
    }
    Ok(vec![(path.to_owned(), Table::parse(&fs::read(path)?, reader))])
}

/// `*.fstab`, in the order of their versions (`2.fstab` before `10.fstab`); what cannot be read is passed over.
fn read_directory(dir: &Path) -> io::Result<Vec<(PathBuf, Table)>> {
    let mut names: Vec<CString> = Vec::new();
    for entry in fs::read_dir(dir)?.flatten() {
        let name = CString::new(entry.file_name().into_vec())?;
        if !name.as_bytes().starts_with(b".") && name.as_bytes().ends_with(b".fstab") {
            // The library's sort would be 4 KiB of code.
            let after = |other: &CString| sys::compare_versions(other, &name).is_gt();
            names.insert(names.iter().position(after).unwrap_or(names.len()), name);
        }
    }
    let table = |name: CString| {
        let name = PathBuf::from(OsString::from_vec(name.into_bytes()));
        let path = dir.join(&name);
        let text = fs::metadata(&path).is_ok_and(|meta| meta.is_file()).then(|| fs::read(&path).ok())??;
        Some((name, Table::parse(&text, Reader::Libmount)))
    };
    Ok(names.into_iter().filter_map(table).collect())
}

/// A line that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// The name by which the reader speaks of the file.
    pub file: PathBuf,
    /// Counted from 1.
    pub number: usize,
}

/// The lines that make no sense.
pub fn bad_lines(tables: &[(PathBuf, Table)]) -> Vec<BadLine> {
    let lines = |(name, table): &(PathBuf, Table)| {
        let line = |&number: &usize| BadLine { file: name.clone(), number };
        table.bad_lines.iter().map(line).collect::<Vec<_>>()
    };
    tables.iter().flat_map(lines).collect()
}

/// What libmount says of a line that makes no sense.
pub fn bad_line(line: &BadLine) -> OsString {
    let mut words = line.file.clone().into_os_string();
    words.push(format!(": parse error at line {} -- ignored", line.number));
    words
}

impl Table {
    /// Reads the text of a whole fstab.
    pub fn parse(text: &[u8], reader: Reader) -> Self {
        let mut table = Self::default();
        for (at, line) in text.split(|&b| b == b'\n').enumerate() {
            let line = match reader {
                Reader::Libmount => line.strip_suffix(b"\r").unwrap_or(line),
                Reader::Getmntent => line,
            };
            let first = line.iter().find(|b| !is_blank(**b));
            // To libmount a line ends at a NUL, and so does not end as it should.
            let is_whole = reader == Reader::Getmntent || !line.contains(&0);
            if is_whole && matches!(first, None | Some(b'#')) {
                continue;
            }
            match parse_line(line, reader).filter(|_| is_whole) {
                Some(entry) => table.entries.push(entry),
                None => table.bad_lines.push(at + 1),
            }
        }
        table
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Three fields are needed; to libmount, the fifth and sixth have to be numbers, if they are there.
fn parse_line(line: &[u8], reader: Reader) -> Option<Entry> {
    let mut fields = line.split(|b| is_blank(*b)).filter(|field| !field.is_empty());
    let mut text = || fields.next().map(|field| OsString::from_vec(decode(field, reader)));
    let (spec, dir, fstype) = (text()?, text()?, text()?);
    let options = text().unwrap_or_default();
    let numbers = fields.take(2).all(|field| match strtol(field) {
        Some((_, rest)) => rest.is_empty(),
        None => false,
    });
    (numbers || reader == Reader::Getmntent).then_some(Entry { spec, dir, fstype, options })
}

/// To getmntent(3) a doubled backslash is one.
fn decode(field: &[u8], reader: Reader) -> Vec<u8> {
    let whole = octal::decode(field);
    if reader == Reader::Libmount || !field.windows(2).any(|pair| pair == b"\\\\") {
        return whole;
    }
    let mut halves = Vec::with_capacity(field.len());
    for &byte in field {
        halves.push(byte);
        if halves.ends_with(b"\\\\") {
            halves.truncate(halves.len() - 2);
            halves.extend_from_slice(b"\\134");
        }
    }
    octal::decode(&halves)
}

/// strtol(3): the number that `text` begins with, or that it is too large, and what follows; `None` if it begins
/// with none.
fn strtol(text: &[u8]) -> Option<(Option<i64>, &[u8])> {
    let start = text.trim_ascii_start();
    let signs = usize::from(matches!(start.first(), Some(b'-' | b'+')));
    let digits = start.iter().skip(signs).take_while(|b| b.is_ascii_digit()).count();
    let (number, rest) = start.split_at_checked(signs + digits).filter(|_| digits > 0)?;
    Some((std::str::from_utf8(number).ok().and_then(|number| number.parse().ok()), rest))
}

/// What `pri=` means: the number that its value begins with, cut as a C `int` is, and at most what the kernel
/// takes; `None` if there is none, or one that is too large. A negative one is the kernel's own choice.
pub fn priority(value: &[u8]) -> Option<i16> {
    let number = strtol(value)?.0? as i32;
    Some(i16::try_from(number.max(-1)).unwrap_or(i16::MAX))
}

/// What `pri=` means to BusyBox: nothing but digits, and at most what the kernel takes.
pub fn strict_priority(value: &[u8]) -> Option<i16> {
    let digits = value.iter().all(u8::is_ascii_digit);
    let number: u32 = std::str::from_utf8(value).ok().filter(|_| digits)?.parse().ok()?;
    Some(i16::try_from(number).unwrap_or(i16::MAX))
}

impl Entry {
    /// Whether it is about swap.
    pub fn is_swap(&self) -> bool {
        self.fstype == "swap"
    }

    /// Whether an option is there, with or without a value.
    pub fn has(&self, name: &str, reader: Reader) -> bool {
        option(&self.options, name, reader).is_some()
    }
}

/// The first option of that name in a comma-separated list: `Some(None)` if it has no value.
pub fn option<'a>(options: &'a OsStr, name: &str, reader: Reader) -> Option<Option<&'a [u8]>> {
    split(options, reader).find_map(|option| value(option, name))
}

/// The options of a list; to libmount, a comma in quotes ends none.
pub fn split(options: &OsStr, reader: Reader) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    options.as_bytes().split(move |&b| {
        quoted ^= b == b'"' && reader == Reader::Libmount;
        b == b',' && !quoted
    })
}

/// If `option` has that name: `Some(None)` if it has no value.
pub fn value<'a>(option: &'a [u8], name: &str) -> Option<Option<&'a [u8]>> {
    match option.strip_prefix(name.as_bytes())? {
        [] => Some(None),
        [b'=', value @ ..] => Some(Some(value)),
        _ => None,
    }
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
            Reader::Libmount,
        );
        let specs: Vec<_> = table.entries.iter().map(|entry| entry.spec.as_bytes()).collect();
        assert_eq!(specs, [&b"/a"[..], b"/b c", b"/d", b"LABEL=r"]);
        assert_eq!(table.bad_lines, [5, 6, 7]);
        assert!(table.entries[2].is_swap() && !table.entries[3].is_swap());
        let has = |name| table.entries[2].has(name, Reader::Libmount);
        assert!(has("sw") && !has("s"));
    }

    #[test]
    fn the_first_of_two_options_counts() {
        let options = OsStr::new("discard,pri=5,pri=6,nofail");
        let option = |name| option(options, name, Reader::Libmount);
        assert_eq!(option("pri"), Some(Some(&b"5"[..])));
        assert_eq!(option("discard"), Some(None));
        assert_eq!(option("noauto"), None);
    }

    #[test]
    fn a_comma_in_quotes_ends_an_option_for_getmntent_only() {
        for (text, libmount, getmntent) in [
            ("x=\"a,noauto,b\"", false, true),
            ("x=\"a,noauto", false, true),
            ("x=\"a,b\",noauto", true, true),
            ("x=\"a,noauto\"", false, false),
        ] {
            let has = |reader| option(OsStr::new(text), "noauto", reader).is_some();
            assert_eq!((has(Reader::Libmount), has(Reader::Getmntent)), (libmount, getmntent), "{text}");
        }
    }

    #[test]
    fn a_line_with_a_nul_makes_no_sense_to_libmount() {
        let text = b"/a none swap sw\0,noauto 0 0\n#\0\n/b none swap";
        assert_eq!(Table::parse(text, Reader::Libmount).bad_lines, [1, 2]);
        assert_eq!(Table::parse(text, Reader::Getmntent).entries.len(), 2);
    }

    #[test]
    fn the_readers_differ_in_numbers_carriage_returns_and_backslashes() {
        let text =
            b"/a none swap sw 0x 0\n/b\\\\c none swap sw -1 +2\r\n/d none swap\r\n \n /e none swap # c\n";
        let specs = |reader| {
            let table = Table::parse(text, reader);
            let swap = table.entries.into_iter().filter(Entry::is_swap);
            swap.map(|entry| entry.spec.into_string().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(specs(Reader::Libmount), ["/b\\\\c", "/d"]);
        assert_eq!(specs(Reader::Getmntent), ["/a", "/b\\c", "/e"]);
        assert_eq!(Table::parse(text, Reader::Libmount).bad_lines, [1, 5]);
    }

    #[test]
    fn a_directory_is_read_in_the_order_of_versions() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["10.fstab", "9.fstab", "b.fstab", ".h.fstab", "README", "a.fstab.bak"] {
            fs::write(dir.path().join(name), "/x none swap\nbad\n").unwrap();
        }
        fs::create_dir(dir.path().join("d.fstab")).unwrap();
        let tables = read(dir.path(), Reader::Libmount).unwrap();
        let names: Vec<&str> = tables.iter().map(|(name, _)| name.to_str().unwrap()).collect();
        assert_eq!(names, ["9.fstab", "10.fstab", "b.fstab"]);
        assert_eq!(bad_line(&bad_lines(&tables)[1]), "10.fstab: parse error at line 2 -- ignored");
        assert!(read(dir.path(), Reader::Getmntent).is_err());
        assert!(read(Path::new("/dev/null"), Reader::Libmount).is_err());
    }

    #[test]
    fn a_priority_is_read_as_leniently_as_the_real_tool_does() {
        for (text, read) in [
            ("5", Some(5)),
            ("99999", Some(32767)),
            ("x", None),
            ("", None),
            ("7x", Some(7)),
            ("-3", Some(-1)),
            (" +4", Some(4)),
            ("99999999999999999999", None),
            ("4294967301", Some(5)),
        ] {
            assert_eq!(priority(text.as_bytes()), read, "{text}");
            let strict = read.filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
            assert_eq!(strict_priority(text.as_bytes()), strict.filter(|_| text.len() < 10), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(text: Vec<u8>) {
            let lines = text.split(|&b| b == b'\n').count();
            for reader in [Reader::Libmount, Reader::Getmntent] {
                let table = Table::parse(&text, reader);
                prop_assert!(table.entries.len() + table.bad_lines.len() <= lines);
            }
        }
    }
}
