//! Newton's method with one unknown for each row, for rows that are fewer than the columns.
//!
//! The penalty is Σ_j (l2_j/2) (w_j − p_j)², where every l2_j is positive. Let Λ = diag(l2_j), and let r_i be the
//! derivative of the mean error by the score of row i. At the minimum, the gradient Λ (w − p) + Xᵀ r is 0. So the
//! minimum is w = p + Λ⁻¹ Xᵀ β with β = −r, one number for each row (B. Schölkopf, R. Herbrich & A. Smola, "A
//! generalized representer theorem", COLT 2001). The scores and the penalty there follow from the products of the rows,
//! K = X Λ⁻¹ Xᵀ:
//!
//! ```text
//! z = X p + offsets + K β + b          J = E(z) + βᵀ K β / 2
//! ```
//!
//! Let D be the diagonal matrix of the second derivatives of the mean error by the scores. The Newton step (δ, e) of β
//! and b is the solution of
//!
//! ```text
//! (I + D K) δ = −(r + β) − e D 1          1ᵀ (β + δ) = 0
//! ```
//!
//! where I + D K = √D (I + √D K √D) √D⁻¹, and no eigenvalue of the matrix in parentheses is less than 1 (C. Rasmussen &
//! C. Williams, *Gaussian Processes for Machine Learning* (2006), §3.4). X is read to compute K and, at the end, w. For
//! K, an origin is subtracted from the rows, so that no digits cancel in columns far from zero; b is then the bias for
//! the rows after this subtraction.

use super::cholesky::Cholesky;
use super::objective::Objective;
use super::run::Run;
use crate::error::Error;
use crate::kernel::Basis;
use crate::linalg::{add_multiple, dot};
use crate::reduce::Job;
use crate::source::{Derivatives, FewRows};

/// The most rows.
const MOST_ROWS: usize = 2048;
/// The most elements of X, which distant rows copy: 512 MiB of `f64`.
const MOST_ELEMENTS: usize = 1 << 26;
/// The most Newton steps.
const MOST_STEPS: usize = 50;
/// The most halvings of a step.
const HALVINGS: usize = 30;
/// A step is accepted if it decreases the objective by at least this fraction of step length × |slope|.
const ARMIJO: f64 = 1e-4;
/// The most steps that are taken where rounding errors hide whether a step decreases the objective.
const BLIND_STEPS: usize = 2;
/// The largest number of passes that [`minimum`] takes.
const PASSES: f64 = 3.0;

/// Estimated cost of [`minimum`], in passes over all rows. `None` if the method does not suit the penalty or the number
/// of rows. By measurement, multiplying two rows takes 0.2 of the time of reading one, and all Newton steps with m rows
/// take as long as reading m³ elements. Of two sparse rows, only the elements in columns that both rows store are
/// multiplied.
pub(super) fn cost(objective: &Objective<'_>) -> Option<f64> {
    let (m, n, penalty) = (objective.rows(), objective.columns(), objective.penalty);
    let is_meant = objective.classes == 1 && penalty.is_smooth() && penalty.is_strictly_convex();
    let are_few = m < n && m <= MOST_ROWS && m.saturating_mul(n) <= MOST_ELEMENTS;
    let (rows, columns) = (m as f64, n as f64);
    let cost = 0.1 * rows + rows * rows / (columns * objective.density());
    (is_meant && are_few && objective.excluded.is_empty()).then_some(cost)
}

