//! Raw calls around mounts: which one a file is in, clones of them, and where they go.

use std::ffi::CStr;
use std::mem;
use std::num::NonZeroU64;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use crate::sys::fd::{owned, proc_path};

type Result<T> = nix::Result<T>;

/// Identifies a mount within one mount table; the first field of a mountinfo line (proc_pid_mountinfo(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MountId(pub u64);

/// The mount that an open file belongs to: statx(2) tells since Linux 5.8, where no seccomp filter forbids it,
/// and /proc/self/fdinfo (3.15) elsewhere. Two that cannot be told are never one: an error is no answer.
///
/// # Errors
/// ENOENT without /proc, ENOSYS before Linux 3.15.
pub(crate) fn mount_id(fd: BorrowedFd<'_>) -> Result<MountId> {
    mount_id_by_statx(fd).or_else(|_| mount_id_by_proc(fd))
}

fn mount_id_by_proc(fd: BorrowedFd<'_>) -> Result<MountId> {
    let info = std::fs::read_to_string(proc_path(fd).replace("/fd/", "/fdinfo/"))
        .map_err(|error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))?;
    let line = info.lines().find_map(|line| line.strip_prefix("mnt_id:"));
    line.and_then(|id| id.trim().parse().ok()).map(MountId).ok_or(Errno::ENOSYS)
}

fn mount_id_by_statx(fd: BorrowedFd<'_>) -> Result<MountId> {
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

/// The ID that a mount has for as long as the machine runs, which is what [`status_of_mount`] asks by: statx(2)
/// tells since Linux 6.8.
pub(crate) fn unique_mount_id(fd: BorrowedFd<'_>) -> Option<NonZeroU64> {
    const STATX_MNT_ID_UNIQUE: u32 = 0x4000;
    // SAFETY: statx is plain data, and all zeroes is a value of it.
    let mut buffer: libc::statx = unsafe { mem::zeroed() };
    // SAFETY: the path is an empty C string, the buffer is ours and of the right size.
    let done = unsafe {
        libc::statx(fd.as_raw_fd(), c"".as_ptr(), libc::AT_EMPTY_PATH, STATX_MNT_ID_UNIQUE, &mut buffer)
    };
    let told = done == 0 && buffer.stx_mask & STATX_MNT_ID_UNIQUE != 0;
    NonZeroU64::new(buffer.stx_mnt_id).filter(|_| told)
}

/// What statmount(2) says of one mount of this namespace. Strings are as they are, but for `options`, which are
/// escaped as in /proc.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MountStatus {
    pub id: MountId,
    pub parent: MountId,
    /// Major and minor number of the superblock.
    pub device: (u32, u32),
    /// Which directory of the filesystem is the mount's root.
    pub root: Vec<u8>,
    /// Where it is mounted, seen from this process's root.
    pub point: Vec<u8>,
    /// The type with its subtype, as in `fuse.sshfs`.
    pub fstype: Vec<u8>,
    pub source: Vec<u8>,
    /// The filesystem's own options, without those of the mount.
    pub options: Vec<u8>,
    /// It belongs to a peer group, so that mounts on it appear elsewhere too.
    pub shared: bool,
    /// The mount is read-only, or its whole filesystem is.
    pub read_only: bool,
}

/// statmount(2), Linux 6.8; all that is asked for is told since 6.13.
///
/// # Errors
/// ENOSYS before; EPERM for a mount that this process may not see; ENOENT if it is not in this namespace;
/// EOVERFLOW for names longer than anybody has.
pub(crate) fn status_of_mount(id: NonZeroU64) -> Result<MountStatus> {
    const SYS_STATMOUNT: libc::c_long = 457;
    // SB_BASIC, MNT_BASIC, PROPAGATE_FROM, MNT_ROOT, MNT_POINT, FS_TYPE, MNT_OPTS, FS_SUBTYPE, SB_SOURCE.
    const WANTED: u64 = 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x20 | 0x80 | 0x100 | 0x200;
    // What every mount that can be seen has; a string that is empty is not marked as told.
    const NEEDED: u64 = 0x1 | 0x2 | 0x8 | 0x10 | 0x20 | 0x200;
    const STRINGS_AT: usize = 512;
    #[repr(C)]
    struct MountIdRequest {
        size: u32,
        spare: u32,
        mount: u64,
        wanted: u64,
    }
    let request = MountIdRequest {
        size: size_of::<MountIdRequest>() as u32,
        spare: 0,
        mount: id.get(),
        wanted: WANTED,
    };
    let mut reply = vec![0_u8; 8 * 1024];
    // SAFETY: the struct is ours, its size is in it; the buffer is ours, its length is passed.
    let done =
        unsafe { libc::syscall(SYS_STATMOUNT, &raw const request, reply.as_mut_ptr(), reply.len(), 0) };
    Errno::result(done)?;
    let bytes = |at: usize, length: usize| reply.get(at..at + length).unwrap_or_default();
    let small = |at| bytes(at, 4).try_into().map_or(0, u32::from_ne_bytes);
    let large = |at| bytes(at, 8).try_into().map_or(0, u64::from_ne_bytes);
    let told = large(8);
    if told & NEEDED != NEEDED {
        return Err(Errno::ENOSYS);
    }
    let text = |bit: u64, at| {
        let start = STRINGS_AT + small(at) as usize;
        let rest = reply.get(start..).filter(|_| told & bit != 0).unwrap_or_default();
        rest.split(|&byte| byte == 0).next().unwrap_or_default().to_vec()
    };
    let subtype = text(0x100, 120);
    let mut fstype = text(0x20, 36);
    if !subtype.is_empty() {
        fstype.push(b'.');
        fstype.extend(subtype);
    }
    const RDONLY: u64 = 1; // SB_RDONLY and MOUNT_ATTR_RDONLY
    Ok(MountStatus {
        id: MountId(small(56).into()),
        parent: MountId(small(60).into()),
        device: (small(16), small(20)),
        root: text(0x8, 104),
        point: text(0x10, 108),
        fstype,
        source: text(0x200, 124),
        options: text(0x80, 4),
        shared: large(80) != 0,
        read_only: (u64::from(small(32)) | large(64)) & RDONLY != 0,
    })
}

