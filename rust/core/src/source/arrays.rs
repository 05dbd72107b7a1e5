//! Implements [`Source`], through which solvers read rows, for X, y and sample weights in memory.

use std::cell::{Ref, RefCell};

use super::columns::WeightedColumns;
use super::{ByColumns, Part, PlaneScores, Rounding, RowCurvatures, RowScores, Source};
use crate::error::{Error, zeros};
use crate::features::Features;
use crate::float::Precision;
use crate::kernel::{
    self, Basis, Curvature, Curvatures, Dataset, ExactScores, Gram, Labels, Metric, Moments,
    Parameters, Plane, Ranges, Selected, Sides, Standardised, Subset, Sums, Want, rows_of,
};
use crate::linalg::add_multiple;
use crate::reduce::Job;
use crate::vector::RowSet;

/// The rows of a dataset in memory, as a [`Source`].
#[derive(Clone, Copy)]
pub(crate) struct Arrays<'a>(pub(crate) Dataset<'a>);

impl Part for Subset<'_> {
    fn rows(&self) -> usize {
        self.len()
    }

    fn with_source(
        &self,
        stride: usize,
        work: &mut dyn FnMut(&dyn Source) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.with_rows(stride, |dataset| work(&Arrays(*dataset)))
    }
}

impl Part for Selected<'_> {
    fn rows(&self) -> usize {
        self.rows()
    }

    fn with_source(
        &self,
        stride: usize,
        work: &mut dyn FnMut(&dyn Source) -> Result<(), Error>,
    ) -> Result<(), Error> {
        debug_assert_eq!(stride, 1, "copies of columns are of all rows");
        work(&Arrays(self.dataset()?))
    }
}

impl Source for Arrays<'_> {
    fn rows(&self) -> usize {
        rows_of(&self.0)
    }

    fn columns(&self) -> usize {
        self.0.x.columns()
    }

    fn reads(&self) -> usize {
        self.0.x.reads(self.rows())
    }

    fn has_offsets(&self) -> bool {
        self.0.offset.is_some()
    }

    fn labels(&self, precision: Precision, job: &mut Job<'_>) -> Result<Labels, Error> {
        let labels = kernel::labels(&self.0, job)?;
        self.0.check_offsets()?;
        if precision == Precision::Single {
            self.0.check_weights::<f32>()?;
        }
        Ok(labels)
    }

    fn basis(&self, fit_bias: bool, is_penalised: bool) -> Basis {
        Basis::sampled(&self.0, fit_bias, is_penalised)
    }

    fn ranges(&self, scores: usize, job: &mut Job<'_>) -> Result<Ranges, Error> {
        kernel::ranges(&self.0, scores, job)
    }

    fn evaluate(
        &self,
        at: &Parameters<'_, f64>,
        precision: Precision,
        job: &mut Job<'_>,
    ) -> Result<Sums, Error> {
        match precision {
            Precision::Double => kernel::evaluate(&self.0, at, Want::LossAndGradient, job),
            Precision::Single => {
                let single = |values: &[f64]| values.iter().map(|&x| x as f32).collect();
                let (weights, biases): (Vec<f32>, Vec<f32>) =
                    (single(at.weights), single(at.biases));
                let at = Parameters {
                    loss: at.loss,
                    weights: &weights,
                    biases: &biases,
                };
                kernel::evaluate(&self.0, &at, Want::LossAndGradient, job)
            }
        }
    }

    fn rounding(&self, scores: usize, precision: Precision) -> Rounding {
        let sums = kernel::leaves(&self.0, scores).additions();
        let of_offset = self.0.offset.map_or(0.0, |_| precision.epsilon());
        match self.0.x {
            Features::Dense(x) => {
                let n = x.columns() as f64;
                // One score is summed in SIMD lanes, which are then added; the scores of K classes are summed over
                // blocks of 64 columns, which are then added.
                let additions = match scores {
                    1 => n / precision.lanes() as f64 + 8.0,
                    _ => n.min(64.0) + n / 64.0 + 10.0,
                };
                Rounding {
                    score: precision.epsilon() * additions,
                    offset: of_offset,
                    additions: sums,
                }
            }
            Features::Sparse(x) => {
                let terms = if scores == 1 { 8.0 } else { 10.0 };
                Rounding {
                    score: precision.epsilon() * terms + f64::EPSILON * x.longest_row() as f64,
                    offset: of_offset,
                    additions: sums + kernel::longest_sum(&x),
                }
            }
        }
    }

    fn curvatures<'s>(
        &'s self,
        at: &Parameters<'_, f64>,
        job: &mut Job<'_>,
    ) -> Result<Box<dyn RowCurvatures + 's>, Error> {
        Ok(match at.biases {
            [bias] => Box::new(OneScoreCurvatures {
                dataset: &self.0,
                weights: at.weights.to_vec(),
                bias: *bias,
            }),
            _ => {
                let values = kernel::slopes(&self.0, at, job)?;
                Box::new(ClassCurvatures {
                    dataset: &self.0,
                    weights: at.weights.to_vec(),
                    biases: at.biases.to_vec(),
                    values,
                })
            }
        })
    }

    fn gram_of_counts(&self, basis: &Basis, job: &mut Job<'_>) -> Result<Gram, Error> {
        let mut s = vec![1.0; self.rows()];
        if let Some(weights) = self.0.sample_weight {
            weights.copy(self.0.rows, 0, &mut s);
        }
        s.iter_mut()
            .for_each(|s| *s = if *s > 0.0 { 1.0 } else { 0.0 });
        kernel::gram_of(&self.0, &s, self.0.weight(), basis, job)
    }

    fn scores<'s>(
        &'s self,
        at: &Parameters<'_, f64>,
        job: &mut Job<'_>,
    ) -> Result<Box<dyn RowScores + 's>, Error> {
        Ok(Box::new(ArrayScores::new(&self.0, at, job)?))
    }

    fn plane<'s>(&'s self, scores: usize) -> Result<Box<dyn PlaneScores + 's>, Error> {
        let v = zeros("X", self.rows().saturating_mul(scores), "scores")?;
        Ok(Box::new(ArrayPlane {
            dataset: &self.0,
            along: [v.clone(), v.clone()],
            v,
        }))
    }

    fn reach(&self, metric: &Metric, job: &mut Job<'_>) -> Result<f64, Error> {
        kernel::reach(&self.0, metric, job)
    }

    fn sum_of_pairs(&self, space: &Standardised, job: &mut Job<'_>) -> Result<Vec<f64>, Error> {
        kernel::sum_of_pairs(&self.0, space, job)
    }

    fn sides(
        &self,
        space: &Standardised,
        direction: &[f64],
        tie: f64,
        job: &mut Job<'_>,
    ) -> Result<Sides, Error> {
        kernel::sides(&self.0, space, direction, tie, job)
    }

    fn gather(&self, rows: &[usize]) -> Vec<f64> {
        kernel::gather(&self.0, rows)
    }

    fn sample<'s>(
        &'s self,
        rows: Vec<usize>,
        precision: Precision,
        job: &mut Job<'_>,
    ) -> Result<Box<dyn Part + 's>, Error> {
        Ok(Box::new(Subset::new(&self.0, rows, precision, job)?))
    }

    fn select<'s>(
        &'s self,
        columns: &[usize],
        precision: Precision,
        job: &mut Job<'_>,
    ) -> Result<Box<dyn Part + 's>, Error> {
        Ok(Box::new(Selected::new(&self.0, columns, precision, job)?))
    }

    fn by_columns<'s>(
        &'s self,
        job: &mut Job<'_>,
    ) -> Result<Option<Box<dyn ByColumns + 's>>, Error> {
        match (&self.0.x, self.0.rows) {
            (Features::Sparse(x), RowSet::All) => {
                Ok(Some(Box::new(WeightedColumns::new(&self.0, x, job)?)))
            }
            _ => Ok(None),
        }
    }

    fn not_finite(&self) -> Error {
        self.0.not_finite()
    }
}

