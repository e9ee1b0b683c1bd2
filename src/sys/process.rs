//! Raw calls around processes: becoming a program, running one as a child, in which mount namespace, and with
//! which descriptors.
#![allow(unsafe_code, reason = "src/sys is where it may be")]

use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::OnceLock;

use nix::errno::Errno;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::sys::Result;

/// The way back to the mount namespace, root and working directory that a process had.
#[derive(Debug)]
pub(crate) struct Caller {
    /// `/proc/self/ns/mnt`.
    pub namespace: OwnedFd,
    /// `/`, as a place.
    pub root: OwnedFd,
    /// `.`, as a place.
    pub cwd: OwnedFd,
}

/// Returns to where [`Caller`] leads; setns(2) alone would leave a chroot.
///
/// # Errors
/// As setns(2), fchdir(2) and chroot(2) say.
pub(crate) fn return_to(caller: &Caller) -> Result<()> {
    let [namespace, root, cwd] = [&caller.namespace, &caller.root, &caller.cwd].map(|fd| fd.as_raw_fd());
    // SAFETY: descriptors that are open, and a C string. Async-signal-safe, so fit for a forked child.
    unsafe {
        Errno::result(libc::setns(namespace, libc::CLONE_NEWNS))?;
        Errno::result(libc::fchdir(root))?;
        Errno::result(libc::chroot(c".".as_ptr()))?;
        Errno::result(libc::fchdir(cwd)).map(drop)
    }
}

/// In which mount namespace a child runs, and where in it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Where<'a> {
    /// In ours.
    Here,
    /// In a new one, if the kernel grants one.
    Private,
    /// In the one that we came from.
    Caller(&'a Caller),
    /// In ours, with this directory as the working directory.
    At(&'a OwnedFd),
}

/// The path that execve(2) was given, from the auxiliary vector: what is left when there is no /proc.
pub(crate) fn executed_path() -> Option<OsString> {
    // SAFETY: AT_EXECFN is a C string that lives as long as the process.
    unsafe {
        let path = libc::getauxval(libc::AT_EXECFN) as *const libc::c_char;
        (!path.is_null()).then(|| OsString::from_vec(CStr::from_ptr(path).to_bytes().to_vec()))
    }
}

/// Gives each closed one of descriptors 0 to 2 a close-on-exec `/dev/null`, so that no file that we open
/// lands there, and tells which they were. A program that we execute still finds them closed.
pub(crate) fn occupy_closed_stdio() -> [bool; 3] {
    [0, 1, 2].map(|fd| {
        // SAFETY: F_GETFD reads a flag; open and dup3 make descriptors, which stay for the whole process.
        unsafe {
            if libc::fcntl(fd, libc::F_GETFD) >= 0 {
                return false;
            }
            let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
            if null >= 0 && null != fd {
                libc::dup3(null, fd, libc::O_CLOEXEC);
                libc::close(null);
            }
            true
        }
    })
}

/// What execve(2) needs, made before a fork: after it, nothing may allocate.
pub(crate) struct Program {
    path: CString,
    argv: Vec<CString>,
}

impl Program {
    /// # Errors
    /// EINVAL for a NUL byte, which no real path or argument has.
    pub(crate) fn new(path: &OsStr, argv: &[OsString]) -> Result<Self> {
        let c_string = |s: &OsStr| CString::new(s.as_bytes()).map_err(|_| Errno::EINVAL);
        Ok(Self { path: c_string(path)?, argv: argv.iter().map(|arg| c_string(arg)).collect::<Result<_>>()? })
    }

    /// Becomes the program, with the environment as it is; signal dispositions are not touched, so what the
    /// caller ignored stays ignored. Returns only on failure.
    pub(crate) fn exec(&self) -> Errno {
        let pointers = self.pointers();
        restore_room();
        // SAFETY: NUL-terminated strings in a NULL-terminated array; environ is the process's own.
        unsafe { libc::execv(self.path.as_ptr(), pointers.as_ptr()) };
        Errno::last()
    }

    /// Runs it as a child; `stdout` and `stderr`, where given, take the place of ours. Returns once the program
    /// has begun, or could not.
    ///
    /// # Errors
    /// EAGAIN and ENOMEM from fork(2).
    pub(crate) fn spawn(
        &self,
        stdout: Option<&OwnedFd>,
        stderr: Option<&OwnedFd>,
        place: Where<'_>,
    ) -> Result<Child> {
        let pointers = self.pointers();
        let words = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).ok();
        // SAFETY: between fork and exec the child only makes async-signal-safe calls, on memory made before.
        let pid = unsafe {
            let pid = Errno::result(libc::fork())?;
            if pid == 0 {
                let say = words.as_ref().map(|(_, write)| write.as_raw_fd());
                become_child(stdout, stderr, place, say);
                restore_room();
                libc::execv(self.path.as_ptr(), pointers.as_ptr());
                tell(say, b'e', Errno::last_raw());
                libc::_exit(127);
            }
            Pid::from_raw(pid)
        };
        Ok(Child::listen(pid, words))
    }

    fn pointers(&self) -> Vec<*const libc::c_char> {
        self.argv.iter().map(|arg| arg.as_ptr()).chain([std::ptr::null()]).collect()
    }
}

