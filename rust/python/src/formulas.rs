//! Loss, gradient, Hessian and covariance over all rows, and one step of gradient descent.

use gradstep_core::{
    Chunks, Dataset, Elements, Error, Float, Job, LossGradient, Parameters as CoreParameters,
    Points, Reduction, Threads, Vector,
};
use numpy::PyArrayMethods;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::arrays::{Array, Number, Real, View, pack};
use crate::distant::{GivenDistant, InPython};
use crate::features::GivenFeatures;
use crate::monitor::run;
use crate::parameters::{Parameters, pack_biases, pack_weights};
use crate::value_error;

/// Results for Python: (weights, bias), and (loss, weights, bias).
type Pair<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>);
type Triple<'py> = (f64, Bound<'py, PyAny>, Bound<'py, PyAny>);

#[pyfunction]
pub(crate) fn cross_entropy<'py>(
    y: &Array<'py>,
    y_hat: &Array<'py>,
    sample_weight: Option<&Array<'py>>,
) -> PyResult<f64> {
    let py = y.py();
    let (y, y_hat) = (View::new("y", y, 1)?, View::new("y_hat", y_hat, 1)?);
    let sample_weight = weights_of_rows(sample_weight)?;
    let threads = Threads::new(None).map_err(value_error)?;
    let (y, y_hat) = (y.vector()?, y_hat.vector()?);
    let sample_weight = sample_weight.as_ref().map(View::vector).transpose()?;
    run(py, threads, |job| {
        gradstep_core::cross_entropy(&y, &y_hat, sample_weight.as_ref(), job)
    })
}

#[pyfunction]
pub(crate) fn loss<'py>(
    x: &Bound<'py, PyAny>,
    y: &Array<'py>,
    weights: &Array<'py>,
    bias: &Bound<'py, PyAny>,
    of_rows: GivenRows<'py>,
    n_threads: Option<usize>,
) -> PyResult<f64> {
    let arguments = Arguments::new(x, y, weights, bias, of_rows, n_threads)?;
    if arguments.x.is_single() {
        loss_in::<f32>(x.py(), &arguments)
    } else {
        loss_in::<f64>(x.py(), &arguments)
    }
}

#[pyfunction]
pub(crate) fn gradient<'py>(
    x: &Bound<'py, PyAny>,
    y: &Array<'py>,
    weights: &Array<'py>,
    bias: &Bound<'py, PyAny>,
    of_rows: GivenRows<'py>,
    n_threads: Option<usize>,
) -> PyResult<Pair<'py>> {
    let (_, weights, bias) = loss_gradient(x, y, weights, bias, of_rows, n_threads)?;
    Ok((weights, bias))
}

#[pyfunction]
pub(crate) fn loss_gradient<'py>(
    x: &Bound<'py, PyAny>,
    y: &Array<'py>,
    weights: &Array<'py>,
    bias: &Bound<'py, PyAny>,
    of_rows: GivenRows<'py>,
    n_threads: Option<usize>,
) -> PyResult<Triple<'py>> {
    if let Ok(distant) = x.extract::<GivenDistant>() {
        let rows = InPython::new(distant);
        let arguments = Arguments::of(&rows, y, weights, bias, of_rows, n_threads)?;
        return match rows.is_single {
            true => loss_gradient_of_read::<f32>(x.py(), &arguments),
            false => loss_gradient_of_read::<f64>(x.py(), &arguments),
        };
    }
    let arguments = Arguments::new(x, y, weights, bias, of_rows, n_threads)?;
    if arguments.x.is_single() {
        loss_gradient_in::<f32>(x.py(), &arguments)
    } else {
        loss_gradient_in::<f64>(x.py(), &arguments)
    }
}

#[pyfunction]
#[expect(
    clippy::too_many_arguments,
    reason = "those of the public function, by position"
)]
pub(crate) fn gradient_step<'py>(
    x: &Bound<'py, PyAny>,
    y: &Array<'py>,
    weights: &Array<'py>,
    bias: &Bound<'py, PyAny>,
    learning_rate: f64,
    reduction: &Bound<'py, PyString>,
    of_rows: GivenRows<'py>,
    n_threads: Option<usize>,
) -> PyResult<Pair<'py>> {
    let arguments = Arguments::new(x, y, weights, bias, of_rows, n_threads)?;
    let reduction = Reduction::parse(&reduction.to_string_lossy()).map_err(value_error)?;
    if arguments.x.is_single() {
        step_in::<f32>(x.py(), &arguments, learning_rate, reduction)
    } else {
        step_in::<f64>(x.py(), &arguments, learning_rate, reduction)
    }
}

