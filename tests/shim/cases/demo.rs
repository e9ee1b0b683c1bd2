//! `rootfs-shim demo`: it shows what it promises, and leaves nothing behind whenever it is interrupted.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::guest::{KINDS, SHIM, needs};
use crate::support::{Test, disk, host, host_sh, supervise};

/// Whole, interrupted and killed at moments all through it, and with a reader who leaves.
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
    type Stop = fn(&Child);
    let all_through: [(&str, Stop); 5] = [
        ("interrupted_by_sigint", |demo| send(demo.id(), Signal::SIGINT)),
        ("interrupted_by_sigterm", |demo| send(demo.id(), Signal::SIGTERM)),
        ("killed", |demo| send(demo.id(), Signal::SIGKILL)),
        ("its_guard_killed", |demo| {
            children(demo.id()).into_iter().for_each(|guard| send(guard, Signal::SIGKILL));
        }),
        ("stopped_and_killed", |demo| {
            send(demo.id(), Signal::SIGSTOP);
            send(demo.id(), Signal::SIGKILL);
        }),
    ];
    for (name, stop) in all_through {
        tests.push(Test::new(format!("demo::{name}"), &needs(KINDS[0]), move |scratch| {
            at_many_moments(scratch, name, stop);
        }));
    }
    tests.push(Test::new("demo::a_reader_who_leaves", &needs(KINDS[0]), |scratch| {
        let before = traces(scratch);
        for words in ["== What goes wrong", "cat /proc/swaps", "cat /console"] {
            let script = "\"$1\" demo --scratch \"$2\" 2>\"$3\" | grep -m1 \"$4\"";
            let told = scratch.join("stderr");
            let args = [SHIM.into(), stage(scratch).into_os_string(), told.clone().into(), words.into()];
            host_sh(script, &args.each_ref().map(std::ffi::OsString::as_os_str));
            nothing_is_left(scratch, &before, words);
            let told = std::fs::read_to_string(told).expect("it was written");
            assert!(told.is_empty() || told.contains("everything was undone"), "{told}");
        }
    }));
    tests.push(Test::new("demo::stopped_and_continued", &needs(KINDS[0]), |scratch| {
        let before = traces(scratch);
        let mut demo = command(scratch).process_group(0).stdout(Stdio::null()).spawn().expect("it runs");
        let group = Pid::from_raw(-demo.id().cast_signed());
        let mut stops = 0;
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(60));
            kill(group, Signal::SIGTSTP).expect("it is there");
            std::thread::sleep(Duration::from_millis(300));
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", demo.id())).expect("it is there");
            // On a fast machine the play is over before the last stop.
            let over = stat.contains(") Z ");
            assert!(over || stat.contains(") T "), "SIGTSTP did not stop it: {stat}");
            stops += u32::from(!over);
            kill(group, Signal::SIGCONT).expect("it is there");
        }
        assert!(stops > 0, "it was over before it could be stopped");
        assert!(demo.wait().expect("it is our child").success(), "it did not go on");
        nothing_is_left(scratch, &before, "stopped and continued");
    }));
    tests.push(Test::new("demo::a_reader_who_sleeps", &needs(KINDS[0]), |scratch| {
        let before = traces(scratch);
        let (reader, writer) = std::io::pipe().expect("a pipe");
        // No room is left, so the first line that is written waits.
        let full = nix::fcntl::OFlag::O_NONBLOCK;
        nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_SETFL(full)).expect("fcntl");
        while nix::unistd::write(&writer, &[b'x'; 4096]).is_ok() {}
        nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::empty())).expect("fcntl");
        let mut demo = command(scratch).stdout(writer).spawn().expect("the program runs");
        std::thread::sleep(Duration::from_secs(1));
        assert!(demo.try_wait().expect("it is our child").is_none(), "it did not wait for its reader");
        send(demo.id(), Signal::SIGTERM);
        let patience = Instant::now() + Duration::from_secs(10);
        while demo.try_wait().expect("it is our child").is_none() {
            assert!(Instant::now() < patience, "SIGTERM did not end it");
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(reader);
        nothing_is_left(scratch, &before, "a reader who sleeps");
    }));
    tests
}

fn at_many_moments(scratch: &Path, how: &str, stop: fn(&Child)) {
    let before = traces(scratch);
    let started = Instant::now();
    assert!(end(start(scratch)), "the demo fails uninterrupted");
    let whole = started.elapsed();
    for part in 1..12 {
        let child = start(scratch);
        std::thread::sleep(whole * part / 12);
        stop(&child);
        end(child);
        nothing_is_left(scratch, &before, &format!("{how} after {part}/12 of {whole:?}"));
    }
}

fn send(process: u32, signal: Signal) {
    let _ = kill(Pid::from_raw(process.cast_signed()), signal);
}

fn children(process: u32) -> Vec<u32> {
    let file = format!("/proc/{process}/task/{process}/children");
    let list = std::fs::read_to_string(file).unwrap_or_default();
    list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

fn start(scratch: &Path) -> Child {
    command(scratch).stdout(Stdio::null()).spawn().expect("the program runs")
}

fn command(scratch: &Path) -> Command {
    let mut command = Command::new(SHIM);
    command.arg("demo").arg("--scratch").arg(stage(scratch)).stdin(Stdio::null());
    command
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
    // Its status is left out: it may look while the guard removes what it looks at.
    let files = host(&["find".as_ref(), stage(scratch).as_os_str()]).out();
    let mounts = host(&["cat", "/proc/self/mountinfo"]).ok("mountinfo");
    vec![supervise::swaps(), mounts, format!("{:?}", disk::loops_of(scratch)), files]
}

fn nothing_is_left(scratch: &Path, before: &[String], moment: &str) {
    // A loop device clears itself a moment after its last user is gone.
    let patience = Instant::now() + Duration::from_secs(3);
    while traces(scratch) != before && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(traces(scratch), before, "left behind: {moment}");
}
