//! Ordinary guests: Debian-like, Alpine-like, merged and split; twice, back, upgraded, replaced.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::Command;

use crate::bench::{
    Bench, Test, as_the_last_release, link, run, text, tool, tools, tree, tree_with_change_times,
};

pub const TESTS: &[Test] = &[
    ("debian_like_on_ext4", debian_like_on_ext4),
    ("alpine_like_links_are_renamed_not_followed", alpine_like),
    ("merged_directories_are_one_place", merged),
    ("split_directories_are_two", split),
    ("a_second_install_touches_no_inode", second_install),
    ("a_dry_run_changes_nothing", dry_run),
    ("uninstall_gives_back_each_inode", uninstall_gives_back),
    ("an_older_shim_is_upgraded_everywhere", upgrade),
    ("a_reinstalled_tool_is_adopted", adopted),
    ("uninstall_leaves_what_was_replaced_since", replaced_since),
    ("missing_tools_are_provided_only_if_asked", provided),
    ("the_config_is_checked_and_written", config),
    ("what_the_last_release_installed_is_tidied_up", last_release),
    ("an_image_that_the_last_release_prepared_is_tidied_up", last_release_at_rest),
    ("what_somebody_put_in_upper's_place_is_left", last_release_used),
    ("links_between_names_are_understood", links_between_names),
];

const NAMES: [&str; 3] = ["swapon", "swapoff", "mkswap"];

fn debian_like_on_ext4() {
    let bench = Bench::new();
    let upper = bench.overlay_on(Path::new("/"), &bench.ext4());
    bench.shim_ok("install", &[]);
    for name in NAMES {
        assert!(bench.is_shim(&format!("usr/sbin/{name}")), "{name}");
        let real = fs::read(bench.guest.join(format!("usr/sbin/{name}.real"))).unwrap();
        assert!(real == fs::read(format!("/usr/sbin/{name}")).unwrap(), "{name}.real is another file");
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(".rootfs-shim") && !bench.guest.join(".rootfs-shim/upper").exists(), "{mounts}");
    assert_eq!(fs::metadata(bench.guest.join(".rootfs-shim")).unwrap().mode() & 0o7777, 0o700);
    let version =
        Command::new("chroot").arg(&bench.guest).args(["/sbin/swapon", "--version"]).output().unwrap();
    assert!(
        version.status.success() && version.stdout.starts_with(b"swapon from util-linux"),
        "{}",
        text(&version)
    );
    let inode = fs::metadata(upper.join("usr/sbin/swapon.real")).unwrap().ino();
    bench.shim_ok("uninstall", &[]);
    assert_eq!(fs::metadata(upper.join("usr/sbin/swapon")).unwrap().ino(), inode);
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(".rootfs-shim"), "{mounts}");
    assert!(!upper.join(".rootfs-shim").exists() && !bench.guest.join(".rootfs-shim").exists());
    bench.host_is_untouched();
}

/// BusyBox with its applets as absolute links, as every Alpine has it.
fn busybox_tree(lower: &Path) {
    fs::create_dir_all(lower.join("bin")).unwrap();
    run("cp", &["/bin/busybox", lower.join("bin/busybox").to_str().unwrap()]);
    link("/bin/busybox", &lower.join("bin/sh"));
    for name in NAMES {
        link("/bin/busybox", &lower.join("sbin").join(name));
    }
}

fn alpine_like() {
    let bench = Bench::new();
    let lower = bench.top.join("lower");
    busybox_tree(&lower);
    let before = tree(&lower);
    bench.overlay(&lower);
    bench.shim_ok("install", &[]);
    for name in NAMES {
        assert!(bench.is_shim(&format!("sbin/{name}")), "{name}");
        let real = bench.guest.join(format!("sbin/{name}.real"));
        assert_eq!(fs::read_link(real).unwrap(), Path::new("/bin/busybox"));
    }
    let busybox = fs::read(bench.guest.join("bin/busybox")).unwrap();
    assert!(busybox == fs::read("/bin/busybox").unwrap(), "the image's busybox was written");
    bench.host_is_untouched();
    bench.shim_ok("uninstall", &[]);
    for name in NAMES {
        assert_eq!(fs::read_link(bench.guest.join("sbin").join(name)).unwrap(), Path::new("/bin/busybox"));
        assert!(!bench.guest.join(format!("sbin/{name}.real")).exists());
    }
    assert_eq!(before, tree(&lower));
    bench.host_is_untouched();
}

