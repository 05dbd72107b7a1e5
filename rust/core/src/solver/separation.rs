//! Searches for a hyperplane that separates the labels. If there is one, the loss without penalty falls for ever along
//! its normal and has no minimum.
//!
//! Each pair of a row x and a class other than its label gives a vector `a`. With two classes, `a` is (x, 1) for label
//! 1 and −(x, 1) for label 0. With more classes, `a` has (x, 1) at the weights and bias of the label, and −(x, 1) at
//! the weights and bias of the other class. A direction d separates the labels if `a · d ≥ 0` for all pairs and `> 0`
//! for some. By Farkas's lemma, there is no such d if −Σ a is in the cone of all Σ μ a with μ ≥ 0. Otherwise d = p + Σ
//! a separates, where p is the point of the cone nearest to −Σ a. So a least-squares problem with non-negative
//! coefficients decides. It is first solved for few pairs, which gives a direction d. The pairs with `a · d < 0` are
//! added and the problem is solved again, until there are no such pairs.
//!
//! Before a direction is reported, it is proved to separate the labels. Pairs whose margin `a · d` exceeds the rounding
//! errors are on the right side. The other pairs, called active, must be exactly orthogonal to some direction near d.
//! Such a direction exists if the exact rank of the vectors of the active pairs, computed modulo a large prime, is
//! small enough.
//!
//! Source: A. Albert & J. Anderson, "On the existence of maximum likelihood estimates in logistic regression models",
//! Biometrika 71 (1984), doi:10.1093/biomet/71.1.1.

use std::sync::Arc;

use super::cone::Cone;
use super::dependence;
use super::modular::{Echelon, residue};
use super::objective::Objective;
use super::run::{Direction, Run, Separation};
use super::split::{LARGEST_SEARCH, along_a_column};
use crate::error::Error;
use crate::kernel::{Pair, Sides, Standardised};
use crate::linalg::{add_multiple, dot, norm, normalise};

/// A pair (a row and a class other than its label) may lie on the hyperplane with normal d if its margin `a · d / ‖a‖`
/// is between −TIE and TIE. Such pairs are called active.
const TIE: f64 = 1e-12;
/// The least margin that proves that a pair is on the right side, for a direction that is orthogonal to the vectors of
/// the active pairs.
const CLEAR: f64 = 1e-13;
/// If the distance of the target −Σ a from the cone is at most this fraction of the target's length, the distance is
/// taken for rounding error, and the cone contains the target.
const NOTHING: f64 = 1e-13;
/// When an orthonormal basis of the vectors of the active pairs (the pairs that may lie on the hyperplane) is built,
/// the projection of each unit vector onto the vectors chosen before is subtracted from it. If the rest is shorter than
/// this, the basis is too inaccurate.
const DIGITS: f64 = 1e-7;
/// The search for a direction for which fewer pairs may lie on the hyperplane keeps the vectors of the active pairs in
/// memory. It is made only if these vectors have at most this many components in all.
const IN_MEMORY: usize = 1 << 24;
/// When a direction is changed so that fewer pairs may lie on its hyperplane, this many lengths of the change are
/// tried. Each length is a tenth of the length before.
const SHORTER: usize = 14;
/// How often a direction is made orthogonal to the vectors of the active pairs (the pairs that may lie on the
/// hyperplane) and then checked with all pairs, before the search gives up.
const ATTEMPTS: usize = 4;
/// A well-conditioned basis of the active pairs' vectors is chosen from linearly independent active pairs and about
/// this many other active pairs, spread over the rows.
const CANDIDATES: usize = 1024;
/// At most ROWS + ROWS_A_NUMBER · (number of components of a direction) pairs are added to the cone in one round.
const ROWS: usize = 32;
/// The factor in the limit described at [`ROWS`].
const ROWS_A_NUMBER: usize = 2;
/// The size of a component of a direction is its magnitude times the standard deviation of its column. A component is
/// taken for rounding error if its size is below this fraction of the largest size.
const COMPONENT: f64 = 1e-9;
/// A bias of a direction is taken for rounding error if it is below this fraction of the terms that cancel in it.
const BIAS: f64 = 1e-12;
/// A search may take at most this many times the passes that the fit has taken before the search.
const AS_LONG: f64 = 2.0;
/// A search may always take this many passes.
const PASSES: f64 = 64.0;
/// A search may read this many elements of X, which takes little time, even if that exceeds the limits of passes.
const CHEAP: f64 = 3e8;

