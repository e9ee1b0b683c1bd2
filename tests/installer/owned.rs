//! What is ours and what is not: copies, other owners and modes, what users put in the place of something, before
//! an uninstall and in the middle of one.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::bench::{Bench, Test, link, run, text, tool, tools, tree};

pub const TESTS: &[Test] = &[
    ("an_images_own_copy_of_the_shim_is_a_tool_like_any", copies),
    ("a_shim_with_another_owner_or_mode_is_put_anew", unsound),
    ("a_write_through_one_name_into_all_shims_is_mended", written_through),
    ("an_uninstall_leaves_the_shim_where_nothing_else_would_answer", nothing_else_answers),
    ("what_a_user_put_in_the_place_of_real_is_not_a_tools", users_real),
    ("a_users_rename_in_the_middle_is_seen", renamed_meanwhile),
    ("our_directory_stays_if_it_was_there_before", home_was_there),
    ("a_users_file_in_our_directory_is_no_leftover", users_files),
    ("a_dead_run_is_named_by_status", named_by_status),
    ("links_from_tool_to_tool_have_a_real_tool", chained),
    ("an_upgrade_while_shims_run", upgrade_while_running),
    ("json_tells_the_truth", json),
];

const NAMES: [&str; 3] = ["swapon", "swapoff", "mkswap"];

fn status(bench: &Bench) -> Value {
    let output = bench.shim("status", &["--json"]);
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(i32::from(status["healthy"] != true)), "{status}");
    status
}

fn problems(bench: &Bench) -> String {
    status(bench)["problems"].to_string()
}

fn state(bench: &Bench, path: &str) -> Value {
    let path = bench.guest.join(path);
    let status = status(bench);
    let mut commands = status["commands"].as_array().unwrap().iter();
    commands.find(|command| command["path"] == path.to_str().unwrap()).unwrap()["state"].clone()
}

