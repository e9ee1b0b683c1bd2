//! Devices as a fallback for files: which of them is taken, whose device is whose, what a kill leaves. That scripts see
//! what they see natively is `same`'s.

use std::path::Path;
use std::time::Duration;

use crate::support::Test;
use crate::support::guest::{Fs, Guest, Kind, Spec, Tools, needs};
use crate::support::needs::Need;
use crate::support::supervise;
use crate::support::view::Own;

use super::kills::{AREAS, BESIDE, calls};

const EXT4: Kind = (Fs::Ext4, Tools::Debian);
const BTRFS: Kind = (Fs::Btrfs, Tools::Debian);

const LOOP: &str = "[swap]\nfallback = [\"loop\", \"zram\"]\n[console]\npath = \"/console\"\n";
const ZRAM: &str = "[swap]\nfallback = [\"zram\", \"loop\"]\n[console]\npath = \"/console\"\n";

/// A file that btrfs refuses.
const MAKE: &str =
    "make() { dd if=/dev/zero of=$1 bs=1M count=16 status=none; chmod 600 $1; mkswap -q $1; }\n";
/// The loop devices over a nameless file of ours, and the zram devices: whatever else is on the machine comes and goes.
/// No process is started for it: the kills ask a thousand times.
const DEVICES: &str = "for loop in /sys/block/loop*/loop/backing_file; do
    read -r file <$loop && case $file in */\\#*deleted*) echo $loop ;; esac; done 2>/dev/null
for zram in /sys/block/zram*; do [ ! -e $zram ] || echo $zram; done";

/// Configs for the kills, which so have no business with the other's devices.
const LOOP_ALONE: &str = "[swap]\nfallback = [\"loop\"]\n[console]\npath = \"/console\"\n";
const ZRAM_ALONE: &str = "[swap]\nfallback = [\"zram\"]\n[console]\npath = \"/console\"\n";

/// A test of one guest: its name, how the guest is made, and what is done in it.
type Row = (&'static str, Kind, &'static str, fn(&Guest));

/// Each row in a guest of its own.
pub fn tests() -> Vec<Test> {
    let rows: [Row; 10] = [
        ("loop_first", BTRFS, LOOP, loop_first),
        ("zram_first", BTRFS, ZRAM, zram_first),
        ("for_a_file_in_memory", EXT4, LOOP, for_a_file_in_memory),
        ("one_at_a_time", BTRFS, LOOP, one_at_a_time),
        ("only_where_it_is_needed", EXT4, LOOP, only_where_it_is_needed),
        ("loop::the_area_is_out_of_reach", BTRFS, LOOP, out_of_reach),
        ("zram::the_area_is_out_of_reach", BTRFS, ZRAM, out_of_reach),
        ("loop::nobody_elses_device_is_taken_for_ours", BTRFS, LOOP, not_ours),
        ("zram::nobody_elses_device_is_taken_for_ours", BTRFS, ZRAM, not_ours),
        ("loop::no_other_device_is_read", BTRFS, LOOP, no_other_is_read),
    ];
    let test = |(name, kind, config, check): Row| {
        let needs = [needs(kind), vec![Need::Package("strace")]].concat();
        let mut test = Test::new(format!("fallback::{name}"), &needs, move |scratch: &Path| {
            check(&Guest::boot(scratch, Spec { config, ..Spec::overlay(kind) }));
        });
        test.limit = Duration::from_secs(600);
        test
    };
    let kills =
        [("loop", "zram", LOOP_ALONE), ("zram", "loop", ZRAM_ALONE)].map(|(device, other, config)| {
            let needs = [needs(BTRFS), vec![Need::Package("strace")]].concat();
            let name = format!("fallback::{device}::killed_at_any_system_call");
            let mut test = Test::new(name, &needs, move |scratch: &Path| {
                let others = [format!("/{BESIDE}"), format!("/s-{other}"), format!("/dev/{other}")];
                supervise::swap_beside_others(scratch, &Own::Without(others.to_vec()));
                killed(&Guest::boot(scratch, Spec { config, ..Spec::overlay(BTRFS) }), device, other);
            });
            test.limit = Duration::from_secs(600);
            test.is_long = true;
            test
        });
    rows.into_iter().map(test).chain(kills).collect()
}

fn sh(guest: &Guest, script: &str) -> String {
    guest.sh(&format!("{MAKE}{script}")).ok(script)
}

fn loop_first(guest: &Guest) {
    in_order(guest, "through a loop device", "/sys/block/loop");
}

fn zram_first(guest: &Guest) {
    in_order(guest, "compressed memory (zram)", "/sys/block/zram");
}

