//! Minimises a quadratic plus l1 terms, within bounds, by coordinate descent. From time to time, an exact step moves
//! all free weights at once: those neither at a bound nor, with l1, at 0. It leads to the minimum of the function in
//! which each |w| of the l1 terms is replaced by ±w, with the sign that the weight w has now.
//!
//! Source: J. Friedman, T. Hastie & R. Tibshirani, "Regularization paths for generalized linear models via coordinate
//! descent", J. Stat. Softw. 33 (2010), doi:10.18637/jss.v033.i01.

use super::cholesky::Cholesky;
use crate::error::Error;
use crate::kinks::{AllKinks, Groups, change_of_norm, proximal_of_group};
use crate::linalg::{add_multiple, dot, norm};
use crate::reduce::Job;

/// The largest number of sweeps over the coordinates before each exact step. `ROUNDS` is the largest number of exact
/// steps.
const SWEEPS: usize = 10;
const ROUNDS: usize = 20;
/// The first exact step consists of one step of the free coordinates, and each next one of up to twice as many, but of
/// no more than this. If columns are nearly dependent, a step is long, and stops coordinates before the minimum.
const FREE_STEPS: usize = 128;
/// If coordinates are grouped, an exact step consists of up to this many Newton steps.
const NEWTON_STEPS: usize = 8;
/// A column is left out of an exact step if it is nearly a linear combination of the columns before it: if these
/// columns explain all but less than this fraction of its squared length.
const LEFT: f64 = 1e-12;

/// The symmetric matrix B of a quadratic function, together with the product B (u − x), where x is the start and u the
/// point that the steps have reached so far.
pub(super) trait Hessian {
    /// B_jj
    fn curvature(&self, j: usize) -> f64;
    /// An upper bound on the eigenvalues of the part of B with these rows and columns.
    fn largest(&self, coordinates: &[usize]) -> f64 {
        coordinates.iter().map(|&j| self.curvature(j)).sum()
    }
    /// Component j of B (u − x).
    fn product(&self, j: usize) -> f64;
    /// Adds `step` to u_j.
    fn add(&mut self, j: usize, step: f64);
    /// Moves all free coordinates (those neither at a bound nor, with l1, at 0) at once to the minimum of the function
    /// in which each |u_j| is replaced by ±u_j, with the sign that u_j has now, in up to `free_steps` steps. Does nothing
    /// if the elements of B are not stored.
    fn exact_step(
        &mut self,
        _: &Quadratic<'_>,
        _: &mut [f64],
        _free_steps: usize,
        _: &mut Job<'_>,
    ) -> Result<(), Error> {
        Ok(())
    }
}

/// A matrix B that is stored row by row, and the product B (u − x).
pub(super) struct Elements<'a> {
    matrix: &'a [f64],
    image: Vec<f64>,
}

impl<'a> Elements<'a> {
    /// The matrix B, with u at the start x.
    pub(super) fn new(matrix: &'a [f64], order: usize) -> Self {
        Elements {
            matrix,
            image: vec![0.0; order],
        }
    }

    fn row(&self, j: usize) -> &[f64] {
        let n = self.image.len();
        &self.matrix[j * n..][..n]
    }

    /// The product of B with the vector `steps`.
    fn times(&self, steps: &[f64]) -> Vec<f64> {
        (0..steps.len()).map(|i| dot(self.row(i), steps)).collect()
    }
}

impl Hessian for Elements<'_> {
    fn curvature(&self, j: usize) -> f64 {
        self.matrix[j * (self.image.len() + 1)]
    }

    /// By Gershgorin's theorem.
    fn largest(&self, coordinates: &[usize]) -> f64 {
        let row = |&i: &usize| {
            coordinates
                .iter()
                .map(|&j| self.row(i)[j].abs())
                .sum::<f64>()
        };
        coordinates.iter().map(row).fold(0.0, f64::max)
    }

    fn product(&self, j: usize) -> f64 {
        self.image[j]
    }

    fn add(&mut self, j: usize, step: f64) {
        let n = self.image.len();
        add_multiple(&mut self.image, step, &self.matrix[j * n..][..n]);
    }

    fn exact_step(
        &mut self,
        quadratic: &Quadratic<'_>,
        u: &mut [f64],
        free_steps: usize,
        job: &mut Job<'_>,
    ) -> Result<(), Error> {
        quadratic.exact_step(self, u, free_steps, job)
    }
}

