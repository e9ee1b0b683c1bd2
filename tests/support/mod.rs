//! What a test on the real kernel stands on.
//!
//! [`supervise`] gives each test a process, a mount and a PID namespace, a time limit and a scratch
//! directory, and sees that nothing is left; [`guest`] boots the machines in it; [`needs`] says what is
//! missing here.

pub mod files;
pub mod guest;
pub mod needs;
pub mod supervise;
pub mod swap_lock;
pub mod tree;
pub mod unchecked;
pub mod view;

use std::ffi::OsStr;
use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

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

/// What a command did.
#[derive(Clone, PartialEq, Eq)]
pub struct Ran {
    /// Exit status; 124 is a hang that timeout(1) ended.
    pub status: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

impl Ran {
    /// Standard output as text, for messages and for tests of plain text.
    pub fn out(&self) -> String {
        text(&self.stdout)
    }

    /// Standard error as text.
    pub fn err(&self) -> String {
        text(&self.stderr)
    }

    /// Insists on exit status 0 and gives standard output.
    #[track_caller]
    pub fn ok(self, what: &str) -> String {
        assert_eq!(self.status, 0, "{what}: {self:?}");
        self.out()
    }
}

impl fmt::Debug for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status {}, stdout {:?}, stderr {:?}", self.status, self.out(), self.err())
    }
}

/// Bytes as text for a message; what is not UTF-8 is spelt out.
pub fn text(bytes: &[u8]) -> String {
    bytes.utf8_chunks().map(|chunk| format!("{}{}", chunk.valid(), chunk.invalid().escape_ascii())).collect()
}

/// Runs a command of the host, with nothing of the test's environment, for at most 60 seconds.
pub fn host<S: AsRef<OsStr>>(argv: &[S]) -> Ran {
    let mut command = Command::new("timeout");
    command.args(["-k", "2", "60"]).args(argv).env_clear().envs([
        ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
        ("HOME", "/root"),
        ("LC_ALL", "C"),
    ]);
    let output = command.stdin(Stdio::null()).output().expect("timeout(1) runs");
    Ran { status: output.status.code().unwrap_or(128), stdout: output.stdout, stderr: output.stderr }
}

/// A script for the host's shell with arguments; it has to succeed.
pub fn host_sh(script: &str, args: &[&OsStr]) -> String {
    let mut argv: Vec<&OsStr> = ["/bin/sh", "-euc", script, "sh"].map(OsStr::new).to_vec();
    argv.extend(args);
    host(&argv).ok(script)
}
