//! The builtin mkswap: what a call asks for, and how large the area becomes. Writing it is `write`'s.

pub(crate) mod ask;
pub(crate) mod write;

use std::path::Path;

use crate::builtin::call::{Call, Reported, Streams};
use crate::builtin::mkswap::ask::{Ask, NewArea, NewLabel, NewUuid, ask};
use crate::swap::header::Header;

/// Runs mkswap; the exit status.
pub(crate) fn run(call: &Call<'_>, console: &mut Streams) -> i32 {
    match ask(call) {
        Err(refusal) => refusal.tell(console),
        Ok(Ask::About(text)) => {
            console.say(&[text.as_bytes()]);
            0
        }
        Ok(Ask::Format(format)) => match write::format(&format, console) {
            Ok(()) => 0,
            Err(Reported) => call.flavour.failure_status,
        },
    }
}

/// What `swapon --fixpgsz` does to an area whose pages have another size: it is made anew, with its label and
/// UUID.
///
/// # Errors
/// If it could not be made.
pub(crate) fn reinitialise(path: &Path, header: &Header, console: &mut Streams) -> Result<(), Reported> {
    let format = NewArea {
        device: path.into(),
        label: (!header.label.is_empty()).then(|| NewLabel { bytes: header.label.clone(), is_cut: false }),
        uuid: if header.uuid == [0; 16] { NewUuid::Random } else { NewUuid::Given(header.uuid) },
        ..NewArea::default()
    };
    let name = console.renamed("mkswap");
    let done = write::format(&format, console);
    console.renamed(name);
    done
}
