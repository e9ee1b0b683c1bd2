//! Every raw system call of the crate, and all of its `unsafe`.
//!
//! What nix or std wraps safely is used from there; this file holds the rest, each behind a safe function
//! whose arguments cannot be misused: descriptors are borrowed, paths are C strings made here, buffers are
//! owned here. Nothing in this file decides anything.
#![allow(unsafe_code, reason = "this is the one file that may")]

pub mod block;
pub mod tree;
pub mod xattr;

use std::ffi::{CStr, CString, OsStr, OsString};
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use nix::errno::Errno;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

type Result<T> = nix::Result<T>;

/// Identifies a mount within one mount table; the first field of a mountinfo line (proc_pid_mountinfo(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MountId(pub u64);

/// The mount that an open file belongs to: statx(2) with STATX_MNT_ID, since Linux 5.8.
///
/// # Errors
/// ENOSYS where the kernel or a seccomp filter does not know the call, or the field.
pub fn mount_id(fd: BorrowedFd<'_>) -> Result<MountId> {
    // SAFETY: statx is plain data, and all zeroes is a value of it.
    let mut buffer: libc::statx = unsafe { mem::zeroed() };
    // SAFETY: the path is an empty C string, the buffer is ours and of the right size.
    let done = unsafe {
        libc::statx(fd.as_raw_fd(), c"".as_ptr(), libc::AT_EMPTY_PATH, libc::STATX_MNT_ID, &mut buffer)
    };
    Errno::result(done)?;
    if buffer.stx_mask & libc::STATX_MNT_ID == 0 {
        return Err(Errno::ENOSYS);
    }
    Ok(MountId(buffer.stx_mnt_id))
}

/// A kernel file handle: an opaque name of an inode that the filesystem made, with its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileHandle {
    /// The filesystem's own number for the layout of `bytes`; 0xf8 is overlayfs.
    pub kind: i32,
    /// Opaque, but for overlayfs, whose handle embeds the real file's.
    pub bytes: Vec<u8>,
}

/// name_to_handle_at(2) with AT_HANDLE_FID (Linux 6.5), which filesystems answer that cannot be exported.
///
/// # Errors
/// EINVAL before Linux 6.5, EOPNOTSUPP where the filesystem has no handles.
pub fn file_handle(fd: BorrowedFd<'_>) -> Result<FileHandle> {
    const AT_HANDLE_FID: i32 = 0x200;
    const MAX_HANDLE_SZ: usize = 128;
    #[repr(C)]
    struct Buffer {
        bytes: u32,
        kind: i32,
        handle: [u8; MAX_HANDLE_SZ],
    }
    let mut buffer = Buffer { bytes: MAX_HANDLE_SZ as u32, kind: 0, handle: [0; MAX_HANDLE_SZ] };
    let mut mount: i32 = 0;
    // SAFETY: struct file_handle is these two words and then handle_bytes bytes, which are ours.
    let done = unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            fd.as_raw_fd(),
            c"".as_ptr(),
            &raw mut buffer,
            &raw mut mount,
            libc::AT_EMPTY_PATH | AT_HANDLE_FID,
        )
    };
    Errno::result(done)?;
    let length = (buffer.bytes as usize).min(MAX_HANDLE_SZ);
    Ok(FileHandle { kind: buffer.kind, bytes: buffer.handle.get(..length).unwrap_or(&[]).to_vec() })
}

/// One run of a file's blocks, as FIEMAP tells it (Documentation/filesystems/fiemap.rst).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Extent {
    /// Offset in the file, in bytes.
    pub logical: u64,
    /// Offset on the device, in bytes; meaningless if `flags` says so.
    pub physical: u64,
    /// Length in bytes.
    pub length: u64,
    reserved64: [u64; 2],
    /// FIEMAP_EXTENT_* bits.
    pub flags: u32,
    reserved: [u32; 3],
}

impl Extent {
    /// Whether `physical` is a place that no other file has: known, not inline, not encoded, not shared.
    pub fn is_exclusive(&self) -> bool {
        const UNKNOWN: u32 = 0x2;
        const DELALLOC: u32 = 0x4;
        const ENCODED: u32 = 0x8;
        const INLINE: u32 = 0x200;
        const TAIL: u32 = 0x400;
        const SHARED: u32 = 0x2000;
        self.flags & (UNKNOWN | DELALLOC | ENCODED | INLINE | TAIL | SHARED) == 0 && self.length > 0
    }
}

