//! What one run of the installer carries along: the tree, the material, and what has been done so far.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use crate::error::{Attempt, Error, Kind, Result};
use crate::installer::execute::dpkg_divert::Divert;
use crate::installer::execute::undo::Undo;
use crate::installer::image::tree::Tree;
use crate::installer::image::{Image, dpkg};
use crate::installer::manifest::{Manifest, State};
use crate::installer::names::{BIN, BINARY, CONFIG, MANIFEST, MARKER, UPPER, UPPER_PATH, temporary};
use crate::installer::payload::Payload;
use crate::installer::plan::step::{InstallerPlan, Step};
use crate::untrusted::dir::MadeDirectory;
use crate::untrusted::inode::Inode;
use crate::untrusted::{Dir, Root, mounts};
use crate::{paths, sys};

/// What a run holds of dpkg, so that nobody else changes its list meanwhile.
#[derive(Debug)]
pub(crate) struct DpkgHold {
    /// dpkg's locks, once they are taken.
    pub(crate) locks: Option<Vec<OwnedFd>>,
    /// The list as it has to be when it is replaced.
    pub(crate) list: Option<Vec<u8>>,
}

impl DpkgHold {
    fn of(image: &Image) -> Self {
        Self { locks: None, list: image.dpkg.as_ref().and_then(|dpkg| dpkg.list.clone()) }
    }
}

/// What an error says of an attack; once is enough.
pub(crate) const HOSTILE: &str = " (the image may be hostile)";

/// One run of the installer: where it works, and what it has done so far.
pub(crate) struct Transaction<'a> {
    root: Root,
    upper: Option<Root>,
    dirs: BTreeMap<String, Rc<Dir>>,
    before: Vec<(Rc<Dir>, Inode)>,
    pub(crate) image: &'a Image,
    payload: &'a Payload,
    manifest: Option<&'a Manifest>,
    pub(crate) undo: Vec<Undo>,
    pub(crate) saved: Vec<(Rc<Dir>, String)>,
    last: Vec<LastRemoval>,
    pub(crate) dpkg: DpkgHold,
    pub(crate) warnings: Vec<String>,
}

/// What goes when nothing can fail any more, and so needs no undoing.
enum LastRemoval {
    File(Rc<Dir>, String),
    Directory(Rc<Dir>, String),
}

impl<'a> Transaction<'a> {
    pub(crate) fn new(
        tree: Tree,
        image: &'a Image,
        plan: &'a InstallerPlan,
        payload: &'a Payload,
    ) -> Result<Self> {
        let mut dirs = BTreeMap::new();
        for (directory, dir) in image.tool_directories.iter().zip(tree.tool_directories) {
            dirs.insert(directory.path.clone(), Rc::new(dir));
        }
        dirs.extend(tree.dpkg.map(|dir| (dpkg::ADMIN.to_owned(), Rc::new(dir))));
        let missing = || Error::new(Kind::Attack, "open", "it is gone").at(tree.root.top().shown(""));
        dirs.insert(".".to_owned(), Rc::new(tree.root.directory(".".as_ref())?.ok_or_else(missing)?));
        let mut before = Vec::new();
        for dir in dirs.values() {
            before.push((Rc::clone(dir), dir.stat()?));
        }
        if let Some(our_directory) = tree.our_directory {
            for name in [BIN, UPPER] {
                if let Some(dir) = our_directory.subdirectory(name)? {
                    dirs.insert(format!("{}/{name}", paths::OUR_DIRECTORY), Rc::new(dir));
                }
            }
            dirs.insert(paths::OUR_DIRECTORY.to_owned(), Rc::new(our_directory));
        }
        let top =
            dirs.get(".").cloned().filter(|_| image.our_directory.as_ref().is_some_and(|ours| ours.is_new));
        let undo = top.map(|parent| Undo::RemoveDirectory { parent, name: paths::OUR_DIRECTORY.to_owned() });
        Ok(Self {
            root: tree.root,
            upper: tree.upper,
            dirs,
            before,
            image,
            payload,
            manifest: plan.manifest.as_ref(),
            undo: undo.into_iter().collect(),
            saved: Vec::new(),
            last: Vec::new(),
            dpkg: DpkgHold::of(image),
            warnings: Vec::new(),
        })
    }

