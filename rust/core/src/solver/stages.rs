//! Preconditioned L-BFGS, on growing samples of the rows and then on all rows.

use super::few_rows;
use super::lbfgs::{Criteria, Lbfgs, LbfgsEnd, Memory};
use super::objective::{Iterate, Objective};
use super::preconditioner::{ColumnScales, Preconditioner, from_all_rows, from_rows};
use super::run::{Beginning, Direction, Ended, Patience, Run, Separation};
use super::separation;
use crate::error::Error;
use crate::float::Precision;
use crate::kernel;
use crate::source::Part;
use crate::stop::StopReason;

/// Least number of rows of the first sample.
const FIRST_ROWS: usize = 2000;
/// Least number of rows of the first sample per column of X.
const FIRST_ROWS_A_COLUMN: usize = 40;
/// Least number of rows of the first sample per weight, for several classes.
const FIRST_ROWS_A_WEIGHT: usize = 4;
/// Each sample has this many times the rows of the sample before.
const GROWTH: usize = 16;
/// The largest number of elements of a sample other than the first: 256 MiB of `f64`. Copying a larger sample would
/// take as long as the sample saves; and if the rows do not fit into memory, neither would the copy.
const LARGEST_SAMPLE: usize = 1 << 25;
/// Convergence on a sample of r rows: the predicted decrease of the objective is at most this times p / r, with p = n
/// weights to fit (n (K − 1) for K classes). The minimum of the sample differs from the minimum of all rows by about p
/// / (2 r) in the objective, so that more iterations on the sample would come no nearer to the minimum of all rows.
const STAGE_PRECISION: f64 = 0.1;
/// The largest number of iterations on one sample.
const STAGE_ITERATIONS: usize = 30;
/// Convergence on all rows: the size of the next step is at most this times `tol` times max(1, size of the parameters).
/// Size is that of [`ColumnScales::size`], where each weight is multiplied by the standard deviation of its column.
const AT_REST: f64 = 0.1;
/// [`AT_REST`] for several classes, where the preconditioner predicts the distance to the minimum less well than for
/// one score.
const CLASSES_AT_REST: f64 = 0.01;
/// If the size of the next step, in the sense of [`ColumnScales::size`], is at least this although the gradient is
/// within `tol`, the minimum may be at infinity. The loss then decays like e^−z in the scores z, and every Newton step
/// adds about 1 to the scores.
pub(crate) const DRIFT: f64 = 0.05;
/// If the size of the parameters, in the sense of [`ColumnScales::size`], is larger than this, the minimum may be at
/// infinity.
const RUNAWAY: f64 = 1e6;
/// The solver ends after this many iterations without progress. Iterations are counted only while the predicted
/// decrease of the objective is smaller than rounding errors.
const PATIENCE: usize = 6;
/// [`PATIENCE`] for several classes, where progress is slower.
const CLASSES_PATIENCE: usize = 30;
/// Evaluations change from single to double precision once the iterations with a new preconditioner no longer reduce
/// the gradient's norm to less than this fraction of the smallest norm so far.
const HELPS: f64 = 0.1;
/// An iteration may be the last if the gradient's norm is likely to fall to at most this times `tol` in it.
const NEARLY: f64 = 10.0;
/// The largest number of iterations with one preconditioner on all rows, before it is decided whether to keep it.
const ITERATIONS: usize = 12;
/// For several classes, whose Hessians take long to compute, a preconditioner is kept if its iterations have reduced
/// the norm of the gradient to less than this fraction.
const GOOD: f64 = 1e-3;
/// A Hessian is factored only if the number n of columns is at most this; with K classes, n² K must also be at most the
/// square of this.
const LARGEST_FACTOR: usize = 4096;
/// The largest cost of the first factored Hessian, in passes over all rows.
pub(super) const START_COST: f64 = 8.0;
/// The Hessian of a later preconditioner is computed from more rows if its cost, in passes over all rows, is at most
/// the larger of two numbers: this one, and the passes that the fit has taken so far.
const LATER_COST: f64 = 12.0;
/// A Hessian is computed from this many rows, or from fewer if that would cost more than about half a pass. But it is
/// always computed from at least [`FIRST_ROWS`] rows, and from at least [`FIRST_ROWS_A_COLUMN`] rows per column.
const HESSIAN_ROWS: usize = 32_000;
/// If Newton's method with one unknown for each row costs at most this many passes over all rows, it is used before
/// L-BFGS. L-BFGS takes about as many passes if it converges fast.
const FEW_ROWS_COST: f64 = 40.0;
/// If Newton's method with one unknown for each row costs more than [`FEW_ROWS_COST`], the fit begins with L-BFGS.
/// Newton's method follows once L-BFGS is likely to need many further iterations: at least this number times the passes
/// that Newton's method costs.
const FEW_ROWS_GAIN: f64 = 1.5;
/// Seed of the first sample; the value has no meaning.
const SEED: u64 = 0x5EED;
/// The time of one product of two elements of a sparse row, divided by the time of reading an element.
const SPARSE_PRODUCT: f64 = 0.5;

