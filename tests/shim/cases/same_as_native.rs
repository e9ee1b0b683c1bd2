//! The same script on a native root and on the overlay root with the shim: same stdout, stderr, exit
//! statuses, swap areas and files, file contents too.
//!
//! The scripts are `tests/shim/scripts/*.sh`, many to a file; one test runs one file's scripts, one after
//! the other, in a native guest and in a shimmed one, sweeping both in between. The trick with the exit
//! status is that most guests have `on_failure = "fail"`, so that it has to be native to the bit; the lenient
//! one is compared with a native guest whose shell turns a failed enabling into 0, and nothing else. What
//! differs by nature is levelled first: UUIDs, the kernel's own (negative) priorities, how much is in use.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use crate::support::guest::{Fs, Guest, Kind, Maker, Spec, Tools, kind_name, needs};
use crate::support::{Test, disk, files, supervise, tree};

/// The subjects and their rows: the files of `tests/shim/scripts`, as they are found. The README there says what a
/// row and its tags are.
static SUBJECTS: LazyLock<Vec<(String, Vec<Row>)>> = LazyLock::new(|| {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shim/scripts");
    let entries = fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut scripts: Vec<PathBuf> = entries.map(|entry| entry.expect("it is read").path()).collect();
    scripts.retain(|path| path.extension().is_some_and(|extension| extension == "sh"));
    scripts.sort();
    let subject = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let name = path.file_stem().expect("a name").to_str().expect("a plain name");
        (name.to_owned(), rows(text.leak()))
    };
    scripts.iter().map(subject).collect()
});

/// What the scripts may use beside the guests' own prelude: `t COMMAND…` prints its exit status, and files are
/// small unless they say how large.
const PRELUDE: &str = r#"
t() { "$@"; echo "$1: $?"; }
space() {
    if [ -n "$NOCOW" ]; then : >"$1" && chattr +C "$1" || return; fi
    fallocate -l "${2:-4}M" "$1" && chmod 600 "$1"
}
"#;

/// A native guest whose `swapon` answers 0 where util-linux says that enabling failed.
const LENIENT: &str =
    "swapon() { command swapon \"$@\"; set -- $?; [ $1 != 255 ] || return 0; return $1; }\n";

/// Configs of the guests with a fallback.
const LOOP: &str = "[swap]\non_failure = \"fail\"\nfallback = [\"loop\"]\n[console]\npath = \"/console\"\n";
const ZRAM: &str = "[swap]\non_failure = \"fail\"\nfallback = [\"zram\"]\n[console]\npath = \"/console\"\n";

/// Files as btrfs makes them by itself, which it then refuses.
const COPY_ON_WRITE: &str = "NOCOW=\n";

/// Takes away the image's tools: in a lower layer, such a node hides what lies below.
pub(super) const NO_TOOLS: &str =
    "mkdir -p $IMAGE/usr/sbin; for tool in swapon swapoff mkswap; do mknod $IMAGE/usr/sbin/$tool c 0 0; done";

/// How a pair of guests differs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pair {
    /// The real tools behind the shim, honest statuses.
    Honest,
    /// The real tools behind the shim, failures to enable forgiven.
    Lenient,
    /// The builtin, honest statuses; beside it util-linux.
    Builtin,
    /// Files that btrfs refuses, and a device in the place of each; beside it ext4, which takes them.
    Fallback(&'static str),
}

const PAIRS: [(Pair, Kind); 10] = [
    (Pair::Honest, (Fs::Ext4, Tools::Debian)),
    (Pair::Honest, (Fs::Xfs, Tools::Debian)),
    (Pair::Honest, (Fs::Btrfs, Tools::Debian)),
    (Pair::Honest, (Fs::Ext4, Tools::Busybox)),
    (Pair::Honest, (Fs::Xfs, Tools::Busybox)),
    (Pair::Lenient, (Fs::Ext4, Tools::Debian)),
    (Pair::Builtin, (Fs::Ext4, Tools::Debian)),
    (Pair::Builtin, (Fs::Xfs, Tools::Debian)),
    (Pair::Fallback("loop"), (Fs::Btrfs, Tools::Debian)),
    (Pair::Fallback("zram"), (Fs::Btrfs, Tools::Debian)),
];

