//! NumPy arrays as Rust slices: arguments, read in place if their memory layout allows it, and new arrays for results.
//! All unsafe code of the crate is here.
//!
//! The Python package has checked that arrays hold real numbers. Here, shapes and layouts are checked; error messages
//! read "`<argument>` must `<what was expected>`, got `<what came>`".

use gradstep_core::{Elements, Error, Float, Indices, Matrix, Vector};
use numpy::{
    Element, PyArray1, PyArrayDescrMethods, PyArrayDyn, PyArrayMethods, PyUntypedArray,
    PyUntypedArrayMethods,
};
use pyo3::exceptions::{PyMemoryError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{IntoPyDict, PyBool, PyModule, PyTuple};

use crate::value_error;

/// No address space has more bytes than this. An array of more bytes must have strides of 0, and is refused: to read it
/// would take for ever.
const ADDRESS_SPACE: u128 = 1 << 57;

/// The two types in which formulas are computed, `f32` and `f64`.
pub(crate) trait Number: Float + Element {}
impl Number for f32 {}
impl Number for f64 {}

/// A NumPy array of any type.
pub(crate) type Array<'py> = Bound<'py, PyUntypedArray>;

/// An array of real numbers in any layout, with the name of the argument for error messages.
pub(crate) struct Real<'py> {
    argument: &'static str,
    array: Array<'py>,
}

impl<'py> Real<'py> {
    /// # Errors
    ///
    /// MemoryError if the array has more elements than fit into an address space.
    pub(crate) fn new(argument: &'static str, array: &Array<'py>) -> PyResult<Self> {
        let bytes = array
            .shape()
            .iter()
            .fold(array.dtype().itemsize() as u128, |bytes, &length| {
                bytes.saturating_mul(length as u128)
            });
        if bytes > ADDRESS_SPACE {
            let shape = shape_text(array.shape());
            return Err(PyMemoryError::new_err(format!(
                "{argument} must fit into memory, got shape {shape}"
            )));
        }
        let array = array.clone();
        Ok(Real { argument, array })
    }

    /// Whether this is an array of 32-bit floats.
    pub(crate) fn is_single(&self) -> bool {
        let dtype = self.array.dtype();
        dtype.kind() == b'f' && dtype.itemsize() == 4
    }

    pub(crate) fn shape(&self) -> &[usize] {
        self.array.shape()
    }

    /// # Errors
    ///
    /// ValueError if the array has not this many dimensions.
    pub(crate) fn check_dimensions(&self, dimensions: usize) -> PyResult<()> {
        if self.array.ndim() == dimensions {
            return Ok(());
        }
        let (argument, shape) = (self.argument, shape_text(self.shape()));
        Err(PyValueError::new_err(format!(
            "{argument} must be {dimensions}-dimensional, got shape {shape}"
        )))
    }

    /// A copy in C order, converted to `F`.
    pub(crate) fn copy<F: Number>(&self) -> PyResult<Fresh<'py, F>> {
        let py = self.array.py();
        let options = [
            ("order", intern!(py, "C").clone().into_any()),
            ("copy", PyBool::new(py, true).to_owned().into_any()),
        ]
        .into_py_dict(py)?;
        options.set_item("dtype", numpy::dtype::<F>(py))?;
        let array = numpy(py, "array")?;
        // A conversion may round to infinity or zero; NumPy must not warn about that.
        let copy = quietly(py, || array.call((&self.array,), Some(&options)))?;
        Ok(Fresh(copy.cast_into()?))
    }

    /// A copy of the elements, converted to `F`.
    pub(crate) fn to_vec<F: Number>(&self) -> PyResult<Vec<F>> {
        if let Some(values) = self.contiguous::<F>() {
            let mut copy = Vec::new();
            // If memory is short, NumPy raises MemoryError below.
            if copy.try_reserve_exact(values.len()).is_ok() {
                copy.extend_from_slice(values);
                return Ok(copy);
            }
        }
        Ok(self.copy::<F>()?.slice()?.to_vec())
    }

    /// All elements as a slice, if they have the type `F` and are contiguous in C order; else `None`.
    pub(crate) fn contiguous<F: Number>(&self) -> Option<&[F]> {
        let (first, length) = extent::<F>(&self.array)?;
        // SAFETY: `extent` has found `length` aligned elements of type `F` at `first`; any bit pattern is a valid
        // element. The memory is that of the array, which `self` keeps alive. Python code that writes to it in another
        // thread races with us just as it does with NumPy.
        Some(unsafe { std::slice::from_raw_parts(first, length) })
    }
}

