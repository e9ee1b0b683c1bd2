//! More of the table: what dpkg's locks and lists may be, and what is no root at all.

use crate::image_table::{Image, Site};
use crate::image_table_rows::{OTHERS, REFUSE, SBIN, dpkg, image, odd};

/// dpkg's lists as `build` makes them, in their directory.
fn lists(site: &Site, count: u32, content: &[u8]) {
    dpkg(site);
    site.file("var/lib/dpkg/info/0.list", content);
    (1..count)
        .for_each(|n| site.hard_link("var/lib/dpkg/info/0.list", &format!("var/lib/dpkg/info/{n}.list")));
}

pub const MORE: &[Image] = &[
    image("dpkg's lock is a pipe", SBIN, "dpkg is not told", |s| {
        dpkg(s);
        s.pipe("var/lib/dpkg/lock");
    }),
    image("dpkg's lock leads to the host", SBIN, "dpkg is not told", |s| {
        dpkg(s);
        s.link("var/lib/dpkg/lock", "HOST/dpkg/diversions");
    }),
    image("dpkg's lock is a device", SBIN, "dpkg is not told", |s| {
        dpkg(s);
        s.device("var/lib/dpkg/lock", "c");
    }),
    image("apt's lock is a directory", SBIN, "dpkg is not told", |s| {
        dpkg(s);
        s.directory("var/lib/dpkg/lock-frontend/lock");
    }),
    image("apt's lock leads to a pipe", SBIN, "dpkg is not told", |s| {
        dpkg(s);
        s.pipe("var/lib/dpkg/pipe");
        s.link("var/lib/dpkg/lock-frontend", "pipe");
    }),
    image("apt's lock is a socket", SBIN, "dpkg is not told", |s| {
        dpkg(s);
        s.socket("var/lib/dpkg/lock-frontend");
    }),
    image("apt's lock is a tebibyte that nobody may read", SBIN, "", |s| {
        dpkg(s);
        s.sparse("var/lib/dpkg/lock-frontend", 1 << 40);
        s.mode("var/lib/dpkg/lock-frontend", 0);
    }),
    image("dpkg-divert writes to the host", SBIN, "", |s| {
        dpkg(s);
        s.file("var/lib/dpkg/lock", b"");
        s.tool("usr/bin/dpkg-divert", &format!("#!/bin/sh\n: >{}/owned\n", s.host.to_str().unwrap()));
    }),
    image("thousands of lists are one large file", SBIN, "", |s| {
        lists(s, 1000, &b"/sbin/swapon\n".repeat((4 << 20) / 13));
    }),
    image("a list has no end of line", SBIN, "", |s| lists(s, 1, &b"/sbin/swapon".repeat(300_000))),
    image("every path of a list is another spelling", SBIN, "", |s| {
        lists(
            s,
            1,
            &b"/sbin/swapon\n//sbin/swapon\n/./sbin/mkswap\n/sbin/../sbin/mkswap\n\xff\n".repeat(50_000),
        );
    }),
    image("swapon leads to a text", OTHERS, "a file that is not executable", |s| {
        odd(s);
        s.file("etc/text", b"#!/bin/sh\n");
        s.link("sbin/swapon", "/etc/text");
    }),
    image("a usr directory", REFUSE, "looks like a usr directory", |s| {
        s.tools("sbin");
        s.directory("share");
    }),
    image("a directory without any tool", REFUSE, "has no swapon", |s| s.directory("etc")),
];
