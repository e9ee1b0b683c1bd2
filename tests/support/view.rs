//! Hides from a guest what is not its own swap: a `/proc/swaps` without the areas that were there before, and
//! without those of tests that swap beside it.
//!
//! A script's `swapoff -a` must not take the swap of a machine that swaps in earnest, and the guest's listings
//! should not show it. So where there is other swap, a FUSE file stands over the guest's `/proc/swaps`, served by a
//! thread of the test. The trick is whose eyes it reads with: the kernel prints each path from the root of who
//! reads, so the thread goes to the asking process's root for the time of a read.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{chroot, fchdir};

// The kernel's include/uapi/linux/fuse.h has the numbers and the layouts.
const GETATTR: u32 = 3;
const OPEN: u32 = 14;
const READ: u32 = 15;
const RELEASE: u32 = 18;
const FLUSH: u32 = 25;
const INIT: u32 = 26;
const NOT_ANSWERED: [u32; 3] = [2, 36, 42]; // FORGET, INTERRUPT, BATCH_FORGET
const HEADER: usize = 40;
const DIRECT_IO: u32 = 1;
/// A regular file that all may read.
const MODE: u32 = 0o100_444;

/// Which of the machine's areas are a test's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Own {
    /// All: it swaps alone.
    All,
    /// Those whose path has this word, which no other test uses.
    With(String),
    /// All but those whose path has one of these words: they are other tests'.
    Without(Vec<String>),
}

impl Own {
    /// Whether a line of `/proc/swaps` is about one of them.
    pub fn has(&self, line: &str) -> bool {
        match self {
            Self::All => true,
            Self::With(word) => line.contains(word),
            Self::Without(words) => !words.iter().any(|word| line.contains(word)),
        }
    }
}

/// Puts the file at `at`, in this mount namespace, and serves it until the process ends. Areas in the list `before`
/// (lines of [`line_of`]) are left out, and those that are not the test's own; while there is no such list, only
/// the latter.
pub fn serve(at: &Path, before: PathBuf, own: Own) {
    File::create(at).expect("a place for it");
    let device = File::options().read(true).write(true).open("/dev/fuse").expect("/dev/fuse");
    let swaps = File::open("/proc/swaps").expect("/proc/swaps");
    let options =
        format!("fd={},rootmode={MODE:o},user_id=0,group_id=0,allow_other,max_read=4096", device.as_raw_fd());
    mount(Some("swaps"), at, Some("fuse"), MsFlags::empty(), Some(options.as_str())).expect("mount FUSE");
    std::thread::spawn(move || {
        // The root and the working directory are this thread's own from here on.
        unshare(CloneFlags::CLONE_FS).expect("unshare(CLONE_FS)");
        let home = File::open("/").expect("/");
        Server { device, swaps, home, before, own, texts: HashMap::new() }.run();
    });
}

/// One line of `/proc/swaps` without how much is used, as lists of areas keep them.
pub fn line_of(swaps: &str) -> String {
    let fields: Vec<&str> = swaps.split_whitespace().collect();
    match fields[..] {
        [path, kind, size, _, priority] => format!("{path} {kind} {size} {priority}"),
        _ => fields.join(" "),
    }
}

struct Server {
    device: File,
    swaps: File,
    home: File,
    before: PathBuf,
    own: Own,
    /// What each open file has read from its beginning.
    texts: HashMap<u64, Vec<u8>>,
}

impl Server {
    /// Until the mount is gone.
    fn run(mut self) {
        let mut request = vec![0; 64 * 1024];
        loop {
            match self.device.read(&mut request) {
                Ok(length) => self.answer(&request[..length]),
                Err(error) if error.raw_os_error() == Some(Errno::ENODEV as i32) => return,
                // Whoever asked has gone.
                Err(error) if error.raw_os_error() == Some(Errno::ENOENT as i32) => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => panic!("/dev/fuse: {error}"),
            }
        }
    }

    fn answer(&mut self, request: &[u8]) {
        let (opcode, unique, pid) = (u32_at(request, 4), u64_at(request, 8), u32_at(request, 32));
        if NOT_ANSWERED.contains(&opcode) {
            return;
        }
        let body = &request[HEADER..];
        let reply = match opcode {
            // Version 7.31, nothing negotiated, writes of at most 4 KiB.
            INIT => Ok(words(&[7, 31, 0, 0, 0, 4096, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
            GETATTR => Ok(attributes()),
            OPEN => Ok([&unique.to_ne_bytes()[..], &words(&[DIRECT_IO, 0])].concat()),
            READ => Ok(self.read(pid, u64_at(body, 0), u64_at(body, 8), u32_at(body, 16))),
            RELEASE => {
                self.texts.remove(&u64_at(body, 0));
                Ok(Vec::new())
            }
            FLUSH => Ok(Vec::new()),
            _ => Err(Errno::ENOSYS),
        };
        let (error, payload) =
            reply.map_or_else(|errno| (-(errno as i32), Vec::new()), |payload| (0, payload));
        let length = u32::try_from(16 + payload.len()).unwrap();
        let head = [&length.to_ne_bytes()[..], &error.to_ne_bytes(), &unique.to_ne_bytes()].concat();
        // Who has gone meanwhile needs no answer.
        let _ = self.device.write(&[head, payload].concat());
    }

    fn read(&mut self, pid: u32, file: u64, from: u64, size: u32) -> Vec<u8> {
        if from == 0 || !self.texts.contains_key(&file) {
            let text = self.filtered(pid);
            self.texts.insert(file, text);
        }
        let text = &self.texts[&file];
        let from = usize::try_from(from).unwrap().min(text.len());
        let to = (from + size as usize).min(text.len());
        text[from..to].to_vec()
    }

    fn filtered(&self, pid: u32) -> Vec<u8> {
        let hidden = fs::read_to_string(&self.before).unwrap_or_default();
        let text = self.seen_by(pid);
        let mut lines = text.split_inclusive(|byte| *byte == b'\n');
        let head = lines.next().unwrap_or_default();
        let shown = lines.filter(|line| {
            let line = line_of(&String::from_utf8_lossy(line));
            self.own.has(&line) && !hidden.lines().any(|old| old == line)
        });
        [head].into_iter().chain(shown).collect::<Vec<_>>().concat()
    }

    fn seen_by(&self, pid: u32) -> Vec<u8> {
        let root = File::open(format!("/proc/{pid}/root"));
        if let Ok(root) = &root {
            fchdir(root).and_then(|()| chroot(".")).expect("the reader's root");
        }
        let mut text = Vec::new();
        let mut piece = [0; 4096];
        while let Ok(length @ 1..) = self.swaps.read_at(&mut piece, text.len() as u64) {
            text.extend(&piece[..length]);
        }
        fchdir(&self.home).and_then(|()| chroot(".")).expect("our own root");
        text
    }
}

fn attributes() -> Vec<u8> {
    // Valid for no time; inode 1, size and blocks 0, times 0, mode, one link, root's.
    let times_and_sizes = [0u64, 0, 1, 0, 0, 0, 0, 0].map(u64::to_ne_bytes).concat();
    [times_and_sizes, words(&[0, 0, 0, MODE, 1, 0, 0, 0, 4096, 0])].concat()
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap())
}
