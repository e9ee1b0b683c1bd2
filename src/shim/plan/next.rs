//! What comes after a run of the real tool: the one question that whoever runs it asks, and still pure.
//!
//! A failed run is answered with whatever of the plan has not been tried yet, always in this order: plainer options,
//! the same once more with other blocks, a fallback in the place of the file.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use crate::shim::plan::outcome::Ran;
use crate::shim::plan::runs::Fallbacks;
use crate::shim::plan::types::{BackedFile, Decision, Plan};

/// What to do after a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next<'a> {
    /// Nothing; the run is the last word.
    Finished,
    /// Nothing, and what the run said is not to be said: it was about a tag that nobody need have.
    Forgiven,
    /// Run the tool once more with these arguments, because it knows no option which stands for one of fstab's.
    PlainerOptions(Vec<OsString>),
    /// Write the blocks of this file anew, and run the tool once more: some kernels refuse blocks that were
    /// allocated but never written.
    OnceMore { at: usize, file: &'a BackedFile },
    /// Let a fallback take the file's place, because the filesystem refuses the file.
    Fallback { at: usize, fallbacks: Fallbacks<'a> },
}

/// What has been tried for an operand by now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tried {
    /// How many of the run's plainer arguments.
    pub plainer: usize,
    /// Its blocks were looked at, and written where that could help.
    pub blocks: bool,
    pub fallback: bool,
}

/// What comes after `ran`.
pub(crate) fn next<'a>(plan: &'a Plan, ran: &Ran, tried: Tried) -> Next<'a> {
    if was_about_nothing(plan, ran) {
        return Next::Forgiven;
    }
    let plainer = ran.run.plainer.get(tried.plainer).filter(|_| !tried.blocks && ran.is_usage(plan));
    if let Some(argv) = plainer {
        return Next::PlainerOptions(argv.clone());
    }
    if ran.status == 0 || ran.is_usage(plan) || tried.fallback {
        return Next::Finished;
    }
    let Some(at) = ran.run.operands.first().copied() else { return Next::Finished };
    let file = plan.backing(at);
    if let Some(file) = file.filter(|file| !tried.blocks && may_be_blocks(file, ran)) {
        return Next::OnceMore { at, file };
    }
    match plan.fallbacks(at).filter(|_| file.is_none_or(|file| is_unfit(plan, file, ran))) {
        Some(fallbacks) => Next::Fallback { at, fallbacks },
        None => Next::Finished,
    }
}

/// The operands for which nothing is run but a fallback.
pub(crate) fn only_fallbacks(plan: &Plan) -> Vec<usize> {
    let operands = plan.operands.iter().enumerate();
    let only = operands.filter(|(_, operand)| matches!(operand.decision, Decision::Fallback { .. }));
    only.map(|(at, _)| at).collect()
}

/// Whether a failed run was about a tag that nobody has and nobody need have. Where something has it, the real
/// tool speaks of that; only where nothing has, it speaks of the tag, in whatever language.
fn was_about_nothing(plan: &Plan, ran: &Ran) -> bool {
    let [at] = ran.run.operands[..] else { return false };
    let Some(operand) = plan.operands.get(at).filter(|_| plan.may_be_nothing(at)) else { return false };
    let tag = operand.given.as_bytes();
    ran.status == plan.flavour.failure_status && ran.last_words.windows(tag.len()).any(|words| words == tag)
}

/// Whether the kernel's refusal can lie in the file's blocks, and the area is not active already, when the kernel
/// would not let us write to it anyway.
fn may_be_blocks(file: &BackedFile, ran: &Ran) -> bool {
    file.orders.rewrite_blocks && !file.facts.active && ran.run.private && is_refusal(ran)
}

/// Whether the filesystem is one that cannot hold the file, and the kernel's answer was that, not that the area is
/// active or that the caller may not.
fn is_unfit(plan: &Plan, file: &BackedFile, ran: &Ran) -> bool {
    let refused = is_refusal(ran) || file.facts.copy_on_write;
    plan.is_btrfs() && refused && ran.run.private && !file.facts.active
}

/// EINVAL, which is what the kernel says of a file that cannot be swap; in the words of the C locale.
fn is_refusal(ran: &Ran) -> bool {
    ran.last_words.ends_with(b"Invalid argument")
}
