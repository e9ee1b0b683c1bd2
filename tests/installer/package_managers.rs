//! Package managers over a shim: real dpkg and apt in a Debian guest, and a rename as rpm and apk do it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::bench::{Bench, Test, link, run, text, tool, tools, tree};

pub const TESTS: &[Test] = &[
    ("dpkgs_list_is_given_back_byte_for_byte", list_is_given_back),
    ("a_diversion_of_somebody_elses_is_left_alone", somebody_elses),
    ("a_hostile_list_of_diversions_is_left_alone", hostile_lists),
    ("apt_reinstalls_upgrades_and_removes_beside_the_shim", apt),
    ("the_running_root_is_diverted_with_dpkgs_own_tool", running),
    ("a_rename_over_the_shim_is_reported_and_adopted", renamed_over),
    ("a_real_tool_that_is_gone_stays_in_the_record", real_is_gone),
];

const NAMES: [&str; 3] = ["swapon", "swapoff", "mkswap"];
const LIST: &str = "var/lib/dpkg/diversions";
const DASH: &str = "/bin/sh\n/bin/sh.distrib\ndash\n";

/// A tree with an empty dpkg, merged as Debian is.
fn debian_tree(bench: &Bench, list: Option<&str>) {
    tools(&bench.guest, "usr/sbin");
    link("usr/sbin", &bench.guest.join("sbin"));
    let info = bench.guest.join("var/lib/dpkg/info");
    fs::create_dir_all(&info).unwrap();
    // bookworm's spelling, trixie's, and a file that no package has.
    fs::write(info.join("mount.list"), "/.\n/sbin\n/sbin/swapon\n/usr/share/swapoff\n").unwrap();
    fs::write(info.join("other.list"), "/.\n/usr/sbin/swapoff\n/opt/sbin/mkswap\n").unwrap();
    run("mkfifo", &[info.join("pipe.list").to_str().unwrap()]);
    if let Some(list) = list {
        fs::write(bench.guest.join(LIST), list).unwrap();
    }
}

/// What install adds to the list for a merged tree.
fn expected() -> String {
    three("/sbin/swapon") + &three("/usr/sbin/swapoff") + &three("/sbin/mkswap") + &three("/usr/sbin/mkswap")
}

fn three(path: &str) -> String {
    format!("{path}\n{path}.real\n:\n")
}

fn sorted(list: &str) -> Vec<String> {
    let lines: Vec<&str> = list.lines().collect();
    let mut all: Vec<String> = lines.chunks(3).map(|three| three.join(" ")).collect();
    all.sort();
    all
}

fn list_is_given_back() {
    for list in [Some(DASH), Some(""), None] {
        let bench = Bench::new();
        debian_tree(&bench, list);
        let names = |line: String| line.replace(|c: char| c.is_ascii_digit(), "");
        let before: Vec<_> = tree(&bench.guest).into_iter().map(names).collect();
        let steps = bench.shim_ok("install", &["--dry-run", "--json"]);
        assert!(steps.contains("\"action\": \"divert\"") && steps.contains("\"with\": \"file\""), "{steps}");
        bench.shim_ok("install", &[]);
        let now = fs::read_to_string(bench.guest.join(LIST)).unwrap();
        assert_eq!(sorted(&now), sorted(&format!("{}{}", list.unwrap_or_default(), expected())), "{list:?}");
        assert!(now.starts_with(list.unwrap_or_default()));
        assert!(bench.shim_ok("install", &[]).contains("nothing to do"));
        // Somebody takes ours away.
        fs::write(bench.guest.join(LIST), list.unwrap_or_default()).unwrap();
        let status = text(&bench.shim("status", &[]));
        assert!(status.contains("dpkg has lost the diversion of /sbin/swapon"), "{status}");
        bench.shim_ok("install", &[]);
        assert_eq!(fs::read_to_string(bench.guest.join(LIST)).unwrap(), now);
        bench.shim_ok("uninstall", &[]);
        assert_eq!(fs::read_to_string(bench.guest.join(LIST)).ok().as_deref(), list);
        assert_eq!(before, tree(&bench.guest).into_iter().map(names).collect::<Vec<_>>(), "{list:?}");
        run("umount", &["-l", bench.top.to_str().unwrap()]);
    }
}

