//! The largest norm ‖L⁻¹ (x, 1)‖ over the rows x, where L is the Cholesky factor of the scaled Hessian.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::basis::Basis;
use super::dataset::Dataset;
use super::each_row::sum_rows;
use crate::error::Error;
use crate::linalg::{dot, norm};
use crate::reduce::{Job, Largest};

/// Numbers that give upper bounds on ‖L⁻¹ u‖. L is the Cholesky factor of the scaled Hessian of the free parameters
/// (the parameters that may change). The columns are transformed by `basis`, and their means are subtracted.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Metric {
    pub basis: Arc<Basis>,
    /// Means of the transformed columns.
    pub mean: Vec<f64>,
    /// The free parameters of each score, as indices of columns; the bias, if it is free, comes last and has index n.
    pub free: Vec<Vec<usize>>,
    /// Factors that scale the Hessian's diagonal to 1: one for each free parameter, score by score; 0 for columns that
    /// the solver leaves out.
    pub scale: Vec<f64>,
    /// W, an approximate inverse of the Cholesky factor L, row by row; lower triangular.
    pub inverse: Vec<f64>,
    /// Upper bound on ‖(L⁻¹ − W) u‖ / ‖u‖ for all vectors u, where W is `inverse`.
    pub hidden: f64,
}

/// Upper bound on max_i ‖L⁻¹ a_i‖ over the rows i of positive weight. For one score, a_i is (x_i, 1). For K classes,
/// the maximum is also over all pairs of classes (k, l): a_i has (x_i, 1) in the places of the parameters of class k,
/// −(x_i, 1) in the places of the parameters of class l, and 0 in all others.
///
/// # Errors
///
/// [`Error::Interrupted`] by the monitor.
pub(crate) fn reach(
    dataset: &Dataset<'_>,
    metric: &Metric,
    job: &mut Job<'_>,
) -> Result<f64, Error> {
    let Metric {
        basis,
        mean,
        free,
        scale,
        inverse,
        hidden,
    } = metric;
    let (n, size, classes) = (basis.columns(), scale.len(), free.len());
    let work = size.saturating_mul(size);
    let largest = sum_rows(
        dataset,
        work / (n + 1) + 1,
        || {
            let images = vec![0.0; classes * size];
            (images, vec![0.0; size], vec![0.0; n])
        },
        Largest::default,
        |(images, scaled, low), Largest(largest), _, row| {
            basis.enter(&mut row[..n], low);
            row[..n]
                .iter_mut()
                .zip(mean)
                .for_each(|(x, mean)| *x -= mean);
            row[n] = 1.0;
            // `images[k]` is `inverse` times a vector. The vector has the scaled row in the places of the parameters of
            // score k, and 0 in all others.
            let mut room: f64 = 0.0;
            let mut start = 0;
            for (image, free) in images.chunks_exact_mut(size).zip(free) {
                let end = start + free.len();
                for (out, (&j, scale)) in scaled[start..end]
                    .iter_mut()
                    .zip(free.iter().zip(&scale[start..]))
                {
                    *out = row[j] * scale;
                }
                let scaled = &scaled[start..end];
                for (i, out) in image.iter_mut().enumerate() {
                    let of_class = &inverse[i * size + start..i * size + end];
                    *out = if i < start {
                        0.0
                    } else {
                        dot(of_class, scaled)
                    };
                }
                room = room.max(hidden * norm(scaled));
                start = end;
            }
            for (k, image) in images.chunks_exact(size).enumerate() {
                if classes == 1 {
                    *largest = largest.max(norm(image) + room);
                }
                for other in images.chunks_exact(size).take(k) {
                    let squares = image.iter().zip(other).map(|(a, b)| (a - b) * (a - b));
                    let length = squares.sum::<f64>().sqrt();
                    *largest = largest.max(length + 2.0 * room);
                }
            }
        },
        job,
    )?;
    Ok(largest.0 * (1.0 + 1e-6))
}
