//! Proofs about the parameters with which a solver ended. Either an upper bound on objective − minimum (the gap) is
//! proved, or that there is no minimum because a hyperplane separates the labels.

use super::certificate::{self, Certifier, Interruption};
use super::dependence::{self, LOSES};
use super::duality;
use super::objective::{Iterate, Objective};
use super::run::{Direction, Run, Separation};
use super::separation;
use super::stages::Solution;
use super::view::Alias;
use crate::error::Error;
use crate::float::Precision;
use crate::stop::StopReason;

/// What a proof must show, and what may be computed for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Goal {
    /// The gap (objective − minimum) that counts as converged, as a fraction of the objective.
    pub gap: f64,
    /// The max-norm of the gradient that counts as converged, if the caller has given one. A solution with so small a
    /// gradient is not improved further.
    pub gradient: Option<f64>,
    /// Whether a Hessian of all rows may be factored.
    pub may_factor: bool,
    /// Whether Newton steps may be taken if the gap is not reached.
    pub may_step: bool,
}

/// An iterate rounded to the result's precision, and what is proved of it.
pub(crate) struct Proof {
    pub iterate: Iterate,
    /// Upper bound on objective − minimum; ∞ if none is proved.
    pub gap: f64,
    pub aliased: Vec<Alias>,
    pub stop_reason: StopReason,
    pub separation: Option<Direction>,
}

impl Proof {
    /// Whether the gap is too large, and neither the observer nor a separating hyperplane has ended the fit.
    pub(crate) fn is_open(&self, goal: Goal) -> bool {
        let is_ended = self.stop_reason == StopReason::Callback || self.separation.is_some();
        !is_ended && !goal.is_met(self.gap, &self.iterate)
    }
}

/// The outcome of a proof.
pub(crate) enum Outcome {
    /// The result.
    Known(Proof),
    /// The solver must start again without these columns, which are linear combinations of others up to rounding. It is
    /// not enough to set their weights to 0 and to change the weights of the other columns to compensate: the weights
    /// are so large that, by rounding, the objective would rise.
    Without(Vec<usize>),
}

/// Bounds the gap of a solver's solution: first by duality, if every weight has an l2 penalty; if that bound is not
/// small enough, by the factored Hessian. If there is no penalty and no bound is found, searches for a hyperplane that
/// separates the labels.
///
/// # Errors
///
/// [`Error::Memory`] if the scores of all rows do not fit into memory; [`Error::Interrupted`] by the observer.
pub(crate) fn prove(
    objective: &Objective<'_>,
    solution: Solution,
    goal: Goal,
    run: &mut Run<'_>,
) -> Result<Outcome, Error> {
    let Solution {
        iterate,
        stop_reason,
        separation,
    } = solution;
    let iterate = centred(objective, iterate, run)?;
    // With several classes, a Hessian takes one pass for each pair of classes. The limit of passes therefore applies to
    // it, but not to the Hessian of one score.
    let is_spent = run.is_spent() && certificate::passes(objective.classes) > run.max_passes;
    let may_factor = goal.may_factor && certificate::is_factorable(objective) && !is_spent;
    if stop_reason == StopReason::Separated {
        return unproved(objective, iterate, stop_reason, separation, may_factor, run);
    }
    let mut dual = f64::INFINITY;
    if objective.penalty.is_strictly_convex() {
        let rounded = rounded(objective, iterate.clone(), run)?;
        let wanted = goal.gap * rounded.value.objective;
        dual = duality::gap(objective, &rounded, wanted, run)?;
        if goal.is_met(dual, &rounded) {
            return Ok(Outcome::Known(Proof {
                stop_reason: goal.reason(stop_reason, dual, &rounded),
                iterate: rounded,
                gap: dual,
                aliased: Vec::new(),
                separation: None,
            }));
        }
    }
    let certifier = match may_factor {
        true => Certifier::new(objective, iterate.v.clone(), run)?,
        false => None,
    };
    let is_proved = certifier
        .as_ref()
        .is_some_and(|certifier| certifier.gap().is_finite());
    if objective.penalty.is_none()
        && !is_proved
        && stop_reason != StopReason::Callback
        && let Separation::Found(direction) = search(objective, &iterate, stop_reason, goal, run)?
    {
        let (reason, direction) = (StopReason::Separated, Some(direction));
        return unproved(objective, iterate, reason, direction, may_factor, run);
    }
    if let Some(certifier) = &certifier
        && !is_proved
        && certifier.has_moved()
        && objective.excluded.is_empty()
        && certifier.objective() > iterate.value.objective * (1.0 + LOSES)
    {
        return dependence::dependent(objective, run).map(Outcome::Without);
    }
    match certifier {
        Some(certifier) => by_hessian(objective, certifier, stop_reason, dual, goal, run),
        None => {
            let reason = match (stop_reason, goal.gradient) {
                (StopReason::Tolerance, None) if may_factor => StopReason::Precision,
                (StopReason::Tolerance, None) => StopReason::Uncertified,
                (reason, _) => reason,
            };
            let outcome = unproved(objective, iterate, reason, None, may_factor, run)?;
            Ok(match outcome {
                Outcome::Known(proof) => Outcome::Known(Proof { gap: dual, ..proof }),
                without => without,
            })
        }
    }
}

