//! The minimum of a quadratic plus l1 terms, within bounds: coordinate descent, and exact steps where signs no longer change.
//!
//! Source: J. Friedman, T. Hastie & R. Tibshirani, "Regularization paths for generalized linear models via coordinate
//! descent", J. Stat. Softw. 33 (2010), doi:10.18637/jss.v033.i01.

use super::cholesky::Cholesky;
use crate::error::Error;
use crate::linalg::{add_multiple, dot};
use crate::penalty::Kinks;
use crate::reduce::Job;

/// Sweeps of coordinate descent before an exact step is tried, and how often that is done.
const SWEEPS: usize = 10;
const ROUNDS: usize = 20;
/// Columns of which less than this part of the square is left, seen from those before them, take no part in an exact step.
const LEFT: f64 = 1e-12;

/// `q(u) = g·(u − x) + ½ (u − x)ᵀ B (u − x) + Σ_j l1_j |u_j|`, for u within bounds
pub(super) struct Quadratic<'a> {
    /// g
    pub gradient: &'a [f64],
    /// B, row by row.
    pub hessian: &'a [f64],
    /// l1 and bounds of each coordinate.
    pub kinks: &'a [Kinks],
    /// x, which is within the bounds.
    pub start: &'a [f64],
}

/// Where the descent is: u, and B (u − x).
struct State {
    u: Vec<f64>,
    image: Vec<f64>,
}

