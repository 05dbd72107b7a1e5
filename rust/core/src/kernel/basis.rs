//! A linear transform of the columns of `X`. The transformed columns x̃ are near zero and not nearly collinear. Solvers
//! work with them, to keep digits that would cancel in the original columns.
//!
//! `x̃_j = (x_j − origin_j) / unit_j`, where the origin is near the column's mean and the unit is a power of two near
//! its spread. If a column is nearly a linear combination of the columns before it, the combination is subtracted:
//! `x̃_j −= Σ_{k<j} t_jk x̃_k`. Weights w̃ and a bias b̃ of the transformed columns correspond to weights w and a bias
//! b of the original columns, with the same scores:
//!
//! ```text
//! x · w + b = x̃ · w̃ + b̃          for w, b = basis.to_natural(w̃, b̃)
//! ```
//!
//! Any origins, units and combinations give correct results; good ones give accurate results. (The condition number of
//! a Gram matrix is the square of the condition number of its columns. A Gram matrix of the original columns may
//! therefore lose all digits.)

use serde::{Deserialize, Serialize};

use super::dataset::{Dataset, rows_of};
use super::each_row::gather;
use super::subset::stratified;
use super::twofold::Twofold;
use crate::features::Features;
use crate::sparse::with_rows;

/// How many rows are sampled to choose origins and units.
const SAMPLED: usize = 64;
const SEED: u64 = 0x0B15;
/// A solver improves its basis in rounds, each of which adds coefficients to linear combinations. A round adds a
/// coefficient only if its term (coefficient × size of its column) is at least this fraction of the largest term. The
/// other coefficients are left to a later round.
const MATTERS: f64 = 1e-3;
/// The origin of a sparse column is its mean if all sampled rows store the column and |mean| is at least this many
/// times the column's spread, the largest distance of a sampled element from the mean. Otherwise the origin is zero.
const FAR: f64 = 4.0;

/// A linear transform of the columns: the origin and unit of each column, and the linear combinations that are
/// subtracted from columns.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Basis {
    origin: Vec<f64>,
    /// The reciprocal of each column's unit, a power of two.
    per_unit: Vec<f64>,
    /// The combinations, in ascending order of the columns from which they are subtracted.
    combinations: Vec<Combination>,
    /// Root mean square of (x_j − origin_j) / unit_j for each column j, estimated from the sampled rows.
    spread: Vec<f64>,
    /// Columns whose units are not known yet: in the sampled rows, all elements of the column equal its origin, or some
    /// element is not finite.
    unknown: Vec<usize>,
    /// Whether the transform is the identity.
    is_natural: bool,
    /// The largest unit that a column may have. The smallest unit is the reciprocal of the largest.
    largest_unit: f64,
}

/// The largest unit that a column may have. With a penalty, squares of units must be finite too.
fn largest_unit(is_penalised: bool) -> f64 {
    if is_penalised { 1e100 } else { 1e300 }
}

/// A linear combination of the columns before `column`, which is subtracted from `column`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Combination {
    column: usize,
    /// The coefficients of the combination: one for each column before `column`.
    coefficients: Vec<f64>,
}

impl Basis {
    /// The identity: origins 0, units 1, no combinations.
    pub(crate) fn natural(columns: usize) -> Self {
        Basis {
            is_natural: true,
            ..Basis::new(vec![0.0; columns], vec![1.0; columns])
        }
    }

    /// The transform (x_j − origin_j) · per_unit_j, without linear combinations. The numbers in `per_unit` must be
    /// powers of two.
    pub(crate) fn new(origin: Vec<f64>, per_unit: Vec<f64>) -> Self {
        Basis {
            origin,
            spread: vec![1.0; per_unit.len()],
            per_unit,
            combinations: Vec::new(),
            unknown: Vec::new(),
            largest_unit: 1.0,
            is_natural: false,
        }
    }

