//! The parts of the penalty that lack a derivative at some points: l1 |w|, l1 on the norm of a group of weights, and
//! bounds.

use crate::linalg::norm;

/// The parts of the penalty on a single weight that lack a derivative at some points: l1 |w| and the bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Kinks {
    pub l1: f64,
    pub lower: f64,
    pub upper: f64,
}

impl Kinks {
    pub(crate) const NONE: Self = Kinks {
        l1: 0.0,
        lower: -f64::INFINITY,
        upper: f64::INFINITY,
    };

    /// The same kinks for the weight in other units, in which its value is w / `per_unit`. Exact if `per_unit` is a
    /// power of two.
    pub(crate) fn in_units(&self, per_unit: f64) -> Self {
        Kinks {
            l1: self.l1 * per_unit,
            lower: self.lower / per_unit,
            upper: self.upper / per_unit,
        }
    }

    /// Whether the penalty has no derivative at w: w is 0 and l1 > 0, or w is at a bound.
    pub(crate) fn is_at(&self, w: f64) -> bool {
        (w == 0.0 && self.l1 > 0.0) || w == self.lower || w == self.upper
    }

    /// The subgradient of l1 |w| and the bounds at w. Of all subgradients, it is the one whose sum with `slope`, the
    /// derivative of the smooth part, is smallest in magnitude.
    pub(crate) fn subgradient(&self, w: f64, slope: f64) -> f64 {
        let of_l1 = match w {
            _ if self.l1 == 0.0 => 0.0,
            0.0 => (-slope).clamp(-self.l1, self.l1),
            _ => self.l1.copysign(w),
        };
        let left = slope + of_l1;
        let is_pressing = (w == self.lower && left > 0.0) || (w == self.upper && left < 0.0);
        if is_pressing { -slope } else { of_l1 }
    }

    /// The smallest subgradient of the objective by the weight w, where `slope` is the derivative of the smooth part.
    /// It is 0 at an optimum.
    pub(crate) fn least_slope(&self, w: f64, slope: f64) -> f64 {
        slope + self.subgradient(w, slope)
    }

    /// How fast the objective falls if the weight moves away from 0, in the better of the two directions. Negative if
    /// the objective rises in both directions. `slope` is the derivative of the smooth part at 0.
    pub(crate) fn steepest_fall(&self, slope: f64) -> f64 {
        let upwards = if self.upper > 0.0 {
            -slope
        } else {
            -f64::INFINITY
        };
        let downwards = if self.lower < 0.0 {
            slope
        } else {
            -f64::INFINITY
        };
        upwards.max(downwards) - self.l1
    }

    /// The proximal step: the number u between the bounds at which (h/2) (u − w)² + l1 |u| is least.
    pub(crate) fn proximal(&self, w: f64, h: f64) -> f64 {
        soft_threshold(w, self.l1 / h).clamp(self.lower, self.upper)
    }

    /// The end of a step from `w` to `to`: `to`, or the first place on the way at which there is no derivative.
    pub(crate) fn first(&self, w: f64, to: f64) -> f64 {
        match self.l1 > 0.0 && w * to < 0.0 {
            true => 0.0_f64.clamp(self.lower, self.upper),
            false => to.clamp(self.lower, self.upper),
        }
    }
}

/// x moved by t towards 0; 0 if |x| ≤ t.
pub(crate) fn soft_threshold(x: f64, t: f64) -> f64 {
    if x > t {
        x - t
    } else if x < -t {
        x + t
    } else {
        0.0
    }
}

/// Groups of coordinates whose norms are penalised together: for each column, the weights of all classes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Groups {
    /// K, the number of coordinates in a group.
    pub classes: usize,
    /// n, the number of groups.
    pub columns: usize,
    /// The distance between two coordinates of a group. Group j has the coordinates j, j + stride, j + 2 stride, …
    pub stride: usize,
}

impl Groups {
    /// The groups of weights of shape (K, n).
    pub(crate) fn of_weights(weights: usize, columns: usize) -> Self {
        Groups {
            classes: weights / columns.max(1),
            columns,
            stride: columns,
        }
    }

    /// The coordinates of group `j`.
    pub(crate) fn places(&self, j: usize) -> impl Iterator<Item = usize> + use<> {
        (0..self.classes).map({
            let stride = self.stride;
            move |k| j + k * stride
        })
    }

    /// The numbers of `x` at the coordinates of group `j`.
    pub(crate) fn gather(&self, x: &[f64], j: usize) -> Vec<f64> {
        self.places(j).map(|at| x[at]).collect()
    }

    /// The group of a coordinate; `None` for coordinates that are in none.
    pub(crate) fn of(&self, coordinate: usize) -> Option<usize> {
        Some(coordinate % self.stride).filter(|j| *j < self.columns)
    }
}

/// The kinks of all coordinates.
#[derive(Clone, Debug)]
pub(crate) struct AllKinks {
    /// The kinks of each coordinate. For a coordinate in a group, `l1` is the factor of the norm of the group.
    each: Vec<Kinks>,
    /// If there are groups, l1 penalises the norm of the coordinates of each group, and there are no bounds.
    groups: Option<Groups>,
}

