//! `rootfs-shim demo`: the whole story on this machine, with nothing left behind.
//!
//! Every line that looks like a command is run as it is shown, and what it printed is shown as it was. The
//! guest is built in a mount namespace of its own; an interrupt ends the play at once, and whatever ends it,
//! SIGKILL included, another process takes it away.
#![expect(clippy::disallowed_methods, reason = "the demo's own throwaway guest")]

pub(crate) mod guard;
pub(crate) mod guest;

use std::io::IsTerminal;
use std::path::Path;

use crate::cli::demo::guard::End;
use crate::cli::demo::guest::DemoGuest;
use crate::cli::output::{fail, print};
use crate::error::{Error, Kind, Result};

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where the throwaway disk image lives while the demo runs (about 40 MiB of it are used)
    #[arg(long, value_name = "DIR", default_value = "/tmp")]
    scratch: std::path::PathBuf,
}

/// The five lines that the world's boot scripts share.
const SCRIPT: &str = "fallocate -l 32M /swapfile\nchmod 600 /swapfile\nmkswap /swapfile\nswapon /swapfile\necho \"boot goes on\"\n";

/// What the demo's guest is configured with: a console that can be read afterwards, and a hint.
const CONFIG: &str = "[console]\npath = \"/console\"\n\n[swap]\nhint = \"Set swap_size_mb in your machine's config instead.\"\n";

/// 128 + SIGPIPE: what shows that the player wrote to a pipe that nobody reads any more.
const UNREAD: i32 = 128 + 13;

/// Plays the demo.
///
/// # Errors
/// What is missing on this machine, by name, with what brings it; or the step that failed. The guest is
/// taken away all the same.
pub(crate) fn run(args: &Args) -> Result<i32> {
    check_machine()?;
    let show = Show { colour: std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() };
    let guest = DemoGuest::find(&args.scratch)?;
    let end = guard::play(&guest, || match guest.build().and_then(|()| play(&guest, &show)) {
        Ok(()) => 0,
        Err(error) => fail(&error),
    })?;
    let left = guest.left();
    if !left.is_empty() {
        return Err(Error::new(Kind::State, "clear the stage", format!("left behind: {}", left.join(", "))));
    }
    let ended = |how: String| Err(Error::new(Kind::State, "play the demo", how));
    match end {
        End::Played(0) => {
            show.heading("Nothing is left behind: no mount, no loop device, no swap, no file.");
            Ok(0)
        }
        End::Interrupted => ended("interrupted; everything was undone".to_owned()),
        End::Played(UNREAD) => ended("nobody reads what it shows; everything was undone".to_owned()),
        End::Played(status) if status > 128 => {
            ended(format!("signal {} ended it; everything was undone", status - 128))
        }
        // The player has said what failed.
        End::Played(_) => Ok(1),
    }
}

fn play(guest: &DemoGuest, show: &Show) -> Result<()> {
    show.heading("A root filesystem of two layers");
    show.say("The lower layer is this machine's own /, read-only. The writable layer is an empty ext4 disk.");
    run_shown(guest, show, "findmnt -no FSTYPE,TARGET /")?;

    show.heading("What goes wrong on it");
    show.say("The script that boots half the internet's small machines:");
    show.script(SCRIPT);
    run_unseen(guest, show, &format!("set -e\n{SCRIPT}"))?;
    show.say("swapon refuses any file on overlayfs, and with `set -e` the boot ends there.");
    run_shown(guest, show, "rm /swapfile")?;

    show.heading("The remedy");
    let config = guest.path("config.toml");
    std::fs::write(&config, CONFIG).map_err(|error| Error::io("write", &config, &error))?;
    show.command("rootfs-shim install --chroot GUEST --config config.toml");
    show.output(&guest.install(&config)?);

    show.heading("The same script, unchanged");
    run_unseen(guest, show, &format!("set -e\n{SCRIPT}"))?;
    run_shown(guest, show, "swapon --show")?;
    run_shown(guest, show, "cat /proc/swaps")?;
    show.say("The kernel itself shows the user's own path. And the console got one line:");
    run_shown(guest, show, "cat /console")?;

    show.heading("And back");
    run_shown(guest, show, "swapoff /swapfile && rm /swapfile && echo gone")?;
    show.command("rootfs-shim uninstall --chroot GUEST");
    show.output(&guest.uninstall()?);
    Ok(())
}

/// Shows a script, runs it inside the guest's root and shows what it printed.
fn run_shown(guest: &DemoGuest, show: &Show, script: &str) -> Result<()> {
    show.command(script);
    let (output, _) = guest.run(script)?;
    show.output(&output);
    Ok(())
}

/// Runs a script that was shown before, and shows what it printed and how it ended.
fn run_unseen(guest: &DemoGuest, show: &Show, script: &str) -> Result<()> {
    let (output, status) = guest.run(script)?;
    show.output(&output);
    show.say(&format!("exit status {status}"));
    Ok(())
}

fn check_machine() -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Error::new(Kind::State, "play the demo", "mounting and swapping need root")
            .remedy("run `sudo rootfs-shim demo`"));
    }
    let tools = [
        ("mkfs.ext4", "e2fsprogs"),
        ("mount", "mount"),
        ("swapon", "mount"),
        ("mkswap", "util-linux"),
        ("fallocate", "util-linux"),
    ];
    let missing: Vec<_> = tools.iter().filter(|(tool, _)| !is_in_path(tool)).collect();
    if !missing.is_empty() {
        let names: Vec<&str> = missing.iter().map(|(tool, _)| *tool).collect();
        let mut packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
        packages.dedup();
        return Err(Error::new(
            Kind::State,
            "play the demo",
            format!("this machine has no {}", names.join(", ")),
        )
        .remedy(format!("run `apt-get install {}`", packages.join(" "))));
    }
    let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    if !known.lines().any(|line| line.trim_start_matches("nodev").trim() == "overlay") {
        return Err(Error::new(Kind::State, "play the demo", "this kernel has no overlayfs")
            .remedy("run `modprobe overlay`"));
    }
    Ok(())
}

fn is_in_path(tool: &str) -> bool {
    ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].iter().any(|dir| Path::new(dir).join(tool).exists())
}

/// How the demo looks on a terminal, and plain elsewhere.
struct Show {
    colour: bool,
}

impl Show {
    fn heading(&self, text: &str) {
        let _ =
            print(&if self.colour { format!("\n\x1b[1m{text}\x1b[0m\n") } else { format!("\n== {text}\n") });
    }

    fn say(&self, text: &str) {
        let _ = print(&format!("{text}\n"));
    }

    fn command(&self, text: &str) {
        let _ =
            print(&if self.colour { format!("\x1b[36m# {text}\x1b[0m\n") } else { format!("# {text}\n") });
    }

    fn script(&self, text: &str) {
        for line in text.lines() {
            self.command(line);
        }
    }

    fn output(&self, text: &str) {
        for line in text.lines() {
            let line = crate::text::sanitise(&expand(line));
            let _ =
                print(&if self.colour { format!("  \x1b[2m{line}\x1b[0m\n") } else { format!("  {line}\n") });
        }
    }
}

/// Tabs as a terminal would show them: every eight columns.
fn expand(line: &str) -> String {
    let mut out = String::new();
    for c in line.chars() {
        match c {
            '\t' => out.push_str(&" ".repeat(8 - out.chars().count() % 8)),
            c => out.push(c),
        }
    }
    out
}
