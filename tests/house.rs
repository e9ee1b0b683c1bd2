//! Rules of the source that no lint can say by itself: the order of the rooms, the wall round the installer, and one
//! meaning for a name.
//!
//! A room is a folder or a file directly below `src/`. A `use` may point from a room to one that lies further down in
//! [`ORDER`], or stay in its room; so a reader never needs what is above, and there can be no circle of rooms.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test ends by panicking, and gives advice by printing"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The rooms from the top to the ground; ARCHITECTURE.md says what each is for. `lib` is the map: it names every room,
/// and its hidden `internals` hand the program its two beginnings.
const ORDER: &[&[&str]] = &[
    &["main", "early"],
    &["cli"],
    &["status", "layers", "shim"],
    &["installer", "builtin"],
    &["invocation"],
    &["command", "backing"],
    &["swap", "notice"],
    &["untrusted", "kernel", "config"],
    &["error"],
    &["text", "paths", "octal", "sys"],
];

/// Past this many lines a file deserves the question whether it is one subject. Advice, no rule.
const LONG: usize = 400;

/// A source file below `src/`.
struct Source {
    /// Relative to `src/`.
    path: String,
    /// Without comments and without its unit tests, which may use what they like.
    code: String,
    /// As it is.
    text: String,
}

impl Source {
    /// The folder or file directly below `src/`.
    fn room(&self) -> &str {
        self.path.split(['/', '.']).next().unwrap()
    }

    /// The path of its module, without `crate`.
    fn module(&self) -> Vec<&str> {
        let path = self.path.trim_end_matches(".rs").trim_end_matches("/mod");
        if path == "lib" { Vec::new() } else { path.split('/').collect() }
    }

    /// The modules and items of this crate that it names. The crate's root itself is the empty path.
    fn names(&self) -> BTreeSet<Vec<String>> {
        let own: Vec<String> = self.module().into_iter().map(str::to_owned).collect();
        let children = self.children();
        let mut found = BTreeSet::new();
        for (at, word) in words(&self.code) {
            let rest = &self.code[at + word.len()..];
            let from = match word {
                "crate" => Some(&[][..]),
                "self" => Some(&own[..]),
                "super" => Some(parent(&own)),
                // A module of its own, by its name alone.
                child if children.contains(child) => Some(&own[..]),
                _ => None,
            };
            let Some(mut from) = from else { continue };
            if let ("crate" | "super", true) = (word, rest.starts_with(" as ")) {
                found.insert(from.to_vec());
            }
            let Some(mut rest) = rest.strip_prefix("::") else { continue };
            while let Some(further) = rest.strip_prefix("super::") {
                (rest, from) = (further, parent(from));
            }
            let child = (!matches!(word, "crate" | "self" | "super")).then(|| word.to_owned());
            expand(rest, &[from, child.as_slice()].concat(), &mut found);
        }
        found
    }

    /// Its modules that are files of their own.
    fn children(&self) -> BTreeSet<&str> {
        let lines = self.code.lines().filter_map(|line| line.trim_end().strip_suffix(';'));
        lines.filter_map(|line| line.strip_prefix("mod ").or(Some(line.split_once(" mod ")?.1))).collect()
    }
}

fn parent(module: &[String]) -> &[String] {
    module.split_last().map_or(&[], |(_, above)| above)
}

/// The words at which a path can begin, with their places.
fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let mut at = 0;
    std::iter::from_fn(move || {
        at += code[at..].find(is_part)?;
        let begin = at;
        at += code[at..].find(|c| !is_part(c)).unwrap_or(code.len() - at);
        Some((begin, &code[begin..at]))
    })
    .filter(|(at, _)| !code[..*at].ends_with("::"))
}

