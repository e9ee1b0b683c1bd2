//! dpkg's own record of an image: whether there is one, and which files it was told to put elsewhere.
//!
//! `var/lib/dpkg/diversions` has three lines for each diversion: the path as packages spell it, where the file
//! goes instead, and the package that is exempt (`:` for none). dpkg refuses to work at all with a file that
//! it cannot read, so one that makes no sense to us is never written.

use std::collections::BTreeSet;
use std::path::Path;

use crate::command::tables::{TOOLS, Tool};
use crate::error::{Error, Kind, Result};
use crate::installer::names::{REAL, TEMPORARY, temporary};
use crate::untrusted::inode::{FileKind, Inode, InodeId};
use crate::untrusted::{Dir, IN_OTHER_MOUNT, Root};

/// The directory where dpkg keeps its records.
pub const ADMIN: &str = "var/lib/dpkg";
/// The list of the diversions, in that directory.
pub const DIVERSIONS: &str = "diversions";
/// The program that keeps that list.
pub const TOOL: &str = "usr/bin/dpkg-divert";
/// What stands for the package in a diversion that an administrator made.
pub const LOCAL: &[u8] = b":";
/// What dpkg and apt lock, in the order in which they do: apt the first, dpkg both.
pub const LOCKS: [&str; 2] = ["lock-frontend", "lock"];
/// The lists of the packages that have the tools.
const USUAL: [&str; 3] = ["mount.list", "util-linux.list", "util-linux-extra.list"];
/// A list larger than this is not read, in bytes; the longest in the wild have 2 MB.
pub const CAP: u64 = 4 << 20;
/// No more than this is read of all lists together; a desktop with five thousand packages has 60 MB.
const BUDGET: u64 = 128 << 20;

/// What dpkg knows of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dpkg {
    /// The list as it is; `None` if there is none.
    pub list: Option<Vec<u8>>,
    /// chattr(1) flags of the directory.
    pub flags: u32,
    /// Whether dpkg's own tool is there.
    pub has_tool: bool,
    /// The names of ours that packages have, as they spell them: `/sbin/swapon`.
    pub listed: Vec<String>,
    /// Temporary names of a run of ours that did not end.
    pub leftovers: Vec<String>,
}

/// A diversion: bytes, because the list is the image's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Diversion<'a> {
    /// The path, as a package spells it.
    pub path: &'a [u8],
    /// Where its file goes instead.
    pub to: &'a [u8],
    /// Whose files go to the path nevertheless.
    pub package: &'a [u8],
}

/// Every diversion of a list; `None` if dpkg could not read it either.
pub fn parse(list: &[u8]) -> Option<Vec<Diversion<'_>>> {
    let mut lines = list.split_inclusive(|byte| *byte == b'\n');
    let mut found = Vec::new();
    while let Some(path) = lines.next() {
        let [path, to, package] = [Some(path), lines.next(), lines.next()].map(|line| {
            let line = line?.strip_suffix(b"\n")?;
            (!line.is_empty() && !line.contains(&0)).then_some(line)
        });
        found.push(Diversion { path: path?, to: to?, package: package? });
    }
    Some(found)
}

/// Gathers what dpkg knows of an image, if it is one of dpkg's; its directory is open from then on. `tokens` are what runs of ours that
/// did not end had in their temporary names.
///
/// # Errors
/// Whatever keeps us from the list: not a plain file, too large, not to be understood, in another mount.
pub fn gather(root: &Root, tokens: &[String]) -> Result<Option<(Dir, Dpkg)>> {
    let Some(dir) = root.directory(Path::new(ADMIN))? else { return Ok(None) };
    let Some(info) = dir.subdirectory("info")? else { return Ok(None) };
    for dir in [&dir, &info] {
        if dir.is_in_other_mount()? {
            return Err(Error::new(Kind::State, "use", IN_OTHER_MOUNT).at(dir.shown("")));
        }
    }
    for name in LOCKS {
        if let Some(found) = dir.find(name)?
            && (found.inode.kind != FileKind::Regular || found.is_in_other_mount()?)
        {
            let reason = "it is not a regular file on the root's own mount";
            return Err(Error::new(Kind::State, "lock", reason).at(dir.shown(name)));
        }
    }
    let list = dir.read(DIVERSIONS, CAP)?;
    if list.as_deref().is_some_and(|list| parse(list).is_none()) {
        let reason = "it is not a list of diversions that dpkg could read";
        return Err(Error::new(Kind::Invalid, "read", reason).at(dir.shown(DIVERSIONS)));
    }
    let runs = |inode: Inode| inode.kind == FileKind::Regular && inode.mode & 0o111 != 0;
    let has_tool = root.find(Path::new(TOOL))?.is_some_and(|found| runs(found.inode));
    let mut leftovers = Vec::new();
    for name in tokens.iter().flat_map(|token| TEMPORARY.map(|end| temporary(DIVERSIONS, token, end))) {
        if dir.inode_at(&name)?.is_some_and(|inode| inode.kind == FileKind::Regular) {
            leftovers.push(format!("{ADMIN}/{name}"));
        }
    }
    let (flags, listed) = (dir.flags(), listed(&info)?);
    Ok(Some((dir, Dpkg { list, flags, has_tool, listed, leftovers })))
}