    /// A transform with origins and units estimated from a sample of the rows. Without a bias, all origins are zero,
    /// because only a bias could compensate for other origins. If all sampled elements of a column equal its origin,
    /// its unit is not known, and is 1 for the time being.
    pub(crate) fn sampled(dataset: &Dataset<'_>, fit_bias: bool, is_penalised: bool) -> Self {
        let drawn = Basis::drawn(dataset);
        let columns = dataset.x.columns();
        match dataset.x {
            Features::Dense(_) => {
                let rows = gather(dataset, &drawn);
                Basis::of_dense_rows(columns, &rows, fit_bias, is_penalised)
            }
            Features::Sparse(x) => {
                let (mut parts, mut stored) = (Vec::new(), Vec::new());
                with_rows!(&x, dataset.rows, rows => for &i in &drawn {
                    rows.visit(i, &mut parts, |j, x| stored.push((j, x)));
                });
                let stored = stored.iter().copied().filter(|&(j, _)| j < columns);
                let largest = largest_unit(is_penalised);
                Basis::of_rows(columns, drawn.len(), fit_bias, largest, true, stored)
            }
        }
    }

    /// The numbers of the rows that [`Basis::sampled`] samples. Rows of weight 0 are left out. X is not read.
    pub(crate) fn drawn(dataset: &Dataset<'_>) -> Vec<usize> {
        let rows = rows_of(dataset);
        let mut drawn = stratified(rows, rows.min(SAMPLED), SEED);
        if let Some(s) = dataset.sample_weight {
            drawn.retain(|&i| s.get::<f64>(dataset.rows.at(i)) != 0.0);
        }
        drawn
    }

    /// The transform that [`Basis::sampled`] makes, from a dense copy of the sampled rows: `rows`, one row after the
    /// other.
    pub(crate) fn of_dense_rows(
        columns: usize,
        rows: &[f64],
        fit_bias: bool,
        is_penalised: bool,
    ) -> Self {
        /// The number of columns whose [`Sketch`]es are made at a time: so few that the sketches stay in the
        /// first-level cache.
        const BLOCK: usize = 512;
        let rows = rows.chunks_exact(columns);
        let stored = (0..columns).step_by(BLOCK).flat_map(|left| {
            let right = columns.min(left + BLOCK);
            let blocks = rows.clone().map(move |row| &row[left..right]);
            blocks.flat_map(move |block| (left..).zip(block.iter().copied()))
        });
        let largest = largest_unit(is_penalised);
        Basis::of_rows(columns, rows.len(), fit_bias, largest, false, stored)
    }

    /// The transform from a sample of `rows` rows. `stored` gives the column and value of every element that these rows
    /// store.
    fn of_rows(
        columns: usize,
        rows: usize,
        fit_bias: bool,
        largest_unit: f64,
        is_sparse: bool,
        stored: impl Iterator<Item = (usize, f64)> + Clone,
    ) -> Self {
        let mut sketches = vec![Sketch::default(); columns];
        stored.clone().for_each(|(j, x)| sketches[j].add(x));
        let coordinates = |sketch: &Sketch| {
            let mean = sketch.mean();
            let spread = sketch.spread(mean);
            let is_whole = sketch.rows == rows;
            let is_far = is_whole && (!is_sparse || mean.abs() >= FAR * spread);
            let origin = if fit_bias && is_far && mean.is_finite() {
                mean
            } else {
                0.0
            };
            let spread = sketch.spread(origin);
            let is_usable = spread > 0.0 && spread.is_finite();
            let per_unit = is_usable.then(|| 1.0 / unit(spread, largest_unit));
            (origin, per_unit)
        };
        let (origin, per_unit): (_, Vec<Option<f64>>) = sketches.iter().map(coordinates).unzip();
        let unknown = (0..columns).filter(|&j| per_unit[j].is_none()).collect();
        let per_unit = per_unit
            .iter()
            .map(|per_unit| per_unit.unwrap_or(1.0))
            .collect();
        let mut basis = Basis {
            unknown,
            largest_unit,
            spread: vec![0.0; columns],
            ..Basis::new(origin, per_unit)
        };
        stored.for_each(|(j, x)| {
            let distance = (x - basis.origin[j]) * basis.per_unit[j];
            basis.spread[j] += distance * distance;
        });
        let count = rows.max(1) as f64;
        basis
            .spread
            .iter_mut()
            .for_each(|spread| *spread = (*spread / count).sqrt());
        basis.unknown.iter().for_each(|&j| basis.spread[j] = 1.0);
        basis
    }