impl AllKinks {
    pub(crate) fn new(each: Vec<Kinks>, groups: Option<Groups>) -> Self {
        AllKinks { each, groups }
    }

    pub(crate) fn len(&self) -> usize {
        self.each.len()
    }

    pub(crate) fn groups(&self) -> Option<&Groups> {
        self.groups.as_ref()
    }

    /// The kinks of a single coordinate, which must not be in a group.
    pub(crate) fn of(&self, j: usize) -> &Kinks {
        &self.each[j]
    }

    /// The group of a coordinate; `None` if it is in no group.
    pub(crate) fn group_of(&self, j: usize) -> Option<usize> {
        self.groups.as_ref().and_then(|groups| groups.of(j))
    }

    /// The factor l1 of the norm of group `j`.
    pub(crate) fn strength(&self, j: usize) -> f64 {
        self.each[j].l1
    }

    /// The first coordinate of each group, and all coordinates that are in no group.
    pub(crate) fn blocks(&self) -> Vec<usize> {
        let is_first = |j: &usize| self.group_of(*j).is_none_or(|group| group == *j);
        (0..self.len()).filter(is_first).collect()
    }

    /// Σ_j l1_j |u_j|; for groups, Σ_j l1_j ‖u_j‖ with the coordinates u_j of group j.
    pub(crate) fn value(&self, u: &[f64]) -> f64 {
        match &self.groups {
            None => {
                let terms = self.each.iter().zip(u);
                terms.map(|(kinks, u)| kinks.l1 * u.abs()).sum()
            }
            Some(groups) => {
                let term = |j| self.strength(j) * norm(&groups.gather(u, j));
                (0..groups.columns).map(term).sum()
            }
        }
    }

    /// [`AllKinks::value`] at u minus [`AllKinks::value`] at x.
    pub(crate) fn change(&self, u: &[f64], x: &[f64]) -> f64 {
        match &self.groups {
            None => {
                let terms = self.each.iter().zip(u.iter().zip(x));
                terms
                    .map(|(kinks, (u, x))| kinks.l1 * (u.abs() - x.abs()))
                    .sum()
            }
            Some(groups) => {
                let change = |j| {
                    let [u, x] = [u, x].map(|numbers| groups.gather(numbers, j));
                    self.strength(j) * change_of_norm(&u, &x)
                };
                (0..groups.columns).map(change).sum()
            }
        }
    }

    /// Whether the kinks have no derivative by coordinate `j` at u.
    pub(crate) fn are_at(&self, u: &[f64], j: usize) -> bool {
        match (&self.groups, self.group_of(j)) {
            (Some(groups), Some(group)) => {
                self.strength(group) > 0.0 && groups.places(group).all(|at| u[at] == 0.0)
            }
            _ => self.each[j].is_at(u[j]),
        }
    }

    /// The smallest subgradient of the objective at u, where `slopes` is the gradient of the smooth part.
    pub(crate) fn least_slopes(&self, u: &[f64], slopes: &[f64]) -> Vec<f64> {
        let single = |(j, (u, slope)): (usize, (&f64, &f64))| match self.group_of(j) {
            None => self.each[j].least_slope(*u, *slope),
            Some(_) => *slope,
        };
        let pairs = u.iter().zip(slopes).enumerate();
        let mut least: Vec<f64> = pairs.map(single).collect();
        if let Some(groups) = &self.groups {
            for j in 0..groups.columns {
                add_least_slope(groups, j, self.strength(j), u, &mut least);
            }
        }
        least
    }
}

/// Adds the subgradient of l1 ‖u_j‖, with the coordinates u_j of group `j`, to the slopes of this group. Of all
/// subgradients, it is the one whose sum with the slopes has the smallest norm.
pub(crate) fn add_least_slope(groups: &Groups, j: usize, l1: f64, u: &[f64], slopes: &mut [f64]) {
    let length = norm(&groups.gather(u, j));
    let steepness = norm(&groups.gather(slopes, j));
    for at in groups.places(j) {
        slopes[at] = match length > 0.0 {
            true => slopes[at] + l1 * (u[at] / length),
            false => slopes[at] * shrink(steepness, l1),
        };
    }
}

/// ‖u‖ − ‖x‖, without cancellation of digits.
pub(crate) fn change_of_norm(u: &[f64], x: &[f64]) -> f64 {
    let both = norm(u) + norm(x);
    let squares = u.iter().zip(x).map(|(u, x)| (u - x) * (u + x));
    let squares: f64 = squares.sum();
    if both > 0.0 { squares / both } else { 0.0 }
}

/// The proximal step of a group: the vector u at which (h/2) ‖u − w‖² + l1 ‖u‖ is least.
pub(crate) fn proximal_of_group(w: &[f64], l1: f64, h: f64) -> Vec<f64> {
    let factor = shrink(norm(w), l1 / h);
    w.iter().map(|w| factor * w).collect()
}

/// The factor that makes the norm of a vector smaller by `by`. The norm is `length`; the factor is 0 if `length` is at
/// most `by`.
fn shrink(length: f64, by: f64) -> f64 {
    match length > by {
        true => 1.0 - by / length,
        false => 0.0,
    }
}
