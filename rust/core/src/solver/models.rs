//! The models that serve the iterations over one set of columns, one after the other: when to keep a model, and when to
//! make another one from more rows.

use super::objective::Objective;
use super::sample_bound::{SampleBound, SampledRows};
use super::smooth_model::Model;
use super::stages::{START_COST, hessian_cost, hessian_rows};
use crate::source::Source;

/// The number of iterations with one Hessian, after which it is decided whether to keep the Hessian.
const ITERATIONS: usize = 12;
/// [`ITERATIONS`] for a model by columns. If columns are nearly dependent, its coordinate descent does not come near the
/// minimum of the model, and an iteration gains little. With a Hessian, equations are solved instead.
const COLUMN_ITERATIONS: usize = 15;
/// A Hessian or a model by columns is kept if each of its iterations has reduced the predicted decrease to less than
/// this fraction, in the geometric mean.
const GOOD: f64 = 0.3;
/// If it is kept, the number of iterations after which it is decided again.
const MORE_ITERATIONS: usize = 4;
/// If there are several penalties, a Hessian is computed from this times as many rows, because it serves for longer.
const LONGER_ROWS: usize = 2;
/// With several penalties, a model is replaced once the iterations that a better one would have saved have cost as much
/// as the better one. An iteration costs a pass, plus this many passes for each column per row: the minimum of the model
/// takes so many times n² operations.
const MODEL_COST: f64 = 5.0;
/// What a sample of all rows and their scores would cost in addition to its Hessian, in passes.
const COPY_COST: f64 = 6.0;
/// The number of iterations for one penalty with the exact Hessian of the penalty before.
const EXACT_ITERATIONS: usize = 3;
/// A Hessian is computed from at least this many rows per column, even if that takes long.
const LEAST_ROWS_A_COLUMN: usize = 4;

/// The number of rows from which the first Hessian over all rows is computed. All rows, if a sample would have more
/// than half of them.
pub(super) fn model_rows(objective: &Objective<'_>) -> usize {
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

/// The cost of a model from `rows` rows, in passes.
fn model_cost(part: &Objective<'_>, rows: usize) -> f64 {
    hessian_cost(part, rows) + COPY_COST * rows as f64 / part.rows() as f64
}

/// The size of the sample for the next Hessian after one from `rows` of m rows.
pub(super) fn larger_sample(rows: usize, m: usize) -> usize {
    match rows.saturating_mul(8) > m {
        true => m,
        false => 4 * rows,
    }
}

/// A model that is in use.
pub(super) struct Serving<'s> {
    pub model: Box<dyn Model + 's>,
    /// The number of iterations that the model may still serve for.
    pub left: usize,
    pub is_by_columns: bool,
    /// The number of iterations for the first penalty after the one for which the model was made.
    fewest: Option<usize>,
    /// The cost of the iterations in excess of `fewest`, added up over the penalties, in passes.
    since_new: f64,
    /// The same in excess of [`EXACT_ITERATIONS`].
    since_exact: f64,
}

impl<'s> Serving<'s> {
    pub(super) fn new(model: Box<dyn Model + 's>, is_by_columns: bool) -> Self {
        Serving {
            model,
            left: Serving::iterations(is_by_columns),
            is_by_columns,
            fewest: None,
            since_new: 0.0,
            since_exact: 0.0,
        }
    }

    /// Keeps the model for a few more iterations.
    pub(super) fn prolong(&mut self) {
        self.left = MORE_ITERATIONS;
    }

    /// The number of iterations with a model, after which it is decided whether to keep it.
    fn iterations(is_by_columns: bool) -> usize {
        match is_by_columns {
            true => COLUMN_ITERATIONS,
            false => ITERATIONS,
        }
    }
}

/// The iterations over one set of columns, with one model after the other.
pub(super) struct Descent<'s> {
    /// All rows, with the columns of the set.
    pub source: &'s dyn Source,
    /// The model of the next iteration. `None` before the first iteration, and after a model has served its time.
    pub model: Option<Serving<'s>>,
    /// The number of rows from which the next Hessian is computed.
    pub rows: usize,
    /// The number of models so far, for this penalty.
    pub models: usize,
    /// The number of iterations so far, for this penalty.
    pub iterations: usize,
    /// The number of rows of a penalty's first Hessian is this times [`model_rows`].
    more: usize,
    /// The first and the last predicted decrease.
    pub decreases: Option<[f64; 2]>,
    /// The rows for bounds, and the last bound, if there is one.
    pub sampled: Option<SampledRows<'s>>,
    pub bound: Option<SampleBound>,
    /// Whether a bound that was computed anew has not proved the gap. No other is computed then.
    pub has_no_bound: bool,
}

impl<'s> Descent<'s> {
    /// Iterations over the columns of `source`; for several penalties, if `is_long`.
    pub(super) fn new(source: &'s dyn Source, is_long: bool) -> Self {
        Descent {
            source,
            model: None,
            rows: 0,
            models: 0,
            iterations: 0,
            more: if is_long { LONGER_ROWS } else { 1 },
            decreases: None,
            sampled: None,
            bound: None,
            has_no_bound: false,
        }
    }

    /// Begins the iterations for the penalty of `part`, the objective over the columns of the set. A model that is in
    /// use is kept.
    pub(super) fn begin(&mut self, part: &Objective<'_>) {
        if let Some(serving) = &mut self.model
            && let Some(fewest) = serving.fewest
        {
            let iteration = 1.0 + MODEL_COST * part.columns() as f64 / part.rows() as f64;
            let surplus = |least| iteration * self.iterations.saturating_sub(least) as f64;
            serving.since_new += surplus(fewest);
            serving.since_exact += surplus(EXACT_ITERATIONS);
            let more = larger_sample(self.rows, part.rows());
            let is_larger = serving.since_exact > model_cost(part, more);
            if self.rows < part.rows() && is_larger {
                self.rows = more;
            }
            let has_aged = is_larger || serving.since_new > model_cost(part, self.rows);
            (self.model).take_if(|_| has_aged);
        } else if let Some(serving) = &mut self.model
            && !serving.is_by_columns
        {
            serving.fewest = Some(self.iterations);
        }
        (self.iterations, self.models, self.decreases) = (0, 0, None);
        match &mut self.model {
            None if self.rows == 0 => self.rows = (self.more * model_rows(part)).min(part.rows()),
            None => {}
            Some(serving) => {
                serving.left = Serving::iterations(serving.is_by_columns);
                serving.model.set_penalty(part.penalty);
            }
        }
    }
}

/// Whether each of the last `iterations` iterations has reduced the predicted decrease to less than the fraction
/// [`GOOD`], in the geometric mean. `before` and `after` are the first and the last predicted decrease, before these
/// iterations and after them.
pub(super) fn is_good([before, after]: [Option<[f64; 2]>; 2], iterations: usize) -> bool {
    let fraction = GOOD.powi(iterations as i32);
    match (before, after) {
        (Some([_, before]), Some([_, after])) => after < fraction * before,
        (None, Some([first, last])) => last < fraction * first,
        _ => false,
    }
}