    /// Root mean square of each transformed column x̃_j: √(`squares[j] / total`), where `squares[j]` is Σ s_i x̃_ij²
    /// and `total` is Σ s_i. For a column from which a combination is subtracted, the result is `spread` instead: an
    /// estimate from the sampled rows, before the combination is subtracted.
    pub(crate) fn spreads(&self, squares: &[f64], total: f64) -> Vec<f64> {
        let known = squares.iter().map(|square| (square / total).sqrt());
        let mut spreads: Vec<f64> = known.collect();
        for (j, _) in self.combinations() {
            spreads[j] = self.spread[j];
        }
        spreads
    }

    /// The transformed column x̃_j, with j = `column`, is a weighted sum of original columns. Returns an upper bound on
    /// the sum of the root mean squares of the terms of this sum. If the terms cancel, the bound is much larger than
    /// the root mean square of x̃_j itself.
    pub(crate) fn reach(&self, column: usize, spreads: &[f64]) -> f64 {
        let size = |k: usize| spreads[k] + (self.origin[k] * self.per_unit[k]).abs();
        if !self.combinations.iter().any(|c| c.column == column) {
            return size(column);
        }
        let weights = self.natural_weights(column);
        let terms = weights.iter().zip(&self.per_unit).enumerate();
        terms
            .map(|(k, (w, per_unit))| (w / per_unit).abs() * size(k))
            .sum()
    }

    pub(crate) fn columns(&self) -> usize {
        self.origin.len()
    }

    pub(crate) fn origin(&self) -> &[f64] {
        &self.origin
    }

    pub(crate) fn per_unit(&self) -> &[f64] {
        &self.per_unit
    }

    /// Whether the transform is the identity.
    pub(crate) fn is_natural(&self) -> bool {
        self.is_natural
    }

    /// Whether all origins are zero and no square of a unit overflows or underflows.
    pub(crate) fn is_moderate(&self) -> bool {
        let is_moderate = |per_unit: &f64| (1e-60..1e60).contains(per_unit);
        self.origin.iter().all(|&origin| origin == 0.0) && self.per_unit.iter().all(is_moderate)
    }

    /// Whether a combination is subtracted from some column.
    pub(crate) fn is_combined(&self) -> bool {
        !self.combinations.is_empty()
    }

    /// The columns from which combinations are subtracted, each with the coefficients of the columns before it.
    pub(crate) fn combinations(&self) -> impl Iterator<Item = (usize, &[f64])> {
        self.combinations
            .iter()
            .map(|c| (c.column, c.coefficients.as_slice()))
    }

    /// Sets the coefficients of `columns` to zero in all combinations. Returns whether any of these coefficients was
    /// not zero.
    pub(crate) fn leave_alone(&mut self, columns: &[usize]) -> bool {
        let mut were_used = false;
        for c in &mut self.combinations {
            for &k in columns.iter().take_while(|&&k| k < c.column) {
                were_used |= c.coefficients[k] != 0.0;
                c.coefficients[k] = 0.0;
            }
        }
        were_used
    }

    /// A copy of this basis with only the combinations that are subtracted from columns marked in `is_kept`. Columns
    /// that these combinations use are marked in `is_kept`, too, and keep their own combinations.
    pub(crate) fn only(&self, is_kept: &mut [bool]) -> Self {
        let mut combinations = Vec::new();
        for c in self.combinations.iter().rev() {
            if is_kept[c.column] {
                let terms = is_kept.iter_mut().zip(&c.coefficients);
                terms.for_each(|(is_kept, t)| *is_kept |= *t != 0.0);
                combinations.push(c.clone());
            }
        }
        combinations.reverse();
        Basis {
            combinations,
            ..self.clone()
        }
    }