/// The result of a solver: its last iterate, and why it ended.
pub(crate) struct Solution {
    pub iterate: Iterate,
    pub stop_reason: StopReason,
    pub separation: Option<Direction>,
}

/// Estimated cost of computing and factoring a Hessian from `rows` rows, in passes over all m rows. By measurement, one
/// multiply-add of dense rows takes 0.06 of the time of reading an element of X, and factoring takes as long as reading
/// n³/24 elements. Reading an element of sparse rows takes longer, about as long as multiplying two elements of them.
pub(super) fn hessian_cost(objective: &Objective<'_>, rows: usize) -> f64 {
    let (m, n) = (objective.rows() as f64, objective.columns() as f64);
    let density = objective.density();
    let factoring = n * n / (24.0 * m) / density;
    let of_dense = 0.06 / density;
    let of_row = match density <= kernel::SPARSE {
        true => f64::min(SPARSE_PRODUCT * density, of_dense),
        false => of_dense,
    };
    rows as f64 / m * n * of_row + factoring
}

/// Whether the Hessian is small enough to be factored.
fn may_be_factored(objective: &Objective<'_>) -> bool {
    let n = objective.columns();
    n <= LARGEST_FACTOR && n * n * objective.classes <= LARGEST_FACTOR * LARGEST_FACTOR
}

/// The number of rows from which a Hessian is computed: all rows, if a sample would have more than half of them.
pub(super) fn hessian_rows(objective: &Objective<'_>) -> usize {
    let (m, n) = (objective.rows(), objective.columns());
    let cheap = (0.5 * m as f64 / (0.06 * n as f64) * objective.density()) as usize;
    let rows = (FIRST_ROWS_A_COLUMN * n)
        .max(FIRST_ROWS)
        .max(cheap.min(HESSIAN_ROWS));
    if 2 * rows > m { m } else { rows }
}

/// Minimises the objective from `start`: first over growing samples of the rows, then over all rows. If the caller has
/// given the start, no samples are used.
///
/// # Errors
///
/// Those of [`Run::evaluate`]; [`Error::NotFinite`] and [`Error::Element`] for data that are not finite;
/// [`Error::Number`] for features whose squares are not finite.
pub(crate) fn minimise(
    objective: &Objective<'_>,
    start: Beginning,
    tol: f64,
    run: &mut Run<'_>,
) -> Result<Solution, Error> {
    let is_cheap = few_rows::cost(objective).is_some_and(|cost| cost <= FEW_ROWS_COST);
    if is_cheap
        && !(start.is_given && is_small(objective, &start, tol, run)?)
        && let Some((iterate, ended)) =
            by_few_rows(objective, start.v[start.v.len() - 1], tol, run)?
    {
        return match ended {
            Some(stop_reason) => Ok(Solution {
                iterate,
                stop_reason,
                separation: None,
            }),
            None => {
                let stages = SampleResult::of(Vec::new());
                on_all_rows(objective, iterate, Precision::Double, stages, tol, run)
            }
        };
    }
    let precision = objective.precision;
    let (iterate, stages) = if start.is_given {
        let iterate = start.iterate(objective, precision, run)?;
        (iterate, SampleResult::of(Vec::new()))
    } else {
        let mut stages = over_samples(objective, start.v, run)?;
        let v = std::mem::take(&mut stages.v);
        (run.iterate(objective, v, precision)?, stages)
    };
    match stages.ended {
        Some(stop_reason) => Ok(Solution {
            iterate,
            stop_reason,
            separation: None,
        }),
        None => on_all_rows(objective, iterate, precision, stages, tol, run),
    }
}

