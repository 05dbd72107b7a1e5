//! Sums over the rows for a model with one score under Jeffreys' prior, which is √det of the Fisher information. From
//! these sums follow the gradient and the second derivatives of the logarithm of likelihood × prior.
//!
//! With curvatures d_i = s_i σ'(z_i) and a_i = (x_i, 1), the information is I = Σ d_i a_i a_iᵀ over the rows i. Rows
//! a_i are transformed linearly to u_i, whose information is the identity: Σ d_i u_i u_iᵀ = 1. The leverage of row i is
//! h_i = d_i ‖u_i‖²; it includes the sample weight s_i, a factor of d_i.
//!
//! Source: D. Firth, "Bias reduction of maximum likelihood estimates", Biometrika 80 (1993),
//! doi:10.1093/biomet/80.1.27.

use std::sync::Arc;

use fearless_simd::f64x8;
use fearless_simd::prelude::*;
use serde::{Deserialize, Serialize};

use super::basis::Basis;
use super::dataset::{Dataset, rows_of};
use super::each_row::for_rows;
use crate::error::Error;
use crate::lanes::sum_lanes;
use crate::linalg::{add_multiple, dot};
use crate::reduce::{Job, Leaves, Sum, map_reduce};
use crate::simd::{MulAdd, dispatch};

/// How many rows are computed with at once, one in each lane.
const LANES: usize = 8;

/// The linear transform of rows (x, 1) to u. The last component of u belongs to the bias, if there is one.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Whitening {
    pub basis: Arc<Basis>,
    /// Weighted means of the columns after the transform by `basis`. Row i has the weight d_i.
    pub mean: Vec<f64>,
    /// W in u = W (x̃ − mean), where x̃ is a row as transformed by `basis`. Lower triangular, shape (n, n), row by row.
    /// The rows of W for columns that the solver leaves out are zero.
    pub inverse: Vec<f64>,
    /// The component of u that belongs to the bias; `None` without a bias.
    pub bias: Option<f64>,
}

impl Whitening {
    /// The length of u.
    pub(crate) fn order(&self) -> usize {
        self.mean.len() + usize::from(self.bias.is_some())
    }

    /// The weights of the original columns, and after them the bias, that give every row the score u · `along`.
    pub(crate) fn to_natural(&self, along: &[f64]) -> Vec<f64> {
        let n = self.mean.len();
        let mut v = vec![0.0; n];
        for (row, &a) in self.inverse.chunks_exact(n).zip(along) {
            add_multiple(&mut v, a, row);
        }
        let at_origin = self.bias.map_or(0.0, |bias| bias * along[n]) - dot(&self.mean, &v);
        let bias = at_origin + self.basis.to_natural(&mut v);
        v.push(if self.bias.is_some() { bias } else { 0.0 });
        v
    }

    /// Converts `gradient`, which is a gradient by the coefficients of u, to the gradient by the weights of the
    /// original columns and the bias. The derivative by a bias that is not fitted is 0; for a column that the solver
    /// leaves out, the derivative by the weight of x̃ − mean counts as 0.
    pub(crate) fn natural_gradient(&self, gradient: &[f64]) -> Vec<f64> {
        let n = self.mean.len();
        let by_bias = self.bias.map_or(0.0, |bias| gradient[n] / bias);
        let mut solved: Vec<f64> = gradient[..n].to_vec();
        for (j, row) in self.inverse.chunks_exact(n).enumerate() {
            let (before, rest) = solved.split_at_mut(j);
            rest[0] = match row[j] {
                0.0 => 0.0,
                pivot => (rest[0] - dot(&row[..j], before)) / pivot,
            };
        }
        add_multiple(&mut solved, by_bias, &self.mean);
        let mut natural = self.basis.natural_gradient(&solved, by_bias);
        natural.push(by_bias);
        natural
    }
}

/// What the sums need besides the rows x_i: three numbers for each row i.
pub(crate) struct RowTerms<'a> {
    /// s_i (σ(z_i) − y_i)
    pub residuals: &'a [f64],
    /// d_i = s_i σ'(z_i)
    pub curvatures: &'a [f64],
    /// σ(z_i)
    pub predictions: &'a [f64],
}

/// The sums over all rows i. c_i is 1 − 2 σ(z_i), and q is the length of u.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct JeffreysSums {
    /// Minus the gradient of the logarithm of likelihood × prior: Σ (s_i (σ(z_i) − y_i) − h_i c_i / 2) u_i.
    pub gradient: Vec<f64>,
    /// Σ h_i u_i u_iᵀ, shape (q, q). Only the lower triangle is filled.
    pub leverage: Vec<f64>,
    /// Σ h_i σ'(z_i) u_i u_iᵀ, shape (q, q). Only the lower triangle is filled.
    pub leverage_curvature: Vec<f64>,
    /// Σ d_i c_i u_ia u_ib u_ie for all a ≥ b ≥ e, in ascending order of (a, b, e). Empty if not asked for.
    pub cubes: Vec<f64>,
}

