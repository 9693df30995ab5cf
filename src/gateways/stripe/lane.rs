//! What calls to Stripe are for.

/// What a call is for. Each lane has a share of its own, and the first that wait get what others
/// leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// A payment page is opened for a buyer who waits for it.
    Create,
    /// A payment page is closed, or it is asked whether there is one, and why it is not open: seats
    /// wait for it.
    Expire,
    /// Money goes back.
    Refunds,
    /// A buyer, or an admin, asks how their payment stands. Whoever would wait for longer than a
    /// second is sent away.
    Verify,
    /// Nobody waits for it.
    Background,
}

/// Something for each lane, the first first.
pub(super) struct PerLane<T> {
    pub(super) create: T,
    pub(super) expire: T,
    pub(super) refunds: T,
    pub(super) verify: T,
    pub(super) background: T,
}

impl<T> PerLane<T> {
    pub(super) fn of(&self, lane: Lane) -> &T {
        match lane {
            Lane::Create => &self.create,
            Lane::Expire => &self.expire,
            Lane::Refunds => &self.refunds,
            Lane::Verify => &self.verify,
            Lane::Background => &self.background,
        }
    }

    pub(super) fn of_mut(&mut self, lane: Lane) -> &mut T {
        match lane {
            Lane::Create => &mut self.create,
            Lane::Expire => &mut self.expire,
            Lane::Refunds => &mut self.refunds,
            Lane::Verify => &mut self.verify,
            Lane::Background => &mut self.background,
        }
    }
}
