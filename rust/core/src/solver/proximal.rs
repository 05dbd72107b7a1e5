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
use super::fenchel;
use super::objective::{Iterate, Objective, Value};
use super::proof::{Goal, Proof};
use super::run::{Beginning, Ended, Run, Separation};
use super::smooth_model::{Model, SmoothModel};
use super::stages::{START_COST, hessian_cost, hessian_rows, sample_sizes};
use super::unpenalised;
use crate::error::Error;
use crate::float::Precision;
use crate::kernel::Basis;
use crate::linalg::{add_multiple, dot};
use crate::math::larger;
use crate::source::Part;
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
/// The largest number of sets of columns in a fit.
const SETS: usize = 60;
/// The largest number of Hessians that are computed for one set of columns.
const HESSIANS: usize = 20;
/// The number of iterations with one Hessian, after which it is decided whether to keep the Hessian.
const ITERATIONS: usize = 12;
/// [`ITERATIONS`] for a [`ColumnModel`]. If columns are nearly dependent, its coordinate descent does not come near the
/// minimum of the model, and an iteration gains little. With a Hessian, equations are solved instead.
const COLUMN_ITERATIONS: usize = 15;
/// A Hessian or a [`ColumnModel`] is kept if each of its iterations has reduced the predicted decrease to less than
/// this fraction, in the geometric mean.
const GOOD: f64 = 0.3;
/// If it is kept, the number of iterations after which it is decided again.
const MORE_ITERATIONS: usize = 4;
/// The largest number of iterations on one sample of the rows.
const SAMPLE_ITERATIONS: usize = 30;
/// A Hessian is computed from at least this many rows per column, even if that takes long.
const LEAST_ROWS_A_COLUMN: usize = 4;
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
/// The largest number of proofs in a fit.
const PROOFS: usize = 6;
/// From the proof with this number on, counted from 1, the gradient is computed to nearly the last bit if the gap is
/// too large otherwise. This takes as long as several iterations.
const EXACT_PROOF: usize = 2;
/// In the first iteration, coordinate descent on the model ends once a sweep over the coordinates lowers the model by
/// less than this fraction of the decrease by all sweeps so far.
const INEXACT: f64 = 0.05;
/// [`INEXACT`] in the last iterations.
const EXACT: f64 = 1e-6;
/// Armijo's condition: a step is accepted if the objective falls by at least this fraction of the decrease that the
/// slope along the step predicts.
const ARMIJO: f64 = 1e-4;
/// The largest number of step lengths tried in one iteration.
const TRIALS: usize = 30;
/// Two objectives whose relative difference is at most this may differ by rounding alone.
const BLIND: f64 = 2e-13;
/// The seed of the first sample of rows.
const SEED: u64 = 0xE1A5;

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
    let mut search = Search {
        objective,
        goal,
        near: 1.0,
        can_estimate: objective.penalty.is_closed(),
        proofs: 0,
        seed: SEED,
        by_columns: true,
        scales: Vec::new(),
    };
    let n = objective.columns();
    let mut iterate = if n <= ALL_COLUMNS && !start.is_given {
        let (v, ended) = search.on_samples(start.v.clone(), run)?;
        let iterate = search.evaluate(objective, v, run)?;
        if let Some(ended) = ended {
            return search.proof(iterate, ended, true, run);
        }
        iterate
    } else {
        start.iterate(objective, Precision::Double, run)?
    };
    let mut set = search.first_columns(&iterate, run)?;
    for _ in 0..SETS {
        match search.on_columns(&mut iterate, &set, run)? {
            Next::Columns(next) => set = next,
            Next::WithHessian => set = search.first_columns(&iterate, run)?,
            Next::End(proof) => return Ok(*proof),
        }
    }
    search.proof(iterate, StopReason::Precision, true, run)
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
    let samples: Vec<(usize, u64)> = sizes.chain(of_model).zip(SEED + 1..).collect();
    objective.source.plan_samples(&samples, objective.precision)
}

