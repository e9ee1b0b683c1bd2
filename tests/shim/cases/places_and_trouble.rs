//! One guest, one script, and what must be true then: the rows for places where a swapfile can lie and for
//! machines where something is wrong.
//!
//! A script prints what it wants checked (mostly exit statuses); the swap areas and the notices are checked
//! beside it. `/vol` in a script is an attached volume; every notice must be one clean line ending in the
//! hint.

use crate::support::Test;
use crate::support::guest::{Guest, HINT, KINDS, Spec, needs};

/// A row.
struct Scene {
    name: &'static str,
    /// The guest's difference from an ordinary one.
    spec: fn(Spec) -> Spec,
    script: &'static str,
    /// What the script prints.
    says: &'static str,
    /// The swap areas afterwards.
    swaps: &'static [&'static str],
    /// Words that the notices must have, in this order.
    notices: &'static [&'static str],
}

const PLAIN: fn(Spec) -> Spec = |spec| spec;
const STRICT: fn(Spec) -> Spec = Spec::strict;

const fn scene(
    name: &'static str,
    spec: fn(Spec) -> Spec,
    script: &'static str,
    says: &'static str,
    swaps: &'static [&'static str],
    notices: &'static [&'static str],
) -> Scene {
    Scene { name, spec, script, says, swaps, notices }
}

#[rustfmt::skip]
const VOLUMES: &[Scene] = &[
    scene("refused", PLAIN, "fallocate -l 16M /vol/s; /usr/sbin/mkswap.real -q /vol/s; chmod 600 /vol/s; swapon /vol/s; echo $?",
        "0\n", &[], &["/vol/s", "volume /vol", "root filesystem"]),
    scene("refused_through_a_symlink", PLAIN, "fallocate -l 16M /vol/s; mkswap.real -q /vol/s; ln -s /vol/s /s; swapon /s; echo $?",
        "0\n", &[], &["volume /vol"]),
    scene("refused_through_a_symlinked_directory", PLAIN, "fallocate -l 16M /vol/s; mkswap.real -q /vol/s; ln -s vol /v; swapon /v/s; echo $?",
        "0\n", &[], &["volume /vol"]),
    scene("refused_through_a_bind_mount", PLAIN,
        "mkdir /vol/d /inner; fallocate -l 16M /vol/d/s; mkswap.real -q /vol/d/s; mount --bind /vol/d /inner; swapon /inner/s; echo $?",
        "0\n", &[], &["volume"]),
    scene("refused_through_a_bind_of_the_file", PLAIN,
        "fallocate -l 16M /vol/s; mkswap.real -q /vol/s; : >/s; mount --bind /vol/s /s; swapon /s; echo $?",
        "0\n", &[], &["volume"]),
    scene("refused_relative", PLAIN, "cd /vol; fallocate -l 16M s; mkswap.real -q s; swapon -p 3 ./s; echo $?", "0\n", &[], &["volume /vol"]),
    scene("one_of_three", PLAIN, "fallocate -l 16M /vol/s; mkswap.real -q /vol/s; mk /a; mk /b; swapon /a /vol/s /nope /b 2>/dev/null; echo $?",
        "0\n", &["/a", "/b"], &["volume /vol", "/nope was not enabled"]),
    scene("strict_status", STRICT, "fallocate -l 16M /vol/s; mkswap.real -q /vol/s; chmod 600 /vol/s; swapon /vol/s; echo $?",
        "255\n", &[], &["volume /vol"]),
    scene("strict_status_among_good", STRICT, "fallocate -l 16M /vol/s; mkswap.real -q /vol/s; mk /a; swapon /a /vol/s; echo $?",
        "255\n", &["/a"], &["volume /vol"]),
    scene("mkswap_refused", PLAIN, "fallocate -l 16M /vol/s; cp /vol/s /vol/t; mkswap /vol/s; cmp /vol/s /vol/t && echo untouched",
        "untouched\n", &[], &["mkswap: /vol/s", "volume /vol"]),
    scene("swapoff_never_refuses", PLAIN,
        "fallocate -l 16M /vol/s; mkswap.real -q /vol/s; chmod 600 /vol/s; swapon.real /vol/s; swapoff /vol/s; echo $?", "0\n", &[], &[]),
    scene("swapoff_all_takes_it_too", PLAIN,
        "fallocate -l 16M /vol/s; mkswap.real -q /vol/s; chmod 600 /vol/s; swapon.real /vol/s; mk /a; mk /b; swapon /a /b; swapoff -a; echo $?; swapoff -a; echo $?",
        "0\n0\n", &[], &[]),
];