fn merged() {
    for (sbin, to) in [("sbin", "usr/sbin"), ("bin", "usr/bin"), ("usr/sbin", "bin")] {
        let bench_dir = format!("usr/{}", to.rsplit('/').next().unwrap());
        let root = Merged::new();
        tools(&root.bench.guest, &bench_dir);
        if sbin == "usr/sbin" {
            link("bin", &root.bench.guest.join(sbin));
            link("usr/sbin", &root.bench.guest.join("sbin"));
        } else {
            link(to, &root.bench.guest.join(sbin));
        }
        let before = tree(&root.bench.guest);
        root.bench.shim_ok("install", &[]);
        for name in NAMES {
            assert!(root.bench.is_shim(&format!("{bench_dir}/{name}")), "{sbin} -> {to}: {name}");
            let real = fs::read_to_string(root.bench.guest.join(format!("{bench_dir}/{name}.real"))).unwrap();
            assert!(real.contains("the real"), "a shim stands at {name}.real");
            assert!(!root.bench.guest.join(format!("{bench_dir}/{name}.real.real")).exists());
        }
        root.bench.shim_ok("uninstall", &[]);
        assert_eq!(before, tree(&root.bench.guest), "{sbin} -> {to}");
    }
}

/// A bench whose mount goes away with it, so that one test can have several.
struct Merged {
    bench: Bench,
}

impl Merged {
    fn new() -> Self {
        Self { bench: Bench::new() }
    }
}

impl Drop for Merged {
    fn drop(&mut self) {
        run("umount", &["-l", self.bench.top.to_str().unwrap()]);
    }
}

fn split() {
    let bench = Bench::new();
    tools(&bench.guest, "sbin");
    tools(&bench.guest, "usr/sbin");
    bench.shim_ok("install", &[]);
    for name in NAMES {
        assert!(bench.is_shim(&format!("sbin/{name}")) && bench.is_shim(&format!("usr/sbin/{name}")));
    }
}

fn second_install() {
    let bench = Bench::new();
    let lower = bench.top.join("lower");
    tools(&lower, "usr/sbin");
    let upper = bench.overlay(&lower);
    bench.shim_ok("install", &[]);
    let before = (tree_with_change_times(&upper), fs::read_to_string("/proc/self/mountinfo").unwrap());
    let said = bench.shim_ok("install", &["--json"]);
    assert!(said.contains("\"changed\": false") && said.contains("\"steps\": []"), "{said}");
    let after = (tree_with_change_times(&upper), fs::read_to_string("/proc/self/mountinfo").unwrap());
    assert_eq!(before, after);
}

fn dry_run() {
    let bench = Bench::new();
    let lower = bench.top.join("lower");
    tools(&lower, "usr/sbin");
    let upper = bench.overlay(&lower);
    let before = tree_with_change_times(&upper);
    let said = bench.shim_ok("install", &["--dry-run"]);
    assert!(said.contains("would link usr/sbin/swapon to usr/sbin/swapon.real"), "{said}");
    assert!(said.contains(&format!("would prove that {} is the upper directory", upper.display())), "{said}");
    assert_eq!(before, tree_with_change_times(&upper));
    bench.shim_ok("install", &[]);
    let before = tree_with_change_times(&upper);
    let said = bench.shim_ok("uninstall", &["--dry-run"]);
    assert!(said.contains("would rename usr/sbin/swapon.real to usr/sbin/swapon"), "{said}");
    assert_eq!(before, tree_with_change_times(&upper));
}

