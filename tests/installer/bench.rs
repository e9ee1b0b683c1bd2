//! A workbench: scratch directories, trees built by code, mounts, and what was there before and after.

use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use libtest_mimic::Failed;
use nix::mount::{MsFlags, mount};

use crate::disk::{Disk, Fs};
use crate::host::host;
use crate::namespace;
use crate::overlay::Overlay;

/// No test takes longer; a hang is a failure.
const LIMIT: Duration = Duration::from_secs(240);

/// A test's name and body.
pub type Test = (&'static str, fn());

/// Runs a test in a process and a mount namespace of its own.
pub fn in_namespace(name: &str) -> Result<(), Failed> {
    let scratch = tempfile::tempdir()?;
    let limit = if is_whole() { LIMIT * 60 } else { LIMIT };
    namespace::run(name, scratch.path(), limit).map_err(Failed::from)
}

/// Whether the matrices of crashes and errors are to be tried whole, which takes hours.
pub fn is_whole() -> bool {
    std::env::var_os("ROOTFS_SHIM_WHOLE_MATRIX").is_some_and(|value| value == "1")
}

/// Everything that a program said.
pub fn text(output: &Output) -> String {
    let words = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}\n{}", output.status, words(&output.stdout), words(&output.stderr))
}

/// A scratch tmpfs with a guest's directory and a canary.
pub struct Bench {
    /// The tmpfs.
    pub top: PathBuf,
    /// The guest's root.
    pub guest: PathBuf,
    /// The program, stripped: the debug information is ten times its size.
    pub program: PathBuf,
    /// What the host looked like.
    pub canary: Vec<String>,
    /// Those that the test has made; they go with it.
    disks: RefCell<Vec<Disk>>,
}

impl Bench {
    /// In the scratch directory of this process.
    pub fn new() -> Self {
        let top = namespace::inside().unwrap().scratch;
        mount(Some("scratch"), &top, Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
        let guest = top.join("guest");
        fs::create_dir(&guest).unwrap();
        let program = top.join("rootfs-shim");
        let built = env!("CARGO_BIN_EXE_rootfs-shim");
        run("strip", &["-o", program.to_str().unwrap(), built]);
        let canary = top.join("host");
        fs::create_dir_all(canary.join("sbin")).unwrap();
        tools(&canary, "sbin");
        fs::write(canary.join("busybox"), "the host's").unwrap();
        for dpkg in ["dpkg", "lib/dpkg"] {
            fs::create_dir_all(canary.join(dpkg).join("info")).unwrap();
            fs::write(canary.join(dpkg).join("diversions"), "").unwrap();
        }
        let mut this = Self { top, guest, program, canary: Vec::new(), disks: RefCell::default() };
        this.canary = this.look_at_host();
        this
    }

    /// An overlay at the guest's root over `lower`; upper is on the scratch tmpfs.
    pub fn overlay(&self, lower: &Path) -> PathBuf {
        self.overlay_on(lower, &self.top)
    }

    /// The same, with upper on another filesystem.
    pub fn overlay_on(&self, lower: &Path, backing: &Path) -> PathBuf {
        self.overlay_as("root", lower, backing)
    }

    /// The same, with that as the source that the mount table shows.
    pub fn overlay_as(&self, source: &str, lower: &Path, backing: &Path) -> PathBuf {
        let overlay = Overlay { source, ..Overlay::new(lower, backing) };
        let upper = overlay.prepare();
        overlay.mount(&self.guest);
        upper
    }

    /// An ext4 on a loop device.
    pub fn ext4(&self) -> PathBuf {
        let point = self.top.join("backing");
        self.disk("256M", &point);
        point
    }

    /// An ext4 of that size, mounted there; the loop device that it is on.
    pub fn disk(&self, size: &str, point: &Path) -> String {
        let disk = Disk::new(&point.with_extension("img"), size).formatted(Fs::Ext4).mounted(point, "");
        let source = disk.source();
        self.disks.borrow_mut().push(disk);
        source
    }

    /// Runs the program on the guest.
    pub fn shim(&self, command: &str, arguments: &[&str]) -> Output {
        let mut call = Command::new(&self.program);
        call.arg(command).arg("--chroot").arg(&self.guest).args(arguments);
        call.stdin(Stdio::null()).output().unwrap()
    }

    /// The same, which has to succeed; what it said.
    pub fn shim_ok(&self, command: &str, arguments: &[&str]) -> String {
        let output = self.shim(command, arguments);
        assert!(output.status.success(), "{command} {arguments:?}: {}", text(&output));
        text(&output)
    }

    /// The same, which has to fail with that status; what it said.
    pub fn shim_fails(&self, command: &str, arguments: &[&str], status: i32) -> String {
        let output = self.shim(command, arguments);
        assert_eq!(output.status.code(), Some(status), "{command} {arguments:?}: {}", text(&output));
        let said = text(&output);
        assert_eq!(output.stderr.iter().filter(|b| **b == b'\n').count(), 1, "one line: {said}");
        said
    }

    /// Whether a name in the guest is the shim.
    pub fn is_shim(&self, path: &str) -> bool {
        let path = self.guest.join(path);
        fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_file())
            && fs::read(path).unwrap() == fs::read(&self.program).unwrap()
    }

