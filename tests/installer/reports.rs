//! What is told of a guest: by `status` of a run that did not end and of tools that lead to each other, by the JSON of
//! an outcome; and an upgrade beside shims that run.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::bench::{Bench, Test, link, run, text, tool, tools, tree};
use crate::ownership::{NAMES, again, names, problems, status, str};

pub const TESTS: &[Test] = &[
    ("a_dead_run_is_named_by_status", named_by_status),
    ("links_from_tool_to_tool_have_a_real_tool", chained),
    ("an_upgrade_while_shims_run", upgrade_while_running),
    ("json_tells_the_truth", json),
];

/// Killed in the middle, in the words of `status` and of its JSON.
fn named_by_status() {
    let cases = [
        ("install", "installing", "an install did not end"),
        ("upgrade", "upgrading", "an upgrade did not end"),
        ("uninstall", "uninstalling", "an uninstall did not end"),
    ];
    for (what, state, words) in cases {
        let mut bench = Bench::new();
        tools(&bench.guest, "sbin");
        if what != "install" {
            bench.shim_ok("install", &[]);
        }
        if what == "upgrade" {
            bench.program = newer(&bench);
        }
        let command = if what == "uninstall" { what } else { "install" };
        let killed = Command::new("strace")
            .args(["-o", "/dev/null", "-e", "trace=renameat2", "-e", "inject=renameat2:signal=KILL:when=2"])
            .arg(&bench.program)
            .args([command, "--chroot"])
            .arg(&bench.guest)
            .output()
            .unwrap();
        assert!(!killed.status.success());
        let said = status(&bench);
        assert_eq!(said["state"], state, "{said}");
        assert!(said["problems"].to_string().contains(words), "{said}");
        assert!(!said["leftovers"].as_array().unwrap().is_empty() || what == "uninstall", "{said}");
        assert!(text(&bench.shim("status", &[])).contains(words));
        bench.shim_ok(command, &[]);
        again(bench);
    }
}

/// The program with one more byte: another version.
fn newer(bench: &Bench) -> PathBuf {
    let other = bench.top.join("rootfs-shim-2");
    let mut content = fs::read(&bench.program).unwrap();
    content.push(b'2');
    tool(&other, "");
    fs::write(&other, content).unwrap();
    other
}

fn chained() {
    let bench = Bench::new();
    fs::create_dir_all(bench.guest.join("bin")).unwrap();
    run("cp", &["/bin/busybox", str(&bench.guest.join("bin/busybox"))]);
    link("/bin/busybox", &bench.guest.join("sbin/mkswap"));
    link("mkswap", &bench.guest.join("sbin/swapon"));
    link("/sbin/swapon", &bench.guest.join("sbin/swapoff"));
    fs::create_dir(bench.guest.join("proc")).unwrap();
    let before = names(&bench);
    run("mount", &["-t", "proc", "proc", str(&bench.guest.join("proc"))]);
    bench.shim_ok("install", &[]);
    for name in NAMES {
        let output =
            Command::new("chroot").arg(&bench.guest).args([&format!("/sbin/{name}"), "--help"]).output();
        let said = text(&output.unwrap());
        assert!(said.contains("BusyBox v") && said.contains(&format!("Usage: {name}")), "{name}: {said}");
    }
    let said = status(&bench);
    for command in said["commands"].as_array().unwrap() {
        let path = command["path"].as_str().unwrap();
        assert_eq!(command["real"], format!("{path}.real"), "{said}");
    }
    // Without the one at the end none of them has a real tool, and status says so of each.
    fs::remove_file(bench.guest.join("sbin/mkswap.real")).unwrap();
    let said = status(&bench);
    assert!(said["commands"].as_array().unwrap().iter().all(|command| command["real"].is_null()), "{said}");
    link("/bin/busybox", &bench.guest.join("sbin/mkswap.real"));
    bench.shim_ok("uninstall", &[]);
    run("umount", &[str(&bench.guest.join("proc"))]);
    assert_eq!(before, names(&bench));
}

