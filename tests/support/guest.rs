//! A guest: a root filesystem in a mount namespace of its own, pivoted into as a booted machine's would be.
//!
//! The overlay guest is what a platform boots: image below, ext4, xfs or btrfs on a loop device above, the
//! shim installed from outside before the pivot, as an init would. The native guest has the same tree on
//! the plain filesystem and no shim: what a script does there is right by definition.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::disk::Disk;
pub use super::disk::Fs;
use super::needs::{GUEST, Need};
use super::overlay::Overlay;
use super::{Ran, host, host_sh, supervise, tree};

/// Whose tools the image has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tools {
    /// The host's own root: Debian with util-linux.
    Debian,
    /// A BusyBox tree.
    Busybox,
    /// Those of another Debian release, from the tree that `tests/shim/trees` made of it.
    Release(&'static str, Maker),
}

/// Who made the tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maker {
    /// util-linux.
    UtilLinux,
    /// BusyBox, which is the whole image.
    Busybox,
    /// toybox, in a Debian image.
    Toybox,
}

impl Tools {
    /// Who made them.
    pub fn maker(self) -> Maker {
        match self {
            Self::Debian => Maker::UtilLinux,
            Self::Busybox => Maker::Busybox,
            Self::Release(_, maker) => maker,
        }
    }

    /// The root that they are taken from.
    fn origin(self) -> PathBuf {
        match self {
            Self::Debian | Self::Busybox => PathBuf::from("/"),
            Self::Release(suite, _) => tree::of_release(suite),
        }
    }
}

/// A kind of guest.
pub type Kind = (Fs, Tools);

/// Every kind; the first is the ordinary one.
pub const KINDS: [Kind; 4] = [
    (Fs::Ext4, Tools::Debian),
    (Fs::Xfs, Tools::Debian),
    (Fs::Btrfs, Tools::Debian),
    (Fs::Ext4, Tools::Busybox),
];

/// Ends every notice in these guests, so that a test sees where one ends.
pub const HINT: &str = "Ask the harness instead.";
/// Where notices go in these guests.
pub const CONSOLE: &str = "/console";

/// How to make a guest.
#[derive(Clone, Copy)]
pub struct Spec {
    /// Filesystem and tools.
    pub kind: Kind,
    /// Overlay, or the plain filesystem.
    pub overlay: bool,
    /// Install the shim (overlay only).
    pub install: bool,
    /// The shim's config.
    pub config: &'static str,
    /// A script that prepares layers, with `$IMAGE`, `$BACKING` and `$ROOT`, before anything is installed.
    pub prepare: &'static str,
    /// More mount options of the overlay, each with a comma behind it.
    pub options: &'static str,
    /// A directory that is kept on the backing filesystem; none if empty.
    pub passthrough: &'static str,
    /// Put the builtin where the image has no tool.
    pub provide_missing: bool,
}

impl Spec {
    /// An overlay guest with the shim, and notices that a test can read.
    pub fn overlay(kind: Kind) -> Self {
        let config = "[swap]\nhint = \"Ask the harness instead.\"\n[console]\npath = \"/console\"\n";
        Self {
            kind,
            overlay: true,
            install: true,
            config,
            prepare: "",
            options: "",
            passthrough: "",
            provide_missing: false,
        }
    }

    /// The same machine with a native root.
    pub fn native(kind: Kind) -> Self {
        Self { overlay: false, install: false, ..Self::overlay(kind) }
    }

    /// With `on_failure = "fail"`.
    pub fn strict(self) -> Self {
        let config = "[swap]\non_failure = \"fail\"\nhint = \"Ask the harness instead.\"\n\
            [console]\npath = \"/console\"\n";
        Self { config, ..self }
    }
}

/// The kind as a part of a test's name.
pub fn kind_name((fs, tools): Kind) -> String {
    let fs = match fs {
        Fs::Ext4 => "ext4",
        Fs::Xfs => "xfs",
        Fs::Btrfs => "btrfs",
    };
    match (tools.maker(), fs) {
        (Maker::UtilLinux, _) => fs.to_owned(),
        (Maker::Busybox, "ext4") => "busybox".to_owned(),
        (Maker::Busybox, _) => format!("busybox-{fs}"),
        (Maker::Toybox, "ext4") => "toybox".to_owned(),
        (Maker::Toybox, _) => format!("toybox-{fs}"),
    }
}

/// What a guest of this kind needs.
pub fn needs((fs, tools): Kind) -> Vec<Need> {
    let mut needs = GUEST.to_vec();
    match fs {
        Fs::Ext4 => {}
        Fs::Xfs => needs.extend([Need::Package("xfsprogs"), Need::Filesystem("xfs")]),
        Fs::Btrfs => needs.extend([Need::Package("btrfs-progs"), Need::Filesystem("btrfs")]),
    }
    match tools {
        Tools::Debian => {}
        Tools::Busybox => needs.push(Need::Package("busybox-static")),
        Tools::Release(suite, _) => needs.push(Need::Tree(suite)),
    }
    needs
}

