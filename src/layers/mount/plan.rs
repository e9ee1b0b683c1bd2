//! How an overlay root is put together, and whether it may be: pure.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use crate::config;
use crate::error::{Error, Kind, Result};
use crate::kernel::mounts::{Mount, Mounts};
use crate::layers::content::{Content, WRITABLE};
use crate::layers::device::Storage;
use crate::layers::facts::{Layer, LayerKind, LayerState, Medium, User};
use crate::layers::options::MountOptions;
use crate::layers::reset::plan::{self, Discard, ResetOrders, ResetPlan};
use crate::sys::block::Access;
use crate::text;

/// What a mount finds on the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MountFacts {
    /// The lower layers, of which the topmost is the first.
    pub lower: Vec<Layer>,
    pub writable: Layer,
    /// What is mounted at the target already, in words.
    pub occupied: Option<String>,
    /// The program that makes the filesystem that [`plan::filesystem`] says.
    pub mkfs: Option<PathBuf>,
}

/// How the root is put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MountPlan {
    /// Where the root is to stand.
    pub target: PathBuf,
    /// The writable layer is made new first.
    pub reset: Option<ResetPlan>,
    /// The lower layers, the topmost first.
    pub lower: Vec<PlannedLayer>,
    pub writable: PlannedLayer,
    /// Directories of the guest that are passed through to the backing filesystem, plain and sorted.
    pub passthrough: Vec<PathBuf>,
    /// What df and lsblk show; `None` is the writable device, known when it is mounted.
    pub source_name: Option<OsString>,
    /// fsync costs nothing, and after a crash nothing in the layer can be trusted.
    pub volatile: bool,
    /// The shims are installed into the root as well.
    pub install: bool,
    /// The writable layer's background trimming, if it is running, which this mount takes over.
    pub trimming: Option<String>,
}

/// A layer that is to be mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlannedLayer {
    /// The path as it was given.
    pub path: PathBuf,
    pub form: LayerForm,
}

/// In what form a layer is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LayerForm {
    Filesystem {
        storage: Storage,
        kind: &'static str,
    },
    /// `source` is that of the mount that the directory is in.
    Directory {
        source: OsString,
    },
}

impl MountPlan {
    /// One line for each step.
    pub(crate) fn steps(&self) -> Vec<String> {
        let mut steps = self.reset.as_ref().map(ResetPlan::steps).unwrap_or_default();
        steps.extend(self.trimming.as_ref().map(|_| "stop its trimming and take it over".to_owned()));
        for layer in &self.lower {
            steps.push(format!("use {} as a lower layer", layer.words()));
        }
        steps.push(format!("use {} as the writable layer", self.writable.words()));
        let source = self.source_name.as_ref().map_or("the writable device".to_owned(), text::path);
        let volatile = if self.volatile { ", volatile" } else { "" };
        steps.push(format!("mount the overlay at {} (source: {source}{volatile})", text::path(&self.target)));
        for path in &self.passthrough {
            steps.push(format!("keep {} on the backing filesystem", text::path(path)));
        }
        steps.extend(self.install.then(|| "install the shims".to_owned()));
        steps
    }
}

impl PlannedLayer {
    fn words(&self) -> String {
        let path = text::path(&self.path);
        match &self.form {
            LayerForm::Filesystem { storage: Storage::Device, kind } => format!("device {path} ({kind})"),
            LayerForm::Filesystem { storage: Storage::Image, kind } => format!("image {path} ({kind})"),
            LayerForm::Directory { .. } => format!("directory {path}"),
        }
    }
}

/// Decides whether the root may be put together, and how. `options.target` is without symlinks.
///
/// # Errors
/// [`Kind::Usage`] for a request that makes no sense, [`Kind::State`] for a layer that cannot serve.
pub(crate) fn plan(options: &MountOptions, facts: &MountFacts) -> Result<MountPlan> {
    let MountFacts { lower, writable, .. } = facts;
    sensible(options, lower)?;
    if let Some(what) = &facts.occupied {
        let error = Error::new(Kind::State, "mount", format!("{what} is mounted there already"));
        return Err(error.at(&options.target).remedy("run rootfs-shim unmount first"));
    }
    if let Some(layer) = lower.iter().find(|layer| layer.key == writable.key && !layer.key.is_empty()) {
        let error = Error::new(Kind::Usage, "mount", "it is the writable layer and a lower layer at once");
        return Err(error.at(&layer.path));
    }
    let reset = reset_of(options, facts)?;
    if options.volatile && reset.is_none() {
        let reason = "a volatile layer must be new at each boot: after a crash nothing in it can be trusted";
        return Err(Error::new(Kind::State, "mount", reason).remedy("add --reset"));
    }
    let form = match (writable.storage(), &reset) {
        (Some(storage), Some(_)) => LayerForm::Filesystem { storage, kind: plan::filesystem(writable) },
        _ => form_of(writable, Access::Writable)?,
    };
    let trimming = (reset.is_none() && writable.user == Some(User::Trimming)).then(|| writable.key.clone());
    let planned = |layer: &Layer| {
        let form = form_of(layer, Access::ReadOnly)?;
        Ok(PlannedLayer { path: layer.path.clone(), form })
    };
    Ok(MountPlan {
        target: options.target.clone(),
        lower: lower.iter().map(planned).collect::<Result<_>>()?,
        writable: PlannedLayer { path: writable.path.clone(), form },
        passthrough: plain(&config::kept_directories(&options.passthrough))?,
        source_name: options.source_name.clone().filter(|name| name != "auto"),
        volatile: options.volatile,
        install: options.install.is_some(),
        reset,
        trimming,
    })
}

