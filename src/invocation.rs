//! The one door by which argv, the environment, the standard descriptors and the files that a caller names enter.
//!
//! Everything behind it takes what it needs as an argument. The file name of `argv[0]`, byte for byte, decides
//! who we are: no prefix, no stem, no case folding, no environment variable. A caller may put anything there
//! (`-swapon`, nothing at all), and a tool that is one program alone does not care; so where it is no name of
//! ours, the name of the file that was executed decides, which every hard link has for itself.
#![expect(clippy::disallowed_methods, reason = "the running system's own files, and never an image's")]

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use crate::command::getopt::Order;
use crate::command::tables::Tool;
use crate::error::{Attempt, Error, Kind, Result};
use crate::sys;

/// Who we are in this call.
#[derive(Debug, Clone, Copy)]
pub enum Identity {
    /// We stand under a tool's name.
    Shim(&'static Tool),
    /// `rootfs-shim`, or no tool's name: the subcommands.
    Manager,
}

/// A call of the program.
#[derive(Debug, Clone, Default)]
pub struct Invocation {
    /// argv as the kernel gave it; may be empty.
    pub argv: Vec<OsString>,
    /// Where getopt(3) looks for options.
    pub order: Order,
    /// The fstab that libmount reads in place of /etc/fstab (LIBMOUNT_FSTAB), if there is one.
    pub fstab: Option<PathBuf>,
    /// How many shims of ours already stand above us in this chain of processes.
    pub depth: u8,
    /// What was closed when we were started.
    pub closed: Closed,
}

/// Which of the standard descriptors a process was started without.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Closed {
    /// Descriptor 0 was closed.
    pub stdin: bool,
    /// Descriptor 1 was closed.
    pub stdout: bool,
    /// Descriptor 2 was closed.
    pub stderr: bool,
}

/// The name under which the program is itself.
const MANAGER: &str = "rootfs-shim";

/// Counts the shims that stand above a process, so that a real tool that calls its own name ends instead of
/// going round for ever.
pub(crate) const DEPTH_VARIABLE: &str = "ROOTFS_SHIM_DEPTH";

/// Whether this process came in by the door.
static ENTERED: AtomicBool = AtomicBool::new(false);

/// Refuses to install the program that is running unless it asks by which name it was called, as `src/main.rs` does.
/// Any other that uses the library, an init say, would be itself again under the name of swapon.
///
/// # Errors
/// [`Kind::Usage`].
pub(crate) fn may_be_shim(binary: &Path) -> Result<()> {
    if ENTERED.load(Ordering::Relaxed) || !binary.starts_with("/proc") {
        return Ok(());
    }
    let error = Error::new(Kind::Usage, "install", "the program that is running is not rootfs-shim");
    Err(error.remedy("name a rootfs-shim in InstallOptions::binary"))
}

