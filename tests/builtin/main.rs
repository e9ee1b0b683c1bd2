//! The builtins beside util-linux: the same scripts, the same bytes.
//!
//! Each script of `tests/builtin/` runs twice in an own mount namespace on the real kernel, and what it
//! prints, calls, outputs, statuses, checksums of headers and `/proc/swaps`, is compared line by line. A
//! script's expectation is never written down, so it cannot be wrong.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test fails by panicking and speaks by printing"
)]

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use rootfs_shim::internals::swap::Header;

#[path = "../support/swap_lock.rs"]
mod swap_lock;
#[path = "../support/unchecked.rs"]
mod unchecked;
#[path = "../support/view.rs"]
#[expect(dead_code, reason = "here nobody swaps beside others")]
mod view;

const SHIM: &str = env!("CARGO_BIN_EXE_rootfs-shim");
/// The version whose behaviour the builtin has.
const UTIL_LINUX: &str = "util-linux 2.38.";

/// A comparison: its name, the script, and the two kinds of run.
const COMPARISONS: [(&str, &str, Side, Side); 4] = [
    ("mkswap is util-linux's", "mkswap.sh", Side::Native("/usr/sbin"), Side::Ours),
    ("swapon and swapoff are util-linux's", "swapon.sh", Side::Native("/usr/sbin"), Side::Ours),
    ("fstab is read as util-linux reads it", "fstab.sh", Side::Native("/usr/sbin"), Side::Ours),
    ("an overlay root is a plain one", "guest.sh", Side::Guest("plain"), Side::Guest("overlay")),
];

