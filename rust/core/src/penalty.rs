//! The penalty on the weights: its value, gradient, curvature, proximal step, shrinkage of the weights by a step, and
//! convex conjugate. Biases are not penalised.

use crate::error::{Error, check_length};
use crate::float::Precision;
use crate::kernel::Basis;
use crate::kinks::{AllKinks, Groups, Kinks, add_least_slope, proximal_of_group, soft_threshold};
use crate::linalg::{add_multiple, centre, centre_values, dot, norm};

/// The elastic net Σ_j l1_j |w_j| + (l2_j/2) (w_j − prior_j)², for weights between lower_j and upper_j. Each column j
/// has strengths l1_j and l2_j, a prior mean, and bounds. With several classes, the strengths of a column are the same
/// for the weights of all classes; prior means and bounds may differ from class to class.
///
/// Source: H. Zou & T. Hastie, "Regularization and variable selection via the elastic net", J. R. Stat. Soc. B 67
/// (2005), doi:10.1111/j.1467-9868.2005.00503.x.
#[derive(Clone, Debug, PartialEq)]
pub struct Penalty {
    /// The penalty on every weight, before the options of columns are applied.
    shared: WeightPenalty,
    /// The penalty on the weight of each column, shape (n), or on the weight of each class and column, shape (K, n).
    /// Empty if all weights have the penalty `shared`.
    own: Vec<WeightPenalty>,
    /// n, the number of columns, if `own` is not empty.
    columns: usize,
    /// The name of an option that was given with a row for each class.
    by_class: Option<&'static str>,
    /// Whether l1 penalises norms, Σ_j l1_j ‖w_j‖, where w_j is the vector of the weights of column j in all classes.
    is_grouped: bool,
}

/// Options of the penalty with one number for each column. `None` is the default, which has no effect. Prior means and
/// bounds may also have shape (K, n), a row for each of K classes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ColumnOptions {
    /// Factors of l1 and l2, shape (n): 1 by default, 0 for a column that is not penalised.
    pub factors: Option<Vec<f64>>,
    /// Prior means: the weights towards which l2 draws; 0 by default.
    pub prior: Option<Vec<f64>>,
    /// The least weights: −∞ by default.
    pub lower: Option<Vec<f64>>,
    /// The largest weights: ∞ by default.
    pub upper: Option<Vec<f64>>,
}

/// Sets a number in the penalty of a column. Returns whether the number is allowed.
type Put<'a> = &'a dyn Fn(&mut WeightPenalty, f64) -> bool;

/// The largest allowed magnitude of bounds and prior means. It keeps their squares, and their products with elements of
/// X, finite.
const FAR: f64 = 1e100;

impl Penalty {
    /// No penalty.
    pub const NONE: Penalty = Penalty {
        shared: WeightPenalty::NONE,
        own: Vec::new(),
        columns: 0,
        by_class: None,
        is_grouped: false,
    };

    /// The penalty (l2/2) ‖w‖².
    ///
    /// # Errors
    ///
    /// [`Error::Number`] if `l2` is negative or not finite.
    pub fn new(l2: f64) -> Result<Self, Error> {
        check("l2", l2)?;
        let mut penalty = Penalty::NONE;
        penalty.shared.l2 = l2;
        Ok(penalty)
    }

    /// This penalty plus l1 Σ |w_j|.
    ///
    /// # Errors
    ///
    /// [`Error::Number`] if `l1` is negative or not finite.
    pub fn with_l1(mut self, l1: f64) -> Result<Self, Error> {
        check("l1", l1)?;
        self.shared.kinks.l1 = l1;
        Ok(self)
    }

    /// If `is_grouped`, this penalty with l1 on norms instead of single weights: Σ_j l1_j ‖w_j‖ over the `columns`
    /// columns. w_j is the vector of the weights of column j in all classes, ‖w_j‖² = Σ_k w_kj². At an optimum, the
    /// weights of a column are then other than 0 for all classes, or for none. Has no effect with one score.
    ///
    /// Source: M. Yuan & Y. Lin, "Model selection and estimation in regression with grouped variables", J. R. Stat.
    /// Soc. B 68 (2006), doi:10.1111/j.1467-9868.2005.00532.x.
    pub fn with_groups(mut self, columns: usize, is_grouped: bool) -> Self {
        (self.columns, self.is_grouped) = (columns, is_grouped);
        self
    }

