//! The covariance of the estimated weights and bias: the inverse of the Fisher information.

use std::ops::ControlFlow;

use crate::error::{Error, check_length, check_room, zeros};
use crate::features::Features;
use crate::float::Precision;
use crate::kernel::{self, Dataset};
use crate::penalty::Penalty;
use crate::reduce::{Job, Monitor};
use crate::solver::information::Information;
use crate::solver::objective::Objective;
use crate::solver::run::{FitObserver, Iteration, Run};
use crate::solver::view::Alias;
use crate::source::{Arrays, Source};
use crate::vector::Vector;

/// Asymptotic covariance of the maximum-likelihood weights w and bias b. It is the inverse of the Fisher information
///
/// ```text
/// I = [X 1]ᵀ D [X 1]      D = diag(s_i σ'(z_i)),  z = X w + b + o
/// ```
///
/// with sample weights s_i and offsets o. The covariance is symmetric, of shape (n + 1, n + 1) row by row, with the
/// bias last; without `fit_bias`, of shape (n, n). Computed in `f64`, whatever the type of `X`, and accurate even if
/// columns are far from zero or nearly collinear.
///
/// Source: P. McCullagh & J. Nelder, *Generalized Linear Models*, 2nd ed. (1989), §4.4.
///
/// # Errors
///
/// [`Error::Length`] if `sample_weight`, an offset or `weights` does not fit `x`; [`Error::Element`] for sample weights
/// that are negative or not finite, and for offsets that are not finite; [`Error::TotalWeight`]; [`Error::NotFinite`];
/// [`Error::Index`]; [`Error::Conflict`] for columns that are linear combinations of others, or an information that is
/// singular for another reason; [`Error::Memory`]; [`Error::Interrupted`] by the monitor.
pub fn covariance<'a>(
    x: impl Into<Features<'a>>,
    sample_weight: Option<&'a Vector<'a>>,
    offsets: &'a [Vector<'a>],
    weights: &[f64],
    bias: f64,
    fit_bias: bool,
    job: &mut Job<'_>,
) -> Result<Vec<f64>, Error> {
    let x = x.into();
    let n = x.columns();
    check_length("weights", weights.len(), n, "one weight per column of X")?;
    let unlabelled = zeros("y", x.rows(), "labels")?;
    let unlabelled = Vector::from_slice(&unlabelled);
    let dataset = Dataset::new(x, &unlabelled, sample_weight)?.with_offsets(offsets)?;
    dataset.check_offsets_of(1)?;
    let labels = kernel::binary_labels(&dataset, job)?;
    // Room for the matrices that are in memory at the same time: the Gram matrix, its factor, the inverse of the
    // factor, and the result.
    let elements = 4 * (n as u128 + 1).pow(2);
    check_room(elements, "X", elements, "elements of its covariance")?;
    dataset.check_finite()?;
    let source = Arrays(dataset, None);
    let precision = Precision::Double;
    let penalty = Penalty::NONE;
    let objective = Objective::new(&source, &labels, &penalty, fit_bias, precision);
    let mut v = weights.to_vec();
    v.push(bias);
    let threads = job.threads();
    let mut quiet = Quiet(job.monitor());
    let basis = source.basis(fit_bias, false)?;
    let mut run = Run::new(&mut quiet, threads, f64::INFINITY, basis)?;
    let singular = |got: String| Error::Conflict {
        argument: "X",
        expected: "of columns that are no linear combinations of one another",
        got,
    };
    match Information::new(&objective, &v, &mut run)? {
        Some(information) => match information.aliased() {
            [] => {
                let covariance = information.inverse(&objective);
                match covariance.iter().all(|x| x.is_finite()) {
                    true => Ok(covariance),
                    false => Err(Error::Conflict {
                        argument: "X",
                        expected: "in units in which its covariance is finite",
                        got: "columns whose numbers are too small".to_owned(),
                    }),
                }
            }
            aliased => Err(singular(named(aliased))),
        },
        None => Err(singular(
            "predictions so certain that nothing tells some of them apart".to_owned(),
        )),
    }
}

/// Words for a message. They name the first column that is a linear combination of others, and these others.
fn named(aliased: &[Alias]) -> String {
    let Some(alias) = aliased.first() else {
        return String::new();
    };
    let columns: Vec<String> = alias.columns.iter().map(ToString::to_string).collect();
    let column = alias.column;
    match columns.as_slice() {
        [] => format!("column {column}, which is constant"),
        [other] => format!("column {column}, which column {other} determines"),
        others => format!(
            "column {column}, which columns {} determine",
            others.join(", ")
        ),
    }
}

/// A [`FitObserver`] that polls a [`Monitor`] and ignores iterations.
struct Quiet<'m>(&'m mut dyn Monitor);

impl Monitor for Quiet<'_> {
    fn poll(&mut self) -> ControlFlow<()> {
        self.0.poll()
    }
}

impl FitObserver for Quiet<'_> {
    fn iteration(&mut self, _: &Iteration<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}
