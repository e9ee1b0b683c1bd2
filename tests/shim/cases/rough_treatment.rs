//! Rough treatment: terminals and consoles, a hundred calls at once, and calls while install and uninstall are
//! at work.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use crate::support::guest::{Guest, HINT, KINDS, SHIM, Spec, needs};
use crate::support::needs::Need;
use crate::support::{Test, host, host_sh};

type Body = fn(&Path);

/// Each by itself: none has another's shape.
pub fn tests() -> Vec<Test> {
    let needs = [needs(KINDS[0]), vec![Need::Package("strace")]].concat();
    let tests = TERMINALS.iter().chain(OTHERS).map(|(name, body)| {
        let mut test = Test::new(format!("rough::{name}"), &needs, *body);
        test.limit = Duration::from_secs(300);
        test
    });
    tests.collect()
}

const TERMINALS: &[(&str, Body)] = &[
    ("stderr_is_a_terminal", |scratch| {
        let guest = Guest::boot(scratch, Spec::overlay(KINDS[0]));
        let terminal = guest.sh("mk /s; script -qec 'swapon /s' /dev/null").ok("on a terminal");
        assert_eq!(count(&terminal), 1, "{terminal:?}");
        assert_eq!(count(&guest.notices()), 1);
        off(&guest);
    }),
    ("stderr_is_the_console", |scratch| {
        let guest = Guest::boot(scratch, Spec::overlay(KINDS[0]));
        let script = "mk /s; script -qec 'ln -sf $(tty) /console; swapon /s' /dev/null; rm /console";
        let terminal = guest.sh(script).ok("on the console");
        assert_eq!(count(&terminal), 1, "{terminal:?}");
        off(&guest);
    }),
    ("the_console_is_a_terminal_and_stderr_a_file", |scratch| {
        let guest = Guest::boot(scratch, Spec::overlay(KINDS[0]));
        let script = "mk /s; script -qec 'ln -sf $(tty) /console; swapon /s 2>/err' /dev/null; rm /console";
        let terminal = guest.sh(script).ok("a console");
        assert_eq!(count(&terminal), 1, "{terminal:?}");
        assert_eq!(guest.sh("cat /err").ok("stderr"), "");
        off(&guest);
    }),
    ("no_shim_takes_a_controlling_terminal", |scratch| {
        let guest = Guest::boot(scratch, Spec::overlay(KINDS[0]));
        // The caller leads a session without a terminal, and the console is a terminal of nobody's: whoever
        // opens it then without saying no gets it for good.
        let script = r#"
            mk /s
            python3 - <<'X'
import os, pty, subprocess
ours, theirs = pty.openpty()
if os.path.exists("/console"): os.remove("/console")
os.symlink(os.ttyname(theirs), "/console")
trace = ["strace", "-f", "-o", "/tmp/opens", "-e", "trace=open,openat", "swapon", "/s"]
subprocess.run(["setsid", "-w"] + trace, check=True)
opens = [line for line in open("/tmp/opens") if '"/console"' in line]
print("opens", len(opens), "without", sum("O_NOCTTY" not in line for line in opens))
print("notices", os.read(ours, 4096).decode().count("rootfs-shim:"))
X
            rm -f /console"#;
        assert_eq!(guest.sh(script).ok("a strange terminal"), "opens 1 without 0\nnotices 1\n");
        off(&guest);
    }),
];

