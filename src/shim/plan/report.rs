//! From what happened to an exit status and notices: the last decision of a run, and still pure.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::command::tables::{Maker, Purpose};
use crate::config::{Config, Fallback, OnFailure};
use crate::notice::Notice;
use crate::shim::plan::outcome::{Done, Lost, Output, Prepared, Ran};
use crate::shim::plan::types::{Area, BackedFile, Decided, Decision, Plan};
use crate::text::{self, size_words};

/// What the caller is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    pub status: i32,
    pub notices: Vec<Notice>,
}

/// What to tell after a supervised run.
pub(crate) fn report(plan: &Plan, prepared: &[Prepared], ran: &[Ran], config: &Config) -> Report {
    let mut notices = before(plan, prepared);
    let mut status = 0;
    for outcome in ran {
        if outcome.is_usage(plan) {
            return Report { status: outcome.status, notices };
        }
        status |= outcome.status;
        if outcome.status != 0 && outcome.run.operands.len() != 1 && plan.lenient {
            notices.push(Notice::error(format!("{}: {}.", plan.tool.name, together(plan, outcome))));
            continue;
        }
        for at in &outcome.run.operands {
            let Some(operand) = plan.operands.get(*at) else { continue };
            let backed = plan.backing(*at).filter(|_| prepared.get(*at).is_some_and(Prepared::is_proved));
            notices.extend(after(plan, operand, backed, outcome, config));
        }
    }
    if plan.operands.iter().any(|operand| !is_tried(&operand.decision)) {
        status |= plan.flavour.failure_status;
    }
    // util-linux ends with 1 if its output was lost, whatever else went right or wrong.
    let honest = if lost(plan, ran).is_some() { 1 } else { status };
    Report { status: if plan.lenient { 0 } else { honest }, notices }
}

/// Why the output of a tool that minds was lost.
pub(crate) fn lost(plan: &Plan, ran: &[Ran]) -> Option<Lost> {
    let minds = plan.flavour.kind == Maker::UtilLinux;
    let lost = Lost {
        stdout: ran.iter().find_map(|ran| ran.lost.stdout),
        stderr: ran.iter().find_map(|ran| ran.lost.stderr),
    };
    (minds && lost != Lost::default()).then_some(lost)
}

/// The notices that are due whatever the real tool does: refusals, doubts, what was done to a file. They are
/// all there is when we become the real tool.
pub(crate) fn before(plan: &Plan, prepared: &[Prepared]) -> Vec<Notice> {
    let decided = plan.operands.iter().enumerate();
    decided.flat_map(|(at, operand)| first_words(plan, operand, prepared.get(at))).collect()
}

/// The status when every operand was refused and the real tool is not run at all.
pub(crate) fn refused_status(plan: &Plan, config: &Config) -> i32 {
    match (plan.tool.purpose, config.swap.on_failure) {
        (Purpose::Disable, _) | (_, OnFailure::Continue) => 0,
        (_, OnFailure::Fail) => plan.flavour.failure_status,
    }
}

fn is_tried(decision: &Decision) -> bool {
    !matches!(decision, Decision::Refuse { .. } | Decision::Skip { .. })
}

fn first_words(plan: &Plan, operand: &Decided, prepared: Option<&Prepared>) -> Vec<Notice> {
    let name = plan.tool.name;
    let given = text::path(&operand.given);
    match (&operand.decision, prepared) {
        (Decision::Refuse { path, point, source }, _) => {
            vec![Notice::error(volume_words(name, path, point, source))]
        }
        (Decision::Skip { path, fstype, reason }, _) => vec![Notice::error(format!(
            "{name}: {} was not enabled: it is on {fstype}, which {reason} and cannot hold swap. Put the swapfile on the \
             root filesystem.",
            text::path(path)
        ))],
        (Decision::AsItIs { why, told: true }, _) => {
            vec![Notice::warn(format!("{name}: {given} {why}; it goes to {name} as it is."))]
        }
        (Decision::Backing(_), Some(Prepared::Doubt(why))) => {
            vec![Notice::warn(format!("{name}: {given}: {why}; it goes to {name} as it is."))]
        }
        (Decision::Backing(_), Some(Prepared::Proved(done))) => {
            done.iter().map(|done| Notice::warn(format!("{name}: {given} {}.", done_words(*done)))).collect()
        }
        _ => Vec::new(),
    }
}

