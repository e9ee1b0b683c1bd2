//! Running the real tool: by becoming it, or as a child whose output is read on its way.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::pipe2;

use crate::backing::reveal::Revealed;
use crate::builtin;
use crate::command::real_tool::Real;
use crate::error::{Attempt, Result};
use crate::kernel::places;
use crate::shim::call::ShimCall;
use crate::shim::plan::outcome::Ran;
use crate::shim::plan::runs::{Detached, Run};
use crate::shim::plan::types::Plan;
use crate::shim::run::output::{HoldBack, Pipes};
use crate::shim::run::{fallback, output};
use crate::sys::{self, Program, Where};

/// Becomes the real tool. Returns only if that failed.
pub(crate) fn become_it(real: &Path, argv: &[OsString]) -> Errno {
    match Program::new(real.as_os_str(), argv) {
        Ok(program) => program.exec(),
        Err(errno) => errno,
    }
}

/// What the runs of one call have in common.
#[derive(Clone, Copy)]
pub(crate) struct Runner<'a> {
    pub call: &'a ShimCall<'a>,
    pub plan: &'a Plan,
    /// The mount namespace that we are in, if it is not our caller's.
    pub revealed: Option<&'a Revealed>,
}

/// How a run reaches its file.
#[derive(Debug)]
enum Reach<'a> {
    /// As the run's arguments say.
    ByPath,
    /// As a name in a mount that is attached nowhere: the file's own.
    Detached { mount: OwnedFd, detached: Detached<'a> },
    /// The same with a fallback device.
    Fallback { mount: OwnedFd, name: PathBuf },
}

impl<'a> Runner<'a> {
    /// Runs the real tool as a child that has our own output; its exit status.
    ///
    /// # Errors
    /// If no child could be started.
    pub(crate) fn run_plainly(&self, argv: &[OsString]) -> Result<i32> {
        sys::expect_children();
        let child = self.start(argv, Ends::default(), Where::Here)?;
        sys::wait(child.pid).attempt("wait for", &self.call.real.path)
    }

    /// Does the work of a run in this very process, where there can be no other; its status.
    pub(crate) fn run_ourselves(&self, run: &Run) -> i32 {
        let entered = match (self.revealed, run.private) {
            (None, true) => unshare(CloneFlags::CLONE_NEWNS),
            (Some(revealed), false) => sys::return_to(&revealed.caller),
            _ => Ok(()),
        };
        // Refused or not: the work is what counts, and only the name in /proc/swaps would differ.
        let _ = entered;
        builtin::run(self.call.tool, &run.argv, self.call.invocation)
    }

    /// Runs the real tool as a child and passes its output on, or holds it back where it may be run again.
    ///
    /// # Errors
    /// If no child could be started.
    pub(crate) fn run(&self, run: Run) -> Result<Ran> {
        let path = &self.call.real.path;
        let hold_back =
            HoldBack { all: self.plan.may_be_repeated(&run), stdout: holds_back_stdout(self.call.real) };
        let access = self.access(&run)?;
        let translations = self.translations(&run, &access);
        let pipe = |wanted: bool| if wanted { pipe2(OFlag::O_CLOEXEC).map(Some) } else { Ok(None) };
        let closed = self.call.invocation.closed;
        let reads_stdout = hold_back.all || hold_back.stdout || !translations.is_empty();
        let out = pipe(reads_stdout && !closed.stdout).attempt("make a pipe for", path)?;
        let err = pipe(!closed.stderr).attempt("make a pipe for", path)?;
        let (out_read, out_write) = out.unzip();
        let (err_read, err_write) = err.unzip();
        sys::expect_children();
        let ends = Ends { stdout: out_write.as_ref(), stderr: err_write.as_ref() };
        let (argv, place) = self.argv_and_place(&run, &access);
        let child = self.start(argv, ends, place)?;
        drop((out_write, err_write));
        let pipes = Pipes { stdout: out_read, stderr: err_read };
        let heard = output::pump(pipes, child.ended.as_ref(), &translations, hold_back);
        let status = sys::wait(child.pid).attempt("wait for", path)?;
        drop(translations);
        Ok(Ran {
            run,
            status,
            last_words: heard.last_words,
            usage_shown: heard.usage_shown,
            lost: heard.lost,
            held: heard.held,
            late: heard.late,
            fallback: None,
            in_the_open: child.in_the_open,
        })
    }