/// The number of rows from which the first Hessian over all rows is computed. All rows, if a sample would have more
/// than half of them.
fn model_rows(objective: &Objective<'_>) -> usize {
    let (m, n) = (objective.rows(), objective.columns());
    // With many columns, the Hessian is computed from only a few rows per column. BFGS corrects it during the
    // iterations.
    let pairs = (objective.classes * (objective.classes + 1) / 2) as f64;
    let affordable = (START_COST / (pairs * hessian_cost(objective, m)) * m as f64) as usize;
    let rows = hessian_rows(objective).min(affordable.max(LEAST_ROWS_A_COLUMN * n));
    match rows.saturating_mul(2) > m {
        true => m,
        false => rows,
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
    End(Box<Proof>),
}

/// The minimisation of the objective over all columns, in one set of columns after the other.
struct Search<'a> {
    objective: &'a Objective<'a>,
    goal: Goal,
    /// The factor by which [`NEAR`] and [`AHEAD`] are multiplied.
    near: f64,
    /// Whether the gap can be estimated from a gradient.
    can_estimate: bool,
    /// The number of proofs so far.
    proofs: usize,
    /// The seed of the next sample of rows.
    seed: u64,
    /// Whether a [`ColumnModel`] may be used.
    by_columns: bool,
    /// The square root of the second derivative along each column. Empty if iterations run over all columns at once.
    scales: Vec<f64>,
}

/// A model that is in use.
struct Serving<'o> {
    model: Box<dyn Model + 'o>,
    /// The number of iterations that the model may still serve for.
    left: usize,
    is_by_columns: bool,
}

/// The iterations over one set of columns, with one model after the other.
struct Descent<'o> {
    /// The model of the next iteration. `None` before the first iteration, and after a model has served its time.
    model: Option<Serving<'o>>,
    /// The number of rows from which the next Hessian is computed.
    rows: usize,
    /// The number of models so far.
    models: usize,
    /// The first and the last predicted decrease.
    decreases: Option<[f64; 2]>,
}

/// Makes parameters of all columns from the parameters of a set of columns. The weights of the other columns are 0.
type Widen<'a> = &'a dyn Fn(&[f64]) -> Vec<f64>;

