//! Images that fight back, and bad input to the tool itself.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::bench::{Bench, Test, link, run, text, tool, tools, tree, tree_with_change_times};

pub const TESTS: &[Test] = &[
    ("a_wrong_upper_is_refused", wrong_upper),
    ("a_spoofed_upperdir_is_not_believed", spoofed_upperdir),
    ("our_directory_as_a_link_is_an_attack", home_is_a_link),
    ("our_directory_as_anything_else_is_refused", home_is_something_else),
    ("a_config_that_the_image_brings_is_named", brought_config),
    ("a_foreign_real_is_kept", foreign_real),
    ("odd_files_under_a_tools_name_are_skipped", odd_files),
    ("directories_that_lead_out_lead_nowhere", directories_that_lead_out),
    ("what_chattr_forbids_is_seen_beforehand", immutable),
    ("a_root_that_makes_no_sense_is_refused", bad_roots),
    ("another_architecture_is_left_alone", architecture),
    ("a_lying_manifest_is_not_trusted", lying_manifest),
    ("a_full_disk_puts_everything_back", full_disk),
    ("a_read_only_root_is_refused", read_only),
    ("two_at_once_take_turns", two_at_once),
];

fn wrong_upper() {
    let mut bench = Bench::new();
    let lower = bench.top.join("lower");
    tools(&lower, "sbin");
    let upper = bench.overlay(&lower);
    let other = bench.top.join("other");
    fs::create_dir(&other).unwrap();
    // Made in the same tick, it may have the same times.
    let before = tree_with_change_times(&upper);
    for wrong in [other.to_str().unwrap(), "/nonexistent", "/etc/passwd", lower.to_str().unwrap()] {
        let said = bench.shim_fails("install", &["--upper", wrong], 2);
        assert!(said.contains("--upper"), "{said}");
    }
    assert_eq!(before, tree_with_change_times(&upper));
    let said = bench.shim_ok("install", &["--json", "--upper", upper.to_str().unwrap()]);
    let proof = format!("\"action\": \"prove-upper\",\n      \"upper\": \"{}\"", upper.display());
    assert!(said.contains(&proof) && upper.join(".rootfs-shim/manifest.toml").exists(), "{said}");
    bench.guest = other;
    tools(&bench.guest, "sbin");
    assert!(bench.shim_fails("install", &["--upper", "/tmp"], 2).contains("not where an overlay is mounted"));
}

fn spoofed_upperdir() {
    let bench = Bench::new();
    let evil = bench.top.join("evil");
    fs::create_dir(&evil).unwrap();
    let lower = bench.top.join(format!("x,upperdir={}", evil.display()));
    fs::create_dir_all(&lower).unwrap();
    tools(&lower, "sbin");
    let upper = bench.overlay(&lower);
    let before = tree_with_change_times(&evil);
    let said = bench.shim_ok("install", &["--json"]);
    let proof = format!("\"action\": \"prove-upper\",\n      \"upper\": \"{}\"", upper.display());
    assert!(said.contains(&proof) && upper.join("sbin/swapon.real").exists(), "{said}");
    assert_eq!(before, tree_with_change_times(&evil));
    bench.host_is_untouched();
}

fn home_is_a_link() {
    for inside in [".rootfs-shim", ".rootfs-shim/bin", ".rootfs-shim/upper"] {
        let bench = Bench::new();
        tools(&bench.guest, "sbin");
        if inside != ".rootfs-shim" {
            fs::create_dir(bench.guest.join(".rootfs-shim")).unwrap();
            run("chmod", &["700", bench.guest.join(".rootfs-shim").to_str().unwrap()]);
        }
        link(bench.top.join("host").to_str().unwrap(), &bench.guest.join(inside));
        let before = tree_with_change_times(&bench.guest);
        let said = bench.shim_fails("install", &[], 1);
        assert!(said.contains("a symbolic link") && said.contains("may be hostile"), "{inside}: {said}");
        assert_eq!(before, tree_with_change_times(&bench.guest), "{inside}");
        bench.shim_fails("uninstall", &[], 1);
        bench.host_is_untouched();
        run("umount", &["-l", bench.top.to_str().unwrap()]);
    }
}