/// Runs `work` as a child, as [`Program::spawn`] runs a program; its exit status is what `work` gives. For a
/// process with one thread only: the child has no other.
///
/// # Errors
/// EAGAIN and ENOMEM from fork(2).
pub(crate) fn spawn_work(
    stdout: Option<&OwnedFd>,
    stderr: Option<&OwnedFd>,
    place: Where<'_>,
    work: impl FnOnce() -> i32,
) -> Result<Child> {
    let words = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).ok();
    // SAFETY: with one thread no lock can be held by another, so the child may do what its parent may.
    let pid = unsafe {
        let pid = Errno::result(libc::fork())?;
        if pid == 0 {
            become_child(stdout, stderr, place, words.as_ref().map(|(_, write)| write.as_raw_fd()));
            drop(words);
            libc::_exit(work());
        }
        Pid::from_raw(pid)
    };
    Ok(Child::listen(pid, words))
}

/// A child, and what it said of its beginning.
#[derive(Debug)]
pub(crate) struct Child {
    /// Its process ID.
    pub pid: Pid,
    /// Becomes readable when it ends: pidfd_open(2), Linux 5.3.
    pub ended: Option<OwnedFd>,
    /// Why its program could not be executed.
    pub refused: Option<Errno>,
    /// It wanted a mount namespace of its own and was not granted one.
    pub in_the_open: bool,
}

impl Child {
    /// Reads until the other end is closed, which a successful execve(2) does.
    fn listen(pid: Pid, words: Option<(OwnedFd, OwnedFd)>) -> Self {
        let mut child = Self { pid, ended: pidfd(pid).ok(), refused: None, in_the_open: false };
        let Some((read, write)) = words else { return child };
        drop(write);
        let mut bytes = Vec::new();
        let _ = std::io::Read::read_to_end(&mut std::fs::File::from(read), &mut bytes);
        for word in bytes.chunks_exact(5) {
            let number =
                word.get(1..).and_then(|number| number.try_into().ok()).map_or(0, i32::from_ne_bytes);
            match word.first() {
                Some(b'e') => child.refused = Some(Errno::from_raw(number)),
                _ => child.in_the_open = true,
            }
        }
        child
    }
}

fn pidfd(pid: Pid) -> Result<OwnedFd> {
    // SAFETY: integers.
    crate::sys::owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) })
}

/// One word to the parent: what, and a number. Async-signal-safe.
fn tell(pipe: Option<std::os::fd::RawFd>, what: u8, number: i32) {
    let Some(pipe) = pipe else { return };
    let [a, b, c, d] = number.to_ne_bytes();
    let word = [what, a, b, c, d];
    // SAFETY: five bytes of our own.
    unsafe { libc::write(pipe, word.as_ptr().cast(), word.len()) };
}

