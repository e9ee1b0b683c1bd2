//! `/.rootfs-shim/config.toml`, parsed into what it means.
//!
//! One parser, two manners: at install an unknown key or a wrong type is an error; at run time the same error
//! becomes a notice and the defaults hold, because a typo must not take a machine down.
#![expect(clippy::disallowed_methods, reason = "the running system's own files, and never an image's")]

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Attempt, Error, Kind, Result};

/// A configuration with more bytes than this is not read.
pub const SIZE_CAP: u64 = 64 * 1024;

/// All that the file says; every key is optional.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How the shims treat calls of swapon, swapoff and mkswap.
    pub swap: Swap,
    /// Where notices go, and which.
    pub console: Console,
    /// What `mount` and `reset` work on, in the init's environment.
    pub layers: Layers,
    /// The platform's own swap device.
    pub swap_device: SwapDevice,
}

/// The table `[swap]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Swap {
    /// What a caller is told when swap could not be enabled.
    pub on_failure: OnFailure,
    /// A sentence that ends every notice.
    pub hint: String,
    /// Whether swapfiles on attached volumes are refused.
    pub volumes: Volumes,
    /// Tried in order when the backing filesystem cannot hold swap.
    pub fallback: Vec<Fallback>,
}

/// What a caller is told when swap could not be enabled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// Exit status 0 and a notice: the machine boots on.
    #[default]
    Continue,
    /// The caller gets the real exit status.
    Fail,
}

/// Whether swapfiles on attached volumes are refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Volumes {
    /// They are refused, with a notice.
    #[default]
    Refuse,
    /// They go to the real tool as they are.
    Allow,
}

/// A way to have swap when the backing filesystem cannot hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fallback {
    /// A loop device over disk space of the file's size.
    Loop,
    /// Compressed memory of the file's size.
    Zram,
}

impl Fallback {
    /// The word for it in the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Self::Loop => "loop",
            Self::Zram => "zram",
        }
    }
}

/// The table `[console]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Console {
    /// The file or device that notices are written to.
    pub path: PathBuf,
    /// The least important level that is still told.
    pub level: Level,
}

impl Default for Console {
    fn default() -> Self {
        Self { path: "/dev/console".into(), level: Level::Warn }
    }
}

/// How important a notice is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Swap could not be had.
    Error,
    /// The user should know, and swap can be had.
    #[default]
    Warn,
    /// It is good to know, and nothing is wrong.
    Info,
    /// Only who works on this program wants to know.
    Debug,
}

/// The table `[layers]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Layers {
    /// Block devices, image files or directories; the first is topmost.
    pub lower: Vec<PathBuf>,
    /// The writable device, image file or directory.
    pub writable: Option<PathBuf>,
    /// What df and lsblk show; `auto` is the writable device.
    pub source_name: Option<String>,
    /// Directories kept on the backing filesystem; `@containers` stands for those of Docker, containerd, podman and
    /// k3s.
    pub passthrough: Vec<PathBuf>,
    /// Whether fsync may cost nothing on a layer that is thrown away.
    pub volatile: bool,
}

/// The table `[swap_device]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SwapDevice {
    /// The path of the block device.
    pub device: Option<PathBuf>,
}

/// Where Docker, containerd, podman and buildah, and k3s keep what cannot lie on an overlay.
pub(crate) const CONTAINERS: [&str; 4] =
    ["/var/lib/docker", "/var/lib/containerd", "/var/lib/containers", "/var/lib/rancher"];

/// The word that stands for all of [`CONTAINERS`] where kept directories are listed.
const CONTAINERS_WORD: &str = "@containers";

/// The directories that a list of kept directories means.
pub(crate) fn kept_directories(listed: &[PathBuf]) -> Vec<PathBuf> {
    let mut kept: Vec<PathBuf> = Vec::new();
    for path in listed {
        if path.as_os_str() == CONTAINERS_WORD {
            kept.extend(CONTAINERS.map(PathBuf::from));
        } else {
            kept.push(path.clone());
        }
    }
    kept
}

