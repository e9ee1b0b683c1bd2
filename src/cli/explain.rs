//! `rootfs-shim explain -- swapon -p 5 /swapfile`: the Plan, printed.

use std::ffi::OsString;
use std::path::Path;

use crate::cli::output::{print, print_json};
use crate::command::real_tool::{self, Real};
use crate::error::{Error, Kind, Result};
use crate::invocation::{Identity, Invocation};
use crate::shim::call::ShimCall;
use crate::shim::facts::gather::{self, Gathered};
use crate::shim::plan;

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print JSON (version 1)
    #[arg(long)]
    json: bool,
    /// The call to explain, after `--`: -- swapon -p 5 /swapfile
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Prints what the call would come to.
pub(crate) fn run(args: &Args, call: &Invocation) -> Result<i32> {
    let asked = Invocation { argv: args.command.clone(), ..call.clone() };
    let Identity::Shim(tool) = asked.identity() else {
        let name = crate::text::path(args.command.first().map_or(Path::new(""), Path::new));
        return Err(Error::new(
            Kind::Usage,
            "explain",
            format!("`{name}` is no command that rootfs-shim stands in for"),
        )
        .remedy("it knows swapon, swapoff and mkswap"));
    };
    let found = real_tool::find(tool, None).ok();
    let builtin = Real::builtin();
    let Some(mut asked) = ShimCall::read(tool, found.as_ref().unwrap_or(&builtin), &asked) else {
        return Err(Error::new(Kind::State, "explain", "there are no rules for this command"));
    };
    // It may leave us in a mount namespace of our own, where we only print.
    let Gathered { world, notices, revealed: _ } = gather::gather(&mut asked);
    let plan = plan::plan(&asked, &world);
    if args.json {
        return print_json(&plan.json()).map(|()| 0);
    }
    let mut text = String::new();
    for notice in notices {
        text += &format!("{}\n", notice.line(""));
    }
    text += &plan.to_string();
    text += &match found {
        Some(real) => format!("real tool: {}\n", crate::text::path(&real.path)),
        None => format!("real tool: none beside a shim, so our builtin {} would do it\n", tool.name),
    };
    print(&text).map(|()| 0)
}
