//! The two ways to tell dpkg of a diversion: its own tool, and the list itself.
//!
//! The tool is the running system's own, by its fixed path and in an environment without anything of the
//! caller's; in an image that is being prepared nothing is ever run, and the list is replaced whole. In both
//! cases dpkg's own locks are held, so that no dpkg or apt is at work, until everything is done or put back:
//! the kernel lets go of them when the descriptors are closed. They are taken for reading, which keeps out
//! whoever wants to write, and needs nothing to be copied up.

use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::error::{Attempt, Error, Kind, Result};
use crate::installer::execute::dpkg_divert::{Divert, dpkg_divert};
use crate::installer::execute::transaction::Transaction;
use crate::installer::execute::undo::Undo;
use crate::installer::image::dpkg::{self, DIVERSIONS};
use crate::installer::plan::step::ListWriter;
use crate::sys;
use crate::untrusted::Dir;

/// How long another package manager is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

impl Transaction<'_> {
    /// Makes the diversions, or ends them.
    pub(crate) fn divert(&mut self, paths: &[String], list: &ListWriter, divert: Divert) -> Result<()> {
        let dir = self.dir(dpkg::ADMIN)?;
        if self.dpkg.locks.is_none() {
            self.dpkg.locks = Some(lock(&dir)?);
        }
        match list {
            ListWriter::DpkgDivert => self.divert_by_tool(paths, divert),
            ListWriter::File { content } => self.replace_list(&dir, content.as_deref()),
        }
    }

    /// A tool of the running system that will not make a diversion is named among the warnings: without the diversion
    /// the shims work, and the next install makes it.
    fn divert_by_tool(&mut self, paths: &[String], divert: Divert) -> Result<()> {
        let done = paths.iter().try_for_each(|path| {
            dpkg_divert(path, divert)?;
            self.undo.push(Undo::Divert { path: path.clone(), divert: divert.opposite() });
            Ok(())
        });
        match (divert, done) {
            (Divert::Make, Err(error)) => {
                self.warnings.push(format!("{error}; so an upgrade of its package will replace the shim"));
                Ok(())
            }
            (_, done) => done,
        }
    }

    /// Puts the whole list there, or none at all, if it is still as the plan saw it.
    fn replace_list(&mut self, dir: &Rc<Dir>, content: Option<&[u8]>) -> Result<()> {
        if dir.read(DIVERSIONS, dpkg::CAP)? != self.dpkg.list {
            let error =
                Error::new(Kind::State, "replace", "it was changed meanwhile").at(dir.shown(DIVERSIONS));
            return Err(error.remedy("run it again"));
        }
        self.dpkg.list = content.map(<[u8]>::to_vec);
        let path = format!("{}/{DIVERSIONS}", dpkg::ADMIN);
        match content {
            Some(content) => {
                let mode = dir.inode_at(DIVERSIONS)?.map_or(0o644, |inode| inode.mode);
                self.put_file(&path, content, mode)
            }
            None => {
                if dir.inode_at(DIVERSIONS)?.is_some() {
                    self.set_aside(&path)?;
                }
                dir.sync()
            }
        }
    }
}

/// Takes the locks that are there; where there is none, no dpkg has ever run.
fn lock(dir: &Dir) -> Result<Vec<OwnedFd>> {
    let end = Instant::now() + PATIENCE;
    let mut held = Vec::new();
    for name in dpkg::LOCKS {
        let Some(found) = dir.find(name)? else { continue };
        let file = found.open()?;
        let mut holder = None;
        let taken = sys::wait_for(end.saturating_duration_since(Instant::now()), || {
            holder = match sys::try_read_lock(file.as_fd()) {
                // One that waits for us is no danger: we are run by a package's own script.
                Ok(holder) => holder.filter(|holder| !sys::is_ancestor(*holder)),
                Err(errno) => return Some(Err(errno)),
            };
            (holder.is_none() || sys::is_interrupted()).then_some(Ok(()))
        });
        taken.unwrap_or(Ok(())).attempt("lock", dir.shown(name))?;
        if let Some(holder) = holder {
            let who = if holder > 0 { format!(" (process {holder})") } else { String::new() };
            let reason = format!("a package manager is at work{who}");
            let error = Error::new(Kind::State, "lock", reason).at(dir.shown(name));
            return Err(error.remedy("run it again when that has ended"));
        }
        held.push(file.into());
    }
    Ok(held)
}