impl Config {
    /// Parses the file's bytes.
    ///
    /// # Errors
    /// [`Kind::Invalid`], with the place and the reason in one line, for anything that is not a config.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let invalid = |reason: String| Error::new(Kind::Invalid, "parse the config", reason);
        let text = std::str::from_utf8(bytes).map_err(|error| invalid(error.to_string()))?;
        let config: Self = toml::from_str(text).map_err(|error| invalid(one_line(text, &error)))?;
        let relative = |path: &&PathBuf| !path.is_absolute() && path.as_os_str() != CONTAINERS_WORD;
        if let Some(path) =
            [&config.console.path].into_iter().chain(&config.layers.passthrough).find(relative)
        {
            return Err(invalid(format!("the path {} is not absolute", crate::text::path(path))));
        }
        Ok(config)
    }

    /// What can be understood of the file, and a line for each key that cannot: at run time a typo must not
    /// undo the settings beside it.
    pub fn parse_what_makes_sense(bytes: &[u8]) -> (Self, Vec<Error>) {
        let whole = match Self::parse(bytes) {
            Ok(config) => return (config, Vec::new()),
            Err(error) => error,
        };
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        let Ok(table) = text.parse::<toml::Table>() else { return (Self::default(), vec![whole]) };
        let (mut good, mut errors) = (toml::Table::new(), Vec::new());
        for (section, keys) in table {
            let keys = match keys {
                toml::Value::Table(keys) => keys,
                other => [(String::new(), other)].into_iter().collect(),
            };
            for (key, value) in keys {
                let mut tried = good.clone();
                let known =
                    tried.entry(section.clone()).or_insert_with(|| toml::Value::Table(toml::Table::new()));
                if let Some(known) = known.as_table_mut() {
                    known.insert(key, value);
                }
                match Self::parse(toml::to_string(&tried).unwrap_or_default().as_bytes()) {
                    Ok(_) => good = tried,
                    Err(error) => errors.push(error),
                }
            }
        }
        let config = Self::parse(toml::to_string(&good).unwrap_or_default().as_bytes());
        (config.unwrap_or_default(), errors)
    }

    /// Reads and parses `path`; `None` if there is no such file. Never blocks, and never reads more than
    /// [`SIZE_CAP`].
    ///
    /// # Errors
    /// A failed system call, a file that is no regular file or too large, or [`Kind::Invalid`].
    pub fn load(path: &Path) -> Result<Option<Self>> {
        let bytes = read(path)?;
        bytes.map(|bytes| Self::parse(&bytes).map_err(|error| error.at(path))).transpose()
    }

    /// As [`Config::load`], but keeps what makes sense; each error is about something that was left out.
    pub fn load_what_makes_sense(places: &[&Path]) -> (Self, Vec<Error>) {
        for path in places {
            match read(path) {
                Ok(None) => {}
                Err(error) => return (Self::default(), vec![error]),
                Ok(Some(bytes)) => {
                    let (config, errors) = Self::parse_what_makes_sense(&bytes);
                    return (config, errors.into_iter().map(|error| error.at(*path)).collect());
                }
            }
        }
        (Self::default(), Vec::new())
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let mut options = File::options();
    options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC);
    let file = match options.open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.attempt("open the config", path)?,
    };
    let meta = file.metadata().attempt("stat the config", path)?;
    if !meta.is_file() {
        return Err(Error::new(Kind::Invalid, "read the config", "is not a regular file").at(path));
    }
    let mut bytes = Vec::new();
    let read = file.take(SIZE_CAP + 1).read_to_end(&mut bytes).attempt("read the config", path)?;
    if read as u64 > SIZE_CAP {
        let reason = format!("is larger than {} KiB", SIZE_CAP / 1024);
        return Err(Error::new(Kind::Invalid, "read the config", reason).at(path));
    }
    Ok(Some(bytes))
}

/// toml's message without its drawing, the line that it is about, and the key there.
fn one_line(text: &str, error: &toml::de::Error) -> String {
    // To people, what serde calls a struct is a table.
    let message = error.message().replace('\n', " ").replace("expected struct ", "expected a table, ");
    let Some((before, after)) = error.span().and_then(|span| text.split_at_checked(span.start)) else {
        return message;
    };
    let line =
        [before.rsplit('\n').next(), after.split('\n').next()].into_iter().flatten().collect::<String>();
    let key = line.split_once('=').map_or(String::new(), |(key, _)| format!(", {}", key.trim()));
    format!("line {}{key}: {message}", before.matches('\n').count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_at_all_is_the_default() {
        let config = Config::parse(b"").unwrap();
        assert_eq!(config, Config::default());
        assert_eq!(config.console.path, Path::new("/dev/console"));
        assert_eq!((config.swap.on_failure, config.console.level), (OnFailure::Continue, Level::Warn));
    }

    #[test]
    fn the_example_of_the_design_is_understood() {
        let config = Config::parse(
            b"[swap]\non_failure = \"fail\"\nhint = \"Set swap_size_mb.\"\nvolumes = \"allow\"\nfallback = [\"loop\", \"zram\"]\n\
              [console]\npath = \"/dev/ttyS0\"\nlevel = \"info\"\n\
              [layers]\nlower = [\"/dev/vda\"]\nwritable = \"/dev/vdb\"\nsource_name = \"auto\"\n\
              passthrough = [\"/var/lib/docker\"]\nvolatile = false\n[swap_device]\ndevice = \"/dev/vdc\"\n",
        )
        .unwrap();
        assert_eq!(config.swap.fallback, [Fallback::Loop, Fallback::Zram]);
        assert_eq!(config.swap_device.device.as_deref(), Some(Path::new("/dev/vdc")));
    }

    #[test]
    fn at_run_time_a_mistake_costs_only_itself() {
        let text = b"[swap]\non_failure = \"fail\"\nnewkey = 1\nhint = 7\n[console]\npath = \"/console\"\n[other]\nx = 1\n";
        let (config, errors) = Config::parse_what_makes_sense(text);
        assert_eq!(config.swap.on_failure, OnFailure::Fail);
        assert_eq!(config.console.path, Path::new("/console"));
        assert_eq!(errors.len(), 3, "{errors:?}");
        assert_eq!(Config::parse_what_makes_sense(b"[swap").1.len(), 1);
    }

    #[test]
    fn a_mistake_is_one_line_with_its_place() {
        for (text, says) in [
            ("[swap]\nhintt = \"x\"", "line 2, hintt: unknown field `hintt`"),
            ("[swap]\non_failure = \"maybe\"", "line 2, on_failure: unknown variant `maybe`"),
            ("[swap]\n volumes = 3", "line 2, volumes: "),
            ("swap = 3", "line 1, swap: invalid type: integer `3`, expected a table"),
            ("[console]\npath = \"tty\"", "the path tty is not absolute"),
            ("[swap", "line 1"),
        ] {
            let error = Config::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(says) && !error.contains('\n'), "{error}");
        }
        assert!(Config::parse(b"\xff").is_err());
    }
}