    /// Whether the unit of some column is not known yet.
    pub(crate) fn has_unknown_units(&self) -> bool {
        !self.unknown.is_empty()
    }

    /// Sets the units that are not known yet. `spread(column, origin)` must return the largest distance of an element
    /// of the column from the origin, over all rows.
    pub(crate) fn set_unknown_units(&mut self, spread: impl Fn(usize, f64) -> f64) {
        for j in std::mem::take(&mut self.unknown) {
            let spread = spread(j, self.origin[j]);
            if spread > 0.0 && spread.is_finite() {
                self.per_unit[j] = 1.0 / unit(spread, self.largest_unit);
            }
        }
    }

    /// Weights w of the original columns. For every row x, `x · w` is the element of the transformed column `column`
    /// plus a number that is the same for all rows.
    pub(crate) fn natural_weights(&self, column: usize) -> Vec<f64> {
        let mut weights = vec![0.0; self.columns()];
        weights[column] = 1.0;
        self.to_natural(&mut weights);
        weights
    }

    /// Moves a column's origin by `by` times the column's unit.
    pub(crate) fn move_origin(&mut self, column: usize, by: f64) {
        self.origin[column] += by / self.per_unit[column];
    }

    /// Subtracts one more linear combination of the columns before `column` from `column`. `size` has the size of each
    /// of these columns. Only coefficients with large terms (coefficient × size) are used. The other coefficients are
    /// left to a later call, which finds them more accurately. Coefficients are rounded to half their digits. A
    /// coefficient that is 1 but for rounding errors then becomes 1, and the difference of two equal columns becomes
    /// exactly zero.
    pub(crate) fn take_out(&mut self, column: usize, coefficients: &[f64], size: &[f64]) {
        let part = |(t, size): (&f64, &f64)| (t * size).abs();
        let largest = coefficients.iter().zip(size).map(part).fold(0.0, f64::max);
        let kept = |pair: (&f64, &f64)| match part(pair) >= MATTERS * largest {
            true => rounded(*pair.0),
            false => 0.0,
        };
        let coefficients: Vec<f64> = coefficients.iter().zip(size).map(kept).collect();
        match self
            .combinations
            .binary_search_by_key(&column, |c| c.column)
        {
            Ok(at) => {
                let known = self.combinations[at].coefficients.iter_mut();
                known.zip(&coefficients).for_each(|(t, more)| *t += more);
            }
            Err(at) => self.combinations.insert(
                at,
                Combination {
                    column,
                    coefficients,
                },
            ),
        }
    }

    /// Transforms a row `x` in place. If combinations are subtracted, the result is as if computed exactly and then
    /// rounded once. `low` is scratch memory of the same length as `x`.
    #[inline(always)]
    pub(crate) fn enter(&self, x: &mut [f64], low: &mut [f64]) {
        let coordinates = self.origin.iter().zip(&self.per_unit);
        if self.combinations.is_empty() {
            for (x, (origin, per_unit)) in x.iter_mut().zip(coordinates) {
                *x = (*x - origin) * per_unit;
            }
            return;
        }
        for ((x, low), (origin, per_unit)) in x.iter_mut().zip(&mut *low).zip(coordinates) {
            let mut difference = Twofold::new(*x);
            difference.add(-origin);
            let (high, rest) = difference.parts();
            (*x, *low) = (high * per_unit, rest * per_unit);
        }
        // `x` may hold only the first columns: a combination uses only columns before its own.
        let columns = x.len();
        for c in self.combinations.iter().filter(|c| c.column < columns) {
            let mut sum = Twofold::new(x[c.column]);
            sum.add_low(low[c.column]);
            for (k, &t) in c
                .coefficients
                .iter()
                .enumerate()
                .filter(|(_, t)| **t != 0.0)
            {
                sum.add_product(-t, x[k]);
                sum.add_low(-t * low[k]);
            }
            (x[c.column], low[c.column]) = sum.parts();
        }
    }

