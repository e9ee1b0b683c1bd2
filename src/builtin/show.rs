//! What `swapon --show` and `swapon -s` print: pure, from the active areas to bytes.
//!
//! The layout is libsmartcols's: a column is as wide as its widest cell, numbers are flush right, the last
//! column is not padded; raw output separates by one blank and so escapes blanks. Bytes that are not
//! printable ASCII become `\xNN`, as in the C locale.

use std::os::unix::ffi::OsStrExt;

use crate::swap::active::ActiveSwap;

/// A column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    Name,
    /// It says `file` or `partition`.
    Type,
    Size,
    Used,
    Priority,
    Uuid,
    Label,
}

/// What is shown when nobody chose.
pub(crate) const DEFAULT: [Column; 5] =
    [Column::Name, Column::Type, Column::Size, Column::Used, Column::Priority];

impl Column {
    /// The column of that name, in either case.
    pub(crate) fn named(name: &[u8]) -> Option<Self> {
        [DEFAULT.as_slice(), &[Self::Uuid, Self::Label]]
            .concat()
            .into_iter()
            .find(|column| column.name().as_bytes().eq_ignore_ascii_case(name))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Name => "NAME",
            Self::Type => "TYPE",
            Self::Size => "SIZE",
            Self::Used => "USED",
            Self::Priority => "PRIO",
            Self::Uuid => "UUID",
            Self::Label => "LABEL",
        }
    }

    fn is_number(self) -> bool {
        matches!(self, Self::Size | Self::Used | Self::Priority)
    }
}

/// An active area with what its header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub swap: ActiveSwap,
    /// The UUID as text, which is empty if the area has none.
    pub uuid: String,
    /// The label is empty if the area has none.
    pub label: Vec<u8>,
}

/// How the table looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Style {
    pub columns: Vec<Column>,
    /// The first line has the names of the columns.
    pub headings: bool,
    /// The columns are separated by one blank, and not aligned.
    pub raw: bool,
    /// Sizes are given in bytes.
    pub bytes: bool,
}

/// The table; nothing at all, not even headings, where no area is active.
pub(crate) fn table(rows: &[Row], style: &Style) -> Vec<u8> {
    let mut lines: Vec<Vec<Vec<u8>>> = Vec::new();
    if style.headings {
        lines.push(style.columns.iter().map(|column| column.name().into()).collect());
    }
    let cells = |row: &Row| style.columns.iter().map(|column| cell(row, *column, style)).collect();
    lines.extend(rows.iter().map(cells));
    if rows.is_empty() {
        return Vec::new();
    }
    // Without headings a column is still as wide as its name.
    let width_of = |at: usize, column: &Column| {
        let widest = lines.iter().filter_map(|line| line.get(at)).map(Vec::len).max();
        widest.unwrap_or(0).max(column.name().len())
    };
    let widths: Vec<usize> = style.columns.iter().enumerate().map(|(at, c)| width_of(at, c)).collect();
    let mut out = Vec::new();
    for line in &lines {
        push_line(&mut out, line, &widths, style);
    }
    out
}

fn push_line(out: &mut Vec<u8>, line: &[Vec<u8>], widths: &[usize], style: &Style) {
    let last = line.len().saturating_sub(1);
    for (at, ((cell, width), column)) in line.iter().zip(widths).zip(&style.columns).enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        let gap = if style.raw { 0 } else { width.saturating_sub(cell.len()) };
        let (before, after) = match (column.is_number(), at == last) {
            (true, _) => (gap, 0),
            (false, true) => (0, 0),
            (false, false) => (0, gap),
        };
        out.resize(out.len() + before, b' ');
        out.extend_from_slice(cell);
        out.resize(out.len() + after, b' ');
    }
    out.push(b'\n');
}

fn cell(row: &Row, column: Column, style: &Style) -> Vec<u8> {
    let size = |kib: u64| {
        let bytes = kib.saturating_mul(1024);
        if style.bytes { bytes.to_string() } else { human(bytes, "") }.into_bytes()
    };
    match column {
        Column::Name => escaped(row.swap.path.as_os_str().as_bytes(), style.raw),
        Column::Type => if row.swap.is_file { "file" } else { "partition" }.into(),
        Column::Size => size(row.swap.size),
        Column::Used => size(row.swap.used),
        Column::Priority => row.swap.priority.to_string().into_bytes(),
        Column::Uuid => row.uuid.clone().into_bytes(),
        Column::Label => escaped(&row.label, style.raw),
    }
}

/// In raw output a blank would be a separator; a backslash is escaped only where it could be taken for an
/// escape.
fn escaped(bytes: &[u8], raw: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for (at, &byte) in bytes.iter().enumerate() {
        let misleads = byte == b'\\' && (raw || bytes.get(at + 1) == Some(&b'x'));
        if !(byte == b' ' || byte.is_ascii_graphic()) || misleads || (raw && byte == b' ') {
            out.extend_from_slice(format!("\\x{byte:02x}").as_bytes());
        } else {
            out.push(byte);
        }
    }
    out
}

/// `swapon -s`, which is `/proc/swaps` with the paths decoded.
pub(crate) fn summary(swaps: &[ActiveSwap]) -> Vec<u8> {
    if swaps.is_empty() {
        return Vec::new();
    }
    let mut out = b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n".to_vec();
    for swap in swaps {
        let name = swap.path.as_os_str().as_bytes();
        out.extend_from_slice(name);
        out.resize(out.len() + 40_usize.saturating_sub(name.len()).max(1), b' ');
        let kind = if swap.is_file { "file\t" } else { "partition" };
        let tab = |kib: u64| if kib < 10_000_000 { "\t" } else { "" };
        let (size, used) = (swap.size, swap.used);
        let rest = format!("{kind}\t{size}{}\t{used}{}\t{}\n", tab(size), tab(used), swap.priority);
        out.extend_from_slice(rest.as_bytes());
    }
    out
}

/// 16M, 1.5G; with `unit` (`iB`) and a blank before it: 16 MiB.
pub(crate) fn human(bytes: u64, unit: &str) -> String {
    const LETTERS: [char; 6] = ['K', 'M', 'G', 'T', 'P', 'E'];
    let gap = if unit.is_empty() { "" } else { " " };
    let power = bytes.max(1).ilog2() / 10;
    let letter = usize::try_from(power).ok().and_then(|power| LETTERS.get(power.checked_sub(1)?));
    let Some(letter) = letter else {
        return format!("{bytes}{gap}B");
    };
    let one = 1u128 << (10 * power);
    let (mut whole, rest) = (u128::from(bytes) / one, u128::from(bytes) % one);
    let mut tenths = (rest * 1000 / one + 50) / 100;
    if tenths == 10 {
        (whole, tenths) = (whole + 1, 0);
    }
    let tenths = if tenths == 0 { String::new() } else { format!(".{tenths}") };
    format!("{whole}{tenths}{gap}{letter}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_to_a_tenth() {
        for (bytes, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (1_044_480, "1020K"),
            (4_128_768, "3.9M"),
            (10_235_904, "9.8M"),
            (20_475_904, "19.5M"),
            (16_760_832, "16M"),
            (1 << 40, "1T"),
        ] {
            assert_eq!(human(bytes, ""), text);
        }
        assert_eq!(human(4_190_208, "iB"), "4 MiB");
    }

    #[test]
    fn columns_are_found_in_either_case() {
        assert_eq!(Column::named(b"prio"), Some(Column::Priority));
        assert_eq!(Column::named(b"NAME,"), None);
        assert_eq!(Column::named(b""), None);
    }
}