    fn access(&self, run: &Run) -> Result<Reach<'a>> {
        if let Some(fallback) = &run.fallback {
            let mount = fallback::mount_of(fallback)?;
            return Ok(Reach::Fallback { mount, name: fallback.name.below_upper() });
        }
        let detached = self.plan.detached(run, self.call.real).and_then(|mut detached| {
            stay_callable(&mut detached.argv);
            Some(Reach::Detached { mount: detach(self.plan, &detached)?, detached })
        });
        Ok(detached.unwrap_or(Reach::ByPath))
    }

    /// What the run's output says, and what the user shall read.
    fn translations<'t>(&'t self, run: &'t Run, access: &'t Reach<'_>) -> Vec<(&'t Path, &'t Path)> {
        let mut translations = self.plan.translations();
        match access {
            Reach::ByPath => {}
            Reach::Detached { detached, .. } => {
                translations.push((detached.name.as_path(), detached.user));
            }
            Reach::Fallback { name, .. } => {
                let user = run.fallback.as_ref().map(|fallback| fallback.user.as_path());
                translations.extend(user.map(|user| (name.as_path(), user)));
            }
        }
        translations
    }

    fn argv_and_place<'t>(&'t self, run: &'t Run, access: &'t Reach<'_>) -> (&'t [OsString], Where<'t>) {
        match (access, self.revealed, run.private) {
            (Reach::Fallback { mount, .. }, ..) => (&run.argv, Where::At(mount)),
            (Reach::Detached { mount, detached }, ..) => (&detached.argv, Where::At(mount)),
            (Reach::ByPath, None, false) | (Reach::ByPath, Some(_), true) => (&run.argv, Where::Here),
            (Reach::ByPath, None, true) => (&run.argv, Where::Private),
            (Reach::ByPath, Some(revealed), false) => (&run.argv, Where::Caller(&revealed.caller)),
        }
    }

    /// A real tool that cannot be executed (another architecture, no interpreter, noexec) is none: the builtin
    /// does the work.
    fn start(&self, argv: &[OsString], ends: Ends<'_>, place: Where<'_>) -> Result<sys::Child> {
        let ShimCall { tool, real, invocation, .. } = self.call;
        if !real.is_builtin() {
            let program = Program::new(real.path.as_os_str(), argv).attempt("run", &real.path)?;
            let child = program.spawn(ends.stdout, ends.stderr, place).attempt("start", &real.path)?;
            if child.refused.is_none() {
                return Ok(child);
            }
            sys::wait(child.pid).attempt("wait for", &real.path)?;
        }
        let work = || builtin::run(tool, argv, invocation);
        sys::spawn_work(ends.stdout, ends.stderr, place, work).attempt("start", &real.path)
    }
}

/// What a child has for stdout and stderr; ours, where it is given none.
#[derive(Debug, Clone, Copy, Default)]
struct Ends<'a> {
    stdout: Option<&'a OwnedFd>,
    stderr: Option<&'a OwnedFd>,
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
fn holds_back_stdout(real: &Real) -> bool {
    !real.is_script() && !sys::stdio(1).is_terminal()
}

/// A mount of the upper directory that is attached nowhere. The file is opened in it once, because a policy
/// (AppArmor's) can forbid what has no path.
fn detach(plan: &Plan, detached: &Detached<'_>) -> Option<OwnedFd> {
    let upper = places::open_path(&plan.upper).ok()?;
    let mount = sys::clone_mount(upper.as_fd()).ok()?;
    places::open_beneath(&mount, &detached.file.overlay, OFlag::O_RDONLY).ok()?;
    Some(mount)
}
