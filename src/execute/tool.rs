//! Running the real tool: by becoming it, or as a child whose output is read on its way.

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::pipe2;

use crate::builtin;
use crate::error::{Attempt, Result};
use crate::invocation::Invocation;
use crate::plan::report::{Prepared, Ran};
use crate::plan::runs::Run;
use crate::plan::swap::Plan;
use crate::sys::{self, Program, Where};
use crate::world::files;
use crate::world::real::Real;

use super::output;
use super::stage::Stage;

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
pub fn mask(plan: &Plan, prepared: &[(Prepared, Option<OwnedFd>)]) -> Result<()> {
    if !prepared.iter().any(|(_, backing)| backing.is_some()) {
        return Ok(());
    }
    unshare(CloneFlags::CLONE_NEWNS).attempt("unshare the mounts of", "/")?;
    make_private()?;
    for (at, (_, backing)) in prepared.iter().enumerate() {
        if let (Some(twofold), Some(_)) = (plan.backing(at), backing) {
            let path = &twofold.seen;
            // Opened anew: a descriptor from before the unshare belongs to a mount of the old namespace.
            let upper = files::open_path(&plan.upper).attempt("open", &plan.upper)?;
            let source =
                files::open_beneath(&upper, &twofold.overlay, OFlag::O_PATH).attempt("open", path)?;
            let onto = files::open_path(path).attempt("open", path)?;
            let clone = sys::clone_mount(source.as_fd()).attempt("open_tree", path)?;
            sys::attach_mount(clone.as_fd(), onto.as_fd()).attempt("mount the backing file over", path)?;
        }
    }
    Ok(())
}

/// So that what is mounted here appears nowhere else, even where systemd made `/` shared.
///
/// # Errors
/// As mount(2) says.
pub fn make_private() -> Result<()> {
    let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>).attempt("make the mounts private of", "/")
}

/// Runs the real tool as a child and passes its output on.
///
/// # Errors
/// If no child could be started.
pub fn run(real: &Real, plan: &Plan, run: Run, call: &Invocation, stage: Option<&Stage>) -> Result<Ran> {
    let (is_builtin, real) = (real.is_builtin, real.path.as_path());
    let program = Program::new(real.as_os_str(), &run.argv).attempt("run", real)?;
    let translations = plan.translations();
    let pipe = |wanted: bool| if wanted { pipe2(OFlag::O_CLOEXEC).map(Some) } else { Ok(None) };
    let [_, out_closed, err_closed] = call.closed;
    let out = pipe(!translations.is_empty() && !out_closed).attempt("make a pipe for", real)?;
    let err = pipe(!err_closed).attempt("make a pipe for", real)?;
    let (out_read, out_write) = out.unzip();
    let (err_read, err_write) = err.unzip();
    sys::expect_children();
    let place = match (stage, run.private) {
        (None, false) | (Some(_), true) => Where::Here,
        (None, true) => Where::Private,
        (Some(stage), false) => Where::Home(&stage.home),
    };
    let pid = if is_builtin {
        let work = || builtin::run(plan.tool, &run.argv, call);
        sys::spawn_work(out_write.as_ref(), err_write.as_ref(), place, work)
    } else {
        program.spawn(out_write.as_ref(), err_write.as_ref(), place)
    };
    let pid = pid.attempt("start", real)?;
    drop((out_write, err_write));
    let heard = output::pump(out_read, err_read, &translations, plan.may_be_repeated(&run));
    let status = sys::wait(pid).attempt("wait for", real)?;
    Ok(Ran {
        run,
        status,
        last_words: heard.last_words,
        usage_shown: heard.usage_shown,
        lost: heard.lost,
        held: heard.held,
    })
}