/// What a child does first: its output goes where it shall, and it enters its mount namespace. It only makes
/// async-signal-safe calls.
fn become_child(
    stdout: Option<&OwnedFd>,
    stderr: Option<&OwnedFd>,
    place: Where<'_>,
    say: Option<std::os::fd::RawFd>,
) {
    // SAFETY: descriptors that are open, and integers.
    unsafe {
        for (fd, target) in [(stdout, 1), (stderr, 2)] {
            if let Some(fd) = fd {
                libc::dup2(fd.as_raw_fd(), target);
            }
        }
        match place {
            Where::Here => {}
            Where::Private => {
                if libc::unshare(libc::CLONE_NEWNS) != 0 {
                    tell(say, b'n', Errno::last_raw());
                }
            }
            Where::Caller(caller) => {
                if return_to(caller).is_err() {
                    libc::_exit(127);
                }
            }
            Where::At(dir) => {
                if libc::fchdir(dir.as_raw_fd()) != 0 {
                    libc::_exit(127);
                }
                // Work that needs no exec needs the descriptor where there are few.
                libc::close(dir.as_raw_fd());
            }
        }
    }
}

/// Waits for a child and gives its exit status, 128 + n if signal n ended it.
///
/// # Errors
/// ECHILD if somebody reaped it (SIGCHLD ignored by our caller).
pub(crate) fn wait(pid: Pid) -> Result<i32> {
    loop {
        match waitpid(pid, None) {
            Ok(WaitStatus::Exited(_, status)) => return Ok(status),
            Ok(WaitStatus::Signaled(_, signal, _)) => return Ok(128 + signal as i32),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// SIGCHLD as a program expects it; a caller that ignored it would make [`wait`] fail. A handler, which an init that uses
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

/// The caller's limit on descriptors, where we have changed it.
static ROOM: OnceLock<libc::rlimit> = OnceLock::new();

/// Gives this process room for the few descriptors that it needs, however few the caller left it (`ulimit -n`).
/// A program that we execute gets the caller's limit back.
pub(crate) fn make_room() {
    const ENOUGH: libc::rlim_t = 64;
    let mut before = libc::rlimit { rlim_cur: ENOUGH, rlim_max: ENOUGH };
    // SAFETY: the kernel writes two integers, which are ours.
    let known = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut before) } == 0;
    if !known || before.rlim_cur >= ENOUGH {
        return;
    }
    for most in [before.rlim_max.max(ENOUGH), before.rlim_max] {
        let room = libc::rlimit { rlim_cur: ENOUGH.min(most), rlim_max: most };
        // SAFETY: the kernel reads two integers. A hard limit may be raised with CAP_SYS_RESOURCE only.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const room) } == 0 {
            let _ = ROOM.set(before);
            return;
        }
    }
}

/// Async-signal-safe.
fn restore_room() {
    if let Some(before) = ROOM.get() {
        // SAFETY: the kernel reads two integers.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, before) };
    }
}

/// Sets a variable for the programs that this process will run.
pub(crate) fn set_environment(name: &str, value: &str) {
    // SAFETY: this process has one thread.
    unsafe { std::env::set_var(name, value) };
}

/// Borrows descriptor 0, 1 or 2, which [`occupy_closed_stdio`] has made sure to be open.
pub(crate) fn stdio(fd: u8) -> BorrowedFd<'static> {
    // SAFETY: nothing in this crate closes 0 to 2.
    unsafe { BorrowedFd::borrow_raw(i32::from(fd.min(2))) }
}

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

/// Whether this process was started by that one, or by one that it started: /proc says so.
pub(crate) fn is_ancestor(other: i32) -> bool {
    const GENERATIONS: usize = 64;
    let mut process = nix::unistd::getppid().as_raw();
    for _ in 0..GENERATIONS {
        if process == other || process <= 1 {
            return process == other;
        }
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // Its name is in parentheses and may be anything; then come its state and its parent.
        let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
        process = parent.unwrap_or(0);
    }
    false
}
