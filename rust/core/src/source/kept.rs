//! Numbers that are kept for every row. For rows in memory, they are the scores at fixed parameters. For all rows, in
//! memory or elsewhere, they are the scores of a plane search: a line search over two directions.

use std::cell::{Ref, RefCell};

use serde::{Deserialize, Serialize};

use super::{PlaneScores, RowScores};
use crate::elementwise::{self, Function};
use crate::error::{Error, zeros};
use crate::kernel::{
    self, Basis, Curvatures, Dataset, Errors, ExactScores, Gram, JeffreysSums, MomentSums, Moments,
    Parameters, Plane, Residuals, RowTerms, Whitening, rows_of,
};
use crate::linalg::add_multiple;
use crate::reduce::{Job, Sum};

/// The scores of all rows, right to nearly the last bit; and the second derivatives of the error by the scores, which
/// are computed when they are first needed.
pub(super) struct KeptScores<'a> {
    dataset: &'a Dataset<'a>,
    exact: ExactScores,
    classes: usize,
    curvatures: RefCell<Option<Curvatures>>,
}

/// Statistics of the scores of some rows. The statistics of several parts of the rows can be added.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(super) struct ScoreSums {
    /// Whether all scores are finite.
    pub are_finite: bool,
    /// An upper bound on the sum of the magnitudes of the terms of a score: [`ExactScores::magnitude`].
    pub magnitude: f64,
    pub errors: Errors,
    /// Pearson's χ² of a model with one score; 0 with several classes.
    pub chi_square: f64,
}

impl Sum for ScoreSums {
    fn add(&mut self, right: &Self) {
        self.are_finite &= right.are_finite;
        self.magnitude = self.magnitude.max(right.magnitude);
        self.errors.add(&right.errors);
        self.chi_square += right.chi_square;
    }

    fn clear(&mut self) {
        self.are_finite = true;
        (self.magnitude, self.chi_square) = (0.0, 0.0);
        self.errors.clear();
    }
}

impl<'a> KeptScores<'a> {
    pub(super) fn new(
        dataset: &'a Dataset<'a>,
        at: &Parameters<'_, f64>,
        job: &mut Job<'_>,
    ) -> Result<Self, Error> {
        Ok(KeptScores {
            dataset,
            exact: kernel::exact_scores(dataset, at.weights, at.biases, job)?,
            classes: at.scores(),
            curvatures: RefCell::new(None),
        })
    }

    pub(super) fn sums(&self, job: &mut Job<'_>) -> Result<ScoreSums, Error> {
        Ok(ScoreSums {
            are_finite: self.are_finite(),
            magnitude: self.exact.magnitude,
            errors: self.residuals(job)?.errors,
            chi_square: match self.classes {
                1 => self.chi_square(job)?,
                _ => 0.0,
            },
        })
    }