fn home_is_something_else() {
    let bench = Bench::new();
    tools(&bench.guest, "sbin");
    let home = bench.guest.join(".rootfs-shim");
    fs::write(&home, "a file").unwrap();
    assert!(bench.shim_fails("install", &[], 1).contains("a regular file"));
    fs::remove_file(&home).unwrap();
    fs::create_dir(&home).unwrap();
    assert!(bench.shim_fails("install", &[], 1).contains("0700"));
    run("chmod", &["700", home.to_str().unwrap()]);
    for name in ["manifest.toml", "config.toml"] {
        run("mkfifo", &[home.join(name).to_str().unwrap()]);
        assert!(bench.shim_fails("install", &[], 1).contains("a named pipe"), "{name}");
        fs::remove_file(home.join(name)).unwrap();
    }
    tool(&home.join("keep/me"), "foreign");
    bench.shim_ok("install", &[]);
    let said = bench.shim_ok("uninstall", &[]);
    assert!(said.contains(".rootfs-shim/keep"), "{said}");
    assert_eq!(fs::read_to_string(home.join("keep/me")).unwrap(), "foreign");
}

fn brought_config() {
    let bench = Bench::new();
    tools(&bench.guest, "sbin");
    let home = bench.guest.join(".rootfs-shim");
    let (config, own) = (home.join("config.toml"), bench.top.join("own.toml"));
    fs::create_dir(&home).unwrap();
    run("chmod", &["700", home.to_str().unwrap()]);
    let named = ".rootfs-shim/config.toml is not what an install wrote, and holds as it is";
    for content in ["[console]\npath = \"/dev/sda\"\n", "\x1b[2J = [[[["] {
        fs::write(&config, content).unwrap();
        for _ in 0..2 {
            assert!(bench.shim_ok("install", &[]).contains(named), "{content:?}");
        }
        bench.shim_ok("uninstall", &[]);
        assert_eq!(fs::read_to_string(&config).unwrap(), content, "it is not ours to remove");
    }
    fs::write(&own, "[swap]\nvolumes = \"allow\"\n").unwrap();
    let said = bench.shim_ok("install", &["--config", own.to_str().unwrap()]);
    assert!(!said.contains(named) && fs::read(&config).unwrap() == fs::read(&own).unwrap(), "{said}");
    assert!(!bench.shim_ok("install", &[]).contains(named));
    fs::write(&config, "").unwrap();
    assert!(bench.shim_ok("install", &[]).contains(named), "the operator's own change");
    fs::write(&config, fs::read(&own).unwrap()).unwrap();
    bench.shim_ok("uninstall", &[]);
    assert!(!config.exists() && !home.join("bin").exists());
}

fn foreign_real() {
    let bench = Bench::new();
    tools(&bench.guest, "sbin");
    tool(&bench.guest.join("sbin/swapon.real"), "somebody's");
    let before = tree(&bench.guest);
    let said = bench.shim_ok("install", &[]);
    assert!(said.contains("sbin/swapon is left as it is: sbin/swapon.real is there already"), "{said}");
    assert_eq!(fs::read_to_string(bench.guest.join("sbin/swapon.real")).unwrap(), "somebody's");
    assert!(!bench.is_shim("sbin/swapon") && bench.is_shim("sbin/mkswap"));
    bench.shim_ok("uninstall", &[]);
    assert_eq!(before, tree(&bench.guest));
}

