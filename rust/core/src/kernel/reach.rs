//! The largest norm of a row under an inverse Hessian.

use std::sync::Arc;

use super::basis::Basis;
use super::dataset::Dataset;
use super::each_row::sum_rows;
use crate::error::Error;
use crate::linalg::{dot, norm};
use crate::reduce::{Job, Largest};

/// The norm ‖L⁻¹ u‖ of steps u by what is free to move, in the coordinates of a basis, as far as it is known.
pub(crate) struct Metric {
    pub basis: Arc<Basis>,
    /// Means of the columns in the basis.
    pub mean: Vec<f64>,
    /// What moves: of each score the columns, the bias last.
    pub free: Vec<Vec<usize>>,
    /// What scales the diagonal of the Hessian to 1, score by score; 0 for columns left out.
    pub scale: Vec<f64>,
    /// W, nearly L⁻¹, row by row.
    pub inverse: Vec<f64>,
    /// A bound on ‖(L⁻¹ − W) x‖ / ‖x‖.
    pub hidden: f64,
}

/// max_i ‖L⁻¹ (x_i, 1)‖ over the rows of positive weight, of K classes the largest for the difference of two scores.
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
            // The image of the row in the place of each score.
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
