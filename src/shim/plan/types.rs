//! What a plan consists of: each operand, where it came from, and what is to be done with it.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::command::request::Why;
use crate::command::tables::{Flavour, Kind, Tool};
use crate::config::Fallback;
use crate::paths::{BackingPath, OverlayPath};
use crate::swap::fallback::StandIn;

/// What shall be done.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The command.
    pub tool: &'static Tool,
    /// By whose rules its arguments were read.
    pub flavour: &'static Flavour,
    /// argv as it came.
    pub argv: Vec<OsString>,
    /// What shall happen to each operand.
    pub operands: Vec<Decided>,
    /// How the real tool is run.
    pub road: Road,
    /// Where the upper directory is visible.
    pub upper: PathBuf,
    /// The backing filesystem's type; empty if it is not visible.
    pub fstype: String,
    /// Devices that a call of ours left when it was killed; they go first.
    pub leftovers: Vec<PathBuf>,
    /// The options that every run of the real tool gets when the call is taken apart.
    pub common: Vec<OsString>,
    /// Whether the call has to be taken apart because fstab or a tag names a file that concerns us.
    pub apart: bool,
    /// Lines for stderr that the real tool says first, and does not where the call is taken apart.
    pub foreword: Vec<OsString>,
    /// `-v` was given.
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
    /// What shall happen.
    pub decision: Decision,
}

/// Where an operand comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// This place in argv.
    Argv(usize),
    /// An option that names a swap area (`-L`), as arguments.
    Tag(Vec<OsString>),
    /// A line of fstab. Its options as arguments: first in the best way, then for tools that do not know that one.
    Fstab(Vec<Vec<OsString>>),
    /// `/proc/swaps`: an active area that only `swapoff -a` means.
    Active,
}

/// What shall happen to an operand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The real tool gets what the user wrote. The second field is worth a notice.
    AsItIs(String, bool),
    /// The real tool works on the backing file, if it is proved to be the same; else as it is, with a notice.
    Backing(Twofold),
    /// The real tool is not run for it: it is on a volume.
    Refuse {
        /// The file.
        path: PathBuf,
        /// Where the volume is mounted.
        point: PathBuf,
        /// What was mounted.
        source: OsString,
    },
    /// The real tool is not run for it: the filesystem cannot hold swap.
    Skip {
        /// The file.
        path: PathBuf,
        /// The filesystem's type.
        fstype: String,
        /// Why.
        reason: &'static str,
    },
    /// The filesystem cannot hold swap, and something else shall stand in for the file.
    StandIn {
        /// The file.
        path: PathBuf,
        /// In bytes.
        size: u64,
        /// The filesystem's type.
        fstype: String,
        /// What to try, in this order.
        ways: Vec<Fallback>,
    },
    /// A device stands in for the file already, and that is what the real tool gets in its place.
    StoodIn {
        /// The file.
        path: PathBuf,
        /// What stands in for it.
        area: StandIn,
        /// The file is not there any more, or another one is.
        gone: bool,
    },
    /// A tag that no known file carries, in a line whose device may be missing: the real tool looks for it, and
    /// where it finds none, nothing is said.
    IfFound,
    /// Nothing is to be done, and natively nothing would be; the real tool says these words with `-v`. The second
    /// field: called as the user did, util-linux sees that by itself.
    Leave(&'static str, bool),
}

/// One file with two names, and what it needs before swapon takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Twofold {
    /// As the user sees it, without symlinks.
    pub seen: PathBuf,
    /// In the overlay.
    pub overlay: OverlayPath,
    /// On the backing filesystem, unproved.
    pub backing: BackingPath,
    /// Opened for writing through the overlay first, which copies a lower file up, and a metacopy stub's data.
    pub bring_up: bool,
    /// Nothing stands at the backing path yet, so opening will copy the whole file.
    pub lower_only: bool,
    /// It is in a lower layer only and holds nothing but an area that is not in use: it is made new at the same
    /// size, with the same header, instead of being copied up.
    pub remake: bool,
    /// What may stand in for it if the filesystem refuses it, in this order.
    pub ways: Vec<Fallback>,
    /// It has copy-on-write, which btrfs refuses, whatever the words in which the real tool says so.
    pub cow: bool,
    /// Nothing but the area can be in it, so blocks that the kernel refuses may be written anew.
    pub rewrite: bool,
    /// Holes are filled in place, those too that copying up leaves.
    pub fill: bool,
    /// Bytes of holes that are known already.
    pub holes: u64,
    /// In bytes.
    pub size: u64,
    /// It was looked at and carries no swap signature.
    pub unformatted: bool,
    /// It carries a swap signature, but of an area for another machine.
    pub foreign: bool,
    /// It is active already, by this name or another.
    pub active: bool,
}

/// How the real tool is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Road {
    /// We become it, with argv as it is.
    Untouched(Reason),
    /// We become it, with argv as it is, in a private mount namespace where each proved backing file is
    /// mounted over the user's path.
    Masked,
    /// We run it, once for all operands or once for each, and look at its status.
    Supervised,
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

/// A stand-in whose name leads to something else by now.
pub(crate) fn orphan(area: &StandIn) -> Decided {
    let decision = Decision::StoodIn { path: area.name.clone(), area: area.clone(), gone: true };
    Decided { origin: Origin::Active, given: area.name.clone().into(), decision }
}

impl Decided {
    /// Whether the real tool, run as the user called it, does with this what it does natively. util-linux
    /// leaves by itself what is to be left; the others try to enable it and go by the errno, which on the
    /// overlay is another.
    pub fn is_quiet(&self, flavour: &Flavour) -> bool {
        match self.decision {
            Decision::AsItIs(_, worth_a_notice) => !worth_a_notice,
            Decision::IfFound => true,
            Decision::Leave(_, by_itself) => {
                by_itself && flavour.kind == Kind::UtilLinux && !matches!(self.origin, Origin::Argv(_))
            }
            _ => false,
        }
    }
}
