//! What this machine must have for a test, and what to install when it has not.
//!
//! The packages come from the one list that .ci/run installs, so that a check and its remedy agree.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use super::{supervise, tree};

const PACKAGES: &str = include_str!("../../packaging/debian-packages");

/// Something that a test cannot do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Root that may make namespaces, mounts and loop devices.
    Root,
    /// A Debian package of `packaging/debian-packages`.
    Package(&'static str),
    /// A filesystem that the kernel knows, or a module of that name that loads.
    Filesystem(&'static str),
    /// The tree of a Debian release.
    Tree(&'static str),
}

/// What every test on a guest needs.
pub const GUEST: &[Need] = &[
    Need::Root,
    Need::Package("util-linux"),
    Need::Package("mount"),
    Need::Package("e2fsprogs"),
    Need::Filesystem("overlay"),
    Need::Filesystem("ext4"),
];

impl Need {
    /// Why it is not met; `None` if it is.
    pub fn missing(self) -> Option<String> {
        match self {
            Self::Root => no_root(),
            Self::Package(package) => {
                (!is_installed(package)).then(|| format!("Debian package {package} is missing"))
            }
            Self::Filesystem(name) => {
                (!kernel_knows(name)).then(|| format!("this kernel has no {name} filesystem"))
            }
            Self::Tree(suite) => (!tree::of_release(suite).is_dir())
                .then(|| format!("there is no tree of {suite}: run tests/shim/trees {suite}")),
        }
    }
}

/// The first thing that is missing, in words, with the command that brings it.
pub fn missing(needs: &[Need]) -> Option<String> {
    let lacking: Vec<String> = needs.iter().filter_map(|need| need.missing()).collect();
    let packages: Vec<&str> = needs
        .iter()
        .filter_map(|need| match need {
            Need::Package(package) if need.missing().is_some() => Some(*package),
            _ => None,
        })
        .collect();
    let remedy = if packages.is_empty() {
        String::new()
    } else {
        format!("; run: apt-get install --yes --no-install-recommends {}", packages.join(" "))
    };
    (!lacking.is_empty()).then(|| format!("{}{remedy}", lacking.join(", ")))
}

fn no_root() -> Option<String> {
    static WHY: LazyLock<Option<String>> = LazyLock::new(|| {
        if !nix::unistd::geteuid().is_root() {
            return Some("not root: run the tests as root to check it".into());
        }
        if !runs("unshare", &["--mount", "--pid", "--fork", "--propagation", "private", "true"]) {
            return Some("root may not make mount and PID namespaces here (a container?)".into());
        }
        (!Path::new("/dev/loop-control").exists()).then(|| "there is no /dev/loop-control".into())
    });
    WHY.clone()
}

/// Whether the machine has swap of its own, which no guest may see or switch off. Asked once, before any test swaps,
/// and while nobody else's test does.
pub fn machine_swaps() -> bool {
    static ANSWER: LazyLock<bool> = LazyLock::new(|| !supervise::swaps_when_quiet().is_empty());
    *ANSWER
}

fn is_installed(package: &str) -> bool {
    let line = PACKAGES.lines().find(|line| line.split_whitespace().next() == Some(package));
    let program = line.and_then(|line| line.split_whitespace().nth(1));
    let program = program.unwrap_or_else(|| panic!("{package} is not in packaging/debian-packages"));
    ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].iter().any(|dir| Path::new(dir).join(program).exists())
}

fn kernel_knows(filesystem: &str) -> bool {
    let listed = || {
        let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
        known.lines().any(|line| line.split_whitespace().last() == Some(filesystem))
    };
    listed() || (runs("modprobe", &["--quiet", filesystem]) && listed())
}

fn runs(program: &str, args: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
