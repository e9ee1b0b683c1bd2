//! SIGKILL at every system call of a swapon or swapoff, and what it must not leave: a mount, half a file, a
//! file that nobody made.
//!
//! A call is traced once, and then run again as often as it made system calls, killed at the next one each
//! time; the next call has to work. strace gives the signal before the system call is done.
//!
//! These take longest, and so they swap beside each other: each names its files as no other test does, and sees
//! only those.

use std::path::Path;
use std::time::Duration;

use crate::support::Test;
use crate::support::guest::{Guest, KINDS, Spec, needs};
use crate::support::needs::Need;
use crate::support::supervise;
use crate::support::view::Own;

/// The ordinary calls, with their children; and what makes a file ready, in the shim itself.
pub fn tests() -> Vec<Test> {
    type Body = fn(&Path);
    let bodies: [(&str, Body); 5] = [
        ("at_any_system_call", everywhere),
        ("making_a_file_anew", |scratch| made_ready(scratch, "anew", &LOWER_ONLY)),
        ("making_a_file_anew_where_every_file_has_a_name", |scratch| made_ready(scratch, "named", &NAMED)),
        ("filling_holes", |scratch| made_ready(scratch, "holes", &HOLES)),
        ("writing_what_the_kernel_refuses", |scratch| made_ready(scratch, "refused", &REFUSED)),
    ];
    let needs = [needs(KINDS[0]), vec![Need::Package("strace")]].concat();
    let tests = bodies.into_iter().map(|(name, body)| {
        let mut test = Test::new(format!("killed::{name}"), &needs, body);
        test.limit = Duration::from_secs(600);
        test.is_long = true;
        test
    });
    tests.collect()
}

/// swapon and swapoff, with SIGKILL at every system call of theirs and of their children: then the file is on
/// under its own name, or it is not on; nothing is mounted; the next call works.
fn everywhere(scratch: &Path) {
    let file = format!("/{BESIDE}any");
    supervise::swap_beside_others(scratch, &Own::With(file[1..].to_owned()));
    let guest = Guest::boot(scratch, Spec::overlay(KINDS[0]));
    let mounts = guest.sh(&format!("mk {file}; mount")).ok("mount");
    for (tool, other) in [("swapon", "swapoff"), ("swapoff", "swapon")] {
        let before = format!("{other} {file} 2>/dev/null");
        let trace = format!("{before}; strace -f -o /tmp/trace {tool} {file}; cat /tmp/trace");
        for (call, times) in calls(&guest.sh(&trace).ok("strace")) {
            let script = format!(
                "for n in $(seq {times}); do {before}
                    strace -f -qq -o /dev/null -e inject={call}:signal=KILL:when=$n {tool} {file} >/dev/null 2>&1
                    areas
                done"
            );
            let said = guest.sh(&format!("{AREAS}{script}")).ok("killing");
            assert!(said.lines().all(|line| line == file), "{tool} killed at {call}: {said}");
            assert_eq!(guest.sh("mount").ok("mount"), mounts, "{tool} killed at {call}");
        }
    }
    guest.sh(&format!("swapoff {file} 2>/dev/null; swapon {file}")).ok("swapon after all that");
    assert_eq!(guest.swap_paths(), [file.as_str()]);
    guest.sh(&format!("swapoff {file} && rm {file}")).ok("swapoff and rm");
    assert_eq!(guest.swaps(), "");
}

/// `areas` prints the paths of the swap areas, and starts no process for it.
pub(super) const AREAS: &str = r#"
areas() { while read -r path rest; do [ "$path" = Filename ] || echo "$path"; done </proc/swaps; }
"#;

/// The beginning of the names of the files here, which no other test gives its own.
pub(super) const BESIDE: &str = "killed-";

/// The system calls of a trace and how often one process makes each.
pub(super) fn calls(trace: &str) -> Vec<(String, usize)> {
    let mut made: Vec<(String, String, usize)> = Vec::new();
    for line in trace.lines() {
        let Some((pid, rest)) = line.split_once(' ') else { continue };
        let Some(call) = call_of(rest) else { continue };
        match made.iter_mut().find(|(other, name, _)| (other.as_str(), name.as_str()) == (pid, call)) {
            Some((_, _, times)) => *times += 1,
            None => made.push((pid.to_owned(), call.to_owned(), 1)),
        }
    }
    let mut most: Vec<(String, usize)> = Vec::new();
    for (_, call, times) in made {
        match most.iter_mut().find(|(name, _)| *name == call) {
            Some((_, other)) => *other = times.max(*other),
            None => most.push((call, times)),
        }
    }
    assert!(most.len() > 10, "that is no trace: {trace}");
    most
}

/// The name at the beginning of a line of a trace.
fn call_of(line: &str) -> Option<&str> {
    let (call, _) = line.trim_start().split_once('(')?;
    let plain = call.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    (plain && !call.is_empty()).then_some(call)
}

/// A file that has to be made ready, over and over, in a directory `$D` of its own.
struct Unready {
    /// Prepares the image.
    image: &'static str,
    /// Makes `$D/s$1`, which has the contents of `$D/ref`.
    make: &'static str,
    /// Prepares the guest.
    guest: &'static str,
    /// A system call that fails each time, and what its line in the trace says.
    without: Option<&'static str>,
    /// What the notice says at the end.
    notice: &'static str,
}

const IMAGE: &str = "mkdir $IMAGE/$D; truncate -s 1M $IMAGE/$D/ref; mkswap -q -L x $IMAGE/$D/ref
    chmod 400 $IMAGE/$D/ref; for i in $(seq 0 360); do cp -p $IMAGE/$D/ref $IMAGE/$D/s$i; done";

const LOWER_ONLY: Unready =
    Unready { image: IMAGE, make: "", guest: "", without: None, notice: "was made new at the same size" };

