//! Writes the man pages and the shell completions, from the tables that the program parses its arguments with.
//!
//! usage: cargo run --example pages -- DIR
//!
//! An example and no part of the program, so that the program does not grow by it; `packaging/build` runs it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Command;
use clap_complete::Shell;

fn main() -> io::Result<()> {
    let dir = std::env::args_os().nth(1).map(PathBuf::from);
    write(&dir.ok_or_else(|| io::Error::other("usage: pages DIR"))?)
}

fn write(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let mut program = rootfs_shim::internals::command_line();
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut program, "rootfs-shim", dir)?;
    }
    // clap's own words for a program whose name has a hyphen do not fit together (clap-rs/clap#6421).
    let bash = dir.join("rootfs-shim.bash");
    fs::write(&bash, fs::read_to_string(&bash)?.replace("rootfs__subcmd__shim__", "rootfs__shim__"))?;
    let mut program = rootfs_shim::internals::command_line().disable_help_subcommand(true);
    program.build();
    for command in program.get_subcommands() {
        page(dir, command, &format!("rootfs-shim-{}", command.get_name()))?;
    }
    page(dir, &program, "rootfs-shim")
}

fn page(dir: &Path, command: &Command, name: &str) -> io::Result<()> {
    let source = concat!("rootfs-shim ", env!("CARGO_PKG_VERSION"));
    let page = clap_mangen::Man::new(command.clone()).title(name).section("8").source(source);
    page.generate_to(dir).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bash_completes_what_follows_a_subcommand() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path()).unwrap();
        let script = ". ./rootfs-shim.bash; COMP_WORDS=(rootfs-shim mount --vol); COMP_CWORD=2
            _rootfs__shim rootfs-shim --vol mount; echo \"${COMPREPLY[@]}\"";
        let bash = std::process::Command::new("bash").args(["-c", script]).current_dir(dir.path()).output();
        assert_eq!(String::from_utf8(bash.unwrap().stdout).unwrap(), "--volatile\n");
    }

    #[test]
    fn every_subcommand_has_a_page_and_is_completed() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path()).unwrap();
        let text = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
        let main = text("rootfs-shim.8");
        for command in rootfs_shim::internals::command_line().get_subcommands() {
            let name = command.get_name();
            assert!(main.contains(&format!("rootfs\\-shim\\-{name}(8)")), "{name} is not in {main}");
            let page = text(&format!("rootfs-shim-{name}.8"));
            for option in command.get_arguments().filter_map(|argument| argument.get_long()) {
                let shown = format!("\\-\\-{}", option.replace('-', "\\-"));
                assert!(page.contains(&shown), "{shown} is not in {page}");
            }
            for file in ["rootfs-shim.bash", "_rootfs-shim", "rootfs-shim.fish"] {
                assert!(text(file).contains(name), "{name} is not in {file}");
            }
        }
    }
}
