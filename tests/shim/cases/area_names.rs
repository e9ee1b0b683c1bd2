//! The names in `/proc/swaps`, as those see them who listen (systemd does): at every event, from the first on.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::enabling::{ODD_NAMES, escaped};
use crate::support::guest::{Fs, Guest, KINDS, Kind, Spec, Tools, kind_name, needs};
use crate::support::needs::Need;
use crate::support::{Test, text};

/// A script that enables swap, and every name that may ever be seen meanwhile.
struct Case {
    name: &'static str,
    script: &'static str,
    names: &'static [&'static str],
}

#[rustfmt::skip]
const CASES: &[Case] = &[
    Case { name: "in_root", script: "mk /swapfile; swapon /swapfile", names: &["/swapfile"] },
    Case { name: "deep", script: "mkdir -p /data/a/b/c/d; mk /data/a/b/c/d/s; cd /data/a; swapon b/c/d/s", names: &["/data/a/b/c/d/s"] },
    Case { name: "several", script: "mk /a 2; mk /w/b 2; mk /c 2; swapon /a b ../c", names: &["/a", "/w/b", "/c"] },
    Case { name: "fstab", script: "mk /a 2; mk /w/b 2; printf '%s none swap pri=3 0 0\n' /a /w/b >/etc/fstab; swapon -a", names: &["/a", "/w/b"] },
    Case { name: "again", script: "mk /s; for i in 1 2 3 4 5; do swapon /s; swapoff /s; done; swapon /s", names: &["/s"] },
    Case { name: "working_directory_deleted", script: "mk /s; mkdir d; cd d; rmdir /w/d; swapon ../../s", names: &["/s"] },
    Case { name: "mounts_are_shared", script: "mk /s; mount --make-rshared /; swapon /s", names: &["/s"] },
    Case { name: "as_the_last_release", script: "as_the_last_release; mk /s; swapon /s; umount /.rootfs-shim/upper", names: &["/s"] },
];

/// The event is delayed within swapon(2)'s process, so that nobody can be too late for it.
const SLOWLY: &str = "mk /data/s; strace -f -qq -o /dev/null -e trace=swapon -e inject=swapon:delay_exit=300000 swapon /data/s";

/// The table with real tools of both kinds and with none, on two filesystems.
pub fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    let missing =
        |spec: Spec| Spec { prepare: super::same_as_native::NO_TOOLS, provide_missing: true, ..spec };
    type Change = fn(Spec) -> Spec;
    let kinds: [(Kind, &str, Change); 5] = [
        (KINDS[0], "", |spec| spec),
        ((Fs::Xfs, Tools::Debian), "", |spec| spec),
        ((Fs::Ext4, Tools::Busybox), "", |spec| spec),
        ((Fs::Xfs, Tools::Busybox), "", |spec| spec),
        (KINDS[0], "builtin-", missing),
    ];
    for (kind, prefix, change) in kinds {
        let name = format!("names::{prefix}{}", kind_name(kind));
        tests.push(Test::new(name, &needs(kind), move |scratch| {
            seen_by_listeners(&Guest::boot(scratch, change(Spec::overlay(kind))));
        }));
    }
    let strace = [needs(KINDS[0]), vec![Need::Package("strace")]].concat();
    tests.push(Test::new("names::while_the_real_tool_still_runs", &strace, |scratch: &Path| {
        let guest = Guest::boot(scratch, Spec::overlay(KINDS[0]));
        let (seen, ran) = Listener::during(|| guest.sh(SLOWLY));
        assert_eq!((seen, ran.status, ran.err()), (names(&["/data/s"]), 0, String::new()));
        guest.sh("swapoff /data/s").ok("swapoff");
    }));
    tests.push(Test::new("names::without_detached_mounts", &strace, |scratch: &Path| {
        let guest = Guest::boot(scratch, Spec::overlay(KINDS[0]));
        let script = "as_the_last_release; mk /s; strace -f -qq -o /t -e trace=open_tree -e inject=open_tree:error=ENOSYS swapon /s; grep -c INJECTED /t";
        let ran = guest.sh(script);
        assert_eq!((ran.out().as_str(), ran.err().as_str()), ("1\n", ""));
        assert_eq!(guest.swap_paths(), ["/s"]);
        guest.sh("swapoff /s").ok("swapoff");
    }));
    tests
}

fn seen_by_listeners(guest: &Guest) {
    let mut wrong = Vec::new();
    for name in ODD_NAMES {
        let path = OsString::from_vec([b"/data/", *name].concat());
        let script = "mk \"$1\" 2 && swapon \"$1\" && swapoff \"$1\" && rm \"$1\"";
        let (seen, ran) = Listener::during(|| guest.sh_with(script, &[&path]));
        if seen != BTreeSet::from([text(&escaped(path.as_bytes()))])
            || ran.status != 0
            || !ran.stderr.is_empty()
        {
            wrong.push(format!("{path:?}: {seen:?}, {ran:?}"));
        }
    }
    for case in CASES {
        let (seen, ran) = Listener::during(|| guest.sh(case.script));
        if seen != names(case.names) || ran.status != 0 || !ran.stderr.is_empty() {
            wrong.push(format!("{}: {seen:?}, {ran:?}, {}", case.name, guest.notices()));
        }
        guest.sh("swapoff -a && cd / && rm -rf /w /a /c /s /swapfile /data/* && : >/etc/fstab").ok(case.name);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Reads `/proc/swaps` at each event, in a thread.
struct Listener {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<BTreeSet<String>>,
}

impl Listener {
    /// The names that were not there before, as the kernel writes them, while `work` was done.
    fn during<T>(work: impl FnOnce() -> T) -> (BTreeSet<String>, T) {
        let mut file = File::open("/proc/swaps").expect("/proc is there");
        let before = read(&mut file);
        let stop = Arc::new(AtomicBool::new(false));
        let asked = stop.clone();
        let listen = move || {
            let mut seen = BTreeSet::new();
            loop {
                let last = asked.load(Ordering::SeqCst);
                let timeout = if last { PollTimeout::ZERO } else { PollTimeout::from(20_u8) };
                let ready = poll(&mut [PollFd::new(file.as_fd(), PollFlags::POLLPRI)], timeout);
                if ready != Ok(0) {
                    seen.extend(read(&mut file));
                } else if last {
                    return seen.difference(&before).cloned().collect();
                }
            }
        };
        let listener = Self { stop, thread: std::thread::spawn(listen) };
        let done = work();
        listener.stop.store(true, Ordering::SeqCst);
        (listener.thread.join().expect("it listens"), done)
    }
}

/// The first field of each line.
fn read(file: &mut File) -> BTreeSet<String> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_end(&mut bytes)).expect("/proc/swaps");
    let lines = bytes.split(|byte| *byte == b'\n').skip(1);
    let first = lines.filter_map(|line| line.split(|byte| *byte == b' ').next());
    first.filter(|name| !name.is_empty()).map(text).collect()
}
