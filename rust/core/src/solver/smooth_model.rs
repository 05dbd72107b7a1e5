//! A quadratic model of an objective's smooth part, from a sample of the rows, which learns from steps.

use super::objective::{Iterate, Objective};
use super::run::Run;
use crate::error::Error;
use crate::kernel::Basis;
use crate::linalg::{add_multiple, dot};
use crate::penalty::Kinks;

/// A column whose variance in a sample is below this part of its mean square is constant there.
const CONSTANT: f64 = 1e-13;

/// The model, in coordinates where weights and bias do not interact: scaled columns, seen
/// from their means weighted by curvature, and the bias at these means, last.
pub(super) struct SmoothModel {
    basis: Basis,
    /// Means of the columns of the basis; zeros without bias.
    mean: Vec<f64>,
    /// Shape (n + 1, n + 1); the last row is zero without bias.
    pub(super) hessian: Vec<f64>,
    /// l1 and bounds of each coordinate.
    pub(super) kinks: Vec<Kinks>,
    fit_bias: bool,
}

impl SmoothModel {
    /// At `v`, by the rows of `part`; columns that are constant there get their curvature from `whole`. None if no row has any
    /// curvature.
    pub(super) fn new(
        part: &Objective<'_>,
        whole: &Objective<'_>,
        v: &[f64],
        run: &mut Run<'_>,
    ) -> Result<Option<Self>, Error> {
        let (n, fit_bias, penalty) = (part.columns(), part.fit_bias, part.penalty);
        let basis = part.source.basis(fit_bias, true);
        run.passes += part.cost;
        let curvatures = part
            .source
            .curvatures(&part.parameters(v), &mut run.job())?;
        let gram = curvatures.gram(0, &basis, &mut run.job())?;
        let order = n + 1;
        let total = gram.lower[n * order + n];
        if total <= 0.0 || !gram.lower.iter().all(|x| x.is_finite()) {
            return Ok(None);
        }
        let cross = &gram.lower[n * order..][..n];
        let mean: Vec<f64> = match fit_bias {
            true => cross.iter().map(|cross| cross / total).collect(),
            false => vec![0.0; n],
        };
        let mut hessian = vec![0.0; order * order];
        for i in 0..n {
            for j in 0..=i {
                let element = gram.lower[i * order + j] - mean[i] * mean[j] * total;
                hessian[i * order + j] = element / gram.weight;
                hessian[j * order + i] = element / gram.weight;
            }
        }
        let is_constant = |j: &usize| {
            let square = gram.lower[j * (order + 1)] / gram.weight;
            hessian[j * (order + 1)] <= CONSTANT * square
        };
        let constant: Vec<usize> = (0..n).filter(is_constant).collect();
        if !constant.is_empty() {
            run.passes += whole.cost;
            let curvatures = whole
                .source
                .curvatures(&whole.parameters(v), &mut run.job())?;
            let curvature = curvatures.diagonal(0, &basis, &mut run.job())?;
            for &j in &constant {
                for k in 0..n {
                    (hessian[j * order + k], hessian[k * order + j]) = (0.0, 0.0);
                }
                let squared_mean = match fit_bias {
                    true => curvature.cross[j] * (curvature.cross[j] / curvature.bias),
                    false => 0.0,
                };
                let left = (curvature.diagonal[j] - squared_mean) / curvature.weight;
                let is_some = left > CONSTANT * curvature.diagonal[j] / curvature.weight;
                hessian[j * (order + 1)] = if is_some { left } else { 0.0 };
            }
        }
        for (j, along) in penalty.diagonal(&basis).iter().enumerate() {
            hessian[j * (order + 1)] += along;
        }
        if fit_bias {
            hessian[n * (order + 1)] = total / gram.weight;
        }
        let kinks = basis.per_unit().iter().enumerate();
        let kinks = kinks.map(|(j, per_unit)| penalty.of(j).kinks.in_units(*per_unit));
        let kinks = kinks.chain([Kinks::NONE]).collect();
        Ok(Some(SmoothModel {
            basis,
            mean,
            hessian,
            kinks,
            fit_bias,
        }))
    }

    /// Weights and bias in the model's coordinates.
    pub(super) fn coordinates(&self, v: &[f64]) -> Vec<f64> {
        let (mut x, bias) = (v[..v.len() - 1].to_vec(), v[v.len() - 1]);
        let shift = self.basis.to_coordinates(&mut x);
        let at_mean = bias + shift + dot(&self.mean, &x);
        x.push(at_mean);
        x
    }

    /// The other way.
    pub(super) fn natural(&self, x: &[f64]) -> Vec<f64> {
        let (weights, at_mean) = (&x[..x.len() - 1], x[x.len() - 1]);
        let mut v = weights.to_vec();
        let at_origin = at_mean - dot(&self.mean, weights);
        let shift = self.basis.to_natural(&mut v);
        v.push(if self.fit_bias {
            at_origin + shift
        } else {
            0.0
        });
        v
    }

    /// A gradient by weights and bias in the model's coordinates.
    pub(super) fn gradient(&self, natural: &[f64]) -> Vec<f64> {
        let (mut g, by_bias) = (
            natural[..natural.len() - 1].to_vec(),
            natural[natural.len() - 1],
        );
        self.basis.gradient(&mut g, by_bias);
        add_multiple(&mut g, -by_bias, &self.mean);
        g.push(by_bias);
        g
    }

    /// The squared norm of the subgradient that is smallest, each coordinate in units of its curvature.
    pub(super) fn steepness(&self, iterate: &Iterate) -> f64 {
        let x = self.coordinates(&iterate.v);
        let slopes = self.gradient(&iterate.value.gradient);
        let order = x.len();
        let square = |j: usize| {
            let slope = self.kinks[j].least_slope(x[j], slopes[j]);
            let h = self.hessian[j * (order + 1)];
            if h > 0.0 { slope * slope / h } else { 0.0 }
        };
        (0..order).map(square).sum()
    }

    /// BFGS: the Hessian that takes this step to this change of the gradient, and differs least from the one before.
    pub(super) fn learn(&mut self, step: &[f64], change: &[f64]) {
        let order = step.len();
        let product = dot(step, change);
        let terms = step.iter().zip(change).map(|(s, y)| (s * y).abs());
        if product.is_nan() || product <= 1e-14 * terms.sum::<f64>() {
            return;
        }
        let row = |i: usize| &self.hessian[i * order..][..order];
        let image: Vec<f64> = (0..order).map(|i| dot(row(i), step)).collect();
        let along = dot(step, &image);
        if along <= 0.0 || along.is_nan() {
            return;
        }
        for i in 0..order {
            let row = &mut self.hessian[i * order..][..order];
            add_multiple(row, change[i] / product, change);
            add_multiple(row, -image[i] / along, &image);
        }
    }
}