/// What a filesystem can make a difference to, on the one that is not a plain disk filesystem.
const ON_BTRFS: [&str; 5] = ["active", "all", "classic", "clients", "swapoff"];

/// Each subject with each pair of guests.
pub fn tests() -> Vec<Test> {
    let test = |set: RowsOfPair| {
        let RowsOfPair { pair, kind, subject, rows } = set;
        test(format!("same::{}::{subject}", pair_name(pair, kind)), pair, kind, rows)
    };
    all_rows().map(test).collect()
}

/// Each row by itself with each pair of guests, for who asks for some by their names. The subject is also left out.
pub fn single_rows() -> impl Iterator<Item = Test> {
    all_rows().flat_map(|RowsOfPair { pair, kind, subject, rows }| {
        let pair_name = pair_name(pair, kind);
        rows.into_iter().map(move |row| {
            test(format!("same::{pair_name}::{subject}::{}", row.name), pair, kind, vec![row])
        })
    })
}

/// Whether that is what a row may be called, with its subject or without.
pub fn is_row_named(test: &str, filter: &str) -> bool {
    let parts: Vec<&str> = test.split("::").collect();
    let (subject, row) = (parts.len() - 2, parts[parts.len() - 1]);
    let short = [&parts[..subject], &[row]].concat().join("::");
    test.contains(filter) || short.contains(filter)
}

fn test(name: String, pair: Pair, kind: Kind, rows: Vec<&'static Row>) -> Test {
    let mut test = Test::new(name, &needs(kind), move |scratch| {
        compare(scratch, pair, kind, &rows);
    });
    test.limit = Duration::from_secs(300);
    test
}

/// The rows of a subject that suit a pair of guests.
struct RowsOfPair {
    pair: Pair,
    kind: Kind,
    subject: &'static str,
    rows: Vec<&'static Row>,
}

fn all_rows() -> impl Iterator<Item = RowsOfPair> {
    PAIRS.into_iter().chain(of_other_releases()).flat_map(|(pair, kind)| {
        let all = kind.0 != Fs::Btrfs || matches!(pair, Pair::Fallback(_));
        let wanted = SUBJECTS.iter().filter(move |(subject, _)| all || ON_BTRFS.contains(&subject.as_str()));
        wanted.map(move |(subject, rows)| {
            let rows = rows.iter().filter(|row| row.suits(pair, kind)).collect();
            RowsOfPair { pair, kind, subject, rows }
        })
    })
}

/// The real tools of other releases, where their trees are asked for; the filesystem makes no difference to those.
fn of_other_releases() -> impl Iterator<Item = (Pair, Kind)> {
    let builds = tree::builds().iter();
    let builds = builds.map(|build| (Pair::Honest, (Fs::Ext4, Tools::Release(build, Maker::Busybox))));
    let releases = tree::releases().iter().flat_map(|suite| {
        let tools = |maker| (Fs::Ext4, Tools::Release(suite, maker));
        let lenient = (Pair::Lenient, tools(Maker::UtilLinux));
        // Debian had no toybox before.
        let makers = [Maker::UtilLinux, Maker::Busybox, Maker::Toybox].into_iter();
        let makers = makers.filter(|maker| (*suite, *maker) != ("bullseye", Maker::Toybox));
        makers.map(move |maker| (Pair::Honest, tools(maker))).chain([lenient])
    });
    releases.chain(builds)
}

/// The rows that are known to differ with a fallback, and so are not compared there: each is a defect.
pub fn gaps() -> Vec<String> {
    let all = SUBJECTS.iter().flat_map(|(subject, rows)| rows.iter().map(move |row| (subject, row)));
    all.filter(|(_, row)| row.has("gap")).map(|(subject, row)| format!("{subject}: {}", row.name)).collect()
}