fn uninstall_gives_back() {
    let bench = Bench::new();
    tools(&bench.guest, "usr/sbin");
    let swapon = bench.guest.join("usr/sbin/swapon");
    run("chown", &["12:34", swapon.to_str().unwrap()]);
    run("chmod", &["4751", swapon.to_str().unwrap()]);
    run("touch", &["-d", "2001-02-03 04:05:06.789", swapon.to_str().unwrap()]);
    run("setcap", &["cap_net_raw+ep", bench.guest.join("usr/sbin/mkswap").to_str().unwrap()]);
    let before = tree(&bench.guest);
    let said = bench.shim_ok("install", &[]);
    assert!(said.contains("is no overlay now"), "{said}");
    assert!(bench.is_shim("usr/sbin/swapon"));
    bench.shim_ok("uninstall", &[]);
    assert_eq!(before, tree(&bench.guest));
    let output = Command::new("getcap").arg(bench.guest.join("usr/sbin/mkswap")).output().unwrap();
    assert!(text(&output).contains("cap_net_raw=ep"), "{}", text(&output));
    assert!(bench.shim_ok("uninstall", &[]).contains("nothing to do"));
}

/// The program with one more byte: another version.
fn other_version(bench: &mut Bench) {
    let other = bench.top.join("rootfs-shim-2");
    fs::copy(&bench.program, &other).unwrap();
    fs::OpenOptions::new().append(true).open(&other).unwrap().write_all(b"2").unwrap();
    bench.program = other;
}

fn upgrade() {
    let mut bench = Bench::new();
    tools(&bench.guest, "sbin");
    tools(&bench.guest, "usr/sbin");
    let before = tree(&bench.guest);
    bench.shim_ok("install", &[]);
    other_version(&mut bench);
    bench.shim_ok("install", &[]);
    for path in ["sbin/swapon", "usr/sbin/mkswap", "sbin/swapoff", ".rootfs-shim/bin/rootfs-shim"] {
        assert!(bench.is_shim(path), "{path} is the old one");
    }
    assert!(fs::read_to_string(bench.guest.join("sbin/swapon.real")).unwrap().contains("the real"));
    let names: Vec<_> = tree(&bench.guest).into_iter().filter(|line| line.contains("/.swapon.")).collect();
    assert!(names.is_empty(), "left over: {names:?}");
    bench.shim_ok("uninstall", &[]);
    assert_eq!(before, tree(&bench.guest));
}

fn adopted() {
    let bench = Bench::new();
    tools(&bench.guest, "usr/sbin");
    bench.shim_ok("install", &[]);
    // As dpkg does it: a new file, renamed over the name.
    tool(&bench.guest.join("usr/sbin/swapon.dpkg-new"), "#!/bin/sh\necho a newer one\n");
    fs::rename(bench.guest.join("usr/sbin/swapon.dpkg-new"), bench.guest.join("usr/sbin/swapon")).unwrap();
    bench.shim_ok("install", &[]);
    assert!(bench.is_shim("usr/sbin/swapon"));
    assert!(fs::read_to_string(bench.guest.join("usr/sbin/swapon.real")).unwrap().contains("a newer one"));
    assert!(bench.shim_ok("install", &[]).contains("nothing to do"));
}

fn replaced_since() {
    let bench = Bench::new();
    tools(&bench.guest, "usr/sbin");
    bench.shim_ok("install", &[]);
    let swapon = bench.guest.join("usr/sbin/swapon");
    fs::remove_file(&swapon).unwrap();
    tool(&swapon, "the user's own");
    let said = bench.shim_ok("uninstall", &[]);
    assert!(said.contains("usr/sbin/swapon: it was replaced since the install"), "{said}");
    assert_eq!(fs::read_to_string(&swapon).unwrap(), "the user's own");
    assert!(fs::read_to_string(bench.guest.join("usr/sbin/mkswap")).unwrap().contains("the real mkswap"));
    assert!(!bench.guest.join(".rootfs-shim").exists());
}