    /// This penalty with options for each column. There are `columns` columns.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] for arrays of another length. [`Error::Weight`] for a factor that is negative or not finite, a
    /// prior mean that is not between −1e100 and 1e100, a bound that is neither in this range nor the default, or an
    /// upper bound below the lower bound. If the array has a row for each class, [`Error::Conflict`] instead of
    /// [`Error::Weight`].
    pub fn with_columns(mut self, columns: usize, options: &ColumnOptions) -> Result<Self, Error> {
        if *options == ColumnOptions::default() {
            return Ok(self);
        }
        let by_class = [
            ("prior", &options.prior),
            ("lower", &options.lower),
            ("upper", &options.upper),
        ];
        let length = |given: &Option<Vec<f64>>| given.as_ref().map_or(0, Vec::len);
        let largest = by_class.into_iter().max_by_key(|(_, given)| length(given));
        let largest = largest.filter(|(_, given)| length(given) > columns);
        let classes = largest.map_or(1, |(_, given)| length(given) / columns.max(1));
        self.columns = columns;
        self.by_class = largest.map(|(argument, _)| argument);
        self.own = vec![self.shared; classes * columns];
        let mut set = |argument, given: &Option<Vec<f64>>, expected, put: Put| {
            let Some(given) = given else {
                return Ok(());
            };
            let has_rows = given.len() > columns;
            let (length, unit) = match has_rows {
                true => (classes * columns, "one per column of X, for each class"),
                false => (columns, "one per column of X"),
            };
            check_length(argument, given.len(), length, unit)?;
            let mut pairs = self.own.iter_mut().zip(given.iter().cycle()).enumerate();
            let refused = pairs.find_map(|(i, (weight, x))| (!put(weight, *x)).then_some((i, *x)));
            match refused {
                None => Ok(()),
                Some((i, got)) if has_rows => Err(Error::Conflict {
                    argument,
                    expected,
                    got: format!("{got} at class {}, column {}", i / columns, i % columns),
                }),
                Some((i, got)) => Err(Error::Weight {
                    argument,
                    expected,
                    index: i % columns,
                    got,
                }),
            }
        };
        let is_near = |x: f64| x.abs() <= FAR; // also false for NaN
        let factors = &options.factors;
        set(
            "penalty_factors",
            factors,
            "finite and not negative",
            &|column, factor| {
                column.l2 *= factor;
                column.kinks.l1 *= factor;
                (0.0..f64::INFINITY).contains(&factor)
            },
        )?;
        set(
            "prior",
            &options.prior,
            "between −1e100 and 1e100",
            &|column, prior| {
                column.prior = prior;
                is_near(prior)
            },
        )?;
        let expected = "between −1e100 and 1e100, or −∞";
        set("lower", &options.lower, expected, &|column, lower| {
            column.kinks.lower = lower;
            is_near(lower) || lower == f64::NEG_INFINITY
        })?;
        let expected = "between −1e100 and 1e100, or ∞";
        set("upper", &options.upper, expected, &|column, upper| {
            column.kinks.upper = upper;
            is_near(upper) || upper == f64::INFINITY
        })?;
        set(
            "upper",
            &options.upper,
            "at least the lower bounds",
            &|column, upper| upper >= column.kinks.lower,
        )?;
        Ok(self)
    }

    /// The penalty on weight `i`, where weights are listed class by class.
    #[inline]
    pub(crate) fn of(&self, i: usize) -> &WeightPenalty {
        match self.own.len() {
            0 => &self.shared,
            count => &self.own[i % count],
        }
    }

    /// Whether the condition `holds` is true of the penalty on the weight of column `j` in every class.
    pub(crate) fn all_of_column(&self, j: usize, holds: impl Fn(&WeightPenalty) -> bool) -> bool {
        match self.own.is_empty() {
            true => holds(&self.shared),
            false => self.own.iter().skip(j).step_by(self.columns).all(holds),
        }
    }

    /// The penalty on the weights of the given columns alone.
    pub(crate) fn select(&self, columns: &[usize]) -> Self {
        let classes = self.own.chunks_exact(self.columns.max(1));
        Penalty {
            own: classes
                .flat_map(|class| columns.iter().map(|&j| class[j]))
                .collect(),
            columns: columns.len(),
            ..*self
        }
    }

    /// # Errors
    ///
    /// [`Error::Conflict`] naming an option that does not have one row for each of `classes` classes.
    pub(crate) fn check_classes(&self, classes: usize) -> Result<(), Error> {
        let rows = self.own.len() / self.columns.max(1);
        let are_bounded = (self.different().iter())
            .any(|weight| weight.kinks.lower.is_finite() || weight.kinks.upper.is_finite());
        if self.is_grouped && classes > 1 && are_bounded {
            return Err(Error::Conflict {
                argument: "grouped",
                expected: "False with bounds",
                got: "True".to_owned(),
            });
        }
        match self.by_class {
            Some(argument) if rows != classes => Err(Error::Conflict {
                argument,
                expected: "one number per column of X, or a row of them for each of three classes or more",
                got: match classes {
                    1 => format!("{rows} rows for labels in [0, 1]"),
                    _ => format!("{rows} rows for {classes} classes"),
                },
            }),
            _ => Ok(()),
        }
    }

    /// This penalty with its bounds rounded to `precision`: lower bounds up, and upper bounds down (see [`inside`]).
    pub(crate) fn rounded(mut self, precision: Precision) -> Self {
        let weights = match precision {
            Precision::Single => self.own.as_mut_slice(),
            Precision::Double => &mut [],
        };
        for weight in weights {
            let kinks = &mut weight.kinks;
            (kinks.lower, kinks.upper) = inside(kinks.lower, kinks.upper);
        }
        self
    }