fn done_words(done: Done) -> String {
    match done {
        Done::Filled(bytes) => {
            format!("had holes; {} of disk space was allocated for them", size_words(bytes))
        }
        Done::Recreated => {
            "came with the image; it was made new at the same size instead of being copied".to_owned()
        }
        Done::Unshared => "shared disk blocks with another file; it has its own now".to_owned(),
        Done::Rewritten => "had disk blocks that the kernel refuses; they were written anew".to_owned(),
    }
}

fn volume_words(name: &str, path: &Path, point: &Path, source: &std::ffi::OsStr) -> String {
    let done = if name == "mkswap" { "was not formatted as swap" } else { "was not enabled as swap" };
    format!(
        "{name}: {} {done}: it is on the attached volume {} ({}), and swap on volumes is not supported here. Put the \
         swapfile on the root filesystem.",
        text::path(path),
        text::path(point),
        text::path(source)
    )
}

fn after(
    plan: &Plan,
    operand: &Decided,
    backed: Option<&BackedFile>,
    ran: &Ran,
    config: &Config,
) -> Option<Notice> {
    if plan.tool.purpose != Purpose::Enable {
        return None;
    }
    let name = plan.tool.name;
    if let (0, Some(kind)) = (ran.status, ran.fallback) {
        return Some(fallback_words(name, operand, kind));
    }
    if ran.status == 0 {
        let backed = backed?;
        let device = config.swap_device.device.as_ref().map_or(String::new(), |device| {
            format!(" This machine has a swap device of its own, {}.", text::path(device))
        });
        let open =
            if ran.in_the_open { " It is listed under its path on the backing filesystem." } else { "" };
        return Some(Notice::warn(format!(
            "{name}: {} is enabled ({} of swap on the writable layer, gone at the next stop).{open}{device}",
            text::path(&backed.seen),
            size_words(backed.facts.size)
        )));
    }
    // A doubt was told already, and what the real tool says of the overlay's path is beside the point.
    let doubted = matches!(operand.decision, Decision::Backing(_)) && backed.is_none();
    if !plan.lenient || doubted {
        return None;
    }
    let shown = backed.map_or(Path::new(&operand.given), |backed| &backed.seen);
    let why = reason(plan, operand, shown, ran);
    Some(Notice::error(format!("{name}: {} was not enabled: {why}.", text::path(shown))))
}

/// One run was about several areas, and only the real tool knows which of them failed.
fn together(plan: &Plan, ran: &Ran) -> String {
    const NAMED: usize = 3;
    const NAME_CAP: usize = 100;
    let operands = ran.run.operands.iter().filter_map(|at| plan.operands.get(*at));
    let name = |operand: &Decided| text::cap(&text::path(&operand.given), NAME_CAP);
    let names: Vec<String> = operands.take(NAMED).map(name).collect();
    let which = match ran.run.operands.len() {
        0 => "not everything was enabled".to_owned(),
        count => {
            let more = if count > NAMED { ", ..." } else { "" };
            format!("not all of {count} were enabled ({}{more})", names.join(", "))
        }
    };
    let words = ran.last_words.trim_ascii();
    let words = words.strip_prefix(format!("{}: ", plan.tool.name).as_bytes()).unwrap_or(words);
    format!("{which}: {}", text::escape(words).trim_end_matches('.'))
}