fn odd_files() {
    let bench = Bench::new();
    tools(&bench.guest, "sbin");
    let odd = bench.guest.join("usr/sbin");
    fs::create_dir_all(&odd).unwrap();
    let path = |name: &str| odd.join(name).to_str().unwrap().to_owned();
    run("mkfifo", &[&path("swapon")]);
    run("mknod", &[&path("swapoff"), "c", "1", "3"]);
    fs::create_dir(odd.join("mkswap")).unwrap();
    let more = bench.guest.join("usr/bin");
    link("/nowhere/at/all", &more.join("swapon"));
    link("swapoff", &more.join("swapoff"));
    link("/dev/../../../../../../..", &more.join("mkswap"));
    let even_more = bench.guest.join("usr/local/sbin");
    run("mkdir", &["-p", even_more.to_str().unwrap()]);
    drop(std::os::unix::net::UnixListener::bind(even_more.join("swapon")).unwrap());
    fs::write(even_more.join("swapoff"), "").unwrap();
    let before = tree(&bench.guest);
    let said = bench.shim_ok("install", &[]);
    for line in [
        "usr/sbin/swapon is left as it is: it is a named pipe",
        "usr/sbin/swapoff is left as it is: it is a device",
        "usr/sbin/mkswap is left as it is: it is a directory",
        "usr/bin/swapon is left as it is: it is a symbolic link that leads nowhere",
        "usr/bin/swapoff is left as it is: it is a symbolic link that leads nowhere",
        "usr/bin/mkswap is left as it is: it is a symbolic link",
        "usr/local/sbin/swapon is left as it is: it is a socket",
        "usr/local/sbin/swapoff is left as it is: it is not executable",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    assert!(bench.is_shim("sbin/swapon"));
    bench.shim_ok("uninstall", &[]);
    assert_eq!(before, tree(&bench.guest));
}

fn directories_that_lead_out() {
    let host = |bench: &Bench| bench.top.join("host").to_str().unwrap().to_owned();
    let chain = |bench: &Bench| {
        for n in 0..41 {
            link(&format!("/c{}", n + 1), &bench.guest.join(format!("c{n}")));
        }
        "/c0".to_owned()
    };
    type Target<'a> = &'a dyn Fn(&Bench) -> String;
    let targets: [(&str, Target); 6] = [
        ("absolute", &|bench| format!("{}/sbin", host(bench))),
        ("up", &|_| "../../../../../../../../usr/sbin".to_owned()),
        ("proc", &|_| "/proc/self/root/usr/sbin".to_owned()),
        ("loop", &|_| "sbin".to_owned()),
        ("chain", &chain),
        ("itself", &|_| "/".to_owned()),
    ];
    for (what, target) in targets {
        let bench = Bench::new();
        tools(&bench.guest, "usr/bin");
        fs::create_dir_all(bench.guest.join("proc")).unwrap();
        link(&target(&bench), &bench.guest.join("sbin"));
        let before = tree(&bench.guest);
        bench.shim_ok("install", &[]);
        assert!(bench.is_shim("usr/bin/swapon"), "{what}");
        bench.host_is_untouched();
        bench.shim_ok("uninstall", &[]);
        assert_eq!(before, tree(&bench.guest), "{what}");
        bench.host_is_untouched();
        run("umount", &["-l", bench.top.to_str().unwrap()]);
    }
}

fn immutable() {
    let mut bench = Bench::new();
    bench.guest = bench.ext4();
    let file = bench.guest.join("sbin/mkswap");
    tools(&bench.guest, "sbin");
    for (flag, path) in [
        ("i", file.clone()),
        ("i", bench.guest.join("sbin")),
        ("a", bench.guest.join("sbin")),
        ("i", bench.guest.clone()),
    ] {
        let path = path.to_str().unwrap();
        run("chattr", &[&format!("+{flag}"), path]);
        let before = tree_with_change_times(&bench.guest);
        let said = bench.shim_fails("install", &[], 1);
        assert!(
            said.contains(&format!("change {path}: it is")) && said.contains(&format!("chattr -{flag}")),
            "{said}"
        );
        assert_eq!(before, tree_with_change_times(&bench.guest));
        run("chattr", &[&format!("-{flag}"), path]);
    }
    bench.shim_ok("install", &[]);
    // The shims are one file, of which the first name is told.
    for (path, named) in
        [("sbin/swapon", "sbin/mkswap"), ("sbin/swapon.real", "sbin/swapon.real"), ("sbin", "sbin")]
    {
        let [path, named] = [path, named].map(|path| bench.guest.join(path).to_str().unwrap().to_owned());
        run("chattr", &["+i", &path]);
        let before = tree_with_change_times(&bench.guest);
        let said = bench.shim_fails("uninstall", &[], 1);
        assert!(said.contains(&format!("change {named}: it is immutable")), "{said}");
        assert_eq!(before, tree_with_change_times(&bench.guest));
        run("chattr", &["-i", &path]);
    }
}

fn bad_roots() {
    let mut bench = Bench::new();
    let file = bench.top.join("file");
    fs::write(&file, "").unwrap();
    link(bench.guest.to_str().unwrap(), &bench.top.join("link"));
    for (path, why) in [
        ("missing", "does not exist"),
        ("file", "not a directory"),
        ("link", "a symbolic link"),
        ("link/", "a symbolic link"),
    ] {
        bench.guest = bench.top.join(path);
        let said = bench.shim_fails("install", &[], 1);
        assert!(said.contains(why), "{path}: {said}");
        bench.shim_fails("uninstall", &[], 1);
    }
    bench.host_is_untouched();
}

fn architecture() {
    let bench = Bench::new();
    tools(&bench.guest, "sbin");
    let mut program = fs::read("/bin/busybox").unwrap();
    program[18] = 0xf3;
    fs::write(bench.guest.join("sbin/swapon"), &program).unwrap();
    let said = bench.shim_ok("install", &[]);
    assert!(said.contains("sbin/swapon is left as it is: it is for another architecture"), "{said}");
    assert!(!bench.is_shim("sbin/swapon") && bench.is_shim("sbin/mkswap"));
}

fn lying_manifest() {
    let bench = Bench::new();
    tools(&bench.guest, "sbin");
    let home = bench.guest.join(".rootfs-shim");
    tool(&home.join("bin/rootfs-shim"), "a fake");
    run("chmod", &["700", home.to_str().unwrap()]);
    fs::remove_file(bench.guest.join("sbin/swapon")).unwrap();
    fs::hard_link(home.join("bin/rootfs-shim"), bench.guest.join("sbin/swapon")).unwrap();
    let fake = "9a".repeat(32);
    for manifest in [
        "garbage\x1b[2J".to_owned(),
        "version = 7\n".to_owned(),
        format!(
            "version = 1\nprogram = \"9\"\nstate = \"installed\"\ntoken = \"0000000000000000\"\n\
             directories = [\"../host\", \"/etc\"]\n[shim]\nsha256 = \"{fake}\"\n\
             [[tool]]\npath = \"../host/sbin/swapon\"\nreal = \"file\"\n"
        ),
    ] {
        fs::write(home.join("manifest.toml"), manifest).unwrap();
        let said = bench.shim_ok("install", &[]);
        assert!(!said.contains('\x1b'), "{said:?}");
        assert!(bench.is_shim("sbin/swapon") && bench.is_shim(".rootfs-shim/bin/rootfs-shim"));
        assert_eq!(fs::read_to_string(bench.guest.join("sbin/swapon.real")).unwrap(), "a fake");
        bench.host_is_untouched();
    }
    bench.shim_ok("uninstall", &[]);
    assert_eq!(fs::read_to_string(bench.guest.join("sbin/swapon")).unwrap(), "a fake");
    bench.host_is_untouched();
}

fn full_disk() {
    let mut bench = Bench::new();
    bench.guest = bench.top.join("small");
    fs::create_dir(&bench.guest).unwrap();
    run("mount", &["-t", "tmpfs", "-o", "size=1M", "small", bench.guest.to_str().unwrap()]);
    tools(&bench.guest, "sbin");
    let before = tree(&bench.guest);
    let said = bench.shim_fails("install", &[], 1);
    assert!(said.contains("No space left on device") && said.contains("put back"), "{said}");
    assert_eq!(before, tree(&bench.guest));
}

fn read_only() {
    let bench = Bench::new();
    let lower = bench.top.join("lower");
    tools(&lower, "sbin");
    bench.overlay(&lower);
    run("mount", &["-o", "remount,ro", bench.guest.to_str().unwrap()]);
    assert!(bench.shim_fails("install", &[], 1).contains("read-only"));
}

fn two_at_once() {
    let bench = Bench::new();
    tools(&bench.guest, "sbin");
    let before = tree(&bench.guest);
    for command in ["install", "uninstall", "install", "uninstall"] {
        let start = |_| {
            let mut call = Command::new(&bench.program);
            call.arg(command).arg("--chroot").arg(&bench.guest).stdout(Stdio::piped()).stderr(Stdio::piped());
            call.spawn().unwrap()
        };
        let children: Vec<_> = (0..6).map(start).collect();
        for child in children {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{command}: {}", text(&output));
        }
        let installed = command == "install";
        assert_eq!(bench.is_shim("sbin/swapon"), installed);
        assert_eq!(Path::new(&bench.guest.join(".rootfs-shim")).exists(), installed);
    }
    assert_eq!(before, tree(&bench.guest));
}
