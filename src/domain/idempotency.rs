//! The key under which a caller may send a request again.

/// A key, together with its request.
#[derive(Debug, Clone)]
pub struct IdempotencyKey {
    /// Keys of different callers never meet.
    pub caller: String,
    /// 1 to 255 visible ASCII characters.
    pub value: String,
    /// SHA-256 of the method, the path and the body.
    pub request_hash: Vec<u8>,
}