/// O_TMPFILE fails on overlayfs before Linux 6.1.
const NAMED: Unready = Unready { without: Some("O_TMPFILE"), ..LOWER_ONLY };

const HOLES: Unready = Unready {
    image: "mkdir $IMAGE/$D; truncate -s 1M $IMAGE/$D/ref; mkswap -q -L x $IMAGE/$D/ref; chmod 400 $IMAGE/$D/ref",
    make: "cp --sparse=always -p $D/ref $D/s$1",
    guest: "",
    without: None,
    notice: "had holes",
};

/// No kernel of today refuses blocks that were never written: the tool says so in its place, once for a file.
const REFUSED: Unready = Unready {
    image: HOLES.image,
    make: "fallocate -l 1M $D/s$1; dd if=$D/ref of=$D/s$1 bs=4096 count=1 conv=notrunc status=none; chmod 400 $D/s$1",
    guest: super::data_loss::REFUSES_ONCE,
    without: None,
    notice: "they were written anew",
};

/// After each kill the file is whole, as it was or as it shall be, and the next call enables it and leaves
/// nothing beside it. Only for the moment between linkat(2) and rename(2) has the new file a name of its own,
/// and from the beginning where every file must have one.
fn made_ready(scratch: &Path, word: &str, unready: &Unready) {
    let dir = &format!("/{BESIDE}{word}");
    supervise::swap_beside_others(scratch, &Own::With(dir[1..].to_owned()));
    let prepare = format!("D={dir}\n{}", unready.image);
    let guest = Guest::boot(scratch, Spec { prepare: prepare.leak(), ..Spec::overlay(KINDS[0]) });
    guest.sh(unready.guest).ok("prepare");
    let first = trace(&guest, dir, unready, 0, "");
    assert!(guest.notices().contains(unready.notice), "it was not made ready: {first}");
    let (inject, traced) = match unready.without {
        None => (String::new(), first),
        Some(words) => {
            let lost = moments(&first, "").into_iter().find(|moment| moment.line.contains(words));
            let inject = format!("-e inject=openat:error=EOPNOTSUPP:when={}", lost.expect(words).nth);
            let traced = trace(&guest, dir, unready, 360, &inject);
            assert!(traced.contains("O_EXCL"), "the other way was not taken: {traced}");
            (inject, traced)
        }
    };
    let mut named = !inject.is_empty();
    let mut list = Vec::new();
    for Moment { call, nth, .. } in moments(&traced, &format!("{dir}/s")) {
        if inject.is_empty() || call != "openat" {
            list.push(format!("{call}:{nth}:{}", if named { "named" } else { "" }));
        }
        named = (named || call == "linkat") && call != "renameat";
    }
    assert!(list.len() > 30, "that is no trace: {traced}");
    let make = if unready.make.is_empty() { ":" } else { unready.make };
    for (at, some) in list.chunks(15).enumerate() {
        let (number, moments) = (at * 15 + 1, some.join(" "));
        let head =
            format!("D={dir}; N={number}; INJECT='{inject}'; MOMENTS='{moments}'; make() {{ {make}; }}");
        let said = guest.sh(&format!("{head}\n{KILL}")).ok("killing");
        assert_eq!(said, "", "killed at one of {moments}");
    }
}

/// The trace of a call that makes file `number` ready, and nothing of its children's.
fn trace(guest: &Guest, dir: &str, unready: &Unready, number: usize, inject: &str) -> String {
    let script = "f=$D/s$1; strace -o /tmp/trace $INJECT swapon $f && swapoff $f && cat /tmp/trace";
    let script = format!("D={dir}; INJECT='{inject}'; set -- {number}; {}\n{script}", unready.make);
    guest.sh(&script).ok("strace")
}

/// Kills a call at each moment and says what is wrong then.
const KILL: &str = r#"
mount >/tmp/mounts
for moment in $MOMENTS; do
    IFS=: read -r call nth named <<X
$moment
X
    f=$D/s$N; make $N; N=$((N + 1))
    strace -f -qq -o /dev/null $INJECT -e inject=$call:signal=KILL:when=$nth swapon $f >/dev/null 2>&1
    if grep -q "^$f " /proc/swaps; then swapoff $f; else cmp $f $D/ref; fi
    [ "$(stat -c '%s %a %u %g' $f)" = "$(stat -c '%s %a %u %g' $D/ref)" ] || stat $f
    [ -n "$named" ] || ls -A $D | grep rootfs-shim
    swapon $f && grep -q "^$f " /proc/swaps || echo "not enabled after $moment: $(cat /console)"
    swapoff $f; cmp -n 4096 $f $D/ref; rm $f
    if ls -A $D | grep rootfs-shim; then echo "left after $moment"; rm $D/.rootfs-shim.*; fi
    mount | cmp - /tmp/mounts
    : >/console
done 2>&1
true"#;

/// A system call of a process, and which of that name it is.
struct Moment {
    call: String,
    nth: usize,
    line: String,
}

/// The system calls of a process from the first that says `from` on.
fn moments(trace: &str, from: &str) -> Vec<Moment> {
    let mut counts: Vec<(String, usize)> = Vec::new();
    let mut moments = Vec::new();
    for line in trace.lines() {
        let Some(call) = call_of(line) else { continue };
        let nth = match counts.iter_mut().find(|(name, _)| name == call) {
            Some((_, times)) => {
                *times += 1;
                *times
            }
            None => {
                counts.push((call.to_owned(), 1));
                1
            }
        };
        let execution = call == "execve";
        if !execution && (line.contains(from) || !moments.is_empty()) {
            moments.push(Moment { call: call.to_owned(), nth, line: line.to_owned() });
        }
    }
    moments
}
