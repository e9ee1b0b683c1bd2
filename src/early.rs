//! Listings, before there is a C library: `swapon --show` becomes the real tool within six system calls.
//!
//! Two thirds of what handing a call on would cost is glibc's own beginning: it asks the processor what it can do,
//! forty times, and in a VM each answer is a trap to the host. A call whose name and first argument already say
//! that it concerns no swap area ([`INFORMING`], made from `shims/*.toml`) needs none of that. Whatever is not
//! quite plain (no /proc, no real tool beside the shim, a shim above us) goes the usual way, which decides anew
//! and by itself; so nothing here may have an effect but the execve(2).
//!
//! The invariant: nothing here calls the C library. It is not set up yet, and even memcpy(3) has no address. So
//! bytes are read and written one by one, volatile, which keeps the compiler from making such a call of a loop; and
//! no constant here holds an address, because nothing is relocated.
#![allow(
    unsafe_code,
    reason = "there is no C library yet, so the system calls are made here and not in src/sys"
)]

use std::arch::{asm, global_asm};
use std::mem::MaybeUninit;

include!(concat!(env!("OUT_DIR"), "/informing.rs"));

// The stack is as the kernel made it (System V ABI, AMD64 supplement, 3.4.1): argc, argv, NULL, environment, NULL.
global_asm!(
    ".globl rootfs_shim_entry",
    "rootfs_shim_entry:",
    "mov rdi, rsp",
    // _start hands it on to the C library; twice, because a call wants the stack at a multiple of sixteen.
    "push rdx",
    "push rdx",
    "call {early}",
    "pop rdx",
    "pop rdx",
    "jmp _start",
    early = sym early,
);

const PATH_MAX: usize = 4096;
const VARIABLES_MAX: usize = 256;

type Text = *const u8;

/// Returns if the call is not one of those, or if the real tool cannot be executed.
#[unsafe(link_section = ".text")]
unsafe extern "C" fn early(stack: *const usize) {
    // SAFETY: the stack is as said above, and each of its strings ends with a NUL.
    unsafe {
        let (argc, argv) = (stack.read(), stack.add(1).cast::<Text>());
        if argc == 0 {
            return;
        }
        let name = file_name(argv.read());
        // NULL ends argv.
        if !informs(name, argv.add(1).read()) {
            return;
        }
        let mut path = MaybeUninit::<[u8; PATH_MAX]>::uninit();
        let path = path.as_mut_ptr().cast::<u8>();
        let mut variables = MaybeUninit::<[Text; VARIABLES_MAX]>::uninit();
        let variables = variables.as_mut_ptr().cast::<Text>();
        if real_tool(path, name) && is_another_file(path) && one_deeper(argv.add(argc + 1), variables) {
            const EXECVE: usize = 59;
            call(EXECVE, path as usize, argv as usize, variables as usize, 0);
        }
    }
}

/// What follows the last slash.
#[unsafe(link_section = ".text")]
unsafe fn file_name(text: Text) -> Text {
    let (mut at, mut name) = (text, text);
    // SAFETY: up to the NUL.
    unsafe {
        while at.read_volatile() != 0 {
            if at.read_volatile() == b'/' {
                name = at.add(1);
            }
            at = at.add(1);
        }
    }
    name
}

/// Whether a call with that name and first argument (null if it has none) is one of [`INFORMING`]: each tool's name,
/// then the options, each with a NUL behind it, and another NUL behind the last.
#[unsafe(link_section = ".text")]
unsafe fn informs(name: Text, first: Text) -> bool {
    let mut at = 0;
    while at < INFORMING.len() {
        // SAFETY: both are strings, and the second is looked at only if it is there.
        unsafe {
            let (is_meant, options) = is_word(name, at, false);
            if is_meant && first.is_null() {
                return true;
            }
            at = options;
            while byte(at) != 0 {
                let (is_given, next) = is_word(if is_meant { first } else { name }, at, true);
                if is_meant && is_given {
                    return true;
                }
                at = next;
            }
        }
        at += 1;
    }
    false
}

