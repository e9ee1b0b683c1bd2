//! Runs a command of the host: bounded in time, and with an environment that is the same whoever starts the tests.

use std::ffi::OsStr;
use std::fmt;
use std::process::{Command, Stdio};
use std::time::Duration;

/// What a command takes at most that has nothing to wait for.
const LIMIT: Duration = Duration::from_secs(60);

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

/// A command with nothing of the test's environment, which ends within that time; more can be said of it before it is
/// [`run`].
pub fn bounded<S: AsRef<OsStr>>(limit: Duration, argv: &[S]) -> Command {
    let mut command = Command::new("timeout");
    command.args(["-k", "2", &limit.as_secs().to_string()]).args(argv).env_clear().envs([
        ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
        ("HOME", "/root"),
        ("LC_ALL", "C"),
    ]);
    command
}

/// Runs it to its end.
pub fn run(command: &mut Command) -> Ran {
    let output = command.stdin(Stdio::null()).output().expect("timeout(1) runs");
    Ran { status: output.status.code().unwrap_or(128), stdout: output.stdout, stderr: output.stderr }
}

/// Runs a command of the host, with nothing of the test's environment, for at most 60 seconds.
pub fn host<S: AsRef<OsStr>>(argv: &[S]) -> Ran {
    run(&mut bounded(LIMIT, argv))
}

/// A script for the host's shell with arguments; it has to succeed.
pub fn host_sh(script: &str, args: &[&OsStr]) -> String {
    let mut argv: Vec<&OsStr> = ["/bin/sh", "-euc", script, "sh"].map(OsStr::new).to_vec();
    argv.extend(args);
    host(&argv).ok(script)
}