/// Searches for a hyperplane that separates the labels. The search is made once per fit. In addition, each call checks
/// whether the parameters `v` themselves separate the labels.
///
/// # Errors
///
/// Those of [`find`].
pub(crate) fn search(
    objective: &Objective<'_>,
    v: &[f64],
    run: &mut Run<'_>,
) -> Result<Separation, Error> {
    if run.separation.is_none() {
        run.separation = Some(find(objective, run)?);
    }
    if !matches!(run.separation, Some(Separation::Found(_)))
        && let Some(direction) = strictly(objective, v, run)?
    {
        run.separation = Some(Separation::Found(direction));
    }
    Ok(run.separation.clone().unwrap_or(Separation::CutShort))
}

/// Searches for a single column that separates the labels. The search is made once per fit, and takes about one pass.
///
/// # Errors
///
/// Those of [`along_a_column`].
pub(crate) fn search_columns(
    objective: &Objective<'_>,
    run: &mut Run<'_>,
) -> Result<Separation, Error> {
    if run.separation.is_none() && !run.are_columns_searched {
        run.are_columns_searched = true;
        let found = along_a_column(objective, run)?;
        run.separation = found.map(Separation::Found);
    }
    Ok(run.separation.clone().unwrap_or(Separation::CutShort))
}

/// Searches for a direction that separates the labels: first along single columns, then among all directions.
///
/// # Errors
///
/// [`Error::Memory`]; [`Error::Interrupted`] by the observer.
fn find(objective: &Objective<'_>, run: &mut Run<'_>) -> Result<Separation, Error> {
    if let Some(direction) = along_a_column(objective, run)? {
        return Ok(Separation::Found(direction));
    }

    if objective.order() > LARGEST_SEARCH {
        return Ok(Separation::CutShort);
    }
    let Some(space) = Space::new(objective, run)? else {
        return Ok(Separation::CutShort);
    };
    let elements = objective.rows() as f64 * objective.order() as f64;
    let allowed = f64::max(PASSES, AS_LONG * run.passes).max(CHEAP / elements);
    let end = run.passes + allowed;
    match space.search(objective, end, run)? {
        Separation::Found(direction) => space
            .sparse(objective, direction, end, run)
            .map(Separation::Found),
        other => Ok(other),
    }
}

/// `v` divided by a power of two, if `v` predicts every label right by more than rounding errors. `None` if it does
/// not, or if `v` has nonzero weights for columns that are linear combinations of others.
///
/// # Errors
///
/// [`Error::Memory`] if the scores of all rows do not fit into memory; [`Error::Interrupted`] by the observer.
fn strictly(
    objective: &Objective<'_>,
    v: &[f64],
    run: &mut Run<'_>,
) -> Result<Option<Direction>, Error> {
    let scores = run.scores(objective, v)?;
    if !scores.predict_all_labels(&mut run.job())? {
        return Ok(None);
    }
    if objective.order() <= LARGEST_SEARCH {
        let weights = objective.split(v).0.chunks_exact(objective.columns());
        let dependent = dependence::dependent(objective, run)?;
        let uses = |w: &[f64]| dependent.iter().any(|&j| w[j] != 0.0);
        if weights.into_iter().any(uses) {
            return Ok(None);
        }
    }
    Ok(Some(in_units_of_two(v)))
}

/// `v` divided by a power of two, such that the largest magnitude is in [1, 2). The division is exact.
pub(super) fn in_units_of_two(v: &[f64]) -> Direction {
    let largest = v.iter().fold(0.0, |most: f64, d| most.max(d.abs()));
    let unit = f64::from_bits(largest.to_bits() & f64::INFINITY.to_bits());
    v.iter().map(|d| d / unit).collect()
}

