//! SIGKILL and errors at the system calls of install, upgrade and uninstall.
//!
//! strace does the injecting; which calls there are, a run without injection tells. After each kill the names
//! answer, `status` names what did not end, and the next run finishes the job; after each error everything is as
//! it was, and the outcome says so. Every call that changes something is tried, and of the many that only look
//! every so manieth; with ROOTFS_SHIM_WHOLE_MATRIX=1 every call with every error, which takes hours.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::bench::{Bench, Test, as_the_last_release, is_whole, run, text, tools, tree};
use crate::overlay::Overlay;

pub const TESTS: &[Test] = &[
    ("killed_at_the_calls_of_install", || killed("install")),
    ("killed_at_the_calls_of_upgrade", || killed("upgrade")),
    ("killed_at_the_calls_of_uninstall", || killed("uninstall")),
    ("an_error_at_the_calls_of_install", || failing("install", &["mkdirat"])),
    ("an_error_at_the_calls_of_upgrade", || failing("upgrade", &["fchmod", "umount2", "open_tree"])),
    ("an_error_at_the_calls_of_uninstall", || failing("uninstall", &["umount2", "open_tree"])),
    ("killed_while_an_install_is_put_back", || killed_while_put_back("install")),
    ("killed_while_an_upgrade_is_put_back", || killed_while_put_back("upgrade")),
    ("killed_while_an_uninstall_is_put_back", || killed_while_put_back("uninstall")),
    ("a_filesystem_that_cannot_exchange_names_will_do", cannot_exchange),
];

/// The calls that change a file system or a mount, in each of the three commands.
const CHANGING: [&str; 10] = [
    "fchown",
    "linkat",
    "renameat",
    "renameat2",
    "unlinkat",
    "fsync",
    "write",
    "fchmod",
    "utimensat",
    "flock",
];
/// And those of one.
const MORE: [&str; 3] = ["mkdirat", "umount2", "open_tree"];
/// The calls that only look and may fail as well.
const LOOKING: [&str; 6] = ["openat", "openat2", "newfstatat", "read", "getdents64", "getrandom"];
const ERRORS: [&str; 6] = ["ENOSPC", "EIO", "EROFS", "EDQUOT", "EPERM", "EMFILE"];
/// Of the calls that only look, one in so many is tried.
const STRIDE: usize = 53;

/// dpkg's list, which every crash has to leave whole and every uninstall as it was.
const LIST: &str = "var/lib/dpkg/diversions";
const DIVERSIONS: &str = "/bin/sh\n/bin/sh.distrib\ndash\n";

/// One command on guests that are alike.
struct Stage {
    bench: Bench,
    /// What is installed before, if anything is, and what the command is run with.
    programs: [PathBuf; 2],
    what: &'static str,
    /// The names of the guest without and with the shim.
    clean: BTreeSet<String>,
    installed: BTreeSet<String>,
    count: usize,
}

/// One guest.
struct Scene<'a> {
    stage: &'a Stage,
    number: usize,
    top: PathBuf,
    guest: PathBuf,
}

impl Stage {
    fn new(what: &'static str) -> Self {
        let bench = Bench::new();
        let mut programs = [bench.program.clone(), bench.program.clone()];
        if what == "upgrade" {
            programs[1] = bench.top.join("rootfs-shim-2");
            fs::copy(&programs[0], &programs[1]).unwrap();
            fs::OpenOptions::new().append(true).open(&programs[1]).unwrap().write_all(b"2").unwrap();
        }
        let mut this =
            Self { bench, programs, what, clean: BTreeSet::new(), installed: BTreeSet::new(), count: 0 };
        let scene = this.scene(0);
        if what != "install" {
            scene.succeed("uninstall");
        }
        let clean = scene.names();
        scene.succeed("install");
        let installed = scene.names();
        scene.end();
        (this.clean, this.installed) = (clean, installed);
        this
    }

