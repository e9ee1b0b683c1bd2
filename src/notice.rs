//! Notices: one line on the console that tells the user what happened and what to use instead.
//!
//! A notice is a `tracing` event with the target [`TARGET`]; the subscriber here writes it. The invariant:
//! a notice can neither block us nor give us a controlling terminal nor reach stdout. It is written with one
//! write(2), so two notices never mix, and what cannot be written is dropped.

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::config::{Config, Level};
use crate::{escape, sys};

/// The target of events that are notices.
pub const TARGET: &str = "notice";

/// A line for the user, as plan words it. The text is escaped already where it quotes anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// How important.
    pub level: Level,
    /// Without the hint, which is added when it is written.
    pub text: String,
}

impl Notice {
    /// A notice that something was not done.
    pub fn error(text: impl Into<String>) -> Self {
        Self { level: Level::Error, text: text.into() }
    }

    /// A notice that the user should know.
    pub fn warn(text: impl Into<String>) -> Self {
        Self { level: Level::Warn, text: text.into() }
    }

    /// A notice that is good to know.
    pub fn info(text: impl Into<String>) -> Self {
        Self { level: Level::Info, text: text.into() }
    }

    /// The whole line, without newline, at most [`escape::LINE_CAP`] bytes: the text is cut before the hint.
    pub fn line(&self, hint: &str) -> String {
        let hint = escape::cap(&escape::escape(hint.as_bytes()), escape::LINE_CAP / 2);
        let room = escape::LINE_CAP.saturating_sub("rootfs-shim: ".len() + hint.len() + 1);
        let text = escape::cap(&escape::sanitise(&self.text), room);
        let space = if hint.is_empty() { "" } else { " " };
        format!("rootfs-shim: {text}{space}{hint}")
    }
}

/// Writes notices to the configured console.
pub fn emit(notices: &[Notice], config: &Config) {
    if notices.is_empty() {
        return;
    }
    let subscriber = ConsoleWriter { config: config.clone() };
    tracing::subscriber::with_default(subscriber, || {
        for notice in notices {
            let line = notice.line(&config.swap.hint);
            match notice.level {
                Level::Error => tracing::error!(target: TARGET, "{line}"),
                Level::Warn => tracing::warn!(target: TARGET, "{line}"),
                Level::Info => tracing::info!(target: TARGET, "{line}"),
                Level::Debug => tracing::debug!(target: TARGET, "{line}"),
            }
        }
    });
}

/// The subscriber: events of [`TARGET`] go to the console, or to the kernel log where there is none, and to
/// stderr if that is another terminal.
struct ConsoleWriter {
    config: Config,
}

impl Subscriber for ConsoleWriter {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == TARGET && *metadata.level() <= tracing_level(self.config.console.level)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.write(*event.metadata().level(), &line.0);
    }
}

impl ConsoleWriter {
    fn write(&self, level: tracing::Level, line: &str) {
        sys::unharmed(|| self.write_everywhere(level, line));
    }

    fn write_everywhere(&self, level: tracing::Level, line: &str) {
        let console = open_console(&self.config.console.path);
        let console_device = console.as_ref().and_then(terminal_of);
        let wrote = console.is_some_and(|mut console| console.write(format!("{line}\n").as_bytes()).is_ok());
        if !wrote {
            write_to_kernel_log(level, line);
        }
        let mut stderr = std::io::stderr();
        if stderr.is_terminal()
            && !(wrote && console_device.is_some() && console_device == terminal_of(&stderr))
        {
            let _ = stderr.write_all(format!("{line}\n").as_bytes());
        }
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.0, "{value:?}");
        }
    }
}

/// The console, if it is something that takes a line without blocking: a terminal or a regular file.
/// O_NOCTTY, because an init without a controlling terminal would get one.
fn open_console(path: &Path) -> Option<File> {
    let mut options = File::options();
    options.write(true).append(true);
    options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC);
    let file = options.open(path).ok()?;
    let kind = file.metadata().ok()?.file_type();
    (kind.is_char_device() || kind.is_file() || kind.is_fifo()).then_some(file)
}

/// `<4>` is the kernel's warning level, `<3>` its error level (Documentation/ABI/testing/dev-kmsg).
fn write_to_kernel_log(level: tracing::Level, line: &str) {
    let mut options = File::options();
    options.write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC);
    let priority = if level == tracing::Level::ERROR { 3 } else { 4 };
    if let Ok(mut log) = options.open("/dev/kmsg") {
        let is_log = log.metadata().is_ok_and(|meta| meta.file_type().is_char_device());
        if is_log {
            let _ = log.write(format!("<{priority}>{line}\n").as_bytes());
        }
    }
}

/// Which terminal this is, seen through /dev/console; `None` if it is none.
fn terminal_of(fd: &(impl AsFd + IsTerminal)) -> Option<u64> {
    if !fd.is_terminal() {
        return None;
    }
    if let Ok(device) = sys::terminal_device(fd.as_fd()) {
        return Some(u64::from(device));
    }
    let copy = File::from(fd.as_fd().try_clone_to_owned().ok()?);
    copy.metadata().ok().map(|meta| meta.rdev())
}

fn tracing_level(level: Level) -> tracing::Level {
    match level {
        Level::Error => tracing::Level::ERROR,
        Level::Warn => tracing::Level::WARN,
        Level::Info => tracing::Level::INFO,
        Level::Debug => tracing::Level::DEBUG,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(level: Level, notices: &[Notice]) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut config = Config::default();
        config.console.path = file.path().to_owned();
        config.console.level = level;
        config.swap.hint = "Use swap_size_mb.".into();
        emit(notices, &config);
        std::fs::read_to_string(file.path()).unwrap()
    }

    #[test]
    fn each_notice_is_one_line_that_ends_in_the_hint() {
        let text = written(Level::Warn, &[Notice::warn("one\nline"), Notice::error("two")]);
        assert_eq!(text, "rootfs-shim: one\\nline Use swap_size_mb.\nrootfs-shim: two Use swap_size_mb.\n");
    }

    #[test]
    fn the_level_is_obeyed() {
        assert_eq!(written(Level::Warn, &[Notice::info("x")]), "");
        assert_eq!(written(Level::Error, &[Notice::warn("x")]), "");
        assert!(written(Level::Info, &[Notice::info("x")]).contains("x"));
    }

    #[test]
    fn a_long_text_is_cut_before_the_hint() {
        let line = Notice::warn("x".repeat(5000)).line("The hint.");
        assert!(line.len() <= escape::LINE_CAP && line.ends_with("... The hint."), "{line}");
    }
}