/// The space that is searched: directions, with one coordinate for each standardised column and one for each bias.
struct Space(Standardised);

impl Space {
    /// Standardises the columns by their means and deviations over all rows; `None` if these cannot be computed.
    fn new(objective: &Objective<'_>, run: &mut Run<'_>) -> Result<Option<Self>, Error> {
        let Some(view) = dependence::of_all_rows(objective, run)? else {
            return Ok(None);
        };
        let (basis, mean, mut scale) = view.into_parts();
        let used: Vec<usize> = (0..mean.len()).filter(|&j| scale[j] > 0.0).collect();
        scale.push(if objective.fit_bias { 1.0 } else { 0.0 });
        let all = Space(Standardised {
            basis,
            mean,
            scale,
            classes: objective.classes,
        });
        Ok(Some(all.only(&used)))
    }

    /// The same space with directions along `columns` only, and along the columns that the basis subtracts from
    /// `columns`.
    fn only(&self, columns: &[usize]) -> Self {
        let Standardised {
            basis,
            mean,
            scale,
            classes,
        } = &self.0;
        let mut is_kept = vec![false; mean.len()];
        columns.iter().for_each(|&j| is_kept[j] = true);
        let basis = Arc::new(basis.only(&mut is_kept));
        is_kept.push(true); // the bias is always kept
        let kept = scale.iter().zip(is_kept);
        Space(Standardised {
            basis,
            mean: mean.clone(),
            scale: kept
                .map(|(s, is_kept)| if is_kept { *s } else { 0.0 })
                .collect(),
            classes: *classes,
        })
    }

    /// The target of the cone problem: −Σ a / ‖row‖ over all pairs of a standardised row and a class other than its label
    /// (see [`Source::sum_of_pairs`](crate::source::Source::sum_of_pairs)), scaled to unit length.
    fn target(&self, objective: &Objective<'_>, run: &mut Run<'_>) -> Result<Vec<f64>, Error> {
        run.passes += objective.cost;
        let mut target = objective.source.sum_of_pairs(&self.0, &mut run.job())?;
        unit(&mut target);
        Ok(target)
    }

    /// The side of the hyperplane on which each pair is. `direction`, of unit length, is the normal of the hyperplane.
    /// Pairs with margins within ±`tie` are not clearly on either side.
    fn sides(
        &self,
        objective: &Objective<'_>,
        direction: &[f64],
        tie: f64,
        run: &mut Run<'_>,
    ) -> Result<Sides, Error> {
        run.passes += objective.cost;
        let job = &mut run.job();
        objective.source.sides(&self.0, direction, tie, job)
    }

    /// The vectors `a` of these pairs, scaled to unit length.
    fn vectors(&self, objective: &Objective<'_>, pairs: &[Pair]) -> Result<Vec<Vec<f64>>, Error> {
        let (n, order) = (self.0.columns(), self.0.order());
        let rows: Vec<usize> = pairs.iter().map(|pair| pair.row).collect();
        let natural = objective.source.gather(&rows)?;
        let (mut row, mut low) = (vec![0.0; order], vec![0.0; n]);
        let vector = |(pair, natural): (&Pair, &[f64])| {
            row[..n].copy_from_slice(natural);
            self.0.enter(&mut row, &mut low);
            let mut vector = vec![0.0; self.0.classes * order];
            self.0
                .add_pair([pair.label, pair.other], 1.0, &row, &mut vector);
            unit(&mut vector);
            vector
        };
        let vectors = pairs.iter().zip(natural.chunks_exact(n)).map(vector);
        Ok(vectors.collect())
    }

