//! The real tool's output on its way to the caller, with backing paths turned back into the user's.
//!
//! Lines pass one by one as they come, or all at the end where a path itself has a line break. Where a line
//! matches several paths, the leftmost and then the longest wins, so `/upper/a` never bites into `/upper/ab`.
//!
//! Two pipes do not tell which of two lines was written first, and `2>&1` shows it. So what goes to stdout waits
//! where stdio would have kept it: until the call ends, unless a terminal reads it.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::error::strerror;
use crate::shim::plan::outcome::{Line, Lost, Output, Ran};
use crate::shim::plan::report;
use crate::shim::plan::types::{Decision, Plan};

/// A line is passed on unfinished when it is longer than this.
const LINE_AT_MOST: usize = 64 * 1024;
/// The size of glibc's buffer for a pipe or a file.
const STDIO_KEEPS: usize = 4096;

/// Pairs of what the real tool says and what the user reads.
pub(crate) type Translations<'a> = [(&'a Path, &'a Path)];

/// What was learnt from the output on its way.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// The last line on stderr that was not empty.
    pub last_words: Vec<u8>,
    /// A line that begins with `Usage:` went by.
    pub usage_shown: bool,
    /// A reader who has gone is no loss.
    pub lost: Lost,
    /// What was said and not passed on.
    pub held: Option<Vec<Line>>,
    /// What waits for [`say_what_waited`], if stdout waits.
    pub late: Option<Vec<u8>>,
}

/// What is not passed on at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HoldBack {
    /// All of it, for [`release`].
    pub all: bool,
    /// What goes to stdout, for [`say_what_waited`].
    pub stdout: bool,
}

/// What the real tool writes into, from our side.
#[derive(Debug)]
pub(crate) struct Pipes {
    pub stdout: Option<OwnedFd>,
    pub stderr: Option<OwnedFd>,
}

/// Passes both pipes on until they are closed, or until `ended` says that the real tool is gone: what it left
/// running in the background may keep them open for ever.
pub(crate) fn pump(
    pipes: Pipes,
    ended: Option<&OwnedFd>,
    translations: &Translations<'_>,
    hold_back: HoldBack,
) -> Heard {
    let mut heard = Heard {
        held: hold_back.all.then(Vec::new),
        late: hold_back.stdout.then(Vec::new),
        ..Heard::default()
    };
    let mut streams = [Stream::new(pipes.stdout, Output::Stdout), Stream::new(pipes.stderr, Output::Stderr)];
    let mut gone = false;
    loop {
        // Once it is gone, only what is in the pipes already.
        let timeout = if gone { PollTimeout::ZERO } else { PollTimeout::NONE };
        let ready = match wait_for(&streams, ended.filter(|_| !gone), timeout) {
            Err(Errno::EINTR) => continue,
            Err(_) => break,
            Ok(ready) => {
                gone |= ready.gone;
                ready.streams
            }
        };
        if ready.is_empty() && gone {
            break;
        }
        for at in ready {
            if let Some(stream) = streams.get_mut(at) {
                stream.step(translations, &mut heard);
            }
        }
        if streams.iter().all(|stream| stream.pipe.is_none()) {
            break;
        }
    }
    for stream in &mut streams {
        stream.end(translations, &mut heard);
    }
    heard
}

/// What a wait came to.
struct Ready {
    /// The streams that have something.
    streams: Vec<usize>,
    /// Whether the child is gone.
    gone: bool,
}

fn wait_for(streams: &[Stream; 2], ended: Option<&OwnedFd>, timeout: PollTimeout) -> nix::Result<Ready> {
    let open: Vec<usize> = (0..2).filter(|at| streams.get(*at).is_some_and(|s| s.pipe.is_some())).collect();
    if open.is_empty() {
        return Ok(Ready { streams: Vec::new(), gone: true });
    }
    let pipes = open.iter().filter_map(|at| streams.get(*at)?.pipe.as_ref()).map(AsFd::as_fd);
    let all = pipes.chain(ended.map(AsFd::as_fd));
    let mut polled: Vec<PollFd<'_>> = all.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    poll(&mut polled, timeout)?;
    let has = |at: usize| polled.get(at).is_some_and(|fd| fd.any() != Some(false));
    let ready = open.iter().enumerate().filter(|(at, _)| has(*at)).map(|(_, stream)| *stream);
    Ok(Ready { streams: ready.collect(), gone: ended.is_some() && has(open.len()) })
}