/// A matrix or vector of real numbers whose memory kernels can read in place.
pub(crate) struct View<'py> {
    /// Keeps the memory alive.
    array: Real<'py>,
    layout: Layout,
}

/// A matrix like a [`View`], which may be kept while the GIL is released.
pub(crate) struct HeldMatrix {
    /// Keeps the memory alive.
    _array: Py<PyUntypedArray>,
    layout: Layout,
    shape: (usize, usize),
}

/// Columns of real numbers, each an array of its own in any type, which may be kept while the GIL is released.
pub(crate) struct HeldColumns {
    /// Keep the memory alive.
    _arrays: Vec<Py<PyUntypedArray>>,
    layouts: Vec<Layout>,
}

/// How the elements of an array lie in its memory. The owner of the layout keeps that memory alive.
struct Layout {
    kind: Kind,
    /// The element with the lowest address.
    lowest: *const u8,
    /// The number of elements from the lowest to the highest address, gaps included.
    span: usize,
    /// The distance from the lowest element to the array's first element, in elements, gaps included.
    offset: usize,
    /// Strides, counted in elements; 0 along axes of length 1.
    strides: Vec<isize>,
}

#[derive(Clone, Copy)]
enum Kind {
    Bool,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    F32,
    F64,
}

impl<'py> View<'py> {
    /// A view of the array itself if kernels can read it in place, else of a converted copy.
    ///
    /// # Errors
    ///
    /// ValueError if the array has not this many dimensions.
    pub(crate) fn new(
        argument: &'static str,
        array: &Array<'py>,
        dimensions: usize,
    ) -> PyResult<Self> {
        let array = Real::new(argument, array)?;
        array.check_dimensions(dimensions)?;
        if let Some(view) = View::in_place(&array)? {
            return Ok(view);
        }
        let copy = if array.is_single() {
            array.copy::<f32>()?.into_array().into_any()
        } else {
            array.copy::<f64>()?.into_array().into_any()
        };
        let copy = Real {
            argument,
            array: copy.cast_into()?,
        };
        View::in_place(&copy)?.ok_or_else(|| outside(argument))
    }

