//! Which machine a program is built for, from its ELF header.

/// ELF's e_machine: 62 is x86-64, 183 AArch64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Machine(pub u16);

/// For which machine an ELF file is.
pub(crate) fn machine(bytes: &[u8]) -> Option<Machine> {
    let [0x7f, b'E', b'L', b'F', _, order, ..] = bytes else { return None };
    let word: [u8; 2] = bytes.get(18..20)?.try_into().ok()?;
    Some(Machine(if *order == 2 { u16::from_be_bytes(word) } else { u16::from_le_bytes(word) }))
}
