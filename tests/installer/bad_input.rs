//! Bad input to the tool itself: one line that names the thing and the remedy, exit status 1 or 2, nothing changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::bench::{Bench, Test, link, run, text, tools, tree, tree_with_change_times};

pub const TESTS: &[Test] = &[
    ("a_directory_that_is_no_root_is_refused", no_root),
    ("the_hosts_own_plain_root_is_refused", plain_root),
    ("a_config_that_makes_no_sense_is_refused", bad_configs),
    ("a_wrong_argument_is_one_line", wrong_arguments),
    ("nobody_but_root_may_and_everybody_is_told", not_root),
    ("a_kernel_without_openat2_is_named", no_openat2),
    ("a_machine_without_proc_is_named", no_proc),
];

/// A remedy follows the reason.
fn is_refusal(output: &Output, code: i32, words: &[&str]) {
    let said = text(output);
    assert_eq!(output.status.code(), Some(code), "{words:?}: {said}");
    assert_eq!(output.stderr.iter().filter(|byte| **byte == b'\n').count(), 1, "{words:?}: {said}");
    for word in words.iter().chain(&["; "]) {
        assert!(said.contains(word), "{word:?}: {said}");
    }
}

fn call(program: &Path, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn no_root() {
    let bench = Bench::new();
    let lower = bench.top.join("lower");
    for directory in ["lower/usr/share", "lower/etc", "empty", "plain/etc"] {
        fs::create_dir_all(bench.top.join(directory)).unwrap();
    }
    tools(&lower, "usr/sbin");
    bench.overlay(&lower);
    for kind in ["proc", "sysfs", "devtmpfs"] {
        fs::create_dir(bench.top.join(kind)).unwrap();
        run("mount", &["-t", kind, kind, bench.top.join(kind).to_str().unwrap()]);
    }
    link("guest", &bench.top.join("link"));
    fs::write(bench.top.join("file"), "").unwrap();
    let before = tree_with_change_times(&bench.guest);
    for (path, words) in [
        ("missing", &["does not exist"][..]),
        ("file", &["not a directory"]),
        ("link", &["a symbolic link"]),
        ("empty", &["has no swapon", "--provide-missing"]),
        ("plain", &["has no swapon", "--provide-missing"]),
        ("guest/usr", &["looks like a usr directory", "above it"]),
        ("guest/etc", &["has no swapon"]),
        ("proc", &["the kernel's own proc", "--chroot"]),
        ("sysfs", &["the kernel's own sysfs"]),
        ("devtmpfs", &["the kernel's own devtmpfs"]),
    ] {
        let path = bench.top.join(path);
        let path = path.to_str().unwrap();
        for more in [&[][..], &["--dry-run"]] {
            let arguments = [&["install", "--chroot", path], more].concat();
            is_refusal(&call(&bench.program, &arguments), 1, &[words, &[path]].concat());
        }
    }
    assert_eq!(before, tree_with_change_times(&bench.guest));
    assert_eq!(fs::read_dir(bench.top.join("empty")).unwrap().count(), 0);
    bench.shim_ok("install", &[]);
}

/// Seen from inside, as `--chroot` is by default.
fn plain_root() {
    let mut bench = Bench::new();
    bench.guest = bench.ext4();
    tools(&bench.guest, "sbin");
    fs::create_dir(bench.guest.join("proc")).unwrap();
    run("mount", &["-t", "proc", "proc", bench.guest.join("proc").to_str().unwrap()]);
    fs::copy(&bench.program, bench.guest.join("rootfs-shim")).unwrap();
    let before = tree(&bench.guest.join("sbin"));
    let mut inside = Command::new("chroot");
    inside.arg(&bench.guest).args(["/rootfs-shim", "install"]);
    is_refusal(
        &inside.output().unwrap(),
        1,
        &["install into /", "it is not an overlay but ext4", "--chroot"],
    );
    assert_eq!(before, tree(&bench.guest.join("sbin")));
    // From outside it is a tree that is being prepared, and then it is carried on from inside as well.
    bench.shim_ok("install", &[]);
    assert!(inside.output().unwrap().status.success());
}

fn bad_configs() {
    let bench = Bench::new();
    tools(&bench.guest, "sbin");
    let before = tree_with_change_times(&bench.guest);
    let path = |name: &str| bench.top.join(name);
    fs::create_dir(path("directory")).unwrap();
    run("mkfifo", &[path("pipe").to_str().unwrap()]);
    fs::File::create(path("huge")).unwrap().set_len(1 << 30).unwrap();
    for (name, content) in [
        ("unknown", "[swap]\nvolums = \"allow\"\n"),
        ("wrong", "[swap]\nhint = \"x\"\nvolumes = 3\n"),
        ("relative", "[console]\npath = \"tty\"\n"),
        ("torn", "[swap\n"),
    ] {
        fs::write(path(name), content).unwrap();
    }
    fs::write(path("binary"), b"\xff\xfe\x1b[2J").unwrap();
    let takes = "--config takes a regular file of at most 64 KiB";
    for (name, words) in [
        ("missing", &["No such file", takes][..]),
        ("pipe", &["not a regular file", takes]),
        ("directory", &["not a regular file", takes]),
        ("huge", &["larger than", takes]),
        ("unknown", &["line 2, volums: unknown field", "correct it"]),
        ("wrong", &["line 3, volumes: ", "correct it"]),
        ("relative", &["the path tty is not absolute", "correct it"]),
        ("torn", &["line 1", "correct it"]),
        ("binary", &["utf-8", "correct it"]),
    ] {
        let (guest, path) = (bench.guest.to_str().unwrap(), path(name));
        let arguments = ["install", "--chroot", guest, "--config", path.to_str().unwrap()];
        is_refusal(&call(&bench.program, &arguments), 1, &[words, &[path.to_str().unwrap()]].concat());
    }
    assert_eq!(before, tree_with_change_times(&bench.guest));
}

fn wrong_arguments() {
    let bench = Bench::new();
    let (program, guest) = (&bench.program, bench.guest.to_str().unwrap());
    for (arguments, word) in [
        (&["install", "--chroot", ""][..], "--chroot <DIR>"),
        (&["install", "--chroot"], "--chroot <DIR>"),
        (&["install", "--chroot=/", "--chrot", "/"], "--chrot"),
        (&["install", "--upper", ""], "--upper <DIR>"),
        (&["uninstall", "extra"], "extra"),
        (&["frobnicate"], "frobnicate"),
        (&["mount"], "<TARGET>"),
    ] {
        is_refusal(&call(program, arguments), 2, &[word, "--help"]);
    }
    tools(&bench.guest, "sbin");
    is_refusal(&call(program, &["install", "--chroot", guest, "--upper", "/tmp"]), 2, &["leave --upper out"]);
    let help = call(program, &["install", "--help"]);
    assert!(help.status.success() && help.stdout.starts_with(b"Put the shim"), "{}", text(&help));
}

fn not_root() {
    let bench = Bench::new();
    tools(&bench.guest, "sbin");
    let hidden = bench.top.join("hidden");
    tools(&hidden, "sbin");
    fs::create_dir(hidden.join(".rootfs-shim")).unwrap();
    run("chmod", &["700", hidden.join(".rootfs-shim").to_str().unwrap()]);
    let before = tree_with_change_times(&bench.top);
    let nobody = |arguments: &[&str], guest: &PathBuf| {
        let mut call = Command::new("setpriv");
        call.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&bench.program);
        call.args(arguments).arg("--chroot").arg(guest).output().unwrap()
    };
    for command in ["install", "uninstall"] {
        is_refusal(&nobody(&[command], &bench.guest), 1, &["needs root", "sudo"]);
    }
    for command in [&["install", "--dry-run"][..], &["status"]] {
        is_refusal(&nobody(command, &hidden), 1, &["Permission denied", "run it with sudo"]);
    }
    // Looking needs no privilege where the image grants it, and gives no false alarm.
    let output = nobody(&["install", "--dry-run"], &bench.guest);
    let said = text(&output);
    assert!(output.status.success() && said.contains("would link sbin/swapon"), "{said}");
    assert!(!said.contains("Operation not permitted"), "{said}");
    assert_eq!(before, tree_with_change_times(&bench.top));
}

