//! Fixture worlds: a folder is a test.
//!
//! `tests/plans/cases/NN-name/` holds a call (`argv`, one argument a line), the machine (`swaps`, `facts.toml`: what
//! opening the paths showed, `config.toml`, and `mountinfo` where it is not the one beside this file) and the plan as
//! text (`plan.expected`). With `BLESS=1` the expectations are written anew, to be read in the diff. The README here
//! says what `facts.toml` can have.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a fixture that cannot be read has to end the test"
)]

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use libtest_mimic::{Arguments, Failed, Trial};
use nix::errno::Errno;
use rootfs_shim::Config;
use rootfs_shim::internals::command::{Maker, Real, Tool};
use rootfs_shim::internals::facts::{
    AreaHeader, AtBackingPath, Backing, FileFacts, FileId, Listed, Location, MountId, Mounts, Operand,
    Sighted, Thing, What, World, fstab,
};
use rootfs_shim::internals::swap::{Tag, active};
use rootfs_shim::internals::{Invocation, octal, plan};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Facts {
    root: Option<u64>,
    upper: Option<u64>,
    #[serde(default)]
    forbidden: bool,
    #[serde(default)]
    busybox: bool,
    #[serde(default)]
    operand: Vec<OperandFacts>,
    #[serde(default)]
    active: Vec<OperandFacts>,
    #[serde(default)]
    fstab: Vec<ListedFacts>,
    #[serde(default)]
    remembered: Vec<OperandFacts>,
    #[serde(default)]
    on_devices: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListedFacts {
    line: String,
    operand: OperandFacts,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OperandFacts {
    given: String,
    what: String,
    path: Option<String>,
    mount: Option<u64>,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    holes: u64,
    signature: Option<bool>,
    twin: Option<String>,
    #[serde(default)]
    unwritable: bool,
    #[serde(default)]
    label: String,
}

fn main() {
    let mut folders: Vec<_> =
        fs::read_dir("tests/plans/cases").unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(folders.len() >= 20, "the fixture worlds are not here");
    let trial = |folder: PathBuf| {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        Trial::test(name, move || check(&folder))
    };
    libtest_mimic::run(&Arguments::from_args(), folders.into_iter().map(trial).collect()).exit();
}

fn check(folder: &Path) -> Result<(), Failed> {
    let read = |name: &str| fs::read(folder.join(name)).unwrap_or_default();
    let argv: Vec<OsString> =
        read("argv").split(|&b| b == b'\n').filter(|line| !line.is_empty()).map(decoded).collect();
    let facts: Facts = toml::from_str(str::from_utf8(&read("facts.toml"))?)?;
    let config = Config::parse(&read("config.toml"))?;
    let tool = Tool::named(&argv[0]).ok_or("argv[0] is no tool")?;
    let kind = if facts.busybox { Maker::Busybox } else { Maker::UtilLinux };
    let real = Real { kind, ..Real::builtin() };
    let invocation = Invocation { argv, ..Invocation::default() };
    let call = plan::ShimCall::read(tool, &real, &invocation).ok_or("no flavour")?;
    let own_mounts = folder.join("mountinfo");
    let mountinfo = if own_mounts.exists() { own_mounts } else { PathBuf::from("tests/plans/mountinfo") };
    let world = world(facts, &fs::read(mountinfo)?, &read("swaps"));
    let shown = plan::plan(&plan::ShimCall { config, ..call }, &world).to_string();
    let expected = folder.join("plan.expected");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&expected, &shown)?;
    }
    let wanted = fs::read_to_string(&expected)?;
    if shown == wanted {
        Ok(())
    } else {
        Err(format!("the plan is\n{shown}\nbut {expected:?} says\n{wanted}").into())
    }
}

fn world(facts: Facts, mountinfo: &[u8], text: &[u8]) -> World {
    let on_devices = facts.on_devices.iter().filter_map(|tag| Tag::parse(tag.as_ref())).collect();
    let sighted = Sighted {
        fstab: facts
            .fstab
            .into_iter()
            .map(|listed| Listed {
                entry: fstab::parse(
                    listed.line.as_bytes(),
                    rootfs_shim::internals::swap::fstab::Reader::Libmount,
                )
                .0
                .remove(0),
                operand: operand(listed.operand),
            })
            .collect(),
        root: facts.root.map(MountId),
        upper: facts.upper.map(MountId),
        operands: facts.operand.into_iter().map(operand).collect(),
        active: facts.active.into_iter().map(operand).collect(),
        remembered: facts.remembered.into_iter().map(operand).collect(),
    };
    let mounts = Mounts::parse_all(mountinfo);
    let mut world = World::assemble(sighted, Path::new("/.rootfs-shim/upper"), mounts, active::parse(text));
    world.on_devices = on_devices;
    if facts.forbidden {
        world.backing = Backing::Forbidden;
    }
    world
}

fn operand(facts: OperandFacts) -> Operand {
    let location = facts.mount.map(|mount| Location {
        mount: MountId(mount),
        unique: None,
        path: decoded(facts.path.as_deref().unwrap_or(&facts.given).as_bytes()).into(),
    });
    let what = match (facts.what.as_str(), location) {
        ("tag", _) => What::Tag,
        ("missing", parent) => What::Missing { errno: Errno::ENOENT, parent, path: None },
        ("file", Some(location)) => What::File(FileFacts {
            size: facts.size,
            links: 1,
            id: FileId::numbered(
                0,
                location
                    .path
                    .as_os_str()
                    .as_bytes()
                    .iter()
                    .fold(7, |sum, byte| (sum * 31 + u64::from(*byte)) % 1_000_003),
            ),
            location,
            no_cow: true,
            unwritable: facts.unwritable,
            filesystem: None,
            holes: facts.holes,
            active: false,
            header: match facts.signature {
                None => AreaHeader::Unread,
                Some(false) => AreaHeader::Missing,
                Some(true) => AreaHeader::Swap {
                    label: facts.label.clone().into_bytes(),
                    uuid: [0x11; 16],
                    bytes: facts.size,
                    usable: true,
                },
            },
            at_backing_path: facts.twin.as_deref().map(|twin| match twin {
                "file" => AtBackingPath::File,
                "nothing" => AtBackingPath::Nothing,
                _ => AtBackingPath::Other,
            }),
        }),
        ("block device", _) => What::NotAFile(Thing {
            kind: "block device",
            path: Some(facts.given.clone().into()),
            header: AreaHeader::Unread,
        }),
        (other, _) => panic!("{other}"),
    };
    Operand { given: decoded(facts.given.as_bytes()), what }
}

/// Fixtures write odd bytes as the kernel does.
fn decoded(text: &[u8]) -> OsString {
    OsString::from_vec(octal::decode(text))
}
