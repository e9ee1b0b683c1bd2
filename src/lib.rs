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
//! [`world`] never decides, [`plan`] never touches the system, [`execute`] never decides and is the only
//! place that changes anything. `status` is the World printed; `explain` and `--dry-run` are the Plan
//! printed.
//!
//! - [`invocation`]: the one door by which argv, the environment and the descriptors enter
//! - [`shim`]: argv → what was asked → run, for `swapon`, `swapoff` and `mkswap`
//! - [`builtin`]: swapon, swapoff and mkswap by ourselves, where the image has none
//! - [`cli`]: the subcommands
//! - [`install`], [`uninstall`], [`status`], [`mount`](fn@mount), [`unmount`], [`reset`], [`swap`](fn@swap): the
//!   same operations for an init that is written in Rust ([`api`], [`api_layers`])
//! - [`sys`]: every raw system call; [`error`], [`escape`], [`octal`], [`paths`]: the words we speak in

#![deny(clippy::disallowed_methods)]

pub mod api;
pub mod api_layers;
pub mod builtin;
pub mod cli;
pub mod config;
pub mod error;
pub mod escape;
pub mod execute;
pub mod invocation;
pub mod manifest;
pub mod notice;
pub mod octal;
pub mod paths;
pub mod plan;
pub mod root;
pub mod shim;
pub mod sys;
pub mod world;

pub use api::{InstallOptions, InstallReport, UninstallOptions, install, status, uninstall};
pub use api_layers::{LayersReport, MountOptions, ResetOptions, SwapOptions, mount, reset, swap, unmount};
