//! Minimises an objective with l1 or bounds, by a proximal quasi-Newton method.
//!
//! Each iteration minimises a quadratic model of the objective's smooth part, plus the penalty, and makes a line search
//! from the iterate towards the minimum of the model plus the penalty. The model has the Hessian of a sample of the
//! rows, updated by BFGS; for sparse `X`, the model is computed column by column, unless columns are nearly dependent.
//! If there are many columns, the iterations run over a copy of some of the columns: a set of columns whose weights are
//! likely to be nonzero at the minimum. After the iterations with one set, the gradient by the weights of all columns
//! decides which columns are in the next set.
//!
//! Sources: J. Lee, Y. Sun & M. Saunders, "Proximal Newton-type methods for minimizing composite functions", SIAM J.
//! Optim. 24 (2014), doi:10.1137/130921428; for sets of columns, T. Johnson & C. Guestrin, "Blitz", ICML 2015.

use super::certificate::{Certifier, is_factorable};
use super::column_model::{self, ColumnModel};
use super::duality::{DualMoments, GradientError, gradient_error, objective_error};
use super::fenchel::{self, Bounds};
use super::models::{Descent, Serving, is_good, larger_sample, model_rows};
use super::objective::{Iterate, Objective, Value};
use super::proof::{Goal, Proof};
use super::run::{Beginning, Ended, Run, Separation};
use super::sample_bound::{SampleBound, SampledRows};
use super::smooth_model::SmoothModel;
use super::stages::{hessian_cost, hessian_rows, sample_sizes};
use super::steps::{Steps, Until, Widen};
use crate::error::Error;
use crate::float::Precision;
use crate::kernel::Basis;
use crate::math::larger;
use crate::penalty::Penalty;
use crate::source::{Part, Source};
use crate::stop::StopReason;

/// If there are at most this many columns, iterations run over all of them at once.
const ALL_COLUMNS: usize = 300;
/// The least number of columns in a set.
const LEAST_COLUMNS: usize = 30;
/// The number of columns in a set is this times the number of columns whose weights are nonzero or along which the
/// objective falls. The other columns in the set are those along which it may fall next.
const MORE_COLUMNS: f64 = 1.25;
/// If a set would have less than this number of rows per column, it has only twice as many columns as there are nonzero
/// weights. With so few rows, the objective at first falls along many columns whose weights are 0 at the minimum.
const ENOUGH_ROWS: usize = 5;
/// If a set would have more than this fraction of all columns, iterations run over all columns instead, of which no
/// copy is needed.
const NO_COPY: f64 = 0.6;
/// The largest number of sets of columns for one penalty.
const SETS: usize = 60;
/// The largest number of Hessians that are computed for one set of columns.
const HESSIANS: usize = 20;
/// The largest number of iterations on one sample of the rows.
const SAMPLE_ITERATIONS: usize = 30;
/// Second derivatives that only serve to choose columns are computed from this fraction of the rows, but from at least
/// [`LEAST_ROWS_OF_SCALES`] rows.
const ROWS_OF_SCALES: f64 = 0.05;
const LEAST_ROWS_OF_SCALES: usize = 500;
/// Until the set of columns is the last one, iterations end once the predicted decrease is this fraction of the first
/// predicted decrease.
const ROUGH: f64 = 1e-2;
/// Iterations on a sample end once the predicted decrease is this times p / r, with p weights and r rows. The minimum
/// of the sample differs from the minimum of all rows by about p / (2 r) in the objective.
const SAMPLE_PRECISION: f64 = 0.1;
/// The iterations end only when the predicted decrease is at most this fraction of the gap that is to be proved.
const AHEAD: f64 = 1e-4;
/// The iterations end only when the gap is estimated to be at most this fraction of the gap that is to be proved.
/// Without l2, the gap is proportional to the remaining slopes, but the predicted decrease to their squares.
const NEAR: f64 = 0.25;
/// If the gap proved at the end of the iterations is too large, [`NEAR`] and [`AHEAD`] are divided by this, and
/// iterations go on.
const DIVISOR: f64 = 1e3;
/// The largest number of proofs for one penalty.
const PROOFS: usize = 6;
/// From the proof with this number on, counted from 1, the gradient is computed to nearly the last bit if the gap is
/// too large otherwise. This takes as long as several iterations.
const EXACT_PROOF: usize = 2;
/// A [`SampleBound`] is computed from this fraction of the rows, but from at least [`BOUND_ROWS_A_COLUMN`] rows per
/// column.
const ROWS_OF_BOUND: f64 = 0.05;
const BOUND_ROWS_A_COLUMN: usize = 20;
/// A [`SampleBound`] is not computed if its Hessian costs more than this, in passes over all rows, ...
const BOUND_COST: f64 = 0.5;
/// ... or more than this if it may serve for several penalties.
const LONGER_BOUND_COST: f64 = 3.0;
/// The largest number of columns of a [`SampleBound`].
const BOUND_COLUMNS: usize = 512;
/// A [`SampleBound`] is computed anew if a score has changed by more than this since, and the bound is too large.
const DRIFT: f64 = 0.5;
/// The iterations end if the gap that a [`SampleBound`] would prove is estimated to be at most this fraction of the gap
/// that is to be proved. The weights' errors are proportional to the root of the gap: those of a gap that is only just
/// small enough may be seen in their fourth digit.
const CLOSE: f64 = 1e-6;
/// The seed of the first sample of rows.
const SEED: u64 = 0xE1A5;
/// The seed of the samples for bounds.
const BOUND_SEED: u64 = !SEED;