    /// Adds pairs on the wrong side to the cone and solves again, until no pair is on the wrong side or `run.passes`
    /// reaches `end`.
    fn search(
        &self,
        objective: &Objective<'_>,
        end: f64,
        run: &mut Run<'_>,
    ) -> Result<Separation, Error> {
        let target = self.target(objective, run)?;
        let numbers = target.len();
        let mut cone = Cone::new(target);
        let mut known: Vec<(usize, usize)> = Vec::new();
        loop {
            let mut direction: Vec<f64> = cone.residual().iter().map(|x| -x).collect();
            if norm(&direction) <= NOTHING {
                return Ok(Separation::Nothing);
            }
            unit(&mut direction);
            let sides = self.sides(objective, &direction, TIE, run)?;
            let mut wrong: Vec<Pair> = (sides.others.iter())
                .filter(|pair| pair.margin < -TIE && !known.contains(&(pair.row, pair.other)))
                .copied()
                .collect();
            if wrong.is_empty() {
                return self.proved(objective, direction, sides, end, run);
            }
            if run.passes >= end {
                return Ok(Separation::CutShort);
            }
            wrong.sort_by(|a, b| a.margin.total_cmp(&b.margin).then(a.row.cmp(&b.row)));
            wrong.truncate(ROWS + ROWS_A_NUMBER * numbers);
            known.extend(wrong.iter().map(|pair| (pair.row, pair.other)));
            self.vectors(objective, &wrong)?
                .into_iter()
                .for_each(|vector| cone.add(vector));
            cone.solve();
        }
    }

    /// Searches for a direction near `direction` for which fewer pairs may lie on the hyperplane. Returns the new
    /// direction and the side of each pair; `None` if none is found.
    fn moved_off(
        &self,
        objective: &Objective<'_>,
        direction: &[f64],
        sides: &Sides,
        run: &mut Run<'_>,
    ) -> Result<Option<(Vec<f64>, Sides)>, Error> {
        let vectors = self.vectors(objective, &sides.others)?;
        let mut target = vec![0.0; direction.len()];
        vectors
            .iter()
            .for_each(|vector| add_multiple(&mut target, -1.0, vector));
        unit(&mut target);
        let mut cone = Cone::new(target);
        vectors.into_iter().for_each(|vector| cone.add(vector));
        cone.solve();
        let mut step: Vec<f64> = cone.residual().iter().map(|x| -x).collect();
        if norm(&step) <= NOTHING {
            return Ok(None);
        }
        unit(&mut step);
        let mut length = 1.0;
        for _ in 0..SHORTER {
            let mut moved = direction.to_vec();
            add_multiple(&mut moved, length, &step);
            unit(&mut moved);
            let there = self.sides(objective, &moved, TIE, run)?;
            let is_wrong = there.others.iter().any(|pair| pair.margin < -TIE);
            if !is_wrong && there.others.len() < sides.others.len() {
                return Ok(Some((moved, there)));
            }
            length *= 0.1;
        }
        Ok(None)
    }

    /// Proves that a direction separates the labels. If pairs may lie on the hyperplane, the direction is replaced by a
    /// direction near it. Either no pair may lie on the hyperplane of the new direction, or the new direction is
    /// exactly orthogonal to all pairs that may lie on it.
    fn proved(
        &self,
        objective: &Objective<'_>,
        mut direction: Vec<f64>,
        mut sides: Sides,
        end: f64,
        run: &mut Run<'_>,
    ) -> Result<Separation, Error> {
        if !sides.are_some_clear {
            return Ok(Separation::Nothing);
        }
        for _ in 0..ATTEMPTS {
            while !sides.others.is_empty()
                && sides.others.len() * direction.len() <= IN_MEMORY
                && run.passes < end
            {
                match self.moved_off(objective, &direction, &sides, run)? {
                    Some(moved) => (direction, sides) = moved,
                    None => break,
                }
            }
            if sides.others.is_empty() {
                return Ok(Separation::Found(direction));
            }
            let Some(mut candidates) = self.independent(objective, &sides.others)? else {
                return Ok(Separation::Nothing);
            };
            // Makes the direction orthogonal to all pairs that may lie on the hyperplane: subtracts its projection onto
            // the span of their vectors, of which `span` makes a well-conditioned basis.
            let rank = candidates.len();
            let stride = sides.others.len() / CANDIDATES + 1;
            candidates.extend(sides.others.iter().step_by(stride));
            let Some((basis, least)) = span(self.vectors(objective, &candidates)?, rank) else {
                return Ok(Separation::CutShort);
            };
            take_out(&basis, &mut direction);
            if norm(&direction) < 0.5 {
                return Ok(Separation::Nothing);
            }
            unit(&mut direction);
            let clear = f64::max(CLEAR, 4.0 * f64::EPSILON * direction.len() as f64 / least);
            let again = self.sides(objective, &direction, clear, run)?;
            let mut tied = sides.others.iter().map(|pair| (pair.row, pair.other));
            // Both lists are in the order of the rows, so that the iterator `tied` need not start again for each pair.
            let is_tied = |pair: &Pair| tied.any(|tied| tied == (pair.row, pair.other));
            if again.are_some_clear && again.others.iter().all(is_tied) {
                return Ok(Separation::Found(direction));
            }
            // Other pairs may lie on the hyperplane now. The next attempt is with these pairs.
            sides = again;
        }
        Ok(Separation::CutShort)
    }

