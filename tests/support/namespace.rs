//! A test in a process and a mount namespace of its own: its program calls itself again, and ends that on time.
//!
//! Whatever happens to the test, its mounts go with its process. A loop device or a swap area belongs to the machine
//! and does not, so what a test that failed has left of them is taken away by the parent.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::disk;
use super::host::{host, text};

/// The hidden argument for one test: its name and its scratch directory follow.
const RUN_ONE: &str = "--inside-run-one";

/// What a process is told that is one test.
pub struct Inside {
    /// Its name.
    pub name: String,
    /// Its scratch directory, which the parent removes.
    pub scratch: PathBuf,
}

/// The test that this process is, if it is not the one that starts them.
pub fn inside() -> Option<Inside> {
    let argv: Vec<OsString> = std::env::args_os().collect();
    let [_, word, name, scratch] = argv.as_slice() else { return None };
    let name = name.to_str()?.to_owned();
    (word == RUN_ONE).then(|| Inside { name, scratch: scratch.into() })
}

/// This program again, as one test, in a mount namespace and in what else unshare(1) is told.
pub fn again(name: &str, scratch: &Path, unshare: &[&str]) -> io::Result<Command> {
    // A shell that starts the tests in the background ignores these two, and what is ignored is inherited.
    let mut command = Command::new("env");
    command
        .args(["--default-signal=INT,QUIT", "unshare", "--mount", "--propagation", "private"])
        .args(unshare)
        .arg("--")
        .arg(std::env::current_exe()?)
        .args([RUN_ONE.as_ref(), name.as_ref(), scratch.as_os_str()]);
    Ok(command)
}

/// Waits until a test ends. A hang is a failure; while `is_waiting` the time does not count.
pub fn wait(mut child: Child, limit: Duration, is_waiting: impl Fn() -> bool) -> Result<(), String> {
    let mut deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().expect("it is our child") {
            return if status.success() { Ok(()) } else { Err(format!("failed ({status}):")) };
        }
        if is_waiting() {
            deadline = Instant::now() + limit;
        }
        if Instant::now() > deadline {
            kill_all(&child);
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("it did not end within {limit:?} and was killed"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Kills what runs in a test's mount namespace: the programs that it waits for would outlive it.
fn kill_all(child: &Child) {
    let namespace_of = |process: &Path| fs::read_link(process.join("ns/mnt")).ok();
    let its = namespace_of(&Path::new("/proc").join(child.id().to_string()));
    if its.is_none() || its == namespace_of(Path::new("/proc/self")) {
        return;
    }
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    for process in processes.filter(|entry| namespace_of(&entry.path()) == its) {
        if let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// Runs one test, which needs nothing but a mount namespace, and gives what it said as the error.
pub fn run(name: &str, scratch: &Path, limit: Duration) -> Result<(), String> {
    // A file, not a pipe: a test that says much must not wait for a reader.
    let mut log = tempfile::tempfile().map_err(|error| error.to_string())?;
    let ended = start(name, scratch, &log)
        .map_err(|error| format!("cannot start it: {error}"))
        .and_then(|child| wait(child, limit, || false));
    ended.map_err(|problem| {
        disk::swap_off_all(scratch);
        for device in disk::loops_of(scratch) {
            host(&["losetup".as_ref(), "--detach".as_ref(), device.as_os_str()]);
        }
        let mut said = Vec::new();
        let read = log.rewind().and_then(|()| log.read_to_end(&mut said));
        format!("{problem}\n{}{}", text(&said), read.err().map(|error| error.to_string()).unwrap_or_default())
    })
}

fn start(name: &str, scratch: &Path, log: &File) -> io::Result<Child> {
    again(name, scratch, &[])?.stdout(log.try_clone()?).stderr(log.try_clone()?).spawn()
}