fn somebody_elses() {
    let bench = Bench::new();
    let list = "/sbin/swapon\n/sbin/swapon.distrib\nother\n/x\n/sbin/mkswap.real\n:\n\
        /usr/sbin/swapoff\n/usr/sbin/swapoff.real\n:\n";
    debian_tree(&bench, Some(list));
    let said = bench.shim_ok("install", &[]);
    assert!(said.contains("dpkg diverts /sbin/swapon to /sbin/swapon.distrib already"), "{said}");
    assert!(said.contains("dpkg diverts /x to /sbin/mkswap.real already"), "{said}");
    let now = fs::read_to_string(bench.guest.join(LIST)).unwrap();
    assert!(now.starts_with(list), "{now}");
    assert_eq!(now.strip_prefix(list).unwrap(), three("/usr/sbin/mkswap"));
    bench.shim_ok("uninstall", &[]);
    assert_eq!(fs::read_to_string(bench.guest.join(LIST)).unwrap(), list, "one that was there is not ours");
}

fn hostile_lists() {
    type Make<'a> = &'a dyn Fn(&Bench, &Path);
    let make: [(&str, Make); 6] = [
        ("torn", &|_, path| fs::write(path, "/sbin/swapon\n/sbin/swap").unwrap()),
        ("pipe", &|_, path| run("mkfifo", &[path.to_str().unwrap()])),
        ("link", &|bench, path| link(bench.top.join("host/busybox").to_str().unwrap(), path)),
        ("directory", &|_, path| fs::create_dir(path).unwrap()),
        ("huge", &|_, path| {
            fs::write(path, "").unwrap();
            run("truncate", &["-s", "1T", path.to_str().unwrap()]);
        }),
        ("device", &|_, path| run("mknod", &[path.to_str().unwrap(), "c", "1", "5"])),
    ];
    for (what, make) in make {
        let bench = Bench::new();
        debian_tree(&bench, None);
        make(&bench, &bench.guest.join(LIST));
        let before = tree(&bench.guest);
        let said = bench.shim_ok("install", &[]);
        assert!(
            said.contains("var/lib/dpkg/diversions") && said.contains("dpkg is not told"),
            "{what}: {said}"
        );
        assert!(bench.is_shim("usr/sbin/swapon"), "{what}");
        bench.shim_ok("uninstall", &[]);
        assert_eq!(before, tree(&bench.guest), "{what}");
        bench.host_is_untouched();
        run("umount", &["-l", bench.top.to_str().unwrap()]);
    }
}

/// The host's Debian as a guest that apt can work in.
pub struct Debian {
    pub bench: Bench,
    pub packages: PathBuf,
}

impl Debian {
    pub fn new() -> Self {
        let bench = Bench::new();
        bench.overlay_on(Path::new("/"), &bench.ext4());
        for (what, kind) in [("proc", "proc"), ("dev", "tmpfs"), ("tmp", "tmpfs")] {
            let to = bench.guest.join(what);
            run("mount", &["-t", kind, kind, to.to_str().unwrap()]);
        }
        run("mknod", &["-m", "666", bench.guest.join("dev/null").to_str().unwrap(), "c", "1", "3"]);
        let packages = bench.guest.join("tmp");
        Self { bench, packages }
    }

    pub fn inside(&self, arguments: &[&str]) -> Output {
        let mut call = Command::new("chroot");
        call.arg(&self.bench.guest).args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        call.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output().unwrap()
    }