/// `q(u) = g·(u − x) + ½ (u − x)ᵀ B (u − x) + Σ_j l1_j |u_j|`, for u within bounds. If coordinates are grouped, the
/// norms of the groups take the place of the |u_j|.
pub(super) struct Quadratic<'a> {
    /// g
    pub gradient: &'a [f64],
    /// l1 and bounds of each coordinate.
    pub kinks: &'a AllKinks,
    /// x, which is within the bounds.
    pub start: &'a [f64],
}

impl Quadratic<'_> {
    /// Minimises q and returns u. The descent ends once a sweep lowers q by less than `forcing` times the decrease by
    /// all sweeps so far. A coordinate stays where it is if its diagonal element of B is zero. `hessian` must be B
    /// before any step is added, that is, with u = x.
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`] by the monitor.
    pub(super) fn minimum<H: Hessian>(
        &self,
        hessian: &mut H,
        forcing: f64,
        job: &mut Job<'_>,
    ) -> Result<Vec<f64>, Error> {
        let mut u = self.start.to_vec();
        let mut total = 0.0;
        let mut free_steps = 1;
        for _ in 0..ROUNDS {
            job.poll()?;
            if self.sweeps(&mut u, hessian, &mut total, forcing) {
                break;
            }
            hessian.exact_step(self, &mut u, free_steps, job)?;
            free_steps = (2 * free_steps).min(FREE_STEPS);
        }
        Ok(u)
    }

    /// Makes sweeps over all coordinates. In between, makes sweeps over the coordinates that are neither at a bound
    /// nor, with l1, at 0. Returns whether the descent has ended.
    fn sweeps<H: Hessian>(
        &self,
        u: &mut [f64],
        hessian: &mut H,
        total: &mut f64,
        forcing: f64,
    ) -> bool {
        let all = self.kinks.blocks();
        let mut active = all.clone();
        let mut is_full = true;
        for _ in 0..SWEEPS {
            let decrease = self.sweep(u, hessian, if is_full { &all } else { &active });
            *total += decrease;
            let is_small = decrease <= forcing * *total;
            if is_full && is_small {
                return true;
            }
            if is_full {
                active.clear();
                active.extend(all.iter().filter(|&&j| self.is_active(u, j)));
            }
            is_full = !is_full && is_small;
        }
        false
    }

    fn is_active(&self, u: &[f64], j: usize) -> bool {
        !self.kinks.are_at(u, j)
    }

    /// Minimises q along each of `coordinates`, one after the other. For a coordinate in a group, lowers q over the
    /// whole group instead. Returns a number that is at most the decrease of q.
    fn sweep<H: Hessian>(&self, u: &mut [f64], hessian: &mut H, coordinates: &[usize]) -> f64 {
        let mut decrease = 0.0;
        for &j in coordinates {
            if let (Some(groups), Some(group)) = (self.kinks.groups(), self.kinks.group_of(j)) {
                decrease += self.group_step(groups, group, u, hessian);
                continue;
            }
            let (h, kinks, from) = (hessian.curvature(j), self.kinks.of(j), u[j]);
            if h <= 0.0 || h.is_nan() {
                continue;
            }
            let slope = self.gradient[j] + hessian.product(j);
            let next = kinks.proximal(from - slope / h, h);
            let step = next - from;
            if step != 0.0 {
                decrease -=
                    slope * step + 0.5 * h * step * step + kinks.l1 * (next.abs() - from.abs());
                u[j] = next;
                hessian.add(j, step);
            }
        }
        decrease
    }

    /// Moves the coordinates of a group to the minimum of a function that is nowhere below q. The function is q with
    /// the group's part of B replaced by h times the identity, where h is an upper bound on the eigenvalues of this
    /// part. Returns a number that is at most the decrease of q.
    fn group_step<H: Hessian>(
        &self,
        groups: &Groups,
        group: usize,
        u: &mut [f64],
        hessian: &mut H,
    ) -> f64 {
        let places: Vec<usize> = groups.places(group).collect();
        let (h, l1) = (hessian.largest(&places), self.kinks.strength(group));
        if h <= 0.0 || h.is_nan() {
            return 0.0;
        }
        let from = groups.gather(u, group);
        let slopes: Vec<f64> = (places.iter())
            .map(|&at| self.gradient[at] + hessian.product(at))
            .collect();
        let mut wanted = from.clone();
        add_multiple(&mut wanted, -1.0 / h, &slopes);
        let next = proximal_of_group(&wanted, l1, h);
        let step: Vec<f64> = next.iter().zip(&from).map(|(u, x)| u - x).collect();
        for ((&at, next), step) in places.iter().zip(&next).zip(&step) {
            if *step != 0.0 {
                u[at] = *next;
                hessian.add(at, *step);
            }
        }
        -(dot(&slopes, &step) + 0.5 * h * dot(&step, &step) + l1 * change_of_norm(&next, &from))
    }

    /// q(u) − q(x) + Σ l1_j |x_j|
    fn value(&self, u: &[f64], image: &[f64]) -> f64 {
        let steps = u.iter().zip(self.start).map(|(u, x)| u - x);
        let slopes = self.gradient.iter().zip(image).map(|(g, b)| g + 0.5 * b);
        let smooth: f64 = steps.zip(slopes).map(|(d, g)| d * g).sum();
        smooth + self.kinks.value(u)
    }

    /// The Newton step of the free coordinates: those neither at a bound nor, with l1, at 0. Without groups, the step
    /// leads to the minimum of q with each |u_j| replaced by ±u_j, with the sign that u_j has now. Returns the free
    /// coordinates with their steps. `None` if no coordinate is free, or if the step is not finite.
    fn newton_step(
        &self,
        hessian: &Elements<'_>,
        u: &[f64],
        job: &mut Job<'_>,
    ) -> Result<Option<Vec<(usize, f64)>>, Error> {
        let n = self.start.len();
        let may_move = |j: &usize| self.is_active(u, *j) && hessian.curvature(*j) > 0.0;
        let active: Vec<usize> = (0..n).filter(may_move).collect();
        if active.is_empty() {
            return Ok(None);
        }
        let scale: Vec<f64> = (active.iter())
            .map(|&j| 1.0 / hessian.curvature(j).sqrt())
            .collect();
        let size = active.len();
        let mut matrix = vec![0.0; size * size];
        for (a, &i) in active.iter().enumerate() {
            for (b, &j) in active[..=a].iter().enumerate() {
                let element = hessian.row(i)[j] + self.curvature_of_norm(u, i, j);
                matrix[a * size + b] = element * scale[a] * scale[b];
            }
        }
        let factor = Cholesky::new(matrix, &vec![LEFT; size], job)?;
        let least = self.least_slopes(u, &hessian.image);
        let pairs = active.iter().zip(&scale);
        let mut step: Vec<f64> = pairs.map(|(&j, scale)| -least[j] * scale).collect();
        for (a, step) in step.iter_mut().enumerate() {
            if factor.is_left_out(a) {
                *step = 0.0;
            }
        }
        factor.solve(&mut step);
        for (a, (step, scale)) in step.iter_mut().zip(&scale).enumerate() {
            *step *= if factor.is_left_out(a) { 0.0 } else { *scale };
        }
        let is_finite = step.iter().all(|s| s.is_finite());
        Ok(is_finite.then(|| active.into_iter().zip(step).collect()))
    }

    /// The smallest subgradient of q at u, where `image` is B (u − x).
    fn least_slopes(&self, u: &[f64], image: &[f64]) -> Vec<f64> {
        let slopes = self.gradient.iter().zip(image);
        let slopes: Vec<f64> = slopes.map(|(g, b)| g + b).collect();
        self.kinks.least_slopes(u, &slopes)
    }

    /// Makes Newton steps, as long as each step at least halves the norm of the smallest subgradient of q. Used if
    /// coordinates are grouped: a single Newton step does not reach the minimum then.
    fn newton_steps(
        &self,
        hessian: &mut Elements<'_>,
        u: &mut [f64],
        job: &mut Job<'_>,
    ) -> Result<(), Error> {
        let mut steepness = norm(&self.least_slopes(u, &hessian.image));
        for _ in 0..NEWTON_STEPS {
            let Some(step) = self.newton_step(hessian, u, job)? else {
                break;
            };
            let mut moved = u.to_vec();
            step.iter().for_each(|(j, step)| moved[*j] += step);
            let image = hessian.times(&self.steps(&moved));
            let left = norm(&self.least_slopes(&moved, &image));
            if left.is_nan() || left > 0.5 * steepness {
                break;
            }
            steepness = left;
            u.copy_from_slice(&moved);
            hessian.image = image;
        }
        Ok(())
    }

    /// Moves the free coordinates (those neither at a bound nor, with l1, at 0) by [`Quadratic::step_of_free`], until a
    /// step stops no coordinate, or `free_steps` steps are made. A coordinate that is stopped is not free in the next
    /// step.
    fn exact_step(
        &self,
        hessian: &mut Elements<'_>,
        u: &mut [f64],
        free_steps: usize,
        job: &mut Job<'_>,
    ) -> Result<(), Error> {
        if self.kinks.groups().is_some() {
            return self.newton_steps(hessian, u, job);
        }
        for _ in 0..free_steps {
            job.poll()?;
            if !self.step_of_free(hessian, u, job)? {
                break;
            }
        }
        Ok(())
    }

    /// Moves all free coordinates by the step of [`Quadratic::newton_step`]. Coordinates that would change sign or leave
    /// their bounds are stopped: they are set to 0 or to the bound. If that does not lower q, the step is shortened: it
    /// ends where the first coordinate is stopped. If that does not lower q either, nothing moves. Returns whether
    /// coordinates have been stopped.
    fn step_of_free(
        &self,
        hessian: &mut Elements<'_>,
        u: &mut [f64],
        job: &mut Job<'_>,
    ) -> Result<bool, Error> {
        let Some(step) = self.newton_step(hessian, u, job)? else {
            return Ok(false);
        };
        let (active, step): (Vec<usize>, Vec<f64>) = step.into_iter().unzip();
        let first = |(&j, step): (&usize, &f64)| self.kinks.of(j).first(u[j], u[j] + step);
        let stops = |(j, step): (&usize, &f64)| first((j, step)) != u[*j] + step;
        let until = |(j, step): (&usize, &f64)| (first((j, step)) - u[*j]) / step;
        let shortest = (active.iter().zip(&step))
            .filter(|pair| stops(*pair))
            .map(until)
            .fold(1.0, f64::min);
        let is_stopping = active.iter().zip(&step).any(stops);
        let here = self.value(u, &hessian.image);
        let (mut projected, mut shortened) = (u.to_vec(), u.to_vec());
        for (j, step) in active.iter().zip(&step) {
            projected[*j] = first((j, step));
            let is_first = stops((j, step)) && until((j, step)) <= shortest;
            shortened[*j] = match is_first {
                true => first((j, step)),
                false => u[*j] + shortest * step,
            };
        }
        for moved in [projected, shortened] {
            let image = hessian.times(&self.steps(&moved));
            if self.value(&moved, &image) < here {
                u.copy_from_slice(&moved);
                hessian.image = image;
                return Ok(is_stopping);
            }
            if !is_stopping {
                break;
            }
        }
        Ok(false)
    }

    /// The second derivative by the coordinates i and j of l1 ‖u_g‖, if both coordinates are in the group g; 0 if they
    /// are not in the same group.
    fn curvature_of_norm(&self, u: &[f64], i: usize, j: usize) -> f64 {
        let (Some(groups), Some(group)) = (self.kinks.groups(), self.kinks.group_of(i)) else {
            return 0.0;
        };
        if self.kinks.group_of(j) != Some(group) {
            return 0.0;
        }
        let length = norm(&groups.gather(u, group));
        let own = if i == j { 1.0 } else { 0.0 };
        self.kinks.strength(group) * (own - (u[i] / length) * (u[j] / length)) / length
    }

    /// u − x
    fn steps(&self, u: &[f64]) -> Vec<f64> {
        u.iter().zip(self.start).map(|(u, x)| u - x).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::kinks::Kinks;
    use crate::reduce::{Threads, Unmonitored};
    use crate::shuffle::Random;

    /// At the minimum, the smallest subgradient along every coordinate is 0.
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
                let all = AllKinks::new(kinks.clone(), None);
                let quadratic = Quadratic {
                    gradient: &gradient,
                    kinks: &all,
                    start: &start,
                };
                let mut elements = Elements::new(&hessian, n);
                let u = quadratic.minimum(&mut elements, 1e-15, &mut job).unwrap();
                let image = elements.times(&quadratic.steps(&u));
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
