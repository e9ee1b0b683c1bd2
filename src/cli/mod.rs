//! The subcommands: arguments by clap, the work by the library, and the only place that prints.

pub(crate) mod builtin;
pub(crate) mod demo;
pub(crate) mod explain;
pub(crate) mod install;
pub(crate) mod install_outcome;
pub(crate) mod mount;
pub(crate) mod output;
pub(crate) mod reset;
pub(crate) mod status;
pub(crate) mod swap;
pub(crate) mod uninstall;
pub(crate) mod unmount;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

use crate::cli::output::fail;
use crate::error::{Error, Kind};
use crate::invocation::Invocation;

/// Makes swap, Docker and databases work on an overlay root.
#[derive(Debug, Parser)]
#[command(name = "rootfs-shim", bin_name = "rootfs-shim", version, about, arg_required_else_help = true, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "`rootfs-shim swapon`, `swapoff` and `mkswap` are builtins that do the work without a real tool.\n\
    Under the name swapon, swapoff or mkswap the same binary is a shim for that tool.\n\
    Exit status: 0 done or nothing to do, 1 failed and nothing changed or all put back, 2 usage.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Put the shim into a guest's root
    Install(install::Args),
    /// Take the shim out of a guest's root again
    Uninstall(uninstall::Args),
    /// Say what is where and what is off: exit status 0 if all is well, 1 if not
    Status(status::Args),
    /// Say what a swapon, swapoff or mkswap call would come to, and why; change nothing
    Explain(explain::Args),
    /// Put an overlay root together: image, writable layer, kept directories
    Mount(mount::Args),
    /// Take an overlay root down again
    Unmount(unmount::Args),
    /// Make a writable layer as new: what was written to it is lost
    Reset(reset::Args),
    /// Format and enable the platform's own swap device
    Swap(swap::Args),
    /// Show it all on this machine: a throwaway overlay root, and nothing is left behind
    Demo(demo::Args),
}

/// The tables of all arguments: what man pages and completions are made of.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs a subcommand; returns the exit status.
pub fn run(call: &Invocation) -> i32 {
    if let Some(status) = builtin::run(call) {
        return status;
    }
    let cli = match Cli::try_parse_from(&call.argv) {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let done = match &cli.command {
        Command::Install(args) => Ok(install::run(args)),
        Command::Uninstall(args) => Ok(uninstall::run(args)),
        Command::Status(args) => status::run(args),
        Command::Explain(args) => explain::run(args, call),
        Command::Mount(args) => mount::run(args),
        Command::Unmount(args) => unmount::run(args),
        Command::Reset(args) => reset::run(args),
        Command::Swap(args) => swap::run(args),
        Command::Demo(args) => demo::run(args),
    };
    match done {
        Ok(status) => status,
        Err(error) => fail(&error),
    }
}

/// What clap has to say: help as it is, a mistake in one line.
fn refuse(error: &clap::Error) -> i32 {
    if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return error.exit_code();
    }
    fail(&mistake(error))
}

fn mistake(error: &clap::Error) -> Error {
    let text = error.to_string();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let said: Vec<&str> =
        lines.take_while(|line| !["Usage:", "For more"].iter().any(|end| line.starts_with(end))).collect();
    let line = said.join(" ");
    let mistake = line.strip_prefix("error: ").unwrap_or(&line);
    Error::new(Kind::Usage, "understand the arguments", mistake).remedy("--help shows what there is")
}

#[cfg(test)]
mod tests {
    use super::*;

    const README: &str = include_str!("../../README.md");

    #[test]
    fn the_readme_names_the_packages_and_the_rust_that_are_needed() {
        let packages = include_str!("../../packaging/debian-packages").lines();
        let names = packages
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_whitespace().next())
            .collect::<Vec<_>>();
        let line = format!("# apt-get install {}\n", names.join(" "));
        assert!(README.contains(&line), "README.md lacks: {line}");
        let manifest = include_str!("../../Cargo.toml").lines();
        let rust = manifest.filter_map(|line| line.strip_prefix("rust-version = ")).next().unwrap();
        assert!(README.contains(&format!("Rust {} or newer", rust.trim_matches('"'))), "README.md: {rust}");
    }

    #[test]
    fn nothing_of_an_argument_reaches_a_terminal_raw() {
        let words = |argv: &[&str]| mistake(&Cli::try_parse_from(argv).unwrap_err()).to_string();
        let said = words(&["x", "sta\u{202e}tus\r"]);
        assert!(said.contains("\\u{202e}"), "{said}");
        for text in [said, words(&["\x1b]0;x\x07", "\x1b[2J"]), words(&["a\nb", "status", "--\x1b[31m"])] {
            assert!(!text.contains(char::is_control), "{text:?}");
        }
        let help = Cli::try_parse_from(["\x1b[2Jx\n", "--help"]).unwrap_err().to_string();
        assert!(help.contains("Usage: rootfs-shim ") && !help.contains('\x1b'), "{help}");
    }

    #[test]
    fn the_readme_knows_every_subcommand_and_its_config_parses() {
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            let shown = ["", "/.rootfs-shim/bin/"].map(|dir| format!("{dir}rootfs-shim {name}"));
            let said =
                shown.iter().any(|shown| README.contains(shown)) || README.contains(&format!("cargo {name}"));
            assert!(said, "README.md does not show {name}");
        }
        let config = README.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        crate::config::Config::parse(config.as_bytes()).unwrap();
    }
}