/// The curvatures d_i = s_i σ'(z_i) of the rows of a model with one score, computed anew in every pass over the rows.
struct OneScoreCurvatures<'a> {
    dataset: &'a Dataset<'a>,
    weights: Vec<f64>,
    bias: f64,
}

impl RowCurvatures for OneScoreCurvatures<'_> {
    fn gram(&self, _: usize, basis: &Basis, job: &mut Job<'_>) -> Result<Gram, Error> {
        kernel::gram(self.dataset, &self.weights, self.bias, basis, job)
    }

    fn diagonal(&self, _: usize, basis: &Basis, job: &mut Job<'_>) -> Result<Curvature, Error> {
        kernel::curvature(self.dataset, &self.weights, self.bias, basis, job)
    }

    fn trace(&self, basis: &Basis, job: &mut Job<'_>) -> Result<(Curvature, Vec<f64>), Error> {
        let diagonal = self.diagonal(0, basis, job)?;
        let by_bias = vec![diagonal.bias];
        Ok((diagonal, by_bias))
    }
}

/// The curvatures d_ik = s_i p_ik (1 − p_ik) of row i and class k, with probabilities p_ik; computed once and stored.
struct ClassCurvatures<'a> {
    dataset: &'a Dataset<'a>,
    weights: Vec<f64>,
    biases: Vec<f64>,
    /// The curvatures, shape (K, m), class by class.
    values: Vec<f64>,
}

impl ClassCurvatures<'_> {
    fn of_class(&self, class: usize) -> &[f64] {
        let rows = rows_of(self.dataset);
        &self.values[class * rows..][..rows]
    }
}

