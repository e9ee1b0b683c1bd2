//! A program of the running system that may hang or talk without end, kept within bounds.
//!
//! It gets a process group of its own, so that what it started goes with it; it is waited for until a deadline;
//! and of what it says only the end is kept.
#![expect(clippy::disallowed_methods, reason = "the running system's own tool")]

use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::error::{Attempt, Error, Kind, Result};

/// How much of what it said is kept, in bytes.
const KEPT: usize = 4096;
/// How long one look at it takes at the most, in milliseconds.
const LOOK: u16 = 20;

/// Runs `tool` for at most `limit`: its exit status, and the end of what it said on stderr.
///
/// # Errors
/// State if it had to be killed; what starting it says.
pub(crate) fn run(tool: &str, arguments: &[&str], limit: Duration) -> Result<(ExitStatus, Vec<u8>)> {
    let mut command = Command::new(tool);
    command.args(arguments).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C");
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.process_group(0).spawn().attempt("run", tool)?;
    let (mut pipe, mut said, end) = (child.stderr.take(), Vec::new(), Instant::now() + limit);
    while Instant::now() < end {
        if let Some(status) = child.try_wait().attempt("wait for", tool)? {
            listen(&mut pipe, &mut said, PollTimeout::ZERO);
            return Ok((status, said));
        }
        listen(&mut pipe, &mut said, PollTimeout::from(LOOK));
    }
    kill(&mut child);
    let reason = format!("it did not end within {} seconds, and was killed", limit.as_secs());
    Err(Error::new(Kind::State, "run", reason).at(tool))
}

/// Reads once, if there is something to be read in time.
fn listen(pipe: &mut Option<ChildStderr>, said: &mut Vec<u8>, timeout: PollTimeout) {
    let Some(open) = pipe else {
        std::thread::sleep(Duration::from_millis(1));
        return;
    };
    let ready = poll(&mut [PollFd::new(open.as_fd(), PollFlags::POLLIN)], timeout);
    if ready.is_ok_and(|count| count > 0) {
        let mut buffer = [0; KEPT];
        match open.read(&mut buffer) {
            Ok(0) | Err(_) => *pipe = None,
            Ok(count) => {
                said.extend_from_slice(buffer.get(..count).unwrap_or(&[]));
                said.drain(..said.len().saturating_sub(KEPT));
            }
        }
    }
}

/// What cannot be killed at once (it waits for a device) is left behind: the machine has to boot.
fn kill(child: &mut Child) {
    let _ = i32::try_from(child.id()).map(|id| killpg(Pid::from_raw(id), Signal::SIGKILL));
    for _ in 0..100 {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
