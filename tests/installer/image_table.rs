//! Hostile images as a table: each is built by code, installed into, looked at and uninstalled from, against a
//! host canary in which nothing may be changed, and not even opened, and each within a time limit.

use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use crate::bench::{Bench, Test, link, run, text, tool, tools, tree, tree_with_change_times};
use crate::image_table_more::MORE;
use crate::image_table_rows::IMAGES;

pub const TESTS: &[Test] = &[("a_table_of_hostile_images", table)];

/// What install has to make of an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Does {
    /// It ends with 0, and each of these names is the shim.
    Install(&'static [&'static str]),
    /// It ends with 1 and one line, and has touched nothing.
    Refuse,
}

/// One hostile image.
pub struct Image {
    /// What it is.
    pub name: &'static str,
    /// Builds it.
    pub build: fn(&Site),
    /// What has to happen.
    pub does: Does,
    /// What install has to say.
    pub said: &'static str,
}

/// Where an image is built, and the host that it is after.
pub struct Site {
    /// The image's root.
    pub guest: PathBuf,
    /// The canary.
    pub host: PathBuf,
}

impl Site {
    fn at(&self, path: &str) -> PathBuf {
        let path = self.guest.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    /// A symlink; `HOST` in the target is the canary.
    pub fn link(&self, path: &str, target: &str) {
        link(&target.replace("HOST", self.host.to_str().unwrap()), &self.at(path));
    }

    /// The three tools in a directory.
    pub fn tools(&self, directory: &str) {
        tools(&self.guest, directory);
    }

    /// An executable.
    pub fn tool(&self, path: &str, content: &str) {
        tool(&self.at(path), content);
    }

    /// A file.
    pub fn file(&self, path: &str, content: &[u8]) {
        fs::write(self.at(path), content).unwrap();
    }

    /// A file of that many bytes, all of them a hole.
    pub fn sparse(&self, path: &str, size: u64) {
        fs::File::create(self.at(path)).unwrap().set_len(size).unwrap();
    }

    /// A directory, and everything on the way to it.
    pub fn directory(&self, path: &str) {
        fs::create_dir_all(self.at(path)).unwrap();
    }

    /// Permission bits.
    pub fn mode(&self, path: &str, mode: u32) {
        fs::set_permissions(self.guest.join(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Our own directory, as install would have made it.
    pub fn home(&self) {
        self.directory(".rootfs-shim");
        self.mode(".rootfs-shim", 0o700);
    }

    /// A named pipe, which blocks whoever opens it.
    pub fn pipe(&self, path: &str) {
        run("mkfifo", &[self.at(path).to_str().unwrap()]);
    }

    /// A device; nobody may wake it.
    pub fn device(&self, path: &str, kind: &str) {
        run("mknod", &[self.at(path).to_str().unwrap(), kind, "7", "200"]);
    }

    /// A socket.
    pub fn socket(&self, path: &str) {
        drop(std::os::unix::net::UnixListener::bind(self.at(path)).unwrap());
    }

    /// A second name.
    pub fn hard_link(&self, path: &str, to: &str) {
        fs::hard_link(self.guest.join(path), self.at(to)).unwrap();
    }

    /// A file whose name no program may print as it is.
    pub fn odd_name(&self, directory: &str) {
        let name = std::ffi::OsStr::from_bytes(b"\xff\x1b[2Jred");
        fs::write(self.guest.join(directory).join(name), "").unwrap();
    }
}

/// Sees whoever opens or changes anything in the canary.
pub struct Watch(Inotify);

impl Watch {
    /// From now on.
    pub fn new(host: &Path) -> Self {
        let watch = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).unwrap();
        let all = AddWatchFlags::IN_ALL_EVENTS & !AddWatchFlags::IN_CLOSE;
        let directories = tree(host).into_iter().map(|line| line.split(" ino ").next().unwrap().to_owned());
        for path in directories.filter(|path| Path::new(path).is_dir()) {
            watch.add_watch(path.as_str(), all).unwrap();
        }
        Self(watch)
    }

    /// What was done since.
    pub fn events(&self) -> Vec<String> {
        let mut all = Vec::new();
        while let Ok(events) = self.0.read_events() {
            all.extend(events.into_iter().map(|event| format!("{:?} {:?}", event.mask, event.name)));
        }
        all
    }
}

/// Runs the program on an image, for at most ten seconds.
pub fn limited(bench: &Bench, guest: &Path, command: &str) -> Output {
    let (program, guest) = (bench.program.to_str().unwrap(), guest.to_str().unwrap());
    let arguments = ["--signal=KILL", "10", program, command, "--chroot", guest];
    let output = std::process::Command::new("timeout").args(arguments).output().unwrap();
    assert_ne!(output.status.code(), Some(137), "{command} hangs: {}", text(&output));
    assert!(!output.status.success() || output.status.code() == Some(0), "{}", text(&output));
    for bytes in [&output.stdout, &output.stderr] {
        let raw = bytes.iter().any(|byte| *byte < b' ' && *byte != b'\n');
        assert!(!raw, "{command} prints control characters: {:?}", text(&output));
        assert!(!bytes.windows(8).any(|part| part == b"panicked"), "{}", text(&output));
    }
    output
}

fn one(bench: &Bench, site: &Site, image: &Image) -> Result<(), String> {
    let check = |right: bool, what: String| if right { Ok(()) } else { Err(what) };
    (image.build)(site);
    let (before, untouched) = (tree(&site.guest), tree_with_change_times(&site.guest));
    let watch = Watch::new(&site.host);
    let output = limited(bench, &site.guest, "install");
    let said = text(&output);
    check(said.contains(image.said), format!("does not say {:?}: {said}", image.said))?;
    match image.does {
        Does::Install(shims) => {
            check(output.status.success(), format!("refuses: {said}"))?;
            for path in shims {
                let content = fs::read(site.guest.join(path)).unwrap_or_default();
                check(content == fs::read(&bench.program).unwrap(), format!("{path} is no shim: {said}"))?;
            }
        }
        Does::Refuse => {
            check(output.status.code() == Some(1), format!("installs: {said}"))?;
            let lines = output.stderr.iter().filter(|byte| **byte == b'\n').count();
            check(lines == 1, format!("not one line: {said}"))?;
            check(untouched == tree_with_change_times(&site.guest), "it was touched".to_owned())?;
        }
    }
    limited(bench, &site.guest, "status");
    let again = limited(bench, &site.guest, "install");
    check(again.status.code() == output.status.code(), format!("the second time: {}", text(&again)))?;
    let said = text(&limited(bench, &site.guest, "uninstall"));
    let events = watch.events();
    check(events.is_empty(), format!("the host was opened or changed: {events:?}"))?;
    let after = tree(&site.guest);
    let changed: Vec<_> = before.iter().filter(|line| !after.contains(line)).collect();
    let new: Vec<_> = after.iter().filter(|line| !before.contains(line)).collect();
    check(after == before, format!("not given back: {changed:#?} {new:#?} {said}"))
}

fn table() {
    let bench = Bench::new();
    let host = bench.top.join("host");
    let mut wrong = Vec::new();
    let images = || IMAGES.iter().chain(MORE);
    let names: std::collections::BTreeSet<_> = images().map(|image| image.name).collect();
    assert!(names.len() >= 80 && names.len() == images().count(), "{} images", names.len());
    for (number, image) in images().enumerate() {
        let guest = bench.top.join(format!("image-{number}"));
        fs::create_dir(&guest).unwrap();
        let site = Site { guest, host: host.clone() };
        if let Err(why) = one(&bench, &site, image) {
            wrong.push(format!("{}: {why}", image.name));
        }
        bench.host_is_untouched();
        fs::remove_dir_all(&site.guest).unwrap();
    }
    let _ = writeln!(std::io::stderr(), "{} images", names.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