#[pyfunction]
pub(crate) fn hessian<'py>(
    x: &Bound<'py, PyAny>,
    weights: &Array<'py>,
    bias: f64,
    of_rows: GivenRows<'py>,
    n_threads: Option<usize>,
) -> PyResult<Bound<'py, PyAny>> {
    let (py, x) = (x.py(), GivenFeatures::new(x)?);
    let weights = vector("weights", weights)?.to_vec::<f64>()?;
    let of_rows = OfRows::new(of_rows)?;
    let threads = Threads::new(n_threads).map_err(value_error)?;
    let rows = x.rows::<f64>(py, threads)?;
    let (x, sample_weight, offsets) = (
        rows.features()?,
        of_rows.sample_weight()?,
        of_rows.offsets::<f64>()?,
    );
    let offsets = offsets.vectors().map_err(value_error)?;
    let order = x.columns() + 1;
    let matrix = run(py, threads, |job| {
        gradstep_core::hessian(x, sample_weight.as_ref(), &offsets, &weights, bias, job)
    })?;
    Ok(pack(py, matrix).reshape([order, order])?.into_any())
}

#[pyfunction]
pub(crate) fn covariance<'py>(
    x: &Bound<'py, PyAny>,
    weights: &Array<'py>,
    bias: f64,
    of_rows: GivenRows<'py>,
    fit_bias: bool,
    n_threads: Option<usize>,
) -> PyResult<Bound<'py, PyAny>> {
    let (py, x) = (x.py(), GivenFeatures::new(x)?);
    let weights = vector("weights", weights)?.to_vec::<f64>()?;
    let of_rows = OfRows::new(of_rows)?;
    let threads = Threads::new(n_threads).map_err(value_error)?;
    let rows = x.rows::<f64>(py, threads)?;
    let (x, sample_weight, offsets) = (
        rows.features()?,
        of_rows.sample_weight()?,
        of_rows.offsets::<f64>()?,
    );
    let offsets = offsets.vectors().map_err(value_error)?;
    let order = x.columns() + usize::from(fit_bias);
    let matrix = run(py, threads, |job| {
        let s = sample_weight.as_ref();
        gradstep_core::covariance(x, s, &offsets, &weights, bias, fit_bias, job)
    })?;
    Ok(pack(py, matrix).reshape([order, order])?.into_any())
}

/// The arguments of a formula over all rows. They are converted in the order of the fields. If several arguments are
/// wrong, the error is about the first of these.
struct Arguments<'py, X = GivenFeatures<'py>> {
    x: X,
    y: View<'py>,
    parameters: Parameters<'py>,
    of_rows: OfRows<'py>,
    threads: Threads,
}

impl<'py> Arguments<'py> {
    fn new(
        x: &Bound<'py, PyAny>,
        y: &Array<'py>,
        weights: &Array<'py>,
        bias: &Bound<'py, PyAny>,
        of_rows: GivenRows<'py>,
        n_threads: Option<usize>,
    ) -> PyResult<Self> {
        let x = GivenFeatures::new(x)?;
        Arguments::of(x, y, weights, bias, of_rows, n_threads)
    }

    /// Runs a function of the core with these arguments, without the GIL.
    fn run<F: Number, T: Send>(
        &self,
        py: Python<'py>,
        kernel: impl Send
        + FnOnce(&Dataset<'_>, &CoreParameters<'_, F>, &mut Job<'_>) -> Result<T, Error>,
    ) -> PyResult<T> {
        let rows = self.x.rows::<F>(py, self.threads)?;
        let (x, y) = (rows.features()?, self.y.vector()?);
        let (sample_weight, offsets) =
            (self.of_rows.sample_weight()?, self.of_rows.offsets::<F>()?);
        let offsets = offsets.vectors().map_err(value_error)?;
        let (weights, biases) = self.parameters.to_vecs::<F>(x.columns())?;
        let parameters = self.parameters.at(&weights, &biases);
        run(py, self.threads, |job| {
            let dataset = Dataset::new(x, &y, sample_weight.as_ref())?.with_offsets(&offsets)?;
            kernel(&dataset, &parameters, job)
        })
    }
}

impl<'py, X> Arguments<'py, X> {
    fn of(
        x: X,
        y: &Array<'py>,
        weights: &Array<'py>,
        bias: &Bound<'py, PyAny>,
        of_rows: GivenRows<'py>,
        n_threads: Option<usize>,
    ) -> PyResult<Self> {
        Ok(Arguments {
            x,
            y: View::new("y", y, 1)?,
            parameters: Parameters::new(weights, bias)?,
            of_rows: OfRows::new(of_rows)?,
            threads: Threads::new(n_threads).map_err(value_error)?,
        })
    }
}

/// Sample weights and offsets of rows as Python gives them: each an array of one number per row, or None.
/// Offsets may have one number per row and class.
pub(crate) type GivenRows<'py> = [Option<Array<'py>>; 2];

/// Sample weights and offsets, checked for their dimensions.
pub(crate) struct OfRows<'py> {
    sample_weight: Option<View<'py>>,
    offset: Option<Real<'py>>,
}