    /// A view of the array itself; `None` if Rust cannot read it in place because of its element type, byte order,
    /// alignment or strides.
    fn in_place(array: &Real<'py>) -> PyResult<Option<Self>> {
        let dtype = array.array.dtype();
        let (kind, align) = match (dtype.kind(), dtype.itemsize()) {
            (b'b', 1) => (Kind::Bool, 1),
            (b'i', 1) => (Kind::I8, 1),
            (b'i', 2) => (Kind::I16, align_of::<i16>()),
            (b'i', 4) => (Kind::I32, align_of::<i32>()),
            (b'i', 8) => (Kind::I64, align_of::<i64>()),
            (b'u', 1) => (Kind::U8, 1),
            (b'u', 2) => (Kind::U16, align_of::<u16>()),
            (b'u', 4) => (Kind::U32, align_of::<u32>()),
            (b'u', 8) => (Kind::U64, align_of::<u64>()),
            (b'f', 4) => (Kind::F32, align_of::<f32>()),
            (b'f', 8) => (Kind::F64, align_of::<f64>()),
            _ => return Ok(None),
        };
        if dtype.is_native_byteorder() == Some(false) {
            return Ok(None);
        }
        let size = dtype.itemsize() as i128;
        let (mut low, mut high) = (0, 0);
        let mut strides = Vec::with_capacity(array.shape().len());
        for (&length, &stride) in array.shape().iter().zip(array.array.strides()) {
            let stride = if length > 1 { stride as i128 } else { 0 };
            if stride % size != 0 {
                return Ok(None);
            }
            let reach = stride / size * (length as i128 - 1);
            low += reach.min(0);
            high += reach.max(0);
            strides.push((stride / size) as isize);
        }
        let view = |lowest, span, offset, strides| {
            let array = Real {
                argument: array.argument,
                array: array.array.clone(),
            };
            let layout = Layout {
                kind,
                lowest,
                span,
                offset,
                strides,
            };
            Ok(Some(View { array, layout }))
        };
        if array.array.is_empty() {
            return view(std::ptr::null(), 0, 0, strides);
        }
        let data = data(&array.array);
        if !(data as usize).is_multiple_of(align) {
            return Ok(None);
        }
        // Nothing overflows in 128 bits: a length times a stride is below 2^126, and there are at most two axes.
        let (first, end) = (data as i128 + low * size, data as i128 + (high + 1) * size);
        if first <= 0 || end > usize::MAX as i128 || (high - low + 1) * size > isize::MAX as i128 {
            return Err(outside(array.argument));
        }
        let lowest = data.wrapping_offset((low * size) as isize);
        view(lowest, (high - low + 1) as usize, -low as usize, strides)
    }

    /// Whether formulas of this array are computed in `f32`.
    pub(crate) fn is_single(&self) -> bool {
        self.array.is_single()
    }

    fn elements(&self) -> Elements<'_> {
        self.layout.elements()
    }

    /// The array as the core's matrix. It must have two dimensions.
    pub(crate) fn matrix(&self) -> PyResult<Matrix<'_>> {
        match *self.array.shape() {
            [rows, columns] => self.layout.matrix((rows, columns)).map_err(value_error),
            _ => Err(outside(self.array.argument)),
        }
    }

    /// The array as the core's vector. It must have one dimension.
    pub(crate) fn vector(&self) -> PyResult<Vector<'_>> {
        match (self.array.shape(), self.layout.strides.as_slice()) {
            (&[length], &[stride]) => Vector::new(
                self.array.argument,
                self.elements(),
                self.layout.offset,
                length,
                stride,
            )
            .map_err(value_error),
            _ => Err(outside(self.array.argument)),
        }
    }
}

/// # Errors
///
/// ValueError if the array has not this shape.
fn check_shape(array: &Real<'_>, shape: &[usize]) -> PyResult<()> {
    if array.shape() == shape {
        return Ok(());
    }
    let (argument, expected) = (array.argument, shape_text(shape));
    let got = shape_text(array.shape());
    let text = format!("{argument} must have shape {expected}, got shape {got}");
    Err(PyValueError::new_err(text))
}

impl HeldMatrix {
    /// The array itself if kernels can read it in place, else a converted copy.
    ///
    /// # Errors
    ///
    /// ValueError if the array has not this shape.
    pub(crate) fn new(
        argument: &'static str,
        array: &Array<'_>,
        shape: (usize, usize),
    ) -> PyResult<Self> {
        let View { array, layout } = View::new(argument, array, 2)?;
        check_shape(&array, &[shape.0, shape.1])?;
        Ok(HeldMatrix {
            _array: array.array.unbind(),
            layout,
            shape,
        })
    }

    /// The array as the core's matrix.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`] if it has no elements.
    pub(crate) fn matrix(&self) -> Result<Matrix<'_>, Error> {
        self.layout.matrix(self.shape)
    }
}

