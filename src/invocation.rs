//! The one door by which argv, the environment and the standard descriptors enter.
//!
//! Everything behind it takes what it needs as an argument. The file name of argv[0], byte for byte, decides
//! who we are: no prefix, no stem, no case folding, no environment variable.
#![expect(clippy::disallowed_methods, reason = "the running system's own files, and never an image's")]

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::shim::tables::Tool;
use crate::sys;

/// Who we are in this call.
#[derive(Debug, Clone, Copy)]
pub enum Identity {
    /// We stand under a tool's name.
    Shim(&'static Tool),
    /// `rootfs-shim`, or any other name: the subcommands.
    Manager,
}

/// A call of the program.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// argv as the kernel gave it; may be empty.
    pub argv: Vec<OsString>,
    /// Whether getopt(3) stops at the first operand, because POSIXLY_CORRECT is set.
    pub posixly: bool,
    /// The fstab that libmount reads in place of /etc/fstab (LIBMOUNT_FSTAB), if there is one.
    pub fstab: Option<PathBuf>,
    /// How many shims of ours already stand above us in this chain of processes.
    pub depth: u8,
    /// Which of stdin, stdout and stderr were closed when we were started.
    pub closed: [bool; 3],
}

/// Counts the shims that stand above a process, so that a real tool that calls its own name ends instead of
/// going round for ever.
pub const DEPTH_VARIABLE: &str = "ROOTFS_SHIM_DEPTH";

impl Invocation {
    /// The call that this process is.
    pub fn of_this_process() -> Self {
        let closed = sys::occupy_closed_stdio();
        let depth = std::env::var(DEPTH_VARIABLE).ok().and_then(|depth| depth.parse().ok()).unwrap_or(0);
        let posixly = std::env::var_os("POSIXLY_CORRECT").is_some();
        let fstab = std::env::var_os("LIBMOUNT_FSTAB").map(PathBuf::from);
        Self { argv: std::env::args_os().collect(), posixly, fstab, depth, closed }
    }

    /// Who argv[0] says we are.
    pub fn identity(&self) -> Identity {
        let name = self.argv.first().map_or(OsStr::new(""), |argv0| file_name(argv0));
        Tool::named(name).map_or(Identity::Manager, Identity::Shim)
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

    fn identity(argv0: &[u8]) -> Option<&'static str> {
        let argv = vec![OsStr::from_bytes(argv0).to_owned()];
        match (Invocation { argv, posixly: false, fstab: None, depth: 0, closed: [false; 3] }).identity() {
            Identity::Shim(tool) => Some(tool.name),
            Identity::Manager => None,
        }
    }

    #[test]
    fn the_exact_file_name_decides() {
        for name in ["swapon", "swapoff", "mkswap"] {
            assert_eq!(identity(name.as_bytes()), Some(name));
            assert_eq!(identity(format!("/usr/sbin/{name}").as_bytes()), Some(name));
            assert_eq!(identity(format!("./{name}").as_bytes()), Some(name));
        }
        for other in
            ["-swapon", "SWAPON", "swapon.real", "swapon ", "swapo", "swapon/", "rootfs-shim", "", "swapon/."]
        {
            assert_eq!(identity(other.as_bytes()), None, "{other:?}");
        }
        assert_eq!(identity(b"swapon\xff"), None);
    }

    #[test]
    fn no_argv_at_all_is_the_manager() {
        let call = Invocation { argv: Vec::new(), posixly: false, fstab: None, depth: 0, closed: [false; 3] };
        assert!(matches!(call.identity(), Identity::Manager));
    }
}