#[rustfmt::skip]
const PLACES: &[Scene] = &[
    scene("tmpfs", PLAIN, "mkdir /t; mount -t tmpfs t /t; fallocate -l 16M /t/s; mkswap.real -q /t/s; swapon /t/s; echo $?",
        "0\n", &[], &["/t/s", "tmpfs"]),
    scene("tmpfs_over_a_file_of_that_name", PLAIN,
        "mkdir /t; mk /t/s; mount -t tmpfs t /t; fallocate -l 16M /t/s; mkswap.real -q /t/s; swapon /t/s; echo $?; umount /t; rm /t/s && echo gone",
        "0\ngone\n", &[], &["/t/s", "tmpfs"]),
    scene("bind_over_a_directory_with_that_name", PLAIN,
        "mkdir /a /b; mk /a/s; mk /b/s; mount --bind /a /b; swapon /b/s; echo $?; umount /b; rm /b/s && echo gone",
        "0\ngone\n", &["/a/s"], &["/b/s is enabled"]),
    scene("file_over_the_file", PLAIN, "mk /s; mk /other; mount --bind /other /s; swapon /s; echo $?; umount /s; rm /s && echo gone",
        "0\ngone\n", &["/other"], &["is enabled"]),
    scene("last_release", PLAIN, "as_the_last_release; mk /s; swapon /s; echo $?; swapoff /s; echo $?; swapon /s; umount /.rootfs-shim/upper", "0\n0\n", &["/s"], &["/s is enabled"]),
    scene("last_release_over_mounted", PLAIN,
        "as_the_last_release; mk /s; mkdir /vol/upper; fallocate -l 16M /vol/upper/s; mkswap.real -q /vol/upper/s; mount --bind /vol/upper /.rootfs-shim/upper; swapon /s 2>/dev/null; echo $?; rm /vol/upper/s && echo untouched",
        "0\nuntouched\n", ANY, &["/s"]),
    scene("last_release_with_a_tmpfs_over_upper", PLAIN,
        "as_the_last_release; mk /s; mount -t tmpfs t /.rootfs-shim/upper; cp -a /s /.rootfs-shim/upper/s; swapon /s 2>/dev/null; echo $?; rm /.rootfs-shim/upper/s && echo untouched",
        "0\nuntouched\n", ANY, &["/s"]),
    scene("last_release_with_another_directory_of_the_same_filesystem_over_upper", PLAIN,
        "as_the_last_release; mk /s; mkdir /fake; mk /fake/s; mount --bind /.rootfs-shim/upper/fake /.rootfs-shim/upper; swapon /s 2>/dev/null; echo $?; rm /fake/s && echo untouched",
        "0\nuntouched\n", ANY, &["/s"]),
    scene("whiteout_made_again", |spec| Spec { prepare: "echo old >$1/s", ..spec }, "rm /s; mk /s; swapon /s; echo $?", "0\n", &["/s"], &["/s"]),
    scene("hard_link_of_an_active_file", PLAIN, "mk /s; swapon /s; ln /s /l 2>/dev/null; swapoff /s; echo $?", "0\n", &[], &[]),
    scene("passthrough", PASSTHROUGH, "cd /var/lib/docker; mk s; swapon s; echo $?; swapoff s; echo $?; swapon /var/lib/docker/s", "0\n0\n", &["/var/lib/docker/s"], &[]),
    scene("loop_device", PLAIN, "fallocate -l 16M /s; D=$(losetup -f --show /s); mkswap -q $D; swapon $D; echo $?; grep -c ^$D /proc/swaps; swapoff $D; losetup -d $D", "0\n1\n", &[], &[]),
    scene("no_proc", PLAIN, "mk /s; umount -l /proc; swapon /s 2>/dev/null; S=$?; echo $((S == 0 || S == 255)); mount -t proc proc /proc", "1\n", ANY, &[]),
    scene("chroot_without_the_bind", PLAIN, "mkdir /c; for d in usr bin sbin lib lib64 dev proc; do if [ -h /$d ]; then cp -a /$d /c; else mkdir /c/$d; mount --rbind /$d /c/$d; fi; done; mk /c/s; chroot /c swapon /s 2>/dev/null; S=$?; echo $((S == 0 || S == 255))", "1\n", ANY, &[]),
    scene("bind_of_the_root", PLAIN, "mk /s; mkdir /r; mount --bind / /r; swapon /r/s; echo $?; swapoff /r/s; echo $?; swapon /r/s; umount /r", "0\n0\n", &["/s"], &["/r/s is enabled"]),
    scene("lower_file_through_a_bind", |spec| Spec { prepare: "mkdir $1/img; fallocate -l 16M $1/img/s; chmod 600 $1/img/s; mkswap -q $1/img/s", ..spec },
        "mkdir /b; mount --bind /img /b; swapon /b/s; echo $?; umount /b; ls /img", "0\ns\n", &["/img/s"], &["/b/s is enabled"]),
    scene("tmpfs_file_over_the_file", PLAIN,
        "mk /s; mkdir /t; mount -t tmpfs t /t; cp -a /s /t/s; mount --bind /t/s /s; swapon /s; echo $?; umount /s; swapon /s; echo $?", "0\n0\n", &["/s"], &["tmpfs", "/s is enabled"]),
    scene("deleted_file_and_one_of_the_name_that_it_then_has", PLAIN,
        "mk /s; mk '/s (deleted)'; exec 5<>/s; rm /s; swapon /proc/self/fd/5 2>/dev/null; echo $?", "0\n", &[], &["was not enabled"]),
    scene("replaced_while_it_is_open", PLAIN,
        "mk /s; mk /o; exec 5<>/s; mv /o /s; swapon /proc/self/fd/5 2>/dev/null; echo $?; swapon /s; echo $?", "0\n0\n", &["/s"], &["was not enabled", "/s is enabled"]),
    scene("own_namespace_without_proc", PLAIN,
        "mk /s; unshare -m sh -c 'while umount -l /proc 2>/dev/null; do :; done; ls /proc; swapon /s 2>/dev/null; echo $?'", "0\n", &["/s"], &["/s is enabled"]),
    scene("loop_device_over_a_volume", PLAIN,
        "fallocate -l 16M /vol/f; D=$(losetup -f --show /vol/f); mkswap -q $D; swapon $D; echo $?; grep -c ^$D /proc/swaps; swapoff $D; losetup -d $D", "0\n1\n", &[], &[]),
];