/// Receives what is proved of the optimum for one penalty, and returns the next penalty; `None` ends the search.
pub(crate) type Following<'f, 'a> =
    &'f mut dyn FnMut(&Objective<'a>, Proof, &mut Run<'_>) -> Result<Option<&'a Penalty>, Error>;

/// Minimises the objective, and proves how far the result is from the minimum. If the start comes from the caller, it is
/// taken to be near the minimum, and no samples of the rows are used.
///
/// # Errors
///
/// Those of [`Run::evaluate`]; [`Error::Memory`] without room for a copy of columns.
pub(crate) fn minimise(
    objective: &Objective<'_>,
    start: &Beginning,
    goal: Goal,
    run: &mut Run<'_>,
) -> Result<Proof, Error> {
    let mut found = None;
    let following: Following<'_, '_> = &mut |_, proof, _| {
        found = Some(proof);
        Ok(None)
    };
    search(objective, start, (goal, false), run, following)?;
    Ok(found.unwrap_or_else(|| unreachable!("a search ends with a proof")))
}

/// [`minimise`] for one penalty after the other: first that of the objective, then those that `following` returns. Each
/// search starts from the minimum before it, with the set of columns and the model that were used there.
///
/// # Errors
///
/// Those of [`minimise`] and of `following`.
pub(crate) fn along<'a>(
    objective: &Objective<'a>,
    start: &Beginning,
    goal: Goal,
    run: &mut Run<'_>,
    following: Following<'_, 'a>,
) -> Result<(), Error> {
    search(objective, start, (goal, true), run, following)
}

/// [`along`]; there is only one penalty if not `is_long`.
fn search<'a>(
    objective: &Objective<'a>,
    start: &Beginning,
    (goal, is_long): (Goal, bool),
    run: &mut Run<'_>,
    following: Following<'_, 'a>,
) -> Result<(), Error> {
    let mut search = Search {
        objective: *objective,
        following,
        goal,
        near: 1.0,
        can_estimate: objective.penalty.is_closed(),
        proofs: 0,
        sets: 0,
        seed: SEED,
        by_columns: true,
        scales: Vec::new(),
        is_long,
        is_adapted: false,
        everywhere: None,
        may_bound: true,
    };
    let n = objective.columns();
    let mut iterate = if n <= ALL_COLUMNS && !start.is_given {
        let (v, ended) = search.on_samples(start.v.clone(), run)?;
        let mut iterate = search.evaluate(objective, v, run)?;
        if let Some(ended) = ended {
            let proof = search.proof(iterate.clone(), ended, true, run)?;
            if !search.goes_on(proof, &mut iterate, run)? {
                return Ok(());
            }
        }
        iterate
    } else {
        start.iterate(objective, Precision::Double, run)?
    };
    let mut set = search.first_columns(&iterate, run)?;
    loop {
        match search.on_columns(&mut iterate, &set, run)? {
            Next::Columns(next) => set = next,
            Next::WithHessian => set = search.first_columns(&iterate, run)?,
            Next::End => return Ok(()),
        }
    }
}