/// The parameters at the minimum, as accurate as the products of the rows allow. The search starts with `bias`. The
/// objective must be one for which [`cost`] is not `None`. `None` if rounding errors make the search fail, or if too
/// few passes are left.
///
/// # Errors
///
/// [`Error::Interrupted`] by the observer; those of the source.
pub(super) fn minimum(
    objective: &Objective<'_>,
    bias: f64,
    run: &mut Run<'_>,
) -> Result<Option<Vec<f64>>, Error> {
    if run.max_passes - run.passes <= PASSES {
        return Ok(None);
    }
    let penalty = objective.penalty;
    let source = objective.source;
    let Some(rows) = source.few_rows(&mut run.job())? else {
        return Ok(None);
    };
    let n = objective.columns();
    let origin = run.basis.origin().to_vec();
    let strengths = penalty.diagonal(&Basis::natural(n));
    let factors: Vec<f64> = strengths.iter().map(|strength| 1.0 / strength).collect();
    let prior = penalty.minimum(n);
    let lower = rows.products(&origin, &factors, &mut run.job())?;
    let at_prior = rows.scores(&prior, &mut run.job())?;
    run.passes += if prior.iter().any(|p| *p != 0.0) {
        2.0
    } else {
        1.0
    };
    let newton = Newton {
        fit_bias: objective.fit_bias,
        products: mirrored(lower, at_prior.len()),
        at_prior,
        rows: rows.as_ref(),
    };
    let is_finite = |numbers: &[f64]| numbers.iter().all(|x| x.is_finite());
    if !is_finite(&newton.products) || !is_finite(&newton.at_prior) {
        return Ok(None);
    }
    let Some(Unknowns { beta, bias }) = newton.minimum(bias, &mut run.job())? else {
        return Ok(None);
    };
    let sum: f64 = beta.iter().sum();
    let mut v = rows.combination(&beta, &mut run.job())?;
    run.passes += 1.0;
    let mut at_origin = bias;
    for (j, w) in v.iter_mut().enumerate() {
        let change = (*w - origin[j] * sum) * factors[j];
        at_origin -= origin[j] * change;
        *w = prior[j] + change;
    }
    v.push(at_origin);
    Ok(is_finite(&v).then_some(v))
}

/// The whole of a symmetric matrix, given its lower triangle.
fn mirrored(mut matrix: Vec<f64>, order: usize) -> Vec<f64> {
    for i in 0..order {
        for j in 0..i {
            matrix[j * order + i] = matrix[i * order + j];
        }
    }
    matrix
}

/// One number for each row, and the bias.
struct Unknowns {
    beta: Vec<f64>,
    bias: f64,
}

/// The unknowns of an iterate, with K β, the objective and its derivatives there.
struct Iterate {
    unknowns: Unknowns,
    /// K β
    image: Vec<f64>,
    objective: f64,
    derivatives: Derivatives,
}

/// The problem in the unknowns of the rows.
struct Newton<'a> {
    fit_bias: bool,
    /// K, shape (m, m).
    products: Vec<f64>,
    /// The scores at the prior, without a bias.
    at_prior: Vec<f64>,
    rows: &'a dyn FewRows,
}

