//! A program of the running system that may hang or talk without end, kept within bounds.
//!
//! It is waited for until a deadline, and of what it says only the end is kept. One that starts others goes into a
//! process group of its own, so that they go with it.
#![expect(clippy::disallowed_methods, reason = "the running system's own tool")]

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::error::{Attempt, Error, Kind, Result};
use crate::sys;

/// How much of what it said is kept, in bytes.
const KEPT: usize = 64 * 1024;
/// How long one look at it takes at the most, in milliseconds.
const LOOK: u16 = 20;

/// How a program ended, and what it said in the end on those of its outputs that were ours to read.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Outcome {
    /// The last line that it wrote to stderr, without the end of that line.
    pub(crate) fn last_words(&self) -> Option<&[u8]> {
        self.stderr.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty())
    }
}

/// A tool of the system that knows nothing of our caller: with a plain environment, at `/`, in a process group of
/// its own, with stderr for us to read.
pub(crate) fn system_tool(tool: &str) -> Command {
    let mut command = Command::new(tool);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C");
    command.current_dir("/").stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
    command
}

/// Runs a program for at most `limit`. Its input is empty.
///
/// # Errors
/// State, with the program and the limit, if it had to be killed; what starting it says.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Result<Outcome> {
    let name = command.get_program().to_owned();
    let tool = Path::new(&name);
    // A caller that ignores SIGCHLD would leave nobody to wait for.
    sys::expect_children();
    let end = Instant::now() + limit;
    let mut child = command.stdin(Stdio::null()).spawn().attempt("run", tool)?;
    let mut outputs = [Tail::of(child.stdout.take()), Tail::of(child.stderr.take())];
    while Instant::now() < end {
        if let Some(status) = child.try_wait().attempt("wait for", tool)? {
            // What it started may talk on, so this has an end as well.
            while listen(&mut outputs, PollTimeout::ZERO) && Instant::now() < end {}
            let [stdout, stderr] = outputs.map(|output| output.said);
            return Ok(Outcome { status, stdout, stderr });
        }
        if outputs.iter().all(|output| output.pipe.is_none()) {
            std::thread::sleep(Duration::from_millis(1));
        } else {
            listen(&mut outputs, PollTimeout::from(LOOK));
        }
    }
    kill(&mut child);
    let reason = format!("it did not end within {} seconds, and was killed", limit.as_secs());
    Err(Error::new(Kind::State, "run", reason).at(tool))
}

/// The end of what a program says on one of its outputs.
struct Tail {
    /// `None` once the program has closed it, or if it was never ours to read.
    pipe: Option<File>,
    said: Vec<u8>,
}

impl Tail {
    fn of(pipe: Option<impl Into<OwnedFd>>) -> Self {
        Self { pipe: pipe.map(|pipe| File::from(pipe.into())), said: Vec::new() }
    }

    fn read(&mut self) {
        let mut buffer = [0; 4096];
        match self.pipe.as_mut().map(|pipe| pipe.read(&mut buffer)) {
            Some(Ok(count)) if count > 0 => {
                self.said.extend_from_slice(buffer.get(..count).unwrap_or(&[]));
                self.said.drain(..self.said.len().saturating_sub(KEPT));
            }
            _ => self.pipe = None,
        }
    }
}

/// Reads once from each output that has something to say in time; whether one had.
fn listen(outputs: &mut [Tail; 2], timeout: PollTimeout) -> bool {
    let open = outputs.iter().filter_map(|output| output.pipe.as_ref());
    let mut polled: Vec<PollFd<'_>> = open.map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)).collect();
    if !poll(&mut polled, timeout).is_ok_and(|count| count > 0) {
        return false;
    }
    let ready: Vec<bool> = polled.iter().map(|pipe| pipe.any().unwrap_or(true)).collect();
    let open = outputs.iter_mut().filter(|output| output.pipe.is_some());
    open.zip(ready).filter(|(_, ready)| *ready).for_each(|(output, _)| output.read());
    true
}

/// What cannot be killed at once (it waits for a device) is left behind: the machine has to boot.
fn kill(child: &mut Child) {
    const PATIENCE: Duration = Duration::from_secs(1);
    // There is such a group only if the program was started in its own.
    let _ = i32::try_from(child.id()).map(|id| killpg(Pid::from_raw(id), Signal::SIGKILL));
    let _ = child.kill();
    sys::wait_for(PATIENCE, || (!matches!(child.try_wait(), Ok(None))).then_some(()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    #[test]
    fn what_hangs_is_killed_and_named_with_its_limit() {
        let limit = Duration::from_secs(1);
        let error = run(shell("echo $$; exec sleep 600").process_group(0), limit).unwrap_err();
        assert_eq!(error.to_string(), "run /bin/sh: it did not end within 1 seconds, and was killed");
        let begun = Instant::now();
        let error = run(&mut shell("exec >&- 2>&-; sleep 600"), limit).unwrap_err();
        assert!(
            error.to_string().contains("was killed") && begun.elapsed() < Duration::from_secs(10),
            "{error}"
        );
    }

    #[test]
    fn both_outputs_are_read_while_it_runs_and_only_their_ends_are_kept() {
        let talk = "head -c 300000 /dev/zero | tr '\\0' x; echo";
        let script = format!("{talk}; echo out; ({talk}) >&2; echo err >&2; exit 3");
        let outcome = run(&mut shell(&script), Duration::from_secs(60)).unwrap();
        assert_eq!(outcome.status.code(), Some(3));
        assert!(outcome.stdout.ends_with(b"out\n") && outcome.stdout.len() == KEPT);
        assert!(outcome.last_words() == Some(b"err") && outcome.stderr.len() == KEPT);
        let outcome = run(&mut shell("exec head -c 60000 /dev/zero"), Duration::from_secs(60)).unwrap();
        assert_eq!(outcome.stdout.len(), 60000, "what it left in the pipe when it ended is read as well");
    }
}
