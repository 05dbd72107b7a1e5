//! Upper bound on objective − minimum from the Hessian of a sample of the rows, for one score and a penalty with l1 or
//! bounds.
//!
//! Let f be the smooth part of the objective J, and p a subgradient of the rest of the penalty at v, such that
//! g = ∇f(v) + p is small. Rows that are not in the sample have no negative curvature. So if the Hessian of the sample's
//! rows, as a part of the mean over all rows, is H, then (see `certificate`, with the same λ = ‖g‖_{H⁻¹} and ρ)
//!
//! ```text
//! J(v + u) ≥ J(v) + g·u + (e^{−ρt} + ρt − 1) / ρ²        t = ‖u‖_H
//! J(v) − min J ≤ ((1 − a) ln(1 − a) + a) / ρ²            a = λρ < 1
//! ```
//!
//! The gap is thus of second order in g, which the bound by duality (`fenchel`) is not.
//!
//! Let all this hold for the weights of some columns, and let v + u be the minimum over their weights. There
//! t ≤ 2λ / (1 − a). By the monotony of subgradients, Σ s_i Δr_i Δz_i / Σ s_i ≤ λt, where Δr_i and Δz_i are the changes
//! of residuals and scores by u. With |Δr_i| ≤ |Δz_i| / 4 and Cauchy–Schwarz, the derivative by the weight of any other
//! column j changes by at most
//!
//! ```text
//! Σ s_i |Δr_i x_ij| / Σ s_i ≤ ½ √(λt) · √(Σ s_i x_ij² / Σ s_i)
//! ```
//!
//! If no such change makes the objective fall along a column whose weight is 0, then v + u is the minimum over the
//! weights of all columns.
//!
//! The Hessian is computed at parameters v₀ near v. If no score of the sample changes by more than δ from v₀ to v, then
//! second derivatives change by a factor of at least e^−δ.

use std::sync::Arc;

use super::certificate::{Inverse, concordant_gap};
use super::duality::{EXACT, GradientError};
use super::hessian::Factored;
use super::objective::{Iterate, Objective};
use super::run::Run;
use super::view::View;
use crate::error::Error;
use crate::kernel::stratified;
use crate::linalg::add_multiple;
use crate::penalty::Penalty;
use crate::source::{Part, Source};

/// The rows from which the Hessian is computed.
pub(super) struct SampledRows<'s> {
    /// All rows, with the columns whose weights are searched over.
    source: &'s dyn Source,
    /// The sample; `None` if it has all rows.
    sample: Option<Box<dyn Part + 's>>,
}

impl<'s> SampledRows<'s> {
    /// Draws `rows` of the rows of `source` at random from `seed`.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`]; [`Error::Interrupted`] by the observer.
    pub(super) fn new(
        objective: &Objective<'_>,
        source: &'s dyn Source,
        (rows, seed): (usize, u64),
        run: &mut Run<'_>,
    ) -> Result<Self, Error> {
        let mut sample = None;
        if rows < source.rows() {
            run.passes += objective.cost * (rows as f64 / source.rows() as f64);
            let drawn = stratified(source.rows(), rows, seed);
            sample = Some(source.sample(drawn, objective.precision, &mut run.job())?);
        }
        Ok(SampledRows { source, sample })
    }

    /// Calls `work` with the sample as a source.
    fn lend<T>(&self, work: impl FnOnce(&dyn Source) -> Result<T, Error>) -> Result<T, Error> {
        match &self.sample {
            Some(sample) => sample.lend(1, work),
            None => work(self.source),
        }
    }
}

/// The factored Hessian of a sample of the rows.
pub(super) struct SampleBound {
    /// The parameters at which the Hessian was computed.
    at: Vec<f64>,
    inverse: Inverse,
    /// An upper bound on the norms ‖L⁻¹ (x, 1)‖ of the sample's rows x, with the Hessian's Cholesky factor L.
    reach: f64,
    /// The sum of the sample's weights, as a fraction of the sum of all weights.
    share: f64,
    /// A bound on the errors of the scores from which the Hessian was computed.
    doubt: f64,
}

/// What is proved at some parameters.
pub(super) struct Nearby {
    /// Upper bound on objective − minimum, if the objective falls along no other column.
    pub gap: f64,
    /// Upper bound on √(λt) / 2 in the formulas at the top of this file.
    pub change: f64,
    /// The largest change of a score in the sample since the Hessian was computed.
    pub drift: f64,
}