/// Whether the gradient's max-norm at the start is at most `tol`.
fn is_small(
    objective: &Objective<'_>,
    start: &Beginning,
    tol: f64,
    run: &mut Run<'_>,
) -> Result<bool, Error> {
    let iterate = start.iterate(objective, Precision::Double, run)?;
    Ok(iterate.value.gradient_norm <= tol)
}

/// The minimum by [`few_rows::minimum`], recorded as one iteration; and the reason to end the fit there, if there is
/// one. After the parameters are rounded, the gradient may be larger than `tol`.
fn by_few_rows(
    objective: &Objective<'_>,
    bias: f64,
    tol: f64,
    run: &mut Run<'_>,
) -> Result<Option<(Iterate, Option<StopReason>)>, Error> {
    let Some(v) = few_rows::minimum(objective, bias, run)? else {
        return Ok(None);
    };
    let iterate = run.iterate(objective, v, Precision::Double)?;
    let ended = match run.record(objective, &iterate, 1.0).is_break() {
        true => Some(StopReason::Callback),
        false => (iterate.value.gradient_norm <= tol).then_some(StopReason::Tolerance),
    };
    Ok(Some((iterate, ended)))
}

/// The result of the iterations on samples.
struct SampleResult {
    v: Vec<f64>,
    /// Why the fit ended before all rows were used, if it did.
    ended: Option<StopReason>,
    /// The preconditioner at `v` from the last sample, if its Hessian was factored.
    last: Option<Preconditioner>,
    /// Means and standard deviations of the columns, with which the size of steps is measured.
    column_scales: Option<ColumnScales>,
}

impl SampleResult {
    /// The result if no samples are used: the parameters `v` themselves.
    fn of(v: Vec<f64>) -> Self {
        SampleResult {
            v,
            ended: None,
            last: None,
            column_scales: None,
        }
    }
}

/// The numbers of rows of the samples that solvers begin with, for m rows of n columns. The first sample has at least
/// `least` rows.
pub(super) fn sample_sizes(m: usize, n: usize, least: usize) -> impl Iterator<Item = usize> {
    let first = FIRST_ROWS
        .max(FIRST_ROWS_A_COLUMN.saturating_mul(n))
        .max(least);
    let sizes = std::iter::successors(Some(first), |rows| Some(rows.saturating_mul(GROWTH)));
    sizes.take_while(move |&rows| {
        let is_small = rows == first || rows.saturating_mul(n) <= LARGEST_SAMPLE;
        rows.saturating_mul(2) < m && is_small
    })
}

/// The samples that [`minimise`] begins with: their numbers of rows and seeds.
fn samples(objective: &Objective<'_>) -> Vec<(usize, u64)> {
    let (m, n) = (objective.rows(), objective.columns());
    let of_classes = FIRST_ROWS_A_WEIGHT.saturating_mul(n * objective.classes);
    let sizes = sample_sizes(m, n, of_classes);
    sizes.zip(SEED..).collect()
}

/// Tells the source which samples [`minimise`] will ask for if no start is given: the samples that it begins with; and
/// the sample for the first preconditioner for all rows, if the last of the samples before is too small for that
/// preconditioner.
///
/// # Errors
///
/// [`Error::Memory`].
pub(crate) fn plan(objective: &Objective<'_>) -> Result<(), Error> {
    let mut samples = samples(objective);
    let first = Plan::new(objective, false);
    let is_enough = samples
        .last()
        .is_none_or(|(rows, _)| 2 * rows >= first.rows);
    if !is_enough && first.factored {
        samples.push((first.rows, first.seed));
    }
    objective.source.plan_samples(&samples, objective.precision)
}

