//! Raw calls around processes: becoming a program, running one or a function as a child, in which mount namespace,
//! and with which descriptors.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::OnceLock;

use nix::errno::Errno;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::sys::fd::owned;

type Result<T> = nix::Result<T>;

/// The way back to the mount namespace, root and working directory that a process had.
#[derive(Debug)]
pub(crate) struct Caller {
    /// An open file of /proc/self/ns/mnt.
    pub namespace: OwnedFd,
    /// An O_PATH descriptor of `/`.
    pub root: OwnedFd,
    /// An O_PATH descriptor of `.`.
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
    /// The child stays in our namespace.
    Here,
    /// The child gets a new one, if the kernel grants it.
    Private,
    /// The child runs in the one that we came from.
    Caller(&'a Caller),
    /// The child stays in ours, with this directory as its working directory.
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
    owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) })
}

/// One word to the parent: what, and a number. Async-signal-safe.
fn tell(pipe: Option<RawFd>, what: u8, number: i32) {
    let Some(pipe) = pipe else { return };
    let [a, b, c, d] = number.to_ne_bytes();
    let word = [what, a, b, c, d];
    // SAFETY: five bytes of our own.
    unsafe { libc::write(pipe, word.as_ptr().cast(), word.len()) };
}

/// What a child does first: its output goes where it shall, and it enters its mount namespace. It only makes
/// async-signal-safe calls.
fn become_child(stdout: Option<&OwnedFd>, stderr: Option<&OwnedFd>, place: Where<'_>, say: Option<RawFd>) {
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

/// Puts the caller's limit back; it is async-signal-safe.
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

/// Runs `work` in a process of its own that nobody waits for: a session of its own, `/dev/null` for its
/// standard descriptors, and of ours only those in `keep`, because an inherited lock or pipe would make our
/// caller wait after all.
///
/// The calling process must have one thread: the child goes on in a copy of it. It is to end soon: init inherits the
/// child then.
///
/// # Errors
/// EAGAIN and ENOMEM from fork(2).
pub(crate) fn detach(keep: &[RawFd], work: impl FnOnce()) -> Result<()> {
    // Its end, at which the child has closed what it inherited, is waited for: the caller's lock is free then.
    let pipe = std::io::pipe().ok();
    // SAFETY: one thread, by contract, so that the copy is whole; the child ends in _exit.
    unsafe {
        let pid = Errno::result(libc::fork())?;
        if pid == 0 {
            libc::setsid();
            let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
            for fd in 0..3 {
                libc::dup2(null, fd);
            }
            close_others(keep);
            work();
            libc::_exit(0);
        }
    }
    if let Some((mut reader, writer)) = pipe {
        drop(writer);
        let _ = std::io::Read::read(&mut reader, &mut [0]);
    }
    Ok(())
}

/// Closes every descriptor from 3 on but those in `keep`.
///
/// # Safety
/// Nobody may use the others any more.
unsafe fn close_others(keep: &[RawFd]) {
    let mut first: u32 = 3;
    loop {
        let kept = keep.iter().filter_map(|fd| u32::try_from(*fd).ok()).filter(|fd| *fd >= first);
        // The lowest is looked for each time: the library's sort would be 4 KiB of code.
        let next = kept.min().unwrap_or(u32::MAX);
        if next > first {
            // SAFETY: by the caller's promise.
            unsafe { libc::syscall(libc::SYS_close_range, first, next - 1, 0) };
        }
        if next == u32::MAX {
            return;
        }
        first = next + 1;
    }
}
