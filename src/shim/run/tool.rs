//! Running the real tool: by becoming it, or as a child whose output is read on its way.
#![expect(clippy::disallowed_methods, reason = "the running system's own namespace")]

use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::Mode;
use nix::unistd::pipe2;

use crate::builtin;
use crate::command::real_tool::Real;
use crate::command::tables::Purpose;
use crate::error::{Attempt, Result};
use crate::invocation::Invocation;
use crate::octal;
use crate::shim::facts::{self, operand};
use crate::shim::plan::report::{Prepared, Ran};
use crate::shim::plan::runs::{Detached, Run};
use crate::shim::plan::{Decided, Decision, Plan};
use crate::sys::{self, Program, Where};

use crate::backing::reveal::Stage;
use crate::shim::run::{fallback, output};

/// Becomes the real tool. Returns only if that failed.
pub fn become_it(real: &Path, argv: &[OsString]) -> Errno {
    match Program::new(real.as_os_str(), argv) {
        Ok(program) => program.exec(),
        Err(errno) => errno,
    }
}

/// Enters a private mount namespace and mounts each proved backing file over the path that the user gave.
/// What cannot be mounted is left as it is; the real tool then says what the kernel says.
///
/// # Errors
/// If there can be no namespace; nothing was changed then.
pub fn mask(plan: &Plan, prepared: &[(Prepared, Option<OwnedFd>)]) -> Result<Mask> {
    let stands = |operand: &Decided| match &operand.decision {
        Decision::StoodIn { path, area, gone: false } => Some((path.clone(), area.device.clone())),
        _ => None,
    };
    let stood_in: Vec<(PathBuf, PathBuf)> = plan.operands.iter().filter_map(stands).collect();
    if stood_in.is_empty() && !prepared.iter().any(|(_, backing)| backing.is_some()) {
        return Ok(Mask::default());
    }
    let swaps = facts::swaps_text();
    unshare(CloneFlags::CLONE_NEWNS).attempt("unshare the mounts of", "/")?;
    make_private()?;
    let names = plan.stood_in().filter(|_| plan.by_tag).map(|(_, area, _)| area.name.as_path());
    let shown = as_files(&swaps, &names.collect::<Vec<_>>());
    if facts::swaps_text() != shown {
        // Worth trying only: without it, `swapoff -a` in a chroot misses what is not masked, and `swapoff -U` a
        // device that stands in for a file.
        let _ = keep_names(&shown);
    }
    for (at, (_, backing)) in prepared.iter().enumerate() {
        if let (Some(twofold), Some(_)) = (plan.backing(at), backing) {
            let path = &twofold.seen;
            // Opened anew: a descriptor from before the unshare belongs to a mount of the old namespace.
            let upper = operand::open_path(&plan.upper).attempt("open", &plan.upper)?;
            let source =
                operand::open_beneath(&upper, &twofold.overlay, OFlag::O_PATH).attempt("open", path)?;
            cover(&source, path, false)?;
        }
    }
    cover_with_devices(plan, &stood_in)
}

/// Puts each device in its file's place, and takes it from its own: natively no device has the file's label.
fn cover_with_devices(plan: &Plan, stood_in: &[(PathBuf, PathBuf)]) -> Result<Mask> {
    let mut mask = Mask::default();
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    mask.open = stood_in.iter().flat_map(|(_, device)| open(device, flags, Mode::empty())).collect();
    for (path, device) in stood_in {
        // swapoff gets the device. mkswap gets a program that is running, this one, which the kernel lets nobody
        // write to, as it does a file that is swap; read-only besides, for when this process is killed.
        let (source, writes) = match plan.tool.purpose {
            Purpose::Format => (own_program()?, true),
            Purpose::Disable | Purpose::Enable => {
                (operand::open_path(device).attempt("open", device)?, false)
            }
        };
        cover(&source, path, writes)?;
    }
    // Made when it is first looked at, so it is younger than whatever libblkid remembers of the device: only then
    // does it look again at what it has just looked at.
    if let Ok(nothing) = operand::open_path(Path::new("/proc/self/comm")) {
        let hidden = stood_in.iter().map(|(_, device)| device);
        mask.hidden = hidden.filter(|device| cover(&nothing, device, false).is_ok()).cloned().collect();
    }
    Ok(mask)
}

/// This program by its name in the tree, as a mount of this namespace has it. Called in a chroot, /proc names it from
/// another root.
fn own_program() -> Result<OwnedFd> {
    let names = [std::fs::read_link("/proc/self/exe").ok(), sys::executed_path().map(PathBuf::from)];
    let found = names.into_iter().flatten().find_map(|path| operand::open_path(&path).ok());
    found.ok_or(Errno::ENOENT).attempt("find", "/proc/self/exe")
}

