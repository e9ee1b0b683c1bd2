//! An image that changes while it is installed into: a thread exchanges a directory and a symlink to the host
//! without end. Whatever comes of it, it ends in time, with a status that says so, and stays inside.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use crate::bench::{Bench, Test, link, run, text, tools, tree};
use crate::image_table::{Site, Watch, limited};

pub const TESTS: &[Test] = &[
    ("a_place_exchanged_with_a_link_to_the_host", || raced("usr/sbin", "HOST/sbin")),
    ("a_directory_on_the_way_exchanged_with_a_link_to_the_host", || raced("usr", "HOST")),
    ("a_directory_on_the_way_exchanged_with_a_link_upwards", || {
        raced("usr", "../../../../../../../../..HOST")
    }),
    ("our_directory_exchanged_with_a_link_to_the_host", || raced(".rootfs-shim", "HOST")),
    ("our_binarys_directory_exchanged_with_a_link_to_the_host", || raced(".rootfs-shim/bin", "HOST/sbin")),
    ("dpkgs_directory_exchanged_with_a_link_to_the_host", || raced("var/lib/dpkg", "HOST/dpkg")),
    ("a_haunted_directory_of_ours_harms_nobody", haunted),
];

/// How often install and uninstall are run while the thread works.
const ROUNDS: usize = 6;

/// Exchanges two names until it is dropped; then the first is what it was.
struct Racer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<u64>>,
}

impl Racer {
    fn new(one: PathBuf, other: PathBuf) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let work = move || {
            let mut count = 0;
            while !told.load(Ordering::Relaxed) || count % 2 == 1 {
                // Either may be away for a moment, when uninstall removes it.
                if renameat2(AT_FDCWD, &one, AT_FDCWD, &other, RenameFlags::RENAME_EXCHANGE).is_ok() {
                    count += 1;
                } else if told.load(Ordering::Relaxed) {
                    break;
                }
            }
            count
        };
        Self { stop, thread: Some(std::thread::spawn(work)) }
    }

    fn end(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

fn raced(path: &str, target: &str) {
    let bench = Bench::new();
    let host = bench.top.join("host");
    tools(&bench.guest, "usr/sbin");
    tools(&bench.guest, "bin");
    fs::create_dir_all(bench.guest.join("var/lib/dpkg/info")).unwrap();
    if path.starts_with(".rootfs-shim") {
        // With an install that is there, so that there is something to exchange.
        bench.shim_ok("install", &[]);
    }
    let other = bench.guest.join("other");
    link(&target.replace("HOST", host.to_str().unwrap()), &other);
    let watch = Watch::new(&host);
    let racer = Racer::new(bench.guest.join(path), other.clone());
    for round in 0..ROUNDS {
        for command in ["install", "status", "uninstall"] {
            let output = limited(&bench, &bench.guest, command);
            let code = output.status.code();
            assert!(code == Some(0) || code == Some(1), "{command} {round}: {}", text(&output));
        }
    }
    let count = racer.end();
    let events = watch.events();
    assert!(events.is_empty(), "{path}: the host was opened or changed: {events:?}");
    bench.host_is_untouched();
    assert!(count > 100, "only {count} exchanges: nothing was raced");
    // In peace it works again.
    fs::remove_file(&other).or_else(|_| fs::remove_file(bench.guest.join(path))).unwrap();
    if fs::symlink_metadata(bench.guest.join(path)).is_err() && fs::symlink_metadata(&other).is_ok() {
        fs::rename(&other, bench.guest.join(path)).unwrap();
    }
    bench.shim_ok("install", &[]);
    for name in ["bin/swapon", "usr/sbin/swapon", "usr/sbin/mkswap"] {
        assert!(bench.is_shim(name), "{path}: {name}");
        let real = fs::read_to_string(bench.guest.join(format!("{name}.real"))).unwrap();
        assert!(real.contains("the real"), "{path}: {name}.real");
    }
    bench.shim_ok("uninstall", &[]);
    let content = fs::read_to_string(bench.guest.join("usr/sbin/swapon")).unwrap();
    assert!(content.contains("the real swapon"), "{path}");
}

fn haunted() {
    let bench = Bench::new();
    let host = bench.top.join("host");
    let site = Site { guest: bench.guest.clone(), host: host.clone() };
    site.haunted_home();
    let watch = Watch::new(&host);
    let said = text(&limited(&bench, &bench.guest, "install"));
    assert!(bench.is_shim("sbin/swapon"), "{said}");
    limited(&bench, &bench.guest, "status");
    let said = text(&limited(&bench, &bench.guest, "uninstall"));
    assert!(said.contains(".rootfs-shim/\\xff\\x1b[2Jred is not what install wrote: left"), "{said}");
    assert!(watch.events().is_empty());
    bench.host_is_untouched();
    let names: Vec<_> = tree(&bench.guest.join("sbin")).into_iter().map(name).collect();
    assert_eq!(names, ["sbin", "mkswap", "swapoff", "swapon"]);
    run("rm", &["-r", bench.guest.join(".rootfs-shim").to_str().unwrap()]);
}

fn name(line: String) -> String {
    let path = line.split(" ino ").next().unwrap().to_owned();
    Path::new(&path).file_name().unwrap().to_str().unwrap().to_owned()
}
