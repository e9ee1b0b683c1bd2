//! The same script on a native root and on the overlay root with the shim: same stdout, stderr, exit
//! status, swap areas and files.
//!
//! A native guest and an overlay guest of the same kind are booted side by side; what differs by nature is
//! levelled first: UUIDs, the kernel's own (negative) priorities, process numbers.

use std::path::Path;

use crate::harness::guest::{Guest, KINDS, Kind, Spec, Tools, kind_name, needs};
use crate::harness::needs::with_script;
use crate::harness::{Test, supervise};

/// `#!util-linux` at the start of a script: not for BusyBox.
const SCRIPTS: &[(&str, &str)] = &[
    (
        "classic",
        "set -e; cd /; [ -z \"$NOCOW\" ] || { : >swapfile; chattr +C swapfile; }; fallocate -l 16M /swapfile; chmod 0600 /swapfile; mkswap /swapfile; swapon /swapfile; echo up",
    ),
    ("classic_in_one_line", "space /swapfile && mkswap /swapfile && swapon /swapfile && echo up"),
    ("round_trip", "mk s; swapon s; swapoff s && rm s; mk s; swapon s; swapoff s; rm s; ls"),
    (
        "round_trip_by_listing",
        "#!util-linux\nmk s; swapon s; F=$(swapon --show=NAME | tail -n 1); swapoff $F; rm $F; mk $F; swapon $F; echo $F",
    ),
    (
        "listing",
        "#!util-linux\nmk s; swapon -p 5 s; swapon --show; swapon -s; swapon; swapon --show=NAME --noheadings; swapon --show --bytes --raw; swapon --show=NAME,PRIO,LABEL",
    ),
    ("listing_of_a_file_enables_nothing", "#!util-linux\nmk s; swapon --show s; echo $?; swapon --show"),
    ("swapon_verbose", "#!util-linux\nmk s; swapon -v s; swapoff -v s"),
    ("swapon_verbose_of_two", "#!util-linux\nmk a; mk b; swapon -v a ./b; swapoff -v b a"),
    ("swapon_verbose_symlink", "#!util-linux\nmk s; ln -s s l; swapon -v l; swapoff -v l"),
    ("insecure_mode", "mk s; chmod 644 s; swapon s; echo $?"),
    ("mkswap_insecure_mode", "space s; chmod 644 s; mkswap s; echo $?"),
    ("insecure_owner", "mk s; chown 1:1 s; swapon s; echo $?"),
    ("swapoff_of_an_inactive_file", "mk s; swapoff s; echo $?"),
    ("swapoff_of_no_file", "swapoff nope; echo $?; swapoff /nope/s; echo $?"),
    ("swapoff_of_two_one_inactive", "mk a; mk b; swapon a; swapoff a b; echo $?"),
    ("swapoff_before_there_was_any", "swapoff s 2>/dev/null || true; rm -f s; echo on"),
    (
        "swapoff_all",
        "mk a; mk b; swapon a; swapon b; swapoff -a; echo $?; cat /proc/swaps; swapoff -a; echo $?",
    ),
    ("swapoff_all_verbose", "#!util-linux\nmk a; swapon a; swapoff -av; echo $?"),
    ("swapoff_by_symlink", "mk s; ln -s s l; swapon s; swapoff l; echo $?"),
    ("swapoff_by_other_spelling", "mk s; swapon s; swapoff /w/../w//s; echo $?"),
    ("swapoff_of_a_directory", "mkdir d; swapoff d; echo $?"),
    (
        "mkswap_label",
        "#!util-linux\nspace s; mkswap -L swap -f s; blkid -o value -s LABEL s; swapon s; swapon --show=LABEL",
    ),
    ("mkswap_uuid_clear", "#!util-linux\nspace s; mkswap -U clear s; echo $?"),
    (
        "mkswap_fixed_uuid",
        "#!util-linux\nspace s; mkswap -U 01234567-89ab-cdef-0123-456789abcdef s; sha256sum <s",
    ),
    ("mkswap_size", "space s; mkswap s 1024; echo $?; swapon s; echo $?"),
    ("mkswap_too_large", "space s; mkswap s 999999; echo $?"),
    ("mkswap_of_no_file", "mkswap nope; echo $?; ls"),
    ("mkswap_of_a_directory", "mkdir d; mkswap d; echo $?"),
    ("mkswap_check", "#!util-linux\nspace s; mkswap -c s; echo $?"),
    ("mkswap_of_a_tiny_file", "echo hi >s; mkswap s; echo $?"),
    ("mkswap_of_a_hole", "#!util-linux\ntruncate -s 16M s; chmod 600 s; mkswap s; echo $?"),
    ("mkswap_twice", "mk s; mkswap s; echo $?"),
    ("mkswap_of_an_active_file", "mk s; swapon s; mkswap s; echo $?"),
    ("rm_of_an_active_file", "mk s; swapon s; rm s; echo $?; swapoff s; rm s; echo $?"),
    ("write_to_an_active_file", "mk s; swapon s; (: >s) 2>/dev/null; echo $?"),
    (
        "dd",
        "dd if=/dev/zero of=s bs=1M count=16 2>/dev/null; chmod 600 s; mkswap s; [ -z \"$NOCOW\" ] || exit 0; swapon s; echo $?",
    ),
    (
        "tail_of_zeros_after_text",
        "space s; echo text | dd of=s conv=notrunc 2>/dev/null; mkswap s; swapon s; echo $?",
    ),
    (
        "priority",
        "#!util-linux\nmk s; swapon -p 5 s; swapoff s; swapon --priority=10 s; swapoff s; swapon -o pri=7,discard s; echo $?",
    ),
    (
        "two_with_priorities",
        "#!util-linux\nmk a; mk b; swapon -p 5 a; swapon -p 6 b; swapon --show=NAME,PRIO",
    ),
    ("usage_none", "swapon; echo $?; swapoff; echo $?; mkswap; echo $?"),
    ("usage_unknown", "swapon --nope; echo $?; swapon -Z; echo $?; swapoff -Z; echo $?; mkswap -Z; echo $?"),
    ("usage_help", "#!util-linux\nswapon --help; echo $?; swapon -h; swapoff -h; mkswap --help; echo $?"),
    ("usage_help_short", "swapon -h; echo $?; swapoff -h; echo $?; mkswap -h; echo $?"),
    ("usage_version", "#!util-linux\nswapon --version; echo $?; swapon -V; swapoff -V; mkswap -V; echo $?"),
    (
        "usage_with_a_file",
        "#!util-linux\nmk s; swapon --nope s; echo $?; swapon -e s; echo $?; swapon -p x s; echo $?; swapon s -p; echo $?; cat /proc/swaps",
    ),
    ("usage_mkswap_operands", "#!util-linux\nmkswap a 1 2; echo $?; mkswap --size 1M s; echo $?"),
    ("usage_ambiguous", "#!util-linux\nswapon --ver; echo $?; swapon --s; echo $?; swapon --sum; echo $?"),
    (
        "posixly_correct",
        "#!util-linux\nmk s; export POSIXLY_CORRECT=1; swapon -p 9 s; echo $?; cat /proc/swaps | wc -l",
    ),
    ("by_full_path", "mk s; /sbin/swapon s; echo $?; /sbin/swapoff s; echo $?; /sbin/mkswap s; echo $?"),
    (
        "from_another_directory",
        "mkdir -p d/e; cd d; mk e/s; cd e; swapon s; cd ../..; swapoff d/e/s; echo $?",
    ),
    (
        "with_set_e_and_pipefail",
        "#!util-linux\nset -e; mk s; swapon s; swapon --show=NAME --noheadings | cat; swapoff s",
    ),
    ("closed_stdin", "mk s; swapon s <&-; echo $?; swapoff s <&-; echo $?"),
    ("closed_stdout", "mk s; swapon s >&-; echo $?; swapoff s >&-; echo $?; mkswap s >&-; echo $?"),
    ("closed_stderr", "mk s; chmod 644 s; swapon s 2>&-; echo $?; swapoff nope 2>&-; echo $?"),
    ("closed_stdout_with_output", "#!util-linux\nmk s; swapon --show >&-; echo $?; swapon -v s >&-; echo $?"),
    ("closed_all", "mk s; swapon s <&- >&- 2>&-; echo $?"),
    (
        "stdout_full",
        "#!util-linux\nmk s; swapon s; swapon --show >/dev/full; echo $?; swapoff -v s >/dev/full; echo $?",
    ),
    (
        "loop_device",
        "space s; D=$(losetup -f); losetup $D s; mkswap $D | sed s,$D,D,; swapon $D; echo $?; swapoff $D; echo $?; losetup -d $D",
    ),
    (
        "device_that_is_not_there",
        "#!util-linux\nswapoff /dev/nope; echo $?; swapoff -L nope; echo $?; swapoff -U nope; echo $?",
    ),
    (
        "not_root",
        "#!util-linux\nmk /s; setpriv --reuid 65534 --regid 65534 --clear-groups swapoff /s; echo $?; setpriv --reuid 65534 --regid 65534 --clear-groups mkswap /s; echo $?; setpriv --reuid 65534 --regid 65534 --clear-groups swapon --show; echo $?",
    ),
    (
        "not_root_enabling",
        "#!util-linux\nmk /s; setpriv --reuid 65534 --regid 65534 --clear-groups swapon /s; echo $?",
    ),
    (
        "no_sys_admin",
        "#!util-linux\nmk s; setpriv --bounding-set -sys_admin swapoff s; echo $?; setpriv --bounding-set -sys_admin mkswap s; echo $?; setpriv --bounding-set -sys_admin swapon --show; echo $?",
    ),
    (
        "user_namespace",
        "#!util-linux\nunshare -Ur swapon --show; echo $?; mk s; unshare -Ur swapoff s; echo $?",
    ),
    (
        "fstab_is_the_real_tools",
        "#!util-linux\nswapon -a; echo $?; swapon -av; echo $?; swapon -a -e; echo $?",
    ),
    (
        "a_script_that_asks_the_kernel",
        "mk s; swapon s; grep -c ^/w/s /proc/swaps; grep -c rootfs-shim /proc/self/mountinfo >/dev/null; awk 'NR>1{print $1,$2,$3}' /proc/swaps",
    ),
];