/// The extents from byte `start` on, at most [`EXTENTS_AT_ONCE`], after the file's dirty pages were given
/// their places.
///
/// # Errors
/// EOPNOTSUPP where the filesystem does not tell.
pub fn extents(fd: BorrowedFd<'_>, start: u64) -> Result<Vec<Extent>> {
    const FS_IOC_FIEMAP: libc::Ioctl = 0xC020_660B;
    const FLAG_SYNC: u32 = 1;
    #[repr(C)]
    struct Map {
        start: u64,
        length: u64,
        flags: u32,
        mapped: u32,
        count: u32,
        reserved: u32,
        extents: [Extent; EXTENTS_AT_ONCE],
    }
    // SAFETY: integers only, and all zeroes is a value of them.
    let mut map: Map = unsafe { mem::zeroed() };
    map.start = start;
    map.length = u64::MAX - start;
    map.flags = FLAG_SYNC;
    map.count = EXTENTS_AT_ONCE as u32;
    // SAFETY: struct fiemap with `count` extents behind it, all ours.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), FS_IOC_FIEMAP, &raw mut map) })?;
    Ok(map.extents.into_iter().take(map.mapped as usize).collect())
}

/// How many extents one [`extents`] call gives at the most.
pub const EXTENTS_AT_ONCE: usize = 64;

/// Opens what a handle names on the filesystem that `mount` is in, as a place: open_by_handle_at(2).
///
/// # Errors
/// ESTALE if there is no such inode, EPERM without CAP_DAC_READ_SEARCH.
pub fn open_by_handle(mount: BorrowedFd<'_>, handle: &FileHandle) -> Result<OwnedFd> {
    let mut buffer = Vec::with_capacity(8 + handle.bytes.len());
    buffer.extend_from_slice(&(handle.bytes.len() as u32).to_ne_bytes());
    buffer.extend_from_slice(&handle.kind.to_ne_bytes());
    buffer.extend_from_slice(&handle.bytes);
    let flags = libc::O_PATH | libc::O_CLOEXEC;
    // SAFETY: struct file_handle is these bytes; the kernel only reads them.
    let fd =
        unsafe { libc::syscall(libc::SYS_open_by_handle_at, mount.as_raw_fd(), buffer.as_mut_ptr(), flags) };
    owned(fd)
}

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
}

/// A clone of the mount that `dir` is in, rooted at `dir`, attached nowhere: open_tree(2), Linux 5.2.
///
/// # Errors
/// EPERM without CAP_SYS_ADMIN, EINVAL for a mount that may not be cloned, ENOSYS.
pub fn clone_mount(dir: BorrowedFd<'_>) -> Result<OwnedFd> {
    const OPEN_TREE_CLONE: u32 = 1;
    let flags = OPEN_TREE_CLONE | libc::O_CLOEXEC as u32 | libc::AT_EMPTY_PATH as u32;
    // SAFETY: an empty C string and integers.
    let fd = unsafe { libc::syscall(libc::SYS_open_tree, dir.as_raw_fd(), c"".as_ptr(), flags) };
    owned(fd)
}

/// Attaches a detached mount on the file or directory `onto`: move_mount(2), both ends by descriptor, so
/// that no path is walked and none can be raced.
///
/// # Errors
/// As move_mount(2) says.
pub fn attach_mount(mount: BorrowedFd<'_>, onto: BorrowedFd<'_>) -> Result<()> {
    const BOTH_EMPTY: u32 = 0x4 | 0x40; // MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH
    // SAFETY: empty C strings and integers.
    let done = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mount.as_raw_fd(),
            c"".as_ptr(),
            onto.as_raw_fd(),
            c"".as_ptr(),
            BOTH_EMPTY,
        )
    };
    Errno::result(done).map(drop)
}

/// Takes one mount out of its peer group: mount_setattr(2), Linux 5.12. Nothing mounted on it from now on
/// appears anywhere else.
///
/// # Errors
/// EINVAL if `fd` is not the root of a mount, ENOSYS.
pub fn make_private(fd: BorrowedFd<'_>) -> Result<()> {
    #[repr(C)]
    struct Attr {
        set: u64,
        clear: u64,
        propagation: u64,
        userns: u64,
    }
    let attr = Attr { set: 0, clear: 0, propagation: libc::MS_PRIVATE, userns: 0 };
    // SAFETY: the struct is ours and its size is passed.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            fd.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attr,
            size_of::<Attr>(),
        )
    };
    Errno::result(done).map(drop)
}

/// The inode flags that chattr(1) shows (FS_IMMUTABLE_FL 0x10, FS_APPEND_FL 0x20, FS_NOCOW_FL 0x800000).
///
/// # Errors
/// ENOTTY where the filesystem has none.
pub fn inode_flags(fd: BorrowedFd<'_>) -> Result<u32> {
    let mut flags: libc::c_int = 0;
    // SAFETY: the kernel writes an int.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), libc::FS_IOC_GETFLAGS, &raw mut flags) })?;
    Ok(flags as u32)
}