/// A running guest; it ends with the test.
pub struct Guest {
    scratch: PathBuf,
    holder: Child,
    kind: Kind,
    /// What its root is on, and its volumes.
    disks: Vec<Disk>,
}

/// A guest's root that was not booted; its disk goes with it.
pub struct Built {
    /// Where it is.
    pub root: PathBuf,
    disk: Disk,
}

impl Guest {
    /// Builds, installs and boots a guest, and takes the machine's swap lock for the rest of the test.
    pub fn boot(scratch: &Path, spec: Spec) -> Self {
        let guest = Self::boot_without_swap(scratch, spec);
        supervise::hold_swap_lock(scratch);
        guest
    }

    /// The same without the lock: who is to swap in it takes it first.
    pub fn boot_without_swap(scratch: &Path, spec: Spec) -> Self {
        let Built { root, disk } = Self::build(scratch, spec);
        if spec.install {
            let config = scratch.join("config.toml");
            fs::write(&config, spec.config).expect("scratch is writable");
            let mut flags: Vec<&OsStr> = vec!["--config".as_ref(), config.as_ref()];
            if spec.provide_missing {
                flags.push("--provide-missing".as_ref());
            }
            shim_install(&root, &flags).ok("rootfs-shim install");
        }
        if !spec.passthrough.is_empty() {
            let script = "mkdir -p \"$1/passthrough\" \"$2\"; mount --bind \"$1/passthrough\" \"$2\"";
            let point = root.join(spec.passthrough.trim_start_matches('/'));
            host_sh(script, &[scratch.join("overlay/backing").as_ref(), point.as_ref()]);
        }
        let guest = Self::pivot(scratch, &root, spec.kind, disk);
        guest.sh(&format!(": >{CONSOLE}")).ok("the console");
        guest
    }

    /// Builds a guest's root without booting it.
    pub fn build(scratch: &Path, spec: Spec) -> Built {
        let name = if spec.overlay { "overlay" } else { "native" };
        let base = scratch.join(name);
        let [image, backing, root] = ["image", "backing", "root"].map(|part| base.join(part));
        for dir in [&image, &root] {
            fs::create_dir_all(dir).expect("scratch is writable");
        }
        // On its own filesystem: layers may not lie within each other, and the image is below `/`.
        host_sh("mount -t tmpfs image \"$1\"", &[image.as_ref()]);
        let (maker, origin) = (spec.kind.1.maker(), spec.kind.1.origin());
        match maker {
            Maker::UtilLinux => {}
            Maker::Busybox => tree::busybox(&image, &origin.join("bin/busybox")),
            Maker::Toybox => tree::toybox(&image),
        }
        let disk = Disk::new(&base.join("disk"), "768M").formatted(spec.kind.0).mounted(&backing, "");
        let prepare = format!("IMAGE=$1 BACKING=$2 ROOT=$3\n{}", spec.prepare);
        let paths = [image.as_os_str(), backing.as_os_str(), root.as_os_str(), origin.as_os_str()];
        if spec.overlay {
            let lower: &[&Path] = match (maker, spec.prepare) {
                (Maker::Busybox, _) => &[&image],
                (Maker::UtilLinux, "") => &[&origin],
                (Maker::UtilLinux | Maker::Toybox, _) => &[&image, &origin],
            };
            let source = disk.source();
            let (lower, options) = (lower.to_vec(), spec.options);
            let overlay = Overlay { source: &source, lower, options, ..Overlay::new(&image, &backing) };
            overlay.prepare();
            if !spec.prepare.is_empty() {
                host_sh(&prepare, &paths);
            }
            overlay.mount(&root);
        } else {
            host_sh(&format!("mount --bind $2 $3\n{prepare}\ncp -a $1/. $3"), &paths);
            if maker != Maker::Busybox {
                tree::debian(&root, &origin, &image);
            }
        }
        tree::common(&root);
        supervise::hide_own_swap(scratch, &root);
        Built { root, disk }
    }