fn str(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn again(bench: Bench) {
    run("umount", &["-l", str(&bench.top)]);
}

/// The same public binary in an image, as a tool of a stranger's.
fn copies() {
    for (owner, mode, taken) in [("1000:1000", "4777", true), ("0:0", "0755", true), ("0:0", "0644", false)] {
        let bench = Bench::new();
        tools(&bench.guest, "sbin");
        let swapon = bench.guest.join("sbin/swapon");
        fs::copy(&bench.program, &swapon).unwrap();
        run("chown", &[owner, str(&swapon)]);
        run("chmod", &[mode, str(&swapon)]);
        let before = tree(&bench.guest);
        let said = bench.shim_ok("install", &[]);
        let (now, ours) =
            (fs::metadata(&swapon).unwrap(), fs::metadata(bench.guest.join("sbin/mkswap")).unwrap());
        assert_eq!(now.ino() == ours.ino(), taken, "{mode}: {said}");
        assert_eq!((ours.uid(), ours.gid(), ours.mode() & 0o7777), (0, 0, 0o755), "{mode}");
        if taken {
            assert_eq!(
                fs::metadata(bench.guest.join("sbin/swapon.real")).unwrap().mode() & 0o7777,
                u32::from_str_radix(mode, 8).unwrap()
            );
        } else {
            assert!(said.contains("sbin/swapon is left as it is: it is not executable"), "{said}");
            assert_eq!(state(&bench, "sbin/swapon"), "tool");
        }
        assert!(bench.shim_ok("install", &[]).contains("nothing to do"), "{mode}");
        bench.shim_ok("uninstall", &[]);
        assert_eq!(before, tree(&bench.guest), "{mode}");
        again(bench);
    }
}

fn unsound() {
    let bench = Bench::new();
    tools(&bench.guest, "sbin");
    run("touch", &["-r", str(&bench.guest), str(&bench.guest.join("sbin"))]);
    let before = tree(&bench.guest);
    let swapon = bench.guest.join("sbin/swapon");
    bench.shim_ok("install", &[]);
    let spoil: [(&str, &dyn Fn()); 4] = [
        ("mode", &|| run("chmod", &["0644", str(&swapon)])),
        ("setuid", &|| run("chmod", &["4755", str(&swapon)])),
        ("owner", &|| run("chown", &["1000:0", str(&swapon)])),
        ("inode", &|| {
            fs::remove_file(&swapon).unwrap();
            fs::copy(&bench.program, &swapon).unwrap();
            run("touch", &["-r", str(&bench.guest), str(&bench.guest.join("sbin"))]);
        }),
    ];
    for (what, spoil) in spoil {
        spoil();
        let said = problems(&bench);
        assert!(said.contains("sbin/swapon is the shim, but not as install left it"), "{what}: {said}");
        let all = what != "inode";
        assert_eq!(said.contains("bin/rootfs-shim is not as install left it"), all, "{what}: {said}");
        assert_eq!(state(&bench, "sbin/swapon"), "changed-shim", "{what}");
        bench.shim_ok("install", &[]);
        assert_eq!(status(&bench)["healthy"], true, "{what}");
        for name in NAMES {
            let meta = fs::metadata(bench.guest.join("sbin").join(name)).unwrap();
            assert_eq!(
                (meta.uid(), meta.gid(), meta.mode(), meta.nlink()),
                (0, 0, 0o100_755, 4),
                "{what}: {name}"
            );
            let real = fs::read_to_string(bench.guest.join(format!("sbin/{name}.real"))).unwrap();
            assert!(real.contains(&format!("the real {name}")), "{what}: {name}");
        }
        assert!(bench.shim_ok("install", &[]).contains("nothing to do"), "{what}");
    }
    bench.shim_ok("uninstall", &[]);
    assert_eq!(before, tree(&bench.guest));
}

/// `cp FILE /usr/sbin/swapon` does not replace the name: it writes into the one file that all names are.
fn written_through() {
    for command in ["install", "uninstall"] {
        let bench = Bench::new();
        tools(&bench.guest, "usr/sbin");
        let before = tree(&bench.guest);
        bench.shim_ok("install", &[]);
        let newer = bench.top.join("newer");
        tool(&newer, "#!/bin/sh\necho newer\n");
        run("cp", &[str(&newer), str(&bench.guest.join("usr/sbin/swapon"))]);
        assert_eq!(fs::read(bench.guest.join("usr/sbin/mkswap")).unwrap(), fs::read(&newer).unwrap());
        let said = problems(&bench);
        assert!(said.contains("bin/rootfs-shim is not as install left it"), "{said}");
        for name in NAMES {
            assert_eq!(state(&bench, &format!("usr/sbin/{name}")), "changed-shim");
        }
        let said = bench.shim_ok(command, &[]);
        if command == "install" {
            assert!(said.contains("usr/sbin/swapon was written to"), "{said}");
            assert_eq!(status(&bench)["healthy"], true);
            bench.shim_ok("uninstall", &[]);
        }
        assert_eq!(before, tree(&bench.guest), "{command}");
        again(bench);
    }
}

fn nothing_else_answers() {
    let bench = Bench::new();
    tools(&bench.guest, "sbin");
    let before = tree(&bench.guest);
    bench.shim_ok("install", &[]);
    let real = bench.guest.join("sbin/swapon.real");
    let kept = fs::read(&real).unwrap();
    fs::remove_file(&real).unwrap();
    for _ in 0..2 {
        let said = bench.shim_ok("uninstall", &[]);
        assert!(said.contains("sbin/swapon: sbin/swapon.real is gone, so the shim is left"), "{said}");
        assert!(bench.is_shim("sbin/swapon") && bench.guest.join(".rootfs-shim/manifest.toml").exists());
        assert!(!bench.is_shim("sbin/mkswap"));
        let said = problems(&bench);
        assert!(said.contains("an uninstall did not end"), "{said}");
        assert!(said.contains("sbin/swapon is the shim, but its real tool"), "{said}");
    }
    // Somebody copied the shim over the real tool: nobody would answer either.
    fs::copy(&bench.program, &real).unwrap();
    let said = bench.shim_ok("uninstall", &[]);
    assert!(said.contains("sbin/swapon.real is a shim as well, so the shim is left"), "{said}");
    assert!(bench.is_shim("sbin/swapon") && bench.is_shim("sbin/swapon.real"));
    // It is not forgotten by an install, and when the tool is back the uninstall ends.
    bench.shim_ok("install", &[]);
    assert!(
        fs::read_to_string(bench.guest.join(".rootfs-shim/manifest.toml")).unwrap().contains("sbin/swapon\"")
    );
    fs::write(&real, kept).unwrap();
    bench.shim_ok("uninstall", &[]);
    let names = |lines: Vec<String>| {
        lines.into_iter().map(|line| line.split(" ino ").next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(before), names(tree(&bench.guest)));
}

fn users_real() {
    let bench = Bench::new();
    tools(&bench.guest, "sbin");
    bench.shim_ok("install", &[]);
    let real = |name: &str| bench.guest.join(format!("sbin/{name}.real"));
    for name in ["swapon", "swapoff"] {
        fs::remove_file(real(name)).unwrap();
    }
    fs::write(real("swapon"), "the user's notes").unwrap();
    tool(&real("swapoff"), "#!/bin/sh\necho the user's tool\n");
    let said = bench.shim_ok("uninstall", &[]);
    assert!(said.contains("sbin/swapon.real is no program any more, so the shim is left"), "{said}");
    assert!(
        said.contains("sbin/swapoff.real is another one than install found: it becomes sbin/swapoff"),
        "{said}"
    );
    assert_eq!(fs::read_to_string(real("swapon")).unwrap(), "the user's notes");
    assert!(bench.is_shim("sbin/swapon"));
    assert!(fs::read_to_string(bench.guest.join("sbin/swapoff")).unwrap().contains("the user's tool"));
}

/// A user's new file comes to a name between the look and the step, which strace delays.
fn renamed_meanwhile() {
    for (command, call, name) in [
        ("install", "linkat", "swapon"),
        ("uninstall", "fchmod", "swapon"),
        ("uninstall", "fchmod", "swapon.real"),
    ] {
        let bench = Bench::new();
        tools(&bench.guest, "sbin");
        if command == "uninstall" {
            bench.shim_ok("install", &[]);
        }
        let before = names(&bench);
        let mine = bench.top.join("guest/sbin/mine");
        tool(&mine, "#!/bin/sh\necho mine\n");
        let child = delayed(&bench, command, call);
        while !fs::read_to_string(bench.top.join("log")).unwrap_or_default().contains(call) {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        fs::rename(&mine, bench.guest.join("sbin").join(name)).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = text(&output);
        assert_eq!(output.status.code(), Some(1), "{command} {name}: {said}");
        assert!(said.contains("everything was put back"), "{command} {name}: {said}");
        assert!(said.contains("meanwhile") || said.contains("not one file any more"), "{said}");
        let content = fs::read_to_string(bench.guest.join("sbin").join(name)).unwrap();
        assert!(content.contains("mine"), "{command} {name}: {content}");
        assert_eq!(before, names(&bench), "{command} {name}");
        again(bench);
    }
}

/// The command, with its first such call delayed for a second.
fn delayed(bench: &Bench, command: &str, call: &str) -> std::process::Child {
    let inject = format!("inject={call}:delay_enter=1000000:when=1");
    let mut strace = Command::new("strace");
    strace.arg("-o").arg(bench.top.join("log")).args(["-e", &format!("trace={call}"), "-e", &inject]);
    strace.arg(&bench.program).args([command, "--chroot"]).arg(&bench.guest);
    strace.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn names(bench: &Bench) -> Vec<String> {
    let name = |line: String| line.split(" ino ").next().unwrap_or_default().to_owned();
    tree(&bench.guest).into_iter().map(name).collect()
}

fn home_was_there() {
    let bench = Bench::new();
    tools(&bench.guest, "sbin");
    let home = bench.guest.join(".rootfs-shim");
    fs::create_dir(&home).unwrap();
    run("chmod", &["700", str(&home)]);
    let before = names(&bench);
    assert!(bench.shim_ok("uninstall", &[]).contains("nothing to do"));
    for upgrade in [false, true] {
        bench.shim_ok("install", &[]);
        if upgrade {
            bench.shim_ok("install", &[]);
        }
        bench.shim_ok("uninstall", &[]);
        assert_eq!(before, names(&bench));
        assert_eq!(fs::metadata(&home).unwrap().mode() & 0o7777, 0o700);
    }
    // What is made in it would be another group's.
    fs::create_dir(home.join("bin")).unwrap();
    run("chgrp", &["1000", str(&home.join("bin"))]);
    run("chmod", &["2755", str(&home.join("bin"))]);
    bench.shim_ok("install", &[]);
    assert_eq!(status(&bench)["healthy"], true);
    assert!(bench.shim_ok("install", &[]).contains("nothing to do"));
    bench.shim_ok("uninstall", &[]);
    assert_eq!(fs::metadata(home.join("bin")).unwrap().mode() & 0o7777, 0o2755);
    fs::remove_dir(home.join("bin")).unwrap();
    fs::remove_dir(&home).unwrap();
    bench.shim_ok("install", &[]);
    bench.shim_ok("uninstall", &[]);
    assert!(!home.exists());
}

fn users_files() {
    let bench = Bench::new();
    tools(&bench.guest, "sbin");
    bench.shim_ok("install", &[]);
    let home = bench.guest.join(".rootfs-shim");
    let files =
        [".notes.old", ".config.toml.old", ".my.0123456789abcdef.new", "marker", "bin/.rootfs-shim.new"];
    for file in files {
        fs::write(home.join(file), "the user's").unwrap();
    }
    // One that is ours: it goes.
    fs::write(home.join(".manifest.toml.0123456789abcdef.new"), "").unwrap();
    let said = problems(&bench);
    assert!(said.contains(".manifest.toml.0123456789abcdef.new: left by a run that did not end"), "{said}");
    bench.shim_ok("install", &[]);
    assert!(!home.join(".manifest.toml.0123456789abcdef.new").exists());
    let said = bench.shim_ok("uninstall", &[]);
    for file in files {
        assert_eq!(fs::read_to_string(home.join(file)).unwrap(), "the user's", "{file}");
        assert!(said.contains(&format!(".rootfs-shim/{file} is not what install wrote: left")), "{said}");
    }
}

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