    pub fn inside_ok(&self, arguments: &[&str]) -> String {
        let output = self.inside(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output));
        text(&output)
    }

    /// A package of that name and version whose tools are scripts that say the version, at that spelling.
    fn package(&self, name: &str, version: &str, sbin: &str, contents: &[&str]) -> String {
        self.package_with(name, version, sbin, contents, None)
    }

    /// The same, with a script that dpkg runs before it unpacks.
    pub fn package_with(
        &self,
        name: &str,
        version: &str,
        sbin: &str,
        contents: &[&str],
        script: Option<&str>,
    ) -> String {
        let build = self.packages.join(format!("{name}-{version}"));
        for content in contents {
            let script = format!("#!/bin/sh\necho {content} of {name} {version}\n");
            tool(&build.join(sbin.trim_start_matches('/')).join(content), &script);
        }
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\nMulti-Arch: foreign\nEssential: no\n\
             Maintainer: nobody <nobody@example.org>\nDescription: stands in for Debian's\n"
        );
        fs::create_dir_all(build.join("DEBIAN")).unwrap();
        fs::write(build.join("DEBIAN/control"), control).unwrap();
        fs::set_permissions(build.join("DEBIAN"), fs::Permissions::from_mode(0o755)).unwrap();
        if let Some(script) = script {
            tool(&build.join("DEBIAN/preinst"), script);
        }
        let file = format!("tmp/{name}_{version}.deb");
        let to = self.bench.guest.join(&file);
        run(
            "dpkg-deb",
            &["--root-owner-group", "-Znone", "-b", build.to_str().unwrap(), to.to_str().unwrap()],
        );
        format!("/{file}")
    }

    fn apt(&self, arguments: &[&str]) {
        let options = [
            "apt-get",
            "-qq",
            "--yes",
            "--allow-downgrades",
            "--allow-change-held-packages",
            "--allow-remove-essential",
            "--no-install-recommends",
            "-o",
            "DPkg::NoTriggers=true",
            "-o",
            "DPkg::Options::=--force-unsafe-io",
            "-o",
            "DPkg::Options::=--force-depends",
            "-o",
            "APT::Sandbox::User=root",
        ];
        self.inside_ok(&[&options[..], arguments].concat());
    }

    /// dpkg alone: apt would see to the packages that depend on this one as well.
    fn dpkg(&self, arguments: &[&str]) {
        let options = ["dpkg", "--force-depends", "--force-unsafe-io", "--no-triggers"];
        self.inside_ok(&[&options[..], arguments].concat());
    }

    /// The shim stands at every name, answers, and `.real` says that.
    fn shim_over(&self, real: &str, when: &str) {
        for name in ["swapon", "swapoff"] {
            assert!(self.bench.is_shim(&format!("usr/sbin/{name}")), "{when}: {name} is not the shim");
            let content = fs::read_to_string(self.bench.guest.join(format!("usr/sbin/{name}.real")))
                .unwrap_or_else(|error| panic!("{when}: {name}.real: {error}"));
            assert!(content.contains(&format!("echo {name} {real}")), "{when}: {name}.real: {content}");
        }
        let said = self.inside_ok(&["/sbin/swapon", "--version"]);
        assert!(said.contains(&format!("swapon {real}")), "{when}: {said}");
        let status = self.bench.shim("status", &[]);
        assert!(status.status.success(), "{when}: {}", text(&status));
        // The first notes the new content, and how the package spells its names now.
        self.bench.shim_ok("install", &[]);
        assert!(self.bench.shim_ok("install", &[]).contains("nothing to do"), "{when}");
    }
}

fn apt() {
    let debian = Debian::new();
    let bench = &debian.bench;
    let before = fs::read(bench.guest.join(LIST)).ok();
    bench.shim_ok("install", &[]);
    let audit = debian.inside_ok(&["dpkg-divert", "--list"]);
    assert!(audit.contains("local diversion of /sbin/swapon to /sbin/swapon.real"), "{audit}");
    debian.inside_ok(&["dpkg", "--audit"]);
    // A stand-in with bookworm's spelling, again, and with trixie's: a dist-upgrade.
    let tools = ["swapon", "swapoff"];
    let first = debian.package("mount", "90.1", "/sbin", &tools);
    let second = debian.package("mount", "90.2", "/usr/sbin", &tools);
    debian.apt(&["install", &first]);
    debian.shim_over("of mount 90.1", "an upgrade");
    debian.apt(&["install", "--reinstall", &first]);
    debian.shim_over("of mount 90.1", "apt-get install --reinstall");
    debian.apt(&["install", &second]);
    let status = bench.shim("status", &[]);
    assert!(text(&status).contains("swapon was replaced by something else"), "{}", text(&status));
    assert!(debian.inside_ok(&["/sbin/swapon"]).contains("swapon of mount 90.2"));
    bench.shim_ok("install", &[]);
    debian.shim_over("of mount 90.2", "an upgrade that spells the path in another way");
    let list = fs::read_to_string(bench.guest.join(LIST)).unwrap();
    assert!(list.contains("/usr/sbin/swapon\n/usr/sbin/swapon.real\n:\n"), "{list}");
    assert!(!list.contains("\n/sbin/swapon\n"), "{list}");
    debian.apt(&["install", "--reinstall", &second]);
    debian.shim_over("of mount 90.2", "apt-get install --reinstall with the new spelling");
    // mkswap is util-linux's, which was not touched at all.
    assert!(bench.is_shim("usr/sbin/mkswap") && bench.guest.join("usr/sbin/mkswap.real").exists());
    debian.dpkg(&["--remove", "mount"]);
    assert!(bench.is_shim("usr/sbin/swapon") && !bench.guest.join("usr/sbin/swapon.real").exists());
    let said = debian.inside_ok(&["/sbin/swapon", "--version"]);
    assert!(!said.contains("of mount"), "the shim does it itself: {said}");
    assert!(bench.shim_ok("install", &[]).contains("usr/sbin/swapon.real is gone"));
    let status = bench.shim("status", &[]);
    assert!(
        status.status.code() == Some(1) && text(&status).contains("swapon.real is gone"),
        "{}",
        text(&status)
    );
    let plan = bench.shim_ok("uninstall", &["--dry-run"]);
    assert!(
        plan.contains("would remove usr/sbin/swapon\n"),
        "its package is gone, and so the shim goes: {plan}"
    );
    debian.dpkg(&["--install", &first]);
    debian.shim_over("of mount 90.1", "a removal and a new install");
    bench.shim_ok("uninstall", &[]);
    assert_eq!(fs::read(bench.guest.join(LIST)).ok(), before, "the list of diversions");
    assert!(debian.inside_ok(&["/sbin/swapon"]).contains("swapon of mount 90.1"));
    debian.dpkg(&["--install", &second]);
    assert!(debian.inside_ok(&["/sbin/swapon"]).contains("swapon of mount 90.2"));
    assert!(!bench.guest.join("usr/sbin/swapon.real").exists());
    bench.host_is_untouched();
}

