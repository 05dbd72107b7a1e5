//! Numbers that are kept of every row, whatever X is read from: scores at fixed parameters, and the scores of a plane
//! search.

use std::cell::{Ref, RefCell};

use super::{PlaneScores, RowScores};
use crate::elementwise::{self, Function};
use crate::error::{Error, zeros};
use crate::kernel::{
    self, Basis, Curvatures, Dataset, ExactScores, Gram, JeffreysSums, MomentSums, Moments,
    Parameters, Plane, RowTerms, Whitening, rows_of,
};
use crate::linalg::add_multiple;
use crate::reduce::Job;

/// The reads of X with which numbers of every row are made and used.
pub(super) trait Rows {
    /// The rows with their labels, sample weights and offsets; their X is not read.
    fn labels(&self) -> &Dataset<'_>;
    /// The scores of all rows, right to nearly the last bit.
    fn exact_scores(
        &self,
        at: &Parameters<'_, f64>,
        job: &mut Job<'_>,
    ) -> Result<ExactScores, Error>;
    /// Writes the scores of all rows, without offsets, to `out`, shape (m, K).
    fn scores(
        &self,
        at: &Parameters<'_, f64>,
        out: &mut [f64],
        job: &mut Job<'_>,
    ) -> Result<(), Error>;
    /// `[X 1]ᵀ D [X 1]` in the coordinates of a basis, with the diagonal `d` of D, one number per row.
    fn gram_of(&self, d: &[f64], basis: &Basis, job: &mut Job<'_>) -> Result<Gram, Error>;
    /// The sums from which [`Moments`] are made: of the residuals of all rows, shape (m, K), which `is_fractional` if a
    /// label lies strictly between 0 and 1.
    fn moment_sums(
        &self,
        basis: &Basis,
        residuals: &[f64],
        is_fractional: bool,
        scale: &[f64],
        job: &mut Job<'_>,
    ) -> Result<MomentSums, Error>;
    /// Sums for the likelihood of one score under Jeffreys' prior, those of third order only `with_cubes`.
    fn jeffreys_sums(
        &self,
        whitening: &Whitening,
        terms: &RowTerms<'_>,
        with_cubes: bool,
        job: &mut Job<'_>,
    ) -> Result<JeffreysSums, Error>;
}

/// The scores of all rows; and the second derivatives of the error by the scores, computed when first needed.
pub(super) struct KeptScores<'a, R> {
    rows: &'a R,
    exact: ExactScores,
    classes: usize,
    curvatures: RefCell<Option<Curvatures>>,
}

impl<'a, R: Rows> KeptScores<'a, R> {
    pub(super) fn new(
        rows: &'a R,
        at: &Parameters<'_, f64>,
        job: &mut Job<'_>,
    ) -> Result<Self, Error> {
        Ok(KeptScores {
            rows,
            exact: rows.exact_scores(at, job)?,
            classes: at.scores(),
            curvatures: RefCell::new(None),
        })
    }

