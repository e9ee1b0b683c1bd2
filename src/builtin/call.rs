//! One call of a builtin: its argv taken apart, what it prints, and how it refuses a command line.

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use nix::errno::Errno;

use crate::command::getopt::{Given, Parts};
use crate::command::tables::{Flavour, Purpose, Tool};
use crate::error::{errno_of, strerror};
use crate::swap::tag::{Key, Tag};

/// A call of a builtin, with argv taken apart.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub tool: &'static Tool,
    pub flavour: &'static Flavour,
    /// The arguments as they came, `argv[0]` among them.
    pub argv: &'a [OsString],
    /// argv taken apart, up to the option that ends the reading.
    pub parts: Parts,
    /// Where fstab is, unless an option says otherwise.
    pub fstab: PathBuf,
}

impl Call<'_> {
    /// The operands, in their order.
    pub(crate) fn operands(&self) -> Vec<OsString> {
        self.parts.operands.iter().filter_map(|at| self.argv.get(*at).cloned()).collect()
    }

    /// What is wrong with the command line after the options that could be read.
    ///
    /// # Errors
    /// The words of getopt(3), which names `argv[0]`, not the tool.
    pub(crate) fn problem(&self) -> Result<(), Refusal> {
        let Some(problem) = &self.parts.problem else { return Ok(()) };
        let argv0 = self.argv.first().map_or(self.tool.name.as_bytes(), |name| name.as_encoded_bytes());
        let line = [argv0, b": ", &problem.words(), b"\n"].concat();
        Err(Refusal { line, status: self.flavour.usage_status, hint: true })
    }

    /// What `-h` or `-V` prints, if that is where the reading ended.
    pub(crate) fn about(&self) -> Option<String> {
        self.parts.options.last().and_then(|given| about(self.tool, given))
    }

    /// A refusal in the tool's own name.
    pub(crate) fn refuse(&self, words: &[&[u8]]) -> Refusal {
        let line = [self.tool.name.as_bytes(), b": ", &words.concat(), b"\n"].concat();
        Refusal { line, status: self.flavour.usage_status, hint: false }
    }
}

/// Something failed, and why has been said on the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reported;

/// What the option `-L` or `-U` names, if it is one of these.
pub(crate) fn tag_of(given: &Given) -> Option<Tag> {
    let key = if given.option.short? == b'L' { Key::Label } else { Key::Uuid };
    Some(Tag { key, value: given.value.as_deref().unwrap_or_default().as_bytes().to_owned() })
}

/// A command line that the tool does not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The whole line for stderr.
    pub line: Vec<u8>,
    pub status: i32,
    /// The reader is pointed at `--help`.
    pub hint: bool,
}

impl Refusal {
    /// The same, pointing at `--help`.
    #[must_use]
    pub(crate) fn with_hint(mut self) -> Self {
        self.hint = true;
        self
    }

    /// Says it and gives the status.
    pub(crate) fn tell(&self, console: &mut Streams) -> i32 {
        console.write_err(&self.line);
        if self.hint {
            console.write_err(format!("Try '{} --help' for more information.\n", console.name).as_bytes());
        }
        self.status
    }
}

/// The options at which a tool ends before it sees the rest.
pub(crate) fn ends(given: &Given) -> bool {
    matches!(given.option.long, Some("help" | "version" | "summary"))
}

/// What `-h` or `-V` prints.
pub(crate) fn about(tool: &Tool, given: &Given) -> Option<String> {
    match given.option.long? {
        "version" => Some(format!("{} from rootfs-shim {}\n", tool.name, env!("CARGO_PKG_VERSION"))),
        "help" => Some(help(tool.purpose).to_owned()),
        _ => None,
    }
}

pub(crate) fn help(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Enable => include_str!("help/swapon.txt"),
        Purpose::Disable => include_str!("help/swapoff.txt"),
        Purpose::Format => include_str!("help/mkswap.txt"),
    }
}

/// Where a builtin writes. stdout is held back until the end, or until there is a reader at a terminal, as
/// stdio does; a stdout that cannot be written is an error of the call.
#[derive(Debug)]
pub(crate) struct Streams {
    pub(crate) name: &'static str,
    pub(crate) out: Vec<u8>,
    pub(crate) interactive: bool,
    /// stderr was closed when we were started; what is there now is ours.
    pub(crate) deaf: bool,
    /// Something that was written to stderr could not reach anybody.
    pub(crate) lost: bool,
}

impl Streams {
    /// The console of the tool of that name.
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, out: Vec::new(), interactive: std::io::stdout().is_terminal(), deaf: false, lost: false }
    }

    /// Takes another tool's name for as long as one tool runs another, and gives back the one that it had.
    pub(crate) fn renamed(&mut self, name: &'static str) -> &'static str {
        std::mem::replace(&mut self.name, name)
    }

    /// Writes to stdout, sooner or later.
    pub(crate) fn say(&mut self, parts: &[&[u8]]) {
        self.out.extend_from_slice(&parts.concat());
        if self.interactive {
            let _ = self.flush();
        }
    }

    /// Writes a line to stderr, after the tool's name.
    pub(crate) fn warn(&mut self, parts: &[&[u8]]) {
        let line = [self.name.as_bytes(), b": ", &parts.concat(), b"\n"].concat();
        self.write_err(&line);
    }

    /// The same, and what the system said.
    pub(crate) fn warn_errno(&mut self, parts: &[&[u8]], errno: Errno) {
        self.warn(&[&parts.concat(), b": ", strerror(errno).as_bytes()]);
    }

    /// Says that something failed, and what the system said of it.
    pub(crate) fn report(&mut self, parts: &[&[u8]], errno: Errno) -> Reported {
        self.warn_errno(parts, errno);
        Reported
    }

    /// Writes to stderr as it is.
    pub(crate) fn write_err(&mut self, bytes: &[u8]) {
        self.lost |= self.deaf || std::io::stderr().write_all(bytes).is_err();
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let mut stdout = std::io::stdout().lock();
        let done = stdout.write_all(&self.out).and_then(|()| stdout.flush());
        self.out.clear();
        done
    }

    pub(crate) fn finish(&mut self, status: i32) -> i32 {
        match self.flush() {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                self.warn_errno(&[b"write error"], errno_of(&error));
                1
            }
            // Whoever ends without having been heard ends so, whatever else went right.
            _ if self.lost => 1,
            _ => status,
        }
    }
}

/// How strtol(3) and its like read a number: blanks, a sign, digits. `None` if anything else is there.
pub(crate) fn parse_number(text: &[u8]) -> Option<Result<i128, Errno>> {
    let text = text.trim_ascii_start();
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits
        .iter()
        .try_fold(0i128, |value, digit| value.checked_mul(10)?.checked_add(i128::from(digit - b'0')));
    Some(value.map(|value| if negative { -value } else { value }).ok_or(Errno::ERANGE))
}
