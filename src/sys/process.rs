//! Raw calls around processes: becoming a program, running one as a child, in which mount namespace, and with
//! which descriptors.
#![allow(unsafe_code, reason = "src/sys is where it may be")]

use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use nix::errno::Errno;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use super::Result;

/// The way back to the mount namespace, root and working directory that a process had.
#[derive(Debug)]
pub struct Home {
    /// `/proc/self/ns/mnt`.
    pub namespace: OwnedFd,
    /// `/`, as a place.
    pub root: OwnedFd,
    /// `.`, as a place.
    pub cwd: OwnedFd,
}

/// Returns to where [`Home`] leads; setns(2) alone would leave a chroot.
///
/// # Errors
/// As setns(2), fchdir(2) and chroot(2) say.
pub fn go_home(home: &Home) -> Result<()> {
    let [namespace, root, cwd] = [&home.namespace, &home.root, &home.cwd].map(|fd| fd.as_raw_fd());
    // SAFETY: descriptors that are open, and a C string. Async-signal-safe, so fit for a forked child.
    unsafe {
        Errno::result(libc::setns(namespace, libc::CLONE_NEWNS))?;
        Errno::result(libc::fchdir(root))?;
        Errno::result(libc::chroot(c".".as_ptr()))?;
        Errno::result(libc::fchdir(cwd)).map(drop)
    }
}

/// In which mount namespace a child runs.
#[derive(Debug, Clone, Copy)]
pub enum Where<'a> {
    /// In ours.
    Here,
    /// In a new one, if the kernel grants one.
    Private,
    /// In the one that we came from.
    Home(&'a Home),
    /// In a new one, with a mount over a directory; not at all if that cannot be.
    Behind(&'a OwnedFd, &'a CStr),
}

/// The path that execve(2) was given, from the auxiliary vector: what is left when there is no /proc.
pub fn executed_path() -> Option<OsString> {
    // SAFETY: AT_EXECFN is a C string that lives as long as the process.
    unsafe {
        let path = libc::getauxval(libc::AT_EXECFN) as *const libc::c_char;
        (!path.is_null()).then(|| OsString::from_vec(CStr::from_ptr(path).to_bytes().to_vec()))
    }
}

/// Gives each closed one of descriptors 0 to 2 a close-on-exec `/dev/null`, so that no file that we open
/// lands there, and tells which they were. A program that we execute still finds them closed.
pub fn occupy_closed_stdio() -> [bool; 3] {
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
pub struct Program {
    path: CString,
    argv: Vec<CString>,
}

impl Program {
    /// # Errors
    /// EINVAL for a NUL byte, which no real path or argument has.
    pub fn new(path: &OsStr, argv: &[OsString]) -> Result<Self> {
        let c_string = |s: &OsStr| CString::new(s.as_bytes()).map_err(|_| Errno::EINVAL);
        Ok(Self { path: c_string(path)?, argv: argv.iter().map(|arg| c_string(arg)).collect::<Result<_>>()? })
    }

    /// Becomes the program, with the environment as it is; signal dispositions are not touched, so what the
    /// caller ignored stays ignored. Returns only on failure.
    pub fn exec(&self) -> Errno {
        let pointers = self.pointers();
        // SAFETY: NUL-terminated strings in a NULL-terminated array; environ is the process's own.
        unsafe { libc::execv(self.path.as_ptr(), pointers.as_ptr()) };
        Errno::last()
    }

    /// Runs it as a child; `stdout` and `stderr`, where given, take the place of ours. Returns once the program
    /// has begun, or could not.
    ///
    /// # Errors
    /// EAGAIN and ENOMEM from fork(2).
    pub fn spawn(
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
pub fn spawn_work(
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
pub struct Child {
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
    super::owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) })
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
            Where::Home(home) => {
                if go_home(home).is_err() {
                    libc::_exit(127);
                }
            }
            Where::Behind(mount, place) => {
                if hide_behind(mount, place).is_err() {
                    libc::_exit(127);
                }
            }
        }
    }
}

/// A namespace of this process's own, from which nothing spreads, and a mount in it. Async-signal-safe.
fn hide_behind(mount: &OwnedFd, place: &CStr) -> Result<()> {
    const MOVE_MOUNT_F_EMPTY_PATH: u32 = 4;
    let private = libc::MS_REC | libc::MS_PRIVATE;
    let none = std::ptr::null();
    // SAFETY: C strings, null where mount(2) takes it, an open descriptor, and integers.
    unsafe {
        Errno::result(libc::unshare(libc::CLONE_NEWNS))?;
        Errno::result(libc::mount(none, c"/".as_ptr(), none, private, none.cast()))?;
        let (from, to) = (c"".as_ptr(), place.as_ptr());
        let flags = MOVE_MOUNT_F_EMPTY_PATH;
        let moved = libc::syscall(libc::SYS_move_mount, mount.as_raw_fd(), from, libc::AT_FDCWD, to, flags);
        Errno::result(moved).map(drop)
    }
}

/// Waits for a child and gives its exit status, 128 + n if signal n ended it.
///
/// # Errors
/// ECHILD if somebody reaped it (SIGCHLD ignored by our caller).
pub fn wait(pid: Pid) -> Result<i32> {
    loop {
        match waitpid(pid, None) {
            Ok(WaitStatus::Exited(_, status)) => return Ok(status),
            Ok(WaitStatus::Signaled(_, signal, _)) => return Ok(128 + signal as i32),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// SIGCHLD as a program expects it; a caller that ignored it would make [`wait`] fail.
pub fn expect_children() {
    // SAFETY: SIG_DFL is no handler.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// Sets a variable for the programs that this process will run.
pub fn set_environment(name: &str, value: &str) {
    // SAFETY: this process has one thread.
    unsafe { std::env::set_var(name, value) };
}

/// Borrows descriptor 0, 1 or 2, which [`occupy_closed_stdio`] has made sure to be open.
pub fn stdio(fd: u8) -> BorrowedFd<'static> {
    // SAFETY: nothing in this crate closes 0 to 2.
    unsafe { BorrowedFd::borrow_raw(i32::from(fd.min(2))) }
}

/// Does something that the kernel may answer with SIGXFSZ (a limit on file sizes) or SIGPIPE (a reader who has
/// gone), which then are an error and not our end. What the caller had set for them is set again afterwards.
pub fn unharmed<T>(work: impl FnOnce() -> T) -> T {
    let signals = [libc::SIGXFSZ, libc::SIGPIPE];
    // SAFETY: SIG_IGN is no handler, and what signal() gave back is what it takes.
    let before = signals.map(|signal| unsafe { libc::signal(signal, libc::SIG_IGN) });
    let done = work();
    for (signal, handler) in signals.into_iter().zip(before) {
        // SAFETY: as above.
        unsafe { libc::signal(signal, handler) };
    }
    done
}
