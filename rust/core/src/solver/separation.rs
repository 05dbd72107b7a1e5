//! Whether a hyperplane separates the labels: then the unpenalised loss falls for ever along its normal.
//!
//! A direction d separates if `a · d ≥ 0` for the vectors `a` of all pairs (see [`Standardised`]) and `> 0` for some. By Farkas's lemma there is none if −Σ a
//! is one of the combinations Σ μ a with μ ≥ 0; otherwise d = p + Σ a does it, p being the combination nearest to −Σ a. So
//! one least-squares problem with coefficients that are not negative decides. It is solved over a few rows at a time: those
//! that the direction found so far puts on the wrong side come in.
//!
//! What is found is proved before it is said. Rows clearly on their side are so whatever rounding does. The others must lie
//! on a hyperplane near the computed one: there is such a one if their exact rank, found modulo a large prime, is small
//! enough.
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

/// Rows nearer to the hyperplane than this part of their length may lie on it.
const TIE: f64 = 1e-12;
/// Rows must be further from it than this part of their length once the others lie on it.
const CLEAR: f64 = 1e-13;
/// A residual shorter than this part of the target is rounding: the cone contains it.
const NOTHING: f64 = 1e-13;
/// What is left of a row below this part, seen from others that it does not depend on, loses too many digits.
const DIGITS: f64 = 1e-7;
/// Numbers of the rows on the hyperplane up to which a direction is moved off as many of them as can be; and how often that
/// move is made shorter.
const IN_MEMORY: usize = 1 << 24;
const SHORTER: usize = 14;
/// How often a proof is tried.
const ATTEMPTS: usize = 4;
/// Rows on the hyperplane that are tried for the span of all.
const CANDIDATES: usize = 1024;
/// Rows that come in at a time, at least, and for each weight and bias.
const ROWS: usize = 32;
const ROWS_A_NUMBER: usize = 2;
/// Components of a direction below this part of the largest, in standard deviations, are rounding.
const COMPONENT: f64 = 1e-9;
/// A bias below this part of the terms that have cancelled in it is rounding.
const BIAS: f64 = 1e-12;
/// Passes that a search may take, as a multiple of those that the fit has taken and at least; and elements read that cost
/// too little to count.
const AS_LONG: f64 = 2.0;
const PASSES: f64 = 64.0;
const CHEAP: f64 = 3e8;

/// Whether the labels are separated: searched for once, and looked for in the parameters `v` each time.
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

/// Whether a single column separates the labels, asked once: that takes no more than a pass.
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

/// Looks for a direction that separates.
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

/// The direction of the parameters `v`, if they predict every label right, whatever rounding hides, and not by what a
/// column that says nothing beside others is left with.
///
/// # Errors
///
/// [`Error::Memory`] without room for scores; [`Error::Interrupted`] by the observer.
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
    // By a power of two, which rounds nothing.
    let largest = v.iter().fold(0.0, |most: f64, d| most.max(d.abs()));
    let unit = f64::from_bits(largest.to_bits() & f64::INFINITY.to_bits());
    Ok(Some(v.iter().map(|d| d / unit).collect()))
}

/// The search over rows whose columns are seen in one way.
struct Space(Standardised);

impl Space {
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

    /// −Σ a / ‖a‖ over all pairs, of unit length.
    fn target(&self, objective: &Objective<'_>, run: &mut Run<'_>) -> Result<Vec<f64>, Error> {
        run.passes += objective.cost;
        let mut target = objective.source.sum_of_pairs(&self.0, &mut run.job())?;
        unit(&mut target);
        Ok(target)
    }

    /// The sides that a direction of unit length leaves the pairs on; those within `tie` of it are not clear.
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

    /// The vectors of some pairs, of unit length.
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

    /// Moves a direction that leaves some pairs on the hyperplane, or next to it, such that fewer are; none if no direction
    /// does.
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

    /// Whether a direction separates, or one that is so near to it that rounding does not tell: that one.
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
            // Into the null space of the rows that must lie on the hyperplane, by those that tell it best.
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
            // Others have come too near: off these.
            sides = again;
        }
        Ok(Separation::CutShort)
    }

    /// Pairs whose vectors do not depend on one another while those of all pairs depend on them; none if these leave no
    /// direction.
    fn independent(&self, objective: &Objective<'_>, pairs: &[Pair]) -> Option<Vec<Pair>> {
        let n = self.0.columns();
        let used: Vec<usize> = (0..n).filter(|&j| self.0.scale[j] > 0.0).collect();
        let width = used.len() + usize::from(objective.fit_bias);
        // Of several classes, what all have in common changes no pair.
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

    /// A direction of few columns, if there is one of fewer than `direction` has: natural weights and biases.
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
        // From the least on, whichever column is not needed.
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

    /// Leaves out all columns but these, and those that combinations of these are made of.
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

    /// Natural weights and biases, of which the largest is ±1.
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

/// An orthonormal basis of the span of vectors of unit length, which has so many dimensions: from those that are furthest from
/// the span of the ones before; and how far the nearest of them was. None if that leaves too few digits.
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

fn take_out(basis: &[Vec<f64>], x: &mut [f64]) {
    for _ in 0..2 {
        for q in basis {
            let part = dot(q, x);
            add_multiple(x, -part, q);
        }
    }
}

fn unit(x: &mut [f64]) {
    let length = norm(x);
    if length > 0.0 {
        x.iter_mut().for_each(|x| *x /= length);
    }
}
