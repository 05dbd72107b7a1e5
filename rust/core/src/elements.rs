//! The element types that arrays are stored in.

/// A buffer in the type it is stored in.
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
    /// 64-bit integers, rounded to nearest.
    I64(&'a [i64]),
    /// Unsigned bytes.
    U8(&'a [u8]),
    /// Unsigned 16-bit integers.
    U16(&'a [u16]),
    /// Unsigned 32-bit integers.
    U32(&'a [u32]),
    /// Unsigned 64-bit integers, rounded to nearest.
    U64(&'a [u64]),
    /// Truth values as bytes: 0 is false, anything else true.
    Bool(&'a [u8]),
}

impl Elements<'_> {
    /// Elements in the buffer.
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
}
