//! Rules of the source that no lint can say by itself.

#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

use std::fs;
use std::path::Path;

/// Every Rust file below a directory.
fn sources(dir: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push((path.to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap()));
        }
    }
}

/// clippy's `disallowed_methods` says so as well, but a module that may use std::fs is free of that lint.
#[test]
fn a_lossy_path_is_another_path() {
    let mut all = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut all);
    assert!(all.len() > 30, "only {} files", all.len());
    for (path, text) in all {
        for lossy in ["to_string_lossy", ".display()"] {
            assert!(!text.contains(lossy), "{path} uses {lossy}: use text::path for people");
        }
    }
}

/// The installer reaches an image through src/untrusted/ only; the exceptions are single functions.
#[test]
fn no_module_of_the_installer_is_free_of_the_lint() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let modules = [
        "cli/install.rs",
        "installer/mod.rs",
        "installer/manifest.rs",
        "installer/execute/transaction.rs",
        "installer/execute/mod.rs",
        "installer/execute/diversions.rs",
        "installer/execute/undo.rs",
        "installer/plan/diversions.rs",
        "installer/plan/install.rs",
        "installer/plan/tool_name.rs",
        "installer/plan/uninstall.rs",
        "installer/image/dpkg.rs",
        "installer/image/mod.rs",
        "installer/image/root_mount.rs",
        "installer/image/link.rs",
        "installer/image/guest.rs",
    ];
    for module in modules {
        let text = fs::read_to_string(root.join(module)).unwrap();
        let free = text.lines().any(|line| line.starts_with("#![") && line.contains("disallowed_methods"));
        assert!(!free, "{module} is free of disallowed_methods as a whole");
    }
    let text = fs::read_to_string(root.join("lib.rs")).unwrap();
    assert!(text.contains("#![deny(clippy::disallowed_methods)]"));
}