fn provided() {
    let bench = Bench::new();
    fs::create_dir(bench.guest.join("etc")).unwrap();
    let before = tree(&bench.guest);
    let said = bench.shim_fails("install", &[], 1);
    assert!(said.contains("has no swapon") && said.contains("--provide-missing"), "{said}");
    assert_eq!(before, tree(&bench.guest));
    bench.shim_ok("install", &["--provide-missing"]);
    for name in NAMES {
        assert!(bench.is_shim(&format!("sbin/{name}")), "{name}");
        assert!(!bench.guest.join(format!("sbin/{name}.real")).exists());
    }
    assert!(bench.shim_ok("install", &["--provide-missing"]).contains("nothing to do"));
    bench.shim_ok("uninstall", &[]);
    assert_eq!(before, tree(&bench.guest));
}

fn config() {
    let bench = Bench::new();
    tools(&bench.guest, "sbin");
    let before = tree_with_change_times(&bench.guest);
    let file = bench.top.join("config.toml");
    let path = file.to_str().unwrap();
    fs::write(&file, "[swap]\nvolums = \"allow\"\n").unwrap();
    let said = bench.shim_fails("install", &["--config", path], 1);
    assert!(said.contains("volums") && said.contains("config.toml"), "{said}");
    run("truncate", &["-s", "1G", path]);
    assert!(bench.shim_fails("install", &["--config", path], 1).contains("larger than"));
    fs::remove_file(&file).unwrap();
    run("mkfifo", &[path]);
    assert!(fs::symlink_metadata(&file).unwrap().file_type().is_fifo());
    assert!(bench.shim_fails("install", &["--config", path], 1).contains("not a regular file"));
    assert_eq!(before, tree_with_change_times(&bench.guest));
    fs::remove_file(&file).unwrap();
    fs::write(&file, "[swap]\nvolumes = \"allow\"\n").unwrap();
    bench.shim_ok("install", &["--config", path]);
    let written = bench.guest.join(".rootfs-shim/config.toml");
    assert_eq!(fs::read(&written).unwrap(), fs::read(&file).unwrap());
    assert!(bench.shim_ok("install", &["--config", path]).contains("nothing to do"));
    bench.shim_ok("uninstall", &[]);
    assert!(!bench.guest.join(".rootfs-shim").exists());
}

/// Whoever installs over it closes the second way into the files, in every mount that shows it.
fn last_release() {
    let bench = Bench::new();
    let lower = bench.top.join("lower");
    tools(&lower, "sbin");
    let upper = bench.overlay(&lower);
    bench.shim_ok("install", &[]);
    let (before, manifest) = (tree(&upper), bench.guest.join(".rootfs-shim/manifest.toml"));
    let (healthy, listed) =
        (fs::read_to_string("/proc/self/mountinfo").unwrap(), fs::read(&manifest).unwrap());
    run("mount", &["--make-shared", bench.guest.to_str().unwrap()]);
    let peer = bench.top.join("peer");
    fs::create_dir(&peer).unwrap();
    run("mount", &["--bind", bench.guest.to_str().unwrap(), peer.to_str().unwrap()]);
    as_the_last_release(&bench.guest, &upper);
    let bound =
        || fs::read_to_string("/proc/self/mountinfo").unwrap().matches("/.rootfs-shim/upper ").count();
    assert_eq!(bound(), 2, "the mount is shared");
    let told = text(&bench.shim("status", &[]));
    assert!(
        told.starts_with("exit status: 1") && told.contains("is mounted at /.rootfs-shim/upper, where"),
        "{told}"
    );
    let said = bench.shim_ok("install", &["--dry-run"]);
    assert!(said.contains("would unmount .rootfs-shim/upper\n"), "{said}");
    assert_eq!(bound(), 2, "a dry run changes nothing");
    bench.shim_ok("install", &[]);
    assert_eq!(bound(), 0);
    assert!(!bench.guest.join(".rootfs-shim/upper").exists());
    bench.shim_ok("status", &[]);
    run("umount", &[peer.to_str().unwrap()]);
    run("mount", &["--make-private", bench.guest.to_str().unwrap()]);
    assert_eq!(healthy, fs::read_to_string("/proc/self/mountinfo").unwrap());
    let directories = |text: &[u8]| {
        let text = String::from_utf8(text.to_owned()).unwrap();
        text.lines().find(|line| line.starts_with("directories")).unwrap().to_owned()
    };
    assert_eq!(directories(&listed), directories(&fs::read(&manifest).unwrap()));
    let names =
        |lines: &[String]| lines.iter().map(|line| line.split(" ino ").next().unwrap().to_owned()).collect();
    let (then, now): (Vec<String>, Vec<String>) = (names(&before), names(&tree(&upper)));
    assert_eq!(then, now);
    assert!(bench.shim_ok("install", &[]).contains("nothing to do"));
    bench.shim_ok("uninstall", &[]);
    assert!(!bench.guest.join(".rootfs-shim").exists());
    bench.host_is_untouched();
}

