//! A swapfile on the root overlay: enabled under the user's name, and undone without a trace.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::support::Test;
use crate::support::guest::{Guest, KINDS, Kind, Spec, kind_name, needs};

/// A script that enables swap, and the areas that are on afterwards.
struct Case {
    name: &'static str,
    script: &'static str,
    /// `/proc/swaps` paths, with `@N` for a priority that was asked for.
    swaps: &'static [&'static str],
    /// Words of its notices; none at all if empty.
    notice: &'static str,
    /// Only on the first kind of guest, or with util-linux, or everywhere.
    on: On,
}

#[derive(Clone, Copy, PartialEq)]
enum On {
    First,
    UtilLinux,
    All,
}

const CASES: &[Case] = &[
    case("plain", "mk /data/swapfile; swapon /data/swapfile", &["/data/swapfile"], "", On::All),
    case("in_root", "mk /swapfile; swapon /swapfile", &["/swapfile"], "", On::All),
    case("relative", "cd /data; mk swapfile; swapon swapfile", &["/data/swapfile"], "", On::All),
    case("dot_relative", "cd /data; mk ./_s; swapon ./_s", &["/data/_s"], "", On::UtilLinux),
    case("dot_dot", "cd /data; mk s; swapon ../data/../data/s", &["/data/s"], "", On::All),
    case("double_slash", "mk /data/s; swapon //data//s", &["/data/s"], "", On::All),
    case("symlink", "mk /data/s; ln -s /data/s /link; swapon /link", &["/data/s"], "", On::All),
    case("relative_symlink", "mk /data/s; ln -s ../data/s /w/l; swapon l", &["/data/s"], "", On::UtilLinux),
    case("symlinked_directory", "mk /data/s; ln -s /data /lnk; swapon /lnk/s", &["/data/s"], "", On::All),
    case(
        "several",
        "mk /a; mk /b; mk /data/c; swapon /a /b; swapon /data/c",
        &["/a", "/b", "/data/c"],
        "",
        On::UtilLinux,
    ),
    case("good_among_missing", "mk /a; mk /c; swapon /a /nope /c", &["/a", "/c"], "/nope", On::UtilLinux),
    case("priority", "mk /s; swapon -p 5 /s", &["/s@5"], "", On::UtilLinux),
    case("priority_attached", "mk /s; swapon -p0 /s", &["/s@0"], "", On::First),
    case("priority_clustered", "mk /s; swapon -fp 6 /s", &["/s@6"], "", On::First),
    case("priority_after", "mk /s; swapon /s -p 100", &["/s@100"], "", On::First),
    case("priority_long", "mk /s; swapon --priority=10 /s", &["/s@10"], "", On::First),
    case("priority_prefix", "mk /s; swapon --prio 11 /s", &["/s@11"], "", On::First),
    case("priority_by_option", "mk /s; swapon -o pri=12 /s", &["/s@12"], "", On::First),
    case("priority_options", "mk /s; swapon -o defaults,pri=7,discard=pages /s", &["/s@7"], "", On::First),
    case("priority_of_two", "mk /a; mk /b; swapon -p 8 /a /b", &["/a@8", "/b@8"], "", On::First),
    case("discard", "mk /s; swapon -d /s -p 2020", &["/s@2020"], "", On::First),
    case("discard_once", "mk /s; swapon -donce /s", &["/s"], "", On::First),
    case("dash_name", "cd /data; mk ./-s; swapon -- -s", &["/data/-s"], "", On::First),
    case(
        "dd",
        "dd if=/dev/zero of=/s bs=1M count=16 2>/dev/null; chmod 600 /s; mkswap /s >/dev/null; swapon /s",
        &["/s"],
        "",
        On::First,
    ),
    case(
        "hole",
        "truncate -s 16M /s; chmod 600 /s; mkswap /s >/dev/null 2>&1; swapon /s",
        &["/s"],
        "hole",
        On::First,
    ),
    case("insecure_mode", "mk /s; chmod 644 /s; swapon /s 2>/dev/null", &["/s"], "", On::First),
    case("again_after_swapoff", "mk /s; swapon /s; swapoff /s; swapon /s", &["/s"], "", On::All),
    case(
        "bind_of_a_directory",
        "mk /data/s; mkdir /b; mount --bind /data /b; swapon /b/s",
        &["/data/s"],
        "",
        On::First,
    ),
    case(
        "bind_of_the_file",
        "mk /data/s; : >/b; mount --bind /data/s /b; swapon /b",
        &["/data/s"],
        "",
        On::First,
    ),
    // What the last release showed there is gone, and natively a path that is not there is an error.
    case(
        "path_of_the_last_release",
        "mk /s; test ! -e /.rootfs-shim/upper; swapon /.rootfs-shim/upper/s; swapon /s",
        &["/s"],
        "/.rootfs-shim/upper/s",
        On::First,
    ),
    case(
        "backing_path_of_the_last_release",
        "as_the_last_release; mk /s; swapon /.rootfs-shim/upper/s; umount -l /.rootfs-shim/upper; rmdir /.rootfs-shim/upper",
        &["/s"],
        "",
        On::First,
    ),
];

const fn case(
    name: &'static str,
    script: &'static str,
    swaps: &'static [&'static str],
    notice: &'static str,
    on: On,
) -> Case {
    Case { name, script, swaps, notice, on }
}