    /// Converts a gradient by the weights of the original columns to a gradient by the weights of the transformed
    /// columns, in place. `by_bias` is the derivative by the bias.
    pub(crate) fn gradient(&self, natural: &mut [f64], by_bias: f64) {
        let coordinates = self.origin.iter().zip(&self.per_unit);
        for (g, (origin, per_unit)) in natural.iter_mut().zip(coordinates) {
            *g = (*g - origin * by_bias) * per_unit;
        }
        for c in &self.combinations {
            let (before, rest) = natural.split_at_mut(c.column);
            rest[0] -= dot(&c.coefficients, before);
        }
    }

    /// Converts a gradient by the weights of the transformed columns to a gradient by the weights of the original
    /// columns. `by_bias` is the derivative by the bias.
    pub(crate) fn natural_gradient(&self, gradient: &[f64], by_bias: f64) -> Vec<f64> {
        let mut natural = gradient.to_vec();
        for c in &self.combinations {
            natural[c.column] += dot(&c.coefficients, &gradient[..c.column]);
        }
        let coordinates = self.origin.iter().zip(&self.per_unit);
        for (g, (origin, per_unit)) in natural.iter_mut().zip(coordinates) {
            *g = *g / per_unit + origin * by_bias;
        }
        natural
    }

    /// Writes out_j = |x_j| + Σ_k |t_jk| · out_k to `out` for each column j. If x is a gradient by the weights w̃, x_j
    /// is a sum whose terms may cancel, and out_j bounds the magnitudes of these terms. Bounds on rounding errors
    /// follow from out_j.
    pub(crate) fn magnitudes(&self, x: &[f64], out: &mut [f64]) {
        for (out, x) in out.iter_mut().zip(x) {
            *out = x.abs();
        }
        for c in &self.combinations {
            let terms = c.coefficients.iter().zip(&*out);
            let sum: f64 = terms.map(|(t, x)| t.abs() * x).sum();
            out[c.column] += sum;
        }
    }

    /// Converts weights of the transformed columns to weights of the original columns, in place. Returns the number
    /// that must be added to the bias, so that scores stay the same.
    pub(crate) fn to_natural(&self, weights: &mut [f64]) -> f64 {
        for c in self.combinations.iter().rev() {
            let (before, rest) = weights.split_at_mut(c.column);
            let w = rest[0];
            if w != 0.0 {
                let pairs = before.iter_mut().zip(&c.coefficients);
                pairs.for_each(|(before, t)| *before -= t * w);
            }
        }
        for (w, per_unit) in weights.iter_mut().zip(&self.per_unit) {
            *w *= per_unit;
        }
        -dot(&self.origin, weights)
    }

    /// Converts weights of the original columns to weights of the transformed columns, in place. Returns the number
    /// that must be added to the bias, so that scores stay the same.
    pub(crate) fn to_coordinates(&self, weights: &mut [f64]) -> f64 {
        let shift = dot(&self.origin, weights);
        for (w, per_unit) in weights.iter_mut().zip(&self.per_unit) {
            *w /= per_unit;
        }
        // Combinations are applied in ascending order of their columns. Each uses the weight of the column from which
        // it is subtracted. Combinations of later columns change this weight, so that they must be applied later.
        for c in &self.combinations {
            let (before, rest) = weights.split_at_mut(c.column);
            let w = rest[0];
            if w != 0.0 {
                let pairs = before.iter_mut().zip(&c.coefficients);
                pairs.for_each(|(before, t)| *before += t * w);
            }
        }
        shift
    }
}