/// No mount, and its place is a directory that the manifest knows.
fn last_release_at_rest() {
    let bench = Bench::new();
    tools(&bench.guest, "sbin");
    let before = tree(&bench.guest);
    let said = bench.shim_ok("install", &[]);
    assert!(said.contains("note: ") && !said.contains("warning: "), "{said}");
    assert!(said.contains("the shims find the backing filesystem when it runs on an overlay root"), "{said}");
    as_the_last_release(&bench.guest, &bench.top);
    run("umount", &[bench.guest.join(".rootfs-shim/upper").to_str().unwrap()]);
    let said = bench.shim_ok("install", &["--dry-run"]);
    assert!(
        said.contains("would remove directory .rootfs-shim/upper") && !said.contains("would unmount"),
        "{said}"
    );
    bench.shim_ok("install", &[]);
    assert!(!bench.guest.join(".rootfs-shim/upper").exists());
    assert!(bench.shim_ok("install", &[]).contains("nothing to do"));
    bench.shim_ok("uninstall", &[]);
    assert_eq!(before, tree(&bench.guest));
}

fn last_release_used() {
    let bench = Bench::new();
    let lower = bench.top.join("lower");
    tools(&lower, "sbin");
    let upper = bench.overlay(&lower);
    bench.shim_ok("install", &[]);
    as_the_last_release(&bench.guest, &upper);
    let place = bench.guest.join(".rootfs-shim/upper");
    run("umount", &[place.to_str().unwrap()]);
    fs::write(place.join("file"), "somebody's").unwrap();
    assert!(bench.shim_ok("install", &[]).contains("nothing to do"));
    // Below the mount nobody sees it beforehand.
    run("mount", &["--bind", upper.to_str().unwrap(), place.to_str().unwrap()]);
    let said = bench.shim_ok("install", &[]);
    assert!(said.contains("warning: remove what is not needed any more"), "{said}");
    assert!(!fs::read_to_string("/proc/self/mountinfo").unwrap().contains(".rootfs-shim"));
    assert!(bench.shim_ok("install", &[]).contains("nothing to do"));
    let said = bench.shim_ok("uninstall", &[]);
    assert!(said.contains(".rootfs-shim/upper/file is not what install wrote: left"), "{said}");
    assert_eq!(fs::read_to_string(place.join("file")).unwrap(), "somebody's");
    // Something else there is nobody's second way.
    bench.shim_ok("install", &[]);
    run("mount", &["-t", "tmpfs", "other", place.to_str().unwrap()]);
    let said = bench.shim_ok("install", &[]);
    assert!(said.contains("something else is mounted at .rootfs-shim/upper: left"), "{said}");
    assert!(said.contains("nothing to do"), "{said}");
}

fn links_between_names() {
    let bench = Bench::new();
    tools(&bench.guest, "usr/sbin");
    link("../usr/sbin/swapon", &bench.guest.join("sbin/swapon"));
    link("/sbin/swapon", &bench.guest.join("usr/local/bin/swapon"));
    let before = tree(&bench.guest);
    bench.shim_ok("install", &[]);
    assert!(bench.is_shim("usr/sbin/swapon"));
    assert!(!bench.guest.join("sbin/swapon.real").exists(), "a link to the shim needs no shim");
    assert!(!bench.guest.join("usr/local/bin/swapon.real").exists());
    assert!(bench.shim_ok("install", &[]).contains("nothing to do"));
    bench.shim_ok("uninstall", &[]);
    assert_eq!(before, tree(&bench.guest));
}
