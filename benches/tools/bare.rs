//! The least that a static Rust program costs which only becomes another: what a shim is measured against.

use std::os::unix::process::CommandExt;

fn main() {
    let mut arguments = std::env::args_os();
    let mut real = arguments.next().expect("argv[0]");
    real.push(".real");
    panic!("{}", std::process::Command::new(real).args(arguments).exec());
}
