//! Swap belongs to the machine, and so do the names in `/proc/swaps`: whoever tests with it holds this lock.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};

/// The file that is locked; benches/ and a package's own tests may know it too.
pub const PATH: &str = "/run/lock/rootfs-shim-swap.lock";

/// The lock's file, not locked.
pub fn open() -> io::Result<File> {
    fs::create_dir_all(Path::new(PATH).parent().unwrap_or(Path::new("/")))?;
    File::options().create(true).append(true).open(PATH)
}

/// Waits until nobody else swaps for a test, and keeps others waiting until it is dropped.
pub fn take() -> io::Result<Flock<File>> {
    Flock::lock(open()?, FlockArg::LockExclusive).map_err(|(_, errno)| errno.into())
}