    /// The number of weights that have a penalty of their own; at least 1.
    pub(crate) fn size(&self) -> usize {
        self.own.len().max(1)
    }

    /// The penalties on the weights: one for each entry of `own`, or a single one if all weights have the penalty
    /// `shared`.
    fn different(&self) -> &[WeightPenalty] {
        match self.own.is_empty() {
            true => std::slice::from_ref(&self.shared),
            false => &self.own,
        }
    }

    /// Whether no weight is penalised or bounded.
    pub(crate) fn is_none(&self) -> bool {
        self.different().iter().all(WeightPenalty::is_free)
    }

    /// Whether every weight has a positive l2.
    pub(crate) fn is_strictly_convex(&self) -> bool {
        self.different().iter().all(|column| column.l2 > 0.0)
    }

    /// Whether penalties or bounds keep every weight from growing without limit.
    pub(crate) fn is_closed(&self) -> bool {
        let is_closed = |column: &WeightPenalty| ![1.0, -1.0].iter().any(|w| column.is_open(*w));
        self.different().iter().all(is_closed)
    }

    /// Whether there is neither l1 nor a bound. The penalty then has a derivative everywhere.
    pub(crate) fn is_smooth(&self) -> bool {
        let is_smooth = |column: &WeightPenalty| column.kinks == Kinks::NONE;
        self.different().iter().all(is_smooth)
    }

    /// The name of an option that differs from its default, with the first value of the option that differs. `None` if
    /// no option differs from its default.
    pub(crate) fn any_option(&self) -> Option<(&'static str, f64)> {
        let first = |value: fn(&WeightPenalty) -> f64| self.different().iter().map(value);
        let given = [
            ("l1", first(|column| column.kinks.l1).find(|x| *x != 0.0)),
            ("l2", first(|column| column.l2).find(|x| *x != 0.0)),
            ("prior", first(|column| column.prior).find(|x| *x != 0.0)),
            (
                "lower",
                first(|column| column.kinks.lower).find(|x| x.is_finite()),
            ),
            (
                "upper",
                first(|column| column.kinks.upper).find(|x| x.is_finite()),
            ),
        ];
        given
            .into_iter()
            .find_map(|(name, value)| Some((name, value?)))
    }

    /// Checks that the least value of the penalty is finite.
    ///
    /// # Errors
    ///
    /// [`Error::Weight`], naming a bound that is so far from zero that the least value is infinite.
    pub(crate) fn check_finite(&self) -> Result<(), Error> {
        for (i, weight) in self.own.iter().enumerate() {
            let least = weight.minimum();
            if !weight.value(least).is_finite() {
                return Err(Error::Weight {
                    argument: if least == weight.kinks.lower {
                        "lower"
                    } else {
                        "upper"
                    },
                    expected: "so near to zero that the penalty is finite",
                    index: i % self.columns,
                    got: least,
                });
            }
        }
        Ok(())
    }

    /// The columns that are neither penalised nor bounded. Empty if all columns have the same penalty.
    pub(crate) fn free_columns(&self) -> Vec<usize> {
        self.columns_that(WeightPenalty::is_free)
    }

    /// The columns that are bounded but not penalised, and whose bounds allow 0 and also other weights.
    pub(crate) fn bounded_columns(&self) -> Vec<usize> {
        let free = self.free_columns();
        let may_be_zero = |weight: &WeightPenalty| {
            let Kinks { l1, lower, upper } = weight.kinks;
            let is_penalised = weight.l2 > 0.0 || l1 > 0.0;
            !is_penalised && lower <= 0.0 && upper >= 0.0 && !weight.is_fixed()
        };
        let mut columns = self.columns_that(may_be_zero);
        columns.retain(|j| free.binary_search(j).is_err());
        columns
    }

    /// The columns for which the condition `holds` is true of the penalty in every class. Empty if all columns have the
    /// same penalty.
    fn columns_that(&self, holds: impl Fn(&WeightPenalty) -> bool) -> Vec<usize> {
        let count = if self.own.is_empty() { 0 } else { self.columns };
        (0..count)
            .filter(|&j| self.all_of_column(j, &holds))
            .collect()
    }

    /// This penalty with the weights of the given columns fixed to 0 by their bounds. This penalty must have been made
    /// with options for each column.
    pub(crate) fn without(mut self, columns: &[usize]) -> Self {
        for class in self.own.chunks_exact_mut(self.columns.max(1)) {
            for &j in columns {
                (class[j].kinks.lower, class[j].kinks.upper) = (0.0, 0.0);
            }
        }
        self
    }

    /// Shifts the parameters `v`, weights of shape (K, n) and then K biases. One number is subtracted from all K
    /// weights of a column, and one from all biases. Afterwards, over the classes, the distances of a column's weights
    /// from the prior sum to 0, and the biases sum to 0. No probability changes, and no other shift of this kind gives
    /// a smaller l2 penalty.
    pub(crate) fn centre(&self, v: &mut [f64], classes: usize) {
        let weights = v.len() - classes;
        let prior: Vec<f64> = (0..weights).map(|i| self.of(i).prior).collect();
        add_multiple(v, -1.0, &prior);
        centre(v, classes);
        add_multiple(v, 1.0, &prior);
    }

