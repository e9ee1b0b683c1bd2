//! Every raw system call of the crate, and all of its `unsafe`: the files below `src/sys/`.
//!
//! What nix or std wraps safely is used from there; these files hold the rest, each call behind a safe function
//! whose arguments cannot be misused: descriptors are borrowed, paths are C strings made here, buffers are
//! owned here. Nothing in them decides anything.
#![allow(unsafe_code, reason = "this is the one room that may")]
#![expect(
    clippy::disallowed_methods,
    reason = "the calls themselves, and what the kernel says in /proc and /dev"
)]

pub(crate) mod block;
mod clib;
mod fd;
mod inode;
mod lock;
mod mounts;
mod patience;
mod process;
mod signals;
mod swap;
pub(crate) mod xattr;

pub(crate) use crate::sys::clib::*;
pub(crate) use crate::sys::fd::*;
pub(crate) use crate::sys::inode::*;
pub(crate) use crate::sys::lock::*;
pub use crate::sys::mounts::*;
pub(crate) use crate::sys::patience::wait_for;
pub(crate) use crate::sys::process::*;
pub(crate) use crate::sys::signals::*;
pub(crate) use crate::sys::swap::*;