impl Search<'_> {
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
        let (iterate, mut bounds) = fenchel::bounds(self.objective, iterate, wanted, run)?;
        if bounds.gap > wanted && ended != StopReason::Passes && self.may_factor() {
            let certifier = Certifier::new(self.objective, iterate.v.clone(), run)?;
            let gap = certifier.map_or(f64::INFINITY, |certifier| certifier.gap());
            bounds.gap = bounds.gap.min(gap);
        }
        let mut v = iterate.v.clone();
        self.objective.precision.round(&mut v);
        let (iterate, gap) = if v == iterate.v {
            (iterate, bounds.gap)
        } else {
            // The gap is proved before the weights are rounded, and the rise of the objective by the rounding is added.
            // This rise is proportional to the squares of the weights' rounding errors. A gap proved after rounding
            // would be larger: proportional to the rounding errors themselves.
            let rounded = self.evaluate(self.objective, v, run)?;
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

    /// Whether the gap may be bounded by a factored Hessian of all columns.
    fn may_factor(&self) -> bool {
        let is_determined = self.objective.rows() > self.objective.columns();
        // For several classes, the bound by the Hessian needs an objective that does not change if the same number is
        // added to a column's weights of all classes. With l1 or bounds, the objective changes.
        let is_one = self.objective.classes == 1;
        self.goal.may_factor && is_one && is_determined && is_factorable(self.objective)
    }

    /// The first set of columns, for which [`Search::scales`] is computed.
    fn first_columns(&mut self, iterate: &Iterate, run: &mut Run<'_>) -> Result<Chosen, Error> {
        let objective = self.objective;
        let takes_all = self.by_columns && column_model::takes_all(objective);
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
            return scales(self.objective, &iterate.v, run);
        }
        let sample = self.sample(self.objective, rows, run)?;
        sample.lend(1, |source| {
            scales(&self.objective.over(source), &iterate.v, run)
        })
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

    /// Moves the iterate to the minimum over the weights of the columns in `set`. If the objective then falls along
    /// other columns, returns the next set; otherwise a proof.
    fn on_columns(
        &mut self,
        iterate: &mut Iterate,
        set: &Chosen,
        run: &mut Run<'_>,
    ) -> Result<Next, Error> {
        let objective = self.objective;
        let (n, columns) = (objective.columns(), &set.columns);
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
        if columns.len() == n {
            let inner = iterate.clone();
            return self.on_set(objective, (iterate, inner), &|v| v.to_vec(), set, run);
        }
        run.passes += objective.cost;
        let precision = objective.precision;
        let selected = (objective.source).select(columns, precision, &mut run.job())?;
        let penalty = objective.penalty.select(columns);
        selected.lend(1, |source| {
            let part = objective.over_columns(source, &penalty);
            // The weights of the other columns are 0, so that the error is the same.
            let Value { error, weight, .. } = iterate.value;
            let v = narrow(&iterate.v);
            let value = part.value(&v, error, weight, narrow(&iterate.value.gradient));
            let inner = Iterate { v, value };
            self.on_set(&part, (iterate, inner), &widen, set, run)
        })
    }

    /// [`Search::on_columns`], where `part` is the objective over the columns of the set. `iterates` are the iterate of
    /// all columns, which is moved, and the same iterate of these columns.
    fn on_set(
        &mut self,
        part: &Objective<'_>,
        (iterate, mut inner): (&mut Iterate, Iterate),
        widen: Widen<'_>,
        set: &Chosen,
        run: &mut Run<'_>,
    ) -> Result<Next, Error> {
        let is_all = set.columns.len() == self.objective.columns();
        let mut descent = Descent {
            model: None,
            rows: model_rows(part),
            models: 0,
            decreases: None,
        };
        let mut is_final = is_all || set.new == 0;
        loop {
            let (before, by_columns) = (iterate.value.objective, self.by_columns);
            let ended = self.on_rows(part, &mut descent, &mut inner, is_final, widen, run)?;
            *iterate = match is_all {
                true => inner.clone(),
                false => self.evaluate(self.objective, widen(&inner.v), run)?,
            };
            let stop_reason = interruption(ended).unwrap_or(StopReason::Tolerance);
            let is_interrupted = stop_reason != StopReason::Tolerance;
            if !is_interrupted && by_columns && !self.by_columns {
                return Ok(Next::WithHessian);
            }
            let next = self.columns(iterate, &set.columns);
            if !is_interrupted && next.new > 0 {
                return Ok(Next::Columns(next));
            }
            if !is_interrupted && !is_final {
                is_final = true;
                if descent.rows >= part.rows() {
                    // The Hessian at the new iterate is exact, so that steps soon double the number of right digits.
                    descent.model = None;
                }
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
                return Ok(Next::End(Box::new(proof)));
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
        let objective = self.objective;
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
                };
                let widen: Widen<'_> = &|v| v.to_vec();
                let (mut left, mut decreases) = (SAMPLE_ITERATIONS, None);
                let state = (&mut left, &mut decreases);
                let ended =
                    self.iterate(&part, &mut model, state, &mut iterate, (until, widen), run)?;
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
    fn on_rows<'o>(
        &mut self,
        objective: &Objective<'o>,
        descent: &mut Descent<'o>,
        iterate: &mut Iterate,
        is_final: bool,
        widen: Widen<'_>,
        run: &mut Run<'_>,
    ) -> Result<Ended, Error> {
        let m = objective.rows();
        let mut has_stalled = false;
        loop {
            let mut serving = match descent.model.take() {
                Some(serving) => serving,
                None if descent.models >= HESSIANS => return Ok(Ended::Iterations),
                None => {
                    descent.models += 1;
                    match self.model(objective, descent.rows, iterate, run)? {
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
            };
            let (before, iterations) = (descent.decreases, serving.left);
            let Serving { model, left, .. } = &mut serving;
            let state = (left, &mut descent.decreases);
            let ended = self.iterate(
                objective,
                model.as_mut(),
                state,
                iterate,
                (until, widen),
                run,
            )?;
            match ended {
                Ended::Iterations if is_good([before, descent.decreases], iterations) => {
                    serving.left = MORE_ITERATIONS;
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
            descent.rows = descent.rows.saturating_mul(4);
            if descent.rows.saturating_mul(2) > m {
                descent.rows = m;
            }
        }
    }

    /// A model at the iterate. If it has a Hessian, this is computed from `rows` rows. `None` if all second derivatives
    /// by some score are 0.
    fn model<'o>(
        &mut self,
        objective: &Objective<'o>,
        rows: usize,
        iterate: &Iterate,
        run: &mut Run<'_>,
    ) -> Result<Option<Serving<'o>>, Error> {
        if self.by_columns
            && let Some(model) = ColumnModel::new(objective, &iterate.v, run)?
        {
            return Ok(Some(Serving {
                model: Box::new(model),
                left: COLUMN_ITERATIONS,
                is_by_columns: true,
            }));
        }
        let model = if rows >= objective.rows() {
            SmoothModel::new(objective, objective, &iterate.v, run)?
        } else {
            let sample = self.sample(objective, rows, run)?;
            sample.lend(1, |source| {
                SmoothModel::new(&objective.over(source), objective, &iterate.v, run)
            })?
        };
        Ok(model.map(|model| Serving {
            model: Box::new(model),
            left: ITERATIONS,
            is_by_columns: false,
        }))
    }

    /// Proximal quasi-Newton iterations with one model of the smooth part. After each step, the model is updated.
    /// `left` is the number of iterations that may be made. `decreases` are the first and the last predicted decrease.
    fn iterate(
        &self,
        objective: &Objective<'_>,
        model: &mut dyn Model,
        (left, decreases): (&mut usize, &mut Option<[f64; 2]>),
        iterate: &mut Iterate,
        (until, widen): (Until, Widen<'_>),
        run: &mut Run<'_>,
    ) -> Result<Ended, Error> {
        let mut next_check = objective.separated_below;
        while *left > 0 {
            *left -= 1;
            if iterate.value.error < next_check {
                next_check = 0.5 * iterate.value.error;
                if let Some(direction) = unpenalised::along(objective, &iterate.v, run)? {
                    run.separation = Some(Separation::Found(widen(&direction)));
                    return Ok(Ended::AllRight);
                }
            }
            let x = model.coordinates().of(&iterate.v);
            let gradient = model.coordinates().gradient(&iterate.value.gradient);
            // In the first iterations, the minimum of the model need not be computed exactly.
            let forcing = match decreases {
                None => INEXACT,
                Some([first, last]) => f64::clamp(0.1 * f64::sqrt(*last / *first), EXACT, INEXACT),
            };
            let u = model.minimum(&gradient, &x, forcing, &mut run.job())?;
            let step: Vec<f64> = u.iter().zip(&x).map(|(u, x)| u - x).collect();
            let slope = dot(&gradient, &step) + model.kinks().change(&u, &x);
            let is_near = || estimated_gap(objective, model, iterate, &gradient) <= until.gap;
            if slope >= 0.0 || slope.is_nan() {
                return Ok(match until.gap > 0.0 && is_near() {
                    true => Ended::Reached,
                    false => Ended::Stalled,
                });
            }
            // The decrease of the model plus the penalty from x to u is between `ahead` / 2 and `ahead`.
            let ahead = -slope;
            let first = decreases.map_or(ahead, |[first, _]| first);
            *decreases = Some([first, ahead]);
            let is_asked = self
                .goal
                .gradient
                .is_some_and(|tol| iterate.value.gradient_norm <= tol);
            let is_reached = 0.5 * ahead <= until.decrease && (until.gap == 0.0 || is_near());
            if is_reached || ahead <= until.rough * first || is_asked {
                return Ok(Ended::Reached);
            }
            if run.is_spent() {
                return Ok(Ended::Passes);
            }
            let Some((length, next)) =
                self.along(objective, model, iterate, ([&x, &u], slope), run)?
            else {
                return Ok(match run.is_spent() {
                    true => Ended::Passes,
                    false => Ended::Stalled,
                });
            };
            let mut moved = model.coordinates().of(&next.v);
            add_multiple(&mut moved, -1.0, &x);
            let mut change = model.coordinates().gradient(&next.value.gradient);
            add_multiple(&mut change, -1.0, &gradient);
            model.learn(objective, &next, [&moved, &change], run)?;
            *iterate = next;
            let shown = Iterate {
                v: widen(&iterate.v),
                value: iterate.value.clone(),
            };
            if run.record(objective, &shown, length).is_break() {
                return Ok(Ended::Callback);
            }
        }
        Ok(Ended::Iterations)
    }

    /// The length of a step that decreases the objective, and the iterate after the step. The step leads from the
    /// iterate towards the minimum of the model plus the penalty; in the model's coordinates, these are x and u. The
    /// whole step is tried first, then shorter ones. `None` if no length decreases the objective or the passes are used
    /// up.
    fn along(
        &self,
        objective: &Objective<'_>,
        model: &dyn Model,
        iterate: &Iterate,
        ([x, u], slope): ([&[f64]; 2], f64),
        run: &mut Run<'_>,
    ) -> Result<Option<(f64, Iterate)>, Error> {
        let from = iterate.value.objective;
        let mut length = 1.0;
        for trial in 0..TRIALS {
            if run.is_spent() {
                return Ok(None);
            }
            let between = |(x, u): (&f64, &f64)| (x + length * (u - x)).clamp(x.min(*u), x.max(*u));
            let to: Vec<f64> = match length == 1.0 {
                true => u.to_vec(),
                false => x.iter().zip(u).map(between).collect(),
            };
            let v = model.coordinates().natural(&to);
            let value = run.evaluate(objective, &v, Precision::Double)?;
            let gain = value.objective - from;
            let next = Iterate { v, value };
            if next.value.is_finite() {
                if gain <= ARMIJO * length * slope {
                    return Ok(Some((length, next)));
                }
                // The change of the objective is within rounding errors, so the size of the subgradient decides.
                if gain.abs() <= BLIND * from.abs() {
                    if model.steepness(&next) < 0.9 * model.steepness(iterate) {
                        return Ok(Some((length, next)));
                    }
                    if trial >= 2 {
                        return Ok(None);
                    }
                }
            }
            let best = -slope * length / (2.0 * (gain - slope * length));
            length *= if best.is_finite() {
                best.clamp(0.1, 0.5)
            } else {
                0.1
            };
        }
        Ok(None)
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

/// Whether each of the last `iterations` iterations has reduced the predicted decrease to less than the fraction
/// [`GOOD`], in the geometric mean. `before` and `after` are the first and the last predicted decrease, before these
/// iterations and after them.
fn is_good([before, after]: [Option<[f64; 2]>; 2], iterations: usize) -> bool {
    let fraction = GOOD.powi(iterations as i32);
    match (before, after) {
        (Some([_, before]), Some([_, after])) => after < fraction * before,
        (None, Some([first, last])) => last < fraction * first,
        _ => false,
    }
}

/// The conditions under which iterations with one model end.
struct Until {
    /// Iterations end once the predicted decrease of the objective is at most twice this, and the estimated gap is at
    /// most [`Until::gap`].
    decrease: f64,
    /// If this is 0, the gap is not estimated.
    gap: f64,
    /// Iterations also end once the predicted decrease is at most this fraction of the first one.
    rough: f64,
}

/// An estimate of the gap at an iterate. `gradient` is the gradient there, in the model's coordinates.
fn estimated_gap(
    objective: &Objective<'_>,
    model: &dyn Model,
    iterate: &Iterate,
    gradient: &[f64],
) -> f64 {
    let (weights, _) = objective.split(&iterate.v);
    let basis = &model.coordinates().basis;
    let order = objective.columns() + 1;
    let of_penalty = objective.penalty.slopes(weights);
    let (mut slopes, mut closing) = (Vec::with_capacity(weights.len()), 0.0);
    for (k, gradient) in gradient.chunks_exact(order).enumerate() {
        let (by_weights, by_bias) = (&gradient[..order - 1], gradient[order - 1]);
        slopes.extend(basis.natural_gradient(by_weights, 0.0));
        if by_bias != 0.0 {
            closing += by_bias * by_bias / model.curvature(k * order + order - 1);
        }
    }
    add_multiple(&mut slopes, -1.0, &of_penalty);
    fenchel::estimate(objective, iterate, &slopes, closing)
}