    /// The distances of the weights, shape (K, n), from the prior, minus their mean over the classes.
    pub(crate) fn centred_distances(&self, weights: &[f64], classes: usize) -> Vec<f64> {
        let weights = weights.iter().enumerate();
        let mut distances: Vec<f64> = weights.map(|(i, w)| w - self.of(i).prior).collect();
        if classes > 1 {
            centre_values(&mut distances, classes);
        }
        distances
    }

    pub(crate) fn value(&self, weights: &[f64]) -> f64 {
        let values = weights.iter().enumerate();
        match self.groups(weights.len()) {
            None => values.map(|(i, w)| self.of(i).value(*w)).sum(),
            Some(groups) => {
                let smooth: f64 = values.map(|(i, w)| self.of(i).smooth_value(*w)).sum();
                let norms = (0..groups.columns).map(|j| (j, norm(&groups.gather(weights, j))));
                smooth + norms.map(|(j, w)| self.of(j).kinks.l1 * w).sum::<f64>()
            }
        }
    }

    /// The groups of weights whose norms l1 penalises, if there are `weights` weights in all. `None` if l1 penalises
    /// each weight by itself.
    fn groups(&self, weights: usize) -> Option<Groups> {
        let is_grouped = self.is_grouped && weights > self.columns;
        is_grouped.then(|| Groups::of_weights(weights, self.columns))
    }

    /// The kinks of K (n + 1) coordinates: for each class, the weights of n columns, each divided by the `per_unit` of
    /// its column, and then a bias.
    pub(crate) fn kinks(&self, classes: usize, per_unit: &[f64]) -> AllKinks {
        let n = per_unit.len();
        let of_class = |k: usize| {
            let units = per_unit.iter().enumerate();
            let kinks = units.map(move |(j, unit)| self.of(k * n + j).kinks.in_units(*unit));
            kinks.chain([Kinks::NONE])
        };
        let groups = self.groups(classes * n).map(|groups| Groups {
            stride: n + 1,
            ..groups
        });
        AllKinks::new((0..classes).flat_map(of_class).collect(), groups)
    }

    /// The smallest subgradient of the objective by the weights, where `slopes` is the gradient of the smooth part.
    pub(crate) fn least_slopes(&self, weights: &[f64], slopes: &[f64]) -> Vec<f64> {
        let Some(groups) = self.groups(weights.len()) else {
            let pairs = weights.iter().zip(slopes).enumerate();
            let least = pairs.map(|(i, (w, slope))| self.of(i).kinks.least_slope(*w, *slope));
            return least.collect();
        };
        let mut least = slopes.to_vec();
        for j in 0..groups.columns {
            add_least_slope(&groups, j, self.of(j).kinks.l1, weights, &mut least);
        }
        least
    }

    /// How fast the objective falls if the weights of column j move away from 0: [`Kinks::steepest_fall`] of the best
    /// class, or of the best direction if l1 penalises the norm of the column's weights. ∞ if one of the weights is not
    /// 0, or is not kept at 0 by l1 or a bound. `slopes` is the gradient of the smooth part.
    pub(crate) fn steepest_fall(
        &self,
        j: usize,
        columns: usize,
        weights: &[f64],
        slopes: &[f64],
    ) -> f64 {
        let of_column = (j..weights.len()).step_by(columns);
        let rests = |i: usize| weights[i] == 0.0 && self.of(i).kinks.is_at(0.0);
        if !of_column.clone().all(rests) {
            return f64::INFINITY;
        }
        match self.groups(weights.len()) {
            Some(groups) => norm(&groups.gather(slopes, j)) - self.of(j).kinks.l1,
            None => {
                let fall = |i: usize| self.of(i).kinks.steepest_fall(slopes[i]);
                of_column.map(fall).fold(-f64::INFINITY, f64::max)
            }
        }
    }

    /// The largest κ ≤ 1 for which κ g · u + the penalty of u has a minimum over u, for every vector g whose components
    /// differ from `slopes` by at most `errors`.
    pub(crate) fn dual_scale(&self, slopes: &[f64], errors: &[f64]) -> f64 {
        let pairs = slopes.iter().zip(errors).enumerate();
        match self.groups(slopes.len()) {
            None => {
                let scales = pairs.map(|(i, (g, error))| self.of(i).dual_scale(*g, *error));
                scales.fold(1.0, f64::min)
            }
            Some(groups) => {
                let scales = (0..groups.columns).map(|j| {
                    let [g, error] = [slopes, errors].map(|x| norm(&groups.gather(x, j)));
                    // A group has no bounds. Its scale is that of a single weight whose g is the norm of the group's
                    // slopes, and whose error is the norm of the group's errors.
                    self.of(j).dual_scale(g, error + 4.0 * f64::EPSILON * g)
                });
                scales.fold(1.0, f64::min)
            }
        }
    }