    pub(crate) fn step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::MakeDirectory { path, mode } => self.make_directory(path, *mode),
            Step::SetMode { path, mode } => self.set_mode(path, *mode),
            Step::ProveUpper { .. } => self.prove_upper(),
            Step::Clean { path } => self.at(path).and_then(|(dir, name)| dir.unlink(&name)),
            Step::WriteManifest { state } => self.write_manifest(*state),
            Step::PutBinary { .. } => {
                let payload = self.payload;
                self.put_file(&format!("{}/{BIN}/{BINARY}", paths::OUR_DIRECTORY), &payload.binary, 0o755)
            }
            Step::PutConfig { .. } => {
                let payload = self.payload;
                let content = payload.config.as_deref().unwrap_or_default();
                self.put_file(&format!("{}/{CONFIG}", paths::OUR_DIRECTORY), content, 0o644)
            }
            Step::KeepReal { path } => self.keep_real(path),
            Step::AdoptReal { path } => self.adopt_real(path),
            Step::StageShim { path } => self.stage_shim(path),
            Step::Sync { path } => self.dir(path)?.sync(),
            Step::PutShim { path, over } => self.put_shim(path, *over),
            Step::Divert { paths, list } => self.divert(paths, list, Divert::Make),
            Step::Undivert { paths, list } => self.divert(paths, list, Divert::End),
            Step::Restore { path } => self.restore(path),
            Step::RemoveShim { path } => self.set_aside(path),
            Step::RemoveFile { path } if path.starts_with(paths::OUR_DIRECTORY) => {
                let (dir, name) = self.at(path)?;
                self.last.push(LastRemoval::File(dir, name));
                Ok(())
            }
            Step::RemoveFile { path } => self.set_aside(path),
            Step::DetachUpper => self.detach_upper(),
            Step::RemoveDirectory { path } => {
                let (dir, name) = self.at(path)?;
                self.last.push(LastRemoval::Directory(dir, name));
                Ok(())
            }
        }
    }

    pub(crate) fn dir(&self, path: &str) -> Result<Rc<Dir>> {
        let missing = || Error::new(Kind::State, "use the directory", "no step has opened it").at(path);
        self.dirs.get(path).cloned().ok_or_else(missing)
    }

    /// The directory and the name of a path of the plan.
    pub(crate) fn at(&self, path: &str) -> Result<(Rc<Dir>, String)> {
        let (parent, name) = path.rsplit_once('/').unwrap_or((".", path));
        Ok((self.dir(parent)?, name.to_owned()))
    }

    pub(crate) fn temporary(&self, name: &str, end: &str) -> String {
        temporary(name, &self.payload.token, end)
    }

    fn make_directory(&mut self, path: &str, mode: u32) -> Result<()> {
        let (parent, name) = self.at(path)?;
        let MadeDirectory { dir, is_new } = parent.make_directory(&name, mode)?;
        if is_new {
            self.undo.push(Undo::RemoveDirectory { parent, name });
        }
        self.dirs.entry(path.to_owned()).or_insert_with(|| Rc::new(dir));
        Ok(())
    }

    fn set_mode(&mut self, path: &str, mode: u32) -> Result<()> {
        let dir = self.dir(path)?;
        let before = dir.stat()?.mode;
        self.undo.push(Undo::SetMode { dir: Rc::clone(&dir), mode: before });
        dir.set_mode(mode)
    }

    fn write_manifest(&mut self, state: State) -> Result<()> {
        let missing = || Error::new(Kind::State, "write the manifest", "the plan has none");
        let manifest = Manifest { state, ..self.manifest.ok_or_else(missing)?.clone() };
        self.put_file(&format!("{}/{MANIFEST}", paths::OUR_DIRECTORY), &manifest.to_bytes()?, 0o600)
    }

    /// Puts a whole file at a name of ours: what stood there is kept until the end.
    pub(crate) fn put_file(&mut self, path: &str, content: &[u8], mode: u32) -> Result<()> {
        let (dir, name) = self.at(path)?;
        let (new, old) = (self.temporary(&name, "new"), self.temporary(&name, "old"));
        self.undo.push(Undo::RemoveName { dir: Rc::clone(&dir), name: new.clone(), put: None });
        dir.create(&new, content, mode)?;
        let again = self.saved.iter().any(|saved| Rc::ptr_eq(&saved.0, &dir) && saved.1 == old);
        let first = dir.inode_at(&name)?.is_none();
        if !again && !first {
            self.save(&dir, &name, &old)?;
        } else if first {
            self.undo.push(Undo::RemoveName { dir: Rc::clone(&dir), name: name.clone(), put: None });
        }
        dir.rename(&new, &name)?;
        dir.sync()
    }

    /// A second name for what stands at `name`, from which it is put back.
    fn save(&mut self, dir: &Rc<Dir>, name: &str, old: &str) -> Result<()> {
        dir.link(name, dir, old)?;
        self.saved.push((Rc::clone(dir), old.to_owned()));
        self.undo.push(Undo::PutOver { dir: Rc::clone(dir), saved: old.to_owned(), name: name.to_owned() });
        Ok(())
    }

    /// Makes a file through the overlay and looks for it, with its content, in the upper directory.
    fn prove_upper(&mut self) -> Result<()> {
        let our_directory = self.dir(paths::OUR_DIRECTORY)?;
        let missing = || Error::new(Kind::State, "prove the upper directory", "none was found");
        let upper = self.upper.as_ref().ok_or_else(missing)?.top();
        let name = self.temporary(MARKER, "new");
        self.undo.push(Undo::RemoveName { dir: Rc::clone(&our_directory), name: name.clone(), put: None });
        our_directory.create(&name, self.payload.token.as_bytes(), 0o600)?;
        let seen = upper.subdirectory(paths::OUR_DIRECTORY).and_then(|dir| match dir {
            Some(dir) => dir.read(&name, self.payload.token.len() as u64),
            None => Ok(None),
        });
        our_directory.unlink(&name)?;
        if seen?.as_deref() == Some(self.payload.token.as_bytes()) {
            return Ok(());
        }
        let reason = "a file made through the overlay does not show up in it";
        Err(Error::new(Kind::State, "prove the upper directory", reason).at(upper.shown("")))
    }

    fn detach_upper(&mut self) -> Result<()> {
        let our_directory = self.dir(paths::OUR_DIRECTORY)?;
        let Some(mounted) = our_directory.subdirectory(UPPER)? else { return Ok(()) };
        let clone = sys::clone_mount(mounted.as_fd()).attempt("clone the mount at", mounted.shown(""))?;
        mounts::unmount(&mounted, UPPER_PATH)?;
        self.undo.push(Undo::Mount { mount: clone, dir: our_directory, name: UPPER.to_owned() });
        Ok(())
    }

    pub(crate) fn put_back(mut self, step: &Step, error: &Error) -> Error {
        let mut trouble = None;
        while let Some(undo) = self.undo.pop() {
            if let Err(error) = undo.run() {
                trouble.get_or_insert(error);
            }
        }
        self.restore_times();
        let reason = error.to_string().replace(HOSTILE, "");
        let stopped = Error::new(error.kind(), format!("stopped at \"{step}\""), reason);
        match trouble {
            None => stopped.remedy("everything was put back"),
            Some(trouble) => {
                let remedy = format!("not everything could be put back ({trouble}): run it again");
                stopped.remedy(remedy).with_changes()
            }
        }
    }

    /// The point of no return: every name is as it is to be, and what was set aside goes. What cannot be
    /// removed is left for the next run, which knows it by its name; the manifest, which stands last, with it.
    pub(crate) fn finish(mut self) -> Vec<String> {
        if let Err(error) = self.tidy() {
            let error = Error::new(error.kind(), "remove what is not needed any more", error.to_string());
            self.warnings.push(error.remedy("all else is done; run it again").to_string());
        }
        // Should this not reach the disk, a power cut brings back what the next uninstall removes.
        let _ = self.root.top().sync();
        self.restore_times();
        self.warnings
    }

    fn tidy(&self) -> Result<()> {
        // All of them, whatever becomes of one.
        let unlink = |done: Result<()>, (dir, name): &(Rc<Dir>, String)| done.and(dir.unlink(name));
        self.saved.iter().fold(Ok(()), unlink)?;
        if !self.last.is_empty() {
            // Not even a power cut may take the manifest away and leave a name that only it explains.
            let mut dirs: Vec<_> = self.saved.iter().map(|(dir, _)| dir).collect();
            dirs.dedup_by(|one, other| Rc::ptr_eq(one, other));
            dirs.into_iter().try_for_each(|dir| dir.sync())?;
        }
        self.last.iter().try_for_each(|last| match last {
            LastRemoval::File(dir, name) => dir.unlink(name),
            LastRemoval::Directory(dir, name) => dir.remove_directory(name),
        })
    }

    /// A directory in which only our own names came and went is as old as it was.
    fn restore_times(&self) {
        for (dir, before) in &self.before {
            if dir.stat().is_ok_and(|now| now.modified != before.modified) {
                // Best effort: the time of a directory is no reason to fail.
                let _ = dir.restore_times(before);
            }
        }
    }
}
