//! What is done at a tool's own names: each by one atomic step, and each seen to have met what the plan saw.
//!
//! The trick: nothing takes the place of a name blindly. Two names are exchanged, and what comes out is looked at
//! then; if it is not what the plan saw, somebody has put it there meanwhile, and it goes back.

use std::rc::Rc;

use crate::error::{Error, Kind, Result};
use crate::installer::execute::transaction::Transaction;
use crate::installer::execute::undo::Undo;
use crate::installer::image::ToolName;
use crate::installer::names::{BIN, BINARY, REAL};
use crate::installer::plan::step::Over;
use crate::paths;
use crate::untrusted::Dir;
use crate::untrusted::inode::Inode;

impl Transaction<'_> {
    /// NAME and NAME.real are one inode after this, so the name has never been without it.
    pub(crate) fn keep_real(&mut self, path: &str) -> Result<()> {
        let (dir, name) = self.at(path)?;
        let real = format!("{name}{REAL}");
        let put = dir.inode_at(&name)?;
        dir.link(&name, &dir, &real)?;
        self.undo.push(Undo::RemoveName { dir: Rc::clone(&dir), name: real.clone(), put });
        same(&dir, &name, &real)
    }

    pub(crate) fn adopt_real(&mut self, path: &str) -> Result<()> {
        let (dir, name) = self.at(path)?;
        let (real, tool) = (format!("{name}{REAL}"), self.temporary(&name, "tool"));
        let put = dir.inode_at(&name)?;
        dir.link(&name, &dir, &tool)?;
        self.undo.push(Undo::RemoveName { dir: Rc::clone(&dir), name: tool.clone(), put });
        self.exchange(&dir, &tool, &real, &format!("{path}{REAL}"))?;
        self.saved.push((Rc::clone(&dir), tool));
        same(&dir, &name, &real)
    }

    pub(crate) fn stage_shim(&mut self, path: &str) -> Result<()> {
        let (dir, name) = self.at(path)?;
        let staged = self.temporary(&name, "new");
        let bin = self.dir(&format!("{}/{BIN}", paths::OUR_DIRECTORY))?;
        let put = bin.inode_at(BINARY)?;
        bin.link(BINARY, &dir, &staged)?;
        self.undo.push(Undo::RemoveName { dir, name: staged, put });
        Ok(())
    }

    pub(crate) fn put_shim(&mut self, path: &str, over: Over) -> Result<()> {
        let (dir, name) = self.at(path)?;
        let staged = self.temporary(&name, "new");
        if over == Over::Nothing {
            // link, not rename: it fails if something has appeared there.
            let put = dir.inode_at(&staged)?;
            dir.link(&staged, &dir, &name)?;
            self.undo.push(Undo::RemoveName { dir: Rc::clone(&dir), name, put });
            return dir.unlink(&staged);
        }
        if over == Over::Tool {
            same(&dir, &name, &format!("{name}{REAL}"))?;
        }
        self.exchange(&dir, &staged, &name, path)?;
        self.saved.push((dir, staged));
        Ok(())
    }

    /// The tool goes back to its name, and the shim is set aside from `.real`.
    pub(crate) fn restore(&mut self, path: &str) -> Result<()> {
        let (dir, name) = self.at(path)?;
        let (real, shim, tool) =
            (format!("{name}{REAL}"), self.seen(path), self.seen(&format!("{path}{REAL}")));
        // Also of what goes to the name: nobody's new file may take a name by our doing.
        as_seen(&dir, &real, tool)?;
        self.exchange(&dir, &real, &name, path)?;
        as_seen(&dir, &name, tool)?;
        self.take(&dir, &real, shim)
    }

    /// Takes a name away; the file itself goes at the end.
    pub(crate) fn set_aside(&mut self, path: &str) -> Result<()> {
        let (dir, name) = self.at(path)?;
        let seen = self.seen(path);
        self.take(&dir, &name, seen)
    }

    fn take(&mut self, dir: &Rc<Dir>, name: &str, seen: Option<Inode>) -> Result<()> {
        let old = self.temporary(name.strip_suffix(REAL).unwrap_or(name), "old");
        dir.rename_new(name, &old)?;
        self.undo.push(Undo::PutBack { dir: Rc::clone(dir), saved: old.clone(), name: name.to_owned() });
        as_seen(dir, &old, seen)?;
        self.saved.push((Rc::clone(dir), old));
        Ok(())
    }

    /// Exchanges a name of ours with one of the image's, which is at `path`.
    fn exchange(&mut self, dir: &Rc<Dir>, ours: &str, name: &str, path: &str) -> Result<()> {
        let spare = self.temporary(name.strip_suffix(REAL).unwrap_or(name), "old");
        let put = dir.inode_at(ours)?;
        dir.exchange(ours, name, &spare)?;
        let (dir_again, ours_again, name) = (Rc::clone(dir), ours.to_owned(), name.to_owned());
        self.undo.push(Undo::Exchange { dir: dir_again, ours: ours_again, name, spare, put });
        as_seen(dir, ours, self.seen(path))
    }

    /// What the plan saw at a name of the image's.
    fn seen(&self, path: &str) -> Option<Inode> {
        let real = path.strip_suffix(REAL);
        let tool_name = self.image.tool_names.iter().find(|at| at.path == real.unwrap_or(path));
        let standing = |tool_name: &ToolName| {
            if real.is_some() { tool_name.at_real.clone() } else { tool_name.at_name.clone() }
        };
        Some(tool_name.and_then(standing)?.inode)
    }
}

/// That a name has what the plan saw, where it looked.
fn as_seen(dir: &Dir, name: &str, seen: Option<Inode>) -> Result<()> {
    let Some(seen) = seen else { return Ok(()) };
    if dir.inode_at(name)?.is_some_and(|now| now.resembles(&seen)) {
        return Ok(());
    }
    let error = Error::new(Kind::State, "take the place of", "somebody has replaced it meanwhile");
    Err(error.at(dir.shown(name)))
}

/// That two names are one inode: somebody may have exchanged one since it was looked at.
fn same(dir: &Dir, name: &str, real: &str) -> Result<()> {
    let (one, other) = (dir.inode_at(name)?, dir.inode_at(real)?);
    if let (Some(one), Some(other)) = (one, other)
        && one.is_same_file(&other)
    {
        return Ok(());
    }
    let reason = format!("it and {real} are not one file any more");
    Err(Error::new(Kind::Attack, "replace", reason).at(dir.shown(name)))
}