fn pair_name(pair: Pair, kind: Kind) -> String {
    let name = match pair {
        Pair::Honest => kind_name(kind),
        Pair::Lenient => format!("lenient-{}", kind_name(kind)),
        Pair::Builtin => format!("builtin-{}", kind_name(kind)),
        Pair::Fallback(fallback) => fallback.to_owned(),
    };
    match kind.1 {
        Tools::Release(suite, _) => format!("{suite}::{name}"),
        Tools::Debian | Tools::Busybox => name,
    }
}

/// A script of the table.
struct Row {
    name: &'static str,
    tags: Vec<&'static str>,
    script: &'static str,
}

fn rows(text: &'static str) -> Vec<Row> {
    let sections = text.split("#: ").skip(1);
    let row = |section: &'static str| {
        let (head, script) = section.split_once('\n').expect("a script below its name");
        let mut words = head.split_whitespace();
        Row { name: words.next().expect("a name"), tags: words.collect(), script }
    };
    sections.map(row).collect()
}

impl Row {
    fn has(&self, tag: &str) -> bool {
        self.tags.contains(&tag)
    }

    fn suits(&self, pair: Pair, (_, tools): Kind) -> bool {
        let bare = tools == Tools::Release(tree::BUILDS[1], Maker::Busybox);
        !(self.has("can-discard") && bare
            || self.has("util-linux") && tools.maker() != Maker::UtilLinux
            || self.has("real") && pair == Pair::Builtin
            || self.has("strict") && pair == Pair::Lenient
            || (self.has("inode") || self.has("gap")) && matches!(pair, Pair::Fallback(_)))
    }
}