    /// A largest set of `pairs` whose vectors are linearly independent, in exact arithmetic. `None` if the vectors span
    /// the whole space: no direction is then orthogonal to all of them.
    fn independent(
        &self,
        objective: &Objective<'_>,
        pairs: &[Pair],
    ) -> Result<Option<Vec<Pair>>, Error> {
        let n = self.0.columns();
        let used: Vec<usize> = (0..n).filter(|&j| self.0.scale[j] > 0.0).collect();
        let width = used.len() + usize::from(objective.fit_bias);
        // With several classes, adding the same numbers to all classes changes no margin, so that the vectors span at
        // most `width` · (K − 1) dimensions.
        let full = width * self.0.classes.saturating_sub(1).max(1);
        let mut echelon = Echelon::new(width * self.0.classes);
        let mut independent = Vec::new();
        for some in pairs.chunks(1 << 10) {
            let rows: Vec<usize> = some.iter().map(|pair| pair.row).collect();
            let natural = objective.source.gather(&rows)?;
            for (pair, row) in some.iter().zip(natural.chunks_exact(n)) {
                let mut residues: Vec<u64> = used.iter().map(|&j| residue(row[j])).collect();
                if objective.fit_bias {
                    residues.push(1);
                }
                let vector = if self.0.classes == 1 {
                    residues
                } else {
                    let negative: Vec<f64> = used.iter().map(|&j| -row[j]).collect();
                    let mut negative: Vec<u64> = negative.into_iter().map(residue).collect();
                    if objective.fit_bias {
                        negative.push(residue(-1.0));
                    }
                    let mut vector = vec![0; width * self.0.classes];
                    vector[pair.label * width..][..width].copy_from_slice(&residues);
                    vector[pair.other * width..][..width].copy_from_slice(&negative);
                    vector
                };
                if echelon.add(&vector) {
                    independent.push(*pair);
                }
                if echelon.rank() == full {
                    return Ok(None);
                }
            }
        }
        Ok(Some(independent))
    }