/// Minimises over growing samples. Each sample starts from the minimum of the sample before.
fn over_samples(
    objective: &Objective<'_>,
    start: Vec<f64>,
    run: &mut Run<'_>,
) -> Result<SampleResult, Error> {
    let mut stages = SampleResult::of(start);
    let samples = samples(objective);
    plan(objective)?;
    for (place, &(rows, seed)) in samples.iter().enumerate() {
        if stages.ended.is_some() {
            break;
        }
        let sample = run.sample(objective, rows, seed)?;
        let is_last = place + 1 == samples.len();
        on_sample(objective, sample.as_ref(), is_last, &mut stages, run)?;
    }
    Ok(stages)
}

/// Minimises over one sample, starting from the parameters in `stages`, which are replaced by the result.
fn on_sample(
    objective: &Objective<'_>,
    sample: &dyn Part,
    is_last: bool,
    stages: &mut SampleResult,
    run: &mut Run<'_>,
) -> Result<(), Error> {
    let rows = sample.rows();
    let unknowns = objective.columns() * objective.classes.saturating_sub(1).max(1);
    let precision = STAGE_PRECISION * unknowns as f64 / rows as f64;
    let factored = may_be_factored(objective) && hessian_cost(objective, rows) <= 0.25 * START_COST;
    let preconditioner = from_sample(objective, sample, &stages.v, factored, run)?;
    if !preconditioner.is_usable() {
        return Ok(()); // all rows of the sample have weight 0
    }
    let column_scales = stages
        .column_scales
        .get_or_insert_with(|| preconditioner.column_scales());
    let is_free = objective.penalty.is_none();
    let criteria = Criteria {
        is_reached: &|_, _, decrease| 0.5 * decrease <= precision,
        is_drifting: &|_, _| false,
        is_runaway: &|v| is_free && objective.classes > 1 && column_scales.size(v) > RUNAWAY,
        iterations: STAGE_ITERATIONS,
        proved_below: 0.0,
    };
    sample.lend(1, |source| {
        let part = objective.over(source);
        let value = run.evaluate(&part, &stages.v, part.precision)?;
        if !value.is_finite() {
            return Err(objective.source.not_finite()); // names a row of the whole dataset
        }
        let iterate = Iterate {
            v: std::mem::take(&mut stages.v),
            value,
        };
        let lbfgs = Lbfgs {
            objective: &part,
            preconditioner: &preconditioner,
            precision: part.precision,
            criteria,
        };
        let (mut memory, mut patience) = (Memory::default(), Patience::new(PATIENCE));
        let outcome = lbfgs.minimise(iterate, &mut memory, &mut patience, run)?;
        stages.v = outcome.iterate.v;
        stages.ended = match outcome.ended {
            Ended::Passes => Some(StopReason::Passes),
            Ended::Callback => Some(StopReason::Callback),
            _ => None,
        };
        Ok(())
    })?;
    let is_enough = 2 * rows >= hessian_rows(objective);
    if is_last && factored && is_enough && stages.ended.is_none() {
        stages.last = Some(from_sample(objective, sample, &stages.v, true, run)?);
    }
    Ok(())
}

/// The preconditioner at `v` from a sample, using only as many of its rows as a Hessian needs.
fn from_sample(
    objective: &Objective<'_>,
    sample: &dyn Part,
    v: &[f64],
    factored: bool,
    run: &mut Run<'_>,
) -> Result<Preconditioner, Error> {
    let stride = (sample.rows() / hessian_rows(objective)).max(1);
    sample.lend(stride, |source| {
        from_rows(&objective.over(source), v, factored, run)
    })
}

/// How the next preconditioner for all rows will be computed. The choice depends on the passes that earlier
/// preconditioners have cost.
struct Plan<'a> {
    objective: &'a Objective<'a>,
    /// The number of rows of the sample from which a preconditioner is computed.
    rows: usize,
    seed: u64,
    /// Whether the whole Hessian is factored; otherwise its diagonal is used.
    factored: bool,
    /// Passes spent on iterations with diagonal preconditioners.
    spent: f64,
    /// Whether the Hessian is computed at parameters of zero instead of at the current parameters. The curvature is
    /// largest at zero, so that steps become too short rather than too long.
    cautious: bool,
}

