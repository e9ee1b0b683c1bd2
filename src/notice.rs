//! Notices: one line on the console that tells the user what happened and what to use instead.
//!
//! A notice is a `tracing` event with the target [`TARGET`]; the subscriber here writes it. The invariant:
//! a notice can neither block us nor give us a controlling terminal nor reach what our caller captures. It is
//! written with one write(2), so two notices never mix, and what cannot be written is dropped.
//!
//! The trick: whatever is written to is opened by ourselves with O_NONBLOCK, stderr's terminal included. Setting
//! that flag on the stderr that we were given would set it for everybody who shares it.
#![expect(clippy::disallowed_methods, reason = "the running system's own files, and never an image's")]

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
use crate::{sys, text};

/// The target of events that are notices.
pub(crate) const TARGET: &str = "notice";

/// A line for the user, as plan words it. The text is escaped already where it quotes anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    pub level: Level,
    /// Without the hint, which is added when it is written.
    pub text: String,
}

impl Notice {
    /// A notice that something was not done.
    pub(crate) fn error(text: impl Into<String>) -> Self {
        Self { level: Level::Error, text: text.into() }
    }

    /// A notice that the user should know.
    pub(crate) fn warn(text: impl Into<String>) -> Self {
        Self { level: Level::Warn, text: text.into() }
    }

    /// A notice that is good to know.
    pub(crate) fn info(text: impl Into<String>) -> Self {
        Self { level: Level::Info, text: text.into() }
    }

    /// The whole line, without newline, at most [`text::LINE_CAP`] bytes: the text is cut before the hint.
    pub(crate) fn line(&self, hint: &str) -> String {
        let hint = text::cap(&text::escape(hint.as_bytes()), text::LINE_CAP / 2);
        let room = text::LINE_CAP.saturating_sub("rootfs-shim: ".len() + hint.len() + 1);
        let text = text::cap(&text::sanitise(&self.text), room);
        let space = if hint.is_empty() { "" } else { " " };
        format!("rootfs-shim: {text}{space}{hint}")
    }
}

/// Writes notices to the configured console.
pub(crate) fn emit(notices: &[Notice], config: &Config) {
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
        let mut line = Message(String::new());
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
        let stderr = sys::stdio(2);
        // The console is a terminal too, and a line that it has need not be there twice.
        if stderr.is_terminal()
            && !(wrote && console_device.is_some() && console_device == terminal_of(&stderr))
        {
            write_to_terminal(&stderr, line);
        }
    }
}

/// A terminal whose flow was stopped (Ctrl-S) takes nothing, and a line for it is dropped. It is opened anew by
/// what /proc calls it; where there is no /proc, or the terminal is another user's, it gets no line.
fn write_to_terminal(fd: &impl AsFd, line: &str) {
    let mut options = File::options();
    options.write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC);
    if let Ok(mut terminal) = options.open(sys::proc_path(fd)) {
        let _ = terminal.write(format!("{line}\n").as_bytes());
    }
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.0, "{value:?}");
        }
    }
}

/// The console, if it is a device, a regular file or a named pipe that has a reader: opened with O_NONBLOCK
/// none of them makes us wait. O_NOCTTY, because an init without a controlling terminal would get one. A console
/// that is what the caller captures (`/dev/stdout`, or the log that stdout is sent to) is none.
fn open_console(path: &Path) -> Option<File> {
    let mut options = File::options();
    options.write(true).append(true);
    options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC);
    let file = options.open(path).ok()?;
    let kind = file.metadata().ok()?.file_type();
    let takes_lines = kind.is_char_device() || kind.is_file() || kind.is_fifo();
    (takes_lines && ![1, 2].into_iter().any(|fd| is_captured_by(&file, &sys::stdio(fd)))).then_some(file)
}

/// Whether `fd` is the same file or pipe as the console. A device that both are, be it a terminal or /dev/null,
/// captures nothing.
fn is_captured_by(console: &File, fd: &impl AsFd) -> bool {
    let identity =
        |meta: std::fs::Metadata| (!meta.file_type().is_char_device()).then(|| (meta.dev(), meta.ino()));
    let ours = console.metadata().ok().and_then(identity);
    let copy = fd.as_fd().try_clone_to_owned().map(File::from);
    ours.is_some() && copy.and_then(|file| file.metadata()).ok().and_then(identity) == ours
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
        assert!(line.len() <= text::LINE_CAP && line.ends_with("... The hint."), "{line}");
    }

    #[test]
    fn a_terminal_whose_flow_was_stopped_keeps_nobody_waiting() {
        use nix::sys::termios::{FlowArg, tcflow};
        use std::sync::mpsc::channel;
        let pty = nix::pty::openpty(None, None).unwrap();
        tcflow(&pty.slave, FlowArg::TCOOFF).unwrap();
        let (done, wait) = channel();
        std::thread::spawn(move || {
            write_to_terminal(&pty.slave, "a line");
            done.send(pty).unwrap();
        });
        let pty = wait.recv_timeout(std::time::Duration::from_secs(5)).expect("it waits for the terminal");
        tcflow(&pty.slave, FlowArg::TCOON).unwrap();
        write_to_terminal(&pty.slave, "a line");
        let mut read = [0; 64];
        let length = nix::unistd::read(&pty.master, &mut read).unwrap();
        assert_eq!(&read[..length], b"a line\r\n");
        let flags = nix::fcntl::fcntl(&pty.slave, nix::fcntl::FcntlArg::F_GETFL).unwrap();
        assert_eq!(flags & libc::O_NONBLOCK, 0, "the flag was set for everybody");
    }

    #[test]
    fn what_the_caller_captures_is_no_console() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (log, other) = (File::create(file.path()).unwrap(), tempfile::tempfile().unwrap());
        let (reader, writer) = std::io::pipe().unwrap();
        let pipe = File::options().write(true).open(sys::proc_path(&writer)).unwrap();
        assert!(is_captured_by(&log, file.as_file()) && is_captured_by(&pipe, &writer));
        assert!(!is_captured_by(&log, &other) && !is_captured_by(&log, &writer));
        let null = File::options().write(true).open("/dev/null").unwrap();
        assert!(!is_captured_by(&null, &null), "what /dev/null gets nobody reads");
        drop(reader);
    }
}