    fn curvatures(&self, job: &mut Job<'_>) -> Result<Ref<'_, Curvatures>, Error> {
        if self.curvatures.borrow().is_none() {
            let curvatures = kernel::curvatures(self.dataset, &self.exact.z, job)?;
            *self.curvatures.borrow_mut() = Some(curvatures);
        }
        let kept = self.curvatures.borrow();
        Ok(Ref::map(kept, |kept| {
            kept.as_ref().unwrap_or_else(|| unreachable!("just made"))
        }))
    }

    /// How far scores differ between `self` and `other`: with one score, max_i |Δz_i| over the rows i; with K classes,
    /// max_i |Δz_ik − Δz_il| over the rows and all pairs of classes k, l.
    pub(super) fn change(&self, other: &Self) -> f64 {
        let rows = self.exact.z.chunks_exact(self.classes);
        let rows = rows.zip(other.exact.z.chunks_exact(self.classes));
        let change = |(a, b): (&[f64], &[f64])| {
            let changes = || a.iter().zip(b).map(|(a, b)| a - b);
            match self.classes {
                1 => changes().fold(0.0, |most: f64, x| most.max(x.abs())),
                _ => changes().fold(f64::MIN, f64::max) - changes().fold(f64::MAX, f64::min),
            }
        };
        rows.map(change).fold(0.0, f64::max)
    }

    /// [`RowScores::predict_all_labels`], where `error` bounds the error of a score.
    pub(super) fn predict_labels(&self, error: f64) -> bool {
        let Dataset {
            y,
            sample_weight,
            rows,
            offsets,
            ..
        } = self.dataset;
        if !offsets.is_empty() {
            return false; // the labels may be predicted right because of the offsets
        }
        let rounding = |z: f64| f64::EPSILON * z.abs() + error;
        let is_right = |(i, z): (usize, &[f64])| {
            let row = rows.at(i);
            if sample_weight.is_some_and(|s| s.get::<f64>(row) == 0.0) {
                return true;
            }
            let y = y.get::<f64>(row);
            match z {
                [z] => (y == 1.0 && *z > rounding(*z)) || (y == 0.0 && -z > rounding(*z)),
                _ => z.iter().enumerate().all(|(k, other)| {
                    let own = z[y as usize];
                    k == y as usize || own - other > 2.0 * (rounding(own) + rounding(*other))
                }),
            }
        };
        let mut scores = self.exact.z.chunks_exact(self.classes).enumerate();
        scores.all(is_right)
    }

    pub(super) fn residuals(&self, job: &mut Job<'_>) -> Result<Residuals, Error> {
        kernel::residuals(self.dataset, &self.exact.z, job)
    }

    /// The sums from which [`Moments`] are made. `is_fractional` says whether any row, in this dataset or in another
    /// part of the rows, has a label strictly between 0 and 1.
    pub(super) fn moment_sums(
        &self,
        residuals: &Residuals,
        is_fractional: bool,
        (basis, scale): (&Basis, &[f64]),
        job: &mut Job<'_>,
    ) -> Result<MomentSums, Error> {
        let residuals = (residuals.values.as_slice(), is_fractional);
        kernel::moment_sums(self.dataset, basis, residuals, scale, job)
    }

    fn gram_of(&self, d: &[f64], basis: &Basis, job: &mut Job<'_>) -> Result<Gram, Error> {
        kernel::gram_of(self.dataset, d, self.dataset.weight(), basis, job)
    }
}

impl RowScores for KeptScores<'_> {
    fn are_finite(&self) -> bool {
        self.exact.z.iter().all(|z| z.is_finite())
    }

    fn error(&self) -> f64 {
        kernel::score_error(self.exact.magnitude, self.dataset.x.columns())
    }

    fn largest(&self) -> f64 {
        self.exact.magnitude
    }

    fn predict_all_labels(&self, _: &mut Job<'_>) -> Result<bool, Error> {
        Ok(self.predict_labels(self.error()))
    }

    fn moved_to<'s>(
        &'s self,
        at: &Parameters<'_, f64>,
        job: &mut Job<'_>,
    ) -> Result<(Box<dyn RowScores + 's>, f64), Error> {
        let exact = kernel::exact_scores(self.dataset, at.weights, at.biases, job)?;
        let moved = KeptScores {
            exact,
            curvatures: RefCell::new(None),
            ..*self
        };
        let change = self.change(&moved);
        Ok((Box::new(moved), change))
    }

    fn error_and_weight(&self, job: &mut Job<'_>) -> Result<(f64, f64), Error> {
        Ok(self.residuals(job)?.errors.error_and_weight())
    }

    fn moments(&self, basis: &Basis, scale: &[f64], job: &mut Job<'_>) -> Result<Moments, Error> {
        let residuals = self.residuals(job)?;
        let is_fractional = residuals.errors.is_fractional;
        let sums = self.moment_sums(&residuals, is_fractional, (basis, scale), job)?;
        Ok(Moments::new(&residuals.errors, sums))
    }

    fn chi_square(&self, job: &mut Job<'_>) -> Result<f64, Error> {
        kernel::chi_square(self.dataset, &self.exact.z, job)
    }

    fn jeffreys_sums(
        &self,
        whitening: &Whitening,
        with_cubes: bool,
        job: &mut Job<'_>,
    ) -> Result<(JeffreysSums, [f64; 2]), Error> {
        let residuals = self.residuals(job)?;
        let curvatures = self.curvatures(job)?.of_pair(0, 0);
        let mut predictions = self.exact.z.clone();
        elementwise::apply_in_place(Function::Sigmoid, &mut predictions, job)?;
        let terms = RowTerms {
            residuals: &residuals.values,
            curvatures: &curvatures,
            predictions: &predictions,
        };
        let sums = kernel::jeffreys_sums(self.dataset, whitening, &terms, with_cubes, job)?;
        let (error, weight) = residuals.errors.error_and_weight();
        Ok((sums, [error, weight]))
    }

    fn gram(&self, [k, l]: [usize; 2], basis: &Basis, job: &mut Job<'_>) -> Result<Gram, Error> {
        let d = self.curvatures(job)?.of_pair(k, l);
        self.gram_of(&d, basis, job)
    }

    fn gram_of_trace(&self, basis: &Basis, job: &mut Job<'_>) -> Result<Gram, Error> {
        let d = self.curvatures(job)?.traces();
        self.gram_of(&d, basis, job)
    }
}