    /// The host is as it was.
    pub fn host_is_untouched(&self) {
        assert_eq!(self.canary, self.look_at_host(), "the host was changed");
    }

    fn look_at_host(&self) -> Vec<String> {
        let mut all = tree(&self.top.join("host"));
        for path in [
            "/bin/busybox",
            "/usr/sbin/swapon",
            "/usr/sbin/mkswap",
            "/usr/sbin/swapoff",
            "/usr/sbin/swapon.real",
            "/.rootfs-shim",
            "/var/lib/dpkg/diversions",
        ] {
            all.extend(fs::symlink_metadata(path).map(|meta| line(Path::new(path), &meta)));
        }
        all
    }
}

/// Makes of an install what the last release made: upper shown inside the tree, and its place in the manifest.
pub fn as_the_last_release(guest: &Path, upper: &Path) {
    let home = guest.join(".rootfs-shim");
    let place = home.join("upper");
    fs::create_dir(&place).unwrap();
    let manifest = fs::read_to_string(home.join("manifest.toml")).unwrap();
    let old = manifest.replace("\".rootfs-shim/bin\"", "\".rootfs-shim/bin\", \".rootfs-shim/upper\"");
    assert_ne!(old, manifest);
    fs::write(home.join("manifest.toml"), old).unwrap();
    run("mount", &["--bind", upper.to_str().unwrap(), place.to_str().unwrap()]);
}

/// Runs a program that has to succeed.
#[track_caller]
pub fn run(program: &str, arguments: &[&str]) {
    host(&[&[program], arguments].concat()).ok(program);
}

/// Makes an executable file with its directories.
pub fn tool(path: &Path, content: &str) {
    fs::DirBuilder::new().recursive(true).mode(0o755).create(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Makes a symlink with its directories.
pub fn link(target: &str, path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    symlink(target, path).unwrap();
}

/// The three tools as scripts in `sbin`.
pub fn tools(root: &Path, sbin: &str) {
    for name in ["swapon", "swapoff", "mkswap"] {
        tool(&root.join(sbin).join(name), &format!("#!/bin/sh\necho the real {name} \"$@\"\n"));
    }
}

/// One line for each file of a tree: its inode, owner, mode, size, time and content.
pub fn tree(root: &Path) -> Vec<String> {
    let mut lines = vec![line(root, &fs::symlink_metadata(root).unwrap())];
    if fs::symlink_metadata(root).unwrap().is_dir() {
        let mut entries: Vec<_> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        lines.extend(entries.iter().flat_map(|path| tree(path)));
    }
    lines
}

fn line(path: &Path, meta: &fs::Metadata) -> String {
    let content = match meta.file_type() {
        kind if kind.is_symlink() => format!("{:?}", fs::read_link(path).unwrap()),
        kind if kind.is_file() && meta.len() < 1 << 16 => {
            rootfs_shim::internals::installer::sha256(&fs::read(path).unwrap())
        }
        _ => String::new(),
    };
    let size = if meta.is_dir() { 0 } else { meta.len() };
    format!(
        "{} ino {} {:o} {}:{} {size} {}.{} {content}",
        path.display(),
        meta.ino(),
        meta.mode(),
        meta.uid(),
        meta.gid(),
        meta.mtime(),
        meta.mtime_nsec(),
    )
}

/// With the time of the inode's last change: for what must not be touched at all.
pub fn tree_with_change_times(root: &Path) -> Vec<String> {
    let changed = |path: &Path| {
        let meta = fs::symlink_metadata(path).unwrap();
        format!(" changed {}.{}", meta.ctime(), meta.ctime_nsec())
    };
    let path = |line: &String| PathBuf::from(line.split(" ino ").next().unwrap());
    tree(root).iter().map(|line| format!("{line}{}", changed(&path(line)))).collect()
}