    fn pivot(scratch: &Path, root: &Path, kind: Kind, disk: Disk) -> Self {
        let script = "cd \"$1\" && pivot_root . . && umount -l . && echo ready && exec sleep 100000";
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "--", "/bin/sh", "-c", script, "sh"]).arg(root);
        let mut holder =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("unshare(1) runs");
        let mut ready = String::new();
        let stdout = holder.stdout.as_mut().expect("it is piped");
        BufReader::new(stdout).read_line(&mut ready).expect("the holder speaks");
        assert_eq!(ready, "ready\n", "the guest did not boot");
        Self { scratch: scratch.to_owned(), holder, kind, disks: vec![disk] }
    }

    /// Runs a script in the guest by its `/bin/sh`, after [`PRELUDE`].
    pub fn sh(&self, script: &str) -> Ran {
        self.sh_with(script, &[])
    }

    /// The same with `$1`, `$2` and so on.
    pub fn sh_with(&self, script: &str, args: &[&OsStr]) -> Ran {
        let nocow = if self.kind.0 == Fs::Btrfs { "NOCOW=1" } else { "NOCOW=" };
        let tools = if self.kind.1.maker() == Maker::Busybox { BY_PATH } else { "" };
        let script = format!("{nocow}\n{tools}\n{PRELUDE}\n{script}");
        let mut argv: Vec<&OsStr> = ["/bin/sh", "-c", &script, "sh"].map(OsStr::new).to_vec();
        argv.extend(args);
        self.run(&argv)
    }

    /// Runs a program in the guest; its exit status is 124 if it hangs.
    pub fn run(&self, argv: &[&OsStr]) -> Ran {
        let pid = self.holder.id().to_string();
        let mut all: Vec<&OsStr> = ["nsenter", "--target", &pid, "--mount", "--"].map(OsStr::new).to_vec();
        all.extend(argv);
        host(&all)
    }

    /// The guest's root as the test itself can read it. A link to an absolute path leads to the host from there.
    pub fn root(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.holder.id()))
    }

    /// Whether anything is mounted at or below the directories of a script.
    pub fn has_mounts_of_scripts(&self) -> bool {
        let mounts = fs::read(format!("/proc/{}/mounts", self.holder.id())).expect("the guest runs");
        let points =
            mounts.split(|byte| *byte == b'\n').filter_map(|line| line.split(|byte| *byte == b' ').nth(1));
        points.into_iter().any(|point| point.starts_with(b"/w") || point.starts_with(b"/data"))
    }

    /// The swap areas that the test enabled, one `path type size priority` a line, escaped as in /proc/swaps.
    pub fn swaps(&self) -> String {
        supervise::new_swaps(&self.scratch)
    }

    /// The paths of the swap areas, escaped as in /proc/swaps, in the order they were enabled.
    pub fn swap_paths(&self) -> Vec<String> {
        self.swaps().lines().map(|line| line.split(' ').next().unwrap_or("").to_owned()).collect()
    }

    /// What the console got, and forgets it.
    pub fn notices(&self) -> String {
        let ran = self.sh(&format!("cat {CONSOLE}; : >{CONSOLE}"));
        ran.ok("the console")
    }

    /// The guest's mount table without what changes by itself.
    pub fn mounts(&self) -> String {
        self.sh("cat /proc/self/mountinfo").ok("mountinfo")
    }

    /// Attaches a disk with an ext4 and mounts it in the guest.
    pub fn volume(&mut self, point: &str) {
        let image = self.scratch.join(format!("volume{}", self.disks.len()));
        let mut disk = Disk::new(&image, "128M").formatted(Fs::Ext4).attached();
        let script = "mkdir -p \"$2\"; mount -t ext4 \"$1\" \"$2\"";
        self.sh_with(script, &[disk.device().as_os_str(), point.as_ref()]).ok("mount the volume");
        // Once it is mounted, detaching only marks the loop device to clear itself.
        disk.detach();
        self.disks.push(disk);
    }
}

/// What the scripts may use: `mk FILE [MiB]` makes a formatted swapfile as the filesystem wants it;
/// `as_the_last_release` shows upper inside the tree.
pub const PRELUDE: &str = r#"
space() {
    if [ -n "$NOCOW" ]; then : >"$1" && chattr +C "$1" || return; fi
    fallocate -l "${2:-16}M" "$1" && chmod 600 "$1"
}
mk() { space "$@" && mkswap "$1" >/dev/null; }
as_the_last_release() {
    mkdir -p /.rootfs-shim/upper /srv && mount "$(sed -n 's, / overlay.*,,p' /proc/mounts)" /srv &&
        mount --bind /srv/upper /.rootfs-shim/upper && umount /srv
}
mkdir -p /w; cd /w
"#;

/// Debian builds BusyBox with a shell that prefers its own applets to what stands in the file system, which
/// no image does that has BusyBox as its tools (Alpine's does not).
const BY_PATH: &str = r#"
swapon() { /sbin/swapon "$@"; }
swapoff() { /sbin/swapoff "$@"; }
mkswap() { /sbin/mkswap "$@"; }
"#;

/// `rootfs-shim install --chroot ROOT …`.
pub fn shim_install(root: &Path, flags: &[&OsStr]) -> Ran {
    let mut argv: Vec<&OsStr> = [SHIM, "install", "--chroot"].map(OsStr::new).to_vec();
    argv.push(root.as_ref());
    argv.extend(flags);
    host(&argv)
}

/// The program under test.
pub const SHIM: &str = env!("CARGO_BIN_EXE_rootfs-shim");