impl<'py> OfRows<'py> {
    /// # Errors
    ///
    /// ValueError for sample weights that are not 1-dimensional, and for offsets with neither one nor two dimensions.
    pub(crate) fn new([sample_weight, offset]: GivenRows<'py>) -> PyResult<Self> {
        let offset = offset.map(|offset| {
            let numbers = Real::new("offset", &offset)?;
            match *numbers.shape() {
                [_, classes] if classes > 0 => Ok(numbers),
                _ => vector("offset", &offset),
            }
        });
        Ok(OfRows {
            sample_weight: weights_of_rows(sample_weight.as_ref())?,
            offset: offset.transpose()?,
        })
    }

    pub(crate) fn sample_weight(&self) -> PyResult<Option<Vector<'_>>> {
        self.sample_weight.as_ref().map(View::vector).transpose()
    }

    /// The offsets, rounded to `F`, the type in which scores are computed.
    pub(crate) fn offsets<F: Number>(&self) -> PyResult<Offsets> {
        let Some(offset) = &self.offset else {
            return Ok(Offsets::default());
        };
        let numbers = offset.to_vec::<F>()?.into_iter();
        Ok(Offsets {
            numbers: numbers.map(Float::to_f64).collect(),
            shape: match *offset.shape() {
                [rows, scores] => [rows, scores],
                _ => [offset.shape()[0], 1],
            },
        })
    }
}

/// The offsets of rows, shape (m, number of scores); of shape (0, 0) if there are none.
#[derive(Default)]
pub(crate) struct Offsets {
    numbers: Vec<f64>,
    shape: [usize; 2],
}

impl Offsets {
    /// One vector for each score: the offsets of this score in all rows.
    pub(crate) fn vectors(&self) -> Result<Vec<Vector<'_>>, Error> {
        let [rows, scores] = self.shape;
        let numbers = Elements::F64(&self.numbers);
        let of_score = |k| Vector::new("offset", numbers, k, rows, scores as isize);
        (0..scores).map(of_score).collect()
    }
}

fn weights_of_rows<'py>(array: Option<&Array<'py>>) -> PyResult<Option<View<'py>>> {
    array
        .map(|array| View::new("sample_weight", array, 1))
        .transpose()
}

pub(crate) fn vector<'py>(argument: &'static str, array: &Array<'py>) -> PyResult<Real<'py>> {
    let vector = Real::new(argument, array)?;
    vector.check_dimensions(1)?;
    Ok(vector)
}

fn loss_in<'py, F: Number>(py: Python<'py>, arguments: &Arguments<'py>) -> PyResult<f64> {
    arguments.run(py, gradstep_core::loss::<F>)
}

fn loss_gradient_in<'py, F: Number>(
    py: Python<'py>,
    arguments: &Arguments<'py>,
) -> PyResult<Triple<'py>> {
    let classes = arguments.parameters.classes();
    let found = arguments.run(py, gradstep_core::loss_gradient::<F>)?;
    pack_loss_gradient(py, &found, classes)
}

/// [`loss_gradient`] over rows that a function of Python reads.
fn loss_gradient_of_read<'py, F: Number>(
    py: Python<'py>,
    arguments: &Arguments<'py, &InPython>,
) -> PyResult<Triple<'py>> {
    let (x, y) = (arguments.x, arguments.y.vector()?);
    let of_rows = &arguments.of_rows;
    let (sample_weight, offsets) = (of_rows.sample_weight()?, of_rows.offsets::<F>()?);
    let offsets = offsets.vectors().map_err(value_error)?;
    let (weights, biases) = arguments.parameters.to_vecs::<F>(x.columns)?;
    let at = arguments.parameters.at(&weights, &biases);
    let found = run(py, arguments.threads, |job| {
        let labels = Dataset::of_labels(x.columns, &y, sample_weight.as_ref())?;
        let labels = labels.with_offsets(&offsets)?;
        Points::Read(Chunks::new(x, labels)).loss_gradient(&at, job)
    });
    match x.raised() {
        Some(raised) => Err(raised),
        None => pack_loss_gradient(py, &found?, arguments.parameters.classes()),
    }
}

fn pack_loss_gradient<'py, F: Number>(
    py: Python<'py>,
    LossGradient { loss, gradient }: &LossGradient<F>,
    classes: Option<usize>,
) -> PyResult<Triple<'py>> {
    Ok((
        *loss,
        pack_weights(py, &gradient.weights, classes)?,
        pack_biases(py, &gradient.biases, classes)?,
    ))
}

fn step_in<'py, F: Number>(
    py: Python<'py>,
    arguments: &Arguments<'py>,
    learning_rate: f64,
    reduction: Reduction,
) -> PyResult<Pair<'py>> {
    let classes = arguments.parameters.classes();
    let step = arguments.run(py, |dataset, parameters: &CoreParameters<'_, F>, job| {
        gradstep_core::gradient_step(dataset, parameters, learning_rate, reduction, job)
    })?;
    Ok((
        pack_weights(py, &step.weights, classes)?,
        pack_biases(py, &step.biases, classes)?,
    ))
}