impl SampleBound {
    /// Computes the Hessian of `rows` at the parameters `v`. `None` if the Hessian is not positive definite, up to
    /// rounding. `weight` is the sum of the sample weights of all rows.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`]; [`Error::Interrupted`] by the observer.
    pub(super) fn new(
        objective: &Objective<'_>,
        rows: &SampledRows<'_>,
        (v, weight): (&[f64], f64),
        run: &mut Run<'_>,
    ) -> Result<Option<Self>, Error> {
        rows.lend(|sample| {
            let objective = Objective {
                penalty: &Penalty::NONE,
                ..objective.over(sample)
            };
            let scores = run.scores(&objective, v)?;
            if !scores.are_finite() {
                return Ok(None);
            }
            let basis = sample.basis(objective.fit_bias, true)?;
            run.passes += objective.cost;
            let gram = scores.gram([0, 0], &basis, &mut run.job())?;
            let share = gram.weight / weight / EXACT;
            let Some(view) = View::of(&objective, Arc::new(basis), gram) else {
                return Ok(None);
            };
            let Some(factored) = Factored::new(&objective, &view, scores.as_ref(), run)? else {
                return Ok(None);
            };
            let Some(inverse) = Inverse::new(view, factored) else {
                return Ok(None);
            };
            run.passes += objective.cost;
            Ok(Some(SampleBound {
                at: v.to_vec(),
                reach: sample.reach(&inverse.metric, &mut run.job())?,
                inverse,
                share,
                doubt: scores.error() + f64::EPSILON * scores.largest(),
            }))
        })
    }

    /// Whether the weight of a column is among those that the bound is about.
    pub(super) fn has(&self, column: usize) -> bool {
        self.inverse.metric.scale[column] != 0.0
    }

    /// About the gap that is proved at an iterate.
    pub(super) fn estimate(&self, objective: &Objective<'_>, iterate: &Iterate) -> f64 {
        let (gradient, errors) = self.gradient(objective, iterate, None);
        let growth = 1.0 / self.share.sqrt();
        let decrement = self.inverse.length(&gradient, &errors) * growth;
        concordant_gap(decrement, self.reach * growth)
    }

    /// The bound at an iterate, from the same rows. `error` bounds the rounding errors of the iterate's gradient.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`]; [`Error::Interrupted`] by the observer.
    pub(super) fn nearby(
        &self,
        objective: &Objective<'_>,
        rows: &SampledRows<'_>,
        (iterate, error): (&Iterate, &GradientError),
        run: &mut Run<'_>,
    ) -> Result<Nearby, Error> {
        let drift = |sample: &dyn Source| self.drift(objective, sample, iterate, run);
        let (drift, of_scores) = rows.lend(drift)?;
        let (gradient, errors) = self.gradient(objective, iterate, Some(error));
        let growth = (0.5 * (drift + 2.0 * (of_scores + self.doubt))).exp();
        let growth = growth / self.share.sqrt() * EXACT;
        let decrement = self.inverse.length(&gradient, &errors) * growth;
        let reach = self.reach * growth;
        let a = decrement * reach;
        let step = 2.0 * decrement / (1.0 - a);
        Ok(Nearby {
            gap: concordant_gap(decrement, reach),
            change: match a < 1.0 {
                true => 0.5 * (decrement * step).sqrt() * EXACT,
                false => f64::INFINITY,
            },
            drift,
        })
    }

    /// The least subgradient of the objective by the weights and the bias, in the coordinates and units of the metric;
    /// and bounds on the errors of its components, if `error` bounds those of the gradient.
    fn gradient(
        &self,
        objective: &Objective<'_>,
        iterate: &Iterate,
        error: Option<&GradientError>,
    ) -> (Vec<f64>, Vec<f64>) {
        const ROUNDING: f64 = 8.0 * f64::EPSILON;
        let metric = &self.inverse.metric;
        let (weights, _) = objective.split(&iterate.v);
        let (slopes, by_bias) = objective.split(&iterate.value.gradient);
        let mut gradient = objective.penalty.least_slopes(weights, slopes);
        let by_bias: f64 = by_bias.iter().sum();
        let mut errors = vec![0.0; gradient.len()];
        let mut of_bias = 0.0;
        if let Some(error) = error {
            of_bias = if objective.fit_bias {
                error.by_biases
            } else {
                0.0
            };
            let shift = of_bias + ROUNDING * by_bias.abs();
            for (j, out) in errors.iter_mut().enumerate() {
                let (origin, per_unit) = (metric.basis.origin()[j], metric.basis.per_unit()[j]);
                let natural = error.by_weights[j] + ROUNDING * gradient[j].abs();
                *out = (natural + origin.abs() * shift) * per_unit + metric.mean[j].abs() * shift;
            }
        }
        metric.basis.gradient(&mut gradient, by_bias);
        add_multiple(&mut gradient, -by_bias, &metric.mean);
        gradient.push(by_bias);
        errors.push(of_bias);
        for numbers in [&mut gradient, &mut errors] {
            let scaled = numbers.iter_mut().zip(&metric.scale);
            scaled.for_each(|(x, scale)| *x *= scale);
        }
        (gradient, errors)
    }

