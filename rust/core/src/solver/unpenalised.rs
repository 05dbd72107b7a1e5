//! Searches over the columns without penalty, in fits that penalise other columns: for unpenalised columns that are
//! linear combinations of other unpenalised columns, and for a hyperplane that separates the labels by unpenalised
//! columns alone. The searches are those of a fit without penalty, in which all other columns are left out.

use super::dependence;
use super::objective::Objective;
use super::run::{Direction, Run, Separation};
use super::separation;
use super::view::Alias;
use crate::error::Error;
use crate::penalty::Penalty;

/// Calls `work` with an objective that has only the columns `columns` and no penalty; and with a [`Run`] of its own,
/// which counts the passes of `work`. These passes are then added to the passes of the fit. Each counts as the number
/// of `columns` divided by n, and copying the columns counts as one pass.
fn over<T>(
    objective: &Objective<'_>,
    columns: &[usize],
    run: &mut Run<'_>,
    work: impl FnOnce(&Objective<'_>, &mut Run<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let no_penalty = Penalty::NONE;
    let selected = (objective.source).select(columns, objective.precision, &mut run.job())?;
    let (result, passes) = selected.lend(1, |source| {
        let basis = source.basis(objective.fit_bias, false)?;
        let mut of_part = run.over(basis);
        let part = Objective {
            cost: 1.0,
            ..objective.over_columns(source, &no_penalty)
        };
        let result = work(&part, &mut of_part)?;
        Ok((result, of_part.passes))
    })?;
    run.passes += 1.0 + passes * columns.len() as f64 / objective.columns() as f64;
    Ok(result)
}

/// Columns whose weights can be set to 0 without raising the objective, as combinations of columns before them. They
/// are of two kinds: columns with neither penalty nor bounds that are combinations of other columns with neither
/// penalty nor bounds; and constant columns without penalty whose bounds include 0. Meant for fits that penalise or
/// bound some of the columns.
pub(crate) fn aliases(objective: &Objective<'_>, run: &mut Run<'_>) -> Result<Vec<Alias>, Error> {
    let free = objective.penalty.free_columns();
    let bounded = objective.penalty.bounded_columns();
    let mut found = Vec::new();
    for (columns, are_free) in [(free, true), (bounded, false)] {
        if columns.is_empty() {
            continue;
        }
        let view = over(objective, &columns, run, dependence::of_all_rows)?;
        let Some(view) = view else {
            continue; // rounding errors leave open which columns are combinations
        };
        let aliases = view.dependent.iter().map(|&j| view.alias(j));
        let aliases = aliases.filter(|alias| are_free || alias.columns.is_empty());
        found.extend(aliases.map(|alias| Alias {
            column: columns[alias.column],
            columns: alias.columns.iter().map(|&j| columns[j]).collect(),
            ..alias
        }));
    }
    found.sort_by_key(|alias| alias.column);
    Ok(found)
}

/// Searches for a direction that separates the labels, along the biases and the weights of columns with neither penalty
/// nor bounds. `None` also if no column has a penalty or bounds: other searches find the direction then.
pub(crate) fn search(
    objective: &Objective<'_>,
    are_classes: bool,
    run: &mut Run<'_>,
) -> Result<Option<Direction>, Error> {
    let n = objective.columns();
    let free = objective.penalty.free_columns();
    if free.is_empty() || objective.penalty.is_none() || !are_classes {
        return Ok(None);
    }
    over(objective, &free, run, |part, run| {
        let found = separation::search(part, &vec![0.0; part.order()], run)?;
        let Separation::Found(narrow) = found else {
            return Ok(None);
        };
        let (weights, biases) = part.split(&narrow);
        let mut direction = vec![0.0; objective.classes * n];
        let classes = weights.chunks_exact(free.len());
        for (weights, direction) in classes.zip(direction.chunks_exact_mut(n)) {
            free.iter()
                .zip(weights)
                .for_each(|(&j, w)| direction[j] = *w);
        }
        direction.extend(biases);
        Ok(Some(direction))
    })
}

/// The part of `v` that may grow without limit: the biases, and the weights that neither a penalty nor a bound holds
/// back. If this part of `v` predicts every label right by more than rounding errors, it separates the labels, and is
/// returned as a direction. Otherwise `None`; also if all these weights are 0.
pub(crate) fn along(
    objective: &Objective<'_>,
    v: &[f64],
    run: &mut Run<'_>,
) -> Result<Option<Direction>, Error> {
    let (weights, biases) = objective.split(v);
    let open = weights
        .iter()
        .enumerate()
        .map(|(i, w)| match objective.penalty.of(i).is_open(*w) {
            true => *w,
            false => 0.0,
        });
    let direction: Vec<f64> = open.chain(biases.iter().copied()).collect();
    if objective.split(&direction).0.iter().all(|w| *w == 0.0) {
        return Ok(None);
    }
    let scores = run.scores(objective, &direction)?;
    let is_right = scores.predict_all_labels(&mut run.job())?;
    Ok(is_right.then(|| separation::in_units_of_two(&direction)))
}
