//! rootfs-shim makes swap, Docker and databases work on machines whose root filesystem is overlayfs.
//!
//! A platform boots a read-only image with an ephemeral writable layer over it. `swapon` refuses any file on
//! such a root. This crate is the one program that mends it, and the story of every command in it has one
//! direction:
//!
//! ```text
//! argv + config + /proc  →  world (facts)  →  plan (pure data)  →  execute  →  exit status
//! ```
//!
//! Facts never decide, plans never touch the system, and execution never decides and is the only place that
//! changes anything. `status` is the facts printed; `explain` and `--dry-run` are the plan printed. Each room has its
//! own three, and a `use` only ever points down this list:
//!
//! - [`cli`]: the subcommands
//! - [`status`](mod@status), [`layers`], [`shim`]: what is where; the root itself; a call of swapon, swapoff or mkswap
//! - [`installer`], [`builtin`]: the shim into an image and out again; the three tools by ourselves
//! - [`invocation`]: the one door by which argv, the environment and the descriptors enter
//! - [`command`], [`backing`]: what the three commands are; where upper is, and how it becomes visible to us
//! - [`swap`](mod@swap), [`notice`]: what Linux knows of swap; what we say on the console
//! - [`untrusted`], [`kernel`], [`config`]: paths in a stranger's tree; what the kernel tells; the configuration
//! - [`error`], [`text`], [`octal`], [`paths`], [`sys`]: the words we speak in, and every raw system call

#![deny(clippy::disallowed_methods)]

pub mod backing;
pub mod builtin;
pub mod cli;
pub mod command;
pub mod config;
pub mod error;
pub mod installer;
pub mod invocation;
pub mod kernel;
pub mod layers;
pub mod notice;
pub mod octal;
pub mod paths;
pub mod shim;
pub mod status;
pub mod swap;
pub mod sys;
pub mod text;
pub mod untrusted;

pub use crate::installer::{InstallOptions, InstallReport, UninstallOptions, install, status, uninstall};
pub use crate::layers::{LayersReport, MountOptions, ResetOptions, SwapOptions, mount, reset, swap, unmount};
