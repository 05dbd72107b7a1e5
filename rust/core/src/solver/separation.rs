//! Whether a hyperplane separates the labels: then the loss without penalty falls for ever along its normal.
//!
//! A direction d separates if `a · d ≥ 0` for the vectors `a` of all pairs (see [`Standardised`]), and `> 0` for some.
//! By Farkas's lemma there is none if −Σ a is one of the combinations Σ μ a with μ ≥ 0; otherwise d = p + Σ a
//! separates, where p is the combination nearest to −Σ a. So one least-squares problem with non-negative coefficients
//! decides. It is solved over few pairs, to which those are added that the direction found so far puts on the wrong
//! side, until there are none.
//!
//! A direction found is proved before it is reported. Pairs whose margin exceeds the rounding errors are on the right
//! side. The others, the active pairs, must lie on a hyperplane near the computed one. There is such a hyperplane if
//! their exact rank, computed modulo a large prime, is small enough.
//!
//! Source: A. Albert & J. Anderson, "On the existence of maximum likelihood estimates in logistic regression models",
//! Biometrika 71 (1984), doi:10.1093/biomet/71.1.1.

use super::cone::Cone;
use super::dependence;
use super::modular::{Echelon, residue};
use super::objective::Objective;
use super::run::{Direction, Run, Separation};
use super::split::{LARGEST_SEARCH, along_a_column};
use crate::error::Error;
use crate::kernel::{Pair, Sides, Standardised};
use crate::linalg::{add_multiple, dot, norm, normalise};

/// Pairs whose margin `a · d / ‖a‖` is within ± this may lie on the hyperplane: they are active.
const TIE: f64 = 1e-12;
/// The least margin that proves that a pair lies on its own side, once the direction is orthogonal to the active pairs.
const CLEAR: f64 = 1e-13;
/// A residual of the cone problem this short, as a fraction of the target's length, is rounding: the cone contains the
/// target.
const NOTHING: f64 = 1e-13;
/// An orthonormal basis of the active pairs is too inexact if a vector of length 1 leaves less than this after
/// projection on the basis so far.
const DIGITS: f64 = 1e-7;
/// The largest total number of components of the active pairs' vectors for which these are kept in memory, to move the
/// direction off as many active pairs as possible.
const IN_MEMORY: usize = 1 << 24;
/// Lengths tried when a direction is moved off active pairs, each a tenth of the one before.
const SHORTER: usize = 14;
/// How often at most a direction is projected onto the null space of the active pairs, and all pairs are checked again.
const ATTEMPTS: usize = 4;
/// Active pairs, spread over the rows, that are added to the independent ones as candidates for a well-conditioned
/// basis.
const CANDIDATES: usize = 1024;
/// At most ROWS + ROWS_A_NUMBER · (length of a direction) pairs are added to the cone in one round.
const ROWS: usize = 32;
/// See [`ROWS`].
const ROWS_A_NUMBER: usize = 2;
/// Components of a direction below this fraction of the largest, in standard deviations, are rounding.
const COMPONENT: f64 = 1e-9;
/// A bias below this fraction of the terms that cancel in it is rounding.
const BIAS: f64 = 1e-12;
/// A search may take this many times the passes of the fit so far.
const AS_LONG: f64 = 2.0;
/// A search may take this many passes in any case.
const PASSES: f64 = 64.0;
/// A search may read this many elements in any case, which takes little time.
const CHEAP: f64 = 3e8;

/// Whether the labels are separated: by the search, which is made once per fit, or by the parameters `v`, which are
/// checked each time.
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

/// Whether a single column separates the labels. The search is made once per fit and takes no more than a pass.
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

/// Searches for a direction that separates, first along single columns.
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

/// `v` scaled by a power of two, if it predicts every label right by more than rounding, and without the weights of
/// columns that are combinations of others.
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
    if !scores.predict_all_labels() {
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
    // Division by a power of two, which is exact.
    let largest = v.iter().fold(0.0, |most: f64, d| most.max(d.abs()));
    let unit = f64::from_bits(largest.to_bits() & f64::INFINITY.to_bits());
    Ok(Some(v.iter().map(|d| d / unit).collect()))
}

/// The search in standardised columns.
struct Space(Standardised);

impl Space {
    /// The columns standardised over all rows; `None` if there is no [`View`](super::view::View) of them.
    fn new(objective: &Objective<'_>, run: &mut Run<'_>) -> Result<Option<Self>, Error> {
        let Some(view) = dependence::of_all_rows(objective, run)? else {
            return Ok(None);
        };
        let (basis, mean, mut scale) = view.into_parts();
        scale.push(if objective.fit_bias { 1.0 } else { 0.0 });
        Ok(Some(Space(Standardised {
            basis,
            mean,
            scale,
            classes: objective.classes,
        })))
    }

    /// −Σ a / ‖a‖ over all pairs, scaled to unit length.
    fn target(&self, objective: &Objective<'_>, run: &mut Run<'_>) -> Result<Vec<f64>, Error> {
        run.passes += objective.cost;
        let mut target = objective.source.sum_of_pairs(&self.0, &mut run.job())?;
        unit(&mut target);
        Ok(target)
    }