fn compare(scratch: &Path, pair: Pair, kind: Kind, rows: &[&Row]) {
    let shimmed = match pair {
        Pair::Honest => Spec::overlay(kind).strict(),
        Pair::Lenient => Spec::overlay(kind),
        Pair::Builtin => Spec { prepare: NO_TOOLS, provide_missing: true, ..Spec::overlay(kind).strict() },
        Pair::Fallback(fallback) => {
            let config = if fallback == "loop" { LOOP } else { ZRAM };
            Spec { config, ..Spec::overlay(kind) }
        }
    };
    let (beside, before, prelude) = match pair {
        Pair::Lenient => (kind, LENIENT, ""),
        Pair::Fallback(_) => ((Fs::Ext4, kind.1), "", COPY_ON_WRITE),
        Pair::Honest | Pair::Builtin => (kind, "", ""),
    };
    let [native, shimmed] =
        [Spec::native(beside), shimmed].map(|spec| Guest::boot_without_swap(scratch, spec));
    let native = outcomes(scratch, &native, rows, before);
    let shimmed = outcomes(scratch, &shimmed, rows, prelude);
    let mut differ = Vec::new();
    for ((row, native), shimmed) in rows.iter().zip(native).zip(shimmed) {
        let alike = |text: &String| match pair {
            Pair::Fallback(_) => whatever_device(text),
            Pair::Honest | Pair::Lenient | Pair::Builtin => text.clone(),
        };
        let both = native.iter().map(alike).zip(shimmed.iter().map(alike));
        for (native, shimmed) in both.filter(|(native, shimmed)| native != shimmed) {
            differ.push(format!("{}:\n  native:  {native}\n  shimmed: {shimmed}", row.name));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

/// What each script can tell: status, output, swap areas, files. The swap lock is held only while one runs and while
/// an area of its is on, so that another test swaps meanwhile.
fn outcomes(scratch: &Path, guest: &Guest, rows: &[&Row], prelude: &str) -> Vec<[String; 5]> {
    let outcome = |row: &&Row| {
        supervise::hold_swap_lock(scratch);
        let ran = guest.sh(&format!("{prelude}{PRELUDE}{}", row.script));
        let areas = guest.swaps();
        supervise::release_swap_lock(scratch);
        let mut files = files::list(&guest.root());
        if !areas.is_empty() || guest.has_mounts_of_scripts() || !files::remove(&guest.root()) {
            supervise::hold_swap_lock(scratch);
            if guest.sh(CLEAN).status != 0 {
                disk::swap_off_all(scratch);
                guest.sh(CLEAN).ok(row.name);
                files += "(could not be swapped off by their names)";
            }
            supervise::release_swap_lock(scratch);
        }
        let stderr = if row.has("quiet") { String::new() } else { level(&ran.err()) };
        [
            format!("status {}", ran.status),
            format!("stdout {:?}", level(&ran.out())),
            format!("stderr {stderr:?}"),
            format!("swaps {:?}", level_words(&areas)),
            format!("files {files:?}"),
        ]
    };
    rows.iter().map(outcome).collect()
}

/// Leaves the guest as it was.
const CLEAN: &str = r#"
cd /
tail -n +2 /proc/swaps | while read -r path rest; do
    path=$(printf '%bx' "$path"); path=${path%x}
    case $path in /w/* | /data/* | /swapfile* | /var/swap*) swapoff "$path" ;; esac
done
grep -o ' /\(w\|data\)[^ ]* ' /proc/mounts | sort -r | while read -r point; do umount "$point"; done
rm -rf /w /data /swapfile* /var/swap* && : >/etc/fstab && mkdir /data"#;

/// A line of a listing as if nothing of the area were in use; the kernel may have swapped, on a busy machine.
fn unused(line: &str) -> String {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let [_, "file" | "partition", size, used, ..] = fields[..] else { return line.to_owned() };
    let number = used.trim_end_matches(['B', 'K', 'M']);
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return line.to_owned();
    }
    let zero = if number == used { "0" } else { "0B" };
    let zero = if number == used { zero.to_owned() } else { format!("{zero:>width$}", width = used.len()) };
    let Some((head, tail)) = line.split_once(size) else { return line.to_owned() };
    format!("{head}{size}{}", tail.replacen(used, &zero, 1))
}

/// What a device in a file's place cannot hide: that it is a device, which is a longer word in a table; and, of
/// btrfs itself, that its directories have one link.
fn whatever_device(text: &str) -> String {
    let text = text.replace("partition", "file").replace("\\t", " ");
    let lines = text.split("\\n").map(|line| match line.split_once(" directory ") {
        Some((name, rest)) => {
            format!("{name} directory {}", rest.rsplit_once(' ').map_or(rest, |(rest, _)| rest))
        }
        None => line.split_whitespace().collect::<Vec<_>>().join(" "),
    });
    lines.collect::<Vec<_>>().join("\\n")
}

/// UUIDs that the scripts give, which are no runs' own.
const GIVEN: [&str; 2] = ["01234567-89ab-cdef-0123-456789abcdef", "ffffffff-ffff-ffff-ffff-ffffffffffff"];

/// Text without UUIDs, negative priorities and how much of an area is in use, which no two runs share.
fn level(text: &str) -> String {
    level_words(&text.split_inclusive('\n').map(unused).collect::<String>())
}

/// The same, but for how much is in use, which not every list tells.
fn level_words(text: &str) -> String {
    let word = |word: &str| {
        let is_uuid = word.len() == 36 && word.matches('-').count() == 4;
        let is_automatic = word.strip_prefix('-').is_some_and(|rest| rest.parse::<u16>().is_ok());
        match word.strip_prefix("UUID=") {
            Some(uuid) if uuid.len() == 36 && !GIVEN.contains(&uuid) => "UUID=…".to_owned(),
            _ if is_uuid && !GIVEN.contains(&word) => "UUID".to_owned(),
            _ if is_automatic => "-N".to_owned(),
            _ => word.to_owned(),
        }
    };
    text.split_inclusive([' ', '\n', '\t'])
        .map(|part| {
            let end = part.trim_end_matches([' ', '\n', '\t']).len();
            format!("{}{}", word(&part[..end]), &part[end..])
        })
        .collect()
}