/// What can be said of a request without looking at any layer.
fn sensible(options: &MountOptions, lower: &[Layer]) -> Result<()> {
    /// As many as overlayfs takes.
    const MOST: usize = 500;
    /// mount(2) takes a page, its end included.
    const LONGEST: usize = 4095;
    let usage = |reason: &str| Error::new(Kind::Usage, "mount", reason);
    if options.target == Path::new("/") {
        let error = usage("the running root is no place for another one").at("/");
        return Err(error.remedy("mount it at a directory, then switch_root or pivot_root into that"));
    }
    if lower.is_empty() {
        return Err(usage("there is no lower layer").remedy("give --lower"));
    }
    if lower.len() > MOST {
        return Err(usage(&format!("there are {} lower layers, and overlayfs takes {MOST}", lower.len())));
    }
    match &options.source_name {
        Some(name) if name.is_empty() => Err(usage("the source name is empty").remedy("give a word or auto")),
        Some(name) if name.len() > LONGEST => Err(usage("the source name is too long")),
        _ => Ok(()),
    }
}

/// A layer is made new if that was asked for, if it is empty, or if a reset was cut short.
fn reset_of(options: &MountOptions, facts: &MountFacts) -> Result<Option<ResetPlan>> {
    let writable = &facts.writable;
    plan::in_use(writable, "mount")?;
    let orders = ResetOrders { force: options.force, discard: options.discard };
    if options.reset {
        return plan::plan(writable, facts.mkfs.clone(), orders).map(Some);
    }
    let unfinished = match &writable.kind {
        LayerKind::Device(medium) | LayerKind::Image(medium) => {
            matches!(medium.content, Content::Empty | Content::Unfinished(_))
        }
        LayerKind::Directory(directory) => directory.state == LayerState::Resetting,
    };
    if !unfinished {
        return Ok(None);
    }
    // There is nothing old on an empty device, and after a cut the old blocks are still to be given back.
    let empty = writable.medium().is_some_and(|medium| medium.content == Content::Empty);
    let discard = if empty { Discard::Never } else { orders.discard };
    plan::plan(writable, facts.mkfs.clone(), ResetOrders { discard, ..orders }).map(Some)
}

/// In what form a layer is there, if it can be mounted for that.
fn form_of(layer: &Layer, access: Access) -> Result<LayerForm> {
    let refuse = |reason: String| Error::new(Kind::State, "mount", reason).at(&layer.path);
    let is_writable = access == Access::Writable;
    let filesystem = |storage, medium: &Medium| match &medium.content {
        Content::Filesystem { kind, .. } if !is_writable || WRITABLE.contains(kind) => {
            Ok(LayerForm::Filesystem { storage, kind })
        }
        Content::Filesystem { kind, .. } => Err(refuse(format!("{kind} cannot be a writable layer"))),
        other => {
            let error = refuse(format!("it carries {}, and no filesystem to mount", other.words()));
            Err(if is_writable { error.remedy("rootfs-shim reset --force makes it new") } else { error })
        }
    };
    match &layer.kind {
        LayerKind::Device(medium) => filesystem(Storage::Device, medium),
        LayerKind::Image(medium) => filesystem(Storage::Image, medium),
        LayerKind::Directory(directory) => Ok(LayerForm::Directory { source: directory.source.clone() }),
    }
}