/// The table on the kinds of guest that each case is for, odd names, and what has no row's shape.
pub fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    for kind in KINDS {
        let fits = |case: &&Case| match case.on {
            On::First => kind == KINDS[0],
            On::UtilLinux => kind.1 == KINDS[0].1,
            On::All => true,
        };
        for case in CASES.iter().filter(fits) {
            let name = format!("enable::{}::{}", kind_name(kind), case.name);
            tests.push(Test::new(name, &needs(kind), move |scratch| {
                check(&Guest::boot(scratch, Spec::overlay(kind)), case);
            }));
        }
        let name = format!("enable::{}::odd_names", kind_name(kind));
        tests.push(Test::new(name, &needs(kind), move |scratch| {
            odd_names(&Guest::boot(scratch, Spec::overlay(kind)), kind);
        }));
    }
    tests.push(Test::new("enable::image_has_the_file", &needs(KINDS[0]), |scratch| {
        let prepare = "fallocate -l 16M $1/swapfile; chmod 600 $1/swapfile; mkswap -q $1/swapfile";
        let guest = Guest::boot(scratch, Spec { prepare, ..Spec::overlay(KINDS[0]) });
        guest.sh("swapon /swapfile").ok("swapon");
        assert_eq!(guest.swap_paths(), ["/swapfile"], "{}", guest.notices());
        undo(&guest, &["/swapfile".to_owned()]);
    }));
    tests.push(Test::new("enable::a_hundred_at_once", &needs(KINDS[0]), |scratch| {
        let guest = Guest::boot(scratch, Spec::overlay(KINDS[0]));
        let script =
            "mk /s; for i in $(seq 100); do (swapon /s 2>/dev/null; echo $? >>/tmp/ends) & done; wait
            grep -c . /tmp/ends";
        assert_eq!(guest.sh(script).ok("a hundred"), "100\n");
        assert_eq!(guest.swap_paths(), ["/s"]);
        undo(&guest, &["/s".to_owned()]);
    }));
    tests
}

fn check(guest: &Guest, case: &Case) {
    let mounts = guest.sh("mkdir -p /data; : >/tmp/before").ok("prepare");
    let script = format!("set -e\n{}\ncat /proc/self/mountinfo >/tmp/after", case.script);
    // Bind mounts that the script makes itself are its own; what the shim leaves is of its own making.
    let own = case.script.matches("mount --bind").count();
    let lines = guest.mounts().lines().count();
    let ran = guest.sh(&script);
    assert_eq!((ran.status, ran.out(), ran.err()), (0, mounts, stderr_of(case, &ran.err())), "{}", case.name);
    assert_eq!(guest.mounts().lines().count(), lines + own, "a mount was left:\n{}", guest.mounts());
    let swaps = guest.swaps();
    let mut names = Vec::new();
    for (line, wanted) in swaps.lines().zip(case.swaps) {
        let fields: Vec<&str> = line.split(' ').collect();
        let (path, priority) = wanted.split_once('@').unwrap_or((wanted, fields[3]));
        assert_eq!((fields[0], fields[3]), (path, priority), "{swaps}");
        names.push(path.to_owned());
    }
    assert_eq!(swaps.lines().count(), case.swaps.len(), "{swaps}");
    let notices = guest.notices();
    assert!(notices.contains(case.notice), "no {:?} in {notices:?}", case.notice);
    undo(guest, &names);
}

/// Nothing may be on stderr that the real tool would not say: only the missing file's complaint is.
fn stderr_of(case: &Case, stderr: &str) -> String {
    let allowed = case.notice.starts_with('/') && stderr.lines().all(|line| line.contains(case.notice));
    if allowed { stderr.to_owned() } else { String::new() }
}

/// `swapoff F && rm F` by the name that /proc/swaps shows; nothing is left on.
fn undo(guest: &Guest, names: &[String]) {
    for name in names {
        guest.sh_with("swapoff \"$1\" && rm \"$1\"", &[OsStr::new(name)]).ok("swapoff and rm");
    }
    assert_eq!(guest.swaps(), "");
}

/// Names that are none of the shell's business.
pub(super) const ODD_NAMES: &[&[u8]] = &[
    b"a b",
    b"a\tb",
    b"a\nb",
    b"a\\b",
    b"a\\040b",
    b"a#b",
    b"#",
    b"a\x1b[2Jb",
    b"\xff\xfe",
    b"a,b=c:d",
    b"*",
    b"LABEL",
    b"a\"b'c",
    b"\xe2\x80\xaeabc",
    b" ",
    b"swapfile (deleted)",
];

/// A file whose name is none of the shell's business is enabled and disabled under exactly that name.
fn odd_names(guest: &Guest, kind: Kind) {
    let mut wrong = Vec::new();
    for name in ODD_NAMES {
        let path = std::ffi::OsString::from_vec([b"/data/".as_slice(), name].concat());
        let ran = guest.sh_with("mk \"$1\" && swapon \"$1\"", &[&path]);
        let (paths, notices) = (guest.swap_paths(), guest.notices());
        let off = guest.sh_with("swapoff \"$1\" && rm \"$1\"", &[&path]);
        // BusyBox shows names that it cannot parse; what counts is the kernel's list.
        let shown = paths.len() == 1 && paths[0] == crate::support::text(&escaped(path.as_bytes()));
        let clean = !notices.bytes().any(|byte| byte < b' ' && byte != b'\n');
        if ran.status != 0 || !ran.stderr.is_empty() || off.status != 0 || !shown || !clean {
            wrong.push(format!("{kind:?} {path:?}: {ran:?}, {paths:?}, {notices:?}, off {off:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// As the kernel writes a path into /proc/swaps.
pub(super) fn escaped(path: &[u8]) -> Vec<u8> {
    let escape = |byte: &u8| match byte {
        b' ' | b'\t' | b'\n' | b'\\' => format!("\\{byte:03o}").into_bytes(),
        other => vec![*other],
    };
    path.iter().flat_map(escape).collect()
}
