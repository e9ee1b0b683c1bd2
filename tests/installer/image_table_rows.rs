//! The table itself. `HOST` stands for the canary's path.

use crate::image_table::{Does, Image, Site};

pub const BIN: Does = Does::Install(&["usr/bin/swapon", "usr/bin/swapoff", "usr/bin/mkswap"]);
pub const SBIN: Does = Does::Install(&["sbin/swapon", "sbin/swapoff", "sbin/mkswap"]);
/// All but swapon, which is the odd one.
pub const OTHERS: Does = Does::Install(&["sbin/swapoff", "sbin/mkswap"]);
pub const REFUSE: Does = Does::Refuse;

pub const fn image(name: &'static str, does: Does, said: &'static str, build: fn(&Site)) -> Image {
    Image { name, build, does, said }
}

/// Tools in `usr/bin`, and `sbin` leads somewhere.
fn led(site: &Site, path: &str, target: &str) {
    site.tools("usr/bin");
    site.link(path, target);
}

/// Tools in `sbin`, but no swapon.
pub fn odd(site: &Site) {
    site.tools("sbin");
    std::fs::remove_file(site.guest.join("sbin/swapon")).unwrap();
}

/// Tools, and a dpkg of which something is wrong.
pub fn dpkg(site: &Site) {
    site.tools("sbin");
    site.directory("var/lib/dpkg/info");
}

/// Tools, and our directory.
fn home(site: &Site) {
    site.tools("sbin");
    site.home();
}

/// A manifest that makes sense, of that token, with these lines behind it.
fn manifest(site: &Site, lines: &str) {
    let hash = "9a".repeat(32);
    let text = format!(
        "version = 1\nprogram = \"9\"\nstate = \"installed\"\ntoken = \"0123456789abcdef\"\n{lines}\n[shim]\n\
         sha256 = \"{hash}\"\n"
    );
    site.file(".rootfs-shim/manifest.toml", text.as_bytes());
}