impl<'a> Plan<'a> {
    fn new(objective: &'a Objective<'a>, factored: bool) -> Self {
        let rows = hessian_rows(objective);
        let is_cheap = may_be_factored(objective) && hessian_cost(objective, rows) <= START_COST;
        Plan {
            objective,
            rows,
            seed: !SEED,
            factored: factored || is_cheap,
            spent: 0.0,
            cautious: false,
        }
    }

    /// The next preconditioner: at `v`, or at zero if `cautious`.
    fn preconditioner(&self, v: &[f64], run: &mut Run<'_>) -> Result<Preconditioner, Error> {
        if self.cautious {
            from_all_rows(self.objective, &vec![0.0; v.len()], self.factored, run)
        } else {
            sampled(self.objective, v, self.rows, self.factored, self.seed, run)
        }
    }

    /// Plans the next preconditioner, after the iterations with the last one took `spent` passes and did not converge.
    fn advance(&mut self, spent: f64, has_stalled: bool, memory: &mut Memory, run: &Run<'_>) {
        self.seed = self.seed.wrapping_add(1);
        let mut forget = has_stalled || self.factored;
        if self.factored {
            let more = self.objective.rows().min(self.rows.saturating_mul(4));
            if hessian_cost(self.objective, more) <= LATER_COST.max(run.passes) {
                self.rows = more;
            }
        } else {
            // Factors the whole Hessian once the iterations with diagonal preconditioners have cost as many passes as
            // factoring it would.
            self.spent += spent;
            let cost = hessian_cost(self.objective, self.rows);
            if may_be_factored(self.objective) && self.spent >= cost {
                self.factored = true;
                forget = true;
            }
        }
        if forget {
            *memory = Memory::default();
        }
    }
}

/// L-BFGS over all rows.
struct AllRows<'a> {
    objective: &'a Objective<'a>,
    tol: f64,
    plan: Plan<'a>,
    memory: Memory,
    patience: Patience,
    /// The precision of evaluations: first that of the data; double once single precision makes no more progress.
    precision: Precision,
    column_scales: ColumnScales,
    /// Whether a long step at a small gradient starts a search for a hyperplane that separates the labels. False once
    /// such a search has been made.
    may_drift: bool,
    /// Whether very large weights start a search for a hyperplane that separates the labels. False once such a search
    /// has been made.
    may_run_away: bool,
}

/// Why a solver ended, and the direction that separates the labels if one was found.
type End = (StopReason, Option<Direction>);