impl Quadratic<'_> {
    /// The minimum u, until a sweep brings less than the part `forcing` of what all sweeps have brought. Coordinates without
    /// curvature stay where they are.
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`] by the monitor.
    pub(super) fn minimum(&self, forcing: f64, job: &mut Job<'_>) -> Result<Vec<f64>, Error> {
        let mut state = State {
            u: self.start.to_vec(),
            image: vec![0.0; self.start.len()],
        };
        let mut total = 0.0;
        for _ in 0..ROUNDS {
            job.poll()?;
            if self.sweeps(&mut state, &mut total, forcing) {
                break;
            }
            self.exact_step(&mut state, job)?;
        }
        Ok(state.u)
    }

    fn curvature(&self, j: usize) -> f64 {
        self.hessian[j * (self.start.len() + 1)]
    }

    fn row(&self, j: usize) -> &[f64] {
        let n = self.start.len();
        &self.hessian[j * n..][..n]
    }

    /// Sweeps over all coordinates, and between these over those that are free to move; whether they have come to an end.
    fn sweeps(&self, state: &mut State, total: &mut f64, forcing: f64) -> bool {
        let all: Vec<usize> = (0..self.start.len()).collect();
        let mut active = all.clone();
        let mut is_full = true;
        for _ in 0..SWEEPS {
            let decrease = self.sweep(state, if is_full { &all } else { &active });
            *total += decrease;
            let is_small = decrease <= forcing * *total;
            if is_full && is_small {
                return true;
            }
            if is_full {
                active.clear();
                active.extend(all.iter().filter(|&&j| self.is_active(state, j)));
            }
            is_full = !is_full && is_small;
        }
        false
    }

    fn is_active(&self, state: &State, j: usize) -> bool {
        !self.kinks[j].is_at(state.u[j])
    }

    /// Minimises by each of these coordinates in turn; returns the decrease of q.
    fn sweep(&self, state: &mut State, coordinates: &[usize]) -> f64 {
        let mut decrease = 0.0;
        for &j in coordinates {
            let (h, kinks, u) = (self.curvature(j), &self.kinks[j], state.u[j]);
            if h <= 0.0 || h.is_nan() {
                continue;
            }
            let slope = self.gradient[j] + state.image[j];
            let next = kinks.proximal(u - slope / h, h);
            let step = next - u;
            if step != 0.0 {
                decrease -=
                    slope * step + 0.5 * h * step * step + kinks.l1 * (next.abs() - u.abs());
                state.u[j] = next;
                add_multiple(&mut state.image, step, self.row(j));
            }
        }
        decrease
    }

    /// q(u) − q(x), up to Σ l1_j |x_j|.
    fn value(&self, u: &[f64], image: &[f64]) -> f64 {
        let steps = u.iter().zip(self.start).map(|(u, x)| u - x);
        let slopes = self.gradient.iter().zip(image).map(|(g, b)| g + 0.5 * b);
        let smooth: f64 = steps.zip(slopes).map(|(d, g)| d * g).sum();
        let terms = self.kinks.iter().zip(u);
        let terms = terms.map(|(kinks, u)| kinks.l1 * u.abs());
        smooth + terms.sum::<f64>()
    }

    /// Moves the coordinates that are free to move to their minimum for the signs that they have. Those that would change sign
    /// or leave their bounds are put to 0 or their bounds if q falls then; else the step ends at the first of them.
    fn exact_step(&self, state: &mut State, job: &mut Job<'_>) -> Result<(), Error> {
        let n = self.start.len();
        let may_move = |j: &usize| self.is_active(state, *j) && self.curvature(*j) > 0.0;
        let active: Vec<usize> = (0..n).filter(may_move).collect();
        if active.is_empty() {
            return Ok(());
        }
        let scale: Vec<f64> = (active.iter())
            .map(|&j| 1.0 / self.curvature(j).sqrt())
            .collect();
        let size = active.len();
        let mut matrix = vec![0.0; size * size];
        for (a, &i) in active.iter().enumerate() {
            for (b, &j) in active[..=a].iter().enumerate() {
                matrix[a * size + b] = self.row(i)[j] * scale[a] * scale[b];
            }
        }
        let factor = Cholesky::new(matrix, &vec![LEFT; size], job)?;
        let slope = |(&j, scale): (&usize, &f64)| {
            let slope = self.gradient[j] + state.image[j];
            -self.kinks[j].least_slope(state.u[j], slope) * scale
        };
        let mut step: Vec<f64> = active.iter().zip(&scale).map(slope).collect();
        for (a, step) in step.iter_mut().enumerate() {
            if factor.is_left_out(a) {
                *step = 0.0;
            }
        }
        factor.solve(&mut step);
        for (a, (step, scale)) in step.iter_mut().zip(&scale).enumerate() {
            *step *= if factor.is_left_out(a) { 0.0 } else { *scale };
        }
        if !step.iter().all(|s| s.is_finite()) {
            return Ok(());
        }
        let first = |(&j, step): (&usize, &f64)| self.kinks[j].first(state.u[j], state.u[j] + step);
        let crosses = |(j, step): (&usize, &f64)| first((j, step)) != state.u[*j] + step;
        let here = self.value(&state.u, &state.image);
        let mut moved = state.u.clone();
        for pair in active.iter().zip(&step) {
            moved[*pair.0] = first(pair);
        }
        let image = self.image(&moved);
        if self.value(&moved, &image) < here {
            (state.u, state.image) = (moved, image);
            return Ok(());
        }
        let until = |(j, step): (&usize, &f64)| (first((j, step)) - state.u[*j]) / step;
        let pairs = active.iter().zip(&step);
        let shortest = pairs
            .filter(|pair| crosses(*pair))
            .map(until)
            .fold(1.0, f64::min);
        let mut moved = state.u.clone();
        for (&j, step) in active.iter().zip(&step) {
            let ends = crosses((&j, step)) && until((&j, step)) <= shortest;
            moved[j] = match ends {
                true => first((&j, step)),
                false => moved[j] + shortest * step,
            };
        }
        let image = self.image(&moved);
        if self.value(&moved, &image) < here {
            (state.u, state.image) = (moved, image);
        }
        Ok(())
    }

    /// B (u − x)
    fn image(&self, u: &[f64]) -> Vec<f64> {
        let steps: Vec<f64> = u.iter().zip(self.start).map(|(u, x)| u - x).collect();
        (0..u.len()).map(|i| dot(self.row(i), &steps)).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::reduce::{Threads, Unmonitored};
    use crate::shuffle::Random;

    /// At the minimum, no coordinate has a slope that l1 or a bound does not answer.
    #[test]
    fn the_minimum_has_no_slope() {
        let mut random = Random::new(7);
        let mut monitor = Unmonitored;
        let mut job = Job::new(Threads::ONE, &mut monitor).unwrap();
        for (n, rows) in [(1, 3), (5, 9), (30, 40), (30, 10)] {
            for round in 0..10 {
                let a: Vec<f64> = (0..n * rows).map(|_| random.uniform() - 0.4).collect();
                let mut hessian = vec![0.0; n * n];
                for row in a.chunks_exact(n) {
                    for i in 0..n {
                        add_multiple(&mut hessian[i * n..][..n], row[i], row);
                    }
                }
                (0..n).for_each(|i| hessian[i * (n + 1)] += 0.1);
                let mut numbers = |size: f64| -> Vec<f64> {
                    (0..n).map(|_| size * (random.uniform() - 0.5)).collect()
                };
                let (gradient, mut start) = (numbers(4.0), numbers(1.0));
                let mut kinks = vec![Kinks::NONE; n];
                for (j, (kinks, start)) in kinks.iter_mut().zip(&mut start).enumerate() {
                    if j != n / 2 {
                        kinks.l1 = 0.1 * f64::from(round);
                    }
                    if j % 3 == 1 {
                        (kinks.lower, kinks.upper) = (-0.1, 0.05 * j as f64);
                        *start = start.clamp(kinks.lower, kinks.upper);
                    }
                }
                let quadratic = Quadratic {
                    gradient: &gradient,
                    hessian: &hessian,
                    kinks: &kinks,
                    start: &start,
                };
                let u = quadratic.minimum(1e-15, &mut job).unwrap();
                let image = quadratic.image(&u);
                for j in 0..n {
                    let slope = gradient[j] + image[j];
                    let left = kinks[j].least_slope(u[j], slope);
                    assert!((kinks[j].lower..=kinks[j].upper).contains(&u[j]));
                    assert!(left.abs() < 1e-6, "{n} {rows} {round}: {left}");
                }
            }
        }
    }
}