/// The first fallback that works; the next where it does not, and the notice says why.
fn in_order(guest: &Guest, words: &str, device: &str) {
    let before = guest.sh(DEVICES).out();
    let quiet = sh(guest, "make /s 2>&1; swapon -p 7 /s 2>&1");
    assert_eq!(quiet, "");
    assert_eq!(guest.swaps(), "/s partition 16380 7\n");
    assert!(guest.notices().contains(words));
    let after = guest.sh(DEVICES).out();
    let new: Vec<&str> = after.lines().filter(|line| !before.contains(line)).collect();
    assert!(new.len() == 1 && new[0].starts_with(device), "{new:?}");
    sh(guest, "swapoff /s && rm /s");
    assert_eq!(guest.sh(DEVICES).out(), before);
    sh(
        guest,
        "make /s; mount --bind /dev/null /dev/loop-control; mount -t tmpfs t /sys; swapon /s; umount /sys /dev/loop-control",
    );
    assert_eq!(guest.swaps(), "");
    let notices = guest.notices();
    let each = ["make a loop device", "add a zram device", "/s was not enabled"];
    assert!(each.iter().all(|words| notices.contains(words)), "{notices}");
    sh(guest, "mount --bind /dev/null /dev/loop-control; swapon /s; swapoff /s; umount /dev/loop-control");
    assert!(guest.notices().contains("compressed memory (zram)"));
    sh(guest, "mount -t tmpfs t /sys; swapon /s; swapoff /s; umount /sys");
    assert!(guest.notices().contains("through a loop device"));
    assert_eq!((guest.sh(DEVICES).out(), guest.swaps()), (before, String::new()));
}

/// A loop device over a file in memory would be a trap, so it is the second fallback.
fn for_a_file_in_memory(guest: &Guest) {
    let before = guest.sh(DEVICES).out();
    sh(guest, "mount -t tmpfs tmpfs /mnt; mk /mnt/s");
    for off in ["swapoff /mnt/s", "swapoff /mnt/../mnt/s", "rm /mnt/s; swapoff /mnt/s"] {
        assert_eq!(sh(guest, "swapon -p 7 /mnt/s && swapon /mnt/s"), "");
        assert_eq!(guest.swaps(), "/mnt/s partition 16380 7\n");
        let notices = guest.notices();
        assert!(
            notices.contains("compressed memory (zram)") && notices.contains("it is enabled already"),
            "{notices}"
        );
        sh(guest, off);
        assert_eq!((guest.sh(DEVICES).out(), guest.swaps()), (before.clone(), String::new()), "{off}");
    }
}

/// Two fallbacks for one file would be twice the swap.
fn one_at_a_time(guest: &Guest) {
    let before = guest.sh(DEVICES).out();
    sh(guest, "make /s; for i in 1 2 3 4 5 6 7 8; do swapon /s 2>/dev/null & done; wait");
    assert_eq!(guest.swap_paths(), ["/s"]);
    sh(guest, "for i in 1 2 3 4 5 6 7 8; do swapoff /s 2>/dev/null & done; wait; rm /s");
    assert_eq!((guest.sh(DEVICES).out(), guest.swaps()), (before, String::new()));
}

/// On a filesystem that holds swap, a failure has another reason, and there is no fallback.
fn only_where_it_is_needed(guest: &Guest) {
    let before = guest.sh(DEVICES).out();
    guest.sh("mk /s; swapon /s; swapon /s 2>/dev/null; ln /s /t; swapon /t 2>/dev/null; true").ok("swapon");
    assert_eq!((guest.sh(DEVICES).out(), guest.swap_paths()), (before, vec!["/s".to_owned()]));
    guest.sh("swapoff /s && rm /s /t").ok("undo");
}

