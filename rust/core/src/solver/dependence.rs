//! Finds the columns of X that are linear combinations of columns before them.

use std::sync::Arc;

use super::cholesky::Cholesky;
use super::objective::Objective;
use super::run::Run;
use super::view::{Alias, View};
use crate::error::Error;
use crate::kernel::{Basis, Gram};
use crate::penalty::WeightPenalty;
use crate::reduce::Job;

/// The largest number of bases (linear transforms of the columns) that are tried. If digits still cancel in the last
/// one, there is no result.
const ROUNDS: usize = 16;
/// When the weights of dependent columns are set to 0 and the other weights are changed to compensate, the loss may
/// rise by at most this fraction. In exact arithmetic, it would not rise.
pub(super) const LOSES: f64 = 1e-8;

/// Means and covariances of the columns, from the Gram matrix that `gram` computes in a given basis (a linear transform
/// of the columns). The basis is changed until no digits cancel. `None` if sums are not finite, or if rounding errors
/// leave open whether some column is a linear combination of the columns before it.
pub(super) fn view(
    objective: &Objective<'_>,
    gram: impl Fn(&Basis, &mut Job<'_>) -> Result<Gram, Error>,
    mut basis: Arc<Basis>,
    run: &mut Run<'_>,
) -> Result<Option<View>, Error> {
    for round in 1.. {
        run.passes += objective.cost;
        let gram = gram(&basis, &mut run.job())?;
        let Some(mut view) = View::of(objective, basis, gram) else {
            return Ok(None);
        };
        let factor = Cholesky::new(view.matrix(objective), &view.least(), &mut run.job())?;
        let is_dependent = |j: &usize| view.dependent.binary_search(j).is_ok();
        let is_lost = |j: &usize| {
            let is_nothing = view.columns.is_nothing(*j, factor.pivot(*j));
            factor.is_left_out(*j)
                || (is_nothing && objective.penalty.all_of_column(*j, WeightPenalty::is_free))
        };
        let lost = (0..view.scale.len()).filter(|j| is_lost(j) && !is_dependent(j));
        let lost: Vec<usize> = lost.collect();
        match view.improved(&factor, &lost) {
            Some(better) if round < ROUNDS => basis = Arc::new(better),
            _ => {
                view.factor = Some(factor);
                return Ok(lost.is_empty().then_some(view));
            }
        }
    }
    unreachable!("the last round returns")
}

/// Means and covariances of the columns, where all rows of positive sample weight count equally. `None` for the same
/// reasons as in [`view`]. Computed once per fit.
pub(crate) fn of_all_rows(
    objective: &Objective<'_>,
    run: &mut Run<'_>,
) -> Result<Option<View>, Error> {
    if let Some(view) = &run.of_all_rows {
        return Ok(view.clone());
    }
    let source = objective.source;
    let mut basis = source.basis(objective.fit_bias, !objective.penalty.is_none())?;
    if basis.has_unknown_units() {
        run.passes += objective.cost;
        let ranges = source.ranges(objective.classes, &mut run.job())?;
        basis.set_unknown_units(|column, origin| ranges.spread(column, origin));
    }
    let gram = |basis: &Basis, job: &mut Job<'_>| source.gram_of_counts(basis, job);
    let view = view(objective, gram, Arc::new(basis), run)?;
    run.of_all_rows = Some(view.clone());
    Ok(view)
}

/// The columns that are linear combinations of columns before them, in all rows of positive sample weight.
///
/// # Errors
///
/// [`Error::Interrupted`] by the observer.
pub(crate) fn dependent(objective: &Objective<'_>, run: &mut Run<'_>) -> Result<Vec<usize>, Error> {
    let view = of_all_rows(objective, run)?;
    Ok(view.map_or(Vec::new(), |view| view.dependent))
}

/// The dependent columns as linear combinations of others. In `v`, the weights of the dependent columns become 0, and
/// the other weights change such that scores stay the same. If this raises the loss by more than the fraction
/// [`LOSES`], the weights are so large that rounding errors dominate; `v` then stays as it was, and `None` is returned.
///
/// # Errors
///
/// [`Error::Memory`] if the scores of all rows do not fit into memory; [`Error::Interrupted`] by the observer.
pub(crate) fn aliases(
    objective: &Objective<'_>,
    v: &mut [f64],
    run: &mut Run<'_>,
) -> Result<Option<Vec<Alias>>, Error> {
    let Some(view) = of_all_rows(objective, run)? else {
        return Ok(Some(Vec::new()));
    };
    let mut moved = v.to_vec();
    let aliased = view.aliases(objective, &mut moved);
    if v == moved {
        return Ok(Some(aliased));
    }
    let loss = |v: &[f64], run: &mut Run<'_>| {
        let (error, weight) = run.scores(objective, v)?.error_and_weight(&mut run.job())?;
        Ok::<_, Error>(error / weight)
    };
    let (before, after) = (loss(v, run)?, loss(&moved, run)?);
    Ok((after <= before * (1.0 + LOSES)).then(|| {
        v.copy_from_slice(&moved);
        aliased
    }))
}
