//! σ, σ' and ln σ of every element of an array.

use fearless_simd::prelude::*;

use crate::error::Error;
use crate::float::Float;
use crate::math;
use crate::reduce::{self, Job};
use crate::simd::dispatch;

/// A function of one variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// σ(z) = 1 / (1 + e^-z)
    Sigmoid,
    /// σ'(z) = σ(z)·(1 − σ(z))
    SigmoidDerivative,
    /// ln σ(z)
    LogSigmoid,
}

/// Elements per item of work, which takes about 30 µs. Starting a thread takes about 20 µs, so that smaller items would
/// not be worth a thread.
const BLOCK: usize = 1 << 15;

/// Writes the value of the function at every element of `z` to `out`. For every float, the value is within 1 ULP of the
/// exact one.
///
/// # Errors
///
/// [`Error::Length`] if `out` is not as long as `z`; [`Error::Interrupted`] by the monitor.
pub fn apply<F: Float>(
    function: Function,
    z: &[F],
    out: &mut [F],
    job: &mut Job<'_>,
) -> Result<(), Error> {
    if out.len() != z.len() {
        return Err(Error::Length {
            argument: "out",
            expected: z.len(),
            unit: "one value per element of z",
            got: out.len(),
        });
    }
    let level = job.level();
    reduce::map(
        job,
        z.chunks(BLOCK).zip(out.chunks_mut(BLOCK)).collect(),
        || (),
        |(), (z, out): (&[F], &mut [F])| dispatch!(level, simd => map_block(simd, z, out, function)),
    )?;
    Ok(())
}

/// Replaces every element of `values` by the value of the function at it. For every float, the value is within 1 ULP of
/// the exact one.
///
/// # Errors
///
/// [`Error::Interrupted`] by the monitor.
pub fn apply_in_place<F: Float>(
    function: Function,
    values: &mut [F],
    job: &mut Job<'_>,
) -> Result<(), Error> {
    let level = job.level();
    reduce::map(
        job,
        values.chunks_mut(BLOCK).collect(),
        || (),
        |(), block: &mut [F]| dispatch!(level, simd => map_in_place(simd, block, function)),
    )?;
    Ok(())
}

#[inline(always)]
fn map_block<F: Float, S: Simd>(simd: S, z: &[F], out: &mut [F], function: Function) {
    match function {
        Function::Sigmoid => map(simd, z, out, Sigmoid),
        Function::SigmoidDerivative => map(simd, z, out, SigmoidDerivative),
        Function::LogSigmoid => map(simd, z, out, LogSigmoid),
    }
}

/// Replaces `values` by the values of the function at them. Pieces of `values` are copied to the stack as input of
/// [`map_block`], so that the loops of [`map_block`] are not compiled a second time for work in place.
#[inline(always)]
pub(crate) fn map_in_place<F: Float, S: Simd>(simd: S, values: &mut [F], function: Function) {
    const PIECE: usize = 256;
    let mut z = [F::ZERO; PIECE];
    for values in values.chunks_mut(PIECE) {
        let z = &mut z[..values.len()];
        z.copy_from_slice(values);
        map_block(simd, z, values, function);
    }
}

/// A function of one variable, as a type. [`map`] is compiled for each such type, with the formula inlined into its
/// loop.
trait OneVariable: Copy {
    fn at<F: Float, S: Simd, V: SimdFloat<S, Element = F>>(self, z: V) -> V;
}

macro_rules! one_variable {
    ($name:ident, $formula:path) => {
        #[derive(Clone, Copy)]
        struct $name;
        impl OneVariable for $name {
            #[inline(always)]
            fn at<F: Float, S: Simd, V: SimdFloat<S, Element = F>>(self, z: V) -> V {
                $formula(z)
            }
        }
    };
}

one_variable!(Sigmoid, math::sigmoid);
one_variable!(SigmoidDerivative, math::sigmoid_derivative);
one_variable!(LogSigmoid, math::log_sigmoid);

#[inline(always)]
fn map<F: Float, S: Simd>(simd: S, z: &[F], out: &mut [F], function: impl OneVariable) {
    let (whole, whole_out) = (F::arrays(z), F::arrays_mut(out));
    for (z, out) in whole.iter().zip(whole_out) {
        function
            .at(F::Lanes::<S>::load_array_ref(simd, z))
            .store_array(out);
    }
    let at = z.len() / F::LANES * F::LANES;
    let (rest, rest_out) = (&z[at..], &mut out[at..]);
    if !rest.is_empty() {
        let mut lanes = F::ZEROS;
        lanes.as_mut()[..rest.len()].copy_from_slice(rest);
        function
            .at(F::Lanes::<S>::load_array_ref(simd, &lanes))
            .store_array(&mut lanes);
        rest_out.copy_from_slice(&lanes.as_ref()[..rest.len()]);
    }
}