const OTHERS: &[(&str, Body)] = &[
    ("without_a_console_the_kernel_log_has_the_notice", |scratch| {
        let guest = Guest::boot(scratch, Spec::overlay(KINDS[0]));
        let name = format!("/log{}", std::process::id() ^ nonce(scratch));
        guest.sh_with("rm /console; mk \"$1\"; swapon \"$1\"", &[OsStr::new(&name)]).ok("swapon");
        let log = guest.sh("dmesg").ok("dmesg");
        let lines = log.lines().filter(|line| line.contains(&name) && line.contains("rootfs-shim:"));
        assert_eq!(lines.count(), 1, "{name} is not in the kernel log once");
        guest.sh_with(": >/console; swapoff \"$1\"", &[OsStr::new(&name)]).ok("swapoff");
    }),
    ("mkswap_of_a_file_of_the_image", |scratch| {
        let prepare = "fallocate -l 16M $1/swapfile; chmod 600 $1/swapfile; echo text >$1/other";
        let guest = Guest::boot(scratch, Spec { prepare, ..Spec::overlay(KINDS[0]) });
        let script = "mkswap /swapfile; swapon /swapfile; cat /other";
        let said = guest.sh(script).ok("mkswap");
        assert!(said.starts_with("Setting up") && said.ends_with("text\n"), "{said}");
        assert_eq!(guest.swap_paths(), ["/swapfile"]);
        guest.sh("swapoff /swapfile && rm /swapfile && ! ls /swapfile 2>/dev/null").ok("off");
    }),
    ("a_hundred_at_once_and_one_is_told_0", |scratch| {
        let guest = Guest::boot(scratch, Spec::overlay(KINDS[0]).strict());
        let script = "mk /s; for i in $(seq 100); do (swapon /s 2>/dev/null; echo $? >/tmp/end$i) & done
            wait; cat /tmp/end* | sort | uniq -c | tr -s ' '";
        assert_eq!(guest.sh(script).ok("a hundred"), " 1 0\n 99 255\n");
        assert_eq!(guest.swap_paths(), ["/s"]);
        let script = "for i in $(seq 100); do (swapoff /s 2>/dev/null; echo $? >/tmp/end$i) & done
            wait; cat /tmp/end* | sort | uniq -c | tr -s ' '";
        assert_eq!(guest.sh(script).ok("a hundred"), " 1 0\n 99 4\n");
        assert_eq!(guest.swaps(), "");
    }),
    ("all_reads_no_active_device", |scratch| {
        // Its disk may answer no more, and then whoever reads it hangs, and boot with him.
        let guest = Guest::boot(scratch, Spec::overlay(KINDS[0]));
        let script = r#"
            space /b 4; D=$(losetup -f); losetup $D /b; mkswap $D >/dev/null; swapon $D; mk /s
            echo '/s none swap sw 0 0' >/etc/fstab
            strace -f -y -o /tmp/trace -e trace=read,pread64,preadv,lseek swapon -a
            strace -f -y -o /tmp/trace2 -e trace=read,pread64,preadv,lseek swapoff /s
            grep -c "<$D[<>]" /tmp/trace /tmp/trace2; grep -c '</proc/swaps>' /tmp/trace >/dev/null && echo traced
            swapoff $D; losetup -d $D; cat /proc/swaps | grep -c "^/s ""#;
        assert_eq!(guest.sh(script).out(), "/tmp/trace:0\n/tmp/trace2:0\ntraced\n0\n");
    }),
    ("the_mount_table_is_read_only_where_one_mount_cannot_be_asked_for", |scratch| {
        let guest = Guest::boot(scratch, Spec::overlay(KINDS[0]));
        // Without statx(2) nobody can say which mount to ask for. Linux 6.13 tells of one all that is wanted. Where it is
        // read, that is before and after the upper directory is revealed: in a new namespace each mount has a new id.
        let script = r#"
            mk /s
            traced() { strace -f -qq -o /tmp/trace "$@"; grep -c 'mountinfo"' /tmp/trace; }
            traced swapon /s; swapoff /s
            traced -e inject=statx:error=ENOSYS swapon /s; awk '$1 == "/s"' /proc/swaps | wc -l
            swapoff /s"#;
        let kernel = guest.sh("uname -r").ok("uname");
        let number = |at: usize| kernel.split(['.', '-']).nth(at).and_then(|n| n.trim().parse::<u32>().ok());
        let first = if (number(0), number(1)) >= (Some(6), Some(13)) { "0" } else { "2" };
        assert_eq!(guest.sh(script).out(), format!("{first}\n2\n1\n"), "on {kernel}");
    }),
    ("a_listing_is_handed_on_before_the_c_library_begins", |scratch| {
        let guest = Guest::boot(scratch, Spec::overlay(KINDS[0]));
        // From one execve to the other, which are counted.
        let script = r#"
            strace -o /tmp/trace swapon --show=NAME
            awk '{ if (/^execve/) times++; if (times < 2) lines++ } END { print lines }' /tmp/trace
            strace -v -s 4096 -o /tmp/trace swapon -s; grep -c '^execve.*"ROOTFS_SHIM_DEPTH=1"\]' /tmp/trace
            real=$(command -v swapon).real
            mv $real /tmp/real; swapon --version; rm -f $real
            printf '#!/bin/sh\nswapon --version\n' >$real; chmod 755 $real; swapon --version; rm $real
            ln /.rootfs-shim/bin/rootfs-shim $real; swapon --version; rm $real
            mkdir $real; swapon --version; rmdir $real
            mv /tmp/real $real; umount -l /proc; swapon --version; mount -t proc proc /proc"#;
        let said = guest.sh(script).out();
        let lines: Vec<&str> = said.lines().collect();
        let calls = if cfg!(target_arch = "x86_64") { "4" } else { lines[0] };
        assert_eq!(lines[..2], [calls, "1"], "{said}");
        let ours = |line: &&str| line.contains("rootfs-shim");
        assert_eq!(
            lines[2..].iter().map(ours).collect::<Vec<_>>(),
            [true, true, true, true, false],
            "{said}"
        );
    }),
    ("never_without_a_swapon_while_installing", installing),
];

fn count(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("rootfs-shim:")).collect();
    assert!(lines.iter().all(|line| line.trim_end().ends_with(HINT)), "{text:?}");
    lines.len()
}

fn off(guest: &Guest) {
    assert_eq!(guest.swap_paths(), ["/s"]);
    guest.sh("rm -f /console; : >/console; swapoff /s && rm /s").ok("swapoff and rm");
    assert_eq!(guest.swaps(), "");
}

/// What no other run's scratch directory has.
fn nonce(scratch: &Path) -> u32 {
    scratch.as_os_str().as_encoded_bytes().iter().fold(7, |sum, byte| sum * 31 % 1_000_003 + u32::from(*byte))
}

/// `swapon --version` in a loop while the shim comes and goes: it answers each time.
fn installing(scratch: &Path) {
    let built = Guest::build(scratch, Spec::overlay(KINDS[0]));
    let script = r#"
        (while [ ! -e "$1/stop" ]; do
            chroot "$2" /usr/sbin/swapon --version >/dev/null 2>&1 || echo "$?" >>"$1/bad"
            echo >>"$1/asked"
        done) &
        for i in 1 2 3 4 5 6 7 8; do
            "$3" install --chroot "$2" >/dev/null; "$3" uninstall --chroot "$2" >/dev/null
        done
        : >"$1/stop"; wait"#;
    host_sh(script, &[scratch.as_os_str(), built.root.as_os_str(), OsStr::new(SHIM)]);
    let bad = host(&["cat".as_ref(), scratch.join("bad").as_os_str()]).out();
    assert_eq!(bad, "", "swapon --version failed while installing");
    let asked = std::fs::read_to_string(scratch.join("asked")).expect("it was asked").lines().count();
    assert!(asked > 20, "asked only {asked} times");
}