    /// Upper bound on φ(w) − min φ for φ(u) = g · u + the penalty of u, which must have a minimum. The components of g
    /// may differ from `slopes` by up to `errors`.
    pub(crate) fn dual_distance(&self, weights: &[f64], slopes: &[f64], errors: &[f64]) -> f64 {
        match self.groups(slopes.len()) {
            None => {
                let numbers = weights.iter().zip(slopes.iter().zip(errors)).enumerate();
                let distances =
                    numbers.map(|(i, (w, (g, error)))| self.of(i).dual_distance(*w, *g, *error));
                distances.sum()
            }
            Some(groups) => {
                let distances = (0..groups.columns).map(|j| {
                    let prior: Vec<f64> = groups.places(j).map(|i| self.of(i).prior).collect();
                    let [w, g] = [weights, slopes].map(|x| groups.gather(x, j));
                    let error = norm(&groups.gather(errors, j));
                    self.of(j).group_distance([&w, &g, &prior], error)
                });
                distances.sum()
            }
        }
    }

    /// `aᵀ H b` for two directions a and b of the weights, where H is the Hessian of the smooth part of the penalty.
    pub(crate) fn product(&self, a: &[f64], b: &[f64]) -> f64 {
        if self.different().iter().all(|column| column.l2 == 0.0) {
            return 0.0; // even if the products overflow
        }
        if self.own.is_empty() {
            return self.shared.l2 * dot(a, b);
        }
        let image: Vec<f64> = (b.iter().enumerate())
            .map(|(i, b)| self.of(i).l2 * b)
            .collect();
        dot(a, &image)
    }

    /// The derivatives of the smooth part of the penalty by the weights.
    pub(crate) fn slopes(&self, weights: &[f64]) -> Vec<f64> {
        let weights = weights.iter().enumerate();
        weights.map(|(i, w)| self.of(i).slope(*w)).collect()
    }

    /// The derivative of the smooth part of the penalty along a direction of the weights.
    pub(crate) fn slope_along(&self, weights: &[f64], direction: &[f64]) -> f64 {
        if self.different().iter().all(|column| column.l2 == 0.0) {
            return 0.0; // even if the products overflow
        }
        dot(&self.slopes(weights), direction)
    }

    /// Replaces each weight outside of its bounds by the nearer bound.
    pub(crate) fn project(&self, weights: &mut [f64]) {
        for (i, w) in weights.iter_mut().enumerate() {
            let Kinks { lower, upper, .. } = self.of(i).kinks;
            *w = w.clamp(lower, upper);
        }
    }

    /// The weights at which the penalty is least. If there are several such weights, those nearest to 0.
    pub(crate) fn minimum(&self, weights: usize) -> Vec<f64> {
        let Some(groups) = self.groups(weights) else {
            return (0..weights).map(|i| self.of(i).minimum()).collect();
        };
        let mut least: Vec<f64> = (0..weights).map(|i| self.of(i).prior).collect();
        for j in 0..groups.columns {
            let WeightPenalty { l2, kinks, .. } = *self.of(j);
            let nearest = match l2 {
                0.0 => vec![0.0; groups.classes],
                l2 => proximal_of_group(&groups.gather(&least, j), kinks.l1, l2),
            };
            groups
                .places(j)
                .zip(nearest)
                .for_each(|(i, w)| least[i] = w);
        }
        least
    }

    /// step · l2, the fraction of each weight that the penalty takes away in a gradient step of length `step`:
    /// w ← w − step · l2 · w.
    pub(crate) fn shrinkage(&self, step: f64) -> f64 {
        step * self.shared.l2
    }

    /// Upper bound on `max_u (g + e)·u − Σ_j (l2_j/2) u_j²`, for every vector e whose norm is at most `error`.
    pub(crate) fn conjugate(&self, g: &[f64], error: f64) -> f64 {
        let least = self.different().iter().map(|column| column.l2);
        let least = least.fold(f64::INFINITY, f64::min);
        let scaled: Vec<f64> = (g.iter().enumerate())
            .map(|(i, g)| g / self.of(i).l2.sqrt())
            .collect();
        let length = norm(&scaled) + error / least.sqrt();
        0.5 * length * length
    }

    /// The diagonal of the Hessian of the smooth part of the penalty, with respect to the weights of the columns as
    /// `basis` transforms them.
    pub(crate) fn diagonal(&self, basis: &Basis) -> Vec<f64> {
        let per_unit = basis.per_unit().iter().enumerate();
        let mut diagonal: Vec<f64> = per_unit
            .map(|(j, unit)| match self.of(j).l2 {
                0.0 => 0.0, // even if the square of the unit overflows
                l2 => l2 * unit * unit,
            })
            .collect();
        for (j, _) in basis.combinations() {
            let w = basis.natural_weights(j);
            diagonal[j] = self.product(&w, &w);
        }
        diagonal
    }

