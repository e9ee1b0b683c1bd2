//! Turns `shims/*.toml` into the static tables of `src/command/tables.rs`.
//!
//! The data is read when the crate is built, so that a shim parses nothing at run time; a mistake in a file
//! stops the build with the file's name.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shim {
    command: String,
    purpose: String,
    operands: String,
    directories: Vec<String>,
    flavour: Vec<Flavour>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Flavour {
    name: String,
    usage_status: i32,
    failure_status: i32,
    #[serde(default)]
    long_prefixes: bool,
    most_operands: Option<usize>,
    options: Vec<Opt>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Opt {
    short: Option<char>,
    long: Option<String>,
    #[serde(default)]
    value: String,
    long_value: Option<String>,
    since: Option<String>,
    #[serde(default)]
    effect: String,
    expects: Option<Expects>,
    needs: Option<String>,
    #[serde(default)]
    excludes: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Expects {
    Kind(String),
    OneOf(Vec<String>),
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=shims");
    leave_out_unwinding()?;
    stay_where_linked();
    fold_what_is_alike()?;
    begin_early()?;
    let mut files: Vec<PathBuf> =
        fs::read_dir("shims")?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    let mut out =
        String::from("/// Every command that we stand in for, by name.\npub static TOOLS: &[Tool] = &[\n");
    let mut informing = String::new();
    for file in &files {
        let shim: Shim = toml::from_str(&fs::read_to_string(file)?)
            .map_err(|error| format!("{}: {error}", file.display()))?;
        tool(&mut out, file, &shim)?;
        informing += &words_that_inform(&shim);
    }
    out.push_str("];\n");
    let dir = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(dir.join("tables.rs"), out)?;
    let length = informing.len();
    fs::write(dir.join("informing.rs"), format!("static INFORMING: [u8; {length}] = *b{informing:?};\n"))?;
    Ok(())
}

/// For `src/early.rs`: a tool's name and its options that make it print something and do nothing.
fn words_that_inform(shim: &Shim) -> String {
    let options = shim.flavour.iter().take(1).flat_map(|flavour| &flavour.options);
    let words = options.filter(|option| option.effect == "inform").flat_map(|option| {
        let short = option.short.map(|short| format!("-{short}\0"));
        [short, option.long.as_ref().map(|long| format!("--{long}\0"))].into_iter().flatten()
    });
    format!("{}\0{}\0", shim.command, words.collect::<String>())
}

/// The program begins in `src/early.rs`, which knows the system calls of this architecture.
fn begin_early() -> Result<(), Box<dyn Error>> {
    if env::var("TARGET")? == "x86_64-unknown-linux-gnu" {
        println!("cargo::rustc-link-arg-bins=-Wl,-e,rootfs_shim_entry");
    }
    Ok(())
}

/// The program is loaded at every call of swapon. Without relocations to apply, its own part of a call is 45,000
/// instructions in place of 79,000, and the kernel copies a dozen pages less: a tenth of the time. The stack, the
/// heap and all mappings are still at random addresses. (`src/early.rs` runs before any relocation.)
fn stay_where_linked() {
    println!("cargo::rustc-link-arg-bins=-static");
    println!("cargo::rustc-link-arg-bins=-no-pie");
}

/// Functions with the same code are one: a fortieth of the file. Only LLD can do it, which is rustc's own linker on
/// this target since 1.90; nothing here compares the addresses of functions. -O2 does the same for C's strings.
fn fold_what_is_alike() -> Result<(), Box<dyn Error>> {
    let own_linker = env::var("TARGET")? == "x86_64-unknown-linux-gnu";
    if env::var("PROFILE")? == "release" && own_linker {
        println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
        println!("cargo::rustc-link-arg-bins=-Wl,-O2");
    }
    Ok(())
}

/// Only for the release profile, whose panics abort; the tests' panics unwind.
fn leave_out_unwinding() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=src/no-unwind.ld");
    if env::var("PROFILE")? == "release" {
        let script = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("src/no-unwind.ld");
        println!("cargo::rustc-link-arg-bins=-Wl,--no-eh-frame-hdr");
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{}", script.display());
    }
    Ok(())
}

fn tool(out: &mut String, file: &Path, shim: &Shim) -> Result<(), Box<dyn Error>> {
    if file.file_stem().and_then(|stem| stem.to_str()) != Some(&shim.command) {
        return Err(format!("{}: is about {}", file.display(), shim.command).into());
    }
    if shim.flavour.is_empty() {
        return Err(format!("{}: has no flavour", file.display()).into());
    }
    let purpose = word(file, &shim.purpose, &["enable", "disable", "format"])?;
    let operands = word(file, &shim.operands, &["files", "file-and-size"])?;
    writeln!(
        out,
        "Tool {{ name: {:?}, purpose: Purpose::{purpose}, operands: Operands::{operands},",
        shim.command
    )?;
    writeln!(out, "  directories: &{:?}, flavours: &[", shim.directories)?;
    for flavour in &shim.flavour {
        let kind = word(file, &flavour.name, &["util-linux", "busybox", "toybox"])?;
        writeln!(
            out,
            "  Flavour {{ kind: Maker::{kind}, usage_status: {}, failure_status: {}, long_prefixes: {}, \
             most_operands: {:?}, options: &[",
            flavour.usage_status, flavour.failure_status, flavour.long_prefixes, flavour.most_operands
        )?;
        for option in &flavour.options {
            opt(out, file, option)?;
        }
        writeln!(out, "  ] }},")?;
    }
    writeln!(out, "] }},")?;
    Ok(())
}

fn opt(out: &mut String, file: &Path, option: &Opt) -> Result<(), Box<dyn Error>> {
    let value = word(file, or(&option.value, "none"), &["none", "optional", "required"])?;
    let long_value = option.long_value.as_deref().unwrap_or(or(&option.value, "none"));
    let long_value = word(file, long_value, &["none", "optional", "required"])?;
    let effect = word(
        file,
        or(&option.effect, "plain"),
        &[
            "plain",
            "inform",
            "all",
            "tag",
            "create",
            "fstab",
            "fstab-options",
            "if-exists",
            "fix-page-size",
            "lock",
            "verbose",
        ],
    )?;
    let expects = match &option.expects {
        None => "Expects::Anything".to_owned(),
        Some(Expects::Kind(kind)) => format!("Expects::{}", word(file, kind, &["int16"])?),
        Some(Expects::OneOf(words)) => format!("Expects::OneOf(&{words:?})"),
    };
    let short = option.short.map(|short| format!("b{short:?}"));
    writeln!(
        out,
        "    Opt {{ short: {}, long: {:?}, value: Value::{value}, long_value: Value::{long_value}, \
         expects: {expects}, effect: Effect::{effect}, is_new: {}, needs: {:?}, excludes: &{:?} }},",
        short.map_or("None".to_owned(), |short| format!("Some({short})")),
        option.long.as_deref(),
        option.since.is_some(),
        option.needs.as_deref(),
        option.excludes,
    )?;
    Ok(())
}

/// A word of the data as a Rust variant: `util-linux` is `UtilLinux`.
fn word(file: &Path, word: &str, known: &[&str]) -> Result<String, Box<dyn Error>> {
    if !known.contains(&word) {
        return Err(format!("{}: {word:?} is none of {known:?}", file.display()).into());
    }
    let mut variant = String::new();
    for part in word.split('-') {
        let (head, tail) = part.split_at(1);
        variant += &head.to_uppercase();
        variant += tail;
    }
    Ok(variant)
}

fn or<'a>(word: &'a str, otherwise: &'a str) -> &'a str {
    if word.is_empty() { otherwise } else { word }
}