impl Newton<'_> {
    /// The minimum, from β = 0 and `bias`; `None` if a matrix is not positive definite because of rounding errors.
    fn minimum(&self, bias: f64, job: &mut Job<'_>) -> Result<Option<Unknowns>, Error> {
        let m = self.at_prior.len();
        let unknowns = Unknowns {
            beta: vec![0.0; m],
            bias,
        };
        let mut iterate = self.at(unknowns, vec![0.0; m], job)?;
        let mut blind = 0;
        for _ in 0..MOST_STEPS {
            let Some(step) = self.step(&iterate, job)? else {
                return Ok(None);
            };
            let slope = self.slope(&iterate, &step);
            let is_blind = -slope <= 64.0 * f64::EPSILON * iterate.objective;
            let Some(next) = self.after(&iterate, &step, slope, is_blind, job)? else {
                break;
            };
            iterate = next;
            blind += usize::from(is_blind);
            if blind == BLIND_STEPS {
                break;
            }
        }
        Ok(Some(iterate.unknowns))
    }

    fn at(&self, unknowns: Unknowns, image: Vec<f64>, job: &mut Job<'_>) -> Result<Iterate, Error> {
        let mut z = self.at_prior.clone();
        for (z, image) in z.iter_mut().zip(&image) {
            *z += image + unknowns.bias;
        }
        let mut derivatives = self.rows.derivatives(&z, job)?;
        let Derivatives {
            error,
            weight,
            first,
            second,
        } = &mut derivatives;
        for x in first.iter_mut().chain(second) {
            *x /= *weight;
        }
        Ok(Iterate {
            objective: *error / *weight + 0.5 * dot(&unknowns.beta, &image),
            unknowns,
            image,
            derivatives,
        })
    }

    fn times(&self, x: &[f64]) -> Vec<f64> {
        let rows = self.products.chunks_exact(x.len().max(1));
        rows.map(|row| dot(row, x)).collect()
    }

    /// The Newton step of β and the bias. `None` if a matrix is not positive definite because of rounding errors.
    fn step(&self, iterate: &Iterate, job: &mut Job<'_>) -> Result<Option<Step>, Error> {
        /// Curvatures smaller than this are replaced by it, because the step divides by their square roots. A row whose
        /// curvature and first derivative are both 0 is left out.
        const LEAST: f64 = 1e-290;
        let Derivatives { first, second, .. } = &iterate.derivatives;
        let m = first.len();
        let roots: Vec<f64> = (second.iter().zip(first))
            .map(|(d, r)| {
                if *d == 0.0 && *r == 0.0 {
                    0.0
                } else {
                    d.max(LEAST).sqrt()
                }
            })
            .collect();
        let mut matrix = vec![0.0; m * m];
        for (i, row) in matrix.chunks_exact_mut(m).enumerate() {
            let products = &self.products[i * m..=i * m + i];
            for ((x, product), root) in row.iter_mut().zip(products).zip(&roots) {
                *x = roots[i] * product * root;
            }
            row[i] += 1.0;
        }
        let factor = Cholesky::new(matrix, &vec![0.0; m], job)?;
        if (0..m).any(|i| factor.is_left_out(i)) {
            return Ok(None);
        }
        // (I + D K)⁻¹ √D x
        let solve = |mut x: Vec<f64>| {
            factor.solve(&mut x);
            x.iter_mut().zip(&roots).for_each(|(x, root)| *x *= root);
            x
        };
        let beta = &iterate.unknowns.beta;
        let negative = first.iter().zip(beta).zip(&roots);
        let negative =
            negative.map(|((r, b), root)| if *root == 0.0 { 0.0 } else { -(r + b) / root });
        let mut beta_step = solve(negative.collect());
        let mut bias_step = 0.0;
        if self.fit_bias {
            let by_bias = solve(roots.clone());
            let sum: f64 = beta.iter().chain(&beta_step).sum();
            bias_step = sum / by_bias.iter().sum::<f64>();
            add_multiple(&mut beta_step, -bias_step, &by_bias);
        }
        Ok(Some(Step {
            image: self.times(&beta_step),
            beta: beta_step,
            bias: bias_step,
        }))
    }

    /// The derivative of the objective along a step.
    fn slope(&self, iterate: &Iterate, step: &Step) -> f64 {
        let first = &iterate.derivatives.first;
        let by_bias: f64 = first.iter().sum();
        dot(first, &step.image) + dot(&iterate.image, &step.beta) + by_bias * step.bias
    }

    /// The iterate after the step. The step is halved until it decreases the objective enough; `None` if none of the
    /// lengths does. With `is_blind`, rounding errors hide whether the objective decreases, and the whole step is
    /// accepted.
    fn after(
        &self,
        iterate: &Iterate,
        step: &Step,
        slope: f64,
        is_blind: bool,
        job: &mut Job<'_>,
    ) -> Result<Option<Iterate>, Error> {
        let mut length = 1.0;
        for _ in 0..HALVINGS {
            let mut beta = iterate.unknowns.beta.clone();
            let mut image = iterate.image.clone();
            add_multiple(&mut beta, length, &step.beta);
            add_multiple(&mut image, length, &step.image);
            let unknowns = Unknowns {
                beta,
                bias: iterate.unknowns.bias + length * step.bias,
            };
            let next = self.at(unknowns, image, job)?;
            let gain = next.objective - iterate.objective;
            if is_blind || gain <= ARMIJO * length * slope {
                return Ok(next.objective.is_finite().then_some(next));
            }
            length *= 0.5;
        }
        Ok(None)
    }
}

/// A Newton step of β and the bias; `image` is K times that of β.
struct Step {
    beta: Vec<f64>,
    image: Vec<f64>,
    bias: f64,
}