impl Sum for JeffreysSums {
    fn add(&mut self, right: &Self) {
        self.gradient.add(&right.gradient);
        self.leverage.add(&right.leverage);
        self.leverage_curvature.add(&right.leverage_curvature);
        self.cubes.add(&right.cubes);
    }

    fn clear(&mut self) {
        self.gradient.fill(0.0);
        self.leverage.fill(0.0);
        self.leverage_curvature.fill(0.0);
        self.cubes.fill(0.0);
    }
}

/// The sums over all rows. [`JeffreysSums::cubes`] is filled only if `with_cubes`.
///
/// # Errors
///
/// [`Error::Interrupted`] by the monitor.
pub(crate) fn jeffreys_sums(
    dataset: &Dataset<'_>,
    whitening: &Whitening,
    terms: &RowTerms<'_>,
    with_cubes: bool,
    job: &mut Job<'_>,
) -> Result<JeffreysSums, Error> {
    let level = job.level();
    let (n, q) = (whitening.mean.len(), whitening.order());
    let pairs = q * (q + 1) / 2;
    let cubes = if with_cubes { pairs * (q + 2) / 3 } else { 0 };
    map_reduce(
        job,
        Leaves::new(rows_of(dataset), pairs.saturating_mul(3) + cubes),
        || (vec![0.0; n + 1], vec![0.0; n], Block::new(n, q, cubes)),
        || JeffreysSums {
            gradient: vec![0.0; q],
            leverage: vec![0.0; q * q],
            leverage_curvature: vec![0.0; q * q],
            cubes: vec![0.0; cubes],
        },
        |(row, low, block), sums, leaf| {
            for_rows(dataset, leaf, row, |i, row| {
                whitening.basis.enter(&mut row[..n], low);
                block.put(whitening, terms, i, &row[..n]);
                if block.rows == LANES {
                    dispatch!(level, simd => block.add(simd, whitening));
                }
            });
            dispatch!(level, simd => block.add(simd, whitening));
            dispatch!(level, simd => block.unload(simd, sums));
        },
    )
}

/// Up to eight rows, one in each lane; and sums over the rows of a leaf. Each lane has sums of its own.
struct Block {
    /// The number of lanes that hold a row.
    rows: usize,
    /// The rows as transformed by the basis, minus the means of the columns; shape (n, lanes).
    x: Vec<f64>,
    /// u of the rows, shape (q, lanes).
    u: Vec<f64>,
    /// For each row: s (σ(z) − y), d = s σ'(z), and c = 1 − 2 σ(z). In lanes without a row, the first two are 0, so
    /// that these lanes add nothing.
    residuals: [f64; LANES],
    curvatures: [f64; LANES],
    c: [f64; LANES],
    /// The sums, each of shape (…, lanes).
    gradient: Vec<f64>,
    leverage: Vec<f64>,
    leverage_curvature: Vec<f64>,
    cubes: Vec<f64>,
}

impl Block {
    fn new(n: usize, q: usize, cubes: usize) -> Self {
        let pairs = q * (q + 1) / 2;
        Block {
            rows: 0,
            x: vec![0.0; n * LANES],
            u: vec![0.0; q * LANES],
            residuals: [0.0; LANES],
            curvatures: [0.0; LANES],
            c: [0.0; LANES],
            gradient: vec![0.0; q * LANES],
            leverage: vec![0.0; pairs * LANES],
            leverage_curvature: vec![0.0; pairs * LANES],
            cubes: vec![0.0; cubes * LANES],
        }
    }

    /// Puts row `i` into the next lane. `row` is the row as transformed by the basis.
    fn put(&mut self, whitening: &Whitening, terms: &RowTerms<'_>, i: usize, row: &[f64]) {
        let lane = self.rows;
        let lines = self.x.chunks_exact_mut(LANES);
        for ((line, x), mean) in lines.zip(row).zip(&whitening.mean) {
            line[lane] = x - mean;
        }
        self.residuals[lane] = terms.residuals[i];
        self.curvatures[lane] = terms.curvatures[i];
        self.c[lane] = 1.0 - 2.0 * terms.predictions[i];
        self.rows += 1;
    }