/// Whether `text` is the word of the table at `at`, or that word and a value; and where the next word begins.
#[unsafe(link_section = ".text")]
unsafe fn is_word(text: Text, at: usize, with_value: bool) -> (bool, usize) {
    let (mut length, mut same) = (0, true);
    while byte(at + length) != 0 {
        // SAFETY: once it differs, which it does at the latest at its NUL, it is not looked at any more.
        same = same && unsafe { text.add(length).read_volatile() } == byte(at + length);
        length += 1;
    }
    // SAFETY: it is as long as the word at least.
    let end = if same { unsafe { text.add(length).read_volatile() } } else { b' ' };
    (end == 0 || (with_value && end == b'='), at + length + 1)
}

/// A byte of the table; NUL behind its end.
#[unsafe(link_section = ".text")]
fn byte(at: usize) -> u8 {
    if at >= INFORMING.len() {
        return 0;
    }
    // SAFETY: within the table.
    unsafe { INFORMING.as_ptr().add(at).read_volatile() }
}

/// Writes the path of `NAME.real` beside the executed file.
#[unsafe(link_section = ".text")]
unsafe fn real_tool(path: *mut u8, name: Text) -> bool {
    const READLINK: usize = 89;
    // SAFETY: a C string, and a buffer whose length is passed; what is written below stays within it.
    unsafe {
        let length = call(READLINK, c"/proc/self/exe".as_ptr() as usize, path as usize, PATH_MAX, 0);
        if !(1..PATH_MAX as isize).contains(&length) || path.read_volatile() != b'/' {
            return false;
        }
        let mut end = length as usize;
        while path.add(end - 1).read_volatile() != b'/' {
            end -= 1;
        }
        append(path, &mut end, name) && append(path, &mut end, c".real".as_ptr().cast())
    }
}

/// Appends a string, with its NUL, if there is room.
#[unsafe(link_section = ".text")]
unsafe fn append(path: *mut u8, end: &mut usize, text: Text) -> bool {
    let mut from = text;
    // SAFETY: `end` stays below the buffer's length.
    unsafe {
        while *end < PATH_MAX {
            let byte = from.read_volatile();
            path.add(*end).write_volatile(byte);
            if byte == 0 {
                return true;
            }
            *end += 1;
            from = from.add(1);
        }
    }
    false
}

/// Whether a regular file is there, and not this very program.
#[unsafe(link_section = ".text")]
unsafe fn is_another_file(path: Text) -> bool {
    // SAFETY: C strings.
    let (own, there) = unsafe { (stat(c"/proc/self/exe".as_ptr().cast()), stat(path)) };
    const S_IFMT: u32 = 0o170_000;
    const S_IFREG: u32 = 0o100_000;
    match (own, there) {
        (Some((own, _)), Some((there, mode))) => own != there && mode & S_IFMT == S_IFREG,
        _ => false,
    }
}

/// Device and inode number, and mode: struct stat of this architecture (stat(2)).
#[unsafe(link_section = ".text")]
unsafe fn stat(path: Text) -> Option<((u64, u64), u32)> {
    const NEWFSTATAT: usize = 262;
    const WORDS: usize = 18;
    let mut words = MaybeUninit::<[u64; WORDS]>::uninit();
    let words = words.as_mut_ptr().cast::<u64>();
    // SAFETY: a C string and a struct of ours, which the kernel fills where it answers with 0.
    unsafe {
        let done = call(NEWFSTATAT, libc::AT_FDCWD as usize, path as usize, words as usize, 0);
        let device = || (words.read_volatile(), words.add(1).read_volatile());
        (done == 0).then(|| (device(), words.add(3).read_volatile() as u32))
    }
}

/// Copies the environment, with one shim more in it; not where one stands above us already, or where it is long.
#[unsafe(link_section = ".text")]
unsafe fn one_deeper(environment: *const Text, variables: *mut Text) -> bool {
    let mut count = 0;
    // SAFETY: up to the NULL, and two more pointers fit.
    unsafe {
        loop {
            let variable = environment.add(count).read_volatile();
            if variable.is_null() {
                break;
            }
            if count + 2 >= VARIABLES_MAX || is_depth(variable) {
                return false;
            }
            variables.add(count).write_volatile(variable);
            count += 1;
        }
        variables.add(count).write_volatile(FIRST.as_ptr().cast());
        variables.add(count + 1).write_volatile(std::ptr::null());
    }
    true
}

/// What the first shim of a chain puts into the environment.
const FIRST: &std::ffi::CStr = c"ROOTFS_SHIM_DEPTH=1";

