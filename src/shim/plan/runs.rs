//! A plan as runs of the real tool: which arguments, for which operands, in which namespace.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::command::real_tool::Real;
use crate::command::request;
use crate::command::tables::Maker;
use crate::config::Fallback;
use crate::paths::OverlayPath;
use crate::swap::fallback::FallbackDevice;

use crate::shim::plan::types::{BackedFile, Decision, FileNow, FstabArguments, Origin, Plan};

/// One run of the real tool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Run {
    /// The arguments, `argv[0]` too.
    pub argv: Vec<OsString>,
    /// Which operands of the plan it is about.
    pub operands: Vec<usize>,
    /// The tool runs where nobody else sees the mount that it opens its file in, so that the kernel prints the
    /// user's path.
    pub private: bool,
    /// The device that takes the file's place.
    pub fallback: Option<FallbackOperand>,
    /// The arguments for a tool that turns out not to know what fstab's options ask for, which natively it
    /// passes over; tried in this order.
    pub plainer: Vec<Vec<OsString>>,
}

/// A fallback device under a file's name in a detached mount, as [`Detached`] has the file itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FallbackOperand {
    pub device: PathBuf,
    /// The name that it gets.
    pub name: OverlayPath,
    /// What the user shall read in the place of that name.
    pub user: PathBuf,
}

/// What may take a file's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fallbacks<'a> {
    /// The file, as the user sees it.
    pub file: &'a Path,
    /// What `/proc/swaps` shall call the device.
    pub name: &'a Path,
    /// What to try, in this order; never empty.
    pub kinds: &'a [Fallback],
}

/// A run as it is in a detached mount of the upper directory.
///
/// The kernel prints a path up to where its mount is attached, so here it prints the user's own from the first
/// moment on: who listens to `/proc/swaps` (systemd does) hears no other. The mount has no path by which the
/// real tool could be told of the file, so it is the working directory; and as nobody can say where that is,
/// the real tool cannot turn the name that it is given into a path of the overlay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detached<'a> {
    pub file: &'a BackedFile,
    /// Its name from the upper directory, which stands in `argv`.
    pub name: PathBuf,
    /// What the user shall read in the place of that name.
    pub user: &'a Path,
    pub argv: Vec<OsString>,
}

