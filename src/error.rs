//! One error type, which prints the call: what was attempted, on which path, and the errno in words.
//!
//! The invariant: `Display` is one escaped line. An attack by an image is a kind of its own, so that an init
//! can tell "this image is hostile" from "the disk is full" without reading prose.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::geteuid;

use crate::text;

/// What a fallible operation of this crate returns.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an operation failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A system call failed.
    System(Errno),
    /// Something inside an untrusted root tried to lead us astray: a symlink where only a directory may be,
    /// a name that changed under our hands.
    Attack,
    /// The caller asked for something that makes no sense: exit status 2.
    Usage,
    /// A file that we read does not say what it should (config, manifest).
    Invalid,
    /// The machine is not in the state that the operation needs, and the message says which.
    State,
}

/// An error: the attempt, the path, the reason and, where there is one, the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: Kind,
    attempt: String,
    path: Option<PathBuf>,
    reason: String,
    remedy: Option<String>,
    changed: bool,
}

impl Error {
    /// A failed system call: `attempt` is the call's name or what it was for.
    pub fn system(attempt: impl Into<String>, path: impl AsRef<Path>, errno: Errno) -> Self {
        Self {
            kind: Kind::System(errno),
            attempt: attempt.into(),
            path: Some(path.as_ref().to_owned()),
            reason: errno.desc().to_owned(),
            remedy: None,
            changed: false,
        }
    }

    /// A failed standard library call.
    pub fn io(attempt: impl Into<String>, path: impl AsRef<Path>, error: &io::Error) -> Self {
        let errno = error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
        let mut this = Self::system(attempt, path, errno);
        if error.raw_os_error().is_none() {
            this.reason = error.to_string();
        }
        this
    }

    /// An error that no system call reported.
    pub fn new(kind: Kind, attempt: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            kind,
            attempt: attempt.into(),
            path: None,
            reason: reason.into(),
            remedy: None,
            changed: false,
        }
    }

    /// The same, about a path.
    #[must_use]
    pub fn at(mut self, path: impl AsRef<Path>) -> Self {
        self.path = Some(path.as_ref().to_owned());
        self
    }

    /// What the reader can do about it.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// The same, from an operation that has changed something and could not put everything back.
    #[must_use]
    pub fn with_changes(mut self) -> Self {
        self.changed = true;
        self
    }

    /// The path that it is about, if there is one.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Whether something is not as it was before.
    pub fn changed(&self) -> bool {
        self.changed
    }

    /// The same with a remedy, if it has none yet.
    #[must_use]
    pub fn or_remedy(mut self, remedy: &str) -> Self {
        self.remedy.get_or_insert_with(|| remedy.to_owned());
        self
    }

    /// Which kind of failure it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The errno, if a system call failed.
    pub fn errno(&self) -> Option<Errno> {
        match self.kind {
            Kind::System(errno) => Some(errno),
            _ => None,
        }
    }

    /// 2 for usage, 1 for everything else.
    pub fn exit_status(&self) -> i32 {
        if self.kind == Kind::Usage { 2 } else { 1 }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = self.attempt.clone();
        if let Some(path) = &self.path {
            line = format!("{line} {}", text::path(path));
        }
        line = format!("{line}: {}", self.reason);
        if self.kind == Kind::Attack {
            line = format!("{line} (the image may be hostile)");
        }
        if let Some(remedy) = &self.remedy {
            line = format!("{line}; {remedy}");
        }
        f.write_str(&text::cap(&text::sanitise(&line), text::LINE_CAP))
    }
}

impl std::error::Error for Error {}

/// Turns a nix or std result into ours by saying what was attempted and where.
pub trait Attempt<T> {
    /// `open`, `/swapfile` gives `open /swapfile: No such file or directory`.
    fn attempt(self, what: &str, path: impl AsRef<Path>) -> Result<T>;
}

impl<T> Attempt<T> for nix::Result<T> {
    fn attempt(self, what: &str, path: impl AsRef<Path>) -> Result<T> {
        self.map_err(|errno| Error::system(what, path, errno))
    }
}

impl<T> Attempt<T> for io::Result<T> {
    fn attempt(self, what: &str, path: impl AsRef<Path>) -> Result<T> {
        self.map_err(|error| Error::io(what, path, &error))
    }
}

/// The words that the C library has for an errno; nix has words of its own for some.
pub fn strerror(errno: Errno) -> String {
    let text = io::Error::from_raw_os_error(errno as i32).to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// The errno of a standard library error.
pub fn errno_of(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

/// The same error, with the remedy for a caller who is not root and may not look.
pub fn advise(error: Error) -> Error {
    match error.errno() {
        Some(Errno::EACCES | Errno::EPERM) if !geteuid().is_root() => error.or_remedy("run it with sudo"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_the_call_the_path_and_the_errno_in_words() {
        let error = Error::system("rename", "/sbin/swap\non", Errno::EPERM).remedy("run chattr -i on it");
        assert_eq!(error.to_string(), "rename /sbin/swap\\non: Operation not permitted; run chattr -i on it");
        assert_eq!(error.exit_status(), 1);
    }

    #[test]
    fn an_attack_is_its_own_kind() {
        let error = Error::new(Kind::Attack, "open", "is a symlink\x1b[0m").at("/.rootfs-shim");
        assert_eq!(error.kind(), Kind::Attack);
        assert!(error.to_string().ends_with("(the image may be hostile)"));
        assert!(!error.to_string().contains('\x1b'));
    }
}