/// Reads `a::b::{c, d::e}` at the beginning of `rest` into the paths that it stands for; gives how much it read.
fn expand(rest: &str, above: &[String], found: &mut BTreeSet<Vec<String>>) -> usize {
    let mut path = above.to_vec();
    let mut at = 0;
    loop {
        let here = &rest[at..];
        if here.starts_with('{') {
            at += 1;
            while !rest[at..].starts_with('}') {
                at += rest[at..].len() - rest[at..].trim_start_matches([',', ' ', '\n']).len();
                if rest[at..].starts_with('}') {
                    break;
                }
                let read = expand(&rest[at..], &path, found);
                assert!(read > 0, "cannot read the use at {:?}", &rest[at..rest.len().min(at + 40)]);
                at += read;
            }
            return at + 1;
        }
        let end = here.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '*')).unwrap_or(here.len());
        path.push(here[..end].to_owned());
        at += end;
        match rest[at..].strip_prefix("::") {
            Some(more) if more.starts_with(|c: char| c.is_alphanumeric() || "_*{".contains(c)) => at += 2,
            _ => break,
        }
    }
    if let Some(alias) = rest[at..].strip_prefix(" as ") {
        let end = alias.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(alias.len());
        at += " as ".len() + end;
    }
    path.retain(|part| part != "self");
    found.insert(path);
    at
}

/// Every Rust file below `src/`.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut all = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                all.push(Source { code: code_of(&text), path, text });
            }
        }
    }
    all.retain(|source| !source.path.ends_with("_tests.rs"));
    assert!(all.len() > 30, "only {} files", all.len());
    all.sort_by(|one, other| one.path.cmp(&other.path));
    all
}

fn code_of(text: &str) -> String {
    const TESTS: &str = "#[cfg(test)]\nmod tests {";
    // rustfmt lets the block end with the first brace at the beginning of a line.
    let own = text.split(TESTS).enumerate().map(|(at, part)| match at {
        0 => part,
        _ => part.split_once("\n}\n").unwrap().1,
    });
    let own: String = own.collect();
    // A comment stands behind a space; the slashes of an address do not.
    let line = |line: &str| match line.trim_start().starts_with("//") {
        true => "\n".to_owned(),
        false => line.split(" //").next().unwrap().to_owned() + "\n",
    };
    own.lines().map(line).collect()
}

fn height(room: &str) -> Option<usize> {
    ORDER.iter().position(|rooms| rooms.contains(&room))
}

/// clippy's `disallowed_methods` says so as well, but a module that may use std::fs is free of that lint.
#[test]
fn a_lossy_path_is_another_path() {
    for source in sources() {
        for lossy in ["to_string_lossy", ".display()"] {
            assert!(!source.text.contains(lossy), "{} uses {lossy}: use text::path for people", source.path);
        }
    }
}

#[test]
fn a_use_points_down() {
    let all = sources();
    let mut up = Vec::new();
    for source in all.iter().filter(|source| source.room() != "lib") {
        let from = source.room();
        let own = height(from).unwrap_or_else(|| panic!("{}: the room {from} is not in ORDER", source.path));
        for path in source.names() {
            let to = path.first().map_or("", String::as_str);
            match height(to) {
                Some(other) if from != to && other <= own => {
                    up.push(format!(
                        "{from} uses {to}, which is not below it: src/{} names {}",
                        source.path,
                        path.join("::")
                    ));
                }
                // main.rs is a crate of its own, and the library is open to it.
                None if from != "main" => {
                    up.push(format!(
                        "{from} uses the crate's root: src/{} names {}",
                        source.path,
                        path.join("::")
                    ));
                }
                _ => {}
            }
        }
    }
    assert!(up.is_empty(), "\n{}", up.join("\n"));
}

/// What the other tests do not read is nowhere in the source.
#[test]
fn the_source_is_all_in_its_files() {
    for source in sources() {
        for (hidden, allowed) in
            [("#[path = ", "_tests.rs\"]"), ("include!(", "OUT_DIR"), ("extern crate", "-")]
        {
            let mut lines = source.code.lines().filter(|line| line.contains(hidden));
            let line = lines.find(|line| !line.contains(allowed));
            assert!(line.is_none(), "src/{}: {}", source.path, line.unwrap_or_default());
        }
    }
}