impl HeldColumns {
    /// The arrays themselves if kernels can read them in place, else converted copies.
    ///
    /// # Errors
    ///
    /// ValueError if an array has not this shape, or has gaps between its elements.
    pub(crate) fn new(
        argument: &'static str,
        columns: &[Array<'_>],
        rows: usize,
    ) -> PyResult<Self> {
        let (mut arrays, mut layouts) = (Vec::new(), Vec::new());
        for column in columns {
            let View { array, layout } = View::new(argument, column, 1)?;
            check_shape(&array, &[rows])?;
            if layout.strides != [1] && rows > 1 {
                return Err(outside(argument));
            }
            arrays.push(array.array.unbind());
            layouts.push(layout);
        }
        Ok(HeldColumns {
            _arrays: arrays,
            layouts,
        })
    }

    /// The elements of the columns.
    pub(crate) fn elements(&self) -> Vec<Elements<'_>> {
        self.layouts.iter().map(Layout::elements).collect()
    }
}

impl Layout {
    fn elements(&self) -> Elements<'_> {
        match self.kind {
            Kind::Bool => Elements::Bool(self.slice()),
            Kind::I8 => Elements::I8(self.slice()),
            Kind::I16 => Elements::I16(self.slice()),
            Kind::I32 => Elements::I32(self.slice()),
            Kind::I64 => Elements::I64(self.slice()),
            Kind::U8 => Elements::U8(self.slice()),
            Kind::U16 => Elements::U16(self.slice()),
            Kind::U32 => Elements::U32(self.slice()),
            Kind::U64 => Elements::U64(self.slice()),
            Kind::F32 => Elements::F32(self.slice()),
            Kind::F64 => Elements::F64(self.slice()),
        }
    }

    /// The elements as a slice. `T` must be the type that `kind` names.
    fn slice<T>(&self) -> &[T] {
        if self.span == 0 {
            return &[];
        }
        // SAFETY: `in_place` has checked that the memory is aligned for this type, of native byte order, and that the
        // span neither wraps around nor exceeds isize::MAX bytes; every element type is valid in any bit pattern (bools
        // are read as bytes). Both ends of the span are elements of the array, hence of the one allocation that the
        // array is a view of. `View`, `HeldMatrix` and `HeldColumns` keep the array beside the layout, and so keep the
        // allocation alive. Python code that writes to the array in another thread meanwhile races with us just as it
        // does with NumPy, which releases the GIL the same way. We never write to this memory.
        unsafe { std::slice::from_raw_parts(self.lowest.cast(), self.span) }
    }

    /// The elements as the core's matrix of this shape, which must be that of the array.
    fn matrix(&self, shape: (usize, usize)) -> Result<Matrix<'_>, Error> {
        let strides = match *self.strides.as_slice() {
            [down, across] => (down, across),
            _ => return Err(Error::View { argument: "X" }),
        };
        Matrix::new(self.elements(), self.offset, shape, strides)
    }
}

/// A contiguous vector.
pub(crate) struct Buffer<'py>(View<'py>);

impl<'py> Buffer<'py> {
    /// A vector of floats: the array itself if it is contiguous, else a converted copy.
    ///
    /// # Errors
    ///
    /// ValueError if the array has not one dimension.
    pub(crate) fn of_floats(argument: &'static str, array: &Array<'py>) -> PyResult<Self> {
        let array = Real::new(argument, array)?;
        array.check_dimensions(1)?;
        let float = |kind| matches!(kind, Kind::F32 | Kind::F64);
        if let Some(buffer) = Buffer::in_place(&array, float)? {
            return Ok(buffer);
        }
        let copy = if array.is_single() {
            array.copy::<f32>()?.into_array().into_any()
        } else {
            array.copy::<f64>()?.into_array().into_any()
        };
        Buffer::copied(argument, copy)
    }

    /// A vector of indices: the array itself if it is contiguous and of 32- or 64-bit integers, else a copy as 64-bit
    /// integers.
    ///
    /// # Errors
    ///
    /// ValueError if the array has not one dimension.
    pub(crate) fn of_indices(argument: &'static str, array: &Array<'py>) -> PyResult<Self> {
        let array = Real::new(argument, array)?;
        array.check_dimensions(1)?;
        let index = |kind| matches!(kind, Kind::I32 | Kind::I64);
        if let Some(buffer) = Buffer::in_place(&array, index)? {
            return Ok(buffer);
        }
        let py = array.array.py();
        let copy = array.array.call_method1(
            intern!(py, "astype"),
            (numpy::dtype::<i64>(py), intern!(py, "C")),
        )?;
        Buffer::copied(argument, copy)
    }