    /// A separating direction along few columns, which a greedy search chooses. Returns weights of the original
    /// columns, and biases.
    fn sparse(
        &self,
        objective: &Objective<'_>,
        direction: Direction,
        end: f64,
        run: &mut Run<'_>,
    ) -> Result<Direction, Error> {
        let n = self.0.columns();
        let size = |j: usize| {
            let parts = direction.chunks_exact(self.0.order()).map(|d| d[j].abs());
            parts.fold(0.0, f64::max)
        };
        let sizes: Vec<f64> = (0..n).map(size).collect();
        let largest = sizes.iter().copied().fold(0.0, f64::max);
        let mut columns: Vec<usize> = (0..n).filter(|&j| sizes[j] > COMPONENT * largest).collect();
        columns.sort_by(|&a, &b| sizes[b].total_cmp(&sizes[a]).then(a.cmp(&b)));
        let mut best = direction;
        let with_only = |columns: &[usize], run: &mut Run<'_>| {
            if run.passes >= end {
                return Ok(None);
            }
            let found = self.only(columns).search(objective, end, run)?;
            Ok::<_, Error>(match found {
                Separation::Found(direction) => Some(direction),
                _ => None,
            })
        };
        let mut count = 1;
        while count < columns.len() {
            if let Some(found) = with_only(&columns[..count], run)? {
                columns.truncate(count);
                best = found;
                break;
            }
            count *= 2;
        }
        // Leaves out single columns, starting with the smallest components, as long as a separating direction along the
        // other columns is still found.
        for at in (0..columns.len()).rev() {
            if columns.len() > 1 && at < columns.len() {
                let mut fewer = columns.clone();
                fewer.remove(at);
                if let Some(found) = with_only(&fewer, run)? {
                    columns = fewer;
                    best = found;
                }
            }
        }
        Ok(self.only(&columns).natural(&best))
    }

    /// Converts a direction by standardised columns to weights of the original columns, and biases. It is scaled such
    /// that the largest component is ±1.
    fn natural(&self, direction: &[f64]) -> Direction {
        let n = self.0.columns();
        let (mut weights, mut biases) = (Vec::new(), Vec::new());
        for d in direction.chunks_exact(self.0.order()) {
            let mut w: Vec<f64> = d.iter().zip(&self.0.scale).map(|(d, s)| d * s).collect();
            let at_mean = w.pop().unwrap_or(0.0);
            let at_origin = at_mean - dot(&self.0.mean, &w);
            let magnitude: f64 = w
                .iter()
                .zip(&self.0.mean)
                .map(|(w, mean)| (w * mean).abs())
                .sum();
            let bias = at_origin + self.0.basis.to_natural(&mut w);
            let offsets = w.iter().zip(self.0.basis.origin());
            let offsets: f64 = offsets.map(|(w, origin)| (w * origin).abs()).sum();
            let largest = d.iter().fold(0.0, |most: f64, d| most.max(d.abs()));
            let rounding = BIAS * (largest + magnitude + offsets);
            weights.append(&mut w);
            biases.push(if self.0.scale[n] > 0.0 && bias.abs() > rounding {
                bias
            } else {
                0.0
            });
        }
        weights.append(&mut biases);
        normalise(&mut weights);
        weights
    }
}

/// An orthonormal basis of the span of `vectors`, which have unit length and rank `rank`, by Gram–Schmidt with
/// pivoting. Also returns the least distance of a chosen vector from the span of the vectors chosen before it. `None`
/// if this distance is below [`DIGITS`].
fn span(mut vectors: Vec<Vec<f64>>, rank: usize) -> Option<(Vec<Vec<f64>>, f64)> {
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(rank);
    let mut least: f64 = 1.0;
    for _ in 0..rank {
        let lengths = vectors.iter().map(|vector| norm(vector));
        let (at, _) = lengths.enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
        let mut next = vectors.swap_remove(at);
        take_out(&basis, &mut next);
        least = least.min(norm(&next));
        if least < DIGITS {
            return None;
        }
        unit(&mut next);
        for vector in &mut vectors {
            let part = dot(&next, vector);
            add_multiple(vector, -part, &next);
        }
        basis.push(next);
    }
    Some((basis, least))
}

/// Projects `x` onto the orthogonal complement of the span of `basis`, which is orthonormal. This is done twice, to
/// remove rounding errors.
fn take_out(basis: &[Vec<f64>], x: &mut [f64]) {
    for _ in 0..2 {
        for q in basis {
            let part = dot(q, x);
            add_multiple(x, -part, q);
        }
    }
}

/// Scales `x` to unit length, unless it is 0.
fn unit(x: &mut [f64]) {
    let length = norm(x);
    if length > 0.0 {
        x.iter_mut().for_each(|x| *x /= length);
    }
}
