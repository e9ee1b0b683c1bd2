//! What a test on the real kernel stands on.
//!
//! [`supervise`] gives each test a process, a mount and a PID namespace, a time limit and a scratch
//! directory, and sees that nothing is left; [`guest`] boots the machines in it; [`needs`] says what is
//! missing here.
//!
//! The shim's tests use all of it. The others take what they need by its path: [`namespace`] runs a test, [`disk`] and
//! [`overlay`] make what it works on, [`host`] runs programs.

#[expect(dead_code, reason = "a guest's disks are unmounted by its end")]
pub mod disk;
pub mod files;
pub mod guest;
pub mod host;
#[expect(dead_code, reason = "the supervisor starts its tests itself")]
pub mod namespace;
pub mod needs;
pub mod overlay;
pub mod supervise;
pub mod swap_lock;
pub mod tree;
pub mod unchecked;
pub mod view;

use std::path::Path;
use std::time::Duration;

pub use host::{Ran, host, host_sh, text};
use needs::Need;

/// One test: it panics if something is wrong.
pub struct Test {
    /// Its path, as `cargo test NAME` filters it.
    pub name: String,
    /// What the machine must have.
    pub needs: Vec<Need>,
    /// How long it may take, not counting the wait for the swap lock.
    pub limit: Duration,
    /// Takes minutes, so that it is begun before the others.
    pub is_long: bool,
    /// Runs in a process and namespaces of its own.
    pub run: Box<dyn Fn(&Path) + Send + Sync>,
}

impl Test {
    /// A test that gets its scratch directory.
    pub fn new(name: impl Into<String>, needs: &[Need], run: impl Fn(&Path) + Send + Sync + 'static) -> Self {
        let (name, needs) = (name.into(), needs.to_vec());
        Self { name, needs, limit: Duration::from_secs(120), is_long: false, run: Box::new(run) }
    }
}
