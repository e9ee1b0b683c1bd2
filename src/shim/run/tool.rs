//! Running the real tool: by becoming it, or as a child whose output is read on its way.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::pipe2;

use crate::backing::reveal::Stage;
use crate::builtin;
use crate::command::real_tool::Real;
use crate::error::{Attempt, Result};
use crate::invocation::Invocation;
use crate::kernel::places;
use crate::shim::plan::outcome::Ran;
use crate::shim::plan::runs::{Detached, Run};
use crate::shim::plan::types::Plan;
use crate::shim::run::{fallback, output};
use crate::sys::{self, Program, Where};

/// Becomes the real tool. Returns only if that failed.
pub(crate) fn become_it(real: &Path, argv: &[OsString]) -> Errno {
    match Program::new(real.as_os_str(), argv) {
        Ok(program) => program.exec(),
        Err(errno) => errno,
    }
}

/// Runs the real tool as a child that has our own output; its exit status.
///
/// # Errors
/// If no child could be started.
pub(crate) fn run_plainly(real: &Real, plan: &Plan, argv: &[OsString], call: &Invocation) -> Result<i32> {
    sys::expect_children();
    let child = start(real, plan, argv, call, [None, None], Where::Here)?;
    sys::wait(child.pid).attempt("wait for", &real.path)
}

/// Does the work of a run in this very process, where there can be no other; its status.
pub(crate) fn run_ourselves(plan: &Plan, run: &Run, call: &Invocation, stage: Option<&Stage>) -> i32 {
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
pub(crate) fn run(
    real: &Real,
    plan: &Plan,
    run: Run,
    call: &Invocation,
    stage: Option<&Stage>,
) -> Result<Ran> {
    let keep = output::Keep { all: plan.may_be_repeated(&run), stdout: keeps_its_stdout(real) };
    let mut translations = plan.translations();
    let instead = run.instead.clone();
    let name = instead.as_ref().map(|instead| instead.name.below_upper());
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
    let upper = places::open_path(&plan.upper).ok()?;
    let mount = sys::clone_mount(upper.as_fd()).ok()?;
    places::open_beneath(&mount, &detached.file.overlay, OFlag::O_RDONLY).ok()?;
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
    use crate::shim::run::mask::as_files;

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