/// A regular file that the caller names, opened so that nothing can block.
///
/// # Errors
/// State for what is no regular file or has more than `cap` bytes; what open(2) and read(2) say.
pub(crate) fn read_file(path: &Path, cap: u64) -> Result<Vec<u8>> {
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let fd: OwnedFd = open(path, flags, Mode::empty()).attempt("open", path)?;
    let file = File::from(fd);
    let meta = file.metadata().attempt("stat", path)?;
    let refuse = |reason: String| Err(Error::new(Kind::State, "read", reason).at(path));
    if !meta.is_file() {
        return refuse("it is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(cap + 1).read_to_end(&mut bytes).attempt("read", path)?;
    if bytes.len() as u64 > cap {
        return refuse(format!("it is larger than {cap} bytes"));
    }
    Ok(bytes)
}

impl Invocation {
    /// The call that this process is.
    pub fn of_this_process() -> Self {
        ENTERED.store(true, Ordering::Relaxed);
        let [stdin, stdout, stderr] = sys::occupy_closed_stdio();
        let closed = Closed { stdin, stdout, stderr };
        let depth = std::env::var(DEPTH_VARIABLE).ok().and_then(|depth| depth.parse().ok()).unwrap_or(0);
        let posixly = std::env::var_os("POSIXLY_CORRECT").is_some();
        let order = if posixly { Order::Posix } else { Order::Permuted };
        let fstab = std::env::var_os("LIBMOUNT_FSTAB").map(PathBuf::from);
        Self { argv: std::env::args_os().collect(), order, fstab, depth, closed }
    }

    /// Who `argv[0]` says we are, or else the executed file.
    pub fn identity(&self) -> Identity {
        self.identity_as(|| {
            // The link says `(deleted)` once an install has put a newer shim in the file's place.
            let linked = std::fs::read_link("/proc/self/exe").ok().map(OsString::from);
            [linked, sys::executed_path()].into_iter().flatten()
        })
    }

    /// The same, with other names of the executed file.
    pub fn identity_as<T: IntoIterator<Item = OsString>>(&self, executed: impl FnOnce() -> T) -> Identity {
        let name = self.argv.first().map_or(OsStr::new(""), |argv0| file_name(argv0));
        if name == MANAGER {
            return Identity::Manager;
        }
        let executed = || {
            executed().into_iter().find_map(|path| {
                // `swapon.distrib` is what became of the shim when a package put its own file in its place.
                let name = file_name(&path).as_bytes().split(|byte| *byte == b'.').next()?;
                Tool::named(OsStr::from_bytes(name))
            })
        };
        Tool::named(name).or_else(executed).map_or(Identity::Manager, Identity::Shim)
    }

    /// The file that this process runs, by its name in the tree: `/proc/self/exe`, or what execve(2) was
    /// given where there is no /proc.
    pub fn executable(&self) -> Option<PathBuf> {
        let linked = std::fs::read_link("/proc/self/exe").ok();
        linked.or_else(|| sys::executed_path().map(PathBuf::from)).filter(|path| path.is_absolute())
    }
}

/// What follows the last slash, as a shell or the kernel would show it; unlike `Path::file_name` it changes
/// nothing (`swapon/.` is not `swapon`).
fn file_name(argv0: &OsStr) -> &OsStr {
    let bytes = argv0.as_bytes();
    let start = bytes.iter().rposition(|&b| b == b'/').map_or(0, |slash| slash + 1);
    OsStr::from_bytes(bytes.get(start..).unwrap_or(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(argv: &[&[u8]], executed: &[&str]) -> Option<&'static str> {
        let argv = argv.iter().map(|argument| OsStr::from_bytes(argument).to_owned()).collect();
        let call = Invocation { argv, ..Invocation::default() };
        match call.identity_as(|| executed.iter().map(OsString::from)) {
            Identity::Shim(tool) => Some(tool.name),
            Identity::Manager => None,
        }
    }

    const OTHERS: [&[u8]; 9] = [
        b"-swapon",
        b"SWAPON",
        b"swapon.real",
        b"swapon ",
        b"swapo",
        b"swapon/",
        b"",
        b"swapon/.",
        b"swapon\xff",
    ];

    #[test]
    fn the_exact_file_name_of_argv0_decides() {
        for name in ["swapon", "swapoff", "mkswap"] {
            for argv0 in [name.to_owned(), format!("/usr/sbin/{name}"), format!("./{name}")] {
                assert_eq!(identity(&[argv0.as_bytes()], &["/sbin/swapoff"]), Some(name));
            }
        }
        for other in OTHERS {
            assert_eq!(identity(&[other], &["/.rootfs-shim/bin/rootfs-shim"]), None, "{other:?}");
        }
        assert_eq!(identity(&[b"x/rootfs-shim"], &["/usr/sbin/swapon"]), None);
    }

    #[test]
    fn where_argv0_is_no_name_of_ours_the_executed_file_decides() {
        for other in OTHERS {
            assert_eq!(identity(&[other], &["/usr/sbin/mkswap"]), Some("mkswap"), "{other:?}");
        }
        assert_eq!(identity(&[], &["./swapon"]), Some("swapon"));
        assert_eq!(identity(&[b"-x"], &["/sbin/.x (deleted)", "/sbin/swapon.real"]), Some("swapon"));
        assert_eq!(identity(&[b"swapoff.distrib"], &["/sbin/swapoff.distrib"]), Some("swapoff"));
        assert_eq!(identity(&[b"x"], &["/sbin/swapon-x", "/sbin/xswapon", "/swapon/y", ".swapon"]), None);
        assert_eq!(identity(&[], &[]), None);
    }
}