/// Minimises over all rows from `iterate`, starting with the preconditioner and column scales found on samples.
fn on_all_rows(
    objective: &Objective<'_>,
    mut iterate: Iterate,
    precision: Precision,
    stages: SampleResult,
    tol: f64,
    run: &mut Run<'_>,
) -> Result<Solution, Error> {
    let plan = Plan::new(objective, stages.last.is_some());
    let mut preconditioner = match stages.last {
        Some(last) => widened(objective, &iterate.v, last, run)?,
        None => plan.preconditioner(&iterate.v, run)?,
    };
    let is_free = objective.penalty.is_none();
    let mut solver = AllRows {
        objective,
        tol,
        plan,
        memory: Memory::default(),
        patience: match precision {
            Precision::Double => patience(objective),
            Precision::Single => Patience::new(1),
        },
        precision,
        column_scales: (stages.column_scales).unwrap_or_else(|| preconditioner.column_scales()),
        may_drift: is_free,
        may_run_away: is_free && objective.classes > 1,
    };
    let mut smallest = f64::INFINITY;
    let mut few_rows = few_rows::cost(objective);
    let (stop_reason, separation) = loop {
        let (before, largest) = (run.passes, iterate.value.gradient_norm);
        let outcome = solver.iterate(&preconditioner, iterate, run)?;
        iterate = outcome.iterate;
        let end = solver.end(&iterate, outcome.ended, outcome.iterations, run)?;
        if let Some(end @ (StopReason::Separated | StopReason::Passes | StopReason::Callback, _)) =
            end
        {
            break end;
        }
        let gradient = iterate.value.gradient_norm;
        let more = more_iterations(outcome.iterations, [largest, gradient, tol]);
        if outcome.ended == Ended::Iterations
            && few_rows
                .take_if(|cost| more >= FEW_ROWS_GAIN * *cost)
                .is_some()
            && let Some((minimum, ended)) =
                by_few_rows(objective, iterate.v[objective.columns()], tol, run)?
        {
            iterate = minimum;
            if let Some(ended) = ended {
                break (ended, None);
            }
            (solver.precision, solver.memory) = (Precision::Double, Memory::default());
            continue;
        }
        let helps = end.is_none() && gradient < HELPS * smallest;
        smallest = gradient.min(smallest);
        if solver.precision == Precision::Single && !helps {
            iterate = solver.in_double(iterate, run)?;
            preconditioner = widened(objective, &iterate.v, preconditioner, run)?;
            continue;
        }
        if let Some(end) = end {
            break end;
        }
        let is_good = objective.classes > 1 && gradient < GOOD * largest;
        if outcome.ended == Ended::Iterations && is_good {
            continue;
        }
        let has_stalled = outcome.ended == Ended::Stalled;
        let (plan, memory) = (&mut solver.plan, &mut solver.memory);
        plan.advance(run.passes - before, has_stalled, memory, run);
        preconditioner = plan.preconditioner(&iterate.v, run)?;
    };
    if stop_reason == StopReason::Precision {
        let rounding = iterate.value.rounding(Precision::Double);
        iterate = solver.patience.best(iterate, rounding);
    }
    Ok(Solution {
        stop_reason: match stop_reason {
            StopReason::Precision if iterate.value.gradient_norm <= tol => StopReason::Tolerance,
            other => other,
        },
        iterate,
        separation,
    })
}

/// How many more iterations are needed to reduce the gradient's norm to `tol`. `iterations` iterations have reduced the
/// norm from `from` to `to`, and it is assumed to keep falling at this rate.
fn more_iterations(iterations: usize, [from, to, tol]: [f64; 3]) -> f64 {
    match to < from {
        true => iterations as f64 * (to / tol).ln() / (from / to).ln(),
        false => f64::INFINITY,
    }
}

/// A counter of iterations without progress, for iterations in double precision.
fn patience(objective: &Objective<'_>) -> Patience {
    Patience::new(match objective.classes {
        1 => PATIENCE,
        _ => CLASSES_PATIENCE,
    })
}