/// `text` with each backing path turned back.
pub(crate) fn translate(text: &[u8], translations: &Translations<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let matching =
            translations.iter().filter(|(backing, _)| rest.starts_with(backing.as_os_str().as_bytes()));
        match matching.max_by_key(|(backing, _)| backing.as_os_str().len()) {
            Some((backing, user)) if !backing.as_os_str().is_empty() => {
                out.extend_from_slice(user.as_os_str().as_bytes());
                rest = rest.get(backing.as_os_str().len()..).unwrap_or(&[]);
            }
            _ => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    out
}

/// What the real tool would say before it does anything.
pub(crate) fn say_foreword(plan: &Plan) {
    for line in &plan.foreword {
        write_all(Output::Stderr, &[line.as_bytes(), b"\n"].concat());
    }
}

/// With `-v` the real tool says what `-a` leaves alone; where the call is split, we say it.
pub(crate) fn say_what_is_left(plan: &Plan, range: std::ops::Range<usize>) {
    if !plan.is_split || !plan.verbose {
        return;
    }
    for operand in plan.operands.get(range).unwrap_or_default() {
        if let Decision::Leave { words, .. } = operand.decision {
            let line =
                [plan.tool.name.as_bytes(), b": ", operand.given.as_bytes(), b": ", words.as_bytes(), b"\n"];
            write_all(Output::Stderr, &line.concat());
        }
    }
}

struct Stream {
    pipe: Option<std::fs::File>,
    target: Output,
    line: Vec<u8>,
}

impl Stream {
    fn new(pipe: Option<OwnedFd>, target: Output) -> Self {
        Self { pipe: pipe.map(std::fs::File::from), target, line: Vec::new() }
    }

    fn step(&mut self, translations: &Translations<'_>, heard: &mut Heard) {
        let mut chunk = [0; 4096];
        let read = self.pipe.as_mut().map(|pipe| pipe.read(&mut chunk));
        match read {
            Some(Ok(length)) if length > 0 => {
                self.line.extend_from_slice(chunk.get(..length).unwrap_or(&[]));
                if translations.iter().any(|(backing, _)| backing.as_os_str().as_bytes().contains(&b'\n')) {
                    return;
                }
                while let Some(end) = self.line.iter().position(|&b| b == b'\n') {
                    let rest = self.line.split_off(end + 1);
                    let line = std::mem::replace(&mut self.line, rest);
                    self.pass(&line, translations, heard);
                }
                if self.line.len() <= LINE_AT_MOST {
                    return;
                }
            }
            Some(Err(error)) if error.kind() == std::io::ErrorKind::Interrupted => return,
            _ => self.pipe = None,
        }
        self.end(translations, heard);
    }

    /// A last line without an end.
    fn end(&mut self, translations: &Translations<'_>, heard: &mut Heard) {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.pass(&line, translations, heard);
        }
    }

    fn pass(&self, line: &[u8], translations: &Translations<'_>, heard: &mut Heard) {
        let line = translate(line, translations);
        let trimmed = line.trim_ascii();
        heard.usage_shown |= trimmed.starts_with(b"Usage:");
        if self.target == Output::Stderr && !trimmed.is_empty() {
            heard.last_words = trimmed.iter().copied().take(1024).collect();
        }
        match &mut heard.held {
            Some(held) => held.push(Line { to: self.target, bytes: line }),
            None => {
                say(Line { to: self.target, bytes: line }, &mut heard.late, &mut heard.lost);
            }
        }
    }
}

/// Says what was held back.
pub(crate) fn release(ran: &mut Ran) {
    for line in ran.held.take().into_iter().flatten() {
        say(line, &mut ran.late, &mut ran.lost);
    }
}

/// Says what waited for the end of the call, as stdio does when a program ends.
pub(crate) fn say_what_waited(ran: &mut [Ran]) {
    for ran in ran {
        if let Some(late) = ran.late.take().filter(|late| !late.is_empty()) {
            note_loss(&mut ran.lost, Output::Stdout, write_all(Output::Stdout, &late));
        }
    }
}

/// Writes it, or lets it wait until there is more than stdio keeps of a pipe or a file.
fn say(line: Line, late: &mut Option<Vec<u8>>, lost: &mut Lost) {
    let bytes = match late {
        Some(late) if line.to == Output::Stdout => {
            late.extend_from_slice(&line.bytes);
            if late.len() <= STDIO_KEEPS {
                return;
            }
            std::mem::take(late)
        }
        _ => line.bytes,
    };
    note_loss(lost, line.to, write_all(line.to, &bytes));
}

fn note_loss(lost: &mut Lost, target: Output, errno: Option<Errno>) {
    let stream = match target {
        Output::Stdout => &mut lost.stdout,
        Output::Stderr => &mut lost.stderr,
    };
    *stream = errno.or(*stream);
}

/// What util-linux says when it ends and its stdout could not be written.
pub(crate) fn say_what_was_lost(plan: &Plan, ran: &[Ran]) {
    if let Some(errno) = report::lost(plan, ran).and_then(|lost| lost.stdout) {
        let line = format!("{}: write error: {}\n", plan.tool.name, strerror(errno));
        write_all(Output::Stderr, line.as_bytes());
    }
}

/// std's own stdout would buffer lines that the real tool has written. A reader who has gone is no error; nor, to
/// util-linux, is a stdout that was opened for reading.
fn write_all(target: Output, bytes: &[u8]) -> Option<Errno> {
    let descriptor = match target {
        Output::Stdout => 1,
        Output::Stderr => 2,
    };
    let copy = crate::sys::stdio(descriptor).try_clone_to_owned().ok()?;
    let error = std::fs::File::from(copy).write_all(bytes).err()?;
    error
        .raw_os_error()
        .map(Errno::from_raw)
        .filter(|errno| *errno != Errno::EPIPE && (target == Output::Stderr || *errno != Errno::EBADF))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_path_wins_and_the_rest_stays() {
        let pairs = [(Path::new("/u/a"), Path::new("/a")), (Path::new("/u/ab"), Path::new("ab"))];
        assert_eq!(translate(b"swapon: /u/ab: x /u/a\n", &pairs), b"swapon: ab: x /a\n");
        assert_eq!(translate(b"nothing \xff", &pairs), b"nothing \xff");
        assert_eq!(translate(b"/u/a", &[]), b"/u/a");
    }
}