impl RowCurvatures for ClassCurvatures<'_> {
    fn gram(&self, score: usize, basis: &Basis, job: &mut Job<'_>) -> Result<Gram, Error> {
        let weight = self.dataset.weight();
        kernel::gram_of(self.dataset, self.of_class(score), weight, basis, job)
    }

    fn diagonal(&self, score: usize, basis: &Basis, job: &mut Job<'_>) -> Result<Curvature, Error> {
        kernel::curvature_of(self.dataset, self.of_class(score), basis, job)
    }

    fn trace(&self, basis: &Basis, job: &mut Job<'_>) -> Result<(Curvature, Vec<f64>), Error> {
        let mut traces = vec![0.0; rows_of(self.dataset)];
        for class in 0..self.biases.len() {
            add_multiple(&mut traces, 1.0, self.of_class(class));
        }
        let diagonal = kernel::curvature_of(self.dataset, &traces, basis, job)?;
        let at = Parameters::of_classes(&self.weights, &self.biases);
        let by_biases = kernel::bias_hessian(self.dataset, &at, &self.values, job)?;
        Ok((diagonal, by_biases))
    }
}

/// The scores of all rows; and the second derivatives of the error by the scores, computed when first needed.
struct ArrayScores<'a> {
    dataset: &'a Dataset<'a>,
    exact: ExactScores,
    classes: usize,
    curvatures: RefCell<Option<Curvatures>>,
}

impl<'a> ArrayScores<'a> {
    fn new(
        dataset: &'a Dataset<'a>,
        at: &Parameters<'_, f64>,
        job: &mut Job<'_>,
    ) -> Result<Self, Error> {
        Ok(ArrayScores {
            dataset,
            exact: kernel::exact_scores(dataset, at.weights, at.biases, job)?,
            classes: at.scores(),
            curvatures: RefCell::new(None),
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

    fn gram_of(&self, d: &[f64], basis: &Basis, job: &mut Job<'_>) -> Result<Gram, Error> {
        kernel::gram_of(self.dataset, d, self.dataset.weight(), basis, job)
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

impl RowScores for ArrayScores<'_> {
    fn are_finite(&self) -> bool {
        self.exact.z.iter().all(|z| z.is_finite())
    }

    fn error(&self) -> f64 {
        self.exact.error(self.dataset.x.columns())
    }

    fn largest(&self) -> f64 {
        self.exact.magnitude
    }

    fn predict_all_labels(&self) -> bool {
        let Dataset {
            y,
            sample_weight,
            rows,
            ..
        } = self.dataset;
        if self.dataset.offset.is_some() {
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
        let moved = ArrayScores::new(self.dataset, at, job)?;
        let change = self.change(&moved);
        Ok((Box::new(moved), change))
    }

    fn error_and_weight(&self, job: &mut Job<'_>) -> Result<(f64, f64), Error> {
        let residuals = kernel::residuals(self.dataset, &self.exact.z, job)?;
        Ok((residuals.error, residuals.weight))
    }

    fn moments(&self, basis: &Basis, scale: &[f64], job: &mut Job<'_>) -> Result<Moments, Error> {
        let residuals = kernel::residuals(self.dataset, &self.exact.z, job)?;
        kernel::moments(self.dataset, basis, &residuals, scale, job)
    }

    fn chi_square(&self, job: &mut Job<'_>) -> Result<f64, Error> {
        kernel::chi_square(self.dataset, &self.exact.z, job)
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

/// Scores for a search in the plane of two directions: `v` has the scores at the current parameters, shape (m, K).
struct ArrayPlane<'a> {
    dataset: &'a Dataset<'a>,
    v: Vec<f64>,
    /// Changes of the scores along the new direction d and along the last step s, shape (m, K) each.
    along: [Vec<f64>; 2],
}

impl PlaneScores for ArrayPlane<'_> {
    fn refresh(&mut self, v: &Parameters<'_, f64>, job: &mut Job<'_>) -> Result<(), Error> {
        scores(self.dataset, v, &mut self.v, job)?;
        if self.dataset.offset.is_some() {
            for (i, z) in self.v.iter_mut().enumerate() {
                *z += offset_of_counted(self.dataset, i);
            }
        }
        Ok(())
    }

    fn set_direction(&mut self, d: &Parameters<'_, f64>, job: &mut Job<'_>) -> Result<(), Error> {
        scores(self.dataset, d, &mut self.along[0], job)
    }

    fn loss(&self, at: [f64; 2], job: &mut Job<'_>) -> Result<Plane, Error> {
        let classes = self.v.len() / rows_of(self.dataset).max(1);
        let [d, s] = &self.along;
        kernel::plane(self.dataset, [&self.v, d, s], at, classes, job)
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
    dataset: &Dataset<'_>,
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
    kernel::scores(dataset, at, out, job)?;
    if let Some(s) = dataset.sample_weight {
        for (i, z) in out.chunks_exact_mut(at.scores()).enumerate() {
            if s.get::<f64>(dataset.rows.at(i)) == 0.0 {
                z.fill(0.0);
            }
        }
    }
    Ok(())
}
