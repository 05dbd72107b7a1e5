//! Which columns say nothing beside the columns before them, and the [`View`] that tells.

use std::sync::Arc;

use super::cholesky::Cholesky;
use super::objective::Objective;
use super::run::Run;
use super::view::{Alias, View};
use crate::error::Error;
use crate::kernel::{self, Basis};

/// How often the basis is made better before columns that still lose their digits are looked at by themselves.
const ROUNDS: usize = 16;
/// Part of the loss that moving the weights of aliased columns may add.
pub(super) const LOSES: f64 = 1e-8;

/// Under the curvatures `d`, one a row. None if the sums are not finite, or a column cannot be told from those before it
/// though something is left of it. The basis is made better as it turns out.
pub(super) fn view(
    objective: &Objective<'_>,
    d: &[f64],
    mut basis: Arc<Basis>,
    run: &mut Run<'_>,
) -> Result<Option<View>, Error> {
    let dataset = objective.dataset;
    let weight = dataset.weight();
    for round in 1.. {
        run.passes += objective.cost;
        let gram = kernel::gram_of(dataset, d, weight, &basis, &mut run.job())?;
        let Some(mut view) = View::of(objective, basis, gram) else {
            return Ok(None);
        };
        let factor = Cholesky::new(view.matrix(objective), &view.least(), &mut run.job())?;
        let is_dependent = |j: &usize| view.dependent.binary_search(j).is_ok();
        let is_lost = |j: &usize| {
            let is_nothing = view.columns.is_nothing(*j, factor.pivot(*j));
            factor.is_left_out(*j) || (is_nothing && objective.penalty.is_none())
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

/// As all rows have them, whatever is predicted.
pub(crate) fn of_all_rows(
    objective: &Objective<'_>,
    run: &mut Run<'_>,
) -> Result<Option<View>, Error> {
    if let Some(view) = &run.of_all_rows {
        return Ok(view.clone());
    }
    let dataset = objective.dataset;
    let mut basis = Basis::sampled(dataset, objective.fit_bias, !objective.penalty.is_none());
    if basis.has_unknown_units() {
        run.passes += objective.cost;
        let classes = objective.classes;
        let ranges = kernel::ranges(dataset, classes, &mut run.job())?;
        basis.set_unknown_units(|column, origin| ranges.spread(column, origin));
    }
    let view = view(objective, &counted(objective), Arc::new(basis), run)?;
    run.of_all_rows = Some(view.clone());
    Ok(view)
}

/// The columns that say nothing beside those before them, by all rows.
///
/// # Errors
///
/// [`Error::Interrupted`] by the observer.
pub(crate) fn dependent(objective: &Objective<'_>, run: &mut Run<'_>) -> Result<Vec<usize>, Error> {
    let view = of_all_rows(objective, run)?;
    Ok(view.map_or(Vec::new(), |view| view.dependent))
}

/// These, as what they are combinations of; their weights at `v` go to those columns. None, and `v` as it was, if that adds to
/// the loss: weights are then so large that rounding is all there is.
///
/// # Errors
///
/// [`Error::Memory`] without room for scores; [`Error::Interrupted`] by the observer.
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
        let scores = run.exact_scores(objective, v)?;
        let dataset = objective.dataset;
        let residuals = kernel::residuals(dataset, &scores.z, &mut run.job())?;
        Ok::<_, Error>(residuals.error / residuals.weight)
    };
    let (before, after) = (loss(v, run)?, loss(&moved, run)?);
    Ok((after <= before * (1.0 + LOSES)).then(|| {
        v.copy_from_slice(&moved);
        aliased
    }))
}

/// 1 for each row of positive weight, 0 for the others.
fn counted(objective: &Objective<'_>) -> Vec<f64> {
    let mut s = vec![1.0; objective.rows()];
    if let Some(weights) = objective.dataset.sample_weight {
        weights.copy(objective.dataset.rows, 0, &mut s);
    }
    s.iter_mut()
        .for_each(|s| *s = if *s > 0.0 { 1.0 } else { 0.0 });
    s
}