/// What has to last until the real tool has ended: a loop device would go when it is disabled, and the tool may yet
/// look at it.
#[derive(Debug, Default)]
pub struct Mask {
    open: Vec<OwnedFd>,
    hidden: Vec<PathBuf>,
}

impl Mask {
    /// The real tool has ended, and the devices are to be seen again.
    pub fn lift(self) {
        for device in &self.hidden {
            let _ = nix::mount::umount2(device, nix::mount::MntFlags::MNT_DETACH);
        }
        drop(self.open);
    }
}

/// In a chroot the kernel prints the paths of areas that were enabled in another namespace from that one's own
/// root, and no such path leads anywhere here. So the list as it was is mounted over `/proc/swaps`.
fn keep_names(swaps: &[u8]) -> Result<()> {
    let place = ["/mnt", "/media", "/srv", "/opt", "/home", "/boot"].map(Path::new);
    let Some(place) = place.into_iter().find(|place| place.is_dir()) else { return Ok(()) };
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("rootfs-shim"), place, Some("tmpfs"), flags, Some("mode=0700")).attempt("mount", place)?;
    let list = place.join("swaps");
    let covered = std::fs::write(&list, swaps).attempt("write", &list).and_then(|()| {
        cover(&operand::open_path(&list).attempt("open", &list)?, Path::new("/proc/swaps"), false)
    });
    let _ = nix::mount::umount2(place, nix::mount::MntFlags::MNT_DETACH);
    covered
}

/// `/proc/swaps` with these areas as the files that they are to the user: where util-linux looks for a tag.
fn as_files(swaps: &[u8], names: &[&Path]) -> Vec<u8> {
    const DEVICE: &[u8] = b"partition";
    let lines = swaps.split_inclusive(|&b| b == b'\n').map(|line| {
        let path = line.split(|&b| b == b' ').next().map(octal::decode).unwrap_or_default();
        let at = line.windows(DEVICE.len()).rposition(|word| word == DEVICE);
        match at.and_then(|at| line.split_at_checked(at)) {
            Some((head, tail)) if names.iter().any(|name| name.as_os_str().as_bytes() == path) => {
                [head, b"file\t", tail.get(DEVICE.len()..).unwrap_or_default()].concat()
            }
            _ => line.to_owned(),
        }
    });
    lines.flatten().collect()
}

/// Mounts one file over another.
fn cover(source: &OwnedFd, path: &Path, read_only: bool) -> Result<()> {
    let onto = operand::open_path(path).attempt("open", path)?;
    let clone = sys::clone_mount(source.as_fd()).attempt("open_tree", path)?;
    if read_only {
        sys::make_read_only(clone.as_fd()).attempt("make read-only what covers", path)?;
    }
    sys::attach_mount(clone.as_fd(), onto.as_fd()).attempt("mount the backing file over", path)
}

/// So that what is mounted here appears nowhere else, even where systemd made `/` shared.
///
/// # Errors
/// As mount(2) says.
pub fn make_private() -> Result<()> {
    let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>).attempt("make the mounts private of", "/")
}

/// Runs the real tool as a child that has our own output; its exit status.
///
/// # Errors
/// If no child could be started.
pub fn run_plainly(real: &Real, plan: &Plan, argv: &[OsString], call: &Invocation) -> Result<i32> {
    sys::expect_children();
    let child = start(real, plan, argv, call, [None, None], Where::Here)?;
    sys::wait(child.pid).attempt("wait for", &real.path)
}

/// Does the work of a run in this very process, where there can be no other; its status.
pub fn run_ourselves(plan: &Plan, run: &Run, call: &Invocation, stage: Option<&Stage>) -> i32 {
    let entered = match (stage, run.private) {
        (None, true) => unshare(CloneFlags::CLONE_NEWNS),
        (Some(stage), false) => sys::go_home(&stage.home),
        _ => Ok(()),
    };
    // Refused or not: the work is what counts, and only the name in /proc/swaps would differ.
    let _ = entered;
    builtin::run(plan.tool, &run.argv, call)
}