/// Absolute, without `.` and `..`, sorted, each once and none inside another.
fn plain(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let usage = |path: &Path, reason: String| {
        Err(Error::new(Kind::Usage, "keep on the backing filesystem", reason).at(path))
    };
    let mut plain = Vec::new();
    for path in paths {
        let good = path.is_absolute()
            && path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        let path: PathBuf = path.components().collect();
        if !good || path.parent().is_none() || path.starts_with("/.rootfs-shim") {
            return usage(&path, "is no directory of the guest that could be kept there".to_owned());
        }
        plain.push(path);
    }
    plain.sort();
    plain.dedup();
    for (at, outer) in plain.iter().enumerate() {
        if let Some(inner) = plain.iter().skip(at + 1).find(|inner| inner.starts_with(outer)) {
            return usage(inner, format!("is inside {}, which is kept whole", text::path(outer)));
        }
    }
    Ok(plain)
}

/// The mounts of the root at `target`, in the order in which they can be taken down; empty if there is none. `upper` is
/// the mount that shows its upper directory, or would.
///
/// # Errors
/// [`Kind::State`] if what is mounted there is no overlay, or if something else is mounted inside.
pub(crate) fn unmount(mounts: &Mounts, target: &Path, upper: Option<&Mount>) -> Result<Vec<PathBuf>> {
    let refuse = |reason: String| Error::new(Kind::State, "unmount", reason).at(target);
    let Some(root) = mounts.at(target) else { return Ok(Vec::new()) };
    if root.fstype != "overlay" {
        return Err(refuse(format!("what is mounted there is {}, and no overlay root", root.fstype)));
    }
    let store = upper.and_then(|upper| Some((upper, upper.root.parent()?.join("passthrough"))));
    let is_own = |mount: &Mount| match &store {
        Some((upper, store)) => {
            mount.device == upper.device && (mount.root == upper.root || mount.root.starts_with(store))
        }
        // What is passed through is still known by its name in the layer.
        None => mount.source == root.source && mount.root.iter().any(|name| name == "passthrough"),
    };
    let mut tree = vec![root.id];
    let mut points = vec![root.point.clone()];
    for mount in mounts.iter().filter(|mount| mount.id != root.id) {
        if tree.contains(&mount.parent) {
            if !is_own(mount) {
                let what = text::path(&mount.point);
                return Err(refuse(format!("{what} is mounted inside")).remedy("unmount that first"));
            }
            tree.push(mount.id);
            points.push(mount.point.clone());
        }
    }
    points.reverse();
    Ok(points)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(path: &str, content: Content) -> Layer {
        let kind = LayerKind::Device(Medium { size: 1 << 30, content });
        Layer { path: path.into(), kind, user: None, key: path.into() }
    }

    fn image() -> Layer {
        device("/dev/vda", Content::Filesystem { kind: "erofs", ours: false })
    }

    fn ours() -> Layer {
        device("/dev/vdb", Content::Filesystem { kind: "ext4", ours: true })
    }

    fn facts(lower: &[Layer], writable: &Layer) -> MountFacts {
        let mkfs = Some("/sbin/mkfs.ext4".into());
        MountFacts { lower: lower.to_vec(), writable: writable.clone(), occupied: None, mkfs }
    }

    fn outcome(options: &MountOptions, writable: &Layer) -> std::result::Result<Vec<String>, String> {
        let options = MountOptions { target: "/new".into(), ..options.clone() };
        let plan = plan(&options, &facts(&[image()], writable));
        plan.map(|plan| plan.steps()).map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_device_is_formatted_and_a_filesystem_is_taken_as_it_is() {
        let fresh = outcome(&MountOptions::default(), &device("/dev/vdb", Content::Empty)).unwrap();
        assert_eq!(fresh[0], "format /dev/vdb as ext4 with /sbin/mkfs.ext4");
        let steps = outcome(&MountOptions::default(), &ours()).unwrap();
        assert_eq!(
            steps,
            [
                "use device /dev/vda (erofs) as a lower layer",
                "use device /dev/vdb (ext4) as the writable layer",
                "mount the overlay at /new (source: the writable device)",
            ]
        );
    }

    #[test]
    fn data_of_another_kind_is_never_formatted() {
        for content in [Content::Unknown, Content::Swap, Content::Other("a LUKS volume".into())] {
            let error = outcome(&MountOptions::default(), &device("/dev/vdb", content)).unwrap_err();
            assert!(error.contains("it carries"), "{error}");
        }
    }

    #[test]
    fn a_reset_cut_short_is_finished() {
        let steps =
            outcome(&MountOptions::default(), &device("/dev/vdb", Content::Unfinished("ext4"))).unwrap();
        assert!(steps[0].starts_with("format /dev/vdb") && steps[1].contains("background"));
    }

    #[test]
    fn the_image_is_never_the_writable_layer() {
        let options =
            MountOptions { target: "/new".into(), reset: true, force: true, ..MountOptions::default() };
        let error = plan(&options, &facts(&[image(), ours()], &ours())).unwrap_err();
        assert!(error.to_string().contains("at once"), "{error}");
    }

    #[test]
    fn a_request_that_makes_no_sense_is_bad_usage() {
        let refused = |options: MountOptions, lower: &[Layer]| {
            plan(&options, &facts(lower, &ours())).unwrap_err().kind()
        };
        let t = || PathBuf::from("/t");
        let there = |name: Option<OsString>| MountOptions {
            target: t(),
            source_name: name,
            ..MountOptions::default()
        };
        assert_eq!(
            refused(MountOptions { target: "/".into(), ..MountOptions::default() }, &[image()]),
            Kind::Usage
        );
        assert_eq!(refused(there(None), &[]), Kind::Usage);
        assert_eq!(refused(there(None), &vec![image(); 501]), Kind::Usage);
        assert_eq!(refused(there(Some("".into())), &[image()]), Kind::Usage);
        assert_eq!(refused(there(Some("x".repeat(4096).into())), &[image()]), Kind::Usage);
        assert!(plan(&there(Some("auto".into())), &facts(&vec![image(); 500], &ours())).is_ok());
    }

    #[test]
    fn volatile_needs_a_new_layer() {
        let options = MountOptions { volatile: true, ..MountOptions::default() };
        assert!(outcome(&options, &ours()).unwrap_err().ends_with("; add --reset"));
        assert!(outcome(&options, &device("/dev/vdb", Content::Empty)).is_ok());
        let steps = outcome(&MountOptions { reset: true, ..options }, &ours()).unwrap();
        assert!(steps.iter().any(|step| step.ends_with("volatile)")), "{steps:?}");
    }

    #[test]
    fn kept_directories_are_plain_and_none_is_inside_another() {
        let kept = |paths: &[&str]| {
            let options = MountOptions {
                passthrough: paths.iter().map(PathBuf::from).collect(),
                ..MountOptions::default()
            };
            outcome(&options, &ours())
        };
        for bad in [&["/"][..], &["var"], &["/a/../b"], &["/a", "/a/b"], &["/.rootfs-shim/upper"]] {
            assert!(kept(bad).is_err(), "{bad:?}");
        }
        assert!(kept(&["/var/lib/docker/", "/var/lib/docker", "/var/lib/containerd"]).is_ok());
    }

    #[test]
    fn a_root_is_taken_down_from_its_leaves_and_never_with_what_is_not_its_own() {
        let lines = "20 1 8:1 / / rw - ext4 /dev/vda rw\n\
            30 20 0:40 / /new rw - overlay /dev/vdb rw,lowerdir=0\n\
            31 30 8:16 /upper /new/.rootfs-shim/upper rw - ext4 /dev/vdb rw\n\
            32 30 8:16 /passthrough/x /new/x rw - ext4 /dev/vdb rw\n";
        let table = Mounts::parse_all(lines.as_bytes());
        let upper = table.at(Path::new("/new/.rootfs-shim/upper"));
        let known = |text: &str, at: &str, upper: Option<&Mount>| {
            let mounts = Mounts::parse_all(text.as_bytes());
            unmount(&mounts, Path::new(at), upper).map_err(|error| error.to_string())
        };
        let points = |text: &str, at: &str| known(text, at, upper);
        let all = ["/new/x", "/new/.rootfs-shim/upper", "/new"].map(PathBuf::from);
        assert_eq!(points(lines, "/new").unwrap(), all);
        assert_eq!(points(lines, "/other").unwrap(), [] as [PathBuf; 0]);
        let proc = format!("{lines}33 30 0:5 / /new/proc rw - proc proc rw\n");
        assert!(points(&proc, "/new").unwrap_err().contains("/new/proc is mounted inside"));
        assert!(points(lines, "/").unwrap_err().contains("no overlay root"));
        let hidden = lines.replace("31 30 8:16 /upper /new/.rootfs-shim/upper rw - ext4 /dev/vdb rw\n", "");
        for upper in [upper, None] {
            assert_eq!(known(&hidden, "/new", upper).unwrap(), ["/new/x", "/new"].map(PathBuf::from));
        }
        // The source that an overlay has may be any word, so a device says more.
        let word = hidden.replace("overlay /dev/vdb", "overlay word");
        assert_eq!(points(&word, "/new").unwrap(), ["/new/x", "/new"].map(PathBuf::from));
        assert!(known(&word, "/new", None).unwrap_err().contains("/new/x is mounted inside"));
        let other = hidden.replace("/passthrough/x", "/");
        assert!(points(&other, "/new").unwrap_err().contains("/new/x is mounted inside"));
    }
}
