//! An approximate inverse of the Hessian: what makes descent steps fit columns of any scale.
//!
//! The bias is eliminated first: seen from the mean of the columns, weighted by the curvature d_i = s_i σ'(z_i), the
//! bias and the weights do not interact. What remains is the Hessian of the centred columns, scaled to unit diagonal,
//! and factored where that pays, or else taken to be diagonal.

use super::cholesky::Cholesky;
use super::objective::dot;
use crate::error::Error;
use crate::kernel::{Curvature, Gram};
use crate::parallel::Monitor;

/// Variance below this part of the mean square is rounding: the column is constant.
const CONSTANT: f64 = 1e-13;

pub(crate) struct Preconditioner {
    /// Mean of each column, weighted by curvature; zeros without bias.
    mean: Vec<f64>,
    /// Reciprocal of the curvature along the bias; 0 without bias.
    along_bias: f64,
    /// Reciprocal root of the curvature along each centred column.
    scale: Vec<f64>,
    factor: Option<Cholesky>,
    /// Standard deviation of each column, weighted by curvature.
    deviation: Vec<f64>,
    constant: Vec<usize>,
}

impl Preconditioner {
    /// From the diagonal alone.
    pub(crate) fn diagonal(curvature: &Curvature, l2: f64, fit_bias: bool) -> Self {
        Self::centred(
            &curvature.diagonal,
            curvature.cross.clone(),
            curvature.bias,
            curvature.weight,
            l2,
            fit_bias,
        )
    }

    /// From the whole Hessian.
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`] by the monitor.
    pub(crate) fn factored(
        gram: Gram,
        l2: f64,
        fit_bias: bool,
        monitor: &mut dyn Monitor,
    ) -> Result<Self, Error> {
        let Gram {
            order,
            lower,
            weight,
        } = gram;
        let n = order - 1;
        let diagonal: Vec<f64> = (0..n).map(|j| lower[j * order + j]).collect();
        let cross = lower[n * order..n * order + n].to_vec();
        let curvature = lower[n * order + n];
        let mut result = Self::centred(&diagonal, cross, curvature, weight, l2, fit_bias);

        let mut matrix = vec![0.0; n * n];
        let mut is_constant = vec![false; n];
        for &j in &result.constant {
            is_constant[j] = true;
        }
        for i in 0..n {
            let row = &mut matrix[i * n..i * n + i + 1];
            row[i] = 1.0;
            if is_constant[i] {
                continue;
            }
            let (mean, scale) = (result.mean[i] * curvature, result.scale[i] / weight);
            for j in 0..i {
                if !is_constant[j] {
                    let covariance = lower[i * order + j] - mean * result.mean[j];
                    row[j] = covariance * scale * result.scale[j];
                }
            }
        }
        // Centring has cancelled all but the variance of the mean square.
        let precision: Vec<f64> = (0..n)
            .map(|j| diagonal[j] / weight * result.scale[j] * result.scale[j])
            .map(|cancelled| f64::EPSILON * cancelled.max(1.0))
            .collect();
        result.factor = Some(Cholesky::new(matrix, &precision, monitor)?);
        Ok(result)
    }

    fn centred(
        diagonal: &[f64],
        cross: Vec<f64>,
        curvature: f64,
        weight: f64,
        l2: f64,
        fit_bias: bool,
    ) -> Self {
        let mut mean = cross;
        for mean in &mut mean {
            *mean = if fit_bias { *mean / curvature } else { 0.0 };
        }
        let (mut scale, mut deviation) = (Vec::new(), Vec::new());
        let mut constant = Vec::new();
        for (j, (&square, &mean)) in diagonal.iter().zip(&mean).enumerate() {
            let centred = square - mean * mean * curvature;
            let varies = centred > CONSTANT * square;
            if !varies {
                constant.push(j);
            }
            deviation.push(if varies || !centred.is_finite() {
                (centred / curvature).sqrt()
            } else {
                0.0
            });
            let centred = if varies {
                centred
            } else if l2 > 0.0 {
                CONSTANT * square
            } else {
                square // its gradient is rounding, which must not be blown up
            };
            let along = centred / weight + l2;
            scale.push(if along > 0.0 { 1.0 / along.sqrt() } else { 0.0 });
        }
        Preconditioner {
            mean,
            along_bias: if fit_bias { weight / curvature } else { 0.0 },
            scale,
            factor: None,
            deviation,
            constant,
        }
    }

    /// Whether there are numbers in it: not where every prediction is so certain that no curvature is left.
    pub(crate) fn is_usable(&self) -> bool {
        self.along_bias.is_finite()
            && self
                .scale
                .iter()
                .chain(&self.mean)
                .chain(&self.deviation)
                .all(|x| x.is_finite())
    }

    /// Whether a column does not vary over the rows this was made from.
    pub(crate) fn has_constant_columns(&self) -> bool {
        !self.constant.is_empty()
    }

    /// Takes the scale of the columns that do not vary here from more rows, where they may.
    pub(crate) fn adopt_constant_columns(&mut self, other: &Preconditioner) {
        for &j in &self.constant {
            self.scale[j] = other.scale[j];
            self.deviation[j] = other.deviation[j];
        }
    }

    /// `out = P g`
    pub(crate) fn apply(&self, gradient: &[f64], out: &mut [f64]) {
        let n = self.scale.len();
        let along_bias = gradient[n];
        for j in 0..n {
            out[j] = (gradient[j] - self.mean[j] * along_bias) * self.scale[j];
        }
        if let Some(factor) = &self.factor {
            factor.solve(&mut out[..n]);
        }
        for (out, scale) in out.iter_mut().zip(&self.scale) {
            *out *= scale;
        }
        out[n] = if self.along_bias == 0.0 {
            0.0
        } else {
            along_bias * self.along_bias - dot(&self.mean, &out[..n])
        };
    }

    /// What steps are measured by.
    pub(crate) fn yardstick(&self) -> Yardstick {
        Yardstick {
            mean: self.mean.clone(),
            deviation: self.deviation.clone(),
        }
    }
}

/// Means and standard deviations of the columns.
///
/// Weighted by curvature, which vanishes where predictions are certain, deviations are the larger the earlier they are
/// taken: the largest of several is the one to measure by.
pub(crate) struct Yardstick {
    mean: Vec<f64>,
    deviation: Vec<f64>,
}

impl Yardstick {
    pub(crate) fn update(&mut self, preconditioner: &Preconditioner) {
        for (largest, &other) in self.deviation.iter_mut().zip(&preconditioner.deviation) {
            *largest = largest.max(other);
        }
    }

    /// The largest change of the predictor that a standard deviation of one column, or the bias at their mean, makes.
    pub(crate) fn size(&self, v: &[f64]) -> f64 {
        let n = self.deviation.len();
        let at_mean = v[n] + dot(&self.mean, &v[..n]);
        v.iter()
            .zip(&self.deviation)
            .map(|(v, deviation)| (v * deviation).abs())
            .fold(at_mean.abs(), f64::max)
    }

    pub(crate) fn deviation(&self) -> &[f64] {
        &self.deviation
    }

    pub(crate) fn mean(&self) -> &[f64] {
        &self.mean
    }
}