/// Each script on each kind of guest that it is for.
pub fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    for kind in KINDS {
        for (name, script) in SCRIPTS.iter().filter(|(_, script)| suits(kind, script)) {
            let name = format!("same::{}::{name}", kind_name(kind));
            tests.push(Test::new(name, &with_script(needs(kind), script), move |scratch| {
                compare(scratch, kind, script)
            }));
        }
    }
    tests
}

fn suits(kind: Kind, script: &str) -> bool {
    kind.1 == Tools::Debian || !script.starts_with("#!util-linux")
}

fn compare(scratch: &Path, kind: Kind, script: &str) {
    let native = outcome(scratch, Spec::native(kind), script);
    let shimmed = outcome(scratch, Spec::overlay(kind), script);
    let differ: Vec<String> = native
        .iter()
        .zip(&shimmed)
        .filter(|(native, shimmed)| native != shimmed)
        .map(|(native, shimmed)| format!("native:  {native}\nshimmed: {shimmed}"))
        .collect();
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

/// What a script can tell: status, output, swap areas, files.
fn outcome(scratch: &Path, spec: Spec, script: &str) -> [String; 5] {
    let guest = Guest::boot(scratch, spec);
    let ran = guest.sh(script);
    let areas = guest.swaps();
    let listing = "find /w -mindepth 1 -exec stat -c '%n %a %u %g %s %h' {} + | sort";
    let files = guest.sh(listing).ok("the files");
    supervise::swap_off_all(scratch);
    [
        format!("status {}", ran.status),
        format!("stdout {:?}", level(&ran.out())),
        format!("stderr {:?}", level(&ran.err())),
        format!("swaps {:?}", level(&areas)),
        format!("files {files:?}"),
    ]
}

/// Text without UUIDs and negative priorities, which no two runs share.
fn level(text: &str) -> String {
    let word = |word: &str| {
        let is_uuid = word.len() == 36 && word.matches('-').count() == 4;
        let is_automatic = word.strip_prefix('-').is_some_and(|rest| rest.parse::<u16>().is_ok());
        match word.strip_prefix("UUID=") {
            Some(uuid) if uuid.len() == 36 => "UUID=…".to_owned(),
            _ if is_uuid => "UUID".to_owned(),
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
