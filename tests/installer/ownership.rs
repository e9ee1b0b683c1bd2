//! What is ours and what is not: copies, other owners and modes, what users put in the place of something, before
//! an uninstall and in the middle of one.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::bench::{Bench, Test, run, text, tool, tools, tree};

pub const TESTS: &[Test] = &[
    ("an_images_own_copy_of_the_shim_is_a_tool_like_any", copies),
    ("a_shim_with_another_owner_or_mode_is_put_anew", unsound),
    ("a_write_through_one_name_into_all_shims_is_mended", written_through),
    ("an_uninstall_leaves_the_shim_where_nothing_else_would_answer", nothing_else_answers),
    ("what_a_user_put_in_the_place_of_real_is_not_a_tools", users_real),
    ("a_users_rename_in_the_middle_is_seen", renamed_meanwhile),
    ("our_directory_stays_if_it_was_there_before", home_was_there),
    ("a_users_file_in_our_directory_is_no_leftover", users_files),
];

pub const NAMES: [&str; 3] = ["swapon", "swapoff", "mkswap"];

pub fn status(bench: &Bench) -> Value {
    let output = bench.shim("status", &["--json"]);
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(i32::from(status["healthy"] != true)), "{status}");
    status
}

pub fn problems(bench: &Bench) -> String {
    status(bench)["problems"].to_string()
}

fn state(bench: &Bench, path: &str) -> Value {
    let path = bench.guest.join(path);
    let status = status(bench);
    let mut commands = status["commands"].as_array().unwrap().iter();
    commands.find(|command| command["path"] == path.to_str().unwrap()).unwrap()["state"].clone()
}

pub fn str(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub fn again(bench: Bench) {
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

pub fn names(bench: &Bench) -> Vec<String> {
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
