//! A test's life: born in namespaces of its own, ended on time, swept up after.
//!
//! The trick is who holds what. The mounts belong to the test's mount namespace and die with its last
//! process, and all of its processes die with the first of its PID namespace. The loop devices clear
//! themselves with the last mount. What outlives the test is active swap, which pins its filesystem: the
//! parent mounts the loop device once more, which shows that same filesystem, and swaps off every file in
//! it. The swap lock is an open file that parent and test share (the test's stdin), so that the test can
//! take it when it begins to swap and the parent still holds it while it sweeps.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::process::Child;
use std::sync::Once;
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg, Flockable};

use super::disk::{loops_of, swap_off_all_of};
use super::view::Own;
use super::{Test, host, host_sh, namespace, needs, swap_lock, text, view};

/// Where the scratch directories are: a disk, since they hold images.
const SCRATCH: &str = "/var/tmp";
const PREFIX: &str = "rootfs-shim-test.";
/// In the scratch directory while its test waits for the swap lock.
const WAITING: &str = "waiting";
/// In the scratch directory: /proc/swaps as it was when the test took the lock.
const SWAPS_BEFORE: &str = "swaps-before";
/// In the scratch directory of a test that swaps beside others: which areas are its own.
const OWN_AREAS: &str = "own-areas";

/// Set for a test on a machine that has swap of its own.
const OWN_SWAP: &str = "ROOTFS_SHIM_TEST_OWN_SWAP";

/// Runs one test in a child and gives its log as the error.
pub fn run(test: &Test) -> Result<(), String> {
    let scratch =
        tempfile::Builder::new().prefix(PREFIX).tempdir_in(SCRATCH).map_err(|error| error.to_string())?;
    let owned = own(scratch.path()).map_err(|error| error.to_string())?;
    let mounts = our_mounts();
    let log = scratch.path().join("log");
    let mut problems = Vec::new();
    match start(test, scratch.path(), &log) {
        Ok((child, lock)) => {
            let waits = || scratch.path().join(WAITING).exists();
            problems.extend(namespace::wait(child, test.limit, waits).err());
            problems.extend(sweep_in_namespace(scratch.path()));
            drop(lock);
        }
        Err(error) => problems.push(format!("cannot start it: {error}")),
    }
    let appeared: Vec<_> = our_mounts().difference(&mounts).cloned().collect();
    if !appeared.is_empty() {
        problems.push(format!("mounts leaked out of the test: {appeared:?}"));
    }
    drop(owned);
    if problems.is_empty() {
        return Ok(());
    }
    let log = fs::read(&log).unwrap_or_default();
    Err(format!("{}\n{}", problems.join("\n"), text(&log)))
}

/// For a test that swaps beside others of its kind: it asks nothing of the machine's swap but its own areas, and its
/// guests see no other. To be said before anything is booted.
pub fn swap_beside_others(scratch: &Path, own: &Own) {
    let words = match own {
        Own::All => return,
        Own::With(word) => format!("with {word}"),
        Own::Without(words) => format!("without {}", words.join(" ")),
    };
    fs::write(scratch.join(OWN_AREAS), words).expect("scratch is writable");
}

/// What a test has said of its areas.
fn own_areas(scratch: &Path) -> Own {
    let words = fs::read_to_string(scratch.join(OWN_AREAS)).unwrap_or_default();
    match words.split_once(' ') {
        Some(("with", word)) => Own::With(word.to_owned()),
        Some(("without", words)) => Own::Without(words.split(' ').map(str::to_owned).collect()),
        _ => Own::All,
    }
}

/// Takes a lock that is not given back: it goes with this process, and, for an open file that the parent has too,
/// with the parent's.
fn lock_for_good(file: impl Flockable, how: FlockArg) {
    std::mem::forget(Flock::lock(file, how).map_err(|(_, errno)| errno).expect("flock"));
}

/// Takes the swap lock until it is released or the test ends, and notes what swap there was.
pub fn hold_swap_lock(scratch: &Path) {
    static COVERED: Once = Once::new();
    if scratch.join(SWAPS_BEFORE).exists() {
        return;
    }
    let waiting = scratch.join(WAITING);
    fs::write(&waiting, "").expect("scratch is writable");
    let shared = io::stdin().as_fd().try_clone_to_owned().expect("stdin is the lock");
    match own_areas(scratch) {
        Own::All => lock_for_good(shared, FlockArg::LockExclusive),
        Own::With(_) | Own::Without(_) => lock_for_good(shared, FlockArg::LockShared),
    }
    let before = swaps();
    fs::write(scratch.join(SWAPS_BEFORE), &before).expect("scratch is writable");
    fs::remove_file(waiting).expect("it was there");
    // Who looks for a label reads every disk, and one that the machine swaps to in earnest may not answer.
    COVERED.call_once(|| {
        let devices = before.lines().filter_map(|line| line.split(' ').next());
        for device in devices.filter(|path| path.starts_with("/dev/")) {
            host(&["mount", "--bind", "/dev/null", device]);
        }
    });
}

/// Lets another test swap while this one does something else. Where an area is still on, the lock is kept: then the
/// sweep finds it.
pub fn release_swap_lock(scratch: &Path) {
    let list = scratch.join(SWAPS_BEFORE);
    if list.exists() && new_swaps(scratch).is_empty() {
        fs::remove_file(list).expect("it was there");
        let shared = io::stdin().as_fd().try_clone_to_owned().expect("stdin is the lock");
        #[expect(deprecated, reason = "the lock belongs to an open file that the parent has too")]
        nix::fcntl::flock(shared.as_raw_fd(), FlockArg::Unlock).expect("flock");
    }
}