/// The swap areas are not fixed: the right file or none.
const ANY: &[&str] = &["*"];
/// A directory that the platform keeps on the backing filesystem.
const PASSTHROUGH: fn(Spec) -> Spec = |spec| Spec { passthrough: "/var/lib/docker", ..spec };

#[rustfmt::skip]
const TROUBLE: &[Scene] = &[
    scene("missing_file", PLAIN, "swapon /nope; echo $?", "0\n", &[], &["/nope was not enabled"]),
    scene("the_real_tool_has_the_callers_limits", PLAIN,
        r#"R=/usr/sbin/swapon.real; mv $R /r; printf '#!/bin/sh\nulimit -S -n\nexec /r "$@"\n' >$R; chmod 755 $R; mk /s
           (ulimit -S -n 20; swapon /s); echo $?; (ulimit -S -n 20; swapon -V >/dev/null); echo $?; mv /r $R"#,
        "20\n0\n0\n", &["/s"], &["/s is enabled"]),
    scene("three_hundred_missing_files", PLAIN, "swapon $(seq -f /n%g 300) 2>/dev/null; echo $?", "0\n", &[],
        &["not all of 300 were enabled (/n1, /n2, /n3, ...)"]),
    scene("missing_file_strict", STRICT, "swapon /nope 2>/dev/null; echo $?", "255\n", &[], &[]),
    scene("not_swap", PLAIN, "space /s; swapon /s 2>/dev/null; echo $?", "0\n", &[], &["/s was not enabled", "mkswap"]),
    scene("not_swap_strict", STRICT, "space /s; swapon /s 2>/dev/null; echo $?", "255\n", &[], &[]),
    scene("active_already", PLAIN, "mk /s; swapon /s; swapon /s 2>/dev/null; echo $?", "0\n", &["/s"], &["is enabled", "/s was not enabled"]),
    scene("active_already_strict", STRICT, "mk /s; swapon /s; swapon /s 2>/dev/null; echo $?", "255\n", &["/s"], &[]),
    scene("hostile_name_on_the_console", PLAIN, r#"N="$(printf '/x\033[2J\r\n\342\200\256y')"; swapon "$N" 2>/dev/null; echo $?"#, "0\n", &[], &[r"/x\x1b[2J"]),
    scene("long_name_on_the_console", PLAIN, r#"N=$(printf '%4000s' | tr ' ' x); swapon "/$N" 2>/dev/null; echo $?"#, "0\n", &[], &["xxx"]),
    scene("config_broken", PLAIN, "printf '[swap' >/.rootfs-shim/config.toml; mk /s; swapon /s; echo $?; cat /s.nope 2>/dev/null; printf '' >/.rootfs-shim/config.toml", "0\n", &["/s"], &[]),
    scene("config_is_a_fifo", PLAIN, "rm /.rootfs-shim/config.toml; mkfifo /.rootfs-shim/config.toml; mk /s; swapon /s; echo $?", "0\n", &["/s"], &[]),
    scene("config_is_huge", PLAIN, "truncate -s 1G /.rootfs-shim/config.toml; mk /s; swapon /s; echo $?", "0\n", &["/s"], &[]),
    scene("console_absent", PLAIN, "rm /console; mk /s; swapon /s; echo $?; : >/console", "0\n", &["/s"], &[]),
    scene("console_is_a_fifo_nobody_reads", PLAIN, "rm /console; mkfifo /console; mk /s; swapon /s; echo $?; rm /console; : >/console", "0\n", &["/s"], &[]),
    scene("console_is_a_full_pipe", PLAIN, "rm /console; mkfifo /console; mk /s; exec 3<>/console; dd if=/dev/zero of=/console bs=4k oflag=nonblock 2>/dev/null; swapon /s; echo $?; rm /console; : >/console", "0\n", &["/s"], &[]),
    scene("console_is_dev_full", PLAIN, "rm /console; ln -s /dev/full /console; mk /s; swapon /s; echo $?; rm /console; : >/console", "0\n", &["/s"], &[]),
    scene("stdout_nobody_reads", PLAIN, "mk /s; (sleep 0.2; swapon -v /s; echo $? >/st) | true; while ! grep -q . /st 2>/dev/null; do sleep 0.1; done", "", ANY, &[]),
    scene("few_descriptors", PLAIN, "mk /s; (ulimit -n 8; swapon /s); echo $?", "0\n", ANY, &[]),
    scene("no_file_size", PLAIN, "mk /s; (ulimit -f 0; swapon /s); echo $?", "0\n", ANY, &[]),
    scene("hostile_environment", PLAIN, "mk /s; RUST_BACKTRACE=full LD_PRELOAD=/nope.so LANG=xx PATH=/nope /usr/sbin/swapon /s 2>/dev/null; echo $?", "0\n", &["/s"], &[]),
    scene("sigchld_ignored", PLAIN, "mk /s; (trap '' CHLD; exec swapon /s); echo $?", "0\n", &["/s"], &[]),
    scene("real_is_missing", PLAIN, "mk /s; rm /usr/sbin/swapon.real; swapon /s 2>/dev/null; echo $(($? < 124))", "1\n", ANY, &["swapon"]),
    scene("real_is_the_shim", PLAIN, "mk /s; ln -f /.rootfs-shim/bin/rootfs-shim /usr/sbin/swapon.real; swapon /s 2>/dev/null; echo $(($? < 124))", "1\n", ANY, &[]),
    scene("real_calls_its_own_name", PLAIN, "mk /s; rm /usr/sbin/swapon.real; printf '#!/bin/sh\\nexec swapon \"$@\"\\n' >/usr/sbin/swapon.real; chmod +x /usr/sbin/swapon.real; swapon /s 2>/dev/null; echo $(($? < 124))", "1\n", ANY, &[]),
    scene("real_is_a_script", PLAIN, "mk /s; mv /usr/sbin/swapon.real /usr/sbin/swapon.elf; printf '#!/bin/bash\\nexec /usr/sbin/swapon.elf \"$@\"\\n' >/usr/sbin/swapon.real; chmod +x /usr/sbin/swapon.real; swapon /s 2>&1; echo $?", "0\n", &["/s"], &[]),
    scene("argv0_exact", PLAIN, "mk /s; ln -s /usr/sbin/swapon /tmp/swapon; cd /tmp; ./swapon /s; echo $?", "0\n", &["/s"], &[]),
    scene("argv0_other", PLAIN,
        "mk /s; for n in -swapon SWAPON swapon.real swapo ''; do bash -c 'exec -a \"$0\" /usr/sbin/swapon /s' \"$n\" 2>/dev/null; echo $?; swapoff /s; done",
        "0\n0\n0\n0\n0\n", &[], &["/s is enabled"]),
    scene("argv0_of_the_manager", PLAIN,
        "mk /s; for f in /usr/sbin/swapon /.rootfs-shim/bin/rootfs-shim; do bash -c 'exec -a rootfs-shim $0 /s' $f 2>/dev/null; echo $?; done
         bash -c 'exec -a -swapon /.rootfs-shim/bin/rootfs-shim /s' 2>/dev/null; echo $?",
        "2\n2\n2\n", &[], &[]),
    scene("rm_while_active", PLAIN, "mk /s; swapon /s; rm /s 2>/dev/null; echo $?; mkswap /s >/dev/null 2>&1; echo $?; dd if=/dev/zero of=/s bs=4k count=1 2>/dev/null; echo $?", "1\n1\n1\n", &["/s"], &[]),
    scene("fixpgsz", PLAIN, "mk /s; swapon --fixpgsz /s; echo $?", "0\n", &["/s"], &[]),
];

/// Every row as a test of an ordinary guest.
pub fn tests() -> Vec<Test> {
    let subjects = [("volume", VOLUMES), ("place", PLACES), ("trouble", TROUBLE)];
    let all = subjects.into_iter().flat_map(|(subject, scenes)| {
        scenes.iter().map(move |scene| {
            Test::new(format!("scene::{subject}::{}", scene.name), &needs(KINDS[0]), |scratch| {
                let guest = Guest::boot(scratch, (scene.spec)(Spec::overlay(KINDS[0])));
                play(guest, scene);
            })
        })
    });
    all.collect()
}

fn play(mut guest: Guest, scene: &Scene) {
    if scene.script.contains("/vol") {
        guest.volume("/vol");
    }
    let ran = guest.sh(scene.script);
    let notices = guest.notices();
    assert_eq!(ran.out(), scene.says, "{ran:?}\nnotices: {notices}");
    if scene.swaps != ANY {
        assert_eq!(guest.swap_paths(), scene.swaps, "{ran:?}\nnotices: {notices}");
    }
    let mut rest = notices.as_str();
    for words in scene.notices {
        let at = rest.find(words).unwrap_or_else(|| panic!("no {words:?} in {notices:?}"));
        rest = &rest[at + words.len()..];
    }
    for line in notices.lines() {
        let clean = !line.chars().any(|c| c.is_control() || c == '\u{202e}');
        assert!(clean && line.len() <= 800 && line.ends_with(HINT), "a bad notice: {line:?}");
    }
}