/// The file that is replaced is being executed: writing to it would be refused, and what runs goes on.
fn upgrade_while_running() {
    let mut bench = Bench::new();
    tools(&bench.guest, "sbin");
    tools(&bench.guest, "usr/sbin");
    let before = tree(&bench.guest);
    bench.shim_ok("install", &[]);
    // It waits for the lock of another guest.
    let other = bench.top.join("other/.rootfs-shim");
    tools(&bench.top.join("other"), "sbin");
    fs::create_dir(&other).unwrap();
    run("chmod", &["700", str(&other)]);
    let mut holder = Command::new("flock").arg(&other).args(["sleep", "60"]).spawn().unwrap();
    let start = |name: &str| {
        use std::os::unix::process::CommandExt;
        let mut call = Command::new(bench.guest.join(name));
        call.arg0("rootfs-shim").args(["install", "--chroot", str(other.parent().unwrap())]);
        call.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let mut running: Vec<_> = ["sbin/swapon", "usr/sbin/mkswap"].map(start).into();
    std::thread::sleep(std::time::Duration::from_millis(300));
    bench.program = newer(&bench);
    bench.shim_ok("install", &[]);
    for directory in ["sbin", "usr/sbin"] {
        for name in NAMES {
            assert!(bench.is_shim(&format!("{directory}/{name}")), "{directory}/{name} is the old one");
        }
    }
    assert_eq!(status(&bench)["healthy"], true);
    for child in &mut running {
        assert!(child.try_wait().unwrap().is_none(), "the upgrade ended a shim that was running");
        child.kill().unwrap();
        child.wait().unwrap();
    }
    holder.kill().unwrap();
    holder.wait().unwrap();
    bench.shim_ok("uninstall", &[]);
    assert_eq!(before, tree(&bench.guest));
}

fn json() {
    let bench = Bench::new();
    tools(&bench.guest, "sbin");
    let to_full = |command: &str, arguments: &[&str]| -> Output {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut call = Command::new(&bench.program);
        call.args([command, "--chroot"]).arg(&bench.guest).args(arguments);
        call.stdin(Stdio::null()).stdout(full).output().unwrap()
    };
    let calls: [(&str, &[&str]); 5] = [
        ("install", &["--json", "--dry-run"]),
        ("install", &["--json"]),
        ("install", &[]),
        ("status", &["--json"]),
        ("uninstall", &["--json"]),
    ];
    for (command, arguments) in calls {
        let output = to_full(command, arguments);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(1), "{command} {arguments:?}: {said}");
        assert!(said.contains("write to the standard output: No space left on device"), "{said}");
    }
    // What cannot be tidied up when all is in place is a warning.
    let injected = |command: &str, inject: &str| {
        let call = inject.split(':').next().unwrap();
        let mut strace = Command::new("strace");
        strace.args(["-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &format!("inject={inject}")]);
        strace.arg(&bench.program).args([command, "--json", "--chroot"]).arg(&bench.guest).output().unwrap()
    };
    let output = injected("install", "unlinkat:error=EIO");
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success() && said["changed"] == true, "{said}");
    assert!(said["warnings"].to_string().contains("remove what is not needed any more"), "{said}");
    assert!(problems(&bench).contains("left by a run that did not end"));
    bench.shim_ok("install", &[]);
    assert_eq!(status(&bench)["healthy"], true);
    // And what could not be put back is a change.
    let before = names(&bench);
    let output = injected("uninstall", "fchmod:error=EIO");
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((said["changed"].clone(), before == names(&bench)), (false.into(), true), "{said}");
    let output = injected("uninstall", "renameat2:error=EIO:when=3+");
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["changed"], before != names(&bench), "{said}");
    assert!(said["changed"] == true && !output.status.success(), "{said}");
    bench.shim_ok("uninstall", &[]);
    assert!(!bench.guest.join(".rootfs-shim").exists());
}