/// Whether a variable has the name that [`FIRST`] has.
#[unsafe(link_section = ".text")]
unsafe fn is_depth(variable: Text) -> bool {
    let mut at = 0;
    // SAFETY: both end with a NUL, and neither is looked at behind it.
    unsafe {
        loop {
            let (one, other) =
                (variable.add(at).read_volatile(), FIRST.as_ptr().add(at).cast::<u8>().read_volatile());
            if one != other {
                return false;
            }
            if one == b'=' {
                return true;
            }
            at += 1;
        }
    }
}

/// A system call; the kernel's own answer, an errno as a negative number.
#[unsafe(link_section = ".text")]
unsafe fn call(number: usize, one: usize, two: usize, three: usize, four: usize) -> isize {
    let answer: isize;
    // SAFETY: the caller's arguments are right for the call; the kernel changes these registers only.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => answer,
            in("rdi") one, in("rsi") two, in("rdx") three, in("r10") four,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::{CStr, CString, OsString};
    use std::os::unix::ffi::OsStringExt;

    use crate::command::getopt::Order;
    use crate::command::request::{self, Request};
    use crate::command::tables::TOOLS;
    use crate::invocation::DEPTH_VARIABLE;

    fn asked(name: &str, first: Option<&str>) -> bool {
        let (name, first) = (CString::new(name).unwrap(), first.map(|first| CString::new(first).unwrap()));
        let first = first.as_deref().map_or(std::ptr::null(), CStr::as_ptr);
        // SAFETY: strings that live long enough.
        unsafe { informs(file_name(name.as_ptr().cast()), first.cast()) }
    }

    #[test]
    fn whatever_goes_the_short_way_would_go_untouched_on_the_long_one() {
        let mut tried = 0;
        for tool in TOOLS {
            assert!(asked(tool.name, None) && asked(&format!("/sbin/{}", tool.name), None));
            let flavours = tool.flavours;
            let words = flavours.iter().flat_map(|flavour| flavour.options).flat_map(|option| {
                let short = option.short.map(|short| format!("-{}", char::from(short)));
                [short, option.long.map(|long| format!("--{long}"))].into_iter().flatten()
            });
            for word in words.flat_map(|word| [format!("{word}=x"), format!("{word}x"), word]) {
                if !asked(tool.name, Some(&word)) {
                    continue;
                }
                tried += 1;
                for (flavour, order) in
                    flavours.iter().flat_map(|flavour| [(flavour, Order::Posix), (flavour, Order::Permuted)])
                {
                    for more in [&[][..], &["/file"], &["-a"], &["-p", "1", "/file"]] {
                        let argv = [tool.name, &word].into_iter().chain(more.iter().copied());
                        let argv: Vec<OsString> = argv.map(|text| OsString::from_vec(text.into())).collect();
                        let request = request::read(tool, flavour, &argv, order);
                        assert!(matches!(request, Request::HandOver(_)), "{argv:?} of {:?}", flavour.kind);
                    }
                }
            }
        }
        assert!(tried > 20, "only {tried}");
    }

    #[test]
    fn nothing_else_goes_the_short_way() {
        for first in ["-a", "", "--sho", "--showx", "-p", "-sa", "-", "--", "/file", "show", "-\u{ff}"] {
            assert!(!asked("swapon", Some(first)), "{first}");
        }
        for name in
            ["", "swap", "swaponx", "-swapon", "SWAPON", "swapon/", "rootfs-shim", "--show", "swapon.real"]
        {
            assert!(!asked(name, None) && !asked(name, Some("--show")), "{name}");
        }
        assert!(!asked("mkswap", Some("--show")) && asked("swapon", Some("--show")));
    }

    #[test]
    fn the_variable_is_the_one_that_a_shim_reads() {
        assert_eq!(FIRST.to_str().unwrap(), format!("{DEPTH_VARIABLE}=1"));
        let is = |variable: &CStr| {
            // SAFETY: a string.
            unsafe { is_depth(variable.as_ptr().cast()) }
        };
        assert!(is(c"ROOTFS_SHIM_DEPTH=3") && is(FIRST));
        assert!(
            !is(c"ROOTFS_SHIM_DEPT") && !is(c"") && !is(c"ROOTFS_SHIM_DEPTH2=1") && !is(c"ROOTFS_SHIM_DEPTH")
        );
    }
}