/// A word means one thing: whoever meets a type's name in one room knows it in the next.
#[test]
fn a_type_name_means_one_thing() {
    // Every subcommand has its arguments, each builtin what it is asked for, and the errors of sys/ are bare errnos.
    const ONE_MEANING: [&str; 3] = ["Args", "Ask", "Result"];
    let all = sources();
    let mut defined: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for source in &all {
        for line in source.code.lines() {
            let words: Vec<&str> =
                line.split_whitespace().skip_while(|word| word.starts_with("pub")).collect();
            let [kind, name, ..] = words[..] else { continue };
            // An associated type is indented, and its trait names it.
            if ["struct", "enum", "trait", "union"].contains(&kind)
                || (kind == "type" && !line.starts_with(' '))
            {
                let name = name.split(|c: char| !c.is_alphanumeric()).next().unwrap();
                defined.entry(name).or_default().push(&source.path);
            }
        }
    }
    defined.retain(|name, files| files.len() > 1 && !ONE_MEANING.contains(name));
    assert!(defined.is_empty(), "types of one name: {defined:#?}");
}

/// Two files that need each other are one subject or have a third in common.
#[test]
fn no_files_go_in_a_circle() {
    let all = sources();
    let files: BTreeMap<Vec<&str>, usize> =
        all.iter().enumerate().map(|(at, source)| (source.module(), at)).collect();
    let file_of = |path: &Vec<String>| {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        (1..=path.len()).rev().find_map(|length| files.get(&path[..length]).copied())
    };
    let uses: Vec<BTreeSet<usize>> = all
        .iter()
        .enumerate()
        .map(|(at, source)| source.names().iter().filter_map(file_of).filter(|other| *other != at).collect())
        .collect();
    let reaches = |from: usize| {
        let mut seen = BTreeSet::new();
        let mut next: Vec<usize> = uses[from].iter().copied().collect();
        while let Some(at) = next.pop() {
            if seen.insert(at) {
                next.extend(&uses[at]);
            }
        }
        seen
    };
    let from_each: Vec<BTreeSet<usize>> = (0..all.len()).map(reaches).collect();
    let mut circles = BTreeSet::new();
    for at in (0..all.len()).filter(|at| from_each[*at].contains(at)) {
        let circle: Vec<&str> = (0..all.len())
            .filter(|other| from_each[at].contains(other) && from_each[*other].contains(&at))
            .map(|other| all[other].path.as_str())
            .collect();
        circles.insert(circle.join(" ↔ "));
    }
    assert!(circles.is_empty(), "\n{}", circles.into_iter().collect::<Vec<_>>().join("\n"));
}

/// An image is a stranger's: below installer/, no path is touched but through untrusted/, and nobody is excepted.
#[test]
fn the_installer_touches_no_path_by_itself() {
    // clippy knows every call that takes a path (clippy.toml) and is denied for the whole crate; so what counts is that
    // nothing here is excepted from it.
    let forbidden = [
        "disallowed_methods",
        "clippy::all",
        "clippy::style",
        // What of ours takes a path of the running system.
        "places::",
        "devices::",
        "xattr",
        "Program::new",
        "sys::swapon",
        "sys::swapoff",
        "File::open",
        "File::create",
        "fs::read",
        "fs::write",
        "nix::mount",
        "nix::dir",
    ];
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| source.room() == "installer") {
        for word in forbidden.iter().filter(|word| source.code.contains(**word)) {
            found.push(format!(
                "src/{} says {word}: a path in an image goes through src/untrusted/",
                source.path
            ));
        }
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(
        fs::read_to_string(root.join("src/lib.rs")).unwrap().contains("#![deny(clippy::disallowed_methods)]")
    );
}

/// Advice, which never fails: a long file may be two subjects.
#[test]
fn long_files_are_named() {
    for source in sources() {
        let lines = source.text.lines().count();
        if lines > LONG {
            eprintln!("src/{} has {lines} lines: is it one subject?", source.path);
        }
    }
}
