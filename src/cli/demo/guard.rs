//! Who takes the guest away, whatever becomes of whom: the demo is three processes.
//!
//! The *front* is what the user started: it waits, and takes the interrupts. The *guard* lives in a session
//! of its own, so that no key reaches it, and holds one end of a pipe: when the front lets go of the other
//! end, by wish or by SIGKILL, the play is over. The *player* does everything that is seen, below the first
//! process of a PID namespace: when that one is killed, the kernel has killed all that the player ever started
//! before the guard goes on, so nobody swaps on behind the back of the one who swaps off. If the guard is the
//! one to be killed, the player dies with it, and the front takes the guest away.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, pipe2, setsid};

use crate::cli::demo::guest::DemoGuest;
use crate::error::{Attempt, Result};
use crate::sys::{self, Where};

/// How a play ended; the guest is gone in either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The player's exit status, or 128 + n if signal n ended it.
    Played(i32),
    /// The front was told to stop.
    Interrupted,
}

/// The guard's exit status if it could not take the guest away; the player's own are 0 and 1, or 128 and more.
const NOT_CLEAR: i32 = 100;

/// What ends a play from outside. SIGTSTP is not among them: it stops the front and the player, and SIGCONT
/// lets both go on, as ever.
const INTERRUPTS: [Signal; 4] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT];

/// Plays in `guest` and takes it away.
///
/// # Errors
/// If a process cannot be made; what could not be cleared.
pub(crate) fn play(guest: &DemoGuest, player: impl FnOnce() -> i32) -> Result<End> {
    sys::expect_children();
    let signals: SigSet = INTERRUPTS.into_iter().chain([Signal::SIGCHLD]).collect();
    signals.thread_block().attempt("block signals for", "demo")?;
    let watch = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .attempt("watch signals for", "demo")?;
    let (lifeline, hold) = pipe2(OFlag::O_CLOEXEC).attempt("make a pipe for", "demo")?;
    let mut hold = Some(hold);
    let guard = sys::spawn_work(None, None, Where::Here, || {
        hold = None;
        guard(guest, &lifeline, &watch, player)
    });
    let guard = guard.attempt("make a process for", "demo")?.pid;
    drop(lifeline);
    let mut interrupted = false;
    let ended = loop {
        wait_for(&[watch.as_fd()]);
        while let Ok(Some(signal)) = watch.read_signal() {
            if i32::try_from(signal.ssi_signo) != Ok(Signal::SIGCHLD as i32) {
                interrupted = true;
                // The guard sees it, ends the play and takes the guest away; it is the guard's end that is awaited.
                hold = None;
            }
        }
        if let Some(ended) = end_of(guard) {
            break ended;
        }
    };
    drop(hold);
    let status = match ended {
        // The guard was killed, or failed: what is tried once more here has the error that is told.
        Err(_) | Ok(NOT_CLEAR) => {
            guest.clear()?;
            1
        }
        Ok(status) => status,
    };
    Ok(if interrupted { End::Interrupted } else { End::Played(status) })
}

/// The guard's life; gives its exit status.
fn guard(guest: &DemoGuest, lifeline: &OwnedFd, watch: &SignalFd, player: impl FnOnce() -> i32) -> i32 {
    let _ = setsid();
    let first = unshare(CloneFlags::CLONE_NEWPID)
        .and_then(|()| sys::spawn_work(None, None, Where::Here, || first_process(player)));
    let status = match first {
        Err(errno) => {
            crate::cli::output::fail(&crate::error::Error::system("make a PID namespace for", "demo", errno))
        }
        Ok(first) => loop {
            let over = wait_for(&[lifeline.as_fd(), watch.as_fd()]);
            while let Ok(Some(_)) = watch.read_signal() {}
            match end_of(first.pid) {
                Some(Ok(status)) => break status,
                Some(Err(signal)) => break 128 + signal as i32,
                None if over => {
                    let _ = kill(first.pid, Signal::SIGKILL);
                    break sys::wait(first.pid).unwrap_or(1);
                }
                None => {}
            }
        },
    };
    if guest.clear().is_ok() { status } else { NOT_CLEAR }
}

/// The first process of the PID namespace: it dies with the guard, and everybody in it dies with this one.
fn first_process(player: impl FnOnce() -> i32) -> i32 {
    let _ = set_pdeathsig(Signal::SIGKILL);
    let player = sys::spawn_work(None, None, Where::Here, || {
        let _ = SigSet::empty().thread_set_mask();
        player()
    });
    player.and_then(|player| sys::wait(player.pid)).unwrap_or(1)
}

/// Waits until one of them has something, or is closed; whether it is the first.
fn wait_for(files: &[std::os::fd::BorrowedFd<'_>]) -> bool {
    let mut polled: Vec<PollFd<'_>> = files.iter().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect();
    match poll(&mut polled, PollTimeout::NONE) {
        Ok(_) => polled.first().is_some_and(|first| first.any().unwrap_or(true)),
        Err(_) => false,
    }
}

/// How a child ended, by itself or by a signal; `None` while it lives.
fn end_of(child: Pid) -> Option<std::result::Result<i32, Signal>> {
    match waitpid(child, Some(WaitPidFlag::WNOHANG)) {
        Ok(WaitStatus::Exited(_, status)) => Some(Ok(status)),
        Ok(WaitStatus::Signaled(_, signal, _)) => Some(Err(signal)),
        Err(errno) if errno != Errno::EINTR => Some(Ok(1)),
        _ => None,
    }
}