/// A guest's `/proc/swaps` without the machine's own areas, if it has any.
pub fn hide_own_swap(scratch: &Path, root: &Path) {
    static SERVED: Once = Once::new();
    let own = own_areas(scratch);
    if std::env::var_os(OWN_SWAP).is_none() && own == Own::All {
        return;
    }
    let view = scratch.join("swaps");
    SERVED.call_once(|| view::serve(&view, scratch.join(SWAPS_BEFORE), own));
    host_sh("mount --bind \"$1\" \"$2/proc/swaps\"", &[view.as_ref(), root.as_ref()]);
}

/// Sweeps what an earlier run left that was itself killed; each live run holds a lock in its directory.
pub fn sweep_strays() {
    for entry in fs::read_dir(SCRATCH).into_iter().flatten().flatten() {
        let path = entry.path();
        let ours = entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes());
        if !ours || File::open(path.join("owner")).is_ok_and(|file| try_lock(file).is_none()) {
            continue;
        }
        for problem in sweep_in_namespace(&path) {
            eprintln!("left by an earlier run: {problem}");
        }
        let _ = fs::remove_dir_all(path);
    }
}

fn own(scratch: &Path) -> io::Result<Option<Flock<File>>> {
    File::create(scratch.join("owner")).map(try_lock)
}

fn try_lock(file: File) -> Option<Flock<File>> {
    Flock::lock(file, FlockArg::LockExclusiveNonblock).ok()
}

fn start(test: &Test, scratch: &Path, log: &Path) -> io::Result<(Child, File)> {
    let lock = swap_lock::open()?;
    let log = File::create(log)?;
    let mut command =
        namespace::again(&test.name, scratch, &["--pid", "--fork", "--kill-child", "--mount-proc"])?;
    command
        .env("TMPDIR", scratch)
        .env("RUST_BACKTRACE", "0")
        .envs(needs::machine_swaps().then_some((OWN_SWAP, "1")))
        .stdin(lock.try_clone()?)
        .stdout(log.try_clone()?)
        .stderr(log);
    Ok((command.spawn()?, lock))
}

/// Sweeps in a process with a mount namespace of its own; its words are what it could not undo.
fn sweep_in_namespace(scratch: &Path) -> Vec<String> {
    let exe = std::env::current_exe().expect("/proc/self/exe");
    let argv = ["unshare", "--mount", "--propagation", "private", "--"].map(Path::new);
    let argv: Vec<&Path> =
        argv.into_iter().chain([exe.as_path(), Path::new(super::super::SWEEP), scratch]).collect();
    let ran = host(&argv);
    match (ran.status, ran.out().lines().map(str::to_owned).collect::<Vec<_>>()) {
        (0, problems) => problems,
        (..) => vec![format!("the sweep failed: {ran:?}")],
    }
}

/// Swaps off what a test left on and says what else is left.
pub fn sweep(scratch: &Path) -> Vec<String> {
    let mut problems = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let loops = loops_of(scratch);
        for device in &loops {
            swap_off_all_of(device, scratch);
        }
        if loops.is_empty() || Instant::now() > deadline {
            for device in loops {
                problems.push(format!("loop device left: {}", device.display()));
                host(&[Path::new("losetup"), Path::new("--detach"), &device]);
            }
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    if scratch.join(SWAPS_BEFORE).exists() {
        problems.extend(new_swaps(scratch).lines().map(|line| {
            host(&["swapoff", line.split_whitespace().next().unwrap_or("")]);
            // A device under a file's name; while the lock is held, no other test has one.
            let script = "for device in /dev/loop[0-9]* /dev/zram[1-9]*; do
                    grep -qs ^$device' ' $1 || swapoff $device; done 2>/dev/null
                cd /dev; for zram in zram[1-9]*; do echo ${zram#zram} >/sys/class/zram-control/hot_remove; done";
            host(&["sh".as_ref(), "-c".as_ref(), script.as_ref(), "sh".as_ref(), scratch.join(SWAPS_BEFORE).as_os_str()]);
            format!("swap left: {line}")
        }));
    }
    problems
}

/// The machine's swap areas, without how much of each is used.
pub fn swaps() -> String {
    let text = fs::read("/proc/swaps").unwrap_or_default();
    super::text(&text).lines().skip(1).map(|line| view::line_of(line) + "\n").collect()
}

/// The machine's swap areas while no test that holds the lock swaps.
pub fn swaps_when_quiet() -> String {
    let _lock = swap_lock::take().ok();
    swaps()
}

/// The test's own swap areas that were not there when it took the lock.
pub fn new_swaps(scratch: &Path) -> String {
    let before = fs::read_to_string(scratch.join(SWAPS_BEFORE)).unwrap_or_default();
    let own = own_areas(scratch);
    let new = |line: &&str| own.has(line) && !before.lines().any(|old| old == *line);
    swaps().lines().filter(new).map(|line| format!("{line}\n")).collect()
}

/// The mounts of this process that a test can have made: what names a scratch directory or the shim.
fn our_mounts() -> BTreeSet<String> {
    let text = fs::read("/proc/self/mountinfo").unwrap_or_default();
    let lines = super::text(&text);
    let is_ours = |line: &&str| line.contains(PREFIX) || line.contains("/.rootfs-shim");
    lines.lines().filter(is_ours).map(str::to_owned).collect()
}
