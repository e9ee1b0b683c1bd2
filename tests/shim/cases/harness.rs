//! The harness's own tests: what it promises must hold before it may judge others.

use std::path::Path;
use std::time::Duration;

use crate::support::guest::{Guest, KINDS, Spec, kind_name, needs};
use crate::support::{Test, host_sh, supervise};

/// Guests of every kind swap natively and are refused on a bare overlay; bad tests are caught and swept.
pub fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    for kind in KINDS {
        let (name, needs) = (kind_name(kind), needs(kind));
        tests.push(Test::new(format!("itself::native::{name}"), &needs, move |scratch| {
            let guest = Guest::boot(scratch, Spec::native(kind));
            guest.sh("mk /swapfile && swapon /swapfile").ok("the classic script");
            assert_eq!(guest.swap_paths(), ["/swapfile"]);
        }));
        tests.push(Test::new(format!("itself::refused::{name}"), &needs, move |scratch| {
            let guest = Guest::boot(scratch, Spec { install: false, ..Spec::overlay(kind) });
            let ran = guest.sh("mk /swapfile && swapon /swapfile");
            assert!(ran.status != 0 && ran.err().contains("Invalid argument"), "{ran:?}");
        }));
    }
    for (name, words) in [
        ("panics", "panicked at"),
        ("hangs", "was killed"),
        ("leaks_a_loop_device", "loop device left"),
        ("leaks_a_swap_area", "swap left"),
    ] {
        tests.push(Test::new(format!("itself::caught::{name}"), &needs(KINDS[0]), move |_| {
            let bad = broken().into_iter().find(|test| test.name.ends_with(name)).unwrap();
            let error = supervise::run(&bad).expect_err("a broken test passed");
            assert!(error.contains(words), "{error}");
        }));
    }
    tests
}

/// Tests that must not pass; only [`tests`] runs them.
pub fn broken() -> Vec<Test> {
    type Body = fn(&Path);
    let bodies: [(&str, Body); 4] = [
        ("panics", |scratch| {
            let guest = swapping(scratch);
            panic!("with {} on", guest.swaps());
        }),
        ("hangs", |scratch| {
            let _guest = swapping(scratch);
            std::thread::sleep(Duration::from_secs(600));
        }),
        ("leaks_a_loop_device", |scratch| {
            host_sh("truncate -s 1M \"$1\"; losetup -f \"$1\"", &[scratch.join("disk").as_os_str()]);
        }),
        ("leaks_a_swap_area", |scratch| {
            // A swapfile outside of every loop device: on the host's own filesystem.
            supervise::hold_swap_lock(scratch);
            let script = "fallocate -l 16M \"$1\"; chmod 600 \"$1\"; mkswap -q \"$1\"; swapon \"$1\"";
            host_sh(script, &[scratch.join("swapfile").as_os_str()]);
        }),
    ];
    bodies
        .into_iter()
        .map(|(name, body)| {
            let mut test = Test::new(format!("broken::{name}"), &[], body);
            test.limit = Duration::from_secs(8);
            test
        })
        .collect()
}

fn swapping(scratch: &Path) -> Guest {
    let guest = Guest::boot(scratch, Spec::native(KINDS[0]));
    guest.sh("mk /swapfile && swapon /swapfile").ok("swapon");
    guest
}