    fn in_place(array: &Real<'py>, wanted: impl Fn(Kind) -> bool) -> PyResult<Option<Self>> {
        Ok(View::in_place(array)?
            .filter(|view| wanted(view.layout.kind) && view.layout.offset == 0)
            .filter(|view| [view.layout.span] == *array.shape())
            .map(Buffer))
    }

    fn copied(argument: &'static str, copy: Bound<'py, PyAny>) -> PyResult<Self> {
        let array = Real {
            argument,
            array: copy.cast_into()?,
        };
        Buffer::in_place(&array, |_| true)?.ok_or_else(|| outside(argument))
    }

    /// Whether these are 32-bit floats.
    pub(crate) fn is_single(&self) -> bool {
        self.0.is_single()
    }

    /// The number of elements.
    pub(crate) fn len(&self) -> usize {
        self.0.layout.span
    }

    /// All elements.
    pub(crate) fn elements(&self) -> Elements<'_> {
        self.0.elements()
    }

    /// All elements, as indices.
    pub(crate) fn indices(&self) -> PyResult<Indices<'_>> {
        match self.0.elements() {
            Elements::I32(slice) => Ok(Indices::I32(slice)),
            Elements::I64(slice) => Ok(Indices::I64(slice)),
            _ => Err(outside(self.0.array.argument)),
        }
    }
}

fn data(array: &Bound<'_, PyUntypedArray>) -> *const u8 {
    // SAFETY: the pointer is that of a live NumPy array, whose header is valid to read while this thread is attached to
    // the interpreter.
    unsafe { (*array.as_array_ptr()).fields.data.cast_const().cast() }
}

/// The address of the first element and the number of elements, if the array has the type `F`, is aligned, and is
/// contiguous in C order; else `None`.
fn extent<F: Number>(array: &Bound<'_, PyUntypedArray>) -> Option<(*mut F, usize)> {
    if !array.is_c_contiguous() || !array.dtype().is_equiv_to(&numpy::dtype::<F>(array.py())) {
        return None;
    }
    let length = array.len();
    if length == 0 {
        return Some((std::ptr::NonNull::dangling().as_ptr(), 0));
    }
    let first = data(array).cast_mut().cast::<F>();
    // With strides of 0, an array may have more elements than there are addresses.
    let bytes = length.checked_mul(size_of::<F>())?;
    let fits = isize::try_from(bytes).is_ok() && (first as usize).checked_add(bytes).is_some();
    (fits && !first.is_null() && first.is_aligned()).then_some((first, length))
}

/// An array given by the caller to write to, contiguous in C order.
pub(crate) struct Target<'py, F> {
    /// Keeps the memory alive.
    _array: Bound<'py, PyUntypedArray>,
    first: *mut F,
    length: usize,
}

/// The elements of an array to read from and of an array to write to: two slices if the arrays share no memory, one
/// slice if both are the same memory.
pub(crate) enum Overlap<'a, F> {
    /// No memory is shared.
    None(&'a [F], &'a mut [F]),
    /// Both are the same memory, which is read and then written.
    Same(&'a mut [F]),
}

impl<'py, F: Number> Target<'py, F> {
    /// `out`, to be written in place; `None` if it is read-only, of another type than `F`, or not contiguous.
    pub(crate) fn new(out: &Array<'py>) -> PyResult<Option<Self>> {
        if !out.getattr("flags")?.getattr("writeable")?.is_truthy()? {
            return Ok(None);
        }
        let found = extent::<F>(out);
        Ok(found.map(|(first, length)| Target {
            _array: out.clone(),
            first,
            length,
        }))
    }