/// Runs the real tool as a child and passes its output on, or holds it back where it may be run again.
///
/// # Errors
/// If no child could be started.
pub fn run(real: &Real, plan: &Plan, run: Run, call: &Invocation, stage: Option<&Stage>) -> Result<Ran> {
    let keep = output::Keep { all: plan.may_be_repeated(&run), stdout: keeps_its_stdout(real) };
    let mut translations = plan.translations();
    let instead = run.instead.clone();
    let name = instead.as_ref().map(|instead| instead.name.from_upper());
    translations.extend(name.as_deref().zip(instead.as_ref().map(|instead| instead.user.as_path())));
    let behind = instead.as_ref().map(fallback::behind).transpose()?;
    let detached = plan.detached(&run, real).and_then(|mut detached| {
        stay_callable(&mut detached.argv);
        Some((detach(plan, &detached)?, detached))
    });
    translations.extend(detached.as_ref().map(|(_, detached)| (detached.name.as_path(), detached.user)));
    let pipe = |wanted: bool| if wanted { pipe2(OFlag::O_CLOEXEC).map(Some) } else { Ok(None) };
    let [_, out_closed, err_closed] = call.closed;
    let out = pipe((keep.all || keep.stdout || !translations.is_empty()) && !out_closed)
        .attempt("make a pipe for", &real.path)?;
    let err = pipe(!err_closed).attempt("make a pipe for", &real.path)?;
    let (out_read, out_write) = out.unzip();
    let (err_read, err_write) = err.unzip();
    sys::expect_children();
    let (argv, place) = match (&behind, &detached, stage, run.private) {
        (Some(mount), ..) => (&run.argv, Where::At(mount)),
        (_, Some((mount, detached)), ..) => (&detached.argv, Where::At(mount)),
        (_, None, None, false) | (_, None, Some(_), true) => (&run.argv, Where::Here),
        (_, None, None, true) => (&run.argv, Where::Private),
        (_, None, Some(stage), false) => (&run.argv, Where::Home(&stage.home)),
    };
    let child = start(real, plan, argv, call, [out_write.as_ref(), err_write.as_ref()], place)?;
    drop((out_write, err_write));
    let heard = output::pump([out_read, err_read], child.ended.as_ref(), &translations, keep);
    let status = sys::wait(child.pid).attempt("wait for", &real.path)?;
    Ok(Ran {
        run,
        status,
        last_words: heard.last_words,
        usage_shown: heard.usage_shown,
        lost: heard.lost,
        held: heard.held,
        late: heard.late,
        way: None,
        in_the_open: child.in_the_open,
    })
}

/// toybox follows argv[0] until it comes to a name that it knows, and from another working directory a relative
/// path leads nowhere.
fn stay_callable(argv: &mut [OsString]) {
    if let Some(name) = argv.first_mut()
        && name.as_bytes().contains(&b'/')
        && let Ok(here) = std::env::current_dir()
    {
        *name = here.join(&*name).into();
    }
}

/// Whether what this tool says on stdout leaves it when it ends, after all that it says on stderr. Not on a
/// terminal, which has each line at once, and not a script, where each program that it runs ends for itself.
fn keeps_its_stdout(real: &Real) -> bool {
    !real.is_script && !sys::stdio(1).is_terminal()
}

/// A mount of the upper directory that is attached nowhere. The file is opened in it once, because a policy
/// (AppArmor's) can forbid what has no path.
fn detach(plan: &Plan, detached: &Detached<'_>) -> Option<OwnedFd> {
    let upper = operand::open_path(&plan.upper).ok()?;
    let mount = sys::clone_mount(upper.as_fd()).ok()?;
    operand::open_beneath(&mount, &detached.file.overlay, OFlag::O_RDONLY).ok()?;
    Some(mount)
}

/// A real tool that cannot be executed (another architecture, no interpreter, noexec) is none: the builtin
/// does the work.
fn start(
    real: &Real,
    plan: &Plan,
    argv: &[OsString],
    call: &Invocation,
    [out, err]: [Option<&OwnedFd>; 2],
    place: Where<'_>,
) -> Result<sys::Child> {
    if !real.is_builtin {
        let program = Program::new(real.path.as_os_str(), argv).attempt("run", &real.path)?;
        let child = program.spawn(out, err, place).attempt("start", &real.path)?;
        if child.refused.is_none() {
            return Ok(child);
        }
        sys::wait(child.pid).attempt("wait for", &real.path)?;
    }
    let work = || builtin::run(plan.tool, argv, call);
    sys::spawn_work(out, err, place, work).attempt("start", &real.path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_areas_are_files() {
        let text =
            b"Filename\n/a\\040b     partition\t1\n/dev/zram0  partition\t2\n/partition  partition\t3\n";
        let shown = as_files(text, &[Path::new("/a b"), Path::new("/partition")]);
        assert_eq!(
            String::from_utf8(shown).unwrap(),
            "Filename\n/a\\040b     file\t\t1\n/dev/zram0  partition\t2\n/partition  file\t\t3\n"
        );
    }
}