impl Plan {
    /// How a private run is done in a detached mount. Not by a script: a shell would begin with a complaint about
    /// its working directory.
    pub fn detached(&self, run: &Run, real: &Real) -> Option<Detached<'_>> {
        let at = *run.operands.first().filter(|_| run.private && !real.is_script())?;
        let (file, user) = (self.backing(at)?, self.user_reads(at)?);
        Some(Detached { file, name: file.overlay.below_upper(), user, argv: self.argv_in_upper(run) })
    }

    /// The arguments of a run whose working directory is the upper directory.
    pub(crate) fn argv_in_upper(&self, run: &Run) -> Vec<OsString> {
        let file = run.operands.first().filter(|_| run.private).and_then(|at| self.backing(*at));
        let argument = |given: &OsString| match file {
            Some(file) if given == file.backing.as_path().as_os_str() => file.overlay.below_upper().into(),
            _ => given.clone(),
        };
        run.argv.iter().map(argument).collect()
    }

    /// The runs that the plan comes to, given which operands were proved.
    ///
    /// Operands that are as the user wrote them must not be enabled inside the namespace: the kernel prints
    /// their names from a mount that is gone afterwards (`/dev/vdc` would become `/vdc`). So where one operand
    /// has two names, each gets a run of its own.
    pub fn runs(&self, proved: &[bool]) -> Vec<Run> {
        let all = 0..self.operands.len();
        if self.operands.iter().all(|operand| operand.is_quiet(self.flavour)) {
            let (argv, operands) = (self.argv.clone(), all.collect());
            return vec![Run { argv, operands, ..Run::default() }];
        }
        all.filter(|at| self.is_run(*at)).map(|at| self.run(at, proved)).collect()
    }

    /// The run that enables `device` in the place of an operand; the user reads the operand's own path.
    pub fn run_with_fallback(&self, at: usize, device: &Path) -> Option<Run> {
        let (seen, name) = match self.decision(at)? {
            Decision::Fallback { path, .. } => (path, OverlayPath::parse(path)?),
            Decision::ActiveFallback { path, device, .. } => (path, OverlayPath::parse(&device.name)?),
            Decision::Backing(backed) => (&backed.seen, backed.overlay.clone()),
            _ => return None,
        };
        let new = Some(name.below_upper().into());
        let argv = if self.is_split {
            let options = self.fstab_arguments(at).map_or(&[][..], |arguments| &arguments.best);
            self.argv_split(at, options, new)
        } else {
            self.argv_whole(at, new)
        };
        let given = self.operands.get(at).map(|operand| PathBuf::from(&operand.given));
        let user = given.filter(|_| self.flavour.kind != Maker::UtilLinux).unwrap_or_else(|| seen.clone());
        let fallback = FallbackOperand { device: device.to_owned(), name, user };
        Some(Run { argv, operands: vec![at], fallback: Some(fallback), ..Run::default() })
    }

    /// What may take an operand's place, if anything may.
    pub fn fallbacks(&self, at: usize) -> Option<Fallbacks<'_>> {
        let fallbacks = match self.decision(at)? {
            Decision::Fallback { path, fallbacks, .. } => {
                Fallbacks { file: path, name: path, kinds: fallbacks }
            }
            Decision::Backing(backed) => Fallbacks {
                file: &backed.seen,
                name: backed.overlay.as_path(),
                kinds: &backed.orders.fallbacks,
            },
            _ => return None,
        };
        Some(fallbacks).filter(|fallbacks| !fallbacks.kinds.is_empty())
    }

    /// The fallback devices that are active in the place of operands.
    pub fn active_fallbacks(&self) -> impl Iterator<Item = &FallbackDevice> {
        self.operands.iter().filter_map(|operand| match &operand.decision {
            Decision::ActiveFallback { device, .. } => Some(device),
            _ => None,
        })
    }

    /// The fallback devices that the real tool cannot disable with `-a`, because the name that it knows leads
    /// elsewhere.
    pub fn fallbacks_without_file(&self) -> impl Iterator<Item = &FallbackDevice> {
        self.operands.iter().filter_map(|operand| match (&operand.decision, &operand.origin) {
            (Decision::ActiveFallback { device, file: FileNow::Gone, .. }, Origin::Active) => Some(device),
            _ => None,
        })
    }

    /// argv for the mode where the backing file stands at the user's path: as it came, without what was
    /// refused; and where no file stands at the path any more, the device by its own name.
    pub fn masked_argv(&self) -> Vec<OsString> {
        let change = |at: usize| match self.decision(at) {
            Some(Decision::ActiveFallback { device, file: FileNow::Gone, .. }) => {
                Some(Some(device.path.clone().into()))
            }
            Some(Decision::Backing(file)) if self.may_be_descriptor(at) => {
                Some(Some(file.seen.clone().into()))
            }
            _ => (!self.is_run(at)).then_some(None),
        };
        let changes = (0..self.operands.len()).filter_map(|at| Some((self.place(at)?, change(at)?)));
        request::rewrite(&self.argv, &changes.collect::<Vec<_>>())
    }

    /// A descriptor (`/dev/stdin`) leads to what was there before the backing file stood at its path. util-linux
    /// asks the kernel for the path.
    fn may_be_descriptor(&self, at: usize) -> bool {
        let given = self.operands.get(at).map(|operand| Path::new(&operand.given));
        self.flavour.kind != Maker::UtilLinux
            && given.is_some_and(|given| given.starts_with("/dev") || given.starts_with("/proc"))
    }

    /// Whether there is anything left for the real tool.
    pub fn has_runs(&self) -> bool {
        self.operands.is_empty() || (0..self.operands.len()).any(|at| self.is_run(at))
    }

    /// The two names of an operand, if it has two.
    pub fn backing(&self, at: usize) -> Option<&BackedFile> {
        match self.decision(at) {
            Some(Decision::Backing(backed)) => Some(backed),
            _ => None,
        }
    }

    /// What the real tool's output says, and what the user shall read instead. util-linux prints the path
    /// without symlinks, the others as it was given.
    pub fn translations(&self) -> Vec<(&Path, &Path)> {
        let pair = |at| Some((self.backing(at)?.backing.as_path(), self.user_reads(at)?));
        (0..self.operands.len()).filter_map(pair).collect()
    }

    fn user_reads(&self, at: usize) -> Option<&Path> {
        let resolved = self.flavour.kind == Maker::UtilLinux;
        Some(if resolved { &self.backing(at)?.seen } else { Path::new(&self.operands.get(at)?.given) })
    }

    fn run(&self, at: usize, proved: &[bool]) -> Run {
        if let Some(Decision::ActiveFallback { device, .. }) = self.decision(at)
            && let Some(run) = self.run_with_fallback(at, &device.path)
        {
            return run;
        }
        let new = self.backing(at).filter(|_| proved.get(at) == Some(&true));
        let new = new.map(|backed| OsString::from(backed.backing.as_path()));
        let run = Run { operands: vec![at], private: new.is_some(), ..Run::default() };
        if !self.is_split {
            return Run { argv: self.argv_whole(at, new), ..run };
        }
        let Some(fstab) = self.fstab_arguments(at) else {
            return Run { argv: self.argv_split(at, &[], new), ..run };
        };
        let plainer = fstab.plainer.iter().map(|fewer| self.argv_split(at, fewer, new.clone())).collect();
        Run { argv: self.argv_split(at, &fstab.best, new), plainer, ..run }
    }

    /// Whether a run may have to be run once more, or something else in its place, so that its words must
    /// wait.
    pub fn may_be_repeated(&self, run: &Run) -> bool {
        let may = |at: &usize| {
            self.backing(*at).is_some_and(|backed| backed.orders.rewrite_blocks)
                || self.fallbacks(*at).is_some()
        };
        let unknown = run.operands.iter().any(|at| self.may_be_nothing(*at));
        unknown || run.operands.iter().any(may) || !run.plainer.is_empty()
    }

    /// Whether a run by itself is about a tag that nobody need have.
    pub fn may_be_nothing(&self, at: usize) -> bool {
        self.is_split && matches!(self.decision(at), Some(Decision::IfFound))
    }

    /// The options of the line of fstab that an operand comes from. BusyBox and toybox can be built without
    /// priorities or discarding, and then pass over them in fstab.
    fn fstab_arguments(&self, at: usize) -> Option<&FstabArguments> {
        match &self.operands.get(at)?.origin {
            Origin::Fstab(arguments) => Some(arguments),
            _ => None,
        }
    }

    /// argv with the other operands left out.
    fn argv_whole(&self, at: usize, new: Option<OsString>) -> Vec<OsString> {
        let others = (0..self.operands.len()).filter(|other| *other != at);
        let mut changes: Vec<_> = others.filter_map(|other| Some((self.place(other)?, None))).collect();
        if let (Some(place), Some(new)) = (self.place(at), new) {
            changes.push((place, Some(new)));
        } else if let Some(place) = self.place(at).filter(|place| self.needs_dashes(*place)) {
            changes.push((place, None));
            let kept = [OsString::from("--")].into_iter().chain(self.argv.get(place).cloned());
            return request::rewrite(&self.argv, &changes).into_iter().chain(kept).collect();
        }
        request::rewrite(&self.argv, &changes)
    }

    /// An operand that looks like an option, and is none only because another came before it
    /// (POSIXLY_CORRECT): by itself it needs a `--`.
    fn needs_dashes(&self, place: usize) -> bool {
        let looks = self.argv.get(place).is_some_and(|given| given.as_encoded_bytes().starts_with(b"-"));
        looks && !self.argv.iter().take(place).any(|argument| argument == "--")
    }

    /// argv made anew for one area: the options that hold for all, those of its line in fstab, and its name.
    fn argv_split(&self, at: usize, options: &[OsString], new: Option<OsString>) -> Vec<OsString> {
        let mut argv: Vec<OsString> = self.argv.iter().take(1).cloned().chain(self.common.clone()).collect();
        let Some(operand) = self.operands.get(at) else { return argv };
        match (&operand.origin, new) {
            (Origin::Fstab(_), new) => {
                argv.extend(options.iter().cloned());
                let name = new.unwrap_or_else(|| operand.given.clone());
                if name.as_encoded_bytes().starts_with(b"-") {
                    argv.push("--".into());
                }
                argv.push(name);
            }
            (Origin::Tag(arguments), None) => argv.extend(arguments.iter().cloned()),
            (_, new) => {
                argv.push("--".into());
                argv.push(new.unwrap_or_else(|| operand.given.clone()));
            }
        }
        argv
    }

    fn is_run(&self, at: usize) -> bool {
        matches!(
            self.decision(at),
            Some(
                Decision::AsItIs { .. }
                    | Decision::Backing(_)
                    | Decision::ActiveFallback { .. }
                    | Decision::IfFound
            )
        )
    }

    fn decision(&self, at: usize) -> Option<&Decision> {
        self.operands.get(at).map(|operand| &operand.decision)
    }

    fn place(&self, at: usize) -> Option<usize> {
        match self.operands.get(at)?.origin {
            Origin::Argv(place) => Some(place),
            _ => None,
        }
    }
}
