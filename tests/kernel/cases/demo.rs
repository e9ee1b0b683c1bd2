//! `rootfs-shim demo`: it shows what it promises, and leaves nothing behind whenever it is interrupted.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::guest::{KINDS, SHIM, needs};
use crate::harness::{Test, host, supervise};

/// Whole, and interrupted at moments all through it.
pub fn tests() -> Vec<Test> {
    let mut tests = vec![
        Test::new("demo::whole", &needs(KINDS[0]), |scratch| {
            let before = traces(scratch);
            let ran =
                host(&[SHIM.as_ref(), "demo".as_ref(), "--scratch".as_ref(), stage(scratch).as_os_str()]);
            let out = ran.clone().ok("demo");
            for words in ["Invalid argument", "/swapfile", "swapon --show", "install"] {
                assert!(out.contains(words), "no {words:?} in {out}");
            }
            nothing_is_left(scratch, &before, "");
        }),
        Test::new("demo::not_root", &needs(KINDS[0]), |scratch| {
            let before = traces(scratch);
            let user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
            // A copy, because nobody else may reach the target directory of root.
            let copy = scratch.join("rootfs-shim");
            std::fs::copy(SHIM, &copy).expect("scratch is writable");
            host(&["chmod".as_ref(), "755".as_ref(), scratch.as_os_str()]).ok("chmod");
            let argv: Vec<&Path> =
                user.iter().map(Path::new).chain([copy.as_path(), Path::new("demo")]).collect();
            let ran = host(&argv);
            assert!(ran.status == 1 && ran.err().contains("root"), "{ran:?}");
            nothing_is_left(scratch, &before, "not root");
        }),
    ];
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let name = format!("demo::interrupted_by_{}", signal.as_str().to_lowercase());
        tests.push(Test::new(name, &needs(KINDS[0]), move |scratch| interrupt(scratch, signal)));
    }
    tests
}

fn interrupt(scratch: &Path, signal: Signal) {
    let before = traces(scratch);
    let started = Instant::now();
    assert!(end(start(scratch)), "the demo fails uninterrupted");
    let whole = started.elapsed();
    for part in 1..12 {
        let child = start(scratch);
        std::thread::sleep(whole * part / 12);
        let _ = kill(Pid::from_raw(child.id().cast_signed()), signal);
        end(child);
        nothing_is_left(scratch, &before, &format!("{signal} after {part}/12 of {whole:?}"));
    }
}

fn start(scratch: &Path) -> Child {
    let mut command = Command::new(SHIM);
    command.arg("demo").arg("--scratch").arg(stage(scratch)).stdin(Stdio::null()).stdout(Stdio::null());
    command.spawn().expect("the program runs")
}

fn end(mut child: Child) -> bool {
    child.wait().expect("it is our child").success()
}

fn stage(scratch: &Path) -> std::path::PathBuf {
    let stage = scratch.join("stage");
    std::fs::create_dir_all(&stage).expect("scratch is writable");
    stage
}

/// What the demo could leave: swap areas, mounts, loop devices, files. Takes the swap lock first.
fn traces(scratch: &Path) -> Vec<String> {
    supervise::hold_swap_lock(scratch);
    let files = host(&["find".as_ref(), stage(scratch).as_os_str()]).ok("find");
    let mounts = host(&["cat", "/proc/self/mountinfo"]).ok("mountinfo");
    vec![supervise::swaps(), mounts, format!("{:?}", supervise::loops_of(scratch)), files]
}

fn nothing_is_left(scratch: &Path, before: &[String], moment: &str) {
    // A loop device clears itself a moment after its last user is gone.
    let patience = Instant::now() + Duration::from_secs(3);
    while traces(scratch) != before && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(traces(scratch), before, "left behind: {moment}");
}