    fn curvatures(&self, job: &mut Job<'_>) -> Result<Ref<'_, Curvatures>, Error> {
        if self.curvatures.borrow().is_none() {
            let curvatures = kernel::curvatures(self.rows.labels(), &self.exact.z, job)?;
            *self.curvatures.borrow_mut() = Some(curvatures);
        }
        let kept = self.curvatures.borrow();
        Ok(Ref::map(kept, |kept| {
            kept.as_ref().unwrap_or_else(|| unreachable!("just made"))
        }))
    }

    /// How far scores differ between `self` and `other`: with one score, max_i |Δz_i| over the rows i; with K classes,
    /// max_i |Δz_ik − Δz_il| over the rows and all pairs of classes k, l.
    fn change(&self, other: &Self) -> f64 {
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
}

impl<R: Rows> RowScores for KeptScores<'_, R> {
    fn are_finite(&self) -> bool {
        self.exact.z.iter().all(|z| z.is_finite())
    }

    fn error(&self) -> f64 {
        self.exact.error(self.rows.labels().x.columns())
    }

    fn largest(&self) -> f64 {
        self.exact.magnitude
    }

    fn predict_all_labels(&self) -> bool {
        let Dataset {
            y,
            sample_weight,
            rows,
            offset,
            ..
        } = self.rows.labels();
        if offset.is_some() {
            return false; // the offsets may be what is right
        }
        let rounding = |z: f64| f64::EPSILON * z.abs() + self.error();
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

    fn moved_to<'s>(
        &'s self,
        at: &Parameters<'_, f64>,
        job: &mut Job<'_>,
    ) -> Result<(Box<dyn RowScores + 's>, f64), Error> {
        let moved = KeptScores::new(self.rows, at, job)?;
        let change = self.change(&moved);
        Ok((Box::new(moved), change))
    }

    fn error_and_weight(&self, job: &mut Job<'_>) -> Result<(f64, f64), Error> {
        let residuals = kernel::residuals(self.rows.labels(), &self.exact.z, job)?;
        Ok((residuals.error, residuals.weight))
    }

    fn moments(&self, basis: &Basis, scale: &[f64], job: &mut Job<'_>) -> Result<Moments, Error> {
        let residuals = kernel::residuals(self.rows.labels(), &self.exact.z, job)?;
        let sums = self.rows.moment_sums(
            basis,
            &residuals.values,
            residuals.is_fractional,
            scale,
            job,
        )?;
        Ok(Moments::new(&residuals, sums))
    }

    fn chi_square(&self, job: &mut Job<'_>) -> Result<f64, Error> {
        kernel::chi_square(self.rows.labels(), &self.exact.z, job)
    }

    fn jeffreys_sums(
        &self,
        whitening: &Whitening,
        with_cubes: bool,
        job: &mut Job<'_>,
    ) -> Result<(JeffreysSums, [f64; 2]), Error> {
        let residuals = kernel::residuals(self.rows.labels(), &self.exact.z, job)?;
        let curvatures = self.curvatures(job)?.of_pair(0, 0);
        let mut predictions = self.exact.z.clone();
        elementwise::apply_in_place(Function::Sigmoid, &mut predictions, job)?;
        let terms = RowTerms {
            residuals: &residuals.values,
            curvatures: &curvatures,
            predictions: &predictions,
        };
        let sums = self
            .rows
            .jeffreys_sums(whitening, &terms, with_cubes, job)?;
        Ok((sums, [residuals.error, residuals.weight]))
    }

    fn gram(&self, [k, l]: [usize; 2], basis: &Basis, job: &mut Job<'_>) -> Result<Gram, Error> {
        let d = self.curvatures(job)?.of_pair(k, l);
        self.rows.gram_of(&d, basis, job)
    }

    fn gram_of_trace(&self, basis: &Basis, job: &mut Job<'_>) -> Result<Gram, Error> {
        let d = self.curvatures(job)?.traces();
        self.rows.gram_of(&d, basis, job)
    }
}

/// Scores for a search in the plane of two directions: `v` has the scores at the current parameters, shape (m, K).
pub(super) struct KeptPlane<'a, R> {
    rows: &'a R,
    v: Vec<f64>,
    /// Changes of the scores along the new direction d and along the last step s, shape (m, K) each.
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
        if labels.offset.is_some() {
            for (i, z) in self.v.iter_mut().enumerate() {
                *z += offset_of_counted(labels, i);
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

/// The offset of a row; 0 for rows of weight 0.
fn offset_of_counted(dataset: &Dataset<'_>, i: usize) -> f64 {
    let row = dataset.rows.at(i);
    let is_counted = dataset
        .sample_weight
        .is_none_or(|s| s.get::<f64>(row) != 0.0);
    let offset = dataset.offset.filter(|_| is_counted);
    offset.map_or(0.0, |offset| offset.get::<f64>(row))
}

/// Writes the scores `z = X w + b` of every row, without offsets, to `out`. Writes 0 for rows of weight 0, whose scores
/// must not count even if they overflow.
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
