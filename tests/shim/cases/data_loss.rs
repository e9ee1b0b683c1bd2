//! What is done to make a file ready loses nothing that a user may have put there, and what cannot be made
//! ready is left as it is.

use crate::support::Test;
use crate::support::guest::{Fs, Guest, Kind, Spec, Tools, needs};

const EXT4: Kind = (Fs::Ext4, Tools::Debian);
const XFS: Kind = (Fs::Xfs, Tools::Debian);
const BTRFS: Kind = (Fs::Btrfs, Tools::Debian);

/// A test of one guest: its name, how the guest is made, and what is done in it.
type Row = (&'static str, Spec, fn(&Guest));

/// Swapfiles of an image, and files that look like one. What is behind their headers must not be lost where
/// anything else could be in it.
const IMAGE: &str = r#"mkdir $1/d $1/e
    dd if=/dev/urandom of=$1/d/s bs=1M count=8 status=none; mkswap -q -L image $1/d/s
    chmod 640 $1/d/s; chown 7:6 $1/d/s; touch -d '2001-02-03 04:05:06.789' $1/d/s
    for f in d/t d/p d/u d/i d/l e/s; do cp -p $1/d/s $1/$f; done
    mkswap -q -p 8192 $1/d/p 2>/dev/null
    dd if=/dev/urandom of=$1/d/u bs=4096 count=1 conv=notrunc status=none
    chattr +i $1/d/i; ln $1/d/l $1/d/m
    python3 - $1/d <<'X'
import os, struct, sys
acl = lambda *entries: struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
none = 0xffffffff
some = acl((1, 6, none), (2, 4, 1000), (4, 0, none), (16, 4, none), (32, 0, none))
os.setxattr(sys.argv[1] + "/s", "system.posix_acl_access", some)
os.setxattr(sys.argv[1] + "/s", "user.mine", b"kept")
os.setxattr(sys.argv[1], "system.posix_acl_default", some)
X"#;

/// The tool says of each file once that the kernel refuses it.
pub const REFUSES_ONCE: &str = r#"
mv /usr/sbin/swapon.real /usr/sbin/swapon.true
cat >/usr/sbin/swapon.real <<'X'
#!/bin/sh
for file; do :; done
mark=/tmp/refused.${file##*/}
[ -e $mark ] && exec /usr/sbin/swapon.true "$@"
: >$mark
echo "swapon: $file: swapon failed: Invalid argument" >&2
exit 255
X
chmod +x /usr/sbin/swapon.real"#;

/// Each row in a guest of its own.
pub fn tests() -> Vec<Test> {
    let image = |kind| Spec { prepare: IMAGE, ..Spec::overlay(kind) };
    let options = Spec { options: "metacopy=on,redirect_dir=on,index=on,", ..image(EXT4) };
    let rows: [Row; 20] = [
        ("page_size::ext4", Spec::overlay(EXT4), another_page_size),
        ("page_size::xfs", Spec::overlay(XFS), another_page_size),
        ("page_size::of_the_image", image(EXT4), another_page_size_of_the_image),
        ("blocks_beyond_the_end::ext4", Spec::overlay(EXT4), blocks_beyond_the_end),
        ("blocks_beyond_the_end::xfs", Spec::overlay(XFS), blocks_beyond_the_end),
        ("attributes::ext4", image(EXT4), attributes),
        ("attributes::xfs", image(XFS), attributes),
        ("hard_links_of_the_image", image(EXT4), hard_links_of_the_image),
        ("eight_at_once", image(EXT4).strict(), eight_at_once),
        ("no_signature", image(EXT4), no_signature),
        ("no_space_for_holes", Spec::overlay(EXT4), no_space_for_holes),
        ("no_space_for_a_new_file", image(EXT4), no_space_for_a_new_file),
        ("a_file_beside_it", image(EXT4), a_file_beside_it),
        ("locked_by_the_caller", image(EXT4), locked_by_the_caller),
        ("open_for_writing", image(EXT4), open_for_writing),
        ("immutable_in_the_image", image(EXT4), immutable),
        ("metacopy_and_redirects", options, metacopy_and_redirects),
        ("refused_blocks::ext4", Spec::overlay(EXT4), refused_blocks),
        ("refused_blocks::xfs", Spec::overlay(XFS), refused_blocks),
        ("copy_on_write::btrfs", Spec::overlay(BTRFS), copy_on_write),
    ];
    let test = |(name, spec, check): Row| {
        Test::new(format!("harmless::{name}"), &needs(spec.kind), move |scratch| {
            check(&Guest::boot(scratch, spec));
        })
    };
    rows.into_iter().map(test).collect()
}

/// What a file is, to the last byte, and where its blocks lie; reading it changes nothing of that.
const WHOLE: &str = r#"whole() { stat -c '%s %b %a %u %g %h %y' "$1"; md5sum <"$1"; filefrag -v "$1" | grep -c unwritten; }
"#;

/// Enables a file and insists that it was made new, and that its first page is as it was.
fn made_new(guest: &Guest, path: &str) {
    let ran = guest.sh(&format!("head -c 4096 {path} | md5sum; swapon {path}"));
    let before = ran.ok("swapon");
    let notices = guest.notices();
    assert!(notices.contains(&format!("{path} came with the image; it was made new")), "{notices}");
    assert_eq!(guest.swap_paths(), [path]);
    assert_eq!(guest.sh(&format!("swapoff {path}; head -c 4096 {path} | md5sum")).ok("swapoff"), before);
}

fn refused_and_untouched(guest: &Guest, path: &str, why: &str) {
    let script = format!(
        "{WHOLE}whole {path} >/tmp/before; swapon {path} 2>/dev/null; whole {path} | diff /tmp/before -"
    );
    guest.sh(&script).ok("the file is as it was");
    let notices = guest.notices();
    assert!(notices.contains(why), "{notices}");
    assert!(["anew", "made new", "allocated"].iter().all(|word| !notices.contains(word)), "{notices}");
    assert_eq!(guest.swaps(), "");
}

/// The kernel says EINVAL of it, and nothing that is done to its blocks changes that.
fn another_page_size(guest: &Guest) {
    for size in ["8192", "16384"] {
        guest.sh(&format!("space /s; mkswap -q -p {size} /s 2>/dev/null; truncate -s 32M /h; mkswap -q -p {size} /h 2>/dev/null")).ok("mkswap");
        for path in ["/s", "/h"] {
            refused_and_untouched(guest, path, "for another page size");
        }
        guest.sh("rm /s /h").ok("rm");
    }
}

fn another_page_size_of_the_image(guest: &Guest) {
    let script = "md5sum </d/p >/tmp/before; swapon /d/p 2>/dev/null; md5sum </d/p | diff /tmp/before -";
    guest.sh(script).ok("the file is as it was");
    let notices = guest.notices();
    assert!(notices.contains("for another page size") && !notices.contains("made new"), "{notices}");
}

/// As many blocks as the file has bytes, and half of them behind its end.
fn blocks_beyond_the_end(guest: &Guest) {
    guest.sh("truncate -s 8M /s; mkswap -q /s; fallocate -n -o 8M -l 8M /s; chmod 600 /s").ok("a file");
    assert_eq!(guest.sh("echo $(($(stat -c '%b * 512 >= %s' /s)))").ok("stat"), "1\n");
    guest.sh("swapon /s").ok("swapon");
    assert_eq!(guest.swap_paths(), ["/s"], "{}", guest.notices());
    assert!(guest.notices().contains("7.9 MiB of disk space"));
    guest.sh("swapoff /s && rm /s").ok("undo");
}

/// Everything that a file has beside its contents stays with the new one; what the directory would give every
/// new file does not come in.
fn attributes(guest: &Guest) {
    let script = "for f in /d/s /d/t; do stat -c '%s %a %u %g %h %y' $f
        python3 -c \"import os; print(sorted((name, os.getxattr('$f', name)) for name in os.listxattr('$f') if name[:8] != 'trusted.'))\"; done";
    let before = guest.sh(script).ok("attributes");
    assert!(
        before.contains("'user.mine', b'kept'") && before.matches("posix_acl_access").count() == 1,
        "{before}"
    );
    made_new(guest, "/d/s");
    made_new(guest, "/d/t");
    assert_eq!(guest.sh(script).ok("attributes"), before);
}

/// With one of them made new, they would be two files. What is behind the header is copied, so it is there.
fn hard_links_of_the_image(guest: &Guest) {
    let script =
        "md5sum </d/l >/tmp/before; swapon /d/l && swapoff /d/l && md5sum </d/l | diff /tmp/before -";
    guest.sh(script).ok("swapon");
    assert!(!guest.notices().contains("made new"));
}

/// One makes it new, and one enables it; what one says is native to the others.
fn eight_at_once(guest: &Guest) {
    let script = "head -c 4096 /d/s >/tmp/head
        for i in 1 2 3 4 5 6 7 8; do (swapon /d/s 2>/tmp/err$i; echo $? >/tmp/end$i) & done; wait
        cat /tmp/end* | sort | uniq -c | tr -s ' '; cat /tmp/err* | grep -v insecure | sort | uniq -c | tr -s ' '";
    let said = guest.sh(script).ok("eight at once");
    assert_eq!(said, " 1 0\n 7 255\n 7 swapon: /d/s: swapon failed: Device or resource busy\n");
    assert_eq!(guest.swap_paths(), ["/d/s"]);
    assert_eq!(guest.notices().matches("made new").count(), 1);
    guest
        .sh("swapoff /d/s && cmp -n 4096 /d/s /tmp/head && ! ls -A /d | grep rootfs-shim")
        .ok("the area is whole");
}

/// Whatever else it is, it is the user's.
fn no_signature(guest: &Guest) {
    let script = "truncate -s 8M /h; dd if=/dev/urandom of=/h bs=1M seek=3 count=1 conv=notrunc status=none
        fallocate -l 8M /u; : >/empty";
    guest.sh(script).ok("files");
    for path in ["/h", "/u", "/empty"] {
        refused_and_untouched(guest, path, path);
    }
    let script = "md5sum </d/u >/tmp/before; swapon /d/u 2>/dev/null; md5sum </d/u | diff /tmp/before -";
    guest.sh(script).ok("a file of the image");
    assert!(guest.notices().contains("/d/u was not enabled: it has no swap signature"));
}

fn no_space_for_holes(guest: &Guest) {
    for size in ["4G", "1T"] {
        guest.sh(&format!("truncate -s {size} /s; mkswap -q /s; chmod 600 /s")).ok("a file");
        let script =
            "stat -c '%s %b' /s >/tmp/before; head -c 65536 /s | md5sum >>/tmp/before; swapon /s 2>/dev/null
            { stat -c '%s %b' /s; head -c 65536 /s | md5sum; } | diff /tmp/before - && rm /s";
        guest.sh(script).ok("the file is as it was");
        let notices = guest.notices();
        assert!(notices.contains("No space left on device"), "{notices}");
        assert_eq!(guest.swaps(), "");
    }
}

/// Neither a new file nor a copy has room: the old one stays.
fn no_space_for_a_new_file(guest: &Guest) {
    let script = "md5sum </d/s >/tmp/before; mkdir /full; fallocate -l 2M /spare; i=0
        for size in 256 64 16 4 1; do while fallocate -l ${size}M /full/$i; do i=$((i + 1)); done; done 2>/dev/null
        rm /spare; swapon /d/s 2>/dev/null; md5sum </d/s | diff /tmp/before - && ! ls -A /d | grep rootfs-shim";
    guest.sh(script).ok("the file is as it was");
    let notices = guest.notices();
    assert!(notices.contains("No space left on device"), "{notices}");
    guest.sh("rm -r /full").ok("space");
    made_new(guest, "/d/s");
}

/// A file of the name that a new one has for a moment, and which no call of ours has left.
fn a_file_beside_it(guest: &Guest) {
    let script = "echo mine >/d/.rootfs-shim.s; swapon /d/s && swapoff /d/s; cat /d/.rootfs-shim.s";
    assert_eq!(guest.sh(script).ok("swapon"), "mine\n");
    assert!(!guest.notices().contains("made new"));
}

/// `flock /swapfile swapon /swapfile`: it must not wait for its own caller.
fn locked_by_the_caller(guest: &Guest) {
    guest.sh("flock /d/s swapon /d/s").ok("swapon");
    assert_eq!(guest.swap_paths(), ["/d/s"]);
    guest.sh("swapoff /d/s").ok("swapoff");
}

/// Who writes into a file has it copied up, and it is not made new under their hands.
fn open_for_writing(guest: &Guest) {
    let script = "exec 3<>/d/s; md5sum </d/s >/tmp/before; swapon /d/s && swapoff /d/s
        md5sum </d/s | diff /tmp/before -; printf x >&3; head -c 1 /d/s; [ /d/s -ef /proc/self/fd/3 ]";
    assert_eq!(guest.sh(script).ok("swapon"), "x");
    assert!(!guest.notices().contains("made new"));
}

fn immutable(guest: &Guest) {
    guest.sh("mk /s; chattr +i /s").ok("chattr");
    for path in ["/d/i", "/s"] {
        refused_and_untouched(guest, path, "Operation not permitted");
    }
    assert_eq!(guest.sh("chattr -i /s; rm /s; ls -A /d | grep rootfs-shim").out(), "");
}

/// A stub in the upper layer has a lower file's data; a directory's name below is another than above.
fn metacopy_and_redirects(guest: &Guest) {
    let script = "md5sum </d/s >/tmp/before; chmod 600 /d/s; swapon /d/s && swapoff /d/s && md5sum </d/s | diff /tmp/before -";
    guest.sh(script).ok("a stub");
    assert!(!guest.notices().contains("made new"));
    guest.sh("mv /e /f").ok("mv");
    made_new(guest, "/f/s");
}

/// No byte of the file changes, and it is not begun while somebody else may write.
fn refused_blocks(guest: &Guest) {
    guest.sh(REFUSES_ONCE).ok("a tool that refuses");
    let script =
        "mk /s; mk /t; md5sum </s >/tmp/before; swapon /s; exec 3<>/t; swapon /t 2>/dev/null; exec 3>&-";
    guest.sh(script).ok("swapon");
    assert_eq!(guest.swap_paths(), ["/s"]);
    let notices = guest.notices();
    assert!(
        notices.contains("/s had disk blocks that the kernel refuses; they were written anew"),
        "{notices}"
    );
    assert!(notices.contains("/t was not enabled") && !notices.contains("/t had"), "{notices}");
    let script = "swapoff /s; md5sum </s | diff /tmp/before - && filefrag -v /s | grep -c unwritten; filefrag -v /t | grep -c unwritten";
    let said = guest.sh(script).out();
    assert!(said.starts_with("0\n") && said != "0\n0\n", "{said}");
    guest.sh("swapon /t && swapoff /t && rm /s /t").ok("undo");
}

/// A file with copy-on-write is refused whatever is done to its blocks; one without gets blocks of its own.
fn copy_on_write(guest: &Guest) {
    guest.sh("truncate -s 16M /h; mkswap -q /h; chmod 600 /h").ok("a file with holes");
    refused_and_untouched(guest, "/h", "without copy-on-write");
    guest.sh("mk /a; touch /b; chattr +C /b; cp --reflink=always /a /b; chmod 600 /b").ok("a clone");
    let script =
        "md5sum </b >/tmp/before; swapon /b && swapoff /b && md5sum </b | diff /tmp/before - && cmp /a /b";
    guest.sh(script).ok("swapon");
    assert!(guest.notices().contains("/b shared disk blocks with another file; it has its own now"));
}