/// A summary of the elements of one column that the sampled rows store.
#[derive(Clone, Copy, Default)]
struct Sketch {
    /// The number of sampled rows that store the column.
    rows: usize,
    first: f64,
    /// Σ (x − first), where `first` is the first element.
    sum: f64,
    least: f64,
    largest: f64,
}

impl Sketch {
    fn add(&mut self, x: f64) {
        if self.rows == 0 {
            (self.first, self.least, self.largest) = (x, x, x);
        }
        self.rows += 1;
        self.sum += x - self.first;
        self.least = self.least.min(x);
        self.largest = self.largest.max(x);
    }

    fn mean(&self) -> f64 {
        self.first + self.sum / self.rows.max(1) as f64
    }

    /// The largest distance of a stored element from `origin`.
    fn spread(&self, origin: f64) -> f64 {
        (self.largest - origin).max(origin - self.least)
    }
}

/// Rounds a number to half its significant bits.
fn rounded(x: f64) -> f64 {
    const HALF: u64 = 1 << 26;
    let bits = x.to_bits();
    f64::from_bits((bits + HALF / 2) & !(HALF - 1))
}

/// The largest power of two that is at most `x` > 0. `x` is first clamped to 1 / `largest` … `largest`.
fn unit(x: f64, largest: f64) -> f64 {
    const EXPONENT: u64 = 0x7FF0_0000_0000_0000;
    f64::from_bits(x.clamp(1.0 / largest, largest).to_bits() & EXPONENT)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    let terms = a.iter().zip(b);
    terms
        .map(|(a, b)| if *a == 0.0 { 0.0 } else { a * b })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three columns near 1e9, 3 and 1e9. The last is nearly the sum of the others.
    fn combined() -> Basis {
        let mut basis = Basis::new(vec![1e9, 3.0, 1e9 + 3.0], vec![0.5, 2.0, 0.25]);
        basis.take_out(2, &[0.5, 0.125], &[1.0, 4.0]);
        basis
    }

    #[test]
    fn a_row_enters_as_if_computed_exactly() {
        let basis = combined();
        let low_bits = f64::powi(2.0, -20);
        // With x = (1e9 + a, 3 + b, 1e9 + 3 + a + b + e), the last column minus the combination is e / 4.
        for (a, b, e) in [(8.0, 0.75, low_bits), (-3.5, -1.0, 3.0 * low_bits)] {
            let mut x = [1e9 + a, 3.0 + b, (1e9 + 3.0 + a + b) + e];
            basis.enter(&mut x, &mut [0.0; 3]);
            assert_eq!(x, [a / 2.0, b * 2.0, e / 4.0]);
        }
    }

    #[test]
    fn scores_and_gradients_go_over() {
        let basis = combined();
        let (w, b) = ([2.0, -0.25, 1.5], 0.5);
        let mut natural = w.to_vec();
        let shift = basis.to_natural(&mut natural);
        let (row, mut entered) = ([1e9 + 6.0, 4.0, 1e9 + 1.0], [1e9 + 6.0, 4.0, 1e9 + 1.0]);
        basis.enter(&mut entered, &mut [0.0; 3]);
        assert_eq!(dot(&row, &natural) + (b + shift), dot(&entered, &w) + b);
        let mut back = natural.clone();
        let to = basis.to_coordinates(&mut back);
        assert_eq!((back.as_slice(), to), (w.as_slice(), -shift));

        // The gradient of the score is the row itself by the weights, and 1 by the bias.
        let mut gradient = row.to_vec();
        basis.gradient(&mut gradient, 1.0);
        assert_eq!(gradient, entered);
        assert_eq!(basis.natural_gradient(&gradient, 1.0), row);
    }

    #[test]
    fn equal_columns_leave_nothing() {
        let mut basis = Basis::new(vec![0.1, 0.1], vec![1.0, 1.0]);
        basis.take_out(1, &[1.0 + 1e-12], &[1.0]);
        let mut x = [0.7, 0.7];
        basis.enter(&mut x, &mut [0.0; 2]);
        assert_eq!(x[1], 0.0);
    }
}