/// Where a script runs.
#[derive(Debug, Clone, Copy)]
enum Side {
    /// On plain ext4, with the tools of that directory.
    Native(&'static str),
    /// On plain ext4, with the builtins.
    Ours,
    /// In a guest that has only the builtins.
    Guest(&'static str),
}

fn main() -> ExitCode {
    if nix::unistd::geteuid().is_root() {
        // Before there are threads: what is mounted for a test goes with this process.
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
    }
    let arguments = Arguments::from_args();
    let strict = unchecked::is_a_failure();
    let mut not_checked = Vec::new();
    let mut trials = vec![
        Trial::test("mkswap --file makes a file with all its blocks", || check(file_is_made)),
        Trial::test("mkswap --offset and --endianness", || check(places_and_orders)),
        Trial::test("help names every option", || check(help_is_complete)),
    ];
    for (name, script, one, other) in COMPARISONS {
        let why = missing(one);
        not_checked.extend(why.as_ref().map(|why| unchecked::line(name, why)));
        let ignored = why.is_some() && !strict;
        let run = move || match &why {
            Some(why) => Err(Failed::from(format!("cannot run here: {why}"))),
            None => compare(script, one, other).map_err(Failed::from),
        };
        trials.push(Trial::test(name, run).with_ignored_flag(ignored));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    not_checked.iter().for_each(|line| eprintln!("{line}"));
    conclusion.exit_code()
}

/// Why a comparison cannot be made here, and what would mend it.
fn missing(side: Side) -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("it mounts and enables swap, so it needs root".into());
    }
    let tools =
        ["/usr/sbin/swapon", "/usr/sbin/mkfs.ext4", "/usr/sbin/losetup", "/usr/bin/setpriv", "/bin/busybox"];
    if let Some(tool) = tools.iter().find(|tool| !Path::new(tool).exists()) {
        return Some(format!("{tool} is missing; apt-get install mount e2fsprogs util-linux busybox-static"));
    }
    let version = Command::new("/usr/sbin/swapon").arg("--version").output().unwrap().stdout;
    let known = String::from_utf8_lossy(&version).contains(UTIL_LINUX);
    if matches!(side, Side::Native(_)) && !known {
        return Some(format!("this machine's swapon is not of {UTIL_LINUX}x, with which it is compared"));
    }
    None
}

/// Runs a script on both sides and compares.
fn compare(script: &str, one: Side, other: Side) -> Result<(), String> {
    let _lock = swap_lock::take().map_err(|error| format!("the swap lock: {error}"))?;
    // The same paths on both sides, because they are in the outputs.
    let scratch = tempfile::Builder::new().prefix("rootfs-shim-builtin-").tempdir_in("/var/tmp").unwrap();
    hide_own_swap(scratch.path());
    let mut found = Ok(());
    for _ in 0..ATTEMPTS {
        let [expected, actual] = [one, other].map(|side| run(script, side, scratch.path()));
        let left = fs::read_to_string("/proc/swaps").unwrap();
        if left.contains("rootfs-shim-builtin-") {
            return Err(format!("swap was left on:\n{left}"));
        }
        if expected.lines().filter(|line| line.starts_with("status ")).count() < 20 {
            return Err(format!("the script did not run:\n{expected}"));
        }
        found = difference(&expected, &actual).map_or(Ok(()), Err);
        if found.is_ok() {
            break;
        }
    }
    found
}

/// The scripts disable all swap: that of a machine which swaps in earnest they do not see.
fn hide_own_swap(scratch: &Path) {
    let swaps = fs::read_to_string("/proc/swaps").unwrap();
    let own: String = swaps.lines().skip(1).map(|line| view::line_of(line) + "\n").collect();
    if !own.is_empty() {
        fs::write(scratch.join("swaps-before"), own).unwrap();
        view::serve(&scratch.join("swaps"), scratch.join("swaps-before"), view::Own::All);
    }
}

/// A machine under pressure really swaps to the areas that a script enables, and the listings say how much:
/// a difference is one only if it comes back.
const ATTEMPTS: usize = 4;

fn run(script: &str, side: Side, scratch: &Path) -> String {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/builtin");
    let bin = scratch.join("bin");
    let (kind, bin) = match side {
        Side::Native(tools) => ("native", Path::new(tools)),
        Side::Ours | Side::Guest(_) => {
            fs::create_dir_all(&bin).unwrap();
            for name in ["rootfs-shim", "swapon", "swapoff", "mkswap"] {
                let _ = symlink(SHIM, bin.join(name));
            }
            (if let Side::Guest(kind) = side { kind } else { "native" }, bin.as_path())
        }
    };
    // Both streams into one file: a pipe would be held open by what a failing script leaves behind.
    let log = scratch.join("log");
    let out = File::create(&log).unwrap();
    Command::new("timeout")
        .args(["120", "unshare", "-m", "--propagation", "private", "sh"])
        .arg(here.join("run.sh"))
        .args([kind.as_ref(), here.join(script).as_os_str(), bin.as_os_str(), scratch.as_os_str()])
        .stdin(std::process::Stdio::null())
        .stderr(out.try_clone().unwrap())
        .stdout(out)
        .status()
        .unwrap();
    let text = fs::read(&log).unwrap();
    let lines = String::from_utf8_lossy(&text).replace("rootfs-shim 0.1.0", "rootfs-shim");
    lines.lines().map(|line| plain(line) + "\n").collect()
}

/// A line without what differs from run to run: the version, which loop device was free, and, in the two
/// listings where it changes no widths, how much is in use.
fn plain(line: &str) -> String {
    for tab in ["\t", "<T>"] {
        let fields: Vec<&str> = line.split(tab).collect();
        if let [path, _, size, _, used, _, priority] | [path, size, _, used, _, priority] = fields[..]
            && used.parse::<u64>().is_ok()
        {
            return format!("{path} {size} {priority}");
        }
    }
    if let Some((tool, _)) = line.split_once(" from util-linux ").or(line.split_once(" from rootfs-shim")) {
        return format!("{tool} from VERSION");
    }
    let mut out = line.to_owned();
    if let Some(at) = out.find("/dev/loop") {
        let digits = out[at + 9..].chars().take_while(char::is_ascii_digit).count();
        let rest = plain(&out[at + 9 + digits..]);
        out.replace_range(at.., &format!("/dev/LOOP{rest}"));
    }
    out
}

/// The first lines that differ, with the calls that they belong to.
fn difference(expected: &str, actual: &str) -> Option<String> {
    let (mut call, mut found) = ("", Vec::new());
    let (mut left, mut right) = (expected.lines(), actual.lines());
    loop {
        let (one, other) = (left.next(), right.next());
        if one.is_none() && other.is_none() {
            break;
        }
        call = one.filter(|line| line.starts_with("--- ")).unwrap_or(call);
        if one != other {
            let shown = |line: Option<&str>| line.unwrap_or("(nothing)").to_owned();
            found.push(format!("{call}\n    expected {}\n    actually {}", shown(one), shown(other)));
        }
        if found.len() == 5 {
            break;
        }
    }
    (!found.is_empty()).then(|| found.join("\n"))
}

fn check(test: fn(&Path)) -> Result<(), Failed> {
    let scratch = tempfile::tempdir().map_err(|error| Failed::from(error.to_string()))?;
    test(scratch.path());
    Ok(())
}

fn builtin(arguments: &[&str], directory: &Path) -> (i32, String) {
    let output = Command::new(SHIM).args(arguments).current_dir(directory).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

fn header(path: &Path) -> Header {
    Header::read(&File::open(path).unwrap()).unwrap()
}

fn file_is_made(directory: &Path) {
    let file = directory.join("f");
    let (status, text) = builtin(&["mkswap", "--file", "--size", "1MiB", "-L", "new", "f"], directory);
    assert_eq!(status, 0, "{text}");
    assert!(
        text.starts_with("Setting up swapspace version 1, size = 1020 KiB (1044480 bytes)\nLABEL=new, UUID=")
    );
    let meta = fs::metadata(&file).unwrap();
    assert_eq!((meta.len(), meta.permissions().mode() & 0o7777), (1 << 20, 0o600));
    assert!(meta.blocks() * 512 >= 1 << 20, "it has holes");
    assert_eq!((header(&file).last_page, header(&file).label), (255, b"new".to_vec()));
    assert_eq!(builtin(&["mkswap", "-F", "-s", "512K", "-q", "f"], directory), (0, String::new()));
    assert_eq!((fs::metadata(&file).unwrap().len(), header(&file).last_page), (512 << 10, 127));
    let (status, text) = builtin(&["mkswap", "--file", "g"], directory);
    assert_eq!((status, text.as_str()), (1, "mkswap: error: swap area needs to be at least 40 KiB\n"));
    assert!(!directory.join("g").exists(), "a file was made for nothing");
    assert_eq!(builtin(&["mkswap", "--file", "--size", "1X", "g"], directory).0, 1);
}

fn places_and_orders(directory: &Path) {
    let file = directory.join("f");
    fs::write(&file, vec![b'x'; 1 << 20]).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let uuid = "11111111-2222-3333-4444-555555555555";
    assert_eq!(builtin(&["mkswap", "-q", "--offset", "64K", "-U", uuid, "f"], directory).0, 0);
    let whole = fs::read(&file).unwrap();
    assert!(whole[..65536].iter().all(|&b| b == b'x'), "something before the offset was changed");
    let there = Header::parse(&whole[65536..]).unwrap();
    assert_eq!((there.last_page, there.uuid_text().as_deref()), (239, Some(uuid)));
    assert_eq!(builtin(&["mkswap", "-q", "--endianness", "big", "f"], directory).0, 0);
    let whole = fs::read(&file).unwrap();
    assert_eq!(whole[1024..1032], [0, 0, 0, 1, 0, 0, 0, 255]);
    assert_eq!(header(&file).size(), 1 << 20);
}

fn help_is_complete(directory: &Path) {
    use rootfs_shim::internals::command::{Maker, TOOLS};
    for tool in TOOLS {
        let (status, text) = builtin(&[tool.name, "--help"], directory);
        assert_eq!(status, 0);
        for option in tool.flavour(Maker::UtilLinux).unwrap().options {
            let short = option.short.map(|letter| format!("-{}", char::from(letter)));
            let long = option.long.map(|long| format!("--{long}"));
            for name in short.into_iter().chain(long) {
                assert!(text.contains(&name), "{} --help does not name {name}", tool.name);
            }
        }
    }
}
