//! Signals around work that they must not cut short, and around children that must be waited for.

/// Does something that the kernel may answer with SIGXFSZ (a limit on file sizes) or SIGPIPE (a reader who has
/// gone), which then are an error and not our end. What the caller had set for them is set again afterwards.
pub(crate) fn unharmed<T>(work: impl FnOnce() -> T) -> T {
    let signals = [libc::SIGXFSZ, libc::SIGPIPE, libc::SIGIO];
    // SAFETY: SIG_IGN is no handler, and what signal() gave back is what it takes.
    let before = signals.map(|signal| unsafe { libc::signal(signal, libc::SIG_IGN) });
    let done = work();
    for (signal, handler) in signals.into_iter().zip(before) {
        // SAFETY: as above.
        unsafe { libc::signal(signal, handler) };
    }
    done
}

/// The signals that ask a process to end.
const ENDING: [libc::c_int; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];

/// Does something that must not be left half done: a signal that asks this thread to end waits until it is done,
/// and those that an error can stand for are errors, as in [`unharmed`]. What takes long in it has to look at
/// [`is_interrupted`].
pub(crate) fn undisturbed<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: both sets are initialised by the calls before they are used, and are ours.
    unsafe {
        let (mut ending, mut before) = (std::mem::zeroed(), std::mem::zeroed());
        libc::sigemptyset(&raw mut ending);
        for signal in ENDING {
            libc::sigaddset(&raw mut ending, signal);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const ending, &raw mut before);
        let done = unharmed(work);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut());
        done
    }
}

/// Whether a signal that asks this process to end waits for [`undisturbed`] to be done.
pub(crate) fn is_interrupted() -> bool {
    // SAFETY: the set is initialised by the call, and ours.
    unsafe {
        let mut waiting = std::mem::zeroed();
        libc::sigpending(&raw mut waiting) == 0
            && ENDING.iter().any(|signal| libc::sigismember(&raw const waiting, *signal) == 1)
    }
}

/// SIGCHLD as a program expects it; a caller that ignored it would make [`wait`](super::process::wait) fail. A handler, which an init that uses
/// the library may have, stays.
pub(crate) fn expect_children() {
    // SAFETY: sigaction is plain data, and all zeroes is a value of it.
    let mut now: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes a sigaction, which is ours.
    let known = unsafe { libc::sigaction(libc::SIGCHLD, std::ptr::null(), &raw mut now) } == 0;
    let reaped_by_kernel = now.sa_sigaction == libc::SIG_IGN || now.sa_flags & libc::SA_NOCLDWAIT != 0;
    if known && reaped_by_kernel {
        // SAFETY: SIG_DFL is no handler.
        unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
    }
}