/// Rows whose scores a plane search asks for. A plane search is a line search over two directions.
pub(super) trait Rows {
    /// The labels, sample weights and offsets of the rows. The X of this dataset is not read.
    fn labels(&self) -> &Dataset<'_>;
    /// Writes the scores of all rows, without offsets, to `out`, shape (m, K).
    fn scores(
        &self,
        at: &Parameters<'_, f64>,
        out: &mut [f64],
        job: &mut Job<'_>,
    ) -> Result<(), Error>;
}

/// Scores for a line search over two directions. `v` are the scores at the current parameters, shape (m, K).
pub(super) struct KeptPlane<'a, R> {
    rows: &'a R,
    v: Vec<f64>,
    /// The changes of the scores along two directions, the new direction d and the last step s; shape (m, K) each.
    along: [Vec<f64>; 2],
}

impl<'a, R: Rows> KeptPlane<'a, R> {
    pub(super) fn new(rows: &'a R, scores: usize) -> Result<Self, Error> {
        let count = rows_of(rows.labels());
        let v = zeros("X", count.saturating_mul(scores), "scores")?;
        Ok(KeptPlane {
            rows,
            along: [v.clone(), v.clone()],
            v,
        })
    }
}

impl<R: Rows> PlaneScores for KeptPlane<'_, R> {
    fn refresh(&mut self, v: &Parameters<'_, f64>, job: &mut Job<'_>) -> Result<(), Error> {
        scores(self.rows, v, &mut self.v, job)?;
        let labels = self.rows.labels();
        if !labels.offsets.is_empty() {
            for (i, z) in self.v.chunks_exact_mut(v.scores()).enumerate() {
                let row = labels.rows.at(i);
                let is_counted = (labels.sample_weight).is_none_or(|s| s.get::<f64>(row) != 0.0);
                for (k, z) in z.iter_mut().enumerate().filter(|_| is_counted) {
                    *z += labels.offset_of(row, k);
                }
            }
        }
        Ok(())
    }

    fn set_direction(&mut self, d: &Parameters<'_, f64>, job: &mut Job<'_>) -> Result<(), Error> {
        scores(self.rows, d, &mut self.along[0], job)
    }

    fn loss(&self, at: [f64; 2], job: &mut Job<'_>) -> Result<Plane, Error> {
        let labels = self.rows.labels();
        let classes = self.v.len() / rows_of(labels).max(1);
        let [d, s] = &self.along;
        kernel::plane(labels, [&self.v, d, s], at, classes, job)
    }

    fn advance(&mut self, [alpha, beta]: [f64; 2]) {
        let [d, s] = &mut self.along;
        for (s, &d) in s.iter_mut().zip(&*d) {
            *s = alpha * d + beta * *s;
        }
        add_multiple(&mut self.v, 1.0, s);
    }
}

/// Writes the scores `z = X w + b` of every row, without offsets, to `out`. The scores of rows of weight 0 must not
/// count even if they overflow, so 0 is written instead, except if all w are 0.
fn scores(
    rows: &impl Rows,
    at: &Parameters<'_, f64>,
    out: &mut [f64],
    job: &mut Job<'_>,
) -> Result<(), Error> {
    if at.weights.iter().all(|&w| w == 0.0) {
        for out in out.chunks_exact_mut(at.scores()) {
            out.copy_from_slice(at.biases);
        }
        return Ok(());
    }
    rows.scores(at, out, job)?;
    let dataset = rows.labels();
    if let Some(s) = dataset.sample_weight {
        for (i, z) in out.chunks_exact_mut(at.scores()).enumerate() {
            if s.get::<f64>(dataset.rows.at(i)) == 0.0 {
                z.fill(0.0);
            }
        }
    }
    Ok(())
}