fn no_openat2() {
    let bench = Bench::new();
    tools(&bench.guest, "sbin");
    let before = tree_with_change_times(&bench.guest);
    for error in ["ENOSYS", "EPERM"] {
        for command in ["install", "uninstall", "status"] {
            let mut strace = Command::new("strace");
            strace.args(["-fo", "/dev/null", "-e", "trace=openat2"]);
            strace.args(["-e", &format!("inject=openat2:error={error}")]).arg(&bench.program);
            let output = strace.args([command, "--chroot"]).arg(&bench.guest).output().unwrap();
            is_refusal(&output, 1, &["openat2", "Linux 5.6 or later"]);
        }
    }
    assert_eq!(before, tree_with_change_times(&bench.guest));
}

/// An init that has not mounted it yet.
fn no_proc() {
    let bench = Bench::new();
    tools(&bench.guest, "sbin");
    let before = tree(&bench.guest);
    for command in ["install", "uninstall", "status"] {
        let script = format!("mount -t tmpfs no /proc && exec \"$0\" {command} --json --chroot \"$1\"");
        let mut call = Command::new("unshare");
        call.args(["-m", "sh", "-c", &script]).arg(&bench.program).arg(&bench.guest);
        let output = call.output().unwrap();
        is_refusal(&output, 1, &["/proc", "; mount /proc first"]);
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(said["version"] == 1 && said["error"].as_str().unwrap().contains("/proc"), "{said}");
    }
    assert_eq!(before, tree(&bench.guest));
}