/// Why it failed, in the user's terms where we know, else in the real tool's words.
fn reason(plan: &Plan, operand: &Decided, seen: &Path, ran: &Ran) -> String {
    let name = plan.tool.name;
    if let Some(words) = known_reason(plan, operand, ran) {
        return words;
    }
    let mut words = ran.last_words.trim_ascii();
    let shown = [operand.given.as_bytes(), seen.as_os_str().as_bytes()];
    let prefixes = [name.as_bytes()].into_iter().chain(shown);
    for prefix in prefixes {
        words = words.strip_prefix(prefix).and_then(|rest| rest.strip_prefix(b": ")).unwrap_or(words);
    }
    match words {
        [] => format!("{name} ended with status {}", ran.status),
        words => text::escape(words).trim_end_matches('.').to_owned(),
    }
}

fn known_reason(plan: &Plan, operand: &Decided, ran: &Ran) -> Option<String> {
    const SMALLEST: u64 = 10 * 4096;
    let enabled = || "it is enabled already".to_owned();
    let facts = match &operand.decision {
        Decision::Backing(backed) => &backed.facts,
        Decision::ActiveFallback { .. } => return Some(enabled()),
        _ => return None,
    };
    if facts.active || ran.last_words.ends_with(b"Device or resource busy") {
        return Some(enabled());
    }
    match facts.area {
        Area::Foreign => Some("it was formatted for another page size, so run mkswap again".to_owned()),
        Area::Missing if facts.size < SMALLEST => {
            Some(format!("it is smaller than {}, the least that mkswap takes", size_words(SMALLEST)))
        }
        Area::Missing => Some("it has no swap signature, so run mkswap on it first".to_owned()),
        Area::Usable => match &operand.decision {
            Decision::Backing(backed) if plan.is_btrfs() => Some(btrfs_recipe(backed)),
            _ => None,
        },
    }
}

/// btrfs takes a swapfile only if it was made without copy-on-write while it was empty.
fn btrfs_recipe(backed: &BackedFile) -> String {
    let (path, size) = (text::path(&backed.seen), backed.facts.size);
    format!(
        "on btrfs a swapfile has to be made without copy-on-write: rm {path}; touch {path}; chattr +C {path}; fallocate -l \
         {size} {path}; chmod 600 {path}; mkswap {path}"
    )
}

/// The run of the file itself and then of a fallback: what was said of the file stays said, but for the last line,
/// which was why it failed.
pub(crate) fn replaced_by_fallback(first: Ran, mut ran: Ran, kind: Fallback) -> Ran {
    let mut said = first.held.unwrap_or_default();
    said.retain(|line| line.to != Output::Stderr || line.bytes.trim_ascii() != first.last_words);
    if let Some(held) = &mut ran.held {
        said.retain(|line| !held.contains(line));
        held.splice(..0, said);
    }
    Ran { fallback: Some(kind), ..ran }
}

/// What the user is told of a fallback that was enabled.
fn fallback_words(name: &str, operand: &Decided, kind: Fallback) -> Notice {
    let (path, size) = match &operand.decision {
        Decision::Fallback { path, size, .. } => (path, *size),
        Decision::Backing(backed) => (&backed.seen, backed.facts.size),
        _ => return Notice::warn(format!("{name}: a {} device is enabled.", kind.word())),
    };
    let what = match kind {
        Fallback::Loop => "through a loop device, which is slower",
        Fallback::Zram => "as compressed memory (zram), and its disk space is not used",
    };
    let (path, size) = (text::path(path), size_words(size));
    Notice::warn(format!("{name}: {path} cannot be swap where it is; {size} of swap are enabled {what}."))
}

#[cfg(test)]
mod tests {
    use crate::text::size_words;

    #[test]
    fn sizes_are_words_a_person_would_use() {
        for (bytes, words) in
            [(512 << 20, "512 MiB"), (3 << 29, "1.5 GiB"), (40 << 10, "40 KiB"), (7, "7 bytes")]
        {
            assert_eq!(size_words(bytes), words);
        }
    }
}
