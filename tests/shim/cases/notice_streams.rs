//! Where notices go, and where they must not: with real descriptors of a real caller.

use crate::support::Test;
use crate::support::guest::{Guest, KINDS, Spec, needs};

/// A console that is the caller's own stdout is none.
pub fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    for (name, config) in [
        ("dev_stdout", "[console]\npath = \"/dev/stdout\"\nlevel = \"debug\"\n"),
        ("proc_self_fd_1", "[console]\npath = \"/proc/self/fd/1\"\n"),
        ("dev_stderr", "[console]\npath = \"/dev/stderr\"\n"),
        ("the_file_that_stdout_is_sent_to", "[console]\npath = \"/w/out\"\n"),
    ] {
        tests.push(Test::new(format!("notices::never_on_{name}"), &needs(KINDS[0]), move |scratch| {
            let guest = Guest::boot(scratch, Spec { config, ..Spec::overlay(KINDS[0]) });
            let ran = guest.sh("mk /a; mk /b; swapon /a; swapon /b >out; cat out");
            assert_eq!((ran.status, ran.out(), ran.err()), (0, String::new(), String::new()));
            assert_eq!(guest.swap_paths(), ["/a", "/b"]);
        }));
    }
    tests
}
