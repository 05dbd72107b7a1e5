//! The instruction set and the number of threads in use, for `gradstep.show_config`.

use gradstep_core::{Isa, ThreadLimits, isa};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::value_error;

/// A dict with the instruction set in use, all instruction sets of this machine (weakest first), the number of threads
/// for `n_threads=None`, how many CPUs this process may use, and the environment variable that sets the number of
/// threads, with its value (both None if no variable does).
#[pyfunction]
pub(crate) fn configuration(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let limits = ThreadLimits::now().map_err(value_error)?;
    let isas: Vec<&str> = Isa::available().map(Isa::name).collect();
    let facts = PyDict::new(py);
    facts.set_item("isa", isa().map_err(value_error)?.name())?;
    facts.set_item("isas", isas)?;
    facts.set_item("threads", limits.threads())?;
    facts.set_item("cpus", limits.cpus)?;
    facts.set_item("variable", limits.variable.map(|(name, _)| name))?;
    facts.set_item("variable_threads", limits.variable.map(|(_, n)| n))?;
    Ok(facts)
}
