//! The same operations called from Rust, by the names that stand at the crate's top.

use std::path::PathBuf;

use rootfs_shim::Kind;
use rootfs_shim::{
    InstallOptions, MountOptions, ResetOptions, UninstallOptions, install, mount, reset, status, uninstall,
    unmount,
};

use crate::bench::{Bench, Outcome, Test, contains, equal};

pub const TESTS: &[(&str, Test)] = &[("library_builds_and_takes_down_a_whole_root", whole)];

fn whole(b: &Bench) -> Outcome {
    let dir = PathBuf::from(b.sh("echo $D")?);
    let (target, writable) = (dir.join("t"), dir.join("w.img"));
    let options = MountOptions {
        target: target.clone(),
        lower: vec![dir.join("low")],
        writable: writable.clone(),
        passthrough: vec!["/srv".into()],
        reset: true,
        ..MountOptions::default()
    };
    let report = mount(&options)?;
    equal((report.version, report.changed, report.warnings.len()), (1, true, 0))?;
    for work in report.pending {
        work.run()?;
    }
    // This test is the program that is running, and nobody's swapon.
    let itself =
        InstallOptions { chroot: target.clone(), provide_missing: true, ..InstallOptions::default() };
    match install(&itself) {
        Err(error) => {
            equal(error.kind(), Kind::Usage)?;
            contains(&error.to_string(), "InstallOptions::binary")?;
        }
        Ok(_) => return Err("a test became swapon".into()),
    }
    let shims = InstallOptions {
        chroot: target.clone(),
        provide_missing: true,
        binary: env!("CARGO_BIN_EXE_rootfs-shim").into(),
        ..InstallOptions::default()
    };
    equal(install(&shims)?.changed, true)?;
    let state = status(&target)?;
    equal((state.healthy, state.passthrough.len()), (true, 1))?;
    equal(uninstall(&UninstallOptions { chroot: target.clone(), dry_run: false })?.changed, true)?;
    equal(unmount(&target, false)?.changed, true)?;
    equal(b.mounts()?, "")?;
    equal(reset(&ResetOptions { writable, ..ResetOptions::default() })?.changed, true)?;
    let wrong = MountOptions { lower: vec![dir.join("missing")], ..options };
    match mount(&wrong) {
        Err(error) => contains(&error.to_string(), "missing: No such file or directory"),
        Ok(_) => Err("it was mounted without an image".into()),
    }
}