/// Tells the source which samples [`minimise`] will ask for if no start is given: the samples that it begins with, and
/// the sample for the first Hessian over all rows.
///
/// # Errors
///
/// [`Error::Memory`].
pub(crate) fn plan(objective: &Objective<'_>) -> Result<(), Error> {
    let n = objective.columns();
    if n > ALL_COLUMNS {
        return Ok(());
    }
    let sizes = sample_sizes(objective.rows(), n, 0);
    let of_model = Some(model_rows(objective)).filter(|&rows| rows < objective.rows());
    let of_bound = Some((rows_of_bound(objective, false), BOUND_SEED));
    let of_bound = of_bound.filter(|(rows, _)| (1..objective.rows()).contains(rows));
    let samples = sizes.chain(of_model).zip(SEED + 1..).chain(of_bound);
    let samples: Vec<(usize, u64)> = samples.collect();
    objective.source.plan_samples(&samples, objective.precision)
}

/// The number of rows for a [`SampleBound`] of the columns of `part`; 0 if none is to be computed.
fn rows_of_bound(part: &Objective<'_>, is_long: bool) -> usize {
    let (m, n) = (part.rows(), part.columns());
    let rows = (ROWS_OF_BOUND * m as f64) as usize;
    let rows = rows.max(BOUND_ROWS_A_COLUMN * n).min(hessian_rows(part));
    let rows = if 2 * rows > m { m } else { rows };
    let most = match is_long {
        true => LONGER_BOUND_COST,
        false => BOUND_COST,
    };
    let is_cheap = n <= BOUND_COLUMNS && part.cost * hessian_cost(part, rows) <= most;
    match is_cheap && part.classes == 1 {
        true => rows,
        false => 0,
    }
}

/// Whether the whole fit stops when iterations have ended for the reason `ended`: the reason to report, or `None` if the
/// fit goes on.
fn interruption(ended: Ended) -> Option<StopReason> {
    match ended {
        Ended::Passes => Some(StopReason::Passes),
        Ended::Callback => Some(StopReason::Callback),
        Ended::AllRight => Some(StopReason::Separated),
        _ => None,
    }
}

/// A set of columns to iterate over, in ascending order. `new` is the number of columns along which the objective falls
/// and that were not in the last set. Columns that are not in this set either are counted, too.
struct Chosen {
    columns: Vec<usize>,
    new: usize,
}

/// What follows the iterations over a set of columns.
enum Next {
    /// Iterations over this set, because the objective falls along columns outside of the last set.
    Columns(Chosen),
    /// Iterations with the Hessian of a set of columns, because those with a model by columns have not converged.
    WithHessian,
    /// Nothing: the minimum for the last penalty is proved.
    End,
}

/// The minimisation of the objective over all columns, in one set of columns after the other.
struct Search<'a, 'f> {
    /// The objective with the penalty for which the search is now.
    objective: Objective<'a>,
    following: Following<'f, 'a>,
    goal: Goal,
    /// The factor by which [`NEAR`] and [`AHEAD`] are multiplied.
    near: f64,
    /// Whether the gap can be estimated from a gradient.
    can_estimate: bool,
    /// The number of proofs so far, for this penalty.
    proofs: usize,
    /// The number of sets of columns so far, for this penalty.
    sets: usize,
    /// The seed of the next sample of rows.
    seed: u64,
    /// Whether a [`ColumnModel`] may be used.
    by_columns: bool,
    /// The square root of the second derivative along each column. Empty if iterations run over all columns at once.
    scales: Vec<f64>,
    /// Whether there are several penalties.
    is_long: bool,
    /// Whether the iterate's gradient was not computed with this penalty, but with the one before, and then changed.
    is_adapted: bool,
    /// Bounds on second derivatives that hold at all parameters, once they are computed.
    everywhere: Option<DualMoments>,
    /// Whether a [`SampleBound`] may prove the gap for this penalty. False once it has not.
    may_bound: bool,
}