    /// Calls `put(i, j, element)` for the elements i > j of the Hessian whose diagonal is [`Penalty::diagonal`].
    /// Elements that are certainly zero are left out.
    pub(crate) fn between(&self, basis: &Basis, mut put: impl FnMut(usize, usize, f64)) {
        if self.different().iter().all(|column| column.l2 == 0.0) {
            return;
        }
        let combined: Vec<(usize, Vec<f64>)> = basis
            .combinations()
            .map(|(j, _)| (j, basis.natural_weights(j)))
            .collect();
        for (at, (i, w)) in combined.iter().enumerate() {
            for j in 0..*i {
                let product = match combined[..at].binary_search_by_key(&j, |(j, _)| *j) {
                    Ok(other) => self.product(w, &combined[other].1),
                    Err(_) => self.of(j).l2 * w[j] * basis.per_unit()[j],
                };
                put(*i, j, product);
            }
        }
    }
}

/// The penalty on a single weight w: l1 |w| + (l2/2) (w − prior)², for w between its bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct WeightPenalty {
    pub l2: f64,
    pub prior: f64,
    pub kinks: Kinks,
}

impl WeightPenalty {
    const NONE: Self = WeightPenalty {
        l2: 0.0,
        prior: 0.0,
        kinks: Kinks::NONE,
    };

    /// Whether the weight is neither penalised nor bounded.
    pub(crate) fn is_free(&self) -> bool {
        self.l2 == 0.0 && self.kinks == Kinks::NONE
    }

    /// Whether the bounds leave only one weight.
    pub(crate) fn is_fixed(&self) -> bool {
        self.kinks.lower == self.kinks.upper
    }

    /// Whether a weight with the sign of `w` may grow in magnitude without limit: it meets neither a bound nor a
    /// penalty.
    pub(crate) fn is_open(&self, w: f64) -> bool {
        let Kinks { l1, lower, upper } = self.kinks;
        let end = if w > 0.0 { upper } else { lower };
        self.l2 == 0.0 && l1 == 0.0 && end.is_infinite()
    }

    fn value(&self, w: f64) -> f64 {
        let square = self.smooth_value(w);
        match self.kinks.l1 {
            0.0 => square,
            l1 => square + l1 * w.abs(),
        }
    }

    fn smooth_value(&self, w: f64) -> f64 {
        let from_prior = w - self.prior;
        // An l2 of 0 gives 0, even if the square overflows.
        match self.l2 {
            0.0 => 0.0,
            l2 => 0.5 * l2 * from_prior * from_prior,
        }
    }

    /// The weight at which the penalty is least. If there are several such weights, the one nearest to 0.
    fn minimum(&self) -> f64 {
        match self.l2 {
            0.0 => 0.0_f64.clamp(self.kinks.lower, self.kinks.upper),
            l2 => self.kinks.proximal(self.prior, l2),
        }
    }

    /// The derivative of the smooth part of the penalty.
    #[inline]
    pub(crate) fn slope(&self, w: f64) -> f64 {
        self.slope_at(w - self.prior)
    }

    /// The derivative of the smooth part at this distance of the weight from the prior mean.
    #[inline]
    pub(crate) fn slope_at(&self, distance: f64) -> f64 {
        self.l2 * distance
    }

    /// The largest κ ≤ 1 for which κ g' u + the penalty of u has a minimum over u, for every number g' within `error`
    /// of `g`.
    pub(crate) fn dual_scale(&self, g: f64, error: f64) -> f64 {
        let Kinks { l1, lower, upper } = self.kinks;
        let upwards = if upper == f64::INFINITY {
            -g
        } else {
            -f64::INFINITY
        };
        let downwards = if lower == -f64::INFINITY {
            g
        } else {
            -f64::INFINITY
        };
        let largest = upwards.max(downwards) + error;
        match self.l2 == 0.0 && largest > l1 {
            true => l1 / largest * (1.0 - 4.0 * f64::EPSILON),
            false => 1.0,
        }
    }

    /// Upper bound on φ(w) − min φ, where φ(u) = g u + the penalty of u. φ must have a minimum. `g` may have an error
    /// of up to `error`.
    pub(crate) fn dual_distance(&self, w: f64, g: f64, error: f64) -> f64 {
        let Kinks { l1, lower, upper } = self.kinks;
        if self.l2 == 0.0 {
            // φ is linear between these points, so that its minimum is at one of them.
            let ends = [lower, 0.0_f64.clamp(lower, upper), upper];
            let finite = ends.into_iter().filter(|end| end.is_finite());
            let distance = |t: f64| {
                let apart = (w - t).abs();
                let error = error + 4.0 * f64::EPSILON * (g.abs() + l1);
                g * (w - t) + l1 * (w.abs() - t.abs()) + error * apart
            };
            return finite.map(distance).fold(0.0, f64::max);
        }
        self.curved_distance(w, g, error)
    }