/// What uninstall gives back is compared, so images whose own directory install takes over are in hostile_images.rs.
pub const IMAGES: &[Image] = &[
    // Directories that lead out.
    image("sbin leads to the host", BIN, "", |s| led(s, "sbin", "HOST/sbin")),
    image("sbin leads up", BIN, "", |s| led(s, "sbin", "../../../../../../../../usr/sbin")),
    image("sbin leads up to the host", BIN, "", |s| led(s, "sbin", "../../../../../../../..HOST/sbin")),
    image("sbin leads through /proc", BIN, "", |s| led(s, "sbin", "/proc/self/root/HOST/sbin")),
    image("sbin is the working directory", BIN, "", |s| led(s, "sbin", "/proc/self/cwd")),
    image("sbin is init's root", BIN, "", |s| led(s, "sbin", "/proc/1/root/usr/sbin")),
    image("sbin leads to itself", BIN, "sbin", |s| led(s, "sbin", "sbin")),
    image("sbin and bin lead to each other", BIN, "", |s| {
        led(s, "sbin", "bin");
        s.link("bin", "sbin");
    }),
    image("a chain of 41 links", BIN, "", |s| {
        led(s, "sbin", "/c0");
        (0..41).for_each(|n| s.link(&format!("c{n}"), &format!("/c{}", n + 1)));
        s.directory("c41");
    }),
    image("sbin is the root", BIN, "", |s| led(s, "sbin", "/")),
    image("sbin is the root by dots", BIN, "", |s| led(s, "sbin", "usr/../../../..")),
    image("sbin leads to a pipe", BIN, "", |s| {
        led(s, "sbin", "pipe");
        s.pipe("pipe");
    }),
    image("sbin is a file", BIN, "", |s| {
        s.tools("usr/bin");
        s.file("sbin", b"#!/bin/sh");
    }),
    image("sbin is a pipe", BIN, "", |s| {
        s.tools("usr/bin");
        s.pipe("sbin");
    }),
    image("sbin is a device", BIN, "", |s| {
        s.tools("usr/bin");
        s.device("sbin", "b");
    }),
    image("sbin is a socket", BIN, "", |s| {
        s.tools("usr/bin");
        s.socket("sbin");
    }),
    image("sbin leads far", BIN, "", |s| led(s, "sbin", &"d/".repeat(2000))),
    image("sbin has a name too long", BIN, "", |s| led(s, "sbin", &"n".repeat(300))),
    image("usr leads to the host", SBIN, "", |s| {
        s.tools("sbin");
        s.link("usr", "HOST");
    }),
    image("usr/local leads to the host", SBIN, "", |s| {
        s.tools("sbin");
        s.link("usr/local", "/proc/self/root/HOST");
    }),
    image("usr/sbin leads to the host", SBIN, "", |s| {
        s.tools("sbin");
        s.link("usr/sbin", "../../../../../..HOST/sbin");
    }),
    image("every directory is one", SBIN, "", |s| {
        s.tools("sbin");
        s.link("bin", "sbin");
        s.link("usr", ".");
        s.link("local", ".");
    }),
    // Names that are no tools.
    image("swapon leads to the host", OTHERS, "leads nowhere", |s| {
        odd(s);
        s.link("sbin/swapon", "HOST/busybox");
    }),
    image("swapon leads up to the host", OTHERS, "leads nowhere", |s| {
        odd(s);
        s.link("sbin/swapon", "../../../../../../..HOST/busybox");
    }),
    image("swapon leads through /proc", OTHERS, "leads nowhere", |s| {
        odd(s);
        s.link("sbin/swapon", "/proc/self/root/HOST/busybox");
    }),
    image("swapon is whoever looks", OTHERS, "leads nowhere", |s| {
        odd(s);
        s.link("sbin/swapon", "/proc/self/exe");
    }),
    image("swapon leads to the image's busybox", SBIN, "", |s| {
        odd(s);
        s.tool("bin/busybox", "the image's");
        s.link("sbin/swapon", "/bin/busybox");
    }),
    image("swapon is a pipe", OTHERS, "a named pipe", |s| {
        odd(s);
        s.pipe("sbin/swapon");
    }),
    image("swapon leads to a pipe", OTHERS, "a symbolic link to a named pipe", |s| {
        odd(s);
        s.pipe("dev/pipe");
        s.link("sbin/swapon", "../dev/pipe");
    }),
    image("swapon is a socket", OTHERS, "a socket", |s| {
        odd(s);
        s.socket("sbin/swapon");
    }),
    image("swapon is a character device", OTHERS, "a device", |s| {
        odd(s);
        s.device("sbin/swapon", "c");
    }),
    image("swapon is a block device", OTHERS, "a device", |s| {
        odd(s);
        s.device("sbin/swapon", "b");
    }),
    image("swapon leads to a device", OTHERS, "a symbolic link to a device", |s| {
        odd(s);
        s.device("dev/watchdog", "c");
        s.link("sbin/swapon", "/dev/watchdog");
    }),
    image("swapon is a directory", OTHERS, "a directory", |s| {
        odd(s);
        s.tool("sbin/swapon/swapon", "inside");
    }),
    image("swapon leads to itself", OTHERS, "leads nowhere", |s| {
        odd(s);
        s.link("sbin/swapon", "swapon");
    }),
    image("swapon and its real one lead to each other", OTHERS, "", |s| {
        odd(s);
        s.link("sbin/swapon", "swapon.real");
        s.link("sbin/swapon.real", "swapon");
    }),
    image("swapon leads to its real one", OTHERS, "is not ours", |s| {
        odd(s);
        s.link("sbin/swapon", "swapon.real");
        s.tool("sbin/swapon.real", "somebody's");
    }),
    image("swapon is not executable", OTHERS, "not executable", |s| {
        odd(s);
        s.file("sbin/swapon", b"text");
    }),
    image("swapon may not be read", OTHERS, "not executable", |s| {
        s.tools("sbin");
        s.mode("sbin/swapon", 0);
    }),
    image("swapon is setuid of nobody", SBIN, "", |s| {
        s.tools("sbin");
        std::os::unix::fs::chown(s.guest.join("sbin/swapon"), Some(65534), Some(65534)).unwrap();
        s.mode("sbin/swapon", 0o6755);
    }),
    image("swapon is empty", SBIN, "", |s| s.tools_with_swapon("")),
    image("swapon has an interpreter of the host's", SBIN, "", |s| s.tools_with_swapon("#!HOST/busybox\n")),
    image("swapon is the head of a program", SBIN, "", |s| s.tools_with_swapon("\x7fELF")),
    image("swapon is a tebibyte of nothing", SBIN, "", |s| {
        s.tools("sbin");
        s.sparse("sbin/swapon", 1 << 40);
        s.mode("sbin/swapon", 0o755);
    }),
    image("all names are one file", SBIN, "", |s| {
        s.tool("sbin/swapon", "one for all");
        s.hard_link("sbin/swapon", "sbin/swapoff");
        s.hard_link("sbin/swapon", "sbin/mkswap");
        s.hard_link("sbin/swapon", "bin/busybox");
    }),
    // .real is taken.
    image("swapon.real is the same file", OTHERS, "is not ours", |s| {
        s.tools("sbin");
        s.hard_link("sbin/swapon", "sbin/swapon.real");
    }),
    image("swapon.real is a pipe", OTHERS, "is not ours", |s| {
        s.tools("sbin");
        s.pipe("sbin/swapon.real");
    }),
    image("swapon.real is a full directory", OTHERS, "is not ours", |s| {
        s.tools("sbin");
        s.tool("sbin/swapon.real/x", "x");
    }),
    image("swapon.real leads to the host", OTHERS, "is not ours", |s| {
        s.tools("sbin");
        s.link("sbin/swapon.real", "HOST/busybox");
    }),
    image("swapon.real is all there is", OTHERS, "", |s| {
        odd(s);
        s.tool("sbin/swapon.real", "alone");
    }),
    // Our own directory.
    image("our directory leads to the host", REFUSE, "a symbolic link", |s| led(s, ".rootfs-shim", "HOST")),
    image("our directory leads nowhere", REFUSE, "a symbolic link", |s| led(s, ".rootfs-shim", "/no/where")),
    image("our directory is a pipe", REFUSE, "a named pipe", |s| {
        s.tools("sbin");
        s.pipe(".rootfs-shim");
    }),
    image("our directory is a socket", REFUSE, "a socket", |s| {
        s.tools("sbin");
        s.socket(".rootfs-shim");
    }),
    image("our directory is a device", REFUSE, "a device", |s| {
        s.tools("sbin");
        s.device(".rootfs-shim", "c");
    }),
    image("our directory is everybody's", REFUSE, "0700", |s| {
        home(s);
        s.mode(".rootfs-shim", 0o777);
    }),
    image("our directory is somebody's", REFUSE, "uid 1000", |s| {
        home(s);
        std::os::unix::fs::chown(s.guest.join(".rootfs-shim"), Some(1000), None).unwrap();
    }),
    image("bin leads to the host", REFUSE, "a symbolic link", |s| {
        home(s);
        s.link(".rootfs-shim/bin", "HOST/sbin");
    }),
    image("upper leads to the host", REFUSE, "a symbolic link", |s| {
        home(s);
        s.link(".rootfs-shim/upper", "HOST");
    }),
    image("bin is a pipe", REFUSE, "a named pipe", |s| {
        home(s);
        s.pipe(".rootfs-shim/bin");
    }),
    image("upper is a file", REFUSE, "a regular file", |s| {
        home(s);
        s.file(".rootfs-shim/upper", b"");
    }),
    image("the manifest leads to the host", REFUSE, "a symbolic link", |s| {
        home(s);
        s.link(".rootfs-shim/manifest.toml", "HOST/busybox");
    }),
    image("the manifest is a pipe", REFUSE, "a named pipe", |s| {
        home(s);
        s.pipe(".rootfs-shim/manifest.toml");
    }),
    image("the manifest is a tebibyte", REFUSE, "larger than", |s| {
        home(s);
        s.sparse(".rootfs-shim/manifest.toml", 1 << 40);
    }),
    image("the config leads to the host", REFUSE, "a symbolic link", |s| {
        home(s);
        s.link(".rootfs-shim/config.toml", "HOST/busybox");
    }),
    image("the config is a device", REFUSE, "a device", |s| {
        home(s);
        s.device(".rootfs-shim/config.toml", "c");
    }),
    image("the config is a tebibyte", REFUSE, "larger than", |s| {
        home(s);
        s.sparse(".rootfs-shim/config.toml", 1 << 40);
    }),
    image("the binary leads to the host", REFUSE, "a symbolic link", |s| {
        home(s);
        s.link(".rootfs-shim/bin/rootfs-shim", "HOST/busybox");
    }),
    image("the binary is a pipe", REFUSE, "a named pipe", |s| {
        home(s);
        s.pipe(".rootfs-shim/bin/rootfs-shim");
    }),
    image("the binary is a tebibyte", REFUSE, "larger than", |s| {
        home(s);
        s.sparse(".rootfs-shim/bin/rootfs-shim", 1 << 40);
    }),
    // dpkg's.
    image("var leads to the host", SBIN, "", |s| {
        s.tools("sbin");
        s.link("var", "HOST");
    }),
    image("dpkg's directory leads to the host", SBIN, "", |s| {
        s.tools("sbin");
        s.link("var/lib/dpkg", "HOST/dpkg");
    }),
    image("dpkg's directory is a pipe", SBIN, "", |s| {
        s.tools("sbin");
        s.pipe("var/lib/dpkg");
    }),
    image("dpkg's lists lead to the host", SBIN, "dpkg is not told", |s| {
        s.tools("sbin");
        s.link("var/lib/dpkg/info", "HOST/dpkg/info");
    }),
    image("a package's list is a pipe", SBIN, "dpkg is not told", |s| {
        dpkg(s);
        s.pipe("var/lib/dpkg/info/mount.list");
        s.link("var/lib/dpkg/info/util-linux.list", "HOST/busybox");
        s.sparse("var/lib/dpkg/info/util-linux-extra.list", 1 << 40);
        s.pipe("var/lib/dpkg/diversions");
    }),
    image("the diversions lead to the host", SBIN, "dpkg is not told", |s| {
        dpkg(s);
        s.link("var/lib/dpkg/diversions", "HOST/dpkg/diversions");
    }),
    image("the diversions are dangerous to print", SBIN, "\\x1b[2J", |s| {
        dpkg(s);
        s.file(
            "var/lib/dpkg/diversions",
            b"/sbin/swapon\n/\x1b[2J\xff\n:\n/sbin/swapoff\n/x\n:\n/sbin/mkswap\n/y\n:\n",
        );
    }),
];

impl Site {
    fn tools_with_swapon(&self, content: &str) {
        self.tools("sbin");
        self.tool("sbin/swapon", &content.replace("HOST", self.host.to_str().unwrap()));
    }

    /// Our directory with things in it that install takes over, and uninstall takes away.
    pub fn haunted_home(&self) {
        home(self);
        manifest(self, "directories = [\"../host\", \"/etc\"]\ndiversions = [\"/../host/sbin/swapon\"]");
        self.link(".rootfs-shim/.manifest.toml.0123456789abcdef.old", "HOST/busybox");
        self.link("sbin/.swapon.0123456789abcdef.new", "HOST/busybox");
        self.link("sbin/.mkswap.0123456789abcdef.old", "HOST");
        self.odd_name(".rootfs-shim");
    }
}