/// The proof by a factored Hessian. Newton steps are taken first if they are allowed and needed. `dual` is the bound by
/// duality.
fn by_hessian<'a>(
    objective: &Objective<'a>,
    mut certifier: Certifier<'a>,
    mut stop_reason: StopReason,
    dual: f64,
    goal: Goal,
    run: &mut Run<'_>,
) -> Result<Outcome, Error> {
    let is_left = match stop_reason {
        StopReason::Callback => false,
        StopReason::Passes => !run.is_spent(),
        StopReason::Tolerance => goal.gradient.is_none(),
        _ => true,
    };
    if goal.may_step && is_left {
        match certifier.improve(objective, goal.gap, run)? {
            Some(Interruption::Passes) => stop_reason = StopReason::Passes,
            Some(Interruption::Callback) => stop_reason = StopReason::Callback,
            None => {}
        }
    }
    let certified = certifier.rounded(objective, run)?;
    // Newton steps may have led to parameters that separate the labels. These parameters have not been checked for that
    // yet.
    if objective.penalty.is_none()
        && certified.gap.is_infinite()
        && stop_reason != StopReason::Callback
        && let Separation::Found(direction) =
            separation::search(objective, &certified.iterate.v, run)?
    {
        return Ok(Outcome::Known(Proof {
            stop_reason: StopReason::Separated,
            separation: Some(direction),
            iterate: certified.iterate,
            gap: certified.gap,
            aliased: certified.aliased,
        }));
    }
    if stop_reason == StopReason::Passes && !run.is_spent() {
        stop_reason = StopReason::Precision;
    }
    let mut gap = certified.gap.min(dual);
    if gap.is_finite() {
        gap = gap.min(certified.most);
    }
    Ok(Outcome::Known(Proof {
        stop_reason: goal.reason(stop_reason, gap, &certified.iterate),
        iterate: certified.iterate,
        gap,
        aliased: certified.aliased,
        separation: None,
    }))
}

/// Searches for a hyperplane that separates the labels. If no Hessian may be factored and the solver has converged,
/// only single columns are tried: the full search computes a matrix as large as a Hessian.
fn search(
    objective: &Objective<'_>,
    iterate: &Iterate,
    stop_reason: StopReason,
    goal: Goal,
    run: &mut Run<'_>,
) -> Result<Separation, Error> {
    match goal.may_factor || stop_reason != StopReason::Tolerance {
        true => separation::search(objective, &iterate.v, run),
        false => separation::search_columns(objective, run),
    }
}

/// The iterate with the parameters centred over the classes: each parameter's sum over the classes is zero. An iterate
/// that is centred already, up to rounding, is unchanged. The mean that centring removes changes no probability, but
/// adds to the penalty.
fn centred(
    objective: &Objective<'_>,
    iterate: Iterate,
    run: &mut Run<'_>,
) -> Result<Iterate, Error> {
    if objective.classes == 1 {
        return Ok(iterate);
    }
    let mut v = iterate.v.clone();
    objective.penalty.centre(&mut v, objective.classes);
    let largest = v.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    let is_near =
        |(a, b): (&f64, &f64)| (a - b).abs() <= 16.0 * objective.precision.epsilon() * largest;
    match v.iter().zip(&iterate.v).all(is_near) {
        true => Ok(iterate),
        false => run.iterate(objective, v, Precision::Double),
    }
}

impl Goal {
    /// Whether the gap is small enough for the fit to have converged.
    pub(crate) fn is_met(&self, gap: f64, iterate: &Iterate) -> bool {
        gap <= self.gap * iterate.value.objective
    }

    /// Why the fit ended. `ended` is why the solver ended.
    pub(crate) fn reason(&self, ended: StopReason, gap: f64, iterate: &Iterate) -> StopReason {
        let is_reached = match self.gradient {
            Some(tol) => iterate.value.gradient_norm <= tol,
            None => self.is_met(gap, iterate),
        };
        match ended {
            StopReason::Callback => ended,
            _ if is_reached => StopReason::Tolerance,
            StopReason::Tolerance => StopReason::Precision,
            _ => ended,
        }
    }
}

/// The outcome if no bound on the gap is proved; `separation` is the direction that separates the labels, if one was
/// found. Columns that are linear combinations of others are reported only if a Hessian may be factored.
fn unproved(
    objective: &Objective<'_>,
    iterate: Iterate,
    stop_reason: StopReason,
    separation: Option<Direction>,
    may_factor: bool,
    run: &mut Run<'_>,
) -> Result<Outcome, Error> {
    let mut v = iterate.v;
    let mut aliased = Vec::new();
    if may_factor && objective.penalty.is_none() {
        match dependence::aliases(objective, &mut v, run)? {
            None if objective.excluded.is_empty() => {
                return dependence::dependent(objective, run).map(Outcome::Without);
            }
            None => {}
            Some(known) => aliased = known,
        }
    }
    objective.precision.round(&mut v);
    Ok(Outcome::Known(Proof {
        iterate: run.iterate(objective, v, Precision::Double)?,
        gap: f64::INFINITY,
        aliased,
        stop_reason,
        separation,
    }))
}

/// The iterate rounded to the result's precision, with the objective there in `float64`. The bound by duality is
/// computed from it.
fn rounded(
    objective: &Objective<'_>,
    iterate: Iterate,
    run: &mut Run<'_>,
) -> Result<Iterate, Error> {
    if objective.precision == Precision::Double {
        return Ok(iterate);
    }
    let mut v = iterate.v;
    objective.precision.round(&mut v);
    duality::plan(objective, &v)?;
    run.iterate(objective, v, Precision::Double)
}