    /// [`WeightPenalty::dual_distance`] for l2 > 0. Let t be a number near the minimiser of φ, a a subgradient of l1
    /// |u| at t, and s = g + l2 (t − prior) + a the slope there. Then for every u between the bounds
    ///
    /// ```text
    /// φ(w) − φ(u) ≤ (l2/2) (w − t)² + s (w − t) + l1 |w| − a w  −  s (u − t) − (l2/2) (u − t)²
    /// ```
    ///
    /// If t is not at a bound, s is 0 up to rounding. The rounding error is counted as an error e of g, and the terms
    /// in u are at most e² / (2 l2). If t is at a bound, φ may fall beyond the bound, so that s is not 0. The result
    /// then includes the term s (w − t), and the terms in u are still at most e² / (2 l2), because without e they are
    /// never positive.
    fn curved_distance(&self, w: f64, g: f64, error: f64) -> f64 {
        let WeightPenalty { l2, prior, kinks } = *self;
        let Kinks { l1, lower, upper } = kinks;
        let at_zero = g - l2 * prior;
        let t = (-soft_threshold(at_zero, l1) / l2).clamp(lower, upper);
        let a = match t {
            0.0 => (-at_zero).clamp(-l1, l1),
            _ => l1.copysign(t),
        };
        let apart = w - t;
        let terms = g.abs() + l2 * (t.abs() + prior.abs()) + l1;
        let error = error + 4.0 * f64::EPSILON * terms;
        let pressing = match t == lower || t == upper {
            true => ((g + l2 * (t - prior) + a) * apart).max(0.0),
            false => 0.0,
        };
        let of_l1 = l1 * w.abs() - a * w + 4.0 * f64::EPSILON * l1 * w.abs();
        let of_error = error * apart.abs() + error * error / (2.0 * l2);
        0.5 * l2 * apart * apart + pressing + of_l1 + of_error
    }

    /// [`WeightPenalty::dual_distance`] for the weights w, slopes g and prior means of a group, with l1 on the norm of
    /// the weights. The errors of g are a vector whose norm is at most `error`.
    fn group_distance(&self, [w, g, prior]: [&[f64]; 3], error: f64) -> f64 {
        let (l1, l2) = (self.kinks.l1, self.l2);
        let length = norm(w);
        if l2 == 0.0 {
            // φ(u) = g · u + l1 ‖u‖. Since φ has a minimum, it is least at u = 0, where it is 0.
            let error = error + 4.0 * f64::EPSILON * (norm(g) + l1);
            return (dot(g, w) + l1 * length + error * length).max(0.0);
        }
        // As in `curved_distance`: t is near the minimiser of φ, and a is a subgradient of l1 ‖u‖ there.
        let at_zero: Vec<f64> = g
            .iter()
            .zip(prior)
            .map(|(g, prior)| g - l2 * prior)
            .collect();
        let t = proximal_of_group(
            &at_zero.iter().map(|x| -x / l2).collect::<Vec<f64>>(),
            l1,
            l2,
        );
        let size = norm(&t);
        let a: Vec<f64> = match size > 0.0 {
            true => t.iter().map(|t| l1 * (t / size)).collect(),
            false => {
                let factor = (l1 / norm(&at_zero)).min(1.0);
                at_zero.iter().map(|x| -x * factor).collect()
            }
        };
        let apart: Vec<f64> = w.iter().zip(&t).map(|(w, t)| w - t).collect();
        let far = norm(&apart);
        let terms = norm(g) + l2 * (size + norm(prior)) + l1;
        let error = error + 8.0 * f64::EPSILON * terms;
        let of_l1 = l1 * length - dot(&a, w) + 8.0 * f64::EPSILON * l1 * length;
        0.5 * l2 * far * far + of_l1.max(0.0) + error * far + error * error / (2.0 * l2)
    }
}

fn check(argument: &'static str, strength: f64) -> Result<(), Error> {
    match (0.0..f64::INFINITY).contains(&strength) {
        true => Ok(()),
        false => Err(Error::Number {
            argument,
            expected: "finite and not negative",
            got: strength,
        }),
    }
}