fn running() {
    let debian = Debian::new();
    let bench = &debian.bench;
    let before = fs::read(bench.guest.join(LIST)).unwrap_or_default();
    fs::copy(&bench.program, bench.guest.join("tmp/rootfs-shim")).unwrap();
    let said = debian.inside_ok(&["/tmp/rootfs-shim", "install", "--dry-run"]);
    assert!(said.contains("to .real with dpkg-divert"), "{said}");
    debian.inside_ok(&["/tmp/rootfs-shim", "install"]);
    let now = fs::read_to_string(bench.guest.join(LIST)).unwrap();
    let only_new: Vec<_> = sorted(&now).into_iter().filter(|one| one.contains(".real")).collect();
    // The host's own Debian says how its packages spell them.
    let files = debian.inside_ok(&["dpkg", "-L", "mount", "util-linux"]);
    let spelled = |name: &str| files.lines().find(|line| line.ends_with(&format!("sbin/{name}"))).unwrap();
    let list: String = NAMES.iter().map(|name| three(spelled(name))).collect();
    assert_eq!(only_new, sorted(&list));
    let first = debian.package("mount", "90.1", "/sbin", &["swapon", "swapoff"]);
    debian.dpkg(&["--install", &first]);
    // From outside it is seen where upper is.
    bench.shim_ok("install", &[]);
    debian.shim_over("of mount 90.1", "dpkg -i");
    debian.inside_ok(&["/tmp/rootfs-shim", "uninstall"]);
    let after = fs::read(bench.guest.join(LIST)).unwrap_or_default();
    assert_eq!(
        String::from_utf8(after).map(|list| sorted(&list)),
        String::from_utf8(before).map(|list| sorted(&list))
    );
    assert!(!bench.guest.join(".rootfs-shim").exists());
}

fn renamed_over() {
    let bench = Bench::new();
    tools(&bench.guest, "usr/sbin");
    bench.shim_ok("install", &[]);
    let name = bench.guest.join("usr/sbin/swapon");
    // rpm and apk write a file beside the name and rename it over.
    for (round, temporary) in [(1, "swapon;64f0aa11"), (2, ".apk.5f1c0d2e")] {
        let new = bench.guest.join("usr/sbin").join(temporary);
        tool(&new, &format!("#!/bin/sh\necho round {round}\n"));
        fs::rename(&new, &name).unwrap();
        let status = bench.shim("status", &[]);
        let said = text(&status);
        assert!(status.status.code() == Some(1) && said.contains("was replaced by something else"), "{said}");
        bench.shim_ok("install", &[]);
        assert!(bench.is_shim("usr/sbin/swapon"));
        let real = fs::read_to_string(bench.guest.join("usr/sbin/swapon.real")).unwrap();
        assert!(real.contains(&format!("round {round}")), "{real}");
        assert!(bench.shim("status", &[]).status.success());
    }
    bench.shim_ok("uninstall", &[]);
    assert!(fs::read_to_string(&name).unwrap().contains("round 2"));
}

fn real_is_gone() {
    let mut bench = Bench::new();
    tools(&bench.guest, "usr/sbin");
    bench.shim_ok("install", &[]);
    fs::remove_file(bench.guest.join("usr/sbin/swapon.real")).unwrap();
    for _ in 0..2 {
        assert!(bench.shim_ok("install", &[]).contains("usr/sbin/swapon.real is gone"));
        assert!(text(&bench.shim("status", &[])).contains("swapon.real is gone"));
    }
    // Also when an upgrade writes the manifest anew.
    let other = bench.top.join("rootfs-shim-2");
    let program = [fs::read(&bench.program).unwrap(), b"2".to_vec()].concat();
    fs::write(&other, program).unwrap();
    fs::set_permissions(&other, fs::Permissions::from_mode(0o755)).unwrap();
    bench.program = other;
    assert!(bench.shim_ok("install", &[]).contains("usr/sbin/swapon.real is gone"));
    let said = bench.shim_ok("uninstall", &[]);
    assert!(said.contains("so the shim is left"), "{said}");
    assert!(bench.guest.join("usr/sbin/swapon").exists(), "uninstall has taken the only swapon away");
}