/// Our names in the packages' lists of files. Those of util-linux come first, and nearly always suffice.
fn listed(info: &Dir) -> Result<Vec<String>> {
    let mut lists = Lists::default();
    USUAL.iter().try_for_each(|package| lists.read(info, package))?;
    let has = |tool: &Tool| lists.found.iter().any(|path| path.rsplit('/').next() == Some(tool.name));
    if !TOOLS.iter().all(has) {
        let names = info.names()?;
        let others = names.iter().filter_map(|name| name.to_str()).filter(|name| name.ends_with(".list"));
        others.filter(|name| !USUAL.contains(name)).try_for_each(|name| lists.read(info, name))?;
    }
    Ok(lists.found.into_iter().collect())
}

/// What was read of the lists: each inode once, because an image may have a hundred thousand links of one.
#[derive(Default)]
struct Lists {
    seen: BTreeSet<InodeId>,
    bytes: u64,
    found: BTreeSet<String>,
}

impl Lists {
    /// One list; one that cannot be read is none of dpkg's.
    fn read(&mut self, info: &Dir, list: &str) -> Result<()> {
        let Ok(Some(inode)) = info.inode_at(list) else { return Ok(()) };
        if inode.size > CAP || !self.seen.insert(inode.id) {
            return Ok(());
        }
        let Ok(Some(bytes)) = info.read(list, CAP) else { return Ok(()) };
        self.bytes += bytes.len() as u64;
        if self.bytes > BUDGET {
            let reason = format!("the lists of files have more than {BUDGET} bytes");
            return Err(Error::new(Kind::Invalid, "read", reason).at(info.shown("")));
        }
        let lines = bytes.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
        self.found.extend(lines.filter(|line| is_name(line)).map(str::to_owned));
        Ok(())
    }
}

/// Whether a path is one of our tables', with a slash in front.
pub fn is_name(path: &str) -> bool {
    let split = path.strip_prefix('/').and_then(|path| path.rsplit_once('/'));
    split.is_some_and(|(directory, name)| {
        TOOLS.iter().any(|tool| tool.name == name && tool.directories.contains(&directory))
    })
}

/// The list with a local diversion of each of `paths` to the same with `.real` behind it.
pub fn with(list: &[u8], paths: &[String]) -> Vec<u8> {
    let mut list = list.to_vec();
    for path in paths {
        list.extend_from_slice(format!("{path}\n{}\n:\n", real_of(path)).as_bytes());
    }
    list
}

/// The list without those, every other line as it was; the same list if it makes no sense.
pub fn without(list: &[u8], paths: &[String]) -> Vec<u8> {
    let Some(all) = parse(list) else { return list.to_vec() };
    let ours = |diversion: &&Diversion<'_>| paths.iter().any(|path| is_ours(diversion, path));
    all.iter()
        .filter(|diversion| !ours(diversion))
        .flat_map(|d| [d.path, b"\n", d.to, b"\n", d.package, b"\n"].concat())
        .collect()
}

/// Where the file of a diverted path goes: where a shim at that path looks for its real tool.
pub fn real_of(path: &str) -> String {
    format!("{path}{REAL}")
}

/// Whether that is the diversion that install makes of `path`.
pub fn is_ours(diversion: &Diversion<'_>, path: &str) -> bool {
    diversion.package == LOCAL
        && diversion.path == path.as_bytes()
        && diversion.to == real_of(path).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIST: &[u8] = b"/bin/sh\n/bin/sh.distrib\ndash\n";

    #[test]
    fn what_was_added_is_taken_away_byte_for_byte() {
        let ours = ["/sbin/swapon".to_owned(), "/usr/sbin/swapon".to_owned()];
        let list = with(LIST, &ours);
        assert!(list.ends_with(
            b"dash\n/sbin/swapon\n/sbin/swapon.real\n:\n/usr/sbin/swapon\n/usr/sbin/swapon.real\n:\n"
        ));
        assert_eq!(parse(&list).unwrap().len(), 3);
        assert_eq!(without(&list, &ours), LIST);
    }

    #[test]
    fn somebody_elses_diversion_stays() {
        let list = b"/sbin/swapon\n/sbin/swapon.real\nother\n/sbin/swapoff\n/elsewhere\n:\n";
        assert_eq!(without(list, &["/sbin/swapon".to_owned(), "/sbin/swapoff".to_owned()]), list);
    }

    #[test]
    fn a_list_that_dpkg_cannot_read_is_none() {
        for list in
            [&b"/a\n/b\n"[..], b"/a\n/b\n:", b"\n\n\n", b"/a\n\n:\n", b"/a\n/b\n:\n/c\n", b"/a\0\n/b\n:\n"]
        {
            assert_eq!(parse(list), None, "{list:?}");
        }
        assert_eq!(parse(b"").unwrap(), []);
    }

    proptest! {
        #[test]
        fn any_list_is_survived_and_kept(list: Vec<u8>) {
            let ours = ["/sbin/swapon".to_owned()];
            if parse(&list).is_some_and(|all| !all.iter().any(|one| is_ours(one, &ours[0]))) {
                prop_assert_eq!(without(&with(&list, &ours), &ours), list);
            }
        }
    }
}