/// A clone of the mount that `dir` is in, rooted at `dir`, attached nowhere: open_tree(2), Linux 5.2.
///
/// # Errors
/// EPERM without CAP_SYS_ADMIN, EINVAL for a mount that may not be cloned, ENOSYS.
pub(crate) fn clone_mount(dir: BorrowedFd<'_>) -> Result<OwnedFd> {
    const OPEN_TREE_CLONE: u32 = 1;
    let flags = OPEN_TREE_CLONE | libc::O_CLOEXEC as u32 | libc::AT_EMPTY_PATH as u32;
    // SAFETY: an empty C string and integers.
    let fd = unsafe { libc::syscall(libc::SYS_open_tree, dir.as_raw_fd(), c"".as_ptr(), flags) };
    owned(fd)
}

/// A clone of the mount tree that is visible below `dir`, attached nowhere.
///
/// # Errors
/// As [`clone_mount`].
pub(crate) fn clone_all(dir: BorrowedFd<'_>) -> Result<OwnedFd> {
    const OPEN_TREE_CLONE: u32 = 1;
    const AT_RECURSIVE: u32 = 0x8000;
    let flags = OPEN_TREE_CLONE | AT_RECURSIVE | libc::O_CLOEXEC as u32 | libc::AT_EMPTY_PATH as u32;
    // SAFETY: an empty C string and integers.
    let fd = unsafe { libc::syscall(libc::SYS_open_tree, dir.as_raw_fd(), c"".as_ptr(), flags) };
    owned(fd)
}

/// Attaches a detached mount on the file or directory `onto`: move_mount(2), both ends by descriptor, so
/// that no path is walked and none can be raced.
///
/// # Errors
/// As move_mount(2) says.
pub(crate) fn attach_mount(mount: BorrowedFd<'_>, onto: BorrowedFd<'_>) -> Result<()> {
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

/// A new filesystem in memory, attached nowhere: fsopen(2) and its like, Linux 5.2.
///
/// # Errors
/// EPERM without CAP_SYS_ADMIN, ENOSYS.
pub(crate) fn memory_filesystem() -> Result<OwnedFd> {
    detached_filesystem(c"tmpfs", c"mode", c"0700", None)
}

/// The filesystem on a block device that is mounted already, as one more mount that is attached nowhere: the same
/// superblock, and nothing in any mount table. Linux 5.2. Who asks has to want what the superblock is: writable, or not
/// (an ext4 that met an error is read-only).
///
/// # Errors
/// EBUSY if the device holds something else or nothing, EPERM without CAP_SYS_ADMIN, ENODEV, ENOSYS.
pub(crate) fn filesystem_on(device: &CStr, fstype: &CStr) -> Result<OwnedFd> {
    match detached_filesystem(fstype, c"source", device, None) {
        Err(Errno::EBUSY) => detached_filesystem(fstype, c"source", device, Some(c"ro")),
        other => other,
    }
}

fn detached_filesystem(fstype: &CStr, key: &CStr, value: &CStr, flag: Option<&CStr>) -> Result<OwnedFd> {
    const FSCONFIG_SET_FLAG: u32 = 0;
    const FSOPEN_CLOEXEC: u32 = 1;
    const FSCONFIG_SET_STRING: u32 = 1;
    const FSCONFIG_CMD_CREATE: u32 = 6;
    const FSMOUNT_CLOEXEC: u32 = 1;
    // SAFETY: C strings, null where the call takes it, descriptors and integers.
    unsafe {
        let made = owned(libc::syscall(libc::SYS_fsopen, fstype.as_ptr(), FSOPEN_CLOEXEC))?;
        let (fd, none) = (made.as_raw_fd(), std::ptr::null::<libc::c_char>());
        let (key, value) = (key.as_ptr(), value.as_ptr());
        Errno::result(libc::syscall(libc::SYS_fsconfig, fd, FSCONFIG_SET_STRING, key, value, 0))?;
        if let Some(flag) = flag {
            let flag = flag.as_ptr();
            Errno::result(libc::syscall(libc::SYS_fsconfig, fd, FSCONFIG_SET_FLAG, flag, none, 0))?;
        }
        Errno::result(libc::syscall(libc::SYS_fsconfig, fd, FSCONFIG_CMD_CREATE, none, none, 0))?;
        owned(libc::syscall(libc::SYS_fsmount, fd, FSMOUNT_CLOEXEC, 0))
    }
}

/// Makes one mount read-only: mount_setattr(2), Linux 5.12.
///
/// # Errors
/// EINVAL if `fd` is not the root of a mount, ENOSYS.
pub(crate) fn make_read_only(fd: BorrowedFd<'_>) -> Result<()> {
    const MOUNT_ATTR_RDONLY: u64 = 1;
    set_attributes(fd, MOUNT_ATTR_RDONLY, 0)
}

fn set_attributes(fd: BorrowedFd<'_>, set: u64, propagation: u64) -> Result<()> {
    #[repr(C)]
    struct Attr {
        set: u64,
        clear: u64,
        propagation: u64,
        userns: u64,
    }
    let attr = Attr { set, clear: 0, propagation, userns: 0 };
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