    /// The elements of `source`, to be read, and the elements of this array, to be written. `None` if `source` is not
    /// contiguous, or has another type or length than this array. `None` also if the two arrays overlap in part: the
    /// caller must copy `source` first, since writing would change elements that are still to be read.
    pub(crate) fn beside<'a>(&'a mut self, source: &'a Real<'_>) -> Option<Overlap<'a, F>> {
        let (read, length) = extent::<F>(&source.array).filter(|found| found.1 == self.length)?;
        let end = |first: *mut F, length: usize| first as usize + length * size_of::<F>();
        let apart = end(read, length) <= self.first as usize
            || end(self.first, self.length) <= read as usize;
        if apart {
            // SAFETY: `extent` has found `length` aligned elements of type `F` at `first`; any bit pattern is a valid
            // element. `source` shares no address of this memory, `new` has found it writeable, and the exclusive
            // borrow keeps us from a second slice. Other Python threads race with us just as they do with NumPy.
            let out = unsafe { std::slice::from_raw_parts_mut(self.first, self.length) };
            return Some(Overlap::None(source.contiguous()?, out));
        }
        if read == self.first {
            // SAFETY: as above, except that `source` is the same memory. No slice of `source` is made: its elements
            // are read through this slice.
            let out = unsafe { std::slice::from_raw_parts_mut(self.first, self.length) };
            return Some(Overlap::Same(out));
        }
        None
    }
}

/// A new array in C order, to which no other code has a reference yet.
pub(crate) struct Fresh<'py, F: Number>(Bound<'py, PyArrayDyn<F>>);

impl<'py, F: Number> Fresh<'py, F> {
    /// An array with undefined numbers, to be overwritten; MemoryError if it cannot be allocated.
    pub(crate) fn empty(py: Python<'py>, shape: &[usize]) -> PyResult<Self> {
        let shape = PyTuple::new(py, shape)?;
        Ok(Fresh(
            numpy(py, "empty")?
                .call1((shape, numpy::dtype::<F>(py)))?
                .cast_into()?,
        ))
    }

    /// The elements.
    pub(crate) fn slice(&mut self) -> PyResult<&mut [F]> {
        // SAFETY: `empty` and `Real::copy` let NumPy allocate the array; any bit pattern of an element is a number.
        // `into_array` gives up this object. Until then nobody else refers to its memory, and the exclusive borrow
        // keeps us from a second slice.
        Ok(unsafe { self.0.as_slice_mut() }?)
    }

    /// The array, to be handed to Python.
    pub(crate) fn into_array(self) -> Bound<'py, PyArrayDyn<F>> {
        self.0
    }
}

/// A NumPy vector of these values.
pub(crate) fn pack<F: Element>(py: Python<'_>, values: Vec<F>) -> Bound<'_, PyArray1<F>> {
    PyArray1::from_vec(py, values)
}

/// Runs `convert` with NumPy's floating-point warnings switched off.
fn quietly<T>(py: Python<'_>, convert: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
    let state = numpy(py, "errstate")?.call((), Some(&[("all", "ignore")].into_py_dict(py)?))?;
    state.call_method0("__enter__")?;
    let result = convert();
    state.call_method1("__exit__", (py.None(), py.None(), py.None()))?;
    result
}

/// The function or type `numpy.<name>`.
pub(crate) fn numpy<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    static NUMPY: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let import = || py.import("numpy").map(Bound::unbind);
    NUMPY.get_or_try_init(py, import)?.bind(py).getattr(name)
}

/// A shape as Python writes a tuple. The shape of a scalar, (), is easily overlooked, so that an explanation is added
/// to it.
pub(crate) fn shape_text(shape: &[usize]) -> String {
    match shape {
        [] => "() (0-dimensional)".to_owned(),
        [length] => format!("({length},)"),
        _ => {
            let lengths: Vec<_> = shape.iter().map(usize::to_string).collect();
            format!("({})", lengths.join(", "))
        }
    }
}

fn outside(argument: &str) -> PyErr {
    PyValueError::new_err(format!(
        "{argument} must lie within the address space, got strides that leave it"
    ))
}