    fn command(&self) -> &'static str {
        if self.what == "uninstall" { "uninstall" } else { "install" }
    }

    /// A guest, as it is before the command: where something is installed, the last release did it.
    fn scene(&self, number: usize) -> Scene<'_> {
        let top = self.bench.top.join(number.to_string());
        let guest = top.join("guest");
        let lower = top.join("lower");
        tools(&lower, "usr/sbin");
        fs::create_dir_all(lower.join("var/lib/dpkg/info")).unwrap();
        fs::write(lower.join(LIST), DIVERSIONS).unwrap();
        fs::create_dir(&guest).unwrap();
        let overlay = Overlay::new(&lower, &top);
        overlay.prepare();
        overlay.mount(&guest);
        let scene = Scene { stage: self, number, top, guest };
        if self.what != "install" {
            let program = &self.programs[0];
            let output =
                Command::new(program).args(["install", "--chroot"]).arg(&scene.guest).output().unwrap();
            assert!(output.status.success(), "{}", text(&output));
            as_the_last_release(&scene.guest, &scene.top.join("upper"));
        }
        scene
    }

    /// How often each call is made when nothing goes wrong.
    fn calls(&mut self) -> BTreeMap<String, usize> {
        let scene = self.scene(1);
        let (output, log) = scene.traced(&[]);
        assert!(output.status.success(), "{}", text(&output));
        scene.end();
        let mut calls = BTreeMap::new();
        for line in log.lines() {
            let name =
                line.split_whitespace().nth(1).and_then(|rest| rest.split_once('(')).map(|(name, _)| name);
            *calls.entry(name.unwrap_or_default().to_owned()).or_insert(0) += 1;
        }
        calls.retain(|name, _| !["", "execve", "exit_group", "+++"].contains(&name.as_str()));
        calls
    }

    /// Which of the calls are tried.
    fn tried(&mut self) -> Vec<(String, usize)> {
        let (calls, whole) = (self.calls(), is_whole());
        let changes = |name: &str| CHANGING.contains(&name) || MORE.contains(&name);
        let all = calls.iter().flat_map(|(name, count)| (1..=*count).map(move |nth| (name.clone(), nth)));
        let wanted = |(number, (name, _)): &(usize, (String, usize))| {
            whole || changes(name) || number.is_multiple_of(STRIDE)
        };
        all.enumerate().filter(wanted).map(|(_, case)| case).collect()
    }
}

