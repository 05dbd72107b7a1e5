//! The types in which the elements of arrays are stored.

use crate::float::Float;

/// Runs `$body`, in which `$slice` is the slice in an [`Elements`], and `$convert` is a function that converts an
/// element of the slice to `F`.
macro_rules! with_elements {
    ($elements:expr, $slice:ident, $convert:ident => $body:expr) => {
        match $elements {
            Elements::F64($slice) => {
                let $convert = |x: f64| F::from_f64(x);
                $body
            }
            Elements::F32($slice) => {
                let $convert = |x: f32| F::from_f32(x);
                $body
            }
            Elements::I8($slice) => {
                let $convert = |x: i8| F::from_f64(f64::from(x));
                $body
            }
            Elements::I16($slice) => {
                let $convert = |x: i16| F::from_f64(f64::from(x));
                $body
            }
            Elements::I32($slice) => {
                let $convert = |x: i32| F::from_f64(f64::from(x));
                $body
            }
            Elements::I64($slice) => {
                let $convert = |x: i64| F::from_f64(x as f64);
                $body
            }
            Elements::U8($slice) => {
                let $convert = |x: u8| F::from_f64(f64::from(x));
                $body
            }
            Elements::U16($slice) => {
                let $convert = |x: u16| F::from_f64(f64::from(x));
                $body
            }
            Elements::U32($slice) => {
                let $convert = |x: u32| F::from_f64(f64::from(x));
                $body
            }
            Elements::U64($slice) => {
                let $convert = |x: u64| F::from_f64(x as f64);
                $body
            }
            Elements::Bool($slice) => {
                let $convert = |x: u8| if x == 0 { F::ZERO } else { F::ONE };
                $body
            }
        }
    };
}

/// A buffer of elements, in the type in which they are stored.
#[derive(Clone, Copy, Debug)]
pub enum Elements<'a> {
    /// 64-bit floats.
    F64(&'a [f64]),
    /// 32-bit floats.
    F32(&'a [f32]),
    /// Signed bytes.
    I8(&'a [i8]),
    /// 16-bit integers.
    I16(&'a [i16]),
    /// 32-bit integers.
    I32(&'a [i32]),
    /// 64-bit integers, rounded to the nearest float when they are read.
    I64(&'a [i64]),
    /// Unsigned bytes.
    U8(&'a [u8]),
    /// Unsigned 16-bit integers.
    U16(&'a [u16]),
    /// Unsigned 32-bit integers.
    U32(&'a [u32]),
    /// Unsigned 64-bit integers, rounded to the nearest float when they are read.
    U64(&'a [u64]),
    /// Truth values as bytes: 0 is false, anything else true.
    Bool(&'a [u8]),
}

impl<'a> Elements<'a> {
    /// A buffer of `f32` or `f64` numbers.
    pub fn of<F: Float>(values: &'a [F]) -> Self {
        match F::as_either(values) {
            Ok(values) => Elements::F64(values),
            Err(values) => Elements::F32(values),
        }
    }

    /// The buffer as a slice of `F`, if it holds `F`.
    #[inline(always)]
    pub(crate) fn slice<F: Float>(&self) -> Option<&'a [F]> {
        match self {
            Elements::F64(values) => F::of_f64s(values),
            Elements::F32(values) => F::of_f32s(values),
            _ => None,
        }
    }

    /// Number of elements in the buffer.
    pub(crate) fn len(&self) -> usize {
        match self {
            Elements::F64(x) => x.len(),
            Elements::F32(x) => x.len(),
            Elements::I8(x) => x.len(),
            Elements::I16(x) => x.len(),
            Elements::I32(x) => x.len(),
            Elements::I64(x) => x.len(),
            Elements::U8(x) | Elements::Bool(x) => x.len(),
            Elements::U16(x) => x.len(),
            Elements::U32(x) => x.len(),
            Elements::U64(x) => x.len(),
        }
    }

    /// The element at position `at`, converted to `F`.
    #[inline(always)]
    pub(crate) fn get<F: Float>(&self, at: usize) -> F {
        with_elements!(self, source, convert => convert(source[at]))
    }

    /// Copies the elements at the positions `start`, `start + stride`, … to `out`, converted to `F`.
    #[inline(never)] // its loops for eleven types are compiled once per F, not once per caller
    pub(crate) fn copy_run<F: Float>(&self, start: usize, stride: isize, out: &mut [F]) {
        with_elements!(self, source, convert => {
            if stride == 1 {
                let source = &source[start..start + out.len()];
                for (out, &x) in out.iter_mut().zip(source) {
                    *out = convert(x);
                }
            } else {
                for (i, out) in out.iter_mut().enumerate() {
                    *out = convert(source[start.wrapping_add_signed(i as isize * stride)]);
                }
            }
        });
    }
}
