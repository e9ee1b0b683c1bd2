//! The two ways to tell dpkg of a diversion: its own tool, and the list itself.
//!
//! The tool is the running system's own, by its fixed path and in an environment without anything of the
//! caller's; in an image that is being prepared nothing is ever run, and the list is replaced whole.

use std::process::{Command, Stdio};
use std::rc::Rc;

use super::{Run, Undo};
use crate::error::{Attempt, Error, Kind, Result};
use crate::escape;
use crate::plan::step::List;
use crate::world::dpkg;

impl Run<'_> {
    /// Makes the diversions, or ends them.
    pub(super) fn divert(&mut self, paths: &[String], list: &List, make: bool) -> Result<()> {
        match list {
            List::DpkgDivert => paths.iter().try_for_each(|path| {
                dpkg_divert(path, make)?;
                self.undo.push(Undo::Divert(vec![path.clone()], !make));
                Ok(())
            }),
            List::File { content: Some(content) } => {
                let dir = self.dir(dpkg::ADMIN)?;
                let mode = dir.entry(dpkg::DIVERSIONS)?.map_or(0o644, |entry| entry.mode);
                self.put_file(&format!("{}/{}", dpkg::ADMIN, dpkg::DIVERSIONS), content, mode)
            }
            List::File { content: None } => {
                let path = format!("{}/{}", dpkg::ADMIN, dpkg::DIVERSIONS);
                let (dir, name) = self.at(&path)?;
                if dir.entry(&name)?.is_some() {
                    self.set_aside(&path)?;
                }
                Rc::clone(&dir).sync()
            }
        }
    }
}

/// Makes or ends one local diversion, without touching the files.
pub(in crate::execute) fn dpkg_divert(path: &str, make: bool) -> Result<()> {
    let (tool, real) = (format!("/{}", dpkg::TOOL), dpkg::real_of(path));
    let output = Command::new(&tool)
        .args(["--quiet", "--local", "--no-rename", "--divert", &real])
        .args([if make { "--add" } else { "--remove" }, path])
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()
        .attempt("run", &tool)?;
    if output.status.success() {
        return Ok(());
    }
    let words = output.stderr.trim_ascii().split(|byte| *byte == b'\n').next_back().unwrap_or_default();
    let reason = format!("dpkg-divert says: {}", escape::escape(words));
    Err(Error::new(Kind::State, if make { "divert" } else { "end the diversion of" }, reason).at(path))
}
