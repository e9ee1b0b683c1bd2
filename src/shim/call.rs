//! One call of a shim: what was called, how its command line reads, which real tool stands behind it, and what
//! is configured. It goes from the facts over the plan to the run.

use crate::command::real_tool::Real;
use crate::command::request::{self, Request};
use crate::command::tables::{Flavour, Tool};
use crate::config::Config;
use crate::invocation::Invocation;

/// A call of a shim.
#[derive(Debug, Clone)]
pub struct ShimCall<'a> {
    /// The tool whose name we were called by.
    pub tool: &'static Tool,
    /// The real tool, or our builtin where there is none.
    pub real: &'a Real,
    /// The implementation by whose rules the command line was read.
    pub flavour: &'static Flavour,
    /// What the command line asks for.
    pub request: Request,
    /// argv, the environment and the descriptors.
    pub invocation: &'a Invocation,
    /// The default, until something is asked for that concerns us and the file is read.
    pub config: Config,
}

impl<'a> ShimCall<'a> {
    /// Reads the command line by the rules of `real`. `None` if the tool has no rules at all, which build.rs refuses.
    pub fn read(tool: &'static Tool, real: &'a Real, invocation: &'a Invocation) -> Option<Self> {
        let flavour = tool.flavour(real.kind)?;
        let request = request::read(tool, flavour, &invocation.argv, invocation.order);
        let request = request.to(|option| real.knows(option));
        Some(Self { tool, real, flavour, request, invocation, config: Config::default() })
    }
}