impl<'a> Search<'a, '_> {
    /// The iterate at `v` of `objective`, which is over all rows or some of them. If the data are not finite, the error
    /// names the row and column in the whole `X`.
    fn evaluate(
        &self,
        objective: &Objective<'_>,
        v: Vec<f64>,
        run: &mut Run<'_>,
    ) -> Result<Iterate, Error> {
        let value = run.evaluate(objective, &v, Precision::Double)?;
        match value.is_finite() {
            true => Ok(Iterate { v, value }),
            false => Err(self.objective.source.not_finite()),
        }
    }

    /// The iterate, rounded to the precision of the result, and the gap proved for it.
    fn proof(
        &self,
        iterate: Iterate,
        ended: StopReason,
        is_exact: bool,
        run: &mut Run<'_>,
    ) -> Result<Proof, Error> {
        let wanted = match is_exact {
            true => self.goal.gap * iterate.value.objective,
            false => f64::INFINITY,
        };
        let (iterate, mut bounds) = fenchel::bounds(&self.objective, iterate, wanted, run)?;
        if bounds.gap > wanted && ended != StopReason::Passes && self.may_factor() {
            let certifier = Certifier::new(&self.objective, iterate.v.clone(), run)?;
            let gap = certifier.map_or(f64::INFINITY, |certifier| certifier.gap());
            bounds.gap = bounds.gap.min(gap);
        }
        self.proved(iterate, bounds, ended, run)
    }

    /// The iterate, rounded to the precision of the result, and the gap there. `bounds` are proved for the iterate
    /// before it is rounded.
    fn proved(
        &self,
        iterate: Iterate,
        bounds: Bounds,
        ended: StopReason,
        run: &mut Run<'_>,
    ) -> Result<Proof, Error> {
        let mut v = iterate.v.clone();
        self.objective.precision.round(&mut v);
        let (iterate, gap) = if v == iterate.v {
            (iterate, bounds.gap)
        } else {
            // The gap is proved before the weights are rounded, and the rise of the objective by the rounding is added.
            // This rise is proportional to the squares of the weights' rounding errors. A gap proved after rounding
            // would be larger: proportional to the rounding errors themselves.
            let rounded = self.evaluate(&self.objective, v, run)?;
            let more = rounded.value.objective - iterate.value.objective;
            let gap = bounds.gap + more.max(0.0) + 3.0 * bounds.rounding;
            (rounded, gap)
        };
        Ok(Proof {
            stop_reason: self.goal.reason(ended, gap, &iterate),
            iterate,
            gap,
            aliased: Vec::new(),
            separation: match &run.separation {
                Some(Separation::Found(direction)) => Some(direction.clone()),
                _ => None,
            },
        })
    }

    /// The bounds by a [`SampleBound`], if the gap is small enough. `part` and `inner` are the objective and the
    /// iterate of the columns `columns`; `iterate` is the same iterate of all columns.
    fn by_sample(
        &mut self,
        descent: &mut Descent<'_>,
        (part, inner, columns): (&Objective<'_>, &Iterate, &[usize]),
        iterate: &Iterate,
        run: &mut Run<'_>,
    ) -> Result<Option<Bounds>, Error> {
        let count = rows_of_bound(part, self.is_long);
        if count == 0 || descent.has_no_bound || !self.may_bound {
            return Ok(None);
        }
        self.may_bound = false;
        let rows = match descent.sampled.take() {
            Some(rows) => rows,
            None => SampledRows::new(part, descent.source, (count, BOUND_SEED), run)?,
        };
        let everywhere = match self.everywhere.take() {
            Some(everywhere) => everywhere,
            None => fenchel::everywhere(&self.objective, iterate, run)?,
        };
        let error = gradient_error(&self.objective, iterate, &everywhere);
        let of_set = GradientError {
            by_weights: columns.iter().map(|&j| error.by_weights[j]).collect(),
            by_biases: error.by_biases,
        };
        let wanted = self.goal.gap * iterate.value.objective;
        let mut found = None;
        for _ in 0..2 {
            let is_new = descent.bound.is_none();
            if is_new {
                let at = (inner.v.as_slice(), iterate.value.weight);
                descent.bound = SampleBound::new(part, &rows, at, run)?;
            }
            let Some(bound) = &descent.bound else {
                descent.has_no_bound = true;
                break;
            };
            let nearby = bound.nearby(part, &rows, (inner, &of_set), run)?;
            if nearby.gap <= wanted {
                let sizes = everywhere.sizes();
                let is_at_rest = |j: usize| {
                    let place = columns.binary_search(&j).ok();
                    place.is_some_and(|place| bound.has(place))
                        || self.rise(j, iterate) >= error.by_weights[j] + nearby.change * sizes[j]
                };
                if (0..sizes.len()).all(is_at_rest) {
                    let rounding = objective_error(&self.objective, iterate, &everywhere);
                    found = Some(Bounds {
                        gap: nearby.gap,
                        rounding,
                    });
                }
                break;
            }
            descent.has_no_bound = is_new;
            if is_new || nearby.drift < DRIFT {
                break;
            }
            descent.bound = None;
        }
        self.everywhere = Some(everywhere);
        descent.sampled = Some(rows);
        self.may_bound = found.is_some();
        Ok(found)
    }

    /// How fast the objective rises at least if the weight of column `j` moves away from 0; −∞ if the weight is not 0,
    /// or if the objective has a derivative there.
    fn rise(&self, j: usize, iterate: &Iterate) -> f64 {
        let (weights, _) = self.objective.split(&iterate.v);
        let (slopes, _) = self.objective.split(&iterate.value.gradient);
        let n = self.objective.columns();
        -(self.objective.penalty).steepest_fall(j, n, weights, slopes)
    }

    /// Whether the gap may be bounded by a factored Hessian of all columns.
    fn may_factor(&self) -> bool {
        let is_determined = self.objective.rows() > self.objective.columns();
        // For several classes, the bound by the Hessian needs an objective that does not change if the same number is
        // added to a column's weights of all classes. With l1 or bounds, the objective changes.
        let is_one = self.objective.classes == 1;
        self.goal.may_factor && is_one && is_determined && is_factorable(&self.objective)
    }

    /// The first set of columns, for which [`Search::scales`] is computed.
    fn first_columns(&mut self, iterate: &Iterate, run: &mut Run<'_>) -> Result<Chosen, Error> {
        let objective = self.objective;
        let takes_all = !self.is_long && self.by_columns && column_model::takes_all(&objective);
        if objective.columns() > ALL_COLUMNS && !takes_all {
            self.scales = self.column_scales(iterate, run)?;
        }
        Ok(self.columns(iterate, &[]))
    }

    /// The [`scales`] of the columns at the iterate, from a sample of the rows if there are many rows.
    fn column_scales(&mut self, iterate: &Iterate, run: &mut Run<'_>) -> Result<Vec<f64>, Error> {
        let rows = (ROWS_OF_SCALES * self.objective.rows() as f64) as usize;
        let rows = rows.max(LEAST_ROWS_OF_SCALES);
        if rows >= self.objective.rows() {
            return scales(&self.objective, &iterate.v, run);
        }
        let objective = self.objective;
        let sample = self.sample(&objective, rows, run)?;
        sample.lend(1, |source| scales(&objective.over(source), &iterate.v, run))
    }

    /// The next set of columns. If [`Search::scales`] is empty, all columns. Otherwise the columns with nonzero
    /// weights, and those of the other columns along which the objective falls most, or is next to fall. `last` is the
    /// set before.
    fn columns(&self, iterate: &Iterate, last: &[usize]) -> Chosen {
        let (weights, _) = self.objective.split(&iterate.v);
        let (slopes, _) = self.objective.split(&iterate.value.gradient);
        let n = self.objective.columns();
        if self.scales.is_empty() {
            let columns = (0..n).collect();
            return Chosen { columns, new: 0 };
        }
        let penalty = self.objective.penalty;
        let falls: Vec<f64> = (0..n)
            .map(|j| penalty.steepest_fall(j, n, weights, slopes) / self.scales[j])
            .collect();
        let is_new =
            |j: &usize| falls[*j] > 0.0 && falls[*j].is_finite() && last.binary_search(j).is_err();
        let new = (0..n).filter(is_new).count();
        let support = falls.iter().filter(|fall| **fall == f64::INFINITY).count();
        let wanted = falls.iter().filter(|fall| **fall > 0.0).count();
        let wanted = (MORE_COLUMNS * wanted as f64) as usize;
        let most = (2 * support).max(self.objective.rows() / ENOUGH_ROWS);
        let count = wanted.min(most).max(LEAST_COLUMNS).min(n);
        let mut columns: Vec<usize> = (0..n).collect();
        if count as f64 <= NO_COPY * n as f64 {
            columns.sort_by(|&a, &b| falls[b].total_cmp(&falls[a]).then(a.cmp(&b)));
            columns.truncate(count);
            columns.sort_unstable();
        }
        Chosen { columns, new }
    }

    /// Tells the caller what is proved. If there is a next penalty, changes the objective to it, and the value of the
    /// iterate with it; otherwise returns false.
    fn goes_on(
        &mut self,
        proof: Proof,
        iterate: &mut Iterate,
        run: &mut Run<'_>,
    ) -> Result<bool, Error> {
        let last = self.objective.penalty;
        let Some(next) = (self.following)(&self.objective, proof, run)? else {
            return Ok(false);
        };
        self.objective.penalty = next;
        (self.near, self.proofs, self.sets) = (1.0, 0, 0);
        self.may_bound = true;
        self.can_estimate = next.is_closed();
        let Iterate { v, value } = iterate;
        let (weights, _) = self.objective.split(v);
        let mut gradient = std::mem::take(&mut value.gradient);
        for (i, (g, w)) in gradient.iter_mut().zip(weights).enumerate() {
            let change = next.of(i).slope(*w) - last.of(i).slope(*w);
            *g += change;
            self.is_adapted |= change != 0.0;
        }
        *value = self.objective.value(v, value.error, value.weight, gradient);
        Ok(true)
    }

    /// Moves the iterate to the minimum over the weights of the columns in `set`, and goes on from penalty to penalty.
    /// If the objective falls along other columns, returns the next set.
    fn on_columns(
        &mut self,
        iterate: &mut Iterate,
        set: &Chosen,
        run: &mut Run<'_>,
    ) -> Result<Next, Error> {
        self.sets += 1;
        if self.sets > SETS {
            let proof = self.proof(iterate.clone(), StopReason::Precision, true, run)?;
            if !self.goes_on(proof, iterate, run)? {
                return Ok(Next::End);
            }
        }
        let objective = self.objective;
        let columns = &set.columns;
        if columns.len() == objective.columns() {
            return self.on_set(objective.source, iterate, set, run);
        }
        run.passes += objective.cost;
        let precision = objective.precision;
        let selected = (objective.source).select(columns, precision, &mut run.job())?;
        selected.lend(1, |source| self.on_set(source, iterate, set, run))
    }

    /// [`Search::on_columns`], where `source` has the columns of the set.
    fn on_set<'s>(
        &mut self,
        source: &'s dyn Source,
        iterate: &mut Iterate,
        set: &Chosen,
        run: &mut Run<'_>,
    ) -> Result<Next, Error>
    where
        'a: 's,
    {
        let mut descent = Descent::new(source, self.is_long);
        let mut new = set.new;
        loop {
            if let Some(next) = self.for_penalty(&mut descent, iterate, (set, new), run)? {
                return Ok(next);
            }
            let next = self.columns(iterate, &set.columns);
            if next.new > 0 {
                return Ok(Next::Columns(next));
            }
            new = 0;
        }
    }

    /// [`Search::on_set`] for one penalty. Returns `None` if there is a next penalty.
    fn for_penalty(
        &mut self,
        descent: &mut Descent<'_>,
        iterate: &mut Iterate,
        (set, new): (&Chosen, usize),
        run: &mut Run<'_>,
    ) -> Result<Option<Next>, Error> {
        let (objective, columns) = (self.objective, &set.columns);
        let n = objective.columns();
        let is_all = columns.len() == n;
        let narrow = |v: &[f64]| -> Vec<f64> {
            let (weights, biases) = objective.split(v);
            let weights = weights.chunks_exact(n);
            let weights = weights.flat_map(|weights| columns.iter().map(|&j| weights[j]));
            weights.chain(biases.iter().copied()).collect()
        };
        let widen = |v: &[f64]| {
            let (weights, biases) = objective.split(v);
            let mut wide = vec![0.0; objective.classes * n];
            let classes = weights.chunks_exact(columns.len());
            for (weights, wide) in classes.zip(wide.chunks_exact_mut(n)) {
                columns.iter().zip(weights).for_each(|(&j, w)| wide[j] = *w);
            }
            wide.extend(biases);
            wide
        };
        let widen: Widen<'_> = match is_all {
            true => &|v: &[f64]| v.to_vec(),
            false => &widen,
        };
        let penalty;
        let (part, mut inner) = match is_all {
            true => (objective, iterate.clone()),
            false => {
                penalty = objective.penalty.select(columns);
                let part = objective.over_columns(descent.source, &penalty);
                // The weights of the other columns are 0, so that the error is the same.
                let Value { error, weight, .. } = iterate.value;
                let v = narrow(&iterate.v);
                let value = part.value(&v, error, weight, narrow(&iterate.value.gradient));
                (part, Iterate { v, value })
            }
        };
        descent.begin(&part);
        let mut is_final = is_all || new == 0;
        loop {
            let (before, by_columns) = (iterate.value.objective, self.by_columns);
            let ended = self.on_rows(&part, descent, &mut inner, is_final, widen, run)?;
            let is_known = is_all && !(self.is_adapted && run.history.is_empty());
            *iterate = match is_known {
                true => inner.clone(),
                false => self.evaluate(&objective, widen(&inner.v), run)?,
            };
            self.is_adapted = false;
            let stop_reason = interruption(ended).unwrap_or(StopReason::Tolerance);
            let is_interrupted = stop_reason != StopReason::Tolerance;
            if !is_interrupted && by_columns && !self.by_columns {
                return Ok(Some(Next::WithHessian));
            }
            let next = self.columns(iterate, columns);
            if !is_interrupted && next.new > 0 {
                return Ok(Some(Next::Columns(next)));
            }
            if !is_interrupted && !is_final {
                is_final = true;
                if descent.rows >= part.rows() {
                    // The Hessian at the new iterate is exact, so that steps soon double the number of right digits.
                    descent.model = None;
                }
                continue;
            }
            let of_set = (&part, &inner, columns.as_slice());
            let may_bound = self.may_bound;
            if let Some(bounds) = self.by_sample(descent, of_set, iterate, run)? {
                let proof = self.proved(iterate.clone(), bounds, stop_reason, run)?;
                let goes_on = self.goes_on(proof, iterate, run)?;
                return Ok((!goes_on).then_some(Next::End));
            }
            if may_bound && !self.may_bound && ended == Ended::Reached {
                continue;
            }
            self.proofs += 1;
            let has_stalled = ended == Ended::Stalled;
            let is_exact = is_interrupted || has_stalled || self.proofs >= EXACT_PROOF;
            let proof = self.proof(iterate.clone(), stop_reason, is_exact, run)?;
            let has_moved = iterate.value.objective < before;
            let is_end = is_interrupted
                || proof.stop_reason == StopReason::Tolerance
                || self.proofs >= PROOFS
                || (ended != Ended::Reached && !has_moved);
            if is_end {
                let goes_on = self.goes_on(proof, iterate, run)?;
                return Ok((!goes_on).then_some(Next::End));
            }
            self.near /= DIVISOR;
            descent.models = 0;
        }
    }

    /// Minimises over samples of the rows, each larger than the one before. Returns the parameters, and the stop reason
    /// if the fit ends there.
    fn on_samples(
        &mut self,
        mut v: Vec<f64>,
        run: &mut Run<'_>,
    ) -> Result<(Vec<f64>, Option<StopReason>), Error> {
        let objective = &self.objective.clone();
        let mut interrupted = None;
        plan(objective)?;
        for rows in sample_sizes(objective.rows(), objective.columns(), 0) {
            if interrupted.is_some() {
                break;
            }
            let sample = self.sample(objective, rows, run)?;
            (v, interrupted) = sample.lend(1, |source| {
                let part = objective.over(source);
                let mut iterate = self.evaluate(&part, v, run)?;
                let Some(mut model) = SmoothModel::new(&part, &part, &iterate.v, run)? else {
                    return Ok((iterate.v, None)); // all rows of the sample have weight 0
                };
                let weights = part.split(&iterate.v).0.iter().filter(|w| **w != 0.0);
                let until = Until {
                    decrease: SAMPLE_PRECISION * weights.count().max(5) as f64 / rows as f64,
                    gap: 0.0,
                    rough: 0.0,
                    bounded: 0.0,
                    bound: None,
                    share: 0.0,
                };
                let widen: Widen<'_> = &|v| v.to_vec();
                let (mut left, mut decreases) = (SAMPLE_ITERATIONS, None);
                let steps = self.steps(&part, until, widen);
                let state = (&mut left, &mut decreases);
                let ended = steps.iterate(&mut model, state, &mut iterate, run)?;
                Ok((iterate.v, interruption(ended)))
            })?;
        }
        Ok((v, interrupted))
    }

    fn sample<'s>(
        &mut self,
        objective: &Objective<'s>,
        rows: usize,
        run: &mut Run<'_>,
    ) -> Result<Box<dyn Part + 's>, Error> {
        self.seed = self.seed.wrapping_add(1);
        run.sample(objective, rows, self.seed)
    }

    /// Iterates over all rows of `objective`, computing one Hessian after the other.
    fn on_rows(
        &mut self,
        objective: &Objective<'_>,
        descent: &mut Descent<'_>,
        iterate: &mut Iterate,
        is_final: bool,
        widen: Widen<'_>,
        run: &mut Run<'_>,
    ) -> Result<Ended, Error> {
        let m = objective.rows();
        let bound_rows = match self.may_bound && !descent.has_no_bound {
            true => rows_of_bound(objective, self.is_long),
            false => 0,
        };
        let mut has_stalled = false;
        loop {
            let mut serving = match descent.model.take() {
                Some(serving) => serving,
                None if descent.models >= HESSIANS => return Ok(Ended::Iterations),
                None => {
                    descent.models += 1;
                    match self.model(objective, (descent.source, descent.rows), iterate, run)? {
                        Some(serving) => serving,
                        None => return Ok(Ended::Stalled),
                    }
                }
            };
            let wanted = self.near * self.goal.gap * iterate.value.objective;
            let until = Until {
                decrease: AHEAD * wanted,
                gap: if self.can_estimate {
                    NEAR * wanted
                } else {
                    0.0
                },
                rough: if is_final { 0.0 } else { ROUGH },
                bounded: match bound_rows > 0 && is_final {
                    true => CLOSE * wanted,
                    false => 0.0,
                },
                bound: descent.bound.as_ref(),
                share: bound_rows as f64 / m as f64,
            };
            let (before, iterations) = (descent.decreases, serving.left);
            let Serving { model, left, .. } = &mut serving;
            let left_before = *left;
            let state = (&mut *left, &mut descent.decreases);
            let steps = self.steps(objective, until, widen);
            let ended = steps.iterate(model.as_mut(), state, iterate, run)?;
            descent.iterations += left_before - *left;
            match ended {
                Ended::Iterations if is_good([before, descent.decreases], iterations) => {
                    serving.prolong();
                    descent.model = Some(serving);
                    continue;
                }
                Ended::Iterations if serving.is_by_columns => {
                    self.by_columns = false;
                    return Ok(ended);
                }
                Ended::Iterations => has_stalled = false,
                Ended::Stalled if has_stalled || serving.is_by_columns || descent.rows >= m => {
                    return Ok(ended);
                }
                Ended::Stalled => has_stalled = true,
                _ => {
                    descent.model = Some(serving);
                    return Ok(ended);
                }
            }
            descent.rows = larger_sample(descent.rows, m);
        }
    }

    fn steps<'o>(
        &self,
        objective: &'o Objective<'o>,
        until: Until<'o>,
        widen: Widen<'o>,
    ) -> Steps<'o> {
        Steps {
            objective,
            until,
            widen,
            gradient: self.goal.gradient,
            is_long: self.is_long,
        }
    }

    /// A model at the iterate. If it has a Hessian, this is computed from `rows` rows. `None` if all second derivatives
    /// by some score are 0.
    fn model<'s>(
        &mut self,
        objective: &Objective<'_>,
        (source, rows): (&'s dyn Source, usize),
        iterate: &Iterate,
        run: &mut Run<'_>,
    ) -> Result<Option<Serving<'s>>, Error> {
        if self.by_columns
            && let Some(model) = ColumnModel::new(objective, source, &iterate.v, run)?
        {
            return Ok(Some(Serving::new(Box::new(model), true)));
        }
        let model = if rows >= objective.rows() {
            SmoothModel::new(objective, objective, &iterate.v, run)?
        } else {
            let sample = self.sample(objective, rows, run)?;
            sample.lend(1, |source| {
                SmoothModel::new(&objective.over(source), objective, &iterate.v, run)
            })?
        };
        Ok(model.map(|model| Serving::new(Box::new(model), false)))
    }
}

/// The square root of the second derivative of the objective along each column.
fn scales(objective: &Objective<'_>, v: &[f64], run: &mut Run<'_>) -> Result<Vec<f64>, Error> {
    run.passes += objective.cost;
    let natural = Basis::natural(objective.columns());
    let curvatures = objective.source.curvatures(&objective.parameters(v));
    let (curvature, _) = curvatures.trace(&natural, &mut run.job())?;
    let of_penalty = objective.penalty.diagonal(&natural);
    let along = curvature.diagonal.iter().zip(of_penalty);
    let along = along.map(|(d, penalty)| d / curvature.weight + penalty);
    let along = along.map(|d| larger(d, f64::MIN_POSITIVE).sqrt());
    Ok(along.collect())
}