    /// Adds the rows to the sums, and empties the lanes.
    #[inline(always)]
    fn add<S: Simd>(&mut self, simd: S, whitening: &Whitening) {
        let n = whitening.mean.len();
        let zero = f64x8::<S>::splat(simd, 0.0);
        let mut squares = zero;
        let weights = whitening.inverse.chunks_exact(n).enumerate();
        for ((j, weights), u) in weights.zip(self.u.chunks_exact_mut(LANES)) {
            let mut sum = zero;
            for (w, x) in weights[..=j].iter().zip(self.x.chunks_exact(LANES)) {
                sum = load(simd, x).mul_add_fused(f64x8::<S>::splat(simd, *w), sum);
            }
            squares = sum.mul_add_fused(sum, squares);
            sum.store_slice(u);
        }
        if let Some(bias) = whitening.bias {
            let bias = f64x8::<S>::splat(simd, bias);
            squares = bias.mul_add_fused(bias, squares);
            bias.store_slice(&mut self.u[n * LANES..]);
        }
        let (d, c) = (load(simd, &self.curvatures), load(simd, &self.c));
        let h = d * squares;
        let rho = load(simd, &self.residuals) - h * c * 0.5;
        // σ' = (1 − c²) / 4. Digits of 1 − c² may cancel, but this changes the second derivatives by no more than
        // rounding errors.
        let curvature = h * (c * c * -0.25 + 0.25);
        let third = d * c;
        let mut of_pairs = self.leverage.chunks_exact_mut(LANES);
        let mut of_curvature = self.leverage_curvature.chunks_exact_mut(LANES);
        let mut of_cubes = self.cubes.chunks_exact_mut(LANES);
        let gradient = self.gradient.chunks_exact_mut(LANES);
        let with_cubes = of_cubes.len() > 0;
        for (a, (gradient, u_a)) in gradient.zip(self.u.chunks_exact(LANES)).enumerate() {
            let u_a = load(simd, u_a);
            rho.mul_add_fused(u_a, load(simd, gradient))
                .store_slice(gradient);
            let (ha, curvature_a, third_a) = (h * u_a, curvature * u_a, third * u_a);
            let up_to_a = self.u[..(a + 1) * LANES].chunks_exact(LANES);
            let sums = of_pairs.by_ref().zip(of_curvature.by_ref());
            for ((b, u_b), (pair, of_curvature)) in up_to_a.enumerate().zip(sums) {
                let u_b = load(simd, u_b);
                ha.mul_add_fused(u_b, load(simd, pair)).store_slice(pair);
                let sum = curvature_a.mul_add_fused(u_b, load(simd, of_curvature));
                sum.store_slice(of_curvature);
                if with_cubes {
                    let third_ab = third_a * u_b;
                    let up_to_b = self.u[..(b + 1) * LANES].chunks_exact(LANES);
                    for (u_e, cube) in up_to_b.zip(of_cubes.by_ref()) {
                        third_ab
                            .mul_add_fused(load(simd, u_e), load(simd, cube))
                            .store_slice(cube);
                    }
                }
            }
        }
        self.rows = 0;
        self.residuals = [0.0; LANES];
        self.curvatures = [0.0; LANES];
    }

    /// Adds the sums of all lanes to `sums`, and sets the lanes to zero.
    #[inline(always)]
    fn unload<S: Simd>(&mut self, simd: S, sums: &mut JeffreysSums) {
        let q = sums.gradient.len();
        move_totals(simd, &mut self.gradient, &mut sums.gradient.iter_mut());
        for (from, to) in [
            (&mut self.leverage, &mut sums.leverage),
            (&mut self.leverage_curvature, &mut sums.leverage_curvature),
        ] {
            let rows = to.chunks_exact_mut(q).enumerate();
            let below = rows.flat_map(|(a, row)| row[..=a].iter_mut());
            move_totals(simd, from, below);
        }
        move_totals(simd, &mut self.cubes, &mut sums.cubes.iter_mut());
    }
}

#[inline(always)]
fn load<S: Simd>(simd: S, from: &[f64]) -> f64x8<S> {
    f64x8::<S>::from_slice(simd, from)
}

/// Sums every eight consecutive numbers of `from`, the lanes of one sum, and adds the result to the next number of
/// `to`. Sets the lanes to zero.
#[inline(always)]
fn move_totals<'a, S: Simd>(simd: S, from: &mut [f64], to: impl Iterator<Item = &'a mut f64>) {
    for (lanes, to) in from.chunks_exact_mut(LANES).zip(to) {
        *to += sum_lanes::<f64, S>(load(simd, lanes));
        lanes.fill(0.0);
    }
}