    /// The sides of the hyperplane that the pairs are on, for a direction of unit length; margins within ±`tie` count
    /// as unclear.
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

    /// The vectors of these pairs, scaled to unit length.
    fn vectors(&self, objective: &Objective<'_>, pairs: &[Pair]) -> Vec<Vec<f64>> {
        let (n, order) = (self.0.columns(), self.0.order());
        let rows: Vec<usize> = pairs.iter().map(|pair| pair.row).collect();
        let natural = objective.source.gather(&rows);
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
        pairs
            .iter()
            .zip(natural.chunks_exact(n))
            .map(vector)
            .collect()
    }

    /// The search: adds pairs on the wrong side to the cone until none is left or `end` passes are reached.
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
            self.vectors(objective, &wrong)
                .into_iter()
                .for_each(|vector| cone.add(vector));
            cone.solve();
        }
    }

    /// Moves a direction such that fewer pairs are active; `None` if no such direction is found.
    fn moved_off(
        &self,
        objective: &Objective<'_>,
        direction: &[f64],
        sides: &Sides,
        run: &mut Run<'_>,
    ) -> Result<Option<(Vec<f64>, Sides)>, Error> {
        let vectors = self.vectors(objective, &sides.others);
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

    /// Verifies that a direction separates. Where active pairs leave a doubt, it is replaced by a direction near it for
    /// which fewer pairs are active, or which is orthogonal to all active pairs.
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
            let Some(mut candidates) = self.independent(objective, &sides.others) else {
                return Ok(Separation::Nothing);
            };
            // Projects the direction onto the null space of the active pairs, using the best-conditioned basis of their
            // span.
            let rank = candidates.len();
            let stride = sides.others.len() / CANDIDATES + 1;
            candidates.extend(sides.others.iter().step_by(stride));
            let Some((basis, least)) = span(self.vectors(objective, &candidates), rank) else {
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
            // Both lists are in the order of the rows.
            let is_tied = |pair: &Pair| tied.any(|tied| tied == (pair.row, pair.other));
            if again.are_some_clear && again.others.iter().all(is_tied) {
                return Ok(Separation::Found(direction));
            }
            // Other pairs have become active: repeat with them.
            sides = again;
        }
        Ok(Separation::CutShort)
    }

    /// A largest set of these pairs whose vectors are linearly independent, found exactly; `None` if their span is
    /// everything, so that no direction is orthogonal to all.
    fn independent(&self, objective: &Objective<'_>, pairs: &[Pair]) -> Option<Vec<Pair>> {
        let n = self.0.columns();
        let used: Vec<usize> = (0..n).filter(|&j| self.0.scale[j] > 0.0).collect();
        let width = used.len() + usize::from(objective.fit_bias);
        // With several classes, the direction common to all of them changes no margin.
        let full = width * self.0.classes.saturating_sub(1).max(1);
        let mut echelon = Echelon::new(width * self.0.classes);
        let mut independent = Vec::new();
        for some in pairs.chunks(1 << 10) {
            let rows: Vec<usize> = some.iter().map(|pair| pair.row).collect();
            let natural = objective.source.gather(&rows);
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
                    return None;
                }
            }
        }
        Some(independent)
    }

    /// A direction with as few columns as a greedy search finds, by weights of X's columns and biases.
    fn sparse(
        mut self,
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
        let scale = self.0.scale.clone();
        let mut best = direction;
        let mut with_only = |columns: &[usize], run: &mut Run<'_>| {
            if run.passes >= end {
                return Ok(None);
            }
            self.keep(columns, &scale);
            let found = self.search(objective, end, run)?;
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
        // Leaves out each column that is not needed, the one of the least component first.
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
        self.keep(&columns, &scale);
        Ok(self.natural(&best))
    }

    /// Leaves out all columns but these and the columns that the basis subtracts from them.
    fn keep(&mut self, columns: &[usize], scale: &[f64]) {
        let n = self.0.columns();
        let mut is_kept = vec![false; n];
        columns.iter().for_each(|&j| is_kept[j] = true);
        let combinations: Vec<(usize, &[f64])> = self.0.basis.combinations().collect();
        for (j, coefficients) in combinations.into_iter().rev() {
            if is_kept[j] {
                let terms = is_kept[..j].iter_mut().zip(coefficients);
                terms.for_each(|(is_kept, t)| *is_kept |= *t != 0.0);
            }
        }
        for j in 0..n {
            self.0.scale[j] = if is_kept[j] { scale[j] } else { 0.0 };
        }
    }

    /// A direction in standardised columns as weights of X's columns and biases, scaled such that the largest is ±1.
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

/// An orthonormal basis of the span of vectors of unit length, whose dimension is `rank`, by Gram–Schmidt with
/// pivoting; and the least distance of a chosen vector from the span of those before it. `None` if that is below
/// [`DIGITS`].
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

/// Projects `x` onto the orthogonal complement of an orthonormal basis, twice because of rounding.
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
