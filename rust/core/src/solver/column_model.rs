//! A quadratic model of the objective's smooth part, for sparse `X`. The model's Hessian is never formed: products with
//! it are computed column by column.

use super::objective::{Iterate, Objective};
use super::quadratic::{Hessian, Quadratic};
use super::run::Run;
use super::smooth_model::{Coordinates, Model};
use crate::error::Error;
use crate::kernel::Basis;
use crate::kinks::AllKinks;
use crate::penalty::Penalty;
use crate::reduce::Job;
use crate::source::{ByColumns, Source};

/// If `X` stores at most this many elements, iterations run over all columns: this is cheaper than choosing sets of
/// columns and iterating over one set after the other.
const FEW_ELEMENTS: usize = 1 << 21;

/// Whether coordinate descent is cheaper column by column than with a Hessian. Column by column, a sweep over all
/// coordinates reads every stored element of X; with a Hessian, it reads n² numbers.
fn is_cheaper(objective: &Objective<'_>) -> bool {
    let n = objective.columns();
    let is_sparse = objective.density() < 1.0;
    objective.classes == 1 && is_sparse && objective.source.reads().saturating_mul(4) <= n * n
}

/// Whether the iterations run over all columns at once, instead of over one set of columns after the other.
pub(super) fn takes_all(objective: &Objective<'_>) -> bool {
    is_cheaper(objective) && objective.source.reads() <= FEW_ELEMENTS
}

/// The model at the parameters last given to [`ColumnModel::move_to`]. Its coordinates are the weights, and last the
/// score at the means of the columns. The mean of column j is Σ d_i x_ij / Σ d_i, where row i has the curvature d_i.
pub(super) struct ColumnModel<'a> {
    columns: Box<dyn ByColumns + 'a>,
    coordinates: Coordinates,
    /// The second derivative of the penalty by each weight.
    of_penalty: Vec<f64>,
    /// The diagonal of the Hessian.
    curvature: Vec<f64>,
    /// Σ d_i x_ij of each column, with the rows' curvatures d_i.
    cross: Vec<f64>,
    kinks: AllKinks,
}

impl<'a> ColumnModel<'a> {
    /// The model at `v`. `None` if coordinate descent is cheaper with a Hessian, or if the source cannot read single
    /// columns.
    pub(super) fn new(
        objective: &Objective<'_>,
        source: &'a dyn Source,
        v: &[f64],
        run: &mut Run<'_>,
    ) -> Result<Option<Self>, Error> {
        let n = objective.columns();
        if !is_cheaper(objective) {
            return Ok(None);
        }
        let Some(columns) = source.by_columns(&mut run.job())? else {
            return Ok(None);
        };
        let mut model = ColumnModel {
            columns,
            coordinates: Coordinates {
                basis: Basis::natural(n),
                means: vec![vec![0.0; n]],
                fit_bias: objective.fit_bias,
            },
            of_penalty: objective.penalty.diagonal(&Basis::natural(n)),
            curvature: vec![0.0; n + 1],
            cross: vec![0.0; n],
            kinks: objective.penalty.kinks(1, &vec![1.0; n]),
        };
        model.move_to(objective, v, run)?;
        Ok(Some(model))
    }

    /// Makes this the model at the parameters `v`: computes the rows' curvatures there.
    fn move_to(
        &mut self,
        objective: &Objective<'_>,
        v: &[f64],
        run: &mut Run<'_>,
    ) -> Result<(), Error> {
        run.passes += objective.cost;
        let at = objective.parameters(v);
        self.columns.set_curvatures(&at, &mut run.job())?;
        let total = self.columns.total();
        let n = self.cross.len();
        for j in 0..n {
            let [cross, square] = self.columns.moments(j);
            let mean = match objective.fit_bias && total > 0.0 {
                true => cross / total,
                false => 0.0,
            };
            self.coordinates.means[0][j] = mean;
            self.cross[j] = cross;
            self.curvature[j] = (square - mean * cross).max(0.0) + self.of_penalty[j];
        }
        self.curvature[n] = if objective.fit_bias { total } else { 0.0 };
        Ok(())
    }
}

impl Model for ColumnModel<'_> {
    fn coordinates(&self) -> &Coordinates {
        &self.coordinates
    }

    fn kinks(&self) -> &AllKinks {
        &self.kinks
    }

    fn set_penalty(&mut self, penalty: &Penalty) {
        let n = self.cross.len();
        let last = std::mem::replace(
            &mut self.of_penalty,
            penalty.diagonal(&self.coordinates.basis),
        );
        for (curvature, (along, last)) in
            (self.curvature.iter_mut()).zip(self.of_penalty.iter().zip(&last))
        {
            *curvature += along - last;
        }
        self.kinks = penalty.kinks(1, &vec![1.0; n]);
    }

    fn curvature(&self, j: usize) -> f64 {
        self.curvature[j]
    }

    fn minimum(
        &mut self,
        gradient: &[f64],
        start: &[f64],
        forcing: f64,
        job: &mut Job<'_>,
    ) -> Result<Vec<f64>, Error> {
        self.columns.clear();
        let quadratic = Quadratic {
            gradient,
            kinks: &self.kinks,
            start,
        };
        let mut hessian = Products {
            columns: self.columns.as_mut(),
            means: &self.coordinates.means[0],
            cross: &self.cross,
            of_penalty: &self.of_penalty,
            curvature: &self.curvature,
            steps: vec![0.0; start.len()],
            shift: 0.0,
        };
        quadratic.minimum(&mut hessian, forcing, job)
    }

    fn learn(
        &mut self,
        objective: &Objective<'_>,
        next: &Iterate,
        _: [&[f64]; 2],
        run: &mut Run<'_>,
    ) -> Result<(), Error> {
        self.move_to(objective, &next.v, run)
    }
}

/// The Hessian as coordinate descent needs it: its diagonal, and its product with the steps made so far.
struct Products<'m> {
    columns: &'m mut dyn ByColumns,
    means: &'m [f64],
    cross: &'m [f64],
    of_penalty: &'m [f64],
    curvature: &'m [f64],
    steps: Vec<f64>,
    /// Σ_j cross_j · step_j. This is Σ_i d_i t_i, where t_i = Σ_j x_ij · step_j is the change of row i's score by the
    /// steps made so far.
    shift: f64,
}

impl Hessian for Products<'_> {
    fn curvature(&self, j: usize) -> f64 {
        self.curvature[j]
    }

    fn product(&self, j: usize) -> f64 {
        match self.means.get(j) {
            Some(mean) => {
                let of_penalty = self.of_penalty[j] * self.steps[j];
                self.columns.product(j) - mean * self.shift + of_penalty
            }
            None => self.curvature[j] * self.steps[j],
        }
    }

    fn add(&mut self, j: usize, step: f64) {
        self.steps[j] += step;
        if let Some(cross) = self.cross.get(j) {
            self.columns.add(j, step);
            self.shift += cross * step;
        }
    }
}
