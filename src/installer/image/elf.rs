//! Which architecture a program is built for, from its ELF header.

/// ELF's e_machine: 62 is x86-64, 183 AArch64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Architecture(pub u16);

/// What an ELF file is built for; `None` for any other file.
pub(crate) fn architecture(bytes: &[u8]) -> Option<Architecture> {
    let [0x7f, b'E', b'L', b'F', _, order, ..] = bytes else { return None };
    let word: [u8; 2] = bytes.get(18..20)?.try_into().ok()?;
    Some(Architecture(if *order == 2 { u16::from_be_bytes(word) } else { u16::from_le_bytes(word) }))
}