impl AllRows<'_> {
    /// Whether, in the proof, the bound by duality is computed at the last iterate itself, not at a rounded or centred
    /// one.
    fn is_proved_by_duality(&self) -> bool {
        let objective = self.objective;
        let is_strict = objective.penalty.is_strictly_convex();
        is_strict && objective.classes == 1 && objective.precision == Precision::Double
    }

    /// Runs L-BFGS with one preconditioner until it ends for any reason.
    fn iterate(
        &mut self,
        preconditioner: &Preconditioner,
        iterate: Iterate,
        run: &mut Run<'_>,
    ) -> Result<LbfgsEnd, Error> {
        self.column_scales.update(preconditioner);
        let scales = &self.column_scales;
        let (tol, may_drift, may_run_away) = (self.tol, self.may_drift, self.may_run_away);
        let at_rest = match self.objective.classes {
            1 => AT_REST,
            _ => CLASSES_AT_REST,
        };
        let is_small = |iterate: &Iterate| iterate.value.gradient_norm <= tol;
        let lbfgs = Lbfgs {
            objective: self.objective,
            preconditioner,
            precision: self.precision,
            criteria: Criteria {
                // A gradient may be small only because the numbers in X are small. So the size of the step must be
                // small, too.
                is_reached: &|iterate, direction, _| {
                    let most = at_rest * tol * scales.size(&iterate.v).max(1.0);
                    is_small(iterate) && scales.size(direction) <= most
                },
                is_drifting: &|iterate, direction| {
                    let drifts = is_small(iterate) && scales.size(direction) >= DRIFT;
                    may_drift && drifts
                },
                is_runaway: &|v| may_run_away && scales.size(v) > RUNAWAY,
                iterations: ITERATIONS,
                proved_below: match self.precision {
                    Precision::Double if self.is_proved_by_duality() => NEARLY * tol,
                    _ => 0.0,
                },
            },
        };
        lbfgs.minimise(iterate, &mut self.memory, &mut self.patience, run)
    }

    /// Decides whether the fit ends after the iterations with one preconditioner, which ended for the reason `ended`.
    fn end(
        &mut self,
        iterate: &Iterate,
        ended: Ended,
        iterations: usize,
        run: &mut Run<'_>,
    ) -> Result<Option<End>, Error> {
        // If the iterations have not converged, the most common reason is a column that is 0 in most rows and separates
        // the labels of the other rows. So such a column is searched for.
        if self.objective.penalty.is_none()
            && matches!(ended, Ended::Stalled | Ended::Iterations)
            && let Separation::Found(direction) = separation::search_columns(self.objective, run)?
        {
            return Ok(Some((StopReason::Separated, Some(direction))));
        }
        // No step improved the objective, although the preconditioner was new and L-BFGS had no memory. Then only a
        // preconditioner computed at parameters of zero ([`Plan::cautious`]) is left to try.
        let is_stuck = iterations == 0 && self.memory.is_empty();
        let stop_reason = match ended {
            Ended::Reached => Some(StopReason::Tolerance),
            Ended::Passes => Some(StopReason::Passes),
            Ended::Callback => Some(StopReason::Callback),
            Ended::AllRight | Ended::Runaway | Ended::Drifting => {
                let found = separation::search(self.objective, &iterate.v, run)?;
                if let Separation::Found(direction) = found {
                    return Ok(Some((StopReason::Separated, Some(direction))));
                }
                // No second search is made.
                (self.may_drift, self.may_run_away) = (false, false);
                (ended == Ended::AllRight).then_some(StopReason::Precision)
            }
            Ended::Exhausted => Some(StopReason::Precision),
            Ended::Stalled if is_stuck && self.plan.cautious => Some(StopReason::Precision),
            Ended::Stalled => {
                self.plan.cautious |= is_stuck;
                None
            }
            Ended::Iterations => {
                self.plan.cautious = false;
                None
            }
        };
        Ok(stop_reason.map(|stop_reason| (stop_reason, None)))
    }

    /// Changes to double precision. Evaluates the best iterate so far anew, in double precision.
    fn in_double(&mut self, iterate: Iterate, run: &mut Run<'_>) -> Result<Iterate, Error> {
        self.precision = Precision::Double;
        self.memory = Memory::default();
        let patience = std::mem::replace(&mut self.patience, patience(self.objective));
        let best = patience.best(iterate, 0.0);
        run.iterate(self.objective, best.v, self.precision)
    }
}

/// A preconditioner from a sample of `rows` rows. Columns that are constant in the sample get their scales from all
/// rows.
fn sampled(
    objective: &Objective<'_>,
    v: &[f64],
    rows: usize,
    factored: bool,
    seed: u64,
    run: &mut Run<'_>,
) -> Result<Preconditioner, Error> {
    let m = objective.rows();
    if rows >= m || !factored {
        return from_all_rows(objective, v, factored, run);
    }
    let sample = run.sample(objective, rows, seed)?;
    let preconditioner = from_sample(objective, sample.as_ref(), v, factored, run)?;
    widened(objective, v, preconditioner, run)
}

/// Completes a preconditioner that was computed from a sample: the scales of columns that are constant in the sample
/// are computed from all rows.
fn widened(
    objective: &Objective<'_>,
    v: &[f64],
    mut preconditioner: Preconditioner,
    run: &mut Run<'_>,
) -> Result<Preconditioner, Error> {
    if !preconditioner.is_usable() {
        return from_all_rows(objective, v, false, run);
    }
    if preconditioner.has_constant_columns() {
        preconditioner.adopt_constant_columns(&from_all_rows(objective, v, false, run)?);
    }
    Ok(preconditioner)
}
