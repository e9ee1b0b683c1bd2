//! rootfs-shim makes swap, Docker and databases work on machines whose root filesystem is overlayfs.
//!
//! A platform boots a read-only image with an ephemeral writable layer over it. `swapon` refuses any file on
//! such a root. This crate is the one program that mends it, and the story of every command in it has one
//! direction:
//!
//! ```text
//! argv + config + /proc  →  facts  →  plan (pure data)  →  execution  →  exit status
//! ```
//!
//! Facts never decide, plans never touch the system, and execution never decides and is the only place that
//! changes anything. `status` is the facts printed; `explain` and `--dry-run` are the plan printed. Each room has its
//! own three, and a `use` only ever points down this list:
//!
//! - `cli`: the subcommands
//! - `status`, `layers`, `shim`: what is where; the root itself; a call of swapon, swapoff or mkswap
//! - `installer`, `builtin`: the shim into an image and out again; the three tools by ourselves
//! - `invocation`: the one door by which argv, the environment and the descriptors enter
//! - `command`, `backing`: what the three commands are; where upper is, and how it becomes visible to us
//! - `swap`, `notice`: what Linux knows of swap; what we say on the console
//! - `untrusted`, `kernel`, `config`: paths in a stranger's tree; what the kernel tells; the configuration
//! - `error`, `text`, `octal`, `paths`, `sys`: the words we speak in, and every raw system call

#![deny(clippy::disallowed_methods)]
// A room is open to the other rooms, not to the world: `pub` is what an init calls. (A test's modules may say `pub`.)
#![warn(unreachable_pub)]

mod backing;
mod builtin;
mod cli;
mod command;
pub mod config;
// The program has it, not the library; but its tests compare it with what the library knows.
#[cfg(all(test, target_arch = "x86_64", target_env = "gnu"))]
mod early;
pub mod error;
mod installer;
mod invocation;
mod kernel;
mod layers;
mod notice;
mod octal;
mod paths;
mod shim;
mod status;
mod swap;
mod sys;
mod text;
mod untrusted;

pub use crate::config::Config;
pub use crate::error::{Error, Kind};
pub use crate::installer::options::{InstallOptions, InstallReport, UninstallOptions};
pub use crate::installer::plan::step::Step;
pub use crate::installer::{install, install_watched, uninstall, uninstall_watched};
pub use crate::layers::mount::build::Progress;
pub use crate::layers::options::{LayersReport, MountOptions, ResetOptions, SwapOptions};
pub use crate::layers::reset::pending::Pending;
pub use crate::layers::reset::plan::Discard;
pub use crate::layers::swap_device::plan::PRIORITY;
pub use crate::layers::{mount, mount_watched, reset, swap, unmount};
pub use crate::status::{Status, status};

/// What this project's own program, tests, fuzz targets and pages use, and nobody else: no promise holds for it.
#[doc(hidden)]
pub mod internals {
    pub use crate::cli::{command as command_line, run as run_command};
    pub use crate::invocation::{Identity, Invocation};
    pub use crate::shim::run as run_shim;

    pub mod command {
        pub use crate::command::getopt::Order;
        pub use crate::command::real_tool::Real;
        pub use crate::command::request::{Request, read, rewrite};
        pub use crate::command::tables::{Flavour, Maker, TOOLS, Tool};
    }
    pub mod facts {
        pub use crate::kernel::mounts::Mounts;
        pub use crate::kernel::places::{FileId, Location};
        pub use crate::shim::facts::fstab;
        pub use crate::shim::facts::header::AreaHeader;
        pub use crate::shim::facts::operand::{AtBackingPath, FileFacts, Operand, Thing, What};
        pub use crate::shim::facts::{Backing, Listed, Sighted, World};
        pub use crate::sys::MountId;
    }
    pub mod plan {
        pub use crate::shim::call::ShimCall;
        pub use crate::shim::plan::plan;
        pub use crate::shim::plan::types::Plan;
    }
    pub mod swap {
        pub use crate::swap::header::Header;
        pub use crate::swap::tag::Tag;
        pub use crate::swap::{active, fstab};
    }
    pub mod installer {
        pub use crate::installer::image::dpkg;
        pub use crate::installer::image::file::sha256;
        pub use crate::installer::manifest::Manifest;
    }
    pub mod octal {
        pub use crate::octal::{decode, encode, to_ascii};
    }
}