impl Scene<'_> {
    fn run(&self, command: &str) -> Output {
        let program = &self.stage.programs[1];
        Command::new(program).args([command, "--json", "--chroot"]).arg(&self.guest).output().unwrap()
    }

    fn succeed(&self, command: &str) -> Value {
        let output = self.run(command);
        assert!(output.status.success(), "{command}: {}", text(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Runs the command under strace; what it said, and the log.
    fn traced(&self, arguments: &[&str]) -> (Output, String) {
        let log = self.top.join("strace.log");
        let mut call = Command::new("strace");
        call.args(["-f", "-o"]).arg(&log).args(arguments).arg(&self.stage.programs[1]);
        call.args([self.stage.command(), "--json", "--chroot"]).arg(&self.guest).stdin(Stdio::null());
        (call.output().unwrap(), fs::read_to_string(log).unwrap())
    }

    /// The same with that done to its nth such call, which there is.
    fn inject(&self, call: &str, what: &str, nth: usize) -> (Output, String) {
        let inject = format!("inject={call}:{what}:when={nth}");
        let (output, log) = self.traced(&["-e", &format!("trace={call}"), "-e", &inject]);
        let happened = log.contains("INJECTED") || log.contains("killed by SIGKILL");
        assert!(happened, "there is no {nth}th {call}: {log}");
        (output, log)
    }

    /// Every name has an answer that ends in the real tool, and dpkg's list is whole.
    fn answers(&self, when: &str) {
        for name in ["swapon", "swapoff", "mkswap"] {
            let path = self.guest.join("usr/sbin").join(name);
            let content = fs::read(&path).unwrap_or_else(|error| panic!("{when}: {name}: {error}"));
            if !content.starts_with(b"#!/bin/sh\necho the real") {
                let real = fs::read(path.with_extension("real")).unwrap_or_default();
                let is_real = real.starts_with(b"#!/bin/sh\necho the real");
                assert!(is_real, "{when}: {name} is a shim without .real");
                assert!(content.len() > 100_000, "{when}: {name} is neither tool nor shim");
            }
        }
        let list = self.list();
        assert!(list.starts_with(DIVERSIONS) && list.lines().count().is_multiple_of(3), "{when}: {list}");
    }

    /// `status` says what the matter is: all is well, nothing is installed, or something did not end.
    fn tells(&self, when: &str) {
        let status: Value = serde_json::from_slice(&self.run("status").stdout).unwrap();
        let (mut names, said) = (self.names(), status["problems"].to_string());
        let is_old = names.remove(".rootfs-shim/upper");
        if names == self.stage.clean {
            assert!(said.contains("not installed") && !said.contains("did not end"), "{when}: {status}");
        } else if names == self.stage.installed && status["state"] == "installed" {
            let is_bound =
                is_old && said.contains("`rootfs-shim install --chroot") && said.contains("takes it away");
            assert_eq!(status["healthy"], !is_bound, "{when}: {status}");
        } else {
            assert!(said.contains("did not end"), "{when}: {names:?} {status}");
            assert_eq!(status["healthy"], false, "{when}: {status}");
        }
    }

    /// The next run finishes the job, and then there is nothing left to do; then all is given back.
    fn mends(&self, command: &str, when: &str) {
        self.succeed(command);
        self.answers(when);
        let wanted = if command == "install" { &self.stage.installed } else { &self.stage.clean };
        assert_eq!(self.names(), *wanted, "{when}, then {command}");
        if self.is_thorough() {
            let again = self.succeed(command);
            assert_eq!(again["changed"], false, "{when}, then {command} twice: {again}");
        }
        if command == "install" {
            let program = fs::read(&self.stage.programs[1]).unwrap();
            for name in ["swapon", "swapoff", "mkswap"] {
                assert!(
                    fs::read(self.guest.join("usr/sbin").join(name)).unwrap() == program,
                    "{when}: {name}"
                );
            }
            assert!(self.list().contains("/usr/sbin/swapon.real"), "{when}");
            self.tells(when);
            if self.is_thorough() {
                self.mends("uninstall", when);
            }
            return;
        }
        assert_eq!(self.list(), DIVERSIONS, "{when}");
    }

    /// What was seen on the way to this scene's like needs not be seen each time.
    fn is_thorough(&self) -> bool {
        is_whole() || self.number % 4 < 2
    }

    fn list(&self) -> String {
        fs::read_to_string(self.guest.join(LIST)).unwrap()
    }

    fn names(&self) -> BTreeSet<String> {
        let top = format!("{}/", self.guest.display());
        let name = |line: String| line.split(" ino ").next().unwrap_or_default().replace(&top, "");
        let names = tree(&self.guest).into_iter().skip(1).map(name);
        names.filter(|path| !path.contains("rootfs-shim/upper/")).collect()
    }

    /// All that has to be as it was: names, inodes, owners, modes, times, contents, mounts. Not the times of the
    /// directories where the very call that sets them fails, and of our own.
    fn facts(&self, call: &str) -> (Vec<String>, usize) {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap().lines().count();
        let line = |line: String| {
            let ours = line.contains("/.rootfs-shim");
            let words: Vec<_> = line.split_whitespace().collect();
            if words[3].starts_with('4') && (ours || ["utimensat", "newfstatat"].contains(&call)) {
                return words[..5].join(" ");
            }
            line
        };
        let lines = tree(&self.guest).into_iter().filter(|line| !line.contains("rootfs-shim/upper/"));
        (lines.map(line).collect(), mounts)
    }

    fn end(self) {
        run("umount", &["-R", "-l", self.guest.to_str().unwrap()]);
        fs::remove_dir_all(self.top).unwrap();
    }
}

fn killed(what: &'static str) {
    let mut stage = Stage::new(what);
    let tried = stage.tried();
    for (number, (call, nth)) in tried.iter().enumerate() {
        let scene = stage.scene(number + 2);
        scene.inject(call, "signal=KILL", *nth);
        let when = format!("{what} killed at {call} {nth}");
        scene.answers(&when);
        scene.tells(&when);
        let back = stage.what == "uninstall" || number % 2 == 1;
        scene.mends(if back { "uninstall" } else { "install" }, &when);
        scene.end();
        stage.count += 1;
    }
    assert!(stage.count > 45, "only {} calls were tried", stage.count);
}

fn failing(what: &'static str, own: &[&str]) {
    let mut stage = Stage::new(what);
    let calls = stage.calls();
    for call in CHANGING.iter().chain(own).chain(&LOOKING) {
        assert!(calls.contains_key(*call), "{what} makes no {call}: {calls:?}");
    }
    let may_fail = [&CHANGING[..], &MORE, &LOOKING].concat();
    let tried: Vec<_> =
        stage.tried().into_iter().filter(|(call, _)| may_fail.contains(&call.as_str())).collect();
    let mut met = BTreeSet::new();
    for (number, (call, nth)) in tried.iter().enumerate() {
        let errors: &[_] = if is_whole() { &ERRORS } else { &ERRORS[number % ERRORS.len()..][..1] };
        for error in errors {
            fail(&stage, call, *nth, error);
            met.insert((call.clone(), *error));
            stage.count += 1;
        }
    }
    // Each call that changes something is met by each error at least once.
    for call in CHANGING.iter().chain(own) {
        for error in ERRORS {
            if met.insert(((*call).to_owned(), error)) {
                fail(&stage, call, calls[*call], error);
            }
        }
    }
    assert!(stage.count > 40, "only {} calls were tried", stage.count);
}

/// The last fsync that is still undone fails, and then each of the calls that put everything back is the last.
fn killed_while_put_back(what: &'static str) {
    let mut stage = Stage::new(what);
    let fsyncs = stage.calls()["fsync"];
    let fail = |nth: usize| format!("inject=fsync:error=EIO:when={nth}");
    let undone = (1..=fsyncs).rev().find_map(|nth| {
        let scene = stage.scene(nth + 1);
        let (output, log) = scene.traced(&["-e", &fail(nth)]);
        scene.end();
        (!output.status.success()).then_some((nth, log))
    });
    let (nth, log) = undone.unwrap();
    let mut counts = BTreeMap::new();
    let (mut failed, mut cases) = (false, Vec::new());
    for line in log.lines() {
        let call =
            line.split_whitespace().nth(1).and_then(|rest| rest.split_once('(')).map_or("", |(name, _)| name);
        let count = counts.entry(call).or_insert(0);
        *count += 1;
        failed |= line.contains("INJECTED");
        if failed && ["unlinkat", "renameat", "renameat2", "fchmod", "umount2", "move_mount"].contains(&call)
        {
            cases.push((call, *count));
        }
    }
    for (number, (call, count)) in cases.iter().enumerate() {
        let scene = stage.scene(number + 100);
        let kill = format!("inject={call}:signal=KILL:when={count}");
        let (output, _) = scene.traced(&["-e", "trace=all", "-e", &fail(nth), "-e", &kill]);
        let when = format!("{what} killed at {call} {count} while it was put back");
        assert_eq!(output.status.code(), None, "{when}: {}", text(&output));
        scene.answers(&when);
        scene.tells(&when);
        scene.mends(stage.command(), &when);
        scene.end();
    }
    assert!(cases.len() > 3, "{cases:?}");
}

fn fail(stage: &Stage, call: &str, nth: usize, error: &str) {
    let scene = stage.scene(stage.count + 2);
    let before = scene.facts(call);
    let (output, log) = scene.inject(call, &format!("error={error}"), nth);
    let when = format!("{} with {error} at {call} {nth}: {}", stage.what, text(&output));
    scene.answers(&when);
    scene.tells(&when);
    let unheard = log.lines().any(|line| line.contains("write(1,") && line.contains("INJECTED"));
    if output.status.success() || unheard {
        assert_eq!(unheard, !output.status.success(), "{when}");
        assert_ne!(before, scene.facts(call), "{when}");
    } else {
        assert_eq!(before, scene.facts(call), "{when}");
        let said: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{when}: {error}"));
        assert_eq!(said["changed"], false, "{when}");
        assert!(said["error"].as_str().unwrap().len() > 10, "{when}");
    }
    scene.mends(stage.command(), &when);
    scene.end();
}

/// What a filesystem without RENAME_EXCHANGE says.
fn cannot_exchange() {
    for what in ["install", "upgrade", "uninstall"] {
        let stage = Stage::new(what);
        let scene = stage.scene(1);
        let (output, log) = scene.traced(&["-e", "trace=renameat2", "-e", "inject=renameat2:error=EINVAL"]);
        assert!(output.status.success() && log.contains("INJECTED"), "{what}: {}", text(&output));
        scene.answers(what);
        scene.tells(what);
        scene.mends(stage.command(), what);
        scene.end();
        run("umount", &["-l", stage.bench.top.to_str().unwrap()]);
    }
}
