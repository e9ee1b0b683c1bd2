//! The commands whose place a shim takes, as static data made from `shims/*.toml` by build.rs.
//!
//! A new command or a new option is a line of data; nothing here or in the scanner knows a name.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// A command whose place a shim can take.
#[derive(Debug)]
pub struct Tool {
    /// Its file name, exactly.
    pub name: &'static str,
    /// What it does to a swap area.
    pub purpose: Purpose,
    /// What its operands mean.
    pub operands: Operands,
    /// Where an image may keep it, relative to the image's root, in the order of a usual PATH.
    pub directories: &'static [&'static str],
    /// Its implementations; the first has the most options.
    pub flavours: &'static [Flavour],
}

/// What a command does to a swap area.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Like swapon: lenient about failures, refuses volumes.
    Enable,
    /// Like swapoff: never refuses, honest statuses.
    Disable,
    /// Like mkswap: refuses volumes, honest statuses.
    Format,
}

/// What a command's operands mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operands {
    /// Each is a file or device.
    Files,
    /// The first is a file or device, the second a size.
    FileAndSize,
}

/// Who made the real tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maker {
    /// Of util-linux, as most distributions have it.
    UtilLinux,
    /// An applet of BusyBox.
    Busybox,
    /// A command of toybox.
    Toybox,
}

/// One implementation of a command.
#[derive(Debug)]
pub struct Flavour {
    /// Who makes this implementation.
    pub kind: Maker,
    /// Its exit status for a bad command line.
    pub usage_status: i32,
    /// Its exit status when it could not do what it was asked.
    pub failure_status: i32,
    /// Whether it takes unique prefixes of long options (getopt_long(3)).
    pub long_prefixes: bool,
    /// With more operands than these it refuses the call.
    pub most_operands: Option<usize>,
    /// The options that it knows.
    pub options: &'static [Opt],
}

/// An option.
#[derive(Debug)]
pub struct Opt {
    /// The letter, if it has one.
    pub short: Option<u8>,
    /// The long name, if it has one.
    pub long: Option<&'static str>,
    /// Whether it takes a value, as a letter.
    pub value: Value,
    /// The same under its long name.
    pub long_value: Value,
    /// Which values the tool accepts.
    pub expects: Expects,
    /// What it changes for us.
    pub effect: Effect,
    /// Only newer releases of the tool have it.
    pub is_new: bool,
    /// The long name of the option without which this one is bad usage.
    pub needs: Option<&'static str>,
    /// The long names of the options with which this one is bad usage.
    pub excludes: &'static [&'static str],
}

/// Whether an option takes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    None,
    /// Only an attached one.
    Optional,
    /// Attached, or else the next argument.
    Required,
}

/// Which values an option accepts.
#[derive(Debug, Clone, Copy)]
pub enum Expects {
    /// We need not know.
    Anything,
    /// A number from -32768 to 32767.
    Int16,
    /// One of these words.
    OneOf(&'static [&'static str]),
}

/// What an option changes for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    Plain,
    /// The tool prints something and does nothing.
    Inform,
    /// The tool also works on what fstab and /proc/swaps list.
    All,
    /// The value names a swap area.
    Tag,
    /// The tool makes the file itself.
    Create,
    /// The value is read in place of /etc/fstab.
    Fstab,
    /// The value is a list of fstab's options, for operands only.
    FstabOptions,
    /// What is missing is no error.
    IfExists,
    /// An area for pages of another size is made anew.
    FixPageSize,
    /// The tool takes a flock(2) on the file.
    Lock,
    /// The tool says what it leaves alone.
    Verbose,
}

include!(concat!(env!("OUT_DIR"), "/tables.rs"));

impl Tool {
    /// The tool of exactly this name.
    pub fn named(name: &OsStr) -> Option<&'static Self> {
        TOOLS.iter().find(|tool| tool.name.as_bytes() == name.as_bytes())
    }

    /// Its implementation by `kind`, else the fullest.
    pub fn flavour(&'static self, kind: Maker) -> Option<&'static Flavour> {
        self.flavours.iter().find(|flavour| flavour.kind == kind).or(self.flavours.first())
    }
}

impl Expects {
    /// Whether the tool takes `value`.
    pub fn accepts(self, value: &[u8]) -> bool {
        match self {
            Self::Anything => true,
            Self::OneOf(words) => words.iter().any(|word| word.as_bytes() == value),
            Self::Int16 => std::str::from_utf8(value)
                .is_ok_and(|text| text.trim_start().parse::<i16>().is_ok() && !text.is_empty()),
        }
    }
}
