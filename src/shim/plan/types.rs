//! What a plan consists of: each operand, where it came from, and what is to be done with it.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::command::request::Why;
use crate::command::tables::{Flavour, Maker, Tool};
use crate::config::Fallback;
use crate::paths::{BackingPath, OverlayPath};
use crate::swap::fallback::FallbackDevice;

/// What shall be done.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The command that was called.
    pub tool: &'static Tool,
    /// The implementation by whose rules its arguments were read.
    pub flavour: &'static Flavour,
    /// argv as it came.
    pub argv: Vec<OsString>,
    /// What shall happen to each operand.
    pub operands: Vec<Decided>,
    /// How the real tool is run.
    pub mode: Mode,
    /// Where the upper directory is visible.
    pub upper: PathBuf,
    /// The backing filesystem's type; empty if it is not visible.
    pub fstype: String,
    /// Devices that a call of ours left when it was killed; they go first.
    pub leftovers: Vec<PathBuf>,
    /// The options that every run of the real tool gets when the call is split by area.
    pub common: Vec<OsString>,
    /// The call is split, one run an area, because fstab or a tag names a file that concerns us.
    pub is_split: bool,
    /// Lines for stderr that the real tool says first, and does not where the call is split.
    pub foreword: Vec<OsString>,
    /// The caller wants to be told what is left alone (`-v`).
    pub verbose: bool,
    /// The real tool has to find an area by its tag.
    pub by_tag: bool,
    /// Whether a caller is told 0 when swap could not be enabled.
    pub lenient: bool,
}

/// An operand and its decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// Where it comes from.
    pub origin: Origin,
    /// As it was given.
    pub given: OsString,
    pub decision: Decision,
}

/// Where an operand comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// This place in argv.
    Argv(usize),
    /// An option that names a swap area (`-L`), as arguments.
    Tag(Vec<OsString>),
    /// A line of fstab, with its options.
    Fstab(FstabArguments),
    /// `/proc/swaps`: an active area that only `swapoff -a` means.
    Active,
}

/// The options of a line of fstab as arguments of the real tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FstabArguments {
    /// All that the line asks for.
    pub best: Vec<OsString>,
    /// For tools that turn out not to know those: each asks for less than the one before.
    pub plainer: Vec<Vec<OsString>>,
}

/// What shall happen to an operand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The real tool gets what the user wrote.
    AsItIs {
        why: String,
        /// Whether the user is told.
        told: bool,
    },
    /// The real tool works on the backing file, if it is proved to be the same; else as it is, with a notice.
    Backing(BackedFile),
    /// The real tool is not run for it: it is on a volume.
    Refuse {
        path: PathBuf,
        /// Where the volume is mounted.
        point: PathBuf,
        source: OsString,
    },
    /// The real tool is not run for it: the filesystem cannot hold swap.
    Skip { path: PathBuf, fstype: String, reason: &'static str },
    /// The filesystem cannot hold swap, and a fallback shall take the file's place.
    Fallback {
        path: PathBuf,
        /// In bytes.
        size: u64,
        fstype: String,
        /// What to try, in this order.
        fallbacks: Vec<Fallback>,
    },
    /// A fallback device is active in the file's place already, and that is what the real tool gets.
    ActiveFallback {
        path: PathBuf,
        /// The device in its place.
        device: FallbackDevice,
        /// Whether that file is still there.
        file: FileNow,
    },
    /// A tag that no known file carries, in a line whose device may be missing: the real tool looks for it, and
    /// where it finds none, nothing is said.
    IfFound,
    /// Nothing is to be done, and natively nothing would be.
    Leave {
        /// What the real tool says of it with `-v`.
        words: &'static str,
        /// Called as the user did, util-linux sees by itself that there is nothing to be done.
        is_seen: bool,
    },
}

/// What has become of the file that a fallback device was enabled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileNow {
    /// It is the one that the operand names.
    Named,
    /// It is not there any more, or its name leads to another one.
    Gone,
}

/// A file of the overlay with its backing file: one inode with two names, once that is proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackedFile {
    /// As the user sees it, without symlinks.
    pub seen: PathBuf,
    pub overlay: OverlayPath,
    /// On the backing filesystem, unproved.
    pub backing: BackingPath,
    /// What is known of it.
    pub facts: BackedFacts,
    /// What swapon needs done to it.
    pub orders: FileOrders,
}

/// What is known of a file of the overlay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackedFacts {
    /// In bytes.
    pub size: u64,
    /// Bytes of holes that are known already.
    pub holes: u64,
    /// Nothing stands at the backing path yet, so opening will copy the whole file.
    pub lower_only: bool,
    /// It has copy-on-write, which btrfs refuses, whatever the words in which the real tool says so.
    pub copy_on_write: bool,
    /// It is active already, by this name or another.
    pub active: bool,
    /// What its first page says of it.
    pub area: Area,
}

/// What a file's first page says of the swap area in it, as far as a failure has to be explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Area {
    Missing,
    /// There is one, but for another machine.
    Foreign,
    /// The kernel takes it, or nobody looked.
    Usable,
}

/// What is to be done to a file of the overlay before, or when, the real tool is run on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileOrders {
    /// Open it for writing through the overlay first, which copies a lower file up, and a metacopy stub's data.
    pub copy_up: bool,
    /// It is in a lower layer only and holds nothing but an area that is not in use: make it new at the same
    /// size, with the same header, instead of copying it up.
    pub recreate: bool,
    /// Fill its holes in place, those too that copying up leaves.
    pub fill_holes: bool,
    /// Nothing but the area can be in it, so write the blocks anew that the kernel refuses.
    pub rewrite_blocks: bool,
    /// What may take its place if the filesystem refuses it, in this order.
    pub fallbacks: Vec<Fallback>,
}

/// How the real tool is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// We become it, with argv as it is.
    HandOver(Reason),
    /// We become it, with argv as it is, in a private mount namespace where each proved backing file is
    /// mounted over the user's path.
    Mask,
    /// We run it, once for all operands or once for each, and look at its status.
    Supervise,
}

/// Why the real tool gets argv as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The command line concerns no swap area.
    Request(Why),
    /// The caller may not look at `/.rootfs-shim`.
    Forbidden,
    /// The root filesystem is no overlay.
    NoOverlay,
    /// No operand needs anything of us.
    NothingToDo,
}

impl Plan {
    /// Whether the backing filesystem is btrfs, which takes only files without copy-on-write.
    pub(crate) fn is_btrfs(&self) -> bool {
        self.fstype == "btrfs"
    }
}

impl Decided {
    /// Whether the real tool, run as the user called it, does with this what it does natively. util-linux
    /// leaves by itself what is to be left; the others try to enable it and go by the errno, which on the
    /// overlay is another.
    pub fn is_quiet(&self, flavour: &Flavour) -> bool {
        match self.decision {
            Decision::AsItIs { told, .. } => !told,
            Decision::IfFound => true,
            Decision::Leave { is_seen, .. } => {
                is_seen && flavour.kind == Maker::UtilLinux && !matches!(self.origin, Origin::Argv(_))
            }
            _ => false,
        }
    }
}