/// The bounds rounded to float32: the lower bound up, the upper bound down. If there is no float32 number between the
/// bounds, both are the number nearest to the lower bound.
fn inside(lower: f64, upper: f64) -> (f64, f64) {
    let (up, down) = (lower as f32, upper as f32);
    let up = if f64::from(up) < lower {
        up.next_up()
    } else {
        up
    };
    let down = if f64::from(down) > upper {
        down.next_down()
    } else {
        down
    };
    match up <= down {
        true => (f64::from(up), f64::from(down)),
        false => (f64::from(lower as f32), f64::from(lower as f32)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::shuffle::Random;

    #[test]
    fn gradient_and_curvature_are_those_of_the_value() {
        let options = ColumnOptions {
            factors: Some(vec![1.0, 0.0, 3.0]),
            prior: Some(vec![0.5, 0.0, -1.0]),
            ..ColumnOptions::default()
        };
        let penalty = Penalty::new(0.75).unwrap();
        for penalty in [penalty.clone().with_columns(3, &options).unwrap(), penalty] {
            let (w, d) = ([1.0, -2.0, 0.5], [0.25, 1.0, -3.0]);
            let at = |t: f64| {
                let moved: Vec<f64> = w.iter().zip(d).map(|(w, d)| w + t * d).collect();
                penalty.value(&moved)
            };
            // A quadratic is the sum of its Taylor terms.
            let slope = penalty.slope_along(&w, &d);
            let there = at(0.0) + slope + 0.5 * penalty.product(&d, &d);
            assert!((at(1.0) - there).abs() < 1e-13);
        }
    }

    /// Without an error, the conjugate is attained at u = g / l2. With an error, it is a bound for every vector that
    /// differs from g by at most the error.
    #[test]
    fn the_conjugate_is_the_largest_difference() {
        let factors = Some(vec![1.0, 0.5, 3.0]);
        let options = ColumnOptions {
            factors,
            ..ColumnOptions::default()
        };
        let penalty = Penalty::new(0.75)
            .unwrap()
            .with_columns(3, &options)
            .unwrap();
        let d = [0.25, 1.0, -3.0];
        let u: Vec<f64> = (d.iter().enumerate())
            .map(|(j, g)| g / penalty.of(j).l2)
            .collect();
        let gained = dot(&d, &u) - penalty.value(&u);
        assert!((penalty.conjugate(&d, 0.0) - gained).abs() < 1e-13);
        for j in 0..3 {
            let mut near = d;
            near[j] += 0.1_f64.copysign(near[j]);
            assert!(penalty.conjugate(&near, 0.0) <= penalty.conjugate(&d, 0.1));
        }
    }

    #[test]
    fn a_basis_changes_coordinates_not_the_penalty() {
        let options = ColumnOptions {
            factors: Some(vec![1.0, 0.25, 3.0]),
            ..ColumnOptions::default()
        };
        let penalty = Penalty::new(2.0).unwrap();
        for penalty in [penalty.clone().with_columns(3, &options).unwrap(), penalty] {
            let mut basis = Basis::new(vec![3.0, -1.0, 0.5], vec![0.5, 2.0, 0.25]);
            basis.take_out(2, &[0.5, 0.125], &[1.0, 1.0]);
            let u = [1.0, -0.5, 2.0];
            let mut natural = u.to_vec();
            basis.to_natural(&mut natural);
            let mut squares: f64 = (penalty.diagonal(&basis).iter().zip(u))
                .map(|(h, u)| h * u * u)
                .sum();
            penalty.between(&basis, |i, j, h| squares += 2.0 * h * u[i] * u[j]);
            assert!((0.5 * squares - penalty.value(&natural)).abs() < 1e-12);
        }
        assert!(Penalty::new(-1.0).is_err() && Penalty::new(f64::NAN).is_err());
    }

    /// The dual distance of a weight w bounds φ(w) − φ(u) for all weights u, where φ(u) = d u + the penalty of u, and d is
    /// any number that differs from g by at most the error. It is 0 if w minimises φ.
    #[test]
    fn the_dual_distance_is_the_largest_difference() {
        let mut random = Random::new(5);
        for round in 0..4000 {
            let mut number = |size: f64| size * (2.0 * random.uniform() - 1.0);
            let some = |chance: i32, x: f64, otherwise: f64| {
                if round % chance == 0 { x } else { otherwise }
            };
            let lower = some(3, number(1.0), -f64::INFINITY);
            let upper = some(5, lower.max(-1.0) + number(1.0).abs(), f64::INFINITY);
            let penalty = WeightPenalty {
                l2: some(2, number(1.0).abs(), 0.0),
                prior: number(1.0),
                kinks: Kinks {
                    l1: some(7, 0.0, number(1.0).abs()),
                    lower,
                    upper,
                },
            };
            let (g, error) = (number(2.0), some(4, number(0.1).abs(), 0.0));
            let g = penalty.dual_scale(g, error) * g;
            let w = number(2.0).clamp(lower, upper);
            let said = penalty.dual_distance(w, g, error);
            for _ in 0..100 {
                let (u, e) = (number(3.0).clamp(lower, upper), number(error));
                let e = if penalty.dual_scale(g + e, 0.0) < 1.0 {
                    0.0
                } else {
                    e
                };
                let apart = (g + e) * (w - u) + penalty.value(w) - penalty.value(u);
                assert!(
                    apart <= said + 1e-14,
                    "{penalty:?} {g} {e} {w} {u}: {apart} {said}"
                );
            }
            if penalty.l2 > 0.0 {
                let least = penalty
                    .kinks
                    .proximal(penalty.prior - g / penalty.l2, penalty.l2);
                assert!(penalty.dual_distance(least, g, 0.0) < 1e-12);
            }
        }
    }

    #[test]
    fn bounds_of_single_precision_are_not_farther_out() {
        assert_eq!(inside(0.0, f64::INFINITY), (0.0, f64::INFINITY));
        let (lower, upper) = inside(0.1, 0.7);
        assert!(lower >= 0.1 && lower - 0.1 < 1e-8 && upper <= 0.7 && 0.7 - upper < 1e-7);
        let (lower, upper) = inside(0.1, 0.1);
        assert!(lower == upper && (lower - 0.1).abs() < 1e-8);
    }
}
