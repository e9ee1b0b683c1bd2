//! docs/promises.md says which test holds which promise: here, that each of those tests is there.
//!
//! No other test's program is asked, since it may not be built: names are looked for in the sources. Where a name is
//! composed (`format!("scene::{subject}::{}")`), its parts have to be literals of the file that composes it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

/// So many promises are known; fewer mean that the tables were not read.
const LEAST: usize = 150;

fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn rust_files(folder: &str) -> Vec<PathBuf> {
    let paths = fs::read_dir(at(folder)).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// A line of a table that begins with the number of a promise.
struct Promise {
    number: String,
    /// What stands between backquotes in the last column.
    tests: Vec<String>,
    says_no_test: bool,
}

fn promises() -> Vec<Promise> {
    let page = text(&at("docs/promises.md"));
    let rows = page.lines().filter_map(|line| {
        let [_, number, .., held_by, _] = &line.split('|').collect::<Vec<_>>()[..] else { return None };
        let number = number.trim();
        let digits = number.strip_prefix(['P', 'T'])?.trim_end_matches(|c: char| c.is_ascii_lowercase());
        digits.parse::<u16>().ok()?;
        Some(Promise {
            number: number.to_owned(),
            tests: held_by.split('`').skip(1).step_by(2).map(str::to_owned).collect(),
            says_no_test: held_by.contains("**no test**"),
        })
    });
    rows.collect()
}

/// The folders of these are no part of the package for crates.io (`exclude` in Cargo.toml).
const LEFT_OUT: [&str; 2] = ["vm", "fuzz"];

/// What is wrong with a name, if anything is.
fn wrong(test: &str) -> Option<String> {
    let Some((target, name)) = test.split_once(' ') else {
        // A program that measures, named where there is no test.
        return (!at(test).exists()).then(|| "there is no such file".to_owned());
    };
    if LEFT_OUT.contains(&target) && at("Cargo.toml.orig").exists() {
        return None;
    }
    let is_there = match target {
        "lib" => is_test_function(&module_file(name), name),
        "house" => is_test_function(&at("tests/house.rs"), name),
        "pages" => is_test_function(&at("examples/pages.rs"), name),
        "plans" => at("tests/plans/cases").join(name).join("plan.expected").exists(),
        "installer" | "layers" => has_line(&format!("tests/{target}"), &format!("(\"{name}\",")),
        "builtin" => {
            let source = text(&at("tests/builtin/main.rs"));
            source.contains(&format!("Trial::test(\"{name}\","))
                || source.contains(&format!("(\"{name}\", \""))
        }
        "shim" => is_shim_test(name),
        "vm" => boots().iter().any(|boot| boot == name),
        "fuzz" => at("fuzz/targets").join(format!("{name}.rs")).exists(),
        "script" => at(name).is_file(),
        _ => return Some(format!("{target} is no target")),
    };
    (!is_there).then(|| "there is no such test".to_owned())
}

/// `swap::tag::tests::a_name` is in `src/swap/tag.rs`.
fn module_file(name: &str) -> PathBuf {
    let module = name.split("::tests::").next().unwrap().replace("::", "/");
    let file = at("src").join(format!("{module}.rs"));
    if file.exists() { file } else { at("src").join(module).join("mod.rs") }
}

/// A function of that name below `#[test]`.
fn is_test_function(file: &Path, name: &str) -> bool {
    let function = format!("fn {}(", name.rsplit("::").next().unwrap());
    let lines = fs::read_to_string(file).unwrap_or_default();
    let mut before = "";
    lines.lines().map(str::trim).any(|line| {
        let found = before == "#[test]" && line.starts_with(&function);
        before = line;
        found
    })
}

fn has_line(folder: &str, beginning: &str) -> bool {
    rust_files(folder).iter().any(|file| text(file).lines().any(|line| line.contains(beginning)))
}

/// The boots that `tests/vm/run` takes: the words of the first `case $boot in`.
fn boots() -> Vec<String> {
    let script = text(&at("tests/vm/run"));
    let words = script.split("case $boot in\n").nth(1).unwrap().split("*)").next().unwrap();
    words.split(['|', ')', ';', ' ', '\n']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Whether a name in `tests/shim/cases` can come out as this one. That each of its parts is there does not prove that they
/// belong together.
fn is_shim_test(name: &str) -> bool {
    if let ["same", pair, subject, row] = name.split("::").collect::<Vec<_>>()[..] {
        // The pair that runs every row.
        return pair == "ext4" && has_row(subject, row);
    }
    let kinds = literals(&text(&at("tests/support/guest.rs")));
    let subjects = fs::read_dir(at("tests/shim/scripts")).unwrap();
    let subjects =
        subjects.map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned());
    let shared: Vec<String> = kinds.into_iter().chain(subjects).collect();
    rust_files("tests/shim/cases").iter().any(|file| {
        let own = literals(&text(file));
        let parts: Vec<&str> = own.iter().chain(&shared).map(String::as_str).collect();
        own.iter().filter(|literal| literal.contains("::")).any(|pattern| makes(pattern, name, &parts))
    })
}

fn has_row(subject: &str, row: &str) -> bool {
    let script =
        fs::read_to_string(at("tests/shim/scripts").join(format!("{subject}.sh"))).unwrap_or_default();
    let mut heads = script.lines().filter_map(|line| line.strip_prefix("#: ")?.split(' ').next());
    heads.any(|head| head == row)
}

/// What stands between quotes and may be a test's name, or a part of one.
fn literals(source: &str) -> Vec<String> {
    let is_plain = |text: &&str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_:{}-".contains(&b));
    source.split('"').filter(is_plain).map(str::to_owned).collect()
}

/// Whether the pattern makes that name when each of its `{…}` is one of the parts, which may have such places again.
fn makes(pattern: &str, name: &str, parts: &[&str]) -> bool {
    let Some((before, rest)) = pattern.split_once('{') else { return pattern == name };
    let Some((_, after)) = rest.split_once('}') else { return false };
    let Some(left) = name.strip_prefix(before) else { return false };
    let fits = |part: &&&str| !part.starts_with('{') && left.starts_with(part.split('{').next().unwrap());
    parts.iter().filter(fits).any(|part| makes(&format!("{part}{after}"), left, parts))
}

#[test]
fn the_tables_are_read_and_each_promise_says_how_it_is_held() {
    let all = promises();
    assert!(all.len() >= LEAST, "only {} promises were read", all.len());
    for promise in &all {
        let number = &promise.number;
        assert!(
            !promise.tests.is_empty() || promise.says_no_test,
            "{number} names no test, and does not say so"
        );
        let same = all.iter().filter(|other| other.number == *number).count();
        assert_eq!(same, 1, "{number} is there {same} times");
    }
}

#[test]
fn every_named_test_is_there() {
    let mut all = Vec::new();
    for promise in promises() {
        for test in &promise.tests {
            all.extend(wrong(test).map(|why| format!("{}: `{test}`: {why}", promise.number)));
        }
    }
    assert!(all.is_empty(), "docs/promises.md\n{}", all.join("\n"));
}