/// The device number of the terminal behind `fd`, also when that is /dev/console: TIOCGDEV.
///
/// # Errors
/// ENOTTY if it is no terminal.
pub fn terminal_device(fd: BorrowedFd<'_>) -> Result<u32> {
    const TIOCGDEV: libc::Ioctl = 0x8004_5432;
    let mut device: u32 = 0;
    // SAFETY: the kernel writes an unsigned int.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), TIOCGDEV, &raw mut device) })?;
    Ok(device)
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

    /// Runs it as a child; `stdout` and `stderr`, where given, take the place of ours.
    ///
    /// # Errors
    /// EAGAIN and ENOMEM from fork(2). A failing execve(2) shows as exit status 127.
    pub fn spawn(&self, stdout: Option<&OwnedFd>, stderr: Option<&OwnedFd>, place: Where<'_>) -> Result<Pid> {
        let pointers = self.pointers();
        // SAFETY: between fork and exec the child only makes async-signal-safe calls, on memory made before.
        unsafe {
            let pid = Errno::result(libc::fork())?;
            if pid == 0 {
                for (fd, target) in [(stdout, 1), (stderr, 2)] {
                    if let Some(fd) = fd {
                        libc::dup2(fd.as_raw_fd(), target);
                    }
                }
                match place {
                    Where::Here => {}
                    Where::Private => {
                        libc::unshare(libc::CLONE_NEWNS);
                    }
                    Where::Home(home) => {
                        if go_home(home).is_err() {
                            libc::_exit(127);
                        }
                    }
                }
                libc::execv(self.path.as_ptr(), pointers.as_ptr());
                libc::_exit(127);
            }
            Ok(Pid::from_raw(pid))
        }
    }

    fn pointers(&self) -> Vec<*const libc::c_char> {
        self.argv.iter().map(|arg| arg.as_ptr()).chain([std::ptr::null()]).collect()
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

/// swapon(2): `flags` are SWAP_FLAG_*.
///
/// # Errors
/// As swapon(2) says.
pub fn swapon(path: &CStr, flags: i32) -> Result<()> {
    // SAFETY: a C string and an integer.
    Errno::result(unsafe { libc::swapon(path.as_ptr(), flags) }).map(drop)
}

/// swapoff(2).
///
/// # Errors
/// As swapoff(2) says.
pub fn swapoff(path: &CStr) -> Result<()> {
    // SAFETY: a C string.
    Errno::result(unsafe { libc::swapoff(path.as_ptr()) }).map(drop)
}

/// Borrows descriptor 0, 1 or 2, which [`occupy_closed_stdio`] has made sure to be open.
pub fn stdio(fd: u8) -> BorrowedFd<'static> {
    // SAFETY: nothing in this crate closes 0 to 2.
    unsafe { BorrowedFd::borrow_raw(i32::from(fd.min(2))) }
}

/// An open file as a path that any system call takes, as long as /proc is there and the descriptor is open.
pub fn proc_path(fd: impl AsFd) -> String {
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}

fn owned(fd: libc::c_long) -> Result<OwnedFd> {
    let fd = Errno::result(fd)?;
    let fd = i32::try_from(fd).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel has just made it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Random bytes for a name that nobody can have taken before: getrandom(2).
///
/// # Errors
/// ENOSYS before Linux 3.17.
pub fn random() -> Result<[u8; 8]> {
    let mut bytes = [0u8; 8];
    // SAFETY: the buffer is ours and its size is passed.
    Errno::result(unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) })?;
    Ok(bytes)
}

/// Whether `fd` is the root directory of the mount that it is in: statx(2), since Linux 5.8.
///
/// # Errors
/// ENOSYS where the kernel does not tell.
pub fn is_mount_root(fd: BorrowedFd<'_>) -> Result<bool> {
    const MOUNT_ROOT: u64 = libc::STATX_ATTR_MOUNT_ROOT as u64;
    // SAFETY: statx is plain data, and all zeroes is a value of it.
    let mut buffer: libc::statx = unsafe { mem::zeroed() };
    // SAFETY: the path is an empty C string, the buffer is ours and of the right size.
    let done = unsafe { libc::statx(fd.as_raw_fd(), c"".as_ptr(), libc::AT_EMPTY_PATH, 0, &raw mut buffer) };
    Errno::result(done)?;
    if buffer.stx_attributes_mask & MOUNT_ROOT == 0 {
        return Err(Errno::ENOSYS);
    }
    Ok(buffer.stx_attributes & MOUNT_ROOT != 0)
}

/// Locks the open file against everybody else who locks it, until its last descriptor is closed: flock(2).
/// nix's `Flock` panics if unlocking fails; closing cannot.
///
/// # Errors
/// EWOULDBLOCK if somebody else has it.
pub fn try_lock(fd: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: integers.
    Errno::result(unsafe { libc::flock(fd.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }).map(drop)
}