/// mkswap is refused; whatever else is done to the file, the area is another, and swapoff finds it by either name.
fn out_of_reach(guest: &Guest) {
    let before = guest.sh(DEVICES).out();
    // All eight ways to call it are refused, by every tool, and the device's first page stays as it is.
    let page = "for d in $(grep -l '#[0-9]* (deleted)' /sys/block/loop*/loop/backing_file | cut -d/ -f4) $(cd /dev; ls zram*); do
        head -c 4096 /dev/$d; done | md5sum";
    let refused = format!(
        "make /s; swapon /s; {page} >/before; for f in '' -f '-L x' '-U clear'; do
            mkswap $f /s 2>&1; echo $?; cd /; mkswap $f s 2>&1; echo $?; done | sort | uniq -c
        {page} | cmp - /before"
    );
    let said = sh(guest, &refused);
    assert!(said.contains("      8 1\n") && said.contains("Text file busy"), "{said}");
    assert!(said.contains("mkswap: error: /s is mounted; will not make swapspace"), "{said}");
    let after = format!(
        "dd if=/dev/urandom of=/s bs=1M count=20 conv=notrunc status=none; {page} | cmp - /before; mv /s /t"
    );
    sh(guest, &after);
    let busy = guest.sh("swapon /t 2>&1").out();
    assert!(busy.contains("swapon: /t: swapon failed: Device or resource busy"), "{busy}");
    sh(guest, "swapoff /t; rm /t");
    for off in ["swapoff /d/s", "swapoff -a", "swapoff /d/x/../s", "cd /; swapoff d/s"] {
        if off != "swapoff /d/x/../s" {
            sh(guest, &format!("mkdir /d; make /d/s; swapon /d/s; rm -r /d; {off}"));
        }
        assert_eq!((guest.sh(DEVICES).out(), guest.swaps()), (before.clone(), String::new()), "{off}");
    }
    // A new file at the old path is another one.
    sh(guest, "make /s; swapon /s; rm /s; make /t; mv /t /s; swapon -p 5 /s");
    assert_eq!(guest.swap_paths(), ["/s", "/s"]);
    sh(guest, "swapoff /s && swapoff /s && rm /s");
    assert_eq!((guest.sh(DEVICES).out(), guest.swaps()), (before.clone(), String::new()));
    sh(guest, "make /s; swapon /s; rm /s; make /t; mv /t /s; swapon -p 5 /s; swapoff -a; rm /s");
    assert_eq!((guest.sh(DEVICES).out(), guest.swaps()), (before, String::new()));
}

/// A loop device of the user's own over the same file, a copy of our device, one that has our name.
fn not_ours(guest: &Guest) {
    let before = guest.sh(DEVICES).out();
    let script = "make /s; l=$(losetup --find --show /s); swapon $l
        swapoff /s; grep -c \"^$l \" /proc/swaps; swapoff $l; losetup -d $l
        swapon /s; d=$(losetup -a | grep '#[0-9]* (deleted)' | cut -d: -f1); d=${d:-$(ls -d /dev/zram* | tail -1)}
        cp $d /copy; chmod 600 /copy; l=$(losetup --find --show /copy); swapon $l
        swapoff /s; grep -c \"^$l \" /proc/swaps; swapoff /s 2>/dev/null; grep -c \"^$l \" /proc/swaps
        swapon /s; swapoff -v /s; swapoff $l; losetup -d $l; rm /s /copy";
    let said = guest.sh(&format!("{MAKE}{script}"));
    assert_eq!(said.out(), "1\n1\n1\nswapoff /s\n", "{said:?}");
    assert_eq!((guest.sh(DEVICES).out(), guest.swaps()), (before, String::new()));
}

/// A device of somebody else's can lie on a disk that answers nobody, and then a read of it never ends.
fn no_other_is_read(guest: &Guest) {
    let script = "make /s; swapon /s; make /t; l=$(losetup --find --show /t)
        strace -f -y -o /trace swapoff /s; losetup -d $l; rm /s /t
        grep -c \"^[0-9]* *p\\?read.*</dev/loop\" /trace; grep -c \"^[0-9]* *p\\?read.*<$l>\" /trace";
    assert_eq!(guest.sh(&format!("{MAKE}{script}")).out(), "1\n0\n");
}

/// SIGKILL at every system call of swapon and swapoff: afterwards a second call has it all mended.
fn killed(guest: &Guest, device: &str, other: &str) {
    let (file, devices) = (format!("/s-{device}"), format!("{{ {DEVICES}; }} | grep -v /{other}"));
    let before = guest.sh(&format!("{devices}; mount; ls -A / /dev | grep -v {other}")).out();
    sh(guest, &format!("make {file}"));
    for (tool, undo) in [("swapon", "swapoff"), ("swapoff", "swapon")] {
        let first = format!("{undo} {file} 2>/dev/null");
        let trace = format!(
            "{first}; strace -f -o /tmp/trace {tool} {file}; cat /tmp/trace; swapoff {file} 2>/dev/null; true"
        );
        for (call, times) in calls(&sh(guest, &trace)) {
            for second in ["swapon", "swapoff"] {
                let script = format!(
                    "for n in $(seq {times}); do {first}
                        strace -f -qq -o /dev/null -e inject={call}:signal=KILL:when=$n {tool} {file} >/dev/null 2>&1
                        {second} {file} 2>/dev/null; areas; swapoff {file} 2>/dev/null
                        areas | sed 's/$/ is still on/'; {devices}
                    done | sort -u"
                );
                let said = sh(guest, &format!("{AREAS}{script}"));
                let left: Vec<&str> = said
                    .lines()
                    .filter(|line| *line != file && !before.lines().any(|old| old == *line))
                    .collect();
                assert!(left.is_empty(), "{tool} killed at {call}, then {second}: {left:?}");
            }
        }
    }
    sh(guest, &format!("rm {file}"));
    assert_eq!(guest.sh(&format!("{devices}; mount; ls -A / /dev | grep -v {other}")).out(), before);
}
