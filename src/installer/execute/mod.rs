//! Carries out the steps of install and uninstall, and puts everything back if one fails.
//!
//! It decides nothing: a step that finds something else than the plan saw is an error. The trick of the
//! undoing: nothing is ever removed or overwritten in a step. A file that has to go gets a temporary name, or
//! keeps its own, and only when every step has succeeded are those names removed.

pub(crate) mod diversions;
pub(crate) mod dpkg_divert;
pub(crate) mod tool_names;
pub(crate) mod transaction;
pub(crate) mod undo;

use crate::error::Result;
use crate::installer::execute::transaction::Transaction;
use crate::installer::image::Image;
use crate::installer::image::tree::Tree;
use crate::installer::payload::Payload;
use crate::installer::plan::step::{InstallerPlan, Step};

/// Does every step of `plan`, telling `progress` before each; what could not be done and need not be.
///
/// # Errors
/// What stopped it, and whether all was put back.
pub(crate) fn run(
    tree: Tree,
    image: &Image,
    plan: &InstallerPlan,
    payload: &Payload,
    progress: &mut dyn FnMut(&Step),
) -> Result<Vec<String>> {
    let mut transaction = Transaction::new(tree, image, plan, payload)?;
    for step in &plan.steps {
        progress(step);
        if let Err(error) = transaction.step(step) {
            return Err(transaction.put_back(step, &error));
        }
    }
    Ok(transaction.finish())
}