    /// The largest change of a score of the sample since the Hessian was computed, and a bound on the errors of scores.
    fn drift(
        &self,
        objective: &Objective<'_>,
        sample: &dyn Source,
        iterate: &Iterate,
        run: &mut Run<'_>,
    ) -> Result<(f64, f64), Error> {
        let objective = objective.over(sample);
        if sample.has_offsets() {
            let before = run.scores(&objective, &self.at)?;
            run.passes += objective.cost;
            let at = objective.parameters(&iterate.v);
            let (after, change) = before.moved_to(&at, &mut run.job())?;
            return Ok((change, before.error() + after.error()));
        }
        let mut step = iterate.v.clone();
        add_multiple(&mut step, -1.0, &self.at);
        // The scores of the step are the changes of the scores. Each component of the step has a rounding error of ε;
        // the error of exact scores is at least ε² times the largest sum of terms.
        let changes = run.scores(&objective, &step)?;
        let of_rounding = changes.error() * (1.0 + 1.0 / f64::EPSILON);
        Ok((changes.largest() + of_rounding, 0.0))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::elements::Elements;
    use crate::float::Precision;
    use crate::kernel::{Basis, Dataset};
    use crate::matrix::Matrix;
    use crate::reduce::{Job, Threads, Unmonitored};
    use crate::shuffle::Random;
    use crate::solver::duality::gradient_error;
    use crate::solver::fenchel;
    use crate::source::Arrays;
    use crate::vector::Vector;

    /// At parameters near the minimum, the bound is above the distance to the objective there, and not far above it. It
    /// proves nothing far from the minimum.
    #[test]
    fn it_bounds_the_distance_to_the_minimum() {
        let (m, n) = (3000, 6);
        let mut random = Random::new(11);
        let x: Vec<f64> = (0..m * n).map(|_| 3.0 * (random.uniform() - 0.5)).collect();
        let label = |row: &[f64]| f64::from(row[0] - row[1] > random.uniform() - 0.5);
        let y: Vec<f64> = x.chunks_exact(n).map(label).collect();
        let matrix = Matrix::from_rows(Elements::F64(&x), m, n).unwrap();
        let y = Vector::from_slice(&y);
        let source = Arrays(Dataset::new(&matrix, &y, None).unwrap(), None);
        let mut monitor = Unmonitored;
        let labels = source
            .labels(
                Precision::Double,
                &mut Job::new(Threads::ONE, &mut monitor).unwrap(),
            )
            .unwrap();
        let penalty = Penalty::NONE.with_l1(0.02).unwrap();
        let objective = Objective::new(&source, &labels, &penalty, true, Precision::Double);
        let mut run = Run::new(&mut monitor, Threads::ONE, 1e9, Basis::natural(n)).unwrap();
        // Proximal gradient descent, long enough for the last bit.
        let mut v = vec![0.0; n + 1];
        for _ in 0..5000 {
            let value = run.evaluate(&objective, &v, Precision::Double).unwrap();
            for (j, (v, g)) in v.iter_mut().zip(&value.gradient).enumerate() {
                *v = match j < n {
                    true => penalty.of(j).kinks.proximal(*v - g / 0.5, 0.5),
                    false => *v - g / 0.5,
                };
            }
        }
        let mut at = |v: &[f64]| Iterate {
            v: v.to_vec(),
            value: run.evaluate(&objective, v, Precision::Double).unwrap(),
        };
        let best = at(&v);
        let moved = |by: f64| -> Vec<f64> {
            let signs = [1.0, -1.0, 0.5, 0.25, -1.0, 1.0, 2.0];
            let places = v.iter().zip(signs);
            places
                .map(|(v, sign)| if *v == 0.0 { 0.0 } else { v + by * sign })
                .collect()
        };
        let near: Vec<Iterate> = [1e-5, 1e-4, 1e-3, 3.0].map(|by| at(&moved(by))).into();
        let moments = fenchel::everywhere(&objective, &best, &mut run).unwrap();
        for count in [600, m] {
            let rows = SampledRows::new(&objective, &source, (count, 1), &mut run).unwrap();
            let known = (v.as_slice(), best.value.weight);
            let bound = SampleBound::new(&objective, &rows, known, &mut run).unwrap();
            let bound = bound.unwrap();
            for (k, iterate) in near.iter().enumerate() {
                let error = gradient_error(&objective, iterate, &moments);
                let nearby = bound.nearby(&objective, &rows, (iterate, &error), &mut run);
                let gap = nearby.unwrap().gap;
                let distance = iterate.value.objective - best.value.objective;
                assert!(gap >= distance - 1e-15, "{count} rows: {gap} {distance}");
                let most = 30.0 * (m as f64 / count as f64) * distance;
                assert_eq!(gap <= most, k < 3, "{count} rows: {gap} {distance}");
            }
        }
    }
}
